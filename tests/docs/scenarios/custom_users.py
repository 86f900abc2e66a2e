from uuid import UUID

from accounts.models import User
from django.db import connection
from django.test import Client, TransactionTestCase
from django.urls import reverse
from orders.models import Order

from django_paiementpro.models import Payment
from django_paiementpro.services import flag_payment, refund_payment
from django_paiementpro.testing import FakeGateway, pay


class CustomUsers(TransactionTestCase):
    def setUp(self) -> None:
        self.user = User.objects.create_user("07 07 12 34 56", "attieke", first_name="Awa", last_name="Koné")
        self.staff = User.objects.create_superuser("05 05 12 34 56", "attieke", first_name="Yao", last_name="Kouassi")
        self.client.force_login(self.user)
        self.order = Order.objects.create(
            first_name="Awa", last_name="Koné", email="awa@example.com", phone="07 07 12 34 56"
        )

    def buy(self) -> Payment:
        response = self.client.get(f"/orders/{self.order.pk}/pay-as-user/")
        payment = Payment.objects.get()
        assert response.url == payment.get_checkout_url()
        return payment

    def test_payment_belongs_to_the_user(self) -> None:
        payment = self.buy()
        assert payment.user == self.user
        assert isinstance(payment.user_id, UUID)
        assert self.client.get("/resume/").url == payment.get_checkout_url()

        self.user.delete()
        payment.refresh_from_db()
        assert payment.user is None

    def test_missing_details_are_asked_for(self) -> None:
        payment = self.buy()
        url = payment.get_checkout_url()
        form = self.client.get(url)
        assert form.context["form"].fields.keys() == {"customer_email"}
        with FakeGateway() as gateway:
            response = self.client.post(url, {"customer_email": "awa@example.com"})
        assert response.url == gateway.page_url
        pay(payment)
        assert Order.objects.get().is_paid

    def test_staff_are_recorded_by_their_keys(self) -> None:
        payment = pay(self.buy())
        flag_payment(payment, "Gone.")
        payment.refresh_from_db()
        office = Client()
        assert office.login(phone="05 05 12 34 56", password="attieke")
        page = reverse("admin:paiementpro_payment_change", args=[payment.pk])
        assert office.get(page).status_code == 200
        form = office.get(page.replace("/change/", "/review/")).context["form"]
        answer = office.post(
            page.replace("/change/", "/review/"), {"seen": form["seen"].value(), "note": "Done.", "reason": "Done."}
        )
        assert answer.status_code == 302, answer.content
        [finding] = payment.findings.all()
        assert finding.reviewed_by == self.staff

        payment.refresh_from_db()
        refund_payment(payment, self.staff, amount=500, reason="Broken")
        assert payment.refunds.get().user == self.staff
        event = payment.events.latest("pk")
        assert event.data["user_id"] == str(self.staff.pk)
        assert "05 05 12 34 56" in office.get(page).text

    def test_columns_named_on_the_page_exist(self) -> None:
        with connection.cursor() as cursor:
            for table, column in [
                ("paiementpro_payment", "user_id"),
                ("paiementpro_refund", "user_id"),
                ("paiementpro_finding", "reviewed_by_id"),
            ]:
                columns = connection.introspection.get_table_description(cursor, table)
                assert column in {each.name for each in columns}
