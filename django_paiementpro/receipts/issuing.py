"""
Issue receipts, with numbers that have no gaps.

A number is taken in the transaction that inserts its receipt: its first statement updates the counter of the merchant
and year, whose row stays locked until the commit. What is rolled back gives its number back. Each payment and each
refund gets one receipt however often it is asked for, and that of a refund comes after that of its payment.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from threading import Event

from django.conf import settings
from django.db import IntegrityError
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from django_paiementpro import log
from django_paiementpro.conf import Conf, conf
from django_paiementpro.db.connections import database
from django_paiementpro.db.keyset import in_pages
from django_paiementpro.enums import PAID
from django_paiementpro.models import Payment, Refund
from django_paiementpro.phones import mask_phone
from django_paiementpro.receipts.models import Counter, Installation, Receipt
from django_paiementpro.services.transactions import Fit, commit

#: For how long after a payment or a refund reconciliation looks whether it has its receipt. Signals that are owed are
#: delivered however old they are.
LOOK_BACK = timedelta(days=3)

PAGE_SIZE = 500

#: What a receipt says about the seller.
SELLER = ("name", "address", "phone", "email", "registration", "tax_id")


@dataclass(frozen=True, slots=True)
class Owes:
    """Whether a new receipt is to be mailed, and to get a document of the tax administration."""

    mail: bool
    document: bool


NOTHING = Owes(mail=False, document=False)


def what_settings_ask() -> Owes:
    # A path that cannot be imported is tried again until it can, and does not keep the receipt from being issued.
    return Owes(mail=conf.receipt_email, document=getattr(settings, Conf.fiscal_issuer.name, None) is not None)


def issue_receipt(payment: Payment, refund: Refund | None = None, *, owes: Owes = NOTHING) -> Receipt | None:
    """
    Return the receipt for a payment, or for one of its refunds, and issue it if there is none yet.

    Return None if the payment is not paid, or has been deleted. The receipt of a refund is issued after that of its
    payment.
    """
    original = None if refund is None else issue_receipt(payment, owes=owes)
    if refund is not None and original is None:
        return None
    source = f"payment {payment.pk}" if refund is None else f"refund {refund.pk}"
    receipt = _find(source)
    while receipt is None:
        year = _year_of(timezone.now())
        try:
            receipt = commit(partial(_write, payment, refund, original, source, year, owes))
        except _NoCounter:
            # On its own, so that no two transactions wait for each other with the new row in hand.
            counter = Counter(merchant_id=payment.merchant_id, year=year)
            Counter.objects.using(database()).bulk_create([counter], ignore_conflicts=True)
        except _NextYear:
            pass
        except Payment.DoesNotExist:
            return None
        except IntegrityError:
            # Another process has issued it since: its number is the one that counts.
            receipt = _find(source)
            if receipt is None:
                raise
    return receipt


class _NoCounter(Exception):  # noqa: N818  no error
    """The merchant has no receipt in this year yet."""


class _NextYear(Exception):  # noqa: N818  no error
    """The year ended while another process held the counter."""


def _find(source: str) -> Receipt | None:
    receipts = Receipt.objects.using(database()).select_related("payment", "original", "refund")
    return receipts.filter(source=source).first()


def _write(
    payment: Payment, refund: Refund | None, original: Receipt | None, source: str, year: int, owes: Owes, fit: Fit
) -> Receipt:
    """Take the next number, and insert the receipt with what its paper shows."""
    using = database()
    counters = Counter.objects.using(using).filter(merchant_id=payment.merchant_id, year=year)
    if not counters.update(last=F("last") + 1):
        raise _NoCounter
    sequence = counters.values_list("last", flat=True).get()
    now = timezone.now()
    if _year_of(now) != year:
        raise _NextYear
    # Under a lock, so that personal data that are being erased are not copied.
    payment = Payment.objects.using(using).select_for_update().filter(status__in=PAID).get(pk=payment.pk)
    receipt = Receipt(
        payment=payment,
        refund=refund,
        original=original,
        source=source,
        kind=Receipt.Kind.PAYMENT if refund is None else refund.kind,
        merchant_id=payment.merchant_id,
        year=year,
        sequence=sequence,
        number=f"{year}-{sequence:06d}",
        issued_at=now,
        seller={name: fit(getattr(conf.shop, name)) for name in SELLER},
        customer_name=fit(" ".join(f"{payment.customer_first_name} {payment.customer_last_name}".split())),
        customer_phone=mask_phone(payment.phone_number),
        description=fit(payment.description)[:255],
        amount=payment.amount if refund is None else refund.amount,
        currency=payment.currency,
        reference=payment.reference,
        channel=payment.gateway_channel or payment.channel,
        gateway_id=fit(payment.gateway_id if refund is None else refund.reference)[:128],
        paid_at=payment.settled_at,
        refunded_on=refund.refunded_on if refund else None,
        mail_due_at=now if owes.mail and payment.customer_email else None,
        fiscal_due_at=now if owes.document else None,
    )
    receipt.save(using=using, force_insert=True)
    return receipt


def _year_of(moment: datetime) -> int:
    """Return the year in the time zone of the site, whatever zone a member of staff has chosen."""
    return timezone.localtime(moment, timezone.get_default_timezone()).year


def issue_owed(payment: Payment, refunds: Iterable[Refund] = ()) -> list[Receipt]:
    """
    Issue the receipts of a payment, and of these refunds, that the settings ask for. Return them, issued now or before.

    Payments that were settled before the app was installed get none.
    """
    installed_at = _installed_at()
    is_old = payment.settled_at is None or (installed_at is not None and payment.settled_at < installed_at)
    if is_old and _find(f"payment {payment.pk}") is None:  # the command may have issued one
        return []
    owes = what_settings_ask()
    receipts = [issue_receipt(payment, owes=owes), *(issue_receipt(payment, refund, owes=owes) for refund in refunds)]
    return [receipt for receipt in receipts if receipt is not None]


def _installed_at() -> datetime | None:
    return Installation.objects.using(database()).values_list("installed_at", flat=True).first()


def issue_missing_receipts(since: datetime, *, owes: Owes = NOTHING, stop: Event | None = None) -> int:
    """
    Issue the receipts that payments settled since then, and their refunds, do not have. Return how many.

    The oldest payment comes first. An error concerns one payment, and is logged.
    """
    count = 0
    for payment, refund in chain(_payments_without(since), _refunds_without(since)):
        if stop is not None and stop.is_set():
            break
        try:
            count += issue_receipt(payment, refund, owes=owes) is not None
        except Exception as error:  # noqa: BLE001  logged; the others get theirs
            log.write("receipt_failed", payment, raised=error)
    return count


def make_good(stop: Event) -> int:
    """Issue what is missing since a few days ago, or since the app was installed. Return how many receipts."""
    since = timezone.now() - LOOK_BACK
    return issue_missing_receipts(max(since, _installed_at() or since), owes=what_settings_ask(), stop=stop)


def payments_without_receipt(since: datetime) -> QuerySet[Payment]:
    """Return the payments settled since then that have no receipt. Nothing was sold by those that verify an account."""
    receipts = Receipt.objects.filter(payment=OuterRef("pk"), refund=None)
    payments = Payment.objects.using(database()).filter(is_verification=False)
    return payments.filter(~Exists(receipts), status__in=PAID, settled_at__gte=since)


def refunds_without_receipt(since: datetime) -> QuerySet[Refund]:
    """Return the refunds without a receipt of payments settled since then, and newer ones of others that have one."""
    receipts = Receipt.objects.filter(refund=OuterRef("pk"))
    originals = Receipt.objects.filter(payment=OuterRef("payment"), refund=None)
    is_meant = Q(payment__settled_at__gte=since) | Q(Exists(originals), created_at__gte=since)
    return Refund.objects.using(database()).filter(is_meant, ~Exists(receipts), payment__is_verification=False)


def _payments_without(since: datetime) -> Iterator[tuple[Payment, None]]:
    for page in in_pages(payments_without_receipt(since), "settled_at", "pk", size=PAGE_SIZE):
        yield from ((payment, None) for payment in page)


def _refunds_without(since: datetime) -> Iterator[tuple[Payment, Refund]]:
    refunds = refunds_without_receipt(since).select_related("payment")
    for page in in_pages(refunds, "pk", size=PAGE_SIZE):
        yield from ((refund.payment, refund) for refund in page)
