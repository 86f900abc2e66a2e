"""What staff do from a payment's page: who may, with which words, and never twice."""

import re
from datetime import date, datetime, timedelta
from datetime import timezone as tz
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.urls import resolve
from django.utils import timezone

from django_paiementpro import services, signals
from django_paiementpro.models import Finding, Payment, PaymentEvent
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import Heard, Notify
from tests.test_admin import FRENCH, LIST, client_of, flag, page_of, refund, text_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "look_up")]

Settings = Any

VALUES = {
    "check": {"reason": "She says so"},
    "confirm": {"reason": "Seen in the back office", "gateway_id": "CI20230131", "amount": "12500"},
    "refund": {
        "reason": "Out of stock",
        "reference": "R-1",
        "amount": "12500",
        "kind": "refund",
        "refunded_on": "2025-11-20",
    },
    "redeliver": {"reason": "The mail was away"},
    "discard": {"reason": "It was renamed"},
    "review": {"reason": "Our own test"},
    "replay": {"reason": "The currency was wrong"},
}
PERMISSIONS = {
    **{name: f"{name}_payment" for name in VALUES},
    "discard": "redeliver_payment",
    "replay": "confirm_payment",
}
ALL = sorted(set(PERMISSIONS.values()))


def payment_for(action: str) -> Payment:
    """Return a payment to which it can be done."""
    if action in {"refund", "redeliver"}:
        return make_payment(status="succeeded", attempt=1, created_at=datetime(2025, 11, 10, 12, tzinfo=tz.utc))
    payment = make_payment(status="pending", attempt=1)
    if action == "review":
        flag(payment)
    if action == "discard":
        PaymentEvent.objects.create(
            payment=payment,
            kind="notification",
            outcome="accepted",
            signals=["payment_failed", "payment_teleported"],
            receivers=["payment_failed shop.gone"],
            deliver_at=timezone.now() - timedelta(hours=1),
        )
    return payment


def url_of(action: str, payment: Payment) -> str:
    if action != "replay":
        return f"{LIST}{payment.pk}/{action}/"
    event = PaymentEvent.objects.create(
        payment=payment,
        kind="notification",
        outcome="refused",
        reason="currency_mismatch",
        data={
            "merchantId": payment.merchant_id,
            "referenceNumber": payment.reference,
            "amount": str(payment.amount),
            "payId": "9210824147867",
            "responsecode": "0",
        },
    )
    return f"{LIST}{payment.pk}/events/{event.pk}/replay/"


def form_of(client: Client, url: str) -> dict[str, str]:
    """Return what the page's hidden field says, as a browser would send it."""
    content = text_of(client.get(url))
    return {"seen": content.split('name="seen" value="')[1].split('"')[0]}


def do(client: Client, action: str, payment: Payment, **values: str) -> str:
    url = url_of(action, payment)
    return text_of(client.post(url, {**form_of(client, url), **VALUES[action], **values}, follow=True))


def now(payment: Payment) -> Payment:
    return Payment.objects.get(pk=payment.pk)


# Who may


@pytest.mark.parametrize("action", list(VALUES))
def test_action_requires_its_permission(action: str, heard: Heard) -> None:
    others = client_of(*(codename for codename in ALL if codename != PERMISSIONS[action]))
    payment = payment_for(action)
    url = url_of(action, payment)
    before = Payment.objects.values().get()

    assert others.get(url).status_code == 403
    assert others.post(url, {**VALUES[action], "seen": payment.updated_at.isoformat()}).status_code == 403

    assert Payment.objects.values().get() == before
    assert heard == []
    assert f'href="{url}"' not in text_of(others.get(page_of(payment)))


@pytest.mark.parametrize("action", list(VALUES))
def test_action_requires_the_view_permission(action: str) -> None:
    client = client_of(PERMISSIONS[action])
    User.objects.get().user_permissions.remove(Permission.objects.get(codename="view_payment"))
    assert client.get(url_of(action, payment_for(action))).status_code == 403


