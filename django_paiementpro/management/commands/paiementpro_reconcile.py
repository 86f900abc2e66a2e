import json
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.translation import gettext as _

from django_paiementpro import services
from django_paiementpro.management.arguments import whole_number
from django_paiementpro.management.progress import track

MAX_WORKERS = 128

OK, ERRORS, GATEWAY_AWAY = 0, 1, 3


class Command(BaseCommand):
    help = (
        "Check unsettled payments with the gateway, expire those that were not paid in time, and retry undelivered "
        "signals. Run it every few minutes; concurrent runs share the work. The exit code is 0 on success, 1 after an "
        "error or if a signal is still undelivered, 3 if the gateway was unavailable and the next run will retry. "
        "SIGTERM ends it after the work in progress."
    )
    exit_code = OK

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--workers",
            type=whole_number(1, MAX_WORKERS),
            default=8,
            metavar="N",
            help="how many concurrent look-ups at the gateway (8)",
        )
        parser.add_argument(
            "--rate",
            type=whole_number(0, 1_000_000),
            default=600,
            metavar="N",
            help="how many look-ups may start per minute, 0 for no limit (600)",
        )
        parser.add_argument("--dry-run", action="store_true", help="only report what would be done")
        parser.add_argument("--json", action="store_true", help="write the result as a JSON object")

    def run_from_argv(self, argv: list[str]) -> None:
        super().run_from_argv(argv)
        if self.exit_code:
            sys.exit(self.exit_code)

    def handle(self, *args: Any, **options: Any) -> None:
        started_at = time.monotonic()
        if options["dry_run"]:
            self.dry_run(**options)
            return
        with _stopping() as stop:
            totals = services.reconcile(
                workers=options["workers"], rate=options["rate"], stop=stop, progress=self.progress
            )
        seconds = time.monotonic() - started_at
        self.exit_code = _exit_code(totals)
        if options["json"]:
            per_second = round(totals.look_ups / seconds, 1)
            numbers = {**asdict(totals), "seconds": round(seconds, 3), "look_ups_per_second": per_second}
            numbers |= numbers.pop("extensions")
            self.stdout.write(json.dumps(numbers))
        else:
            self.report(totals)

    def dry_run(self, **options: Any) -> None:
        numbers = services.preview_reconciliation()
        if options["json"]:
            self.stdout.write(json.dumps({"dry_run": True, **numbers}))
            return
        self.stdout.write(
            _(
                "To check: %(asked)d. To expire, unless the gateway confirms them: %(expired)d. Signals to deliver: "
                "%(delivered)d. Nothing was done."
            )
            % numbers
        )

    def report(self, totals: services.Reconciliation) -> None:
        self.stdout.write(
            _(
                "%(asked)d checked, %(settled)d paid, %(expired)d expired, %(unanswered)d without an answer; "
                "%(delivered)d signals delivered, %(undelivered)d still undelivered; %(failed)d errors"
            )
            % asdict(totals)
        )
        if totals.gateway_away:
            self.stderr.write(_("The gateway stopped answering: the next run checks the rest."))
        if totals.stopped:
            self.stderr.write(_("Stopped by a signal before the end: the next run continues."))

    @staticmethod
    def progress(step: str, rows: Iterator[Any], count: int) -> Iterable[Any]:
        """Show a progress bar on a terminal."""
        labels = {"signals": _("Signals"), "payments": _("Payments"), "expiry": _("Expiry")}
        return track(rows, labels[step], count)


def _exit_code(totals: services.Reconciliation) -> int:
    if totals.failed or totals.undelivered:
        return ERRORS
    return GATEWAY_AWAY if totals.gateway_away else OK


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """End the run cleanly on SIGTERM or Ctrl-C, and at once on the second one."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread can handle signals
        return
    handlers = {number: signal.getsignal(number) or signal.SIG_DFL for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def end(*_arguments: Any) -> None:
        stop.set()
        restore()

    for number in handlers:
        signal.signal(number, end)
    try:
        yield stop
    finally:
        restore()
