"""Taking a payment to the gateway: one page, however many ask for it."""

import time
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
from django_paiementpro.phones import normalize_phone, region_of
from django_paiementpro.services.claims import claim, free, is_claimed
from django_paiementpro.services.transitions import (
    Verdict,
    commit,
    database,
    insert_event,
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
    "gateway_channel": "",
    "transaction_date": None,
    "response_code": "",
    "response_message": "",
}


@outside_transactions
def initialize_payment(payment: Payment, request: HttpRequest | None = None) -> str:
    """
    Take the payment to the gateway, and return the page to send the payer to.

    A page that is still fresh is returned again. Of several callers at once one asks the gateway, and all return its
    page. Without ``PAIEMENTPRO_SITE_URL`` the request tells the host for the URLs that the gateway is given.
    Raises ``ValidationError`` where the payment cannot be taken there as it is (code ``not_payable`` where its state
    forbids it), ``GatewayRefusedError``, and ``GatewayUnavailableError``, after which one may try again.
    """
    while not (page := _fresh_page(payment)):
        page_request = _page_request(payment, request)
        if not claim(payment):
            _await_other_claim(payment)
            continue
        # From here on the attempt is counted: its reference is never sent again, whatever becomes of the answer.
        asked_at = time.monotonic()
        try:
            url = gateway.open_page(page_request)
        except GatewayError as error:
            _record_no_page(payment, page_request, error, time.monotonic() - asked_at)
            read_again(payment)
            if Status(payment.status).is_payable:
                raise
            continue  # paid in the meantime, or given up: nobody is to be told to try again
        except BaseException:
            free(payment)
            raise
        _record_page(payment, page_request, url, time.monotonic() - asked_at)
    return page


def _fresh_page(payment: Payment) -> str:
    """Return the page if it may be offered again, else nothing. A failed payment's page has had its try."""
    is_fresh = (
        payment.status == Status.PENDING
        and payment.initialized_at is not None
        and payment.initialized_at + conf.session_lifetime > timezone.now()
    )
    return payment.payment_url if is_fresh else ""


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
        customer_phone=normalize_phone(payment.customer_phone, region_of(payment.channel)),
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


def _await_other_claim(payment: Payment) -> None:
    """
    Wait while another process asks for the page. Raises what it met where it brought none.

    Once only: of those who go on asking a gateway that hangs, each has as long as one call takes.
    """
    read_again(payment)
    attempt = payment.attempt if is_claimed(payment) else None
    while is_claimed(payment) and payment.attempt == attempt:
        time.sleep(POLL_SECONDS)
        read_again(payment)
    is_given_up = attempt is not None and (payment.attempt != attempt or payment.claimed_until is None)
    if is_given_up and Status(payment.status).is_payable and not _fresh_page(payment):
        event = payment.events.using(database()).filter(kind=Kind.INITIALIZE).last()
        if event and event.outcome == Outcome.REFUSED:
            raise GatewayRefusedError(event.message)
        raise GatewayUnavailableError("no answer from the gateway to another process")


def _record_page(payment: Payment, page_request: PageRequest, url: str, duration: float) -> None:
    """Store the page, unless the payment has moved on in the meantime: then the caller decides again."""
    now = timezone.now()
    changes = {
        **UNSETTLED,
        "status": Status.PENDING,
        "payment_url": url,
        "initialized_at": now,
        "opened_attempt": payment.attempt,
        "claimed_until": None,
        "updated_at": now,
    }

    def store() -> bool:
        # A flag that was raised meanwhile is no reason to throw the page away.
        ours = {"pk": payment.pk, "status": payment.status, "attempt": payment.attempt}
        is_stored = bool(statements.update(Payment, ours, changes))
        if not is_stored:
            free(payment)
        insert_event(payment, Kind.INITIALIZE, Verdict(Outcome.ACCEPTED), page_request.for_audit())
        return is_stored

    if commit(store):
        payment.apply(changes)
        log.write("page_opened", payment, outcome=Outcome.ACCEPTED, duration=duration)
    else:
        read_again(payment)


def _record_no_page(payment: Payment, page_request: PageRequest, error: GatewayError, duration: float) -> None:
    if isinstance(error, GatewayRefusedError):
        # The gateway's own words stay in the event: they may quote the payer.
        verdict, line, text = Verdict(Outcome.REFUSED, message=error.message), "page_refused", ""
    else:
        verdict, line, text = Verdict(Outcome.FAILED, message=str(error)), "page_unavailable", str(error)

    def store() -> None:
        free(payment)
        insert_event(payment, Kind.INITIALIZE, verdict, page_request.for_audit())

    commit(store)
    log.write(line, payment, outcome=verdict.outcome, duration=duration, error=text)
