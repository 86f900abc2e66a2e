import csv
import re
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from django_paiementpro import statistics
from django_paiementpro.admin.daybook.charts import round_up
from django_paiementpro.admin.daybook.picker import presets, today, unit_for
from django_paiementpro.admin.daybook.texts import (
    duration_text,
    line_text,
    money_text,
    operator_texts,
    rate_text,
    short_amount,
)
from django_paiementpro.models import Payment
from django_paiementpro.statistics import Figures, Line, Unit
from django_paiementpro.testing import make_payment
from tests.conftest import Statements

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 11, 2, 12, tzinfo=ZoneInfo("UTC"))
DAY = timedelta(days=1)
WEEK = {"from": "2026-11-02", "to": "2026-11-08"}


def paid(amount: int = 12500, at: datetime = MONDAY, **values: Any) -> Payment:
    """Make a payment that took a minute and a half to pay."""
    ours = {"status": "succeeded", "amount": amount, "settled_at": at, "channel": "WAVECI"}
    return opened(at=at - timedelta(seconds=90), **{**ours, **values})


def refund(payment: Payment, amount: int, at: datetime = MONDAY) -> None:
    payment.refunds.create(amount=amount, refunded_on=at.date())


def opened(status: str, at: datetime = MONDAY, **values: Any) -> Payment:
    return make_payment(**{"status": status, "attempt": 1, "created_at": at, "initialized_at": at, **values})


