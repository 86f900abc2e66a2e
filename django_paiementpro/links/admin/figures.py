"""What came in through links, and whether they can still be paid: one query for all links of a page."""

from collections.abc import Iterable
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db.models import CharField, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from django_paiementpro.enums import Status
from django_paiementpro.links.models import HOLDING, LinkState, PaymentLink
from django_paiementpro.models import Payment, PaymentQuerySet, format_amount

#: The colour of each state.
BADGES = {
    LinkState.OPEN: "pending",
    LinkState.PAID: "succeeded",
    LinkState.FULL: "refunded",
    LinkState.EXPIRED: "created",
    LinkState.OFF: "failed",
}


def add_figures(links: Iterable[Any]) -> None:
    """Set ``paid_count``, ``held_count``, ``received`` (refunds subtracted) and ``has_payments`` of each link."""
    by_key = {str(link.pk): link for link in links}
    is_paid = Q(status=Status.SUCCEEDED)
    figures = {
        "paid_count": Count("pk", filter=is_paid),
        "held_count": Count("pk", filter=Q(status__in=HOLDING)),
        "received": Sum(F("amount") - F("refunded_amount"), filter=is_paid, default=0),
        "has_payments": Count("pk"),
    }
    rows: Any = _payments().filter(object_id__in=by_key).values("object_id").annotate(**figures)
    found = {row["object_id"]: {name: row[name] for name in figures} for row in rows}
    for key, link in by_key.items():
        vars(link).update(found.get(key, dict.fromkeys(figures, 0)))


def state_of(link: Any) -> LinkState:
    """Return what ``link.state`` does, without a query, of a link with figures."""
    if not link.is_reusable and link.paid_count:
        return LinkState.PAID
    if not link.is_active:
        return LinkState.OFF
    if link.expires_at is not None and link.expires_at <= timezone.now():
        return LinkState.EXPIRED
    if link.is_reusable and link.max_payments is not None and link.held_count >= link.max_payments:
        return LinkState.FULL
    return LinkState.OPEN


def filter_state(links: QuerySet[PaymentLink], state: str) -> QuerySet[PaymentLink]:
    """Return the links that are in a state."""
    payments = _payments().filter(object_id=Cast(OuterRef("pk"), CharField(max_length=255)))
    paid = Q(is_reusable=False) & Q(Exists(payments.filter(status=Status.SUCCEEDED)))
    has_expired = Q(expires_at__isnull=False, expires_at__lte=timezone.now())
    if state in {LinkState.FULL, LinkState.OPEN}:  # only these have to count
        held = payments.filter(status__in=HOLDING).values("content_type").annotate(number=Count("pk"))
        links = links.alias(held=Coalesce(Subquery(held.values("number")), 0))
    is_full = Q(is_reusable=True, max_payments__isnull=False, held__gte=F("max_payments"))
    conditions = {
        LinkState.PAID: paid,
        LinkState.OFF: Q(is_active=False) & ~paid,
        LinkState.EXPIRED: Q(is_active=True) & has_expired & ~paid,
        LinkState.FULL: Q(is_active=True) & ~has_expired & is_full,
        LinkState.OPEN: Q(is_active=True) & ~has_expired & ~paid & ~is_full,
    }
    return links.filter(conditions[LinkState(state)])


def state_badge(link: Any) -> SafeString:
    state = state_of(link)
    return format_html('<span class="pp-badge pp-{}">{}</span>', BADGES[state], state.label)


def received_display(link: Any) -> str:
    return format_amount(link.received, link.currency)


def places_left(link: Any) -> int | None:
    """Return how many more payments a reusable link takes; None for any number."""
    return None if link.max_payments is None else max(link.max_payments - link.held_count, 0)


def _payments() -> PaymentQuerySet:
    """Return the payments of all links."""
    kind = ContentType.objects.get_for_model(PaymentLink)
    return Payment.objects.get_queryset().filter(content_type=kind).order_by()
