import importlib
import json
import sys
from base64 import b64encode
from collections.abc import Callable
from copy import copy
from datetime import datetime, timedelta
from datetime import timezone as tz
from functools import partial
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.core.handlers.asgi import ASGIRequest
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connection, connections
from django.db.models import CASCADE, BigAutoField, OneToOneField
from django.http import Http404
from django.test import override_settings
from django.test.utils import isolate_apps
from django.urls import include, path
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import APIException, NotAuthenticated, ParseError, Throttled
from rest_framework.exceptions import ValidationError as InvalidRequest
from rest_framework.generics import ListAPIView
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.renderers import AdminRenderer, JSONRenderer
from rest_framework.routers import SimpleRouter
from rest_framework.serializers import CharField, ChoiceField, Serializer
from rest_framework.test import APIClient, APIRequestFactory, force_authenticate

import django_paiementpro.api
from django_paiementpro import services
from django_paiementpro.api import views
from django_paiementpro.api.parsing import check_body
from django_paiementpro.api.problems import STATUSES, TITLES
from django_paiementpro.api.serializers import StrictSerializer
from django_paiementpro.enums import Channel
from django_paiementpro.gateway.parsing import MAX_BODY
from django_paiementpro.models import IdempotencyKey, Payment
from django_paiementpro.services.checkout import gateway_place
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import PAGE_URL, TRANSITION, Notify, Statements
from tests.host.models import Customer, Order
from tests.host.payments import new_payment

pytestmark = pytest.mark.django_db

PAYMENTS = "/api/payments/"
FACTORY = "tests.host.payments.new_payment"


@pytest.fixture(autouse=True)
def shop(settings: Any) -> None:
    settings.PAIEMENTPRO_PAYMENT_FACTORY = FACTORY


@pytest.fixture
def awa(db: None) -> User:
    return User.objects.create_user("awa")


@pytest.fixture
def order(db: None) -> Order:
    return Order.objects.create()


@pytest.fixture
def api(awa: User) -> APIClient:
    client = APIClient(raise_request_exception=True)
    client.force_authenticate(awa)
    return client


@pytest.fixture
def stranger(db: None) -> APIClient:
    return APIClient()


def create(client: APIClient, key: str = "", **data: Any) -> Any:
    return client.post(PAYMENTS, data, format="json", headers={"Idempotency-Key": key} if key else {})


def problem_of(response: Any) -> str:
    assert response["Content-Type"] == "application/problem+json"
    told = json.loads(response.content)
    assert told["status"] == response.status_code
    assert told["title"]
    assert told["detail"]
    return str(told["type"]).removeprefix("urn:paiementpro:problem:")


@pytest.mark.parametrize("number", ["0", "unknown’s", "9" * 40])
def test_unknown_order_is_not_found(api: APIClient, number: str) -> None:
    response = create(api, order=number)

    assert (response.status_code, problem_of(response)) == (404, "not-found")
    assert not Payment.objects.exists()


# Opening a payment ----------------------------------------------------------------------------------------------------


def test_amount_comes_from_the_shop(api: APIClient, awa: User, order: Order, gateway: FakeGateway) -> None:
    response = create(api, order=str(order.pk), channel="OMCIV2")

    payment = Payment.objects.get()
    assert response.status_code == 201
    assert response.json() == {
        "reference": payment.reference,
        "status": "pending",
        "checkout_url": f"https://testserver{payment.get_checkout_url()}",
        "payment_url": PAGE_URL,
        "status_url": f"https://testserver{payment.get_status_url()}",
    }
    assert response["Location"] == f"http://testserver{PAYMENTS}{payment.reference}/"
    assert "no-store" in response["Cache-Control"]
    assert (payment.amount, payment.user, payment.channel, payment.content_object) == (12500, awa, "OMCIV2", order)
    [sent] = gateway.page_requests
    assert sent.amount == 12500


@pytest.mark.parametrize("name", ["amount", "currency", "merchant_id", "status"])
def test_client_cannot_set_fields_of_the_shop(api: APIClient, order: Order, name: str) -> None:
    response = create(api, order=str(order.pk), **{name: "1"})

    assert problem_of(response) == "invalid-request"
    assert response.json()["errors"] == {name: ["Only the shop decides this: leave it out."]}
    assert not Payment.objects.exists()


def test_unknown_field_is_refused(api: APIClient, order: Order) -> None:
    response = create(api, order=str(order.pk), customer_email="me@example.com")

    assert response.json()["errors"] == {"customer_email": ["Unknown field."]}


def test_client_may_send_allowed_customer_fields(
    api: APIClient, order: Order, gateway: FakeGateway, settings: Any
) -> None:
    settings.PAIEMENTPRO_API_CUSTOMER_FIELDS = ["customer_phone"]

    assert create(api, order=str(order.pk), customer_phone="05 05 12 34 56").status_code == 201

    assert Payment.objects.get().customer_phone == "05 05 12 34 56"


def test_payment_the_gateway_would_refuse_is_not_stored(api: APIClient, order: Order) -> None:
    Order.objects.update(total=99)

    response = create(api, order=str(order.pk))

    assert (response.status_code, problem_of(response)) == (400, "invalid-payment")
    assert [*response.json()["errors"]] == ["amount"]
    assert not Payment.objects.exists()


def test_without_a_factory_there_is_no_post(api: APIClient, settings: Any) -> None:
    settings.PAIEMENTPRO_PAYMENT_FACTORY = None

    response = api.post(PAYMENTS, {"order": "1"}, format="json")

    assert (response.status_code, problem_of(response)) == (405, "method-not-allowed")
    assert "POST" not in response["Allow"]
    assert "GET" in response["Allow"]


def test_options_list_the_accepted_fields(api: APIClient) -> None:
    assert "return_to" in api.options(PAYMENTS).json()["actions"]["POST"]


def test_factory_must_return_a_payment(api: APIClient, settings: Any) -> None:
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "tests.test_api.no_payment"

    with pytest.raises(Exception, match="PAIEMENTPRO_PAYMENT_FACTORY: return a Payment"):
        create(api, order="1")


def no_payment(request: Any, data: Any) -> None:
    return None


def taken_payment(request: Any, data: Any) -> Payment:
    return Payment(
        reference="taken",
        amount=500,
        description="x",
        customer_email="awa@example.com",
        customer_first_name="Awa",
        customer_last_name="Koné",
        customer_phone="0707123456",
    )


def stored_payment(request: Any, data: Any) -> Payment:
    return Payment.objects.get(object_id=data["order"])


def test_factory_may_return_an_existing_payment(
    api: APIClient, awa: User, order: Order, gateway: FakeGateway, settings: Any
) -> None:
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "tests.test_api.stored_payment"
    payment = make_payment(content_object=order)

    first, second = create(api, str(uuid4()), order=str(order.pk)), create(api, order=str(order.pk))

    assert first.json() == second.json()
    assert first.json()["reference"] == payment.reference
    assert "Location" not in first
    assert Payment.objects.get().user is None

    Payment.objects.update(user=awa)
    assert create(api, order=str(order.pk))["Location"].endswith(f"{PAYMENTS}{payment.reference}/")


@pytest.mark.parametrize("status", ["succeeded", "expired", "cancelled", "refunded"])
def test_final_stored_payment_is_left_alone(api: APIClient, order: Order, settings: Any, status: str) -> None:
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "tests.test_api.stored_payment"
    make_payment(content_object=order, status=status)

    response = create(api, "a-key", order=str(order.pk))

    assert (response.status_code, problem_of(response)) == (409, "not-payable")
    assert response.json()["reference"] == Payment.objects.get().reference
    assert not IdempotencyKey.objects.exists()


