"""Payment links over REST."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework import permissions
from rest_framework.test import APIClient, APIRequestFactory, force_authenticate

from django_paiementpro.links import services
from django_paiementpro.links.api.views import LinkViewSet
from django_paiementpro.links.models import LinkState, PaymentLink
from django_paiementpro.testing import make_payment
from tests.conftest import just_before
from tests.links.conftest import MakeLink
from tests.server.threads import at_once

pytestmark = pytest.mark.django_db

LINKS = "/api/links/"


@pytest.fixture
def staff(db: None) -> User:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="paiementpro_links"))
    return user


@pytest.fixture
def api(staff: User) -> APIClient:
    client = APIClient(raise_request_exception=True)
    client.force_authenticate(staff)
    return client


def client_of(name: str, **values: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(User.objects.create_user(name, **values))
    return client


def create(client: APIClient, key: str = "", **data: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(LINKS, {"title": "Pagne", "amount": 12500, **data}, format="json", headers=headers)


def problem_of(response: Any) -> str:
    assert response["Content-Type"] == "application/problem+json"
    return str(response.json()["type"]).removeprefix("urn:paiementpro:problem:")


# Making links


def test_link_is_made_with_what_to_share(api: APIClient, staff: User) -> None:
    response = create(api, title="Pagne wax 🎉")

    assert response.status_code == 201
    link = PaymentLink.objects.get()
    assert (link.title, link.amount, link.created_by, link.import_key) == ("Pagne wax 🎉", 12500, staff, None)
    data = response.json()
    address = f"https://testserver/pay/{link.token}/"
    assert (data["url"], data["qr_svg_url"], data["qr_png_url"]) == (address, f"{address}qr.svg", f"{address}qr.png")
    assert data["state"] == "open"
    assert (data["amount_received"], data["payments_received"], data["places_taken"]) == (0, 0, 0)
    assert response["Location"] == f"http://testserver{LINKS}{link.token}/"
    assert response["Cache-Control"] == "private, no-store"


def test_every_field_can_be_given(api: APIClient) -> None:
    values = {
        "title": "Cotisation",
        "description": "2026",
        "amount": None,
        "min_amount": 500,
        "max_amount": 50000,
        "suggested_amounts": [1000, 5000],
        "currency": "XOF",
        "merchant_id": "PP-F999",
        "channel": "WAVECI",
        "customer_name": "Awa",
        "customer_phone": "07 07 12 34 50",
        "is_reusable": True,
        "max_payments": 50,
        "expires_at": "2100-01-01T00:00:00Z",
        "closed_message": "Fini.",
        "success_message": "Merci !",
        "success_url": "/thanks/",
    }
    data = create(api, **values).json()
    assert {name: data[name] for name in values} == values
    assert set(data) - set(values) == {
        *("token", "url", "qr_svg_url", "qr_png_url", "is_active", "created_at"),
        *("state", "places_taken", "payments_received", "amount_received"),
    }


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": 5}, "title"),
        ({"title": "x" * 501}, "title"),
        ({"amount": 50}, "amount"),
        ({"amount": 12500.5}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": -5}, "amount"),
        ({"amount": 10**30}, "amount"),
        ({"amount": None, "min_amount": 500, "max_amount": 400}, "max_amount"),
        ({"amount": None, "suggested_amounts": [1]}, "suggested_amounts"),
        ({"amount": None, "suggested_amounts": "500"}, "suggested_amounts"),
        ({"currency": "EUR"}, "currency"),
        ({"channel": "BITCOIN"}, "channel"),
        ({"max_payments": 5}, "max_payments"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59Z"}, "expires_at"),
        ({"success_url": "https://evil.example/"}, "success_url"),
        ({"success_url": "javascript:alert(1)"}, "success_url"),
        ({"token": "mine"}, "token"),
        ({"created_by": 1}, "created_by"),
    ],
    ids=str,
)
def test_invalid_link_is_refused_by_field(api: APIClient, data: dict[str, Any], field: str) -> None:
    response = create(api, **data)
    assert (response.status_code, problem_of(response)) == (400, "invalid-request")
    assert list(response.json()["errors"]) == [field]
    assert not PaymentLink.objects.exists()


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b'{"title": "a\\u0000"}', b"\xff"])
def test_malformed_body_is_refused(api: APIClient, body: bytes) -> None:
    assert api.post(LINKS, body, content_type="application/json").status_code == 400


@pytest.mark.django_db(transaction=True)
def test_text_in_a_table_without_emoji(api: APIClient) -> None:
    def refuse(execute: Callable[..., Any], sql: str, params: Any, *arguments: Any) -> Any:
        if sql.startswith("INSERT") and any(isinstance(each, str) and "🎂" in each for each in params or ()):
            raise UnicodeEncodeError("latin-1", "🎂", 0, 1, "ordinal not in range")
        return execute(sql, params, *arguments)

    with connection.execute_wrapper(refuse):
        assert create(api, title="Gâteau 🎂").json()["title"] == "Gâteau \\U0001f382"


# The same request again


def test_same_key_makes_one_link(api: APIClient) -> None:
    first = create(api, "abc")
    again = create(api, '"abc"')

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert PaymentLink.objects.count() == 1


def test_key_of_another_request_is_refused(api: APIClient) -> None:
    create(api, "abc")
    response = create(api, "abc", amount=13000)
    assert (response.status_code, problem_of(response)) == (422, "key-reused")


def test_keys_of_two_users_are_apart(api: APIClient) -> None:
    other = client_of("other", is_staff=True)
    assert create(api, "abc").json()["token"] != create(other, "abc").json()["token"]


@pytest.mark.parametrize("key", ["a b", "é", "x" * 256])
def test_invalid_key_is_refused(api: APIClient, key: str) -> None:
    response = create(api, key)
    assert (response.status_code, problem_of(response)) == (400, "invalid-key")


@pytest.mark.django_db(transaction=True)
def test_key_that_another_process_stores_meanwhile(api: APIClient) -> None:
    with just_before(lambda: at_once(lambda: create(api, "abc")), "INSERT", "paiementpro_links_paymentlink"):
        response = create(api, "abc")
    assert response.json()["token"] == PaymentLink.objects.get().token


def test_link_that_the_database_refuses_for_another_reason(make_link: MakeLink) -> None:
    token = make_link().token
    with pytest.raises(IntegrityError):
        services.store_link(PaymentLink(title="Pagne", token=token))


@pytest.mark.usefixtures("alone")
@pytest.mark.django_db(transaction=True)
def test_same_key_at_once_makes_one_link() -> None:
    links = at_once(*[lambda: services.store_link(PaymentLink(title="Pagne", amount=500), "key", "body")] * 20)
    assert {link and link.token for link in links} == {PaymentLink.objects.get().token}


# Who may


def test_without_permission_classes_staff_only(link: PaymentLink) -> None:
    for client in (APIClient(), client_of("awa")):
        for response in (client.get(LINKS), client.get(f"{LINKS}{link.token}/"), create(client)):
            assert response.status_code in {401, 403}
            assert problem_of(response) in {"not-authenticated", "permission-denied"}
    assert PaymentLink.objects.count() == 1


class ForUsers(LinkViewSet):
    permission_classes = (permissions.IsAuthenticated,)


class Keyed(permissions.BasePermission):
    """As packages for API keys have it: there is no user."""

    def has_permission(self, request: Any, view: Any) -> bool:
        return True


class ForKeys(LinkViewSet):
    permission_classes = (Keyed,)


def ask(view: Any, user: User | None, data: dict[str, Any] | None = None, **kwargs: Any) -> Any:
    request = APIRequestFactory().post("/", data, format="json") if data else APIRequestFactory().get("/")
    force_authenticate(request, user)
    action = "create" if data else "retrieve" if kwargs else "list"
    return view.as_view({"post" if data else "get": action})(request, **kwargs)


def test_permission_classes_of_the_host_decide(link: PaymentLink) -> None:
    awa = User.objects.create_user("awa")
    assert ask(ForUsers, awa).data["results"] == []
    assert ask(ForUsers, awa, token=link.token).status_code == 404

    made = ask(ForUsers, awa, {"title": "Pagne", "amount": 500})

    assert made.status_code == 201
    assert "Location" not in made
    assert [each["title"] for each in ask(ForUsers, awa).data["results"]] == ["Pagne"]
    assert ask(ForUsers, awa, token=made.data["token"]).status_code == 200
    assert ask(ForUsers, None).status_code == 403


def test_customers_cannot_name_another_merchant() -> None:
    awa = User.objects.create_user("awa")
    response = ask(ForUsers, awa, {"title": "Pagne", "amount": 500, "merchant_id": "PP-EVIL"})
    assert response.status_code == 400
    assert list(response.data["errors"]) == ["merchant_id"]


def test_client_without_a_user_makes_links_and_lists_none(link: PaymentLink) -> None:
    made = ask(ForKeys, None, {"title": "Pagne", "amount": 500})
    assert made.status_code == 201
    assert PaymentLink.objects.get(token=made.data["token"]).created_by is None
    assert ask(ForKeys, None).data["results"] == []


def test_staff_without_the_permission_see_their_own(link: PaymentLink) -> None:
    client = client_of("seller", is_staff=True)
    token = create(client).json()["token"]
    assert [each["token"] for each in client.get(LINKS).json()["results"]] == [token]
    assert client.get(f"{LINKS}{link.token}/").status_code == 404


# Reading links


def test_link_tells_its_state_and_what_came_in(api: APIClient, make_link: MakeLink) -> None:
    link = make_link(is_reusable=True, max_payments=3)
    make_payment(content_object=link, status="succeeded", amount=12500, refunded_amount=2500)
    make_payment(content_object=link, status="refunded", amount=12500, refunded_amount=12500)
    make_payment(content_object=link, status="failed")
    make_payment(content_object=link)
    make_payment()

    data = api.get(f"{LINKS}{link.token}/").json()

    assert (data["state"], data["places_taken"], data["payments_received"], data["amount_received"]) == (
        "full",
        3,
        1,
        10000,
    )


def test_link_that_has_not_changed_is_answered_304(api: APIClient, link: PaymentLink) -> None:
    response = api.get(f"{LINKS}{link.token}/")
    assert response["Cache-Control"] == "private, no-cache"
    headers = {"If-None-Match": response["ETag"]}
    assert api.get(f"{LINKS}{link.token}/", headers=headers).status_code == 304
    make_payment(content_object=link, status="succeeded")
    changed = api.get(f"{LINKS}{link.token}/", headers=headers)
    assert (changed.status_code, changed.json()["state"]) == (200, "paid")


@pytest.mark.parametrize("token", ["0" * 24, "x" * 33, "é", "A"])
def test_unknown_link_is_not_found(api: APIClient, token: str) -> None:
    response = api.get(f"{LINKS}{token}/")
    assert (response.status_code, problem_of(response)) == (404, "not-found")


def test_list_is_paged_and_reads_the_same_for_many(api: APIClient, make_link: MakeLink) -> None:
    def count(url: str = LINKS) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert api.get(url).status_code == 200
        return len(queries)

    for _ in range(3):
        make_payment(content_object=make_link(), status="succeeded")
    count()
    few = count()
    for _ in range(20):
        make_payment(content_object=make_link(), status="succeeded")

    assert count() == few
    first = api.get(LINKS).json()
    second = api.get(first["next"]).json()
    tokens = [each["token"] for each in first["results"] + second["results"]]
    assert (len(first["results"]), len(set(tokens)), second["next"]) == (20, 23, None)
    assert {each["amount_received"] for each in first["results"]} == {12500}


def test_list_can_be_filtered(api: APIClient, make_link: MakeLink) -> None:
    old = make_link(is_active=False, created_at=timezone.now() - timedelta(days=2))
    new = make_link(is_reusable=True)
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()

    def tokens(**query: str) -> list[str]:
        return [each["token"] for each in api.get(LINKS, query).json()["results"]]

    assert tokens() == [new.token, old.token]
    assert tokens(is_active="true") == tokens(is_reusable="true") == tokens(created_after=yesterday) == [new.token]
    assert tokens(is_active="false") == tokens(is_reusable="false") == tokens(created_before=yesterday) == [old.token]
    assert tokens(page_size="1") == [new.token]
    response = api.get(LINKS, {"is_active": "perhaps", "page_size": "0"})
    assert sorted(response.json()["errors"]) == ["is_active", "page_size"]


def test_other_methods_are_not_allowed(api: APIClient, link: PaymentLink) -> None:
    for method in ("put", "patch", "delete"):
        response = getattr(api, method)(f"{LINKS}{link.token}/")
        assert (response.status_code, problem_of(response)) == (405, "method-not-allowed")
    assert api.options(LINKS).status_code == 200


def test_schema_is_complete_and_without_warnings(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    call_command("spectacular", file=str(file), format="openapi-json", validate=True, fail_on_warn=True)
    schema = json.loads(file.read_text())
    operations = {
        operation["operationId"]: operation for path in schema["paths"].values() for operation in path.values()
    }
    mine = [operation for name, operation in operations.items() if name.startswith("payment_links_")]
    assert len(mine) == 3
    for operation in mine:
        assert operation["description"]
        assert all(parameter["description"] for parameter in operation["parameters"])
    components = schema["components"]["schemas"]
    assert components["NewLink"]["additionalProperties"] is False
    assert components["PaymentLinkState"]["enum"] == LinkState.values
    for name in ("NewLink", "Link"):
        fields = components[name]["properties"]
        assert [field for field, shape in fields.items() if not shape.get("description")] == []
