"""
Sell for a while, with everything failing, and count what was lost and what was given away.

Payers go to the gateway, which this process plays, with notifications late, doubled, lost and forged at random. Of the
host's receivers one in ten fails. Its server and its workers are killed with SIGKILL every few seconds, and the
reconciliation runs, and is killed at times, every few seconds too. At the end all is counted; the exit code is 1 where
a count is not what the contract says.
"""

import argparse
import heapq
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from django.db import connection
from django.db.models import Count

from benchmarks.contenders.wire import AMOUNT, notification
from benchmarks.database import create_tables
from benchmarks.soaked.models import Call
from benchmarks.soaked.receivers import RECEIVERS
from django_paiementpro.gateway.json import INITIALIZE_PATH
from django_paiementpro.models import Payment, PaymentEvent

BATCH = 5_000
HOST = "127.0.0.1"

#: What becomes of a payment, and how the shop hears of it: the share of each in a hundred.
WAYS = {
    "paid, notified": 30,
    "paid, notified late": 15,
    "paid, notified twice at once": 15,
    "paid, notified twice, the second late": 5,
    "paid, notified before and after a forgery": 5,
    "paid, never notified": 12,
    "refused, notified": 8,
    "refused, then paid": 3,
    "left, never notified": 4,
    "left, a forged URL": 1,
    "left, a wrong amount": 1,
    "left, a wrong merchant": 1,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--payments", type=int, default=20_000)
    parser.add_argument("--payers", type=int, default=24, help="how many pay at once (24)")
    parser.add_argument("--kill-every", type=float, default=4.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random.seed(options.seed)
    create_tables()
    started_at = time.monotonic()
    soak = Soak(make_payments(options.payments), options.kill_every)
    try:
        soak.run(options.payers)
    finally:
        soak.processes.end()
    violations = report(soak, time.monotonic() - started_at)
    sys.exit(bool(violations))


def make_payments(number: int) -> list[Payment]:
    for start in range(0, number, BATCH):
        Payment.objects.bulk_create(
            Payment(
                amount=AMOUNT,
                description="Order",
                customer_email="payer@example.com",
                customer_first_name="Awa",
                customer_last_name="Koné",
                customer_phone="0707123456",
            )
            for _ in range(start, min(start + BATCH, number))
        )
    return list(Payment.objects.order_by("pk"))


# The gateway ---------------------------------------------------------------------------------------------------------


@dataclass
class Gateway:
    """What the gateway knows: the sessions it has opened, and the references that were paid."""

    notification_urls: dict[str, str] = field(default_factory=dict)
    paid: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def open_page(self, request: dict[str, Any], base: str) -> dict[str, Any]:
        reference = request["referenceNumber"]
        with self.lock:
            if reference in self.notification_urls:
                self.counts["a reference sent twice"] += 1
                return {"success": False, "message": "Référence déjà utilisée"}
            self.notification_urls[reference] = request["notificationURL"]
        return {"success": True, "message": "", "url": f"{base}/sandbox.php?sessionid={reference}"}

    def status(self, reference: str) -> dict[str, Any]:
        if reference not in self.paid:
            return {"success": False, "error": "Aucune transaction"}
        return {
            "marchant_id": "PP-F324",
            "pay_id": self.paid[reference],
            "reference": reference,
            "amount": AMOUNT,
            "channel": "OMCIV2",
            "date": "2026-01-31 13:20:51",
            "success": True,
        }


class GatewayServer(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def __init__(self, gateway: Gateway) -> None:
        super().__init__((HOST, 0), GatewayHandler)
        self.gateway = gateway
        self.url = f"http://{HOST}:{self.server_port}"

    def handle_error(self, *args: Any) -> None:
        """Say nothing: who asked was killed meanwhile."""


class GatewayHandler(BaseHTTPRequestHandler):
    server: GatewayServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == INITIALIZE_PATH
        self.answer(self.server.gateway.open_page(request, self.server.url))

    def do_GET(self) -> None:
        self.server.gateway.counts["status look-ups"] += 1
        if random.random() < 0.02:
            self.answer({}, 503)
            return
        self.answer(self.server.gateway.status(self.path.rsplit("/", 1)[1]))

    def answer(self, content: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


# The host's processes ------------------------------------------------------------------------------------------------


class Processes:
    """The host's server and worker, of which one is killed and started again every so often, and its reconciliation."""

    def __init__(self, gateway_url: str, port: int, kill_every: float) -> None:
        self.environment = {**os.environ, "GATEWAY_URL": gateway_url}
        self.kill_every = kill_every
        self.counts: Counter[str] = Counter()
        self.commands = {
            "server": ["-m", "benchmarks.server", f"--port={port}"],
            "worker": [
                *("-m", "celery", "-A", "benchmarks.soaked.celery", "worker"),
                *("--concurrency=1", "--pool=prefork", "--loglevel=critical", "--without-heartbeat"),
            ],
            "reconciliation": [
                "-c",
                "import benchmarks, django.core.management as m; m.call_command('paiementpro_reconcile', '--rate=0')",
            ],
        }
        self.running = {name: self.start(name) for name in ("server", "worker")}
        self.over = threading.Event()
        self.threads = [threading.Thread(target=work) for work in (self.kill, self.reconcile)]

    def start(self, name: str) -> "subprocess.Popen[bytes]":
        # A session of its own, so that a worker is killed with its children.
        return subprocess.Popen(
            [sys.executable, *self.commands[name]],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def kill(self) -> None:
        for name in itertools.cycle(self.running):
            if self.over.wait(random.uniform(0.5, 1.5) * self.kill_every):
                return
            self.kill_now(self.running[name])
            self.counts[f"{name} killed"] += 1
            self.running[name] = self.start(name)

    def reconcile(self) -> None:
        while not self.over.wait(self.kill_every):
            run = self.start_reconciliation()
            try:
                run.wait(random.choice([random.uniform(1, 12), None]))
                self.counts["reconciliations ended"] += 1
            except subprocess.TimeoutExpired:
                self.kill_now(run)
                self.counts["reconciliations killed"] += 1

    def start_reconciliation(self) -> "subprocess.Popen[bytes]":
        return self.start("reconciliation")

    @staticmethod
    def kill_now(process: "subprocess.Popen[bytes]") -> None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def end(self) -> None:
        self.over.set()
        for thread in self.threads:
            if thread.is_alive():
                thread.join()


# The payers ----------------------------------------------------------------------------------------------------------


class Soak:
    def __init__(self, payments: list[Payment], kill_every: float) -> None:
        self.gateway = Gateway()
        self.server = GatewayServer(self.gateway)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.port = free.getsockname()[1]
        self.processes = Processes(self.server.url, self.port, kill_every)
        self.payments = payments
        ways = random.choices(list(WAYS), list(WAYS.values()), k=len(payments))
        self.ways = {payment.reference: way for payment, way in zip(payments, ways, strict=True)}
        self.answers: Counter[str] = Counter()
        self.late: list[tuple[float, int, Callable[[], None]]] = []
        self.number = itertools.count()
        self.rounds = 0

    def run(self, payers: int) -> None:
        self.await_site()
        for thread in self.processes.threads:
            thread.start()
        with ThreadPoolExecutor(payers) as pool:
            for index, _ in enumerate(pool.map(self.pay, self.payments), start=1):
                self.send_late(time.monotonic())
                if index % 1000 == 0:
                    print(f"{index:,} payers have been there", file=sys.stderr, flush=True)
        while self.late:
            self.send_late(time.monotonic())
            time.sleep(0.1)
        self.processes.end()
        self.settle_down()
        for process in self.processes.running.values():
            Processes.kill_now(process)

    def settle_down(self) -> None:
        """Stop killing processes, and reconcile until nothing is owed."""
        deadline = time.monotonic() + 1800
        while time.monotonic() < deadline:
            self.processes.start_reconciliation().wait()
            self.rounds += 1
            owed = PaymentEvent.objects.exclude(deliver_at=None).exists()
            unsettled = Payment.objects.filter(status="pending", reference__in=self.references("paid"))
            if not owed and not unsettled.exists():
                return
            time.sleep(2)

    def references(self, word: str) -> list[str]:
        return [reference for reference, way in self.ways.items() if word in way]

    def await_site(self) -> None:
        while True:
            try:
                socket.create_connection((HOST, self.port), 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return

    def pay(self, payment: Payment) -> None:
        """Be the payer, and the gateway that the payer is sent to."""
        way = self.ways[payment.reference]
        reference = self.check_out(payment)
        if way == "refused, then paid":
            self.notify(reference, responsecode="-1")
            reference = self.check_out(payment, after=reference)
        if "paid" in way:
            with self.gateway.lock:
                self.gateway.paid[reference] = f"CI{reference}"
        self.tell(reference, way)

    def tell(self, reference: str, way: str) -> None:
        url = self.gateway.notification_urls[reference]
        if way in {"paid, notified", "refused, then paid"}:
            self.notify(reference)
        elif way == "paid, notified late":
            self.later(lambda: self.notify(reference))
        elif way == "paid, notified twice at once":
            twin = threading.Thread(target=self.notify, args=[reference])
            twin.start()
            self.notify(reference)
            twin.join()
        elif way == "paid, notified twice, the second late":
            self.notify(reference)
            self.later(lambda: self.notify(reference))
        elif way == "paid, notified before and after a forgery":
            self.notify(reference, amount=100)
            self.notify(reference)
            self.notify(reference, responsecode="-1", merchantId="PP-F1")
        elif way == "refused, notified":
            self.notify(reference, responsecode="-1")
        elif way == "left, a forged URL":
            self.notify(reference, url=url.rstrip("/")[:-1] + ("A" if url.rstrip("/")[-1] != "A" else "B") + "/")
        elif way == "left, a wrong amount":
            self.notify(reference, amount=AMOUNT - 1)
        elif way == "left, a wrong merchant":
            self.notify(reference, merchantId="PP-F1")

    def check_out(self, payment: Payment, after: str = "") -> str:
        """Click until there is a page, and return its reference; a failure may not have been heard of."""
        for _ in range(200):
            status, location = self.request("GET", payment.get_checkout_url())
            if status == 302 and "sessionid=" in location:
                reference = location.rsplit("=", 1)[1]
                if reference != after or payment_is_lost(payment):
                    return reference
            time.sleep(0.2)
        raise TimeoutError(payment.reference)

    def notify(self, reference: str, url: str = "", **fields: Any) -> None:
        """Notify once, as the gateway does: who is not there misses it."""
        path = urlsplit(url or self.gateway.notification_urls[reference]).path
        sent = notification(path, reference, **{"payId": f"CI{reference}", **fields})
        status, _ = self.request("POST", f"{path}?{sent.query}", sent.body, {"Content-Type": sent.content_type})
        with self.gateway.lock:
            self.answers[str(status) if status else "no answer"] += 1

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        http = HTTPConnection(HOST, self.port, timeout=30)
        try:
            http.request(method, path, body, headers or {})
            response = http.getresponse()
            response.read()
            return response.status, response.getheader("Location") or ""
        except (OSError, HTTPException):
            return 0, ""
        finally:
            http.close()

    def later(self, action: Callable[[], None]) -> None:
        with self.gateway.lock:
            heapq.heappush(self.late, (time.monotonic() + random.uniform(0.5, 30), next(self.number), action))

    def send_late(self, now: float) -> None:
        while self.late and self.late[0][0] <= now:
            with self.gateway.lock:
                _at, _number, action = heapq.heappop(self.late)
            action()


def payment_is_lost(payment: Payment) -> bool:
    """Whether the shop has never heard that the first attempt was refused, so that its page is still fresh."""
    return Payment.objects.get(pk=payment.pk).status == "pending"


# The report ----------------------------------------------------------------------------------------------------------


def report(soak: Soak, seconds: float) -> list[str]:
    print(f"{connection.display_name}: {len(soak.payments):,} payments in {seconds:,.0f} s\n")
    print_counts("Killed", soak.processes.counts)
    print_counts("Notifications answered", soak.answers)
    print_counts("Asked of the gateway", soak.gateway.counts)
    print(f"{'way':<45}{'payments':>10}  what became of them")
    statuses = dict(Payment.objects.values_list("reference", "status"))
    for way in WAYS:
        ends = Counter(statuses[reference] for reference, its in soak.ways.items() if its == way)
        print(f"{way:<45}{sum(ends.values()):>10}  {', '.join(f'{n} {s}' for s, n in ends.most_common())}")
    violations = [line for line in [*check_payments(soak, statuses), *check_calls(soak)] if line]
    print("\n" + ("\n".join(violations) or "Nothing was lost, and nothing was given away."))
    return violations


def print_counts(title: str, counts: Counter[str]) -> None:
    print(f"{title}: {', '.join(f'{number:,} {name}' for name, number in sorted(counts.items()))}")


def check_payments(soak: Soak, statuses: Mapping[str, str]) -> list[str]:
    """Return what the contract does not allow of payments; an empty text for what is well."""
    lost = [ref for ref, way in soak.ways.items() if "paid" in way and statuses[ref] != "succeeded"]
    given = [ref for ref, way in soak.ways.items() if "paid" not in way and statuses[ref] == "succeeded"]
    owed = PaymentEvent.objects.exclude(deliver_at=None).count()
    settled = (
        PaymentEvent.objects.filter(outcome="accepted", signals__icontains="payment_succeeded")
        .values("payment")
        .annotate(times=Count("pk"))
        .filter(times__gt=1)
        .count()
    )
    return [
        f"{len(lost)} paid payments are not settled" if lost else "",
        f"{len(given)} payments are settled that were not paid" if given else "",
        f"{owed} events still owe signals" if owed else "",
        f"{settled} payments have succeeded more than once" if settled else "",
        f"{soak.gateway.counts['a reference sent twice']} references were sent twice"
        if soak.gateway.counts["a reference sent twice"]
        else "",
    ]


def check_calls(soak: Soak) -> list[str]:
    """Do the same for receivers: each has gone through for what succeeded, again only where a process was killed."""
    done: Counter[tuple[str, str, str]] = Counter(
        Call.objects.filter(has_failed=False).exclude(ended_at=None).values_list("signal", "receiver", "reference")
    )
    succeeded = list(Payment.objects.filter(status="succeeded").values_list("reference", flat=True))
    missing = [
        (receiver, reference)
        for receiver in RECEIVERS
        for reference in succeeded
        if not done["payment_succeeded", receiver, reference]
    ]
    strangers = {reference for name, _, reference in done if name == "payment_succeeded"} - set(succeeded)
    doubled = sum(number - 1 for number in done.values() if number > 1)
    failed = Call.objects.filter(has_failed=True).count()
    killed = Call.objects.filter(ended_at=None).count()
    kills = sum(number for name, number in soak.processes.counts.items() if name.endswith("killed"))
    at_once = overlaps()
    calls = Call.objects.count()
    print(
        f"\nReceivers: {calls:,} calls, of which {failed:,} failed, {killed:,} were killed in the middle, "
        f"and {doubled:,} ({doubled / calls:.1%}) had gone through before,\n"
        f"unmarked by a process that was killed ({kills}). "
        f"Reconciliations at the end: {soak.rounds}"
    )
    return [
        f"{len(missing)} receivers have not heard of a paid order" if missing else "",
        f"{len(strangers)} orders were fulfilled that were not paid" if strangers else "",
        f"{at_once} times a receiver ran twice at once" if at_once else "",
        f"{doubled} calls had gone through before, more than processes were killed" if doubled > kills else "",
    ]


def overlaps() -> int:
    """Count the calls of one receiver for one payment that began before an earlier one had ended."""
    number = 0
    last: dict[tuple[str, str, str], Any] = {}
    for call in Call.objects.order_by("began_at", "pk").iterator():
        key = (call.signal, call.receiver, call.reference)
        number += key in last and last[key] is not None and call.began_at < last[key]
        last[key] = call.ended_at
    return number


if __name__ == "__main__":
    main()
