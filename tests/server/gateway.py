"""The gateway on a real socket: initialisation by JSON and SOAP, and status look-up; it keeps what it is asked."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any
from xml.etree import ElementTree as ET

from django_paiementpro.gateway.envelopes import PAGE_PATH, SOAP_PATH, write_answer
from django_paiementpro.gateway.json import INITIALIZE_PATH
from django_paiementpro.gateway.messages import SUCCESS_CODE, Notification
from django_paiementpro.testing.gateway import NO_TRANSACTION, page_answer, paid_answer

UNKNOWN = json.dumps(NO_TRANSACTION).encode()


class Call(BaseHTTPRequestHandler):
    """One request to the gateway, to be answered."""

    server: "FakeGateway"

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == SOAP_PATH:
            [request] = ET.fromstring(content).iter("request")
            self.fields = {field.tag: field.text for field in request}
        else:
            assert self.path == INITIALIZE_PATH
            self.fields = json.loads(content)
        self.server.calls.append(self)
        self.server.play(self)

    def do_GET(self) -> None:
        reference = self.path.removeprefix("/status/")
        self.server.asked.append(reference)
        self.server.play_status(self, reference)

    def says(self, body: bytes, status: int = 200, **headers: str) -> None:
        """Answer with a body that its header calls HTML, as the gateway has been seen to do."""
        self.send_response(status)
        for name, value in {"Content-Type": "text/html", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def opens(self) -> None:
        """Open a page, another one for each reference."""
        reference = self.fields["referenceNumber"]
        if self.path == SOAP_PATH:
            self.says(write_answer("0", "SUCCESS", reference))
        else:
            self.says(json.dumps(page_answer(self.server.page_of(reference))).encode())

    def log_message(self, *args: Any) -> None:
        pass


class FakeGateway(ThreadingMixIn, HTTPServer):
    """``play`` and ``play_status`` say how it answers."""

    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Call)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.calls: list[Call] = []
        self.asked: list[str] = []
        self.closing = threading.Event()
        self.play: Callable[[Call], object] = Call.opens
        self.play_status: Callable[[Call, str], object] = knows_nothing

    @property
    def references(self) -> list[str]:
        """The references that pages were asked for, in order."""
        return [call.fields["referenceNumber"] for call in self.calls]

    def page_of(self, reference: str) -> str:
        return f"{self.url}{PAGE_PATH}?sessionid={reference}"

    def shutdown(self) -> None:
        self.closing.set()
        super().shutdown()


def knows_nothing(call: Call, reference: str) -> None:
    call.says(UNKNOWN)


def knows_paid(amount: int) -> Callable[[Call, str], None]:
    """Return a status service that knows each reference as paid."""

    def play(call: Call, reference: str) -> None:
        paid = Notification("PP-F324", reference, amount, SUCCESS_CODE, gateway_id=f"CI-{reference}")
        call.says(json.dumps(paid_answer(paid)).encode())

    return play
