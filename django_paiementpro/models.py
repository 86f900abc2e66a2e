"""Payments, what is known about them, and their audit trail. Transitions are in ``services``."""

import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models, transaction
from django.db.models.functions import Coalesce, NullIf
from django.db.models.lookups import Exact
from django.db.models.signals import pre_delete
from django.dispatch import receiver
from django.urls import get_script_prefix
from django.utils import timezone
from django.utils.encoding import iri_to_uri
from django.utils.translation import gettext_lazy as _

from django_paiementpro import signing
from django_paiementpro.conf import conf
from django_paiementpro.db.connections import database
from django_paiementpro.enums import PAYABLE, Channel, Kind, Outcome, Reason, RefundKind, SettledBy, Status
from django_paiementpro.fields import AmountField, FrancsField, TransactionKeyField
from django_paiementpro.marks import label_of
from django_paiementpro.normalization import MAX_KEY, email_key, name_keys, transaction_key
from django_paiementpro.phones import normalize_phone, parse_phone, region_of

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

#: The columns that saving an existing payment writes. The others belong to the app, and are changed by its services.
HOST_FIELDS = frozenset(
    {
        "merchant_id",
        "amount",
        "currency",
        "description",
        "channel",
        "customer_email",
        "customer_first_name",
        "customer_last_name",
        "customer_phone",
        "user",
        "content_type",
        "object_id",
        "return_context",
        "success_url",
        "failure_url",
    }
)

#: The columns that no save changes once a page has been requested: the customer may be paying exactly that.
FIXED_FIELDS = frozenset({"merchant_id", "amount", "currency"})

#: The columns that identify the customer.
CUSTOMER_FIELDS = frozenset({"customer_email", "customer_first_name", "customer_last_name", "customer_phone"})

#: The columns that may hold personal data, which is erased eventually.
PERSONAL_FIELDS = CUSTOMER_FIELDS | {
    *("user", "description", "return_context", "success_url", "failure_url", "corrected_values"),
}

#: The columns that search keys are made from.
SEARCHED_FIELDS = CUSTOMER_FIELDS | {"channel", "gateway_channel"}

#: How many payments are read at once to store their search keys.
BATCH = 500


# How long the gateway keeps a payment page open. See "What is known of the gateway".
PAGE_LIFETIME = timedelta(minutes=5)

# A reference that generate_reference() has made.
_RANDOM = re.compile("[0-9a-f]{24}")


def generate_reference() -> str:
    """
    Return 96 random bits as 24 hexadecimal digits, a form that the gateway has been seen to take.

    Anyone who knows a reference can ask the gateway's status service about it, so references must not be guessable.
    Lower case, since MariaDB compares without case.
    """
    return secrets.token_hex(12)


def generate_nonce() -> str:
    """Return what distinguishes the URLs of a payment from those of a deleted one with the same reference."""
    return secrets.token_hex(4)


def default_merchant_id() -> str:
    """Return the merchant of payments that name none: ``PAIEMENTPRO_MERCHANT_ID``."""
    return conf.merchant_id


def default_currency() -> str:
    """Return the ISO 4217 code of payments that name none: ``PAIEMENTPRO_CURRENCY``."""
    return conf.currency


def offered_channels() -> list[tuple[str, Any]]:
    """Return the channels of the merchant account, or all known ones if the setting is wrong, which a check reports."""
    try:
        return list(conf.channels.items())
    except ImproperlyConfigured:
        return list(Channel.choices)


def min_amount() -> int:
    """Return the smallest amount accepted, in whole francs: ``PAIEMENTPRO_MIN_AMOUNT``."""
    return conf.min_amount


def format_amount(amount: int, currency: str) -> str:
    """Return whole francs as people write them: ``12 500 F CFA``, with spaces that do not break."""
    digits = f"{amount:,}".replace(",", "\u202f")
    unit = "F\u00a0CFA" if currency in {"XOF", "XAF"} else currency
    return f"{digits}\u00a0{unit}"


class _ToTheLetter(models.Func):
    """Compares a text exactly: MySQL and MariaDB ignore case, accents and trailing spaces."""

    template = "%(expressions)s"
    output_field = models.CharField()

    def as_mysql(self, compiler: Any, connection: Any) -> tuple[str, Any]:  # pragma: no cover  measured on SQLite
        return self.as_sql(compiler, connection, template="CAST(%(expressions)s AS BINARY)")


