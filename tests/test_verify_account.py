"""``paiementpro_verify_account``, against the local sandbox over real sockets."""

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone, translation

from django_paiementpro import __version__, services
from django_paiementpro.admin.daybook.statistics import day_book
from django_paiementpro.delivery import outbox
from django_paiementpro.doctor.installation import examine_verification
from django_paiementpro.doctor.target import Target
from django_paiementpro.enums import Reason
from django_paiementpro.management.commands.paiementpro_verify_account import Command
from django_paiementpro.models import Observation, Payment, PaymentEvent, Verification
from django_paiementpro.monitoring.channel_health import measure_channels
from django_paiementpro.sandbox.models import SandboxSession
from django_paiementpro.services import observations
from django_paiementpro.services.observations import NOTIFICATION, describe, form_of, without_persons
from django_paiementpro.testing import FakeGateway, make_payment, notify
from django_paiementpro.verification.cases import Case, Pace
from django_paiementpro.verification.refusals import try_refusals
from django_paiementpro.verification.report import as_markdown
from django_paiementpro.verification.runs import Run
from django_paiementpro.verification.verdict import sentences, settings_to_write
from tests.conftest import Heard
from tests.server.site import Site, running

PHONE = "07 07 12 34 56"


@pytest.fixture(autouse=True)
def pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Command, "pace", Pace(poll=0.05, look_up=0.2, payment=10.0, afterwards=1.0))


class SiteWithSandbox(Site):
    """A site that is its own gateway, to which the app keeps its connections open."""

    block_on_close = False


@pytest.fixture
def site(transactional_db: None, settings: Any) -> Iterator[SiteWithSandbox]:
    settings.PAIEMENTPRO_CHANNELS = ["WAVECI", "OMCIV2", "MOMOCI"]
    settings.PAIEMENTPRO_SHOP = {"name": "Boutique Awa", "email": "boutique@example.com"}
    settings.ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
    with running(SiteWithSandbox()) as site:
        settings.PAIEMENTPRO_SITE_URL = site.url
        settings.PAIEMENTPRO_GATEWAY_URL = site.url + "/sandbox"
        settings.PAIEMENTPRO_STATUS_URL = site.url + "/sandbox/status"
        yield site


class Person(threading.Thread):
    """Goes through the sandbox's pages as they are opened, each in its own way, and returns to the site."""

    def __init__(self, ways: list[str]) -> None:
        super().__init__()
        self.ways = ways
        self.stopped = threading.Event()

    def run(self) -> None:
        seen: set[str] = set()
        ways = iter(self.ways)
        while not self.stopped.wait(0.05):
            pages = Payment.objects.filter(is_verification=True, status="pending").values_list("payment_url", flat=True)
            for url in set(pages) - seen:
                seen.add(url)
                data = {"way": next(ways, "leave"), "channel": "WAVECI", "phone": "0707123456"}
                with requests.Session() as browser:  # an open connection would keep the site from closing
                    browser.get(url, timeout=30)
                    token = browser.cookies["csrftoken"]
                    browser.post(url, {**data, "csrfmiddlewaretoken": token}, timeout=30)
        connections.close_all()


@pytest.fixture
def person() -> Iterator[Callable[..., None]]:
    people = []

    def begin(*ways: str) -> None:
        people.append(Person(list(ways)))
        people[-1].start()

    yield begin
    for each in people:
        each.stopped.set()
        each.join()


def verify(*arguments: str, succeeds: bool = True) -> str:
    """Run the command, and return what it wrote."""
    out = StringIO()
    command = ["paiementpro_verify_account", "--phone", PHONE, "--yes", *arguments]
    if succeeds:
        call_command(*command, stdout=out, stderr=out)
    else:
        with pytest.raises(SystemExit) as exit_info:
            call_command(*command, stdout=out, stderr=out)
        assert exit_info.value.code == 1
    return out.getvalue()


