from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_paiementpro.links.models import LinkState, PaymentLink
from django_paiementpro.testing import make_payment
from tests.links.conftest import MakeLink

pytestmark = pytest.mark.django_db

OPEN = {"amount": None}
REUSABLE = {"is_reusable": True}


def errors(**values: Any) -> dict[str, list[str]]:
    """Return what is wrong with a link."""
    try:
        PaymentLink(**{"title": "Pagne", "amount": 12500, **values}).full_clean()
    except ValidationError as error:
        return error.message_dict
    return {}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"amount": 100},
        OPEN,
        {**OPEN, "min_amount": 500, "max_amount": 500, "suggested_amounts": [500]},
        {**OPEN, "suggested_amounts": [100, 5000, 10**9]},
        {**REUSABLE, "max_payments": 1},
        {"success_url": "/thanks/{reference}/"},
        {"success_url": "https://testserver/thanks/"},
        {"success_url": "https://shop.example/thanks/"},
        {"success_url": "maboutique://paid/{reference}"},
        {"currency": "XAF"},
        {"channel": "WAVECI"},
    ],
    ids=str,
)
def test_valid_link(values: dict[str, Any], settings: Any) -> None:
    settings.PAIEMENTPRO_CURRENCIES = {"XOF": "952", "XAF": "950"}
    settings.PAIEMENTPRO_RETURN_HOSTS = ["shop.example", "maboutique://"]
    assert errors(**values) == {}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "x" * 501}, "title"),
        ({"amount": 99}, "amount"),
        ({"amount": 12500.5}, "amount"),
        ({"min_amount": 500}, "min_amount"),
        ({"max_amount": 500}, "max_amount"),
        ({"suggested_amounts": [500]}, "suggested_amounts"),
        ({**OPEN, "min_amount": 99}, "min_amount"),
        ({**OPEN, "min_amount": 500, "max_amount": 499}, "max_amount"),
        ({**OPEN, "min_amount": "x", "max_amount": 500}, "min_amount"),
        ({**OPEN, "max_amount": "x"}, "max_amount"),
        ({**OPEN, "min_amount": 500, "suggested_amounts": [499]}, "suggested_amounts"),
        ({**OPEN, "max_amount": 500, "suggested_amounts": [501]}, "suggested_amounts"),
        ({**OPEN, "suggested_amounts": [99]}, "suggested_amounts"),
        ({**OPEN, "suggested_amounts": [500, 500]}, "suggested_amounts"),
        ({**OPEN, "suggested_amounts": list(range(1000, 1013))}, "suggested_amounts"),
        ({**OPEN, "suggested_amounts": ["500"]}, "suggested_amounts"),
        ({**OPEN, "suggested_amounts": [True]}, "suggested_amounts"),
        ({**OPEN, "suggested_amounts": {"a": 500}}, "suggested_amounts"),
        ({"max_payments": 5}, "max_payments"),
        ({**REUSABLE, "max_payments": 0}, "max_payments"),
        ({"currency": "EUR"}, "currency"),
        ({"channel": "BITCOIN"}, "channel"),
        ({"merchant_id": ""}, "merchant_id"),
        ({"success_url": "thanks/"}, "success_url"),
        ({"success_url": "//evil.example/"}, "success_url"),
        ({"success_url": "/\\evil.example/"}, "success_url"),
        ({"success_url": "https://evil.example/"}, "success_url"),
        ({"success_url": "https://testserver@evil.example/"}, "success_url"),
        ({"success_url": "http://testserver/"}, "success_url"),
        ({"success_url": "javascript://testserver/%0aalert(1)"}, "success_url"),
    ],
    ids=str,
)
def test_wrong_link_is_refused_by_field(values: dict[str, Any], field: str) -> None:
    assert list(errors(**values)) == [field]


def test_site_without_an_address_of_its_own_takes_paths_only(settings: Any) -> None:
    settings.PAIEMENTPRO_SITE_URL = None
    assert errors(success_url="/thanks/") == {}
    assert list(errors(success_url="https://testserver/")) == ["success_url"]


