"""
What can be done with a payment link.

Whatever takes money through a link holds the lock of the link's row: the places are counted, the form is recognised
and the payment is stored in one transaction. Its first statement is an UPDATE, for which SQLite waits its turn.
"""

import hashlib
import math
import re
import secrets
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import Count, F, Q, QuerySet, Sum
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from django_paiementpro import signing
from django_paiementpro.db.connections import database, read
from django_paiementpro.db.keyset import in_pages
from django_paiementpro.enums import PAID, Kind, Outcome, Reason, Status
from django_paiementpro.links.exceptions import LinkClosedError, TooManyPostsError
from django_paiementpro.links.models import HOLDING, LinkPayment, LinkState, PaymentLink
from django_paiementpro.models import Finding, Payment, format_amount
from django_paiementpro.normalization import canonical_email, email_key
from django_paiementpro.phones import parse_phone
from django_paiementpro.services import validate_payment
from django_paiementpro.services.orders import is_same_debt, open_among, storable
from django_paiementpro.services.rules import Decision, Fact, flagged
from django_paiementpro.services.transactions import Fit, commit
from django_paiementpro.services.transitions import settle

#: How many payments one telephone number or e-mail address may start through a link, and in which time.
MAX_POSTS = 10
POSTS_WINDOW = timedelta(minutes=10)

#: How many times one form may ask for another amount: each time makes a payment.
MAX_CHANGES = 50

#: No link asks for more: a larger number is a slip of the fingers, and some columns could not hold it.
LARGEST_AMOUNT = 10**12

#: How many rows are read at once to find a person.
ERASURE_PAGE = 500

_FORM_KEY = "link-form"
_TOKEN = re.compile("[A-Za-z0-9_-]{1,32}")
_DESCRIPTION_LENGTH: int = Payment._meta.get_field("description").max_length or 0


def find_link(token: str) -> PaymentLink | None:
    """Return the link with exactly this token, or None."""
    if not _TOKEN.fullmatch(token):
        return None
    link = read(_links().filter(token=token).first)
    # To the letter: MariaDB compares without case.
    return link if link and link.token == token else None


def new_form_key(link: PaymentLink) -> str:
    """Return the one-time key of a form that pays this link: signed, since anyone may post."""
    return signing.sign(f"{link.token}-{secrets.token_hex(12)}", _FORM_KEY)


def is_form_key(link: PaymentLink, form_key: str) -> bool:
    """Return whether the key was made here, for this link."""
    return _signed_name(link, form_key) is not None


def _signed_name(link: PaymentLink, form_key: str) -> str | None:
    name = signing.unsign(form_key, _FORM_KEY)
    return name if name is not None and name.rpartition("-")[0] == link.token else None


def amount_to_pay(link: PaymentLink, chosen: int | None) -> int:
    """Return the link's amount or, if that is open, the customer's. Raises ``ValidationError`` outside its bounds."""
    if link.amount is not None:
        amount: int = link.amount
        return amount
    least, most = link.least_amount, link.max_amount or LARGEST_AMOUNT
    if chosen is None or not least <= chosen <= most:
        limits = {"least": format_amount(least, link.currency), "most": format_amount(most, link.currency)}
        text = _("Choose an amount from %(least)s.") if link.max_amount is None else None
        raise ValidationError((text or _("Choose an amount from %(least)s to %(most)s.")) % limits, code="invalid")
    return chosen


def pay_link(link: PaymentLink, form_key: str, *, amount: int | None = None, **values: str) -> Payment:
    """
    Return the payment that a customer is to make through a link, for the form with this key.

    A single link is one debt: everyone who opens it gets its payable payment, with their own details. Each form of a
    reusable link makes a payment of its own; the same form, however often it is posted, makes one. If the customer goes
    back and corrects it, its payment is brought up to date or, if the amount has changed, replaced. The gateway is not
    called: redirect to ``payment.get_checkout_url()``.

    ``values`` are ``channel`` and the customer's fields. Raises ``LinkClosedError``, ``TooManyPostsError``,
    ``ValidationError`` for a key that was not made here (code ``form_key``) or for an invalid amount or a link that the
    shop has set up incorrectly, by field, and ``PaymentLink.DoesNotExist``.
    """
    name = _signed_name(link, form_key)
    if name is None:
        raise ValidationError(_("This form is no longer valid: send it again."), code="form_key")
    return commit(partial(_pay, link.pk, _digest(name), amount, values))


