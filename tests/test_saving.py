"""Every way of saving a payment: none undoes what the gateway has said, or changes what a page was asked for."""

import copy
import pickle
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from threading import Thread
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django import forms
from django.core.exceptions import ValidationError
from django.core.serializers import deserialize, serialize
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models.signals import pre_save
from django.test import override_settings
from django.utils import timezone
from rest_framework import serializers

from django_paiementpro import services
from django_paiementpro.models import FIXED_FIELDS, HOST_FIELDS, Payment, SearchKey
from django_paiementpro.testing import FakeGateway, make_payment, notify, pay
from django_paiementpro.testing.payments import ORDINARY
from tests.conftest import columns
from tests.host.models import Order

pytestmark = pytest.mark.django_db

APP_FIELDS = {
    "reference": "another",
    "attempt": 9,
    "corrected_values": {"channel": "OMCIV2"},
    "is_verification": True,
    "status": "created",
    "needs_review": True,
    "settled_by": "staff",
    "settled_attempt": 9,
    "opened_attempt": 9,
    "payment_url": "https://www.paiementpro.net/other",
    "page_digest": "other",
    "gateway_id": "OTHER",
    "gateway_key": "other",
    "gateway_channel": "CARD",
    "transaction_date": timezone.now(),
    "response_code": "7",
    "response_message": "other",
    "refunded_amount": 7,
    "initialized_at": timezone.now(),
    "settled_at": timezone.now(),
    "created_at": timezone.now(),
    "blanked_at": timezone.now(),
    "leased_until": timezone.now(),
    "checked_at": timezone.now(),
    "asked_attempt": 9,
}


class PaymentForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Payment
        fields = ["description", "customer_email"]


class PaymentSerializer(serializers.ModelSerializer):  # type: ignore[type-arg]
    class Meta:
        model = Payment
        fields = ["description"]


def save_form(payment: Payment) -> None:
    form = PaymentForm({"description": payment.description, "customer_email": payment.customer_email}, instance=payment)
    assert form.is_valid(), form.errors
    form.save()


def save_serializer(payment: Payment) -> None:
    serializer = PaymentSerializer(payment, {"description": payment.description})
    serializer.is_valid(raise_exception=True)
    serializer.save()


def update_or_create(payment: Payment) -> None:
    Payment.objects.update_or_create(reference=payment.reference, defaults={"description": payment.description})


def save_after_refresh(payment: Payment) -> None:
    description = payment.description
    payment.refresh_from_db(fields=["customer_email"])
    payment.description = description
    payment.save()


def save_deferred(payment: Payment) -> None:
    partial = Payment.objects.defer("customer_phone", "status").get(pk=payment.pk)
    partial.description = payment.description
    partial.save()


def save_as_new(payment: Payment) -> None:
    values = {name: value for name, value in columns(payment).items() if name != "effective_channel"}
    Payment(**values).save()


WAYS: dict[str, Callable[[Payment], object]] = {
    "save": lambda payment: payment.save(),
    "save(update_fields=None)": lambda payment: payment.save(update_fields=None),
    "save(force_insert=False)": lambda payment: payment.save(force_insert=False),
    "save(force_update=True)": lambda payment: payment.save(force_update=True),
    "save(using)": lambda payment: payment.save(using="default"),
    "save(update_fields=[...])": lambda payment: payment.save(update_fields=["description"]),
    "asave": lambda payment: async_to_sync(payment.asave)(),
    "asave(update_fields=[...])": lambda payment: async_to_sync(payment.asave)(update_fields=["description"]),
    "ModelForm": save_form,
    "serializer": save_serializer,
    "bulk_update": lambda payment: Payment.objects.bulk_update([payment], ["description"]),
    "update_or_create": update_or_create,
    "refresh_from_db, save": save_after_refresh,
    "copy.copy": lambda payment: copy.copy(payment).save(),
    "copy.deepcopy": lambda payment: copy.deepcopy(payment).save(),
    "pickle": lambda payment: pickle.loads(pickle.dumps(payment)).save(),
    "deferred fields": save_deferred,
    "Payment(pk=...)": save_as_new,
}


