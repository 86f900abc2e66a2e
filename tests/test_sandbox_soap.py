"""The sandbox's SOAP service: what it refuses, and the mistakes it can make."""

import re
import time
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from django_paiementpro import services
from django_paiementpro.exceptions import GatewayRefusedError, GatewayUnavailableError
from django_paiementpro.gateway.envelopes import write_request
from django_paiementpro.gateway.soap import read_answer
from django_paiementpro.sandbox import protocol
from django_paiementpro.sandbox.models import SandboxSession
from django_paiementpro.sandbox.soap import EdgeCase, find_edge_case
from django_paiementpro.testing import make_payment
from tests.server.threads import DEADLINE, at_once
from tests.test_sandbox import REQUEST, page_of

URL = "/sandbox/webservice/OnlineServicePayment_v2.php"
ENDPOINT = "https://www.paiementpro.net/webservice/OnlineServicePayment_v2.php"
ACTION = f'"{ENDPOINT}#initTransact"'

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def return_hosts(settings: Any) -> None:
    settings.PAIEMENTPRO_RETURN_HOSTS = ["shop.example"]


def envelope(**changes: Any) -> str:
    """Return the app's own envelope; None leaves a field out."""
    fields = {name: value for name, value in (REQUEST | changes).items() if value is not None}
    return write_request(fields).decode()


def call(content: str | bytes, action: str = ACTION, content_type: str = "text/xml; charset=utf-8") -> Any:
    headers = {"soapaction": action}
    return Client(enforce_csrf_checks=True).post(URL, content, content_type=content_type, headers=headers)


def answer(content: str | bytes) -> tuple[str, str, str]:
    """Return code, description and session of an answer that is no fault."""
    response = call(content)
    assert (response.status_code, response["Content-Type"]) == (200, "text/xml; charset=utf-8")
    [returned] = ET.fromstring(response.content).iter("return")
    return tuple(element.text or "" for element in returned)


def fault(*args: Any, **kwargs: Any) -> str:
    response = call(*args, **kwargs)
    assert (response.status_code, response["Content-Type"]) == (500, "text/xml; charset=utf-8")
    [text] = ET.fromstring(response.content).iter("faultstring")
    assert not SandboxSession.objects.exists()
    return text.text or ""


def test_session_is_opened() -> None:
    code, description, session_id = answer(envelope())

    session = SandboxSession.objects.get()
    assert (code, description, session_id) == ("0", "SUCCESS", session.session_id)
    assert (session.amount, session.channel, session.state) == (12500, "MOMOCI", "open")
    assert (session.customer_last_name, session.return_context) == ("Lamine", '{"order_id":"123"}')


def test_answer_has_the_tags_that_were_seen() -> None:
    content = call(envelope()).content.decode()

    assert "<return xsi:type=" in content
    assert re.search('<Code xsi:type="xsd:string">0</Code><Description .*?</Description><Sessionid ', content)


def test_page_is_served_where_the_live_one_is(client: Client) -> None:
    _code, _description, session_id = answer(envelope())
    session = SandboxSession.objects.get()

    page = client.get(f"/sandbox/webservice/onlinepayment/processing_v2.php?sessionid={session_id}")

    assert page.status_code == 200
    assert "12 500 F CFA" in page.content.decode()
    assert page.context["session"] == client.get(page_of(session)).context["session"] == session


def test_sandbox_is_404_when_switched_off(settings: Any, client: Client) -> None:
    settings.PAIEMENTPRO_SANDBOX = False
    assert call(envelope()).status_code == 404
    assert client.get(f"{URL}?wsdl").status_code == 404


# The description.


@pytest.mark.parametrize("query", ["wsdl", "WSDL", "wsdl="])
def test_description_names_this_sandbox_and_the_live_namespace(client: Client, query: str) -> None:
    response = client.get(f"{URL}?{query}")

    assert (response.status_code, response["Content-Type"]) == (200, "text/xml; charset=utf-8")
    root = ET.fromstring(response.content)
    assert root.get("targetNamespace") == ENDPOINT
    [address] = root.iter("{http://schemas.xmlsoap.org/wsdl/soap/}address")
    assert address.get("location") == f"http://testserver{URL}"
    [operation] = root.iter("{http://schemas.xmlsoap.org/wsdl/soap/}operation")
    assert operation.get("soapAction") == f"{ENDPOINT}#initTransact"
    [request, _response] = root.iter("{http://www.w3.org/2001/XMLSchema}complexType")
    fields = {field.get("name"): field.get("type") for field in request[0]}
    assert len(fields) == 14
    assert {name for name, type_name in fields.items() if type_name != "xsd:string"} == {"amount"}


def test_get_without_a_query_is_a_fault(client: Client) -> None:
    assert client.get(URL).status_code == 500


# What is refused.


