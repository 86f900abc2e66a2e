from datetime import timedelta
from io import StringIO
from typing import Any

import responses
from django.conf import settings
from django.core.management import call_command
from django.test import Client, TransactionTestCase
from django.utils import timezone
from orders.models import Order, Transaction
from orders.moving import take_over

from django_paiementpro.models import Payment


class Moving(TransactionTestCase):
    def setUp(self) -> None:
        for number, status in enumerate(["paid", "waiting", "failed"]):
            Transaction.objects.create(
                order=Order.objects.create(
                    first_name="Awa", last_name="Koné", email="awa@example.com", phone="07 07 12 34 56"
                ),
                reference=f"OLD_{number}_{status}",
                amount=12500,
                status=status,
                created_at=timezone.now() - (timedelta(days=4) if status == "failed" else timedelta(minutes=10)),
            )
        assert take_over() == 3

    def status_of(self, status: str) -> tuple[str, bool]:
        payment = Payment.objects.get(reference__endswith=status)
        return payment.status, payment.content_object.is_paid

    def gateway(self, **paid: bool) -> Any:
        mock = responses.RequestsMock(assert_all_requests_are_fired=False)
        for payment in Payment.objects.all():
            is_paid = paid.get(payment.reference.rpartition("_")[2], False)
            answer = {
                "success": is_paid,
                "marchant_id": payment.merchant_id,
                "reference": payment.reference,
                "amount": payment.amount,
                "pay_id": f"CI{payment.pk}",
            }
            mock.get(f"{settings.PAIEMENTPRO_STATUS_URL}/{payment.reference}", json=answer)
        return mock

    def ring(self, reference: str) -> None:
        fields = {"referenceNumber": reference, "responsecode": "0", "amount": "12500"}
        assert Client(enforce_csrf_checks=True).post("/old/notification/", fields).status_code == 200

    def test_command_can_be_repeated(self) -> None:
        assert take_over() == 0
        assert self.status_of("paid") == ("succeeded", False)

    def test_notifications_to_the_old_url_are_not_believed(self) -> None:
        with self.gateway():
            self.ring("OLD_1_waiting")
        assert self.status_of("waiting") == ("pending", False)

    def test_old_notification_url_triggers_a_status_check(self) -> None:
        with self.gateway(waiting=True):
            self.ring("OLD_1_waiting")
            self.ring("OLD_9_strange")
        assert self.status_of("waiting") == ("succeeded", True)

    def test_old_return_page_redirects_to_the_new_one(self) -> None:
        payment = Payment.objects.get(reference="OLD_1_waiting")
        response = self.client.get("/old/return/OLD_1_waiting/")
        assert response.headers["Location"] == payment.get_return_url()

    def test_reconciliation_finds_what_was_paid_and_taken_for_failed(self) -> None:
        with self.gateway(waiting=True, failed=True):
            call_command("paiementpro_reconcile", stdout=StringIO())
        assert self.status_of("waiting") == ("succeeded", True)
        assert self.status_of("failed") == ("succeeded", True)

    def test_known_failure_stays_expired_and_is_checked_once(self) -> None:
        for _run in range(2):
            with self.gateway() as mock:
                call_command("paiementpro_reconcile", stdout=StringIO())
                asked = [call.request.url.rpartition("_")[2] for call in mock.calls]
            assert self.status_of("failed") == ("expired", False)
        assert "failed" not in asked

    def test_payer_can_continue_with_a_new_attempt(self) -> None:
        payment = Payment.objects.get(reference="OLD_1_waiting")
        with responses.RequestsMock() as gateway:
            url = f"{settings.PAIEMENTPRO_GATEWAY_URL}/webservice/onlinepayment/init/curl-init.php"
            gateway.post(url, json={"success": True, "url": "https://www.paiementpro.net/page?sessionid=1"})
            assert self.client.get(payment.get_checkout_url()).status_code == 302
            assert b"OLD_1_waiting-2" in gateway.calls[0].request.body
