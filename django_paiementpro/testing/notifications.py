"""Notifications and returning customers, sent with Django's test client through the whole middleware."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, cast, get_args
from urllib.parse import urlencode

import requests
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from django_paiementpro import signing
from django_paiementpro.conf import conf
from django_paiementpro.enums import Channel, Status
from django_paiementpro.gateway.messages import FAILURE_CODE, SUCCESS_CODE, USER_AGENT, Notification, encode_context
from django_paiementpro.models import Payment
from django_paiementpro.services.staff import undelivered_events_of
from django_paiementpro.testing.signals import deliver_signals

#: How the fields of a notification are sent. The gateway has been seen to use the first.
Encoding: TypeAlias = Literal["query+multipart", "query", "urlencoded", "multipart", "json"]

SESSION_ID = "1a0ab9252785d65fcd396eaa47797e03"


def pay(payment: Payment, *, encoding: Encoding = "query+multipart", **fields: Any) -> Payment:
    """
    Pay a payment: send the gateway's notification of a success. Return the payment, refreshed.

    The notification passes your middleware, the app's view and your receivers of ``payment_succeeded``. Any unpaid
    payment can be paid; for a failed, expired or cancelled one the success is late, and a cancelled one is flagged. The
    options are those of ``notify``.

    Raises ``AssertionError`` with the app's answer if the payment is not ``succeeded`` afterwards, or if a receiver
    failed, which would be retried in production: its traceback is in the log.
    """
    return _settle(payment, SUCCESS_CODE, Status.SUCCEEDED, encoding, fields)


def decline(payment: Payment, *, encoding: Encoding = "query+multipart", **fields: Any) -> Payment:
    """
    Decline a payment: send the gateway's notification of a failure. Return the payment, refreshed.

    ``payment_failed`` is sent. The customer may retry with the same checkout link, and ``pay`` may follow.

    Raises ``AssertionError`` like ``pay`` if the payment is not ``failed`` afterwards: a paid payment stays paid.
    """
    return _settle(payment, FAILURE_CODE, Status.FAILED, encoding, fields)


def notify(
    payment: Payment,
    *,
    encoding: Encoding = "query+multipart",
    forged: bool = False,
    client: Client | None = None,
    **fields: Any,
) -> HttpResponse:
    """
    Notify the shop of a success as the gateway does, and return the shop's answer. The payment is not refreshed.

    The notification is a POST to the payment's notification URL, without a CSRF token, with the gateway's user agent.
    ``encoding`` is ``"query+multipart"``, with the fields in the query string and again in the body, as seen in
    production (see "What is known of the gateway"), or just ``"query"``, ``"urlencoded"``, ``"multipart"`` or
    ``"json"``.

    ``fields`` override what is sent, in the gateway's spelling: ``amount=1`` sends another amount (whole francs),
    ``payId=None`` removes a field, ``amount=[12500, 1]`` sends two values, ``hash="x"`` adds a field. The fields are
    ``merchantId``, ``sessionId``, ``payId``, ``channel``, ``countryCurrencyCode``, ``referenceNumber`` (of the newest
    attempt of your instance), ``amount``, ``transactiondt`` (now), ``returnContext`` and ``responsecode``: 0, or -1 for
    a failure.

    With ``forged`` the sender knows only what a customer knows: the URL is signed like the return URL. ``client`` is
    the test client, by default ``Client(enforce_csrf_checks=True)``.

    The answer is 200 ``OK`` if the notification was recorded, duplicates included; 400 with the reason if it was
    refused (``Bad Request: amount_mismatch``); 404 if the signature is wrong. Signals are delivered as by
    ``deliver_signals``. Raises ``ValueError`` for an unknown encoding.
    """
    purpose = signing.RETURN if forged else signing.NOTIFICATION
    path = signing.path_of(signing.NOTIFICATION, signing.sign(payment.url_key, purpose))
    sent = notification_fields(payment, **fields)
    request = prepare_notification(f"https://testserver{path}", sent, encoding)
    with deliver_signals():
        response = (client or Client(enforce_csrf_checks=True)).post(
            request.path_url,
            request.body or b"",
            content_type=request.headers.get("Content-Type", ""),
            headers={"user-agent": USER_AGENT},
            secure=settings.SECURE_SSL_REDIRECT,
        )
    return cast("HttpResponse", response)


def come_back(payment: Payment, *, client: Client | None = None, **fields: Any) -> HttpResponse:
    """
    Return the customer from the gateway to the return page, and return the response.

    The query string always reports a success, like the gateway's, which does so even for unpaid payments (see "What is
    known of the gateway"); ``fields`` override it as in ``notify``. It settles nothing: the response is a page that
    waits or shows the result, or a redirect to your success or failure URL. While the payment is not final the status
    look-up is used, if it is on: let a ``FakeGateway`` answer it. ``client`` is the customer's browser, by default a
    new one.
    """
    query = urlencode(changed(notification_of(payment).for_return(), fields), doseq=True)
    url = f"{payment.get_return_url()}?{query}"
    with deliver_signals():
        response = (client or Client()).get(url, secure=settings.SECURE_SSL_REDIRECT)
    return cast("HttpResponse", response)


def _settle(payment: Payment, code: str, status: Status, encoding: Encoding, fields: dict[str, Any]) -> Payment:
    payment.refresh_from_db(fields=["attempt"])
    response = notify(payment, encoding=encoding, **notification_of(payment, code).as_fields() | fields)
    payment.refresh_from_db()
    if payment.status != status:
        answer = f"{response.status_code} {response.content.decode()[:200]!r}"
        raise AssertionError(f"the payment is {payment.status}, not {status}; the shop answered {answer}")
    if conf.delivery == "immediate" and (event := undelivered_events_of(payment).first()):
        raise AssertionError(
            f"the payment is {status}, but a receiver of {', '.join(event.signals)} failed: "
            "the log of django_paiementpro has its traceback"
        )
    return payment


def notification_of(payment: Payment, code: str = SUCCESS_CODE, attempt: int | None = None) -> Notification:
    """
    Return the notification of an attempt, by default the newest.

    Its ``payId`` is made from the reference, so repeated notifications are alike.
    """
    reference = payment.reference_of(payment.attempt if attempt is None else attempt)
    return Notification(
        merchant_id=payment.merchant_id,
        reference=reference,
        amount=payment.amount,
        response_code=code,
        currency_number=conf.currencies.get(payment.currency, ""),
        gateway_id=f"PAY-{reference}",
        channel=payment.channel or Channel.ORANGE_CI,
        session_id=SESSION_ID,
        transaction_date=timezone.now(),
        return_context=encode_context(payment.return_context),
    )


def notification_fields(payment: Payment, **changes: Any) -> dict[str, Any]:
    """Return the fields of a successful notification, in the gateway's spelling and order, with ``changes`` applied."""
    return changed(notification_of(payment).as_fields(), changes)


def changed(fields: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with changes; None removes one."""
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def prepare_notification(
    url: str, fields: Mapping[str, Any], encoding: Encoding = "query+multipart"
) -> requests.PreparedRequest:
    """Return a POST of the fields to a URL; a list sends several values. Raises ``ValueError``."""
    if encoding not in get_args(Encoding):
        raise ValueError(f"{encoding!r} is not an encoding: use one of {', '.join(get_args(Encoding))}")
    pairs = [
        (name, value)
        for name, values in fields.items()
        for value in (values if isinstance(values, (list, tuple)) else [values])
    ]
    texts = [(name, str(value)) for name, value in pairs]
    request = requests.Request("POST", url)
    if "query" in encoding:
        request.params = texts
    if "multipart" in encoding:
        request.files = [(name, (None, text)) for name, text in texts]
    if encoding == "urlencoded":
        request.data = texts
    if encoding == "json":
        request.headers = {"Content-Type": "application/json"}
        request.data = _json_object(pairs)
    return request.prepare()


def _json_object(pairs: Iterable[tuple[str, Any]]) -> str:
    """Return a JSON object that may have duplicate names."""
    return f"{{{', '.join(f'{json.dumps(name)}: {json.dumps(value)}' for name, value in pairs)}}}"