def test_client_cannot_change_a_stored_payment(
    api: APIClient, order: Order, gateway: FakeGateway, settings: Any
) -> None:
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "tests.test_api.stored_payment"
    settings.PAIEMENTPRO_API_CUSTOMER_FIELDS = ["customer_email"]
    gateway.opens()
    before = make_payment(content_object=order)

    response = create(api, order=str(order.pk), channel="WAVECI", return_to="/paid/", customer_email="me@example.com")

    assert response.status_code == 201
    payment = Payment.objects.get()
    for name in ("channel", "success_url", "failure_url", "customer_email", "user_id"):
        assert getattr(payment, name) == getattr(before, name)


def test_stored_payment_of_another_user_is_not_found(
    api: APIClient, stranger: APIClient, order: Order, settings: Any
) -> None:
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "tests.test_api.stored_payment"
    settings.REST_FRAMEWORK = {}
    make_payment(content_object=order, user=User.objects.create_user("ben"))

    for client in (api, stranger):
        assert create(client, order=str(order.pk)).status_code == 404
    assert Payment.objects.get().attempt == 0


def test_taken_reference_is_invalid(api: APIClient, settings: Any) -> None:
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "tests.test_api.taken_payment"
    make_payment(reference="taken")

    for key in ("", "a-key"):
        response = create(api, key, order="1")
        assert problem_of(response) == "invalid-payment"
        assert [*response.json()["errors"]] == ["reference"]


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [("opens", 201, ""), ("refuses", 502, "gateway-refused"), (500, 503, "gateway-unavailable")],
)
def test_payment_is_kept_when_the_gateway_opens_no_page(
    api: APIClient, order: Order, gateway: FakeGateway, answer: Any, status: int, kind: str
) -> None:
    gateway.answers(b"", 500) if answer == 500 else getattr(gateway, answer)()

    response = create(api, order=str(order.pk))

    assert response.status_code == status
    payment = Payment.objects.get()
    assert response.json()["reference"] == payment.reference
    if kind:
        assert problem_of(response) == kind
        assert response.get("Retry-After") == ("30" if status == 503 else None)
        gateway.opens()
        again = api.post(f"{PAYMENTS}{payment.reference}/checkout/")
        assert (again.status_code, again.json()["payment_url"]) == (200, PAGE_URL)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Http404(), 404, "not-found"),
        (PermissionDenied(), 403, "permission-denied"),
        (ValidationError({NON_FIELD_ERRORS: ["sold out"]}), 400, "invalid-payment"),
        (ValidationError("sold out"), 409, "not-payable"),
        (ValidationError("no UUID", code="invalid"), 400, "invalid-request"),
        (InvalidRequest(["sold out"]), 400, "invalid-request"),
        (NotAuthenticated(), 401, "not-authenticated"),
        (Throttled(30), 429, "throttled"),
        (APIException("closed"), 500, "about:blank"),
    ],
)
def test_factory_errors_become_problems(
    api: APIClient, settings: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, kind: str
) -> None:
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "tests.test_api.failing_payment"
    monkeypatch.setitem(failures, "next", error)

    response = create(api, order="1")

    assert response.status_code == (403 if status == 401 else status)
    assert problem_of(response) == kind
    assert response.get("Retry-After") == ("30" if status == 429 else None)


failures: dict[str, Exception] = {}


def failing_payment(request: Any, data: Any) -> Payment:
    raise failures["next"]


def test_anonymous_client_gets_401_with_a_challenge(order: Order) -> None:
    class BasicPayments(views.PaymentViewSet):
        authentication_classes = (BasicAuthentication,)

    response = BasicPayments.as_view({"get": "list"})(APIRequestFactory().get("/")).render()

    assert (response.status_code, problem_of(response)) == (401, "not-authenticated")
    assert response["WWW-Authenticate"] == 'Basic realm="api"'


def test_options_for_anonymous_clients_name_no_payment(stranger: APIClient) -> None:
    view = views.PaymentViewSet(request=stranger.get(PAYMENTS).wsgi_request)

    assert not view.get_queryset().exists()


def test_form_read_by_middleware_is_used(awa: User, order: Order, gateway: FakeGateway) -> None:
    request = APIRequestFactory().post("/", {"order": str(order.pk)}, format="multipart")
    force_authenticate(request, awa)
    assert request.POST

    assert views.PaymentViewSet.as_view({"post": "create"})(request).status_code == 201


def test_schema_is_complete_and_without_warnings(tmp_path: Path) -> None:
    call_command(
        "spectacular",
        file=str(tmp_path / "schema.json"),
        format="openapi-json",
        urlconf="django_paiementpro.api.urls",
        validate=True,
        fail_on_warn=True,
    )

    schema = json.loads((tmp_path / "schema.json").read_text())
    assert schema["openapi"] == "3.1.0"
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert len(operations) == 4
    for operation in operations:
        assert operation["description"]
        assert all(parameter["description"] for parameter in operation["parameters"])
        for answer in operation["responses"].values():
            assert answer["description"]
            assert all(header["description"] for header in answer.get("headers", {}).values())
    assert [kind for kind in TITLES if f"`{kind}`: " not in json.dumps(schema["paths"])] == []
    components = schema["components"]["schemas"]
    assert components["NewPayment"]["additionalProperties"] is False
    assert components["PaymentStatus"]["enum"] == Payment.Status.values
    assert components["PaymentChannel"]["enum"] == [*Channel.values, ""]
    for name in ("NewPayment", "OpenedPayment", "Payment", "PaginatedPaymentList", "Problem"):
        fields = components[name]["properties"]
        assert [field for field, shape in fields.items() if not shape.get("description") and field != "results"] == []


def test_each_kind_of_problem_has_a_status() -> None:
    assert list(STATUSES) == list(TITLES)


def test_unpayable_payment_is_a_conflict(api: APIClient, awa: User) -> None:
    payment = make_payment(user=awa, status="cancelled")

    response = api.post(f"{PAYMENTS}{payment.reference}/checkout/")

    assert (response.status_code, problem_of(response)) == (409, "not-payable")


def test_invalid_stored_payment_is_reported(api: APIClient, awa: User) -> None:
    payment = make_payment(user=awa, amount=50)

    response = api.post(f"{PAYMENTS}{payment.reference}/checkout/")

    assert (response.status_code, problem_of(response)) == (400, "invalid-payment")


def test_problem_is_in_the_clients_language(api: APIClient, settings: Any) -> None:
    response = api.post(PAYMENTS, {"order": ""}, format="json", headers={"Accept-Language": "fr"})

    assert response["Content-Language"] == "fr"
    assert response.json()["errors"]["order"] == ["Ce champ ne peut être vide."]


# Where the payer comes back to ----------------------------------------------------------------------------------------

RETURN_HOSTS = ["shop.example.com", ".pages.example.com", "http://localhost:5173", "maboutique://"]


