"""Request a payment page from the gateway: concurrent callers share one page."""

import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from itertools import takewhile
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.http import HttpRequest
from django.urls import get_script_prefix
from django.utils import timezone
from django.utils.encoding import iri_to_uri
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from django_paiementpro import log
from django_paiementpro.conf import conf
from django_paiementpro.db import sql
from django_paiementpro.db.connections import database
from django_paiementpro.enums import Kind, Outcome, Status
from django_paiementpro.exceptions import (
    GatewayBusyError,
    GatewayError,
    GatewayRefusedError,
    GatewayUnavailableError,
    TooManyRefusalsError,
)
from django_paiementpro.gateway import client
from django_paiementpro.gateway.messages import PageRequest
from django_paiementpro.models import Payment
from django_paiementpro.phones import normalize_phone, parse_phone
from django_paiementpro.services.bulkhead import Bulkhead, breaker_of
from django_paiementpro.services.leases import CLOCK_SKEW, acquire, is_held, release
from django_paiementpro.services.pages import is_page_up_to_date, page_digest
from django_paiementpro.services.rules import Decision
from django_paiementpro.services.transactions import Fit, commit, existing, next_date, outside_transactions, read_again
from django_paiementpro.services.transitions import (
    expect_personal_data,
    fitted,
    has_new_keys,
    insert_event,
    is_one_statement,
    new_event,
)
from django_paiementpro.services.validation import clean_sent_fields

POLL_SECONDS = 0.1

# A customer who has failed this often will not succeed, and each attempt is one more reference to look up.
MAX_ATTEMPTS = 999

# How many tries in a row may bring no page before a pause; and how many more, if the data were corrected in between.
FREE_TRIES = 2
FREE_CORRECTIONS = 4

# How long to wait after those, in seconds: doubled with each try, up to a bound.
FIRST_PAUSE = 15
LONGEST_PAUSE_REFUSED = 15 * 60
LONGEST_PAUSE_UNAVAILABLE = 30

# How many tries it takes to reach the longest pause, whatever was corrected.
TRIES_TO_COUNT = FREE_TRIES + FREE_CORRECTIONS + 7

BUSY = "enough requests are waiting for the gateway"

# What a failed attempt leaves behind, undone when the payment is taken to the gateway again.
UNSETTLED: dict[str, Any] = {
    "settled_by": "",
    "settled_at": None,
    "settled_attempt": None,
    "gateway_id": "",
    "gateway_key": "",
    "gateway_channel": "",
    "transaction_date": None,
    "response_code": "",
    "response_message": "",
}

_bulkhead = Bulkhead()


@contextmanager
def gateway_place() -> Iterator[None]:
    """
    Take one of this process's places for requests that wait for the gateway. Raises ``GatewayBusyError``.

    Each of them holds a thread and a database connection: without a bound, a slow gateway would stop the whole site.
    """
    with _bulkhead.enter(conf.api_gateway_calls) as is_free:
        if not is_free:
            raise GatewayBusyError(BUSY)
        yield


@sensitive_variables()
@outside_transactions
def initialize_payment(
    payment: Payment,
    request: HttpRequest | None = None,
    *,
    is_current: bool = False,
    has_place: bool = False,
    transport: str = "",
) -> str:
    """
    Request a payment page from the gateway, and return the URL to send the customer to.

    A page that is still fresh is returned again. If several callers ask at once, one of them asks the gateway, and all
    return its page; one call opens at most one page. Without ``PAIEMENTPRO_SITE_URL``, the URLs sent to the gateway
    take their host from the request. Raises ``ValidationError`` if the payment is invalid or can no longer be
    paid (code ``not_payable``), ``GatewayRefusedError``, and ``GatewayUnavailableError``, after which the caller may
    try again; this includes ``GatewayBusyError``. After several refusals in a row, the gateway is not asked for a
    while: ``TooManyRefusalsError`` says for how long. Pass ``is_current=True`` if you have just read the payment, and
    ``has_place=True`` if you hold one of the places of ``PAIEMENTPRO_API_GATEWAY_CALLS``. ``transport`` overrides
    ``PAIEMENTPRO_TRANSPORT``.
    """
    if not is_current and (_fresh_page(payment) or not Status(payment.status).is_payable):
        read_again(payment)  # it may have been paid or cancelled since, or that was rolled back
    if page := _fresh_page(payment):
        return page
    while True:
        page_request = _page_request(payment, request)
        _require_patience(payment, page_request)
        with breaker_of(conf.gateway_url).enter() as may_wait:
            if not may_wait:
                raise GatewayUnavailableError("the gateway does not answer, and another thread is waiting for it")
            with nullcontext() if has_place else gateway_place():
                if acquire(payment):
                    return _open_page(payment, page_request, transport)
            if page := _await_other_lease(payment):
                return page