@pytest.mark.parametrize(
    ("changes", "code", "description"),
    [
        ({"description": ""}, "10", protocol.FIELDS_MISSING),
        ({"description": None}, "10", protocol.FIELDS_MISSING),
        ({"merchantId": None}, "10", protocol.FIELDS_MISSING),
        ({"amount": None}, "10", protocol.FIELDS_MISSING),
        ({"merchantId": "PP-F325"}, "11", protocol.UNKNOWN_MERCHANT),
        ({"amount": 99}, "-1", protocol.AMOUNT_TOO_SMALL),
        ({"customerPhoneNumber": "+2250102030405"}, "-1", protocol.NOT_INITIALIZED),
        ({"returnURL": "https://elsewhere.example/"}, "-1", protocol.URL_NOT_ALLOWED),
    ],
)
def test_refusal_has_its_code(changes: Any, code: str, description: str) -> None:
    assert answer(envelope(**changes)) == (code, description, "")
    assert not SandboxSession.objects.exists()


def test_reference_is_taken_once() -> None:
    assert answer(envelope())[0] == "0"
    assert answer(envelope()) == ("-1", protocol.REFERENCE_USED, "")


@pytest.mark.django_db(transaction=True)
def test_reference_is_taken_once_by_ten_concurrent_requests() -> None:
    codes = [code for code, _description, _session in at_once(*[lambda: answer(envelope())] * 10)]

    assert sorted(codes) == ["-1"] * 9 + ["0"]


def changed(old: str, new: str) -> str:
    content = envelope()
    assert old in content
    return content.replace(old, new)


def test_optional_parts_may_differ() -> None:
    fields = "".join(f"<{name}>{value}</{name}>".replace('"', "&quot;") for name, value in reversed(REQUEST.items()))
    style = 'encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"'
    body = f'<n:initTransact xmlns:n="{ENDPOINT}" E:{style}><request>{fields}<customerId/></request></n:initTransact>'
    content = f'<E:Envelope xmlns:E="http://schemas.xmlsoap.org/soap/envelope/"><E:Header/><E:Body>{body}</E:Body></E:Envelope>'

    assert answer(content)[0] == "0"


def test_null_is_an_empty_value() -> None:
    null = '<channel xsi:nil="true"></channel>'

    assert answer(changed('<channel xsi:type="xsd:string">MOMOCI</channel>', null))[0] == "0"
    assert SandboxSession.objects.get().channel == ""


def test_whole_number_may_have_a_sign_and_zeros() -> None:
    assert answer(changed(">12500<", "> +0012500 <"))[0] == "0"
    assert SandboxSession.objects.get().amount == 12500


INT = '<amount xsi:type="xsd:int">12500</amount>'


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (ENDPOINT, "https://sandbox.paiementpro.net/webservice/OnlineServicePayment_v2.php", "stands where"),
        (ENDPOINT, f"{ENDPOINT}?wsdl", "stands where"),
        ("schemas.xmlsoap.org/soap/envelope/", "www.w3.org/2003/05/soap-envelope", "stands where"),
        ("ns1:initTransact>", "ns1:initTransaction>", "stands where"),
        ("ns1:initTransact>", "initTransact>", "stands where"),
        ("<request ", "<request2 ", "no XML"),
        ('encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"', 'encodingStyle="urn:x"', "encodingStyle"),
        ("SOAP-ENV:Body>", "SOAP-ENV:Header>", "stands where"),
        ("<SOAP-ENV:Body>", "<SOAP-ENV:Other/><SOAP-ENV:Body>", "unknown part"),
        ("</request>", "</request><request/>", "has not one part"),
        ("<request ", "<ns1:x/><request ", "has not one part"),
        ('xsi:type="ns1:initRequest"', 'xsi:type="initRequest"', "prefix"),
        ('xsi:type="ns1:initRequest"', 'xsi:type="ns1:initResponse"', "not of the type"),
        (INT, INT.replace("xsd:int", "xsd:string"), "not of the type"),
        (INT, INT.replace("xsd:int", "xsi:int"), "not of the type"),
        (INT, INT.replace("xsd:int", "xsx:int"), "prefix"),
        (INT, INT.replace('xsi:type="xsd:int"', 'xmlns:xsd="urn:x" xsi:type="xsd:int"'), "not of the type"),
        (INT, INT.replace("12500", "12500.0"), "no xsd:int"),
        (INT, INT.replace("12500", "2147483648"), "no xsd:int"),
        (INT, INT.replace("12500", "12 500"), "no xsd:int"),
        (INT, INT.replace("12500", "١٢٥٠٠"), "no xsd:int"),
        (INT, INT.replace("12500", "<x>12500</x>"), "has children"),
        (INT, INT + INT, "is repeated"),
        (INT, INT.replace("amount", "ns1:amount"), "is unknown"),
        ("customerLastname", "customerLastName", "is unknown"),
        ("</request>", "<hashcode/></request>", "is unknown"),
        ("</SOAP-ENV:Envelope>", "", "no XML"),
        ("<SOAP-ENV:Envelope ", "<!DOCTYPE x><SOAP-ENV:Envelope ", "DOCTYPE"),
        ("encoding='utf-8'", "encoding='x-unknown'", "no XML"),
    ],
)
def test_envelope_is_read_strictly(old: str, new: str, text: str) -> None:
    assert text in fault(changed(old, new))


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"<a/>", b"\xff\xfe", b"<a", '<?xml version="1.0"?><é/>'.encode("latin-1")]
)
def test_anything_else_is_a_fault(content: bytes) -> None:
    assert fault(content)