@pytest.mark.parametrize("action", list(VALUES))
def test_permitted_staff_see_the_action_on_the_payment_page(action: str) -> None:
    client = client_of(PERMISSIONS[action])
    payment = payment_for(action)
    url = url_of(action, payment)
    assert f'href="{url}"' in text_of(client.get(page_of(payment)))


@pytest.mark.parametrize("action", list(VALUES))
def test_action_requires_a_csrf_token(action: str) -> None:
    client = client_of(PERMISSIONS[action])
    client.handler.enforce_csrf_checks = True
    payment = payment_for(action)
    values = {**VALUES[action], "seen": payment.updated_at.isoformat()}
    assert client.post(url_of(action, payment), values).status_code == 403


# Never without a reason, never twice


@pytest.mark.parametrize("action", list(VALUES))
def test_get_of_an_action_page_changes_nothing(action: str, heard: Heard) -> None:
    client = client_of(PERMISSIONS[action])
    payment = payment_for(action)
    url = url_of(action, payment)
    before = (Payment.objects.values().get(), PaymentEvent.objects.count())
    text_of(client.get(url))
    text_of(client.get(url, headers=FRENCH))
    assert (Payment.objects.values().get(), PaymentEvent.objects.count(), heard) == (*before, [])


@pytest.mark.parametrize("action", list(VALUES))
def test_action_requires_a_reason(action: str, heard: Heard) -> None:
    client = client_of(PERMISSIONS[action])
    payment = payment_for(action)
    url = url_of(action, payment)
    before = (Payment.objects.values().get(), PaymentEvent.objects.count())

    content = text_of(client.post(url, {**form_of(client, url), **VALUES[action], "reason": " "}))

    assert "Nothing has been done yet." in content
    assert (Payment.objects.values().get(), PaymentEvent.objects.count(), heard) == (*before, [])


@pytest.mark.parametrize("action", list(VALUES))
def test_double_click_acts_once(action: str, gateway: FakeGateway, heard: Heard) -> None:
    client = client_of(PERMISSIONS[action])
    payment = payment_for(action)
    url = url_of(action, payment)
    form = {**form_of(client, url), **VALUES[action]}

    first = client.post(url, form)
    sent = list(heard)
    second = client.post(url, form, follow=True)

    assert first.url == page_of(payment)
    assert 'class="warning"' in text_of(second)
    assert heard == sent
    assert PaymentEvent.objects.filter(kind="staff").count() == 1


@pytest.mark.parametrize(
    "seen",
    ["", "x", "2026-11-25", "2026-11-25T10:00:00", "2020-01-01T00:00:00+00:00", "0001-01-01T00:00:00+14:00", "9" * 999],
)
def test_invalid_seen_state_does_nothing(seen: str, heard: Heard) -> None:
    client = client_of("confirm_payment")
    payment = payment_for("confirm")
    response = client.post(url_of("confirm", payment), {**VALUES["confirm"], "seen": seen})
    assert response.status_code in {200, 302}
    assert (now(payment).status, heard) == ("pending", [])


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("action", list(VALUES))
def test_history_names_the_user_and_the_reason(action: str, gateway: FakeGateway) -> None:
    client = client_of(PERMISSIONS[action])
    payment = payment_for(action)

    content = do(client, action, payment)

    assert f"{PERMISSIONS[action]} " in content.split('class="pp-timeline"')[1]
    assert VALUES[action]["reason"] in content
    event = PaymentEvent.objects.filter(kind="staff").get()
    assert (event.message, event.data["user"]) == (VALUES[action]["reason"], PERMISSIONS[action])
    assert LogEntry.objects.get().object_repr == payment.reference


@pytest.mark.parametrize("action", list(VALUES))
def test_action_runs_outside_the_hosts_transaction(action: str) -> None:
    view = resolve(url_of(action, payment_for(action))).func
    assert view._non_atomic_requests == {"default"}


def test_list_action_runs_outside_the_hosts_transaction() -> None:
    assert resolve(LIST).func._non_atomic_requests == {"default"}


