import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from django.test import Client, RequestFactory, override_settings
from hypothesis import example, given
from hypothesis import strategies as st

from django_paiementpro import services
from django_paiementpro.exceptions import GatewayError, GatewayRefusedError, GatewayUnavailableError
from django_paiementpro.gateway.client import look_up, open_page
from django_paiementpro.gateway.connections import MAX_ANSWER
from django_paiementpro.gateway.envelopes import MAX_AMOUNT, writable, write_answer, write_request
from django_paiementpro.gateway.messages import PageRequest
from django_paiementpro.gateway.soap import read_answer
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import STATUS_URL, stored
from tests.gateway.test_messages import request as json_request

SAMPLE = Path(__file__).parent.parent / "samples" / "soap_request.xml"

ENDPOINT = "https://www.paiementpro.net/webservice/OnlineServicePayment_v2.php"
PAGE = "https://www.paiementpro.net/webservice/onlinepayment/processing_v2.php?sessionid="
SESSION = "1a0ab9252785d65fcd396eaa47797e03"


@pytest.fixture(autouse=True)
def soap(settings: Any) -> None:
    settings.PAIEMENTPRO_TRANSPORT = "soap"


def request(**values: Any) -> PageRequest:
    return json_request(customer_msisdn="22501234567", **values)


def envelope(content: str, body: str = "Body") -> str:
    return (
        '<E:Envelope xmlns:E="http://schemas.xmlsoap.org/soap/envelope/" xmlns:n="urn:any" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><E:{body}>{content}</E:{body}></E:Envelope>'
    )


def said(code: str, description: str = "", session: str = "") -> str:
    """Return what the service says, by the contents of its three elements."""
    return envelope(
        f"<n:initTransactResponse><return><Code>{code}</Code><Description>{description}</Description>"
        f"<Sessionid>{session}</Sessionid></return></n:initTransactResponse>"
    )


def sent_fields(content: bytes) -> dict[str, str]:
    [call] = ET.fromstring(content).iter(f"{{{ENDPOINT}}}initTransact")
    [sent] = call
    return {field.tag: field.text or "" for field in sent}


# The request.


def test_request_is_as_it_has_been_paid(gateway: FakeGateway) -> None:
    asked = request()

    assert open_page(asked) == PAGE + SESSION

    [call] = gateway.mock.calls
    assert call.request.url == ENDPOINT
    assert call.request.body == SAMPLE.read_bytes().rstrip()
    assert gateway.page_requests == [asked]
    assert {name: call.request.headers[name] for name in ("Content-Type", "SOAPAction", "Accept")} == {
        "Content-Type": "text/xml; charset=utf-8",
        "SOAPAction": f'"{ENDPOINT}#initTransact"',
        "Accept": "text/xml",
    }


def test_namespace_is_the_live_service_s_for_any_gateway(gateway: FakeGateway) -> None:
    with override_settings(PAIEMENTPRO_GATEWAY_URL="http://127.0.0.1:8000/sandbox"):
        page = open_page(request())

    [call] = gateway.mock.calls
    assert call.request.url == "http://127.0.0.1:8000/sandbox/webservice/OnlineServicePayment_v2.php"
    assert page == f"http://127.0.0.1:8000/sandbox/webservice/onlinepayment/processing_v2.php?sessionid={SESSION}"
    assert call.request.body == SAMPLE.read_bytes().rstrip()
    assert call.request.headers["SOAPAction"] == f'"{ENDPOINT}#initTransact"'


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "sent"),
    [
        ({}, "2250707123456"),
        ({"customer_phone": "77 123 45 67", "channel": "OMSN"}, "221771234567"),
        ({"customer_phone": "97 12 34 56", "channel": "MOMOBJ"}, "2290197123456"),
        ({"customer_phone": "+33 6 12 34 56 78"}, "33612345678"),
        ({"customer_phone": "00 229 01 97 12 34 56"}, "2290197123456"),
    ],
)
def test_phone_has_its_country_code(gateway: FakeGateway, rf: RequestFactory, values: Any, sent: str) -> None:
    services.initialize_payment(make_payment(**values), rf.get("/"))

    assert sent_fields(gateway.mock.calls[0].request.body)["customerPhoneNumber"] == sent
    assert gateway.page_requests[0].customer_msisdn == sent


@pytest.mark.django_db
def test_channel_left_to_the_payer_is_empty(gateway: FakeGateway, rf: RequestFactory) -> None:
    services.initialize_payment(make_payment(), rf.get("/"))

    assert sent_fields(gateway.mock.calls[0].request.body)["channel"] == ""


