import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.core.management import call_command
from django.db import connections
from django.http import Http404
from django.test import override_settings
from django.utils import timezone
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import APIException, NotAuthenticated, Throttled
from rest_framework.exceptions import ValidationError as InvalidRequest
from rest_framework.test import APIClient, APIRequestFactory, force_authenticate

from django_paiementpro.api import calls, views
from django_paiementpro.api.bodies import bound_body
from django_paiementpro.models import IdempotencyKey, Payment
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import PAGE_URL, Notify, Statements
from tests.host.models import Order
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


@pytest.mark.parametrize("number", ["0", "nobody’s", "9" * 40])
def test_an_order_that_the_shop_does_not_know_is_not_found(api: APIClient, number: str) -> None:
    response = create(api, order=number)

    assert (response.status_code, problem_of(response)) == (404, "not-found")
    assert not Payment.objects.exists()


# Opening a payment ----------------------------------------------------------------------------------------------------


def test_the_shop_decides_what_is_paid(api: APIClient, awa: User, order: Order, gateway: FakeGateway) -> None:
    response = create(api, order=str(order.pk), channel="OMCIV2")

    payment = Payment.objects.get()
    assert response.status_code == 201
    assert response.json() == {
        "reference": payment.reference,
        "status": "pending",
        "checkout_url": f"http://testserver{payment.get_absolute_url()}",
        "payment_url": PAGE_URL,
        "status_url": f"http://testserver{payment.get_status_url()}",
    }
    assert response["Location"] == f"http://testserver{PAYMENTS}{payment.reference}/"
    assert "no-store" in response["Cache-Control"]
    assert (payment.amount, payment.user, payment.channel, payment.content_object) == (12500, awa, "OMCIV2", order)
    [sent] = gateway.page_requests
    assert sent.amount == 12500


@pytest.mark.parametrize("name", ["amount", "currency", "merchant_id", "status"])
def test_a_client_that_says_what_the_shop_decides_is_told_so(api: APIClient, order: Order, name: str) -> None:
    response = create(api, order=str(order.pk), **{name: "1"})

    assert problem_of(response) == "invalid-request"
    assert response.json()["errors"] == {name: ["The shop decides this: leave it out."]}
    assert not Payment.objects.exists()


def test_a_field_that_is_none_is_refused(api: APIClient, order: Order) -> None:
    response = create(api, order=str(order.pk), customer_email="me@example.com")

    assert response.json()["errors"] == {"customer_email": ["There is no such field."]}


def test_a_client_may_say_the_payers_data_where_the_host_lets_it(
    api: APIClient, order: Order, gateway: FakeGateway, settings: Any
) -> None:
    settings.PAIEMENTPRO_API_CUSTOMER_FIELDS = ["customer_phone"]

    assert create(api, order=str(order.pk), customer_phone="05 05 12 34 56").status_code == 201

    assert Payment.objects.get().customer_phone == "05 05 12 34 56"


def test_a_payment_that_the_gateway_would_refuse_is_not_stored(api: APIClient, order: Order) -> None:
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


def test_the_options_tell_what_may_be_said(api: APIClient) -> None:
    assert "return_to" in api.options(PAYMENTS).json()["actions"]["POST"]


def test_a_factory_that_returns_no_payment_is_the_hosts_to_mend(api: APIClient, settings: Any) -> None:
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


def test_a_factory_may_find_the_orders_payment(
    api: APIClient, awa: User, order: Order, gateway: FakeGateway, settings: Any
) -> None:
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "tests.test_api.stored_payment"
    payment = make_payment(content_object=order)

    first, second = create(api, str(uuid4()), order=str(order.pk)), create(api, order=str(order.pk))

    assert first.json() == second.json()
    assert first.json()["reference"] == payment.reference
    assert Payment.objects.get().user == awa


