from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_paiementpro.admin.daybook.statistics import FIRST_DAY, LAST_DAY, MAX_DAYS, Unit
from django_paiementpro.admin.periods import last_days
from django_paiementpro.admin.wording import labelled
from django_paiementpro.conf import conf


@dataclass(frozen=True)
class Criteria:
    """What the report is about."""

    start: date
    end: date
    unit: Unit
    currency: str
    merchant: str = ""
    channel: str = ""

    def query(self, **changes: Any) -> str:
        """Return the query string of this report, with the changes."""
        values = {
            "from": self.start,
            "to": self.end,
            "by": self.unit.value,
            "currency": self.currency,
            "merchant": self.merchant,
            "channel": self.channel,
            **changes,
        }
        return "?" + urlencode({name: value for name, value in values.items() if value})


def unit_for(start: date, end: date) -> Unit:
    """Return the unit that keeps the number of lines readable."""
    days = (end - start).days
    return Unit.DAY if days <= 62 else Unit.WEEK if days <= 186 else Unit.MONTH


def _day_field(label: Any) -> forms.DateField:
    return forms.DateField(
        label=label,
        required=False,
        validators=[MinValueValidator(FIRST_DAY), MaxValueValidator(LAST_DAY)],
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )


class ReportForm(forms.Form):
    """The criteria. All are optional; an invalid one is reported and replaced by its default."""

    start = _day_field(gettext_lazy("from"))
    end = _day_field(gettext_lazy("to"))
    unit = forms.ChoiceField(label=gettext_lazy("by"), required=False, choices=Unit)
    channel = forms.CharField(label=gettext_lazy("payment method"), required=False, max_length=32, widget=forms.Select)
    merchant = forms.CharField(label=gettext_lazy("merchant"), required=False, max_length=64)
    currency = forms.CharField(
        label=gettext_lazy("currency"),
        required=False,
        validators=[RegexValidator(r"\A[A-Z]{3}\Z")],
        widget=forms.Select,
    )

    def add_prefix(self, field_name: str) -> str:
        """Return the name of the field in the URL."""
        return {"start": "from", "end": "to", "unit": "by"}.get(field_name, field_name)

    def clean(self) -> None:
        if self.errors.keys() & {"start", "end"}:
            return
        end = self.cleaned_data["end"] or max(timezone.localdate(), self.cleaned_data["start"] or FIRST_DAY)
        start = self.cleaned_data["start"] or max(end - timedelta(days=29), FIRST_DAY)
        if start > end:
            raise forms.ValidationError(_("The end date is before the start date."))
        if (end - start).days >= MAX_DAYS:
            raise forms.ValidationError(_("The period cannot be longer than %(days)d days.") % {"days": MAX_DAYS})
        self.cleaned_data |= {"start": start, "end": end}

    def read(self) -> tuple[Criteria, list[str]]:
        """Return the criteria, and a message for each invalid value."""
        mistakes = []
        for name, errors in self.errors.items():
            label = capfirst(self.fields[name].label) if name in self.fields else ""
            mistakes += [labelled(label, error) if label else str(error) for error in errors]
        values = self.cleaned_data
        if self.errors.keys() & {"start", "end", "__all__"}:
            values["start"], values["end"] = last_days(30)
            mistakes.append(_("Showing the last 30 days instead."))
        start, end = values["start"], values["end"]
        return Criteria(
            start=start,
            end=end,
            unit=Unit(values.get("unit") or unit_for(start, end)),
            currency=values.get("currency") or conf.currency,
            merchant=values.get("merchant", ""),
            channel=values.get("channel", ""),
        ), mistakes
