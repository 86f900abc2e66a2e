import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import Any, BinaryIO
from urllib.parse import urlencode

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.http import HttpRequest
from django.test import Client, RequestFactory, override_settings
from django.utils import timezone as django_timezone

from django_paiementpro import services, signals
from django_paiementpro.gateway.messages import Notification
from django_paiementpro.gateway.parsing import MAX_BODY
from django_paiementpro.models import Finding, Payment, PaymentEvent, SearchKey
from django_paiementpro.services.notifications import receive_notification
from django_paiementpro.testing import make_payment
from django_paiementpro.testing.notifications import notification_fields
from django_paiementpro.views import NotificationView
from tests.conftest import EVENT_INSERTS, TRANSITION, Heard, Notify, Statements, columns, stored
from tests.gateway.test_messages import multipart

pytestmark = pytest.mark.django_db


def last_event(payment: Payment) -> PaymentEvent:
    event = payment.events.last()
    assert event is not None
    return event


def read(fields: dict[str, Any]) -> Notification:
    return Notification.from_fields([(name, str(value)) for name, value in fields.items()])


def findings(payment: Payment) -> list[str]:
    """Return the open findings, each as ``reason: detail``."""
    return [str(finding) for finding in payment.findings.filter(reviewed_at=None)]


def verbs(statements: Statements) -> list[str]:
    return [statement.split()[0] for statement in statements]


real_commits = pytest.mark.django_db(transaction=True)


@real_commits
def test_success_settles_the_payment(payment: Payment, notify: Notify, heard: Heard) -> None:
    fields = notification_fields(payment, transactiondt="2026-09-25 15:44:25")

    response = notify(payment, **fields)

    assert (response.status_code, response.content) == (200, b"OK")
    payment = stored(payment)
    assert (payment.status, payment.settled_by, payment.settled_attempt) == ("succeeded", "notification", 1)
    assert (payment.gateway_id, payment.gateway_channel) == (f"PAY-{payment.reference}", "OMCIV2")
    assert payment.response_code == "0"
    assert payment.transaction_date == datetime(2026, 9, 25, 15, 44, 25, tzinfo=timezone.utc)
    assert payment.settled_at is not None
    assert not payment.needs_review
    assert heard == [("payment_succeeded", payment)]
    event = last_event(payment)
    assert (event.kind, event.outcome, event.remote_address) == ("notification", "accepted", "127.0.0.1")
    assert event.data == {name: str(value) for name, value in fields.items()}


@real_commits
def test_failure_fails_the_payment(payment: Payment, notify: Notify, heard: Heard) -> None:
    assert notify(payment, responsecode=-1, message="Solde insuffisant").status_code == 200

    payment = stored(payment)
    assert (payment.status, payment.response_code, payment.response_message) == ("failed", "-1", "Solde insuffisant")
    assert heard.names == ["payment_failed"]


@real_commits
def test_repeated_notification_changes_nothing(payment: Payment, notify: Notify, heard: Heard) -> None:
    for responsecode in (-1, -1, 0, 0, 0):
        assert notify(payment, responsecode=responsecode).content == b"OK"

    assert heard.names == ["payment_failed", "payment_succeeded"]
    assert [event.outcome for event in payment.events.all()] == [
        *("accepted", "duplicate", "accepted", "duplicate", "duplicate")
    ]
    assert not stored(payment).needs_review


@real_commits
def test_notification_takes_few_queries(payment: Payment, notify: Notify, heard: Heard, statements: Statements) -> None:
    with statements:
        notify(payment)
    assert verbs(statements) == ["SELECT", *TRANSITION, "UPDATE"]
    assert heard.names == ["payment_succeeded"]
    with statements:
        notify(payment)
    assert verbs(statements) == ["SELECT", *TRANSITION]
    assert heard.names == ["payment_succeeded"]


