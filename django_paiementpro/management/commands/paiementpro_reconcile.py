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
from tqdm import tqdm

from django_paiementpro import services
from django_paiementpro.management.arguments import whole_number

MAX_WORKERS = 128

OK, ERRORS, GATEWAY_AWAY = 0, 1, 3


class Command(BaseCommand):
    help = (
        "Ask the gateway about payments that are not settled, expire those that nobody has paid in time, and deliver "
        "signals whose receivers failed. Run it every few minutes; two runs at once share the work. "
        "The exit code is 0 where all is done, 1 where something raised or a signal is still owed, 3 where the gateway "
        "was away and is to be asked by the next run. SIGTERM ends it after what has begun."
    )
    exit_code = OK

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--workers",
            type=whole_number(1, MAX_WORKERS),
            default=8,
            metavar="N",
            help="how many ask the gateway at once (8)",
        )
        parser.add_argument(
            "--rate",
            type=whole_number(0, 1_000_000),
            default=600,
            metavar="N",
            help="how many look-ups may begin in a minute, 0 for any number (600)",
        )
        parser.add_argument("--dry-run", action="store_true", help="say what there is to do, and do nothing")
        parser.add_argument("--json", action="store_true", help="say it as one JSON object")

    def run_from_argv(self, argv: list[str]) -> None:
        super().run_from_argv(argv)
        if self.exit_code:
            sys.exit(self.exit_code)

    def handle(self, *args: Any, **options: Any) -> None:
        started_at = time.monotonic()
        if options["dry_run"]:
            self.foresee(**options)
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
            self.stdout.write(json.dumps(numbers))
        else:
            self.report(totals)

    def foresee(self, **options: Any) -> None:
        numbers = services.foresee()
        if options["json"]:
            self.stdout.write(json.dumps({"dry_run": True, **numbers}))
            return
        self.stdout.write(
            _(
                "To do: %(asked)d to check, %(expired)d to expire unless the gateway knows better, "
                "%(delivered)d signals to deliver. Nothing was done."
            )
            % numbers
        )

    def report(self, totals: services.Reconciliation) -> None:
        self.stdout.write(
            _(
                "%(asked)d checked, %(settled)d paid, %(expired)d expired, %(unanswered)d without an answer; "
                "%(delivered)d signals delivered, %(undelivered)d still owed; %(failed)d errors"
            )
            % asdict(totals)
        )
        if totals.gateway_away:
            self.stderr.write(_("The gateway stopped answering: the next run checks the rest."))
        if totals.stopped:
            self.stderr.write(_("Stopped before the end, as it was told to: the next run goes on."))

    @staticmethod
    def progress(step: str, rows: Iterator[Any], count: int) -> Iterable[Any]:
        """Show on a terminal how far it is, and how fast."""
        labels = {"signals": _("Signals"), "payments": _("Payments"), "expiry": _("Expiry")}
        return tqdm(rows, desc=labels[step], total=count, disable=None, leave=False, unit="")


def _exit_code(totals: services.Reconciliation) -> int:
    if totals.failed or totals.undelivered:
        return ERRORS
    return GATEWAY_AWAY if totals.gateway_away else OK


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Let SIGTERM, and Ctrl-C, end the run cleanly; the second one ends it at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # where Python takes no signals
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
