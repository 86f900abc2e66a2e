"""A notification that the site sends to itself over the real network, and what becomes of it on the way."""

from collections.abc import Iterator

from django.urls import NoReverseMatch
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_paiementpro.doctor import redirects, stack, wire
from django_paiementpro.doctor.clocks import compare
from django_paiementpro.doctor.findings import Finding, failure, passed, warning
from django_paiementpro.doctor.visits import Visit
from django_paiementpro.doctor.wire import Answer, Trouble
from django_paiementpro.gateway import probe
from django_paiementpro.gateway.parsing import parse_json_object
from django_paiementpro.gateway.probe import ProbeReport

# What the app answers to a stranger.
STRANGERS_ANSWER = b"Not Found"

NO_ANSWER = {
    Trouble.NAME: gettext_lazy("The name %(host)s is not known here. Correct PAIEMENTPRO_SITE_URL, or the DNS."),
    Trouble.REFUSED: gettext_lazy(
        "%(host)s refuses the connection: no server listens there. Start it, or correct the port and the firewall."
    ),
    Trouble.TIMEOUT: gettext_lazy(
        "%(host)s does not answer in time. Look at whether the server is busy with something else, whether it has "
        "threads or processes to spare, and whether a firewall drops what comes."
    ),
    Trouble.EXPIRED: gettext_lazy("The certificate of %(host)s has expired, or is not valid yet. Renew it."),
    Trouble.SELF_SIGNED: gettext_lazy(
        "The certificate of %(host)s is signed by itself, which the gateway does not trust. Get one of a public "
        "authority, such as Let’s Encrypt."
    ),
    Trouble.CHAIN: gettext_lazy(
        "The certificate of %(host)s leads to no authority that is known here: its chain is incomplete, or the "
        "authority is a private one. Serve the certificate with its intermediate ones (fullchain.pem)."
    ),
    Trouble.OTHER_NAME: gettext_lazy(
        "The certificate of %(host)s is for another name. Get one for this name, or correct PAIEMENTPRO_SITE_URL."
    ),
    Trouble.TLS: gettext_lazy(
        "No TLS connection to %(host)s can be made. Look at whether it is https that is spoken at that port, and in a "
        "version that is still in use."
    ),
    Trouble.HUNG_UP: gettext_lazy(
        "%(host)s hangs up without an answer. See the log of the web server, or of the proxy before it."
    ),
}


def findings(visit: Visit) -> Iterator[Finding]:
    if not visit.base_url:
        yield warning(
            _("No notification has been sent to oneself, as nothing tells the site’s public base."),
            _("Set PAIEMENTPRO_SITE_URL, or call this command with --url https://example.com."),
        )
        return
    try:
        nonce, path = stack.probe_path()
    except NoReverseMatch:
        return  # told already
    url = visit.base_url + path
    answer = wire.post(url, probe.fields_of(nonce))
    if isinstance(answer, Trouble):
        if visit.is_local or answer is not Trouble.NAME:  # told already
            yield failure(NO_ANSWER[answer] % {"host": visit.parts.netloc})
        return
    if sighting := _sighting(nonce, answer):
        yield passed(
            _(
                "A notification sent to oneself over the network was recognised (%(seconds).1f s; it came from "
                "%(address)s)."
            )
            % {"seconds": answer.seconds, "address": sighting.remote_address or "?"}
        )
        yield from _way_findings(visit, sighting)
        yield from compare(
            _("The clock of the answering process"), sighting.now - answer.sent_at, uncertainty=answer.seconds
        )
        return
    yield failure(_("A notification sent to oneself over the network was not recognised."), *_explain(url, answer))


def _sighting(nonce: str, answer: Answer) -> ProbeReport | None:
    if answer.status != 200:
        return None
    try:
        return ProbeReport.from_json(nonce, parse_json_object(answer.content))
    except ValueError:
        return None


def _explain(url: str, answer: Answer) -> tuple[str, ...]:
    """Say who has answered in the app's place, and what to do about it."""
    if 300 <= answer.status < 400:
        return redirects.explain(url, answer.headers.get("location", ""))
    if answer.status == 404 and answer.content.strip() == STRANGERS_ANSWER:
        return _unknown_signature(answer)
    if answer.status == 200 and b'type="password"' in answer.content.replace(b"'", b'"'):
        return (
            _("A login page is shown in its place."),
            _("Exempt the app’s URLs from the login."),
        )
    if answer.status == 403 and b"CSRF" in answer.content:
        return stack.token_asked_for()
    shown = {"status": answer.status, "server": answer.headers.get("server", "?")[:64]}
    for statuses, what, remedy in ANSWERS:
        if answer.status in statuses:
            return (what % shown, str(remedy))
    return (
        _("The answer is %(status)d (server: %(server)s), and not the app’s.") % shown,
        _("See who answers at that address: another site, a page of the hosting, a cache or a firewall."),
    )