# What each does


def test_staff_can_check_a_payment(gateway: FakeGateway, heard: Heard) -> None:
    payment = payment_for("check")
    gateway.confirms(payment)
    content = do(client_of("check_payment"), "check", payment)
    assert "The gateway confirms the payment. It is now paid." in content
    assert (now(payment).settled_by, heard.names) == ("status", ["payment_succeeded"])


def test_no_transaction_is_open_during_the_lookup(gateway: FakeGateway) -> None:
    payment = payment_for("check")
    were_open = []

    def answer(request: HttpRequest) -> tuple[int, dict[str, str], str]:
        were_open.append(connection.in_atomic_block)
        return 200, {}, '{"success": false}'

    gateway.tells(payment.reference, answer)
    assert "This proves nothing" in do(client_of("check_payment"), "check", payment)
    assert were_open == [False]


def test_unavailable_gateway_is_reported(gateway: FakeGateway) -> None:
    payment = payment_for("check")
    gateway.tells(payment.reference, "", status=500)
    assert "The gateway is not answering right now" in do(client_of("check_payment"), "check", payment)


def test_staff_do_not_wait_if_all_look_up_slots_are_taken(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.status, "WEB_LOOK_UPS", 1)
    payment = payment_for("check")

    with services.status.look_up_place():
        assert "The gateway is not answering right now" in do(client_of("check_payment"), "check", payment)

    assert gateway.look_ups == []
    assert not payment.events.filter(kind="staff").exists()


def test_without_a_status_url_nothing_is_looked_up(settings: Settings) -> None:
    settings.PAIEMENTPRO_STATUS_URL = None
    client = client_of("check_payment")
    payment = payment_for("check")
    assert "Ask the gateway now" not in text_of(client.get(page_of(payment)))
    assert client.get(url_of("check", payment)).status_code == 302


def test_payment_is_confirmed_manually(heard: Heard) -> None:
    payment = payment_for("confirm")
    content = do(client_of("confirm_payment"), "confirm", payment)
    assert "The payment is confirmed, and the shop has been notified." in content
    assert (now(payment).status, now(payment).settled_by) == ("succeeded", "staff")
    assert heard.names == ["payment_succeeded"]
    assert "Confirmed manually by confirm_payment: “Seen in the back office”." in content


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"amount": "100"}, "The amount at the gateway does not match this payment"),
        ({"amount": "12500.5"}, "Enter a whole number"),
        ({"amount": "9" * 400}, "errorlist"),
        ({"gateway_id": " "}, "This field is required"),
        ({"gateway_id": "x" * 200}, "at most 128 characters"),
        ({"gateway_id": "a\x00b"}, "Null characters are not allowed"),
        ({"gateway_id": "taken"}, "This transaction has already paid payment"),
        ({"reason": "x" * 2000}, "at most 1000 characters"),
    ],
)
def test_confirmation_without_proof_is_refused(values: dict[str, str], complaint: str, heard: Heard) -> None:
    make_payment(status="succeeded", gateway_id="taken")
    payment = payment_for("confirm")
    assert complaint in do(client_of("confirm_payment"), "confirm", payment, **values)
    assert (now(payment).status, heard) == ("pending", [])


def test_typed_text_is_escaped(heard: Heard) -> None:
    payment = payment_for("confirm")
    content = do(client_of("confirm_payment"), "confirm", payment, reason="<script>1</script>", gateway_id="<b>1")
    assert now(payment).status == "succeeded"
    assert "<script>1" not in content
    assert "<b>1" not in content


