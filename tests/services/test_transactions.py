import pytest
from django.db import transaction

from django_paiementpro.models import Payment
from tests.conftest import Notify


@pytest.mark.django_db(transaction=True)
def test_host_that_commits_by_hand_is_delivered_to_by_reconciliation(
    payment: Payment, notify: Notify, heard: list[tuple[str, Payment]]
) -> None:
    transaction.set_autocommit(False)
    try:
        assert notify(payment).status_code == 200
        transaction.commit()
    finally:
        transaction.set_autocommit(True)

    assert (Payment.objects.get().status, heard) == ("succeeded", [])
    assert payment.events.get().deliver_at is not None