@pytest.mark.usefixtures("site")
def test_account_that_works_is_verified_and_reported(person: Any, heard: Heard, tmp_path: Path) -> None:
    person("doubled", "pay")

    text = verify("--channel", "WAVECI", "--channel", "OMCIV2", "--report", str(tmp_path / "report.json"))

    assert "This asks Paiement Pro for 2 payments of 100" in text
    assert "JSON takes payments: Wave Côte d’Ivoire, Orange Money Côte d’Ivoire." in text
    assert "Each notification arrives up to 2 times" in text
    assert "The status look-up knows a payment" in text
    assert "The gateway adds a second “?” to the return URL." not in text
    assert heard == []
    assert {payment.amount for payment in Payment.objects.all()} == {100}

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["is_complete"]
    assert report["django_paiementpro"] == __version__
    first, second = report["cases"]
    assert (first["status"], first["settled_by"], len(first["notifications"])) == ("succeeded", "notification", 2)
    assert (second["status"], len(second["notifications"]), len(second["returns"])) == ("succeeded", 1, 1)
    notification = second["notifications"][0]
    assert notification["method"] == "POST"
    assert notification["content_type"] == "multipart/form-data"
    assert ["amount", "digits(3)"] in notification["query"]
    assert ["amount", "digits(3)"] in notification["body"]
    assert notification["remote_address"] == "127.0.0.1"
    assert "remote_address" not in second["returns"][0]
    assert second["look_ups"][-1]["outcome"] == "known"
    assert second["look_ups"][-1]["matches"] == {"merchant": True, "reference": True, "amount": True}
    assert report["refusals"]["json"]["reused_reference"]["outcome"] == "refused"
    assert report["refusals"]["json"]["99_francs"]["outcome"] == "refused"

    markdown = (tmp_path / "report.md").read_text()
    assert "## Verdict" in markdown
    assert "## Wave Côte d’Ivoire, JSON" in markdown
    assert "- 99 francs: refused" in markdown


@pytest.mark.usefixtures("site")
def test_report_names_no_person_and_no_secret(person: Any, tmp_path: Path) -> None:
    person("pay")
    verify("--report", str(tmp_path / "report"))

    texts = [(tmp_path / f"report.{kind}").read_text() for kind in ("json", "md")]
    payment = Payment.objects.get()
    for secret in (
        payment.reference,
        payment.url_nonce,
        payment.gateway_id,
        "0707123456",
        "707123456",
        "boutique@example.com",
        SandboxSession.objects.first().session_id,  # type: ignore[union-attr]
        "only for tests",
    ):
        assert all(secret not in text for text in texts), secret
    assert payment.get_return_url().split("/")[-2] not in "".join(texts)


@pytest.mark.usefixtures("site")
def test_payments_are_kept_out_of_takings_and_channel_health(person: Any, admin_client: Client) -> None:
    person("pay")
    verify("--channel", "WAVECI")
    ordinary = make_payment(status="succeeded", settled_at=timezone.now(), amount=500)

    today = timezone.localdate()
    assert day_book(today, today, currency="XOF").total.taken == 500
    assert "WAVECI" not in measure_channels(timezone.now())
    assert PaymentEvent.objects.exclude(signals=[]).count() == 0
    page = admin_client.get(reverse("admin:paiementpro_payment_changelist"), {"verification": "1"})
    listed = {payment.reference for payment in page.context["cl"].result_list}
    assert listed == {Payment.objects.get(is_verification=True).reference}
    assert ordinary.reference not in listed


@pytest.mark.django_db
def test_filter_is_not_shown_before_the_first_verification(admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:paiementpro_payment_changelist"))
    assert b"verification" not in page.content


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("way", "status", "sentence"),
    [
        ("refuse", "failed", "JSON opens pages, but none was paid."),
        ("leave", "pending", "No notification arrived."),
        ("wrong_amount", "pending", "Notifications come once."),
    ],
)
def test_case_that_is_not_paid_is_reported(
    person: Any, monkeypatch: pytest.MonkeyPatch, way: str, status: str, sentence: str
) -> None:
    monkeypatch.setattr(Command, "pace", Pace(poll=0.05, look_up=0.2, payment=2.0, afterwards=0.3))
    person(way)

    text = verify(succeeds=False)

    assert sentence in text
    assert Payment.objects.get().status == status
    assert Verification.objects.get().finished_at is not None
    case = Verification.objects.get().findings["cases"][0]
    if way == "wrong_amount":
        assert case["notifications"][0]["refused"] == Reason.AMOUNT


@pytest.mark.usefixtures("site")
def test_notification_that_is_lost_shows_that_the_look_up_works(person: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Command, "pace", Pace(poll=0.05, look_up=0.2, payment=3.0, afterwards=0.3))
    person("lost")

    text = verify()

    assert "No notification arrived." in text
    assert "The status look-up knows a payment" in text