def test_refund_is_recorded(heard: Heard) -> None:
    payment = payment_for("refund")
    client = client_of("refund_payment")

    content = do(client, "refund", payment, amount="5000")

    assert "A refund of 5\u202f000\u00a0F\u00a0CFA has been recorded." in content
    assert "5\u202f000\u00a0F\u00a0CFA of 12\u202f500\u00a0F\u00a0CFA refunded, most recently on 20/11/2025." in content
    assert (now(payment).status, now(payment).refunded_amount) == ("succeeded", 5000)
    stored = payment.refunds.get()
    assert (stored.amount, stored.fee, stored.kind, stored.reference) == (5000, 0, "refund", "R-1")
    assert (stored.refunded_on, stored.reason, stored.user) == (date(2025, 11, 20), "Out of stock", User.objects.get())
    assert heard.names == ["payment_refunded"]

    do(client, "refund", payment, amount="7500")

    assert (now(payment).status, now(payment).refunded_amount) == ("refunded", 12500)
    assert heard.names == ["payment_refunded", "payment_refunded"]


def test_chargeback_is_recorded_with_its_fee() -> None:
    payment = payment_for("refund")
    content = do(client_of("refund_payment"), "refund", payment, kind="chargeback", amount="12500", fee="2500")
    stored = payment.refunds.get()
    assert (stored.kind, stored.amount, stored.fee) == ("chargeback", 12500, 2500)
    assert now(payment).refunded_amount == 12500
    assert "Chargeback, fee: 2\u202f500\u00a0F\u00a0CFA, R-1" in content


def test_refund_form_starts_with_what_is_left_and_today() -> None:
    client = client_of("refund_payment")
    payment = payment_for("refund")
    url = url_of("refund", payment)
    content = text_of(client.get(url))
    assert 'name="amount" value="12500"' in content
    assert f'name="refunded_on" value="{timezone.localdate().isoformat()}"' in content
    assert '<option value="refund" selected>Refund</option>' in content
    assert "refunded" not in content.split('class="pp-box"')[1].split("</p>")[0]
    refund(payment, 5000)
    content = text_of(client.get(url))
    assert 'name="amount" value="7500"' in content
    assert "(5\u202f000\u00a0F\u00a0CFA refunded)" in content.split('class="pp-box"')[1].split("</p>")[0]


@pytest.mark.parametrize(
    ("action", "values", "field"),
    [
        ("refund", {"amount": "12501"}, "amount"),
        ("confirm", {"amount": "100"}, "amount"),
        ("confirm", {"gateway_id": "-"}, "gateway_id"),
        ("confirm", {"gateway_id": "TAKEN"}, "gateway_id"),
    ],
)
def test_refusal_is_shown_beside_its_field(action: str, values: dict[str, str], field: str) -> None:
    make_payment(status="succeeded", gateway_id="taken")
    content = do(client_of(PERMISSIONS[action]), action, payment_for(action), **values)
    assert re.findall(r'<ul class="errorlist" id="id_(\w+)_error"', content) == [field]


def test_confirmation_form_has_no_initial_amount() -> None:
    payment = payment_for("confirm")
    content = text_of(client_of("confirm_payment").get(url_of("confirm", payment)))
    assert 'name="amount" class' in content
    assert 'value="12500"' not in content


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"amount": "7501"}, "A refund cannot exceed what is left of the payment: 7500 francs."),
        ({"amount": "0"}, "greater than or equal to 1"),
        ({"amount": "-1"}, "greater than or equal to 1"),
        ({"amount": "100.5"}, "Enter a whole number."),
        ({"amount": "9" * 400}, "errorlist"),
        ({"fee": "-1"}, "greater than or equal to 0"),
        ({"fee": "100"}, "Only a chargeback has a fee."),
        ({"kind": "chargeback", "fee": "9" * 30}, "errorlist"),
        ({"kind": "gift"}, "Select a valid choice."),
        ({"kind": ""}, "This field is required."),
        ({"reference": ""}, "This field is required."),
        ({"reference": "x" * 200}, "at most 128 characters"),
        ({"refunded_on": ""}, "This field is required."),
        ({"refunded_on": "2026-02-30"}, "Enter a valid date."),
        ({"refunded_on": "2199-01-01"}, "This date is in the future."),
        ({"refunded_on": "2025-11-09"}, "This date is before the payment."),
        ({"refunded_on": "0001-01-01"}, "This date is before the payment."),
    ],
)
def test_impossible_refund_is_refused(values: dict[str, str], complaint: str, heard: Heard) -> None:
    payment = payment_for("refund")
    refund(payment, 5000)
    heard.clear()
    content = do(client_of("refund_payment"), "refund", payment, **{"amount": "100", **values})
    assert complaint in content
    assert "Nothing has been done yet." in content
    assert (now(payment).status, now(payment).refunded_amount, payment.refunds.count()) == ("succeeded", 5000, 1)
    assert heard == []


