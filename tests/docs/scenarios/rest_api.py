import json
import re
from pathlib import Path
from uuid import uuid4

import responses
from django.core.management import call_command
from django.test import TransactionTestCase
from orders.models import Order

from django_paiementpro.models import Payment
from django_paiementpro.testing import pay

PAGE = "https://www.paiementpro.net/page?sessionid=1"
GUIDES = [
    (Path(__file__).parents[3] / "docs" / language / "howto" / "rest-api.rst").read_text(encoding="utf-8")
    for language in ("en", "fr")
]


class RestApi(TransactionTestCase):
    def setUp(self) -> None:
        self.order = Order.objects.create(
            first_name="Awa", last_name="Koné", email="awa@example.com", phone="07 07 12 34 56"
        )

    def open(self, **fields: str):
        body = {"order": str(self.order.pk), "return_to": "https://shop.example.com/paid/{reference}", **fields}
        with responses.RequestsMock() as gateway:
            gateway.post(re.compile(".*/curl-init.php"), json={"success": True, "url": PAGE})
            headers = {"Idempotency-Key": str(uuid4())}
            return self.client.post("/api/payments/", body, "application/json", headers=headers)

    def test_payment_is_opened_and_paid(self) -> None:
        response = self.open()
        assert response.status_code == 201, response.content
        payment = Payment.objects.get()
        assert payment.amount == 12500
        pay(payment)
        status = self.client.get(response.json()["status_url"])
        assert status.json()["redirect_url"] == f"https://shop.example.com/paid/{payment.reference}"
        assert "Retry-After" not in status
        assert Order.objects.get().is_paid

    def test_paid_order_cannot_be_paid_again(self) -> None:
        self.open()
        pay(Payment.objects.get())
        response = self.client.post("/api/payments/", {"order": str(self.order.pk)}, "application/json")
        assert response.status_code == 409
        assert response.json()["type"].endswith("not-payable")

    def test_order_has_one_payment(self) -> None:
        self.open()
        assert self.open(channel="WAVECI").status_code == 201
        assert Payment.objects.get().channel == "WAVECI"

    def test_customer_can_return_to_an_app(self) -> None:
        assert self.open(return_to="maboutique://paid/{reference}").status_code == 201

    def test_frontend_examples_use_existing_fields(self) -> None:
        answer = self.open().json()
        status = self.client.get(answer["status_url"])
        problem = self.client.post("/api/payments/", {"amount": 1}, "application/json").json()
        for guide in GUIDES:
            for front in re.findall(r"code-block:: (?:javascript|dart)\n\n((?:    .*\n|\n)+)", guide):
                assert "/api/payments/" in front
                for name in re.findall(r"answer(?:\.(\w+)|\['(\w+)'\])", front):
                    assert "".join(name) in {*answer, *problem}
                for name in re.findall(r"payment\.(\w+)", front):
                    assert name in status.json()
                for name in re.findall(r'headers\.get\("([\w-]+)"\)', front):
                    assert name in status

    def test_curl_is_answered_as_shown(self) -> None:
        with responses.RequestsMock() as gateway:
            gateway.post(re.compile(".*/curl-init.php"), json={"success": True, "url": PAGE})
            answer = self.client.post("/api/payments/", {"order": str(self.order.pk)}).json()
        for guide in GUIDES:
            path, fields = re.findall(r"\$ curl http://127.0.0.1:8000(\S+) -d (\w+)=", guide)[0]
            assert (path, fields) == ("/api/payments/", "order")
            assert re.findall(r'"(\w+)":"', guide) == list(answer)

    def test_other_payments_pay_no_order(self) -> None:
        for order, status in (("", 400), ("x", 400), (str(uuid4()), 404)):
            response = self.client.post("/api/payments/", {"order": order}, "application/json")
            assert response.status_code == status

    def test_order_gets_a_new_payment_after_a_final_one(self) -> None:
        self.open()
        Payment.objects.update(status=Payment.Status.EXPIRED)
        assert self.open().status_code == 201
        assert Payment.objects.count() == 2

    def test_there_is_a_schema(self) -> None:
        call_command("spectacular", file="schema.json", format="openapi-json", validate=True)
        schema = json.loads(Path("schema.json").read_text())
        assert schema["openapi"].startswith("3.1")
        assert "/api/payments/" in schema["paths"]
