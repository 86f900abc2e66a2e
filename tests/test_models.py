import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import ProtectedError
from django.db.models.deletion import Collector
from django.test import override_settings
from django.utils import timezone

from django_paiementpro.enums import Channel, Status
from django_paiementpro.models import Payment, PaymentEvent, SearchKey, cut
from django_paiementpro.testing import make_payment
from tests.conftest import due_event
from tests.host.models import Booking, Gift, Order

pytestmark = pytest.mark.django_db


def test_payment_defaults_come_from_the_settings() -> None:
    payment = make_payment()

    assert payment.status == Payment.Status.CREATED
    assert payment.merchant_id == "PP-F324"
    assert payment.currency == "XOF"
    assert not payment.is_final


def test_references_are_random() -> None:
    references = {make_payment().reference for _ in range(20)}

    assert len(references) == 20
    assert all(re.fullmatch("[0-9a-f]{24}", reference) for reference in references)


def test_reference_is_unique() -> None:
    make_payment(reference="A1")

    with pytest.raises(IntegrityError), transaction.atomic():
        make_payment(reference="A1")


@pytest.mark.parametrize("amount", [0, -1])
def test_amount_must_be_positive(amount: int) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        make_payment(amount=amount)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", 99),
        ("amount", -5),
        ("amount", "12.5"),
        ("amount", 12500.5),
        ("amount", Decimal("12500.01")),
        ("amount", None),
        ("currency", "EUR"),
        ("merchant_id", ""),
        ("description", ""),
        ("channel", "OM CIV2"),
        ("customer_email", "awa"),
        ("customer_first_name", ""),
        ("customer_last_name", ""),
        ("customer_phone", "0700"),
        ("customer_phone", ""),
        ("return_context", ["id"]),
        ("reference", "abc-2"),
        ("reference", "a b"),
        ("reference", "a" * 65),
        ("reference", "abc\n"),
    ],
)
def test_payment_the_gateway_would_refuse_is_invalid(field: str, value: Any) -> None:
    payment = make_payment()
    setattr(payment, field, value)

    with pytest.raises(ValidationError) as caught:
        payment.full_clean()
    assert list(caught.value.message_dict) == [field]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("amount", 12500.5, "Enter a whole number of francs."),
        ("currency", "EUR", "This shop does not accept EUR."),
        ("return_context", ["id"], "The context is a dictionary."),
        ("customer_phone", "0700", "Enter a telephone number of 8 to 15 digits."),
    ],
)
def test_validation_errors_name_the_field(field: str, value: Any, message: str) -> None:
    payment = make_payment()
    setattr(payment, field, value)

    with pytest.raises(ValidationError) as caught:
        payment.full_clean()
    [error] = caught.value.error_dict[field]
    assert (error.code, error.messages) == ("invalid", [message])


def test_phone_is_validated_for_the_operators_country() -> None:
    with pytest.raises(ValidationError) as caught:
        make_payment(channel="OMSN", customer_phone="221 123 45 67").full_clean()
    assert list(caught.value.message_dict) == ["customer_phone"]


@pytest.mark.parametrize("reference", ["a", "A_b-C", "REF-7x", "1234", "a" * 64, "-"])
def test_custom_reference_is_valid(reference: str) -> None:
    make_payment(reference=reference).full_clean()


def test_configured_channel_is_valid() -> None:
    with override_settings(PAIEMENTPRO_CHANNELS=[("NEW", "New Money")]):
        make_payment(channel="NEW").full_clean()
        with pytest.raises(ValidationError):
            make_payment(channel="OMCIV2").full_clean()
    with override_settings(PAIEMENTPRO_CHANNELS="wrong"):
        make_payment(channel="OMCIV2").full_clean()


def test_without_a_merchant_there_is_no_payment() -> None:
    with override_settings(PAIEMENTPRO_MERCHANT_ID=None), pytest.raises(ImproperlyConfigured):
        make_payment()


def test_order_finds_its_payments() -> None:
    order, other = Order.objects.create(), Order.objects.create()
    first, second = make_payment(content_object=order), make_payment(content_object=order)
    make_payment(content_object=other)

    assert list(Payment.objects.for_object(order)) == [second, first]
    assert Payment.objects.get(pk=first.pk).content_object == order