class PaymentQuerySet(models.QuerySet["Payment"]):
    """Payments. Bulk operations follow the rules of ``Payment.save()``; ``update()`` does not."""

    def for_object(self, instance: models.Model) -> "PaymentQuerySet":
        """Return the payments of one of the host's objects, newest first."""
        content_type = ContentType.objects.get_for_model(instance, for_concrete_model=True)
        key = str(instance.pk)
        payments = self.filter(content_type=content_type, object_id=key)
        return payments.filter(Exact(_ToTheLetter("object_id"), key)).order_by("-pk")

    def payable(self) -> "PaymentQuerySet":
        """Return the payments that may be taken to the gateway: created, pending and failed ones."""
        return self.filter(status__in=PAYABLE)

    def bulk_create(
        self,
        objs: Iterable["Payment"],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list["Payment"]:
        """
        Insert the payments.

        Raises ``ValidationError`` (code ``amount_locked``) if amount, currency or merchant would change after a page
        has been requested.
        """
        payments, names = list(objs), set(update_fields or ())
        using = self._for_writing()
        with transaction.atomic(using=using):
            if FIXED_FIELDS & names:
                for payment in payments:
                    either = models.Q(reference=payment.reference) | models.Q(pk=payment.pk)
                    _lock(stored_payments(using).filter(either), payment, names)
            created = super().bulk_create(
                payments, batch_size, ignore_conflicts, update_conflicts, update_fields, unique_fields
            )
            # By reference: MySQL returns no keys.
            references = [payment.reference for payment in payments]
            _follow_up("reference", references, SEARCHED_FIELDS | names, using)
            if ignore_conflicts or update_conflicts:
                _read_nonces(payments, using)
        return created

    def bulk_update(self, objs: Iterable["Payment"], fields: Iterable[str], batch_size: int | None = None) -> int:
        """
        Update the given fields.

        Raises ``ValidationError`` (code ``amount_locked``) if amount, currency or merchant would change after a page
        has been requested.
        """
        payments, names = list(objs), _with_derived(fields)
        if "gateway_key" in names:
            for payment in payments:
                payment.gateway_key = transaction_key(payment.gateway_id)
        using = self._for_writing()
        with transaction.atomic(using=using):
            if FIXED_FIELDS & names:
                for payment in payments:
                    _lock(stored_payments(using).filter(pk=payment.pk), payment, names)
            count = super().bulk_update(payments, names, batch_size)
            _follow_up("pk", [payment.pk for payment in payments], names, using)
        return count

    def _for_writing(self) -> str:
        chosen: str | None = self._db  # type: ignore[attr-defined]  # the stubs know it of managers alone
        return chosen or database()


class PaymentManager(models.Manager["Payment"]):
    """``Payment.objects``."""

    def get_queryset(self) -> PaymentQuerySet:
        return PaymentQuerySet(self.model, using=self._db)

    def for_object(self, instance: models.Model) -> PaymentQuerySet:
        """Return the payments of one of the host's objects, newest first."""
        return self.get_queryset().for_object(instance)

    def payable(self) -> PaymentQuerySet:
        """Return the payments that may be taken to the gateway: created, pending and failed ones."""
        return self.get_queryset().payable()


def stored_payments(using: str) -> models.QuerySet["Payment"]:
    """Return all payments of a database, whatever the default manager hides."""
    return Payment._base_manager.using(using)


def _lock(rows: models.QuerySet["Payment"], payment: "Payment", names: set[str]) -> set[str] | None:
    """
    Lock the row of a payment, and return which of the names may be written; None if there is no row.

    Raises ``ValidationError`` (code ``amount_locked``) if amount, currency or merchant would change after a page has
    been requested.
    """
    # The first statement is a write: SQLite refuses to turn a reading transaction into a writing one.
    touched: dict[str, Any] = {"updated_at": timezone.now()}
    if payment.has_personal_data(names):
        touched["blanked_at"] = None
    if rows.filter(attempt=0).update(**touched):
        return names
    if rows.filter(**{name: getattr(payment, name) for name in FIXED_FIELDS & names}).update(**touched):
        return names - FIXED_FIELDS
    if rows.exists():
        raise ValidationError(
            _("Amount, currency and merchant are fixed once a payment page has been requested."),
            code="amount_locked",
        )
    return None


def _follow_up(name: str, values: list[Any], names: Collection[str], using: str) -> None:
    """Do what the columns that were written in bulk require."""
    for start in range(0, len(values), BATCH):
        rows = stored_payments(using).filter(**{f"{name}__in": values[start : start + BATCH]})
        if PERSONAL_FIELDS.intersection(names):
            rows.filter(blanked_at__isnull=False).update(blanked_at=None)
        if SEARCHED_FIELDS.intersection(names):
            _store_search_keys(rows, using)


def _read_nonces(payments: list["Payment"], using: str) -> None:
    """Take over the nonces of payments that were stored already."""
    for start in range(0, len(payments), BATCH):
        batch = payments[start : start + BATCH]
        rows = stored_payments(using).filter(reference__in=[payment.reference for payment in batch])
        nonces = dict(rows.values_list("reference", "url_nonce"))
        for payment in batch:
            payment.url_nonce = nonces.get(payment.reference, payment.url_nonce)


def _with_derived(names: Iterable[str]) -> set[str]:
    """Return the names of fields, and of those that are computed from them."""
    names = {*names}
    return names | {"gateway_key"} if "gateway_id" in names else names


def _store_search_keys(payments: Iterable["Payment"], using: str) -> None:
    """Store the search keys of the payments, and delete outdated ones."""
    wanted = {payment.pk: payment.search_keys() for payment in payments}
    stored = SearchKey.objects.using(using).filter(payment__in=wanted)
    outdated = []
    for pk, payment, text in stored.values_list("pk", "payment_id", "text"):
        if text in wanted[payment]:
            wanted[payment].discard(text)
        else:
            outdated.append(pk)
    if outdated:
        SearchKey.objects.using(using).filter(pk__in=outdated).delete()
    _insert_search_keys(wanted, using)


def _insert_search_keys(wanted: Mapping[int, Iterable[str]], using: str) -> None:
    keys = [SearchKey(payment_id=pk, text=text) for pk, texts in wanted.items() for text in sorted(texts)]
    # Another process may have saved the same payment at the same moment.
    SearchKey.objects.using(using).bulk_create(keys, ignore_conflicts=True)


class Payment(models.Model):
    """One debt. It may be taken to the gateway several times; it is paid once."""

    Status = Status
    SettledBy = SettledBy

    #: Our reference, unique, and random unless you give one: 1 to 64 letters, digits, ``_`` and ``-``, not ending in
    #: ``-`` and digits.
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
    #: Signed along with the reference in the payment's URLs, so that those of a deleted payment do not fit its
    #: successor.
    url_nonce = models.CharField(max_length=8, default=generate_nonce, editable=False)
    #: How often a page has been asked for. The gateway knows the first as ``reference``, the Nth as ``reference-N``.
    attempt = models.PositiveSmallIntegerField(
        _("attempts"), default=0, help_text=_("How many payment pages were requested.")
    )
    #: ``PAIEMENTPRO_MERCHANT_ID`` unless you give another, as marketplaces do.
    merchant_id = models.CharField(_("merchant"), max_length=64, default=default_merchant_id)
    #: In whole francs.
    amount = AmountField(_("amount"), validators=[MinValueValidator(min_amount)], help_text=_("In whole francs."))
    #: ISO 4217; ``PAIEMENTPRO_CURRENCY`` unless you give another.
    currency = models.CharField(_("currency"), max_length=3, default=default_currency)
    #: What is paid, for the payer and the gateway.
    description = models.CharField(_("description"), max_length=255)
    #: The payment method; blank lets the customer choose on the gateway's page.
    channel = models.CharField(_("payment method"), max_length=32, choices=offered_channels, blank=True)

    #: The payer's address.
    customer_email = models.EmailField(_("e-mail"))
    #: The payer's first name.
    customer_first_name = models.CharField(_("first name"), max_length=150)
    #: The payer's last name.
    customer_last_name = models.CharField(_("last name"), max_length=150)
    #: The payer's number, in any spelling; the operator's request goes there.
    customer_phone = models.CharField(_("phone"), max_length=32)
    #: The customer's user account, if there is one.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="paiementpro_payments",
        verbose_name=_("user"),
    )

    #: What kind of object ``content_object`` is, which you set: your order.
    content_type = models.ForeignKey(
        ContentType,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("kind of order"),
        db_index=False,  # never queried on its own
    )
    #: The order's key.
    object_id = models.CharField(_("order"), max_length=255, null=True, blank=True)  # noqa: DJ001  GenericForeignKey
    content_object = GenericForeignKey("content_type", "object_id")
    #: What the gateway is to send back, a dictionary; never trusted.
    return_context = models.JSONField(_("context"), default=dict, blank=True)

    #: One of ``Payment.Status``.
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.CREATED)
    #: Whether it has open findings, which staff must review.
    needs_review = models.BooleanField(_("to review"), default=False)
    #: The evidence that settled it.
    settled_by = models.CharField(_("settled by"), max_length=16, choices=SettledBy, blank=True)
    #: The attempt that was settled.
    settled_attempt = models.PositiveSmallIntegerField(_("settled attempt"), null=True, blank=True)

    #: The attempt that has the page.
    opened_attempt = models.PositiveSmallIntegerField(_("attempt of the page"), null=True, blank=True)
    #: The gateway's page of the newest attempt.
    payment_url = models.CharField(_("payment page"), max_length=2000, blank=True)
    #: The gateway's own id of the transaction (``payId``).
    gateway_id = models.CharField(_("gateway id"), max_length=128, blank=True)
    #: The same in a normalised form, used to compare transactions.
    gateway_key = TransactionKeyField(max_length=128, blank=True, editable=False)
    #: The payment method that was used, as reported by the gateway.
    gateway_channel = models.CharField(_("payment method used"), max_length=32, blank=True)
    #: The gateway's clock, read as Africa/Abidjan; None if it cannot be read.
    transaction_date = models.DateTimeField(_("date at the gateway"), null=True, blank=True)
    #: The gateway's answer, as a code.
    response_code = models.CharField(_("response code"), max_length=16, blank=True)
    #: The same in the gateway's words.
    response_message = models.CharField(_("response"), max_length=255, blank=True)
    #: The sum of ``refunds``, in whole francs.
    refunded_amount = FrancsField(_("amount refunded"), default=0, help_text=_("In whole francs."))
    #: The channel that was used, otherwise the one requested; empty until the customer has chosen one.
    effective_channel = models.GeneratedField(
        expression=Coalesce(NullIf("gateway_channel", models.Value("")), "channel"),
        output_field=models.CharField(max_length=32),
        db_persist=True,
        verbose_name=_("payment method"),
    )

    #: Where the payer goes once it is paid, instead of ``PAIEMENTPRO_SUCCESS_URL``.
    success_url = models.CharField(_("URL after success"), max_length=500, blank=True)
    #: Where the payer goes if it is not, instead of ``PAIEMENTPRO_FAILURE_URL``.
    failure_url = models.CharField(_("URL after failure"), max_length=500, blank=True)

    #: Whether ``paiementpro_verify_account`` made it: no signals, no takings.
    is_verification = models.BooleanField(_("account verification"), default=False, editable=False)

    #: What the host had in the fields that the customer has corrected: ``open_payment`` keeps the corrections.
    corrected_values = models.JSONField(default=dict, blank=True, editable=False)

    #: When it was created.
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    #: When it last changed.
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    #: A digest of the data that the newest page was opened for.
    page_digest = models.CharField(max_length=32, blank=True, editable=False)
    #: When the newest page was opened.
    initialized_at = models.DateTimeField(_("page opened"), null=True, blank=True)
    #: When it was settled.
    settled_at = models.DateTimeField(_("settled"), null=True, blank=True)
    #: When the personal data were blanked. None if there may be some, for instance since a later notification.
    blanked_at = models.DateTimeField(_("personal data erased"), null=True, blank=True, editable=False)

    #: The end of the lease under which a process asks for a page.
    leased_until = models.DateTimeField(null=True, blank=True, editable=False)
    #: When the status look-up was last asked.
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: Which of many attempts the reconciliation checked last: older ones follow in its next runs.
    asked_attempt = models.PositiveSmallIntegerField(null=True, blank=True, editable=False)

    objects: ClassVar[PaymentManager] = PaymentManager()

    if TYPE_CHECKING:
        events: RelatedManager["PaymentEvent"]
        findings: RelatedManager["Finding"]
        refunds: RelatedManager["Refund"]

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(condition=models.Q(amount__gte=1), name="paiementpro_amount_gte_1"),
        ]
        permissions = [
            ("check_payment", "Can ask the gateway about a payment"),
            ("confirm_payment", "Can confirm a payment manually and replay a notification"),
            ("refund_payment", "Can record a refund"),
            ("redeliver_payment", "Can send the signals of a payment again"),
            ("review_payment", "Can mark a payment as reviewed"),
            ("export_payment", "Can export payments with customer data"),
        ]
        indexes = [
            # A settlement writes an entry to nearly every index of this table, so each has to earn its place.
            # These two contain every column that the takings need, so that no row of the table is read.
            models.Index(
                fields=[
                    "-created_at",
                    "-id",
                    "status",
                    "currency",
                    "merchant_id",
                    "effective_channel",
                    "attempt",
                    "settled_attempt",
                    "initialized_at",
                    "blanked_at",
                    "is_verification",
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
                    "effective_channel",
                    "created_at",
                    "is_verification",
                ],
                name="paiementpro_settled_at",
            ),
            models.Index(fields=["status", "-created_at", "-id"], name="paiementpro_status_created"),
            models.Index(fields=["merchant_id", "-created_at", "-id"], name="paiementpro_merchant"),
            models.Index(fields=["effective_channel", "-created_at", "-id"], name="paiementpro_channel"),
            # Nearly all are settled by notification; the filter is for those that are not.
            models.Index(
                fields=["settled_by", "-created_at", "-id"],
                condition=models.Q(settled_by__in=[SettledBy.STATUS, SettledBy.STAFF]),
                name="paiementpro_settled_by",
            ),
            models.Index(
                fields=["-created_at", "-id"], condition=models.Q(is_verification=True), name="paiementpro_verifies"
            ),
            models.Index(fields=["object_id", "content_type"], name="paiementpro_object"),
            models.Index(fields=["gateway_key"], name="paiementpro_gateway_key"),
        ]

    def __str__(self) -> str:
        return self.reference

    def save(
        self,
        *,
        force_insert: bool | tuple[models.base.ModelBase, ...] = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        """
        Insert the payment, or update the columns that the host owns (``HOST_FIELDS``).

        The other columns are written by the services, so that a stale copy cannot overwrite what the gateway has said
        since. ``update_fields`` may name any column. Raises ``ValidationError`` (code ``amount_locked``) if amount,
        currency or merchant would change after a page has been requested.
        """
        using = using or database()
        is_partial = update_fields is not None or force_update
        names: set[str] | None = self._names_to_update(update_fields)
        with transaction.atomic(using=using):
            has_key = self.pk is not None
            if names and has_key and not force_insert:
                allowed = _lock(self._row(using, is_partial), self, names)
                if allowed is not None:
                    # Without any name Django would send no signals.
                    names = allowed or {"updated_at"}
                elif not is_partial:
                    names = None
            elif not is_partial:
                names = None
            if names is None:
                self._insert(force_insert, using)
            else:
                # Without a row Django raises, as it does for an impossible combination of arguments.
                super().save(force_insert=force_insert, force_update=force_update, using=using, update_fields=names)
                if SEARCHED_FIELDS & names:
                    _store_search_keys(stored_payments(using).filter(pk=self.pk), using)

    def get_checkout_url(self) -> str:
        """
        Return the path of the checkout: the link that takes the payer to the gateway.

        There is no ``get_absolute_url``: Django gives that to any staff account, to feeds and to sitemaps.
        """
        return self._signed_path(signing.CHECKOUT)

    def _names_to_update(self, update_fields: Iterable[str] | None) -> set[str]:
        if update_fields is not None:
            return _with_derived(update_fields)
        fields = [field for field in self._meta.concrete_fields if field.attname in self.__dict__]
        # A model that inherits from this one has columns of its own.
        own = {field.name for field in fields if field.model is not Payment and not field.primary_key}
        return {"updated_at", *own, *HOST_FIELDS.intersection(field.name for field in fields)}

    def _row(self, using: str, is_partial: bool) -> models.QuerySet["Payment"]:
        """
        Return the row that a save updates.

        A payment that was stored, as far as this object knows, may have been rolled back, and its key have been given
        to another since: the row is ours if it has our reference. The reference is not the host's to change; if it
        has been changed anyway, the rest of the row decides.
        """
        rows = stored_payments(using).filter(pk=self.pk)
        if is_partial or self._state.adding:
            return rows
        known = {name: self.__dict__[name] for name in ("created_at", *FIXED_FIELDS) if name in self.__dict__}
        same_reference = models.Q(reference=self.__dict__["reference"]) if "reference" in self.__dict__ else models.Q()
        return rows.filter(same_reference | models.Q(**known) if known else same_reference)

    def _insert(self, force_insert: Any, using: str) -> None:
        if not self._state.adding and not force_insert and stored_payments(using).filter(pk=self.pk).exists():
            self.pk = None  # the key of an insert that was rolled back is another payment's now
        super().save(force_insert=force_insert or True, using=using)
        _insert_search_keys({self.pk: self.search_keys()}, using)

    def search_keys(self) -> set[str]:
        """Return what a search finds the payment by, besides its references: names, e-mail address and phone number."""
        keys = name_keys(self.customer_first_name, self.customer_last_name)
        keys |= {email_key(self.customer_email), self.phone_number}
        return keys - {""}

    def store_search_keys(self) -> None:
        """Update the stored search keys to match the stored payment."""
        _store_search_keys(stored_payments(database()).filter(pk=self.pk), database())

    @property
    def phone_number(self) -> str:
        """The customer's phone number in E.164 format (``+2250707123456``); empty if the text is not a phone number."""
        try:
            return parse_phone(self.customer_phone, self.channel, self.gateway_channel)
        except ValueError:
            return ""

    @property
    def phone_region(self) -> str:
        """The country (ISO 3166-1) that a phone number without a country code belongs to."""
        return region_of(self.channel, self.gateway_channel)

    def apply(self, changes: Mapping[str, Any]) -> None:
        """Take over what an UPDATE has stored."""
        for name, value in changes.items():
            setattr(self, name, value)
        if not {"channel", "gateway_channel"}.isdisjoint(changes):
            # The database computes it from these: it is read again when it is needed.
            self.__dict__.pop("effective_channel", None)

    def clean(self) -> None:
        """Check what the gateway would refuse, or would read as something else. Raises ``ValidationError``."""
        errors: dict[str, ValidationError | str] = {}
        if self.currency and self.currency not in conf.currencies:
            errors["currency"] = ValidationError(
                _("This shop does not accept %(currency)s."),
                code="invalid",
                params={"currency": self.currency},
            )
        if not isinstance(self.return_context, dict):
            errors["return_context"] = ValidationError(_("The context is a dictionary."), code="invalid")
        try:
            if self.customer_phone:
                normalize_phone(self.customer_phone, self.channel, self.gateway_channel)
        except ValueError:
            errors["customer_phone"] = ValidationError(_("Enter a telephone number of 8 to 15 digits."), code="invalid")
        if errors:
            raise ValidationError(errors)

    def is_for(self, model: type[models.Model]) -> bool:
        """Return whether ``content_object`` is an object of this model, without reading it."""
        return self.content_type_id is not None and self.content_type_id == ContentType.objects.get_for_model(model).pk

    @property
    def is_final(self) -> bool:
        """Whether the payment has a result. A failed payment is final too, but can be tried again."""
        return Status(self.status).is_final

    @property
    def waiting_time(self) -> timedelta:
        """How long ago the newest page was opened."""
        return timezone.now() - (self.initialized_at or self.created_at)

    @property
    def page_expires_at(self) -> datetime | None:
        """When the gateway closes the newest page; None if none has been opened."""
        return self.initialized_at + PAGE_LIFETIME if self.initialized_at else None

    @property
    def channel_display(self) -> str:
        """The name of the payment method used, or else requested; empty until the customer has chosen one."""
        return label_of(self.gateway_channel or self.channel)

    def has_personal_data(self, names: Collection[str]) -> bool:
        """Return whether any of the named columns holds personal data, which makes an erased payment due once more."""
        return any(self.__dict__.get(name) for name in PERSONAL_FIELDS.intersection(names)) or (
            "user" in names and self.user_id is not None
        )

    @property
    def has_customer(self) -> bool:
        """Whether the payment has customer data, which erasing personal data removes."""
        return any((self.customer_email, self.customer_first_name, self.customer_last_name, self.customer_phone))

    @property
    def amount_display(self) -> str:
        """The amount as people write it: ``12 500 F CFA``, with spaces that do not break."""
        return format_amount(self.amount, self.currency)

    @property
    def open_findings(self) -> "models.QuerySet[Finding]":
        """The findings that have not been reviewed yet."""
        return self.findings.filter(reviewed_at=None)

    @property
    def refunded_amount_display(self) -> str:
        """The refunded amount as people write it."""
        return format_amount(self.refunded_amount, self.currency)

    @property
    def gateway_reference(self) -> str:
        """The gateway's ``referenceNumber`` of the newest attempt."""
        return self.reference_of(self.attempt)

    def reference_of(self, attempt: int) -> str:
        """Return the ``referenceNumber`` of an attempt: the gateway refuses the same one twice."""
        return self.reference if attempt <= 1 else f"{self.reference}-{attempt}"

    def attempt_of(self, reference: str) -> int | None:
        """Return which attempt a ``referenceNumber`` names, from 1; None if it does not belong to this payment."""
        if reference == self.reference:
            return 1
        stem, _hyphen, number = reference.rpartition("-")
        if stem == self.reference and re.fullmatch("[1-9][0-9]{0,4}", number) and 2 <= int(number) <= self.attempt:
            return int(number)
        return None

    @property
    def url_key(self) -> str:
        """What identifies the payment in its signed URLs: its reference and its nonce."""
        return f"{self.reference}-{self.url_nonce}"

    @property
    def short_reference(self) -> str:
        """
        The reference as people read it aloud: ``1a2b 3c4d``, the first 8 of its 24 digits, by which staff find it.

        A reference that you have given is whole.
        """
        return f"{self.reference[:4]} {self.reference[4:8]}" if _RANDOM.fullmatch(self.reference) else self.reference

    def get_pay_url(self) -> str:
        """
        Return the path of the page to share: it says who asks for what, and has one button, to the checkout.

        Opening it, as the link previews of messengers do, changes nothing.
        """
        return self._signed_path(signing.PAY)

    def get_return_url(self) -> str:
        """Return the path of the page that tells the payer where the payment stands."""
        return self._signed_path(signing.RETURN)

    def get_status_url(self) -> str:
        """Return the path of the payment's status as JSON."""
        return self._signed_path(signing.STATUS)

    def get_notification_url(self) -> str:
        """Return the path of the webhook. Only the gateway may know it: it allows reporting the payment as paid."""
        return self._signed_path(signing.NOTIFICATION)

    def _signed_path(self, purpose: str) -> str:
        path = signing.path_of(purpose, signing.sign(self.url_key, purpose))
        if settings.FORCE_SCRIPT_NAME and get_script_prefix() == "/":
            # Django sets the prefix for requests and commands, in their own threads.
            return iri_to_uri(settings.FORCE_SCRIPT_NAME.rstrip("/")) + path
        return path


@receiver(pre_delete, sender=Payment, dispatch_uid="paiementpro.protect_payments")
def protect_payments(sender: type[Payment], instance: Payment, origin: Any, **kwargs: Any) -> None:
    """
    Refuse to delete a payment along with another object: its audit trail would go too.

    A ``GenericRelation`` always cascades. Payments are deleted on their own, or not at all. A deletion that does not
    say where it began, by a ``Collector`` of the host's own, may be such a cascade, and is refused too.
    """
    model = origin.model if isinstance(origin, models.QuerySet) else type(origin)
    if not issubclass(model, Payment):
        raise models.ProtectedError(
            str(_("Payments are not deleted along with other objects: take the GenericRelation out of the model.")),
            {instance},
        )


class PaymentEvent(models.Model):
    """
    One line of the audit trail: what was sent, received, accepted, refused and why.

    It is never edited, except that ``services.privacy`` blanks personal data.

    It is the outbox as well: ``signals`` are owed to ``receivers``, and ``delivered`` lists the receivers that have
    handled them.
    """

    Kind = Kind
    Outcome = Outcome

    #: The payment that it belongs to.
    payment = models.ForeignKey(Payment, models.CASCADE, related_name="events", verbose_name=_("payment"))
    #: What it is about.
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    #: Its outcome.
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome)
    #: Why it was refused, or must be reviewed.
    reason = models.CharField(_("reason"), max_length=32, choices=Reason, blank=True)
    #: The reason in words: the gateway's, yours, or those of the person who acted.
    message = models.TextField(_("message"), blank=True)
    #: The fields as they were sent or received.
    data = models.JSONField(_("data"), default=dict, blank=True)
    #: The IP address of the sender of a notification.
    remote_address = models.CharField(_("remote address"), max_length=64, blank=True)
    #: When it was recorded.
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    #: Names of the signals to send.
    signals = models.JSONField(default=list, blank=True, editable=False)
    #: ``signal receiver`` of each receiver that was connected when the event was stored.
    receivers = models.JSONField(default=list, blank=True, editable=False)
    #: ``signal receiver`` of each receiver that has succeeded.
    delivered = models.JSONField(default=list, blank=True, editable=False)
    #: When a process may deliver: at the end of the current lease, if there is one. None if nothing is owed.
    deliver_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["pk"]
        indexes = [models.Index(fields=["deliver_at"], name="paiementpro_deliver_at")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.get_outcome_display()}"

    @property
    def fields(self) -> dict[str, Any]:
        """The data as a dictionary: a list or a text that a host has stored becomes one field, ``data``."""
        if isinstance(self.data, dict):
            return self.data
        return {"data": self.data} if self.data else {}