@pytest.mark.parametrize(
    "target",
    [
        "/thanks/{reference}/",
        "https://shop.example.com/paid?ref={reference}",
        "https://SHOP.example.com:443/#/paid",
        "https://a.pages.example.com",
        "http://localhost:5173/paid",
        "maboutique://paid/{reference}",
        "maboutique://",
    ],
)
def test_listed_return_url_is_used(
    api: APIClient, order: Order, gateway: FakeGateway, notify: Notify, settings: Any, target: str
) -> None:
    settings.PAIEMENTPRO_RETURN_HOSTS = RETURN_HOSTS

    assert create(api, order=str(order.pk), return_to=target).status_code == 201

    payment = Payment.objects.get()
    notify(payment)
    response = api.get(payment.get_return_url())
    assert response.status_code == 302
    assert response["Location"] == target.replace("{reference}", payment.reference)
    settings.PAIEMENTPRO_RETURN_HOSTS = []
    if not target.startswith("/"):
        assert api.get(payment.get_return_url()).status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        "javascript://shop.example.com/%0aalert(1)",
        "data:text/html,x",
        "//evil.example.com/",
        "/\\evil.example.com",
        "\\\\evil.example.com",
        "https:evil.example.com",
        "https:///evil.example.com",
        "https://evil.example.com/",
        "https://shop.example.com@evil.example.com/",
        "https://shop.example.com\\@evil.example.com/",
        "https://shop.example.com:444/",
        "https://shop.example.com.evil.example.com/",
        "http://shop.example.com/",
        "http://localhost:5174/",
        "https://localhost:5173/",
        "maboutique:paid",
        "xmaboutique://paid",
        "maboutique://a b",
        "https://shop.example.com/é",
    ],
)
def test_unlisted_return_url_is_refused(api: APIClient, order: Order, settings: Any, target: str) -> None:
    settings.PAIEMENTPRO_RETURN_HOSTS = RETURN_HOSTS

    response = create(api, order=str(order.pk), return_to=target)

    assert response.status_code == 400, target
    assert [*response.json()["errors"]] == ["return_to"]
    payment = make_payment(status="succeeded", success_url=target)
    assert api.get(payment.get_return_url()).status_code == 200


@pytest.mark.parametrize("target", ["//", "//testserver/", "paid/"])
def test_return_path_begins_with_one_slash(api: APIClient, order: Order, target: str) -> None:
    assert [*create(api, order=str(order.pk), return_to=target).json()["errors"]] == ["return_to"]


# Whose payments -------------------------------------------------------------------------------------------------------


def test_users_see_their_own_payments(api: APIClient, awa: User, stranger: APIClient) -> None:
    mine, other = make_payment(user=awa), make_payment(user=User.objects.create_user("other"))
    make_payment()

    [shown] = api.get(PAYMENTS).json()["results"]
    assert shown["reference"] == mine.reference
    assert not [text for text in ("awa@", "Koné", "0707") if text in json.dumps(shown)]
    assert api.get(f"{PAYMENTS}{mine.reference}/").json() == shown
    for method in (api.get, api.post):
        suffix = "" if method == api.get else "checkout/"
        response = method(f"{PAYMENTS}{other.reference}/{suffix}")
        assert (response.status_code, problem_of(response)) == (404, "not-found")
    for reference in (mine.reference.upper(), "x.y", "é"):
        assert problem_of(api.get(f"{PAYMENTS}{reference}/")) == "not-found"
    for url in (PAYMENTS, f"{PAYMENTS}{mine.reference}/"):
        assert problem_of(stranger.get(url)) == "not-authenticated"


@pytest.mark.parametrize(("is_staff", "permission", "count"), [(True, True, 2), (True, False, 0), (False, True, 0)])
def test_staff_with_view_permission_see_all(is_staff: bool, permission: bool, count: int) -> None:
    user = User.objects.create_user("staff", is_staff=is_staff)
    if permission:
        user.user_permissions.add(Permission.objects.get(codename="view_payment"))
    client = APIClient()
    client.force_authenticate(user)
    make_payment()
    make_payment(user=User.objects.create_user("other"))

    assert len(client.get(PAYMENTS).json()["results"]) == count


class TokenUser:
    """A user that stands in no table, as those of stateless tokens."""

    is_authenticated = True
    is_staff = True

    def __init__(self, pk: int | None) -> None:
        self.pk = pk


