"""The gateway's answers to a request for a page, which is never paid, and to an unknown reference."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from django.urls import NoReverseMatch
from django.utils.translation import gettext as _

from django_paiementpro import signing
from django_paiementpro.conf import conf
from django_paiementpro.doctor.results import Result, failure, passed, warning
from django_paiementpro.doctor.routing import make_probe_path
from django_paiementpro.doctor.target import Target
from django_paiementpro.exceptions import GatewayRefusedError, GatewayUnavailableError
from django_paiementpro.gateway import client
from django_paiementpro.gateway.messages import PageRequest
from django_paiementpro.models import generate_reference

TRANSPORT_NAMES = {"json": "JSON", "soap": "SOAP"}


def examine(target: Target) -> Iterator[Result]:
    if target.asks_gateway:
        yield from _examine_page(target)
        yield from _examine_status_service()


def _examine_page(target: Target) -> Iterator[Result]:
    try:
        request = _page_request(target)
    except NoReverseMatch:
        return  # reported by the topic "urls"
    params = {
        "gateway": urlsplit(conf.gateway_url).netloc,
        "transport": TRANSPORT_NAMES.get(conf.transport, conf.transport),
    }
    try:
        url = client.open_page(request)
    except GatewayRefusedError as error:
        yield failure(
            _("The gateway (%(gateway)s, %(transport)s) refuses to open a payment page: “%(message)s”.")
            % {**params, "message": error.message},
            _(
                "Check that PAIEMENTPRO_MERCHANT_ID is right, and that the merchant account belongs to "
                "PAIEMENTPRO_ENVIRONMENT."
            ),
        )
    except GatewayUnavailableError as error:
        yield failure(
            _("The gateway (%(gateway)s, %(transport)s) opens no payment page: %(error)s.")
            % {**params, "error": error},
            _remedy(error),
        )
    else:
        yield passed(
            _("The gateway (%(gateway)s, %(transport)s) opens payment pages, on %(host)s.")
            % {**params, "host": urlsplit(url).hostname}
        )


def _page_request(target: Target) -> PageRequest:
    """Return a request for a page of the smallest amount. It is never visited, so nothing is debited."""
    base = target.base_url or "https://example.com"
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
        notification_url=base + make_probe_path()[1],
        return_url=base + signing.path_of(signing.RETURN, signing.sign(reference, signing.RETURN)),
    )


def _examine_status_service() -> Iterator[Result]:
    if not conf.status_url:
        yield passed(_("The status look-up is off."))
        return
    params = {"service": urlsplit(conf.status_url).netloc}
    try:
        answer = client.look_up(generate_reference())
    except GatewayUnavailableError as error:
        yield warning(
            _("The status look-up (%(service)s) does not answer: %(error)s.") % {**params, "error": error},
            _remedy(error),
            _("Until then only notifications settle payments."),
        )
        return
    if answer.is_success:
        yield failure(
            _("The status look-up (%(service)s) confirms a payment that does not exist: it would confirm any payment.")
            % params,
            _("Correct PAIEMENTPRO_STATUS_URL, or set it to None."),
        )
    else:
        yield passed(
            _("The status look-up (%(service)s) answers: “%(message)s”.")
            % {**params, "message": answer.data.get("error", "")}
        )


def _remedy(error: GatewayUnavailableError) -> str:
    """Return how to fix an error, by the class of its cause."""
    kind = type(error.__cause__).__name__
    if "Timeout" in kind:
        return _("Check whether a firewall blocks outgoing connections, and try again in a few minutes.")
    if kind == "SSLError":
        return _("Update this machine’s CA certificates, and check whether a proxy intercepts https.")
    if kind in {"ConnectionError", "ProxyError"}:
        return _("Check that this machine can reach the Internet and resolve the gateway’s name.")
    return _("Check PAIEMENTPRO_GATEWAY_URL and PAIEMENTPRO_ALLOWED_REDIRECT_HOSTS; else only the gateway can fix it.")
