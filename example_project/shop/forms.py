from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from django_paiementpro.models import Payment
from django_paiementpro.monitoring.channel_health import channel_health
from django_paiementpro.widgets import ChannelSelect
from shop.models import Order, Product
from shop.templatetags.shop import francs

MAX_QUANTITY = 10


def channel_choices() -> list[tuple[str, Any]]:
    """
    Offer what the merchant account has, after leaving the choice to the gateway's page.

    An operator in trouble is marked, and can be chosen all the same: it may be back by the time that the buyer pays.
    """
    failing = {code for code, health in channel_health().items() if health.is_failing}
    choices = Payment._meta.get_field("channel").get_choices(blank_choice=[("", _("Choose on the payment page"))])
    return [
        (code, _("%(operator)s: having problems right now") % {"operator": label} if code in failing else label)
        for code, label in choices
    ]


class BuyerForm(forms.ModelForm):
    """Who buys, and how they want to pay."""

    channel = forms.ChoiceField(
        label=_("Payment method"), choices=channel_choices, widget=ChannelSelect, required=False
    )

    class Meta:
        model = Order
        fields = ["first_name", "last_name", "email", "phone", "channel"]
        widgets = {
            "first_name": forms.TextInput({"autocomplete": "given-name"}),
            "last_name": forms.TextInput({"autocomplete": "family-name"}),
            "email": forms.EmailInput({"autocomplete": "email"}),
            "phone": forms.TextInput({"type": "tel", "inputmode": "tel", "autocomplete": "tel"}),
        }
        help_texts = {
            "email": _("We write to you about this order only."),
            "phone": _("The number that pays: your operator asks there for your agreement."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, label_suffix="", **kwargs)


class OrderForm(BuyerForm):
    """What the buyer decides about an order. The price is not a field, since the shop decides it."""

    quantity = forms.TypedChoiceField(label=_("Quantity"), coerce=int)

    class Meta(BuyerForm.Meta):
        fields = ["quantity", *BuyerForm.Meta.fields]

    def __init__(self, product: Product, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        quantities = range(1, min(product.stock, MAX_QUANTITY) + 1)
        self.fields["quantity"].choices = [(n, f"{n} — {francs(n * product.price)}") for n in quantities]
