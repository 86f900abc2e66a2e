"""
Blanking what tells who paid, and keeping what the books need.

A batch is one short transaction, whose first statement is the conditional UPDATE of the payments, with ``blanked_at``;
then follow their events. Whoever dies in between has done a batch or not, and whoever comes next goes on. What comes
later for a blanked payment is stored as ever, and takes ``blanked_at`` away: once it is old, it is blanked too.
"""

import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
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
from django_paiementpro.enums import Kind, Outcome, Reason, Status
from django_paiementpro.gateway.messages import without_personal_data
from django_paiementpro.models import Finding, Payment, PaymentEvent, Refund, SearchKey
from django_paiementpro.normalization import email_key
from django_paiementpro.phones import parse_phone, search_phones
from django_paiementpro.services.leases import not_held
from django_paiementpro.services.reconciliation import oldest_first
from django_paiementpro.services.transactions import Fit, commit

T = TypeVar("T")

#: So many payments are blanked in one transaction.
BATCH_SIZE = 500

#: So many events are read at once.
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
}

_UPDATE_EVENT = "UPDATE paiementpro_paymentevent SET data = %s, message = %s, remote_address = %s WHERE id = %s"

# Findings that are made of amounts, references and the gateway's ids alone, and what their details look like.
_IDS = re.compile(r"(?=\S*\d)[\w.-]+(?: (?=\S*\d)[\w.-]+)?", re.ASCII)
_FIGURES: Mapping[str, re.Pattern[str]] = {
    Reason.AMOUNT: re.compile(r"(?:0|[1-9]\d*|None) != [1-9]\d*", re.ASCII),
    Reason.PAID_TWICE: _IDS,
    Reason.FAILURE_AFTER_SUCCESS: _IDS,
    Reason.TRANSACTION_REUSED: _IDS,
    Reason.PAID_AFTER_CANCELLATION: _IDS,
}

# What an act of staff keeps beside its findings. Who it was is a number, which the shop alone can tell.
_FIELDS_OF_STAFF = (
    *("action", "user_id", "gateway_id", "amount", "replayed"),
    *("refund_reference", "kind", "fee", "refunded_on"),
)


@dataclass(slots=True)
class Blanked:
    """How many payments were blanked, how many of their events, and how many payments were left as they may be paid."""

    payments: int = 0
    events: int = 0
    left: int = 0


def prunable_payments(before: datetime) -> QuerySet[Payment]:
    """
    Return the payments to blank: created before that moment, not pending, no event since, no signal owed.

    Payments that are already blanked are skipped in the index ``paiementpro_created``, without being read.
    """
    events = PaymentEvent.objects.filter(payment=OuterRef("pk"))
    is_in_use = Exists(events.filter(Q(created_at__gte=before) | Q(deliver_at__isnull=False)))
    return _unpruned(before).filter(~is_in_use, created_at__lt=before)


def _unpruned(before: datetime) -> QuerySet[Payment]:
    """Return what is blanked only as long as it is so: the rest of ``prunable_payments`` does not change."""
    return _at_rest().filter(blanked_at=None, updated_at__lt=before)


def _at_rest() -> QuerySet[Payment]:
    """Return the payments that nobody is paying, nor about to: their payer's data have been sent, or are needed."""
    return Payment.objects.using(database()).filter(not_held(timezone.now())).exclude(status=Status.PENDING)


def prune_personal_data(
    before: datetime, *, batch_size: int = BATCH_SIZE, progress: Callable[[int], object] | None = None
) -> Blanked:
    """
    Blank the personal data of payments that were created before, and of which nothing has been heard since.

    What they were paid, when, how and under which numbers stays, and so does what they owe to receivers. Two runs at
    once do each payment once. ``progress`` is told how many payments each batch has blanked.
    """
    return _blank_all(_prunable_batches(before, batch_size), lambda: _unpruned(before), progress)


def _prunable_batches(before: datetime, size: int) -> Iterator[list[Payment]]:
    """Walk through them in the order of their index, with what was read last for a bookmark."""
    rows = prunable_payments(before).only("pk", "created_at").order_by("created_at", "pk")
    page = list(rows[:size])
    while page:
        yield page
        last = page[-1]
        behind = Q(created_at__gt=last.created_at) | Q(pk__gt=last.pk)
        page = list(rows.filter(behind, created_at__gte=last.created_at)[:size])


def count_personal_data(*, email: str = "", phone: str = "") -> Blanked:
    """Return what ``erase_personal_data`` would do, but for the events: how many payments, and how many are left."""
    found = Blanked()
    for payment in _payments_of_person(email, phone):
        if payment.status == Status.PENDING:
            found.left += 1
        else:
            found.payments += 1
    return found


