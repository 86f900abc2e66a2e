import re
import runpy
from datetime import date, datetime, timedelta, timezone
from html import unescape
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone as django_timezone
from django.utils.html import escape

from django_paiementpro import services
from django_paiementpro.admin import PaymentAdmin
from django_paiementpro.admin.changelist import MAX_RESULTS, MAX_ROWS, CappedPaginator
from django_paiementpro.enums import Reason, Status
from django_paiementpro.models import Finding, Payment, PaymentEvent
from django_paiementpro.testing import FakeGateway, make_payment
from shop.models import Order as ShopOrder
from shop.models import Product
from tests.conftest import Notify, imported_at_start
from tests.host.models import Order

pytestmark = pytest.mark.django_db

LIST = "/admin/paiementpro/payment/"
FRENCH = {"accept-language": "fr"}

Settings = Any


def client_of(*codenames: str, **values: Any) -> Client:
    """Return a client for a staff user who may view payments and has these permissions."""
    user = User.objects.create_user("-".join(codenames) or "viewer", is_staff=True, **values)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_payment", *codenames]))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def viewer(db: None) -> Client:
    return client_of()


def page_of(payment: Payment) -> str:
    return reverse("admin:paiementpro_payment_change", args=[payment.pk])


def text_of(response: HttpResponse) -> str:
    assert response.status_code == 200
    return response.content.decode()


def found(client: Client, **query: Any) -> list[str]:
    """Return the references in the list, as it is filtered and searched."""
    return re.findall(r'field-reference.*?<a href="[^"]*">([^<]+)</a>', text_of(client.get(LIST, query)))


def listed(client: Client, **query: Any) -> set[str]:
    return set(found(client, **query))


def flag(payment: Payment, reason: str = "unknown_code", detail: str = "7", **values: Any) -> Finding:
    """Raise a finding, as the services do."""
    Payment.objects.filter(pk=payment.pk).update(needs_review=True)
    payment.needs_review = True
    return payment.findings.create(reason=reason, detail=detail, **values)


def refund(payment: Payment, amount: int, **values: Any) -> None:
    """Record a refund by a user "aminata"."""
    user, _created = User.objects.get_or_create(username="aminata")
    payment.refresh_from_db()
    services.refund_payment(payment, user, amount=amount, **{"reason": "Out of stock", **values})


# The list


def test_list_formats_amounts_and_dates(viewer: Client) -> None:
    order = Order.objects.create()
    payment = make_payment(channel="OMCIV2", gateway_channel="WAVECI", status="succeeded", content_object=order)

    content = text_of(viewer.get(LIST))

    assert payment.reference in content
    assert "12\u202f500\u00a0F\u00a0CFA" in content
    assert '<span class="pp-badge pp-succeeded">Paid</span>' in content
    assert "Wave Côte d’Ivoire" in content
    assert "Awa Koné" in content
    assert f"Order {order.pk}" in content


def test_order_is_linked_if_it_has_an_admin(viewer: Client) -> None:
    here = ShopOrder(pk=7)
    payment = make_payment(content_object=here)
    link = reverse("admin:shop_order_change", args=[payment.object_id])
    assert f'<a href="{link}">Order 7</a>' in text_of(viewer.get(LIST))


@pytest.mark.parametrize("pk", ["ORD_5F1", "a\nb", "1/2", "?"])
def test_order_link_leads_to_the_order(viewer: Client, pk: str) -> None:
    make_payment(content_object=ShopOrder(pk=7))
    Payment.objects.update(object_id=pk)
    link = reverse("admin:shop_order_change", args=[quote(pk)])
    assert f'<a href="{link}">' in text_of(viewer.get(LIST))


def test_order_of_an_uninstalled_app_is_named(viewer: Client) -> None:
    from django.contrib.contenttypes.models import ContentType

    gone = ContentType.objects.create(app_label="gone", model="gone")
    payment = make_payment(content_type=gone, object_id="A-9")
    assert ">A-9</td>" in text_of(viewer.get(LIST))
    assert "A-9" in text_of(viewer.get(page_of(payment)))


def test_newest_payments_come_first(viewer: Client) -> None:
    payments = [make_payment() for _ in range(3)]
    assert found(viewer) == [payment.reference for payment in payments[::-1]]


def test_list_counts_and_sums_the_filtered_payments(viewer: Client) -> None:
    make_payment(status="succeeded")
    make_payment(status="refunded", amount=500)
    make_payment(status="failed")
    assert "3 payments, 13\u202f000\u00a0F\u00a0CFA paid" in text_of(viewer.get(LIST))
    assert "1 payment, 500\u00a0F\u00a0CFA paid" in text_of(viewer.get(LIST, {"status": "refunded"}))


