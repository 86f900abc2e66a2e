"""The words of outgoing webhooks, with their labels."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class DeliveryStatus(models.TextChoices):
    """What became of a delivery."""

    PENDING = "pending", pgettext_lazy("webhook", "To be sent")
    DELIVERED = "delivered", pgettext_lazy("webhook", "Delivered")
    FAILED = "failed", pgettext_lazy("webhook", "Not delivered")


class Failure(models.TextChoices):
    """Why an attempt had no answer."""

    URL = "url", _("The URL is refused: it is not a public https address.")
    NAME = "name", _("The name cannot be resolved.")
    CONNECTION = "connection", _("No connection.")
    TLS = "tls", _("No secure connection: the certificate is not valid for this name, or TLS failed.")
    TIMEOUT = "timeout", _("No answer in time.")
    PROTOCOL = "protocol", _("The answer is not valid HTTP.")
    BUG = "bug", _("An error on this site: see its log.")
