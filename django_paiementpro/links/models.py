"""Payment links: what staff make, and customers pay without an order in the shop."""

import secrets
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from django_paiementpro import return_urls
from django_paiementpro.conf import conf
from django_paiementpro.db.connections import database
from django_paiementpro.enums import Status
from django_paiementpro.fields import AmountField
from django_paiementpro.models import (
    Payment,
    PaymentQuerySet,
    default_currency,
    default_merchant_id,
    format_amount,
    offered_channels,
)
from django_paiementpro.models import min_amount as least

#: The payments that hold one of a link's places. The others have freed it.
HOLDING = (Status.CREATED, Status.PENDING, Status.SUCCEEDED, Status.REFUNDED)

#: How many amounts a link may suggest.
MAX_SUGGESTED = 12


class LinkState(models.TextChoices):
    """Whether a link can be paid, and why not."""

    OPEN = "open", pgettext_lazy("payment link", "Open")
    OFF = "off", pgettext_lazy("payment link", "Switched off")
    EXPIRED = "expired", pgettext_lazy("payment link", "Expired")
    FULL = "full", pgettext_lazy("payment link", "Full")
    PAID = "paid", pgettext_lazy("payment link", "Paid")


def generate_token() -> str:
    """Return 96 random bits. Lower case, since MariaDB compares without case."""
    return secrets.token_hex(12)