def settled(payment: Payment) -> dict[str, Any]:
    """Return what the row holds, but for what a save is meant to write."""
    stored = Payment.objects.get(pk=payment.pk)
    return {name: value for name, value in columns(stored).items() if name not in {"description", "updated_at"}}


@pytest.mark.parametrize("way", WAYS)
def test_stale_copy_never_undoes_a_success(way: str) -> None:
    stale = make_payment(status="pending", attempt=1)
    pay(Payment.objects.get(pk=stale.pk))
    before = settled(stale)
    assert before["status"] == "succeeded"

    stale.description = "Gift wrap"
    WAYS[way](stale)

    assert settled(stale) == before
    assert Payment.objects.get(pk=stale.pk).description == "Gift wrap"
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("way", WAYS)
def test_object_from_bulk_create_never_undoes_a_success(way: str) -> None:
    [made] = Payment.objects.bulk_create([unsaved(status="pending", attempt=1)])
    stale = made if made.pk else Payment.objects.get(reference=made.reference)
    pay(Payment.objects.get(pk=stale.pk))
    before = settled(stale)

    stale.description = "Gift wrap"
    WAYS[way](stale)

    assert settled(stale) == before
    assert Payment.objects.get(pk=stale.pk).description == "Gift wrap"


@pytest.mark.parametrize("name", APP_FIELDS)
def test_save_leaves_the_columns_of_the_app_alone(name: str) -> None:
    payment = make_payment(status="pending", attempt=1, gateway_channel="OMCIV2")
    before = settled(payment)
    setattr(payment, name, APP_FIELDS[name])
    payment.save()
    assert settled(payment) == before


def test_every_column_has_an_owner() -> None:
    neither = {"id", "url_nonce", "updated_at", "effective_channel"}
    names = {field.name for field in Payment._meta.concrete_fields}
    assert names == HOST_FIELDS | APP_FIELDS.keys() | neither
    assert FIXED_FIELDS <= HOST_FIELDS


@pytest.mark.parametrize("name", [name for name in APP_FIELDS if name != "gateway_key"])
def test_update_fields_may_name_a_column_of_the_app(name: str) -> None:
    payment = make_payment()
    setattr(payment, name, APP_FIELDS[name])
    payment.save(update_fields=[name])
    assert getattr(Payment.objects.get(pk=payment.pk), name) == APP_FIELDS[name]


def test_key_of_a_transaction_follows_its_id() -> None:
    payment = make_payment(gateway_id="CI-2023 0113")
    assert Payment.objects.get(pk=payment.pk).gateway_key == "ci20230113"
    payment.gateway_id = "PAY-1"
    payment.save(update_fields=["gateway_id"])
    assert Payment.objects.get(pk=payment.pk).gateway_key == "pay1"
    payment.gateway_id = "PAY-2"
    Payment.objects.bulk_update([payment], ["gateway_id"])
    assert Payment.objects.get(pk=payment.pk).gateway_key == "pay2"


def test_save_writes_every_column_of_the_host() -> None:
    order = Order.objects.create()
    payment = make_payment()
    changes: dict[str, Any] = {
        "merchant_id": "PP-F9",
        "amount": 500,
        "currency": "XAF",
        "description": "Order 9",
        "channel": "WAVESN",
        "customer_email": "new@example.com",
        "customer_first_name": "New",
        "customer_last_name": "Name",
        "customer_phone": "77 123 45 67",
        "content_object": order,
        "return_context": {"id": 9},
        "success_url": "/thanks/",
        "failure_url": "/sorry/",
    }
    for name, value in changes.items():
        setattr(payment, name, value)
    payment.save()
    stored = Payment.objects.get(pk=payment.pk)
    assert {name: getattr(stored, name) for name in changes} == changes
    assert stored.effective_channel == "WAVESN"


# What a page was asked for.


def change_terms(payment: Payment, name: str) -> None:
    setattr(payment, name, {"amount": 100, "currency": "XAF", "merchant_id": "PP-F9"}[name])


def pretend(payment: Payment, name: str, **values: Any) -> Payment:
    """Return an object with the key of a payment and nothing else of it, as an update without a read makes."""
    return unsaved(pk=payment.pk, **{name: getattr(payment, name)}, **values)