def _fresh_page(payment: Payment) -> str:
    """Return the page if it may be offered again, else an empty string. That of a failed payment may not."""
    now = timezone.now()
    is_fresh = (
        payment.status == Status.PENDING
        and payment.initialized_at is not None
        # A page opened in the future was opened by a clock that has been set back since.
        and now - conf.session_lifetime < payment.initialized_at <= now + CLOCK_SKEW
        and is_page_up_to_date(payment)
    )
    return payment.payment_url if is_fresh else ""


def _open_page(payment: Payment, page_request: PageRequest, transport: str) -> str:
    """Ask the gateway for a page under a lease. The attempt is counted: its reference is never sent again."""
    asked_at = time.monotonic()
    try:
        url = breaker_of(conf.gateway_url).call(partial(client.open_page, page_request, transport))
    except GatewayError as error:
        _record_no_page(payment, page_request, error, time.monotonic() - asked_at)
        read_again(payment)
        require_payable(payment)  # paid or cancelled in the meantime: there must be no second try
        raise
    except BaseException:
        release(payment, payment.attempt)
        raise
    if _record_page(payment, page_request, url, time.monotonic() - asked_at):
        return url
    read_again(payment)
    require_payable(payment)
    # Another process has opened a newer page, since this call took longer than its lease.
    if page := _fresh_page(payment):
        return page
    raise GatewayUnavailableError("the page came too late to be used")


def require_payable(payment: Payment) -> None:
    """Raise ``ValidationError`` (code ``not_payable``) if the payment can no longer be paid."""
    if not Status(payment.status).is_payable:
        raise ValidationError(_("This payment can no longer be paid."), code="not_payable")


def _page_request(payment: Payment, request: HttpRequest | None) -> PageRequest:
    """Return the request to the gateway for the next attempt. Raises ``ValidationError``."""
    require_payable(payment)
    base = _base_url(request)  # may raise: before any signed URL is in a local variable
    if payment.attempt >= MAX_ATTEMPTS:
        raise ValidationError(_("This payment has been tried too often."), code="too_many_attempts")
    clean_sent_fields(payment)
    return PageRequest(
        merchant_id=payment.merchant_id,
        amount=payment.amount,
        description=payment.description,
        channel=payment.channel,
        currency_number=conf.currencies[payment.currency],
        reference=payment.reference_of(payment.attempt + 1),
        customer_email=payment.customer_email,
        customer_first_name=payment.customer_first_name,
        customer_last_name=payment.customer_last_name,
        customer_phone=normalize_phone(payment.customer_phone, payment.channel, payment.gateway_channel),
        notification_url=base + payment.get_notification_url(),
        return_url=base + payment.get_return_url(),
        return_context=payment.return_context,
        customer_msisdn=parse_phone(payment.customer_phone, payment.channel, payment.gateway_channel).removeprefix("+"),
    )


def _require_patience(payment: Payment, page_request: PageRequest) -> None:
    """
    Raise the error of the last try again, if too many consecutive tries failed and the pause is not over.

    Tries with the same data count. A few with other data are allowed, not more: a customer could alternate two numbers.
    """
    if payment.attempt <= FREE_TRIES:
        return
    newest_first = payment.events.using(database()).filter(kind=Kind.INITIALIZE).order_by("-pk")[:TRIES_TO_COUNT]
    tries = list(takewhile(lambda event: event.outcome != Outcome.ACCEPTED, newest_first))
    data = _data_of(page_request.for_audit())
    same = sum(1 for _event in takewhile(lambda event: _data_of(event.data) == data, tries))
    excess = max(same, len(tries) - FREE_CORRECTIONS) - FREE_TRIES
    if excess <= 0:
        return
    last = tries[0]
    is_refused = last.outcome == Outcome.REFUSED
    longest = LONGEST_PAUSE_REFUSED if is_refused else LONGEST_PAUSE_UNAVAILABLE
    pause = timedelta(seconds=min(FIRST_PAUSE * 2 ** (excess - 1), longest))
    remaining = last.created_at + pause - timezone.now()
    # A try in the future was made by a clock that has been set back since.
    if not timedelta(0) < remaining <= pause + CLOCK_SKEW:
        return
    if is_refused:
        raise TooManyRefusalsError(last.message, math.ceil(remaining.total_seconds()))
    raise GatewayUnavailableError("the gateway gave no answer a moment ago")


