from typing import Any

from django import template
from django.contrib.admin.sites import all_sites

from django_paiementpro.models import Finding, Payment

register = template.Library()

#: How many payments to review are counted.
MAX_COUNTED = 100


@register.inclusion_tag("admin/paiementpro/review_queue.html", takes_context=True)
def review_queue(context: template.Context) -> dict[str, Any]:
    """Say how many payments wait for somebody to look at them, of those that the user may see in this admin."""
    request = context.get("request")
    name = getattr(request, "current_app", "admin")
    site = next((site for site in all_sites if site.name == name and site.is_registered(Payment)), None)
    if site is None or request is None:
        return {"count": 0}
    model_admin = site.get_model_admin(Payment)
    if not model_admin.has_view_permission(request):
        return {"count": 0}
    waiting = (
        model_admin.get_queryset(request)
        .filter(pk__in=Finding.objects.filter(reviewed_at=None).values("payment"))
        .order_by()
    )
    count = waiting[: MAX_COUNTED + 1].count()
    return {"count": min(count, MAX_COUNTED), "is_more": count > MAX_COUNTED}