class Finding(models.Model):
    """Something about a payment that staff must review."""

    Reason = Reason

    #: The payment to review.
    payment = models.ForeignKey(Payment, models.CASCADE, related_name="findings", verbose_name=_("payment"))
    #: What is wrong: one of ``Finding.Reason``.
    reason = models.CharField(_("reason"), max_length=32, choices=Reason)
    #: The figures, in ASCII: ``6250 != 12500``.
    detail = models.CharField(_("detail"), max_length=255, blank=True)
    #: The normalised id of the transaction concerned, if any.
    gateway_key = models.CharField(max_length=128, blank=True, editable=False)
    #: The event that raised it.
    event = models.ForeignKey(
        PaymentEvent, models.SET_NULL, null=True, blank=True, related_name="findings", verbose_name=_("event")
    )
    #: When it was raised.
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    #: When it was reviewed; None while it is open.
    reviewed_at = models.DateTimeField(_("reviewed"), null=True, blank=True)
    #: Who reviewed it.
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("reviewed by"),
    )
    #: What the reviewer found and did about it.
    note = models.TextField(_("note"), blank=True)
    #: When the shop's staff received mail about it; None before.
    mailed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("finding")
        verbose_name_plural = _("findings")
        ordering = ["pk"]
        default_permissions = ()
        indexes = [
            # The few open ones are next to each other, however many have been reviewed.
            models.Index(fields=["reviewed_at", "payment"], name="paiementpro_finding_open"),
            models.Index(fields=["gateway_key"], name="paiementpro_finding_key"),
        ]

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class Refund(models.Model):
    """Money that was returned to the customer, as staff recorded it: the gateway has no refund API."""

    Kind = RefundKind

    #: The payment that it belongs to.
    payment = models.ForeignKey(Payment, models.CASCADE, related_name="refunds", verbose_name=_("payment"))
    #: The amount returned, in whole francs.
    amount = FrancsField(_("amount"), validators=[MinValueValidator(1)], help_text=_("In whole francs."))
    #: What it cost the merchant on top, in whole francs: chargebacks have fees.
    fee = FrancsField(_("fee"), default=0, validators=[MinValueValidator(0)], help_text=_("In whole francs."))
    #: How it was returned: one of ``Refund.Kind``.
    kind = models.CharField(_("kind"), max_length=16, choices=RefundKind, default=RefundKind.REFUND)
    #: The refund's own id in the gateway's back office.
    reference = models.CharField(_("reference"), max_length=128, blank=True)
    #: Why, in the words of the person who recorded it.
    reason = models.TextField(_("reason"), blank=True)
    #: The day the money was returned.
    refunded_on = models.DateField(_("refunded on"))
    #: The event that recorded it.
    event = models.ForeignKey(
        PaymentEvent, models.SET_NULL, null=True, blank=True, related_name="refunds", verbose_name=_("event")
    )
    #: Who recorded it.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("user")
    )
    #: When it was recorded.
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        ordering = ["pk"]
        default_permissions = ()
        indexes = [models.Index(fields=["refunded_on"], name="paiementpro_refunded_on")]

    def __str__(self) -> str:
        return self.amount_display

    @property
    def amount_display(self) -> str:
        """The amount as people write it."""
        return format_amount(self.amount, self.payment.currency)

    @property
    def fee_display(self) -> str:
        """The fee as people write it."""
        return format_amount(self.fee, self.payment.currency)


