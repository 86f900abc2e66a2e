"""
What the paper of a receipt says, for the page, the PDF and the mail alike.

All of it comes from the receipt, but for how much has been returned since.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from django_paiementpro.db.connections import database
from django_paiementpro.enums import Channel
from django_paiementpro.models import format_amount, offered_channels
from django_paiementpro.receipts.models import Receipt
from django_paiementpro.receipts.words import amount_in_words

#: The day first, in English too, as West Africa writes it.
DAY = "j F Y"


class Line(NamedTuple):
    """A label and its value."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Paper:
    """The texts of a receipt, in the current language, and dates in the time zone of the site."""

    title: str
    number: str
    seller_name: str
    #: Address, contact and registrations.
    seller: list[str]
    amount: str
    words: str
    lines: list[Line]
    #: What it is not.
    note: str
    #: The tax administration's document, its address, and what its QR code says; all empty if there is none.
    fiscal: list[Line] = field(default_factory=list)
    fiscal_url: str = ""
    fiscal_qr: str = ""


def paper_of(receipt: Receipt) -> Paper:
    """Return what the paper says."""
    title, note = _title_and_note(receipt)
    seller = {name: str(value) for name, value in receipt.seller.items()}
    fiscal = receipt.fiscal_document
    return Paper(
        title=title,
        number=receipt.number,
        seller_name=seller.get("name", ""),
        seller=list(_seller(seller)),
        amount=receipt.amount_display,
        words=amount_in_words(receipt.amount, receipt.currency),
        lines=[line for line in _lines(receipt) if line.value],
        note=note,
        fiscal=[Line(_("Fiscal document"), fiscal.reference)] if fiscal else [],
        fiscal_url=fiscal.url if fiscal else "",
        fiscal_qr=(fiscal.qr_text or fiscal.url) if fiscal else "",
    )


def _title_and_note(receipt: Receipt) -> tuple[str, str]:
    if receipt.kind == Receipt.Kind.PAYMENT:
        return _("Receipt of payment"), _("This receipt of payment is not a normalised invoice.")
    note = _("This receipt is not a normalised credit note.")
    if receipt.kind == Receipt.Kind.REFUND:
        return _("Receipt of refund"), note
    return _("Receipt of chargeback"), note


def _seller(seller: dict[str, str]) -> Iterator[str]:
    yield from filter(None, (line.strip() for line in seller.get("address", "").splitlines()))
    yield from filter(None, (seller.get("phone"), seller.get("email")))
    if registration := seller.get("registration"):
        yield _("Trade register: %(number)s") % {"number": registration}
    if tax_id := seller.get("tax_id"):
        yield _("Taxpayer number: %(number)s") % {"number": tax_id}


def _lines(receipt: Receipt) -> Iterator[Line]:
    yield Line(_("Issued on"), _moment(receipt.issued_at))
    if receipt.original:
        yield Line(_("For receipt"), receipt.original.number)
        yield Line(_("Amount of the payment"), receipt.original.amount_display)
    yield Line(_("Customer"), receipt.customer_name)
    yield Line(_("Phone"), receipt.customer_phone)
    yield Line(_("For"), receipt.description)
    yield Line(_("Payment method"), _channel(receipt.channel))
    yield Line(pgettext("receipt", "Paid on"), _moment(receipt.paid_at))
    if receipt.original:
        yield Line(_("Returned on"), _day(receipt.refunded_on))
    yield Line(_("Reference"), receipt.reference)
    yield Line(_("Gateway transaction"), receipt.gateway_id)
    yield Line(_("Status"), _status(receipt))


def _status(receipt: Receipt) -> str:
    """Return where the payment stands by now."""
    payment = receipt.payment
    params = {"refunded": payment.refunded_amount_display, "amount": format_amount(payment.amount, receipt.currency)}
    if not payment.refunded_amount:
        return _("Paid")
    if receipt.original:
        return _("%(refunded)s of %(amount)s returned so far") % params
    numbers = receipt.refund_receipts.using(database()).order_by("year", "sequence").values_list("number", flat=True)
    if payment.refunded_amount >= payment.amount:
        text = _("Refunded: %(refunded)s of %(amount)s returned") % params
    else:
        text = _("Refunded in part: %(refunded)s of %(amount)s returned") % params
    receipts = ", ".join(numbers)
    return f"{text} ({receipts})" if receipts else text


def _channel(code: str) -> str:
    names = {**dict(Channel.choices), **dict(offered_channels())}
    return str(names.get(code, code))


def _moment(moment: datetime | None) -> str:
    """Return date, hour and zone, in the time zone of the site."""
    if moment is None:
        return ""
    local = timezone.localtime(moment, timezone.get_default_timezone())
    return f"{date_format(local, DAY)}, {local:%H:%M} {local:%Z}"


def _day(day: date | None) -> str:
    return date_format(day, DAY) if day else ""
