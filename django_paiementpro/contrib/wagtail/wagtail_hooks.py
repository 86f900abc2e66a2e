"""Show payments in Wagtail's admin. Wagtail imports this module by its name."""

from typing import Any

from django.contrib.auth.models import Permission
from django.db.models import QuerySet
from django.http import HttpRequest
from wagtail import hooks
from wagtail.admin.site_summary import SummaryItem
from wagtail.permissions import policy_registry, register_permission_policy

from django_paiementpro.contrib.wagtail.permissions import ReadOnlyPermissionPolicy, registered_permissions
from django_paiementpro.contrib.wagtail.viewsets import PaymentViewSet
from django_paiementpro.models import Payment
from django_paiementpro.templatetags.paiementpro_admin import count_to_review

register_permission_policy(Payment, ReadOnlyPermissionPolicy(Payment))


@hooks.register("register_admin_viewset")
def register_payments() -> PaymentViewSet:
    return PaymentViewSet()


@hooks.register("register_permissions")
def register_permissions() -> QuerySet[Permission]:
    return registered_permissions()


@hooks.register("construct_homepage_summary_items")
def add_payments_to_review(request: HttpRequest, items: list[Any]) -> None:
    items.append(ToReviewSummaryItem(request))


class ToReviewSummaryItem(SummaryItem):
    """The number of payments to review, for users who may view them."""

    order = 400
    template_name = "paiementpro/wagtail/to_review.html"

    def is_shown(self) -> bool:
        return bool(policy_registry.get_by_type(Payment).user_has_permission(self.request.user, "view"))

    def get_context_data(self, parent_context: Any) -> dict[str, Any]:
        return count_to_review(Payment.objects.all())