def test_transport_without_page_is_reported(site: Any, settings: Any, tmp_path: Path) -> None:
    settings.PAIEMENTPRO_MIN_AMOUNT = 50

    text = verify("--channel", "WAVECI", "--report", str(tmp_path / "r.md"), succeeds=False)

    assert "No page: " in text
    assert "JSON opens no page." in text
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["cases"][0]["page"]["outcome"] == "refused"
    assert report["settings"] == []


def test_unavailable_gateway_is_reported(site: Any, settings: Any) -> None:
    settings.PAIEMENTPRO_GATEWAY_URL = "http://127.0.0.1:9"

    text = verify(succeeds=False)

    assert "No page: no answer from the gateway" in text


def test_interrupted_verification_is_resumed(
    site: Any, person: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = "django_paiementpro.management.commands.paiementpro_verify_account"
    watch = sys.modules[module].watch_case  # type: ignore[attr-defined]

    def interrupt(case: Case, *arguments: Any) -> None:
        if case.channel == "OMCIV2":
            raise KeyboardInterrupt
        watch(case, *arguments)

    person("pay", "pay")
    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.watch_case", interrupt)
        text = verify("--channel", "WAVECI", "--channel", "OMCIV2", "--report", str(tmp_path / "a"), succeeds=False)
    assert "Go on with --resume" in text
    assert not json.loads((tmp_path / "a.json").read_text())["is_complete"]
    assert "**Interrupted" in (tmp_path / "a.md").read_text()
    assert Verification.objects.get().finished_at is None

    text = verify("--resume")

    assert "This asks Paiement Pro for 1 payment" in text
    assert "JSON takes payments: Wave Côte d’Ivoire, Orange Money Côte d’Ivoire." in text
    assert Payment.objects.count() == 2
    assert Verification.objects.get().finished_at is not None
    with pytest.raises(CommandError, match="no interrupted"):
        verify("--resume")


@pytest.mark.django_db
def test_nothing_is_asked_without_a_terminal_or_yes(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="no terminal to agree on"):
        call_command("paiementpro_verify_account", "--phone", PHONE, stdout=StringIO())

    assert gateway.page_requests == []
    assert not Payment.objects.exists()
    assert not Verification.objects.exists()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def type_in(*answers: str) -> None:
        monkeypatch.setattr("sys.stdin", StringIO("".join(f"{answer}\n" for answer in answers)))
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)

    return type_in


@pytest.mark.django_db
@pytest.mark.parametrize("answer", ["", "n", "perhaps"])
def test_nothing_is_asked_without_consent(gateway: FakeGateway, terminal: Any, answer: str) -> None:
    terminal(PHONE, answer)

    with pytest.raises(CommandError, match="Nothing was asked"):
        call_command("paiementpro_verify_account", stdout=StringIO())

    assert gateway.page_requests == []