@real_commits
def test_success_without_a_receiver_marks_no_delivery(payment: Payment, notify: Notify, statements: Statements) -> None:
    with statements:
        notify(payment)
    assert verbs(statements) == ["SELECT", *TRANSITION]
    assert last_event(payment).signals == []


@real_commits
def test_malformed_notification_takes_two_statements(payment: Payment, notify: Notify, statements: Statements) -> None:
    with statements:
        assert notify(payment, amount="").status_code == 400
    assert verbs(statements) == ["SELECT", "INSERT"]


@pytest.mark.parametrize("signed", ["abc", "abc.def", "é"])
def test_random_url_takes_no_statement(statements: Statements, signed: str) -> None:
    with statements:
        response = Client(enforce_csrf_checks=True).post(f"/paiementpro/notification/{signed}/?responsecode=0")
    assert response.status_code == 404
    assert statements == []


def test_forged_url_takes_no_statement(payment: Payment, notify: Notify, statements: Statements) -> None:
    with statements:
        assert notify(payment, forged=True).status_code == 404
    assert statements == []


def test_other_urls_of_a_payment_do_not_notify(payment: Payment) -> None:
    for url in (payment.get_return_url(), payment.get_checkout_url(), payment.get_status_url()):
        forged = url.replace("/return/", "/notification/").replace("/checkout/", "/notification/")
        forged = forged.replace("/status/", "/notification/")
        assert Client().post(f"{forged}?{urlencode(notification_fields(payment))}").status_code == 404
    assert stored(payment).status == "pending"


def test_unknown_payment_is_not_found(payment: Payment) -> None:
    url = payment.get_notification_url()
    payment.delete()

    assert Client().post(url).status_code == 404
    assert not PaymentEvent.objects.exists()


def test_reference_is_case_sensitive() -> None:
    payment = make_payment(reference="abc")

    assert Client().post(Payment(reference="ABC").get_notification_url()).status_code == 404
    assert not payment.events.exists()


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "head", "options"])
def test_only_a_post_notifies(payment: Payment, method: str) -> None:
    assert getattr(Client(), method)(payment.get_notification_url()).status_code == 405
    assert not payment.events.exists()


@real_commits
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"merchantId": "PP-F1"}, "merchant_mismatch"),
        ({"amount": 12499}, "amount_mismatch"),
        ({"amount": 12501}, "amount_mismatch"),
        ({"amount": 0}, "amount_mismatch"),
        ({"countryCurrencyCode": "840"}, "currency_mismatch"),
        ({"referenceNumber": "another"}, "reference_mismatch"),
        ({"referenceNumber": "2"}, "reference_mismatch"),
    ],
)
def test_mismatch_is_refused_and_flagged_once(
    payment: Payment, notify: Notify, heard: Heard, fields: dict[str, Any], reason: str
) -> None:
    for _ in range(2):
        assert notify(payment, **fields).status_code == 400

    payment = stored(payment)
    assert (payment.status, payment.needs_review) == ("pending", True)
    assert [finding.reason for finding in payment.findings.all()] == [reason]
    assert [(event.outcome, event.reason) for event in payment.events.all()] == [("refused", reason)] * 2
    assert last_event(payment).message
    assert heard.names == ["payment_flagged"]


def test_reference_of_a_later_attempt_is_a_mismatch(payment: Payment, notify: Notify) -> None:
    assert notify(payment, referenceNumber=payment.reference_of(2)).status_code == 400


@real_commits
def test_each_new_finding_sends_the_signal(payment: Payment, notify: Notify, heard: Heard) -> None:
    notify(payment, amount=1)
    notify(payment, amount=2)
    notify(payment, amount=2, merchantId="PP-F1")

    assert heard.names == ["payment_flagged"] * 3
    assert findings(payment) == [
        "amount_mismatch: 1 != 12500",
        "amount_mismatch: 2 != 12500",
        "merchant_mismatch: PP-F1 != PP-F324",
    ]
    assert last_event(payment).message == "merchant_mismatch: PP-F1 != PP-F324; amount_mismatch: 2 != 12500"


