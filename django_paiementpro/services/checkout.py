"""Take a payment to the gateway: one page, however many callers ask for it at once."""

import time
from copy import copy
from functools import partial
from typing import Any
from urllib.parse import urljoin

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_paiementpro import gateway, log, statements
from django_paiementpro.conf import conf
from django_paiementpro.enums import Kind, Outcome, Status
from django_paiementpro.exceptions import GatewayError, GatewayRefusedError, GatewayUnavailableError
from django_paiementpro.messages import PageRequest
from django_paiementpro.models import Payment
from django_paiementpro.phones import normalize_phone
from django_paiementpro.services.claims import claim, free, is_claimed
from django_paiementpro.services.transitions import (
    Decision,
    Fit,
    commit,
    commit_texts,
    database,
    existing,
    insert_event,
    next_date,
    outside_transactions,
    read_again,
)

POLL_SECONDS = 0.1

# A payer who cannot pay in so many tries will not; and each attempt is one more reference to look up.
MAX_ATTEMPTS = 999

# What is sent to the gateway, and so has to be right before it is.
SENT_FIELDS = frozenset(
    {
        "reference",
        "merchant_id",
        "amount",
        "currency",
        "description",
        "channel",
        "customer_email",
        "customer_first_name",
        "customer_last_name",
        "customer_phone",
    }
)

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


@outside_transactions
def initialize_payment(payment: Payment, request: HttpRequest | None = None, *, is_current: bool = False) -> str:
    """
    Take the payment to the gateway, and return the page to send the customer to.

    A page that is still fresh is returned again. If several callers ask at once, one of them asks the gateway, and all
    return its page; one call opens at most one page. Without ``PAIEMENTPRO_SITE_URL``, the URLs sent to the gateway
    take their host from the request. Raises ``ValidationError`` if the payment cannot be taken there as it is (code
    ``not_payable`` if its state forbids it), ``GatewayRefusedError``, and ``GatewayUnavailableError``, after which the
    caller may try again. ``is_current`` is for callers who have just read the payment.
    """
    if not is_current and (_fresh_page(payment) or not Status(payment.status).is_payable):
        read_again(payment)  # it may have been paid or given up since, or that was rolled back
    if page := _fresh_page(payment):
        return page
    while True:
        page_request = _page_request(payment, request)
        if claim(payment):
            return _open_page(payment, page_request)
        if page := _await_other_claim(payment):
            return page


def _fresh_page(payment: Payment) -> str:
    """Return the page if it may be offered again, else an empty string. The page of a failed payment is used up."""
    is_fresh = (
        payment.status == Status.PENDING
        and payment.initialized_at is not None
        and payment.initialized_at + conf.session_lifetime > timezone.now()
    )
    return payment.payment_url if is_fresh else ""


def _open_page(payment: Payment, page_request: PageRequest) -> str:
    """Ask the gateway for a page under a claim. The attempt is counted: its reference is never sent again."""
    asked_at = time.monotonic()
    try:
        url = gateway.open_page(page_request)
    except GatewayError as error:
        _record_no_page(payment, page_request, error, time.monotonic() - asked_at)
        read_again(payment)
        require_payable(payment)  # paid or cancelled in the meantime: there must be no second try
        raise
    except BaseException:
        free(payment, payment.attempt)
        raise
    if _record_page(payment, page_request, url, time.monotonic() - asked_at):
        return url
    read_again(payment)
    require_payable(payment)
    # Another process has opened a newer page, since this call took longer than its claim.
    if page := _fresh_page(payment):
        return page
    raise GatewayUnavailableError("the page came too late to be used")


def require_payable(payment: Payment) -> None:
    """Raise ``ValidationError`` (code ``not_payable``) where the payment's state lets nobody pay it."""
    if not Status(payment.status).is_payable:
        raise ValidationError(_("This payment can no longer be paid."), code="not_payable")


def _page_request(payment: Payment, request: HttpRequest | None) -> PageRequest:
    """Return what the gateway is to be told in the next attempt. Raises ``ValidationError``."""
    require_payable(payment)
    if payment.attempt >= MAX_ATTEMPTS:
        raise ValidationError(_("This payment has been tried too often."), code="too_many_attempts")
    others = {model_field.name for model_field in Payment._meta.get_fields()} - SENT_FIELDS
    payment.full_clean(exclude=others, validate_unique=False, validate_constraints=False)
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
        notification_url=absolute_url(payment.get_notification_url(), request),
        return_url=absolute_url(payment.get_return_url(), request),
        return_context=payment.return_context,
    )


def absolute_url(path: str, request: HttpRequest | None) -> str:
    """Return the public URL of a path. Without ``PAIEMENTPRO_SITE_URL`` the request tells the host."""
    if conf.site_url:
        return urljoin(conf.site_url, path)
    if request is None:
        raise ImproperlyConfigured(
            'PAIEMENTPRO_SITE_URL: write the public base of this site, like "https://example.com": '
            "without a request nothing else tells it"
        )
    return request.build_absolute_uri(path)


def _await_other_claim(payment: Payment) -> str:
    """
    Wait while another process asks for the page, and return it, or an empty string if this process may ask now.

    Raises the error that the other process got. It waits for one call only: callers do not queue while the gateway
    hangs.
    """
    read_again(payment)
    require_payable(payment)
    if not is_claimed(payment):
        return _fresh_page(payment)
    attempt = payment.attempt
    while is_claimed(payment) and payment.attempt == attempt:
        time.sleep(POLL_SECONDS)
        read_again(payment)
    require_payable(payment)
    # A page that was opened while we waited is as fresh as can be, whatever the settings say.
    if payment.status == Status.PENDING and payment.opened_attempt is not None and payment.opened_attempt >= attempt:
        return payment.payment_url
    if payment.attempt == attempt and payment.claimed_until is not None:
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
        "initialized_at": timezone.now(),
        "opened_attempt": attempt,
        "claimed_until": None,
    }
    decision = Decision(Outcome.ACCEPTED)

    def store(unchanged: statements.Where) -> bool:
        # If the database crashes in the next moment, only the page is lost: the attempt is counted, and may be paid.
        if not statements.update(Payment, unchanged, changes, is_durable=False):
            return False
        insert_event(payment, Kind.INITIALIZE, decision, page_request.for_audit())
        opened = copy(payment)
        opened.apply(changes)
        if opened.phone_region != payment.phone_region:
            opened.store_search_keys()
        return True

    def has_just_failed() -> bool:
        # The gateway's notification has overtaken its answer: the page is used up.
        return (
            payment.status == Status.FAILED and payment.settled_attempt == attempt and payment.settled_at != settled_at
        )

    def give_up() -> None:
        free(payment, attempt)
        insert_event(payment, Kind.INITIALIZE, decision, page_request.for_audit())

    while payment.attempt == attempt and Status(payment.status).is_payable and not has_just_failed():
        # Neither a finding that was raised meanwhile nor a failure on an earlier page is a reason to discard the page.
        changes["updated_at"] = next_date(payment)
        unchanged = {"pk": payment.pk, "status": payment.status, "attempt": attempt}
        if commit(partial(store, unchanged)):
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
        free(payment, payment.attempt)
        insert_event(payment, Kind.INITIALIZE, decision.fitted(fit), fit(page_request.for_audit()))

    with existing(payment):
        commit_texts(store)
    log.write(line, payment, outcome=decision.outcome, duration=duration, error=text)