def test_largest_amount_is_that_of_an_int(gateway: FakeGateway) -> None:
    open_page(request(amount=2_147_483_647))

    with pytest.raises(GatewayRefusedError, match="2147483647"):
        open_page(request(amount=2_147_483_648))
    assert [sent.amount for sent in gateway.page_requests] == [MAX_AMOUNT]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("Thé & attiéké <b>2 × 50 F</b> ]]>", "Thé & attiéké <b>2 × 50 F</b> ]]>"),
        ("a\x00b\x1bc\x7fd\x85e\x9ff", "abcdef"),
        ("a\ud800b\udfffc", "abc"),
        ("a\ufffeb\uffffc", "abc"),
        ("a\r\nb\rc\n\td", "a\nb\nc\n\td"),
        ("\N{GRINNING FACE}\u2028", "\N{GRINNING FACE}\u2028"),
    ],
)
def test_text_is_escaped_and_holds_no_control_character(gateway: FakeGateway, text: str, sent: str) -> None:
    open_page(request(description=text, customer_last_name=text))

    fields = sent_fields(gateway.mock.calls[0].request.body)
    assert (fields["description"], fields["customerLastname"]) == (sent, sent)


@given(text=st.text(st.characters(exclude_categories=()), max_size=40))
@example(text="\x00")
def test_any_text_is_read_as_it_is_written(text: str) -> None:
    fields = {"description": text, "amount": 100}

    assert sent_fields(write_request(fields)) == {"description": writable(text), "amount": "100"}
    assert writable(writable(text)) == writable(text)
    assert writable(text).translate(dict.fromkeys(range(32))) in text.translate(dict.fromkeys(range(32))) or (
        re.search("[\x7f-\x9f\ud800-\udfff\ufffe\uffff]", text)
    )


# The answer.


def test_answer_for_tests_is_as_it_was_seen() -> None:
    def written(content: str) -> str:
        head, _, tail = SAMPLE.read_text().rstrip().partition("<ns1:initTransact>")
        end = tail.rpartition("</ns1:initTransact>")[2]
        return f"{head}<ns1:initTransactResponse>{content}</ns1:initTransactResponse>{end}"

    assert write_answer("0", "é & <b>", "1a0ab925").decode() == written(
        '<return xsi:type="ns1:initResponse"><Code xsi:type="xsd:string">0</Code><Description xsi:type="xsd:string">'
        'é &amp; &lt;b&gt;</Description><Sessionid xsi:type="xsd:string">1a0ab925</Sessionid></return>'
    )
    assert '<Sessionid xsi:nil="true"></Sessionid>' in write_answer("11", "", None).decode()


@pytest.mark.parametrize("code", ["10", "11", "-1", "-0", "00", "0.0", "+0", "1", "SUCCESS", "0x0", "\u0660", "0 0"])
def test_other_codes_are_refusals(gateway: FakeGateway, code: str) -> None:
    gateway.answers(said(code, "Marchand inconnu &amp; refusé", SESSION))

    with pytest.raises(GatewayRefusedError) as caught:
        open_page(request())
    assert caught.value.message == "Marchand inconnu & refusé"


def test_refusal_needs_no_description_and_no_session(gateway: FakeGateway) -> None:
    gateway.answers(envelope("<Code>11</Code>"))

    with pytest.raises(GatewayRefusedError) as caught:
        open_page(request())
    assert (caught.value.message, bool(str(caught.value))) == ("", True)


@pytest.mark.parametrize("encoded", [str, quote_plus])
@pytest.mark.django_db
def test_description_holds_no_signed_url(gateway: FakeGateway, encoded: Any) -> None:
    url = encoded(f"https://testserver{make_payment().get_notification_url()}")
    gateway.answers(said("-1", f"notificationURL invalide : {url}"))

    with pytest.raises(GatewayRefusedError) as caught:
        open_page(request())
    assert caught.value.message.startswith("notificationURL invalide : ")
    assert not re.search(r"[\w-]{43}", caught.value.message)


ANSWER = said("0", "SUCCESS", SESSION)
MULTIREF = '<n:initTransactResponse><return href="#id0"/></n:initTransactResponse><multiRef id="id0">{}</multiRef>'

