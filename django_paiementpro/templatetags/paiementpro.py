import re
from typing import Any

from django import template
from django.db.models import Model
from django.template.loader import select_template
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_paiementpro.conf import conf
from django_paiementpro.marks import draw_mark, label_of, mark_of
from django_paiementpro.models import Payment

register = template.Library()


@register.simple_tag
def checkout_url(obj: Model) -> str:
    """
    Return the link by which an object, such as an order, can be paid now; an empty text if there is nothing to pay.

    ``{% checkout_url order as url %}{% if url %}<a href="{{ url }}">…</a>{% endif %}``. Anyone who has the link
    can pay, so show it on pages that are the customer's own.
    """
    payment = Payment.objects.for_object(obj).payable().first()
    return payment.get_checkout_url() if payment else ""


@register.inclusion_tag("paiementpro/pay_now.html")
def pay_now(obj: Model) -> dict[str, Any]:
    """Show a button to pay an object, such as an order, as long as it can be paid: ``{% pay_now order %}``."""
    return {"url": checkout_url(obj)}


@register.inclusion_tag("paiementpro/contact.html")
def shop_contact(payment: Payment | None = None) -> dict[str, Any]:
    """
    Show how to reach the shop (``PAIEMENTPRO_SHOP``): phone, WhatsApp and e-mail, as far as they are set.

    With a payment, the message is prefilled with its reference and amount.
    """
    shop, subject, text = conf.shop, "", ""
    if payment:
        subject = _("Payment %(reference)s") % {"reference": payment.short_reference}
        text = _("Hello, I am writing about payment %(reference)s, %(amount)s: ") % {
            "reference": payment.reference,
            "amount": payment.amount_display,
        }
    return {
        "shop": shop,
        "whatsapp_url": shop.whatsapp_url(text),
        "mail_url": shop.mail_url(subject, text),
    }


@register.simple_tag
def channel_mark(channel: str, *, with_name: bool = True) -> SafeString:
    """
    Show the mark of a payment method, letters on a colour: ``{% channel_mark "OMCIV2" %}``.

    Beside its name, write ``with_name=False``, so that screen readers do not say it twice.
    """
    return draw_mark(channel, label_of(channel) if with_name else "")


@register.simple_tag
def payment_instructions(payment: Payment) -> SafeString:
    """
    Show what to do to confirm a payment, by its payment method: ``{% payment_instructions payment %}``.

    The text is your template ``paiementpro/instructions/OMCIV2.html``, named after the method's code, or else the
    general ``paiementpro/instructions.html``. Both have ``payment``, ``method`` and ``brand`` in their context.
    """
    channel = payment.gateway_channel or payment.channel
    # What is no code is no file name either.
    own = [f"paiementpro/instructions/{channel}.html"] if re.fullmatch("[A-Za-z0-9_]+", channel) else []
    text = select_template([*own, "paiementpro/instructions.html"])
    shown: SafeString = text.render({"payment": payment, "method": label_of(channel), "brand": mark_of(channel).brand})
    return shown