def test_object_of_another_model_has_other_payments() -> None:
    order = Order.objects.create()
    user = User.objects.create_user("awa", pk=order.pk)
    payment = make_payment(content_object=order)
    make_payment(content_object=user)

    assert list(Payment.objects.for_object(order)) == [payment]


def test_proxy_model_shares_its_payments() -> None:
    order = Order.objects.create()
    payment = make_payment(content_object=order)

    assert list(Payment.objects.for_object(Gift.objects.get(pk=order.pk))) == [payment]


def test_each_attempt_has_a_reference_of_its_own() -> None:
    payment = Payment(reference="abc", attempt=3)

    assert [payment.reference_of(attempt) for attempt in (0, 1, 2, 3)] == ["abc", "abc", "abc-2", "abc-3"]
    assert payment.gateway_reference == "abc-3"
    assert [payment.attempt_of(reference) for reference in ("abc", "abc-2", "abc-3")] == [1, 2, 3]


@pytest.mark.parametrize(
    "reference", ["", "ab", "abcd", "abc-", "abc-1", "abc-0", "abc-4", "abc-02", "abc-x", "ABC", "2"]
)
def test_reference_of_another_payment_is_not_an_attempt(reference: str) -> None:
    assert Payment(reference="abc", attempt=3).attempt_of(reference) is None


def test_amount_is_formatted() -> None:
    assert Payment(amount=1250000, currency="XOF").amount_display == "1\u202f250\u202f000\u00a0F\u00a0CFA"
    assert Payment(amount=999, currency="XAF").amount_display == "999\u00a0F\u00a0CFA"
    assert Payment(amount=100, currency="GNF").amount_display == "100\u00a0GNF"


@pytest.mark.parametrize("amount", [12500.5, Decimal("12500.01")])
def test_fractional_amount_is_refused(amount: Any) -> None:
    with pytest.raises(ValueError, match="whole francs"):
        make_payment(amount=amount)


@pytest.mark.parametrize("amount", [12501.0, Decimal("12501.00"), "12501"])
def test_whole_amount_may_be_of_another_type(amount: Any) -> None:
    payment = make_payment(amount=amount)
    payment.full_clean()
    payment.refresh_from_db()

    assert payment.amount == 12501


def test_str_of_a_payment_is_its_reference() -> None:
    assert str(Payment(reference="abc")) == "abc"


def test_str_of_an_event_has_kind_and_outcome() -> None:
    event = PaymentEvent(kind=PaymentEvent.Kind.NOTIFICATION, outcome=PaymentEvent.Outcome.REFUSED)

    assert str(event) == "Notification: Refused"


def test_str_of_a_search_key_is_its_text() -> None:
    assert str(SearchKey(text="kone awa")) == "kone awa"


def test_texts_are_cut_to_their_columns() -> None:
    assert cut({"gateway_id": "x" * 999, "settled_at": None}) == {"gateway_id": "x" * 128, "settled_at": None}


@pytest.mark.parametrize("status", Status)
def test_status_predicates_cover_every_status(status: Status) -> None:
    payable = status in {"created", "pending", "failed"}

    assert status.is_final == (status not in {"created", "pending"})
    assert status.is_payable == payable
    assert status.is_paid == (status in {"succeeded", "refunded"})


def test_every_channel_of_one_country_knows_it() -> None:
    world = {Channel.CARD, Channel.PAYPAL, Channel.CRYPTO, Channel.BANK_TRANSFER}

    assert {channel for channel in Channel if not channel.country} == world


def test_copy_is_a_new_payment() -> None:
    payment = make_payment()
    payment.pk, payment.reference = None, "A2"
    payment.save(force_insert=True)

    assert Payment.objects.get(reference="A2").description == payment.description
    assert Payment.objects.count() == 2


@pytest.mark.parametrize(
    ("key", "other"), [("AB3XQ", "aB3xQ"), ("AB3XQ", "AB3XQ "), ("cote", "coté"), ("AB%", "AB_"), ("é", "É")]
)
def test_order_key_is_case_sensitive(key: str, other: str) -> None:
    content_type = ContentType.objects.get_for_model(Order)
    payment = make_payment(content_type=content_type, object_id=key)
    make_payment(content_type=content_type, object_id=other)

    payments = Payment.objects.for_object(Order(pk=key))

    assert list(payments) == [payment]
    assert payments.exists()
    assert payments.filter(status="created").update(description="x") == 1