ANSWERS = (
    (
        {400},
        gettext_lazy("The answer is 400 (server: %(server)s)."),
        gettext_lazy(
            "Add the host that the app is asked for to ALLOWED_HOSTS, and have the proxy pass the Host header on as it "
            "came."
        ),
    ),
    (
        {401},
        gettext_lazy("A password is asked for (401, server: %(server)s)."),
        gettext_lazy("Exempt the app’s URLs from it in the web server."),
    ),
    (
        {403, 406, 429},
        gettext_lazy("It is turned away (%(status)d, server: %(server)s): by a firewall, as it seems."),
        gettext_lazy(
            "Exempt the app’s URLs from its rules: the gateway is an old browser by its name, has no cookies, and "
            "sends the same fields in query and body."
        ),
    ),
    (
        {404},
        gettext_lazy(
            "The answer is 404 (server: %(server)s), and not the app’s: another site or another path answers."
        ),
        gettext_lazy(
            "See that PAIEMENTPRO_SITE_URL leads to this project, that its server has been restarted, and that a "
            "prefix that the web server takes off or adds is in FORCE_SCRIPT_NAME."
        ),
    ),
    (
        {405, 411, 413, 415},
        gettext_lazy("The answer is %(status)d (server: %(server)s): a POST such as the gateway’s is not taken."),
        gettext_lazy("Have the web server pass POST requests on to the app."),
    ),
    (
        set(range(500, 600)),
        gettext_lazy(
            "The answer is %(status)d (server: %(server)s): the project or the proxy before it is out of order."
        ),
        gettext_lazy("See their logs."),
    ),
)


def _unknown_signature(answer: Answer) -> tuple[str, ...]:
    off = 0.0 if answer.date is None else answer.date - answer.sent_at
    return (
        _("The app answers there (404), but does not know the signature."),
        _(
            "Restart the server where its code or settings are older than these; see that it has the same SECRET_KEY "
            "as this command, and that it is not another installation."
        ),
        _("The clock there differs by %(seconds)d s: set both by NTP.") % {"seconds": off} if abs(off) > 60 else "",
    )


def _way_findings(visit: Visit, sighting: ProbeReport) -> Iterator[Finding]:
    """Say what the way has changed."""
    yield from _field_findings(sighting)
    if sighting.scheme != visit.parts.scheme:
        yield _scheme_finding(visit, sighting)
    if sighting.host != visit.authority:
        yield _host_finding(visit, sighting)


def _field_findings(sighting: ProbeReport) -> Iterator[Finding]:
    if sighting.altered:
        yield failure(
            _("Fields arrive altered (%(names)s): notifications would be refused.")
            % {"names": ", ".join(sighting.altered)},
            _("Have proxies and firewalls pass query and body on as they came."),
        )
    places = [
        (_("query string"), sighting.missing_in_query),
        (_("body"), sighting.missing_in_body),
    ]
    lost = [(place, names) for place, names in places if names]
    verdict = failure if set(sighting.missing_in_query) & set(sighting.missing_in_body) else warning
    for place, names in lost:
        yield verdict(
            _("Fields of the %(place)s do not arrive: %(names)s.") % {"place": place, "names": ", ".join(names)}
            if len(names) < len(probe.fields_of(""))
            else _("The %(place)s does not arrive.") % {"place": place},
            _("Have proxies and firewalls pass query and body on as they came."),
        )


def _scheme_finding(visit: Visit, sighting: ProbeReport) -> Finding:
    shown = {"scheme": sighting.scheme, "sent": visit.parts.scheme}
    if sighting.forwarded_scheme == visit.parts.scheme:
        remedy = _('Write SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https").')
    else:
        remedy = _(
            "Have the proxy send X-Forwarded-Proto with each request, and write SECURE_PROXY_SSL_HEADER = "
            '("HTTP_X_FORWARDED_PROTO", "https").'
        )
    return warning(_("It was sent by %(sent)s, and the app takes it for %(scheme)s.") % shown, remedy)


def _host_finding(visit: Visit, sighting: ProbeReport) -> Finding:
    shown = {"host": sighting.host or "?", "sent": visit.authority}
    if sighting.forwarded_host == visit.authority:
        remedy = _("Have the proxy pass the Host header on as it came, or write USE_X_FORWARDED_HOST = True.")
    else:
        remedy = _("Have the proxy pass the Host header on as it came.")
    return warning(_("It was sent to %(sent)s, and the app takes itself for %(host)s.") % shown, remedy)