def _pay(pk: int, digest: str, amount: int | None, values: dict[str, str], fit: Fit) -> Payment:
    # The lock of the row, on every database.
    if not _links().filter(pk=pk).update(is_active=F("is_active")):
        raise PaymentLink.DoesNotExist
    link = _links().get(pk=pk)
    used = _link_payments().filter(form_key=digest).first()
    # A form of a reusable link has to do with its own payment alone.
    own = [used.payment_id] if used else []
    rows = Payment.objects.using(database()).filter(pk__in=own) if link.is_reusable else link.stored_payments
    payments = list(rows.select_for_update())
    mine = next((payment for payment in payments if payment.pk in own), None)
    if mine and not Status(mine.status).is_payable:
        return mine
    wanted, host_values = _wanted(link, amount, values, fit)
    if mine is None or mine.status not in HOLDING or not is_same_debt(mine, wanted):
        _require_open(link, mine)
    elif link.is_paid:
        raise LinkClosedError(LinkState.PAID)
    validate_payment(wanted, customer=False)
    if used:
        payment = open_among(payments, wanted, host_values)
        if payment.pk != used.payment_id:
            _count_change(used)
            _link_payments().filter(pk=used.pk).update(payment=payment, changes=F("changes") + 1)
        return payment
    digests = _digests(link, wanted)
    _require_patience(link, digests)
    payment = open_among(payments, wanted, host_values)
    LinkPayment(link=link, payment=payment, form_key=digest, **digests).save(using=database(), force_insert=True)
    return payment


def _wanted(link: PaymentLink, amount: int | None, values: dict[str, str], fit: Fit) -> tuple[Payment, dict[str, Any]]:
    """Return the payment that the form asks for, and those of its columns that another form may change."""
    host_values = storable(
        {
            **{name: fit(value) for name, value in values.items()},
            "channel": link.channel or values.get("channel", ""),
            "description": _description(link, fit),
            "success_url": link.success_url,
        }
    )
    fixed = {"currency": link.currency, "merchant_id": link.merchant_id}
    try:
        return Payment(content_object=link, amount=amount_to_pay(link, amount), **fixed, **host_values), host_values
    except ValidationError as error:
        raise ValidationError({"amount": error}) from error


def _description(link: PaymentLink, fit: Fit) -> str:
    """Return the title as the payment's table can hold it, cut to its column."""
    title = fit(" ".join(link.title.split()))
    return Truncator(title).chars(_DESCRIPTION_LENGTH, truncate="...")


def _require_open(link: PaymentLink, besides: Payment | None) -> None:
    state = link.state_besides(besides)
    if state != LinkState.OPEN:
        raise LinkClosedError(state)


def _digests(link: PaymentLink, payment: Payment) -> dict[str, str]:
    """Return what a customer is counted by. It is keyed, since telephone numbers can be guessed."""
    try:
        phone = parse_phone(payment.customer_phone, payment.channel)
    except ValueError:
        phone = ""
    return _digests_of(link.pk, payment.customer_email, phone)


def _digests_of(link: int, email: str, phone: str) -> dict[str, str]:
    texts = {"phone_digest": phone, "email_digest": email_key(email)}
    return {name: _keyed(f"{link} {name} {text}") if text else "" for name, text in texts.items()}


def _keyed(text: str) -> str:
    return salted_hmac("django_paiementpro.links", text, algorithm="sha256").hexdigest()[:32]