def upsert_by(unique_field: str, payment: Payment, name: str) -> None:
    pretended = (
        pretend(payment, name, reference=payment.reference) if unique_field == "reference" else pretend(payment, name)
    )
    if unique_field == "reference":
        pretended.pk = 10**6
    unique_fields = None if connection.vendor == "mysql" else [unique_field]
    Payment.objects.bulk_create([pretended], update_conflicts=True, update_fields=[name], unique_fields=unique_fields)


def upsert(payment: Payment, name: str) -> None:
    values = {field: value for field, value in columns(payment).items() if field not in {"id", "effective_channel"}}
    unique_fields = None if connection.vendor == "mysql" else ["reference"]
    Payment.objects.bulk_create(
        [Payment(**values)], update_conflicts=True, update_fields=[name], unique_fields=unique_fields
    )


WAYS_TO_CHANGE: dict[str, Callable[[Payment, str], object]] = {
    "save": lambda payment, name: payment.save(),
    "save(update_fields)": lambda payment, name: payment.save(update_fields=[name]),
    "save(force_update)": lambda payment, name: payment.save(force_update=True),
    "asave": lambda payment, name: async_to_sync(payment.asave)(),
    "bulk_update": lambda payment, name: Payment.objects.bulk_update([payment], [name]),
    "bulk_create(update_conflicts)": upsert,
    "update_or_create": lambda payment, name: Payment.objects.update_or_create(
        pk=payment.pk, defaults={name: getattr(payment, name)}
    ),
    "copy.copy": lambda payment, name: copy.copy(payment).save(),
    "pickle": lambda payment, name: pickle.loads(pickle.dumps(payment)).save(),
    "Payment(pk=...)": lambda payment, name: save_as_new(payment),
    "Payment(pk=...).save(update_fields)": lambda payment, name: pretend(payment, name).save(update_fields=[name]),
    "Payment(pk=...).save(force_update)": lambda payment, name: pretend(payment, name).save(force_update=True),
    "Payment(pk=...).save": lambda payment, name: pretend(payment, name).save(),
    "Payment(pk=...), bulk_update": lambda payment, name: Payment.objects.bulk_update([pretend(payment, name)], [name]),
    "Payment(pk=...), upsert by key": lambda payment, name: upsert_by("id", payment, name),
    "Payment(reference=...), upsert": lambda payment, name: upsert_by("reference", payment, name),
}


@pytest.mark.parametrize("name", sorted(FIXED_FIELDS))
@pytest.mark.parametrize("way", WAYS_TO_CHANGE)
def test_terms_are_fixed_once_a_page_was_requested(way: str, name: str) -> None:
    stale = make_payment()
    Payment.objects.filter(pk=stale.pk).update(attempt=1)
    before = settled(stale)
    change_terms(stale, name)
    with pytest.raises(ValidationError) as caught:
        WAYS_TO_CHANGE[way](stale, name)
    assert caught.value.code == "amount_locked"
    assert settled(stale) == before


@pytest.mark.parametrize("name", sorted(FIXED_FIELDS))
@pytest.mark.parametrize("way", WAYS_TO_CHANGE)
def test_terms_may_change_before_the_first_page(way: str, name: str) -> None:
    payment = make_payment()
    change_terms(payment, name)
    WAYS_TO_CHANGE[way](payment, name)
    stored = Payment.objects.get(pk=payment.pk)
    assert getattr(stored, name) == getattr(payment, name)


@pytest.mark.parametrize("names", [None, ["amount"], ["amount", "description"]])
def test_pre_save_receiver_cannot_change_fixed_terms(payment: Payment, names: list[str] | None) -> None:
    def change(sender: object, instance: Payment, **kwargs: object) -> None:
        instance.amount = 100

    pre_save.connect(change, sender=Payment)
    try:
        payment.save(update_fields=names)
    finally:
        pre_save.disconnect(change, sender=Payment)
    assert Payment.objects.get(pk=payment.pk).amount == 12500


