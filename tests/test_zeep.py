"""
The SOAP service and its client, each against software that is not ours: zeep, a generic SOAP client.

It reads the sandbox's description and opens a page by it; and it reads, by the same description, what the app sends and
what the sandbox answers.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import zeep
from django.test import Client
from lxml import etree
from zeep.exceptions import Fault

from django_paiementpro import services
from django_paiementpro.gateway.envelopes import write_answer
from django_paiementpro.gateway.soap import read_answer
from django_paiementpro.sandbox.models import SandboxSession
from django_paiementpro.sandbox.soap import ACTION, NAMESPACE
from django_paiementpro.testing import FakeGateway, make_payment

PATH = "/sandbox/webservice/OnlineServicePayment_v2.php"

FIELDS = {
    "merchantId": "PP-F324",
    "referenceNumber": "b7c1f0a29d3e4f5a6b7c8d9e",
    "amount": 12500,
    "channel": "",
    "countryCurrencyCode": "952",
    "customerId": "22",
    "customerFirstName": "Awa",
    "customerLastname": "Koné & fils <CI>",
    "customerEmail": "awa@example.com",
    "customerPhoneNumber": "2250707123456",
    "description": "Thé & attiéké",
    "notificationURL": "",
    "returnURL": "",
    "returnContext": '{"a":"<&>"}',
}


@pytest.fixture
def soap(transactional_db: None, live_server: Any, settings: Any) -> Iterator[zeep.Client]:
    settings.PAIEMENTPRO_SITE_URL = live_server.url
    settings.PAIEMENTPRO_GATEWAY_URL = f"{live_server.url}/sandbox"
    settings.PAIEMENTPRO_TRANSPORT = "soap"
    client = zeep.Client(f"{live_server.url}{PATH}?wsdl")
    client.transport.session.trust_env = False
    yield client
    client.transport.session.close()


def operation(client: zeep.Client) -> Any:
    [service] = client.wsdl.services.values()
    [port] = service.ports.values()
    return port.binding.get("initTransact")


def test_description_is_read(soap: zeep.Client, live_server: Any) -> None:
    [service] = soap.wsdl.services.values()
    [port] = service.ports.values()
    assert port.binding_options["address"] == f"{live_server.url}{PATH}"
    assert list(port.binding._operations) == ["initTransact"]
    assert operation(soap).soapaction == ACTION
    assert (operation(soap).style, operation(soap).input.body.qname) == ("rpc", f"{{{NAMESPACE}}}initTransact")


def test_page_is_opened_by_the_description(soap: zeep.Client, client: Client) -> None:
    answer = soap.service.initTransact(request=FIELDS)

    session = SandboxSession.objects.get()
    assert (answer.Code, answer.Description, answer.Sessionid) == ("0", "SUCCESS", session.session_id)
    assert (session.amount, session.customer_last_name) == (12500, "Koné & fils <CI>")
    assert (session.description, session.return_context) == ("Thé & attiéké", '{"a":"<&>"}')
    page = client.get(f"/sandbox/webservice/onlinepayment/processing_v2.php?sessionid={answer.Sessionid}")
    assert "12 500 F CFA" in page.content.decode()


def test_refusal_is_read(soap: zeep.Client) -> None:
    answer = soap.service.initTransact(request=FIELDS | {"merchantId": "PP-F325"})

    assert (answer.Code, answer.Description, answer.Sessionid) == ("11", "ID marchand inconnu", None)


def test_fault_is_read(soap: zeep.Client) -> None:
    with pytest.raises(Fault, match="soap fault"):
        soap.service.initTransact(request=FIELDS | {"customerLastname": "soap fault"})


def test_request_of_the_app_is_read_as_it_is_meant(soap: zeep.Client) -> None:
    payment = make_payment(
        description="Thé & attiéké <2>",
        customer_last_name="Koné\x07",
        customer_phone="77 123 45 67",
        channel="OMSN",
        return_context={"order": "<&>"},
    )
    with FakeGateway() as gateway:
        services.initialize_payment(payment)
        [sent] = [call.request for call in gateway.mock.calls]

    # As zeep reads the answers of a service, only that this is what a client sends.
    [body] = etree.fromstring(sent.body).iter("{http://schemas.xmlsoap.org/soap/envelope/}Body")
    [call] = body
    request_type = soap.get_type(f"{{{NAMESPACE}}}initRequest")
    read = request_type.parse_xmlelement(call[0], soap.wsdl.types)

    assert call.tag == f"{{{NAMESPACE}}}initTransact"
    assert {name: read[name] for name in FIELDS} == {
        "merchantId": "PP-F324",
        "referenceNumber": payment.reference,
        "amount": 12500,
        "channel": "OMSN",
        "countryCurrencyCode": "952",
        "customerId": None,
        "customerFirstName": "Awa",
        "customerLastname": "Koné",
        "customerEmail": "awa@example.com",
        "customerPhoneNumber": "221771234567",
        "description": "Thé & attiéké <2>",
        "notificationURL": gateway.page_requests[0].notification_url,
        "returnURL": gateway.page_requests[0].return_url,
        "returnContext": '{"order":"<&>"}',
    }
    assert sent.headers["SOAPAction"] == f'"{operation(soap).soapaction}"'


def test_request_of_the_app_differs_from_zeeps_in_form_only(soap: zeep.Client) -> None:
    payment = make_payment()
    with FakeGateway() as gateway:
        services.initialize_payment(payment)
        [sent] = [etree.fromstring(call.request.body) for call in gateway.mock.calls]
    fields = {field.tag: field.text or "" for field in next(sent.iter("request"))}

    written = soap.create_message(soap.service, "initTransact", request=fields)

    def shape(envelope: Any) -> list[tuple[str, str]]:
        return [(element.tag, element.text or "") for element in envelope.iter() if element.tag != "customerId"]

    assert shape(written) == shape(sent)


def test_answers_for_tests_are_read_as_the_sandboxs(soap: zeep.Client) -> None:
    for code, session in (("0", "1a0ab925"), ("11", None)):
        content = write_answer(code, "é & <b>", session)
        answer = operation(soap).process_reply(etree.fromstring(content))
        assert (answer.Code, answer.Description, answer.Sessionid) == (code, "é & <b>", session)
        assert read_answer(200, content).code == code
