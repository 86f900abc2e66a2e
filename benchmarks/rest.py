"""
Measure the REST API: the time and the statements of each request, without those for the session and the user.

Opening a payment is compared with the bare HTTP call to a gateway that answers immediately; the list and the detail
with a plain viewset of REST framework with the same fields. They take turns.
"""

import argparse
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import requests
from django.contrib.auth import get_user_model
from django.db import connection
from django.http import HttpRequest
from django.test import Client, override_settings

from benchmarks.checkout import fields_of
from benchmarks.contenders.ours import make_payments
from benchmarks.database import create_tables
from benchmarks.inprocess import Series, statements
from benchmarks.instant import answering
from benchmarks.orders.models import Order
from benchmarks.table import Row, goal, report
from django_paiementpro.gateway.json import INITIALIZE_PATH
from django_paiementpro.models import Payment

WARM_UP = 10

#: The statements of Django's session and user.
SIGNED_IN = ("django_session", "auth_user")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rest", description=__doc__)
    parser.add_argument("--requests", type=int, default=150, help="of each kind (150)")
    options = parser.parse_args()
    create_tables()
    with answering() as gateway_url, override_settings(PAIEMENTPRO_GATEWAY_URL=gateway_url):
        report(measure(gateway_url, options.requests))


def new_payment(request: HttpRequest, data: dict[str, Any]) -> Payment:
    """Make a payment for an order, as a host's factory does."""
    order = Order.objects.get(pk=data["order"])
    return Payment(
        content_object=order,
        amount=order.total,
        description=str(order),
        customer_email="payer@example.com",
        customer_first_name="Awa",
        customer_last_name="Koné",
        customer_phone="0707123456",
    )


def measure(gateway_url: str, number: int) -> Iterator[Row]:
    user = get_user_model().objects.create_user("awa")
    client = Client(HTTP_HOST="127.0.0.1")
    client.force_login(user)
    order = Order.objects.create(total=12500)
    shown = make_payments(200, user=user)[0]
    sample, session = Payment(reference="a", customer_email="payer@example.com", amount=12500), requests.Session()

    def create() -> Any:
        body = json.dumps({"order": str(order.pk)})
        key = {"HTTP_IDEMPOTENCY_KEY": str(uuid.uuid4())}
        return client.post("/api/payments/", body, content_type="application/json", **key)

    def bare() -> Any:
        return session.post(gateway_url + INITIALIZE_PATH, json=fields_of(sample), timeout=10)

    asked: dict[str, Callable[[], Any]] = {
        "create": create,
        "bare": bare,
        "list": lambda: client.get("/api/payments/"),
        "plain list": lambda: client.get("/plain/payments/"),
        "detail": lambda: client.get(f"/api/payments/{shown.reference}/"),
        "plain detail": lambda: client.get(f"/plain/payments/{shown.reference}/"),
    }
    results = {name: Series() for name in asked}
    for index in range(number + WARM_UP):
        for name, ask in asked.items():
            with statements() as made:
                started_at = time.perf_counter()
                response = ask()
                milliseconds = 1000 * (time.perf_counter() - started_at)
            if response.status_code not in {200, 201}:
                raise AssertionError(f"{name}: {response.status_code} {response.content[:500]!r}")
            if index >= WARM_UP:
                results[name].times.append(milliseconds)
            # The order's own is the host's.
            own = [sql for sql in made if not any(table in sql for table in (*SIGNED_IN, "orders_order"))]
            results[name].statements = None if name == "bare" else len(own)
    for name, beside, label, most in (
        ("create", "bare", "the bare HTTP call", 6),
        ("list", "plain list", "a plain viewset", 4),
        ("detail", "plain detail", "a plain viewset", 2),
    ):
        ours, theirs = results[name], results[beside]
        yield Row(
            "REST API",
            f"{name}, {connection.display_name}",
            str(ours),
            label,
            str(theirs),
            f"{theirs.median / ours.median:.2f}",
            goal(f"≤ {most} SQL", (ours.statements or 0) <= most),
        )


if __name__ == "__main__":
    main()