@pytest.mark.parametrize(
    "name", ["countryCurrencyCode", "payId", "channel", "transactiondt", "sessionId", "returnContext"]
)
def test_other_fields_may_be_absent(payment: Payment, notify: Notify, name: str) -> None:
    assert notify(payment, **{name: None}).status_code == 200
    assert stored(payment).status == "succeeded"


@real_commits
@pytest.mark.parametrize("responsecode", ["1", "00", "SUCCESS", "-2", "x" * 999, "9" * 5000])
def test_unknown_code_changes_no_state(payment: Payment, notify: Notify, heard: Heard, responsecode: str) -> None:
    client = Client()
    for _ in range(2):
        body = urlencode(notification_fields(payment, responsecode=responsecode))
        response = client.post(payment.get_notification_url(), body, content_type="application/x-www-form-urlencoded")
        assert response.content == b"OK"

    payment = stored(payment)
    assert (payment.status, payment.needs_review) == ("pending", True)
    assert last_event(payment).outcome == "conflict"
    assert last_event(payment).data["responsecode"] == responsecode
    assert heard.names == ["payment_flagged"]


@pytest.mark.parametrize(
    "fields",
    [
        *(
            {name: value}
            for name in ("merchantId", "referenceNumber", "amount", "responsecode")
            for value in (None, "")
        ),
        {"amount": "12500.01"},
        {"amount": "12 500"},
        {"amount": "9" * 5000},
        {"amount": "\u0661\u0662"},
    ],
)
def test_malformed_notification_is_refused(payment: Payment, fields: dict[str, Any]) -> None:
    body = urlencode(notification_fields(payment, **fields))
    url = payment.get_notification_url()

    assert Client().post(url, body, content_type="application/x-www-form-urlencoded").status_code == 400
    payment = stored(payment)
    assert (payment.status, payment.needs_review) == ("pending", False)
    assert (last_event(payment).outcome, last_event(payment).reason) == ("refused", "malformed")


@pytest.mark.parametrize("place", ["query", "body"])
def test_field_with_two_values_is_refused(payment: Payment, place: str) -> None:
    fields = urlencode(notification_fields(payment))
    query = fields if place == "query" else f"{fields}&amount=1"
    body = "amount=1" if place == "query" else ""

    response = Client().post(
        f"{payment.get_notification_url()}?{query}", body, content_type="application/x-www-form-urlencoded"
    )

    assert response.status_code == 400
    assert stored(payment).status == "pending"
    assert last_event(payment).data["amount"] == ["12500", "1"]


def test_context_in_two_spellings_settles_and_is_kept_in_both(payment: Payment) -> None:
    fields = notification_fields(payment, returnContext='{"order":"1"}')
    again = {"RETURNCONTEXT": "{&quot;order&quot;:&quot;1&quot;}", "returnContext": '{\\"order\\":\\"1\\"}'}

    response = Client().post(f"{payment.get_notification_url()}?{urlencode(fields)}", fields | again)

    assert response.status_code == 200
    assert stored(payment).status == "succeeded"
    data = last_event(payment).data
    assert data["returnContext"] == ['{"order":"1"}', again["returnContext"]]
    assert data["RETURNCONTEXT"] == again["RETURNCONTEXT"]


@pytest.mark.parametrize("size", [MAX_BODY + 1, 70_000, 3_000_000])
def test_body_over_the_limit_is_refused(payment: Payment, size: int) -> None:
    url = f"{payment.get_notification_url()}?{urlencode(notification_fields(payment))}"

    assert Client().post(url, b"x" * size, content_type="text/plain").status_code == 400
    assert stored(payment).status == "pending"
    assert "referenceNumber" in last_event(payment).data["query"]


def test_body_at_the_limit_is_read(payment: Payment) -> None:
    body = urlencode(notification_fields(payment)).encode()
    body += b"&x=" + b"y" * (MAX_BODY - len(body) - 3)

    url = payment.get_notification_url()
    assert Client().post(url, body, content_type="application/x-www-form-urlencoded").status_code == 200


