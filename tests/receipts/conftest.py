import json
import re
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from django_paiementpro import services
from django_paiementpro.models import Payment
from django_paiementpro.receipts import receivers
from django_paiementpro.receipts.models import Receipt
from django_paiementpro.testing import deliver_signals, make_payment, pay
from tests.server.site import running

ESCAPED = {b"r": b"\r", b"n": b"\n"}

SHOP = {
    "name": "Chez Awa",
    "address": "Rue 12, Treichville\nAbidjan",
    "phone": "+225 27 20 00 00 00",
    "email": "shop@example.com",
    "registration": "CI-ABJ-2020-B-123",
    "tax_id": "9876501 A",
}


@pytest.fixture(autouse=True)
def shop(settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = SHOP


@pytest.fixture(autouse=True)
def connected(closed_shop: None) -> None:
    """Connect the receivers; the next test disconnects them."""
    receivers.connect()


@pytest.fixture
def mailed(db: None, admins: None, settings: Any, mailoutbox: list[Any]) -> list[Any]:
    """Mail receipts, into this list."""
    settings.PAIEMENTPRO_RECEIPT_EMAIL = True
    return mailoutbox


@pytest.fixture
def staff(db: None) -> User:
    return User.objects.create_user("staff", is_staff=True)


@pytest.fixture
def receipt(db: None) -> Receipt:
    return paid()


def paid(**values: Any) -> Receipt:
    """Return the receipt of a payment that has just been paid."""
    return receipt_of(pay(make_payment(status="pending", attempt=1, **values)))


def receipt_of(payment: Payment) -> Receipt:
    return Receipt.objects.get(payment=payment, refund=None)


def refund(payment: Payment, amount: int, **values: Any) -> Receipt:
    """Record a refund, and return its receipt."""
    payment.refresh_from_db()
    user = User.objects.get_or_create(username="staff", is_staff=True)[0]
    with deliver_signals():
        event = services.refund_payment(payment, user, amount=amount, reason="Koné complained", **values)
    return Receipt.objects.get(refund=event.refunds.get())


def page_of(receipt: Receipt, language: str = "en") -> str:
    response = Client().get(receipt.get_absolute_url(), headers={"accept-language": language})
    assert response.status_code == 200
    return plain(response.content.decode())


def plain(text: str) -> str:
    """Return a text with plain spaces: a line may be broken at any of them."""
    return " ".join(text.split())


def pdf_of(receipt: Receipt, language: str = "en") -> str:
    """Return the text of the PDF, in the order of drawing, with plain spaces."""
    response = Client().get(receipt.get_pdf_url(), headers={"accept-language": language})
    assert (response.status_code, response["Content-Type"]) == (200, "application/pdf")
    return pdf_text(response.content)


def pdf_text(content: bytes) -> str:
    """
    Return the text of a PDF, by the maps of its fonts from glyphs to characters.

    The streams of pages select a font with ``Tf``, and draw glyphs as text of two bytes each.
    """
    objects = dict(re.findall(rb"^(\d+) 0 obj\n(.*?)\nendobj$", content, re.DOTALL | re.MULTILINE))
    fonts = {}
    for resource in re.findall(rb"/Font <<(.*?)>>", content, re.DOTALL):
        for name, number in re.findall(rb"/(F\d+) (\d+) 0 R", resource):
            to_unicode = re.search(rb"/ToUnicode (\d+) 0 R", objects[number])
            assert to_unicode
            fonts[name] = _characters(_stream(objects[to_unicode[1]]))
    pages = [re.search(rb"/Contents (\d+) 0 R", text) for text in objects.values()]
    return plain(" ".join(_text(_stream(objects[page[1]]), fonts) for page in pages if page))


def _stream(text: bytes) -> bytes:
    start = text.index(b"stream\n") + len(b"stream\n")
    content = text[start : text.rindex(b"\nendstream")]
    return zlib.decompress(content) if b"/FlateDecode" in text[:start] else content


def _characters(cmap: bytes) -> dict[int, str]:
    pairs = re.findall(rb"<([0-9A-F]{4})> <([0-9A-F]+)>\n", cmap)
    return {int(glyph, 16): bytes.fromhex(text.decode()).decode("utf-16-be") for glyph, text in pairs}


def _text(stream: bytes, fonts: dict[bytes, dict[int, str]]) -> str:
    texts, font = [], b""
    for name, drawn in re.findall(rb"/(F\d+) [\d.]+ Tf|\(((?:[^()\\]|\\.)*)\) Tj", stream, re.DOTALL):
        font = name or font
        raw = re.sub(
            rb"\\(.)", lambda found: {b"r": b"\r", b"n": b"\n"}.get(found[1], found[1]), drawn, flags=re.DOTALL
        )
        glyphs = [int.from_bytes(raw[place : place + 2], "big") for place in range(0, len(raw), 2)]
        texts.append("".join(fonts[font][glyph] for glyph in glyphs))
    return " ".join(filter(None, texts))


class Platform(ThreadingHTTPServer):
    """A tax administration's platform, over HTTP: it remembers the invoices that it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        #: What to answer instead of a document.
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: Platform

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, sent))
        number = len(self.server.asked)
        answer = {"id": f"inv-{number}", "reference": f"FNE-{number}", "token": f"https://tax.example.com/v/{number}"}
        body = json.dumps(answer if self.server.status == 200 else {}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def platform() -> Iterator[Platform]:
    with running(Platform()) as platform:
        yield platform
