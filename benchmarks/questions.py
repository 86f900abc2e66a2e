"""The measured pages of the list of payments, with their parameters in either admin."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone

from benchmarks.people import LAST_NAMES
from django_paiementpro.enums import Channel
from django_paiementpro.models import Payment
from django_paiementpro.phones import normalize_phone

#: The names of the two admin sites.
OURS, PLAIN = "admin", "plain"


@dataclass(frozen=True)
class Question:
    """A page with its parameters for each site, or None if the site has no such page. The goal is in milliseconds."""

    name: str
    parameters: dict[str, dict[str, Any] | None]
    goal: float | None = None
    page: str = "changelist"
    arguments: tuple[Any, ...] = ()

    def path(self, site: str) -> str:
        """Return its path. Raises ``NoReverseMatch`` if there is no such page."""
        return reverse(f"{site}:paiementpro_payment_{self.page}", args=self.arguments)


def questions() -> list[Question]:
    """Return the pages to measure, about the same payment in each run."""
    payment = typical_payment()
    few = Payment.objects.exclude(merchant_id="PP-F324").earliest("pk").merchant_id
    senegal = [channel.value for channel in Channel if channel.country == "SN"]
    today = timezone.localdate()
    month = since(today - timedelta(days=30))
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    return [
        filtered("first page", {}, {}, goal=100),
        filtered("page 50", {"p": 50}, {"p": 50}),
        filtered("status: failed", {"status": "failed"}, {"status__exact": "failed"}, goal=150),
        filtered("status: pending", {"status": "pending"}, {"status__exact": "pending"}, goal=150),
        filtered("to review", {"review": 1}, {"needs_review__exact": 1}),
        filtered("channel: MTN CI", {"channel": Channel.MTN_CI}, {"gateway_channel": Channel.MTN_CI}),
        filtered("country: Senegal", {"country": "SN"}, {"gateway_channel__in": ",".join(senegal)}),
        filtered("merchant with few payments", {"merchant": few}, {"merchant_id": few}),
        filtered("settled by: staff", {"settled_by": "staff"}, {"settled_by__exact": "staff"}),
        filtered("last 30 days", month, {"created_at__gte": midnight - timedelta(days=30)}),
        searched("reference", payment.reference, goal=30),
        searched("beginning of a reference", payment.reference[:10], goal=30),
        searched("e-mail", payment.customer_email, goal=30),
        searched("phone", respelled(payment), as_stored=payment.customer_phone, goal=30),
        searched("last name of many", LAST_NAMES[4], goal=30),
        searched("first and last name", f"{payment.customer_first_name} {payment.customer_last_name}", goal=30),
        searched("order", str(payment.object_id), goal=30),
        searched("gateway id", payment.gateway_id, goal=30),
        Question("payment", {OURS: {}, PLAIN: {}}, page="change", arguments=(payment.pk,)),
        Question("takings of 30 days", {OURS: {**month, "to": today}, PLAIN: None}, goal=150, page="daybook"),
    ]


def filtered(name: str, ours: dict[str, Any], plain: dict[str, Any], *, goal: float | None = None) -> Question:
    return Question(name, {OURS: ours, PLAIN: plain}, goal)


def searched(kind: str, text: str, *, as_stored: str | None = None, goal: float | None = None) -> Question:
    """Return a search; the plain admin finds only the stored spelling."""
    return filtered(f"search: {kind}", {"q": text}, {"q": as_stored or text}, goal=goal)


def since(day: date) -> dict[str, Any]:
    """Return our parameters for the payments made since that day."""
    return {"from": day.isoformat()}


def typical_payment() -> Payment:
    """Return a payment from the middle that was paid as usual, with a telephone number without spaces."""
    middle = Payment.objects.count() // 2
    usual = Payment.objects.filter(pk__gte=middle, settled_by="notification", status="succeeded")
    return usual.exclude(customer_phone__contains=" ").earliest("pk")


def respelled(payment: Payment) -> str:
    """Return its telephone number in another spelling than the stored one."""
    digits = normalize_phone(payment.customer_phone, payment.channel, payment.gateway_channel)
    in_pairs = " ".join(re.findall("..?", digits))
    return in_pairs if payment.customer_phone != in_pairs else in_pairs.replace(" ", "-")
