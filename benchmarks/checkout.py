"""
Take payments to a gateway that answers immediately, and compare the checkout with the bare HTTP call.

The bare call uses ``requests`` with the same JSON, on a session that keeps its connection. The two take turns, always
in this order.
"""

import argparse
import statistics
import time
from collections.abc import Iterator

import requests
from django.db import connection
from django.test import override_settings

from benchmarks.contenders.ours import make_payments
from benchmarks.contenders.wire import Request
from benchmarks.database import create_tables
from benchmarks.inprocess import Series, send, statements
from benchmarks.instant import answering
from benchmarks.table import Row, goal, report
from django_paiementpro.gateway.json import INITIALIZE_PATH
from django_paiementpro.gateway.messages import PageRequest
from django_paiementpro.models import Payment

WARM_UP = 20
SECTION = "Checkout"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkout", description=__doc__)
    parser.add_argument("--payments", type=int, default=300)
    options = parser.parse_args()
    create_tables()
    with answering() as gateway_url, override_settings(PAIEMENTPRO_GATEWAY_URL=gateway_url):
        report(measure(gateway_url, options.payments))


def measure(gateway_url: str, number: int) -> Iterator[Row]:
    """Take each payment to the gateway after a bare call of the same size."""
    ours, again, bare = Series(), Series(), Series()
    session = requests.Session()
    for index, payment in enumerate(make_payments(number + WARM_UP)):
        path = payment.get_checkout_url()
        started_at = time.perf_counter()
        session.post(gateway_url + INITIALIZE_PATH, json=fields_of(payment), timeout=10).json()
        bare_time = 1000 * (time.perf_counter() - started_at)
        with statements() as made:
            time_of_ours = get(path)
        with statements() as made_again:
            time_again = get(path)
        if index >= WARM_UP:
            for series, milliseconds in ((ours, time_of_ours), (again, time_again), (bare, bare_time)):
                series.times.append(milliseconds)
        ours.statements, again.statements = len(made), len(made_again)
    own = statistics.median(mine - other for mine, other in zip(ours.times, bare.times, strict=True))
    # One is the bare session's, one that of the question.
    connections = requests.get(gateway_url, timeout=10).json()["connections"] - 2
    what = f"the checkout, {connection.display_name}"
    yield Row(SECTION, what, str(ours), "the bare HTTP call", str(bare), f"{bare.median / ours.median:.2f}")
    yield Row(SECTION, f"{what}: over the call", f"{own:.2f} ms", goal=goal("< 2 ms", own < 2))
    yield Row(SECTION, f"{what}: statements", str(ours.statements), goal=goal("≤ 4", ours.statements <= 4))
    yield Row(
        SECTION,
        f"{what}: connections for {number + WARM_UP} payments",
        str(connections),
        "the bare session",
        "1",
        goal=goal("1", connections == 1),
    )
    yield Row(SECTION, f"{what}: the same link again", str(again))


def get(path: str) -> float:
    """Return how long the redirect took, in milliseconds."""
    milliseconds, status = send(Request(path, b"", "", method="GET"))
    assert status == 302
    return milliseconds


def fields_of(payment: Payment) -> dict[str, object]:
    """Return what a handwritten call would send."""
    return PageRequest(
        merchant_id=payment.merchant_id,
        amount=payment.amount,
        description=payment.description,
        channel=payment.channel,
        currency_number="952",
        reference=payment.reference,
        customer_email=payment.customer_email,
        customer_first_name=payment.customer_first_name,
        customer_last_name=payment.customer_last_name,
        customer_phone=payment.customer_phone,
        notification_url=f"http://127.0.0.1{payment.get_notification_url()}",
        return_url=f"http://127.0.0.1{payment.get_return_url()}",
    ).as_json()


if __name__ == "__main__":
    main()
