import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import call_command
from django.test import TransactionTestCase, override_settings
from django.urls import reverse
from orders.models import Order
from orders.receipts import links_to_receipts

from django_paiementpro import services
from django_paiementpro.models import Payment
from django_paiementpro.receipts.models import Receipt
from django_paiementpro.testing import pay
from tests.docs.browser import plain
from tests.docs.pages import blocks


class Platform(BaseHTTPRequestHandler):
    """A double of a tax platform."""

    asked: list[tuple[str, str, dict[str, Any]]] = []

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, self.headers["Authorization"], sent))
        number = len(self.asked)
        answer = {"id": f"id-{number}", "reference": f"FNE-{number}", "token": f"https://tax.example.com/v/{number}"}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def platform() -> Any:
    with ThreadingHTTPServer(("127.0.0.1", 0), Platform) as server:
        Platform.asked.clear()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        with override_settings(TAX_PLATFORM_URL=f"http://127.0.0.1:{server.server_port}"):
            yield
        server.shutdown()
        thread.join()


class Receipts(TransactionTestCase):
    def buy(self) -> Payment:
        buyer = {"first_name": "Awa", "last_name": "Koné", "email": "awa@example.com", "phone": "07 07 12 34 56"}
        self.client.post(reverse("buy"), buyer)
        self.client.get(reverse("pay", args=[Order.objects.get().pk]))
        return pay(Payment.objects.get())

    def test_payment_and_refund_have_receipts_and_documents(self) -> None:
        with platform():
            payment = self.buy()
            staff = User.objects.create(username="staff")
            services.refund_payment(payment, staff, amount=500, reason="broken")

        first, back = Receipt.objects.order_by("sequence")
        assert (first.fiscal_reference, back.fiscal_reference) == ("FNE-1", "FNE-2")
        (path, key, invoice), (credit_path, _key, credit_note) = Platform.asked
        assert (path, credit_path) == ("/invoices", "/invoices/id-1/refund")
        assert key == f"Bearer {settings.TAX_PLATFORM_KEY}"
        assert (invoice["externalNumber"], invoice["clientName"]) == (first.number, "Awa Koné")
        assert credit_note == {"externalNumber": back.number, "amount": 500}

        assert len(mail.outbox) == 2
        assert "FNE-1" in mail.outbox[0].body
        links = links_to_receipts(Order.objects.get())
        assert [number for number, _page, _pdf in links] == [first.number, back.number]
        for _number, page, pdf in links:
            assert self.client.get(page).status_code == 200
            assert self.client.get(pdf)["Content-Type"] == "application/pdf"

    def test_platform_that_is_away_keeps_no_receipt_back(self) -> None:
        with override_settings(TAX_PLATFORM_URL="http://127.0.0.1:9"):
            self.buy()
        receipt = Receipt.objects.get()
        assert receipt.fiscal_due_at
        assert len(mail.outbox) == 1

    def test_command_prints_what_the_guide_shows(self) -> None:
        for block in blocks(settings.LANGUAGE_CODE, "howto/receipts"):
            for command, answer in block.dialogue if block.language == "console" else ():
                if not command.startswith("python manage.py "):
                    continue
                output = StringIO()
                call_command(*command.split()[2:], stdout=output)
                assert plain(output.getvalue()) == plain(answer)
