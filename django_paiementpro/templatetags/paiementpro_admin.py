from typing import Any

from django import template
from django.contrib import admin

from django_paiementpro.models import Finding, Payment

register = template.Library()

#: The highest number that is counted.
MAX_COUNT = 100


@register.inclusion_tag("admin/paiementpro/review_queue.html", takes_context=True)
def review_queue(context: template.Context, model_admin: Any = None) -> dict[str, Any]:
    """
    Link to the payments to review, with their number, counting those that the user may see.

    ``model_admin`` is the admin of payments, by default that of the default admin site.
    """
    request = context.get("request")
    if model_admin is None and getattr(request, "current_app", admin.site.name) == admin.site.name:
        model_admin = admin.site.get_model_admin(Payment) if admin.site.is_registered(Payment) else None
    if request is None or model_admin is None or not model_admin.has_view_permission(request):
        return {"count": 0}
    to_review = (
        model_admin.get_queryset(request)
        .filter(pk__in=Finding.objects.filter(reviewed_at=None).values("payment"))
        .order_by()
    )
    count = to_review[: MAX_COUNT + 1].count()
    return {"count": min(count, MAX_COUNT), "is_more": count > MAX_COUNT}