def client_of(user: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


#: Users without an account, though some have the key of one.
FOREIGN: dict[str, Callable[[int], Any]] = {
    "another model": lambda pk: Customer(pk=pk),
    "no model": TokenUser,
    "no key": lambda pk: TokenUser(None),
    "not stored": lambda pk: User(username="ama"),
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_user_of_another_model_sees_no_payment(awa: User, make: Callable[[int], Any]) -> None:
    payment, other = make_payment(user=awa), make_payment()
    client = client_of(make(awa.pk))

    assert client.get(PAYMENTS).json()["results"] == []
    for reference in (payment.reference, other.reference):
        detail = f"{PAYMENTS}{reference}/"
        assert problem_of(client.get(detail, headers={"If-None-Match": "*"})) == "not-found"
        assert problem_of(client.post(f"{detail}checkout/")) == "not-found"


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_user_of_another_model_opens_an_anonymous_payment(
    awa: User, order: Order, gateway: FakeGateway, make: Callable[[int], Any]
) -> None:
    response = create(client_of(make(awa.pk)), "k" * 32, order=str(order.pk))

    assert response.status_code == 201
    assert "Location" not in response
    assert Payment.objects.get().user is None


def test_user_of_another_model_cannot_open_a_payment(awa: User, order: Order, settings: Any) -> None:
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "tests.test_api.stored_payment"
    make_payment(content_object=order, user=awa)

    assert problem_of(create(client_of(Customer(pk=awa.pk)), order=str(order.pk))) == "not-found"
    assert Payment.objects.get().attempt == 0


def test_users_of_two_models_share_no_idempotency_key(api: APIClient, order: Order, gateway: FakeGateway) -> None:
    pk = User.objects.get().pk
    users = [Customer(pk=pk), TokenUser(pk), TokenUser(pk + 1)]
    own = create(api, "a-key", order=str(order.pk)).json()["reference"]

    def opened(user: Any) -> str:
        return str(create(client_of(user), "a-key", order=str(order.pk)).json()["reference"])

    lazy = [opened(SimpleLazyObject(partial(copy, user))) for user in users]
    assert len({own, *lazy}) == 4
    assert [opened(user) for user in users] == lazy


def test_user_without_key_shares_the_anonymous_keys(stranger: APIClient, order: Order, gateway: FakeGateway) -> None:
    client = client_of(TokenUser(None))

    assert problem_of(create(client, "a-key", order=str(order.pk))) == "invalid-key"
    first = create(client, "k" * 32, order=str(order.pk))
    assert create(stranger, "k" * 32, order=str(order.pk)).content == first.content


with isolate_apps("tests.host"):

    class Account(User):
        """An account, seen otherwise."""

        class Meta:
            app_label = "host"
            proxy = True

    class Member(User):
        """An account whose own key is not the account's."""

        number = BigAutoField(primary_key=True)
        account = OneToOneField(User, CASCADE, parent_link=True)

        class Meta:
            app_label = "host"


@pytest.mark.parametrize(
    "see",
    [lambda user: user, lambda user: Account.objects.get(pk=user.pk), lambda user: SimpleLazyObject(lambda: user)],
    ids=["itself", "proxy", "lazy"],
)
def test_lazy_and_copied_users_share_their_keys(
    awa: User, api: APIClient, order: Order, gateway: FakeGateway, see: Any
) -> None:
    first, client = create(api, "a-key", order=str(order.pk)), client_of(see(awa))

    [shown] = client.get(PAYMENTS).json()["results"]
    assert shown["reference"] == first.json()["reference"]
    again = create(client, "a-key", order=str(order.pk))
    assert (again.content, again["Location"]) == (first.content, first["Location"])
    assert client.get(again["Location"]).status_code == 200


def test_subclassed_user_shares_the_keys_of_its_account(
    awa: User, api: APIClient, order: Order, gateway: FakeGateway
) -> None:
    first = create(api, "a-key", order=str(order.pk))
    other = User.objects.create_user("other")
    make_payment(user=other)
    member = Member(number=other.pk, id=awa.pk, username="awa")

    [shown] = client_of(member).get(PAYMENTS).json()["results"]

    assert shown["reference"] == first.json()["reference"]
    again = create(client_of(member), "a-key", order=str(order.pk))
    assert (again.content, again["Location"]) == (first.content, first["Location"])


def test_partial_refund_is_shown(api: APIClient, awa: User) -> None:
    payment = make_payment(user=awa, status="succeeded", attempt=1)
    [shown] = api.get(PAYMENTS).json()["results"]
    assert (shown["status"], shown["amount"], shown["refunded_amount"]) == ("succeeded", 12500, 0)

    services.refund_payment(payment, awa, amount=1000, reason="One of two is missing")

    shown = api.get(f"{PAYMENTS}{payment.reference}/").json()
    assert (shown["status"], shown["amount"], shown["refunded_amount"]) == ("succeeded", 12500, 1000)


def test_anonymous_payer_has_a_link(stranger: APIClient, order: Order, gateway: FakeGateway) -> None:
    response = create(stranger, order=str(order.pk))

    assert response.status_code == 201
    assert "Location" not in response
    status = stranger.get(response.json()["status_url"])
    assert (status.json()["status"], status["Retry-After"]) == ("pending", "2")


def test_list_is_filtered_and_paginated(api: APIClient, awa: User, order: Order) -> None:
    now = timezone.now()
    for days in range(5):
        status = "succeeded" if days else "pending"
        content = order if days == 1 else None
        make_payment(user=awa, status=status, content_object=content, created_at=now - timedelta(days=days))

    def found(**query: Any) -> list[str]:
        return [shown["status"] for shown in api.get(PAYMENTS, query).json()["results"]]

    assert found() == ["pending", *["succeeded"] * 4]
    assert found(status="pending") == ["pending"]
    assert len(found(status=["pending", "succeeded"])) == 5
    assert found(order=str(order.pk)) == ["succeeded"]
    assert len(found(created_after=(now - timedelta(days=2)).isoformat())) == 3
    assert len(found(created_before=(now - timedelta(days=2)).isoformat())) == 2
    page = api.get(PAYMENTS, {"page_size": 2}).json()
    seen = [shown["reference"] for shown in page["results"]]
    while page["next"]:
        page = api.get(page["next"]).json()
        seen += [shown["reference"] for shown in page["results"]]
    assert seen == [payment.reference for payment in Payment.objects.all()]
    for query in (
        {"status": "paid"},
        {"created_after": "0001-01-01T00:00:00Z"},
        {"order": "\0"},
        {"page_size": "many"},
        {"created_before": ""},
        {"created_after": "1969-12-31T00:00:00Z"},
        {"page_size": 101},
    ):
        assert api.get(PAYMENTS, query).status_code == 400, query


def walk(client: APIClient, url: str, direction: str = "next", **query: Any) -> tuple[list[list[str]], str]:
    """Follow the links of one direction; return the references of each page, and the link that leads back."""
    pages, page = [], client.get(url, query).json()
    back = "previous" if direction == "next" else "next"
    while True:
        pages.append([shown["reference"] for shown in page["results"]])
        assert len(pages) < 1000, "the links have no end"
        if page[direction] is None:
            return pages, page[back] or ""
        page = client.get(page[direction]).json()


def flat(pages: list[list[str]]) -> list[str]:
    return [reference for page in pages for reference in page]


def make_payments(user: User, moments: list[datetime]) -> list[str]:
    """Store a payment for each moment; return their references as a list shows them."""
    Payment.objects.bulk_create(new_payment_of(user, created_at=moment) for moment in moments)
    return list(Payment.objects.order_by("-created_at", "-pk").values_list("reference", flat=True))


def new_payment_of(user: User, **values: Any) -> Payment:
    return Payment(user=user, amount=500, description="x", customer_email="a@example.com", **values)


MOMENT = datetime(2026, 11, 25, 10, 0, 0, 123456, tzinfo=tz.utc)


@pytest.mark.parametrize(("count", "size"), [(3, 2), (60, 7), (60, 20), (4, 2), (2, 2), (1, 1), (0, 5)])
@pytest.mark.parametrize("moments", [1, 2, 5, 60])
def test_list_shows_each_payment_once_in_both_directions(
    api: APIClient, awa: User, count: int, size: int, moments: int
) -> None:
    times = [MOMENT - timedelta(microseconds=number % moments) for number in range(count)]
    expected = make_payments(awa, times)

    pages, link = walk(api, PAYMENTS, page_size=size)
    assert flat(pages) == expected
    assert all(len(page) == size for page in pages[:-1])
    if link:
        back, forth = walk(api, link, "previous")
        assert [*back[::-1], pages[-1]] == pages
        assert walk(api, forth)[0] == pages[1:]


def test_list_of_1500_simultaneous_payments_ends(api: APIClient, awa: User) -> None:
    expected = make_payments(awa, [MOMENT] * 1500)

    pages, _link = walk(api, PAYMENTS, page_size=7)

    assert flat(pages) == expected


@pytest.mark.parametrize("gone", [slice(4, 7), slice(0, 4)], ids=["the next page", "the page before"])
def test_empty_page_links_back_to_the_remaining_payments(api: APIClient, awa: User, gone: slice) -> None:
    expected = make_payments(awa, [MOMENT] * 7)
    second = api.get(api.get(PAYMENTS, {"page_size": 2}).json()["next"]).json()
    direction, back = ("next", "previous") if gone.start else ("previous", "next")
    if not gone.start:
        second = api.get(second["next"]).json()
    Payment.objects.filter(reference__in=expected[gone]).delete()

    empty = api.get(second[direction]).json()

    assert (empty["results"], empty[direction]) == ([], None)
    pages, _link = walk(api, empty[back], back)
    left = [reference for reference in expected if reference not in expected[gone]]
    assert flat(pages if back == "next" else pages[::-1]) == left


def test_new_payments_do_not_shift_pages(api: APIClient, awa: User) -> None:
    expected = make_payments(awa, [MOMENT] * 6)
    first = api.get(PAYMENTS, {"page_size": 2}).json()
    make_payments(awa, [MOMENT, MOMENT + timedelta(seconds=1)])

    pages, _link = walk(api, first["next"])

    assert flat(pages) == expected[2:]


def test_cursor_keeps_filters_and_ownership(api: APIClient, awa: User) -> None:
    failed = make_payments(awa, [MOMENT] * 4)[1:3]
    Payment.objects.filter(reference__in=failed).update(status="failed")
    link = api.get(PAYMENTS, {"page_size": 1, "status": "failed"}).json()["next"]

    page = api.get(link).json()

    assert [shown["status"] for shown in page["results"]] == ["failed"]
    assert page["next"] is None
    assert client_of(User.objects.create_user("ben")).get(link).json()["results"] == []


def cursor_of(text: str) -> str:
    return b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "%00",
        "é",
        "cD1ub3c=",
        "cD0wMDAxLTAxLTAxIDEyOjAw",
        cursor_of("r=1"),
        cursor_of("o=20"),
        cursor_of("o=-1&p=2026-11-25T10:00:00%2B00:00 1"),
        cursor_of("r=x&p=2026-11-25T10:00:00%2B00:00 1"),
        cursor_of("p=2026-11-25T10:00:00%2B00:00"),
        cursor_of("p=2026-11-25T10:00:00%2B00:00 "),
        cursor_of("p=2026-11-25T10:00:00%2B00:00 --1"),
        cursor_of("p=2026-11-25T10:00:00%2B00:00 1.5"),
        cursor_of("p=2026-11-25T10:00:00%2B00:00 x"),
        cursor_of("p=2026-11-25T10:00:00%2B00:00 " + "9" * 19),
        cursor_of("p=2026-11-25T10:00:00 1"),
        cursor_of("p=0001-01-01T00:00:00%2B00:00 1"),
        cursor_of("p=9999-12-31T23:59:59-12:00 1"),
        cursor_of("p= 1"),
    ],
)
def test_foreign_cursor_is_refused(api: APIClient, awa: User, cursor: str) -> None:
    response = api.get(PAYMENTS, {"cursor": cursor})

    assert (response.status_code, problem_of(response)) == (400, "malformed")


