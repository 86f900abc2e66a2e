"""Outgoing webhooks: where they go, and each of them with its attempts."""

import base64
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from django_paiementpro.db.connections import database
from django_paiementpro.models import PaymentEvent
from django_paiementpro.signals import SIGNALS
from django_paiementpro.webhooks.addresses import MAX_URL, validate_url
from django_paiementpro.webhooks.enums import DeliveryStatus, Failure

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

#: What every secret begins with, as the Standard Webhooks specification says.
SECRET_PREFIX = "whsec_"  # noqa: S105  no secret  # nosec B105

#: The type of the webhook that the test button sends.
TEST = "test"


def generate_secret() -> str:
    """Return 256 random bits in the form of the Standard Webhooks specification."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def generate_webhook_id() -> str:
    return f"msg_{secrets.token_hex(16)}"


def type_of(signal: str) -> str:
    """Return the type of the webhook for a signal: ``payment.succeeded`` for ``payment_succeeded``."""
    return signal.replace("_", ".", 1)


def validate_events(events: Any) -> None:
    """Check that a list contains names of signals only."""
    if not isinstance(events, list) or not all(isinstance(name, str) and name in SIGNALS for name in events):
        raise ValidationError(_("Write a list of signals, like [“payment_succeeded”]."), code="invalid")


class Endpoint(models.Model):
    """A URL that receives webhooks about payments."""

    #: Where they are sent: https, to a public address.
    url = models.CharField(_("URL"), max_length=MAX_URL, validators=[validate_url])
    #: What it is for.
    description = models.CharField(_("description"), max_length=200, blank=True)
    #: The names of the signals that are sent, ``["payment_succeeded"]``; all if it is empty.
    events = models.JSONField(_("events"), default=list, blank=True, validators=[validate_events])
    #: Whether the customer's name, e-mail address and phone number, and the description of the payment, are sent too.
    include_customer = models.BooleanField(
        _("with customer data"),
        default=False,
        help_text=_("Also send the customer’s name, e-mail address and phone number, and what the payment is for."),
    )
    #: Whether webhooks are sent. It is switched off after six failed attempts of one webhook.
    is_active = models.BooleanField(_("active"), default=True)
    #: Signs the webhooks. It is stored as it is, since signing needs it.
    secret = models.CharField(max_length=100, default=generate_secret, editable=False)
    #: The secret that was replaced, which signs too until ``old_secret_until``.
    old_secret = models.CharField(max_length=100, blank=True, editable=False)
    #: Until when the replaced secret signs too.
    old_secret_until = models.DateTimeField(null=True, blank=True, editable=False)
    #: When six failed attempts switched it off.
    switched_off_at = models.DateTimeField(_("switched off"), null=True, blank=True, editable=False)
    #: When the mail about that is due. None if it has been sent.
    report_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: When it was created.
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    if TYPE_CHECKING:
        deliveries: RelatedManager["Delivery"]

    class Meta:
        verbose_name = pgettext_lazy("webhook", "endpoint")
        verbose_name_plural = pgettext_lazy("webhook", "endpoints")
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.description or self.host

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Store the endpoint. Switching it on forgets its failures; switching it off ends its deliveries."""
        names = None if update_fields is None else {*update_fields}
        is_switched = names is None or "is_active" in names
        if is_switched and self.is_active:
            self.switched_off_at = self.report_at = None
            names = names and names | {"switched_off_at", "report_at"}
        super().save(*args, update_fields=names, **kwargs)
        if is_switched and not self.is_active:
            self.end_deliveries()

    def end_deliveries(self) -> None:
        """Stop retrying: what is waiting now is only sent again by hand."""
        waiting = Delivery.objects.using(database()).filter(endpoint=self.pk, status=DeliveryStatus.PENDING)
        waiting.update(status=DeliveryStatus.FAILED, next_at=None)

    @property
    def host(self) -> str:
        """The name in the URL, which may have secrets elsewhere."""
        return self.url.partition("://")[2].partition("/")[0].partition("?")[0]

    def takes(self, signal: str) -> bool:
        """Return whether webhooks are sent for a signal."""
        return not self.events or signal in self.events

    def secrets_at(self, moment: datetime) -> list[str]:
        """Return the secrets that sign, the newest first."""
        is_old_valid = bool(self.old_secret) and self.old_secret_until is not None and moment < self.old_secret_until
        return [self.secret, self.old_secret] if is_old_valid else [self.secret]


class Delivery(models.Model):
    """A webhook for one endpoint, and the attempts to send it."""

    Status = DeliveryStatus

    #: Where it goes.
    endpoint = models.ForeignKey(
        Endpoint, models.CASCADE, related_name="deliveries", verbose_name=pgettext_lazy("webhook", "endpoint")
    )
    #: What it is about; None for a test.
    event = models.ForeignKey(
        PaymentEvent, models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("event")
    )
    #: ``payment.succeeded``, and so on, or ``test``.
    type = models.CharField(pgettext_lazy("webhook", "type"), max_length=64)
    #: The header ``webhook-id``, the same for each attempt.
    webhook_id = models.CharField("webhook-id", max_length=64, default=generate_webhook_id, editable=False)
    #: What is sent, to the letter: the signature is about these bytes.
    body = models.TextField(pgettext_lazy("webhook", "body"))
    #: What became of it.
    status = models.CharField(_("status"), max_length=16, choices=DeliveryStatus, default=DeliveryStatus.PENDING)
    #: The failed attempts since it was made, or sent again by hand.
    failures = models.PositiveSmallIntegerField(_("failed attempts"), default=0)
    #: When the next attempt is due. None if there is none.
    next_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    #: The end of the lease of the process that is sending it.
    leased_until = models.DateTimeField(null=True, blank=True, editable=False)
    #: The newest attempts: ``at``, ``status``, ``failure``, ``seconds`` and the beginning of the ``answer``.
    attempts = models.JSONField(_("attempts"), default=list, blank=True)
    #: The HTTP status of the newest attempt; None if there was no answer.
    response_status = models.PositiveSmallIntegerField(_("answer"), null=True, blank=True)
    #: How long the newest attempt took.
    seconds = models.FloatField(_("seconds"), null=True, blank=True)
    #: When it was made.
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = pgettext_lazy("webhook", "delivery")
        verbose_name_plural = pgettext_lazy("webhook", "deliveries")
        ordering = ["-pk"]
        default_permissions = ("view",)
        permissions = [("send_delivery", "Can send a webhook again")]
        constraints = [
            # A signal that is delivered twice makes one webhook.
            models.UniqueConstraint(fields=["endpoint", "event", "type"], name="paiementpro_webhook_once")
        ]
        indexes = [
            models.Index(fields=["next_at"], name="paiementpro_webhook_next"),
            models.Index(fields=["endpoint", "next_at"], name="paiementpro_webhook_lane"),
            models.Index(fields=["created_at"], name="paiementpro_webhook_created"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.webhook_id[:12]}"

    @property
    def is_test(self) -> bool:
        return self.type == TEST

    @property
    def last_attempt(self) -> dict[str, Any]:
        """The newest attempt; empty if there was none."""
        return self.attempts[-1] if self.attempts else {}


def explain(attempt: dict[str, Any]) -> str:
    """Return the result of an attempt in words: an HTTP status, or why there was none."""
    failure = attempt.get("failure")
    if failure in Failure.values:
        return str(Failure(failure).label)
    return f"HTTP {attempt['status']}" if attempt.get("status") else ""