def test_currencies_are_not_added_up(viewer: Client, settings: Settings) -> None:
    settings.PAIEMENTPRO_CURRENCIES = {"XOF": "952", "XAF": "950", "USD": "840"}
    make_payment(status="succeeded")
    make_payment(status="succeeded", currency="XAF", amount=700)
    assert "2 payments, 12\u202f500\u00a0F\u00a0CFA + 700\u00a0F\u00a0CFA paid" in text_of(viewer.get(LIST))


def test_rows_are_counted_up_to_a_maximum(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CappedPaginator, "max_rows", 3)
    monkeypatch.setattr(PaymentAdmin, "list_per_page", 2)
    for _ in range(5):
        make_payment(status="succeeded")

    content = text_of(viewer.get(LIST))

    assert "3+ payments, too many for a total" in content
    assert "?p=2" in content
    assert "?p=3" not in content
    assert len(found(viewer, p=2)) == 1
    assert viewer.get(LIST, {"p": 3}).status_code == 302


def test_search_results_have_a_maximum_of_their_own(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_paiementpro.admin.payments.MAX_RESULTS", 4)
    monkeypatch.setattr(PaymentAdmin, "list_per_page", 2)
    for name in ["Koné"] * 5 + ["Diop"] * 3:
        make_payment(status="succeeded", customer_last_name=name)

    common = text_of(viewer.get(LIST, {"q": "kone"}))

    assert "4+ payments, too many for a total" in common
    assert "?q=kone&amp;p=2" in common or "?p=2&amp;q=kone" in common
    assert len(found(viewer, q="kone", p=2)) == 2
    assert "3 payments, 37\u202f500\u00a0F\u00a0CFA paid" in text_of(viewer.get(LIST, {"q": "diop"}))
    assert "8 payments" in text_of(viewer.get(LIST))


def test_last_page_is_a_full_page() -> None:
    assert MAX_ROWS % PaymentAdmin.list_per_page == 0
    assert MAX_RESULTS % PaymentAdmin.list_per_page == 0


@pytest.mark.parametrize("data", [["Awa"], "Awa", 12500])
def test_payment_page_shows_event_data_that_are_not_an_object(data: Any) -> None:
    payment = make_payment(status="succeeded", attempt=1, settled_by="staff")
    event = PaymentEvent.objects.create(payment=payment, kind="notification", outcome="accepted", data=data)
    PaymentEvent.objects.create(payment=payment, kind="staff", outcome="accepted", data=data)

    content = text_of(client_of("redeliver_payment").get(page_of(payment)))
    assert content.count(f"<dd>{escape(data)}</dd>") == 2
    assert services.preview_replay(event).reason == "malformed"


@pytest.mark.parametrize("count", [0, 1, 150])
def test_history_of_a_payment_lists_what_staff_did(viewer: Client, count: int) -> None:
    payment, other = make_payment(), make_payment()
    user = User.objects.get()
    for number in range(count):
        LogEntry.objects.log_actions(user.pk, [payment], CHANGE, f"Act {number}.", single_object=True)
    LogEntry.objects.log_actions(user.pk, [other], CHANGE, "Another payment's.", single_object=True)
    history = reverse("admin:paiementpro_payment_history", args=[payment.pk])

    texts = [text_of(viewer.get(history, {"p": page})) for page in (1, 2)]

    assert [text.count("Act ") for text in texts] == [min(count, 100), 50 if count == 150 else count]
    assert "Another" not in texts[0]
    assert history in text_of(viewer.get(page_of(payment)))


def test_host_may_complete_payments_as_staff_type(viewer: Client) -> None:
    payments = [make_payment(customer_last_name="Traoré") for _ in range(3)]
    model_admin = admin.site.get_model_admin(Payment)
    request = RequestFactory().get("/", {"term": payments[0].reference})
    rows, _is_distinct = model_admin.get_search_results(request, Payment.objects.order_by("pk"), payments[0].reference)

    page = model_admin.get_paginator(request, rows, 20).page(1)

    assert (list(page), page.has_next()) == ([payments[0]], False)


@pytest.mark.parametrize("is_flagged", [False, True])
@pytest.mark.parametrize("number", [1, 20, 60])
def test_number_of_queries_does_not_depend_on_the_length_of_the_list(
    viewer: Client, is_flagged: bool, number: int
) -> None:
    order = Order.objects.create()
    for _ in range(number):
        payment = make_payment(content_object=order, refunded_amount=100)
        if is_flagged:
            flag(payment)
    viewer.get(LIST)
    with CaptureQueriesContext(connection) as queries:
        assert len(found(viewer)) == min(number, PaymentAdmin.list_per_page)
    # The totals, the rows, their findings, the review queue, and whether the account was verified.
    assert len([query for query in queries if "paiementpro_" in query["sql"]]) == 5
    assert len([query for query in queries if query["sql"].startswith("SELECT")]) <= 10


def test_list_sorts_by_reference_and_dates(viewer: Client) -> None:
    first = make_payment(reference="b", settled_at=django_timezone.now())
    second = make_payment(reference="a", settled_at=django_timezone.now() + timedelta(hours=1))
    columns = PaymentAdmin(Payment, admin.site).get_list_display(None)  # type: ignore[arg-type]
    by = {name: columns.index(name) for name in columns}
    assert found(viewer, o=by["reference"]) == [second.reference, first.reference]
    assert found(viewer, o=f"-{by['settled']}") == [second.reference, first.reference]
    assert found(viewer, o=f"-{by['created']}") == [second.reference, first.reference]


def test_list_names_each_open_reason_once(viewer: Client, payment: Payment) -> None:
    flag(payment, "amount_mismatch", "1 != 12500")
    flag(payment, "amount_mismatch", "2 != 12500")
    flag(payment, "paid_twice", "7")
    flag(payment, "unknown_code", "9", reviewed_at=django_timezone.now())
    content = text_of(viewer.get(LIST, headers=FRENCH))
    assert '<span class="pp-quiet">Autre montant; Payé deux fois</span>' in content


def test_list_shows_the_refunded_amount(viewer: Client) -> None:
    payment, other = make_payment(status="succeeded"), make_payment(status="succeeded", amount=700)
    refund(payment, 1000)
    content = text_of(viewer.get(LIST))
    assert f"{payment.amount_display}<br><span" in content
    assert ">1\u202f000\u00a0F\u00a0CFA refunded</span>" in content
    assert f'field-amount_display">{other.amount_display}</td>' in content


# The filters


def test_payments_are_filtered(viewer: Client) -> None:
    paid = make_payment(status="succeeded", settled_by="staff", gateway_channel="WAVESN", channel="OMCIV2")
    other = make_payment(merchant_id="PP-F9", channel="OMCIV2")
    flag(other)
    flag(other)
    flag(paid, reviewed_at=django_timezone.now())

    assert listed(viewer, status="succeeded") == {paid.reference}
    assert listed(viewer, settled_by="staff") == {paid.reference}
    assert listed(viewer, channel="WAVESN") == {paid.reference}
    assert listed(viewer, channel="OMCIV2") == {other.reference}
    assert found(viewer, review="1") == [other.reference]
    assert listed(viewer, country="SN") == {paid.reference}
    assert listed(viewer, country="CI") == {other.reference}
    assert listed(viewer, merchant="PP-F9") == {other.reference}
    assert listed(viewer, merchant=" ") == {paid.reference, other.reference}
    assert listed(viewer, merchant="PP-F9", status="succeeded") == set()


@pytest.mark.parametrize("zone", ["Africa/Abidjan", "Africa/Porto-Novo", "Asia/Tokyo"])
def test_period_filter_uses_whole_days_in_the_site_time_zone(viewer: Client, settings: Settings, zone: str) -> None:
    settings.TIME_ZONE = zone
    with django_timezone.override(zone):
        midnight = django_timezone.make_aware(datetime(2026, 11, 2))  # noqa: DTZ001
    before = make_payment(created_at=midnight - timedelta(seconds=1))
    first = make_payment(created_at=midnight)
    last = make_payment(created_at=midnight + timedelta(hours=24, seconds=-1))
    after = make_payment(created_at=midnight + timedelta(hours=24))

    with django_timezone.override(zone):
        one_day = {"from": "2026-11-02", "to": "2026-11-02"}
        assert listed(viewer, **one_day) == {first.reference, last.reference}
        assert listed(viewer, to="2026-11-01") == {before.reference}
        assert listed(viewer, **{"from": "2026-11-03"}) == {after.reference}


def test_period_presets_are_offered(viewer: Client) -> None:
    today = make_payment()
    make_payment(created_at=django_timezone.now() - timedelta(days=400))
    content = text_of(viewer.get(LIST))
    day = django_timezone.localdate().isoformat()
    assert f"?from={day}&amp;to={day}" in content
    assert listed(viewer, **{"from": day, "to": day}) == {today.reference}


def test_every_filter_has_a_parameter_name() -> None:
    assert all(isinstance(list_filter.parameter_name, str) for list_filter in PaymentAdmin.list_filter)


def test_typed_filter_keeps_the_other_filters(viewer: Client) -> None:
    content = text_of(viewer.get(LIST, {"status": "failed", "q": "awa", "merchant": "PP-F324", "p": "1"}))
    form = content.split('<form method="get" id="pp-filter-from">')[1].split("</form>")[0]
    assert '<input form="pp-filter-from" type="date" name="from"' in content
    assert '<input type="hidden" name="status" value="failed">' in form
    assert '<input type="hidden" name="merchant" value="PP-F324">' in form
    assert '<input type="hidden" name="q" value="awa">' in form
    assert 'name="p"' not in form


def test_configured_operators_are_offered(viewer: Client, settings: Settings) -> None:
    settings.PAIEMENTPRO_CHANNELS = ["WAVESN", ("NEWCODE", "New money")]
    content = text_of(viewer.get(LIST))
    assert "?channel=NEWCODE" in content
    assert "?channel=OMCIV2" not in content
    assert "?country=SN" in content
    assert "?country=CI" not in content
    old = make_payment(channel="OMCIV2")
    assert listed(viewer, channel="OMCIV2", country="CI") == {old.reference}


# Rubbish


RUBBISH = [
    "",
    " ",
    "\x00",
    "rubbish",
    "0",
    "-1",
    "9" * 30,
    "9" * 5000,
    "'\"<script>",
    "🦁",
    "\ud800",
    "2026-13-45",
    "1;2",
]
PARAMETERS = [
    *("status", "review", "channel", "country", "settled_by", "merchant", "from", "to", "q", "p", "o", "e", "all"),
    *("_facets", "_popup", "_to_field", "pk__regex", "amount__exact", "reference__regex", "created_at__gte", "x"),
    *("customer_email__isnull", "user__password__startswith", "effective_channel__regex", "page"),
]


@pytest.mark.parametrize("name", PARAMETERS)
def test_invalid_filter_values_do_not_crash_the_list(name: str) -> None:
    make_payment()
    client = client_of("export_payment")
    for path in (LIST, f"{LIST}export/"):
        for value in RUBBISH:
            response = client.get(path, {name: value.encode("utf-8", "surrogatepass")})
            assert response.status_code in {200, 302, 400}
            if response.status_code == 302:
                assert urlsplit(response.url).path == LIST


def test_url_lookups_do_not_reveal_customers(viewer: Client) -> None:
    make_payment()
    for name in ("user__password__startswith", "reference__regex", "pk__in", "effective_channel__regex"):
        assert viewer.get(LIST, {name: "a"}).status_code == 400


@pytest.mark.parametrize("pk", ["0", "-1", "x", "9" * 30, "1%00", "<script>", "takings", "1/2/3"])
def test_unknown_payment_is_no_server_error(pk: str) -> None:
    client = client_of("review_payment")
    for path in (f"{LIST}{pk}/change/", f"{LIST}{pk}/review/", f"{LIST}{pk}/events/1/replay/"):
        assert client.get(path).status_code in {302, 403, 404}


# The payment's page


def test_payment_page_shows_its_history(payment: Payment, notify: Notify) -> None:
    notify(payment, channel="<script>")
    notify(payment)
    content = text_of(client_of("redeliver_payment").get(page_of(payment)))
    assert "Notification: paid" in content
    assert "Repeated notification; nothing changed" in content
    assert "What was received" in content
    assert f"PAY-{payment.reference}" in content
    assert "&lt;script&gt;" in content
    assert "<script>&quot" not in content
    assert "<dd><script>" not in content
    assert 'name="_save"' not in content


def test_field_of_any_name_is_shown(payment: Payment, notify: Notify) -> None:
    notify(payment, items="abc", keys="def", get="ghi")
    content = text_of(client_of("redeliver_payment").get(page_of(payment)))
    assert "<dt>items</dt><dd>abc</dd>" in content


@pytest.mark.parametrize("superuser", [True, False])
def test_payments_cannot_be_added_edited_or_deleted(viewer: Client, payment: Payment, superuser: bool) -> None:
    User.objects.update(is_superuser=superuser)

    for name, arguments in (("add", []), ("delete", [payment.pk])):
        assert viewer.get(reverse(f"admin:paiementpro_payment_{name}", args=arguments)).status_code == 403
    assert viewer.post(page_of(payment), {"status": "succeeded", "amount": "1"}).status_code == 403
    viewer.post(LIST, {"action": "delete_selected", "_selected_action": [payment.pk], "post": "yes"})
    assert Payment.objects.get().status == "pending"


def test_newest_events_are_shown(viewer: Client, payment: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_paiementpro.admin.columns.MAX_EVENTS", 2)
    for number in range(3):
        PaymentEvent.objects.create(payment=payment, kind="host", outcome="accepted", message=f"note {number}")
    content = text_of(viewer.get(page_of(payment)))
    assert "Only the newest 2 events are shown." in content
    assert "note 0" not in content
    assert content.index("note 1") < content.index("note 2")


def test_link_to_pay_can_be_copied(viewer: Client, payment: Payment, settings: Settings) -> None:
    link = f'value="https://testserver{payment.get_pay_url()}"'
    content = text_of(viewer.get(page_of(payment)))
    assert link in content
    assert payment.get_checkout_url() not in content
    assert payment.get_notification_url() not in content
    settings.PAIEMENTPRO_SITE_URL = "https://shop.example"
    assert f'value="https://shop.example{payment.get_pay_url()}"' in text_of(viewer.get(page_of(payment)))
    Payment.objects.update(status="succeeded")
    assert payment.get_pay_url() not in text_of(viewer.get(page_of(payment)))


def shares_of(content: str) -> dict[str, str]:
    """Return the links that share an address, by scheme, as the browser reads them."""
    links = re.findall(r'class="pp-button" href="((https://wa\.me|sms|mailto)[^"]*)"', content)
    return {scheme: unquote(unescape(link)) for link, scheme in links}


def test_link_to_pay_can_be_sent_to_the_customer(viewer: Client, settings: Settings) -> None:
    settings.PAIEMENTPRO_SHOP = {"name": "Chez Awa & Fils"}
    payment = make_payment(description="Pagne wax <3 & co.", customer_phone="07 07 12 34 56")

    shares = shares_of(text_of(viewer.get(page_of(payment))))

    url = f"https://testserver{payment.get_pay_url()}"
    what = "Pagne wax <3 & co, 12\u202f500\u00a0F\u00a0CFA"
    message = f"Chez Awa & Fils: {what}. Pay here: {url}"
    assert shares == {
        "https://wa.me": f"https://wa.me/2250707123456?text={message}",
        "sms": f"sms:+2250707123456?body={message}",
        "mailto": f"mailto:awa@example.com?subject={what}&body={message}",
    }


def test_link_to_pay_can_be_sent_to_anyone_if_the_number_is_wrong(viewer: Client) -> None:
    payment = make_payment(description="", customer_phone="12", customer_email="")

    shares = shares_of(text_of(viewer.get(page_of(payment))))

    message = f"12\u202f500\u00a0F\u00a0CFA. Pay here: https://testserver{payment.get_pay_url()}"
    assert shares["https://wa.me"] == f"https://wa.me/?text={message}"
    assert shares["sms"] == f"sms:?body={message}"
    assert shares["mailto"].startswith("mailto:?subject=12")


def test_message_is_encoded_for_every_app(viewer: Client) -> None:
    payment = make_payment(description='100 % = A+B ; « é » 😀\n"><script>')
    content = text_of(viewer.get(page_of(payment)))
    assert "text=100%20%25%20%3D%20A%2BB%20%3B%20%C2%AB" in content
    assert '"><script>' not in content


def test_view_on_site_does_not_lead_staff_to_the_checkout(viewer: Client, payment: Payment) -> None:
    type_pk = ContentType.objects.get_for_model(Payment).pk
    assert viewer.get(reverse("admin:view_on_site", args=[type_pk, payment.pk])).status_code == 404


def test_payment_page_costs_few_statements(viewer: Client, payment: Payment, notify: Notify) -> None:
    for _ in range(5):
        notify(payment)

    def count_statements() -> int:
        viewer.get(page_of(payment))
        with CaptureQueriesContext(connection) as queries:
            text_of(viewer.get(page_of(payment)))
        return len([query for query in queries if query["sql"].startswith("SELECT")])

    assert count_statements() <= 9
    for number in range(5):
        flag(payment, detail=str(number))
        refund(payment, 100, reference=f"R-{number}")
    assert count_statements() <= 10  # the refunds with their users


@pytest.mark.parametrize("status", Status.values)
@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_status_explains_itself_and_the_next_step(viewer: Client, status: str, language: str) -> None:
    payment = make_payment(status="succeeded" if status == "refunded" else status)
    if status == "refunded":
        refund(payment, 12500)
    content = text_of(viewer.get(page_of(payment), headers={"accept-language": language}))
    box = re.sub(r"<[^>]+>", " ", content.split('class="pp-box')[1].split("</section>")[0])
    assert len(box.split()) > 10
    assert ".." not in box
    assert "%(" not in box


@pytest.mark.parametrize("reason", [reason for reason in Reason.values if reason != "malformed"])
@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_reason_to_review_says_what_to_do(viewer: Client, payment: Payment, reason: str, language: str) -> None:
    flag(payment, reason, "<b>7</b>")
    content = text_of(viewer.get(page_of(payment), headers={"accept-language": language}))
    finding = content.split('class="pp-finding"')[1].split("</div>")[0]
    assert "&lt;b&gt;7&lt;/b&gt;" in finding
    assert finding.count("<p>") == 2


def test_finding_of_an_unknown_reason_is_shown(viewer: Client, payment: Payment) -> None:
    flag(payment, "of_another_version", "something else")
    assert "of_another_version: something else" in text_of(viewer.get(page_of(payment)))


def test_open_findings_are_shown_with_their_dates(viewer: Client, payment: Payment) -> None:
    first = datetime(2026, 11, 2, 9, 5, tzinfo=timezone.utc)
    flag(payment, "amount_mismatch", "6250 != 12500", created_at=first)
    flag(payment, "amount_mismatch", " != 12500", created_at=first + timedelta(days=1))
    flag(payment, "unknown_code", "9", created_at=first + timedelta(days=2))
    flag(payment, "unknown_code", "reviewed already", reviewed_at=first)

    boxes = text_of(viewer.get(page_of(payment))).split('class="pp-finding"')[1:]
    french = text_of(viewer.get(page_of(payment), headers=FRENCH))

    assert len(boxes) == 3
    assert "6250 instead of 12500" in boxes[0]
    assert "02/11/2026 09:05" in boxes[0]
    assert "– instead of 12500" in boxes[1]
    assert "03/11/2026 09:05" in boxes[1]
    assert "04/11/2026 09:05" in boxes[2]
    assert "02/11/2026 09:05" in french
    assert "reviewed already" not in french


def test_refunds_are_shown_as_a_table(viewer: Client) -> None:
    payment = make_payment(status="succeeded", created_at=datetime(2025, 11, 10, 12, tzinfo=timezone.utc))
    assert "pp-refunds" not in text_of(viewer.get(page_of(payment)))
    refund(payment, 1000, reference="R-<1>", refunded_on=date(2025, 11, 20))
    refund(payment, 500, kind="chargeback", fee=2500, refunded_on=date(2025, 11, 18))
    User.objects.get(username="aminata").delete()
    other = make_payment(status="succeeded")
    refund(other, 700, reference="of another payment")

    content = text_of(viewer.get(page_of(payment)))

    table = content.split("pp-refunds")[1].split("</table>")[0]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
    assert rows == [
        ["20/11/2025", "Refund", "1\u202f000\u00a0F\u00a0CFA", "", "R-&lt;1&gt;", ""],
        ["18/11/2025", "Chargeback", "500\u00a0F\u00a0CFA", "2\u202f500\u00a0F\u00a0CFA", "", ""],
    ]
    assert "of another payment" not in content
    known = content.split('class="pp-known"')[1].split("</p>")[0]
    assert "1\u202f500\u00a0F\u00a0CFA of 12\u202f500\u00a0F\u00a0CFA refunded, most recently on 20/11/2025." in known
    assert ">aminata</td>" in text_of(viewer.get(page_of(other)))


# The review queue


REVIEW_PAGES = ["/admin/paiementpro/", LIST]


def test_admin_pages_link_to_the_payments_to_review(viewer: Client) -> None:
    for path in REVIEW_PAGES:
        assert "to review</a>" not in text_of(viewer.get(path))
    payment = make_payment()
    flag(payment)
    flag(payment, "paid_twice")
    flag(make_payment(), reviewed_at=django_timezone.now())
    for path in REVIEW_PAGES:
        content = text_of(viewer.get(path))
        assert f'<a href="{LIST}?review=1">1 payment to review</a>' in content
    flag(make_payment())
    assert "2 payments to review" in text_of(viewer.get("/admin/paiementpro/"))


def test_host_may_show_the_review_queue_on_the_index(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    flag(make_payment())
    assert "to review</a>" not in text_of(viewer.get("/admin/"))
    monkeypatch.setattr(admin.site, "index_template", "admin/paiementpro/index.html")
    assert "1 payment to review</a>" in text_of(viewer.get("/admin/"))


def test_count_of_the_review_queue_has_a_maximum(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_paiementpro.templatetags.paiementpro_admin.MAX_COUNT", 1)
    flag(make_payment())
    flag(make_payment())
    assert "More than 1 payments to review" in text_of(viewer.get(LIST))


def test_review_queue_is_hidden_from_staff_who_may_not_view_payments() -> None:
    flag(make_payment())
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_paymentevent"))
    client = Client()
    client.force_login(user)
    template = engines["django"].from_string("{% load paiementpro_admin %}{% review_queue %}")
    request = RequestFactory().get("/")
    request.user = user
    assert template.render({}, request).strip() == ""
    assert client.get(LIST).status_code == 403


def test_review_queue_is_empty_in_an_admin_without_payments(rf: RequestFactory) -> None:
    flag(make_payment())
    template = engines["django"].from_string("{% load paiementpro_admin %}{% review_queue %}")
    request = rf.get("/")
    request.user = User.objects.create_superuser("owner")
    assert "1 payment to review" in template.render({}, request)
    assert template.render({}).strip() == ""
    request.current_app = "another"
    assert template.render({}, request).strip() == ""
    request.current_app = "admin"
    model_admin = type(admin.site.get_model_admin(Payment))
    admin.site.unregister(Payment)
    try:
        assert template.render({}, request).strip() == ""
    finally:
        admin.site.register(Payment, model_admin)


# Those who may not


def test_anonymous_visitor_sees_nothing(payment: Payment) -> None:
    for path in (LIST, page_of(payment), f"{LIST}export/", f"{LIST}takings/", f"{LIST}{payment.pk}/confirm/"):
        assert Client().get(path).status_code == 302


def test_viewer_sees_no_actions(viewer: Client, payment: Payment) -> None:
    flag(payment)
    content = text_of(viewer.get(page_of(payment)))
    assert "pp-actions" not in content
    content = text_of(viewer.get(LIST))
    assert 'name="action"' not in content
    assert "Export" not in content


# Actions of the list


def choose(client: Client, action: str, *payments: Payment) -> Any:
    data = {"action": action, "_selected_action": [payment.pk for payment in payments]}
    return client.post(LIST, data, follow=True)


@pytest.mark.usefixtures("look_up")
def test_selected_payments_are_asked_about(payment: Payment, gateway: FakeGateway) -> None:
    gateway.confirms(payment)
    pending, away, new = (
        make_payment(status="pending", attempt=1),
        make_payment(status="pending", attempt=1),
        make_payment(),
    )
    gateway.tells(away.reference, "", status=500)

    content = text_of(choose(client_of("check_payment"), "check_payments", payment, pending, away, new))

    assert "The gateway was asked about 3 payments." in content
    assert "1 payment has been paid." in content
    assert "The gateway did not answer about 1 payment." in content
    assert Payment.objects.get(pk=payment.pk).status == "succeeded"
    assert PaymentEvent.objects.filter(kind="staff", message="From the list of payments.").count() == 3


@pytest.mark.usefixtures("look_up")
def test_checking_many_payments_stops_in_time(
    payment: Payment, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_paiementpro.admin.payments.PATIENCE", -1.0)
    content = text_of(choose(client_of("check_payment"), "check_payments", payment))
    assert "There was not enough time for all of them. Select fewer payments." in content
    assert gateway.look_ups == []


@pytest.mark.usefixtures("look_up")
def test_payments_changed_meanwhile_are_skipped(
    payment: Payment, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(*arguments: Any) -> Any:
        from django.core.exceptions import ValidationError

        raise ValidationError("changed", code="changed")

    monkeypatch.setattr("django_paiementpro.services.ask_gateway", changed)
    assert "about 1 payment." in text_of(choose(client_of("check_payment"), "check_payments", payment))


@pytest.mark.parametrize("action", ["check_payments", "export_csv"])
def test_list_action_requires_its_permission(viewer: Client, payment: Payment, action: str) -> None:
    assert choose(viewer, action, payment).status_code == 403
    assert PaymentEvent.objects.count() == 0


@pytest.mark.usefixtures("look_up")
def test_recently_checked_payments_are_not_checked_again(payment: Payment, gateway: FakeGateway) -> None:
    client = client_of("check_payment")
    choose(client, "check_payments", payment)
    assert "about 0 payments" in text_of(choose(client, "check_payments", payment))
    assert len(gateway.look_ups) == 1


def test_restricted_queryset_restricts_count_and_sum(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = PaymentAdmin.get_queryset
    monkeypatch.setattr(PaymentAdmin, "get_queryset", lambda *args: mine(*args).filter(merchant_id="PP-B"))
    flag(make_payment(status="succeeded", settled_at=django_timezone.now()))
    assert "to review</a>" not in text_of(viewer.get("/admin/paiementpro/"))
    assert "12\u202f500" not in text_of(viewer.get(f"{LIST}takings/"))


@pytest.mark.usefixtures("look_up")
def test_paid_payments_are_not_checked(gateway: FakeGateway) -> None:
    for _ in range(3):
        make_payment(status="succeeded", attempt=1)
    client = client_of("check_payment")
    assert "about 0 payments" in text_of(choose(client, "check_payments", *Payment.objects.all()))
    assert gateway.look_ups == []


def test_overridden_list_view_runs_outside_transactions() -> None:
    class HostAdmin(PaymentAdmin):
        changelist_view = admin.ModelAdmin.changelist_view

    site = admin.AdminSite()
    callbacks = {pattern.name: pattern.callback for pattern in HostAdmin(Payment, site).get_urls()}
    assert callbacks["paiementpro_payment_changelist"]._non_atomic_requests == {"default"}


@pytest.mark.parametrize("builds_first", [False, True])
def test_overridden_list_view_understands_standard_filters(rf: RequestFactory, builds_first: bool) -> None:
    class HostAdmin(PaymentAdmin):
        def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
            if builds_first:
                self.get_changelist_instance(request)
            return admin.ModelAdmin.changelist_view(self, request, extra_context)

    failed, _paid = make_payment(status="failed"), make_payment(status="succeeded")
    request = rf.get(LIST, {"status__exact": "failed"})
    request.user = User.objects.create_superuser("owner")
    response: Any = HostAdmin(Payment, admin.site).changelist_view(request)
    assert list(response.context_data["cl"].result_list) == [failed]


def test_list_is_exported_as_filtered() -> None:
    paid, other = make_payment(status="succeeded"), make_payment()
    client = client_of("export_payment")
    chosen = client.post(LIST, {"action": "export_csv", "_selected_action": [other.pk]})
    assert other.reference in chosen.getvalue().decode("utf-8-sig")
    assert paid.reference not in chosen.getvalue().decode("utf-8-sig")
    filtered = client.get(f"{LIST}export/", {"status": "succeeded"}).getvalue().decode("utf-8-sig")
    assert paid.reference in filtered
    assert other.reference not in filtered


def test_export_requires_its_permission(viewer: Client) -> None:
    assert viewer.get(f"{LIST}export/").status_code == 403
    user = User.objects.create_user("exporter", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="export_payment"))
    client = Client()
    client.force_login(user)
    assert client.get(f"{LIST}export/").status_code == 403


# The inline


def test_order_shows_its_payments() -> None:
    product = Product.objects.create(slug="wax", name_fr="Pagne", name_en="Cloth", picture="wax", price=12500, stock=5)
    order, other = (ShopOrder.objects.create(product=product, quantity=1, total=12500) for _ in range(2))
    payment, foreign = make_payment(content_object=order, refunded_amount=500), make_payment(content_object=other)
    flag(payment, "paid_twice")
    client = Client()
    client.force_login(User.objects.create_superuser("owner"))

    content = text_of(client.get(reverse("admin:shop_order_change", args=[order.pk])))

    assert page_of(payment) in content
    assert page_of(foreign) not in content
    assert '<span class="pp-badge pp-created">Created</span>' in content
    assert '<span class="pp-quiet">Paid twice</span>' in content
    assert ">500\u00a0F\u00a0CFA refunded</span>" in content
    assert "paiementpro/admin.css" in content
    assert "-0-DELETE" not in content


# Start-up


def test_takings_are_imported_when_shown() -> None:
    assert [name for name in imported_at_start() if "daybook" in name] == []


def test_package_can_be_imported_by_sites_without_the_admin(settings: Any) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django.contrib.admin"]
    assert runpy.run_module("django_paiementpro.admin.__init__").get("PaymentAdmin") is None