def test_signals_are_delivered_again(heard: Heard) -> None:
    payment = payment_for("redeliver")
    assert "All receivers of the shop have succeeded." in do(client_of("redeliver_payment"), "redeliver", payment)
    assert heard.names == ["payment_succeeded"]


def test_repeated_receiver_failure_is_reported(heard: Heard) -> None:
    def fails(**kwargs: Any) -> None:
        raise OSError

    payment = payment_for("redeliver")
    signals.payment_succeeded.connect(fails, dispatch_uid="fails")
    try:
        content = do(client_of("redeliver_payment"), "redeliver", payment)
    finally:
        signals.payment_succeeded.disconnect(dispatch_uid="fails")
    assert "A receiver of the shop has failed or is still running." in content
    assert "its signal is still waiting for a receiver." in content
    assert "still waiting for fails" in content


def test_redelivery_without_receivers_is_reported(payment: Payment) -> None:
    payment = payment_for("redeliver")
    assert "no receiver is connected" in do(client_of("redeliver_payment"), "redeliver", payment)


def test_owed_signals_can_be_delivered_in_any_status(heard: Heard) -> None:
    payment = payment_for("review")
    PaymentEvent.objects.create(
        payment=payment,
        kind="notification",
        outcome="conflict",
        signals=["payment_flagged"],
        deliver_at=timezone.now() - timedelta(minutes=1),
    )
    assert "All receivers of the shop have succeeded." in do(client_of("redeliver_payment"), "redeliver", payment)
    assert heard.names == ["payment_flagged"]


def test_missing_receivers_are_named_and_discarded() -> None:
    payment = payment_for("discard")
    client = client_of("redeliver_payment")
    page = text_of(client.get(page_of(payment)))
    assert "still waiting for shop.gone, which this server does not know" in page
    assert "still waiting for a receiver" in page
    assert "payment_failed shop.gone, payment_teleported" in text_of(client.get(url_of("discard", payment)))

    content = do(client, "discard", payment)

    assert "The signals no longer wait for the missing receivers." in content
    assert "stopped waiting for missing receivers" in content
    assert "still waiting" not in content


def test_owed_connected_receiver_is_named(heard: Heard) -> None:
    payment = payment_for("discard")
    assert "still waiting for heard.payment_failed" in text_of(client_of("redeliver_payment").get(page_of(payment)))


def test_review_closes_the_finding_with_its_note() -> None:
    payment = payment_for("review")
    client = client_of("review_payment")
    assert 'name="finding"' not in text_of(client.get(url_of("review", payment)))

    content = do(client, "review", payment)

    assert "The payment is marked as reviewed." in content
    assert now(payment).needs_review is False
    finding = payment.findings.get()
    assert (finding.note, finding.reviewed_by) == ("Our own test", User.objects.get())
    assert finding.reviewed_at is not None
    assert PaymentEvent.objects.get().data["findings"] == ["unknown_code: 7"]


def test_review_page_shows_the_open_findings() -> None:
    payment = payment_for("review")
    flag(payment, "amount_mismatch", "1 != 12500")
    flag(payment, "paid_twice", "r", reviewed_at=timezone.now())
    content = text_of(client_of("review_payment").get(url_of("review", payment)))
    box = content.split('class="pp-box"')[1].split("</section>")[0]
    assert re.findall("<strong>([^<]*)</strong> <span", box) == ["Unknown response code", "Another amount"]
    assert "1 instead of 12500" in box
    assert "Do not deliver for this amount." in box