def test_consent_on_a_terminal_begins(site: Any, person: Any, terminal: Any) -> None:
    terminal(PHONE, "oui")
    person("pay")

    call_command("paiementpro_verify_account", stdout=StringIO())

    assert Payment.objects.get().customer_phone == PHONE


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--phone", "12"], "Write your phone number after --phone"),
        ([], "Write your phone number after --phone"),
        (["--phone", PHONE, "--channel", "NONE"], "NONE is not in PAIEMENTPRO_CHANNELS"),
        (["--phone", PHONE, "--transport", "fax"], "fax is not a transport"),
        (["--phone", PHONE, "--report", "/nowhere/report"], "cannot be written"),
    ],
)
def test_mistakes_are_reported_before_the_gateway_is_asked(
    gateway: FakeGateway, arguments: list[str], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("paiementpro_verify_account", "--yes", *arguments, stdout=StringIO())

    assert gateway.page_requests == []


@pytest.mark.django_db
def test_site_url_is_needed(settings: Any) -> None:
    settings.PAIEMENTPRO_SITE_URL = None
    with pytest.raises(CommandError, match="PAIEMENTPRO_SITE_URL"):
        verify()


@pytest.mark.django_db
def test_mail_address_is_needed(settings: Any, gateway: FakeGateway) -> None:
    settings.DEFAULT_FROM_EMAIL = settings.SERVER_EMAIL = "Boutique <boutique>"
    with pytest.raises(CommandError, match="e-mail address"):
        verify()


def test_segno_is_optional(site: Any, person: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_paiementpro.qr.find_spec", lambda name: None)
    person("pay")

    assert "█" not in verify()


def test_unavailable_status_service_is_reported(site: Any, settings: Any, person: Any, tmp_path: Path) -> None:
    settings.PAIEMENTPRO_STATUS_URL = "http://127.0.0.1:9/status"
    person("pay")

    text = verify("--report", str(tmp_path / "report"))

    assert "The status look-up does not know payments by Choice on the page." in text
    assert "PAIEMENTPRO_STATUS_URL = None" in text
    assert "unavailable; no answer from the gateway" in (tmp_path / "report.md").read_text()


def test_gateway_that_goes_away_ends_the_refusals(payment: Payment, gateway: FakeGateway) -> None:
    gateway.is_away()

    assert {outcome["outcome"] for _name, outcome in try_refusals(payment, "json")} == {"unavailable"}


@pytest.mark.django_db
def test_report_names_what_was_refused_and_what_differs() -> None:
    run = Run.plan(["WAVECI"], ["json"])
    [case] = run.cases
    case.notifications = [
        seen(method="POST", content_type="", query=[["a", "empty"]], body=[], refused="amount_mismatch"),
        seen(method="POST", content_type="", query=[["a", "empty"]], body=[["a", "empty"]], remote_address="192.0.2.1"),
    ]
    case.returns = [seen(method="GET", content_type="", query=[], body=[], has_second_question_mark=True)]
    case.look_ups = [
        {"outcome": "known", "seconds": 2, "fields": [["amount", "digits(3)"]], "matches": {"amount": False}}
    ]
    text = as_markdown(run)

    assert "- Page: not tried" in text
    assert "- Notification 1: after 1.0 s; POST; no body; refused: amount_mismatch; query: `a` empty" in text
    assert "- Notification 2: after 1.0 s; POST; no body; from 192.0.2.1; query and body: `a` empty" in text
    assert "- Return 1: after 1.0 s; GET; no body; a second “?”" in text
    assert "- Look-up after 2 s: known; amount differs; `amount` digits(3)" in text


# Observations.


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("", "empty"),
        ("0", "-1 or 0"),
        ("2026-09-25 15:44:25", "YYYY-MM-DD HH:MM:SS"),
        ("0707123456", "digits(10)"),
        ("12500.00", "decimal"),
        ("1a0ab9252785d65fcd396eaa47797e03", "hex(32)"),
        ('{"order": 1}', "JSON object"),
        ("awa@example.com", "e-mail"),
        ("OMCIV2", "letters and digits(6)"),
        ("Awa Koné", "text(8)"),
    ],
)
def test_form_of_a_value_hides_it(value: str, form: str) -> None:
    assert form_of(value) == form


def test_request_that_cannot_be_read_is_described_by_its_query() -> None:
    request = RequestFactory().post("/?a=1?b=2", b"x" * 70_000, content_type="text/plain")

    described = describe(request, NOTIFICATION)

    assert described["query"] == [["a", "digits(1)"], ["b", "digits(1)"]]
    assert described["body"] == []
    assert described["has_second_question_mark"]


@pytest.fixture
def verification_payment(db: None) -> Payment:
    return make_payment(status="pending", attempt=1, is_verification=True)


def test_observations_are_bounded(verification_payment: Payment, client: Client) -> None:
    for _number in range(observations.MAX_OBSERVATIONS + 2):
        client.get(verification_payment.get_return_url())

    assert Observation.objects.count() == observations.MAX_OBSERVATIONS


def test_ordinary_payments_are_not_observed(payment: Payment, client: Client) -> None:
    client.get(payment.get_return_url())
    notify(payment)

    assert not Observation.objects.exists()


def test_observation_that_fails_loses_no_payment(
    verification_payment: Payment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any) -> None:
        raise DatabaseError

    monkeypatch.setattr(observations, "describe", fail)

    assert notify(verification_payment).status_code == 200
    verification_payment.refresh_from_db()
    assert verification_payment.status == "succeeded"
    assert "observation_lost" in caplog.text


def test_verification_payment_sends_no_signals(verification_payment: Payment, heard: Heard) -> None:
    notify(verification_payment)
    services.flag_payment(verification_payment, "look")

    assert heard == []


# The verdict.


def paid(**values: Any) -> Case:
    return Case(**{"channel": "WAVECI", "transport": "json", "page": {"host": "x"}, "status": "succeeded", **values})


def seen(seconds: float = 1.0, **values: Any) -> dict[str, Any]:
    return {"seconds": seconds, "has_second_question_mark": False, **values}


