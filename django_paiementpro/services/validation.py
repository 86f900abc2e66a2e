"""Find what the gateway would refuse, before it is called."""

from django.core.exceptions import ValidationError
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from django_paiementpro.models import CUSTOMER_FIELDS, Payment
from django_paiementpro.services.pages import SENT_FIELDS


def validate_payment(payment: Payment, customer: bool = True) -> None:
    """
    Check the payment for what the gateway would refuse. Raises ``ValidationError``.

    Each message names its field (``Phone: This field cannot be blank.``), so that it can be shown without a form;
    ``error_dict`` has the messages by field. With ``customer=False``, name, e-mail and phone are not checked: the
    checkout asks the customer for them.
    """
    errors = invalid_fields(payment)
    named = {
        name: [_with_label(name, message) for error in errors[name] for message in error.messages]
        for name in errors
        if customer or name not in CUSTOMER_FIELDS
    }
    if named:
        raise ValidationError(named)


def _with_label(name: str, message: str) -> str:
    label = capfirst(str(getattr(Payment._meta.get_field(name), "verbose_name", name)))
    return _("%(label)s: %(text)s") % {"label": label, "text": message}


def invalid_fields(payment: Payment) -> dict[str, list[ValidationError]]:
    """Return the errors of what would be sent to the gateway, by field."""
    try:
        clean_sent_fields(payment)
    except ValidationError as error:
        return dict(error.error_dict)
    return {}


def clean_sent_fields(payment: Payment) -> None:
    """Check, and convert, what would be sent to the gateway. Raises ``ValidationError``."""
    others = {field.name for field in Payment._meta.get_fields()} - SENT_FIELDS
    payment.full_clean(exclude=others, validate_unique=False, validate_constraints=False)
