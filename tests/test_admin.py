import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from django_paiementpro.models import Payment
from tests.conftest import Notify, make_payment

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:paiementpro_payment_changelist"


@pytest.fixture
def cashier() -> Client:
    user = User.objects.create_user("cashier", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_payment", "view_paymentevent"]))
    client = Client()
    client.force_login(user)
    return client


def test_the_list_is_searched(cashier: Client) -> None:
    payment, other = make_payment(), make_payment(customer_email="binta@example.com")

    content = cashier.get(reverse(LIST), {"q": payment.reference}).content.decode()

    assert payment.reference in content
    assert other.reference not in content
    assert "12\u202f500\u00a0F\u00a0CFA" in content


def test_a_payment_is_shown_with_its_events(cashier: Client, payment: Payment, notify: Notify) -> None:
    notify(payment, channel="<script>")

    content = cashier.get(reverse("admin:paiementpro_payment_change", args=[payment.pk])).content.decode()

    assert payment.reference in content
    assert "9210824147867" in content
    assert payment.get_absolute_url() not in content
    assert "&lt;script&gt;" in content
    assert "<script>&quot" not in content
    assert 'name="_save"' not in content


@pytest.mark.parametrize("superuser", [True, False])
def test_nothing_is_added_edited_or_deleted(cashier: Client, payment: Payment, superuser: bool) -> None:
    User.objects.update(is_superuser=superuser)

    for name, arguments in (("add", []), ("delete", [payment.pk])):
        assert cashier.get(reverse(f"admin:paiementpro_payment_{name}", args=arguments)).status_code == 403
    change = reverse("admin:paiementpro_payment_change", args=[payment.pk])
    assert cashier.post(change, {"status": "succeeded"}).status_code == 403
    cashier.post(reverse(LIST), {"action": "delete_selected", "_selected_action": [payment.pk], "post": "yes"})
    assert Payment.objects.get().status == "pending"


def test_what_is_to_be_reviewed_says_why(cashier: Client, payment: Payment, notify: Notify) -> None:
    notify(payment, amount=1)
    payment.refresh_from_db()
    payment.review_reason += "\nsomething else"
    payment.save()

    content = cashier.get(reverse(LIST), headers={"accept-language": "fr"}).content.decode()

    assert "Autre montant: 1 ≠ 12500; something else" in content


def test_a_stranger_sees_nothing(payment: Payment) -> None:
    assert Client().get(reverse(LIST)).status_code == 302