class SearchKey(models.Model):
    """
    The customer's name starting at one of its words, their e-mail address, or their phone number, normalised.

    Search and erasure use these rows. They have a table of their own because they are written once, and settling a
    payment then touches none of their indexes.
    """

    payment = models.ForeignKey(Payment, models.CASCADE, related_name="+", db_index=False)
    text = models.CharField(max_length=MAX_KEY)

    class Meta:
        ordering = ["pk"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["payment", "text"], name="paiementpro_search_key_once")]
        indexes = [
            # PostgreSQL uses it for prefixes too, whatever the collation.
            models.Index(
                fields=["text", "payment"], name="paiementpro_search_key", opclasses=["varchar_pattern_ops", "int8_ops"]
            )
        ]

    def __str__(self) -> str:
        return self.text


class ReconciliationRun(models.Model):
    """
    A run of ``paiementpro_reconcile``.

    It lets concurrent runs share the work, and monitoring notice missing runs.
    """

    started_at = models.DateTimeField(_("started"), default=timezone.now, editable=False)
    #: Last heartbeat.
    seen_at = models.DateTimeField(_("seen"), default=timezone.now, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True, editable=False)
    host = models.CharField(_("host"), max_length=255, editable=False)
    process_id = models.PositiveBigIntegerField(_("process"), editable=False)
    #: The event whose receivers the run is calling.
    event_id = models.BigIntegerField(null=True, editable=False)
    #: What it has done, in numbers.
    totals = models.JSONField(_("totals"), default=dict, blank=True, editable=False)

    class Meta:
        verbose_name = _("run of the reconciliation")
        verbose_name_plural = _("runs of the reconciliation")
        ordering = ["pk"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.host}:{self.process_id}"