def test_pages_of_other_actions_show_no_findings() -> None:
    payment = payment_for("confirm")
    flag(payment)
    assert "pp-finding" not in text_of(client_of("confirm_payment").get(url_of("confirm", payment)))


def test_one_of_several_findings_is_reviewed() -> None:
    payment = payment_for("review")
    first, second = payment.findings.get(), flag(payment, "amount_mismatch", "1 != 12500")
    flag(payment, "unknown_code", "9", reviewed_at=timezone.now())
    client = client_of("review_payment")
    form = text_of(client.get(url_of("review", payment))).split('name="finding"')[1].split("</select>")[0]
    assert re.findall(r'<option value="(\d*)"[^>]*>([^<]*)</option>', form) == [
        ("", "All findings"),
        (str(first.pk), "Unknown response code: 7"),
        (str(second.pk), "Another amount: 1 instead of 12500"),
    ]

    content = do(client, "review", payment, finding=str(first.pk))

    assert "The finding is marked as reviewed." in content
    assert now(payment).needs_review is True
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.note, second.note, second.reviewed_at) == ("Our own test", "", None)
    assert "The payment is marked as reviewed." in do(client, "review", payment)
    assert now(payment).needs_review is False


def test_all_findings_are_reviewed_at_once() -> None:
    payment = payment_for("review")
    flag(payment, "amount_mismatch", "1 != 12500")
    content = do(client_of("review_payment"), "review", payment, finding="")
    assert "The payment is marked as reviewed." in content
    assert now(payment).needs_review is False
    assert {finding.note for finding in payment.findings.all()} == {"Our own test"}


def test_finding_of_another_payment_is_not_reviewed() -> None:
    other = payment_for("review")
    payment = payment_for("review")
    flag(payment, "amount_mismatch", "1 != 12500")
    reviewed = flag(payment, "amount_mismatch", "2 != 12500", reviewed_at=timezone.now())
    client = client_of("review_payment")
    for finding in (other.findings.get(), reviewed):
        content = do(client, "review", payment, finding=str(finding.pk))
        assert "Select a valid choice." in content
    assert Finding.objects.filter(reviewed_at=None).count() == 3


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("check", "succeeded"),
        ("confirm", "refunded"),
        ("refund", "pending"),
        ("redeliver", "pending"),
        ("discard", "succeeded"),
        ("review", "failed"),
    ],
)
def test_forbidden_actions_are_not_offered(action: str, status: str) -> None:
    client = client_of(PERMISSIONS[action])
    payment = make_payment(status=status, attempt=1)
    url = url_of(action, payment)
    assert f'href="{url}"' not in text_of(client.get(page_of(payment)))
    assert "This is not possible in the current state of the payment." in text_of(client.get(url, follow=True))


# Replays


def test_replay_previews_the_changes(heard: Heard) -> None:
    client = client_of("confirm_payment", "redeliver_payment")
    payment = payment_for("replay")
    url = url_of("replay", payment)

    content = text_of(client.get(url))

    assert "It would be accepted." in content
    assert "<td>Waiting for the customer</td><td>Paid</td>" in content
    assert "9210824147867" in content
    assert "payment_succeeded" in content
    assert (now(payment).status, heard) == ("pending", [])


def test_replay_applies_the_changes(heard: Heard) -> None:
    payment = payment_for("replay")
    content = do(client_of("confirm_payment"), "replay", payment)
    assert "The notification was replayed. The payment’s status is now “Paid”." in content
    assert (now(payment).settled_by, heard.names) == ("notification", ["payment_succeeded"])
    assert now(payment).gateway_id == "9210824147867"


