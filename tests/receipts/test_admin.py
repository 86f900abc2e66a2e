"""Receipts in the admin: read-only, and behind their permissions."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.core import mail
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from django_paiementpro.receipts.models import Receipt
from tests.receipts.conftest import paid, plain, refund

LIST = "/admin/paiementpro_receipts/receipt/"


def allow(user: User, *names: str) -> Client:
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def viewer(staff: User) -> Client:
    return allow(staff, "view_receipt")


def text_of(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return plain(response.content.decode())


def url_of(receipt: Receipt) -> str:
    return reverse("admin:paiementpro_receipts_receipt_change", args=[receipt.pk])


def links_of(user: User, receipt: Receipt) -> list[tuple[str, str]]:
    request = RequestFactory().get("/")
    request.user = User.objects.get(pk=user.pk)
    config: Any = apps.get_app_config("paiementpro_receipts")
    return list(config.admin_links(request, receipt.payment))


def test_list_and_page_show_a_receipt(viewer: Client, receipt: Receipt) -> None:
    text = text_of(viewer, LIST)
    assert receipt.number in text
    assert "12 500 F CFA" in text

    page = text_of(viewer, url_of(receipt))
    assert receipt.get_absolute_url() in page
    assert receipt.get_pdf_url() in page
    assert f"/admin/paiementpro/payment/{receipt.payment_id}/change/" in page
    assert "/admin/r/" not in page
    assert 'name="_save"' not in page
    assert "First receipt" not in page


def test_page_of_a_refund_links_to_the_first(viewer: Client, receipt: Receipt) -> None:
    paper = refund(receipt.payment, 500)
    assert url_of(receipt) in text_of(viewer, url_of(paper))


def test_page_says_what_is_still_owed(viewer: Client, receipt: Receipt) -> None:
    Receipt.objects.update(mail_due_at=timezone.now(), mail_attempts=3, fiscal_due_at=timezone.now())
    page = text_of(viewer, url_of(receipt))
    assert "Not mailed yet (tried 3 times)" in page
    assert "Fiscal document not issued yet (tried 0 times)" in page


@pytest.mark.parametrize("part", ["number", "reference", "fiscal_reference"])
def test_search_finds_the_beginning(viewer: Client, receipt: Receipt, part: str) -> None:
    other = paid()
    Receipt.objects.filter(pk=receipt.pk).update(fiscal_reference="FNE-77", number="2020-000009")
    receipt.refresh_from_db()
    text = text_of(viewer, f"{LIST}?q={getattr(receipt, part)[:10]}")
    assert url_of(receipt) in text
    assert url_of(other) not in text


def test_list_takes_few_queries(viewer: Client, receipt: Receipt, django_assert_max_num_queries: Any) -> None:
    for _ in range(5):
        paid()
    text_of(viewer, LIST)
    with django_assert_max_num_queries(8):
        text_of(viewer, LIST)


def test_nothing_is_added_changed_or_deleted(receipt: Receipt) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.post(url_of(receipt), {"number": "1"}).status_code == 403
    assert client.post(f"{LIST}{receipt.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in text_of(client, LIST)


def test_strangers_see_nothing(staff: User, receipt: Receipt) -> None:
    client = allow(staff, "view_payment")
    assert client.get(LIST).status_code == 403
    assert client.get(url_of(receipt)).status_code == 403
    assert Client().get(LIST).status_code == 302


# Links on the page of the payment.


def test_page_of_the_payment_links_to_its_receipts(staff: User, receipt: Receipt) -> None:
    paper = refund(receipt.payment, 500)
    allow(staff, "view_receipt")
    assert links_of(staff, receipt) == [(f"Receipt {each.number}", url_of(each)) for each in (receipt, paper)]
    allow(staff, "view_payment")
    assert links_of(staff, receipt) == []


def test_admin_without_receipts_has_no_links(staff: User, receipt: Receipt, settings: Any) -> None:
    allow(staff, "view_receipt")
    settings.ROOT_URLCONF = "tests.receipts.urls_bare"
    assert links_of(staff, receipt) == []


def test_page_works_where_the_urls_are_missing(viewer: Client, receipt: Receipt, settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.receipts.urls_without"
    page = text_of(viewer, url_of(receipt))
    assert receipt.number in page
    assert "PDF" not in page


@pytest.fixture
def own_admin(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.receipts.urls_own_admin"


def test_admin_of_receipts_alone_shows_the_payment_as_text(own_admin: None, receipt: Receipt) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    page = text_of(client, f"/office/paiementpro_receipts/receipt/{receipt.pk}/change/")
    assert receipt.reference in page
    assert "/paiementpro/payment/" not in page


# Mailing again.


def mail_again(client: Client, *receipts: Receipt) -> str:
    data = {"action": "mail_again", "_selected_action": [receipt.pk for receipt in receipts]}
    response = client.post(LIST, data, follow=True)
    assert response.status_code == 200
    return plain(response.content.decode())


def test_staff_may_mail_a_receipt_again(admins: None, staff: User, receipt: Receipt) -> None:
    client = allow(staff, "view_receipt", "mail_receipt")
    nameless = paid(customer_email="")
    page = mail_again(client, receipt, nameless)

    assert "1 receipt is being mailed." in page
    assert "1 receipt has no address to mail it to." in page
    assert [message.to for message in mail.outbox] == [["awa@example.com"]]
    receipt.refresh_from_db()
    assert receipt.mailed_at
    assert "1 receipt is being mailed." in mail_again(client, receipt)
    assert len(mail.outbox) == 2
    assert "0 receipts are being mailed." in mail_again(client, nameless)


def test_others_may_not(admins: None, viewer: Client, receipt: Receipt) -> None:
    assert "mail_again" not in text_of(viewer, LIST)
    mail_again(viewer, receipt)
    assert mail.outbox == []
