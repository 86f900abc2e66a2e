"""The filters of the list. None of them queries the database for its choices, and each can use an index."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.dateparse import parse_date
from django.utils.translation import gettext_lazy as _

from django_paiementpro.admin.periods import presets, start_of
from django_paiementpro.enums import CHANNEL_COUNTRIES, Channel, SettledBy, Status
from django_paiementpro.models import Finding, Payment, Verification, offered_channels

COUNTRIES = {
    "CI": _("Côte d’Ivoire"),
    "SN": _("Senegal"),
    "BJ": _("Benin"),
    "BF": _("Burkina Faso"),
    "ML": _("Mali"),
    "TG": _("Togo"),
    "NE": _("Niger"),
    "GW": _("Guinea-Bissau"),
    "CM": _("Cameroon"),
    "GN": _("Guinea"),
}


def to_review(payments: QuerySet[Payment]) -> QuerySet[Payment]:
    """Return the payments that have open findings, which the index of the findings finds."""
    return payments.filter(pk__in=Finding.objects.filter(reviewed_at=None).values("payment"))


def offered_countries() -> set[str]:
    """Return the countries of the payment methods that the shop offers."""
    offered = {code for code, _label in offered_channels()}
    return {country for channel, country in CHANNEL_COUNTRIES.items() if channel in offered}


def channels_of(country: str) -> list[str]:
    return [str(channel) for channel, its_country in CHANNEL_COUNTRIES.items() if its_country == country]


class ChoiceFilter(admin.SimpleListFilter):
    """A filter that accepts its own choices, one or several separated by commas, and nothing else."""

    def value(self) -> str | None:
        value = super().value()
        choices = {str(choice) for choice, _label in self.lookup_choices}
        if value is not None and not choices.issuperset(value.split(",")):
            raise IncorrectLookupParameters
        return value

    def values(self) -> list[str]:
        return (self.value() or "").split(",")

    def narrow(self, queryset: QuerySet[Payment], column: str) -> QuerySet[Payment]:
        """Return the rows with the chosen values; one value is compared in the form for which indexes are made."""
        match self.values():
            case [""]:
                return queryset
            case [value]:
                return queryset.filter(**{column: value})
            case values:
                return queryset.filter(**{f"{column}__in": values})


class StatusFilter(ChoiceFilter):
    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(Status.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        return self.narrow(queryset, "status")


class VerificationFilter(ChoiceFilter):
    title = _("account verification")
    parameter_name = "verification"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("Account verification"))]

    def has_output(self) -> bool:
        """Show it where there is one: most shops verify their account once."""
        return bool(self.value()) or Verification.objects.exists()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        return queryset.filter(is_verification=True) if self.value() else queryset


class SettledByFilter(ChoiceFilter):
    title = _("settled by")
    parameter_name = "settled_by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(SettledBy.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        return self.narrow(queryset, "settled_by")


class OfferedFilter(ChoiceFilter, ABC):
    """A filter that accepts all its values, and shows the chosen one and some."""

    @abstractmethod
    def offered(self) -> set[str]:
        """Return the values to show."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        shown = {None, *self.values(), *self.offered()}
        values = [None, *(str(value) for value, _label in self.lookup_choices)]
        return (choice for value, choice in zip(values, super().choices(changelist), strict=True) if value in shown)


class ReviewFilter(OfferedFilter):
    title = _("review")
    parameter_name = "review"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("To review")), ("0", _("Nothing to review"))]

    def offered(self) -> set[str]:
        return {"1"}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        match self.value():
            case "1":
                return to_review(queryset)
            case "0":
                return queryset.filter(needs_review=False)
            case _:
                return queryset


class ChannelFilter(OfferedFilter):
    title = _("payment method")
    parameter_name = "channel"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list({**dict(offered_channels()), **dict(Channel.choices)}.items())

    def offered(self) -> set[str]:
        return {code for code, _label in offered_channels()}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        return self.narrow(queryset, "effective_channel")


class CountryFilter(OfferedFilter):
    title = _("country")
    parameter_name = "country"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(COUNTRIES.items())

    def offered(self) -> set[str]:
        return offered_countries()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        if not self.value():
            return queryset
        return queryset.filter(
            effective_channel__in=[code for country in self.values() for code in channels_of(country)]
        )


