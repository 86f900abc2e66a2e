"""
The diagram of a payment's states, drawn from what the code does.

Each act is tried on a payment in each state, on a database in memory. What arises is an arrow; what is refused, or
changes nothing, is none.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import cache
from unittest.mock import patch

from diagrams import diagram
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from django_paiementpro import services
from django_paiementpro.enums import Status
from django_paiementpro.gateway import client
from django_paiementpro.gateway.messages import Notification
from django_paiementpro.models import Payment
from django_paiementpro.services.notifications import receive_notification
from django_paiementpro.signals import payment_succeeded

SITE_URL = "https://example.com"
STAFF = User(pk=1, username="staff")

BREAK, COMMA = "\\n", ", "  # between what a label of the picture says, and its description

#: What the green arrows stand for, all of them: the page says so.
GREEN = {"paid", "confirmed"}

COLOURS = {
    Status.SUCCEEDED: "#d7f0e1",
    Status.REFUNDED: "#e3e7ee",
    Status.FAILED: "#fbdfdb",
    Status.EXPIRED: "#fbdfdb",
    Status.CANCELLED: "#fbdfdb",
}


def notify(payment: Payment, code: str) -> None:
    fields = {"merchantId": payment.merchant_id, "referenceNumber": payment.gateway_reference}
    fields |= {"amount": str(payment.amount), "responsecode": code, "payId": "CI1"}
    receive_notification(payment.url_key, Notification.from_fields(list(fields.items())))


def expire(payment: Payment) -> None:
    Payment.objects.update(initialized_at=timezone.now() - timedelta(days=2))
    services.reconcile()


#: What may happen to a payment, by the label of its arrow.
ACTS: dict[str, Callable[[Payment], object]] = {
    "page opened": services.initialize_payment,
    "paid": lambda payment: notify(payment, "0"),
    "confirmed": lambda payment: services.confirm_payment(
        payment, STAFF, gateway_id="CI2", amount=payment.amount, reason="seen"
    ),
    "refused": lambda payment: notify(payment, "-1"),
    "not paid in time": expire,
    "cancelled": lambda payment: services.cancel_payment(payment, "sold out"),
    "refunded in full": lambda payment: services.refund_payment(
        payment, STAFF, amount=payment.amount, reference="R-1", reason="broken"
    ),
}


SAID = (*ACTS, "to review")


def make_payment(status: Status) -> Payment:
    """Return a payment in a state, which has been taken to the gateway: a created one too, whose answer was lost."""
    Payment.objects.all().delete()
    return Payment.objects.create(
        status=status,
        attempt=1,
        opened_attempt=None if status == Status.CREATED else 1,
        gateway_id="CI1" if status.is_paid else "",
        amount=12500,
        description="Order 1",
        customer_email="awa@example.com",
        customer_first_name="Awa",
        customer_last_name="Koné",
        customer_phone="07 07 12 34 56",
    )


@cache
def arrows() -> dict[tuple[Status, Status], list[str]]:
    """Return what leads from one state to another."""
    call_command("migrate", verbosity=0)
    STAFF.save()
    # A payment with a receipt cannot be deleted.
    payment_succeeded.disconnect(dispatch_uid="paiementpro_receipts.payment_succeeded")
    found: dict[tuple[Status, Status], list[str]] = {}
    page = "https://www.paiementpro.net/page"
    with patch.object(client, "open_page", return_value=page), override_settings(PAIEMENTPRO_SITE_URL=SITE_URL):
        for status in Status:
            for name, act in ACTS.items():
                payment = make_payment(status)
                with suppress(ValidationError):
                    act(payment)
                payment.refresh_from_db()
                if payment.status != status:
                    says = [name, "to review"] if payment.needs_review else [name]
                    found.setdefault((status, Status(payment.status)), []).extend(says)
    assert all(set(acts) >= GREEN for (_old, new), acts in found.items() if new == Status.SUCCEEDED)
    return found


class States(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        told = (f"{old.label} → {new.label} ({self.says(acts, COMMA)})" for (old, new), acts in arrows().items())
        return [diagram(self, "dot", "\n".join(self.lines()), "; ".join(told))]

    def lines(self) -> Iterator[str]:
        yield "digraph states {"
        yield 'graph [rankdir=TB, nodesep=0.15, ranksep=0.4, bgcolor="white", fontname="DejaVu Sans"]'
        yield 'node [shape=box, style="rounded,filled", fontname="DejaVu Sans", fontsize=13, color="#525c6b"]'
        yield 'edge [fontname="DejaVu Sans", fontsize=11, fontcolor="#1d2430"]'
        for status in Status:
            colour = COLOURS.get(status, "#fff4d6")
            names = [status.value] if status.label.lower() == status.value else [str(status.label), status.value]
            yield f'{status.value} [label="{BREAK.join(names)}", fillcolor="{colour}"]'
        for (old, new), acts in arrows().items():
            colour = "#0b6b3a" if new == Status.SUCCEEDED else "#525c6b"
            label = self.says([act for act in acts if act not in GREEN or new != Status.SUCCEEDED], BREAK)
            yield f'{old.value} -> {new.value} [label=" {label} ", color="{colour}"]'
        yield "}"

    def says(self, acts: list[str], separator: str) -> str:
        return separator.join(self.env.translator.say(act) for act in sorted(set(acts), key=SAID.index))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("states", States)
    return {"parallel_read_safe": False}