def test_raising_receiver_leaves_the_transaction_usable(payment: Payment) -> None:
    def explode(sender: object, **kwargs: object) -> None:
        raise RollbackError

    pre_save.connect(explode, sender=Payment)
    try:
        with transaction.atomic():
            with pytest.raises(RollbackError):
                payment.save()
            assert Payment.objects.count() == 1
    finally:
        pre_save.disconnect(explode, sender=Payment)


def test_forced_insert_of_some_fields_is_refused(payment: Payment) -> None:
    payment.amount = 100
    with pytest.raises(ValueError, match="Cannot force both insert and updating"), transaction.atomic():
        payment.save(force_insert=True, update_fields=["amount"])


def test_saving_an_object_with_an_existing_key_updates_it() -> None:
    payment = make_payment()
    unsaved(pk=payment.pk, description="Order 2").save()
    stored = Payment.objects.get()
    assert (stored.reference, stored.description) == (payment.reference, "Order 2")


def test_refused_change_leaves_the_transaction_usable() -> None:
    payment = make_payment(attempt=1)
    with transaction.atomic():
        payment.amount = 100
        with pytest.raises(ValidationError):
            payment.save()
        payment.amount = 12500
        payment.description = "Order 2"
        payment.save()
    assert Payment.objects.get(pk=payment.pk).description == "Order 2"


def test_update_of_other_columns_does_not_write_the_amount() -> None:
    payment = make_payment(attempt=1)
    payment.amount = 100
    payment.description = "Order 2"
    payment.save(update_fields=["description"])
    stored = Payment.objects.get(pk=payment.pk)
    assert (stored.amount, stored.description) == (12500, "Order 2")


# Transactions that are rolled back.


class RollbackError(Exception):
    pass


def twice(work: Callable[[], object]) -> None:
    """Do the work in a transaction that is rolled back, and once more: a host's ordinary retry loop."""
    with pytest.raises(RollbackError):
        rolled_back(work)
    with transaction.atomic():
        work()


def rolled_back(work: Callable[[], object]) -> None:
    with transaction.atomic():
        work()
        raise RollbackError


def test_rolled_back_change_can_be_saved_again() -> None:
    payment = make_payment(amount=100)

    def raise_price() -> None:
        payment.amount = 50000
        payment.save()

    twice(raise_price)
    assert Payment.objects.get(pk=payment.pk).amount == 50000


def unsaved(**values: Any) -> Payment:
    return Payment(**{**ORDINARY, **values})


def test_rolled_back_new_payment_can_be_saved_again() -> None:
    payment = unsaved()
    twice(payment.save)
    assert Payment.objects.get().reference == payment.reference
    assert {key.text for key in SearchKey.objects.all()} == payment.search_keys()


def test_rolled_back_payment_never_takes_another_row() -> None:
    payment = unsaved(amount=50000)
    with pytest.raises(RollbackError):
        rolled_back(payment.save)
    other = make_payment(pk=payment.pk, amount=100)  # as SQLite gives a key again

    payment.save()

    assert payment.pk != other.pk
    assert {each.reference: each.amount for each in Payment.objects.all()} == {
        payment.reference: 50000,
        other.reference: 100,
    }


def test_lost_payment_never_takes_a_simultaneous_row() -> None:
    moment = timezone.now()
    payment = unsaved(amount=50000, created_at=moment)
    with pytest.raises(RollbackError):
        rolled_back(payment.save)
    make_payment(pk=payment.pk, amount=100, created_at=moment)
    payment.save()
    assert sorted(Payment.objects.values_list("amount", flat=True)) == [100, 50000]


@pytest.mark.parametrize("act", ["cancel", "initialize"])
@pytest.mark.django_db(transaction=True)
def test_services_never_act_on_a_reused_primary_key(act: str, gateway: FakeGateway) -> None:
    payment = unsaved(amount=50000)
    with pytest.raises(RollbackError):
        rolled_back(payment.save)
    other = make_payment(pk=payment.pk, amount=100)
    acts: dict[str, Callable[[], object]] = {
        "cancel": lambda: services.cancel_payment(payment, "The order failed"),
        "initialize": lambda: services.initialize_payment(payment),
    }
    with override_settings(PAIEMENTPRO_SITE_URL="https://shop.example.com"), pytest.raises(Payment.DoesNotExist):
        acts[act]()
    assert Payment.objects.get().status == "created"
    assert other.reference == Payment.objects.get().reference


