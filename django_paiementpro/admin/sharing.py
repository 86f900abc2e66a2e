"""Send a customer the link to pay: each way opens an app of the staff's own, with the message ready."""

from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

from django.http import HttpRequest
from django.utils.translation import gettext as _

from django_paiementpro.conf import conf
from django_paiementpro.models import Payment
from django_paiementpro.phones import parse_phone
from django_paiementpro.services.checkout import absolute_url


@dataclass(frozen=True, slots=True)
class Share:
    """An address to share, with its message, and the customer's phone number and e-mail as far as they are known."""

    url: str
    subject: str
    message: str
    #: In E.164 format.
    phone: str = ""
    email: str = ""

    @property
    def whatsapp_url(self) -> str:
        return f"https://wa.me/{self.phone[1:]}?text={quote(self.message, safe='')}"

    @property
    def sms_url(self) -> str:
        return f"sms:{self.phone}?body={quote(self.message, safe='')}"

    @property
    def mail_url(self) -> str:
        subject, body = quote(self.subject, safe=""), quote(self.message, safe="")
        return f"mailto:{quote(self.email, safe='@')}?subject={subject}&body={body}"


def share(path: str, request: HttpRequest, title: str, amount: str, phone: str = "", email: str = "") -> Share:
    """Return what is needed to share a path. ``phone`` is in E.164 format, and empty if it is not known."""
    url = absolute_url(path, request)
    title = " ".join(title.split()).rstrip(" .:;,")
    what = _("%(title)s, %(amount)s") % {"title": title, "amount": amount} if title and amount else title or amount
    values = {"shop": conf.shop.name, "what": what, "url": url}
    text = _("%(shop)s: %(what)s. Pay here: %(url)s") if conf.shop.name else _("%(what)s. Pay here: %(url)s")
    return Share(url, what, text % values, phone, email)


def share_payment(payment: Payment, request: HttpRequest) -> Share:
    """Return what is needed to share the page on which the customer can pay."""
    phone = known_phone(payment.customer_phone, payment.channel, payment.gateway_channel)
    description, amount = payment.description, payment.amount_display
    return share(payment.get_pay_url(), request, description, amount, phone, payment.customer_email)


def known_phone(text: str, *channels: str) -> str:
    """Return a phone number in E.164 format, and an empty text if it cannot be read."""
    with suppress(ValueError):
        return parse_phone(text, *channels)
    return ""