@pytest.fixture
def cashier() -> Client:
    user = User.objects.create_user("cashier", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_payment"))
    client = Client()
    client.force_login(user)
    return client


def url() -> str:
    return reverse("admin:paiementpro_payment_daybook")


def page(client: Client, language: str = "en", **query: str) -> str:
    response = client.get(url(), query, headers={"accept-language": language})
    assert response.status_code == 200
    return response.content.decode()


def table(content: str, key: str) -> list[list[str]]:
    """Return the cells of a table, its headings first, with plain spaces."""
    found = re.search(rf'aria-labelledby="daybook-{key}">(.*?)</table>', content, re.DOTALL)
    assert found is not None
    rows = found[1].split("<tr>")[1:]
    return [
        [re.sub("[\u00a0\u202f]", " ", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows
    ]


def key_figures(content: str) -> dict[str, tuple[str, str]]:
    found = re.findall(r"<dt>(.*?)</dt><dd><strong>(.*?)</strong> <span>(.*?)</span>", content)
    return {label: (re.sub("[\u00a0\u202f]", " ", figure), note) for label, figure, note in found}


def rows_of(client: Client, language: str = "en", **query: str) -> list[list[str]]:
    response = client.get(url(), {"format": "csv", **query}, headers={"accept-language": language})
    assert response.status_code == 200
    text = response.getvalue().decode("utf-8-sig")
    return list(csv.reader(text.splitlines(), delimiter=";" if language == "fr" else ","))


def test_the_key_figures_stand_first(cashier: Client) -> None:
    paid(12500)
    refund(paid(2500), 2000)
    opened("failed")
    opened("cancelled")

    assert key_figures(page(cashier, **WEEK)) == {
        "Taken": ("15 000 F CFA", "before refunds"),
        "Refunded": ("2 000 F CFA", "1 refund"),
        "Net": ("13 000 F CFA", "taken less refunded"),
        "Payments paid": ("2", "in this period"),
        "Success rate": ("66.7%", "of 3 payment pages, cancelled ones aside"),
        "Median time to pay": ("1 min 30 s", "half of them took no longer"),
    }


def test_tables_tell_the_same_as_the_charts(cashier: Client) -> None:
    paid(12500)
    refund(paid(2500, MONDAY + DAY, channel="OMCIV2", status="refunded"), 2500, MONDAY + 2 * DAY)
    opened("failed", channel="WAVECI")
    opened("expired")
    make_payment(created_at=MONDAY)

    content = page(cashier, **WEEK)

    assert table(content, "takings") == [
        ["Day", "Payments", "Taken", "Refunds", "Refunded", "Net"],
        ["Mon Nov. 2, 2026", "1", "12 500 F CFA", "0", "0 F CFA", "12 500 F CFA"],
        ["Tue Nov. 3, 2026", "1", "2 500 F CFA", "0", "0 F CFA", "2 500 F CFA"],
        ["Wed Nov. 4, 2026", "0", "0 F CFA", "1", "2 500 F CFA", "\N{MINUS SIGN}2 500 F CFA"],
        *([f"{name}, 2026", "0", "0 F CFA", "0", "0 F CFA", "0 F CFA"] for name in ("Thu Nov. 5", "Fri Nov. 6")),
        *([f"{name}, 2026", "0", "0 F CFA", "0", "0 F CFA", "0 F CFA"] for name in ("Sat Nov. 7", "Sun Nov. 8")),
        ["Total", "2", "15 000 F CFA", "1", "2 500 F CFA", "12 500 F CFA"],
    ]
    assert table(content, "operators")[1:] == [
        ["Wave Côte d’Ivoire", "1", "12 500 F CFA", "0", "0 F CFA", "12 500 F CFA"],
        ["Orange Money Côte d’Ivoire", "1", "2 500 F CFA", "1", "2 500 F CFA", "0 F CFA"],
    ]
    assert table(content, "merchants")[1:] == [["PP-F324", "2", "15 000 F CFA"]]
    assert table(content, "steps")[1:] == [
        ["Created", "5", "100.0%", "100.0%"],
        ["Taken to the gateway", "4", "80.0%", "80.0%"],
        ["Payment page opened", "4", "100.0%", "80.0%"],
        ["Paid", "2", "50.0%", "40.0%"],
    ]
    assert table(content, "success")[1:] == [
        ["Wave Côte d’Ivoire", "2", "1", "1", "0", "0", "0", "50.0%"],
        ["Orange Money Côte d’Ivoire", "1", "1", "0", "0", "0", "0", "100.0%"],
        ["Not chosen", "1", "0", "0", "1", "0", "0", "0.0%"],
        ["Total", "4", "2", "1", "1", "0", "0", "50.0%"],
    ]
    assert table(content, "failures")[1:] == [
        ["Mon Nov. 2, 2026", "Not chosen", "1", "0", "1", "100.0%"],
        ["Mon Nov. 2, 2026", "Wave Côte d’Ivoire", "2", "1", "0", "50.0%"],
    ]


def test_each_chart_has_its_figures_in_words(cashier: Client) -> None:
    paid(12500)
    refund(paid(2500, MONDAY + DAY, merchant_id="PP-F325", status="refunded"), 2500, MONDAY + DAY)
    opened("failed", MONDAY + DAY, channel="WAVECI")

    content = re.sub("[\u00a0\u202f]", " ", page(cashier, **WEEK))

    assert all(
        'role="img"' in svg or 'aria-hidden="true"' in svg for svg in re.findall('<svg class="day[^>]*>', content)
    )
    assert 'aria-label="Taken by day: 15 000 F CFA in all, at most 12 500 F CFA (Mon Nov. 2, 2026)"' in content
    assert "<title>Mon Nov. 2, 2026: 12 500 F CFA, 1 payment</title>" in content
    assert "<title>Tue Nov. 3, 2026: 2 500 F CFA, 1 payment; refunded: 2 500 F CFA</title>" in content
    assert 'aria-label="PP-F325, 2 500 F CFA, 16.7% · 1 payment"' in content
    assert (
        'aria-label="Wave Côte d’Ivoire: 1 of 3 not paid (33.3%). Most: Tue Nov. 3, 2026, 1 of 2 not paid"' in content
    )
    assert 'aria-label="Paid, 2, 66.7% of the step before"' in content


def test_shapes_are_as_large_as_the_figures(cashier: Client) -> None:
    paid(100)
    paid(50, MONDAY + DAY)

    content = page(cashier, language="fr", **WEEK)

    plot = content.split('class="daybook-plot"')[1].split("</svg>")[0]
    assert re.findall(r'daybook-taken" x="([\d.]+%)" width="([\d.]+%)" y="([\d.]+%)" height="([\d.]+%)"', plot) == [
        ("1.429%", "11.429%", "0.00%", "100.00%"),
        ("15.714%", "11.429%", "50.00%", "50.00%"),
    ]


@pytest.mark.parametrize(
    ("unit", "title", "first"),
    [
        ("day", "Taken by day", "Thu Oct. 1, 2026"),
        ("week", "Taken by week", "Oct. 1 – Oct. 4, 2026"),
        ("month", "Taken by month", "October 2026"),
    ],
)
def test_days_weeks_or_months_are_shown(cashier: Client, unit: str, title: str, first: str) -> None:
    paid()

    content = page(cashier, **{"from": "2026-10-01", "to": "2026-11-20", "by": unit})

    assert f">{title}</h3>" in content
    assert table(content, "takings")[1][0] == first


def test_long_periods_are_shown_by_what_can_be_read() -> None:
    assert [unit_for(date(2026, 1, 1), date(2026, 1, 1) + number * DAY) for number in (30, 90, 365)] == [
        Unit.DAY,
        Unit.WEEK,
        Unit.MONTH,
    ]


def test_the_last_thirty_days_are_shown_unless_others_are_asked_for(cashier: Client) -> None:
    paid(1000, timezone.now())
    paid(2000, timezone.now() - 29 * DAY)
    paid(4000, timezone.now() - 30 * DAY)

    content = page(cashier)

    assert key_figures(content)["Taken"][0] == "3 000 F CFA"
    assert len(table(content, "takings")) == 32
    assert 'aria-current="page">Last 30 days</a>' in content


@pytest.mark.parametrize(
    ("day", "last_month"), [(date(2026, 3, 31), date(2026, 2, 1)), (date(2028, 2, 29), date(2028, 1, 1))]
)
def test_periods_to_choose_from_are_those_that_people_mean(
    monkeypatch: pytest.MonkeyPatch, day: date, last_month: date
) -> None:
    moment = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo("UTC"))
    monkeypatch.setattr(timezone, "now", lambda: moment)

    periods = {label: (start, end) for label, start, end in presets()}

    assert periods["Today"] == (day, day)
    assert periods["Yesterday"] == (day - DAY, day - DAY)
    assert periods["Last 7 days"] == (day - 6 * DAY, day)
    assert periods["This month"] == (day.replace(day=1), day)
    assert periods["Last month"] == (last_month, day.replace(day=1) - DAY)
    assert periods["Last 12 months"][0] == (date(2025, 4, 1) if day.month == 3 else date(2027, 3, 1))


def test_today_is_that_of_the_clock_on_the_wall(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 11, 2, 23, 30, tzinfo=ZoneInfo("UTC")))
    with timezone.override("Africa/Porto-Novo"):
        assert today() == date(2026, 11, 3)
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 11, 2, 23, 30))  # noqa: DTZ001
    assert today() == date(2026, 11, 2)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"from": "yesterday"}, "From: Enter a valid date."),
        ({"to": "0000-00-00"}, "To: Enter a valid date."),
        ({"from": "0000-01-01"}, "From: Enter a valid date."),
        ({"from": "2026-13-45"}, "From: Enter a valid date."),
        ({"from": "\x00"}, "From: Enter a valid date."),
        ({"from": "9" * 5000}, "From: Enter a valid date."),
        ({"from": "1999-12-31"}, "From: Ensure this value is greater than or equal to 2000-01-01."),
        ({"to": "2100-01-01"}, "To: Ensure this value is less than or equal to 2099-12-31."),
        ({"from": "2026-11-08", "to": "2026-11-02"}, "The period ends before it begins."),
        ({"from": "2001-01-01", "to": "2026-11-02"}, "A period has at most 366 days."),
        ({"from": "2001-01-01"}, "A period has at most 366 days."),
    ],
)
def test_a_period_that_cannot_be_shown_gives_way_to_the_last_thirty_days(
    cashier: Client, query: dict[str, str], message: str
) -> None:
    paid(at=timezone.now())

    content = page(cashier, **query)

    assert message in content
    assert "Here are the last 30 days." in content
    assert len(table(content, "takings")) == 32
    assert rows_of(cashier, **query)