USABLE = {
    "plain": ANSWER,
    "as the sandbox writes it": write_answer("0", "SUCCESS", SESSION),
    "blanks around": said(" \n0\t", "SUCCESS", f"\n {SESSION} "),
    "a declaration": f'<?xml version="1.0" encoding="UTF-8"?>{ANSWER}',
    "an empty line before": f'\r\n \n<?xml version="1.0" encoding="UTF-8"?>{ANSWER}',
    "a byte order mark": b"\xef\xbb\xbf" + ANSWER.encode(),
    "UTF-16": ANSWER.encode("utf-16"),
    "declared Latin-1": f'<?xml version="1.0" encoding="ISO-8859-1"?>{said("0", "é", SESSION)}'.encode("latin-1"),
    "Latin-1 declared as UTF-8": f'<?xml version="1.0" encoding="UTF-8"?>{said("0", "é", SESSION)}'.encode("latin-1"),
    "prefixed tags": re.sub("(</?)(return|Code|Description|Sessionid)", r"\1n:\2", ANSWER),
    "a default namespace": ANSWER.replace("<return>", '<return xmlns="urn:x">'),
    "SOAP 1.2": ANSWER.replace("schemas.xmlsoap.org/soap/envelope/", "www.w3.org/2003/05/soap-envelope"),
    "CDATA": said("<![CDATA[0]]>", "<![CDATA[<b>]]>", f"<![CDATA[{SESSION}]]>"),
    "character references": said("&#48;", "&#x41;", SESSION),
    "a comment": said("<!-- no -->0<!-- 1 -->", "", SESSION),
    "another order": envelope(f"<r><Sessionid>{SESSION}</Sessionid><Code>0</Code></r>"),
    "references": envelope(MULTIREF.format(f"<Code>0</Code><Sessionid>{SESSION}</Sessionid>")),
    "the same code twice": envelope(f"<Code>0</Code><Code> 0</Code><Sessionid>{SESSION}</Sessionid>"),
    "a header before the body": ANSWER.replace("<E:Body>", "<E:Header><Code>11</Code></E:Header><E:Body>"),
    "a null description": ANSWER.replace("<Description>SUCCESS</Description>", '<Description xsi:nil="true"/>'),
    "as long as may be": ANSWER + " " * (MAX_ANSWER - len(ANSWER)),
}


@pytest.mark.parametrize("content_type", ["text/xml; charset=utf-8", "text/html", ""])
@pytest.mark.parametrize("name", USABLE)
def test_session_is_found_however_it_is_written(gateway: FakeGateway, name: str, content_type: str) -> None:
    gateway.answers(USABLE[name], content_type=content_type)

    assert open_page(request()) == PAGE + SESSION


@pytest.mark.parametrize(
    ("session", "quoted"), [("a b&amp;c=é/?#%", "a%20b%26c%3D%C3%A9%2F%3F%23%25"), ("PAY-1_.~", "PAY-1_.~")]
)
def test_session_is_quoted(gateway: FakeGateway, session: str, quoted: str) -> None:
    gateway.answers(said("0", "", session))

    assert open_page(request()) == PAGE + quoted


ENTITY = "<!DOCTYPE E:Envelope [<!ENTITY {}>]>"
BOMB = "".join(f'<!ENTITY x{n} "{f"&x{n - 1};" * 10}">' for n in range(1, 10))
ENVELOPE_OF_SESSION = said("0", "", SESSION)

