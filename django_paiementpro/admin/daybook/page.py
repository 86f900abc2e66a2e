"""All that the day book shows of one choice."""

from collections.abc import Iterator, Sequence

from django import forms
from django.db.models import QuerySet
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_paiementpro.admin.daybook.charts import Charts
from django_paiementpro.admin.daybook.picker import Choice, PeriodForm, presets, unit_for
from django_paiementpro.admin.daybook.shown import Shown
from django_paiementpro.admin.daybook.tables import Tables
from django_paiementpro.admin.daybook.texts import (
    count_text,
    duration_text,
    operator_texts,
    range_text,
    rate_text,
)
from django_paiementpro.admin.notices import NOTICES
from django_paiementpro.conf import conf
from django_paiementpro.models import Payment, offered_channels


class Page:
    """All that the template and the CSV show of one choice."""

    def __init__(self, payments: QuerySet[Payment], choice: Choice, mistakes: Sequence[str] = ()) -> None:
        self.choice = choice
        self.mistakes = mistakes
        self.shown = Shown.of(choice, payments)
        self.book = self.shown.book
        self.charts = Charts(self.shown)
        self.tables = Tables(self.shown)
        self.period = range_text(choice.start, choice.end)
        self.is_empty = not self.book.days

    @cached_property
    def form(self) -> PeriodForm:
        choice = self.choice
        form = PeriodForm(initial=vars(choice), auto_id="daybook-%s")
        codes = dict.fromkeys([*dict(offered_channels()), *self.book.operators, choice.operator])
        operators = sorted(operator_texts(filter(None, codes)).items(), key=lambda item: item[1])
        form.fields["operator"].widget = forms.Select(choices=[("", _("All")), *operators])
        currencies = dict.fromkeys([*conf.currencies, choice.currency, *self.book.other_currencies])
        form.fields["currency"].widget = forms.Select(choices=[(code, code) for code in currencies])
        form.fields["merchant"].widget.attrs |= {"list": "daybook-merchants", "autocomplete": "off"}
        if len(currencies) == 1:
            del form.fields["currency"]
        if len(self.book.merchants) < 2 and not choice.merchant:
            del form.fields["merchant"]
        return form

    @property
    def presets(self) -> Iterator[tuple[str, str, bool]]:
        for label, start, end in presets():
            query = self.choice.query(**{"from": start, "to": end, "by": unit_for(start, end).value})
            yield label, query, (start, end) == (self.choice.start, self.choice.end)

    @property
    def other_currencies(self) -> list[tuple[str, str]]:
        return [(code, self.choice.query(currency=code)) for code in self.book.other_currencies]

    @property
    def notices(self) -> Iterator[str]:
        """What other apps have to say, whatever the period is."""
        return (text for notices in NOTICES for text in notices())

    @property
    def csv_query(self) -> str:
        return self.choice.query(format="csv")

    @property
    def key_figures(self) -> list[tuple[str, str, str]]:
        """Return label, figure and what it is about."""
        total = self.book.total
        answered = total.opened - total.cancelled
        refunds = ngettext("%(count)s refund", "%(count)s refunds", total.refunds)
        pages = ngettext(
            "of %(count)s payment page, cancelled ones aside",
            "of %(count)s payment pages, cancelled ones aside",
            answered,
        )

        money = self.shown.money
        return [
            (_("Taken"), money(total.taken), _("before refunds")),
            (_("Refunded"), money(total.refunded), refunds % {"count": count_text(total.refunds)}),
            (_("Net"), money(total.net), _("taken less refunded")),
            (_("Payments paid"), count_text(total.payments), _("in this period")),
            (_("Success rate"), rate_text(total.success_rate), pages % {"count": count_text(answered)}),
            (_("Median time to pay"), duration_text(self.book.median), _("half of them took no longer")),
        ]
