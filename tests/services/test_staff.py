"""What staff decide: ``services`` beyond the gateway's word."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection, connections, transaction
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from django_paiementpro import services, signals
from django_paiementpro.exceptions import GatewayUnavailableError
from django_paiementpro.models import Finding, Payment, PaymentEvent
from django_paiementpro.services.staff import missing_receivers_of, undelivered_events_of
from django_paiementpro.signals import payment_refunded
from django_paiementpro.testing import FakeGateway, make_payment, notify, pay
from django_paiementpro.testing.notifications import notification_fields
from tests.conftest import EVENT_INSERTS, TRANSITION, Heard, Notify, Statements, stored

# Signals are sent after real commits.
pytestmark = pytest.mark.django_db(transaction=True)

Settings = Any

PAID = {"status": "succeeded", "attempt": 1, "settled_by": "notification", "gateway_id": "1"}
PROOF = {"gateway_id": "CI20230131", "amount": 12500, "reason": "Seen in the back office"}
REFUND = {"amount": 12500, "reference": "R-1", "reason": "Out of stock"}


@pytest.fixture
def awa(db: None) -> User:
    return User.objects.create_user("awa")


def newest_event() -> PaymentEvent:
    """Return the event with the payment as it is now."""
    return PaymentEvent.objects.select_related("payment").latest("pk")


def full_width(text: str) -> str:
    return "".join(chr(ord(character) + 0xFEE0) for character in text)


def flagged(**values: Any) -> Payment:
    """Return a payment with an open finding."""
    payment = make_payment(needs_review=True, **values)
    Finding.objects.create(payment=payment, reason="unknown_code", detail="7")
    return payment


def findings(payment: Payment) -> list[str]:
    """Return the open findings, each as ``reason: detail``."""
    return [str(finding) for finding in payment.findings.filter(reviewed_at=None)]


def code_of(error: pytest.ExceptionInfo[ValidationError]) -> str:
    """Return the code of a refusal, whose message is translated into French."""
    english = error.value.messages
    with translation.override("fr"):
        assert error.value.messages != english
    return str(error.value.code)


# Confirming by hand


@pytest.mark.parametrize("status", ["pending", "failed", "expired"])
def test_confirmed_payment_succeeds(awa: User, heard: Heard, status: str) -> None:
    payment = make_payment(status=status, attempt=2)

    event = services.confirm_payment(payment, awa, **PROOF)

    after = stored(payment)
    assert (after.status, after.settled_by, after.gateway_id) == ("succeeded", "staff", "CI20230131")
    assert (after.settled_attempt, after.response_code) == (None, "")
    assert after.settled_at is not None
    assert heard.names == ["payment_succeeded"]
    assert (event.kind, event.outcome, event.message) == ("staff", "accepted", "Seen in the back office")
    assert event.data == {
        "action": "confirm",
        "user": "awa",
        "user_id": str(awa.pk),
        "gateway_id": "CI20230131",
        "amount": 12500,
    }


def test_page_whose_answer_was_lost_can_be_confirmed(awa: User) -> None:
    payment = make_payment(status="created", attempt=1)
    services.confirm_payment(payment, awa, **PROOF)
    assert stored(payment).status == "succeeded"


def test_confirmed_cancelled_payment_is_flagged(awa: User, heard: Heard) -> None:
    payment = make_payment(status="cancelled", attempt=1)

    event = services.confirm_payment(payment, awa, **PROOF)

    assert (stored(payment).status, stored(payment).needs_review) == ("succeeded", True)
    assert heard.names == ["payment_succeeded", "payment_flagged"]
    assert event.data["finding"] == "paid_after_cancellation: CI20230131"


@pytest.mark.parametrize("values", [{"status": "succeeded"}, {"status": "refunded"}, {"status": "created"}])
def test_paid_or_unsent_payment_cannot_be_confirmed(awa: User, heard: Heard, values: dict[str, str]) -> None:
    payment = make_payment(**values)
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(payment, awa, **PROOF)
    assert code_of(error) == "not_confirmable"
    assert (stored(payment).status, heard, PaymentEvent.objects.count()) == (values["status"], [], 0)


def test_payment_of_another_amount_is_not_confirmed(awa: User, payment: Payment, heard: Heard) -> None:
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(payment, awa, **{**PROOF, "amount": 12499})
    assert code_of(error) == "amount_mismatch"
    assert (stored(payment).status, heard) == ("pending", [])


# One transaction pays for one payment


def test_transaction_of_a_paid_payment_is_refused(awa: User, payment: Payment, heard: Heard) -> None:
    other = make_payment(**PAID)
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": "1"})
    assert code_of(error) == "gateway_id_taken"
    assert error.value.messages == [f"This transaction has already paid payment {other.reference}."]
    assert (stored(payment).status, heard, payment.events.count()) == ("pending", [], 0)


def test_confirmations_wait_for_each_other(awa: User, payment: Payment) -> None:
    with CaptureQueriesContext(connection) as queries:
        services.confirm_payment(payment, awa, **PROOF)
    [lock] = [query["sql"] for query in queries if 'FROM "django_content_type"' in query["sql"].replace("`", '"')]
    assert "'paiementpro'" in lock
    assert "'payment'" in lock


TRANSACTION = "CI20230131.1533.A00042"

SPELLINGS = {
    "unchanged": TRANSACTION,
    "lower case": "ci20230131.1533.a00042",
    "mixed case": "Ci20230131.1533.a00042",
    "spaces around": f"  {TRANSACTION}\t",
    "line break": f"{TRANSACTION}\r\n",
    "no-break space at the end": f"{TRANSACTION}\N{NO-BREAK SPACE}",
    "zero-width space at the end": f"{TRANSACTION}\N{ZERO WIDTH SPACE}",
    "word joiner at the end": f"{TRANSACTION}\N{WORD JOINER}",
    "left-to-right mark": f"\N{LEFT-TO-RIGHT MARK}{TRANSACTION}",
    "number sign": f"#{TRANSACTION}",
    "full stop at the end": f"{TRANSACTION}.",
    "spaces": "CI 20230131 1533 A00042",
    "no punctuation": "CI202301311533A00042",
    "hyphens": "CI20230131-1533-A00042",
    "en dashes": "CI20230131–1533–A00042",
    "other punctuation": "#CI20230131/1533_A00042.",
    "no-break space": "CI20230131.1533.\N{NO-BREAK SPACE}A00042",
    "narrow no-break space": "CI20230131\N{NARROW NO-BREAK SPACE}1533\N{NARROW NO-BREAK SPACE}A00042",
    "zero-width space": "CI20230131.\N{ZERO WIDTH SPACE}1533.A00042\N{ZERO WIDTH SPACE}",
    "word joiner": "CI20230131.1533.A\N{WORD JOINER}00042",
    "soft hyphen": "CI2023\N{SOFT HYPHEN}0131.1533.A00042",
    "direction marks": f"\N{LEFT-TO-RIGHT EMBEDDING}{TRANSACTION}\N{POP DIRECTIONAL FORMATTING}",
    "full width": full_width(TRANSACTION),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("status", ["succeeded", "refunded"])
def test_transaction_is_refused_in_any_spelling(
    awa: User, payment: Payment, heard: Heard, status: str, spelling: str
) -> None:
    make_payment(**{**PAID, "status": status, "gateway_id": TRANSACTION})
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": spelling})
    assert (code_of(error), stored(payment).status, heard) == ("gateway_id_taken", "pending", [])


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_stored_spelling_makes_no_difference(awa: User, payment: Payment, notify: Notify, spelling: str) -> None:
    assert notify(make_payment(status="pending", attempt=1), payId=spelling).status_code == 200
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": TRANSACTION})
    assert code_of(error) == "gateway_id_taken"


@pytest.mark.parametrize("gateway_id", ["CI20230131.1533.A00043", "CI20230131.1533.A0004", "20230131.1533.A00042"])
def test_similar_transaction_is_another(awa: User, payment: Payment, gateway_id: str) -> None:
    make_payment(**{**PAID, "gateway_id": TRANSACTION})
    services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": gateway_id})
    assert (stored(payment).status, stored(payment).gateway_id) == ("succeeded", gateway_id)


@pytest.mark.parametrize("status", ["pending", "failed", "expired", "cancelled"])
def test_transaction_of_an_unpaid_payment_is_free(awa: User, payment: Payment, status: str) -> None:
    make_payment(status=status, attempt=1, gateway_id=PROOF["gateway_id"])
    services.confirm_payment(payment, awa, **PROOF)
    assert stored(payment).status == "succeeded"


def test_long_transaction_ids_are_compared_as_they_are_stored(awa: User, payment: Payment, notify: Notify) -> None:
    gateway_id = "CI-" * 60
    other = make_payment(status="pending", attempt=1)
    services.confirm_payment(other, awa, **{**PROOF, "gateway_id": gateway_id})
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": gateway_id})
    assert code_of(error) == "gateway_id_taken"
    notify(payment, payId=gateway_id)
    assert [finding.reason for finding in payment.findings.all()] == ["transaction_reused"]


@pytest.mark.parametrize("gateway_id", ["", " ", "-", "\N{NO-BREAK SPACE}", "\N{ZERO WIDTH SPACE}", "#."])
def test_transaction_without_letters_and_digits_is_refused(awa: User, payment: Payment, gateway_id: str) -> None:
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": gateway_id})
    assert (code_of(error), stored(payment).status) == ("gateway_id_missing", "pending")


def test_payment_can_be_confirmed_after_a_refusal(awa: User, payment: Payment) -> None:
    make_payment(**PAID)
    with pytest.raises(ValidationError):
        services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": "1"})
    assert (payment.status, payment.events.count()) == ("pending", 0)
    services.confirm_payment(payment, awa, **PROOF)
    assert stored(payment).status == "succeeded"


@pytest.mark.parametrize("spelling", ["second", "SEC-OND", full_width("SECOND"), " SEC\N{ZERO WIDTH SPACE}OND"])
def test_transaction_of_an_open_finding_is_refused(
    awa: User, payment: Payment, notify: Notify, heard: Heard, spelling: str
) -> None:
    other = make_payment(status="pending", attempt=1)
    notify(other, payId="FIRST")
    notify(other, payId="SECOND")
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": spelling})
    assert code_of(error) == "gateway_id_taken"
    assert error.value.messages == [f"This transaction belongs to payment {other.reference}, which needs a review."]
    assert (stored(payment).status, heard.names) == ("pending", ["payment_succeeded", "payment_flagged"])
    services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": "SEC"})
    assert stored(payment).status == "succeeded"


def test_transaction_of_a_reviewed_finding_is_free(awa: User, payment: Payment, notify: Notify) -> None:
    other = make_payment(status="pending", attempt=1)
    notify(other, payId="FIRST")
    notify(other, payId="SECOND")
    notify(other, responsecode=7)
    [paid_twice, unknown_code] = other.findings.all()

    services.review_payment(stored(other), awa, "Another of their orders", unknown_code)
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": "SECOND"})
    assert code_of(error) == "gateway_id_taken"

    services.review_payment(stored(other), awa, "They meant to pay for another order", paid_twice)
    services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": "SECOND"})
    assert (stored(payment).status, stored(payment).needs_review) == ("succeeded", False)


def test_own_finding_does_not_block_the_confirmation(awa: User) -> None:
    payment = make_payment(status="cancelled", attempt=1)
    Finding.objects.create(payment=payment, reason="paid_twice", detail="CI20230131", gateway_key="ci20230131")
    services.confirm_payment(payment, awa, **PROOF)
    assert stored(payment).status == "succeeded"


@pytest.mark.parametrize("spelling", [PROOF["gateway_id"], "ci 2023 0131", full_width("CI20230131")])
def test_confirmed_transaction_of_another_payment_is_flagged(
    awa: User, payment: Payment, notify: Notify, heard: Heard, spelling: str
) -> None:
    services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": spelling})
    other = make_payment(status="pending", attempt=1)
    assert notify(other, payId=PROOF["gateway_id"]).status_code == 200
    after = stored(other)
    assert (after.status, after.needs_review) == ("succeeded", True)
    assert heard.names == ["payment_succeeded", "payment_succeeded", "payment_flagged"]
    assert heard[-1][1].needs_review
    event, finding = other.events.get(), other.findings.get()
    assert str(finding) == f"transaction_reused: CI20230131 {payment.reference}"
    assert (finding.event, finding.gateway_key) == (event, "ci20230131")
    assert (event.outcome, event.reason, event.message) == ("accepted", "transaction_reused", str(finding))


def test_refunded_confirmation_still_flags_the_transaction(awa: User, payment: Payment, notify: Notify) -> None:
    services.confirm_payment(payment, awa, **PROOF)
    services.refund_payment(payment, awa, **REFUND)
    other = make_payment(status="pending", attempt=1)
    notify(other, payId=PROOF["gateway_id"])
    assert [finding.reason for finding in other.findings.all()] == ["transaction_reused"]


def test_all_findings_of_a_notification_are_raised(awa: User, payment: Payment, notify: Notify, heard: Heard) -> None:
    services.confirm_payment(payment, awa, **PROOF)
    other = make_payment(status="cancelled", attempt=1)
    notify(other, payId=PROOF["gateway_id"])
    assert [finding.reason for finding in other.findings.all()] == ["paid_after_cancellation", "transaction_reused"]
    assert heard.names[1:] == ["payment_succeeded", "payment_flagged"]
    assert other.events.get().message == "; ".join(findings(other))


def test_transaction_that_the_gateway_uses_twice_is_not_flagged(notify: Notify, heard: Heard) -> None:
    for _ in range(2):
        notify(make_payment(status="pending", attempt=1), payId="same")
    assert heard.names == ["payment_succeeded", "payment_succeeded"]


def test_one_of_several_confirmations_at_once_succeeds(awa: User) -> None:
    spellings = list(SPELLINGS.values())[-6:]
    payments = [make_payment(status="pending", attempt=1) for _ in spellings]
    barrier = Barrier(len(payments))

    def confirm(payment: Payment, spelling: str) -> str:
        try:
            barrier.wait()
            services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": spelling})
        except ValidationError as error:
            return str(error.code)
        finally:
            connections.close_all()
        return "confirmed"

    with ThreadPoolExecutor(len(payments)) as pool:
        answers = sorted(pool.map(confirm, payments, spellings))
    assert answers == ["confirmed"] + ["gateway_id_taken"] * 5
    assert Payment.objects.filter(status="succeeded").count() == 1


@pytest.mark.parametrize("spelling", [PROOF["gateway_id"], "ci-2023-0131"])
def test_notification_after_the_confirmation_is_a_duplicate(
    awa: User, payment: Payment, notify: Notify, heard: Heard, spelling: str
) -> None:
    services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": spelling})
    assert notify(payment, payId=PROOF["gateway_id"]).status_code == 200
    assert stored(payment).needs_review is False
    assert heard.names == ["payment_succeeded"]


def test_second_transaction_after_the_confirmation_is_flagged(
    awa: User, payment: Payment, notify: Notify, heard: Heard
) -> None:
    services.confirm_payment(payment, awa, **PROOF)
    notify(payment, payId="another")
    assert findings(payment) == [f"paid_twice: {payment.reference} another"]
    assert heard.names == ["payment_succeeded", "payment_flagged"]


# Twice


def acts(awa: User) -> dict[str, Any]:
    return {
        "confirm": lambda payment: services.confirm_payment(payment, awa, **PROOF),
        "check": lambda payment: services.ask_gateway(payment, awa, "He says so"),
        "review": lambda payment: services.review_payment(payment, awa, "All is well"),
        "refund": lambda payment: services.refund_payment(payment, awa, **REFUND),
        "redeliver": lambda payment: services.redeliver_signals(payment, awa, "The mail was away"),
    }


@pytest.mark.parametrize("action", ["confirm", "check", "review", "refund", "redeliver"])
def test_second_click_does_nothing(awa: User, heard: Heard, action: str) -> None:
    status = {"refund": "succeeded", "redeliver": "succeeded"}.get(action, "pending")
    payment = flagged(status=status, attempt=1)
    first, second = stored(payment), stored(payment)

    acts(awa)[action](first)
    sent = list(heard)
    with pytest.raises(ValidationError) as error:
        acts(awa)[action](second)

    assert code_of(error) == "changed"
    assert heard == sent
    assert payment.events.filter(kind="staff").count() == 1


def test_notification_received_meanwhile_prevails(awa: User, payment: Payment, notify: Notify, heard: Heard) -> None:
    seen = stored(payment)
    notify(payment)
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(seen, awa, **PROOF)
    assert code_of(error) == "changed"
    assert stored(payment).settled_by == "notification"
    assert heard.names == ["payment_succeeded"]


def test_several_acts_on_the_same_copy_are_done(awa: User) -> None:
    payment = flagged(status="pending", attempt=1)
    services.review_payment(payment, awa, "Given back")
    services.confirm_payment(payment, awa, **PROOF)
    services.refund_payment(payment, awa, **REFUND)
    assert stored(payment).status == "refunded"


@pytest.mark.parametrize("action", ["confirm", "review", "refund", "redeliver"])
def test_action_can_be_repeated_after_a_rollback(awa: User, heard: Heard, action: str) -> None:
    status = {"refund": "succeeded", "redeliver": "succeeded"}.get(action, "pending")
    payment = flagged(status=status, attempt=1)
    before = stored(payment).updated_at

    with transaction.atomic():
        acts(awa)[action](payment)
        transaction.set_rollback(True)
    assert (stored(payment).updated_at, payment.events.count(), heard) == (before, 0, [])

    acts(awa)[action](payment)
    assert [event.data["action"] for event in payment.events.all()] == [action]
    assert len(heard) == (0 if action == "review" else 1)
    assert payment.updated_at == stored(payment).updated_at > before


# Cancelling


@pytest.mark.parametrize("status", ["succeeded", "expired", "cancelled", "refunded"])
def test_final_payment_is_not_cancelled(heard: Heard, status: str) -> None:
    payment = make_payment(status=status)
    with pytest.raises(ValidationError) as error:
        services.cancel_payment(payment, "Given up")
    assert (code_of(error), stored(payment).status, heard) == ("not_cancellable", status, [])


def test_cancelling_sends_a_signal_once(heard: Heard) -> None:
    payment = make_payment()

    event = services.cancel_payment(payment, "Out of stock")

    assert heard == [("payment_cancelled", payment)]
    assert (event.kind, event.message, event.signals) == ("host", "Out of stock", ["payment_cancelled"])
    with pytest.raises(ValidationError):
        services.cancel_payment(payment, "Out of stock")
    assert len(heard) == 1


# Findings of the host


def test_host_flags_a_payment(heard: Heard) -> None:
    payment = pay(make_payment())
    heard.clear()
    message = "Payé en retard :\nla marchandise est partie 😢 " + "x" * 300

    event = services.flag_payment(payment, message)

    finding = payment.findings.get()
    assert (event.kind, event.outcome, event.reason, event.message) == ("host", "conflict", "host", message)
    assert (finding.reason, finding.event) == ("host", event)
    assert finding.detail == "Payé en retard : la marchandise est partie 😢 " + "x" * 155
    assert heard.names == ["payment_flagged"]
    assert (stored(payment).needs_review, stored(payment).status) == (True, "succeeded")


def test_same_message_is_raised_once_until_it_is_reviewed(awa: User, heard: Heard) -> None:
    payment = make_payment(status="succeeded")
    for _ in range(3):
        services.flag_payment(payment, "Épuisé 😢")
    services.flag_payment(payment, "Another")
    assert heard.names == ["payment_flagged"] * 2
    assert findings(payment) == ["host: Épuisé 😢", "host: Another"]

    services.review_payment(payment, awa, "Refunded")
    services.flag_payment(payment, "Épuisé 😢")

    assert heard.names == ["payment_flagged"] * 3


def test_message_without_storable_characters_is_raised(heard: Heard) -> None:
    payment = make_payment()

    services.flag_payment(payment, "\x00\ud800")

    assert findings(payment) == ["host: \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"]


def test_flag_is_kept_by_the_transaction_of_its_caller(heard: Heard) -> None:
    payment = make_payment()
    with transaction.atomic():
        services.flag_payment(payment, "Out of stock")
        transaction.set_rollback(True)
    assert (findings(payment), heard) == ([], [])

    services.flag_payment(payment, "Out of stock")
    assert heard.names == ["payment_flagged"]


# Refunds


def test_refund_is_recorded(awa: User, heard: Heard) -> None:
    payment = make_payment(**PAID)

    event = services.refund_payment(payment, awa, **REFUND)

    after = stored(payment)
    assert (after.status, after.refunded_amount) == ("refunded", 12500)
    assert heard.names == ["payment_refunded"]
    assert (event.kind, event.message) == ("staff", "Out of stock")
    assert (event.data["amount"], event.data["refund_reference"]) == (12500, "R-1")
    refund = payment.refunds.get()
    assert (refund.amount, refund.reference, refund.reason, refund.event) == (12500, "R-1", "Out of stock", event)


@pytest.mark.parametrize("status", ["created", "pending", "failed", "expired", "cancelled", "refunded"])
def test_unpaid_or_refunded_payment_cannot_be_refunded(awa: User, heard: Heard, status: str) -> None:
    with pytest.raises(ValidationError) as error:
        services.refund_payment(make_payment(status=status), awa, **REFUND)
    assert (code_of(error), heard) == ("not_refundable", [])


@pytest.mark.parametrize(("amount", "status"), [(1, "succeeded"), (12499, "succeeded"), (12500, "refunded")])
def test_refund_may_be_any_part_of_the_amount(awa: User, heard: Heard, amount: int, status: str) -> None:
    payment = make_payment(**PAID)
    services.refund_payment(payment, awa, **{**REFUND, "amount": amount})
    assert (stored(payment).refunded_amount, stored(payment).status) == (amount, status)
    assert heard.names == ["payment_refunded"]


@pytest.mark.parametrize("amount", [-1, 0, 12501])
def test_refund_of_more_than_was_paid_or_of_nothing_is_refused(awa: User, heard: Heard, amount: int) -> None:
    payment = make_payment(**PAID)
    with pytest.raises(ValidationError) as error:
        services.refund_payment(payment, awa, **{**REFUND, "amount": amount})
    assert (code_of(error), heard) == ("amount_mismatch", [])
    assert (stored(payment).refunded_amount, payment.refunds.exists()) == (0, False)


# Reviews


def test_review_closes_the_findings_and_keeps_them(awa: User, payment: Payment, notify: Notify) -> None:
    notify(payment, amount=1)
    event = services.review_payment(stored(payment), awa, "Our own test")
    assert stored(payment).needs_review is False
    finding = payment.findings.get()
    assert (finding.reviewed_at, finding.reviewed_by, finding.note) == (event.created_at, awa, "Our own test")
    assert (event.message, event.data["findings"]) == ("Our own test", ["amount_mismatch: 1 != 12500"])


def test_finding_is_raised_again_after_the_review(awa: User, payment: Payment, notify: Notify, heard: Heard) -> None:
    notify(payment, amount=1)
    services.review_payment(stored(payment), awa, "Our own test")
    notify(payment, amount=1)
    assert stored(payment).needs_review is True
    assert heard.names == ["payment_flagged", "payment_flagged"]


def test_payment_without_findings_is_not_reviewed(awa: User, payment: Payment) -> None:
    with pytest.raises(ValidationError) as error:
        services.review_payment(payment, awa, "?")
    assert code_of(error) == "not_to_review"


# Asking


@pytest.mark.usefixtures("look_up")
def test_status_check_settles_the_payment(awa: User, payment: Payment, gateway: FakeGateway, heard: Heard) -> None:
    gateway.confirms(payment)
    assert services.ask_gateway(payment, awa, "She says so") == "succeeded"
    assert heard.names == ["payment_succeeded"]
    kinds = [(event.kind, event.message) for event in payment.events.all()]
    assert kinds == [("staff", "She says so"), ("status", "")]
    assert stored(payment).settled_by == "status"


@pytest.mark.usefixtures("look_up")
def test_status_check_without_a_transaction_proves_nothing(awa: User, payment: Payment, gateway: FakeGateway) -> None:
    assert services.ask_gateway(payment, awa, "She says so") == "pending"


@pytest.mark.usefixtures("look_up")
def test_unavailable_gateway_is_reported(awa: User, payment: Payment, gateway: FakeGateway) -> None:
    gateway.tells(payment.reference, "", status=500)
    with pytest.raises(GatewayUnavailableError):
        services.ask_gateway(payment, awa, "She says so")
    assert stored(payment).status == "pending"


@pytest.mark.usefixtures("look_up")
def test_receivers_do_not_occupy_a_look_up_slot(
    awa: User, payment: Payment, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.status, "WEB_LOOK_UPS", 1)
    gateway.confirms(payment)
    free: list[bool] = []

    def look(**kwargs: Any) -> None:
        with services.status.look_up_place() as is_free:
            free.append(is_free)

    signals.payment_succeeded.connect(look, dispatch_uid="look")
    try:
        services.ask_gateway(payment, awa, "She says so")
    finally:
        signals.payment_succeeded.disconnect(dispatch_uid="look")

    assert free == [True]


@pytest.mark.usefixtures("look_up")
def test_no_transaction_is_open_while_the_gateway_is_asked(awa: User, payment: Payment) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError):
        services.ask_gateway(payment, awa, "She says so")
    assert PaymentEvent.objects.count() == 0


# Delivering again


def test_signals_are_sent_again(awa: User, heard: Heard, settings: Settings) -> None:
    settings.PAIEMENTPRO_DELIVERY = "task"  # a person who asks for it waits for it anyway
    payment = make_payment(**PAID)
    assert services.redeliver_signals(payment, awa, "The mail was away") is True
    assert heard.names == ["payment_succeeded"]
    event = payment.events.get()
    assert (event.kind, event.signals) == ("staff", ["payment_succeeded"])
    assert event.data["action"] == "redeliver"


def test_only_owed_receivers_are_called(awa: User, payment: Payment, notify: Notify, heard: Heard) -> None:
    tries: list[str] = []

    def fails_once(**kwargs: Any) -> None:
        tries.append("try")
        if len(tries) < 3:
            raise OSError

    signals.payment_succeeded.connect(fails_once)
    try:
        notify(payment)
        assert services.redeliver_signals(stored(payment), awa, "Try again") is False
        assert services.redeliver_signals(stored(payment), awa, "And again") is True
    finally:
        signals.payment_succeeded.disconnect(fails_once)
    assert len(tries) == 3
    assert heard.names == ["payment_succeeded"]
    assert not undelivered_events_of(payment).exists()


def test_failing_receiver_stays_owed(awa: User, heard: Heard) -> None:
    def fails(**kwargs: Any) -> None:
        raise OSError

    payment = make_payment(**PAID)
    signals.payment_succeeded.connect(fails)
    try:
        assert services.redeliver_signals(payment, awa, "Try") is False
    finally:
        signals.payment_succeeded.disconnect(fails)
    assert undelivered_events_of(payment).count() == 1


@pytest.mark.parametrize("status", ["created", "pending"])
def test_status_without_a_signal_delivers_nothing(awa: User, heard: Heard, status: str) -> None:
    with pytest.raises(ValidationError) as error:
        services.redeliver_signals(make_payment(status=status), awa, "?")
    assert (code_of(error), heard) == ("nothing_to_deliver", [])


def test_without_receivers_nothing_is_delivered(awa: User) -> None:
    with pytest.raises(ValidationError) as error:
        services.redeliver_signals(make_payment(**PAID), awa, "?")
    assert code_of(error) == "nothing_to_deliver"


# Receivers that are missing


def owing(payment: Payment, **values: Any) -> PaymentEvent:
    """Return an event that owes a receiver which no process has any more."""
    owed = {"signals": ["payment_succeeded"], "receivers": ["payment_succeeded shop.gone"]}
    past = timezone.now() - timedelta(hours=1)
    kind = {"payment": payment, "kind": "notification", "outcome": "accepted"}
    return PaymentEvent.objects.create(**kind | {"deliver_at": past} | owed | values)


def test_signals_owed_to_missing_receivers_can_be_discarded(awa: User) -> None:
    payment = make_payment(**PAID)
    event = owing(payment)
    assert missing_receivers_of(payment) == ["payment_succeeded shop.gone"]

    act = services.discard_signals(payment, awa, "It was renamed")

    assert (act.kind, act.data["action"], act.message) == ("staff", "discard", "It was renamed")
    assert act.data["receivers"] == ["payment_succeeded shop.gone"]
    event.refresh_from_db()
    assert (event.signals, event.receivers, event.deliver_at) == ([], [], None)
    assert services.reconcile().undelivered == 0


def test_called_receivers_stay_in_the_history(awa: User) -> None:
    payment = make_payment(**PAID)
    event = owing(payment, delivered=["payment_succeeded shop.mail"])

    services.discard_signals(payment, awa, "It was renamed")

    event.refresh_from_db()
    assert (event.signals, event.deliver_at) == (["payment_succeeded"], None)


def test_signals_owed_to_connected_receivers_are_kept(awa: User, heard: Heard) -> None:
    payment = make_payment(**PAID)
    event = owing(payment, signals=["payment_succeeded", "payment_teleported"])

    services.discard_signals(payment, awa, "It was renamed")
    event.refresh_from_db()
    assert (event.signals, event.receivers) == (["payment_succeeded"], [])
    assert heard == []

    assert services.reconcile().delivered == 1
    assert heard.names == ["payment_succeeded"]


@pytest.mark.parametrize("lease", [None, timedelta(minutes=4)])
def test_without_missing_receivers_nothing_is_discarded(awa: User, lease: timedelta | None) -> None:
    payment = make_payment(**PAID)
    event = owing(payment, deliver_at=lease and timezone.now() + lease)

    with pytest.raises(ValidationError) as error:
        services.discard_signals(payment, awa, "It was renamed")

    assert error.value.code == "nothing_to_discard"
    assert PaymentEvent.objects.get() == event


def test_signals_leased_elsewhere_are_not_discarded(awa: User) -> None:
    payment = make_payment(**PAID)
    event = owing(payment)

    def take(execute: Any, sql: str, params: Any, *arguments: Any) -> Any:
        if sql.startswith(EVENT_INSERTS):
            PaymentEvent.objects.filter(pk=event.pk).update(deliver_at=timezone.now() + timedelta(minutes=5))
        return execute(sql, params, *arguments)

    with connection.execute_wrapper(take), pytest.raises(ValidationError) as error:
        services.discard_signals(payment, awa, "It was renamed")

    assert code_of(error) == "changed"
    assert PaymentEvent.objects.get().receivers == ["payment_succeeded shop.gone"]


def test_unknown_signal_cannot_be_redelivered(awa: User) -> None:
    payment = make_payment(**PAID)
    owing(payment, signals=["payment_teleported"], receivers=[])

    assert services.redeliver_signals(payment, awa, "Try") is False
    services.discard_signals(payment, awa, "A version was taken back")

    assert not undelivered_events_of(payment).exists()


# Replays


def refused_by_a_wrong_setting(settings: Settings, payment: Payment, notify: Notify) -> PaymentEvent:
    settings.PAIEMENTPRO_CURRENCIES = {"XOF": "950"}
    assert notify(payment, countryCurrencyCode="952").status_code == 400
    settings.PAIEMENTPRO_CURRENCIES = {"XOF": "952"}
    return newest_event()


def test_replay_settles_what_a_wrong_setting_refused(
    awa: User, payment: Payment, notify: Notify, heard: Heard, settings: Settings
) -> None:
    event = refused_by_a_wrong_setting(settings, payment, notify)

    decision = services.preview_replay(event)
    assert (decision.outcome, decision.changes["status"], decision.signals) == (
        "accepted",
        "succeeded",
        ["payment_succeeded"],
    )
    assert stored(payment).status == "pending"
    replayed = services.replay_notification(event, awa, "The currency was wrong")

    after = stored(payment)
    assert (after.status, after.settled_by, after.gateway_id) == (
        "succeeded",
        "notification",
        f"PAY-{payment.reference}",
    )
    assert heard.names == ["payment_flagged", "payment_succeeded"]
    assert (replayed.kind, replayed.message, replayed.data["replayed"]) == ("staff", "The currency was wrong", event.pk)
    assert (replayed.data["action"], replayed.data["fields"]) == ("replay", event.data)


def test_replay_is_done_once(awa: User, payment: Payment, notify: Notify, heard: Heard, settings: Settings) -> None:
    event = refused_by_a_wrong_setting(settings, payment, notify)
    again = newest_event()
    services.replay_notification(event, awa, "The currency was wrong")
    later = PaymentEvent.objects.select_related("payment").get(pk=event.pk)
    for copy, code in ((again, "changed"), (later, "nothing_changes")):
        with pytest.raises(ValidationError) as error:
            services.replay_notification(copy, awa, "Again")
        assert code_of(error) == code
    assert heard.names == ["payment_flagged", "payment_succeeded"]


def test_replay_is_validated_like_a_notification(awa: User, payment: Payment, notify: Notify) -> None:
    notify(payment, amount=1)
    event = newest_event()
    decision = services.preview_replay(event)
    assert (decision.outcome, decision.changes, decision.signals) == ("refused", {}, [])
    with pytest.raises(ValidationError) as error:
        services.replay_notification(event, awa, "Please")
    assert code_of(error) == "nothing_changes"
    assert stored(payment).status == "pending"


def test_replay_raises_a_reviewed_finding_again(awa: User, payment: Payment, notify: Notify, heard: Heard) -> None:
    notify(payment, amount=1)
    event = newest_event()
    services.review_payment(event.payment, awa, "Our own test")

    decision = services.preview_replay(event)
    assert (decision.changes, decision.signals) == ({"needs_review": True}, ["payment_flagged"])
    replayed = services.replay_notification(event, awa, "The finding is closed")

    assert replayed.data["finding"] == "amount_mismatch: 1 != 12500"
    assert (stored(payment).needs_review, findings(payment)) == (True, ["amount_mismatch: 1 != 12500"])
    assert heard.names == ["payment_flagged", "payment_flagged"]


def test_unreadable_notification_can_be_replayed_later(awa: User, payment: Payment, notify: Notify) -> None:
    notify(payment, responsecode=None)
    event = newest_event()
    assert services.preview_replay(event).reason == "malformed"
    PaymentEvent.objects.filter(pk=event.pk).update(data={**event.data, "responsecode": "0"})
    event.refresh_from_db()
    services.replay_notification(event, awa, "Read anew")
    assert stored(payment).status == "succeeded"


def test_truncated_notification_is_not_replayed(payment: Payment, client: Client) -> None:
    fields = [*notification_fields(payment).items(), *((f"x{number}", "1") for number in range(600)), ("amount", "1")]
    assert client.post(f"{payment.get_notification_url()}?{urlencode(fields)}").status_code == 400
    decision = services.preview_replay(newest_event())
    assert (decision.outcome, decision.reason) == ("refused", "malformed")


def test_fields_of_several_values_are_replayed_as_they_came(payment: Payment, client: Client) -> None:
    query = urlencode([*notification_fields(payment).items(), ("payId", "other")])
    assert client.post(f"{payment.get_notification_url()}?{query}").status_code == 400
    event = newest_event()
    assert event.data["payId"] == [f"PAY-{payment.reference}", "other"]
    decision = services.preview_replay(event)
    assert (decision.reason, decision.message) == ("malformed", "two values of payId")


@pytest.mark.django_db(transaction=True)
def test_confirmation_while_the_verifier_runs_is_flagged(awa: User, client: Client) -> None:
    """The verifier of the notification of one payment takes its time; staff confirm another with its transaction."""
    first, second = (make_payment(status="pending", attempt=1) for _ in range(2))

    def confirm(notification: object) -> bool:
        services.confirm_payment(Payment.objects.get(pk=second.pk), awa, gateway_id="CI1", amount=12500, reason="Seen")
        return True

    with override_settings(PAIEMENTPRO_HASHCODE_VERIFIER="tests.services.test_staff.verifier"):
        verifier.ask = confirm  # type: ignore[attr-defined]
        pay(first, payId="CI1")
    assert [str(finding.reason) for finding in first.findings.all()] == ["transaction_reused"]


def verifier(notification: object) -> bool:
    return bool(verifier.ask(notification))  # type: ignore[attr-defined]


@pytest.mark.parametrize("at", ["confirmation", "reconciliation"])
def test_concurrent_use_of_one_transaction_is_flagged(awa: User, at: str) -> None:
    """Neither side sees the other before it is committed: the confirmation looks again, and so does reconciliation."""
    first = pay(make_payment(status="pending", attempt=1), payId="CI1")
    Payment.objects.filter(pk=first.pk).update(gateway_key="")  # not visible yet
    second = make_payment(status="pending", attempt=1)

    def appear(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if "paiementpro_finding" in sql and at == "confirmation":  # the last look before the commit
            Payment._base_manager.filter(pk=first.pk, gateway_key="").update(gateway_key="ci1")
        return result

    with connection.execute_wrapper(appear):
        services.confirm_payment(second, awa, gateway_id="CI1", amount=12500, reason="Seen")
    if at == "reconciliation":
        Payment.objects.filter(pk=first.pk).update(gateway_key="ci1")
        services.reconcile()
        services.reconcile()
    finding = first.findings.get()
    assert (finding.reason, finding.detail) == ("transaction_reused", f"CI1 {second.reference}")
    assert Payment.objects.get(pk=first.pk).needs_review


@pytest.mark.parametrize("spelling", ["СI2023X1", "CI2023Χ1", "CI2023X1ː", "Cı2023X1", "Cӏ2023X1"])  # noqa: RUF001
def test_letters_of_other_alphabets_are_refused(awa: User, spelling: str) -> None:
    pay(make_payment(status="pending", attempt=1), payId="CI2023X1")
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(
            make_payment(status="pending", attempt=1), awa, gateway_id=spelling, amount=12500, reason="Seen"
        )
    assert code_of(error) == "gateway_id_invalid"


def test_transaction_of_a_refused_notification_is_that_payments(awa: User, client: Client) -> None:
    notify(make_payment(status="pending", attempt=1), amount=6250, payId="CI1")
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(
            make_payment(status="pending", attempt=1, amount=6250), awa, gateway_id="CI1", amount=6250, reason="Seen"
        )
    assert code_of(error) == "gateway_id_taken"


@pytest.mark.django_db(transaction=True)
def test_redelivered_refund_signals_have_their_refunds(awa: User) -> None:
    amounts: list[int] = []

    def receive(sender: object, event: PaymentEvent, **kwargs: object) -> None:
        amounts.append(event.refunds.get().amount)

    payment = pay(make_payment(status="pending", attempt=1))
    payment_refunded.connect(receive)
    try:
        services.refund_payment(payment, awa, amount=500, reason="A part")
        services.refund_payment(payment, awa, amount=12000, reason="The rest")
        assert services.redeliver_signals(payment, awa, "Again")
    finally:
        payment_refunded.disconnect(receive)
    assert amounts == [500, 12000, 500, 12000]
    assert not undelivered_events_of(payment).exists()


def test_payment_to_review_without_findings_can_leave_the_queue(awa: User) -> None:
    payment = make_payment(status="pending", attempt=1, needs_review=True)
    services.review_payment(payment, awa, "Nothing to see")
    assert not Payment.objects.get(pk=payment.pk).needs_review


def test_only_notifications_are_replayed(awa: User, payment: Payment) -> None:
    event = services.review_payment(flagged(), awa, "Nothing")
    with pytest.raises(ValidationError) as error:
        services.preview_replay(event)
    assert code_of(error) == "not_replayable"


# Each act


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("confirm", ["SELECT", *TRANSITION, "SELECT", "SELECT", "SELECT", "SELECT"]),
        ("refund", ["SELECT", *TRANSITION, "INSERT"]),
        ("review", ["SELECT", "SELECT", "SELECT", *TRANSITION, "UPDATE"]),
    ],
)
def test_query_count_is_bounded(awa: User, statements: Statements, action: str, expected: list[str]) -> None:
    payment = flagged(status="succeeded" if action == "refund" else "pending", attempt=1)
    with statements:
        acts(awa)[action](payment)
    assert [statement.split()[0] for statement in statements] == expected