def delete_by_hand(booking: Booking) -> None:
    collector = Collector(using="default")
    collector.collect([booking])
    collector.delete()


@pytest.mark.parametrize(
    "delete",
    [
        lambda booking: booking.delete(),
        lambda booking: Booking.objects.filter(pk=booking.pk).delete(),
        delete_by_hand,
    ],
)
@pytest.mark.parametrize("values", [{}, {"status": "succeeded", "attempt": 1}])
def test_payment_is_not_deleted_with_its_order(values: dict[str, Any], delete: Callable[[Booking], object]) -> None:
    booking = Booking.objects.create()
    payment = make_payment(content_object=booking, **values)
    due_event(payment)
    assert booking.payments.get() == payment

    with pytest.raises(ProtectedError) as caught, transaction.atomic():
        delete(booking)

    assert caught.value.protected_objects == {payment}
    assert Booking.objects.filter(pk=booking.pk).exists()
    assert payment.events.count() == 1
    booking.payments.all().delete()
    delete(booking)
    assert not Booking.objects.exists()


def test_payment_is_deleted_by_itself() -> None:
    payments = [make_payment(content_object=Order.objects.create()) for _number in range(3)]
    due_event(payments[0])

    payments[0].delete()
    Payment.objects.filter(pk=payments[1].pk).delete()
    Payment.objects.for_object(payments[2].content_object).delete()

    assert not Payment.objects.exists()
    assert not PaymentEvent.objects.exists()


def test_order_without_a_relation_leaves_its_payments() -> None:
    order = Order.objects.create()
    payment = make_payment(content_object=order)

    order.delete()

    assert Payment.objects.get(pk=payment.pk).content_object is None


@pytest.mark.django_db
def test_payment_knows_its_kind_of_object_without_a_query(django_assert_num_queries: Any) -> None:
    order, gift = Order.objects.create(), Gift.objects.create()
    payment, other = make_payment(content_object=order), make_payment()
    make_payment(content_object=gift).is_for(Order)

    with django_assert_num_queries(0):
        assert payment.is_for(Order)
        assert payment.is_for(Gift)
        assert not other.is_for(Order)
    assert not payment.is_for(Booking)


@pytest.mark.django_db
def test_payable_payments_can_be_listed() -> None:
    payments = {status: make_payment(status=status) for status in Payment.Status.values}
    payable = [payments[status] for status in ("created", "pending", "failed")]

    assert list(Payment.objects.payable().order_by("pk")) == payable
    assert not Payment.objects.for_object(Order.objects.create()).payable().exists()


@pytest.mark.parametrize(
    ("reference", "short"),
    [
        ("1a2b3c4d5e6f1a2b3c4d5e6f", "1a2b 3c4d"),
        ("INV-2026-0042", "INV-2026-0042"),
        ("1A2B3C4D5E6F1A2B3C4D5E6F", "1A2B3C4D5E6F1A2B3C4D5E6F"),
        ("1a2b3c4d5e6f1a2b3c4d5e6f7", "1a2b3c4d5e6f1a2b3c4d5e6f7"),
    ],
)
def test_reference_of_the_app_has_a_short_form(reference: str, short: str) -> None:
    assert Payment(reference=reference).short_reference == short


def test_own_reference_has_a_short_form() -> None:
    payment = Payment()
    assert payment.reference.startswith(payment.short_reference.replace(" ", ""))
    assert len(payment.short_reference) == 9


def test_page_of_the_gateway_closes_after_five_minutes() -> None:
    opened_at = timezone.now()
    assert Payment(initialized_at=opened_at).page_expires_at == opened_at + timedelta(minutes=5)
    assert Payment().page_expires_at is None


def test_payment_method_used_is_named_rather_than_the_requested_one() -> None:
    assert Payment(channel="WAVECI").channel_display == "Wave Côte d’Ivoire"
    assert Payment(channel="WAVECI", gateway_channel="OMCIV2").channel_display == "Orange Money Côte d’Ivoire"
    assert Payment().channel_display == ""
