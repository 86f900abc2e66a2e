"""What the customer enters at the checkout: details that the shop does not know, or that were wrong."""

from collections.abc import Mapping

from django.utils import timezone

from django_paiementpro.db.connections import database
from django_paiementpro.enums import Status
from django_paiementpro.models import CUSTOMER_FIELDS, Payment, stored_payments
from django_paiementpro.services.leases import not_held
from django_paiementpro.services.transactions import Fit, commit, next_date, read_again
from django_paiementpro.services.validation import invalid_fields

#: What the customer may change before another attempt.
CORRECTABLE_FIELDS = ("channel", "customer_phone")


def is_correctable(payment: Payment) -> bool:
    """Return whether the customer may change phone number and payment method: no page is open for them."""
    return payment.status == Status.FAILED or (payment.status == Status.CREATED and payment.attempt > 0)


def fields_to_ask(payment: Payment, *, is_change: bool = False) -> set[str]:
    """
    Return the fields that the checkout asks the customer for; none if others are invalid, which only the shop can fix.

    They are the customer's fields that are missing or invalid. With ``is_change``, the customer wants to correct those
    of a failed attempt.
    """
    asked = set(CORRECTABLE_FIELDS) if is_change and is_correctable(payment) else set()
    invalid = set(invalid_fields(payment))
    return asked | invalid if invalid <= CUSTOMER_FIELDS | asked else set()


def store_answers(payment: Payment, answers: Mapping[str, str]) -> None:
    """
    Store what the customer has entered, unless the payment has moved on since it was read.

    An attempt that is under way keeps the data that it was opened with.
    """
    answers = {name: answer for name, answer in answers.items() if answer != getattr(payment, name)}

    def store(fit: Fit) -> bool:
        as_read = {"pk": payment.pk, "status": payment.status, "attempt": payment.attempt}
        rows = stored_payments(database()).filter(not_held(timezone.now()), **as_read)
        if not rows.update(updated_at=next_date(payment)):
            return False
        for name, answer in answers.items():
            payment.corrected_values.setdefault(name, getattr(payment, name))
            setattr(payment, name, fit(answer))
        payment.save(update_fields=[*answers, "corrected_values"])
        return True

    if answers and not commit(store):
        read_again(payment)
