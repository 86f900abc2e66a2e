"""A gateway that answers with real ``requests`` objects, and records its requests."""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote
from xml.etree.ElementTree import fromstring  # of the app's own XML  # nosec B405

import requests
from requests import PreparedRequest

from django_paiementpro.conf import conf
from django_paiementpro.gateway.envelopes import PAGE_PATH, SOAP_PATH, write_answer
from django_paiementpro.gateway.json import INITIALIZE_PATH
from django_paiementpro.gateway.messages import (
    SESSION_OPENED_CODE,
    Notification,
    PageAnswer,
    PageRequest,
    StatusAnswer,
)
from django_paiementpro.models import Payment
from django_paiementpro.phones import normalize_phone
from django_paiementpro.services.status import forget_silence
from django_paiementpro.testing.notifications import SESSION_ID, changed, notification_of

try:
    import responses
except ImportError as error:
    raise ImportError(
        'django_paiementpro.testing needs "responses": pip install "django-paiementpro[testing]"'
    ) from error

#: The code of a refusal over SOAP: an error during the initialization.
SOAP_REFUSAL_CODE = "-1"

#: The status look-up's answer for a payment that it does not know, or has not seen paid.
NO_TRANSACTION = StatusAnswer.from_json({}).as_json()

#: The body of an answer: a text, an object to be written as JSON (or as SOAP), or an exception to raise.
Body: TypeAlias = str | bytes | Mapping[str, Any] | Exception
#: A function of the request that returns HTTP status, headers and body.
Play: TypeAlias = Callable[[PreparedRequest], tuple[int, dict[str, str], Any]]

Outage: TypeAlias = Literal["timeout", "connection", "error", "html"]

OUTAGES: dict[Outage, tuple[Body, int]] = {
    "timeout": (requests.ReadTimeout("the gateway is unavailable"), 0),
    "connection": (requests.ConnectionError("the gateway is unavailable"), 0),
    "error": ("", 500),
    "html": ("<!DOCTYPE html><title>Maintenance</title>", 200),
}


class FakeGateway:
    """
    A replacement for the gateway during a ``with`` block.

    It answers all requests to the gateway of your settings, over the transport of your settings, JSON or SOAP. At first
    it opens pages and knows no payment. Change that with its methods::

        with FakeGateway() as gateway:
            gateway.refuses("ID marchand inconnu")
            response = self.client.get(payment.get_checkout_url())
        self.assertEqual(response.status_code, 502)

    In a ``TestCase`` write ``self.gateway = self.enterContext(FakeGateway())`` in ``setUp``; for pytest there is the
    fixture ``paiementpro_gateway``. Only the network is faked, with ``responses``: during the block no request of the
    ``requests`` library leaves the machine. Use ``mock``, the ``responses.RequestsMock``, for other services.
    """

    def __init__(self) -> None:
        self.mock = responses.RequestsMock(assert_all_requests_are_fired=False)
        anything = re.compile("")
        self.mock.add_callback("POST", anything, self._open, match=[_is_page_request], content_type=None)
        self.mock.add_callback("GET", anything, self._look_up, match=[_is_look_up], content_type=None)
        #: The requests for payment pages, in order, each with ``amount`` (whole francs), ``reference``,
        #: ``currency_number``, ``description``, ``channel``, the ``customer_...`` data, ``notification_url``,
        #: ``return_url`` and ``return_context``.
        self.page_requests: list[PageRequest] = []
        #: The references of the status look-ups, in order.
        self.look_ups: list[str] = []
        self._known: dict[str, Play] = {}
        self.opens()
        self.knows_nothing()

    def __enter__(self) -> "FakeGateway":  # noqa: PYI034  Self is of Python 3.11
        self.mock.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.mock.stop(allow_assert=False)

    @property
    def page_url(self) -> str:
        """The URL of the payment page, which the checkout redirects to."""
        return f"{conf.gateway_url}{PAGE_PATH}?sessionid={SESSION_ID}"

    def opens(self, url: str | None = None) -> None:
        """
        Open pages at ``page_url``, or at another URL. This is the default.

        Over SOAP the gateway gives a session id only, so of the URL only what follows ``sessionid=`` is used.
        """

        def play(request: PreparedRequest) -> tuple[int, dict[str, str], Any]:
            return _play(page_answer(url or self.page_url))(request)

        self.answers(play)

    def refuses(self, message: str = "Echec de l'initialisation") -> None:
        """
        Refuse to open a page, with a message of the gateway (see "What is known of the gateway").

        The checkout answers 502 with a page that does not show it; ``services.initialize_payment`` raises
        ``GatewayRefusedError`` with this ``message``.
        """
        self.answers(PageAnswer(False, True, "", message).as_json())

    def confirms(self, payment: Payment, attempt: int | None = None, **changes: Any) -> None:
        """
        Confirm a payment in the status look-up, which is proof if merchant, reference and amount match.

        ``come_back``, ``paiementpro_reconcile`` and ``services.check_payment`` then settle it. The attempt is the
        newest of your instance by default. ``changes`` override fields in the gateway's spelling, None removes one:
        ``marchant_id``, ``pay_id``, ``reference``, ``amount``, ``channel``, ``date``, ``success``. The look-up must be
        on, as it is in the live environment: see ``PAIEMENTPRO_STATUS_URL``.
        """
        paid = notification_of(payment, attempt=attempt)
        self.tells(paid.reference, changed(paid_answer(paid), changes))

    def knows_nothing(self) -> None:
        """
        Answer every status look-up with "no transaction". This is the default.

        That proves nothing and changes nothing, since the real look-up has denied payments that were made (see "What is
        known of the gateway").
        """
        self._known.clear()
        self._unknown = _play(NO_TRANSACTION)
        forget_silence()

    def is_away(self, how: Outage = "timeout") -> None:
        """
        Give no usable answer to any request, until ``opens()`` or ``confirms()`` is called.

        It times out (``"timeout"``), refuses connections (``"connection"``), answers HTTP 500 with an empty body
        (``"error"``, which has been seen), or answers with HTML (``"html"``). The checkout answers 503 with a page that
        can be retried; ``services.initialize_payment`` raises ``GatewayUnavailableError``.
        """
        body, status = OUTAGES[how]
        self.answers(body, status)
        self._known.clear()
        self._unknown = _play(body, status)

    def answers(self, body: Body | Play, status: int = 200, content_type: str = "text/html") -> None:
        """
        Answer requests for a page with any body, or with the result of a function of the request.

        An object is written as JSON or, over SOAP, as the envelope that says the same.
        """
        self._page = body if callable(body) else _play(body, status, content_type)
        forget_silence()

    def tells(self, reference: str, body: Body | Play, status: int = 200) -> None:
        """Answer the status look-up of one reference with any body or function."""
        self._known[reference] = body if callable(body) else _play(body, status)
        forget_silence()

    def _open(self, request: PreparedRequest) -> tuple[int, dict[str, str], Any]:
        is_soap = request.url == conf.gateway_url + SOAP_PATH
        content = request.body or b""
        self.page_requests.append(_read_envelope(content) if is_soap else PageRequest.from_json(json.loads(content)))
        status, headers, body = self._page(request)
        return status, headers, _envelope(body) if is_soap and isinstance(body, Mapping) else _encoded(body)

    def _look_up(self, request: PreparedRequest) -> tuple[int, dict[str, str], Any]:
        reference = unquote(str(request.url).removeprefix(f"{conf.status_url}/"))
        self.look_ups.append(reference)
        status, headers, body = self._known.get(reference, self._unknown)(request)
        return status, headers, _encoded(body)


