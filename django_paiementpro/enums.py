"""The words of the app, with their labels."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Status(models.TextChoices):
    """The status of a payment. The transitions are in ``services``."""

    CREATED = "created", _("Created")
    PENDING = "pending", _("Waiting for the customer")
    SUCCEEDED = "succeeded", _("Paid")
    FAILED = "failed", _("Not paid")
    EXPIRED = "expired", _("Expired")
    CANCELLED = "cancelled", _("Cancelled")
    REFUNDED = "refunded", _("Refunded")

    @property
    def is_final(self) -> bool:
        """Whether the payment has a result. A failed payment is final too, but can be tried again."""
        return self not in {Status.CREATED, Status.PENDING}

    @property
    def is_paid(self) -> bool:
        """Whether the money has moved, wherever it went afterwards."""
        return self in PAID

    @property
    def is_payable(self) -> bool:
        """Whether the payment may be taken to the gateway (again)."""
        return self in PAYABLE


#: The money has moved, wherever it went afterwards.
PAID = (Status.SUCCEEDED, Status.REFUNDED)

#: The payment may be taken to the gateway (again), and expires if nothing happens.
PAYABLE = (Status.CREATED, Status.PENDING, Status.FAILED)

#: Given up, but sometimes still paid on a page that was open.
MAY_BE_PAID_LATE = (Status.FAILED, Status.EXPIRED, Status.CANCELLED)


class Channel(models.TextChoices):
    """
    Payment methods, by the gateway's codes (see "What is known of the gateway").

    Which of them work depends on the merchant account. ``country`` is ISO 3166-1, empty for the whole world.
    """

    ORANGE_CI = "OMCIV2", _("Orange Money Côte d’Ivoire")
    MTN_CI = "MOMOCI", _("MTN MoMo Côte d’Ivoire")
    MOOV_CI = "FLOOZ", _("Moov Money Côte d’Ivoire")
    WAVE_CI = "WAVECI", _("Wave Côte d’Ivoire")
    ORANGE_SN = "OMSN", _("Orange Money Senegal")
    WAVE_SN = "WAVESN", _("Wave Senegal")
    MTN_BJ = "MOMOBJ", _("MTN MoMo Benin")
    MOOV_BJ = "FLOOZBJ", _("Moov Money Benin")
    ORANGE_BF = "OMBF", _("Orange Money Burkina Faso")
    ORANGE_ML = "OMML", _("Orange Money Mali")
    MOOV_TG = "MOOVTG", _("Moov Money Togo")
    TOGOCEL = "TOGOCEL", _("T-Money Togo (Togocel)")
    AIRTEL_NE = "AIRTELNG", _("Airtel Money Niger")
    ORANGE_GW = "OMGN", _("Orange Money Guinea-Bissau")
    ORANGE_CM = "OMCM", _("Orange Money Cameroon")
    MTN_CM = "MOMOCM", _("MTN MoMo Cameroon")
    MTN_GN = "MOMOGNF", _("MTN MoMo Guinea")
    CARD = "CARD", _("Bank card (Visa, Mastercard)")
    PAYPAL = "PAYPAL", _("PayPal")
    CRYPTO = "CRYPTO", _("Cryptocurrency")
    BANK_TRANSFER = "TBANK", _("Bank transfer")

    @property
    def country(self) -> str:
        return CHANNEL_COUNTRIES.get(self, "")


CHANNEL_COUNTRIES = {
    Channel.ORANGE_CI: "CI",
    Channel.MTN_CI: "CI",
    Channel.MOOV_CI: "CI",
    Channel.WAVE_CI: "CI",
    Channel.ORANGE_SN: "SN",
    Channel.WAVE_SN: "SN",
    Channel.MTN_BJ: "BJ",
    Channel.MOOV_BJ: "BJ",
    Channel.ORANGE_BF: "BF",
    Channel.ORANGE_ML: "ML",
    Channel.MOOV_TG: "TG",
    Channel.TOGOCEL: "TG",
    Channel.AIRTEL_NE: "NE",
    Channel.ORANGE_GW: "GW",
    Channel.ORANGE_CM: "CM",
    Channel.MTN_CM: "CM",
    Channel.MTN_GN: "GN",
}


class ChannelStatus(models.TextChoices):
    """The health of a channel in the last hour, compared with the week before it."""

    OK = "ok", pgettext_lazy("operator", "OK")
    SLOW = "slow", pgettext_lazy("operator", "Slow")
    FAILING = "failing", pgettext_lazy("operator", "Having problems")
    UNKNOWN = "unknown", pgettext_lazy("operator", "Too few payments to tell")


class SettledBy(models.TextChoices):
    """The evidence that settled a payment."""

    NOTIFICATION = "notification", _("Gateway notification")
    STATUS = "status", _("Status check")
    STAFF = "staff", pgettext_lazy("settled by", "Staff")


class Kind(models.TextChoices):
    """What an event in the audit trail is about."""

    INITIALIZE = "initialize", _("Page request")
    NOTIFICATION = "notification", _("Notification")
    STATUS = "status", _("Status check")
    HOST = "host", _("Shop")
    STAFF = "staff", _("Staff")
    EXPIRY = "expiry", _("Expiry")


class Outcome(models.TextChoices):
    """The outcome of an event."""

    ACCEPTED = "accepted", _("Accepted")
    DUPLICATE = "duplicate", _("Changed nothing")
    CONFLICT = "conflict", _("To review")
    REFUSED = "refused", _("Refused")
    FAILED = "failed", _("No answer")


class RefundKind(models.TextChoices):
    """How money was returned."""

    REFUND = "refund", _("Refund")
    CHARGEBACK = "chargeback", _("Chargeback")


class Reason(models.TextChoices):
    """Why a notification was refused, or why a person must look at a payment."""

    MALFORMED = "malformed", _("Cannot be read")
    REFERENCE = "reference_mismatch", _("Another reference")
    MERCHANT = "merchant_mismatch", _("Another merchant")
    AMOUNT = "amount_mismatch", _("Another amount")
    CURRENCY = "currency_mismatch", _("Another currency")
    HASHCODE = "hashcode_mismatch", _("Wrong hashcode")
    UNKNOWN_CODE = "unknown_code", _("Unknown response code")
    FAILURE_AFTER_SUCCESS = "failure_after_success", _("Failure after success")
    PAID_TWICE = "paid_twice", _("Paid twice")
    TRANSACTION_REUSED = "transaction_reused", _("Transaction of another payment")
    PAID_AFTER_CANCELLATION = "paid_after_cancellation", _("Paid after it was cancelled")
    HOST = "host", _("Reported by the shop")
    LINK_EXPIRED = "link_expired", _("Paid after the link expired")
    LINK_OVER_LIMIT = "link_over_limit", _("Paid over the link’s limit")
