"""One debt for each of the host's orders, however often the customer starts to pay it."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import router, transaction
from django.db.models import Model
from django.utils.translation import gettext as _

from django_paiementpro.db.connections import database
from django_paiementpro.enums import PAYABLE, Status
from django_paiementpro.gateway.text import clean
from django_paiementpro.models import CUSTOMER_FIELDS, FIXED_FIELDS, HOST_FIELDS, Payment
from django_paiementpro.services.staff import cancel_payment
from django_paiementpro.services.transactions import commit
from django_paiementpro.services.validation import validate_payment

#: What ``open_payment`` takes besides the object and the amount.
VALUES = HOST_FIELDS - {"amount", "content_type", "object_id"} | {"user_id"}


def open_payment(obj: Model, amount: int, **values: Any) -> Payment:
    """
    Return the one payment that the customer is to pay for an object, such as an order.

    It is the payable payment of this object, amount, currency and merchant, updated with the values, or else a new one;
    payable payments of another amount, currency or merchant are cancelled. The object's row is locked meanwhile, so two
    concurrent clicks get the same payment. The gateway is not called, so this may run inside your own ``atomic()``.
    Redirect to ``payment.get_checkout_url()`` afterwards.

    ``amount`` is in whole francs. ``values`` are other columns that you own, such as ``description``,
    ``customer_phone`` or ``success_url``. Customer details that you do not know may be missing, blank or None: the
    checkout asks for them, and for those that are too long to be stored. What the customer enters or corrects there is
    kept until you pass another value than before. Raises ``ValidationError`` if the object is paid already and not
    fully refunded (code ``already_paid``), or by field, as ``validate_payment`` does, and ``DoesNotExist`` of your
    model if the object has been deleted.
    """
    if unknown := values.keys() - VALUES:
        raise TypeError(f"open_payment() does not take {', '.join(sorted(unknown))}")
    values = storable(values)
    wanted = _link(Payment(amount=amount, **values), obj)
    validate_payment(wanted, customer=False)
    model = type(obj)._meta.concrete_model or type(obj)
    objects = router.db_for_write(model, instance=obj)
    if objects == database():
        return commit(lambda _fit: _open(obj, model, objects, wanted, values))
    with transaction.atomic(using=objects):
        return commit(lambda _fit: _open(obj, model, objects, wanted, values))


def cancel_payable(obj: Model, reason: str) -> None:
    """Cancel all payments of an object that can still be paid, for instance after another payment of it."""
    cancel_payments(Payment.objects.for_object(obj).using(database()).payable(), reason)


def cancel_payments(payments: Iterable[Payment], reason: str) -> None:
    """Cancel payments that can still be paid. One whose money arrives at this moment stays paid."""
    for payment in payments:
        with suppress(ValidationError):
            cancel_payment(payment, reason)


def _link(payment: Payment, obj: Model) -> Payment:
    """Link the payment to an object. If that is in another database, its content type may have another key there."""
    if obj._state.db in {None, database()}:
        payment.content_object = obj
    else:
        payment.content_type, payment.object_id = ContentType.objects.get_for_model(obj), str(obj.pk)
    return payment


def storable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values that their columns can hold: a customer's detail is blank if it is unknown or too long."""
    return {name: _storable(name, value) for name, value in values.items()}


def _storable(name: str, value: Any) -> Any:
    field: Any = Payment._meta.get_field(name)
    if name in CUSTOMER_FIELDS:
        text = "" if value is None else clean(str(value))
        return text if len(text) <= field.max_length else ""
    return "" if value is None and field.blank and field.empty_strings_allowed else value


def _open(obj: Model, model: type[Model], using: str, wanted: Payment, values: dict[str, Any]) -> Payment:
    payments = _locked_payments(obj, model, using)
    if any(payment.status == Status.SUCCEEDED for payment in payments):
        raise ValidationError(_("This has been paid already."), code="already_paid")
    return _link(open_among(payments, wanted, values), obj)


def open_among(payments: Iterable[Payment], wanted: Payment, values: Mapping[str, Any]) -> Payment:
    """
    Return the payable one of these payments with the wanted amount, currency and merchant, updated with the values.

    Without one, the wanted payment is stored. Others that are payable are cancelled. It runs inside a transaction that
    holds a lock of what is paid for.
    """
    payable = [payment for payment in payments if payment.status in PAYABLE]
    chosen = next((payment for payment in payable if is_same_debt(payment, wanted)), None)
    cancel_payments((payment for payment in payable if payment is not chosen), _("Another payment replaces it."))
    if chosen is None:
        wanted.pk = None  # this may be the second try, after a rollback
        wanted._state.adding = True
        wanted.save()
        return wanted
    _update(chosen, values)
    return chosen


def _locked_payments(obj: Model, model: type[Model], using: str) -> list[Payment]:
    """Lock the object's row, and return its payments, newest first, locked too."""
    if not model._base_manager.using(using).filter(pk=obj.pk).order_by().select_for_update().values_list("pk"):
        raise model.DoesNotExist  # type: ignore[attr-defined]  # each model has its own
    return list(Payment.objects.get_queryset().using(database()).for_object(obj).select_for_update())


def is_same_debt(payment: Payment, wanted: Payment) -> bool:
    """Return whether two payments have the same amount, currency and merchant."""
    return all(getattr(payment, name) == getattr(wanted, name) for name in FIXED_FIELDS)


def _update(payment: Payment, values: Mapping[str, Any]) -> None:
    """Store the values that the host has changed; what the customer has corrected since is kept."""
    corrected = payment.corrected_values
    changed = {
        name: value for name, value in values.items() if getattr(payment, name) != value != corrected.get(name, ...)
    }
    for name, value in changed.items():
        setattr(payment, name, value)
        corrected.pop(name, None)
    if changed:
        payment.save(update_fields=[*changed, "corrected_values"])
