"""Payments and their audit trail. No HTTP, no signals: what may happen to a payment is in ``services``."""

import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import admin
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models, router
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from django_paiementpro import signing
from django_paiementpro.conf import conf
from django_paiementpro.enums import Channel, Kind, Outcome, Reason, SettledBy, Status
from django_paiementpro.indexes import FirstFilledIndex, LowerIndex, PartialIndex, PhoneIndex, first_filled
from django_paiementpro.phones import normalize_phone, region_of


def generate_reference() -> str:
    """
    Return 96 random bits as 24 hexadecimal digits, a form that the gateway has been seen to take.

    Whoever knows a reference can ask the gateway's status service about it, so that none may be guessed. In lower
    case, as MariaDB tells no case from another.
    """
    return secrets.token_hex(12)


def default_merchant_id() -> str:
    return conf.merchant_id


def default_currency() -> str:
    return conf.currency


def offered_channels() -> list[tuple[str, Any]]:
    """Return what the merchant account has; all known channels where the setting is wrong, which a check reports."""
    try:
        return list(conf.channels.items())
    except ImproperlyConfigured:
        return list(Channel.choices)


def min_amount() -> int:
    return conf.min_amount


if TYPE_CHECKING:
    BigIntegerField = models.BigIntegerField[Any, int]
    PositiveBigIntegerField = models.PositiveBigIntegerField[Any, int]
else:
    BigIntegerField = models.BigIntegerField
    PositiveBigIntegerField = models.PositiveBigIntegerField


class FrancsField(BigIntegerField):
    """Whole francs. A fraction is an error, where Django would drop it without a word."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, (float, Decimal)) and value % 1 != 0:
            raise ValidationError(_("Enter a whole number of francs."), code="invalid")
        return super().to_python(value)

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, (float, Decimal)) and value % 1 != 0:
            raise ValueError(f"{self.name} is in whole francs, not {value!r}: round it")
        return super().get_prep_value(value)


class AmountField(FrancsField, PositiveBigIntegerField):
    """Francs to pay, which the database knows to be positive."""


def format_amount(amount: int, currency: str) -> str:
    """Return whole francs as people write them: ``12 500 F CFA``, with spaces that do not break."""
    digits = f"{amount:,}".replace(",", "\u202f")
    unit = "F\u00a0CFA" if currency in {"XOF", "XAF"} else currency
    return f"{digits}\u00a0{unit}"


#: The means of payment that was used, or else that was asked for; empty where the payer has not chosen yet.
OPERATOR = first_filled("gateway_channel", "channel")


class PaymentQuerySet(models.QuerySet["Payment"]):
    def for_object(self, instance: models.Model) -> "PaymentQuerySet":
        """Return the payments of one of the host's objects, the newest first."""
        content_type = ContentType.objects.get_for_model(instance, for_concrete_model=True)
        return self.filter(content_type=content_type, object_id=str(instance.pk)).order_by("-pk")

    def primary(self) -> "PaymentQuerySet":
        """Read where payments are written: a replica may be behind."""
        return self.using(router.db_for_write(self.model))