#: (body, status): neither a session nor a refusal.
UNUSABLE: dict[str, tuple[Any, int]] = {
    "a fault": (envelope("<E:Fault><faultcode>x</faultcode><faultstring>Awa Koné</faultstring></E:Fault>"), 500),
    "a fault with 200": (envelope("<E:Fault><faultcode>x</faultcode></E:Fault>"), 200),
    "a fault beside a session": (envelope(f"<E:Fault/><Code>0</Code><Sessionid>{SESSION}</Sessionid>"), 200),
    "no service there": ("", 404),
    "an error": (ANSWER, 500),
    "a redirect": (ANSWER, 302),
    "created": (ANSWER, 201),
    "a refusal that is an error": (said("11"), 503),
    "nothing": (b"", 200),
    "blanks": (b" \n ", 200),
    "HTML": ("<!DOCTYPE html><title>Maintenance</title>", 200),
    "HTML that is XML": ("<html><body><h1>0</h1></body></html>", 200),
    "JSON": ('{"success": true}', 200),
    "a PHP warning before": (f"<br />\n<b>Warning</b>: x in <b>y.php</b>{ANSWER}", 200),
    "a truncated answer": (ANSWER[:-20], 200),
    "a truncated code": (ANSWER[: ANSWER.index("</Code>")], 200),
    "more after the end": (ANSWER + "<x/>", 200),
    "no code": (said("", "", SESSION), 200),
    "blanks for a code": (said(" \n", "", SESSION), 200),
    "a null code": (ANSWER.replace("<Code>0</Code>", '<Code xsi:nil="true"/>'), 200),
    "no code at all": (ANSWER.replace("<Code>0</Code>", ""), 200),
    "a code in another case": (ANSWER.replace("Code>", "code>"), 200),
    "no session": (said("0"), 200),
    "blanks for a session": (said("0", "SUCCESS", " \n"), 200),
    "a null session": (ANSWER.replace(f"<Sessionid>{SESSION}</Sessionid>", '<Sessionid xsi:nil="true"/>'), 200),
    "no session at all": (ANSWER.replace(f"<Sessionid>{SESSION}</Sessionid>", ""), 200),
    "two codes": (envelope(f"<Code>0</Code><Code>11</Code><Sessionid>{SESSION}</Sessionid>"), 200),
    "two refusals": (envelope("<Code>11</Code><Code>10</Code>"), 200),
    "a code and an empty one": (envelope(f"<Code>0</Code><Code/><Sessionid>{SESSION}</Sessionid>"), 200),
    "two sessions": (envelope(f"<Code>0</Code><Sessionid>{SESSION}</Sessionid><Sessionid>a</Sessionid>"), 200),
    "no body": (envelope(f"<Code>0</Code><Sessionid>{SESSION}</Sessionid>", body="Head"), 200),
    "outside of the body": (
        envelope("").replace("<E:Body>", f"<Code>0</Code><Sessionid>{SESSION}</Sessionid><E:Body>"),
        200,
    ),
    "no envelope": ("<Code>0</Code>", 200),
    "a DOCTYPE": ("<!DOCTYPE x>" + ENVELOPE_OF_SESSION, 200),
    "an entity": (ENTITY.format('c "0"') + said("&c;", "", SESSION), 200),
    "an unused entity": (ENTITY.format('c "0"') + ENVELOPE_OF_SESSION, 200),
    "a parameter entity": (ENTITY.format('% c "0"') + ENVELOPE_OF_SESSION, 200),
    "a file": (ENTITY.format('c SYSTEM "file:///etc/passwd"') + said("0", "&c;", SESSION), 200),
    "an address": ('<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">' + ENVELOPE_OF_SESSION, 200),
    "a bomb": (f'<!DOCTYPE x [<!ENTITY x0 "ha">{BOMB}]>{said("0", "&x9;", SESSION)}', 200),
    "a quadratic bomb": (ENTITY.format(f'c "{"a" * 30_000}"') + said("0", "&c;" * 9_000, SESSION), 200),
    "a DOCTYPE in Latin-1 declared as UTF-8": ("<!DOCTYPE é>".encode("latin-1") + ENVELOPE_OF_SESSION.encode(), 200),
    "an entity that is not defined": (said("0", "&nbsp;", SESSION), 200),
    "an unknown encoding": (f'<?xml version="1.0" encoding="x-unknown"?>{ANSWER}', 200),
    "an encoding of several bytes": (f'<?xml version="1.0" encoding="shift_jis"?>{ANSWER}', 200),
    "UTF-7": (f'<?xml version="1.0" encoding="utf-7"?>{ANSWER}'.replace("<Code>", "+ADw-Code>"), 200),
    "a control character": (said("0", "\x00", SESSION), 200),
    "too deep": ("<a>" * 20_000, 200),
    "deep and closed": (envelope("<a>" * 9_000 + "</a>" * 9_000), 200),
    "too long": (ANSWER + " " * MAX_ANSWER, 200),
    "a session that is too long": (said("0", "", "a" * 2_000), 200),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_answer_that_neither_opens_nor_refuses_is_an_outage(gateway: FakeGateway, name: str) -> None:
    body, status = UNUSABLE[name]
    gateway.answers(body, status)

    with pytest.raises(GatewayUnavailableError) as caught:
        open_page(request())
    assert "Awa" not in str(caught.value)
    assert SESSION not in str(caught.value)


@pytest.mark.parametrize(("status", "is_away"), [(500, False), (404, False), (429, True), (502, True), (503, True)])
def test_proxy_without_a_service_is_away(gateway: FakeGateway, status: int, is_away: bool) -> None:
    gateway.answers("", status)

    with pytest.raises(GatewayUnavailableError) as caught:
        open_page(request())
    assert caught.value.is_away is is_away


def test_fault_is_not_away(gateway: FakeGateway) -> None:
    gateway.answers(UNUSABLE["a fault with 200"][0])

    with pytest.raises(GatewayUnavailableError, match="SOAP fault") as caught:
        open_page(request())
    assert not caught.value.is_away


@pytest.mark.parametrize(
    ("name", "message", "cause"),
    [
        ("a fault", "the gateway is out of order (HTTP 500)", "None"),
        ("a fault with 200", "the gateway's answer is a SOAP fault", "None"),
        ("no body", "the gateway's answer is not that of its SOAP service", "an envelope without a body"),
        ("two codes", "the gateway's answer is not that of its SOAP service", "no code, or several"),
        (
            "no session",
            "the gateway's answer is not that of its SOAP service",
            "a success without a session, or with several",
        ),
    ],
)
def test_outage_says_what_is_wrong_with_the_answer(name: str, message: str, cause: str) -> None:
    body, status = UNUSABLE[name]

    with pytest.raises(GatewayUnavailableError) as caught:
        read_answer(status, body.encode())
    assert (str(caught.value), str(caught.value.__cause__)) == (message, cause)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["no session", "a fault", "a truncated answer", "two codes", "a DOCTYPE"])
