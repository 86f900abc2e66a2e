"""How long deliveries are kept, and what becomes of the personal data in them."""

from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING

from django.db.models import Q
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from django_paiementpro.db.connections import database
from django_paiementpro.models import Payment
from django_paiementpro.services.reconciliation import oldest_first
from django_paiementpro.webhooks.models import Delivery
from django_paiementpro.webhooks.payloads import without_personal_data

if TYPE_CHECKING:
    from django.http import HttpRequest

#: For how long deliveries are kept, unless one still has to be sent.
AGE = timedelta(days=30)

#: How many are deleted with one statement.
BATCH = 1000


def prune(stop: Event) -> int:
    """Delete old deliveries, in short statements, until ``stop`` is set. Return how many there were."""
    old = Delivery.objects.using(database()).filter(created_at__lt=timezone.now() - AGE)
    over = old.filter(Q(next_at=None) | Q(endpoint__is_active=False)).order_by("created_at")
    count = 0
    while not stop.is_set() and (pks := list(over.values_list("pk", flat=True)[:BATCH])):
        count += Delivery.objects.using(database()).filter(pk__in=pks).delete()[0]
    return count


def blank(payments: Collection[int]) -> None:
    """Take the customer out of the webhooks about these payments, and forget what was answered to them."""
    deliveries = Delivery.objects.using(database()).filter(event__payment__in=payments)
    for delivery in oldest_first(deliveries):
        body = without_personal_data(delivery.body)
        attempts = [{**attempt, "answer": ""} for attempt in delivery.attempts]
        if (body, attempts) != (delivery.body, delivery.attempts):
            Delivery.objects.using(database()).filter(pk=delivery.pk).update(body=body, attempts=attempts)


def links_of(request: "HttpRequest", payment: Payment) -> list[tuple[str, str]]:
    """Return the link to the payment's webhooks, for staff who may see them, if there are any."""
    if not request.user.has_perm("paiementpro_webhooks.view_delivery"):
        return []
    if not Delivery.objects.filter(event__payment=payment).exists():
        return []
    with suppress(NoReverseMatch):
        url = reverse("admin:paiementpro_webhooks_delivery_changelist")
        return [(_("Webhooks"), f"{url}?event__payment__id__exact={payment.pk}")]
    return []
