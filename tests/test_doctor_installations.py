"""
The doctor in installations with one common mistake each.

Each is a project in a folder of its own, with a server process and, if needed, a proxy before it. The doctor is run as
a command; ``pytest -s`` shows its output.
"""

import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from tests.conftest import INDISCREET
from tests.server import fronts
from tests.server.fronts import Front, Visitor
from tests.server.gateway import Call, FakeGateway
from tests.server.installation import URLS, Installation, Report
from tests.server.site import running

pytestmark = pytest.mark.process

# With a local gateway the site may be local too.
LOCAL_GATEWAY = "http://127.0.0.1:9/sandbox"

BEHIND_HTTPS = {"SECURE_PROXY_SSL_HEADER": ["HTTP_X_FORWARDED_PROTO", "https"]}


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a new project that cron has reconciled."""
    installation = Installation(tmp_path_factory.mktemp("migrated"))
    assert installation.manage("migrate", "--verbosity=0").code == 0
    installation.does("Verification.objects.create(version=__version__, finished_at=timezone.now())")
    assert installation.manage("paiementpro_reconcile").code == 0
    return installation.folder / "db.sqlite3"


@pytest.fixture
def installation(migrated: Path, tmp_path: Path) -> Installation:
    """A sound installation, whose server the tests start if they need it."""
    installation = Installation(tmp_path / "project", DEBUG=True, PAIEMENTPRO_GATEWAY_URL=LOCAL_GATEWAY)
    shutil.copy(migrated, installation.folder)
    return installation


@pytest.fixture
def cases() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


Put = Callable[..., str]


@pytest.fixture
def put(cases: ExitStack) -> Put:
    """Put a front before a site, or in its place, and return its base URL."""
    return lambda *args, **kwargs: cases.enter_context(running(Front(*args, **kwargs))).url


def diagnosis(name: str, report: Report, code: int = 1) -> Report:
    """Print the report, check that it holds no secret, and return it."""
    print(f"\n{name} (exit code {report.code})\n{report.out}", end="")  # noqa: T201
    assert not INDISCREET.search(report.out + report.error)
    assert "of-the-shop" not in report.out + report.error
    assert "Traceback" not in report.error
    assert report.code == code
    return report


def only(report: Report) -> str:
    """Return the only line that does not pass."""
    [complaint] = report.complaints
    return complaint


def assert_begin(lines: list[str], beginnings: list[str]) -> None:
    assert len(lines) == len(beginnings)
    assert all(map(str.startswith, lines, beginnings))


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def https(authority: trustme.CA, installation: Installation) -> ssl.SSLContext:
    """A certificate of an authority that the installation trusts."""
    authority.cert_pem.write_to_path(str(installation.folder / "ca.pem"))
    installation.environment["REQUESTS_CA_BUNDLE"] = str(installation.folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def as_proxies_should(visitor: Visitor) -> None:
    visitor.passes_on(**{"X-Forwarded-Proto": "https"})


def test_healthy_installation_passes(installation: Installation, put: Put, https: ssl.SSLContext) -> None:
    with installation.serving(SECURE_SSL_REDIRECT=True, **BEHIND_HTTPS) as site:
        url = put(as_proxies_should, site, https)
        report = installation.examine(PAIEMENTPRO_SITE_URL=url, SECURE_SSL_REDIRECT=True, **BEHIND_HTTPS)

    diagnosis("sound", report, code=0)
    assert report.complaints == []


def test_only_the_app_is_installed(tmp_path: Path) -> None:
    installation = Installation(tmp_path, PAIEMENTPRO_MERCHANT_ID="not set", PAIEMENTPRO_SITE_URL="not set")
    installation.write("shop_urls.py", "urlpatterns = []")
    installation.write("orders/apps.py", "")

    report = diagnosis("only installed", installation.examine())

    assert_begin(
        report.failures,
        [
            "fail  PAIEMENTPRO_MERCHANT_ID: write the mer",
            "fail  The tables are not up to date: run “ma",
            "fail  The URLs of the app are not included. ",
            "fail  PAIEMENTPRO_SITE_URL is not set: URLs ",
            "fail  No receiver is connected to payment_su",
        ],
    )


def test_every_page_requires_a_login(installation: Installation) -> None:
    installation.write(
        "accounts.py",
        "from django.shortcuts import redirect\n"
        "def login_everywhere(get_response):\n"
        "    return lambda request: redirect('/accounts/login/?next=' + request.path)\n",
    )
    installation.write("shop_settings.py", _settings(installation) + 'MIDDLEWARE += ["accounts.login_everywhere"]\n')

    with installation.serving() as site:
        report = diagnosis("login", installation.examine(PAIEMENTPRO_SITE_URL=site))

    within, without = report.failures
    assert "(notification, checkout, return, status)" in within
    assert "A login is required" in within
    assert "accounts.login_everywhere answers instead." in within
    assert "A login is required" in without


def _settings(installation: Installation) -> str:
    return (installation.folder / "shop_settings.py").read_text(encoding="utf-8")


def test_redirect_to_www_is_reported(installation: Installation, put: Put) -> None:
    url = put(fronts.redirects_to("http://www.shop.example{path}"))
    report = diagnosis("www", installation.examine(PAIEMENTPRO_SITE_URL=url))
    assert "It is redirected to the host www.shop.example. Use that host in PAIEMENTPRO_SITE_URL" in only(report)


def test_proxy_hides_https(installation: Installation, put: Put, https: ssl.SSLContext) -> None:
    installation.settings["SECURE_SSL_REDIRECT"] = True

    with installation.serving() as site:
        url = put(Visitor.passes_on, site, https)
        report = diagnosis("https unseen", installation.examine(PAIEMENTPRO_SITE_URL=url))

    assert "It is redirected to itself endlessly" in only(report)
    assert 'SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")' in only(report)


def test_certificate_of_a_private_authority(
    installation: Installation, put: Put, authority: trustme.CA, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    report = diagnosis(
        "own certificate", installation.examine(PAIEMENTPRO_SITE_URL=put(Visitor.answers, context=context))
    )
    assert "does not lead to a known authority" in only(report)


def test_firewall_blocks_old_browsers(installation: Installation, put: Put) -> None:
    def play(visitor: Visitor) -> None:
        visitor.answers(status=403 if "MSIE" in visitor.headers["User-Agent"] else 200)

    report = diagnosis("firewall", installation.examine(PAIEMENTPRO_SITE_URL=put(play)))
    assert "It is rejected (403, server: " in only(report)


def test_site_requires_a_password(installation: Installation, put: Put) -> None:
    url = put(lambda visitor: visitor.answers(status=401, **{"WWW-Authenticate": 'Basic realm="staging"'}))
    report = diagnosis("password", installation.examine(PAIEMENTPRO_SITE_URL=url))
    assert "A password is required (401" in only(report)


def test_proxy_drops_query_and_body(installation: Installation, put: Put) -> None:
    with installation.serving() as site:
        report = diagnosis("stripped", installation.examine(PAIEMENTPRO_SITE_URL=put(fronts.strips_both, site)))

    assert_begin(
        report.failures,
        [
            "fail  The query string does not arrive.",
            "fail  The body does not arrive. Make",
        ],
    )


def test_proxy_changes_the_host(installation: Installation, put: Put) -> None:
    with installation.serving() as site:
        url = put(lambda visitor: visitor.passes_on(Host="backend:8000"), site)
        report = diagnosis("host", installation.examine(PAIEMENTPRO_SITE_URL=url))

    assert "The answer is 400" in only(report)
    assert "make the proxy pass the Host header on" in only(report)


def test_server_has_another_secret_key(installation: Installation) -> None:
    with installation.serving(SECRET_KEY="another key, that a new deployment has made for itself of-the-shop") as site:
        report = diagnosis("another key", installation.examine(PAIEMENTPRO_SITE_URL=site))
    assert "does not accept the signature. Restart the server" in only(report)


def test_catch_all_pattern_is_reported(installation: Installation) -> None:
    pages = "from django.urls import re_path\nfrom django.views.generic import View\n"
    catch_all = "urlpatterns.insert(0, re_path('^(?P<slug>[a-z/].*)$', View.as_view()))\n"
    installation.write("shop_urls.py", pages + URLS + catch_all)

    with installation.serving() as site:
        report = diagnosis("catch-all", installation.examine(PAIEMENTPRO_SITE_URL=site))

    within, without = report.failures
    assert "The project’s pattern “^(?P<slug>[a-z/].*)$” comes first" in within
    assert "A CSRF token is required" in without


def test_urls_that_cannot_be_imported(installation: Installation) -> None:
    installation.write("shop_urls.py", URLS + "from orders import pages\n")
    report = diagnosis("broken URLs", installation.examine(PAIEMENTPRO_SITE_URL="http://127.0.0.1:9"))
    assert only(report).endswith("the project’s own code raised ImportError (shop_urls.py:9).")


def test_unactivated_language_prefix(installation: Installation) -> None:
    urls = "from django.conf.urls.i18n import i18n_patterns\n" + URLS + "urlpatterns = i18n_patterns(*urlpatterns)\n"
    installation.write("shop_urls.py", urls)
    settings = _settings(installation) + 'MIDDLEWARE.remove("django.middleware.locale.LocaleMiddleware")\n'
    installation.write("shop_settings.py", settings)

    with installation.serving() as site:
        report = diagnosis("languages", installation.examine(PAIEMENTPRO_SITE_URL=site))

    assert "outside i18n_patterns()" in report.complaints[0]
    assert "The answer is 404: nothing activates the language" in report.failures[0]


def test_middleware_that_fails(installation: Installation) -> None:
    installation.write(
        "tenants.py",
        "def choose(get_response):\n"
        "    def middleware(request):\n"
        "        request.tenant = {}[request.COOKIES['tenant']]\n"
        "    return middleware\n",
    )
    installation.write("shop_settings.py", _settings(installation) + 'MIDDLEWARE += ["tenants.choose"]\n')

    with installation.serving() as site:
        report = diagnosis("middleware", installation.examine(PAIEMENTPRO_SITE_URL=site))

    assert "KeyError (tenants.py:3) was raised. tenants.choose answers instead." in report.failures[0]
    assert "The answer is 500" in report.failures[-1]


def test_server_is_busy(installation: Installation, put: Put) -> None:
    report = diagnosis("busy", installation.examine(PAIEMENTPRO_SITE_URL=put(fronts.hangs), PAIEMENTPRO_TIMEOUT=(1, 1)))
    assert "does not answer in time" in only(report)


def test_server_is_down(installation: Installation) -> None:
    report = diagnosis("down", installation.examine(PAIEMENTPRO_SITE_URL="http://127.0.0.1:9"))
    assert "127.0.0.1:9 refuses the connection" in only(report)


def test_gateway_cannot_reach_the_site(installation: Installation) -> None:
    with installation.serving() as site:
        report = diagnosis(
            "private", installation.examine(PAIEMENTPRO_SITE_URL=site, PAIEMENTPRO_GATEWAY_URL="not set", DEBUG=False)
        )
    assert_begin(
        report.failures,
        [
            "fail  127.0.0.1 is a private name or addr",
            f"fail  {site} is not https",
        ],
    )


FORGOTTEN = """
ReconciliationRun.objects.all().delete()
then = timezone.now() - timedelta(days=2)
payment = Payment.objects.create(
    amount=12500, description="Order 1", customer_email="awa@example.com", customer_first_name="Awa",
    customer_last_name="Koné", customer_phone="07 07 12 34 56", status="pending", attempt=1,
    initialized_at=then, created_at=then, needs_review=True,
)
payment.findings.create(reason="unknown_code", detail="7")
PaymentEvent.objects.create(
    payment=payment, kind="notification", outcome="accepted", signals=["payment_succeeded"], deliver_at=then,
    created_at=then,
)
"""


def test_missing_cron_job(installation: Installation) -> None:
    installation.does(FORGOTTEN)

    with installation.serving() as site:
        report = diagnosis("no cron", installation.examine(PAIEMENTPRO_SITE_URL=site))

    assert_begin(
        report.complaints,
        [
            "fail  paiementpro_reconcile has never run. Run i",
            "fail  1 event has undelivered signals: run “mana",
            "warn  1 payment needs review: see the admin.",
            "fail  1 payment should have expired: check why p",
        ],
    )
    assert f"{installation.folder / 'manage.py'} paiementpro_reconcile" in report.failures[0]


def test_migrations_that_were_not_run(installation: Installation) -> None:
    assert installation.manage("migrate", "paiementpro", "zero", "--verbosity=0").code == 0

    with installation.serving() as site:
        report = diagnosis("not migrated", installation.examine(PAIEMENTPRO_SITE_URL=site))

    assert only(report) == "fail  The tables are not up to date: run “manage.py migrate”."


def test_unavailable_database(installation: Installation) -> None:
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(installation.folder / "nowhere" / "db.sqlite3")}
    installation.settings["DATABASES"] = {"default": database}

    with installation.serving() as site:
        report = diagnosis("database away", installation.examine(PAIEMENTPRO_SITE_URL=site))

    assert only(report).startswith("fail  A database query failed: OperationalError. Check that the server is running")


def test_merchant_of_another_gateway_is_refused(installation: Installation, cases: ExitStack) -> None:
    gateway = cases.enter_context(running(FakeGateway()))
    gateway.play = lambda call: Call.says(call, b'{"success": false, "message": "ID marchand inconnu"}')
    installation.settings |= {"PAIEMENTPRO_GATEWAY_URL": gateway.url, "PAIEMENTPRO_STATUS_URL": f"{gateway.url}/status"}

    with installation.serving() as site:
        report = diagnosis("merchant", installation.examine("--gateway", PAIEMENTPRO_SITE_URL=site))

    assert "refuses to open a payment page: “ID marchand inconnu”. Check that PAIEMENTPRO_MERCHANT_ID" in only(report)
    assert "answers: “Aucune transaction”" in report.out


def test_healthy_gateway_passes(installation: Installation, cases: ExitStack) -> None:
    gateway = cases.enter_context(running(FakeGateway()))
    installation.settings["PAIEMENTPRO_GATEWAY_URL"] = gateway.url

    with installation.serving() as site:
        report = diagnosis("gateway", installation.examine("--gateway", PAIEMENTPRO_SITE_URL=site), code=0)

    assert "opens payment pages, on 127.0.0.1." in report.out
    assert "sessionid" not in report.out