def _data_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was sent to the gateway about a payment, without the number of the attempt."""
    return {name: value for name, value in fields.items() if name != "referenceNumber"}


def absolute_url(path: str, request: HttpRequest | None) -> str:
    """
    Return the public URL of a path.

    Without ``PAIEMENTPRO_SITE_URL`` the host is the request's, by https and without a port: Django checks the host of
    the request, not its port. With DEBUG, scheme and port are the request's.
    """
    return _base_url(request) + path


def _base_url(request: HttpRequest | None) -> str:
    """Return the base URL for a path that Django has reversed in this thread."""
    prefix = ""
    if request is not None and get_script_prefix() == "/" and not settings.FORCE_SCRIPT_NAME:
        # The request belongs to another thread, where Django keeps its prefix.
        prefix = iri_to_uri(request.META.get("SCRIPT_NAME", "").rstrip("/"))
    if conf.site_url:
        return conf.site_url + prefix
    if request is None:
        raise ImproperlyConfigured(
            'PAIEMENTPRO_SITE_URL: write the public base of this site, like "https://example.com": '
            "without a request nothing else tells it"
        )
    if settings.DEBUG:
        return f"{request.scheme}://{request.get_host()}{prefix}"
    return f"https://{re.sub(':[0-9]+$', '', request.get_host())}{prefix}"


def _await_other_lease(payment: Payment) -> str:
    """
    Wait while another process asks for the page, and return it, or an empty string if this process may ask now.

    Raises the error that the other process got. It waits for one call only: callers do not queue while the gateway
    hangs. It needs no place, but raises ``GatewayBusyError`` once the calls under way and newer callers need them all.
    """
    read_again(payment)
    require_payable(payment)
    if not is_held(payment):
        return _fresh_page(payment)
    attempt = payment.attempt
    with breaker_of(conf.gateway_url).follow(conf.api_gateway_calls) as may_wait:
        while is_held(payment) and payment.attempt == attempt:
            if not may_wait():
                raise GatewayBusyError(BUSY)
            time.sleep(POLL_SECONDS)
            read_again(payment)
    require_payable(payment)
    # A page that was opened while we waited is as fresh as can be, whatever the settings say; unless it was opened for
    # other data, which leaves this process to ask.
    if payment.status == Status.PENDING and payment.opened_attempt is not None and payment.opened_attempt >= attempt:
        return payment.payment_url if is_page_up_to_date(payment) else ""
    if payment.attempt == attempt and payment.leased_until is not None:
        return ""  # the process has died: its lease has run out
    event = payment.events.using(database()).filter(kind=Kind.INITIALIZE).last()
    if event and event.outcome == Outcome.REFUSED:
        raise GatewayRefusedError(event.message)
    raise GatewayUnavailableError("another process got no answer from the gateway")


def _record_page(payment: Payment, page_request: PageRequest, url: str, duration: float) -> bool:
    """Store the page. Return False if it is useless: the attempt failed or is not the newest, or all is over."""
    attempt, settled_at = payment.attempt, payment.settled_at
    changes = {
        **UNSETTLED,
        "status": Status.PENDING,
        "payment_url": url,
        "page_digest": page_digest(payment),
        "initialized_at": timezone.now(),
        "opened_attempt": attempt,
        "leased_until": None,
    }
    decision = Decision(Outcome.ACCEPTED)

    def store(unchanged: sql.Where, _fit: Fit) -> bool:
        event = new_event(payment, Kind.INITIALIZE, decision, page_request.for_audit())
        # If the database crashes in the next moment, only the page is lost: the attempt is counted, and may be paid.
        if not sql.update_and_insert(Payment, unchanged, changes, event, is_durable=False):
            return False
        expect_personal_data(payment)
        if has_new_keys(payment, changes):
            payment.store_search_keys()
        return True

    def has_just_failed() -> bool:
        # The gateway's notification has overtaken its answer: the page is used up.
        return (
            payment.status == Status.FAILED and payment.settled_attempt == attempt and payment.settled_at != settled_at
        )

    def give_up(_fit: Fit) -> None:
        release(payment, attempt)
        insert_event(payment, Kind.INITIALIZE, decision, page_request.for_audit())

    while payment.attempt == attempt and Status(payment.status).is_payable and not has_just_failed():
        # Neither a finding that was raised meanwhile nor a failure on an earlier page is a reason to discard the page.
        changes["updated_at"] = next_date(payment)
        unchanged = {"pk": payment.pk, "status": payment.status, "attempt": attempt}
        if commit(partial(store, unchanged), is_one_statement=is_one_statement(payment, changes)):
            payment.apply(changes)
            log.write("page_opened", payment, outcome=Outcome.ACCEPTED, duration=duration)
            return True
        read_again(payment)
    with existing(payment):
        commit(give_up)
    return False


def _record_no_page(payment: Payment, page_request: PageRequest, error: GatewayError, duration: float) -> None:
    if isinstance(error, GatewayRefusedError):
        # The gateway's own words stay in the event: they may quote the payer.
        decision, line, text = Decision(Outcome.REFUSED, message=error.message), "page_refused", ""
    else:
        decision, line, text = Decision(Outcome.FAILED, message=str(error)), "page_unavailable", str(error)

    def store(fit: Fit) -> None:
        release(payment, payment.attempt)
        insert_event(payment, Kind.INITIALIZE, fitted(decision, fit), fit(page_request.for_audit()))

    with existing(payment):
        commit(store)
    log.write(line, payment, outcome=decision.outcome, duration=duration, error=text)
