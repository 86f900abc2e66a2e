from typing import Any

from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.functional import cached_property
from django.utils.text import capfirst
from wagtail.admin.menu import MenuItem
from wagtail.admin.viewsets.base import ViewSet
from wagtail.permissions import policy_registry

from django_paiementpro.contrib.wagtail.views import ICON, NAMESPACE, PaymentIndexView, PaymentInspectView
from django_paiementpro.models import Payment


class PaymentMenuItem(MenuItem):
    def is_shown(self, request: HttpRequest) -> bool:
        return bool(policy_registry.get_by_type(Payment).user_has_permission(request.user, "view"))


class PaymentViewSet(ViewSet):
    """
    The URLs of payments, and their entry in the menu.

    It is not a ``ModelViewSet``, which has pages to add and edit, and updates the reference index at each save.
    """

    name = NAMESPACE
    url_prefix = "payments"
    icon = ICON
    add_to_admin_menu = True
    menu_item_class = PaymentMenuItem

    @cached_property
    def menu_label(self) -> Any:
        return capfirst(Payment._meta.verbose_name_plural)

    def get_urlpatterns(self) -> list[URLPattern]:
        return [
            path("", self.construct_view(PaymentIndexView), name="index"),
            path("results/", self.construct_view(PaymentIndexView, results_only=True), name="index_results"),
            path("<int:pk>/", self.construct_view(PaymentInspectView), name="inspect"),
        ]
