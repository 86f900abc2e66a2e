"""
Blank personal data, and keep what accounting needs.

A batch is one short transaction, which begins with the conditional UPDATE of the payments and their ``blanked_at``; the
events follow. An interrupted run leaves only whole batches, and the next run continues. What arrives later for a
blanked payment is stored as usual and clears ``blanked_at``: once it is old, it is blanked too.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from django_paiementpro import log
from django_paiementpro.db.connections import database
from django_paiementpro.db.keyset import in_pages
from django_paiementpro.enums import Kind, Outcome, Reason, Status
from django_paiementpro.extensions import extensions
from django_paiementpro.gateway.messages import without_personal_data
from django_paiementpro.models import Finding, Payment, PaymentEvent, Refund, SearchKey
from django_paiementpro.normalization import canonical_email, email_key
from django_paiementpro.phones import parse_phone, search_phones
from django_paiementpro.services.leases import not_held
from django_paiementpro.services.reconciliation import oldest_first
from django_paiementpro.services.statements.imports import prune_statements
from django_paiementpro.services.statements.uploads import LIFETIME, discard_uploads
from django_paiementpro.services.transactions import Fit, commit

T = TypeVar("T")

#: How many payments are blanked in one transaction.
BATCH_SIZE = 500

#: How many events are read at once.
EVENTS_PAGE = 1000

#: What a blanked payment has in its personal fields.
BLANK: Mapping[str, Any] = {
    "customer_email": "",
    "customer_first_name": "",
    "customer_last_name": "",
    "customer_phone": "",
    "user": None,
    "description": "",
    "return_context": {},
    "payment_url": "",
    "page_digest": "",
    "response_message": "",
    "success_url": "",
    "failure_url": "",
    "corrected_values": {},
}

_UPDATE_EVENT = "UPDATE paiementpro_paymentevent SET data = %s, message = %s, remote_address = %s WHERE id = %s"

# Findings that consist only of amounts, references and the gateway's ids, and the form of their details.
_IDS = re.compile(r"(?=\S*\d)[\w.-]+(?: (?=\S*\d)[\w.-]+)?", re.ASCII)
_FIGURES: Mapping[str, re.Pattern[str]] = {
    Reason.AMOUNT: re.compile(r"(?:0|[1-9]\d*|None) != [1-9]\d*", re.ASCII),
    Reason.PAID_TWICE: _IDS,
    Reason.FAILURE_AFTER_SUCCESS: _IDS,
    Reason.TRANSACTION_REUSED: _IDS,
    Reason.PAID_AFTER_CANCELLATION: _IDS,
    Reason.LINK_EXPIRED: re.compile(r"[\d:T+Z-]+ > [\d:T+Z-]+", re.ASCII),
    Reason.LINK_OVER_LIMIT: re.compile(r"[1-9]\d* > [1-9]\d*", re.ASCII),
}

# What a staff action keeps besides its findings. The user is a number, which only the shop can resolve.
_FIELDS_OF_STAFF = (
    *("action", "user_id", "gateway_id", "amount", "replayed"),
    *("refund_reference", "kind", "fee", "refunded_on"),
)

# What it keeps of the row of a statement that proved a payment: neither the name of the file nor that of a person.
_FIELDS_OF_PROOF = (
    *("id", "merchant", "row", "digest", "gateway_id", "reference", "amount", "currency", "paid_at"),
    *("imported_by_id", "imported_at"),
)


@dataclass(slots=True)
class Blanked:
    """
    How many payments and events were blanked, and how many payments were skipped because they may still be paid.

    ``others`` counts what optional apps have blanked as well, by name: ``{"payment links": 2}``.
    """

    payments: int = 0
    events: int = 0
    left: int = 0
    others: dict[str, int] = field(default_factory=dict)


def prunable_payments(before: datetime) -> QuerySet[Payment]:
    """
    Return the payments to blank: created before that moment, not pending, no event since, no signal owed.

    Payments that are already blanked are skipped in the index ``paiementpro_created``, without being read.
    """
    events = PaymentEvent.objects.filter(payment=OuterRef("pk"))
    is_in_use = Exists(events.filter(Q(created_at__gte=before) | Q(deliver_at__isnull=False)))
    return _unpruned(before).filter(~is_in_use, created_at__lt=before)


def _unpruned(before: datetime) -> QuerySet[Payment]:
    """Return the conditions that must still hold when blanking; the rest of ``prunable_payments`` does not change."""
    return _at_rest().filter(blanked_at=None, updated_at__lt=before)


def _at_rest() -> QuerySet[Payment]:
    """Return the payments that are neither pending nor about to be, whose data are still needed."""
    return Payment.objects.using(database()).filter(not_held(timezone.now())).exclude(status=Status.PENDING)


def prune_personal_data(
    before: datetime, *, batch_size: int = BATCH_SIZE, progress: Callable[[int], object] | None = None
) -> Blanked:
    """
    Blank the personal data of payments that were created, and last changed, before that moment.

    Amounts, dates, payment methods and transaction ids are kept, and so are undelivered signals. Concurrent runs blank
    each payment once. ``progress`` is called with the number of payments that each batch has blanked. Statements of the
    gateway lose what may be personal data too, and uploads that were never imported are deleted.
    """
    prune_statements(before)
    discard_uploads(timezone.now() - LIFETIME)
    payments = prunable_payments(before).only("pk", "created_at")
    # In the order of their index.
    batches = in_pages(payments, "created_at", "pk", size=batch_size)
    return _blank_all(batches, lambda: _unpruned(before), progress)


def count_personal_data(*, email: str = "", phone: str = "") -> Blanked:
    """Return how many payments ``erase_personal_data`` would blank and how many it would skip, without the events."""
    email, number = _person(email, phone)
    found = Blanked(others=_erase_others(email, number, dry_run=True))
    for payment in _payments_of_person(email, number):
        if payment.status == Status.PENDING:
            found.left += 1
        else:
            found.payments += 1
    return found


def erase_personal_data(*, email: str = "", phone: str = "") -> Blanked:
    """
    Blank the payments with this e-mail address or phone number, whatever their age and however it was typed.

    A phone number without a country code is read as an Ivorian one; a payment's own number is read with its channel.
    Pending payments are skipped: they may be paid at any moment. Optional apps blank what else they have of the person,
    such as the customer of a payment link that was never paid. Raises ``ValueError`` if neither is given, or if the
    number is not a phone number.
    """
    email, number = _person(email, phone)
    # First: the customer of a paid link is blanked with its payment, and would not be counted any more.
    others = _erase_others(email, number)
    blanked = _blank_all(_in_batches(_payments_of_person(email, number), BATCH_SIZE), _at_rest)
    blanked.others = others
    return blanked


def other_numbers(phone: str) -> dict[str, int]:
    """
    Return the numbers with the same digits and another country code, each with its number of payments.

    The result is empty if a payment has the number itself. Raises ``ValueError`` if the text is not a phone number.
    """
    number = parse_phone(phone)
    keys = SearchKey.objects.using(database()).filter(text__in={number, *search_phones(phone)})
    counts = dict(keys.order_by("text").values_list("text").annotate(count=Count("*")))
    return {} if number in counts else counts


def _in_batches(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    rows = iter(rows)
    while batch := list(islice(rows, size)):
        yield batch


def _person(email: str, phone: str) -> tuple[str, str]:
    """Return the address and the number in the forms in which they are compared. Raises ``ValueError``."""
    email, phone = canonical_email(email), phone.strip()
    if not email and not phone:
        raise ValueError("an e-mail address or a phone number tells whose payments they are")
    return email, parse_phone(phone) if phone else ""


def _erase_others(email: str, number: str, *, dry_run: bool = False) -> dict[str, int]:
    """Let optional apps blank what they have of a person. Return what there was, by name."""
    counts = (extension.erase_person(email, number, dry_run=dry_run) for extension in extensions())
    return {name: count for found in counts for name, count in found.items() if count}


def _payments_of_person(email: str, number: str) -> Iterator[Payment]:
    """Find the payments by their search keys, and compare their data: addresses that differ by accents share a key."""
    keys = SearchKey.objects.using(database()).filter(text__in={email_key(email), number} - {""})
    columns = ("pk", "status", "channel", "gateway_channel", "customer_email", "customer_phone")
    for payment in oldest_first(Payment.objects.using(database()).filter(pk__in=keys.values("payment")).only(*columns)):
        has_email = bool(email) and canonical_email(payment.customer_email) == email
        if has_email or (number and payment.phone_number == number):
            yield payment


def _blank_all(
    batches: Iterable[list[Payment]],
    unchanged: Callable[[], QuerySet[Payment]],
    progress: Callable[[int], object] | None = None,
) -> Blanked:
    """Blank batch by batch, and log what was done, even if the run is interrupted."""
    started_at = time.monotonic()
    total = Blanked()
    try:
        for batch in batches:
            blanked = _blank([payment.pk for payment in batch], unchanged())
            total.payments += blanked.payments
            total.events += blanked.events
            total.left += len(batch) - blanked.payments
            if progress:
                progress(blanked.payments)
    finally:
        duration = time.monotonic() - started_at
        log.write(
            "personal_data_blanked",
            outcome=Outcome.ACCEPTED,
            duration=duration,
            payments=total.payments,
            events=total.events,
        )
    return total


def _blank(pks: list[int], unchanged: QuerySet[Payment]) -> Blanked:
    """Blank the payments that have not changed since they were found, and their events, in one commit."""
    payments = Payment.objects.using(database())
    now = timezone.now()

    def work(_fit: Fit) -> Blanked:
        count = unchanged.filter(pk__in=pks).update(**BLANK, blanked_at=now)
        ours = pks
        if count < len(pks):
            ours = list(payments.filter(pk__in=pks, blanked_at=now).values_list("pk", flat=True))
        _blank_rows_of(ours)
        return Blanked(count, _blank_events(ours))

    return commit(work)


def _blank_rows_of(pks: list[int]) -> None:
    """Blank the rows that belong to the payments, and the link to a user if that is what was paid for."""
    payments = Payment.objects.using(database()).filter(pk__in=pks)
    payments.filter(content_type=ContentType.objects.get_for_model(get_user_model())).update(
        content_type=None, object_id=None
    )
    SearchKey.objects.using(database()).filter(payment__in=pks).delete()
    findings = Finding.objects.using(database()).filter(payment__in=pks)
    findings.update(note="")
    findings.exclude(reason__in=_FIGURES).update(detail="")
    Refund.objects.using(database()).filter(payment__in=pks).update(reason="")
    for extension in extensions():
        extension.blank_personal_data(pks)


def _blank_events(payments: list[int]) -> int:
    """Return how many events had something to blank."""
    count = 0
    events = PaymentEvent.objects.using(database()).filter(payment__in=payments)
    for page in _in_batches(oldest_first(events, EVENTS_PAGE), EVENTS_PAGE):
        changed = [event for event in page if _blank_event(event)]
        _store(changed)
        count += len(changed)
    return count


def _store(events: list[PaymentEvent]) -> None:
    """Store each event: ten times as fast as ``bulk_update`` with its long CASE expressions."""
    connection = connections[database()]
    data = PaymentEvent._meta.get_field("data")
    rows = [
        (data.get_db_prep_save(event.data, connection), event.message, event.remote_address, event.pk)
        for event in events
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_UPDATE_EVENT, rows)


def _blank_event(event: PaymentEvent) -> bool:
    """Blank an event in memory. Return whether there was anything to blank."""
    before = (event.data, event.message, event.remote_address)
    event.data = _data(event)
    # Text from people or from the gateway may name anyone; the app's own text consists of findings.
    is_ours = event.kind in {Kind.NOTIFICATION, Kind.STATUS}
    event.message = _findings(event.message) if is_ours else ""
    event.remote_address = ""
    return before != (event.data, event.message, event.remote_address)


def _data(event: PaymentEvent) -> dict[str, Any]:
    if event.kind != Kind.STAFF:
        # What is left of an unreadable notification might be replayed as something else.
        return {} if event.reason == Reason.MALFORMED else without_personal_data(event.fields)
    data = event.fields
    kept = {name: data[name] for name in _FIELDS_OF_STAFF if name in data}
    if isinstance(proof := data.get("statement"), dict):
        kept["statement"] = {name: proof[name] for name in _FIELDS_OF_PROOF if name in proof}
    if isinstance(fields := data.get("fields"), dict):
        kept["fields"] = without_personal_data(fields)
    if "finding" in data:
        kept["finding"] = _findings(str(data["finding"]))
    if isinstance(findings := data.get("findings"), list):
        kept["findings"] = list(filter(None, (_findings(str(finding)) for finding in findings)))
    return kept


def _findings(text: str) -> str:
    """
    Return the codes of the findings in a text, with those details that consist of numbers and ids.

    A notified text may look like a finding, so the form of a detail decides whether it is kept.
    """
    findings = []
    for line in text.split("; "):
        code, _colon, detail = line.partition(": ")
        if code in Reason.values:
            pattern = _FIGURES.get(code)
            findings.append(line if pattern and pattern.fullmatch(detail) else code)
    return "; ".join(findings)
