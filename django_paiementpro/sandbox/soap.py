"""
The gateway's SOAP service: its envelopes and its mistakes.

What it is sent is read strictly, by code of its own, so that an envelope that the gateway might refuse is refused here.
"""

import re
import time
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser  # a DOCTYPE is refused  # nosec B405

from django.db import models
from django.template.loader import render_to_string

from django_paiementpro.conf import conf
from django_paiementpro.sandbox.protocol import NOT_INITIALIZED, RefusedError

# That of the live service, wherever the sandbox runs.
NAMESPACE = "https://www.paiementpro.net/webservice/OnlineServicePayment_v2.php"
ACTION = f"{NAMESPACE}#initTransact"

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
STRING = "{http://www.w3.org/2001/XMLSchema}string"
INT = "{http://www.w3.org/2001/XMLSchema}int"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
TYPE, NIL, ENCODING_STYLE = f"{{{XSI}}}type", f"{{{XSI}}}nil", f"{{{ENVELOPE}}}encodingStyle"

# In the order of the description; a request may have another.
FIELDS = {
    "merchantId": STRING,
    "referenceNumber": STRING,
    "amount": INT,
    "channel": STRING,
    "countryCurrencyCode": STRING,
    "customerId": STRING,
    "customerFirstName": STRING,
    "customerLastname": STRING,
    "customerEmail": STRING,
    "customerPhoneNumber": STRING,
    "description": STRING,
    "notificationURL": STRING,
    "returnURL": STRING,
    "returnContext": STRING,
}

OPENED_CODE = "0"
OPENED = "SUCCESS"


class FaultError(Exception):
    """A request that is not understood, answered with a SOAP fault."""


class EdgeCase(models.TextChoices):
    """What the service may answer besides a session: chosen by the customer's last name, in upper or lower case."""

    CODE_10 = "soap 10"
    CODE_11 = "soap 11"
    CODE_MINUS_1 = "soap -1"
    FAULT = "soap fault"
    TRUNCATED = "soap truncated"
    DOCTYPE = "soap doctype"
    NO_SESSION = "soap no session"
    PREFIXED = "soap prefixed"
    SILENCE = "soap silence"

    @property
    def refusal_code(self) -> str:
        """The code of a refusal, or ""."""
        code = self.value.removeprefix("soap ")
        return code if re.fullmatch("-?[0-9]+", code) else ""


def find_edge_case(last_name: str) -> EdgeCase | None:
    name = " ".join(last_name.lower().split())
    return EdgeCase(name) if name in EdgeCase.values else None


def refuse(edge_case: EdgeCase | None) -> None:
    """Raise ``FaultError`` or ``RefusedError`` if the edge case is one of them."""
    if edge_case == EdgeCase.FAULT:
        raise FaultError(edge_case)
    if edge_case and edge_case.refusal_code:
        raise RefusedError(NOT_INITIALIZED, edge_case.refusal_code)


def read_call(content: bytes, content_type: str, action: str) -> dict[str, str]:
    """Return the fields of a call of ``initTransact``, as text. Raises ``FaultError``."""
    if content_type.partition(";")[0].strip().lower() != "text/xml":
        raise FaultError("SOAP 1.1 is sent as text/xml")
    if action != f'"{ACTION}"':
        raise FaultError("another SOAPAction")
    envelope = _parse(content)
    _require(envelope, f"{{{ENVELOPE}}}Envelope")
    [*headers, body] = list(envelope) or [envelope]
    if any(header.tag != f"{{{ENVELOPE}}}Header" for header in headers):
        raise FaultError("an unknown part of the envelope")
    call = _only_child(body, f"{{{ENVELOPE}}}Body", f"{{{NAMESPACE}}}initTransact")
    if {element.get(ENCODING_STYLE, ENCODING) for element in (envelope, call)} != {ENCODING}:
        raise FaultError("another encodingStyle")
    request = _only_child(call, f"{{{NAMESPACE}}}initTransact", "request")
    _require_type(request, f"{{{NAMESPACE}}}initRequest")
    return dict(_fields(request))