def _is_page_request(request: PreparedRequest) -> tuple[bool, str]:
    urls = {conf.gateway_url + INITIALIZE_PATH, conf.gateway_url + SOAP_PATH}
    return request.url in urls, "not the URL for payment pages"


def _is_look_up(request: PreparedRequest) -> tuple[bool, str]:
    return str(request.url).startswith(f"{conf.status_url}/"), "not the URL of the status look-up"


def _play(body: Body, status: int = 200, content_type: str = "text/html") -> Play:
    return lambda request: (status, {"Content-Type": content_type}, body)


def _encoded(body: Body) -> str | bytes | Exception:
    return json.dumps(body, ensure_ascii=False) if isinstance(body, Mapping) else body


def _envelope(answer: Mapping[str, Any]) -> bytes:
    """Return the SOAP answer that says the same as an answer in JSON."""
    session_id = str(answer.get("url", "")).partition("sessionid=")[2]
    if answer.get("success") is True:
        return write_answer(SESSION_OPENED_CODE, "SUCCESS", session_id)
    return write_answer(SOAP_REFUSAL_CODE, answer.get("message") or answer.get("error", ""), None)


def _read_envelope(content: str | bytes) -> PageRequest:
    """Read the app's own request."""
    [request] = fromstring(content).iter("request")  # noqa: S314  the app's own  # nosec B314
    fields = {field.tag: field.text or "" for field in request}
    request_fields = {**fields, "amount": int(fields["amount"])}
    msisdn = fields["customerPhoneNumber"]
    with suppress(ValueError):
        request_fields["customerPhoneNumber"] = normalize_phone(f"+{msisdn}")
    return replace(PageRequest.from_json(request_fields), customer_msisdn=msisdn)


def page_answer(url: str) -> dict[str, Any]:
    """Return the gateway's answer with a page."""
    return PageAnswer(True, False, url, "Initialisation effectuée avec succès").as_json()


def paid_answer(paid: Notification) -> dict[str, Any]:
    """Return the status look-up's answer for a payment that was notified."""
    return StatusAnswer(
        is_success=True,
        merchant_id=paid.merchant_id,
        reference=paid.reference,
        amount=paid.amount,
        gateway_id=paid.gateway_id,
        channel=paid.channel,
        transaction_date=paid.transaction_date,
        data={},
    ).as_json()