def _require_patience(link: PaymentLink, customer: dict[str, str]) -> None:
    """
    Raise ``TooManyPostsError`` if one of the customer's digests was counted too often.

    Addresses are not counted: mobile operators put thousands of customers behind one.
    """
    now = timezone.now()
    for name, digest in customer.items():
        if not digest:
            continue
        posts = _link_payments().filter(link=link, created_at__gt=now - POSTS_WINDOW, **{name: digest})
        latest = list(posts.order_by("-created_at").values_list("created_at", flat=True)[:MAX_POSTS])
        if len(latest) == MAX_POSTS:
            wait = min(latest[-1] + POSTS_WINDOW - now, POSTS_WINDOW)
            raise TooManyPostsError(math.ceil(wait.total_seconds()))


def _count_change(used: LinkPayment) -> None:
    """Raise ``TooManyPostsError`` if one form has asked for too many amounts: each makes a payment."""
    if used.changes >= MAX_CHANGES:
        raise TooManyPostsError(math.ceil(POSTS_WINDOW.total_seconds()))


@dataclass(frozen=True, slots=True)
class Totals:
    """What came in through a link."""

    #: How many payments hold a place.
    places_taken: int = 0
    #: How many payments were made and not fully refunded, and what they brought after refunds, in whole francs.
    payments: int = 0
    amount: int = 0


def totals_of(links: Iterable[PaymentLink]) -> dict[int, Totals]:
    """Return what came in through each of the links, by key, in one query."""
    keys = {str(link.pk): link.pk for link in links}
    kind = ContentType.objects.get_for_model(PaymentLink)
    payments = Payment.objects.using(database()).filter(content_type=kind, object_id__in=list(keys))
    rows = (
        payments.order_by()
        .values_list("object_id")
        .annotate(
            places=Count("pk", filter=Q(status__in=HOLDING)),
            paid=Count("pk", filter=Q(status=Status.SUCCEEDED)),
            amount=Sum(F("amount") - F("refunded_amount"), filter=Q(status__in=PAID), default=0),
        )
    )
    return dict.fromkeys(keys.values(), Totals()) | {keys[key]: Totals(*figures) for key, *figures in rows if key}


def store_link(link: PaymentLink, key: str = "", content: str = "") -> PaymentLink | None:
    """
    Store a new link, once for each idempotency key. Return the stored one if the key was used with the same content.

    Return None if it was used with another. Keys of different callers must differ.
    """
    prefix = _digest(key)[:32] if key else ""
    link.import_key = prefix + _digest(content)[:32] if key else None

    def store(fit: Fit) -> None:
        link.pk, link._state.adding = None, True
        for name in ("title", "description", "customer_name", "closed_message", "success_message"):
            setattr(link, name, fit(getattr(link, name)))
        link.save(using=database(), force_insert=True)

    def used() -> PaymentLink | None:
        return _links().filter(import_key__startswith=prefix).first() if key else None

    stored = used()
    if stored is None:
        try:
            commit(store)
        except IntegrityError:
            stored = used()
            if stored is None:
                raise
        else:
            return link
    return stored if stored.import_key == link.import_key else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def is_paid_by_link(payment: Payment) -> bool:
    """Return whether a payment was made through a link. Reads nothing."""
    return payment.is_for(PaymentLink)


def success_message_of(payment: Payment) -> str:
    """Return what the customer of a link reads once the payment is made; empty for other payments."""
    if payment.status != Status.SUCCEEDED or not is_paid_by_link(payment):
        return ""
    link = _link_of(payment)
    return link.success_message if link else ""


def flag_money(payment: Payment) -> None:
    """
    Raise a finding for money that came too late for its link, or over its limit: it is a success all the same.

    Safe to call again, and for two payments at once: those that settle at the same moment rank by the time of their
    settlement, and each call flags what ranks behind its own payment too, which another call may not have seen.
    """
    link = _link_of(payment)
    if link is None or payment.settled_at is None:
        return
    if ends := [end for end in (link.expires_at, link.switched_off_at) if end and end < payment.settled_at]:
        _flag(payment, Reason.LINK_EXPIRED, f"{_written(payment.settled_at)} > {_written(min(ends))}")
    limit = link.max_payments if link.is_reusable else 1
    if limit is None:
        return
    # A single link may be paid again once its payment has been refunded.
    counted = PAID if link.is_reusable else [Status.SUCCEEDED]
    paid = link.stored_payments.filter(status__in=counted).order_by("settled_at", "pk")
    for rank, other in enumerate(paid[limit:], limit + 1):
        if other.settled_at is not None and other.settled_at >= payment.settled_at:
            _flag(other, Reason.LINK_OVER_LIMIT, f"{rank} > {limit}")


