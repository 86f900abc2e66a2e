import secrets
from datetime import datetime, timedelta
from datetime import timezone as fixed_timezone
from urllib.parse import urlsplit

from django.db import models
from django.utils import timezone

#: The lifetime of the gateway's pages (see "What is known of the gateway"), whatever the host's settings say.
LIFETIME = timedelta(minutes=5)


def generate_session_id() -> str:
    return secrets.token_hex(16)


class SandboxSession(models.Model):
    """
    A payment page: the shop's request and its result.

    A failed session may still be paid; a paid one is final (see "What is known of the gateway").
    """

    class State(models.TextChoices):
        OPEN = "open"
        FAILED = "failed"
        PAID = "paid"

    session_id = models.CharField(max_length=32, unique=True, default=generate_session_id)
    merchant_id = models.CharField(max_length=64)
    reference = models.CharField(max_length=255)
    amount = models.PositiveBigIntegerField()
    description = models.TextField()
    #: What the shop requested, empty for any; then what the payer chose.
    channel = models.CharField(max_length=32, blank=True)
    customer_email = models.TextField()
    customer_first_name = models.TextField()
    customer_last_name = models.TextField()
    customer_phone = models.CharField(max_length=15)
    notification_url = models.TextField(blank=True)
    return_url = models.TextField(blank=True)
    return_context = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    #: The amount really paid, if it is not ``amount``.
    paid_amount = models.PositiveBigIntegerField(null=True, blank=True)
    pay_id = models.CharField(max_length=32, blank=True)
    #: In the gateway's format, in the time zone of Abidjan.
    transaction_date = models.CharField(max_length=19, blank=True)

    class Meta:
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(fields=["merchant_id", "reference"], name="paiementpro_sandbox_reference"),
        )

    def __str__(self) -> str:
        return self.reference

    @property
    def expires_at(self) -> datetime:
        return self.created_at + LIFETIME

    @property
    def is_paid(self) -> bool:
        return self.state == self.State.PAID

    @property
    def is_failed(self) -> bool:
        return self.state == self.State.FAILED

    @property
    def is_expired(self) -> bool:
        """Whether it is too late to pay. Never true for a paid session."""
        return not self.is_paid and self.expires_at <= timezone.now()

    @property
    def notified_amount(self) -> int:
        return self.amount if self.paid_amount is None else self.paid_amount

    @property
    def amount_text(self) -> str:
        """The amount as people write it, in English and French."""
        return f"{self.notified_amount:,} F CFA".replace(",", " ")

    @property
    def shop_url(self) -> str:
        """The shop's home page, taken from the return URL, or ""."""
        parts = urlsplit(self.return_url)
        return f"{parts.scheme}://{parts.netloc}/" if parts.scheme in {"http", "https"} else ""

    @property
    def shop_name(self) -> str:
        return urlsplit(self.return_url).hostname or ""

    def begin_attempt(self, channel: str) -> None:
        """Set the id and date of a new attempt, in memory."""
        now = datetime.now(fixed_timezone.utc)  # Abidjan is on UTC all year
        self.channel = channel
        self.pay_id = f"CI{now:%Y%m%d%H%M%S}{secrets.randbelow(10**6):06}"
        self.transaction_date = f"{now:%Y-%m-%d %H:%M:%S}"

    def fail(self) -> bool:
        """Record a failed attempt. Return False, and refresh the session, if it is already over."""
        return self._settle(self.State.FAILED, None)

    def pay(self, amount: int) -> bool:
        """Record the payment, once. Return False, and refresh the session, if it is already over."""
        return self._settle(self.State.PAID, None if amount == self.amount else amount)

    def _settle(self, state: str, paid_amount: int | None) -> bool:
        changes = {
            "state": state,
            "paid_amount": paid_amount,
            "channel": self.channel,
            "pay_id": self.pay_id,
            "transaction_date": self.transaction_date,
        }
        is_payable = models.Q(state__in=[self.State.OPEN, self.State.FAILED], created_at__gt=timezone.now() - LIFETIME)
        if not SandboxSession.objects.filter(is_payable, pk=self.pk).update(**changes):
            self.refresh_from_db()
            return False
        self.state, self.paid_amount = state, paid_amount
        return True
