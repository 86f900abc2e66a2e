"""A processor for the gateway, written as django-getpaid documents."""

import hashlib
import hmac
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from getpaid.processor import BaseProcessor
from getpaid_core.enums import PaymentEvent
from getpaid_core.exceptions import InvalidCallbackError
from getpaid_core.types import PaymentUpdate

SECRET = b"only for benchmarks"
SIGNATURE = "X-Signature"


def signature_of(body: bytes, secret: bytes = SECRET) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


class PaymentProcessor(BaseProcessor):
    slug = "gateway"
    display_name = "Gateway"
    accepted_currencies = ["XOF"]

    async def verify_callback(
        self, data: Mapping[str, Any], headers: Mapping[str, str], raw_body: bytes = b"", **kwargs: Any
    ) -> None:
        if not hmac.compare_digest(signature_of(raw_body), headers.get(SIGNATURE.upper(), "")):
            raise InvalidCallbackError("wrong signature")

    async def handle_callback(
        self, data: Mapping[str, Any], headers: Mapping[str, str], **kwargs: Any
    ) -> PaymentUpdate | None:
        if Decimal(data["amount"]) != self.payment.amount_required:
            raise InvalidCallbackError("another amount")
        if data["responsecode"] != "0":
            return PaymentUpdate(payment_event=PaymentEvent.FAILED, provider_event_id=data["payId"])
        return PaymentUpdate(
            payment_event=PaymentEvent.PAYMENT_CAPTURED,
            paid_amount=self.payment.amount_required,
            provider_event_id=data["payId"],
        )