@pytest.mark.parametrize(
    ("length", "message"),
    [
        ("x", "a body that cannot be read"),
        ("99999999999999999999", "a body of more than 65536 bytes"),
        ("-1", "no merchantId"),
    ],
)
def test_invalid_content_length_is_no_server_error(payment: Payment, length: str, message: str) -> None:
    request = RequestFactory().post(payment.get_notification_url())
    request.META["CONTENT_LENGTH"] = length
    signed = payment.get_notification_url().split("/")[-2]

    assert NotificationView.as_view()(request, signed=signed).status_code == 400
    assert last_event(payment).message == message


@override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10)
def test_host_length_limit_is_a_refusal(payment: Payment, notify: Notify) -> None:
    assert notify(payment).status_code == 400
    assert last_event(payment).message


def test_body_parsed_by_middleware_is_read(payment: Payment) -> None:
    request = RequestFactory().post(
        f"{payment.get_notification_url()}?responsecode=0", notification_fields(payment, responsecode=None)
    )
    assert request.POST
    signed = payment.get_notification_url().split("/")[-2]

    assert NotificationView.as_view()(request, signed=signed).status_code == 200
    assert stored(payment).status == "succeeded"


def asgi_request(payment: Payment, content_type: str, body: BinaryIO) -> ASGIRequest:
    """Return a request without a length, as ASGI hands over what comes in chunks."""
    headers = [(b"host", b"testserver"), (b"content-type", content_type.encode())]
    path = payment.get_notification_url()
    return ASGIRequest({"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}, body)


def nothing_read(request: HttpRequest) -> None:
    """Read nothing before the view does."""


def body_read(request: HttpRequest) -> None:
    assert request.body


def form_read(request: HttpRequest) -> None:
    request.POST.keys()


@pytest.mark.parametrize("middleware", [nothing_read, body_read, form_read])
@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_body_without_a_length_is_read_under_asgi(
    payment: Payment, content_type: str, middleware: Callable[[HttpRequest], None]
) -> None:
    fields = notification_fields(payment)
    body = multipart(fields)[1] if "multipart" in content_type else urlencode(fields).encode()
    request = asgi_request(payment, content_type, BytesIO(body))
    middleware(request)
    signed = payment.get_notification_url().split("/")[-2]

    assert NotificationView.as_view()(request, signed=signed).status_code == 200
    assert stored(payment).status == "succeeded"


def test_no_more_than_the_bound_is_read_under_asgi(payment: Payment) -> None:
    body = BytesIO(b"x" * 3_000_000)
    request = asgi_request(payment, "text/plain", body)
    signed = payment.get_notification_url().split("/")[-2]

    assert NotificationView.as_view()(request, signed=signed).status_code == 400
    assert last_event(payment).message == f"a body of more than {MAX_BODY} bytes"
    assert body.tell() == MAX_BODY + 1


@pytest.mark.parametrize("middleware", [body_read, form_read])
def test_chunked_body_read_by_middleware_is_read(payment: Payment, middleware: Callable[[HttpRequest], None]) -> None:
    request = RequestFactory().post(payment.get_notification_url(), notification_fields(payment))
    middleware(request)
    del request.META["CONTENT_LENGTH"]
    request.META |= {"wsgi.input": BytesIO(), "wsgi.input_terminated": True}
    signed = payment.get_notification_url().split("/")[-2]

    assert NotificationView.as_view()(request, signed=signed).status_code == 200
    assert stored(payment).status == "succeeded"


def test_long_values_are_truncated_but_kept_in_the_event(payment: Payment) -> None:
    fields = notification_fields(payment, payId="p" * 5000, channel="c" * 5000, transactiondt="nonsense")
    client = Client()

    for _ in range(2):
        response = client.post(payment.get_notification_url(), json.dumps(fields), content_type="application/json")
        assert response.status_code == 200

    payment = stored(payment)
    assert (payment.status, payment.gateway_id, payment.gateway_channel) == ("succeeded", "p" * 128, "c" * 32)
    assert payment.transaction_date is None
    assert last_event(payment).data["payId"] == "p" * 5000
    assert not payment.needs_review


@pytest.mark.parametrize("value", ["\x00", "\ud800", "👍" * 100, "<script>"])
def test_any_text_is_stored(payment: Payment, value: str) -> None:
    body = json.dumps(notification_fields(payment, returnContext=value, channel=value, payId=value))

    assert Client().post(payment.get_notification_url(), body, content_type="application/json").status_code == 200
    assert stored(payment).status == "succeeded"


@pytest.mark.parametrize("status", ["created", "failed", "expired"])
@real_commits
def test_late_success_settles(notify: Notify, heard: Heard, status: str) -> None:
    payment = make_payment(status=status, attempt=1)

    assert notify(payment).status_code == 200
    assert stored(payment).status == "succeeded"
    assert not stored(payment).needs_review
    assert heard.names == ["payment_succeeded"]


@real_commits
def test_success_after_cancellation_is_flagged(notify: Notify, heard: Heard) -> None:
    payment = make_payment(status="cancelled", attempt=1)

    notify(payment)
    notify(payment)

    payment = stored(payment)
    assert (payment.status, payment.needs_review) == ("succeeded", True)
    assert findings(payment) == [f"paid_after_cancellation: PAY-{payment.reference}"]
    assert heard.names == ["payment_succeeded", "payment_flagged"]


@pytest.mark.parametrize("status", ["expired", "cancelled", "failed"])
@real_commits
def test_failure_of_a_final_payment_changes_nothing(notify: Notify, heard: Heard, status: str) -> None:
    payment = make_payment(status=status, attempt=1)

    assert notify(payment, responsecode=-1).status_code == 200
    assert stored(payment).status == status
    assert last_event(payment).outcome == "duplicate"
    assert heard == []


@real_commits
def test_failure_of_the_current_page_fails_the_payment(notify: Notify, heard: Heard) -> None:
    payment = make_payment(status="pending", attempt=2, opened_attempt=1)

    notify(payment, referenceNumber=payment.reference_of(1), responsecode=-1)

    assert (stored(payment).status, heard.names) == ("failed", ["payment_failed"])


@real_commits
def test_failure_during_a_later_call_changes_nothing(notify: Notify) -> None:
    leased_until = django_timezone.now() + timedelta(seconds=20)
    payment = make_payment(status="pending", attempt=2, opened_attempt=1, leased_until=leased_until)

    notify(payment, referenceNumber=payment.reference_of(1), responsecode=-1)

    assert stored(payment).status == "pending"


@real_commits
def test_failure_of_an_earlier_attempt_changes_nothing(notify: Notify, heard: Heard) -> None:
    payment = make_payment(status="pending", attempt=3)

    for attempt in (1, 2):
        assert notify(payment, referenceNumber=payment.reference_of(attempt), responsecode=-1).status_code == 200
        assert last_event(payment).outcome == "duplicate"
    assert stored(payment).status == "pending"
    notify(payment, responsecode=-1)
    assert stored(payment).status == "failed"
    assert heard.names == ["payment_failed"]


@real_commits
def test_success_of_an_earlier_attempt_settles_the_payment(notify: Notify, heard: Heard) -> None:
    payment = make_payment(status="pending", attempt=3)

    notify(payment, referenceNumber=payment.reference_of(2))

    assert (stored(payment).status, stored(payment).settled_attempt) == ("succeeded", 2)


@pytest.mark.parametrize("status", ["succeeded", "refunded"])
@real_commits
def test_failure_after_success_is_flagged(notify: Notify, heard: Heard, status: str) -> None:
    payment = make_payment(status=status, attempt=2)

    for _ in range(2):
        assert notify(payment, responsecode=-1).status_code == 200

    payment = stored(payment)
    assert (payment.status, payment.needs_review) == (status, True)
    assert findings(payment) == [f"failure_after_success: {payment.reference}-2"]
    assert last_event(payment).outcome == "conflict"
    assert heard.names == ["payment_flagged"]


@pytest.mark.parametrize(("attempt", "gateway_id"), [(1, "other"), (2, "other"), (2, "")])
@real_commits
def test_second_success_is_paid_twice(notify: Notify, heard: Heard, attempt: int, gateway_id: str) -> None:
    payment = make_payment(status="pending", attempt=2)
    first = payment.reference_of(1)
    notify(payment, referenceNumber=first)

    reference = payment.reference_of(attempt)
    assert notify(payment, referenceNumber=reference, payId=gateway_id).status_code == 200

    payment = stored(payment)
    assert (payment.status, payment.needs_review) == ("succeeded", True)
    assert findings(payment) == [f"paid_twice: {reference} {gateway_id}".strip()]
    assert heard.names == ["payment_succeeded", "payment_flagged"]


@real_commits
def test_missing_gateway_id_is_learned_later(payment: Payment, notify: Notify, heard: Heard) -> None:
    notify(payment, payId=None)
    notify(payment)
    notify(payment, payId="")
    assert (stored(payment).gateway_id, stored(payment).needs_review) == (f"PAY-{payment.reference}", False)

    notify(payment, payId="other")
    assert stored(payment).needs_review
    assert heard.names == ["payment_succeeded", "payment_flagged"]


def agree(notification: Notification) -> bool:
    return notification.hashcode == "good"


def guess(notification: Notification) -> int:
    return 1


def explode(notification: Notification) -> bool:
    raise LookupError


def leave(notification: Notification) -> bool:
    raise SystemExit(1)


def abandon(notification: Notification) -> bool:
    raise GeneratorExit


def interrupt(notification: Notification) -> bool:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("verifier", "hashcode", "answer"),
    [
        ("agree", "good", 200),
        ("agree", "bad", 400),
        ("agree", None, 400),
        ("explode", "good", 400),
        ("leave", "good", 400),
        ("abandon", "good", 400),
        ("guess", "good", 400),
        ("gone", "good", 400),
    ],
)
def test_verifier_decides_about_the_hashcode(
    payment: Payment, notify: Notify, verifier: str, hashcode: str | None, answer: int
) -> None:
    with override_settings(PAIEMENTPRO_HASHCODE_VERIFIER=f"tests.services.test_notifications.{verifier}"):
        assert notify(payment, hashcode=hashcode).status_code == answer

    payment = stored(payment)
    assert payment.status == ("succeeded" if answer == 200 else "pending")
    assert [finding.reason for finding in payment.findings.all()] == ["hashcode_mismatch"] * (answer == 400)
    assert payment.needs_review == (answer == 400)


@override_settings(PAIEMENTPRO_HASHCODE_VERIFIER="tests.services.test_notifications.interrupt")
def test_keyboard_interrupt_in_the_verifier_is_raised(payment: Payment) -> None:
    with pytest.raises(KeyboardInterrupt):
        receive_notification(payment.url_key, read(notification_fields(payment)))


@real_commits
def test_database_failure_leaves_no_partial_write(payment: Payment, notify: Notify, heard: Heard) -> None:
    def away(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith(EVENT_INSERTS):
            raise DatabaseError
        return execute(sql, *arguments)

    client = Client(raise_request_exception=False)
    url = f"{payment.get_notification_url()}?{urlencode(notification_fields(payment))}"
    with connection.execute_wrapper(away):
        assert client.post(url).status_code == 500
    assert stored(payment).status == "pending"
    assert heard == []
    assert client.post(url).status_code == 200
    assert heard.names == ["payment_succeeded"]


@real_commits
def test_signals_are_sent_after_the_commit(payment: Payment) -> None:
    notification = read(notification_fields(payment))
    states = []

    def receive(payment: Payment, **kwargs: Any) -> None:
        states.append(connection.in_atomic_block)

    signals.SIGNALS["payment_succeeded"].connect(receive, dispatch_uid="states")
    with transaction.atomic():
        receive_notification(payment.url_key, notification)
        assert states == []
    signals.SIGNALS["payment_succeeded"].disconnect(dispatch_uid="states")

    assert states == [False]


def test_remote_address_is_recorded(payment: Payment, notify: Notify) -> None:
    receive_notification(payment.url_key, read(notification_fields(payment)))
    assert last_event(payment).remote_address == ""
    notify(payment, amount="")
    assert last_event(payment).remote_address == "127.0.0.1"
    receive_notification(payment.url_key, read(notification_fields(payment)), "f" * 100)
    assert last_event(payment).remote_address == "f" * 64


@real_commits
@pytest.mark.parametrize("errors", [1, 3])
def test_aborted_statement_is_retried(payment: Payment, notify: Notify, heard: Heard, errors: int) -> None:
    left = [OperationalError("deadlock")] * errors

    def conflict(execute: Any, sql: str, *arguments: Any) -> Any:
        if left and sql.startswith(EVENT_INSERTS):
            raise left.pop()
        return execute(sql, *arguments)

    with connection.execute_wrapper(conflict):
        assert notify(payment).status_code == 200

    assert (stored(payment).status, heard.names) == ("succeeded", ["payment_succeeded"])
    assert [event.outcome for event in payment.events.all()] == ["accepted"]


@real_commits
def test_search_keys_are_stored_after_a_deadlock(notify: Notify) -> None:
    payment = make_payment(status="pending", attempt=1, customer_phone="01 97 12 34 56")
    left = [OperationalError("deadlock")]

    def conflict(execute: Any, sql: str, *arguments: Any) -> Any:
        if left and "paiementpro_paymentevent" in sql:
            raise left.pop()
        return execute(sql, *arguments)

    with connection.execute_wrapper(conflict):
        assert notify(payment, channel="MOMOBJ").status_code == 200

    assert left == []
    numbers = SearchKey.objects.filter(payment=payment, text__startswith="+").values_list("text", flat=True)
    assert list(numbers) == ["+2290197123456"]


@real_commits
def test_payment_in_memory_is_unchanged_after_an_error(payment: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith(EVENT_INSERTS):
            raise OperationalError
        return execute(sql, *arguments)

    payment = stored(payment)
    before = columns(payment)
    monkeypatch.setattr(services.transactions, "CONFLICT_PAUSES", (0.0,))
    with connection.execute_wrapper(away), pytest.raises(OperationalError):
        services.cancel_payment(payment, "sold out")

    assert columns(payment) == before == columns(stored(payment))
    services.cancel_payment(payment, "sold out")
    assert payment.status == stored(payment).status == "cancelled"


@real_commits
def test_transition_of_another_process_is_not_repeated(
    payment: Payment, notify: Notify, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [OperationalError("deadlock")]

    def conflict(execute: Any, sql: str, *arguments: Any) -> Any:
        if left and sql.startswith(EVENT_INSERTS):
            raise left.pop()
        return execute(sql, *arguments)

    pauses = []
    monkeypatch.setattr(services.transactions.time, "sleep", lambda seconds: pauses.append(seconds) or notify(payment))
    with connection.execute_wrapper(conflict):
        receive_notification(payment.url_key, read(notification_fields(payment)))

    assert heard.names == ["payment_succeeded"]
    assert [event.outcome for event in payment.events.all()] == ["accepted", "duplicate"]
    assert [0 <= seconds <= services.transactions.CONFLICT_PAUSES[0] for seconds in pauses] == [True]


@real_commits
def test_persistent_database_error_is_raised(payment: Payment, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith(TRANSITION[0]):
            raise OperationalError
        return execute(sql, *arguments)

    monkeypatch.setattr(services.transactions, "CONFLICT_PAUSES", (0.0, 0.0))
    with connection.execute_wrapper(away), pytest.raises(OperationalError):
        receive_notification(payment.url_key, read(notification_fields(payment)))
    assert (stored(payment).status, heard) == ("pending", [])


def test_payment_of_the_event_is_as_it_is_stored(payment: Payment) -> None:
    for changes in ({"amount": 1}, {"responsecode": -1}, {}, {"payId": "B"}):
        event = receive_notification(payment.url_key, read(notification_fields(payment, **changes)))

        assert event
        assert columns(event.payment) == columns(stored(payment))


def test_two_transactions_of_a_success_without_id_are_paid_twice(payment: Payment, notify: Notify) -> None:
    for gateway_id in ("", "A", "B"):
        notify(payment, payId=gateway_id)

    assert stored(payment).gateway_id == "A"
    assert findings(payment) == [f"paid_twice: {payment.reference} B"]


def test_findings_are_added_to_those_of_others(payment: Payment, notify: Notify) -> None:
    for amount in (1, 2):
        notify(payment, amount=amount)

    assert findings(payment) == ["amount_mismatch: 1 != 12500", "amount_mismatch: 2 != 12500"]


def test_reviewed_finding_is_raised_again(payment: Payment, notify: Notify) -> None:
    now = django_timezone.now()
    Finding.objects.create(payment=payment, reason="amount_mismatch", detail="1 != 12500", reviewed_at=now)

    notify(payment, amount=2)
    notify(payment, amount=1)

    assert stored(payment).needs_review
    assert findings(payment) == ["amount_mismatch: 2 != 12500", "amount_mismatch: 1 != 12500"]
    assert payment.findings.count() == 3


def test_all_mismatches_are_in_the_message(payment: Payment, notify: Notify) -> None:
    notify(payment, merchantId="PP-F1", amount=1)

    assert last_event(payment).message == "merchant_mismatch: PP-F1 != PP-F324; amount_mismatch: 1 != 12500"


def test_details_are_cut(payment: Payment, notify: Notify) -> None:
    fields = {"referenceNumber": "x " * 300, "merchantId": "1" * 65, "countryCurrencyCode": "2" * 65}
    with override_settings(PAIEMENTPRO_HASHCODE_VERIFIER="tests.services.test_notifications.explode"):
        notify(payment, **fields, hashcode="3" * 65)

    assert findings(payment) == [
        "reference_mismatch: " + "x " * 100,
        f"merchant_mismatch: {'1' * 64} != PP-F324",
        f"currency_mismatch: {'2' * 64} != 952",
        f"hashcode_mismatch: {'3' * 64}",
    ]


@pytest.mark.parametrize("encoding", ["query", "json", "query+multipart"])
def test_notification_that_quotes_a_signed_url_stores_none(payment: Payment, notify: Notify, encoding: str) -> None:
    url = f"https://testserver{payment.get_notification_url()}"
    changes = {"message": url, "returnContext": json.dumps({"url": url}), "merchantId": url, url: "x"}

    assert notify(payment, encoding=encoding, **changes).status_code == 400
    assert notify(payment, encoding=encoding, **changes | {"amount": "?"}).status_code == 400
    assert notify(payment, encoding=encoding, **changes | {"merchantId": payment.merchant_id}).status_code == 200

    signature = url.rpartition(".")[2].rstrip("/")
    payment.refresh_from_db()
    findings = [finding.detail for finding in payment.findings.all()]
    assert len(findings) == 1
    rows = [*Payment.objects.values(), *payment.events.values(), *payment.findings.values()]
    assert signature not in str(rows)


@override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10)
def test_unreadable_notification_stores_no_signed_url(payment: Payment, client: Client) -> None:
    url = payment.get_notification_url()

    assert client.post(f"{url}?from={url}", b"x" * 11, content_type="text/plain").status_code == 400

    assert url.rpartition(".")[2].rstrip("/") not in str(payment.events.get().data)
