"""
Whatever comes, in whatever order: two payments, the gateway, the payers, the staff, cron, and receivers that raise.

What must become of a payment is worked out once more here, by the tables of the contract, and compared after each step.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import DateTimeField, F
from django.test import Client, RequestFactory, TestCase, override_settings
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from django_paiementpro import services, signals
from django_paiementpro.models import Payment, PaymentEvent, ReconciliationRun
from django_paiementpro.receipts.models import Receipt
from django_paiementpro.testing import FakeGateway, make_payment
from django_paiementpro.testing.gateway import NO_TRANSACTION
from django_paiementpro.testing.notifications import notification_fields
from tests.conftest import PAGE_URL, STATUS_URL

ARROWS = {
    "created": {"pending", "succeeded", "failed", "expired", "cancelled"},
    "pending": {"succeeded", "failed", "expired", "cancelled"},
    "failed": {"pending", "succeeded", "expired", "cancelled"},
    "expired": {"succeeded"},
    "cancelled": {"succeeded"},
    "succeeded": {"refunded"},
    "refunded": set(),
}
PAYABLE = {"created", "pending", "failed"}
PAID = {"succeeded", "refunded"}

# Names of signals, in the order in which they are sent; kinds and outcomes of events.
Signals = list[str]
Events = list[tuple[str, str]]


@dataclass
class Debt:
    """What a payment has to be."""

    pk: int
    status: str = "created"
    attempt: int = 0
    opened_attempt: int = 0
    #: How old the newest page is, in hours.
    age: int = 0
    #: How long ago, in hours, it was created, a page was opened or the operator refused it.
    quiet: int = 0
    #: How long ago the gateway last refused to open a page.
    refused: timedelta = timedelta.max
    #: Whether what the page shows has been changed since.
    is_edited: bool = False
    settled_attempt: int | None = None
    gateway_id: str = ""
    refunded_amount: int = 0
    findings: set[str] = field(default_factory=set)
    signals: Signals = field(default_factory=list)
    events: Events = field(default_factory=list)

    @property
    def payment(self) -> Payment:
        return Payment.objects.get(pk=self.pk)

    @property
    def has_fresh_page(self) -> bool:
        return self.status == "pending" and not self.age and not self.is_edited

    def flag(self, reason: str, detail: str) -> bool:
        """Raise a finding, unless it is open already. Return whether it is news."""
        finding = f"{reason}: {detail}".strip()
        is_news = finding not in self.findings
        if is_news:
            self.findings.add(finding)
            self.signals.append("payment_flagged")
        return is_news

    def succeed(self, kind: str, attempt: int | None, gateway_id: str) -> None:
        """Money has come."""
        if self.status not in PAID:
            was_cancelled = self.status == "cancelled"
            self.status, self.settled_attempt, self.gateway_id = "succeeded", attempt, gateway_id
            self.signals.append("payment_succeeded")
            self.events.append((kind, "accepted"))
            if was_cancelled:
                self.flag("paid_after_cancellation", gateway_id)
        elif self.settled_attempt not in {None, attempt} or "" != self.gateway_id != gateway_id != "":
            is_news = self.flag("paid_twice", f"{self.payment.reference_of(attempt or 0)} {gateway_id}")
            if is_news or kind == "notification":
                self.events.append((kind, "conflict"))
        elif gateway_id and not self.gateway_id:
            self.settled_attempt, self.gateway_id = attempt, gateway_id
            self.events.append((kind, "duplicate"))
        elif kind == "notification":
            self.events.append((kind, "duplicate"))

    def fail(self, attempt: int, gateway_id: str) -> None:
        """The gateway says no, by notification."""
        if self.status in PAID:
            self.flag("failure_after_success", self.payment.reference_of(attempt))
            self.events.append(("notification", "conflict"))
        elif self.status in {"created", "pending"} and attempt >= (self.opened_attempt or self.attempt):
            self.status, self.settled_attempt, self.gateway_id = "failed", attempt, gateway_id
            self.quiet = 0
            self.signals.append("payment_failed")
            self.events.append(("notification", "accepted"))
        else:
            self.events.append(("notification", "duplicate"))

    def open_page(self) -> None:
        """The gateway has given a page."""
        self.attempt += 1
        self.status, self.opened_attempt, self.age, self.is_edited = "pending", self.attempt, 0, False
        self.settled_attempt, self.gateway_id, self.quiet = None, "", 0
        self.events.append(("initialize", "accepted"))

    def is_later(self, interval: timedelta) -> None:
        if self.refused < timedelta.max - interval:
            self.refused += interval

    def expire_if_due(self) -> None:
        is_refused = self.refused < timedelta(hours=24)
        if self.status in PAYABLE and self.quiet >= 24 and not is_refused:
            self.status = "expired"
            self.signals.append("payment_expired")
            self.events.append(("expiry", "accepted"))


def mismatch(name: str, value: Any) -> tuple[str, str]:
    """Return reason and detail of what a wrong field is flagged for."""
    return {
        "amount": ("amount_mismatch", f"{value} != 12500"),
        "countryCurrencyCode": ("currency_mismatch", f"{value} != 952"),
        "marchant_id": ("merchant_mismatch", f"{value} != PP-F324"),
        "merchantId": ("merchant_mismatch", f"{value} != PP-F324"),
        "referenceNumber": ("reference_mismatch", str(value)),
    }[name]


class Receivers:
    """Two of each signal: a good one, and one that raises while it is broken."""

    def __init__(self) -> None:
        self.good: list[tuple[str, int, int]] = []
        self.flaky: list[tuple[str, int, int]] = []
        self.is_broken = False

    @contextmanager
    def connected(self) -> Iterator[None]:
        for name, signal in signals.SIGNALS.items():

            def good(payment: Payment, event: PaymentEvent, name: str = name, **kwargs: Any) -> None:
                self.good.append((name, payment.pk, event.pk))

            def flaky(payment: Payment, event: PaymentEvent, name: str = name, **kwargs: Any) -> None:
                if self.is_broken:
                    raise LookupError
                self.flaky.append((name, payment.pk, event.pk))

            signal.connect(flaky, weak=False, dispatch_uid="flaky")
            signal.connect(good, weak=False, dispatch_uid="good")
        try:
            yield
        finally:
            for signal in signals.SIGNALS.values():
                signal.disconnect(dispatch_uid="flaky")
                signal.disconnect(dispatch_uid="good")


class Shop(RuleBasedStateMachine):
    debts_of = st.sampled_from([0, 0, 0, 1])
    attempts_back = st.sampled_from([0, 0, 1, 2])
    gateway_ids = st.sampled_from(["", "A", "B"])

    def __init__(self, gateway: FakeGateway, receivers: Receivers, staff: User) -> None:
        super().__init__()
        self.gateway, self.receivers, self.staff = gateway, receivers, staff
        receivers.good.clear()
        receivers.flaky.clear()
        receivers.is_broken = False
        self.debts = [Debt(make_payment().pk) for _ in range(2)]
        self.stale = [debt.payment for debt in self.debts]
        self.trail: list[dict[str, Any]] = []
        self.confirmations = 0
        self.posts = 0

    def teardown(self) -> None:
        """Nothing is lost: once the receivers are fixed, each has had each signal once, and nothing is owed."""
        self.receivers.is_broken = False
        try:
            with self.step():
                services.reconcile()
                for debt in self.debts:
                    debt.expire_if_due()
            assert Counter(self.receivers.flaky) == Counter(self.receivers.good)
            assert max(Counter(self.receivers.good).values(), default=1) == 1
            assert not PaymentEvent.objects.exclude(deliver_at=None).exists()
        finally:
            # Receipts refuse to be deleted, and keep their payments. Those of refunds name the first.
            for receipts in (Receipt.objects.exclude(original=None), Receipt.objects.all()):
                receipts._raw_delete("default")
            for model in (PaymentEvent, Payment, ReconciliationRun):
                model.objects.all().delete()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Do something, and see that all is as it has to be."""
        before = [debt.payment.status for debt in self.debts]
        heard = len(self.receivers.good)
        for debt in self.debts:
            debt.signals.clear()
            debt.events.clear()
        self.gateway.page_requests.clear()
        self.gateway.is_away("connection")
        with TestCase.captureOnCommitCallbacks(execute=True), override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL):
            yield
        trail = list(self.read_trail())
        assert trail[: len(self.trail)] == self.trail
        news, self.trail = trail[len(self.trail) :], trail
        for debt, status in zip(self.debts, before, strict=True):
            payment = debt.payment
            assert payment.status == debt.status
            assert payment.status == status or payment.status in ARROWS[status]
            assert (payment.attempt, payment.opened_attempt or 0) == (debt.attempt, debt.opened_attempt)
            assert (payment.settled_attempt, payment.gateway_id) == (debt.settled_attempt, debt.gateway_id)
            assert payment.needs_review == bool(debt.findings)
            open_findings = [str(finding) for finding in payment.findings.filter(reviewed_at=None)]
            assert sorted(finding.strip() for finding in open_findings) == sorted(debt.findings)
            assert payment.refunded_amount == sum(refund.amount for refund in payment.refunds.all())
            assert payment.refunded_amount == debt.refunded_amount
            assert (payment.amount, payment.merchant_id) == (12500, "PP-F324")
            assert [(event["kind"], event["outcome"]) for event in news if event["payment"] == debt.pk] == debt.events
            assert [name for name, pk, _ in self.receivers.good[heard:] if pk == debt.pk] == debt.signals

    @staticmethod
    def read_trail() -> Any:
        return PaymentEvent.objects.order_by("pk").values(
            "pk", "payment", "kind", "outcome", "reason", "message", "data", "remote_address", "signals"
        )

    # The payers

    @rule(number=debts_of, answer=st.sampled_from(["opens", "opens", "refuses", "is lost", "is garbled"]))
    def checkout(self, number: int, answer: str) -> None:
        debt = self.debts[number]
        with self.step():
            getattr(self, f"gateway_{answer.replace(' ', '_')}")()
            self.pause_ends()
            response = Client().get(debt.payment.get_checkout_url())
            if debt.status not in PAYABLE:
                assert response["Location"] == debt.payment.get_return_url()
            elif debt.has_fresh_page:
                assert response["Location"] == PAGE_URL
            else:
                assert [request.reference for request in self.gateway.page_requests] == [
                    debt.payment.reference_of(debt.attempt + 1)
                ]
                if answer == "opens":
                    assert response["Location"] == PAGE_URL
                    debt.open_page()
                else:
                    debt.attempt += 1
                    if answer == "refuses":
                        debt.refused = timedelta(0)
                    assert response.status_code == (502 if answer == "refuses" else 503)
                    debt.events.append(("initialize", "refused" if answer == "refuses" else "failed"))
            assert len(self.gateway.page_requests) == sum(kind == "initialize" for kind, _ in debt.events)

    @rule(number=debts_of, answers=st.lists(st.sampled_from(["opens", "is lost"]), min_size=1, max_size=3))
    def come_back_later(self, number: int, answers: list[str]) -> None:
        """An attempt is seldom the only one."""
        for answer in answers:
            self.time_passes(1)
            self.checkout(number, answer)

    def pause_ends(self) -> None:
        """The payer waits as long as the checkout pauses."""
        tries = PaymentEvent.objects.filter(kind="initialize")
        tries.update(created_at=F("created_at") - timedelta(minutes=15))
        for debt in self.debts:
            debt.is_later(timedelta(minutes=15))

    def gateway_opens(self) -> None:
        self.gateway.opens()

    def gateway_refuses(self) -> None:
        self.gateway.refuses("Echec")

    def gateway_is_lost(self) -> None:
        self.gateway.answers(requests.ConnectionError())

    def gateway_is_garbled(self) -> None:
        self.gateway.answers(b"<html>")

    @rule(number=debts_of)
    def come_back(self, number: int) -> None:
        """The payer's URL may carry what it likes: it proves nothing."""
        debt = self.debts[number]
        with self.step():
            response = Client().get(f"{debt.payment.get_return_url()}?{urlencode(notification_fields(debt.payment))}")
            assert response.status_code == 200

    # The gateway

    @rule(
        number=debts_of,
        back=attempts_back,
        code=st.sampled_from(["0", "-1", "0", "-1", "7"]),
        gateway_id=gateway_ids,
        times=st.integers(1, 2),
    )
    def notify(self, number: int, back: int, code: str, gateway_id: str, times: int) -> None:
        debt = self.debts[number]
        attempt = max(1, debt.attempt - back)
        reference = debt.payment.reference_of(attempt)
        with self.step():
            for _ in range(times):
                assert self.post(debt, referenceNumber=reference, responsecode=code, payId=gateway_id) == 200
                if code == "0":
                    debt.succeed("notification", attempt, gateway_id)
                elif code == "-1":
                    debt.fail(attempt, gateway_id)
                else:
                    debt.flag("unknown_code", code)
                    debt.events.append(("notification", "conflict"))

    @rule(number=debts_of, code=st.sampled_from(["0", "-1"]), gateway_id=gateway_ids)
    def notify_of_an_earlier_page(self, number: int, code: str, gateway_id: str) -> None:
        """The payer has two pages open."""
        self.come_back_later(number, ["opens", "opens"])
        self.notify(number, 1, code, gateway_id, 1)

    @rule(
        number=debts_of,
        code=st.sampled_from(["0", "-1"]),
        wrong=st.sampled_from(
            [
                {"amount": 1},
                {"amount": 12501},
                {"merchantId": "PP-F1"},
                {"countryCurrencyCode": "840"},
                {"referenceNumber": "another"},
                {"referenceNumber": "the other's"},
                {"referenceNumber": "an attempt to come"},
            ]
        ),
    )
    def notify_of_something_else(self, number: int, code: str, wrong: dict[str, Any]) -> None:
        debt, other = self.debts[number], self.debts[1 - number]
        references = {
            "the other's": other.payment.reference,
            "an attempt to come": debt.payment.reference_of(max(1, debt.attempt) + 1),
        }
        fields = {name: references.get(value, value) for name, value in wrong.items()}
        with self.step():
            assert self.post(debt, responsecode=code, **fields) == 400
            [(name, value)] = fields.items()
            debt.flag(*mismatch(name, value))
            debt.events.append(("notification", "refused"))

    @rule(
        number=debts_of,
        wrong=st.sampled_from(
            [{"amount": None}, {"amount": "12500.01"}, {"responsecode": ""}, {"merchantId": None}, {"AMOUNT": "7"}]
        ),
    )
    def notify_malformed(self, number: int, wrong: dict[str, Any]) -> None:
        debt = self.debts[number]
        with self.step():
            assert self.post(debt, **wrong) == 400
            debt.events.append(("notification", "refused"))

    @rule(number=debts_of, forgery=st.sampled_from(["return", "checkout", "status", "the other's", "none"]))
    def forge(self, number: int, forgery: str) -> None:
        """A forged URL changes nothing, and costs nothing."""
        debt, other = self.debts[number], self.debts[1 - number]
        urls = {
            "return": debt.payment.get_return_url(),
            "checkout": debt.payment.get_checkout_url(),
            "status": debt.payment.get_status_url(),
            "the other's": other.payment.get_notification_url().replace(
                other.payment.reference, debt.payment.reference
            ),
            "none": f"/paiementpro/notification/{debt.payment.reference}/",
        }
        signed = urls[forgery].split("/")[-2]
        with self.step():
            query = urlencode(notification_fields(debt.payment))
            assert Client().post(f"/paiementpro/notification/{signed}/?{query}").status_code == 404

    def post(self, debt: Debt, **fields: Any) -> int:
        values = notification_fields(debt.payment, **fields)
        # In another order the body is read by itself.
        body = dict(reversed(values.items())) if self.posts % 2 else values
        self.posts += 1
        return Client().post(f"{debt.payment.get_notification_url()}?{urlencode(values)}", body).status_code

    @rule(
        number=debts_of,
        paid=st.sets(st.integers(1, 3)),
        gateway_id=gateway_ids,
        lie=st.sampled_from([{}, {}, {}, {"amount": 1}, {"marchant_id": "PP-F1"}, {"success": "true"}]),
    )
    def look_up(self, number: int, paid: set[int], gateway_id: str, lie: dict[str, Any]) -> None:
        """Ask about each attempt. Nothing but a success of the right payment proves anything."""
        debt = self.debts[number]
        with self.step():
            for attempt in range(debt.attempt, 0, -1):
                if attempt in paid:
                    self.gateway.confirms(debt.payment, attempt, pay_id=gateway_id, **lie)
                else:
                    self.gateway.tells(debt.payment.reference_of(attempt), NO_TRANSACTION)
            status = services.check_payment(debt.payment)
            for attempt in sorted(paid & set(range(1, debt.attempt + 1)), reverse=True):
                if not lie:
                    debt.succeed("status", attempt, gateway_id)
                elif "success" not in lie and debt.flag(*mismatch(*next(iter(lie.items())))):
                    debt.events.append(("status", "refused"))
            assert status == debt.status

    # The shop

    @rule(number=debts_of)
    def cancel(self, number: int) -> None:
        debt = self.debts[number]
        with self.step():
            with self.refusing(debt.status not in PAYABLE):
                services.cancel_payment(debt.payment, "Given up")
            if debt.status in PAYABLE:
                debt.status = "cancelled"
                debt.signals.append("payment_cancelled")
                debt.events.append(("host", "accepted"))

    @rule(number=debts_of)
    def save_a_stale_copy(self, number: int) -> None:
        """A host that saves what it read long ago undoes nothing. The page shows another description, though."""
        with self.step():
            self.stale[number].description += "."
            self.stale[number].save()
            self.debts[number].is_edited = True

    @rule(number=debts_of, changes=st.sampled_from([{"amount": 1}, {"merchant_id": "PP-F1"}, {"currency": "XAF"}]))
    def save_other_terms(self, number: int, changes: dict[str, Any]) -> None:
        """Once a page has been asked for, the terms are fixed."""
        debt = self.debts[number]
        copy = debt.payment
        copy.apply(changes)
        with self.step(), transaction.atomic():
            with self.refusing(debt.attempt > 0):
                copy.save()
            transaction.set_rollback(True)

    @rule(number=debts_of)
    def initialize_a_stale_copy(self, number: int) -> None:
        """A host that takes what it read long ago to the gateway gets what the payment is due now."""
        debt = self.debts[number]
        with self.step():
            self.gateway.opens()
            self.pause_ends()
            with self.refusing(debt.status not in PAYABLE):
                page = services.initialize_payment(self.stale[number], RequestFactory().get("/"))
                assert page == PAGE_URL
            if debt.status in PAYABLE and not debt.has_fresh_page:
                debt.open_page()
            assert len(self.gateway.page_requests) == len(debt.events)

    @rule(number=debts_of)
    def read(self, number: int) -> None:
        self.stale[number] = self.debts[number].payment

    @rule(number=debts_of, rollbacks=st.sampled_from([0, 0, 1, 2]))
    def confirm(self, number: int, rollbacks: int) -> None:
        debt = self.debts[number]
        is_refused = debt.status in PAID or (debt.attempt == 0 and debt.status == "created")
        self.confirmations += 1
        gateway_id = f"S{self.confirmations}"

        def confirm(payment: Payment) -> None:
            with self.refusing(is_refused):
                services.confirm_payment(payment, self.staff, gateway_id=gateway_id, amount=12500, reason="Seen")

        self.act(debt, confirm, rollbacks)
        with self.step():
            confirm(self.seen)
            if not is_refused:
                debt.succeed("staff", None, gateway_id)

    @rule(number=debts_of, amount=st.sampled_from([1, 5000, 12499, 12500]), rollbacks=st.sampled_from([0, 0, 1, 2]))
    def refund(self, number: int, amount: int, rollbacks: int) -> None:
        debt = self.debts[number]
        is_refused = debt.status != "succeeded" or amount > 12500 - debt.refunded_amount

        def refund(payment: Payment) -> None:
            with self.refusing(is_refused):
                services.refund_payment(payment, self.staff, amount=amount, reference="R", reason="Returned")

        self.act(debt, refund, rollbacks)
        with self.step():
            refund(self.seen)
            if not is_refused:
                debt.refunded_amount += amount
                debt.status = "refunded" if debt.refunded_amount == 12500 else "succeeded"
                debt.signals.append("payment_refunded")
                debt.events.append(("staff", "accepted"))

    @rule(number=debts_of, rollbacks=st.sampled_from([0, 0, 1]))
    def review(self, number: int, rollbacks: int) -> None:
        debt = self.debts[number]

        def review(payment: Payment) -> None:
            with self.refusing(not debt.findings):
                services.review_payment(payment, self.staff, "Looked at")

        self.act(debt, review, rollbacks)
        with self.step():
            review(self.seen)
            if debt.findings:
                debt.findings.clear()
                debt.events.append(("staff", "accepted"))

    def act(self, debt: Debt, act: Callable[[Payment], None], rollbacks: int) -> None:
        """Do something in transactions that are rolled back, to the copy ``self.seen``: nothing has happened."""
        self.seen = debt.payment
        for _ in range(rollbacks):
            with self.step(), transaction.atomic():
                act(self.seen)
                transaction.set_rollback(True)

    @contextmanager
    def refusing(self, is_refused: bool) -> Iterator[None]:
        if is_refused:
            with pytest.raises(ValidationError):
                yield
        else:
            yield

    # The clock, cron and the receivers

    @rule(hours=st.sampled_from([1, 23, 90]))
    def time_passes(self, hours: int) -> None:
        """Move all that has been into the past."""
        interval = timedelta(hours=hours)
        for model in (Payment, PaymentEvent, ReconciliationRun):
            moments = [column.name for column in model._meta.concrete_fields if isinstance(column, DateTimeField)]
            model.objects.update(**{name: F(name) - interval for name in moments})
        for debt in self.debts:
            debt.age += hours
            debt.quiet += hours
            debt.is_later(interval)

    @rule(answer=st.sampled_from(["off", "silent", "no"]))
    def reconcile(self, answer: str) -> None:
        """What was not paid in time expires, whatever else is known; pending signals are delivered."""
        with self.step(), override_settings(PAIEMENTPRO_STATUS_URL=None if answer == "off" else STATUS_URL):
            for debt in self.debts:
                for attempt in range(debt.attempt, 0, -1):
                    if answer == "no":
                        self.gateway.tells(debt.payment.reference_of(attempt), NO_TRANSACTION)
            services.reconcile()
            for debt in self.debts:
                debt.expire_if_due()
        assert self.receivers.is_broken or not PaymentEvent.objects.exclude(deliver_at=None).exists()

    @rule(number=debts_of, gateway_id=gateway_ids)
    def reconcile_at_last(self, number: int, gateway_id: str) -> None:
        """What the gateway knows of at the last moment is not expired."""
        debt = self.debts[number]
        self.time_passes(90)
        with self.step():
            for other in self.debts:
                for attempt in range(other.attempt, 0, -1):
                    self.gateway.tells(other.payment.reference_of(attempt), NO_TRANSACTION)
            if debt.attempt:
                self.gateway.confirms(debt.payment, debt.attempt, pay_id=gateway_id)
            services.reconcile()
            # About others that may be paid it may have been asked already, or too long ago.
            may_be_asked = debt.attempt and debt.status in {"created", "failed", "expired"}
            if debt.status == "pending" or (may_be_asked and debt.payment.status == "succeeded"):
                debt.succeed("status", debt.attempt, gateway_id)
            for other in self.debts:
                other.expire_if_due()

    @rule()
    def receivers_break(self) -> None:
        self.receivers.is_broken = True

    @precondition(lambda self: self.receivers.is_broken)
    @rule()
    def receivers_are_mended(self) -> None:
        self.receivers.is_broken = False

    @invariant()
    def nothing_is_owed_but_by_the_broken(self) -> None:
        owed = {(name, event.pk) for event in PaymentEvent.objects.exclude(deliver_at=None) for name in event.signals}
        had = {(name, event) for name, _, event in self.receivers.flaky}
        heard = {(name, event) for name, _, event in self.receivers.good}
        assert heard - had <= owed


@pytest.mark.django_db
@pytest.mark.hypothesis
def test_any_events_in_any_order_keep_the_invariants(gateway: FakeGateway) -> None:
    receivers, staff = Receivers(), User.objects.create_user("awa")
    profile = settings.default
    with receivers.connected():
        run_state_machine_as_test(
            lambda: Shop(gateway, receivers, staff),
            # A failure is reported as it was found: shrinking it takes longer than a test may.
            settings=settings(
                profile,
                max_examples=profile.max_examples // 4,
                stateful_step_count=30,
                phases=set(Phase) - {Phase.shrink, Phase.explain},
            ),
        )