@pytest.mark.parametrize(
    "query",
    [
        {"by": "year"},
        {"by": "\x00"},
        {"operator": "\x00"},
        {"operator": "x" * 33},
        {"merchant": "a\x00b"},
        {"merchant": "x" * 65},
        {"currency": "francs"},
        {"currency": "\x00"},
        {"currency": "XOF\n1"},
    ],
)
def test_other_rubbish_is_named_and_left_aside(cashier: Client, query: dict[str, str]) -> None:
    paid()

    content = page(cashier, **WEEK, **query)

    assert '<p class="errornote">' in content
    assert "Here are the last 30 days." not in content
    assert key_figures(content)["Taken"][0] == "12 500 F CFA"


@pytest.mark.parametrize("query", [{"merchant": "😀"}, {"operator": "é😀"}, {"currency": "ZZZ"}, {"format": "pdf"}])
def test_what_nobody_has_is_no_error(cashier: Client, query: dict[str, str]) -> None:
    assert '<p class="errornote">' not in page(cashier, **WEEK, **query)


@pytest.mark.parametrize(
    ("query", "period"),
    [
        ({"from": "2000-01-01", "to": "2000-01-02"}, "Jan. 1 – Jan. 2, 2000"),
        ({"to": "2000-01-02"}, "Jan. 1 – Jan. 2, 2000"),
        ({"to": "2026-01-10"}, "Dec. 12, 2025 – Jan. 10, 2026"),
        ({"from": "2099-12-31"}, "Thu Dec. 31, 2099"),
    ],
)
def test_half_a_period_is_completed(cashier: Client, query: dict[str, str], period: str) -> None:
    assert f"<h2>{period}</h2>" in page(cashier, **query)