def test_update_fields_of_a_deleted_row_raise() -> None:
    payment = make_payment()
    Payment.objects.all().delete()
    for options in ({"update_fields": ["description"]}, {"force_update": True}, {"update_fields": ["amount"]}):
        with pytest.raises(DatabaseError), transaction.atomic():
            payment.save(**options)


def test_deleted_payment_is_inserted_again() -> None:
    payment = make_payment(status="pending", attempt=3)
    pk = payment.pk
    Payment.objects.all().delete()
    payment.save()
    assert (payment.pk, Payment.objects.get(pk=pk).attempt) == (pk, 3)


def test_forced_insert_writes_every_column() -> None:
    payment = make_payment(status="pending", attempt=3)
    payment.pk, payment.reference = None, "A2"
    payment.save(force_insert=True)
    stored = Payment.objects.get(reference="A2")
    assert (stored.status, stored.attempt) == ("pending", 3)
    with pytest.raises(IntegrityError), transaction.atomic():
        payment.save(force_insert=True)


def test_loaddata_writes_every_column() -> None:
    payment = pay(make_payment(status="pending", attempt=1))
    fixture = serialize("json", Payment.objects.all())
    Payment.objects.all().delete()
    for each in deserialize("json", fixture):
        each.save()
    stored = Payment.objects.get(pk=payment.pk)
    assert (stored.status, stored.gateway_id) == ("succeeded", payment.gateway_id)


# Search keys.


def keys_of(payment: Payment) -> set[str]:
    return set(SearchKey.objects.filter(payment=payment).values_list("text", flat=True))


def test_search_keys_follow_every_way_of_saving() -> None:
    payment = make_payment()
    assert keys_of(payment) == {"awa kone", "kone awa", "@awa@example.com", "+2250707123456"}
    payment.customer_last_name = "N’Guessan"
    payment.save()
    assert keys_of(payment) == {
        *("awa n guessan", "n guessan awa", "guessan awa n", "awa nguessan", "nguessan awa"),
        *("@awa@example.com", "+2250707123456"),
    }
    payment.customer_first_name = "Marie Claire"
    payment.save(update_fields=["customer_first_name"])
    assert {"marie claire nguessan", "claire nguessan marie"} <= keys_of(payment)
    payment.channel = "MOMOBJ"
    Payment.objects.bulk_update([payment], ["channel"])
    assert {key for key in keys_of(payment) if key[0] == "+"} == {payment.phone_number} - {""}


def test_search_keys_of_bulk_create() -> None:
    [made] = Payment.objects.bulk_create([unsaved()])
    stored = Payment.objects.get(reference=made.reference)
    assert keys_of(stored) == stored.search_keys()
    Payment.objects.bulk_create([unsaved(reference=made.reference, customer_last_name="Other")], ignore_conflicts=True)
    assert keys_of(stored) == stored.search_keys()


def test_search_keys_follow_the_row_not_a_stale_copy() -> None:
    stale = make_payment()
    Payment.objects.filter(pk=stale.pk).update(customer_phone="05 05 05 05 05")
    stale.customer_first_name = "Aya"
    stale.save(update_fields=["customer_first_name"])
    assert "+2250505050505" in keys_of(stale)
    Payment.objects.filter(pk=stale.pk).update(gateway_channel="OMSN", customer_phone="77 123 45 67")
    stale.customer_phone = "77 123 45 67"
    stale.save()
    assert "+221771234567" in keys_of(stale)
    Payment.objects.filter(pk=stale.pk).update(customer_phone="78 123 45 67")
    stale.store_search_keys()
    assert "+221781234567" in keys_of(stale)


def test_unchanged_search_keys_are_not_rewritten(statements: list[str]) -> None:
    payment = make_payment()
    with statements:  # type: ignore[attr-defined]
        payment.save()
    assert not [sql for sql in statements if sql.startswith(("INSERT", "DELETE"))]