def test_links_of_an_empty_page_are_cursors_too(api: APIClient) -> None:
    page = api.get(PAYMENTS, {"cursor": cursor_of("p=2026-11-25T10:00:00%2B00:00 0")}).json()

    assert api.get(page["previous"]).status_code == 200


@pytest.mark.parametrize("cursor", ["", cursor_of("p=2026-11-26T10:00:00%2B00:00 " + "9" * 18)])
def test_cursor_before_all_payments_gives_all(api: APIClient, awa: User, cursor: str) -> None:
    expected = make_payments(awa, [MOMENT] * 2)

    page = api.get(PAYMENTS, {"cursor": cursor}).json()

    assert [shown["reference"] for shown in page["results"]] == expected


@pytest.mark.django_db(transaction=True)
def test_query_count_is_bounded(
    api: APIClient, awa: User, order: Order, gateway: FakeGateway, statements: Statements
) -> None:
    create(api, order=str(order.pk))  # the content type is in Django's memory from now on
    key = str(uuid4())

    with statements:
        assert create(api, key, order=str(order.pk)).status_code == 201
    ours = [sql.split()[0] for sql in statements if "host_order" not in sql]
    # The key; the payment, what it is found by, and its key; the lease; the page and its event.
    store = ["SELECT", "SAVEPOINT", "INSERT", "INSERT", "RELEASE", "INSERT"]
    assert ours == [*store, "UPDATE", *TRANSITION]
    statements.clear()
    with statements:
        assert create(api, key, order=str(order.pk)).status_code == 201
    assert len(statements) == 1
    statements.clear()
    with statements:
        api.get(PAYMENTS)
    assert len(statements) == 1
    statements.clear()
    with statements:
        api.get(f"{PAYMENTS}{Payment.objects.values_list('reference', flat=True)[0]}/")
    assert len(statements) == 2  # one is the test's


# Asking twice ---------------------------------------------------------------------------------------------------------


def test_repeated_key_returns_the_same_response(
    api: APIClient, order: Order, gateway: FakeGateway, notify: Notify
) -> None:
    key = str(uuid4())
    first = create(api, key, order=str(order.pk))
    notify(Payment.objects.get())

    again = create(api, f'"{key}"', order=str(order.pk))

    assert (again.status_code, again.content, again["Location"]) == (201, first.content, first["Location"])
    assert len(gateway.page_requests) == 1
    other = create(api, key, order=str(order.pk), channel="WAVECI")
    assert (other.status_code, problem_of(other)) == (422, "key-reused")
    assert Payment.objects.count() == 1
    [stored] = IdempotencyKey.objects.values_list("digest", "fingerprint")
    assert str(IdempotencyKey.objects.get()) == stored[0]
    assert key not in stored


def test_keys_are_per_user(api: APIClient, stranger: APIClient, order: Order, gateway: FakeGateway) -> None:
    key = str(uuid4())

    first, second = create(api, key, order=str(order.pk)), create(stranger, key, order=str(order.pk))

    assert first.json()["reference"] != second.json()["reference"]
    assert create(stranger, key, order=str(order.pk)).content == second.content


def test_repeated_key_retries_a_page_that_was_not_opened(api: APIClient, order: Order, gateway: FakeGateway) -> None:
    gateway.answers(b"", 500)
    key = str(uuid4())
    kept = create(api, key, order=str(order.pk))
    assert kept.status_code == 503
    gateway.opens()

    response = create(api, key, order=str(order.pk))

    assert (response.status_code, response.json()["reference"]) == (201, kept.json()["reference"])


def outrun_payment(request: Any, data: Any) -> Payment:
    """Be overtaken by the same request."""
    key = request.headers["Idempotency-Key"]
    rival = APIRequestFactory().post("/", data["sent"], format="json", headers={"Idempotency-Key": key})
    force_authenticate(rival, User.objects.get(username="awa"))
    with override_settings(PAIEMENTPRO_PAYMENT_FACTORY=FACTORY):
        assert views.PaymentViewSet.as_view({"post": "create"})(rival).status_code == 201
    return new_payment(request, data)


class OutrunPayments(views.PaymentViewSet):
    def make_payment(self, data: Any) -> Payment:
        return super().make_payment({**data, "sent": self.request.data})


def test_concurrent_request_returns_the_first_response(
    awa: User, order: Order, gateway: FakeGateway, settings: Any
) -> None:
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "tests.test_api.outrun_payment"
    request = APIRequestFactory().post("/", {"order": str(order.pk)}, format="json", headers={"Idempotency-Key": "k"})
    force_authenticate(request, awa)

    response = OutrunPayments.as_view({"post": "create"})(request)

    assert (response.status_code, response.data["payment_url"]) == (201, PAGE_URL)
    assert "Location" not in response
    payment = Payment.objects.get()
    assert response.data["reference"] == payment.reference
    assert len(gateway.page_requests) == 1


def test_key_expires_after_a_day(api: APIClient, order: Order, gateway: FakeGateway) -> None:
    key = str(uuid4())
    first = create(api, key, order=str(order.pk))
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24))

    assert create(api, key, order=str(order.pk)).json()["reference"] != first.json()["reference"]

    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24))
    call_command("paiementpro_reconcile")
    assert not IdempotencyKey.objects.exists()


@pytest.mark.parametrize("key", ["é", "a" * 256, '""', "a b"])
def test_invalid_key_is_refused(api: APIClient, order: Order, key: str) -> None:
    assert problem_of(create(api, key, order=str(order.pk))) == "invalid-key"


def test_anonymous_key_must_be_long(stranger: APIClient, order: Order) -> None:
    assert problem_of(create(stranger, "1234", order=str(order.pk))) == "invalid-key"


def test_keys_can_be_required(api: APIClient, order: Order, settings: Any) -> None:
    settings.PAIEMENTPRO_API_KEY_REQUIRED = True

    assert problem_of(create(api, order=str(order.pk))) == "key-missing"


