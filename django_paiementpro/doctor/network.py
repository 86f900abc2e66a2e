"""A notification that the site sends to itself over the real network, and how it arrives."""

from collections.abc import Iterator

from django.urls import NoReverseMatch
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_paiementpro.doctor import http, middleware, redirects
from django_paiementpro.doctor.http import Answer, ConnectionFailure
from django_paiementpro.doctor.results import Result, failure, passed, warning
from django_paiementpro.doctor.routing import make_probe_path
from django_paiementpro.doctor.target import Target
from django_paiementpro.gateway import probe
from django_paiementpro.gateway.parsing import parse_json_object
from django_paiementpro.gateway.probe import ProbeReport

# The app's own answer to an unknown signature.
UNKNOWN_SIGNATURE = b"Not Found"

# In seconds. A lease lasts 5 s longer than the call that it covers, so clocks must agree to less than that.
CLOCK_TOLERANCE = 2.0

NO_ANSWER = {
    ConnectionFailure.NAME: gettext_lazy("%(host)s cannot be resolved. Correct PAIEMENTPRO_SITE_URL, or the DNS."),
    ConnectionFailure.REFUSED: gettext_lazy(
        "%(host)s refuses the connection: no server is listening there. Start it, or correct the port or the firewall."
    ),
    ConnectionFailure.TIMEOUT: gettext_lazy(
        "%(host)s does not answer in time. Check that the server is not overloaded, that it has threads or processes "
        "to spare, and that no firewall drops the connection."
    ),
    ConnectionFailure.EXPIRED: gettext_lazy("The certificate of %(host)s has expired, or is not valid yet. Renew it."),
    ConnectionFailure.SELF_SIGNED: gettext_lazy(
        "The certificate of %(host)s is self-signed, which the gateway cannot be expected to accept. Get one from a "
        "public authority, such as Let’s Encrypt."
    ),
    ConnectionFailure.CHAIN: gettext_lazy(
        "The certificate of %(host)s does not lead to a known authority: its chain is incomplete, or the authority is "
        "private. Serve the certificate together with the intermediate ones (fullchain.pem)."
    ),
    ConnectionFailure.OTHER_NAME: gettext_lazy(
        "The certificate of %(host)s is for another name. Get one for this name, or correct PAIEMENTPRO_SITE_URL."
    ),
    ConnectionFailure.TLS: gettext_lazy(
        "The TLS connection to %(host)s failed. Check that https is served on that port, with a TLS version that is "
        "still supported."
    ),
    ConnectionFailure.HUNG_UP: gettext_lazy(
        "%(host)s closes the connection without an answer. See the log of the web server or of the proxy before it."
    ),
}


def examine(target: Target) -> Iterator[Result]:
    if not target.base_url:
        yield warning(
            _("No test notification was sent, since the public URL of this site is unknown."),
            _("Set PAIEMENTPRO_SITE_URL, or run this command with --url https://example.com."),
        )
        return
    try:
        nonce, path = make_probe_path()
    except NoReverseMatch:
        return  # reported by the topic "urls"
    url = target.base_url + path
    answer = http.post(url, probe.fields_of(nonce))
    if isinstance(answer, ConnectionFailure):
        if target.is_local or answer is not ConnectionFailure.NAME:  # reported by the topic "address"
            yield failure(NO_ANSWER[answer] % {"host": target.parts.netloc})
        return
    if report := _probe_report(nonce, answer):
        yield passed(
            _("A test notification sent over the network reached the app (%(seconds).1f s, from %(address)s).")
            % {"seconds": answer.seconds, "address": report.remote_address or "?"},
            _("The server answers several requests at a time.") if report.is_multithreaded else "",
        )
        yield from _examine_server(report)
        yield from _examine_fields(report)
        yield from _examine_headers(target, report)
        yield from _examine_clock(answer, report)
        return
    yield failure(_("A test notification sent over the network did not reach the app."), *_explain(url, answer))


def _probe_report(nonce: str, answer: Answer) -> ProbeReport | None:
    if answer.status != 200:
        return None
    try:
        return ProbeReport.from_json(nonce, parse_json_object(answer.content))
    except ValueError:
        return None


def _explain(url: str, answer: Answer) -> tuple[str, ...]:
    """Return what answered instead of the app, and how to fix it."""
    if 300 <= answer.status < 400:
        return redirects.explain(url, answer.headers.get("location", ""))
    if answer.status == 404 and answer.content.strip() == UNKNOWN_SIGNATURE:
        return _unknown_signature(answer)
    if answer.status == 200 and b'type="password"' in answer.content.replace(b"'", b'"'):
        return (
            _("A login page answers instead."),
            _("Exempt the app’s URLs from the login."),
        )
    if answer.status == 403 and b"CSRF" in answer.content:
        return middleware.csrf_token_required()
    params = {"status": answer.status, "server": answer.headers.get("server", "?")[:64]}
    for statuses, what, remedy in ANSWERS:
        if answer.status in statuses:
            return (what % params, str(remedy))
    return (
        _("The answer is %(status)d (server: %(server)s), but not from the app.") % params,
        _("Find out what answers at that address: another site, the hosting company’s page, a cache or a firewall."),
    )


