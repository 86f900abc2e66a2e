"""Tables that cannot hold every character: what decides nothing is stored without what does not fit."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DataError, OperationalError, connection, transaction
from django.test import Client

from django_paiementpro import services
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import PAYMENT_UPDATES, Heard, Notify, stored

pytestmark = pytest.mark.django_db(transaction=True)


TABLES = ["paiementpro_payment", "paiementpro_paymentevent", "paiementpro_finding", "paiementpro_refund"]

#: The last character of MySQL's character sets.
LIMITS = {"latin1": 0xFF, "utf8mb3": 0xFFFF}

CONVERSION = {"mysql": "ALTER TABLE {} CONVERT TO CHARACTER SET {}"}.get(connection.vendor, "SELECT 1")


def convert(character_set: str) -> None:
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(CONVERSION.format(table, character_set))


def refuse_beyond(limit: int) -> Callable[..., Any]:
    """Return what refuses the characters beyond this one, as PostgreSQL does."""

    def refuse(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        texts = [text for text in params or () if isinstance(text, str)]
        if max(map(ord, "".join(texts)), default=0) > limit:
            raise DataError("character has no equivalent in encoding")
        return execute(sql, params, many, context)

    return refuse


@pytest.fixture(params=list(LIMITS))
def narrow(request: pytest.FixtureRequest) -> Iterator[str]:
    """Convert the tables of MariaDB; play a database of that encoding with the others."""
    limit = LIMITS[request.param]

    convert(request.param)
    with connection.execute_wrapper(refuse_beyond(0x10FFFF if connection.vendor == "mysql" else limit)):
        yield request.param
    convert("utf8mb4")


def test_success_with_an_emoji_settles(payment: Payment, notify: Notify, heard: Heard, narrow: str) -> None:
    texts = {"message": "Payé 👍", "channel": "é€👍", "returnContext": "👍", "sessionId": ["Ω", "7"]}

    assert notify(payment, **texts).status_code == 200
    assert notify(payment, **texts).status_code == 200

    payment = stored(payment)
    assert (payment.status, payment.needs_review) == ("succeeded", False)
    assert heard.names == ["payment_succeeded"]
    assert [event.outcome for event in payment.events.all()] == ["accepted", "duplicate"]
    assert payment.response_message == "Payé \\U0001f44d"
    assert payment.gateway_channel == "é\\u20ac\\U0001f44d"


def test_success_settles_where_only_ascii_is_stored(payment: Payment, notify: Notify) -> None:
    with connection.execute_wrapper(refuse_beyond(0x7F)):
        assert notify(payment, message="Payé 👍").status_code == 200

    assert (stored(payment).status, stored(payment).response_message) == ("succeeded", "Pay\\xe9 \\U0001f44d")
    assert payment.events.get().outcome == "accepted"


def test_long_text_is_cut_once_it_is_escaped(payment: Payment, notify: Notify, narrow: str) -> None:
    assert notify(payment, message="👍" * 255, channel="👍" * 32).status_code == 200
    payment = stored(payment)
    assert payment.status == "succeeded"
    assert (len(payment.response_message), len(payment.gateway_channel)) == (255, 32)


@pytest.mark.parametrize("gateway_id", ["ЖЮ-42 👍", "Ω1", "Ё🎉"])
def test_non_latin_transaction_id_is_compared_unchanged(
    payment: Payment, notify: Notify, narrow: str, gateway_id: str
) -> None:
    for _ in range(2):
        assert notify(payment, payId=gateway_id).status_code == 200
    assert not stored(payment).needs_review

    assert notify(payment, payId=f"{gateway_id}9").status_code == 200
    assert [finding.reason for finding in payment.findings.all()] == ["paid_twice"]
    assert [event.outcome for event in payment.events.all()] == ["accepted", "duplicate", "conflict"]


@pytest.mark.parametrize("fields", [{"amount": 1}, {"merchantId": "👍"}, {"responsecode": "👍"}, {"amount": "👍"}])
def test_refusal_and_conflict_are_recorded(
    payment: Payment, notify: Notify, narrow: str, fields: dict[str, Any]
) -> None:
    answers = {notify(payment, message="é👍", **fields).status_code for _ in range(2)}

    assert len(answers) == 1
    assert stored(payment).status == "pending"
    assert payment.events.count() == 2
    assert payment.findings.count() == (0 if fields == {"amount": "👍"} else 1)


def test_gateway_refusal_message_is_recorded(gateway: FakeGateway, narrow: str) -> None:
    payment = make_payment()
    gateway.refuses("Référence refusée 👎")

    assert Client().get(payment.get_checkout_url()).status_code == 502
    assert payment.events.get().message.endswith("\\U0001f44e")


def test_staff_reason_is_recorded(payment: Payment, narrow: str) -> None:
    awa = User.objects.create_user("awa")
    other = make_payment(status="succeeded", attempt=1)
    services.cancel_payment(payment, "Épuisé 😢")
    services.refund_payment(other, awa, amount=100, reason="Cassé 😢")

    messages = [event.message for event in PaymentEvent.objects.all()]
    assert all(message.endswith(" \\U0001f622") for message in messages)
    assert other.refunds.get().reason == messages[1]


@pytest.mark.parametrize(("code", "count"), [(1366, 3), (3988, 3), (1213, 7), (None, 7)])
def test_database_error_is_classified(
    payment: Payment, monkeypatch: pytest.MonkeyPatch, code: int | None, count: int
) -> None:
    asked = []

    def broken(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if sql.startswith(PAYMENT_UPDATES):
            asked.append(sql)
            raise OperationalError(*([code, "refused"] if code else []))
        return execute(sql, *arguments)

    monkeypatch.setattr(services.transactions.time, "sleep", lambda seconds: None)
    with connection.execute_wrapper(broken), pytest.raises(OperationalError):
        services.cancel_payment(payment, "Sold out")
    assert len(asked) == count
    assert stored(payment).status == "pending"


def test_nothing_is_retried_in_the_hosts_transaction(payment: Payment) -> None:
    def broken(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if sql.startswith(PAYMENT_UPDATES):
            raise DataError("refused")
        return execute(sql, *arguments)

    with connection.execute_wrapper(broken), pytest.raises(DataError), transaction.atomic():
        services.cancel_payment(payment, "Épuisé")
    assert stored(payment).status == "pending"


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
def test_unstorable_reason_is_escaped_or_kept(payment: Payment, text: str) -> None:
    services.cancel_payment(payment, text)

    assert stored(payment).status == "cancelled"
    assert payment.events.get().message in {text, "a\\ufffdb"}
