"""Receipts, and the counters that number them. They are issued by ``issuing``."""

import secrets
from collections.abc import Mapping
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models.signals import pre_delete
from django.dispatch import receiver
from django.urls import get_script_prefix, reverse
from django.utils import timezone
from django.utils.encoding import iri_to_uri
from django.utils.translation import gettext_lazy as _

from django_paiementpro import signing
from django_paiementpro.fields import FrancsField
from django_paiementpro.models import Payment, Refund, format_amount
from django_paiementpro.receipts.fiscal import FiscalDocument

#: The salt of the URLs.
RECEIPT = "receipt"

#: What a receipt has in its personal fields once they are erased.
BLANK: Mapping[str, Any] = {"customer_name": "", "customer_phone": "", "description": "", "fiscal_raw": None}


def generate_key() -> str:
    """Return 128 random bits. Lower case, since MariaDB compares without case."""
    return secrets.token_hex(16)


class ReceiptQuerySet(models.QuerySet["Receipt"]):
    """Receipts, which are never deleted."""

    def for_object(self, instance: models.Model) -> "ReceiptQuerySet":
        """Return the receipts of one of the host's objects, or of a payment, in the order of issue."""
        if isinstance(instance, Payment):
            receipts = self.filter(payment=instance)
        else:
            payments = Payment.objects.for_object(instance).order_by()
            receipts = self.filter(payment__in=payments.values("pk"))
        return receipts.select_related("payment", "original").order_by("issued_at", "year", "sequence")