ANSWERS = (
    (
        {400},
        gettext_lazy("The answer is 400 (server: %(server)s)."),
        gettext_lazy("Add the requested host to ALLOWED_HOSTS, and make the proxy pass the Host header on unchanged."),
    ),
    (
        {401},
        gettext_lazy("A password is required (401, server: %(server)s)."),
        gettext_lazy("Exempt the app’s URLs from it in the web server."),
    ),
    (
        {403, 406, 429},
        gettext_lazy("It is rejected (%(status)d, server: %(server)s), probably by a firewall."),
        gettext_lazy(
            "Exempt the app’s URLs from its rules: the gateway identifies itself as an old browser, sends no cookies, "
            "and repeats the fields of the query string in the body."
        ),
    ),
    (
        {404},
        gettext_lazy(
            "The answer is 404 (server: %(server)s), but not from the app: another site or another path answers."
        ),
        gettext_lazy(
            "Check that PAIEMENTPRO_SITE_URL leads to this project, that its server has been restarted, and that "
            "FORCE_SCRIPT_NAME has any prefix that the web server adds or removes."
        ),
    ),
    (
        {405, 411, 413, 415},
        gettext_lazy(
            "The answer is %(status)d (server: %(server)s): POST requests like the gateway’s are not accepted."
        ),
        gettext_lazy("Make the web server pass POST requests on to the app."),
    ),
    (
        set(range(500, 600)),
        gettext_lazy("The answer is %(status)d (server: %(server)s): the project, or a proxy before it, has failed."),
        gettext_lazy("See their logs."),
    ),
)


def _unknown_signature(answer: Answer) -> tuple[str, ...]:
    off = 0.0 if answer.date is None else answer.date - answer.sent_at
    return (
        _("The app answers (404), but does not accept the signature."),
        _(
            "Restart the server if it runs older code or settings; check that it has the same SECRET_KEY as this "
            "command, and that it is not another installation."
        ),
        _("The clock there differs by %(seconds)d s: synchronize both with NTP.") % {"seconds": off}
        if abs(off) > 60
        else "",
    )


def _examine_server(report: ProbeReport) -> Iterator[Result]:
    if report.is_multithreaded:
        return
    yield warning(
        _("Each process of the server answers one request at a time, and customers wait for the gateway in it.")
        if report.is_multiprocess
        else _("The server answers one request at a time: while one customer waits for the gateway, all others wait."),
        _(
            "Give it threads (“gunicorn --threads 16”, “threads = 16” for uWSGI, “threads=16” for mod_wsgi), or use an "
            "ASGI server; if it has none, start more processes."
        ),
    )


def _examine_fields(report: ProbeReport) -> Iterator[Result]:
    if report.altered:
        yield failure(
            _("Fields arrive altered (%(names)s): notifications would be refused.")
            % {"names": ", ".join(report.altered)},
            _("Make proxies and firewalls pass query string and body on unchanged."),
        )
    places = [
        (_("query string"), report.missing_in_query),
        (_("body"), report.missing_in_body),
    ]
    level = failure if set(report.missing_in_query) & set(report.missing_in_body) else warning
    for place, names in places:
        if names:
            yield level(
                _("Fields of the %(place)s do not arrive: %(names)s.") % {"place": place, "names": ", ".join(names)}
                if len(names) < len(probe.fields_of(""))
                else _("The %(place)s does not arrive.") % {"place": place},
                _("Make proxies and firewalls pass query string and body on unchanged."),
            )


def _examine_headers(target: Target, report: ProbeReport) -> Iterator[Result]:
    """Compare the scheme and host that the app sees with those that were requested."""
    if report.scheme != (scheme := target.parts.scheme):
        yield warning(
            _("It was sent over %(sent)s, but the app sees %(scheme)s.") % {"sent": scheme, "scheme": report.scheme},
            _('Set SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https").')
            if report.forwarded_scheme == scheme
            else _(
                "Make the proxy send X-Forwarded-Proto with each request, and set SECURE_PROXY_SSL_HEADER = "
                '("HTTP_X_FORWARDED_PROTO", "https").'
            ),
        )
    if report.host != (host := target.authority):
        yield warning(
            _("It was sent to %(sent)s, but the app sees the host %(host)s.")
            % {"sent": host, "host": report.host or "?"},
            _("Make the proxy pass the Host header on unchanged, or set USE_X_FORWARDED_HOST = True.")
            if report.forwarded_host == host
            else _("Make the proxy pass the Host header on unchanged."),
        )


def _examine_clock(answer: Answer, report: ProbeReport) -> Iterator[Result]:
    difference = abs(report.now - answer.sent_at)
    if difference - answer.seconds > CLOCK_TOLERANCE:
        yield warning(
            _("The clock of the answering process differs from this machine’s by %(seconds).0f s.")
            % {"seconds": difference},
            _("Synchronize both with NTP."),
        )