class Verification(models.Model):
    """What a run of ``paiementpro_verify_account`` has found out about the merchant's account."""

    started_at = models.DateTimeField(_("started"), default=timezone.now, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True, editable=False)
    #: The version of this package.
    version = models.CharField(max_length=32, editable=False)
    #: Its findings, case by case, without secrets and personal data.
    findings = models.JSONField(default=dict, blank=True, editable=False)

    class Meta:
        verbose_name = _("account verification")
        verbose_name_plural = _("account verifications")
        ordering = ["pk"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"


class Observation(models.Model):
    """How a request about a verification payment arrived: names and forms of its fields, no values."""

    payment = models.ForeignKey(Payment, models.CASCADE, related_name="observations")
    #: ``notification`` or ``return``.
    kind = models.CharField(max_length=16, editable=False)
    data = models.JSONField(default=dict, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["pk"]
        default_permissions = ()

    def __str__(self) -> str:
        return self.kind


class IdempotencyKey(models.Model):
    """
    The idempotency key of a request to the REST API, kept for a day.

    Only digests of the key and of the request are stored, in the same commit as the payment.
    """

    #: Digest of the caller and the key.
    digest = models.CharField(_("digest"), max_length=64, unique=True, editable=False)
    #: Digest of what the client asked for.
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


class Alert(models.Model):
    """A condition that the shop's staff receive mail about (``PAIEMENTPRO_ALERT_EMAILS``), and what was mailed last."""

    #: What it is about.
    key = models.CharField(max_length=64, unique=True)
    #: Whether it lasts, and since when it has, or has not.
    is_active = models.BooleanField(default=True)
    since = models.DateTimeField(default=timezone.now)
    #: Whether the last mail said that it lasts.
    was_told = models.BooleanField(default=False)
    #: When a process began to mail it; None once it is mailed.
    claimed_at = models.DateTimeField(null=True)
    #: When it was last mailed.
    mailed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["pk"]
        default_permissions = ()

    def __str__(self) -> str:
        return self.key


class Statement(models.Model):
    """
    A statement from the gateway's back office, which staff have imported: the other side's books.

    Until it is imported, it is the file that was uploaded, in ``parts``.
    """

    #: The merchant account that it is about.
    merchant_id = models.CharField(_("merchant"), max_length=64, default=default_merchant_id)
    #: The name of the file.
    file_name = models.CharField(_("file"), max_length=255, blank=True)
    #: The headings of the columns that were read, by what they are: the next statement of this merchant has the same.
    columns = models.JSONField(_("columns"), default=dict, blank=True)
    #: The moments that it covers, the second one excluded; None if the file has no dates.
    starts_at = models.DateTimeField(_("from"), null=True, blank=True)
    ends_at = models.DateTimeField(_("to"), null=True, blank=True)
    #: How many rows below the headings were read.
    rows = models.PositiveIntegerField(_("rows"), default=0)
    #: How many of them were imported before, with another statement.
    known = models.PositiveIntegerField(_("known already"), default=0)
    #: How many are no payments: failed ones, totals, payouts.
    ignored = models.PositiveIntegerField(_("not payments"), default=0)
    #: How many could not be read.
    unreadable = models.PositiveIntegerField(_("unreadable"), default=0)
    #: The first of those: row number, reason and what the cell says.
    problems = models.JSONField(default=list, blank=True, editable=False)
    #: Who imported it.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("user")
    )
    #: When it was uploaded.
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    #: When the process that imports it was last seen; None before.
    seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: When its last row was imported; None before.
    imported_at = models.DateTimeField(_("imported"), null=True, blank=True, editable=False)
    #: When what may be personal data in it was blanked.
    blanked_at = models.DateTimeField(null=True, blank=True, editable=False)

    if TYPE_CHECKING:
        lines: RelatedManager["StatementLine"]
        parts: RelatedManager["StatementPart"]
        proofs: RelatedManager["StatementProof"]

    class Meta:
        verbose_name = _("statement of the gateway")
        verbose_name_plural = _("statements of the gateway")
        ordering = ["-pk"]
        # It is read from a file, and not changed.
        default_permissions = ("add", "view", "delete")
        indexes = [models.Index(fields=["merchant_id", "-id"], name="paiementpro_statement_merchant")]

    def __str__(self) -> str:
        return self.file_name or f"{self.merchant_id} {self.pk}"


class StatementPart(models.Model):
    """A compressed part of an uploaded file, which is deleted once the statement is imported, or after a day."""

    statement = models.ForeignKey(Statement, models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        ordering = ["number"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["statement", "number"], name="paiementpro_statement_part")]

    def __str__(self) -> str:
        return f"{self.statement_id}: {self.number}"


class StatementLine(models.Model):
    """A payment or a refund in a statement. It has what reconciliation needs, and nothing about the customer."""

    statement = models.ForeignKey(Statement, models.CASCADE, related_name="lines", db_index=False)
    #: The number of the row in the file.
    number = models.PositiveIntegerField(_("row"))
    #: A digest of what the row says, so that no row is imported twice.
    digest = models.CharField(max_length=64, unique=True, editable=False)
    #: Whether the money went back to the customer.
    is_refund = models.BooleanField(_("refund"), default=False)
    #: The gateway's id of the transaction.
    gateway_id = models.CharField(_("gateway id"), max_length=128, blank=True)
    #: The same in a normalised form.
    gateway_key = TransactionKeyField(max_length=128, blank=True, editable=False)
    #: The reference as the statement has it, with the number of the attempt.
    reference = models.CharField(_("reference"), max_length=70, blank=True)
    #: In whole francs, always positive.
    amount = FrancsField(_("amount"))
    #: ISO 4217.
    currency = models.CharField(_("currency"), max_length=3)
    #: What the gateway kept, in whole francs; None if the statement does not say so.
    fee: "models.Field[Any, Any]" = FrancsField(_("fee"), null=True, blank=True)  # type: ignore[misc]  # nullable here
    #: What is left for the merchant.
    net: "models.Field[Any, Any]" = FrancsField(_("net"), null=True, blank=True)  # type: ignore[misc]  # nullable here
    #: When the gateway says it happened.
    paid_at = models.DateTimeField(_("date"), null=True, blank=True)
    #: The shop's payment that it is about, whatever its status, or None.
    payment = models.ForeignKey(
        Payment, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("payment"), db_index=False
    )

    class Meta:
        verbose_name = _("line of a statement")
        verbose_name_plural = _("lines of a statement")
        ordering = ["pk"]
        default_permissions = ()
        indexes = [
            models.Index(fields=["statement", "number"], name="paiementpro_line_number"),
            models.Index(fields=["payment", "is_refund"], name="paiementpro_line_payment"),
        ]

    def __str__(self) -> str:
        return f"{self.statement_id}: {self.number}"

    @property
    def amount_display(self) -> str:
        """The amount as people write it."""
        return format_amount(self.amount, self.currency)


class StatementProof(models.Model):
    """A statement from which staff have confirmed a payment: as the proof, it cannot be deleted."""

    #: The confirmation.
    event = models.OneToOneField(PaymentEvent, models.CASCADE, related_name="+")
    statement = models.ForeignKey(Statement, models.PROTECT, related_name="proofs")

    class Meta:
        ordering = ["pk"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.statement_id}: {self.event_id}"


def cut(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of a payment with texts cut to their columns; an event's data has them in full."""
    return {
        name: value[: getattr(Payment._meta.get_field(name), "max_length", None)] if isinstance(value, str) else value
        for name, value in values.items()
    }
