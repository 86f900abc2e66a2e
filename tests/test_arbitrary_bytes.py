"""Whatever bytes come: at the door, and from the gateway."""

import json
import re
from typing import Any

import pytest
import responses
from django.test import Client, override_settings
from hypothesis import example, given
from hypothesis import strategies as st

from django_paiementpro import services
from django_paiementpro.exceptions import GatewayError, GatewayUnavailableError
from django_paiementpro.gateway import client as gateway_module
from django_paiementpro.gateway.json import INITIALIZE_PATH
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.testing import make_payment
from django_paiementpro.testing.notifications import notification_fields
from tests.conftest import PAGE_URL, STATUS_URL
from tests.gateway.test_messages import multipart, request

OPENING_URL = "https://www.paiementpro.net" + INITIALIZE_PATH

# What is nearly a notification: the names that decide, in any case, with values that are nearly right.
NAMES = st.sampled_from(["merchantId", "referenceNumber", "amount", "responsecode", "AMOUNT", "payId", " amount", "é"])
VALUES = st.one_of(st.sampled_from(["PP-F324", "12500", "12500.0", "0", "-1", "", "1e3", "00"]), st.text(max_size=20))
# Half of a character too, which JSON can name and no database stores.
TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda values: st.one_of(st.lists(values, max_size=3), st.dictionaries(st.text(max_size=10), values, max_size=3)),
    max_leaves=6,
)
CONTENT_TYPES = st.one_of(
    st.sampled_from(
        [
            "",
            "application/json",
            "application/x-www-form-urlencoded; charset=utf-16",
            "multipart/form-data; boundary=x",
            "multipart/form-data",
        ]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40),
)
BODIES = st.one_of(
    st.binary(max_size=300),
    st.dictionaries(NAMES, VALUES).map(lambda fields: multipart(fields)[1]),
    st.dictionaries(NAMES, JSON).map(lambda fields: json.dumps(fields).encode()),
)


def the_only_payment() -> Payment:
    Payment.objects.all().delete()
    return make_payment(status="pending", attempt=1)


@pytest.mark.django_db
@given(query=st.text(st.characters(max_codepoint=255), max_size=200), content_type=CONTENT_TYPES, body=BODIES)
def test_arbitrary_body_is_refused_and_recorded(query: str, content_type: str, body: bytes) -> None:
    """None of it can contain the reference, which cannot be guessed."""
    payment = the_only_payment()

    response = Client().generic("POST", payment.get_notification_url(), body, content_type, QUERY_STRING=query)

    assert (response.status_code, response.content) in {
        (400, b"Bad Request: malformed"),
        (400, b"Bad Request: reference_mismatch"),
    }
    assert Payment.objects.get().status == "pending"
    assert [(event.kind, event.outcome) for event in PaymentEvent.objects.all()] == [("notification", "refused")]


@pytest.mark.django_db
@example(noise={"": False, " ": False}, content_type="")
@example(noise={"": "1", " ": "2"}, content_type="")
@given(noise=st.dictionaries(TEXTS, JSON, max_size=4), content_type=CONTENT_TYPES)
def test_notification_is_accepted_despite_extra_data(noise: dict[str, Any], content_type: str) -> None:
    payment = the_only_payment()
    fields = notification_fields(payment)
    beside = {f"x{name}": value for name, value in noise.items()}
    body = json.dumps(beside | fields).encode()

    response = Client().generic("POST", payment.get_notification_url(), body, content_type)

    assert response.status_code == 200
    assert Payment.objects.get().status == "succeeded"


def answer(method: str, url: str, content: bytes, status: int) -> Any:
    mock = responses.RequestsMock()
    mock.add(method, url, content, status=status)
    return mock


ANSWERS = st.one_of(
    st.binary(max_size=300),
    st.dictionaries(st.sampled_from(["success", "message", "error", "url", "x"]), JSON).map(
        lambda fields: json.dumps(fields).encode()
    ),
)
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 301, 400, 404, 429, 500, 503])


@given(content=ANSWERS, status=STATUSES)
def test_arbitrary_page_response_is_a_gateway_error(content: bytes, status: int) -> None:
    with answer("POST", OPENING_URL, content, status), pytest.raises(GatewayError):
        gateway_module.open_page(request())


@given(url=st.one_of(st.text(max_size=60), st.text(max_size=30).map(lambda text: PAGE_URL[:-30] + text)))
def test_offered_page_is_on_the_gateways_host(url: str) -> None:
    content = json.dumps({"success": True, "url": url}).encode()
    with answer("POST", OPENING_URL, content, 200):
        try:
            page = gateway_module.open_page(request())
        except GatewayUnavailableError:
            return
    assert page == url
    assert re.match(r"https://(\w[\w-]*\.)*paiementpro\.net(/|$)", page, re.IGNORECASE)
    assert not any(letter <= " " or letter in "\\\x7f" for letter in page)


@pytest.mark.django_db
@given(content=ANSWERS, status=STATUSES)
def test_arbitrary_status_response_proves_nothing(content: bytes, status: int) -> None:
    payment = the_only_payment()
    with (
        override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL),
        answer("GET", f"{STATUS_URL}/{payment.reference}", content, status),
    ):
        assert services.check_payment(payment) == "pending"
    assert not PaymentEvent.objects.exclude(outcome="refused").exists()
