import pytest
from django.db import transaction
from django.test import Client

from django_paiementpro.models import Payment

pytestmark = pytest.mark.django_db(transaction=True)


def notify(client: Client, payment: Payment) -> None:
    """Notify the app of a success. Unlike the app's own helper for tests, this plays no commit."""
    fields = {
        "merchantId": payment.merchant_id,
        "referenceNumber": payment.reference,
        "amount": payment.amount,
        "responsecode": 0,
    }
    assert client.post(payment.get_notification_url(), fields).status_code == 200


def test_host_that_commits_itself_is_delivered_to_once_autocommit_is_on_again(
    client: Client, payment: Payment, heard: list[tuple[str, Payment]]
) -> None:
    transaction.set_autocommit(False)
    try:
        notify(client, payment)
        transaction.commit()
        assert heard == []
    finally:
        transaction.set_autocommit(True)

    assert [name for name, _payment in heard] == ["payment_succeeded"]
    assert payment.events.get().deliver_at is None


def test_host_that_rolls_back_itself_is_not_delivered_to(
    client: Client, payment: Payment, heard: list[tuple[str, Payment]]
) -> None:
    transaction.set_autocommit(False)
    try:
        notify(client, payment)
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)

    assert heard == []