class PaymentLink(models.Model):
    """
    Something to pay, at an address that can be shared.

    A link is paid once unless it is reusable: people forward links, and the second payment would be an error.
    """

    #: In the URL; unguessable.
    token = models.CharField(max_length=32, unique=True, default=generate_token, editable=False)
    #: What is paid.
    title = models.CharField(_("title"), max_length=500)
    #: More about it, for the customer.
    description = models.TextField(_("description"), blank=True)
    #: In whole francs; None lets the customer choose.
    amount: "models.Field[Any, Any]" = AmountField(  # type: ignore[misc]  # nullable here
        _("amount"),
        null=True,
        blank=True,
        validators=[MinValueValidator(least)],
        help_text=_("In whole francs. Leave it empty to let the customer choose."),
    )
    #: The smallest amount that the customer may choose; ``PAIEMENTPRO_MIN_AMOUNT`` if it is None.
    min_amount: "models.Field[Any, Any]" = AmountField(  # type: ignore[misc]  # nullable here
        _("smallest amount"), null=True, blank=True, validators=[MinValueValidator(least)]
    )
    #: The largest amount that the customer may choose.
    max_amount: "models.Field[Any, Any]" = AmountField(  # type: ignore[misc]  # nullable here
        _("largest amount"), null=True, blank=True, validators=[MinValueValidator(least)]
    )
    #: Amounts to choose from with one tap, in whole francs; others remain possible.
    suggested_amounts = models.JSONField(_("suggested amounts"), default=list, blank=True)
    #: ISO 4217.
    currency = models.CharField(_("currency"), max_length=3, default=default_currency)
    #: Whom the money goes to.
    merchant_id = models.CharField(_("merchant"), max_length=64, default=default_merchant_id)
    #: The payment method; blank lets the customer choose.
    channel = models.CharField(_("payment method"), max_length=32, choices=offered_channels, blank=True)

    #: Whom the link is for, as the shop knows them.
    customer_name = models.CharField(_("for"), max_length=300, blank=True)
    #: Where the shop sends it, in any spelling.
    customer_phone = models.CharField(_("phone"), max_length=32, blank=True)
    #: The e-mail address that the shop sends it to.
    customer_email = models.EmailField(_("e-mail"), blank=True)

    #: Whether it can be paid several times.
    is_reusable = models.BooleanField(
        _("reusable"), default=False, help_text=_("Several customers can pay it. Otherwise it is paid once.")
    )
    #: How many payments a reusable link takes; None for any number.
    max_payments = models.PositiveIntegerField(
        _("number of payments"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    #: When it stops taking payments; None for never.
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    #: Whether it is switched on.
    is_active = models.BooleanField(_("active"), default=True)
    #: When it was switched off, by any save; None if that is not known, as after ``QuerySet.update()``.
    switched_off_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: What customers read when it is switched off, full or past its date.
    closed_message = models.TextField(_("message once it is closed"), blank=True)
    #: What customers read once they have paid.
    success_message = models.TextField(_("message after the payment"), blank=True)
    #: Where they go instead.
    success_url = models.CharField(_("URL after the payment"), max_length=500, blank=True)

    #: Who made it.
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("created by"),
        editable=False,
    )
    #: When it was made.
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    #: A digest of the row that it was imported from, so that the same file makes nothing twice; None if it was not.
    import_key = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001  unique

    class Meta:
        verbose_name = _("payment link")
        verbose_name_plural = _("payment links")
        # Staff who make links must not be able to send the money elsewhere.
        permissions = [("choose_merchant", "Can choose the merchant account of a payment link")]
        ordering = ["-created_at", "-pk"]
        indexes = [models.Index(fields=["-created_at", "-id"], name="paiementpro_link_created")]

    def __str__(self) -> str:
        return self.title

    def save(
        self,
        *,
        force_insert: bool | tuple[models.base.ModelBase, ...] = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        """Save the link, with the time since when it is switched off."""
        names = None if update_fields is None else {*update_fields}
        if names is None or "is_active" in names:
            self.switched_off_at = None if self.is_active else self.switched_off_at or timezone.now()
            names = None if names is None else {*names, "switched_off_at"}
        super().save(force_insert=force_insert, force_update=force_update, using=using, update_fields=names)

    def get_absolute_url(self) -> str:
        """Return the path of its public page."""
        return reverse("paiementpro_links:link", args=[self.token])

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete a link without payments. Raises ``ProtectedError`` otherwise: switch it off."""
        if self.payments.exists():
            raise models.ProtectedError(str(_("This link has payments: switch it off instead.")), {*self.payments})
        return super().delete(*args, **kwargs)

    def clean(self) -> None:
        """Check the amounts, the limit, the currency and the URL together. Raises ``ValidationError``."""
        errors: dict[str, Any] = self._wrong_amounts()
        if self.max_payments is not None and not self.is_reusable:
            errors["max_payments"] = _("Only a reusable link has a number of payments.")
        if self.currency and self.currency not in conf.currencies:
            errors["currency"] = ValidationError(
                _("This shop does not accept %(currency)s."), code="invalid", params={"currency": self.currency}
            )
        if self.success_url and not _may_lead_to(self.success_url):
            errors["success_url"] = _("Customers may not be sent there.")
        if errors:
            raise ValidationError(errors)

    def _wrong_amounts(self) -> dict[str, Any]:
        """Return the errors of the amounts by field. A field that is invalid on its own is not compared."""
        errors: dict[str, Any] = {}
        least, most = (value if _is_number(value) else None for value in (self.min_amount, self.max_amount))
        if self.amount is not None:
            only_open = _("Only if the customer chooses the amount: leave it empty.")
            given = {name: getattr(self, name) for name in ("min_amount", "max_amount", "suggested_amounts")}
            return {name: only_open for name, value in given.items() if value}
        if most is not None and most < (least or conf.min_amount):
            errors["max_amount"] = _("The largest amount is below the smallest.")
        suggested = self.suggested_amounts
        if not isinstance(suggested, list) or not all(map(_is_number, suggested)):
            errors["suggested_amounts"] = _("Write a list of whole amounts.")
        elif len(suggested) > MAX_SUGGESTED or len(set(suggested)) < len(suggested):
            errors["suggested_amounts"] = ValidationError(
                _("Suggest at most %(number)d different amounts."), code="invalid", params={"number": MAX_SUGGESTED}
            )
        elif not all((least or conf.min_amount) <= amount <= (most or amount) for amount in suggested):
            errors["suggested_amounts"] = _("Suggest amounts between the smallest and the largest.")
        return errors

    @property
    def payments(self) -> PaymentQuerySet:
        """Its payments, newest first."""
        return Payment.objects.for_object(self)

    @property
    def least_amount(self) -> int:
        """The smallest amount that the customer may choose."""
        smallest: int | None = self.min_amount
        return smallest or conf.min_amount

    @property
    def is_paid(self) -> bool:
        """Whether it is a single link that has been paid, and not fully refunded."""
        return not self.is_reusable and self.stored_payments.filter(status=Status.SUCCEEDED).exists()

    @property
    def places_taken(self) -> int:
        """How many payments hold one of its places: created, pending, succeeded and refunded ones."""
        return self.stored_payments.filter(status__in=HOLDING).count()

    @property
    def is_open(self) -> bool:
        """Whether customers can pay it."""
        return self.state == LinkState.OPEN

    @property
    def state(self) -> LinkState:
        """Whether customers can pay it, and why not."""
        return self.state_besides(None)

    def state_besides(self, payment: Payment | None) -> LinkState:
        """Return its state as it would be without one of its payments."""
        places = 0
        if self.is_reusable and self.max_payments is not None:
            others = self.stored_payments.filter(status__in=HOLDING)
            places = (others.exclude(pk=payment.pk) if payment else others).count()
        return self.state_given(is_paid=self.is_paid, places_taken=places)

    def state_given(self, *, is_paid: bool, places_taken: int) -> LinkState:
        """Return its state by what is known of its payments. Reads nothing."""
        if is_paid and not self.is_reusable:
            return LinkState.PAID
        if not self.is_active:
            return LinkState.OFF
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return LinkState.EXPIRED
        if self.is_reusable and self.max_payments is not None and places_taken >= self.max_payments:
            return LinkState.FULL
        return LinkState.OPEN

    @property
    def stored_payments(self) -> PaymentQuerySet:
        """Its payments in the database that is written to, since a replica may lag behind."""
        return Payment.objects.get_queryset().using(database()).for_object(self)

    @property
    def amount_display(self) -> str:
        """The amount as people write it; empty if the customer chooses."""
        return "" if self.amount is None else format_amount(self.amount, self.currency)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _may_lead_to(url: str) -> bool:
    """Return whether a customer may be sent to a URL: a path or a page of this site, or what the settings allow."""
    target = url.replace("{reference}", "0")
    if "://" not in target:
        return target[:1] == "/" and url_has_allowed_host_and_scheme(target, None)
    own = {urlsplit(conf.site_url or "").netloc} - {""}
    return url_has_allowed_host_and_scheme(target, own, require_https=not settings.DEBUG) or return_urls.is_allowed(
        target, conf.return_hosts
    )


class LinkPayment(models.Model):
    """A payment made through a link, and the one-time key of the form that asked for it."""

    link = models.ForeignKey(PaymentLink, models.PROTECT, related_name="+")
    payment = models.ForeignKey(Payment, models.CASCADE, related_name="+")
    #: A digest of the form's one-time key.
    form_key = models.CharField(max_length=64, unique=True, editable=False)
    #: How often the customer has gone back and chosen another amount.
    changes = models.PositiveSmallIntegerField(default=0, editable=False)
    #: Keyed digests of the customer's phone number and e-mail address, to count repeated attempts.
    phone_digest = models.CharField(max_length=32, blank=True, editable=False)
    email_digest = models.CharField(max_length=32, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["pk"]
        default_permissions = ()
        indexes = [
            models.Index(fields=["link", "phone_digest", "created_at"], name="paiementpro_link_phone"),
            models.Index(fields=["link", "email_digest", "created_at"], name="paiementpro_link_email"),
        ]

    def __str__(self) -> str:
        return self.form_key