def test_verdict_tells_what_differs() -> None:
    known = {"outcome": "known", "seconds": 4.2, "matches": {"amount": False}}
    cases = [
        paid(notifications=[seen(3.0), seen(4.0)], look_ups=[{"outcome": "unknown", "seconds": 1}, known]),
        paid(channel="MOMOCI", returns=[seen(has_second_question_mark=True)]),
        Case("", "soap", page={"outcome": "refused"}),
    ]

    assert list(sentences(cases)) == [
        "JSON takes payments: Wave Côte d’Ivoire, MTN MoMo Côte d’Ivoire.",
        "SOAP opens no page.",
        "No notification arrived about MTN MoMo Côte d’Ivoire.",
        "Each notification arrives up to 2 times, at most 1 s apart.",
        "The status look-up is switched off.",
        "The gateway adds a second “?” to the return URL.",
    ]


def test_verdict_on_the_look_up(settings: Any) -> None:
    settings.PAIEMENTPRO_STATUS_URL = "https://status.example.com"
    known = {"outcome": "known", "seconds": 4.2, "matches": {"amount": False}}

    told = list(sentences([paid(look_ups=[known]), paid(channel="MOMOCI")]))

    assert "The status look-up does not know payments by MTN MoMo Côte d’Ivoire." in told
    assert "The status look-up answers with other values than those paid: Wave Côte d’Ivoire." in told
    assert "The status look-up knows a payment at most 4 s after its page was opened." in told


@pytest.mark.parametrize(
    ("cases", "lines"),
    [
        ([], []),
        ([Case("", "json", page={"host": "x"})], []),
        ([paid(transport="soap")], ['PAIEMENTPRO_TRANSPORT = "soap"', "PAIEMENTPRO_STATUS_URL = None"]),
        ([paid(look_ups=[{"outcome": "known", "seconds": 1}])], []),
        (
            [
                paid(look_ups=[{"outcome": "known", "seconds": 1}]),
                Case("MOMOCI", "json", page={"outcome": "refused"}),
            ],
            ['PAIEMENTPRO_CHANNELS = ["WAVECI", "OMCIV2"]'],
        ),
    ],
)
def test_settings_to_write(cases: list[Case], lines: list[str], settings: Any) -> None:
    settings.PAIEMENTPRO_STATUS_URL = "https://status.example.com"
    settings.PAIEMENTPRO_CHANNELS = ["WAVECI", "OMCIV2", "MOMOCI"]

    assert settings_to_write(cases) == lines


# The doctor.


@pytest.mark.django_db
def test_doctor_asks_for_a_verification() -> None:
    [result] = examine_verification(Target(""))
    assert (result.level.value, "has not been verified" in result.text) == ("warn", True)

    record = Verification.objects.create(version="0.0.1", finished_at=timezone.now())
    [result] = examine_verification(Target(""))
    assert (result.level.value, "0.0.1" in result.text) == ("warn", True)

    Verification.objects.filter(pk=record.pk).update(
        version=__version__, started_at=timezone.now() - timedelta(days=3, hours=1)
    )
    [result] = examine_verification(Target(""))
    assert result.level.value == "pass"
    assert re.search(r"verified 3\sdays", result.text)


@pytest.mark.usefixtures("site")
def test_report_is_in_english_whatever_the_language(person: Any, tmp_path: Path) -> None:
    person("pay")
    with translation.override("fr"):
        verify("--report", str(tmp_path / "report"))

    assert "JSON takes payments" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Numéro 07 07 12 34 56 inconnu", "Numéro … inconnu"),
        ("awa@example.com: invalide", "… invalide"),
        ("Le montant minimum est de 100 fr", "Le montant minimum est de 100 fr"),
    ],
)
def test_words_of_the_gateway_name_no_person(said: str, shown: str) -> None:
    assert without_persons(said) == shown


def test_field_whose_name_may_be_data_is_shown_by_its_form() -> None:
    described = describe(RequestFactory().get("/", {"0707123456": "1", "amount": "2"}), NOTIFICATION)

    assert described["query"] == [["digits(10)", "digits(1)"], ["amount", "digits(1)"]]


def test_redelivery_of_a_verification_calls_no_receiver(verification_payment: Payment, heard: Heard) -> None:
    notify(verification_payment)
    event = verification_payment.events.latest("pk")

    outbox.owe_again(event, ["payment_succeeded"])

    event.refresh_from_db()
    assert (event.signals, event.deliver_at) == ([], None)
    assert heard == []