def test_an_empty_period_says_so(cashier: Client) -> None:
    content = page(cashier, **WEEK)

    assert "Nothing was created, paid or refunded in this period." in content
    assert "<svg" not in content.split('id="content-main"')[1].split("</main>")[0]
    assert rows_of(cashier, **WEEK)[0] == ["Day book", "2026-11-02", "2026-11-08", "XOF"]


@pytest.mark.parametrize("status", ["created", "cancelled"])
def test_period_with_one_kind_of_payment_is_shown(cashier: Client, status: str) -> None:
    make_payment(created_at=MONDAY, status=status)

    for unit in Unit:
        assert table(page(cashier, **WEEK, by=unit.value), "takings")


def test_period_with_refunds_alone_is_shown(cashier: Client) -> None:
    payment = paid(12500, MONDAY - 30 * DAY)
    refund(payment, 500)
    refund(payment, 250)

    for unit in Unit:
        total = table(page(cashier, **WEEK, by=unit.value), "takings")[-1]
        assert total == ["Total", "0", "0 F CFA", "2", "750 F CFA", "\N{MINUS SIGN}750 F CFA"]


def test_operator_and_merchant_are_picked_from_the_page(cashier: Client) -> None:
    paid(1000, merchant_id="A&B")
    paid(2000, merchant_id="C", channel="NEWPAY")

    content = page(cashier, **WEEK)

    assert (
        '<a href="?from=2026-11-02&amp;to=2026-11-08&amp;by=day&amp;currency=XOF&amp;operator=NEWPAY">NEWPAY</a>'
        in content
    )
    assert "&amp;merchant=A%26B" in content
    assert '<option value="NEWPAY">NEWPAY</option>' in content
    assert '<option value="A&amp;B"></option>' in content
    chosen = page(cashier, **WEEK, merchant="A&B", operator="WAVECI")
    assert key_figures(chosen)["Taken"][0] == "1 000 F CFA"
    assert '<option value="WAVECI" selected>' in chosen
    assert 'name="merchant" value="A&amp;B"' in chosen


