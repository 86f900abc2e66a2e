"""What staff decide: ``services`` beyond the gateway's word."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection, connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from django_paiementpro import services, signals
from django_paiementpro.exceptions import GatewayUnavailableError
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.testing import FakeGateway, make_payment
from django_paiementpro.testing.wire import notification_fields
from tests.conftest import Notify

# Signals are sent after real commits.
pytestmark = pytest.mark.django_db(transaction=True)

Heard = list[tuple[str, Payment]]
Settings = Any

PAID = {"status": "succeeded", "attempt": 1, "settled_by": "notification", "gateway_id": "1"}
PROOF = {"gateway_id": "CI20230131", "amount": 12500, "reason": "Seen in the back office"}
REFUND = {"amount": 12500, "refund_reference": "R-1", "reason": "Out of stock"}


@pytest.fixture
def awa(db: None) -> User:
    return User.objects.create_user("awa")


def stored(payment: Payment) -> Payment:
    return Payment.objects.get(pk=payment.pk)


def newest_event() -> PaymentEvent:
    """Return the event with the payment as it is now."""
    return PaymentEvent.objects.select_related("payment").latest("pk")


def names(heard: Heard) -> list[str]:
    return [name for name, _payment in heard]


def code_of(error: pytest.ExceptionInfo[ValidationError]) -> str:
    """Return the code of a refusal, which is told in French as well."""
    english = error.value.messages
    with translation.override("fr"):
        assert error.value.messages != english
    return str(error.value.code)


# Confirming by hand


@pytest.mark.parametrize("status", ["pending", "failed", "expired"])
def test_a_confirmed_payment_is_paid(awa: User, heard: Heard, status: str) -> None:
    payment = make_payment(status=status, attempt=2)

    event = services.confirm_payment(payment, awa, **PROOF)

    after = stored(payment)
    assert (after.status, after.settled_by, after.gateway_id) == ("succeeded", "staff", "CI20230131")
    assert (after.settled_attempt, after.response_code) == (None, "")
    assert after.settled_at is not None
    assert names(heard) == ["payment_succeeded"]
    assert (event.kind, event.outcome, event.message) == ("staff", "accepted", "Seen in the back office")
    assert event.data == {
        "action": "confirm",
        "user": "awa",
        "user_id": str(awa.pk),
        "gateway_id": "CI20230131",
        "amount": 12500,
    }


def test_a_page_whose_answer_was_lost_can_be_confirmed(awa: User) -> None:
    payment = make_payment(status="created", attempt=1)
    services.confirm_payment(payment, awa, **PROOF)
    assert stored(payment).status == "succeeded"


def test_a_cancelled_payment_that_is_confirmed_is_flagged(awa: User, heard: Heard) -> None:
    payment = make_payment(status="cancelled", attempt=1)

    event = services.confirm_payment(payment, awa, **PROOF)

    assert (stored(payment).status, stored(payment).needs_review) == ("succeeded", True)
    assert names(heard) == ["payment_succeeded", "payment_flagged"]
    assert event.data["finding"] == "paid_after_cancellation: CI20230131"


@pytest.mark.parametrize("values", [{"status": "succeeded"}, {"status": "refunded"}, {"status": "created"}])
def test_what_is_paid_or_was_never_sent_is_not_confirmed(awa: User, heard: Heard, values: dict[str, str]) -> None:
    payment = make_payment(**values)
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(payment, awa, **PROOF)
    assert code_of(error) == "not_confirmable"
    assert (stored(payment).status, heard, PaymentEvent.objects.count()) == (values["status"], [], 0)


def test_another_amount_is_no_proof(awa: User, payment: Payment, heard: Heard) -> None:
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(payment, awa, **{**PROOF, "amount": 12499})
    assert code_of(error) == "amount_mismatch"
    assert (stored(payment).status, heard) == ("pending", [])


def test_one_transaction_pays_one_payment(awa: User, payment: Payment, heard: Heard) -> None:
    other = make_payment(**PAID)
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": "1"})
    assert code_of(error) == "gateway_id_taken"
    assert error.value.messages == [f"This transaction has paid for the payment {other.reference} already."]
    assert (stored(payment).status, heard) == ("pending", [])


def test_those_who_confirm_stand_in_line(awa: User, payment: Payment) -> None:
    with CaptureQueriesContext(connection) as queries:
        services.confirm_payment(payment, awa, **PROOF)
    [lock] = [query["sql"] for query in queries if 'FROM "django_content_type"' in query["sql"].replace("`", '"')]
    assert "'paiementpro'" in lock
    assert "'payment'" in lock


@pytest.mark.parametrize("spelling", ["ci9 ", " Ci9", "CI9"])
def test_a_transaction_is_the_same_in_any_spelling(awa: User, payment: Payment, heard: Heard, spelling: str) -> None:
    make_payment(**{**PAID, "gateway_id": "CI9"})
    if spelling.strip() == "Ci9":
        Payment.objects.filter(gateway_id="CI9").update(gateway_id="ci9")
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": spelling})
    assert (code_of(error), stored(payment).status, heard) == ("gateway_id_taken", "pending", [])


def test_a_transaction_has_a_number(awa: User, payment: Payment) -> None:
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": " "})
    assert code_of(error) == "gateway_id_missing"


def test_a_refusal_leaves_the_payment_in_hand_as_it_was(awa: User, payment: Payment) -> None:
    make_payment(**PAID)
    with pytest.raises(ValidationError):
        services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": "1"})
    assert (payment.status, payment.events.count()) == ("pending", 0)
    services.confirm_payment(payment, awa, **PROOF)
    assert stored(payment).status == "succeeded"


def test_a_customers_second_payment_pays_no_other(awa: User, payment: Payment, notify: Notify) -> None:
    other = make_payment(status="pending", attempt=1)
    notify(other, payId="FIRST")
    notify(other, payId="SECOND")
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": "second"})
    assert code_of(error) == "gateway_id_taken"
    assert other.reference in error.value.messages[0]
    services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": "SEC"})
    assert stored(payment).status == "succeeded"


def test_a_payment_that_was_reviewed_stands_in_nobodys_way(awa: User, payment: Payment) -> None:
    make_payment(review_reason="paid_twice: abc SECOND")
    services.confirm_payment(payment, awa, **{**PROOF, "gateway_id": "SECOND"})
    assert stored(payment).status == "succeeded"


def test_what_staff_took_from_another_payment_is_flagged_when_its_own_comes(
    awa: User, payment: Payment, notify: Notify, heard: Heard
) -> None:
    services.confirm_payment(payment, awa, **PROOF)
    other = make_payment(status="pending", attempt=1)
    assert notify(other, payId=PROOF["gateway_id"]).status_code == 200
    after = stored(other)
    assert (after.status, after.needs_review) == ("succeeded", True)
    assert after.review_reason == f"transaction_reused: CI20230131 {payment.reference}"
    assert names(heard) == ["payment_succeeded", "payment_succeeded", "payment_flagged"]
    assert heard[-1][1].review_reason == after.review_reason
    event = other.events.get()
    assert (event.outcome, event.reason, event.message) == ("accepted", "transaction_reused", after.review_reason)


def test_no_finding_takes_the_place_of_another(awa: User, payment: Payment, notify: Notify, heard: Heard) -> None:
    services.confirm_payment(payment, awa, **PROOF)
    other = make_payment(status="cancelled", attempt=1)
    notify(other, payId=PROOF["gateway_id"])
    assert [line.partition(":")[0] for line in stored(other).review_reason.splitlines()] == [
        "paid_after_cancellation",
        "transaction_reused",
    ]
    assert names(heard)[1:] == ["payment_succeeded", "payment_flagged"]
    assert other.events.get().message == "; ".join(stored(other).review_reason.splitlines())


def test_payments_that_the_gateway_gives_one_number_are_its_own_affair(notify: Notify, heard: Heard) -> None:
    for _ in range(2):
        notify(make_payment(status="pending", attempt=1), payId="same")
    assert names(heard) == ["payment_succeeded", "payment_succeeded"]


def test_two_cashiers_at_once_confirm_one_payment(awa: User) -> None:
    payments = [make_payment(status="pending", attempt=1) for _ in range(6)]
    barrier = Barrier(len(payments))

    def confirm(payment: Payment) -> str:
        try:
            barrier.wait()
            services.confirm_payment(payment, awa, **PROOF)
        except ValidationError as error:
            return str(error.code)
        finally:
            connections.close_all()
        return "confirmed"

    with ThreadPoolExecutor(len(payments)) as pool:
        answers = sorted(pool.map(confirm, payments))
    assert answers == ["confirmed"] + ["gateway_id_taken"] * 5
    assert Payment.objects.filter(status="succeeded").count() == 1


def test_a_notification_after_the_confirmation_is_silent(
    awa: User, payment: Payment, notify: Notify, heard: Heard
) -> None:
    services.confirm_payment(payment, awa, **PROOF)
    assert notify(payment, payId=PROOF["gateway_id"]).status_code == 200
    assert stored(payment).needs_review is False
    assert names(heard) == ["payment_succeeded"]


def test_another_transaction_after_the_confirmation_is_paid_twice(
    awa: User, payment: Payment, notify: Notify, heard: Heard
) -> None:
    services.confirm_payment(payment, awa, **PROOF)
    notify(payment, payId="another")
    assert "paid_twice" in stored(payment).review_reason
    assert names(heard) == ["payment_succeeded", "payment_flagged"]


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
def test_a_second_click_does_nothing(awa: User, heard: Heard, action: str) -> None:
    status = {"refund": "succeeded", "redeliver": "succeeded"}.get(action, "pending")
    payment = make_payment(status=status, attempt=1, needs_review=True, review_reason="paid_twice: 2")
    first, second = stored(payment), stored(payment)

    acts(awa)[action](first)
    sent = list(heard)
    with pytest.raises(ValidationError) as error:
        acts(awa)[action](second)

    assert code_of(error) == "changed"
    assert heard == sent
    assert payment.events.filter(kind="staff").count() == 1


def test_what_the_gateway_said_meanwhile_stands(awa: User, payment: Payment, notify: Notify, heard: Heard) -> None:
    seen = stored(payment)
    notify(payment)
    with pytest.raises(ValidationError) as error:
        services.confirm_payment(seen, awa, **PROOF)
    assert code_of(error) == "changed"
    assert stored(payment).settled_by == "notification"
    assert names(heard) == ["payment_succeeded"]


def test_a_second_act_on_the_same_copy_is_done(awa: User) -> None:
    payment = make_payment(status="pending", attempt=1, needs_review=True, review_reason="unknown_code: 7")
    services.review_payment(payment, awa, "Given back")
    services.confirm_payment(payment, awa, **PROOF)
    services.refund_payment(payment, awa, **REFUND)
    assert stored(payment).status == "refunded"


# Cancelling


@pytest.mark.parametrize("status", ["succeeded", "expired", "cancelled", "refunded"])
def test_what_is_over_is_not_cancelled(heard: Heard, status: str) -> None:
    payment = make_payment(status=status)
    with pytest.raises(ValidationError) as error:
        services.cancel_payment(payment, "Given up")
    assert (code_of(error), stored(payment).status, heard) == ("not_cancellable", status, [])


# Refunds


def test_a_refund_is_recorded(awa: User, heard: Heard) -> None:
    payment = make_payment(**PAID)

    event = services.refund_payment(payment, awa, **{**REFUND, "amount": 5000})

    after = stored(payment)
    assert (after.status, after.refunded_amount) == ("refunded", 5000)
    assert after.refunded_at is not None
    assert names(heard) == ["payment_refunded"]
    assert (event.data["amount"], event.data["refund_reference"]) == (5000, "R-1")


@pytest.mark.parametrize("status", ["created", "pending", "failed", "expired", "cancelled", "refunded"])
def test_only_what_is_paid_is_refunded(awa: User, heard: Heard, status: str) -> None:
    with pytest.raises(ValidationError) as error:
        services.refund_payment(make_payment(status=status), awa, **REFUND)
    assert (code_of(error), heard) == ("not_refundable", [])


@pytest.mark.parametrize("amount", [1, 12500])
def test_a_refund_is_a_franc_at_least_and_all_at_most(awa: User, amount: int) -> None:
    payment = make_payment(**PAID)
    services.refund_payment(payment, awa, **{**REFUND, "amount": amount})
    assert stored(payment).refunded_amount == amount


@pytest.mark.parametrize("amount", [-1, 0, 12501])
def test_a_refund_is_at_most_what_was_paid(awa: User, heard: Heard, amount: int) -> None:
    with pytest.raises(ValidationError) as error:
        services.refund_payment(make_payment(**PAID), awa, **{**REFUND, "amount": amount})
    assert (code_of(error), heard) == ("amount_mismatch", [])


# Reviews


def test_a_review_keeps_what_was_found(awa: User, payment: Payment, notify: Notify) -> None:
    notify(payment, amount=1)
    event = services.review_payment(stored(payment), awa, "A try of ours")
    assert (stored(payment).needs_review, stored(payment).review_reason) == (False, "")
    assert (event.message, event.data["findings"]) == ("A try of ours", ["amount_mismatch: 1 ≠ 12500"])


def test_what_is_found_after_the_review_is_flagged_again(
    awa: User, payment: Payment, notify: Notify, heard: Heard
) -> None:
    notify(payment, amount=1)
    services.review_payment(stored(payment), awa, "A try of ours")
    notify(payment, amount=1)
    assert stored(payment).needs_review is True
    assert names(heard) == ["payment_flagged", "payment_flagged"]


def test_nothing_is_reviewed_where_nothing_was_found(awa: User, payment: Payment) -> None:
    with pytest.raises(ValidationError) as error:
        services.review_payment(payment, awa, "?")
    assert code_of(error) == "not_to_review"


# Asking


@pytest.fixture
def look_up(settings: Settings) -> None:
    settings.PAIEMENTPRO_STATUS_URL = "https://api.paiementpro.net/status"


@pytest.mark.usefixtures("look_up")
def test_the_gateway_is_asked_for_staff(awa: User, payment: Payment, gateway: FakeGateway, heard: Heard) -> None:
    gateway.confirms(payment)
    assert services.ask_gateway(payment, awa, "She says so") == "succeeded"
    assert names(heard) == ["payment_succeeded"]
    kinds = [(event.kind, event.message) for event in payment.events.all()]
    assert kinds == [("staff", "She says so"), ("status", "")]
    assert stored(payment).settled_by == "status"


@pytest.mark.usefixtures("look_up")
def test_a_gateway_that_knows_nothing_proves_nothing(awa: User, payment: Payment, gateway: FakeGateway) -> None:
    assert services.ask_gateway(payment, awa, "She says so") == "pending"


@pytest.mark.usefixtures("look_up")
def test_a_gateway_that_is_away_is_told(awa: User, payment: Payment, gateway: FakeGateway) -> None:
    gateway.tells(payment.reference, "", status=500)
    with pytest.raises(GatewayUnavailableError):
        services.ask_gateway(payment, awa, "She says so")
    assert stored(payment).status == "pending"


@pytest.mark.usefixtures("look_up")
def test_no_transaction_is_open_while_the_gateway_is_asked(awa: User, payment: Payment) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError):
        services.ask_gateway(payment, awa, "She says so")
    assert PaymentEvent.objects.count() == 0


# Delivering again


def test_signals_are_sent_again(awa: User, heard: Heard, settings: Settings) -> None:
    settings.PAIEMENTPRO_DELIVERY = "task"  # whoever asks for it by hand waits for it all the same
    payment = make_payment(**PAID)
    assert services.redeliver_signals(payment, awa, "The mail was away") is True
    assert names(heard) == ["payment_succeeded"]
    event = payment.events.get()
    assert (event.kind, event.signals) == ("staff", ["payment_succeeded"])
    assert event.data["action"] == "redeliver"


def test_only_who_has_not_had_it_is_called(awa: User, payment: Payment, notify: Notify, heard: Heard) -> None:
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
    assert names(heard) == ["payment_succeeded"]
    assert not services.undelivered_events_of(payment).exists()


def test_a_receiver_that_fails_is_owed_it(awa: User, heard: Heard) -> None:
    def fails(**kwargs: Any) -> None:
        raise OSError

    payment = make_payment(**PAID)
    signals.payment_succeeded.connect(fails)
    try:
        assert services.redeliver_signals(payment, awa, "Try") is False
    finally:
        signals.payment_succeeded.disconnect(fails)
    assert services.undelivered_events_of(payment).count() == 1


@pytest.mark.parametrize("status", ["created", "pending", "cancelled"])
def test_a_state_without_a_signal_delivers_none(awa: User, heard: Heard, status: str) -> None:
    with pytest.raises(ValidationError) as error:
        services.redeliver_signals(make_payment(status=status), awa, "?")
    assert (code_of(error), heard) == ("nothing_to_deliver", [])


def test_where_nobody_listens_nothing_is_delivered(awa: User) -> None:
    with pytest.raises(ValidationError) as error:
        services.redeliver_signals(make_payment(**PAID), awa, "?")
    assert code_of(error) == "nothing_to_deliver"


# Replays


def refused_by_a_wrong_setting(settings: Settings, payment: Payment, notify: Notify) -> PaymentEvent:
    settings.PAIEMENTPRO_CURRENCIES = {"XOF": "950"}
    assert notify(payment, countryCurrencyCode="952").status_code == 400
    settings.PAIEMENTPRO_CURRENCIES = {"XOF": "952"}
    return newest_event()


def test_a_replay_settles_what_a_wrong_setting_refused(
    awa: User, payment: Payment, notify: Notify, heard: Heard, settings: Settings
) -> None:
    event = refused_by_a_wrong_setting(settings, payment, notify)

    verdict = services.preview_replay(event)
    assert (verdict.outcome, verdict.changes["status"], verdict.signals) == (
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
    assert names(heard) == ["payment_flagged", "payment_succeeded"]
    assert (replayed.kind, replayed.message, replayed.data["replayed"]) == ("staff", "The currency was wrong", event.pk)
    assert (replayed.data["action"], replayed.data["fields"]) == ("replay", event.data)


def test_a_replay_is_done_once(awa: User, payment: Payment, notify: Notify, heard: Heard, settings: Settings) -> None:
    event = refused_by_a_wrong_setting(settings, payment, notify)
    again = newest_event()
    services.replay_notification(event, awa, "The currency was wrong")
    later = PaymentEvent.objects.select_related("payment").get(pk=event.pk)
    for copy, code in ((again, "changed"), (later, "nothing_changes")):
        with pytest.raises(ValidationError) as error:
            services.replay_notification(copy, awa, "Again")
        assert code_of(error) == code
    assert names(heard) == ["payment_flagged", "payment_succeeded"]


def test_a_replay_believes_no_more_than_a_notification(awa: User, payment: Payment, notify: Notify) -> None:
    notify(payment, amount=1)
    event = newest_event()
    assert services.preview_replay(event).outcome == "refused"
    with pytest.raises(ValidationError) as error:
        services.replay_notification(event, awa, "Please")
    assert code_of(error) == "nothing_changes"
    assert stored(payment).status == "pending"


def test_what_could_not_be_read_can_be_replayed_once_it_can(awa: User, payment: Payment, notify: Notify) -> None:
    notify(payment, responsecode=None)
    event = newest_event()
    assert services.preview_replay(event).reason == "malformed"
    PaymentEvent.objects.filter(pk=event.pk).update(data={**event.data, "responsecode": "0"})
    event.refresh_from_db()
    services.replay_notification(event, awa, "Read anew")
    assert stored(payment).status == "succeeded"


def test_what_was_too_long_to_be_stored_is_not_replayed(payment: Payment, client: Client) -> None:
    fields = [*notification_fields(payment).items(), *((f"x{number}", "1") for number in range(600)), ("amount", "1")]
    assert client.post(f"{payment.get_notification_url()}?{urlencode(fields)}").status_code == 400
    verdict = services.preview_replay(newest_event())
    assert (verdict.outcome, verdict.reason) == ("refused", "malformed")


def test_fields_of_several_values_are_replayed_as_they_came(payment: Payment, client: Client) -> None:
    query = urlencode([*notification_fields(payment).items(), ("channel", "WAVECI")])
    assert client.post(f"{payment.get_notification_url()}?{query}").status_code == 400
    event = newest_event()
    assert event.data["channel"] == ["OMCIV2", "WAVECI"]
    verdict = services.preview_replay(event)
    assert (verdict.reason, verdict.message) == ("malformed", "two values of channel")


def test_only_notifications_are_replayed(awa: User, payment: Payment) -> None:
    event = services.review_payment(make_payment(needs_review=True, review_reason="unknown_code: 7"), awa, "Nothing")
    with pytest.raises(ValidationError) as error:
        services.preview_replay(event)
    assert code_of(error) == "not_replayable"


# Each act


def test_an_act_costs_two_statements(awa: User, payment: Payment) -> None:
    Payment.objects.filter(pk=payment.pk).update(needs_review=True, review_reason="unknown_code: 7")
    seen = stored(payment)
    statements: list[str] = []

    def note(execute: Any, sql: str, *arguments: Any) -> Any:
        statements.append(sql)
        return execute(sql, *arguments)

    with connection.execute_wrapper(note):
        services.review_payment(seen, awa, "Nothing")
    assert [sql.split()[0] for sql in statements if sql.split()[0] in {"SELECT", "UPDATE", "INSERT"}] == [
        "UPDATE",
        "INSERT",
    ]
