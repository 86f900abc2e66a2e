"""What the page of a payment link asks the customer."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_paiementpro.amounts import parse_amount
from django_paiementpro.conf import conf
from django_paiementpro.forms import ATTRIBUTES
from django_paiementpro.links.models import PaymentLink
from django_paiementpro.links.services import amount_to_pay, is_form_key, new_form_key
from django_paiementpro.models import Payment, format_amount


class AmountInput(forms.TextInput):
    """A text, beside which the page may have radio buttons of the same name: what was typed takes precedence."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        values = data.getlist(name) if isinstance(data, MultiValueDict) else [data.get(name)]
        return next((value for value in reversed(values) if value and value.strip()), "")


class LinkForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Asks for the amount, if the customer chooses it, for the payment method and for the customer's details."""

    amount = forms.CharField(
        label=_("Amount"),
        max_length=40,
        widget=AmountInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
        error_messages={"required": _("Enter the amount.")},
    )
    form_key = forms.CharField(widget=forms.HiddenInput, required=False, max_length=200)

    class Meta:
        model = Payment
        fields = ("channel", *ATTRIBUTES)
        help_texts = {"customer_phone": _("The payment request is sent to this number.")}

    field_order = ("amount", *ATTRIBUTES, "channel", "form_key")

    def __init__(self, link: PaymentLink, data: Any = None) -> None:
        self.link = link
        super().__init__(data, label_suffix="", initial={"form_key": new_form_key(link)})
        # Read with the link's own method: a number without a country code belongs to its country.
        self.instance.channel = link.channel
        if link.amount is not None:
            del self.fields["amount"]
        if link.channel:
            del self.fields["channel"]
        else:
            self.fields["channel"].choices = [("", _("Choose on the next page")), *conf.channels.items()]  # type: ignore[attr-defined]
        for name, attributes in ATTRIBUTES.items():
            self.fields[name].widget.attrs.update(attributes)

    @property
    def suggestions(self) -> list[tuple[int, str, bool]]:
        """The amounts to choose from with one tap: value, label, and whether it is chosen."""
        chosen = self._chosen_amount()
        amounts = self.link.suggested_amounts if "amount" in self.fields else []
        return [(amount, format_amount(amount, self.link.currency), amount == chosen) for amount in amounts]

    @property
    def typed_amount(self) -> str:
        """What the customer typed, if that is not one of the suggestions."""
        is_suggested = any(is_chosen for _value, _label, is_chosen in self.suggestions)
        return "" if is_suggested else str(self["amount"].value() or "")

    @property
    def amount_hint(self) -> str:
        """Between which amounts the customer may choose."""
        limits = {"least": format_amount(self.link.least_amount, self.link.currency)}
        if self.link.max_amount is None:
            return gettext("From %(least)s.") % limits
        return gettext("From %(least)s to %(most)s.") % (
            limits | {"most": format_amount(self.link.max_amount, self.link.currency)}
        )

    def _chosen_amount(self) -> int | None:
        try:
            return parse_amount(str(self["amount"].value() or ""))
        except ValueError:
            return None

    def clean_amount(self) -> int:
        try:
            amount = parse_amount(self.cleaned_data["amount"])
        except ValueError as error:
            raise ValidationError(_("Enter a whole amount, in digits: 12 500."), code="invalid") from error
        return amount_to_pay(self.link, amount)

    def clean_form_key(self) -> str:
        form_key: str = self.cleaned_data["form_key"]
        if not is_form_key(self.link, form_key):
            # Above the form, since the field is hidden; the next try has a valid key.
            self.add_error(None, ValidationError(_("This form is no longer valid: send it again."), code="form_key"))
        return form_key

    def renewed(self) -> "LinkForm":
        """Return the form as it is shown again: with a new key, if it had none that is valid."""
        if not is_form_key(self.link, self.data.get("form_key", "")):
            data: Any = self.data
            self.data = data.copy()
            self.data["form_key"] = new_form_key(self.link)  # type: ignore[index]  # a QueryDict
        return self