@pytest.mark.parametrize("action", ["", ACTION.strip('"'), f'"{URL}#initTransact"', '"initTransact"'])
def test_soap_action_is_the_live_service_s(action: str) -> None:
    assert fault(envelope(), action=action) == "another SOAPAction"


@pytest.mark.parametrize("content_type", ["application/soap+xml", "application/json", "text/html"])
def test_content_type_is_that_of_soap_1_1(content_type: str) -> None:
    assert "text/xml" in fault(envelope(), content_type=content_type)


# Its mistakes.


@pytest.fixture
def site(transactional_db: None, live_server: Any, settings: Any) -> Any:
    settings.PAIEMENTPRO_SITE_URL = live_server.url
    settings.PAIEMENTPRO_GATEWAY_URL = live_server.url + "/sandbox"
    settings.PAIEMENTPRO_TRANSPORT = "soap"
    return live_server


@pytest.mark.parametrize("name", ["soap fault", "SOAP Fault", "  soap   FAULT "])
def test_edge_case_is_chosen_by_the_last_name(name: str) -> None:
    assert find_edge_case(name) is EdgeCase.FAULT
    assert fault(envelope(customerLastname=name)) == "soap fault"


@pytest.mark.parametrize("name", ["Soapfault", "soap", "Koné", "", "soap 12"])
def test_other_names_are_names(name: str) -> None:
    assert find_edge_case(name) is None


@pytest.mark.parametrize("case", [EdgeCase.CODE_10, EdgeCase.CODE_11, EdgeCase.CODE_MINUS_1])
def test_refusals_can_be_chosen(site: Any, case: EdgeCase) -> None:
    with pytest.raises(GatewayRefusedError) as caught:
        services.initialize_payment(make_payment(customer_last_name=case))

    assert caught.value.message == protocol.NOT_INITIALIZED
    assert answer(envelope(customerLastname=case))[0] == case.removeprefix("soap ")


@pytest.mark.parametrize("case", [EdgeCase.FAULT, EdgeCase.TRUNCATED, EdgeCase.DOCTYPE, EdgeCase.NO_SESSION])
def test_outages_can_be_chosen(site: Any, case: EdgeCase) -> None:
    payment = make_payment(customer_last_name=case)
    with pytest.raises(GatewayUnavailableError):
        services.initialize_payment(payment)

    payment.customer_last_name = "Koné"
    page = services.initialize_payment(payment)

    session = SandboxSession.objects.get(reference=f"{payment.reference}-2")
    assert page == f"{site.url}/sandbox/webservice/onlinepayment/processing_v2.php?sessionid={session.session_id}"


def test_lost_session_exists() -> None:
    """The app must not ask for it again under its reference."""
    for number, case in enumerate([EdgeCase.TRUNCATED, EdgeCase.DOCTYPE, EdgeCase.NO_SESSION]):
        response = call(envelope(customerLastname=case, referenceNumber=f"r{number}"))
        with pytest.raises(GatewayUnavailableError):
            read_answer(response.status_code, response.content)
        assert answer(envelope(referenceNumber=f"r{number}"))[1] == protocol.REFERENCE_USED


def test_prefixed_tags_are_read(site: Any) -> None:
    page = services.initialize_payment(make_payment(customer_last_name=EdgeCase.PREFIXED))

    assert page.endswith(SandboxSession.objects.get().session_id)
    assert b"<ns1:Code " in call(envelope(customerLastname=EdgeCase.PREFIXED)).content


def test_silence_outlasts_the_timeouts(site: Any, settings: Any) -> None:
    settings.PAIEMENTPRO_TIMEOUT = (0.2, 0.3)
    started_at = time.monotonic()

    with pytest.raises(GatewayUnavailableError):
        services.initialize_payment(make_payment(customer_last_name=EdgeCase.SILENCE))

    assert 0.3 <= time.monotonic() - started_at < DEADLINE / 4


def test_service_is_reversed() -> None:
    assert reverse("paiementpro_sandbox:soap") == URL
