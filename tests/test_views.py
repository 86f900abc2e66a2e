from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connections
from django.test import Client, RequestFactory, override_settings
from django.utils import translation

from django_paiementpro import views
from django_paiementpro.models import Payment
from django_paiementpro.testing import FakeGateway, make_payment, notify
from django_paiementpro.testing.notifications import notification_fields
from tests.host.models import Member


@pytest.mark.parametrize("view", [views.CheckoutView, views.NotificationView, views.ReturnView, views.StatusView])
def test_views_are_exempt_from_transactions_login_and_csrf(view: type[views.View]) -> None:
    function = view.as_view()

    assert function._non_atomic_requests == set(connections)
    assert function.login_required is False
    assert function.csrf_exempt is True


@pytest.mark.django_db
@pytest.mark.parametrize("user", [None, AnonymousUser(), Member(name="awa")], ids=["no users", "anonymous", "member"])
def test_views_serve_a_host_with_users_of_its_own(gateway: FakeGateway, user: Any) -> None:
    payment = make_payment()

    def answer(view: type[views.View], method: str = "get", data: Any = None, **arguments: str) -> int:
        request = getattr(RequestFactory(), method)("/", data)
        if user:
            request.user = user
        response: Any = view.as_view()(request, **arguments)
        return int(response.status_code)

    def signed(url: str) -> str:
        return url.split("/")[-2]

    assert answer(views.CheckoutView, signed=signed(payment.get_checkout_url())) == 302
    assert answer(views.ReturnView, signed=signed(payment.get_return_url())) == 200
    assert answer(views.StatusView, signed=signed(payment.get_status_url())) == 200
    payment.refresh_from_db()
    fields = notification_fields(payment)
    assert answer(views.NotificationView, "post", fields, signed=signed(payment.get_notification_url())) == 200
    assert answer(views.ReturnView, signed=signed(payment.get_return_url())) == 200


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["en", "fr"])
def test_urls_may_begin_with_the_language(gateway: FakeGateway, language: str) -> None:
    payment = make_payment()
    client = Client(enforce_csrf_checks=True)

    with override_settings(ROOT_URLCONF="tests.urls_i18n"):
        with translation.override(language):
            checkout = payment.get_checkout_url()
        assert client.get(checkout).status_code == 302
        [sent] = gateway.page_requests
        assert urlsplit(sent.return_url).path.startswith(f"/{language}/pay/")
        notification = urlsplit(sent.notification_url).path
        payment.refresh_from_db()
        assert client.post(f"{notification}?{urlencode(notification_fields(payment))}").content == b"OK"
        assert f'lang="{language}"' in client.get(urlsplit(sent.return_url).path).content.decode()
        assert client.post(notification.replace(payment.reference, "0" * 24)).status_code == 404

    assert Payment.objects.get().status == "succeeded"


@pytest.mark.django_db
def test_urls_may_be_nested(gateway: FakeGateway) -> None:
    payment = make_payment()
    client = Client(enforce_csrf_checks=True)

    with override_settings(ROOT_URLCONF="tests.urls_nested", PAIEMENTPRO_URL_NAMESPACE="plugins:till:money"):
        checkout = payment.get_checkout_url()
        assert checkout.startswith("/plugins/till/pay/checkout/")
        assert client.get(checkout).status_code == 302
        [sent] = gateway.page_requests
        payment.refresh_from_db()
        assert client.get(urlsplit(sent.return_url).path).status_code == 200
        assert notify(payment).content == b"OK"

    assert Payment.objects.get().status == "succeeded"
