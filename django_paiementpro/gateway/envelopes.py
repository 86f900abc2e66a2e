"""
What the SOAP service is sent: SOAP 1.1, RPC/encoded, as PHP writes it.

For the facts behind it, see "What is known of the gateway" in the documentation.
"""

import re
from collections.abc import Mapping
from xml.etree.ElementTree import Element, SubElement, tostring  # only written  # nosec B405

SOAP_PATH = "/webservice/OnlineServicePayment_v2.php"
PAGE_PATH = "/webservice/onlinepayment/processing_v2.php"

#: Always that of the live service: a proxy or the sandbox plays the same one.
NAMESPACE = "https://www.paiementpro.net/webservice/OnlineServicePayment_v2.php"
OPERATION = "initTransact"

#: The largest ``xsd:int``.
MAX_AMOUNT = 2**31 - 1

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
XSD = "http://www.w3.org/2001/XMLSchema"
XSI = "http://www.w3.org/2001/XMLSchema-instance"

# Values name types by prefix, so the prefixes are ours to write, not the library's to choose.
PREFIXES = {
    "xmlns:SOAP-ENV": ENVELOPE,
    "xmlns:SOAP-ENC": ENCODING,
    "xmlns:ns1": NAMESPACE,
    "xmlns:xsd": XSD,
    "xmlns:xsi": XSI,
    "SOAP-ENV:encodingStyle": ENCODING,
}

# Control characters, surrogates and what else XML 1.0 cannot hold; line breaks and tabs may stay.
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_LINE_BREAK = re.compile("\r\n?")


def write_request(fields: Mapping[str, str | int]) -> bytes:
    """Return the envelope that calls ``initTransact`` with these fields."""
    return _write(OPERATION, "request", "initRequest", fields)


def write_answer(code: str, description: str, session_id: str | None) -> bytes:
    """Return the envelope of the service's answer."""
    fields = {"Code": code, "Description": description, "Sessionid": session_id}
    return _write(f"{OPERATION}Response", "return", "initResponse", fields)


def _write(operation: str, part: str, type_name: str, fields: Mapping[str, str | int | None]) -> bytes:
    envelope = Element("SOAP-ENV:Envelope", PREFIXES)
    body = SubElement(envelope, "SOAP-ENV:Body")
    message = SubElement(SubElement(body, f"ns1:{operation}"), part, {"xsi:type": f"ns1:{type_name}"})
    for name, value in fields.items():
        if value is None:
            SubElement(message, name, {"xsi:nil": "true"})
        else:
            type_ = "xsd:int" if isinstance(value, int) else "xsd:string"
            SubElement(message, name, {"xsi:type": type_}).text = writable(str(value))
    return bytes(tostring(envelope, "utf-8", xml_declaration=True, short_empty_elements=False))


def writable(text: str) -> str:
    """Return the text without what XML cannot hold, and with line breaks as they are read."""
    return _UNWRITABLE.sub("", _LINE_BREAK.sub("\n", text))
