from typing import Any

from django import template

from django_paiementpro.models import Payment

register = template.Library()

#: How many payments to review are counted.
MAX_COUNTED = 1000


@register.inclusion_tag("admin/paiementpro/review_queue.html", takes_context=True)
def review_queue(context: template.Context) -> dict[str, Any]:
    """Say how many payments wait for somebody to look at them, to those who may see them."""
    user = context.get("user")
    if user is None or not user.has_perm("paiementpro.view_payment"):
        return {"count": 0}
    count = Payment.objects.filter(needs_review=True).order_by()[: MAX_COUNTED + 1].count()
    return {"count": min(count, MAX_COUNTED), "is_more": count > MAX_COUNTED}