# Waiting --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["detail", "status"])
def test_pending_payment_has_retry_after(api: APIClient, awa: User, path: str) -> None:
    payment = make_payment(user=awa, status="pending", initialized_at=timezone.now())
    url = payment.get_status_url() if path == "status" else f"{PAYMENTS}{payment.reference}/"
    first = api.get(url)

    waits = []
    for age in (timedelta(0), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2)):
        Payment.objects.update(initialized_at=timezone.now() - age)
        response = api.get(url, headers={"If-None-Match": f'"x", W/{first["ETag"]}'})
        assert (response.status_code, response.content, response["ETag"]) == (304, b"", first["ETag"])
        waits.append(int(response["Retry-After"]))
    assert waits == [2, 5, 15, 60, 300]
    Payment.objects.update(status="succeeded")
    response = api.get(url, headers={"If-None-Match": first["ETag"]})
    assert response.status_code == 200
    assert response["ETag"] != first["ETag"]
    assert "Retry-After" not in response


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'"text"',
        b"[" * 30_000,
        b'{"order": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"order": ' + b"9" * 5000 + b"}",
        b'{"order": 42}',
        b'{"order": true}',
        b'{"order": null}',
        b'{"order": {"a": 1}}',
        b'{"order": "a\\u0000"}',
        b'{"order": "\\ud800"}',
        b'{"\\ud800": "a", "order": "1"}',
        b'{"order": "1", "channel": "\\udfff"}',
        b'{"order": "1", "channel": ["OMCIV2"]}',
        b'{"order": "1", "channel": NaN}',
        b'{"order": "1", "return_to": 1}',
        b'{"order": "\xff"}',
        b'{"order": "' + b"1" * 256 + b'"}',
        b'{"order": "' + b"1" * 70_000 + b'"}',
    ],
)
def test_invalid_input_is_a_bad_request(api: APIClient, body: bytes) -> None:
    response = api.post(PAYMENTS, body, content_type="application/json")

    assert response.status_code == 400, response.content
    assert problem_of(response) in {"malformed", "invalid-request"}


def test_form_data_is_accepted(api: APIClient, order: Order, gateway: FakeGateway) -> None:
    assert api.post(PAYMENTS, {"order": str(order.pk)}).status_code == 201
    for length in ("x", "70000"):
        assert problem_of(api.post(PAYMENTS, {"order": "1"}, CONTENT_LENGTH=length)) == "malformed"
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10):
        assert problem_of(api.post(PAYMENTS, {"order": "1"}, format="json")) == "malformed"


@pytest.mark.parametrize(
    ("arguments", "status", "kind"),
    [
        ({"content_type": "text/plain"}, 415, "unsupported-media-type"),
        ({"content_type": "application/json", "headers": {"Accept": "image/png"}}, 406, "not-acceptable"),
    ],
)
def test_unsupported_media_types_are_refused(api: APIClient, arguments: Any, status: int, kind: str) -> None:
    response = api.post(PAYMENTS, b"{}", **arguments)

    assert (response.status_code, problem_of(response)) == (status, kind)


def test_requests_beyond_the_limit_get_retry_after(api: APIClient, awa: User, order: Order, settings: Any) -> None:
    settings.PAIEMENTPRO_API_GATEWAY_CALLS = 1
    for key in ("", "a-key"):
        with gateway_place():
            response = create(api, key, order=str(order.pk))
        assert (response.status_code, problem_of(response), response["Retry-After"]) == (503, "busy", "5")
    assert not Payment.objects.exists()


def test_limit_applies_to_every_way_of_opening_a_page(
    api: APIClient, order: Order, gateway: FakeGateway, settings: Any
) -> None:
    settings.PAIEMENTPRO_API_GATEWAY_CALLS = 1
    gateway.answers("", status=503)
    kept = create(api, "a-key", order=str(order.pk)).json()

    with gateway_place():
        again = create(api, "a-key", order=str(order.pk))
        checkout = api.post(f"{PAYMENTS}{kept['reference']}/checkout/")

    assert problem_of(again) == problem_of(checkout) == "busy"
    assert len(gateway.page_requests) == 1


def test_refusals_in_a_row_are_answered_with_retry_after(api: APIClient, order: Order, gateway: FakeGateway) -> None:
    gateway.refuses("Numero invalide")
    kept = create(api, "a-key", order=str(order.pk)).json()
    url = f"{PAYMENTS}{kept['reference']}/checkout/"
    assert [api.post(url).status_code for _ in range(2)] == [502, 502]

    for response in (api.post(url), create(api, "a-key", order=str(order.pk))):
        assert (response.status_code, problem_of(response)) == (429, "too-many-refusals")
        assert 0 < int(response["Retry-After"]) <= 15
        assert response.json()["checkout_url"] == kept["checkout_url"]
        assert b"Numero" not in response.content
    assert len(gateway.page_requests) == 3


# The host's own -------------------------------------------------------------------------------------------------------


class HostsPayments(views.PaymentViewSet):
    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(request, *args, **kwargs)


@pytest.mark.parametrize("viewset", [views.PaymentViewSet, HostsPayments])
def test_api_is_exempt_from_transactions_and_login_pages(viewset: Any) -> None:
    view = viewset.as_view({"get": "list"})

    assert view._non_atomic_requests == set(connections)
    assert view.login_required is False
    assert view.csrf_exempt is True
    assert view(APIRequestFactory().get("/")).status_code == 403


def test_session_needs_a_csrf_token(awa: User, order: Order) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(awa)

    assert problem_of(create(client, order=str(order.pk))) == "permission-denied"


# What a host may have otherwise ---------------------------------------------------------------------------------------


class ParcelSerializer(Serializer[Any]):
    status = ChoiceField(choices=["packed", "sent"])
    channel = ChoiceField(choices=["van", "motorbike"])
    type = ChoiceField(choices=["letter", "box"])


class ParcelView(ListAPIView[Any]):
    queryset = Order.objects.all()
    serializer_class = ParcelSerializer


router = SimpleRouter(use_regex_path=False)
router.register("pay", views.PaymentViewSet, basename="pay")

urlpatterns = [
    path("parcels/", ParcelView.as_view()),
    path("", include(router.urls)),
    path("", include("django_paiementpro.api.urls", namespace="whole")),
    path("gifts/", include("django_paiementpro.api.urls", namespace="gifts")),
    path("shops/<slug:shop>/", include("django_paiementpro.api.urls")),
    path("paiementpro/", include("django_paiementpro.urls")),
]


