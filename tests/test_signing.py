import re

import pytest
from django.conf import settings
from django.core.signing import TimestampSigner
from django.test import override_settings

from django_paiementpro import signing

PURPOSES = [signing.CHECKOUT, signing.NOTIFICATION, signing.RETURN, signing.STATUS]


@pytest.mark.parametrize("purpose", PURPOSES)
def test_what_was_signed_is_read_back(purpose: str) -> None:
    signed = signing.sign("a-b_C1", purpose)

    assert re.fullmatch(r"[A-Za-z0-9._-]+", signed)
    assert signing.unsign(signed, purpose) == "a-b_C1"


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("other", PURPOSES)
def test_one_url_does_not_tell_another(purpose: str, other: str) -> None:
    assert (signing.unsign(signing.sign("abc", purpose), other) == "abc") == (purpose == other)


@pytest.mark.parametrize("signed", ["", ".", "abc", "abc.", "abc.x", ".x", "abc.é", "a" * 10_000])
def test_a_stranger_is_nobody(signed: str) -> None:
    assert signing.unsign(signed, signing.NOTIFICATION) is None


def test_a_changed_reference_or_signature_is_nobody() -> None:
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
def test_what_an_earlier_version_signed_is_good(purpose: str, signature: str) -> None:
    with override_settings(SECRET_KEY="one"):
        assert signing.sign("abc", purpose) == f"abc.{signature}"


def test_a_probe_is_signed_with_a_salt_of_its_own() -> None:
    signed = signing.sign_probe("abc")

    assert re.fullmatch(r"abc\.[A-Za-z0-9]+\.[A-Za-z0-9_-]{43}", signed)
    assert TimestampSigner(sep=".", salt="paiementpro.probe").unsign(signed) == "abc"
    assert all(signing.unsign(signed, purpose) is None for purpose in PURPOSES)


def test_keys_rotate() -> None:
    signed = signing.sign("abc", signing.RETURN)

    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        assert signing.unsign(signed, signing.RETURN) == "abc"
    with override_settings(SECRET_KEY="new"):
        assert signing.unsign(signed, signing.RETURN) is None
