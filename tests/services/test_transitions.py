"""A payment that changes after it was read is decided about again."""

from collections.abc import Iterator
from typing import Any

import pytest

from django_paiementpro import services
from django_paiementpro.models import Payment
from django_paiementpro.testing import FakeGateway
from tests.conftest import STATUS_URL, just_before, stored

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def refused_meanwhile(payment: Payment) -> Iterator[None]:
    """Let the payment fail just before the decision is stored."""
    failed = Payment.objects.filter(pk=payment.pk)
    with just_before(lambda: failed.update(status="failed"), "UPDATE", "paiementpro_payment", "status"):
        yield


@pytest.mark.usefixtures("refused_meanwhile")
def test_cancelled_payment_that_fails_meanwhile_is_cancelled(payment: Payment) -> None:
    services.cancel_payment(payment, "Given up")

    assert stored(payment).status == "cancelled"
    assert [event.outcome for event in payment.events.all()] == ["accepted"]


@pytest.mark.usefixtures("refused_meanwhile")
def test_payment_that_fails_meanwhile_is_settled_by_its_status(
    payment: Payment, gateway: FakeGateway, settings: Any
) -> None:
    settings.PAIEMENTPRO_STATUS_URL = STATUS_URL
    gateway.confirms(payment)

    assert services.check_payment(payment) == "succeeded"
    assert [event.outcome for event in payment.events.all()] == ["accepted"]