class Receipt(models.Model):
    """
    The receipt for a payment or for one of its refunds.

    It stores what its paper shows, so that it stays the same whatever changes later. Its key is random: anyone may see
    the receipt whose key they know, but cannot guess the key of another, as from the number of a row.
    """

    class Kind(models.TextChoices):
        """What a receipt is for."""

        PAYMENT = "payment", _("Payment")
        REFUND = "refund", _("Refund")
        CHARGEBACK = "chargeback", _("Chargeback")

    id = models.CharField(primary_key=True, max_length=32, default=generate_key, editable=False)
    #: The payment.
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="receipts", verbose_name=_("payment"))
    #: The refund or the chargeback that it is for; None for the receipt of the payment itself.
    refund = models.OneToOneField(
        Refund, models.PROTECT, null=True, blank=True, related_name="receipt", verbose_name=_("refund")
    )
    #: The receipt of the payment, which the receipt of a refund names.
    original = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="refund_receipts", verbose_name=_("first receipt")
    )
    #: What it is for, as text: no database allows a second receipt for the same.
    source = models.CharField(max_length=40, unique=True, editable=False)
    #: What it is for: one of ``Receipt.Kind``.
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)

    #: The merchant of the payment.
    merchant_id = models.CharField(_("merchant"), max_length=64)
    #: The year of issue in the time zone of the site.
    year = models.PositiveSmallIntegerField(_("year"))
    #: 1, 2, 3 … for each merchant and year, without gaps.
    sequence = models.PositiveBigIntegerField(_("sequence"))
    #: The number that people read: ``2026-000042``.
    number = models.CharField(_("number"), max_length=32)
    #: When it was issued.
    issued_at = models.DateTimeField(_("issued"), editable=False)

    #: The seller, as ``PAIEMENTPRO_SHOP`` described them at that time.
    seller = models.JSONField(_("seller"), default=dict)
    #: The customer’s name.
    customer_name = models.CharField(_("customer"), max_length=301, blank=True)
    #: The end of the customer’s phone number: ``+225 ******3456``.
    customer_phone = models.CharField(_("phone"), max_length=32, blank=True)
    #: What was paid.
    description = models.CharField(_("description"), max_length=255, blank=True)
    #: What was paid or returned, in whole francs.
    amount = FrancsField(_("amount"))
    #: ISO 4217.
    currency = models.CharField(_("currency"), max_length=3)
    #: The reference of the payment.
    reference = models.CharField(_("reference"), max_length=64)
    #: The payment method.
    channel = models.CharField(_("payment method"), max_length=32, blank=True)
    #: The gateway’s id of the transaction; that of the refund, if it is for one.
    gateway_id = models.CharField(_("gateway id"), max_length=128, blank=True)
    #: When the payment was settled.
    paid_at = models.DateTimeField(_("paid"), null=True, blank=True)
    #: The day of the refund.
    refunded_on = models.DateField(_("refunded on"), null=True, blank=True)

    #: The number of the tax administration’s document; empty until there is one.
    fiscal_reference = models.CharField(_("fiscal document"), max_length=255, blank=True)
    #: Where it can be verified.
    fiscal_url = models.CharField(_("address of the fiscal document"), max_length=2000, blank=True)
    #: What its QR code says.
    fiscal_qr_text = models.TextField(_("QR code of the fiscal document"), blank=True)
    #: What the issuer keeps for itself.
    fiscal_raw = models.JSONField(null=True, blank=True, editable=False)
    #: When it arrived.
    fiscal_issued_at = models.DateTimeField(_("fiscal document issued"), null=True, blank=True)
    #: When a process may ask for it: at the end of the current lease, if there is one. None if it is not owed.
    fiscal_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: How often it was asked for.
    fiscal_attempts = models.PositiveIntegerField(default=0, editable=False)

    #: When it was mailed.
    mailed_at = models.DateTimeField(_("mailed"), null=True, blank=True)
    #: When a process may mail it, as above.
    mail_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: How often that was tried.
    mail_attempts = models.PositiveIntegerField(default=0, editable=False)

    objects: ClassVar[models.Manager["Receipt"]] = ReceiptQuerySet.as_manager()

    class Meta:
        verbose_name = _("receipt")
        verbose_name_plural = _("receipts")
        ordering = ["-issued_at", "-year", "-sequence"]
        default_permissions = ("view",)
        permissions = [("mail_receipt", "Can mail a receipt to the customer again")]
        constraints = [
            models.UniqueConstraint(fields=["merchant_id", "year", "sequence"], name="paiementpro_receipt_number")
        ]
        indexes = [
            models.Index(fields=["-issued_at", "-year", "-sequence"], name="paiementpro_receipt_issued"),
            models.Index(fields=["number"], name="paiementpro_receipt_no"),
            models.Index(fields=["reference"], name="paiementpro_receipt_reference"),
            models.Index(fields=["fiscal_due_at"], name="paiementpro_receipt_fiscal"),
            models.Index(fields=["mail_due_at"], name="paiementpro_receipt_mail"),
        ]

    def __str__(self) -> str:
        return self.number

    def get_absolute_url(self) -> str:
        """Return the path of its page, which is signed: the link is the permission to see it."""
        return self._signed_path("receipt")

    def get_pdf_url(self) -> str:
        """Return the path of the same as a PDF."""
        return self._signed_path("pdf")

    def _signed_path(self, name: str) -> str:
        path = reverse(f"paiementpro_receipts:{name}", args=[signing.sign(self.pk, RECEIPT)])
        if settings.FORCE_SCRIPT_NAME and get_script_prefix() == "/":
            # Django sets the prefix for requests and commands, in their own threads.
            return iri_to_uri(settings.FORCE_SCRIPT_NAME.rstrip("/")) + path
        return path

    @property
    def amount_display(self) -> str:
        """The amount as people write it."""
        return format_amount(self.amount, self.currency)

    @property
    def fiscal_document(self) -> FiscalDocument | None:
        """The tax administration’s document; None until there is one."""
        if not self.fiscal_reference:
            return None
        return FiscalDocument(self.fiscal_reference, self.fiscal_url, self.fiscal_qr_text, self.fiscal_raw)


@receiver(pre_delete, sender=Receipt, dispatch_uid="paiementpro_receipts.protect_receipts")
def protect_receipts(sender: type[Receipt], instance: Receipt, **kwargs: Any) -> None:
    """Refuse to delete a receipt: its number would be missing."""
    raise models.ProtectedError(str(_("Receipts are never deleted: their numbers have no gaps.")), {instance})


class Counter(models.Model):
    """The last number given to a merchant in a year. The row is locked until the receipt is committed."""

    merchant_id = models.CharField(max_length=64)
    year = models.PositiveSmallIntegerField()
    last = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = _("counter of receipts")
        verbose_name_plural = _("counters of receipts")
        ordering = ["pk"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["merchant_id", "year"], name="paiementpro_receipt_counter")]

    def __str__(self) -> str:
        return f"{self.merchant_id} {self.year}: {self.last}"


class Installation(models.Model):
    """When the tables were made: payments from before get receipts only if a command asks for them."""

    installed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("installation of the receipts")
        verbose_name_plural = _("installations of the receipts")
        ordering = ["pk"]
        default_permissions = ()

    def __str__(self) -> str:
        return self.installed_at.isoformat()
