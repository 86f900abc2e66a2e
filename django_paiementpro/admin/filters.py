"""The filters of the list. None of them queries the database for its choices, and each can use an index."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_date
from django.utils.translation import gettext_lazy as _

from django_paiementpro.admin.periods import presets, start_of
from django_paiementpro.enums import CHANNEL_COUNTRIES, Channel, SettledBy, Status
from django_paiementpro.models import Finding, Payment, offered_channels

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


class ChoiceFilter(admin.SimpleListFilter):
    """A filter that accepts no other values than its choices."""

    def value(self) -> str | None:
        value = super().value()
        if value is not None and value not in {str(choice) for choice, _label in self.lookup_choices}:
            raise IncorrectLookupParameters
        return value


class StatusFilter(ChoiceFilter):
    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(Status.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        return queryset.filter(status=self.value()) if self.value() else queryset


class ReviewFilter(ChoiceFilter):
    title = _("review")
    parameter_name = "review"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("To review"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        if not self.value():
            return queryset
        # The index of the findings finds the few open ones.
        return queryset.filter(pk__in=Finding.objects.filter(reviewed_at=None).values("payment"))


class SettledByFilter(ChoiceFilter):
    title = _("settled by")
    parameter_name = "settled_by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(SettledBy.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        return queryset.filter(settled_by=self.value()) if self.value() else queryset


class OfferedFilter(ChoiceFilter, ABC):
    """A filter that accepts all known values, and shows those of the payment methods that the shop offers."""

    @abstractmethod
    def offered(self) -> set[str]:
        """Return the values to show."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        shown = {None, self.value(), *self.offered()}
        values = [None, *(str(value) for value, _label in self.lookup_choices)]
        return (choice for value, choice in zip(values, super().choices(changelist), strict=True) if value in shown)


class ChannelFilter(OfferedFilter):
    title = _("payment method")
    parameter_name = "channel"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list({**dict(offered_channels()), **dict(Channel.choices)}.items())

    def offered(self) -> set[str]:
        return {code for code, _label in offered_channels()}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        return queryset.filter(effective_channel=self.value()) if self.value() else queryset


class CountryFilter(OfferedFilter):
    title = _("country")
    parameter_name = "country"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(COUNTRIES.items())

    def offered(self) -> set[str]:
        offered = {code for code, _label in offered_channels()}
        return {country for channel, country in CHANNEL_COUNTRIES.items() if channel in offered}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        if not self.value():
            return queryset
        channels = [str(channel) for channel, country in CHANNEL_COUNTRIES.items() if country == self.value()]
        return queryset.filter(effective_channel__in=channels)


class InputFilter(admin.ListFilter, ABC):
    """A filter with a small form, which keeps the other filters and the search."""

    template = "admin/paiementpro/payment/input_filter.html"
    parameter_names: tuple[str, ...]
    used_parameters: dict[str, Any]

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.used_parameters = {}
        for name in self.parameter_names:
            values = params.pop(name, [""])
            text = values[-1].strip()
            if text:
                self.used_parameters[name] = self.read(name, text)
        #: The other parameters of the URL, but for the page and the error flag.
        self.kept = [
            (name, value)
            for name, values in request.GET.lists()
            for value in values
            if name not in {*self.expected_parameters(), "p", "e"}
        ]

    @abstractmethod
    def read(self, name: str, text: str) -> Any:
        """Return the value of the text. Raises ``IncorrectLookupParameters``."""

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
    @abstractmethod
    def fields(self) -> list[dict[str, Any]]:
        """The form's inputs: name, label, type and value of each."""


class MerchantFilter(InputFilter):
    title = _("merchant")
    parameter_names = ("merchant",)

    def read(self, name: str, text: str) -> str:
        if not re.fullmatch(r"[!-~]{1,64}", text):
            raise IncorrectLookupParameters
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
        try:
            day = parse_date(text)
        except ValueError:
            day = None
        if day is None or not 2000 <= day.year < 2100:
            raise IncorrectLookupParameters
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
