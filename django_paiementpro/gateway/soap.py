"""The gateway's SOAP service. It opens pages; payments are looked up as over any transport."""

from urllib.parse import quote
from xml.etree.ElementTree import Element, ParseError  # defusedxml reads  # nosec B405

from django.views.decorators.debug import sensitive_variables

from django_paiementpro.conf import conf
from django_paiementpro.exceptions import GatewayRefusedError
from django_paiementpro.gateway.connections import call, unusable
from django_paiementpro.gateway.envelopes import MAX_AMOUNT, NAMESPACE, OPERATION, PAGE_PATH, SOAP_PATH, write_request
from django_paiementpro.gateway.messages import PageRequest, SessionAnswer
from django_paiementpro.gateway.transport import Transport

try:
    from defusedxml.ElementTree import fromstring
except ImportError as error:
    raise ImportError('"soap" needs defusedxml: pip install "django-paiementpro[soap]"') from error

HEADERS = {
    "Accept": "text/xml",
    "Content-Type": "text/xml; charset=utf-8",
    "SOAPAction": f'"{NAMESPACE}#{OPERATION}"',
}


class SOAPTransport(Transport):
    @sensitive_variables()
    def open_page(self, request: PageRequest) -> str:
        if request.amount > MAX_AMOUNT:
            raise GatewayRefusedError(f"the SOAP service takes no amount above {MAX_AMOUNT}")
        status, content = call("POST", conf.gateway_url + SOAP_PATH, HEADERS, write_request(request.as_soap()))
        answer = read_answer(status, content)
        if answer.is_refusal:
            raise GatewayRefusedError(answer.message)
        return f"{conf.gateway_url}{PAGE_PATH}?sessionid={quote(answer.session_id, safe='')}"


def read_answer(status: int, content: bytes) -> SessionAnswer:
    """
    Read an answer, whatever its content type and prefixes.

    Raises ``GatewayUnavailableError`` for a fault, which may quote the customer and is not shown, and for anything that
    neither opens a session nor refuses it.
    """
    if status != 200:
        raise unusable(f"the gateway is out of order (HTTP {status})", status)
    try:
        elements = list(_body_of(_parse(content)).iter())
        if any(_local_name(element) == "Fault" for element in elements):
            raise unusable("the gateway's answer is a SOAP fault", status)
        return SessionAnswer.from_fields([(_local_name(element), element.text or "") for element in elements])
    # defusedxml raises a ValueError for a DOCTYPE; an unknown encoding is a LookupError.
    except (ParseError, ValueError, LookupError) as error:
        raise unusable("the gateway's answer is not that of its SOAP service", status) from error


def _parse(content: bytes) -> Element:
    """Parse XML. Latin-1 that is declared as UTF-8, as PHP may write it, is read as Latin-1."""
    content = content.lstrip()  # PHP files may begin with an empty line
    try:
        return _parse_strictly(content)
    except ParseError:
        try:
            content.decode()
        except UnicodeDecodeError:
            return _parse_strictly(content.decode("latin-1"))
        raise


def _parse_strictly(text: bytes | str) -> Element:
    root: Element = fromstring(text, forbid_dtd=True)
    return root


def _body_of(envelope: Element) -> Element:
    for element in envelope:
        if _local_name(element) == "Body":
            return element
    raise ValueError("an envelope without a body")


def _local_name(element: Element) -> str:
    return element.tag.rpartition("}")[2]
