"""The small things that a shop's staff asked for: today's takings, familiar links, plain words, one style of dates."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import QueryDict
from django.template import engines
from django.test import Client, RequestFactory
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.admin.filters import own_parameters
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.testing import make_payment
from tests.conftest import Notify, Statements, due_event
from tests.test_admin import LIST, client_of, flag, found, listed, page_of, text_of

pytestmark = pytest.mark.django_db

NARROW = "\u202f"


@pytest.fixture
def viewer(db: None) -> Client:
    return client_of()


# Today


def today() -> datetime:
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)


def test_app_page_shows_what_was_paid_today(viewer: Client) -> None:
    make_payment(status="succeeded", amount=12500, settled_at=timezone.now())
    make_payment(status="refunded", amount=500, settled_at=today())
    make_payment(status="succeeded", amount=700, settled_at=today() - timedelta(seconds=1))
    make_payment(status="failed", amount=900, settled_at=timezone.now())

    content = text_of(viewer.get("/admin/paiementpro/"))

    assert f"Today: <strong>13{NARROW}000\u00a0F\u00a0CFA</strong>, 2 payments</a>" in content
    day = timezone.localdate().isoformat()
    assert f'<a href="{LIST}takings/?from={day}&amp;to={day}">' in content
    report = text_of(viewer.get(f"{LIST}takings/", {"from": day, "to": day}))
    assert f"<strong>13{NARROW}000\u00a0F\u00a0CFA</strong>" in report


def test_currencies_of_today_are_not_added_up(viewer: Client) -> None:
    make_payment(status="succeeded", amount=500, settled_at=timezone.now())
    make_payment(status="succeeded", amount=700, currency="XAF", settled_at=timezone.now())
    expected = "Today: <strong>700\u00a0F\u00a0CFA + 500\u00a0F\u00a0CFA</strong>, 2 payments"
    assert expected in text_of(viewer.get("/admin/paiementpro/"))


def test_day_without_sales_has_takings_of_nothing(viewer: Client) -> None:
    assert "Today: <strong>0\u00a0F\u00a0CFA</strong>, 0 payments" in text_of(viewer.get("/admin/paiementpro/"))


def test_host_may_show_the_takings_on_the_index(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Today:" not in text_of(viewer.get("/admin/"))
    monkeypatch.setattr(admin.site, "index_template", "admin/paiementpro/index.html")
    assert "Today:" in text_of(viewer.get("/admin/"))


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Niue"])
def test_today_begins_at_midnight_of_the_site(viewer: Client, settings: Any, zone: str) -> None:
    settings.TIME_ZONE = zone
    with timezone.override(zone):
        midnight = today()
    make_payment(status="succeeded", amount=500, settled_at=midnight)
    make_payment(status="succeeded", amount=700, settled_at=midnight - timedelta(seconds=1))
    assert "Today: <strong>500\u00a0F\u00a0CFA</strong>, 1 payment<" in text_of(viewer.get("/admin/paiementpro/"))


def test_takings_of_today_cost_one_query(rf: RequestFactory, statements: Statements) -> None:
    template = engines["django"].from_string("{% load paiementpro_admin %}{% takings_today %}")
    request = rf.get("/")
    request.user = User.objects.create_superuser("owner")
    for _number in range(3):
        make_payment(status="succeeded", settled_at=timezone.now())
    with statements:
        assert "Today:" in template.render({}, request)
    assert len(statements) == 1


def test_takings_of_today_are_hidden_from_those_who_may_not_view_payments(rf: RequestFactory) -> None:
    template = engines["django"].from_string("{% load paiementpro_admin %}{% takings_today %}")
    request = rf.get("/")
    request.user = User.objects.create_user("clerk", is_staff=True)
    assert template.render({}, request).strip() == ""
    assert template.render({}).strip() == ""


# Links in the form of Django's own filters


def test_standard_filter_links_work(viewer: Client) -> None:
    paid = make_payment(status="succeeded", settled_by="staff", channel="OMCIV2", merchant_id="PP-F9")
    failed = make_payment(status="failed", settled_by="notification", channel="WAVECI")
    expired = make_payment(status="expired", channel="WAVESN")
    flag(failed)

    assert listed(viewer, status__exact="failed") == {failed.reference}
    assert listed(viewer, status__in="failed,expired") == {failed.reference, expired.reference}
    assert listed(viewer, settled_by__exact="staff") == {paid.reference}
    assert listed(viewer, channel__exact="WAVECI") == {failed.reference}
    assert listed(viewer, channel__in="WAVECI,WAVESN") == {failed.reference, expired.reference}
    assert listed(viewer, merchant_id__exact="PP-F9") == {paid.reference}
    assert listed(viewer, merchant_id="PP-F9") == {paid.reference}
    assert listed(viewer, needs_review__exact="1") == {failed.reference}
    assert listed(viewer, needs_review__exact="True") == {failed.reference}
    assert listed(viewer, needs_review__exact="0") == {paid.reference, expired.reference}
    assert listed(viewer, review="0,1") == {paid.reference, failed.reference, expired.reference}
    assert listed(viewer, country="CI,SN") == {paid.reference, failed.reference, expired.reference}
    assert listed(viewer, status__exact="failed", q="zoe") == set()


def test_standard_links_to_a_period_work(viewer: Client) -> None:
    noon = datetime(2026, 11, 2, 12, tzinfo=timezone.get_current_timezone())
    before, then, after = (make_payment(created_at=noon + timedelta(days=days)) for days in (-1, 0, 1))

    a_day = {"created_at__gte": "2026-11-02 00:00:00+00:00", "created_at__lt": "2026-11-03 00:00:00+00:00"}
    assert found(viewer, **a_day) == [then.reference]
    assert found(viewer, created_at__date="2026-11-02") == [then.reference]
    assert found(viewer, created_at__date__gte="2026-11-02") == [after.reference, then.reference]
    assert found(viewer, created_at__date__lte="2026-11-02") == [then.reference, before.reference]


def test_chosen_filter_of_a_standard_link_is_marked(viewer: Client) -> None:
    content = text_of(viewer.get(LIST, {"status__exact": "failed"}))
    assert '<li class="selected">\n    <a href="?status=failed">' in content


def test_export_follows_a_standard_link() -> None:
    paid, failed = make_payment(status="succeeded"), make_payment(status="failed")
    response = client_of("export_payment").get(f"{LIST}export/", {"status__exact": "failed"})
    text = b"".join(response).decode()
    assert failed.reference in text
    assert paid.reference not in text


@pytest.mark.parametrize("value", ["rubbish", "1999-12-31", "2026-11-02 10:00:00", "2026-11-02T00:00:01"])
def test_moment_that_is_no_day_is_refused(viewer: Client, value: str) -> None:
    query = QueryDict(f"created_at__gte={value}")
    assert own_parameters(query)["created_at__gte"] == value
    assert viewer.get(LIST, {"created_at__gte": value}).status_code == 400


def test_queries_of_our_own_are_left_alone() -> None:
    query = QueryDict("status=failed&q=awa")
    assert own_parameters(query) is query


# The search


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("zoe@example", "an e-mail address that begins with “zoe@example”"),
        ("07 00 00 00 99", "the phone number +22"),
        ("Zénab  N’Dri", "a customer’s name with “Zénab N’Dri”; the reference, transaction or order “Zénab N’Dri”"),
        ("#", "the reference, transaction or order “#”"),
        ("<b>", "a customer’s name with “&lt;b&gt;”"),
    ],
)
def test_search_that_finds_nothing_says_what_was_compared(viewer: Client, text: str, words: str) -> None:
    make_payment()
    content = text_of(viewer.get(LIST, {"q": text}))
    assert "No payment was found." in content
    assert words in content
    assert "Search all payments" not in content


def test_search_in_filtered_payments_offers_the_others(viewer: Client) -> None:
    make_payment(status="failed")
    content = text_of(viewer.get(LIST, {"q": "kone & co", "status": "succeeded"}))
    assert '<a href="?q=kone%20%26%20co">Search all payments</a>' in content


@pytest.mark.parametrize("query", [{}, {"q": " "}, {"q": "kone"}, {"status": "succeeded"}])
def test_nothing_is_explained_without_a_failed_search(viewer: Client, query: dict[str, str]) -> None:
    make_payment(status="failed")
    assert "No payment was found." not in text_of(viewer.get(LIST, query))


# Plain words


TECHNICAL = ["payment_succeeded", "receiver", "signal", "referenceNumber", "thanks-for-all"]


def test_developers_words_are_shown_to_those_who_may_send_signals(payment: Payment, notify: Notify) -> None:
    Payment.objects.update(success_url="/thanks-for-all/")
    due_event(payment)
    notify(payment)

    plain, technical = (
        text_of(client_of(name).get(page_of(payment))) for name in ("check_payment", "redeliver_payment")
    )

    assert [word for word in TECHNICAL if word in plain] == []
    assert [word for word in TECHNICAL if word not in technical] == []
    assert "The shop has not processed it yet." in plain
    assert "Tell the person who looks after the site." in plain
    assert "Notification: paid" in plain
    assert "What was received" not in plain


@pytest.mark.parametrize(
    ("act", "plain", "technical"),
    [
        ("redeliver", "awa told the shop about the payment again", "awa sent the signals again"),
        ("discard", "awa closed what the shop had not processed", "awa stopped waiting for missing receivers"),
        ("check", "awa asked the gateway", "awa asked the gateway"),
    ],
)
def test_acts_of_staff_are_described_in_plain_words(payment: Payment, act: str, plain: str, technical: str) -> None:
    data = {"action": act, "user": "awa"}
    PaymentEvent.objects.create(payment=payment, kind="staff", outcome="accepted", data=data)
    assert f"<strong>{plain}</strong>" in text_of(client_of().get(page_of(payment)))
    assert f"<strong>{technical}</strong>" in text_of(client_of("redeliver_payment").get(page_of(payment)))


# Dates


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_date_has_the_day_first(language: str) -> None:
    moment = datetime(2026, 11, 2, 9, 5, tzinfo=timezone.get_current_timezone())
    dates = ("created_at", "initialized_at", "settled_at", "transaction_date", "blanked_at")
    payment = make_payment(status="succeeded", **dict.fromkeys(dates, moment))
    services.refund_payment(
        payment, User.objects.create(username="ami"), amount=500, reason="-", refunded_on=moment.date()
    )

    Payment.objects.update(blanked_at=moment)

    client = client_of()
    content = text_of(client.get(page_of(payment), headers={"accept-language": language}))

    fields = content.partition("pp-timeline")[2]
    assert fields.count("02/11/2026 09:05") == len(dates)
    assert ">02/11/2026</td>" in content
    assert "Nov. 2" not in content
    assert "2 novembre" not in content
    assert text_of(client.get(LIST, headers={"accept-language": language})).count("02/11/2026 09:05") == 2