def test_a_reference_that_is_taken_is_told(api: APIClient, settings: Any) -> None:
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
def test_what_the_gateway_does_not_open_is_kept(
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
        (InvalidRequest(["sold out"]), 400, "invalid-request"),
        (NotAuthenticated(), 401, "not-authenticated"),
        (Throttled(30), 429, "throttled"),
        (APIException("closed"), 500, "about:blank"),
    ],
)
def test_what_the_hosts_factory_raises_is_told(
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


def test_who_is_not_signed_in_is_told_how_to(order: Order) -> None:
    class BasicPayments(views.PaymentViewSet):
        authentication_classes = (BasicAuthentication,)

    response = BasicPayments.as_view({"get": "list"})(APIRequestFactory().get("/")).render()

    assert (response.status_code, problem_of(response)) == (401, "not-authenticated")
    assert response["WWW-Authenticate"] == 'Basic realm="api"'


def test_the_options_of_one_who_is_not_signed_in_name_no_payment(stranger: APIClient) -> None:
    view = views.PaymentViewSet(request=stranger.get(PAYMENTS).wsgi_request)

    assert not view.get_queryset().exists()


def test_a_body_that_middleware_has_read_is_read_no_more(order: Order) -> None:
    request = APIRequestFactory().post("/", {"order": str(order.pk)})
    assert request.POST

    bound_body(request)


def test_the_schema_is_whole_and_without_a_warning(tmp_path: Path) -> None:
    call_command(
        "spectacular", file=str(tmp_path / "schema.json"), format="openapi-json", validate=True, fail_on_warn=True
    )

    told = json.loads((tmp_path / "schema.json").read_text())
    assert told["openapi"] == "3.1.0"
    operations = [operation for path in told["paths"].values() for operation in path.values()]
    assert len(operations) == 4
    for operation in operations:
        assert operation["description"]
        assert all(parameter["description"] for parameter in operation["parameters"])
        for answer in operation["responses"].values():
            assert answer["description"]
            assert all(header["description"] for header in answer["headers"].values())
            assert all(content["examples"] for content in answer.get("content", {}).values())
    new = told["components"]["schemas"]["NewPayment"]
    assert new["additionalProperties"] is False
    for name in ("NewPayment", "OpenedPayment", "Payment", "PaginatedPaymentList", "Problem"):
        fields = told["components"]["schemas"][name]["properties"]
        assert [field for field, shape in fields.items() if not shape.get("description") and field != "results"] == []


def test_what_can_no_longer_be_paid_is_told(api: APIClient, awa: User) -> None:
    payment = make_payment(user=awa, status="cancelled")

    response = api.post(f"{PAYMENTS}{payment.reference}/checkout/")

    assert (response.status_code, problem_of(response)) == (409, "not-payable")


def test_what_has_become_invalid_is_told(api: APIClient, awa: User) -> None:
    payment = make_payment(user=awa, amount=50)

    response = api.post(f"{PAYMENTS}{payment.reference}/checkout/")

    assert (response.status_code, problem_of(response)) == (400, "invalid-payment")


def test_a_problem_speaks_the_clients_language(api: APIClient, settings: Any) -> None:
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
def test_the_payer_comes_back_to_what_the_host_lists(
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
def test_nobody_is_sent_elsewhere(api: APIClient, order: Order, settings: Any, target: str) -> None:
    settings.PAIEMENTPRO_RETURN_HOSTS = RETURN_HOSTS

    response = create(api, order=str(order.pk), return_to=target)

    assert response.status_code == 400, target
    assert [*response.json()["errors"]] == ["return_to"]
    payment = make_payment(status="succeeded", success_url=target)
    assert api.get(payment.get_return_url()).status_code == 200


# Whose payments -------------------------------------------------------------------------------------------------------


def test_each_sees_their_own(api: APIClient, awa: User, stranger: APIClient) -> None:
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
    for path in (PAYMENTS, f"{PAYMENTS}{mine.reference}/"):
        assert problem_of(stranger.get(path)) == "not-authenticated"


@pytest.mark.parametrize(("is_staff", "permission", "count"), [(True, True, 2), (True, False, 0), (False, True, 0)])
def test_staff_who_may_view_payments_see_all(is_staff: bool, permission: bool, count: int) -> None:
    user = User.objects.create_user("staff", is_staff=is_staff)
    if permission:
        user.user_permissions.add(Permission.objects.get(codename="view_payment"))
    client = APIClient()
    client.force_authenticate(user)
    make_payment()
    make_payment(user=User.objects.create_user("other"))

    assert len(client.get(PAYMENTS).json()["results"]) == count


def test_an_anonymous_payer_has_a_link(stranger: APIClient, order: Order, gateway: FakeGateway) -> None:
    response = create(stranger, order=str(order.pk))

    assert response.status_code == 201
    assert "Location" not in response
    status = stranger.get(response.json()["status_url"])
    assert (status.json()["status"], status["Retry-After"]) == ("pending", "2")


def test_a_list_is_narrowed_and_has_pages(api: APIClient, awa: User, order: Order) -> None:
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
        {"cursor": "cD1ub3c="},
        {"page_size": "many"},
        {"created_before": ""},
        {"created_after": "1969-12-31T00:00:00Z"},
        {"page_size": 101},
        {"cursor": "cD0wMDAxLTAxLTAxIDEyOjAw"},
        {"cursor": "%00"},
        {"cursor": "cD0wMDAxLTAxLTAyIDEyOjAw"},
    ):
        assert api.get(PAYMENTS, query).status_code == 400, query


@pytest.mark.django_db(transaction=True)
def test_how_many_statements_each_takes(
    api: APIClient, awa: User, order: Order, gateway: FakeGateway, statements: Statements
) -> None:
    create(api, order=str(order.pk))  # the content type is in Django's memory from now on
    key = str(uuid4())

    with statements:
        assert create(api, key, order=str(order.pk)).status_code == 201
    ours = [sql for sql in statements if "host_order" not in sql]
    assert len(ours) == 6
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


def test_a_key_gives_the_same_answer(api: APIClient, order: Order, gateway: FakeGateway, notify: Notify) -> None:
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


def test_a_key_is_each_users_own(api: APIClient, stranger: APIClient, order: Order, gateway: FakeGateway) -> None:
    key = str(uuid4())

    first, second = create(api, key, order=str(order.pk)), create(stranger, key, order=str(order.pk))

    assert first.json()["reference"] != second.json()["reference"]
    assert create(stranger, key, order=str(order.pk)).content == second.content


def test_a_key_takes_up_what_the_gateway_did_not_open(api: APIClient, order: Order, gateway: FakeGateway) -> None:
    gateway.answers(b"", 500)
    key = str(uuid4())
    kept = create(api, key, order=str(order.pk))
    assert kept.status_code == 503
    gateway.opens()

    response = create(api, key, order=str(order.pk))

    assert (response.status_code, response.json()["reference"]) == (201, kept.json()["reference"])


def outrun_payment(request: Any, data: Any) -> Payment:
    """Be overtaken by the same request."""
    rival = APIClient()
    rival.force_authenticate(User.objects.get(username="awa"))
    with override_settings(PAIEMENTPRO_PAYMENT_FACTORY=FACTORY):
        assert create(rival, request.headers["Idempotency-Key"], **data["sent"]).status_code == 201
    return new_payment(request, data)


class OutrunPayments(views.PaymentViewSet):
    def make_payment(self, data: Any) -> Payment:
        return super().make_payment({**data, "sent": self.request.data})


def test_of_two_that_are_at_it_at_once_the_second_gives_the_firsts_answer(
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


def test_a_key_is_forgotten_after_a_day(api: APIClient, order: Order, gateway: FakeGateway) -> None:
    key = str(uuid4())
    first = create(api, key, order=str(order.pk))
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24))

    assert create(api, key, order=str(order.pk)).json()["reference"] != first.json()["reference"]

    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24))
    call_command("paiementpro_reconcile")
    assert not IdempotencyKey.objects.exists()


