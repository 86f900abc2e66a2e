"""Endpoints and deliveries in the admin."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ValidationError
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from django_paiementpro.testing import make_payment
from django_paiementpro.webhooks import admin as webhooks_admin
from django_paiementpro.webhooks import sending
from django_paiementpro.webhooks.models import Delivery, Endpoint, generate_webhook_id
from tests.conftest import Statements, due_event
from tests.server.fronts import Visitor
from tests.webhooks.conftest import Receive
from tests.webhooks.test_receivers import make_endpoint
from tests.webhooks.test_sending import make_delivery, refuses

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("private")]

ENDPOINTS = "admin:paiementpro_webhooks_endpoint"
DELIVERIES = "admin:paiementpro_webhooks_delivery"
URL = "http://127.0.0.1:9/services/SECRET"
FORM = {"url": URL, "description": "Bookkeeping", "events": [], "is_active": "on"}


def user_with(client: Client, *permissions: str) -> User:
    user = User.objects.create(username="staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return user


@pytest.fixture
def owner(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("owner"))
    return client


def url_of(name: str, row: Any = None) -> str:
    return reverse(name, args=[row.pk] if row else [])


def text_of(response: Any) -> str:
    assert response.status_code == 200, response.status_code
    return re.sub(r"\s+", " ", response.content.decode())


def messages_of(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


# Endpoints.


def test_secret_is_shown_once(owner: Client) -> None:
    response = owner.post(url_of(f"{ENDPOINTS}_add"), {**FORM, "events": ["payment_succeeded"]})

    endpoint = Endpoint.objects.get()
    assert endpoint.secret in text_of(response)
    assert "it is not shown again" in text_of(response)
    assert "no-store" in response["Cache-Control"]
    assert (endpoint.url, endpoint.events, endpoint.is_active) == (URL, ["payment_succeeded"], True)
    page = text_of(owner.get(url_of(f"{ENDPOINTS}_change", endpoint)))
    assert endpoint.secret not in page
    assert URL in page
    assert 'value="payment_succeeded"' in page
    assert "Switched off" not in page


def test_endpoint_added_in_a_popup_is_handed_back(owner: Client) -> None:
    response = owner.post(url_of(f"{ENDPOINTS}_add"), {**FORM, "_popup": "1"})
    assert Endpoint.objects.get().secret not in text_of(response)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://hooks.example.com/", "Enter an https URL."),
        ("https://127.0.0.1/", "127.0.0.1 is not a public address."),
        ("https://user:pass@hooks.example.com/", "Enter a complete URL"),
        ("https://hooks.invalid/", "hooks.invalid cannot be resolved."),
    ],
)
def test_url_that_is_not_public_is_refused(owner: Client, url: str, error: str) -> None:
    with override_settings(PAIEMENTPRO_WEBHOOKS_ALLOW_PRIVATE=False):
        response = owner.post(url_of(f"{ENDPOINTS}_add"), {**FORM, "url": url})
    assert error in text_of(response)
    assert not Endpoint.objects.exists()


def test_unknown_event_is_refused(owner: Client) -> None:
    response = owner.post(url_of(f"{ENDPOINTS}_add"), {**FORM, "events": ["payment_lost"]})
    assert "payment_lost is not one of the available choices" in text_of(response)
    for events in (["payment_lost"], "payment_succeeded", [1]):
        with pytest.raises(ValidationError) as error:
            Endpoint(url=URL, events=events).full_clean()
        assert list(error.value.message_dict) == ["events"]
    Endpoint(url=URL, events=["payment_succeeded"]).full_clean()


def test_list_hides_what_may_be_secret_in_the_url(owner: Client) -> None:
    make_endpoint(URL, description="Bookkeeping", events=["payment_refunded"])
    make_endpoint(URL)
    page = text_of(owner.get(url_of(f"{ENDPOINTS}_changelist")))
    assert "SECRET" not in page
    assert "127.0.0.1:9" in page
    assert "payment.refunded" in page
    assert [str(endpoint) for endpoint in Endpoint.objects.all()] == ["Bookkeeping", "127.0.0.1:9"]


def test_change_writes_what_was_changed(owner: Client) -> None:
    endpoint = make_endpoint(URL, is_active=False, switched_off_at=timezone.now(), report_at=timezone.now())
    form = {**FORM, "is_active": "", "description": ""}
    page = text_of(owner.get(url_of(f"{ENDPOINTS}_change", endpoint)))
    assert "after six failed attempts" in page

    assert owner.post(url_of(f"{ENDPOINTS}_change", endpoint), form).status_code == 302  # nothing
    endpoint.refresh_from_db()
    assert endpoint.switched_off_at is not None

    assert owner.post(url_of(f"{ENDPOINTS}_change", endpoint), {**form, "is_active": "on"}).status_code == 302
    endpoint.refresh_from_db()
    assert (endpoint.is_active, endpoint.switched_off_at, endpoint.report_at) == (True, None, None)


def test_stale_form_does_not_switch_an_endpoint_on_again(owner: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = make_endpoint(URL, description="Bookkeeping")
    read = webhooks_admin.EndpointAdmin.get_object

    def read_early(self: Any, *args: Any) -> Any:
        found = read(self, *args)
        Endpoint.objects.update(is_active=False, switched_off_at=timezone.now())
        return found

    monkeypatch.setattr(webhooks_admin.EndpointAdmin, "get_object", read_early)
    owner.post(url_of(f"{ENDPOINTS}_change", endpoint), {**FORM, "description": "Accounts"})
    endpoint.refresh_from_db()
    assert (endpoint.description, endpoint.is_active) == ("Accounts", False)


def test_test_button_shows_the_answer(owner: Client, receive: Receive) -> None:
    receiver = receive()
    endpoint = make_endpoint(receiver.url)
    url = url_of(f"{ENDPOINTS}_test", endpoint)
    assert url in text_of(owner.get(url_of(f"{ENDPOINTS}_change", endpoint)))

    assert "HTTP" not in text_of(owner.get(url))
    assert receiver.visitors == []
    page = text_of(owner.post(url))

    assert "<strong>HTTP 200</strong>" in page
    assert "taken" in page
    assert receiver.verified(endpoint)[0]["type"] == "test"
    receiver.play = lambda visitor: visitor.answers(b"<script>", 500)
    page = text_of(owner.post(url))
    assert "HTTP 500" in page
    assert "&lt;script&gt;" in page


def test_test_of_a_dead_endpoint_says_why(owner: Client) -> None:
    assert "No connection." in text_of(owner.post(url_of(f"{ENDPOINTS}_test", make_endpoint(URL))))


def test_secret_can_be_replaced_once_from_each_page(owner: Client) -> None:
    endpoint = make_endpoint(URL)
    old = endpoint.secret
    url = url_of(f"{ENDPOINTS}_secret", endpoint)
    page = text_of(owner.get(url))
    assert old not in page
    [seen] = re.findall(r'name="seen" value="([^"]*)"', page)

    response = owner.post(url, {"seen": seen})

    endpoint.refresh_from_db()
    assert endpoint.secret != old
    assert endpoint.old_secret == old
    assert endpoint.secret in text_of(response)
    assert "no-store" in response["Cache-Control"]
    response = owner.post(url, {"seen": seen}, follow=True)
    assert messages_of(response) == ["The secret has been replaced already."]
    assert Endpoint.objects.get().secret == endpoint.secret


@pytest.mark.parametrize("name", ["test", "secret"])
def test_actions_need_the_permission_to_change(client: Client, name: str) -> None:
    endpoint = make_endpoint(URL)
    user_with(client, "view_endpoint")
    assert client.get(url_of(f"{ENDPOINTS}_{name}", endpoint)).status_code == 403
    assert client.post(url_of(f"{ENDPOINTS}_{name}", endpoint)).status_code == 403
    page = text_of(client.get(url_of(f"{ENDPOINTS}_change", endpoint)))
    assert "Replace the secret" not in page
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("name", [f"{ENDPOINTS}_test", f"{ENDPOINTS}_secret", f"{DELIVERIES}_send"])
def test_unknown_row_is_not_found(owner: Client, name: str) -> None:
    assert owner.get(reverse(name, args=[4711])).status_code == 404


# Deliveries.


def delivered(**values: Any) -> Delivery:
    payment = make_payment(status="pending", attempt=1)
    attempts = [
        {"at": timezone.now().isoformat(), "status": None, "failure": "timeout", "seconds": 15.04, "answer": ""},
        {"at": timezone.now().isoformat(), "status": 500, "failure": None, "seconds": 0.25, "answer": "<b>oops</b>"},
    ]
    values = {
        "endpoint": make_endpoint(URL, description="Bookkeeping"),
        "event": due_event(payment),
        "body": '{"type":"payment.succeeded","data":{"reference":"Kon\\u00e9"}}',
        "attempts": attempts,
        "response_status": 500,
        "seconds": 0.25,
        **values,
    }
    return make_delivery(**values)


def test_delivery_shows_request_and_attempts(owner: Client) -> None:
    delivery = delivered()
    page = text_of(owner.get(url_of(f"{DELIVERIES}_change", delivery)))
    assert delivery.webhook_id in page
    assert f"POST {URL}" in page
    assert "&quot;reference&quot;: &quot;Koné&quot;" in page
    assert "No answer in time." in page
    assert "HTTP 500" in page
    assert "&lt;b&gt;oops&lt;/b&gt;" in page
    assert "15.0 s" in page
    assert "Send again" in page
    assert 'name="_save"' not in page


def test_delivery_without_attempts_can_be_seen(owner: Client) -> None:
    delivery = delivered(event=None, attempts=[], seconds=None, response_status=None, next_at=None, type="test")
    page = text_of(owner.get(url_of(f"{DELIVERIES}_change", delivery)))
    assert delivery.webhook_id in page
    assert str(delivery) == f"test {delivery.webhook_id[:12]}"


def test_deliveries_are_listed_without_reading_bodies(
    owner: Client, statements: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        delivered()
    monkeypatch.setattr(webhooks_admin, "MAX_ROWS", 2)
    with statements:
        page = text_of(owner.get(url_of(f"{DELIVERIES}_changelist")))
    queries = [sql for sql in statements if "paiementpro_webhooks_delivery" in sql]
    assert len(statements) <= 8
    assert not any('"body"' in sql or "`body`" in sql for sql in queries)
    assert "2+" in page
    assert "Bookkeeping" in page
    assert "0.2 s" in page


def test_deliveries_are_found(owner: Client) -> None:
    first, second = delivered(), delivered(status="failed", type="payment.failed")
    make_delivery(make_endpoint(URL), webhook_id=generate_webhook_id(), type="test")
    payment = second.event.payment  # type: ignore[union-attr]
    for query, found in (
        (f"q={first.webhook_id}", first),
        (f"q={payment.reference}", second),
        (f"q={payment.short_reference}", second),
        ("status__exact=failed", second),
        ("type=payment.failed", second),
        (f"endpoint__id__exact={first.endpoint_id}", first),
        (f"event__payment__id__exact={payment.pk}", second),
    ):
        response = owner.get(f"{url_of(f'{DELIVERIES}_changelist')}?{query}")
        assert [row.pk for row in response.context["cl"].result_list] == [found.pk]
    assert owner.get(f"{url_of(f'{DELIVERIES}_changelist')}?body__contains=a").status_code == 400


@pytest.mark.django_db(transaction=True)
def test_delivery_is_sent_again(owner: Client, receive: Receive) -> None:
    receiver = receive()
    delivery = delivered(endpoint=make_endpoint(receiver.url), status="delivered", next_at=None, failures=3)

    response = owner.post(url_of(f"{DELIVERIES}_send", delivery), follow=True)

    assert messages_of(response) == ["It has been delivered."]
    assert response.redirect_chain == [(url_of(f"{DELIVERIES}_change", delivery), 302)]
    delivery.refresh_from_db()
    assert (delivery.status, len(delivery.attempts), delivery.failures) == ("delivered", 3, 0)
    assert receiver.visitors[0].headers["webhook-id"] == delivery.webhook_id
    receiver.play = refuses
    assert messages_of(owner.post(url_of(f"{DELIVERIES}_send", delivery), follow=True)) == ["HTTP 500"]
    delivery.refresh_from_db()
    assert (delivery.status, delivery.failures) == ("pending", 1)


def test_delivery_to_an_endpoint_that_is_off_is_not_sent(owner: Client) -> None:
    delivery = delivered(endpoint=make_endpoint(URL, is_active=False))
    response = owner.post(url_of(f"{DELIVERIES}_send", delivery), follow=True)
    assert "its endpoint is switched off" in messages_of(response)[0]


def test_link_to_send_again_sends_nothing(owner: Client, receive: Receive) -> None:
    receiver = receive()
    delivery = delivered(endpoint=make_endpoint(receiver.url))
    assert owner.get(url_of(f"{DELIVERIES}_send", delivery)).status_code == 302
    assert receiver.visitors == []


@pytest.mark.django_db(transaction=True)
def test_deliveries_are_sent_again_from_the_list(owner: Client, receive: Receive) -> None:
    receiver = receive(Visitor.answers)
    endpoint = make_endpoint(receiver.url)
    rows = [delivered(endpoint=endpoint, status="failed", next_at=None, failures=6) for _ in range(3)]
    busy = delivered(endpoint=endpoint, leased_until=timezone.now() + timedelta(seconds=30))
    data = {"action": "send_again", "_selected_action": [row.pk for row in [*rows, busy]]}

    response = owner.post(url_of(f"{DELIVERIES}_changelist"), data, follow=True)

    assert len(messages_of(response)) == 2
    assert messages_of(response)[0] == "3 webhooks are being sent again."
    assert "1 webhook cannot be sent" in messages_of(response)[1]
    assert {visitor.headers["webhook-id"] for visitor in receiver.visitors} == {row.webhook_id for row in rows}
    assert Delivery.objects.filter(status="delivered").count() == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_active", [True, False])
def test_deliveries_are_sent_again_or_not(owner: Client, receive: Receive, is_active: bool) -> None:
    receiver = receive()
    delivery = delivered(endpoint=make_endpoint(receiver.url, is_active=is_active))
    data = {"action": "send_again", "_selected_action": [delivery.pk]}
    response = owner.post(url_of(f"{DELIVERIES}_changelist"), data, follow=True)
    [message] = messages_of(response)
    assert ("is being sent again" in message) is is_active
    assert len(receiver.visitors) == is_active


def test_sending_again_needs_a_permission(client: Client) -> None:
    delivery = delivered()
    user = user_with(client, "view_delivery")
    page = text_of(client.get(url_of(f"{DELIVERIES}_change", delivery)))
    assert "Send again" not in page
    assert client.post(url_of(f"{DELIVERIES}_send", delivery)).status_code == 403
    assert "send_again" not in text_of(client.get(url_of(f"{DELIVERIES}_changelist")))
    user.user_permissions.set(Permission.objects.filter(codename="send_delivery"))
    assert client.post(url_of(f"{DELIVERIES}_send", delivery)).status_code == 403  # who may not see it
    delivery.refresh_from_db()
    assert len(delivery.attempts) == 2


def test_deliveries_are_read_only(owner: Client) -> None:
    delivery = delivered()
    assert owner.get(f"{url_of(f'{DELIVERIES}_changelist')}add/").status_code == 403
    assert owner.post(url_of(f"{DELIVERIES}_delete", delivery), {"post": "yes"}).status_code == 403
    assert owner.post(url_of(f"{DELIVERIES}_change", delivery), {"type": "x"}).status_code == 403
    assert owner.get(url_of(f"{DELIVERIES}_history", delivery)).status_code == 200
    assert owner.get(url_of(f"{ENDPOINTS}_history", delivery.endpoint)).status_code == 200


def test_deleting_an_endpoint_deletes_its_deliveries(owner: Client) -> None:
    endpoint = delivered().endpoint
    assert "Deliveries: 1" in text_of(owner.get(url_of(f"{ENDPOINTS}_delete", endpoint)))
    response = owner.post(url_of(f"{ENDPOINTS}_delete", endpoint), {"post": "yes"}, follow=True)
    assert response.status_code == 200
    assert not Delivery.objects.exists()


def test_attempt_that_lacks_something_can_be_shown() -> None:
    assert webhooks_admin.attempt_shown({}) == {"at": "", "result": "", "duration": "0.0 s", "answer": ""}
    assert sending.MAX_ATTEMPTS == 20
