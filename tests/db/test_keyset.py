from datetime import datetime, timedelta, timezone

import pytest

from django_paiementpro.db.keyset import in_pages
from django_paiementpro.models import Payment
from django_paiementpro.testing import make_payment
from tests.conftest import Statements

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "order", [("pk",), ("-pk",), ("created_at", "pk"), ("-created_at", "-pk"), ("amount", "created_at", "pk")]
)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 11])
def test_each_row_is_in_one_page_in_order(order: tuple[str, ...], count: int, statements: Statements) -> None:
    for number in range(count):
        make_payment(amount=100 + number % 2, created_at=NOON + timedelta(hours=number * 7 % 4))
    expected = list(Payment.objects.order_by(*order))

    with statements:
        pages = list(in_pages(Payment.objects.all(), *order, size=2))

    assert [payment for page in pages for payment in page] == expected
    assert [len(page) for page in pages] == [2] * (count // 2) + [1] * (count % 2)
    assert len(statements) == count // 2 + 1


def test_values_are_paged_too() -> None:
    payments = [make_payment() for _ in range(5)]

    pages = in_pages(Payment.objects.values("pk", "reference"), "pk", size=2)

    assert [row["reference"] for page in pages for row in page] == [payment.reference for payment in payments]