def _fields(request: Element) -> Iterator[tuple[str, str]]:
    seen = set()
    for field in request:
        if field.tag not in FIELDS or field.tag in seen or len(field):
            raise FaultError(f"the field {field.tag} is unknown, is repeated or has children")
        seen.add(field.tag)
        _require_type(field, FIELDS[field.tag])
        value = "" if field.get(NIL) in {"true", "1"} else field.text or ""
        is_int = re.fullmatch(r"\s*[+-]?[0-9]{1,10}\s*", value, re.ASCII) and -(2**31) <= int(value) < 2**31
        if FIELDS[field.tag] == INT and value and not is_int:
            raise FaultError(f"{field.tag} is no xsd:int")
        yield field.tag, str(int(value)) if is_int and FIELDS[field.tag] == INT else value


def _require(element: Element, tag: str) -> None:
    if element.tag != tag:
        raise FaultError(f"{element.tag} stands where {tag} belongs")


def _only_child(element: Element, tag: str, child: str) -> Element:
    _require(element, tag)
    if len(element) != 1:
        raise FaultError(f"{tag} has not one part")
    _require(element[0], child)
    return element[0]


def _require_type(element: Element, type_name: str) -> None:
    """Raise ``FaultError`` for another type. None is needed, since the description has it."""
    if element.get(TYPE, type_name) != type_name:
        raise FaultError(f"{element.tag} is not of the type {type_name}")


class _Builder(TreeBuilder):
    """Builds elements whose ``xsi:type`` is expanded like a tag."""

    def __init__(self) -> None:
        super().__init__()
        self.scopes: dict[str, list[str]] = {}

    def start_ns(self, prefix: str, uri: str) -> None:
        self.scopes.setdefault(prefix, []).append(uri)

    def end_ns(self, prefix: str) -> None:
        self.scopes[prefix].pop()

    def start(self, tag: Any, attrs: Any) -> Element:
        if TYPE in attrs:
            prefix, _colon, name = attrs[TYPE].rpartition(":")
            uris = self.scopes.get(prefix)
            if not uris:
                raise FaultError(f"the prefix of the type {attrs[TYPE]} is unknown")
            attrs[TYPE] = f"{{{uris[-1]}}}{name}"
        return super().start(tag, attrs)

    def doctype(self, *names: object) -> None:
        raise FaultError("a DOCTYPE")


def _parse(content: bytes) -> Element:
    parser = XMLParser(target=_Builder())  # noqa: S314  # nosec B314
    try:
        parser.feed(content)
        root: Element = parser.close()
    except (ParseError, ValueError, LookupError) as error:
        raise FaultError("no XML") from error
    return root


def description(location: str) -> str:
    """Return the WSDL of the service at a URL."""
    fields = {name: type_name.rpartition("}")[2] for name, type_name in FIELDS.items()}
    context = {"namespace": NAMESPACE, "action": ACTION, "location": location, "fields": fields}
    return render_to_string("paiementpro_sandbox/service.wsdl", context)


def answer(code: str, text: str, session_id: str = "", edge_case: EdgeCase | None = None) -> str:
    """Return the answer, or what an edge case makes of it. A silence outlasts the time-outs."""
    context = {
        "namespace": NAMESPACE,
        "code": code,
        "text": text,
        "session_id": "" if edge_case == EdgeCase.NO_SESSION else session_id,
        "is_doctype": edge_case == EdgeCase.DOCTYPE,
        "prefix": "ns1:" if edge_case == EdgeCase.PREFIXED else "",
    }
    if edge_case == EdgeCase.SILENCE:
        time.sleep(sum(conf.timeout) + 1)
    envelope = render_to_string("paiementpro_sandbox/answer.xml", context)
    return envelope[: len(envelope) // 2] if edge_case == EdgeCase.TRUNCATED else envelope


def fault(text: str) -> str:
    return render_to_string("paiementpro_sandbox/fault.xml", {"text": text})
