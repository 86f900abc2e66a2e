"""Real payloads, compared with the schema that the documentation publishes."""

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.models import Payment
from django_paiementpro.signals import SIGNALS
from django_paiementpro.testing import decline, deliver_signals, expire, make_payment, pay
from django_paiementpro.webhooks.models import Delivery, Endpoint, type_of
from django_paiementpro.webhooks.payloads import test_body as make_test_body
from tests.docs.pages import DOCS
from tests.host.models import Order

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("connected", "unsent")]

SCHEMA = json.loads((DOCS / "schemas" / "webhooks-v1.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())

#: What would identify the customer of ``make_payment``.
CUSTOMER = ("Awa", "Koné", "Kon\\u00e9", "awa@example", "0707123456", "Order 42", "Commande")


@pytest.fixture
def unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what is recorded to be read."""
    monkeypatch.setattr("django_paiementpro.webhooks.receivers.run_after_response", lambda work: None)


def refund(payment: Payment) -> None:
    pay(payment)
    user = User.objects.create(username="awa.staff")
    services.refund_payment(
        payment, user, amount=500, reason="Awa Koné", fee=20, kind="chargeback", refunded_on=timezone.localdate()
    )


MAKE: dict[str, Callable[[Payment], Any]] = {
    "payment_succeeded": pay,
    "payment_failed": decline,
    "payment_expired": expire,
    "payment_cancelled": lambda payment: services.cancel_payment(payment, "Awa Koné changed her mind"),
    "payment_flagged": lambda payment: services.flag_payment(payment, "Awa Koné called"),
    "payment_refunded": refund,
}


def body_after(signal: str, *, include_customer: bool = False, **values: Any) -> tuple[Payment, dict[str, Any]]:
    """Let a signal be sent for a payment. Return it, and the body of the webhook."""
    Endpoint.objects.create(url="https://hooks.example.com/", events=[signal], include_customer=include_customer)
    values = {"content_object": Order.objects.create(), "description": "Commande 42", **values}
    payment = make_payment(status="pending", attempt=1, **values)
    with deliver_signals():
        MAKE[signal](payment)
    payment.refresh_from_db()
    [delivery] = Delivery.objects.all()
    body: dict[str, Any] = json.loads(delivery.body)
    assert delivery.body.isascii()
    assert delivery.type == body["type"]
    assert delivery.event is not None
    assert delivery.event.payment_id == payment.pk
    return payment, body


def properties_of(kind: str) -> set[str]:
    data = SCHEMA["$defs"][kind]["properties"]["data"]
    return {*SCHEMA["$defs"]["payment"]["properties"], *data.get("properties", {})}


def test_every_signal_has_a_schema() -> None:
    assert {*map(type_of, SIGNALS), "test"} == SCHEMA["$defs"].keys() - {"moment", "payment"}
    assert [reference["$ref"].rpartition("/")[2] for reference in SCHEMA["oneOf"]] == [*map(type_of, SIGNALS), "test"]
    assert SCHEMA["$defs"]["payment"]["properties"]["status"]["enum"] == Payment.Status.values
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("include_customer", [False, True])
@pytest.mark.parametrize("signal", SIGNALS)
def test_payload_is_as_documented(signal: str, include_customer: bool) -> None:
    _payment, body = body_after(signal, include_customer=include_customer)

    VALIDATOR.validate(body)
    assert body.keys() == {"type", "timestamp", "data"}
    personal = set() if include_customer else {"customer", "description"}
    assert body["data"].keys() == properties_of(body["type"]) - personal


@pytest.mark.parametrize("signal", SIGNALS)
def test_payload_says_nothing_about_the_customer_unless_the_host_wants_it(signal: str) -> None:
    payment, body = body_after(signal)
    text = json.dumps(body) + json.dumps(body, ensure_ascii=False)
    assert [word for word in CUSTOMER if word in text] == []
    assert payment.url_nonce not in text
    assert "://" not in text


def test_payload_of_a_successful_payment() -> None:
    payment, body = body_after("payment_succeeded", amount=12500)
    assert payment.settled_at is not None
    assert body["type"] == "payment.succeeded"
    assert body["timestamp"] == payment.events.get(kind="notification").created_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert body["data"] == {
        "reference": payment.reference,
        "status": "succeeded",
        "amount": 12500,
        "currency": "XOF",
        "refunded_amount": 0,
        "needs_review": False,
        "channel": payment.gateway_channel,
        "merchant_id": "PP-F324",
        "gateway_id": payment.gateway_id,
        "order": {"model": "host.order", "id": payment.object_id},
        "created_at": payment.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "settled_at": payment.settled_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def test_customer_is_sent_if_the_host_wants_it() -> None:
    payment, body = body_after("payment_succeeded", include_customer=True)
    assert body["data"]["description"] == "Commande 42"
    assert body["data"]["customer"] == {
        "first_name": payment.customer_first_name,
        "last_name": payment.customer_last_name,
        "email": payment.customer_email,
        "phone": "+2250707123456",
    }


def test_phone_that_cannot_be_read_is_sent_as_typed() -> None:
    _payment, body = body_after("payment_succeeded", include_customer=True, customer_phone="abc")
    assert body["data"]["customer"]["phone"] == "abc"


def test_flag_says_why() -> None:
    _payment, body = body_after("payment_flagged")
    assert body["data"]["findings"] == ["host"]
    assert body["data"]["needs_review"] is True


def test_refund_says_how_much() -> None:
    _payment, body = body_after("payment_refunded")
    assert body["data"]["refunded_amount"] == 500
    assert body["data"]["refund"] == {
        "amount": 500,
        "fee": 20,
        "kind": "chargeback",
        "reference": "",
        "refunded_on": timezone.localdate().isoformat(),
    }


def test_payment_without_an_order_has_none() -> None:
    _payment, body = body_after("payment_cancelled", content_object=None)
    assert body["data"]["order"] is None
    VALIDATOR.validate(body)


def test_user_is_not_named_as_an_order() -> None:
    _payment, body = body_after("payment_cancelled", content_object=User.objects.create(username="awa"))
    assert body["data"]["order"] is None


def test_test_is_about_no_payment() -> None:
    body = json.loads(make_test_body(timezone.now()))
    VALIDATOR.validate(body)
    assert (body["type"], body["data"].keys()) == ("test", {"message"})


@pytest.mark.parametrize(
    "change",
    [
        {"type": "payment.lost"},
        {"timestamp": "yesterday"},
        {"data": {}},
    ],
)
def test_schema_refuses_what_is_not_a_webhook(change: dict[str, Any]) -> None:
    _payment, body = body_after("payment_cancelled")
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(body | change)
