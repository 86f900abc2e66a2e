import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_paiementpro import qr
from django_paiementpro.conf import conf
from django_paiementpro.enums import Status
from django_paiementpro.models import format_amount
from django_paiementpro.phones import parse_phone
from django_paiementpro.services.observations import NOTIFICATION, RETURN
from django_paiementpro.verification import report
from django_paiementpro.verification.cases import Case, Pace, Payer, open_case, watch_case
from django_paiementpro.verification.refusals import try_refusals
from django_paiementpro.verification.runs import Run
from django_paiementpro.verification.verdict import TRANSPORTS, label_of, sentences, settings_to_write


class Command(BaseCommand):
    help = (
        "Find out what your account at Paiement Pro really does: pay the smallest amount with your own phone, payment "
        "method by payment method, and read what the gateway sends. Nothing is asked of the gateway before you agree."
    )
    pace = Pace()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--phone", metavar="NUMBER", help="your own number, which pays")
        parser.add_argument(
            "--channel",
            action="append",
            metavar="CODE",
            help="a payment method to try, may be repeated (default: the choice on the gateway's page)",
        )
        parser.add_argument(
            "--transport",
            action="append",
            metavar="NAME",
            help="json or soap, may be repeated (default: the setting's)",
        )
        parser.add_argument("--report", metavar="FILE", help="write the report to FILE.json and FILE.md")
        parser.add_argument("--resume", action="store_true", help="go on with a verification that was interrupted")
        parser.add_argument("--yes", action="store_true", help="begin without asking")

    def handle(self, *args: Any, **options: Any) -> None:
        run = self.read_run(options)
        payer = self.read_payer(options)
        files = _files(options["report"])
        self.announce(run)
        self.require_consent(is_given=options["yes"])
        run.store()
        try:
            self.try_cases(run, payer)
            run.finish()
        except KeyboardInterrupt:
            run.store()
            self.stderr.write(_("Interrupted. Go on with --resume."))
        self.conclude(run)
        for path, text in files.items():
            path.write_text(text(run), encoding="utf-8")
            self.stdout.write(_("Report: %(path)s") % {"path": path})
        if any(run.unfinished) or not any(case.is_paid for case in run.cases):
            sys.exit(1)

    # Before the gateway is asked anything.

    def read_run(self, options: dict[str, Any]) -> Run:
        if options["resume"]:
            run = Run.resume()
            if run is None:
                raise CommandError(_("There is no interrupted verification."))
            return run
        channels, transports = options["channel"] or [""], options["transport"] or [conf.transport]
        if unknown := [code for code in channels if code and code not in conf.channels]:
            known = ", ".join(conf.channels)
            raise CommandError(
                _("%(code)s is not in PAIEMENTPRO_CHANNELS (%(known)s).") % {"code": unknown[0], "known": known}
            )
        if unknown := [name for name in transports if name not in {*TRANSPORTS, conf.transport}]:
            raise CommandError(_("%(name)s is not a transport: write json or soap.") % {"name": unknown[0]})
        return Run.plan(dict.fromkeys(channels), dict.fromkeys(transports))

    def read_payer(self, options: dict[str, Any]) -> Payer:
        """Return who pays. The gateway requires an e-mail address; the shop's own will do."""
        if not conf.site_url:
            raise CommandError(_("Set PAIEMENTPRO_SITE_URL first: the gateway’s notifications go there."))
        phone = options["phone"] or ""
        if not phone and self.is_interactive:
            phone = input(_("Your phone number: "))
        try:
            parse_phone(phone)
        except ValueError as error:
            raise CommandError(_("Write your phone number after --phone, like 0707123456.")) from error
        return Payer(phone, _email())

    def announce(self, run: Run) -> None:
        """Say what will be done, and what it costs."""
        cases = list(run.unfinished)
        amount = format_amount(conf.min_amount, conf.currency)
        self.stdout.write(
            ngettext(
                "This asks Paiement Pro for %(count)d payment of %(amount)s, which you pay with your own phone:",
                "This asks Paiement Pro for %(count)d payments of %(amount)s, which you pay with your own phone:",
                len(cases),
            )
            % {"count": len(cases), "amount": amount}
        )
        for case in cases:
            self.stdout.write(f"  - {_name_of(case)}")
        self.stdout.write(
            _(
                "It goes to merchant %(merchant)s at %(gateway)s. Four requests that should be refused follow for each "
                "transport; they cost nothing. The site must be running at %(site)s. Your receivers are not called."
            )
            % {"merchant": conf.merchant_id, "gateway": conf.gateway_url, "site": conf.site_url}
        )

    def require_consent(self, *, is_given: bool) -> None:
        if is_given:
            return
        if not self.is_interactive:
            raise CommandError(_("Nothing was asked of the gateway: there is no terminal to agree on, and no --yes."))
        if input(_("Begin? [y/N] ")).strip().lower() not in {"y", "yes", "o", "oui"}:
            raise CommandError(_("Nothing was asked of the gateway."))

    @property
    def is_interactive(self) -> bool:
        return sys.stdin is not None and sys.stdin.isatty()

    # The verification.

    def try_cases(self, run: Run, payer: Payer) -> None:
        for number, case in enumerate(run.cases, 1):
            if case.state == "done":
                continue
            self.stdout.write(f"\n{number}/{len(run.cases)} {_name_of(case)}")
            if case.state == "new":
                self.open(case, run, payer)
            if case.state == "waiting":
                watch_case(case, self.pace, self.tell)
            run.store()
        for transport in run.transports:
            payment = run.payment_of(transport)
            if payment and transport not in run.refusals:
                run.refusals[transport] = dict(try_refusals(payment, transport))
                run.store()

    def open(self, case: Case, run: Run, payer: Payer) -> None:
        url = open_case(case, run.record, payer)
        run.store()
        if not url:
            self.stdout.write(_("No page: %(message)s") % {"message": case.page["message"]})
            return
        self.stdout.write(_("Pay on this page, within five minutes:"))
        self.stdout.write(url)
        if qr.can_draw():
            self.stdout.write(qr.terminal(url))

    def tell(self, news: str) -> None:
        """Say what has arrived."""
        texts = {
            NOTIFICATION: _("A notification has arrived."),
            RETURN: _("The payer is back."),
            "look_up": _("The status service has a new answer."),
        }
        text = texts.get(news)
        if text is None and news not in {Status.CREATED, Status.PENDING}:
            text = _("Status: %(status)s.") % {"status": Status(news).label}
        if text:
            self.stdout.write(f"  {text}")

    def conclude(self, run: Run) -> None:
        self.stdout.write("")
        for sentence in sentences(run.cases):
            self.stdout.write(sentence)
        if lines := settings_to_write(run.cases):
            self.stdout.write(_("Write in your settings:"))
            for line in lines:
                self.stdout.write(f"  {line}")


def _files(name: str | None) -> dict[Path, Any]:
    """Return the report's files, which must be writable before the gateway is asked."""
    if not name:
        return {}
    path = Path(name)
    stem = path.with_suffix("") if path.suffix in {".json", ".md"} else path
    files = {Path(f"{stem}.json"): report.as_json, Path(f"{stem}.md"): report.as_markdown}
    for file in files:
        try:
            with file.open("a", encoding="utf-8"):
                pass
        except OSError as error:
            raise CommandError(_("%(path)s cannot be written.") % {"path": file}) from error
    return files


def _email() -> str:
    """Return an e-mail address of the shop that the gateway takes."""
    for address in (conf.shop.email, settings.DEFAULT_FROM_EMAIL, settings.SERVER_EMAIL):
        try:
            validate_email(address)
        except ValidationError:
            continue
        return str(address)
    raise CommandError(_("Write your e-mail address in PAIEMENTPRO_SHOP: the gateway requires one."))


def _name_of(case: Case) -> str:
    return f"{label_of(case)}, {TRANSPORTS.get(case.transport, case.transport)}"
