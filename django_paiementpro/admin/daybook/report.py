from collections.abc import Iterator, Sequence

from django import forms
from django.db.models import QuerySet
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_paiementpro.admin.daybook.charts import Charts
from django_paiementpro.admin.daybook.data import ReportData
from django_paiementpro.admin.daybook.formats import channel_texts, count_text, duration_text, range_text, rate_text
from django_paiementpro.admin.daybook.forms import Criteria, ReportForm, unit_for
from django_paiementpro.admin.daybook.tables import Tables
from django_paiementpro.admin.export import can_write_xlsx
from django_paiementpro.admin.notices import NOTICES
from django_paiementpro.admin.periods import presets
from django_paiementpro.conf import conf
from django_paiementpro.models import Payment, offered_channels


class Report:
    """Everything that the page shows, and the CSV."""

    def __init__(self, payments: QuerySet[Payment], criteria: Criteria, mistakes: Sequence[str] = ()) -> None:
        self.criteria = criteria
        self.mistakes = mistakes
        self.data = ReportData.read(criteria, payments)
        self.book = self.data.book
        self.charts = Charts(self.data)
        self.tables = Tables(self.data)
        self.period = range_text(criteria.start, criteria.end)
        self.is_empty = not self.book.days

    @cached_property
    def form(self) -> ReportForm:
        criteria = self.criteria
        form = ReportForm(initial=vars(criteria), auto_id="daybook-%s")
        codes = dict.fromkeys([*dict(offered_channels()), *self.book.channels, criteria.channel])
        channels = sorted(channel_texts(filter(None, codes)).items(), key=lambda item: item[1])
        form.fields["channel"].widget = forms.Select(choices=[("", _("All")), *channels])
        currencies = dict.fromkeys([*conf.currencies, criteria.currency, *self.book.other_currencies])
        form.fields["currency"].widget = forms.Select(choices=[(code, code) for code in currencies])
        form.fields["merchant"].widget.attrs |= {"list": "daybook-merchants", "autocomplete": "off"}
        if len(currencies) == 1:
            del form.fields["currency"]
        if len(self.book.merchants) < 2 and not criteria.merchant:
            del form.fields["merchant"]
        return form

    @property
    def presets(self) -> Iterator[tuple[str, str, bool]]:
        for label, start, end in presets():
            query = self.criteria.query(**{"from": start, "to": end, "by": unit_for(start, end).value})
            yield label, query, (start, end) == (self.criteria.start, self.criteria.end)

    @property
    def other_currencies(self) -> list[tuple[str, str]]:
        return [(code, self.criteria.query(currency=code)) for code in self.book.other_currencies]

    @property
    def notices(self) -> Iterator[str]:
        """The notices of other apps, whatever the period."""
        return (text for notices in NOTICES for text in notices())

    @property
    def csv_query(self) -> str:
        return self.criteria.query(format="csv")

    @property
    def xlsx_query(self) -> str:
        """The query of the same as XLSX; empty if it cannot be written."""
        return self.criteria.query(format="xlsx") if can_write_xlsx() else ""

    @property
    def _fees(self) -> list[tuple[str, str, str]]:
        """Return the gateway's fees and what is left, if a statement has any of these payments."""
        fees, total = self.book.fees, self.book.total
        if not fees.payments:
            return []
        known = ngettext(
            "known for %(count)s of %(total)s payment, by the gateway’s statements",
            "known for %(count)s of %(total)s payments, by the gateway’s statements",
            total.payments,
        ) % {"count": count_text(fees.payments), "total": count_text(total.payments)}
        left = self.data.money(total.net - fees.amount)
        return [
            (_("Fees of the gateway"), self.data.money(fees.amount), known),
            (_("Net after fees"), left, _("takings minus refunds and known fees")),
        ]

    @property
    def key_figures(self) -> list[tuple[str, str, str]]:
        """Return the label, figure and explanation of each."""
        total = self.book.total
        answered = total.opened - total.cancelled
        refunds = ngettext("%(count)s refund", "%(count)s refunds", total.refunds)
        pages = ngettext(
            "of %(count)s payment page, not counting cancelled payments",
            "of %(count)s payment pages, not counting cancelled payments",
            answered,
        )
        money = self.data.money
        return [
            (_("Gross takings"), money(total.taken), _("before refunds")),
            (_("Refunded"), money(total.refunded), refunds % {"count": count_text(total.refunds)}),
            (_("Net"), money(total.net), _("takings minus refunds")),
            *self._fees,
            (_("Paid payments"), count_text(total.payments), _("in this period")),
            (_("Success rate"), rate_text(total.success_rate), pages % {"count": count_text(answered)}),
            (_("Median time to pay"), duration_text(self.book.median), _("half of the customers were faster")),
        ]
