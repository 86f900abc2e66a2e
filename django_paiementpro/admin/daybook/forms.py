"""What the day book is asked for: a period, and whose payments."""

from collections.abc import Iterator
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

from django_paiementpro.admin.wording import labelled
from django_paiementpro.conf import conf
from django_paiementpro.admin.daybook.statistics import FIRST_DAY, LAST_DAY, MAX_DAYS, Unit


@dataclass(frozen=True)
class Choice:
    """What the day book shows."""

    start: date
    end: date
    unit: Unit
    currency: str
    merchant: str = ""
    operator: str = ""

    def query(self, **changes: Any) -> str:
        """Return the query string that shows it, with changes."""
        values = {
            "from": self.start,
            "to": self.end,
            "by": self.unit.value,
            "currency": self.currency,
            "merchant": self.merchant,
            "operator": self.operator,
            **changes,
        }
        return "?" + urlencode({name: value for name, value in values.items() if value})


def today() -> date:
    now = timezone.now()
    return (timezone.localtime(now) if timezone.is_aware(now) else now).date()


def last_days(number: int) -> tuple[date, date]:
    return today() - timedelta(days=number - 1), today()


def unit_for(start: date, end: date) -> Unit:
    """Return what keeps the number of lines readable."""
    days = (end - start).days
    return Unit.DAY if days <= 62 else Unit.WEEK if days <= 186 else Unit.MONTH


def presets() -> Iterator[tuple[str, date, date]]:
    day = today()
    month = day.replace(day=1)
    yesterday, end_of_last_month = day - timedelta(days=1), month - timedelta(days=1)
    yield _("Today"), day, day
    yield _("Yesterday"), yesterday, yesterday
    yield _("Last 7 days"), *last_days(7)
    yield _("Last 30 days"), *last_days(30)
    yield _("This month"), month, day
    yield _("Last month"), end_of_last_month.replace(day=1), end_of_last_month
    a_year_ago = month.replace(year=month.year - 1)
    yield _("Last 12 months"), (a_year_ago + timedelta(days=31)).replace(day=1), day


def _day_field(label: Any) -> forms.DateField:
    return forms.DateField(
        label=label,
        required=False,
        validators=[MinValueValidator(FIRST_DAY), MaxValueValidator(LAST_DAY)],
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )


class PeriodForm(forms.Form):
    """What to show. Nothing is required; what cannot be read gives way to the default, with a message."""

    start = _day_field(gettext_lazy("from"))
    end = _day_field(gettext_lazy("to"))
    unit = forms.ChoiceField(label=gettext_lazy("by"), required=False, choices=Unit)
    operator = forms.CharField(label=gettext_lazy("operator"), required=False, max_length=32, widget=forms.Select)
    merchant = forms.CharField(label=gettext_lazy("merchant"), required=False, max_length=64)
    currency = forms.CharField(
        label=gettext_lazy("currency"),
        required=False,
        validators=[RegexValidator(r"\A[A-Z]{3}\Z")],
        widget=forms.Select,
    )

    def add_prefix(self, field_name: str) -> str:
        """Name the fields in the URL as people would."""
        return {"start": "from", "end": "to", "unit": "by"}.get(field_name, field_name)

    def clean(self) -> None:
        if self.errors.keys() & {"start", "end"}:
            return
        end = self.cleaned_data["end"] or max(today(), self.cleaned_data["start"] or FIRST_DAY)
        start = self.cleaned_data["start"] or max(end - timedelta(days=29), FIRST_DAY)
        if start > end:
            raise forms.ValidationError(_("The period ends before it begins."))
        if (end - start).days >= MAX_DAYS:
            raise forms.ValidationError(_("A period has at most %(days)d days.") % {"days": MAX_DAYS})
        self.cleaned_data |= {"start": start, "end": end}

    def read(self) -> tuple[Choice, list[str]]:
        """Return what to show, and what in the query could not be read."""
        mistakes = []
        for name, errors in self.errors.items():
            label = capfirst(self.fields[name].label) if name in self.fields else ""
            mistakes += [labelled(label, error) if label else str(error) for error in errors]
        values = self.cleaned_data
        if self.errors.keys() & {"start", "end", "__all__"}:
            values["start"], values["end"] = last_days(30)
            mistakes.append(_("Here are the last 30 days."))
        start, end = values["start"], values["end"]
        return Choice(
            start=start,
            end=end,
            unit=Unit(values.get("unit") or unit_for(start, end)),
            currency=values.get("currency") or conf.currency,
            merchant=values.get("merchant", ""),
            operator=values.get("operator", ""),
        ), mistakes
