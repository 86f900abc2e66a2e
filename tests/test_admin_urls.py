"""All our admin pages, found in the URLs, are requested by everyone, with payments and without."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLPattern, URLResolver

from django_paiementpro import services
from django_paiementpro.admin.actions import ACTIONS
from django_paiementpro.models import Payment
from django_paiementpro.testing import make_payment
from tests.conftest import Notify
from tests.host.models import Order
from tests.test_admin import flag

pytestmark = pytest.mark.django_db

LABELS = sorted(
    config.label for config in apps.get_app_configs() if f"{config.name}.".startswith("django_paiementpro.")
)

#: The answers of a page that works, or that says why not.
ANSWERS = {"superuser": {200, 302, 403, 404}, "viewer": {200, 302, 403, 404}, "stranger": {302, 403, 404}}


def admin_routes() -> Iterator[str]:
    """Iterate over the routes of the admin pages of our apps."""
    found: list[tuple[str, Any]] = []

    def walk(prefix: str, patterns: Any) -> None:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                walk(route, pattern.url_patterns)
            elif isinstance(pattern, URLPattern):  # pragma: no branch
                found.append((route, pattern))

    walk("/", get_resolver().url_patterns)
    ours = {f"/admin/{model._meta.app_label}/{model._meta.model_name}/" for model in models()}
    return (route for route, _pattern in found if route.startswith(tuple(ours)))


def models() -> list[Any]:
    return [model for model in admin.site._registry if model._meta.app_label in LABELS]


ROUTES = sorted(admin_routes())


@pytest.fixture
def busy(notify: Notify) -> list[Any]:
    """Payments to which everything has happened; the keys that URLs may have."""
    payment = make_payment(status="pending", attempt=1, content_object=Order.objects.create())
    notify(payment)
    payment.refresh_from_db()
    user = User.objects.create(username="ami")
    services.refund_payment(payment, user, amount=500, reason="-")
    flag(payment)
    others = [make_payment(status=status, attempt=1).pk for status in Payment.Status.values]
    return [payment.pk, *others]


def client_for(who: str) -> Client:
    user = User.objects.create_user(who, is_staff=True, is_superuser=who == "superuser")
    if who == "viewer":
        user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(user)
    return client


def close_file(response: Any) -> None:
    """Close the temporary file that a workbook is sent from. Closing the response would close the database too."""
    for close in response._resource_closers if response.streaming else ():
        close()


def filled(route: str, pk: Any, event: Any) -> str:
    path = re.sub(r"<int:event_id>", str(event), route)
    path = re.sub(r"<(?:\w+:)?\w+>", str(pk), path)
    return path.removesuffix("$").replace("^", "")


def test_pages_are_found_by_their_urls() -> None:
    names = {route.removeprefix("/admin/paiementpro/payment/") for route in ROUTES}
    assert {"", "takings/", "export/", "<path:object_id>/history/", "<path:object_id>/change/"} <= names
    assert {f"<path:object_id>/{action}/" for action in ACTIONS} <= names


@pytest.mark.parametrize("who", ANSWERS)
@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_page_answers_with_payments(who: str, language: str, busy: list[Any]) -> None:
    client = client_for(who)
    event = Payment.objects.get(pk=busy[0]).events.filter(kind="notification").get().pk
    seen: dict[str, set[int]] = {}
    for route in ROUTES:
        for pk in busy:
            response = client.get(filled(route, pk, event), headers={"accept-language": language})
            close_file(response)
            seen.setdefault(route, set()).add(response.status_code)
    assert {route: codes for route, codes in seen.items() if not codes <= ANSWERS[who]} == {}
    payment = "/admin/paiementpro/payment/"
    shown = {payment, f"{payment}takings/", *(f"{payment}<path:object_id>/{page}/" for page in ("change", "history"))}
    assert {route: seen[route] for route in shown} == dict.fromkeys(shown, {403} if who == "stranger" else {200})
    if who == "superuser":
        # Each action is possible for some of them.
        assert [
            action for action in ACTIONS if 200 not in seen[f"{payment}<path:object_id>/{action}/"]
        ] == POSSIBLE_LATER
        assert 200 in seen[f"{payment}<path:object_id>/events/<int:event_id>/replay/"]


#: Without a status look-up nothing can be asked; nothing waits for a receiver that this server does not know.
POSSIBLE_LATER = ["check", "discard"]


@pytest.mark.parametrize("who", ANSWERS)
def test_every_page_answers_without_payments(who: str) -> None:
    client = client_for(who)
    for route in ROUTES:
        for pk in (1, "x", "9" * 30, "_00"):
            response = client.get(filled(route, pk, 1))
            close_file(response)
            assert response.status_code in ANSWERS[who], route


def test_indexes_answer_everyone() -> None:
    for who in ANSWERS:
        client = client_for(who)
        codes = {label: client.get(f"/admin/{label}/").status_code for label in {m._meta.app_label for m in models()}}
        assert set(codes.values()) == {404 if who == "stranger" else 200}
        assert client.get("/admin/").status_code == 200