def test_host_models_may_have_status_choices(settings: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    settings.ROOT_URLCONF = "tests.test_api"

    call_command("spectacular", file=str(tmp_path / "schema.yaml"), urlconf="tests.test_api")

    assert "enum" not in capsys.readouterr().err


def test_router_may_use_path_converters(api: APIClient, order: Order, gateway: FakeGateway, settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.test_api"

    response = api.post("/pay/", {"order": str(order.pk)}, format="json")

    assert api.get(response["Location"]).json()["reference"] == response.json()["reference"]


def test_router_may_be_mounted_below_a_path_with_arguments(
    api: APIClient, order: Order, gateway: FakeGateway, settings: Any
) -> None:
    settings.ROOT_URLCONF = "tests.test_api"
    gateway.opens()

    response = api.post("/shops/abidjan/payments/", {"order": str(order.pk)}, format="json")

    assert response.status_code == 201
    assert response["Location"] == f"http://testserver/shops/abidjan/payments/{response.json()['reference']}/"
    assert api.get(response["Location"]).status_code == 200


def test_user_model_needs_no_staff(awa: User, settings: Any) -> None:
    settings.AUTH_USER_MODEL = "host.Customer"
    client, payment = client_of(Customer(pk=awa.pk)), make_payment(user_id=awa.pk)

    assert client.get(f"{PAYMENTS}{payment.reference}/").status_code == 200


def test_anonymous_user_may_be_none(stranger: APIClient, order: Order, gateway: FakeGateway, settings: Any) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "UNAUTHENTICATED_USER": None}
    gateway.opens()

    assert problem_of(stranger.get(PAYMENTS)) == "not-authenticated"
    assert create(stranger, order=str(order.pk)).status_code == 201
    assert Payment.objects.get().user is None


class Locked(BasePermission):
    def has_object_permission(self, request: Any, view: Any, payment: Payment) -> bool:
        return False


class LockedPayments(views.PaymentViewSet):
    permission_classes = (Locked,)


def test_permissions_of_the_host_look_at_each_payment(awa: User) -> None:
    request = APIRequestFactory().get("/")
    force_authenticate(request, awa)

    response = LockedPayments.as_view({"get": "retrieve"})(request, reference=make_payment(user=awa).reference)

    assert response.status_code == 403


class Endless:
    """A body that never ends, of which it is counted how much was read."""

    def __init__(self) -> None:
        self.bytes_read = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "all of it was asked for"
        self.bytes_read += size
        return b" " * size

    readline = read


class MembersPayments(views.PaymentViewSet):
    permission_classes = (IsAuthenticated,)


FORMS = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"]


def asgi_request(body: Any, content_type: str = "application/json", method: str = "POST") -> ASGIRequest:
    """Return a request as an ASGI server passes it on, in chunks: without a length."""
    headers = [(b"host", b"testserver"), (b"content-type", content_type.encode()), (b"transfer-encoding", b"chunked")]
    request = ASGIRequest({"type": "http", "method": method, "path": "/", "headers": headers}, body)
    request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
    return request


def wsgi_request(body: Any, content_type: str = "application/json", method: str = "POST", **environ: Any) -> Any:
    """Return a request as a WSGI server passes it on, in chunks: without a length, and the input has an end."""
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": body, "wsgi.input_terminated": True, **environ}
    request = APIRequestFactory().generic(method, "/", content_type=content_type, **chunked)
    request.META.pop("CONTENT_LENGTH", None)
    return request


REQUESTS = [wsgi_request, asgi_request]


@pytest.mark.parametrize("make", REQUESTS)
@pytest.mark.parametrize("content_type", FORMS)
@pytest.mark.parametrize("action", ["create", "checkout"])
def test_body_of_an_anonymous_client_is_not_read(make: Any, content_type: str, action: str) -> None:
    body = Endless()

    response = MembersPayments.as_view({"post": action})(make(body, content_type), reference="x").render()

    assert problem_of(response) == "not-authenticated"
    assert body.bytes_read == 0


@pytest.mark.parametrize("make", REQUESTS)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_body_of_a_bodyless_method_is_not_read(awa: User, make: Any, method: str) -> None:
    body = Endless()
    request = make(body, method=method)
    force_authenticate(request, awa)

    response = views.PaymentViewSet.as_view({"get": "list", "post": "create"})(request)

    assert response.status_code in {200, 405}
    assert body.bytes_read == 0


@pytest.mark.parametrize("limit", [None, 1000, 2_621_440])
@pytest.mark.parametrize("make", REQUESTS)
@pytest.mark.parametrize("content_type", FORMS[:3])
def test_endless_body_is_read_up_to_the_limit(
    awa: User, settings: Any, make: Any, content_type: str, limit: int | None
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = limit
    body = Endless()
    request = make(body, content_type)
    force_authenticate(request, awa)

    response = MembersPayments.as_view({"post": "create"})(request).render()

    assert problem_of(response) == "malformed"
    assert 0 < body.bytes_read <= MAX_BODY + 1


@pytest.mark.parametrize("make", REQUESTS)
@pytest.mark.parametrize("content_type", FORMS[:3])
def test_body_without_csrf_token_is_read_up_to_the_limit(
    awa: User, settings: Any, make: Any, content_type: str
) -> None:
    body = Endless()
    request = make(body, content_type)
    request.user, request._dont_enforce_csrf_checks = awa, False
    request.COOKIES["csrftoken"] = "a" * 32

    response = views.PaymentViewSet.as_view({"post": "create"})(request).render()

    assert problem_of(response) == "malformed"
    assert body.bytes_read == MAX_BODY + 1


@pytest.mark.parametrize("make", REQUESTS)
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (FORMS[0], '{"order": "%s"}'),
        (FORMS[1], "order=%s"),
        (FORMS[2], '--x\r\nContent-Disposition: form-data; name="order"\r\n\r\n%s\r\n--x--\r\n'),
    ],
)
def test_chunked_body_is_read(
    awa: User, order: Order, gateway: FakeGateway, make: Any, content_type: str, body: str
) -> None:
    request = make(BytesIO((body % order.pk).encode()), content_type)
    force_authenticate(request, awa)

    response = MembersPayments.as_view({"post": "create"})(request)

    assert response.status_code == 201


def test_body_without_length_and_end_is_not_waited_for(awa: User) -> None:
    body = Endless()
    request = wsgi_request(body, **{"wsgi.input_terminated": False})
    force_authenticate(request, awa)

    response = views.PaymentViewSet.as_view({"post": "create"})(request).render()

    assert problem_of(response) == "invalid-request"
    assert body.bytes_read == 0


def test_body_with_too_large_a_content_length_is_not_read(awa: User) -> None:
    body = Endless()
    request = wsgi_request(body, CONTENT_LENGTH="70000")
    request.META["CONTENT_LENGTH"] = "70000"
    force_authenticate(request, awa)

    response = views.PaymentViewSet.as_view({"post": "create"})(request).render()

    assert problem_of(response) == "malformed"
    assert body.bytes_read == 0


def generous_payment(request: Any, data: Any) -> Payment:
    """Decide all that may be decided."""
    payment = new_payment(request, data)
    payment.user = User.objects.get(username="ben")
    payment.channel, payment.success_url, payment.failure_url = "OMCIV2", "/thanks/", "/again/"
    return payment


def test_client_cannot_override_factory_values(
    api: APIClient, order: Order, gateway: FakeGateway, settings: Any
) -> None:
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "tests.test_api.generous_payment"
    ben = User.objects.create_user("ben")
    gateway.opens()

    response = create(api, order=str(order.pk), channel="WAVECI", return_to="/mine/")

    payment = Payment.objects.get()
    assert (payment.user, payment.channel) == (ben, "OMCIV2")
    assert (payment.success_url, payment.failure_url) == ("/thanks/", "/again/")
    assert "Location" not in response


def orphaned_payment(request: Any, data: Any) -> Payment:
    payment = new_payment(request, data)
    payment.user_id = 2_000_000_000
    return payment


@pytest.mark.django_db(transaction=True)
def test_other_integrity_errors_are_not_taken_references(api: APIClient, order: Order, settings: Any) -> None:
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "tests.test_api.orphaned_payment"

    with pytest.raises(IntegrityError):
        create(api, order=str(order.pk))


class Teapot(APIException):
    status_code = 440


@pytest.mark.parametrize(("error", "status", "wait"), [(Teapot(), 440, None), (Throttled(), 429, "5")])
def test_problem_without_code_or_wait_is_reported(
    api: APIClient, settings: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, wait: str | None
) -> None:
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "tests.test_api.failing_payment"
    monkeypatch.setitem(failures, "next", error)

    response = create(api, order="1")

    assert (response.status_code, response.get("Retry-After")) == (status, wait)


def test_missing_rest_framework_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rest_framework", None)

    with pytest.raises(ImportError, match=r"pip install .*\[api\]"):
        importlib.reload(django_paiementpro.api)


class BriefSerializer(StrictSerializer):
    order = CharField()


def test_host_may_accept_fewer_fields(awa: User, order: Order, gateway: FakeGateway) -> None:
    class BriefPayments(views.PaymentViewSet):
        new_payment_serializer_class = BriefSerializer

    gateway.opens()
    request = APIRequestFactory().post("/", {"order": str(order.pk)}, format="json")

    assert BriefPayments.as_view({"post": "create"})(request).status_code == 201


# What is shown, and what is not ---------------------------------------------------------------------------------------


