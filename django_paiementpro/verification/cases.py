"""One payment of the verification: its page, and what arrives about it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.conf import conf
from django_paiementpro.db.connections import database
from django_paiementpro.enums import Status
from django_paiementpro.exceptions import GatewayRefusedError, GatewayUnavailableError
from django_paiementpro.gateway import client
from django_paiementpro.gateway.messages import StatusAnswer
from django_paiementpro.gateway.text import clean
from django_paiementpro.models import Observation, Payment, Verification
from django_paiementpro.services.observations import NOTIFICATION, RETURN, form_of, without_persons
from django_paiementpro.services.transactions import read_again


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait, in seconds."""

    #: Between two looks at the database.
    poll: float = 2.0
    #: Between two questions to the status service.
    look_up: float = 15.0
    #: For the payment: the gateway's page lives for five minutes.
    payment: float = 360.0
    #: For a second notification and the status service, once it is paid or refused.
    afterwards: float = 60.0


@dataclass(slots=True)
class Case:
    """A channel, empty for the choice on the gateway's page, over a transport. JSON holds the same names."""

    channel: str
    transport: str
    #: ``new``, ``waiting`` for the payer, or ``done``.
    state: str = "new"
    reference: str = ""
    #: ``opened``, ``refused`` or ``unavailable``, with the gateway's words, the host of the page, and the seconds.
    page: dict[str, Any] = field(default_factory=dict)
    #: What the status service said: each answer that differs from the one before it.
    look_ups: list[dict[str, Any]] = field(default_factory=list)
    status: str = ""
    settled_by: str = ""
    #: Seconds from the page to the settlement.
    settled_after: float | None = None
    notifications: list[dict[str, Any]] = field(default_factory=list)
    returns: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_paid(self) -> bool:
        return self.status in {Status.SUCCEEDED, Status.REFUNDED}


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays: the person who runs the command."""

    phone: str
    email: str


def open_case(case: Case, verification: Verification, payer: Payer) -> str:
    """Open a page for the case, and return its URL; an empty string if there is none."""
    payment = Payment(
        merchant_id=conf.merchant_id,
        amount=conf.min_amount,
        description="Paiement Pro: account verification",
        channel=case.channel,
        customer_email=payer.email,
        customer_first_name="Paiement",
        customer_last_name="Pro",
        customer_phone=payer.phone,
        content_object=verification,
        is_verification=True,
    )
    payment.save(force_insert=True)
    case.reference = payment.reference
    started_at, url = time.monotonic(), ""
    try:
        url = services.initialize_payment(payment, transport=case.transport)
    except GatewayRefusedError as error:
        case.page = {"outcome": "refused", "message": without_persons(clean(error.message))[:500]}
    except (GatewayUnavailableError, ImproperlyConfigured, ValidationError) as error:
        case.page = {"outcome": "unavailable", "message": _text(error)}
    else:
        case.page = {"outcome": "opened", "host": urlsplit(url).hostname}
    case.page["seconds"] = round(time.monotonic() - started_at, 1)
    case.state = "waiting" if case.page["outcome"] == "opened" else "done"
    return url


def _text(error: Exception) -> str:
    return " ".join(error.messages) if isinstance(error, ValidationError) else str(error)


def watch_case(case: Case, pace: Pace, told: Callable[[str], None]) -> None:
    """
    Wait until the payment is settled and a while longer, and note what arrives. ``told`` is called with each news.

    The page of a case that is resumed may be too old to be paid: what has arrived since is noted all the same.
    """
    payment = Payment.objects.using(database()).get(reference=case.reference)
    opened_at = payment.initialized_at or payment.created_at
    deadline = time.monotonic() + pace.payment - (timezone.now() - opened_at).total_seconds()
    next_look_up = 0.0
    is_settled = False
    try:
        while True:
            read_again(payment)
            _note(case, payment, opened_at, told)
            now = time.monotonic()
            if payment.is_final and not is_settled:
                is_settled = True
                deadline = now + pace.afterwards
            if now >= next_look_up and conf.status_url:
                _look_up(case, payment, opened_at, told)
                next_look_up = now + pace.look_up
            if now >= deadline:
                break
            time.sleep(pace.poll)
    finally:
        read_again(payment)
        _note(case, payment, opened_at, told)
    case.state = "done"


def _note(case: Case, payment: Payment, opened_at: datetime, told: Callable[[str], None]) -> None:
    """Take over what the database has about the payment."""
    observations = Observation.objects.using(database()).filter(payment=payment)
    for kind, noted in ((NOTIFICATION, case.notifications), (RETURN, case.returns)):
        for observation in list(observations.filter(kind=kind))[len(noted) :]:
            seconds = round((observation.created_at - opened_at).total_seconds(), 1)
            noted.append({"seconds": seconds, **observation.data})
            told(kind)
    if payment.status != case.status:
        case.status, case.settled_by = payment.status, payment.settled_by
        if payment.settled_at:
            case.settled_after = round((payment.settled_at - opened_at).total_seconds(), 1)
        told(payment.status)


def _look_up(case: Case, payment: Payment, opened_at: datetime, told: Callable[[str], None]) -> None:
    """Ask the status service about the payment, and note an answer that is new."""
    try:
        answer = _described(client.look_up(payment.gateway_reference), payment)
    except GatewayUnavailableError as error:
        answer = {"outcome": "unavailable", "message": str(error)}
    previous = case.look_ups[-1] if case.look_ups else {}
    if answer != {name: value for name, value in previous.items() if name != "seconds"}:
        seconds = round((timezone.now() - opened_at).total_seconds(), 1)
        case.look_ups.append({"seconds": seconds, **answer})
        told("look_up")


def _described(answer: StatusAnswer, payment: Payment) -> dict[str, Any]:
    """Return an answer by its names and forms, and whether its values are the payment's."""
    described: dict[str, Any] = {
        "outcome": "known" if answer.is_success else "unknown",
        "fields": [[name[:64], form_of(str(value))] for name, value in sorted(answer.data.items())],
    }
    if answer.is_success:
        described["matches"] = {
            "merchant": answer.merchant_id == payment.merchant_id,
            "reference": answer.reference == payment.gateway_reference,
            "amount": answer.amount == payment.amount,
        }
        described["channel"] = answer.channel[:32]
    return described
