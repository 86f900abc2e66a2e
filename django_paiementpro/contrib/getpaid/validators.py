from typing import Any

import swapper
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from getpaid.registry import registry

from django_paiementpro.contrib.getpaid.processor import PaiementProProcessor
from django_paiementpro.models import Payment
from django_paiementpro.services import validate_payment


def payable(data: dict[str, Any]) -> dict[str, Any]:
    """
    Check in getpaid's form what the gateway would refuse, before anything is stored.

    Without it, an amount such as 100.50 raises an error after getpaid has stored a payment that blocks its order.
    """
    order, processor = data.get("order"), registry[data["backend"]]
    if order is None or not issubclass(processor, PaiementProProcessor):
        return data
    if Payment.objects.for_object(order).filter(status=Payment.Status.SUCCEEDED).exists():
        raise ValidationError(_("This has been paid already."), code="already_paid")
    row = swapper.load_model("getpaid", "Payment")(
        order=order,
        amount_required=data["amount_required"],
        currency=data["currency"],
        description=data["description"],
        backend=data["backend"],
    )
    try:
        validate_payment(Payment(amount=row.amount_required, **processor(row).get_payment_values()), customer=False)
    except ValidationError as error:
        # getpaid's form does not have our fields.
        raise ValidationError(error.messages) from error
    return data