def _written(moment: datetime) -> str:
    return moment.astimezone(timezone.get_default_timezone()).isoformat(timespec="seconds")


class _Known(Exception):  # noqa: N818  it ends a decision
    """The finding has been raised before."""


def _flag(payment: Payment, reason: Reason, detail: str) -> None:
    """Raise a finding, once for each payment and reason: also after a review it is not raised again."""
    findings = Finding.objects.using(database()).filter(payment=payment.pk, reason=reason)
    fact = Fact.of(reason, detail)

    def decide(_payment: Payment) -> Decision:
        if findings.exists():
            raise _Known
        return flagged(Outcome.CONFLICT, fact)

    with suppress(_Known):
        settle(payment, decide, Kind.HOST)


def blank_customers(payments: Collection[int]) -> None:
    """Blank whom the single links of these payments are for, and what their customers were counted by."""
    _link_payments().filter(payment__in=payments).update(phone_digest="", email_digest="")
    kind = ContentType.objects.get_for_model(PaymentLink)
    paid = Payment.objects.using(database()).filter(pk__in=payments, content_type=kind)
    links = _links().filter(pk__in=list(paid.values_list("object_id", flat=True)), is_reusable=False)
    links.update(customer_name="", customer_phone="", customer_email="")


def erase_customer(email: str, phone: str, *, dry_run: bool = False) -> int:
    """
    Blank the customer of the links made for this person, and the digests that count their attempts.

    ``email`` and ``phone`` are in the forms in which they are compared; one may be empty. Titles and descriptions are
    left alone. Return the number of links, even in a dry run. No index helps: all links that are for someone, and all
    digests, are read in pages.
    """
    if not dry_run:
        _erase_digests(email, phone)
    links = _links().exclude(customer_phone="", customer_email="")
    columns = ("pk", "channel", "customer_phone", "customer_email")
    count = 0
    for page in in_pages(links.values(*columns), "pk", size=ERASURE_PAGE):
        if theirs := [row for row in page if _is_customer(row, email, phone)]:
            count += len(theirs) if dry_run else commit(partial(_blank_links, theirs))
    return count


def _is_customer(row: dict[str, Any], email: str, phone: str) -> bool:
    if email and canonical_email(row["customer_email"]) == email:
        return True
    if not phone or not row["customer_phone"]:
        return False
    try:
        return parse_phone(row["customer_phone"], row["channel"]) == phone
    except ValueError:
        return False


def _blank_links(rows: Iterable[dict[str, Any]], _fit: Fit) -> int:
    """Blank the customers of these links, except links whose customer has changed since they were read."""
    blank = {"customer_name": "", "customer_phone": "", "customer_email": ""}
    return sum(_links().filter(**row).update(**blank) for row in rows)


def _erase_digests(email: str, phone: str) -> None:
    rows = _link_payments().exclude(phone_digest="", email_digest="")
    for page in in_pages(rows.values("pk", "link_id", "phone_digest", "email_digest"), "pk", size=ERASURE_PAGE):
        if theirs := [row["pk"] for row in page if _has_digest(row, _digests_of(row["link_id"], email, phone))]:
            commit(partial(_blank_digests, theirs), is_one_statement=True)


def _blank_digests(pks: list[int], _fit: Fit) -> None:
    _link_payments().filter(pk__in=pks).update(phone_digest="", email_digest="")


def _has_digest(row: dict[str, Any], digests: dict[str, str]) -> bool:
    return any(digest and row[name] == digest for name, digest in digests.items())


def _link_of(payment: Payment) -> PaymentLink | None:
    return _links().filter(pk=payment.object_id or 0).first()


def _links() -> QuerySet[PaymentLink]:
    return PaymentLink.objects.using(database())


def _link_payments() -> QuerySet[LinkPayment]:
    return LinkPayment.objects.using(database())