def test_gateway_message_is_not_exposed(api: APIClient, order: Order, gateway: FakeGateway) -> None:
    gateway.refuses("Awa Koné owes us money")

    response = create(api, order=str(order.pk))

    assert problem_of(response) == "gateway-refused"
    assert "owes" not in response.content.decode()


def test_payment_url_is_shown_while_payable(api: APIClient, awa: User) -> None:
    payment = make_payment(user=awa, status="pending", payment_url=PAGE_URL)
    detail = f"{PAYMENTS}{payment.reference}/"

    assert api.get(detail).json()["payment_url"] == PAGE_URL
    Payment.objects.update(status="succeeded")
    assert api.get(detail).json()["payment_url"] is None


def test_responses_are_private_and_revalidated(api: APIClient, awa: User) -> None:
    response = api.get(f"{PAYMENTS}{make_payment(user=awa).reference}/", headers={"If-None-Match": "*"})

    assert response.status_code == 304
    assert response["Cache-Control"] == "private, no-cache"


def test_etag_depends_on_the_representation(awa: User) -> None:
    payment = make_payment(user=awa)

    class TwoForms(views.PaymentViewSet):
        renderer_classes = (JSONRenderer, AdminRenderer)

    tags = set()
    for accepted in ("application/json", "text/html"):
        request = APIRequestFactory().get("/", headers={"Accept": accepted})
        force_authenticate(request, awa)
        tags.add(TwoForms.as_view({"get": "retrieve"})(request, reference=payment.reference)["ETag"])
    assert len(tags) == 2


# More bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("charset", ["bz2", "zlib", "base64", "punycode", "idna", "utf-16", "latin-1", "x"])
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_body_must_be_utf_8(api: APIClient, kind: str, charset: str) -> None:
    response = api.post(PAYMENTS, b'{"order": "1"}', content_type=f"{kind}; charset={charset}")

    assert problem_of(response) == "malformed"


@pytest.mark.parametrize("charset", ["utf-8", '"UTF-8"', "utf8"])
def test_charset_utf_8_may_be_declared(api: APIClient, charset: str) -> None:
    response = api.post(PAYMENTS, b'{"order": "1"}', content_type=f"application/json; charset={charset}")

    assert problem_of(response) == "not-found"


def nested(depth: int) -> Any:
    value: Any = "x"
    for _turn in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("data", [nested(16), [["x"] * 10] * 7000, ({"a": ("\0",)},)])
def test_output_of_host_parsers_is_bounded(data: Any) -> None:
    with pytest.raises(ParseError):
        check_body(data)


@pytest.mark.parametrize("data", [nested(15), [["x"] * 10] * 6000])
def test_body_within_the_limits_is_read(data: Any) -> None:
    check_body(data)


def test_reported_unknown_fields_are_bounded(api: APIClient) -> None:
    response = create(api, order="1", **{f"field{number}": 1 for number in range(500)})

    assert len(response.json()["errors"]) == 20


def test_body_may_be_any_mapping() -> None:
    serializer = StrictSerializer(data=MappingProxyType({"amount": 1}))

    assert not serializer.is_valid()
    assert "amount" in serializer.errors


def test_customer_data_are_bounded(api: APIClient, order: Order, settings: Any) -> None:
    settings.PAIEMENTPRO_API_CUSTOMER_FIELDS = ["customer_first_name"]

    response = create(api, order=str(order.pk), customer_first_name="a" * 1000)

    assert problem_of(response) == "invalid-request"


def test_unneeded_body_is_validated(api: APIClient, awa: User) -> None:
    url = f"{PAYMENTS}{make_payment(user=awa).reference}/checkout/"

    assert problem_of(api.post(url, b"{", content_type="application/json")) == "malformed"


# More about keys ------------------------------------------------------------------------------------------------------


def test_two_users_may_have_the_same_key(api: APIClient, order: Order, gateway: FakeGateway) -> None:
    gateway.opens()
    other = APIClient()
    other.force_authenticate(User.objects.create_user("ben"))

    references = {create(client, "a-key", order=str(order.pk)).json()["reference"] for client in (api, other)}

    assert len(references) == 2


def test_each_mount_of_the_api_has_keys_of_its_own(order: Order, gateway: FakeGateway) -> None:
    references = set()
    for basename in ("payment", "gift"):
        request = APIRequestFactory().post("/", {"order": str(order.pk)}, headers={"Idempotency-Key": "k" * 32})
        response = views.PaymentViewSet.as_view({"post": "create"}, basename=basename)(request)
        references.add(response.data["reference"])
    assert len(references) == 2


@pytest.mark.parametrize("user", ["awa", ""])
@pytest.mark.parametrize(
    ("first", "second", "host"),
    [
        ("/shops/A1/payments/", "/shops/B2/payments/", "testserver"),
        ("/payments/", "/gifts/payments/", "testserver"),
        ("/payments/?shop=A1", "/payments/?shop=B2", "testserver"),
        ("/payments/", "/payments/", "b2.example.com"),
    ],
    ids=["argument", "path", "query", "host"],
)
def test_key_of_another_url_is_refused(
    awa: User, order: Order, gateway: FakeGateway, settings: Any, user: str, first: str, second: str, host: str
) -> None:
    settings.ROOT_URLCONF = "tests.test_api"
    settings.ALLOWED_HOSTS = ["testserver", "b2.example.com"]
    client, headers = client_of(awa if user else None), {"Idempotency-Key": "k" * 32}
    data = {"order": str(order.pk)}

    opened = client.post(first, data, format="json", headers=headers)
    other = client.post(second, data, format="json", headers={**headers, "Host": host})
    again = client.post(first, data, format="json", headers={**headers, "Host": "TESTSERVER"})

    assert (other.status_code, problem_of(other)) == (422, "key-reused")
    assert (opened.status_code, again.status_code) == (201, 201)
    assert again.json()["reference"] == opened.json()["reference"]
    assert Payment.objects.count() == 1


def test_key_is_valid_for_a_day(api: APIClient, order: Order, gateway: FakeGateway) -> None:
    gateway.opens()
    first = create(api, "a-key", order=str(order.pk))
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=23, minutes=59))

    assert create(api, "a-key", order=str(order.pk)).content == first.content


def test_new_csrf_token_does_not_change_the_request(api: APIClient, order: Order, gateway: FakeGateway) -> None:
    gateway.opens()
    answers = [
        api.post(PAYMENTS, {"order": str(order.pk), "csrfmiddlewaretoken": token}, headers={"Idempotency-Key": "a-key"})
        for token in ("one", "two")
    ]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content


@pytest.mark.django_db(transaction=True)
def test_rolled_back_transaction_is_retried_as_a_whole(api: APIClient, order: Order, gateway: FakeGateway) -> None:
    gateway.opens()
    failures = iter([True])

    def give_up(execute: Any, sql: str, *arguments: Any) -> Any:
        if "INSERT" in sql and "idempotencykey" in sql and next(failures, False):
            raise OperationalError("deadlock")
        return execute(sql, *arguments)

    with connection.execute_wrapper(give_up):
        response = create(api, "a-key", order=str(order.pk))

    assert response.status_code == 201
    assert IdempotencyKey.objects.get().payment == Payment.objects.get()


@pytest.mark.django_db
def test_staff_without_permissions_see_their_own_payments() -> None:
    user: Any = User.objects.create_user("awa", is_staff=True)
    user.has_perm = None
    own, _other = make_payment(user=user), make_payment()
    client = APIClient()
    client.force_authenticate(user)

    assert [row["reference"] for row in client.get("/api/payments/").json()["results"]] == [own.reference]