def test_session_without_proof_is_not_asked_for_twice(client: Client, gateway: FakeGateway, name: str) -> None:
    gateway.answers(*UNUSABLE[name])
    payment = make_payment()

    assert client.get(payment.get_checkout_url()).status_code == 503
    gateway.opens()
    assert client.get(payment.get_checkout_url())["Location"] == PAGE + SESSION

    assert [sent.reference for sent in gateway.page_requests] == [payment.reference, f"{payment.reference}-2"]
    assert [event.outcome for event in stored(payment).events.order_by("pk")] == ["failed", "accepted"]


@pytest.mark.django_db
@pytest.mark.parametrize("code", ["10", "11", "-1"])
def test_refusal_is_shown_and_kept(client: Client, gateway: FakeGateway, code: str) -> None:
    gateway.answers(said(code, "Paramètres insuffisants"))
    payment = make_payment()

    assert client.get(payment.get_checkout_url()).status_code == 502

    event = stored(payment).events.get()
    assert (event.outcome, event.message) == ("refused", "Paramètres insuffisants")


@given(content=st.binary(max_size=300), status=st.sampled_from([200, 200, 301, 404, 500, 503]))
@example(content=b"<a", status=200)
def test_arbitrary_bytes_open_no_page(content: bytes, status: int) -> None:
    with pytest.raises(GatewayError):
        read_answer(status, content)


A_SESSION = [("Code", " 0 "), ("Sessionid", "x")]
CONTENTS = st.sampled_from(["0", "11", "", " 0 ", "x", "&#48;", "<a/>", "&b;", "<!--c-->", SESSION, "é", "\ufffd"])


@given(fields=st.lists(st.tuples(st.sampled_from(["Code", "Description", "Sessionid", "Fault", "x"]), CONTENTS)))
@example(fields=A_SESSION)
@example(fields=[*A_SESSION, ("Fault", "")])
def test_arbitrary_fields_open_a_page_only_with_code_0_and_a_session(fields: list[tuple[str, str]]) -> None:
    content = envelope("".join(f"<{name}>{value}</{name}>" for name, value in fields))
    try:
        answer = read_answer(200, content.encode())
    except GatewayUnavailableError:
        return
    texts = {name: [value for each, value in fields if each == name] for name in ("Code", "Sessionid", "Fault")}
    assert not texts["Fault"]
    assert answer.code
    if not answer.is_refusal:
        assert texts["Code"]
        assert not {"11", "x", SESSION, "é"} & set(texts["Code"])
        assert answer.session_id


# The look-up.


def test_status_is_looked_up_as_over_json(gateway: FakeGateway) -> None:
    gateway.tells("abc-2", {"success": True, "reference": "abc-2", "amount": "100", "marchant_id": "PP-F324"})

    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL):
        answer = look_up("abc-2")
    assert (answer.is_success, answer.reference, answer.amount) == (True, "abc-2", 100)


def test_customer_is_in_no_repr() -> None:
    assert "01234567" not in repr(request())