class Payment(models.Model):
    """One debt. It may be taken to the gateway several times; it is paid once."""

    Status = Status
    SettledBy = SettledBy

    reference = models.CharField(
        _("reference"),
        max_length=64,
        unique=True,
        default=generate_reference,
        validators=[
            RegexValidator(
                r"\A(?!.*-[0-9]+\Z)[A-Za-z0-9_-]{1,64}\Z",
                _("Write 1 to 64 letters, digits, “_” or “-”, without a “-” and digits at the end."),
            )
        ],
    )
    attempt = models.PositiveSmallIntegerField(
        _("attempts"), default=0, help_text=_("How often a page has been asked for.")
    )
    merchant_id = models.CharField(_("merchant"), max_length=64, default=default_merchant_id)
    amount = AmountField(_("amount"), validators=[MinValueValidator(min_amount)], help_text=_("In whole francs."))
    currency = models.CharField(_("currency"), max_length=3, default=default_currency)
    description = models.CharField(_("description"), max_length=255)
    channel = models.CharField(_("means of payment"), max_length=32, choices=offered_channels, blank=True)

    customer_email = models.EmailField(_("e-mail"))
    customer_first_name = models.CharField(_("first name"), max_length=150)
    customer_last_name = models.CharField(_("last name"), max_length=150)
    customer_phone = models.CharField(_("phone"), max_length=32)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="paiementpro_payments",
        verbose_name=_("user"),
    )

    content_type = models.ForeignKey(
        ContentType,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("kind of order"),
    )
    object_id = models.CharField(_("order"), max_length=255, null=True, blank=True)  # noqa: DJ001  GenericForeignKey
    content_object = GenericForeignKey("content_type", "object_id")
    return_context = models.JSONField(_("context"), default=dict, blank=True)

    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.CREATED)
    needs_review = models.BooleanField(_("to review"), default=False)
    review_reason = models.TextField(_("why to review"), blank=True)
    settled_by = models.CharField(_("settled by"), max_length=16, choices=SettledBy, blank=True)
    settled_attempt = models.PositiveSmallIntegerField(_("settled attempt"), null=True, blank=True)

    opened_attempt = models.PositiveSmallIntegerField(_("attempt of the page"), null=True, blank=True)
    payment_url = models.CharField(_("payment page"), max_length=2000, blank=True)
    gateway_id = models.CharField(_("gateway id"), max_length=128, blank=True)
    gateway_channel = models.CharField(_("means used"), max_length=32, blank=True)
    transaction_date = models.DateTimeField(_("date at the gateway"), null=True, blank=True)
    response_code = models.CharField(_("response code"), max_length=16, blank=True)
    response_message = models.CharField(_("response"), max_length=255, blank=True)
    refunded_amount = FrancsField(_("amount refunded"), default=0, help_text=_("In whole francs."))
    refunded_at = models.DateTimeField(_("refunded"), null=True, blank=True)

    success_url = models.CharField(_("URL after success"), max_length=500, blank=True)
    failure_url = models.CharField(_("URL after failure"), max_length=500, blank=True)

    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    initialized_at = models.DateTimeField(_("page opened"), null=True, blank=True)
    settled_at = models.DateTimeField(_("settled"), null=True, blank=True)
    #: When the personal data were blanked. None where there may be some, also by what has come since.
    blanked_at = models.DateTimeField(_("personal data erased"), null=True, blank=True, editable=False)

    #: Until when a process that asks for a page has the payment to itself.
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    #: When the status look-up was last asked.
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = PaymentQuerySet.as_manager()

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(condition=models.Q(amount__gte=1), name="paiementpro_amount_gte_1"),
        ]
        permissions = [
            ("check_payment", "Can ask the gateway about a payment"),
            ("confirm_payment", "Can confirm a payment by hand, and replay a notification"),
            ("refund_payment", "Can record a refund"),
            ("redeliver_payment", "Can deliver the signals of a payment again"),
            ("review_payment", "Can mark a payment as reviewed"),
            ("export_payment", "Can export payments with their payers"),
        ]
        indexes = [
            # These two hold all that the day book adds up, which then reads no row of the table.
            models.Index(
                fields=[
                    "-created_at",
                    "-id",
                    "status",
                    "currency",
                    "merchant_id",
                    "gateway_channel",
                    "channel",
                    "attempt",
                    "initialized_at",
                ],
                name="paiementpro_created",
            ),
            models.Index(
                fields=[
                    "settled_at",
                    "status",
                    "currency",
                    "amount",
                    "merchant_id",
                    "gateway_channel",
                    "channel",
                    "created_at",
                ],
                name="paiementpro_settled_at",
            ),
            models.Index(fields=["status", "-created_at", "-id"], name="paiementpro_status_created"),
            models.Index(fields=["needs_review", "-created_at"], name="paiementpro_review"),
            models.Index(fields=["merchant_id", "-created_at", "-id"], name="paiementpro_merchant"),
            FirstFilledIndex(fields=["gateway_channel", "channel", "-created_at", "-id"], name="paiementpro_operator"),
            # Nearly all are settled by notification: those that are not are looked for.
            PartialIndex(
                fields=["settled_by", "-created_at", "-id"],
                where=models.Q(settled_by__in=[SettledBy.STATUS, SettledBy.STAFF]),
                name="paiementpro_settled_by",
            ),
            PartialIndex(
                fields=["refunded_at"],
                where=models.Q(refunded_at__isnull=False),
                name="paiementpro_refunded_at",
            ),
            # What paiementpro_prune has done is not in it; where the database has no such index, it stands apart.
            PartialIndex(
                fields=["blanked_at", "created_at", "id"],
                where=models.Q(blanked_at__isnull=True),
                name="paiementpro_unblanked",
            ),
            models.Index(fields=["object_id", "content_type"], name="paiementpro_object"),
            models.Index(fields=["gateway_id"], name="paiementpro_gateway_id"),
            LowerIndex(fields=["customer_email"], name="paiementpro_email"),
            LowerIndex(fields=["customer_last_name"], name="paiementpro_last_name"),
            LowerIndex(fields=["customer_first_name"], name="paiementpro_first_name"),
            PhoneIndex(fields=["customer_phone"], name="paiementpro_phone"),
        ]

    def __str__(self) -> str:
        return self.reference

    def save(self, *args: Any, **kwargs: Any) -> None:
        """
        Store it: of a payment that was read before, only what has been changed here since.

        Else a host that saves a copy read a moment ago would undo what the gateway has told us in between.
        """
        if not self._state.adding and not args and not kwargs.keys() & {"update_fields", "force_insert"}:
            kwargs["update_fields"] = {"updated_at"} | {
                field.name
                for field in self._meta.concrete_fields
                if not field.primary_key
                and field.attname in self.__dict__
                and (field.attname not in self._stored or self._stored[field.attname] != getattr(self, field.attname))
            }
        super().save(*args, **kwargs)
        self._remember(kwargs.get("update_fields"))

    def get_absolute_url(self) -> str:
        """Return the checkout's path: the link that takes the payer to the gateway."""
        return self._signed_path(signing.CHECKOUT)

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> "Payment":
        payment = super().from_db(*args, **kwargs)
        payment._remember()
        return payment

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: models.QuerySet["Payment"] | None = None,
    ) -> None:
        names = None if fields is None else set(fields)
        super().refresh_from_db(using, names, from_queryset)
        self._remember(names)

    def apply(self, changes: Mapping[str, Any]) -> None:
        """Take over what an UPDATE has stored."""
        for name, value in changes.items():
            setattr(self, name, value)
        self._remember(changes)

    @cached_property
    def _stored(self) -> dict[str, Any]:
        """Return the values that the database has, of the kinds that nobody changes in place."""
        return {}

    def _remember(self, names: Collection[str] | None = None) -> None:
        values = self.__dict__
        self._stored |= {
            field.attname: values[field.attname]
            for field in self._meta.concrete_fields
            if (names is None or field.name in names)
            and field.attname in values
            and not isinstance(values[field.attname], (dict, list))
        }

    def clean(self) -> None:
        """Check what the gateway would refuse, or would read as something else. Raises ``ValidationError``."""
        errors: dict[str, ValidationError | str] = {}
        if self.currency and self.currency not in conf.currencies:
            errors["currency"] = ValidationError(
                _("%(currency)s is none of this shop’s currencies."),
                code="invalid",
                params={"currency": self.currency},
            )
        if not isinstance(self.return_context, dict):
            errors["return_context"] = ValidationError(_("The context is a dictionary."), code="invalid")
        try:
            normalize_phone(self.customer_phone, region_of(self.channel))
        except ValueError:
            errors["customer_phone"] = ValidationError(_("Enter a telephone number of 8 to 15 digits."), code="invalid")
        if errors:
            raise ValidationError(errors)

    @property
    def is_final(self) -> bool:
        """Whether the payer has an answer; a failed payment may be tried again all the same."""
        return Status(self.status).is_final

    @property
    def waiting_time(self) -> timedelta:
        """How long the payer has had, since the newest page was opened."""
        return timezone.now() - (self.initialized_at or self.created_at)

    @property
    def has_payer(self) -> bool:
        """Whether anything tells who pays: nothing does once the personal data have been blanked."""
        return any((self.customer_email, self.customer_first_name, self.customer_last_name, self.customer_phone))

    @property
    @admin.display(description=_("amount"))
    def amount_display(self) -> str:
        """The amount as people write it: ``12 500 F CFA``, with spaces that do not break."""
        return format_amount(self.amount, self.currency)

    @property
    def gateway_reference(self) -> str:
        """The gateway's ``referenceNumber`` of the newest attempt."""
        return self.reference_of(self.attempt)

    def reference_of(self, attempt: int) -> str:
        """Return the ``referenceNumber`` of an attempt: the gateway refuses the same one twice."""
        return self.reference if attempt <= 1 else f"{self.reference}-{attempt}"

    def attempt_of(self, reference: str) -> int | None:
        """Return which attempt a ``referenceNumber`` names, from 1; None where it is none of this payment's."""
        if reference == self.reference:
            return 1
        stem, _hyphen, number = reference.rpartition("-")
        if stem == self.reference and re.fullmatch("[1-9][0-9]{0,4}", number) and 2 <= int(number) <= self.attempt:
            return int(number)
        return None

    def get_return_url(self) -> str:
        """Return the path of the page that tells the payer where the payment stands."""
        return self._signed_path(signing.RETURN)

    def get_status_url(self) -> str:
        """Return the path of the same as JSON."""
        return self._signed_path(signing.STATUS)

    def get_notification_url(self) -> str:
        """Return the path that the gateway alone may know: whoever knows it can say that the money has come."""
        return self._signed_path(signing.NOTIFICATION)

    def _signed_path(self, purpose: str) -> str:
        return reverse(f"paiementpro:{purpose}", args=[signing.sign(self.reference, purpose)])


