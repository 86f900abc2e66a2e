from typing import Any

from django import template
from django.contrib import admin
from django.db.models import Count, QuerySet, Sum
from django.utils import timezone

from django_paiementpro.conf import conf
from django_paiementpro.enums import PAID
from django_paiementpro.models import Finding, Payment, format_amount

register = template.Library()

#: The highest number that is counted.
MAX_COUNT = 100


@register.inclusion_tag("admin/paiementpro/review_queue.html", takes_context=True)
def review_queue(context: template.Context, model_admin: Any = None) -> dict[str, Any]:
    """
    Link to the payments to review, with the number of those that the user may see.

    ``model_admin`` is the admin for payments, by default the one of the default admin site.
    """
    payments = _visible_payments(context, model_admin)
    return {"count": 0} if payments is None else count_to_review(payments)


@register.inclusion_tag("admin/paiementpro/today.html", takes_context=True)
def takings_today(context: template.Context, model_admin: Any = None) -> dict[str, Any]:
    """
    Show what has been paid today, with a link to the report, to those who may view payments.

    ``model_admin`` is the admin for payments, by default the one of the default admin site.
    """
    payments = _visible_payments(context, model_admin)
    return {} if payments is None else sum_of_today(payments)


def sum_of_today(payments: QuerySet[Payment]) -> dict[str, Any]:
    """Return the date (``day``), what was paid on it (``taken``), and with how many payments (``count``)."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    # The columns of one index, so that no row of the table is read. The amounts are those of the takings report.
    paid = (
        payments.prefetch_related(None)
        .filter(settled_at__gte=midnight, status__in=PAID, is_verification=False)
        .order_by()
    )
    sums = {row["currency"]: row for row in paid.values("currency").annotate(count=Count("pk"), taken=Sum("amount"))}
    taken = [format_amount(row["taken"], currency) for currency, row in sorted(sums.items())]
    return {
        "day": midnight.date().isoformat(),
        "taken": " + ".join(taken) or format_amount(0, conf.currency),
        "count": sum(row["count"] for row in sums.values()),
    }


def _visible_payments(context: template.Context, model_admin: Any) -> QuerySet[Payment] | None:
    """Return the payments that the user may see; None if they may see none here."""
    request = context.get("request")
    if model_admin is None and getattr(request, "current_app", admin.site.name) == admin.site.name:
        model_admin = admin.site.get_model_admin(Payment) if admin.site.is_registered(Payment) else None
    if request is None or model_admin is None or not model_admin.has_view_permission(request):
        return None
    payments: QuerySet[Payment] = model_admin.get_queryset(request)
    return payments


def count_to_review(payments: QuerySet[Payment]) -> dict[str, Any]:
    """Return how many payments are to be reviewed (``count``), and whether there are more (``is_more``)."""
    to_review = payments.filter(pk__in=Finding.objects.filter(reviewed_at=None).values("payment")).order_by()
    count = to_review[: MAX_COUNT + 1].count()
    return {"count": min(count, MAX_COUNT), "is_more": count > MAX_COUNT}
