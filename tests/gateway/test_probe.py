"""The probe at the notification URL: what recognises it, what it tells, and that nothing else comes of it."""

import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from asgiref.sync import async_to_sync
from django.core.signing import TimestampSigner
from django.http import HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import reverse
from django.utils import timezone

from django_paiementpro import signing
from django_paiementpro.gateway import probe
from django_paiementpro.gateway.parsing import MAX_BODY
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.testing import make_payment
from tests.conftest import Statements

NONCE = "b7c1f0a29d3e4f5a6b7c8d9e"


def path_of(signed: str, name: str = "notification") -> str:
    return reverse(f"paiementpro:{name}", args=[signed])


def send(signed: str, query: Any = None, body: Any = None, **headers: Any) -> Any:
    """Send a probe as the doctor does, unless another query or body is given."""
    fields = probe.fields_of(NONCE)
    query = urlencode(fields if query is None else query)
    client = Client(enforce_csrf_checks=True)
    return client.post(f"{path_of(signed)}?{query}", dict(fields if body is None else body), **headers)


def report_of(response: HttpResponse) -> probe.ProbeReport:
    report = probe.ProbeReport.from_json(NONCE, json.loads(response.content))
    assert report
    return report


def aged(nonce: str, age: timedelta, monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as past:
        moment = timezone.now().timestamp() - age.total_seconds()
        past.setattr("django.core.signing.time.time", lambda: moment)
        return signing.sign_probe(nonce)


def test_probe_reports_what_arrived(db: None, statements: Statements) -> None:
    with statements:
        response = send(signing.sign_probe(NONCE), REMOTE_ADDR="203.0.113.7", HTTP_X_FORWARDED_PROTO="https")

    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    report = report_of(response)
    assert (report.scheme, report.host, report.remote_address) == ("http", "testserver", "203.0.113.7")
    assert (report.forwarded_scheme, report.forwarded_host) == ("https", "")
    assert (report.missing_in_query, report.missing_in_body, report.altered) == ([], [], [])
    assert abs(report.now - timezone.now().timestamp()) < 60
    assert statements == []


def test_probe_reports_how_the_server_works() -> None:
    signed = signing.sign_probe(NONCE)
    for environ in ({"wsgi.multithread": True}, {"wsgi.multiprocess": False}, {}):
        report = report_of(send(signed, **environ))
        # Those of Django's test client, which is a server of processes.
        expected = {"wsgi.multithread": False, "wsgi.multiprocess": True} | environ
        assert (report.is_multithreaded, report.is_multiprocess) == tuple(expected.values())


def test_asgi_server_answers_several_requests_at_a_time() -> None:
    post = async_to_sync(AsyncClient().post)

    response = post(path_of(signing.sign_probe(NONCE)), dict(probe.fields_of(NONCE)))

    assert report_of(response).is_multithreaded


def test_probe_stores_nothing(db: None) -> None:
    make_payment(reference=NONCE, status="pending", attempt=1)

    assert send(signing.sign_probe(NONCE)).status_code == 200

    assert Payment.objects.get().status == "pending"
    assert not PaymentEvent.objects.exists()


def test_probe_cannot_report_a_success(db: None) -> None:
    payment = make_payment(reference=NONCE, status="pending", attempt=1)
    fields = {"merchantId": "PP-F324", "referenceNumber": NONCE, "amount": payment.amount, "responsecode": 0}

    assert send(signing.sign_probe(NONCE), query=fields, body=fields).status_code == 200

    assert Payment.objects.get().status == "pending"


def test_probe_uses_the_characters_of_a_signed_reference() -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,100}", signing.sign_probe(NONCE))


@pytest.mark.parametrize("purpose", [signing.CHECKOUT, signing.NOTIFICATION, signing.RETURN, signing.STATUS])
def test_probe_signature_opens_no_other_url(db: None, purpose: str) -> None:
    signed = signing.sign_probe(NONCE)
    assert signing.unsign(signed, purpose) is None
    assert signing.unsign_probe(signing.sign(NONCE, purpose)) is None
    client = Client()
    statuses = [client.get(path_of(signed, name)).status_code for name in ("checkout", "return", "status")]
    assert statuses == [404, 404, 404]
    assert client.get(path_of(signed)).status_code == 405


def forgeries() -> list[str]:
    nonce, timestamp, signature = signing.sign_probe(NONCE).split(".")
    return [
        f"{nonce}.{timestamp}.{signature[:-2]}AA",
        f"{nonce}x.{timestamp}.{signature}",
        f"{nonce}.zzzzzz.{signature}",
        f"{nonce}.{signature}",
        TimestampSigner(sep=".", salt="another").sign(nonce),
        TimestampSigner(key="guessed", sep=".", salt="paiementpro.probe").sign(nonce),
        signing.sign(nonce, signing.PROBE_ANSWER),
    ]


@pytest.mark.parametrize("number", range(7))
def test_forged_probe_is_not_found(db: None, statements: Statements, number: int) -> None:
    with statements:
        response = send(forgeries()[number])
    assert (response.status_code, response.content, response["Content-Type"]) == (404, b"Not Found", "text/plain")
    assert statements == []


def test_probe_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    assert signing.unsign_probe(aged(NONCE, timedelta(minutes=4, seconds=50), monkeypatch)) == NONCE
    old = aged(NONCE, timedelta(minutes=5, seconds=10), monkeypatch)
    assert signing.unsign_probe(old) is None
    assert send(old).status_code == 404


def test_probe_signed_with_an_old_key_is_recognized() -> None:
    signed = signing.sign_probe(NONCE)
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["only for tests"]):
        assert signing.unsign_probe(signed) == NONCE
    with override_settings(SECRET_KEY="new"):
        assert signing.unsign_probe(signed) is None


def test_only_this_site_can_answer_it() -> None:
    answer = json.loads(send(signing.sign_probe(NONCE)).content)

    assert probe.ProbeReport.from_json("another", answer) is None
    assert probe.ProbeReport.from_json(NONCE, answer | {"proof": NONCE}) is None
    assert probe.ProbeReport.from_json(NONCE, {}) is None


def test_lost_or_altered_fields_are_reported() -> None:
    fields = dict(probe.fields_of(NONCE))
    missing = {name: value for name, value in fields.items() if name != "returnContext"}

    report = report_of(send(signing.sign_probe(NONCE), query=missing, body=fields | {"transactiondt": "2026"}))

    assert report.missing_in_query == ["returnContext"]
    assert report.missing_in_body == []
    assert report.altered == ["transactiondt"]


def test_outside_values_are_not_echoed() -> None:
    response = send(signing.sign_probe(NONCE), query={"merchantId": "<script>", "x<b>": "<i>"})
    assert b"<" not in response.content
    assert response["Content-Type"] == "application/json"


def test_long_body_is_not_read() -> None:
    response = send(signing.sign_probe(NONCE), body={"x": "x" * MAX_BODY})
    report = report_of(response)
    assert report.missing_in_query == []
    assert len(report.missing_in_body) == 10


@override_settings(ALLOWED_HOSTS=["other.example"], MIDDLEWARE=[])
def test_disallowed_host_is_left_out() -> None:
    assert report_of(send(signing.sign_probe(NONCE))).host == ""
