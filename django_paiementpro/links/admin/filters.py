from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_paiementpro.admin.filters import ChoiceFilter
from django_paiementpro.links.admin.figures import filter_state
from django_paiementpro.links.models import LinkState


class StateFilter(ChoiceFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(LinkState.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return filter_state(queryset, self.value() or "") if self.value() else queryset


class ReusableFilter(ChoiceFilter):
    title = _("kind of link")
    parameter_name = "reusable"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("0", _("Paid once")), ("1", _("Reusable"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(is_reusable=self.value() == "1") if self.value() else queryset
