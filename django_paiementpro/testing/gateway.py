"""The gateway's answers, on real ``requests`` objects, and what it was asked."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote

import requests
from requests import PreparedRequest

from django_paiementpro.conf import conf
from django_paiementpro.gateway.client import INITIALIZE_PATH
from django_paiementpro.gateway.messages import PageAnswer, PageRequest
from django_paiementpro.models import Payment
from django_paiementpro.services.status import forget_silence
from django_paiementpro.testing.wire import (
    NO_TRANSACTION,
    SESSION_ID,
    changed,
    notification_of,
    page_answer,
    paid_answer,
)

try:
    import responses
except ImportError as error:
    raise ImportError(
        'django_paiementpro.testing needs "responses": pip install "django-paiementpro[testing]"'
    ) from error

PAGE_PATH = f"/webservice/onlinepayment/processing_v2.php?sessionid={SESSION_ID}"

#: What may be answered: a text, an object that is sent as JSON, or an error that is raised in place of an answer.
Body: TypeAlias = str | bytes | Mapping[str, Any] | Exception
#: A function of the request that answers it: HTTP status, headers and body.
Play: TypeAlias = Callable[[PreparedRequest], tuple[int, dict[str, str], Any]]

Outage: TypeAlias = Literal["timeout", "connection", "error", "html"]

OUTAGES: dict[Outage, tuple[Body, int]] = {
    "timeout": (requests.ReadTimeout("the gateway is away"), 0),
    "connection": (requests.ConnectionError("the gateway is away"), 0),
    "error": ("", 500),
    "html": ("<!DOCTYPE html><title>Maintenance</title>", 200),
}


class FakeGateway:
    """
    The gateway for the length of a ``with`` block: every call that your shop makes to it is answered here.

    It answers where the settings say that the gateway is, whichever that is, opens a page for whoever asks for one, and
    knows of no payment, until it is told otherwise::

        with FakeGateway() as gateway:
            gateway.refuses("ID marchand inconnu")
            response = self.client.get(payment.get_checkout_url())
        self.assertEqual(response.status_code, 502)

    For a whole ``TestCase`` write ``self.gateway = self.enterContext(FakeGateway())`` in ``setUp``; under pytest there
    is the fixture ``paiementpro_gateway``. Only the network is played, by ``responses``. Until the end of the block
    nothing that ``requests`` sends leaves the machine: what else your shop calls is for ``mock``, the
    ``responses.RequestsMock``, to answer or to let pass.
    """

    def __init__(self) -> None:
        self.mock = responses.RequestsMock(assert_all_requests_are_fired=False)
        anything = re.compile("")
        self.mock.add_callback("POST", anything, self._open, match=[_is_page_request], content_type=None)
        self.mock.add_callback("GET", anything, self._look_up, match=[_is_look_up], content_type=None)
        #: What it was asked to open pages for, in order, each with the ``amount`` (whole francs), ``reference``,
        #: ``currency_number``, ``description``, ``channel``, the ``customer_...`` data, ``notification_url``,
        #: ``return_url`` and ``return_context`` that were sent.
        self.page_requests: list[PageRequest] = []
        #: The references that the status look-up was asked about, in order.
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
        """The URL of the page that is opened: where the checkout sends the payer."""
        return conf.gateway_url + PAGE_PATH

    def opens(self, url: str | None = None) -> None:
        """Open a page for whoever asks, at ``page_url`` or at another URL. It does so from the start."""

        def play(request: PreparedRequest) -> tuple[int, dict[str, str], Any]:
            return _play(page_answer(url or self.page_url))(request)

        self.answers(play)

    def refuses(self, message: str = "Echec de l'initialisation") -> None:
        """
        Refuse to open a page, in the gateway's words (FIELD_GUIDE section 3 has those that were seen).

        The checkout answers 502 with a page that does not show them; ``services.initialize_payment`` raises
        ``GatewayRefusedError``, whose ``message`` they are.
        """
        self.answers(PageAnswer(False, True, "", message).as_json())

    def confirms(self, payment: Payment, attempt: int | None = None, **changes: Any) -> None:
        """
        Have the status look-up know a payment as paid, which is proof where merchant, reference and amount are right.

        ``come_back``, ``paiementpro_reconcile`` and ``services.check_payment`` settle by it. The attempt is the newest
        of the payment as you have it. ``changes`` are in the gateway's spelling, ``amount=1`` or None to leave one out:
        ``marchant_id``, ``pay_id``, ``reference``, ``amount``, ``channel``, ``date``, ``success``. The look-up must be
        on, as it is in the live environment: see ``PAIEMENTPRO_STATUS_URL``.
        """
        paid = notification_of(payment, attempt=attempt)
        self.tells(paid.reference, changed(paid_answer(paid), changes))

    def knows_nothing(self) -> None:
        """
        Have the status look-up know of no payment, whether it was made or not. It does so from the start.

        That proves nothing, and changes nothing: it has denied payments that were made (FIELD_GUIDE section 7).
        """
        self._known.clear()
        self._unknown = _play(NO_TRANSACTION)
        forget_silence()

    def is_away(self, how: Outage = "timeout") -> None:
        """
        Give no answer that can be used, to whatever is asked, until it opens pages again or knows something again.

        It does not answer in time (``"timeout"``), cannot be reached (``"connection"``), answers HTTP 500 with an empty
        body as it has been seen to do (``"error"``), or says something in HTML (``"html"``). The checkout answers 503
        with a page that can be tried again; ``services.initialize_payment`` raises ``GatewayUnavailableError``.
        """
        body, status = OUTAGES[how]
        self.answers(body, status)
        self._known.clear()
        self._unknown = _play(body, status)

    def answers(self, body: Body | Play, status: int = 200, content_type: str = "text/html") -> None:
        """Answer whoever asks for a page with anything at all: a body, or a function of the request."""
        self._page = body if callable(body) else _play(body, status, content_type)
        forget_silence()

    def tells(self, reference: str, body: Body | Play, status: int = 200) -> None:
        """Have the status look-up answer anything at all about one reference of the gateway's."""
        self._known[reference] = body if callable(body) else _play(body, status)
        forget_silence()

    def _open(self, request: PreparedRequest) -> tuple[int, dict[str, str], Any]:
        self.page_requests.append(PageRequest.from_json(json.loads(request.body or b"")))
        return self._page(request)

    def _look_up(self, request: PreparedRequest) -> tuple[int, dict[str, str], Any]:
        reference = unquote(str(request.url).removeprefix(f"{conf.status_url}/"))
        self.look_ups.append(reference)
        return self._known.get(reference, self._unknown)(request)


def _is_page_request(request: PreparedRequest) -> tuple[bool, str]:
    return request.url == conf.gateway_url + INITIALIZE_PATH, "this is not where the gateway opens pages"


def _is_look_up(request: PreparedRequest) -> tuple[bool, str]:
    return str(request.url).startswith(f"{conf.status_url}/"), "this is not the gateway's status look-up"


def _play(body: Body, status: int = 200, content_type: str = "text/html") -> Play:
    text = json.dumps(body, ensure_ascii=False) if isinstance(body, Mapping) else body
    return lambda request: (status, {"Content-Type": content_type}, text)
