"""The gateway and its payers on their way to the shop, by Django's test client, through all of its middleware."""

from typing import Any, cast
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from django_paiementpro import signing
from django_paiementpro.conf import conf
from django_paiementpro.enums import Status
from django_paiementpro.gateway.messages import FAILURE_CODE, SUCCESS_CODE, USER_AGENT
from django_paiementpro.models import Payment
from django_paiementpro.services.staff import undelivered_events_of
from django_paiementpro.testing.signals import deliver_signals
from django_paiementpro.testing.wire import (
    Encoding,
    changed,
    notification_fields,
    notification_of,
    prepare_notification,
)


def pay(payment: Payment, *, encoding: Encoding = "query+multipart", **fields: Any) -> Payment:
    """
    Have the payer pay: the gateway notifies a success. Return the payment, read again.

    Whatever stands between is run: your middleware, the app's view, your receivers of ``payment_succeeded``. The
    payment may be any that has not been paid: one just created, one pending, or one that is failed, expired or
    cancelled, to which the success then comes late (and is flagged, if it was cancelled). The options are those of
    ``notify``.

    Raises ``AssertionError`` where the payment is not ``succeeded`` then, with what the app has answered, and where a
    receiver has failed, which in production would be called again later: the log has its traceback.
    """
    return _settle(payment, SUCCESS_CODE, Status.SUCCEEDED, encoding, fields)


def decline(payment: Payment, *, encoding: Encoding = "query+multipart", **fields: Any) -> Payment:
    """
    Have the operator decline the payer: the gateway notifies a failure. Return the payment, read again.

    ``payment_failed`` is sent. The payer may try again by the same checkout link, and a ``pay`` may follow.

    Raises ``AssertionError`` as ``pay`` does where the payment is not ``failed`` then: one that was paid stays paid.
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
    Notify the shop of a success as the gateway does, and return the shop's answer; the payment is not read again.

    It is a POST to the payment's own notification URL, without a CSRF token, under the browser name that the gateway
    has. ``encoding`` says how the fields travel: ``"query+multipart"``, in the query string and again in the body, is
    what production has been seen to do (FIELD_GUIDE section 6); or ``"query"``, ``"urlencoded"``, ``"multipart"``,
    ``"json"`` alone.

    ``fields`` change what is sent, in the gateway's spelling: ``amount=1`` is another amount (whole francs),
    ``payId=None`` leaves a field out, ``amount=[12500, 1]`` gives it two values, ``hash="x"`` adds one. The fields are
    ``merchantId``, ``sessionId``, ``payId``, ``channel``, ``countryCurrencyCode``, ``referenceNumber`` (of the newest
    attempt of the payment as you have it), ``amount``, ``transactiondt`` (now), ``returnContext`` and ``responsecode``:
    0, or -1 for a failure.

    ``forged`` has somebody notify who knows no more than a payer does: the URL has the return URL's signature.
    ``client`` is the test client to send it with, ``Client(enforce_csrf_checks=True)`` unless given.

    The answer is 200 ``OK`` where it was recorded, the second of two alike included; 400
    with the reason where it was refused (``Bad Request: amount_mismatch``); 404 where the signature is wrong. Signals
    are delivered, as ``deliver_signals`` says. Raises ``ValueError`` for an unknown encoding.
    """
    purpose = signing.RETURN if forged else signing.NOTIFICATION
    path = reverse("paiementpro:notification", args=[signing.sign(payment.url_key, purpose)])
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
    Bring the payer back from the gateway to the return page, and return what they are shown.

    It is a GET whose query says that all is well, as the gateway's does also for payers who have not paid (FIELD_GUIDE
    section 5); ``fields`` change it as in ``notify``. It settles nothing: the answer is 200 with a page that waits or
    tells the result, or 302 to your success or failure URL. While the payment is not final the status look-up is asked,
    where it is on: have a ``FakeGateway`` answer it. ``client`` is the payer's browser, a new one unless given.
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
        raise AssertionError(f"the payment is {payment.status}, not {status}; the shop has answered {answer}")
    if conf.delivery == "immediate" and (event := undelivered_events_of(payment).first()):
        raise AssertionError(
            f"the payment is {status}, but a receiver of {', '.join(event.signals)} has failed: "
            "the log of django_paiementpro has its traceback"
        )
    return payment
