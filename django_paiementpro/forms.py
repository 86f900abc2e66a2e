"""What the checkout asks the customer."""

from collections.abc import Collection, Mapping
from copy import copy
from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from django_paiementpro.conf import conf
from django_paiementpro.models import Payment
from django_paiementpro.phones import mask_phone
from django_paiementpro.widgets import ChannelSelect

#: The attributes of each field, by which browsers fill it in and show the right keyboard.
ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    "customer_first_name": {"autocomplete": "given-name", "autocapitalize": "words"},
    "customer_last_name": {"autocomplete": "family-name", "autocapitalize": "words"},
    "customer_email": {"autocomplete": "email", "inputmode": "email"},
    "customer_phone": {"autocomplete": "tel", "inputmode": "tel", "type": "tel"},
}


#: Of more payment methods, a list to unfold is easier to survey than buttons, and makes the page lighter.
MAX_BUTTONS = 8


class CustomerForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """
    Asks for some of the customer's details, prefilled with what the payment has.

    Where a failed attempt is corrected, the phone number is not shown: the link may have been passed on.
    """

    class Meta:
        model = Payment
        fields = ("channel", *ATTRIBUTES)
        help_texts = {"customer_phone": _("The payment request is sent to this number.")}

    def __init__(self, *args: Any, names: Collection[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        for name in set(self.fields).difference(names):
            del self.fields[name]
        for name, field in self.fields.items():
            field.widget.attrs.update(ATTRIBUTES.get(name, {}))
        if self.is_change:
            channels = cast("forms.ChoiceField", self.fields["channel"])
            if len(conf.channels) <= MAX_BUTTONS:
                channels.widget = ChannelSelect()
            channels.choices = [("", _("Choose on the next page")), *conf.channels.items()]
            self._hide_phone()

    def _hide_phone(self) -> None:
        self.initial["customer_phone"] = ""
        phone, number = self.fields.get("customer_phone"), mask_phone(self.instance.phone_number)
        if phone and number:
            phone.required = False
            phone.help_text = _("Leave it empty to keep %(number)s.") % {"number": number}

    def clean_customer_phone(self) -> str:
        """Return the number that was typed, or the one to keep: with its country code if the channel changes that."""
        text: str = self.cleaned_data["customer_phone"]
        if text or not self.is_change:
            return text
        payment: Payment = copy(self.instance)
        number = payment.phone_number
        payment.channel = self.cleaned_data.get("channel", payment.channel)
        return payment.customer_phone if payment.phone_number == number else number

    @property
    def is_change(self) -> bool:
        """Whether the customer corrects what a failed attempt was made with."""
        return "channel" in self.fields

    def answers(self) -> dict[str, str]:
        """Return the valid answers."""
        return {name: self.cleaned_data[name] for name in self.fields if name in self.cleaned_data}

    def keep_answers(self) -> None:
        """Show the valid answers, once they are stored, without asking for them again."""
        for name in self.answers():
            self.fields[name].widget.attrs["readonly"] = True
