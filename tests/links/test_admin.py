"""The back office of payment links."""

import re
import time
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import unquote

import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.links.admin import PaymentLinkAdmin, links
from django_paiementpro.links.admin.figures import add_figures, filter_state, state_of
from django_paiementpro.links.importing.rows import Row
from django_paiementpro.links.importing.storage import batch_key, import_links
from django_paiementpro.links.models import LinkState, PaymentLink
from django_paiementpro.models import Payment
from django_paiementpro.testing import make_payment
from tests.server.threads import DEADLINE, meanwhile

pytestmark = pytest.mark.django_db

LIST = "/admin/paiementpro_links/paymentlink/"
ADD = f"{LIST}add/"

FRENCH = {"accept-language": "fr"}

FORM = {
    "title": "Pagne wax, 6 yards",
    "amount": "12 500",
    "customer_name": "Awa Koné",
    "customer_phone": "07 07 12 34 56",
    "currency": "XOF",
    "merchant_id": "PP-F324",
    "initial-merchant_id": "PP-F324",
}


def client_of(*codenames: str) -> Client:
    """Return a client for a staff user with these permissions."""
    user = User.objects.create_user("-".join(codenames) or "stranger", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def boss(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.fixture
def viewer(db: None) -> Client:
    return client_of("view_paymentlink")


def make(**values: Any) -> PaymentLink:
    return PaymentLink.objects.create(**{"title": "Pagne wax, 6 yards", "amount": 12500, **values})


def pay(link: PaymentLink, status: str = "succeeded", **values: Any) -> Payment:
    return make_payment(status=status, content_object=link, **{"amount": link.amount or 500, **values})


def url(name: str, link: PaymentLink) -> str:
    return reverse(f"admin:paiementpro_links_paymentlink_{name}", args=[link.pk])


def text_of(response: HttpResponse) -> str:
    assert response.status_code == 200
    return response.content.decode()


def page(client: Client, link: PaymentLink, **options: Any) -> str:
    return text_of(client.get(url("change", link), **options))


def messages_of(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def listed(client: Client, **query: Any) -> list[str]:
    """Return the titles in the list, as it is filtered and searched."""
    return re.findall(r'field-title_column"><a href="[^"]*">([^<]+)</a>', text_of(client.get(LIST, query)))


def make_each_state() -> dict[str, PaymentLink]:
    """Make links in each state, some of which have payments that make no difference; by title."""
    past = timezone.now() - timedelta(days=1)
    found = {
        "open": make(expires_at=timezone.now() + timedelta(days=1)),
        "open, reusable": make(is_reusable=True, max_payments=2),
        "open, any number": make(is_reusable=True),
        "open, refunded": make(),
        "off": make(is_active=False, expires_at=past),
        "expired": make(expires_at=past),
        "expired, reusable": make(expires_at=past, is_reusable=True, max_payments=1),
        "full": make(is_reusable=True, max_payments=2),
        "paid": make(),
        "paid, then off": make(is_active=False),
        "paid, then expired": make(expires_at=past),
    }
    for title, link in found.items():
        PaymentLink.objects.filter(pk=link.pk).update(title=title)
        if title.startswith("paid"):
            pay(link)
    for status in ("failed", "expired", "cancelled", "pending"):
        pay(found["open, reusable"], status)
        pay(found["open"], status)
    pay(found["open, refunded"], "refunded", refunded_amount=12500)
    pay(found["open, any number"])
    pay(found["expired, reusable"])
    pay(found["full"])
    pay(found["full"], "created")
    return found


# The list


def test_list_shows_what_came_in(viewer: Client) -> None:
    link = make(customer_name="Awa Koné", customer_phone="07 07 12 34 56")
    pay(link)
    make(title="Don", amount=None)

    content = text_of(viewer.get(LIST))

    assert "Awa Koné, 07 07 12 34 56" in content
    assert '<span class="pp-badge pp-succeeded">Paid</span>' in content
    assert 'field-received_column">12\u202f500\u00a0F\u00a0CFA' in content
    assert "customer’s choice" in content


def test_refunds_are_subtracted(viewer: Client) -> None:
    link = make(is_reusable=True)
    pay(link)
    pay(link, refunded_amount=500)
    pay(link, "refunded", refunded_amount=12500)
    pay(link, "failed")
    assert 'field-received_column">24\u202f500\u00a0F\u00a0CFA' in text_of(viewer.get(LIST))


def test_states_are_those_of_the_model() -> None:
    found = make_each_state()
    links = list(PaymentLink.objects.all())
    add_figures(links)
    states = {link.title: state_of(link) for link in links}
    assert states == {title: title.partition(",")[0] for title in found}
    assert states == {link.title: link.state for link in PaymentLink.objects.all()}


@pytest.mark.parametrize("state", LinkState.values)
def test_list_is_filtered_by_state(viewer: Client, state: str) -> None:
    found = make_each_state()
    expected = {title for title in found if title.partition(",")[0] == state}
    assert {*listed(viewer, state=state)} == expected
    assert {link.title for link in filter_state(PaymentLink.objects.all(), state)} == expected


def test_list_is_filtered_by_kind(viewer: Client) -> None:
    make(title="single")
    make(title="reusable", is_reusable=True)
    assert listed(viewer, reusable="1") == ["reusable"]
    assert listed(viewer, reusable="0") == ["single"]
    assert viewer.get(LIST, {"state": "nonsense"}).status_code == 302


def test_search_finds_titles_customers_numbers_and_addresses(viewer: Client) -> None:
    link = make(title="Pagne wax", customer_name="Awa Koné", customer_phone="+225 07.07-12 34 56")
    make(title="Cantine", customer_name="Yao", customer_phone="0505123456")
    address = f"https://testserver{link.get_absolute_url()}"
    for text in ("pagne", "wax koné", "0707123456", "+225 07 07 12 34 56", "07 07 12 34 56", link.token, address):
        assert listed(viewer, q=text) == ["Pagne wax"], text
    assert len(listed(viewer, q="  ")) == 2
    for text in ("koné yao", "0101010101", "x" * 501):
        assert listed(viewer, q=text) == []


def test_list_costs_few_queries(viewer: Client) -> None:
    def count_queries(**query: Any) -> int:
        viewer.get(LIST, query)
        with CaptureQueriesContext(connection) as queries:
            assert viewer.get(LIST, query).status_code == 200
        return len(queries)

    pay(make())
    few = count_queries()
    for _number in range(20):
        pay(make())
    assert count_queries() == few
    assert count_queries(state="paid") == few
    assert few <= 9  # with the savepoints of ATOMIC_REQUESTS


def test_rows_are_counted_up_to_a_maximum(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MAX_ROWS", 3)
    monkeypatch.setattr(PaymentLinkAdmin, "list_per_page", 2)
    for _number in range(5):
        make()
    content = text_of(viewer.get(LIST))
    assert "3+ payment links" in content
    assert "?p=2" in content


def test_long_title_is_cut_in_the_list(viewer: Client) -> None:
    make(title="x" * 500)
    assert listed(viewer) == ["x" * 79 + "…"]


# Making a link


def test_link_is_made_with_three_fields(boss: Client) -> None:
    response = boss.post(ADD, FORM)
    link = PaymentLink.objects.get()
    assert response.url == url("change", link)
    assert (link.title, link.amount, link.customer_name) == ("Pagne wax, 6 yards", 12500, "Awa Koné")
    assert (link.currency, link.merchant_id, link.is_reusable) == ("XOF", "PP-F324", False)
    assert link.created_by == User.objects.get()
    assert messages_of(response) == ["The link is ready: send it to your customer."]
    assert LogEntry.objects.get().object_id == str(link.pk)


def test_form_shows_three_fields_and_hides_the_others(boss: Client) -> None:
    content = text_of(boss.get(ADD))
    first, rest = content.split("More options")
    assert set(re.findall(r'name="(\w+)"', first)) >= {"title", "amount", "customer_name", "customer_phone"}
    assert not {"description", "is_reusable"} & set(re.findall(r'name="(\w+)"', first))
    assert {"description", "is_reusable", "max_payments"} <= set(re.findall(r'name="(\w+)"', rest))
    assert 'name="is_active"' not in content
    assert 'name="currency"' not in content
    assert 'name="_continue"' not in content
    assert f'href="{LIST}import/"' in content


def test_another_link_can_be_made_at_once(boss: Client) -> None:
    assert boss.post(ADD, {**FORM, "_addanother": "1"}).url == ADD


def test_user_who_may_not_view_links_is_not_sent_to_one() -> None:
    client = client_of("add_paymentlink")
    assert client.post(ADD, FORM).url == "/admin/"
    assert PaymentLink.objects.count() == 1


def test_user_without_permission_cannot_send_the_money_elsewhere() -> None:
    client = client_of("add_paymentlink", "view_paymentlink", "change_paymentlink")
    assert "merchant_id" not in text_of(client.get(ADD))

    client.post(ADD, {**FORM, "merchant_id": "PP-EVIL"})

    link = PaymentLink.objects.get()
    assert link.merchant_id == "PP-F324"
    client.post(f"{LIST}{link.pk}/change/", {**FORM, "merchant_id": "PP-EVIL"})
    link.refresh_from_db()
    assert link.merchant_id == "PP-F324"


@pytest.mark.parametrize("text", ["12500", "12 500", "12.500 F", "12,500", "12’500 F CFA"])
def test_amount_is_read_as_it_is_meant(boss: Client, text: str) -> None:
    boss.post(ADD, {**FORM, "amount": text})
    assert PaymentLink.objects.get().amount == 12500


@pytest.mark.parametrize("text", ["12,5", "-500", "1e3", "abc", "99", "5 000; 10 000"])
def test_wrong_amount_is_reported_and_kept(boss: Client, text: str) -> None:
    content = text_of(boss.post(ADD, {**FORM, "amount": text}))
    assert "errornote" in content
    assert f'value="{text}"' in content
    assert PaymentLink.objects.count() == 0


def test_open_amount_has_bounds_and_suggestions(boss: Client) -> None:
    values = {"amount": "", "min_amount": "1 000", "max_amount": "50.000", "suggested_amounts": "5 000; 10 000;"}
    boss.post(ADD, {**FORM, **values})
    link = PaymentLink.objects.get()
    assert (link.amount, link.min_amount, link.max_amount) == (None, 1000, 50000)
    assert link.suggested_amounts == [5000, 10000]
    content = page(boss, link)
    assert 'value="5 000; 10 000"' in content
    assert 'value="1 000"' in content


def test_wrong_suggestion_is_reported(boss: Client) -> None:
    content = text_of(boss.post(ADD, {**FORM, "amount": "", "suggested_amounts": "5 000; x"}))
    assert "Enter a whole number of francs, such as 12 500." in content


def test_phone_number_is_checked(boss: Client) -> None:
    assert "Enter a telephone number." in text_of(boss.post(ADD, {**FORM, "customer_phone": "12"}))
    boss.post(ADD, {**FORM, "customer_phone": ""})
    assert PaymentLink.objects.get().customer_phone == ""


def test_currency_can_be_chosen_if_there_are_several(boss: Client, settings: Any) -> None:
    settings.PAIEMENTPRO_CURRENCIES = {"XOF": "952", "USD": "840"}
    assert '<option value="USD">USD</option>' in text_of(boss.get(ADD))
    boss.post(ADD, {**FORM, "currency": "USD"})
    assert PaymentLink.objects.get().currency == "USD"


# Its page


def shares_of(content: str) -> dict[str, str]:
    found = re.findall(r'class="pp-button" href="((https://wa\.me|sms|mailto)[^"]*)"', content)
    return {scheme: unquote(unescape(link)) for link, scheme in found}


def test_link_can_be_copied_and_sent(viewer: Client, settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = {"name": "Chez Awa"}
    link = make(customer_phone="07 07 12 34 56", customer_email="awa@example.com")
    content = page(viewer, link)
    address = f"https://testserver{link.get_absolute_url()}"
    assert f'value="{address}"' in content
    what = "Pagne wax, 6 yards, 12\u202f500\u00a0F\u00a0CFA"
    message = f"Chez Awa: {what}. Pay here: {address}"
    assert shares_of(content) == {
        "https://wa.me": f"https://wa.me/2250707123456?text={message}",
        "sms": f"sms:+2250707123456?body={message}",
        "mailto": f"mailto:awa@example.com?subject={what}&body={message}",
    }


def test_open_amount_is_left_out_of_the_message(viewer: Client) -> None:
    link = make(title="Don.", amount=None)
    message = f"Don. Pay here: https://testserver{link.get_absolute_url()}"
    assert shares_of(page(viewer, link)) == {
        "https://wa.me": f"https://wa.me/?text={message}",
        "sms": f"sms:?body={message}",
        "mailto": f"mailto:?subject=Don&body={message}",
    }


def test_page_shows_payments_and_what_came_in() -> None:
    client = client_of("view_paymentlink", "view_payment")
    link = make(is_reusable=True, max_payments=5)
    paid, pending = pay(link), pay(link, "pending", customer_last_name="<b>Koné</b>")
    pay(link, refunded_amount=500)
    other = pay(make())
    content = page(client, link)
    assert "24\u202f500\u00a0F\u00a0CFA</strong> received in 2 payments · 2 places left" in content
    assert "500\u00a0F\u00a0CFA refunded" in content
    assert "&lt;b&gt;Koné&lt;/b&gt;" in content
    for payment in (paid, pending):
        assert f'href="/admin/paiementpro/payment/{payment.pk}/change/"' in content
    assert other.short_reference not in content


def test_payments_need_their_own_permission(viewer: Client) -> None:
    link = make()
    payment = pay(link)
    content = page(viewer, link)
    assert payment.short_reference not in content
    assert "Awa" not in content.replace(link.title, "")
    assert "received in 1 payment" in content
    assert "Nothing has been received yet." in page(viewer, make())


def test_newest_payments_are_shown(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MAX_PAYMENTS", 2)
    link = make(is_reusable=True)
    payments = [pay(link) for _number in range(3)]
    content = page(boss, link)
    assert "Only the newest 2 payments are shown." in content
    assert [payment.short_reference in content for payment in payments] == [False, True, True]


def test_html_is_inert(boss: Client) -> None:
    attack = '"><script>alert(1)</script>'
    link = make(title=attack, customer_name=attack, closed_message=attack, description=attack)
    for content in (page(boss, link), *(text_of(boss.get(url(name, link))) for name in ("poster", "card", "switch"))):
        assert "<script>alert" not in content
    assert "<script>alert" not in text_of(boss.get(LIST))


def test_long_title_and_emoji_survive(boss: Client) -> None:
    title = "😀" * 250 + "x" * 250
    boss.post(ADD, {**FORM, "title": title})
    link = PaymentLink.objects.get()
    assert link.title == title
    for name in ("change", "poster", "card", "switch", "qr_svg", "qr_png", "delete"):
        assert boss.get(url(name, link)).status_code == 200
    assert 'class="longest"' in text_of(boss.get(url("poster", link)))


def test_page_is_french_for_french_staff(boss: Client) -> None:
    link = make()
    assert "Copier" in page(boss, link, headers=FRENCH)


# Printing


def test_qr_code_is_drawn_in_the_page(viewer: Client) -> None:
    content = page(viewer, make())
    assert re.search(r'<div class="pp-qr"><svg [^>]*viewBox', content)


def test_qr_codes_can_be_downloaded(viewer: Client) -> None:
    link = make(title="École / Été")
    response = viewer.get(url("qr_svg", link))
    assert response.headers["Content-Type"] == "image/svg+xml"
    assert response.headers["Content-Disposition"] == 'attachment; filename="ecole-ete.svg"'
    assert b"<svg " in response.content
    response = viewer.get(url("qr_png", make(title="支付")))
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["Content-Disposition"] == 'attachment; filename="qr.png"'
    assert response.content.startswith(b"\x89PNG")


@pytest.mark.parametrize(("name", "size"), [("poster", "a4"), ("card", "a6")])
def test_papers_are_in_the_shop_s_name(viewer: Client, settings: Any, name: str, size: str) -> None:
    settings.PAIEMENTPRO_SHOP = {"name": "Chez Awa & Fils", "logo": "https://shop.example/logo.png"}
    link = make(expires_at=timezone.now() + timedelta(days=400))
    content = text_of(viewer.get(url(name, link)))
    assert "Chez Awa &amp; Fils" in content
    assert 'src="https://shop.example/logo.png"' in content
    assert "12\u202f500\u00a0F\u00a0CFA" in content
    assert "<svg " in content
    assert "Scan to pay" in content
    assert f"testserver{link.get_absolute_url()}</p>" in content
    assert f"paiementpro_links/paper-{size}.css" in content
    assert "Until " in content


def test_paper_of_an_open_amount_names_the_least(viewer: Client) -> None:
    assert "from 100\u00a0F" in text_of(viewer.get(url("poster", make(amount=None))))
    assert "from 500\u00a0F" in text_of(viewer.get(url("poster", make(amount=None, min_amount=500, title="x" * 61))))


# Changing and deleting


def change(client: Client, link: PaymentLink, **values: Any) -> Any:
    return client.post(url("change", link), {**FORM, **values})


def test_link_can_be_changed(boss: Client) -> None:
    link = make(customer_name="Yao")
    assert change(boss, link, amount="500", title="Sac", is_reusable="on").status_code == 302
    link.refresh_from_db()
    assert (link.amount, link.title, link.customer_name, link.is_reusable) == (500, "Sac", "Awa Koné", True)


def test_wrong_change_is_reported(boss: Client) -> None:
    link = make()
    assert "Enter a whole number of francs" in text_of(change(boss, link, amount="x"))
    link.refresh_from_db()
    assert link.amount == 12500


def test_change_writes_what_was_changed_alone(boss: Client) -> None:
    link = make(customer_name="Awa Koné", customer_phone="07 07 12 34 56")
    with CaptureQueriesContext(connection) as queries:
        change(boss, link, title="Sac")
    (update,) = [
        query["sql"] for query in queries if query["sql"].startswith("UPDATE") and "paymentlink" in query["sql"]
    ]
    assert "title" in update
    assert "amount" not in update.partition("WHERE")[0]
    with CaptureQueriesContext(connection) as queries:
        change(boss, link, title="Sac")
    assert not [query for query in queries if query["sql"].startswith("UPDATE") and "paymentlink" in query["sql"]]


def test_amount_is_fixed_once_there_is_a_payment(boss: Client) -> None:
    link = make()
    pay(link, "failed")
    content = page(boss, link)
    assert "it cannot be deleted, and its amount, currency, merchant and kind cannot be changed" in content
    for name in ("amount", "currency", "merchant_id", "is_reusable", "min_amount"):
        assert f'name="{name}"' not in content
    response = change(boss, link, amount="500", is_reusable="on", merchant_id="PP-1", title="Sac")
    assert any("A customer has started to pay in the meantime" in text for text in messages_of(response))
    link.refresh_from_db()
    assert (link.amount, link.is_reusable, link.merchant_id, link.title) == (12500, False, "PP-F324", "Sac")


def test_bounds_of_an_open_amount_can_still_be_changed(boss: Client) -> None:
    link = make(amount=None, is_reusable=True)
    pay(link)
    assert 'name="min_amount"' in page(boss, link)
    values = {name: FORM[name] for name in ("title", "customer_name", "customer_phone")}
    response = boss.post(url("change", link), {**values, "min_amount": "700"})
    assert len(messages_of(response)) == 1
    link.refresh_from_db()
    assert link.min_amount == 700


@pytest.mark.django_db(transaction=True)
def test_change_waits_for_a_payment_that_begins(settings: Any) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no row locks: one writes at a time")
    _change_during_a_payment()  # pragma: no cover  coverage is measured on SQLite


def _change_during_a_payment() -> None:  # pragma: no cover  coverage is measured on SQLite
    boss, link = Client(), make()
    boss.force_login(User.objects.create_superuser("boss"))
    transaction.set_autocommit(False)
    try:
        PaymentLink.objects.select_for_update().get(pk=link.pk)
        with meanwhile(lambda: change(boss, link, amount="500")) as response:
            time.sleep(1)
            assert not response.done()
            pay(link, "created")
            transaction.commit()
            assert response.result(DEADLINE).status_code == 302
    finally:
        transaction.set_autocommit(True)
    link.refresh_from_db()
    assert link.amount == 12500


def test_link_without_payments_can_be_deleted(boss: Client) -> None:
    link, other = make(), make()
    boss.post(url("delete", link), {"post": "yes"})
    boss.post(LIST, {"action": "delete_selected", "_selected_action": [other.pk], "post": "yes"})
    assert PaymentLink.objects.count() == 0


def test_link_with_payments_cannot_be_deleted(boss: Client) -> None:
    link, other = make(title="Sac <b>"), make()
    pay(link, "failed")
    words = "“Sac &lt;b&gt;” has payments: switch it off instead."
    assert words in text_of(boss.get(url("delete", link)))
    assert words in text_of(boss.post(url("delete", link), {"post": "yes"}))
    selected = {"action": "delete_selected", "_selected_action": [link.pk, other.pk]}
    assert words in text_of(boss.post(LIST, {**selected, "post": "yes"}))
    assert PaymentLink.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_links_are_protected_outside_of_transactions_too() -> None:
    link, other = make(), make()
    pay(link)
    model_admin, request = PaymentLinkAdmin(PaymentLink, admin.site), RequestFactory().get("/")
    request.user = User.objects.create_superuser("boss")
    assert len(model_admin.get_deleted_objects([link, other], request)[3]) == 1


# Switching off and on


def switch(client: Client, link: PaymentLink, is_active: str, **values: str) -> Any:
    return client.post(url("switch", link), {"is_active": is_active, **values})


def test_link_is_switched_off_with_a_message_and_on_again(boss: Client) -> None:
    link = make()
    assert "Switch the link off" in page(boss, link)
    assert 'name="closed_message"' in text_of(boss.get(url("switch", link)))
    response = switch(boss, link, "0", closed_message="Sold out.")
    assert (response.url, messages_of(response)) == (url("change", link), ["The link is switched off."])
    link.refresh_from_db()
    assert (link.is_active, link.closed_message) == (False, "Sold out.")
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.action_flag, entry.change_message) == (
        str(link.pk),
        CHANGE,
        "The link is switched off.",
    )

    content = page(boss, link)
    assert "Switch the link on" in content
    assert 'name="closed_message"' in content
    assert 'name="closed_message"' not in text_of(boss.get(url("switch", link)))
    response = switch(boss, link, "1")
    assert messages_of(response) == ["The link is switched on."]
    link.refresh_from_db()
    assert (link.is_active, link.closed_message) == (True, "Sold out.")


def test_second_click_changes_nothing(boss: Client) -> None:
    link = make()
    switch(boss, link, "0", closed_message="Sold out.")
    response = switch(boss, link, "0", closed_message="")
    assert messages_of(response)[-1] == "The link was switched off already."
    link.refresh_from_db()
    assert (link.is_active, link.closed_message) == (False, "Sold out.")
    assert LogEntry.objects.count() == 1


def test_switch_needs_a_direction(boss: Client) -> None:
    link = make()
    for values in ({"closed_message": "x"}, {"is_active": "x"}):
        assert boss.post(url("switch", link), values).status_code == 200
    assert PaymentLink.objects.get().is_active


def test_deleted_link_cannot_be_switched(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    link = make()
    model_admin = PaymentLinkAdmin(PaymentLink, admin.site)
    request = RequestFactory().post("/")
    monkeypatch.setattr(model_admin, "message_user", lambda _request, text, _level: told.append(str(text)))
    told: list[str] = []
    PaymentLink.objects.all().delete()
    model_admin._switch(request, link, {"is_active": False})
    assert told == ["The link was switched off already."]


# Permissions

VIEWS = ("change", "poster", "card", "qr_svg", "qr_png")


def addresses(link: PaymentLink) -> dict[str, str]:
    batch = batch_key("Import")
    return {
        "list": LIST,
        "add": ADD,
        "import": f"{LIST}import/",
        "batch": f"{LIST}imports/{batch}/",
        "batch_export": f"{LIST}imports/{batch}/export/",
        **{name: url(name, link) for name in (*VIEWS, "switch", "delete", "history")},
    }


@pytest.mark.parametrize(
    ("codename", "allowed"),
    [
        ("", set()),
        ("add_paymentlink", {"add", "import"}),
        ("view_paymentlink", {"list", *VIEWS, "batch", "batch_export", "history"}),
        ("change_paymentlink", {"list", *VIEWS, "batch", "batch_export", "history", "switch"}),
        ("delete_paymentlink", {"delete"}),
        ("view_payment", set()),
    ],
)
def test_permissions(codename: str, allowed: set[str]) -> None:
    link = make()
    import_links([Row(2, "Awa", "", 500)], "Import", "", User.objects.create_user("clerk"))
    client = client_of(codename)
    statuses = {name: client.get(address).status_code for name, address in addresses(link).items()}
    assert {name for name, status in statuses.items() if status == 200} == allowed
    assert {*statuses.values()} <= {200, 403}


def test_superuser_may_do_everything(boss: Client) -> None:
    link = make()
    import_links([Row(2, "Awa", "", 500)], "Import", "", User.objects.create_user("clerk"))
    for address in addresses(link).values():
        assert boss.get(address).status_code == 200


def test_strangers_are_sent_to_the_login() -> None:
    customer = Client()
    customer.force_login(User.objects.create_user("customer"))
    for client in (Client(), customer):
        for address in addresses(make()).values():
            response = client.get(address)
            assert response.status_code == 302
            assert "/login/" in response.url


def test_viewer_changes_nothing(viewer: Client) -> None:
    link = make()
    content = page(viewer, link)
    assert url("switch", link) not in content
    assert "Make many links" not in text_of(viewer.get(LIST))
    for address in (url("change", link), url("switch", link), url("delete", link), ADD, f"{LIST}import/"):
        assert viewer.post(address, {**FORM, "is_active": "0", "post": "yes", "rows": "x"}).status_code == 403
    assert PaymentLink.objects.get().title == link.title


@pytest.mark.parametrize("name", ["poster", "card", "qr_svg", "qr_png", "switch"])
def test_unknown_link_is_not_found(boss: Client, name: str) -> None:
    for key in (10**9, "x"):
        assert boss.get(reverse(f"admin:paiementpro_links_paymentlink_{name}", args=[key])).status_code == 404


def test_pages_need_a_csrf_token(db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("boss"))
    link = make()
    assert switch(client, link, "0").status_code == 403
    assert client.post(f"{LIST}import/", {"rows": "x"}).status_code == 403


# The payment's page


def test_page_of_a_payment_leads_to_its_link() -> None:
    link = make()
    payment, other = pay(link), make_payment()
    client = client_of("view_payment", "view_paymentlink")
    anchor = f'<a href="{url("change", link)}">The payment link of this payment</a>'
    assert anchor in text_of(client.get(f"/admin/paiementpro/payment/{payment.pk}/change/"))
    assert anchor not in text_of(client.get(f"/admin/paiementpro/payment/{other.pk}/change/"))
    assert anchor not in text_of(client_of("view_payment").get(f"/admin/paiementpro/payment/{payment.pk}/change/"))


class OwnSite(admin.AdminSite):
    pass


own_site = OwnSite(name="own")
own_site.register(PaymentLink, PaymentLinkAdmin)


class OwnUrls:
    """The URLs of a host whose only admin is its own, without payments."""

    from django.urls import include

    urlpatterns = [
        path("back-office/", own_site.urls),
        path("pay/", include("django_paiementpro.links.urls")),
        path("paiementpro/", include("django_paiementpro.urls")),
    ]


@pytest.fixture
def own_admin(settings: Any) -> None:
    settings.ROOT_URLCONF = OwnUrls
    settings.LOGIN_URL = "/back-office/login/"


def test_admin_site_of_the_host_has_all_pages(own_admin: None, boss: Client) -> None:
    link = make()
    payment = pay(link)
    base = "/back-office/paiementpro_links/paymentlink/"
    content = text_of(boss.get(f"{base}{link.pk}/change/"))
    assert payment.short_reference in content
    assert f'href="{base}{link.pk}/poster/"' in content
    assert 'href="/admin/' not in content
    for name in ("poster", "switch"):
        assert f'href="{base}{link.pk}/change/"' in text_of(boss.get(f"{base}{link.pk}/{name}/"))
    assert 'href="/admin/' not in text_of(boss.get(f"{base}import/"))


def test_payment_leads_nowhere_in_an_admin_without_links(rf: RequestFactory, boss: Client, settings: Any) -> None:
    from django.apps import apps

    settings.ROOT_URLCONF = type("Urls", (), {"urlpatterns": []})
    request = rf.get("/")
    request.user = User.objects.get()
    assert apps.get_app_config("paiementpro_links").admin_links(request, pay(make())) == []


def test_refund_of_a_link_s_payment_is_subtracted(boss: Client) -> None:
    link = make()
    payment = pay(link, gateway_id="1")
    services.refund_payment(payment, User.objects.get(), amount=500, reason="Out of stock")
    assert "12\u202f000\u00a0F\u00a0CFA</strong> received in 1 payment" in page(boss, link)
