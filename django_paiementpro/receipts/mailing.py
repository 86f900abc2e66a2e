"""Mail a receipt to the customer, in the language of the site: that of the customer is not known."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.validators import validate_email
from django.template.loader import render_to_string
from django.urls import NoReverseMatch
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from django_paiementpro.conf import conf
from django_paiementpro.receipts.models import Receipt
from django_paiementpro.receipts.paper import paper_of
from django_paiementpro.services.checkout import absolute_url


def mail(receipt: Receipt) -> Mapping[str, Any]:
    """
    Mail the receipt, and return what to store: nothing if the customer has no address, or it has been erased.

    The mail contains the receipt itself, and a link to it. Errors of the mail backend propagate.
    """
    address = receipt.payment.customer_email
    try:
        validate_email(address)
    except ValidationError:
        return {}
    with translation.override(settings.LANGUAGE_CODE), timezone.override(None):
        _message(receipt, address).send()
    return {"mailed_at": timezone.now()}


def _message(receipt: Receipt, address: str) -> EmailMultiAlternatives:
    paper = paper_of(receipt)
    context = {"paper": paper, "url": _url(receipt)}
    subject = _("%(title)s no. %(number)s") % {"title": paper.title, "number": receipt.number}
    if shop := " ".join(conf.shop.name.split()):
        subject = f"{subject} · {shop}"
    message = EmailMultiAlternatives(
        subject=subject,
        body=render_to_string("paiementpro_receipts/mail.txt", context),
        to=[address],
        reply_to=[conf.shop.email] if conf.shop.email else None,
    )
    message.attach_alternative(render_to_string("paiementpro_receipts/mail.html", context), "text/html")
    return message


def _url(receipt: Receipt) -> str:
    """Return the link to the receipt; empty if the site's address or its URLs are missing, which checks report."""
    try:
        return absolute_url(receipt.get_absolute_url(), None)
    except (ImproperlyConfigured, NoReverseMatch):
        return ""