def test_stale_copy_makes_an_erasure_due_again() -> None:
    stale = make_payment(status="expired")
    services.erase_personal_data(email="awa@example.com")
    assert Payment.objects.get(pk=stale.pk).blanked_at is not None
    stale.save()
    assert Payment.objects.get(pk=stale.pk).blanked_at is None
    assert keys_of(stale) == stale.search_keys()


def test_upsert_of_personal_data_makes_erasure_due_again() -> None:
    payment = make_payment(status="expired")
    services.erase_personal_data(email="awa@example.com")
    upsert(payment, "customer_email")
    assert Payment.objects.get(pk=payment.pk).blanked_at is None


def test_search_keys_of_many_payments(statements: list[str]) -> None:
    Payment.objects.bulk_create([unsaved(customer_email=f"p{number}@example.com") for number in range(1001)])
    assert SearchKey.objects.filter(text__startswith="@p").count() == 1001


# Amounts.


@pytest.mark.parametrize("amount", [Decimal("5000.00"), Decimal("5E+3"), 5000.0, 5000])
def test_whole_amount_becomes_an_int_on_assignment(amount: Any) -> None:
    payment = Payment(amount=amount, currency="XOF")
    assert (payment.amount, type(payment.amount)) == (5000, int)
    assert payment.amount_display == "5\u202f000\u00a0F\u00a0CFA"
    payment.amount = amount
    assert type(payment.amount) is int


@pytest.mark.parametrize("amount", [Fraction("12500.7"), b"100", [100]])
def test_amount_of_another_type_is_refused(amount: Any) -> None:
    with pytest.raises(ValueError, match="whole francs"), transaction.atomic():
        make_payment(amount=amount)


@pytest.mark.parametrize("amount", [True, "1_000", "１００", " 100", "", Decimal("NaN"), Decimal("Infinity"), 0.5])  # noqa: RUF001
def test_amount_must_be_whole_francs(amount: Any) -> None:
    with pytest.raises(ValueError, match="whole francs"), transaction.atomic():
        make_payment(amount=amount)
    with pytest.raises(ValidationError):
        unsaved(amount=amount).full_clean()


def test_reading_a_payment_keeps_no_copy() -> None:
    payment = make_payment()
    read = Payment.objects.get(pk=payment.pk)
    names = {field.attname for field in Payment._meta.concrete_fields}
    assert vars(read).keys() - names == {"_state"}
    assert "from_db" not in vars(Payment)


# Services with a copy that is outdated, or was read in a transaction that was rolled back.


@pytest.mark.django_db(transaction=True)
def test_services_decide_by_the_database() -> None:
    payment = make_payment(status="pending", attempt=1)
    twice(lambda: services.cancel_payment(payment, "Out of stock"))
    assert Payment.objects.get(pk=payment.pk).status == "cancelled"
    assert payment.events.count() == 1


@pytest.mark.django_db(transaction=True)
def test_page_opens_after_a_rolled_back_cancellation(gateway: FakeGateway) -> None:
    payment = make_payment()
    with pytest.raises(RollbackError):
        rolled_back(lambda: services.cancel_payment(payment, "Out of stock"))
    payment.status = "cancelled"
    with override_settings(PAIEMENTPRO_SITE_URL="https://shop.example.com"):
        assert services.initialize_payment(payment) == gateway.page_url


@pytest.mark.django_db(transaction=True)
def test_price_raised_during_the_transition_is_not_settled() -> None:
    """The shop holds the row, changes the amount and commits; the success for the old amount has been waiting."""
    payment = make_payment(status="pending", attempt=1, amount=100)
    with transaction.atomic():
        Payment.objects.filter(pk=payment.pk).update(description="Order 2")
        thread = Thread(target=paid_and_closed, args=(payment.pk,))
        thread.start()
        thread.join(0.5)
        Payment.objects.filter(pk=payment.pk).update(amount=50000)
    thread.join(30)
    stored = Payment.objects.get(pk=payment.pk)
    assert (stored.status, stored.needs_review) == ("pending", True)
    assert stored.findings.get().detail == "100 != 50000"


def paid_and_closed(pk: int) -> None:
    try:
        notify(Payment.objects.get(pk=pk))
    finally:
        connection.close()