@pytest.mark.parametrize("key", ["é", "a" * 256, '""', "a b"])
def test_a_key_that_is_none_is_told(api: APIClient, order: Order, key: str) -> None:
    assert problem_of(create(api, key, order=str(order.pk))) == "invalid-key"


def test_a_strangers_key_is_long(stranger: APIClient, order: Order) -> None:
    assert problem_of(create(stranger, "1234", order=str(order.pk))) == "invalid-key"


def test_a_host_may_demand_keys(api: APIClient, order: Order, settings: Any) -> None:
    settings.PAIEMENTPRO_API_KEY_REQUIRED = True

    assert problem_of(create(api, order=str(order.pk))) == "key-missing"


# Waiting --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["detail", "status"])
def test_who_waits_is_told_when_to_ask_again(api: APIClient, awa: User, path: str) -> None:
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
def test_bad_input_is_answered_400(api: APIClient, body: bytes) -> None:
    response = api.post(PAYMENTS, body, content_type="application/json")

    assert response.status_code == 400, response.content
    assert problem_of(response) in {"malformed", "invalid-request"}


def test_a_form_may_be_sent_too(api: APIClient, order: Order, gateway: FakeGateway) -> None:
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
def test_what_is_not_spoken_is_told(api: APIClient, arguments: Any, status: int, kind: str) -> None:
    response = api.post(PAYMENTS, b"{}", **arguments)

    assert (response.status_code, problem_of(response)) == (status, kind)


def test_too_many_at_once_are_told_to_come_back(api: APIClient, order: Order, settings: Any) -> None:
    settings.PAIEMENTPRO_API_GATEWAY_CALLS = 1
    for key in ("", "a-key"):
        with calls.openings.place():
            response = create(api, key, order=str(order.pk))
        assert (response.status_code, problem_of(response), response["Retry-After"]) == (503, "busy", "5")
    assert not Payment.objects.exists()


# The host's own -------------------------------------------------------------------------------------------------------


class HostsPayments(views.PaymentViewSet):
    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(request, *args, **kwargs)


@pytest.mark.parametrize("viewset", [views.PaymentViewSet, HostsPayments])
def test_no_transaction_and_no_login_page_is_wrapped_around_it(viewset: Any) -> None:
    view = viewset.as_view({"get": "list"})

    assert view._non_atomic_requests == set(connections)
    assert view.login_required is False
    assert view.csrf_exempt is True
    assert view(APIRequestFactory().get("/")).status_code == 403


def test_a_session_needs_a_csrf_token(awa: User, order: Order) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(awa)

    assert problem_of(create(client, order=str(order.pk))) == "permission-denied"