# State


def hour(number: int) -> Any:
    return timezone.now() + timedelta(hours=number)


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({}, "open"),
        ({"expires_at": 1}, "open"),
        ({"expires_at": 0}, "expired"),
        ({"is_active": False}, "off"),
        ({"is_active": False, "expires_at": -1}, "off"),
        ({**REUSABLE, "max_payments": 1}, "open"),
    ],
)
def test_state_without_payments(make_link: MakeLink, values: dict[str, Any], state: str) -> None:
    if "expires_at" in values:
        values = {**values, "expires_at": hour(values["expires_at"])}
    link = make_link(**values)

    assert (link.state, link.is_open, link.is_paid, link.places_taken) == (state, state == "open", False, 0)


@pytest.mark.parametrize(
    ("status", "is_paid"),
    [
        *((status, False) for status in ("created", "pending", "failed", "expired", "cancelled", "refunded")),
        ("succeeded", True),
    ],
)
def test_single_link_is_paid_once(link: PaymentLink, status: str, *, is_paid: bool) -> None:
    make_payment(content_object=link, status=status)
    PaymentLink.objects.update(is_active=False)
    link.refresh_from_db()

    assert link.is_paid == is_paid
    assert link.state == (LinkState.PAID if is_paid else LinkState.OFF)


@pytest.mark.parametrize(
    ("status", "holds"),
    [
        *((status, True) for status in ("created", "pending", "succeeded", "refunded")),
        *((status, False) for status in ("failed", "expired", "cancelled")),
    ],
)
def test_payment_holds_a_place_until_it_is_given_up(make_link: MakeLink, status: str, *, holds: bool) -> None:
    link = make_link(is_reusable=True, max_payments=2)
    others = [make_payment(content_object=link, status=status) for _ in range(2)]

    assert link.places_taken == 2 * holds
    assert link.state == (LinkState.FULL if holds else LinkState.OPEN)
    assert link.state_besides(others[0]) == LinkState.OPEN
    assert not link.is_paid


def test_payments_of_other_objects_are_not_counted(reusable: PaymentLink, make_link: MakeLink) -> None:
    make_payment(content_object=make_link(is_reusable=True))
    make_payment()
    mine = make_payment(content_object=reusable)

    assert list(reusable.payments) == [mine]
    assert reusable.places_taken == 1


def test_state_of_an_unlimited_link_counts_nothing(reusable: PaymentLink) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert reusable.is_open
    assert len(queries) == 0


# Saving and deleting


def test_switching_off_is_dated(link: PaymentLink) -> None:
    link.is_active = False
    link.save(update_fields=["is_active"])
    link.refresh_from_db()
    first = link.switched_off_at
    assert first is not None
    assert timezone.now() - first < timedelta(minutes=1)

    link.title = "Pagne"
    link.save()
    link.refresh_from_db()
    assert link.switched_off_at == first

    link.is_active = True
    link.save()
    link.refresh_from_db()
    assert link.switched_off_at is None


def test_other_columns_leave_the_date_alone(link: PaymentLink) -> None:
    link.is_active = False
    link.save(update_fields=["title"])
    link.refresh_from_db()
    assert (link.is_active, link.switched_off_at) == (True, None)


def test_link_with_payments_is_not_deleted(link: PaymentLink) -> None:
    payment = make_payment(content_object=link)
    with pytest.raises(models.ProtectedError):
        link.delete()

    payment.delete()
    link.delete()
    assert not PaymentLink.objects.exists()


def test_token_is_unguessable_and_in_the_path(make_link: MakeLink) -> None:
    one, other = make_link(), make_link()
    assert one.token != other.token
    assert len(one.token) == 24
    assert one.get_absolute_url() == f"/pay/{one.token}/"
    assert str(one) == "Pagne wax, 6 yards"
    assert one.amount_display == "12\u202f500\u00a0F\u00a0CFA"
    assert make_link(amount=None).amount_display == ""
