"""What the app adds to reconciliation, erasure, the result page and the admin."""

from collections.abc import Collection
from threading import Event

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from django_paiementpro.db.connections import database
from django_paiementpro.enums import Status
from django_paiementpro.models import Payment
from django_paiementpro.receipts import outgoing
from django_paiementpro.receipts.issuing import make_good
from django_paiementpro.receipts.models import BLANK, Receipt


def reconcile(stop: Event) -> dict[str, int]:
    """Issue missing receipts, then do what receipts owe."""
    return {
        "receipts_issued": make_good(stop),
        "fiscal_documents": outgoing.FISCAL.do_all(stop),
        "receipts_mailed": outgoing.MAIL.do_all(stop),
    }


def blank_personal_data(payments: Collection[int]) -> None:
    """Blank the person. The books keep number, amount, dates, seller, references and the fiscal document's number."""
    Receipt.objects.using(database()).filter(payment__in=payments).update(**BLANK, mail_due_at=None)


def result_context(payment: Payment) -> dict[str, str]:
    """Link to the receipt of a paid payment, if there is one."""
    receipt = None
    if Status(payment.status).is_paid:
        receipt = Receipt.objects.using(database()).filter(payment=payment.pk, refund=None).first()
    try:
        return {"receipt_url": receipt.get_absolute_url()} if receipt else {}
    except NoReverseMatch:  # a check reports it
        return {}


def admin_links(request: HttpRequest, payment: Payment) -> list[tuple[str, str]]:
    """Link to the receipts in the admin, for users who may view them."""
    if not request.user.has_perm("paiementpro_receipts.view_receipt"):
        return []
    app = getattr(request, "current_app", None)
    receipts = Receipt.objects.using(database()).filter(payment=payment.pk).order_by("issued_at", "year", "sequence")
    try:
        return [
            (
                _("Receipt %(number)s") % {"number": receipt.number},
                reverse("admin:paiementpro_receipts_receipt_change", args=[receipt.pk], current_app=app),
            )
            for receipt in receipts
        ]
    except NoReverseMatch:  # not in this admin
        return []