def test_one_merchant_and_one_currency_are_nothing_to_choose(cashier: Client) -> None:
    paid()

    content = page(cashier, **WEEK)

    assert 'name="merchant"' not in content
    assert 'name="currency"' not in content
    assert 'class="daybook-label"><a href' in content


def test_the_rest_of_the_merchants_are_one(cashier: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MAX_MERCHANTS", 2)
    for number in range(5):
        paid(1000, merchant_id=f"M{number}")

    content = page(cashier, **WEEK)

    assert table(content, "merchants")[-1] == ["The others", "3", "3 000 F CFA"]
    assert '<span class="daybook-label">The others</span>' in content


def test_other_currencies_are_named_and_not_added_up(cashier: Client) -> None:
    paid(12500)
    paid(30, currency="EUR")
    paid(20, currency="USD")

    content = page(cashier, **WEEK)

    assert key_figures(content)["Taken"][0] == "12 500 F CFA"
    assert "All amounts are in XOF. Money was also taken in:" in content
    assert "&amp;currency=EUR" in content
    assert key_figures(page(cashier, **WEEK, currency="EUR"))["Taken"][0] == "30 EUR"


def test_what_strangers_wrote_is_never_markup(cashier: Client) -> None:
    for name in ("<script>alert(1)</script>", '"><img src=x>'):
        paid(merchant_id=name, channel="", gateway_channel=name[:32])
        opened("failed", gateway_channel=name[:32])

    content = page(cashier, **WEEK, merchant='"><b>x</b>')
    content += page(cashier, **WEEK)

    assert "<script>alert" not in content
    assert "<img src=x" not in content
    assert "<b>x" not in content
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in content


def test_the_page_asks_no_other_host_and_styles_nothing_inline(cashier: Client) -> None:
    paid()

    content = page(cashier, **WEEK).split('id="content-main"')[1].split("</main>")[0]

    assert "http" not in content
    assert "style=" not in content
    assert "<script" not in content
    assert "onclick" not in content


def test_csv_has_all_tables(cashier: Client) -> None:
    paid(12500)
    opened("failed", channel="WAVECI")

    rows = rows_of(cashier, **WEEK, operator="WAVECI", merchant="PP-F324")

    assert rows[:12] == [
        ["Day book", "2026-11-02", "2026-11-08", "XOF"],
        ["Operator", "Wave Côte d’Ivoire"],
        ["Merchant", "PP-F324"],
        [],
        ["Taken (XOF)", "12500"],
        ["Refunded (XOF)", "0"],
        ["Net (XOF)", "12500"],
        ["Payments paid", "1"],
        ["Success rate (%)", "50.0"],
        ["Median time to pay (s)", "90"],
        [],
        ["Taken by day"],
    ]
    assert ["From", "To", "Payments", "Taken (XOF)", "Refunds", "Refunded (XOF)", "Net (XOF)"] in rows
    assert ["2026-11-02", "2026-11-02", "1", "12500", "0", "0", "12500"] in rows
    assert ["Wave Côte d’Ivoire", "2", "1", "1", "0", "0", "0", "50.0"] in rows
    assert ["2026-11-02", "2026-11-02", "Wave Côte d’Ivoire", "2", "1", "0", "50.0"] in rows


def test_csv_of_one_table_is_a_plain_table(cashier: Client) -> None:
    paid(12500)
    query = {**WEEK, "by": "week", "table": "takings", "format": "csv"}

    assert rows_of(cashier, **query) == [
        ["From", "To", "Payments", "Taken (XOF)", "Refunds", "Refunded (XOF)", "Net (XOF)"],
        ["2026-11-02", "2026-11-08", "1", "12500", "0", "0", "12500"],
    ]
    assert "day-book-takings-2026-11-02-2026-11-08.csv" in cashier.get(url(), query)["Content-Disposition"]
    assert "table=takings" in page(cashier, **WEEK)


def test_an_unknown_table_is_all_of_them_and_no_rate_is_empty(cashier: Client) -> None:
    make_payment(created_at=MONDAY)

    rows = rows_of(cashier, **WEEK, table="<script>")

    assert ["Success rate (%)", ""] in rows
    assert ["Median time to pay (s)", ""] in rows
    assert ["Created", "1", "100.0", "100.0"] in rows
    assert ["Paid", "0", "", "0.0"] in rows


def test_a_french_csv_has_decimal_commas(cashier: Client) -> None:
    paid()
    opened("failed")

    assert [row[1] for row in rows_of(cashier, "fr", **WEEK) if row and "(%)" in row[0]] == ["50,0"]


def test_formulas_stay_text_in_the_csv(cashier: Client) -> None:
    paid(merchant_id="=1+1")

    assert ["'=1+1", "1", "12500"] in rows_of(cashier, **WEEK, table="merchants")


def test_only_who_may_view_payments_sees_the_day_book(cashier: Client) -> None:
    stranger = Client()
    assert stranger.get(url()).status_code == 302
    User.objects.get().user_permissions.clear()

    assert cashier.get(url()).status_code == 403
    assert cashier.get(url(), {"format": "csv"}).status_code == 403


@pytest.mark.parametrize("count", [1, 30])
def test_the_number_of_statements_does_not_grow(cashier: Client, statements: Statements, count: int) -> None:
    for number in range(count):
        paid(at=MONDAY + number % 7 * DAY, merchant_id=f"M{number}", channel=f"C{number}")
        opened("failed", channel=f"C{number}")

    with statements:
        page(cashier, **WEEK)

    # Four for the book, and one for channel health.
    assert len([sql for sql in statements if "paiementpro_payment" in sql]) == 5
    assert len(statements) <= 12


def test_numbers_are_written_in_the_reader_s_manner() -> None:
    assert [short_amount(amount) for amount in (0, 999, 1000, 1500, 2_500_000, 10**10)] == [
        *("0", "999", "1\u00a0k", "1.5\u00a0k", "2.5\u00a0M", "10\u00a0bn"),
    ]
    with translation.override("fr"):
        assert short_amount(2_500_000) == "2,5\u00a0M"
    assert rate_text(None) == "–"
    assert rate_text(1) == "100.0%"
    assert money_text(-2500, "XOF") == "\N{MINUS SIGN}2\u202f500\u00a0F\u00a0CFA"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90000, "1 d 1 h")],
)
def test_a_duration_is_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration_text(timedelta(seconds=seconds)).replace("\u00a0", " ") == text


