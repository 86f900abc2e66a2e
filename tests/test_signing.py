import pickle
import re
from collections.abc import Callable
from copy import copy

import pytest
from django.conf import settings
from django.core import serializers
from django.core.signing import TimestampSigner
from django.forms.models import model_to_dict
from django.test import Client, RequestFactory, override_settings

from django_paiementpro import services, signing
from django_paiementpro.gateway.messages import SUCCESS_CODE
from django_paiementpro.models import Payment
from django_paiementpro.services.notifications import receive_notification
from django_paiementpro.testing import FakeGateway, make_payment, notify
from django_paiementpro.testing.notifications import notification_of
from tests.conftest import Statements

PURPOSES = [signing.CHECKOUT, signing.NOTIFICATION, signing.RETURN, signing.STATUS]


@pytest.mark.parametrize("purpose", PURPOSES)
def test_signed_reference_round_trips(purpose: str) -> None:
    signed = signing.sign("a-b_C1", purpose)

    assert re.fullmatch(r"[A-Za-z0-9._-]+", signed)
    assert signing.unsign(signed, purpose) == "a-b_C1"


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("other", PURPOSES)
def test_one_url_does_not_reveal_another(purpose: str, other: str) -> None:
    assert (signing.unsign(signing.sign("abc", purpose), other) == "abc") == (purpose == other)


@pytest.mark.parametrize("signed", ["", ".", "abc", "abc.", "abc.x", ".x", "abc.é", "a" * 10_000])
def test_unsigned_reference_is_refused(signed: str) -> None:
    assert signing.unsign(signed, signing.NOTIFICATION) is None


def test_altered_signature_is_refused() -> None:
    reference, signature = signing.sign("abc", signing.RETURN).split(".")

    assert signing.unsign(f"abd.{signature}", signing.RETURN) is None
    assert signing.unsign(f"{reference}.{signature[:-2]}AA", signing.RETURN) is None


@pytest.mark.parametrize(
    ("purpose", "signature"),
    [
        ("checkout", "kA1YYJz4er83ANMzApAPk98VqDAZREZxWMTdxM19lcs"),
        ("notification", "RbE_Mtbmj-TmpaeEDsXPIQzf7zA5MGoW4G5FuR_A7kI"),
        ("return", "qFiSyowoG1QJO48iEZsLKps9mcit_G7GDV1dV5X6ZVQ"),
        ("status", "pkGAzA9CTL-Wj6-bWYzTct6xEGn4G_wZ5U_y-x_Q_cs"),
    ],
)
def test_signature_of_an_earlier_version_is_accepted(purpose: str, signature: str) -> None:
    with override_settings(SECRET_KEY="one"):
        assert signing.sign("abc", purpose) == f"abc.{signature}"


def test_probe_is_signed_with_its_own_salt() -> None:
    signed = signing.sign_probe("abc")

    assert re.fullmatch(r"abc\.[A-Za-z0-9]+\.[A-Za-z0-9_-]{43}", signed)
    assert TimestampSigner(sep=".", salt="paiementpro.probe").unsign(signed) == "abc"
    assert all(signing.unsign(signed, purpose) is None for purpose in PURPOSES)


def test_secret_key_fallbacks_are_accepted() -> None:
    signed = signing.sign("abc", signing.RETURN)

    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        assert signing.unsign(signed, signing.RETURN) == "abc"
    with override_settings(SECRET_KEY="new"):
        assert signing.unsign(signed, signing.RETURN) is None


def urls_of(payment: Payment) -> list[str]:
    return [
        payment.get_checkout_url(),
        payment.get_notification_url(),
        payment.get_return_url(),
        payment.get_status_url(),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("reference", ["CMD-A", "a_b-C1", "-", "0" * 64])
def test_urls_of_a_deleted_payment_do_not_open_its_successor(
    client: Client, gateway: FakeGateway, reference: str
) -> None:
    deleted = make_payment(reference=reference, status="pending", attempt=1)
    urls = urls_of(deleted)
    deleted.delete()
    successor = make_payment(reference=reference, status="pending", attempt=1)

    assert notify(deleted).status_code == 404
    assert receive_notification(deleted.url_key, notification_of(successor, SUCCESS_CODE)) is None
    assert [client.get(url).status_code for url in urls] == [404, 405, 404, 404]
    assert not successor.events.exists()
    assert gateway.page_requests == []
    assert notify(successor).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    "copied",
    [
        lambda payment: Payment.objects.get(pk=payment.pk),
        lambda payment: Payment.objects.only("pk").get(pk=payment.pk),
        lambda payment: Payment.objects.get_or_create(reference=payment.reference)[0],
        lambda payment: Payment.objects.bulk_create(
            [Payment(reference=payment.reference, amount=1)], ignore_conflicts=True
        )[0],
        copy,
        lambda payment: pickle.loads(pickle.dumps(payment)),
    ],
)
def test_copies_of_a_payment_have_its_urls(copied: Callable[[Payment], Payment]) -> None:
    payment = make_payment()

    made = copied(payment)

    assert urls_of(made) == urls_of(payment)


@pytest.mark.django_db
@pytest.mark.parametrize("form", ["json", "jsonl", "xml"])
def test_urls_stay_good_when_payments_are_loaded_again(form: str) -> None:
    payment = make_payment(reference="CMD-A", status="pending", attempt=1)
    dumped = serializers.serialize(form, [payment])
    notification = copy(payment)
    payment.delete()

    for loaded in serializers.deserialize(form, dumped):
        loaded.save()

    assert notify(notification).status_code == 200
    assert Payment.objects.get(reference="CMD-A").status == "succeeded"


@pytest.mark.django_db
@pytest.mark.parametrize("is_current", [False, True])
def test_gateway_gets_the_stored_url_of_a_copy_made_by_hand(
    gateway: FakeGateway, rf: RequestFactory, is_current: bool
) -> None:
    payment = make_payment()
    values = model_to_dict(payment, exclude=["user", "content_type"])
    assert "url_nonce" not in values
    made_by_hand = Payment(**values, created_at=payment.created_at, updated_at=payment.updated_at)
    made_by_hand.id = payment.pk

    services.initialize_payment(made_by_hand, rf.get("/"), is_current=is_current)

    assert gateway.page_requests[0].notification_url.endswith(payment.get_notification_url())
    assert made_by_hand.get_return_url() == payment.get_return_url()


@pytest.mark.django_db
def test_url_names_no_person_and_costs_one_statement(client: Client, statements: Statements) -> None:
    payment = make_payment()

    assert re.fullmatch(rf"{payment.reference}-[0-9a-f]{{8}}", payment.url_key)
    with statements:
        assert client.get(payment.get_status_url()).status_code == 200
    assert len(statements) == 1
    with statements:
        assert client.get(payment.get_status_url().replace("status", "return")).status_code == 404
    assert statements == []