class PaymentEvent(models.Model):
    """
    One line of the audit trail: what was sent, received, accepted, refused and why.

    What it says is never edited, but for personal data, which ``services.privacy`` blanks.

    It is the outbox as well: ``signals`` names what the host is owed for it, ``delivered`` who has had it. Django's
    ``post_save`` is sent neither for an event nor for what it does to its payment: the app's signals are.
    """

    Kind = Kind
    Outcome = Outcome

    payment = models.ForeignKey(Payment, models.CASCADE, related_name="events", verbose_name=_("payment"))
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome)
    reason = models.CharField(_("reason"), max_length=32, choices=Reason, blank=True)
    message = models.TextField(_("message"), blank=True)
    data = models.JSONField(_("data"), default=dict, blank=True)
    remote_address = models.CharField(_("remote address"), max_length=64, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    #: Names of the signals to send.
    signals = models.JSONField(default=list, blank=True, editable=False)
    #: ``signal receiver`` of each receiver that has gone through.
    delivered = models.JSONField(default=list, blank=True, editable=False)
    #: From when on a process may deliver: the end of the lease of the one that does. None where nothing is owed.
    deliver_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["pk"]
        indexes = [models.Index(fields=["deliver_at"], name="paiementpro_deliver_at")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.get_outcome_display()}"


class ReconciliationRun(models.Model):
    """
    A run of ``paiementpro_reconcile``.

    By these two runs at once share their work, and somebody sees that nobody has run it for hours.
    """

    started_at = models.DateTimeField(_("started"), default=timezone.now, editable=False)
    #: When it last said that it lives.
    seen_at = models.DateTimeField(_("seen"), default=timezone.now, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True, editable=False)
    host = models.CharField(_("host"), max_length=255, editable=False)
    process_id = models.PositiveBigIntegerField(_("process"), editable=False)
    #: The numbers of what it has done.
    totals = models.JSONField(_("totals"), default=dict, blank=True, editable=False)

    class Meta:
        verbose_name = _("run of the reconciliation")
        verbose_name_plural = _("runs of the reconciliation")
        ordering = ["pk"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.host}:{self.process_id}"


class IdempotencyKey(models.Model):
    """
    A key that a client of the REST API has sent with a payment, for a day.

    Neither the key nor what came with it is stored: of each there is a digest. It is stored in one commit with its
    payment, so that there is none without.
    """

    #: Of the caller and the key.
    digest = models.CharField(_("digest"), max_length=64, unique=True, editable=False)
    #: Of what the client asked for.
    fingerprint = models.CharField(_("fingerprint"), max_length=64, editable=False)
    payment = models.ForeignKey(Payment, models.CASCADE, related_name="+", verbose_name=_("payment"), editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("idempotency key")
        verbose_name_plural = _("idempotency keys")
        ordering = ["pk"]
        default_permissions = ()
        indexes = [models.Index(fields=["created_at"], name="paiementpro_key_created")]

    def __str__(self) -> str:
        return self.digest


def cut(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of a payment with texts cut to their columns; the whole of them stands in an event's data."""
    return {
        name: value[: getattr(Payment._meta.get_field(name), "max_length", None)] if isinstance(value, str) else value
        for name, value in values.items()
    }