def test_no_duration_is_a_dash() -> None:
    assert duration_text(None) == "–"


def test_a_month_is_named_where_it_is_whole() -> None:
    def text(start: date, end: date) -> str:
        return line_text(Line(start, end, {"": Figures()}), Unit.MONTH)

    assert text(date(2026, 11, 1), date(2026, 11, 30)) == "November 2026"
    assert text(date(2026, 11, 2), date(2026, 11, 30)) == "Nov. 2 – Nov. 30, 2026"
    assert text(date(2026, 11, 1), date(2026, 11, 29)) == "Nov. 1 – Nov. 29, 2026"


def test_an_operator_has_the_name_that_the_shop_gives_it(settings: Any) -> None:
    settings.PAIEMENTPRO_CHANNELS = [("NEWPAY", "New Pay"), "WAVECI"]

    assert list(operator_texts(["NEWPAY", "WAVECI", "OMCIV2", "XYZ", ""]).values()) == [
        *("New Pay", "Wave Côte d’Ivoire", "Orange Money Côte d’Ivoire", "XYZ", "Not chosen"),
    ]


@pytest.mark.parametrize(
    ("amount", "top"),
    [(0, 10), (7, 10), (10, 10), (11, 12), (100, 100), (101, 120), (999, 1000), (1_530_000, 1_600_000)],
)
def test_a_scale_ends_at_a_number_that_is_easily_read(amount: int, top: int) -> None:
    assert round_up(amount) == top
