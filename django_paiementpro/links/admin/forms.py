"""Forms of the back office."""

import re
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from django_paiementpro.amounts import parse_amount
from django_paiementpro.links.importing.rows import MAX_BYTES
from django_paiementpro.links.models import PaymentLink
from django_paiementpro.models import offered_channels
from django_paiementpro.phones import parse_phone


def write_amount(value: Any) -> Any:
    """Return an amount as it is shown in an input: ``12 500``."""
    return f"{value:,}".replace(",", " ") if isinstance(value, int) else value


class AmountFormField(forms.CharField):
    """Whole francs, in any way in which people write them."""

    widget = AdminTextInputWidget
    default_error_messages = {"invalid": _("Enter a whole number of francs, such as 12 500.")}

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 40)
        super().__init__(**kwargs)

    def prepare_value(self, value: Any) -> Any:
        return write_amount(value)

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return self.read(text) if text else None

    def read(self, text: str) -> int:
        try:
            return parse_amount(text)
        except ValueError as error:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from error

    def run_validators(self, value: Any) -> None:
        """Leave the number to the model: this field's own validators are about text."""

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "inputmode": "numeric", "autocomplete": "off"}


class AmountsFormField(AmountFormField):
    """Several amounts with a semicolon or a line break between them: a comma may separate thousands."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 400, **kwargs})

    def prepare_value(self, value: Any) -> Any:
        return "; ".join(map(write_amount, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        text = forms.CharField.to_python(self, value) or ""
        return [self.read(part) for part in re.split(r"[;\n]", text) if part.strip()]

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "inputmode": "text"}


class LinkForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = PaymentLink
        fields = "__all__"  # noqa: DJ007  the admin's fieldsets choose

    def clean_customer_phone(self) -> str:
        text: str = self.cleaned_data["customer_phone"]
        if text:
            try:
                parse_phone(text, self.data.get("channel", ""))
            except ValueError as error:
                raise ValidationError(_("Enter a telephone number."), code="invalid") from error
        return text


class SwitchForm(forms.Form):
    """Asks what customers will read. The hidden field says what the user means to do."""

    closed_message = forms.CharField(
        label=_("Message for customers"),
        help_text=_("They read it when they open the link. It may be empty."),
        required=False,
        max_length=2000,
        widget=AdminTextareaWidget(attrs={"rows": 3}),
    )
    is_active = forms.TypedChoiceField(
        choices=[("1", ""), ("0", "")], coerce=lambda text: text == "1", widget=forms.HiddenInput
    )


class ImportForm(forms.Form):
    title = forms.CharField(
        label=_("Common title"),
        help_text=_("What is paid, such as “School fees, first term”. Rows with a title of their own keep it."),
        max_length=500,
        widget=AdminTextInputWidget,
    )
    file = forms.FileField(
        label=_("File"),
        help_text=_("CSV or Excel (.xlsx), with a heading for each column: name, phone, amount."),
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,.tsv,.xlsx"}),
    )
    channel = forms.ChoiceField(
        label=_("Payment method"), help_text=_("Leave it empty to let the customer choose."), required=False
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        channel: Any = self.fields["channel"]
        channel.choices = [("", "---------"), *offered_channels()]

    def clean_title(self) -> str:
        return " ".join(self.cleaned_data["title"].split())

    def clean_file(self) -> bytes:
        upload = self.cleaned_data["file"]
        if upload.size > MAX_BYTES:
            raise ValidationError(_("This file is too large."), code="too_large")
        content: bytes = upload.read()
        return content
