"""What the gateway says, where it is to be asked: for a page that nobody pays, and about an unknown reference."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from django_paiementpro import signing
from django_paiementpro.conf import conf
from django_paiementpro.doctor.findings import Finding, failure, passed, warning
from django_paiementpro.doctor.stack import probe_path
from django_paiementpro.doctor.visits import Visit
from django_paiementpro.exceptions import GatewayRefusedError, GatewayUnavailableError
from django_paiementpro.gateway import client
from django_paiementpro.gateway.messages import PageRequest
from django_paiementpro.models import generate_reference


def findings(visit: Visit) -> Iterator[Finding]:
    if visit.asks_gateway:
        yield from _page_findings(visit)
        yield from _status_findings()


def _page_findings(visit: Visit) -> Iterator[Finding]:
    try:
        request = _page_request(visit)
    except NoReverseMatch:
        return  # told already
    name = {"gateway": urlsplit(conf.gateway_url).netloc}
    try:
        url = client.open_page(request)
    except GatewayRefusedError as error:
        yield failure(
            _("The gateway (%(gateway)s) refuses a page: “%(message)s”.") % {**name, "message": error.message},
            _(
                "See that PAIEMENTPRO_MERCHANT_ID is this gateway’s: a merchant of the sandbox is none in "
                'PAIEMENTPRO_ENVIRONMENT = "live", and the other way round.'
            ),
        )
    except GatewayUnavailableError as error:
        yield failure(
            _("The gateway (%(gateway)s) gives no page: %(error)s.") % {**name, "error": error}, _remedy(error)
        )
    else:
        yield passed(
            _("The gateway (%(gateway)s) opens pages, on %(host)s.") % {**name, "host": urlsplit(url).hostname}
        )


def _page_request(visit: Visit) -> PageRequest:
    """Return what asks for a page of the smallest amount. Nobody is sent there: nothing is debited."""
    base = visit.base_url or "https://example.com"
    reference = generate_reference()
    return PageRequest(
        merchant_id=conf.merchant_id,
        amount=conf.min_amount,
        description="paiementpro_doctor",
        channel="",
        currency_number=conf.currencies[conf.currency],
        reference=reference,
        customer_email="doctor@example.com",
        customer_first_name="Paiementpro",
        customer_last_name="Doctor",
        customer_phone="2250700000000",
        notification_url=base + probe_path()[1],
        return_url=base + reverse("paiementpro:return", args=[signing.sign(reference, signing.RETURN)]),
    )


def _status_findings() -> Iterator[Finding]:
    if not conf.status_url:
        yield passed(_("The status look-up is off."))
        return
    name = {"service": urlsplit(conf.status_url).netloc}
    try:
        answer = client.look_up(generate_reference())
    except GatewayUnavailableError as error:
        yield warning(
            _("The status look-up (%(service)s) gives no answer: %(error)s.") % {**name, "error": error},
            _remedy(error),
            _("Until then notifications alone settle payments."),
        )
        return
    if answer.is_success:
        yield failure(
            _("The status look-up (%(service)s) knows a payment that nobody has made: it would have anything paid.")
            % name,
            _("Correct PAIEMENTPRO_STATUS_URL, or set it to None."),
        )
    else:
        yield passed(
            _("The status look-up (%(service)s) answers: “%(message)s”.")
            % {**name, "message": answer.data.get("error", "")}
        )


def _remedy(error: GatewayUnavailableError) -> str:
    """Return what to do, by what lies beneath: the gateway's answer, or the error of a connection that had none."""
    kind = type(error.__cause__).__name__
    if "Timeout" in kind:
        return _("See whether a firewall drops what goes out of this machine; try again in some minutes.")
    if kind == "SSLError":
        return _("Bring the certificates of this machine up to date, and see what stands between it and the gateway.")
    if kind in {"ConnectionError", "ProxyError"}:
        return _("See whether this machine may go out to the Internet, and the gateway’s name is known to it.")
    return _("See PAIEMENTPRO_GATEWAY_URL and PAIEMENTPRO_ALLOWED_REDIRECT_HOSTS; else it is for the gateway to mend.")