def erase_personal_data(*, email: str = "", phone: str = "") -> Blanked:
    """
    Blank the payments with this e-mail address or phone number, whatever their age and however it was typed.

    A phone number without a country code is read as an Ivorian one; a payment's own number is read with its channel.
    Pending payments are left: they may be paid at any moment. Raises ``ValueError`` if neither is given, or if the
    number is not a phone number.
    """
    persons = _in_batches(_payments_of_person(email, phone), BATCH_SIZE)
    return _blank_all(persons, _at_rest)


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


def _payments_of_person(email: str, phone: str) -> Iterator[Payment]:
    """Find them by their search keys, and compare their data: addresses that differ by accents share a key."""
    email, phone = _canonical(email), phone.strip()
    if not email and not phone:
        raise ValueError("an e-mail address or a phone number tells whose payments they are")
    number = parse_phone(phone) if phone else ""
    keys = SearchKey.objects.using(database()).filter(text__in={email_key(email), number} - {""})
    columns = ("pk", "status", "channel", "gateway_channel", "customer_email", "customer_phone")
    for payment in oldest_first(Payment.objects.using(database()).filter(pk__in=keys.values("payment")).only(*columns)):
        has_email = bool(email) and _canonical(payment.customer_email) == email
        if has_email or (number and payment.phone_number == number):
            yield payment


def _canonical(email: str) -> str:
    """Return the form in which an address is compared: without case and invisible characters, but with its accents."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", email).casefold())
    return "".join(character for character in text if unicodedata.category(character) != "Cf").strip()


def _blank_all(
    batches: Iterable[list[Payment]],
    unchanged: Callable[[], QuerySet[Payment]],
    progress: Callable[[int], object] | None = None,
) -> Blanked:
    """Blank batch by batch, and log what was done, also where somebody stops it."""
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
    """Blank those of the payments that are still as they were found, and their events, in one commit."""
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
    """Blank the rows that belong to the payments, and an order that is a user."""
    payments = Payment.objects.using(database()).filter(pk__in=pks)
    payments.filter(content_type=ContentType.objects.get_for_model(get_user_model())).update(
        content_type=None, object_id=None
    )
    SearchKey.objects.using(database()).filter(payment__in=pks).delete()
    findings = Finding.objects.using(database()).filter(payment__in=pks)
    findings.update(note="")
    findings.exclude(reason__in=_FIGURES).update(detail="")
    Refund.objects.using(database()).filter(payment__in=pks).update(reason="")


def _blank_events(payments: list[int]) -> int:
    """Return how many had something to blank."""
    count = 0
    events = PaymentEvent.objects.using(database()).filter(payment__in=payments)
    for page in _in_batches(oldest_first(events, EVENTS_PAGE), EVENTS_PAGE):
        changed = [event for event in page if _blank_event(event)]
        _store(changed)
        count += len(changed)
    return count


def _store(events: list[PaymentEvent]) -> None:
    """Update each event with what it has in memory: ten times as fast as ``bulk_update``, with its long CASEs."""
    connection = connections[database()]
    data = PaymentEvent._meta.get_field("data")
    rows = [
        (data.get_db_prep_save(event.data, connection), event.message, event.remote_address, event.pk)
        for event in events
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_UPDATE_EVENT, rows)


def _blank_event(event: PaymentEvent) -> bool:
    """Blank it in memory. Return whether there was anything."""
    before = (event.data, event.message, event.remote_address)
    event.data = _data(event)
    # People's words and the gateway's may name anybody; ours are findings.
    is_ours = event.kind in {Kind.NOTIFICATION, Kind.STATUS}
    event.message = _findings(event.message) if is_ours else ""
    event.remote_address = ""
    return before != (event.data, event.message, event.remote_address)


def _data(event: PaymentEvent) -> dict[str, Any]:
    if event.kind != Kind.STAFF:
        # A part of what could not be read might be read, when it is replayed, as something that it was not.
        return {} if event.reason == Reason.MALFORMED else without_personal_data(event.fields)
    data = event.fields
    kept = {name: data[name] for name in _FIELDS_OF_STAFF if name in data}
    if isinstance(fields := data.get("fields"), dict):
        kept["fields"] = without_personal_data(fields)
    if "finding" in data:
        kept["finding"] = _findings(str(data["finding"]))
    if isinstance(findings := data.get("findings"), list):
        kept["findings"] = list(filter(None, (_findings(str(finding)) for finding in findings)))
    return kept


def _findings(text: str) -> str:
    """
    Return the codes of the findings in a text, with the details of those that are made of numbers and ids.

    What looks like a finding may be part of a text that was notified, so a detail is kept by what it consists of.
    """
    findings = []
    for line in text.split("; "):
        code, _colon, detail = line.partition(": ")
        if code in Reason.values:
            pattern = _FIGURES.get(code)
            findings.append(line if pattern and pattern.fullmatch(detail) else code)
    return "; ".join(findings)
