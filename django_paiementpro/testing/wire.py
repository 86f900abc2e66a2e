"""What the gateway sends: the fields of a notification, and the request that takes them to the shop."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, get_args

import requests
from django.utils import timezone

from django_paiementpro.conf import conf
from django_paiementpro.enums import Channel
from django_paiementpro.gateway.messages import SUCCESS_CODE, Notification, PageAnswer, StatusAnswer, encode_context
from django_paiementpro.models import Payment

#: How a notification's fields travel: what the gateway has been seen to do (FIELD_GUIDE section 6).
Encoding: TypeAlias = Literal["query+multipart", "query", "urlencoded", "multipart", "json"]

SESSION_ID = "1a0ab9252785d65fcd396eaa47797e03"

#: What the status look-up says of a payment that it does not know, or has not seen paid.
NO_TRANSACTION = StatusAnswer.from_json({}).as_json()


def notification_of(payment: Payment, code: str = SUCCESS_CODE, attempt: int | None = None) -> Notification:
    """
    Return what the gateway says of an attempt, the newest unless another is named.

    Its own number follows from the attempt, in the shape that its sandbox has: what is told twice is told alike.
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
    """Return the fields of a success in the gateway's spelling and order, with changes."""
    return changed(notification_of(payment).as_fields(), changes)


def page_answer(url: str) -> dict[str, Any]:
    """Return what the gateway answers where it opens a page (DOC)."""
    return PageAnswer(True, False, url, "Initialisation effectuée avec succès").as_json()


def paid_answer(paid: Notification) -> dict[str, Any]:
    """Return what the status look-up says of a payment that the gateway has notified."""
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


def changed(fields: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with changes; None leaves one out."""
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def prepare_notification(
    url: str, fields: Mapping[str, Any], encoding: Encoding = "query+multipart"
) -> requests.PreparedRequest:
    """Return the POST that takes the fields to a URL; a list is a field with several values. Raises ``ValueError``."""
    if encoding not in get_args(Encoding):
        raise ValueError(f"{encoding!r} is no encoding: write one of {', '.join(get_args(Encoding))}")
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
    """Write a JSON object in which a name may stand twice."""
    return f"{{{', '.join(f'{json.dumps(name)}: {json.dumps(value)}' for name, value in pairs)}}}"