class InputFilter(admin.ListFilter, ABC):
    """A filter with a small form, which keeps the other filters and the search."""

    template = "admin/paiementpro/payment/input_filter.html"
    #: django-unfold reads this from every filter, and fails without it.
    parameter_name = ""
    parameter_names: tuple[str, ...]
    used_parameters: dict[str, Any]

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.used_parameters = {}
        for name in self.parameter_names:
            values = params.pop(name, [""])
            text = values[-1].strip()
            if text:
                try:
                    self.used_parameters[name] = self.read(name, text)
                except ValueError as error:
                    raise IncorrectLookupParameters from error
        #: The other parameters of the URL, but for the page and the error flag.
        self.kept = [
            (name, value)
            for name, values in request.GET.lists()
            for value in values
            if name not in {*self.expected_parameters(), "p", "e"}
        ]

    @abstractmethod
    def read(self, name: str, text: str) -> Any:
        """Return the value of the text. Raises ``ValueError``."""

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return list(self.parameter_names)

    def choices(self, changelist: Any) -> Iterator[Any]:
        yield {
            "selected": not self.used_parameters,
            "query_string": changelist.get_query_string(remove=list(self.parameter_names)),
            "display": _("All"),
        }

    @property
    def form_id(self) -> str:
        """The id of the form, which stands apart from the inputs: themes put filters into forms of their own."""
        return f"pp-filter-{self.parameter_names[0]}"

    @property
    @abstractmethod
    def fields(self) -> list[dict[str, Any]]:
        """The form's inputs: name, label, type and value of each."""


class MerchantFilter(InputFilter):
    title = _("merchant")
    parameter_names = ("merchant",)

    def read(self, name: str, text: str) -> str:
        if not re.fullmatch(r"[!-~]{1,64}", text):
            raise ValueError(text)
        return text

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        merchant = self.used_parameters.get("merchant")
        return queryset.filter(merchant_id=merchant) if merchant else queryset

    @property
    def fields(self) -> list[dict[str, Any]]:
        value = self.used_parameters.get("merchant", "")
        return [{"name": "merchant", "label": _("merchant"), "type": "text", "value": value}]


class PeriodFilter(InputFilter):
    """The days on which payments were created: one of the usual periods, or any two days and those between them."""

    title = _("period")
    parameter_names = ("from", "to")

    def read(self, name: str, text: str) -> date:
        day = parse_date(text)
        if day is None or not 2000 <= day.year < 2100:
            raise ValueError(text)
        return day

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        first, last = self.used_parameters.get("from"), self.used_parameters.get("to")
        if first:
            queryset = queryset.filter(created_at__gte=start_of(first))
        if last:
            queryset = queryset.filter(created_at__lt=start_of(last + timedelta(days=1)))
        return queryset

    def choices(self, changelist: Any) -> Iterator[Any]:
        yield from super().choices(changelist)
        for label, first, last in presets():
            values = {"from": first.isoformat(), "to": last.isoformat()}
            yield {
                "selected": self.used_parameters == {"from": first, "to": last},
                "query_string": changelist.get_query_string(values),
                "display": label,
            }

    @property
    def fields(self) -> list[dict[str, Any]]:
        labels = {"from": _("from"), "to": _("to")}
        return [
            {
                "name": name,
                "label": label,
                "type": "date",
                "value": self.used_parameters[name].isoformat() if name in self.used_parameters else "",
            }
            for name, label in labels.items()
        ]


#: The filters that parameters of Django's own filters mean.
_OWN_NAMES = {
    "status__exact": "status",
    "status__in": "status",
    "settled_by__exact": "settled_by",
    "settled_by__in": "settled_by",
    "channel__exact": "channel",
    "channel__in": "channel",
    "merchant_id": "merchant",
    "merchant_id__exact": "merchant",
    "needs_review__exact": "review",
}

#: The same for moments: the filter, and how many days later the day is that Django means.
_OWN_DAYS = {
    "created_at__gte": [("from", 0)],
    "created_at__lt": [("to", -1)],
    "created_at__date": [("from", 0), ("to", 0)],
    "created_at__date__gte": [("from", 0)],
    "created_at__date__lte": [("to", 0)],
}

_BOOLEANS = {"True": "1", "False": "0"}


def own_parameters(query: QueryDict) -> QueryDict:
    """
    Return the query with the parameters of Django's own filters (``?status__exact=failed``) as our own.

    So links that others write, and bookmarks, work. A moment that is not a midnight is left as it is.
    """
    if query.keys().isdisjoint({*_OWN_NAMES, *_OWN_DAYS}):
        return query
    own = query.copy()
    for name, ours in _OWN_NAMES.items():
        for value in own.pop(name, []):
            own[ours] = _BOOLEANS.get(value, value)
    for name, pairs in _OWN_DAYS.items():
        day = _day(str(own[name])) if name in own else None
        if day:
            del own[name]
            for ours, days in pairs:
                own[ours] = (day + timedelta(days=days)).isoformat()
    return own


def _day(text: str) -> date | None:
    """Return the day of a date, or of a midnight as Django's own filter of dates writes it."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    is_midnight = (moment.hour, moment.minute, moment.second) == (0, 0, 0)
    return moment.date() if is_midnight and 2000 <= moment.year < 2100 else None