def test_replay_without_changes_is_not_offered(payment: Payment, notify: Notify, heard: Heard) -> None:
    client = client_of("confirm_payment")
    notify(payment, amount=1)
    url = f"{LIST}{payment.pk}/events/{payment.events.get().pk}/replay/"

    content = text_of(client.get(url))
    assert "It would be rejected: “Another amount: 1 instead of 12500”." in content
    assert "Nothing would change." in content
    assert "<textarea" not in content
    refused = {**VALUES["replay"], "seen": now(payment).updated_at.isoformat()}
    client.post(url, refused)
    assert (now(payment).status, heard.names) == ("pending", ["payment_flagged"])
    assert not PaymentEvent.objects.filter(kind="staff").exists()


def test_replay_preview_shows_findings(notify: Notify) -> None:
    payment = make_payment(status="pending", attempt=1)
    notify(payment)
    notify(payment, payId="another")
    services.review_payment(now(payment), User.objects.create_user("reviewer"), "Refunded")
    event = payment.events.get(outcome="conflict")

    content = text_of(client_of("confirm_payment").get(f"{LIST}{payment.pk}/events/{event.pk}/replay/"))

    assert "It does not match this payment and would have to be reviewed" in content
    assert "<td>No</td><td>Yes</td>" in content
    assert f"Paid twice: {payment.reference} another" in content


def test_replay_that_raises_a_finding_signals_it_once(notify: Notify, heard: Heard) -> None:
    payment = make_payment(status="pending", attempt=1)
    notify(payment)
    notify(payment, payId="another")
    services.review_payment(now(payment), User.objects.create_user("reviewer"), "Refunded")
    heard.clear()
    event = payment.events.get(outcome="conflict")
    client = client_of("confirm_payment")
    url = f"{LIST}{payment.pk}/events/{event.pk}/replay/"

    client.post(url, {**form_of(client, url), **VALUES["replay"]})

    assert heard.names == ["payment_flagged"]
    assert payment.findings.filter(reviewed_at=None).count() == 1
    assert PaymentEvent.objects.get(kind="staff", data__action="replay").signals == ["payment_flagged"]


def test_preview_formats_dates(payment: Payment, notify: Notify, settings: Settings) -> None:
    settings.PAIEMENTPRO_CURRENCIES = {"XOF": "950"}
    notify(payment, countryCurrencyCode="952", transactiondt="2026-09-25 15:44:25")
    settings.PAIEMENTPRO_CURRENCIES = {"XOF": "952"}
    url = f"{LIST}{payment.pk}/events/{payment.events.get().pk}/replay/"
    content = text_of(client_of("confirm_payment").get(url, headers=FRENCH))
    assert "<td></td><td>25/09/2026 15:44</td>" in content


def test_replay_of_a_known_notification_changes_nothing(payment: Payment, notify: Notify) -> None:
    notify(payment)
    url = f"{LIST}{payment.pk}/events/{payment.events.get().pk}/replay/"
    assert "It contains nothing new." in text_of(client_of("confirm_payment").get(url))


def test_only_a_notification_of_this_payment_is_replayed(payment: Payment, notify: Notify) -> None:
    client = client_of("confirm_payment")
    notify(payment)
    other = make_payment(status="pending", attempt=1)
    event = payment.events.get()
    assert client.get(f"{LIST}{other.pk}/events/{event.pk}/replay/").status_code == 404
    staff = PaymentEvent.objects.create(payment=other, kind="staff", outcome="accepted")
    assert client.get(f"{LIST}{other.pk}/events/{staff.pk}/replay/").status_code == 404
    assert client.get(f"{LIST}{other.pk}/events/{'9' * 40}/replay/").status_code == 404


def test_lookup_of_many_attempts_ends_in_time(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0

    def take_time(request: Any) -> Any:
        nonlocal now
        now += 1
        return 200, {}, b'{"success": false}'

    monkeypatch.setattr(services.status, "time", SimpleNamespace(monotonic=lambda: now))
    payment = make_payment(status="pending", attempt=999)
    for attempt in range(900, 1000):
        gateway.tells(payment.reference_of(attempt), take_time)

    assert "This proves nothing" in do(client_of("check_payment"), "check", payment)

    assert gateway.look_ups == [payment.reference_of(attempt) for attempt in range(999, 978, -1)]
