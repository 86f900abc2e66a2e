import csv
import io
import re
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from django_paiementpro import services
from django_paiementpro.admin.daybook import statistics
from django_paiementpro.admin.daybook.charts import round_up
from django_paiementpro.admin.daybook.formats import (
    channel_texts,
    duration_text,
    line_text,
    money_text,
    rate_text,
    short_amount,
)
from django_paiementpro.admin.daybook.forms import unit_for
from django_paiementpro.admin.daybook.statistics import Figures, Line, Unit
from django_paiementpro.admin.periods import presets
from django_paiementpro.models import Payment
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


def test_key_figures_come_first(cashier: Client) -> None:
    paid(12500)
    refund(paid(2500), 2000)
    opened("failed")
    opened("cancelled")

    assert key_figures(page(cashier, **WEEK)) == {
        "Gross takings": ("15 000 F CFA", "before refunds"),
        "Refunded": ("2 000 F CFA", "1 refund"),
        "Net": ("13 000 F CFA", "takings minus refunds"),
        "Paid payments": ("2", "in this period"),
        "Success rate": ("66.7%", "of 3 payment pages, not counting cancelled payments"),
        "Median time to pay": ("1 min 30 s", "half of the customers were faster"),
    }


def test_tables_match_the_charts(cashier: Client) -> None:
    paid(12500)
    refund(paid(2500, MONDAY + DAY, channel="OMCIV2", status="refunded"), 2500, MONDAY + 2 * DAY)
    opened("failed", channel="WAVECI")
    opened("expired")
    make_payment(created_at=MONDAY)

    content = page(cashier, **WEEK)

    assert table(content, "periods") == [
        ["Day", "Payments", "Gross takings", "Refunds", "Refunded", "Net"],
        ["Mon 2 Nov. 2026", "1", "12 500 F CFA", "0", "0 F CFA", "12 500 F CFA"],
        ["Tue 3 Nov. 2026", "1", "2 500 F CFA", "0", "0 F CFA", "2 500 F CFA"],
        ["Wed 4 Nov. 2026", "0", "0 F CFA", "1", "2 500 F CFA", "\N{MINUS SIGN}2 500 F CFA"],
        *([f"{name} 2026", "0", "0 F CFA", "0", "0 F CFA", "0 F CFA"] for name in ("Thu 5 Nov.", "Fri 6 Nov.")),
        *([f"{name} 2026", "0", "0 F CFA", "0", "0 F CFA", "0 F CFA"] for name in ("Sat 7 Nov.", "Sun 8 Nov.")),
        ["Total", "2", "15 000 F CFA", "1", "2 500 F CFA", "12 500 F CFA"],
    ]
    assert table(content, "channels")[1:] == [
        ["Wave Côte d’Ivoire", "1", "12 500 F CFA", "0", "0 F CFA", "12 500 F CFA"],
        ["Orange Money Côte d’Ivoire", "1", "2 500 F CFA", "1", "2 500 F CFA", "0 F CFA"],
    ]
    assert table(content, "merchants")[1:] == [["PP-F324", "2", "15 000 F CFA"]]
    assert table(content, "steps")[1:] == [
        ["Created", "5", "100.0%", "100.0%"],
        ["Sent to the gateway", "4", "80.0%", "80.0%"],
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
        ["Mon 2 Nov. 2026", "Not chosen", "1", "0", "1", "100.0%"],
        ["Mon 2 Nov. 2026", "Wave Côte d’Ivoire", "2", "1", "0", "50.0%"],
    ]


def test_each_chart_has_its_figures_in_words(cashier: Client) -> None:
    paid(12500)
    refund(paid(2500, MONDAY + DAY, merchant_id="PP-F325", status="refunded"), 2500, MONDAY + DAY)
    opened("failed", MONDAY + DAY, channel="WAVECI")

    content = re.sub("[\u00a0\u202f]", " ", page(cashier, **WEEK))

    assert all(
        'role="img"' in svg or 'aria-hidden="true"' in svg for svg in re.findall('<svg class="day[^>]*>', content)
    )
    assert 'aria-label="Takings per day: 15 000 F CFA in total, 12 500 F CFA at most (Mon 2 Nov. 2026)"' in content
    assert "<title>Mon 2 Nov. 2026: 12 500 F CFA, 1 payment</title>" in content
    assert "<title>Tue 3 Nov. 2026: 2 500 F CFA, 1 payment; refunded: 2 500 F CFA</title>" in content
    assert 'aria-label="PP-F325, 2 500 F CFA, 16.7% · 1 payment"' in content
    assert (
        'aria-label="Wave Côte d’Ivoire: 1 of 3 not paid (33.3%). Worst: Tue 3 Nov. 2026, 1 of 2 not paid"' in content
    )
    assert 'aria-label="Paid, 2, 66.7% of the previous step"' in content


def test_shapes_are_proportional_to_the_figures(cashier: Client) -> None:
    paid(100)
    paid(50, MONDAY + DAY)

    content = page(cashier, language="fr", **WEEK)

    plot = content.split('class="daybook-plot"')[1].split("</svg>")[0]
    [taken] = re.findall('<path class="daybook-taken" d="([^"]*)"', plot)
    assert taken == "M1.43 0.00V100.00h11.43V0.00zM15.71 50.00V100.00h11.43V50.00z"


@pytest.mark.parametrize(
    ("unit", "title", "first"),
    [
        ("day", "Takings per day", "Thu 1 Oct. 2026"),
        ("week", "Takings per week", "1 Oct. – 4 Oct. 2026"),
        ("month", "Takings per month", "October 2026"),
    ],
)
def test_days_weeks_or_months_are_shown(cashier: Client, unit: str, title: str, first: str) -> None:
    paid()

    content = page(cashier, **{"from": "2026-10-01", "to": "2026-11-20", "by": unit})

    assert f">{title}</h3>" in content
    assert table(content, "periods")[1][0] == first


def test_long_periods_are_grouped_legibly() -> None:
    assert [unit_for(date(2026, 1, 1), date(2026, 1, 1) + number * DAY) for number in (30, 90, 365)] == [
        Unit.DAY,
        Unit.WEEK,
        Unit.MONTH,
    ]


def test_last_thirty_days_are_the_default(cashier: Client) -> None:
    paid(1000, timezone.now())
    paid(2000, timezone.now() - 29 * DAY)
    paid(4000, timezone.now() - 30 * DAY)

    content = page(cashier)

    assert key_figures(content)["Gross takings"][0] == "3 000 F CFA"
    assert len(table(content, "periods")) == 32
    assert 'aria-current="page">Last 30 days</a>' in content


@pytest.mark.parametrize(
    ("day", "last_month"), [(date(2026, 3, 31), date(2026, 2, 1)), (date(2028, 2, 29), date(2028, 1, 1))]
)
def test_period_presets_are_calendar_periods(monkeypatch: pytest.MonkeyPatch, day: date, last_month: date) -> None:
    moment = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo("UTC"))
    monkeypatch.setattr(timezone, "now", lambda: moment)

    periods = {label: (start, end) for label, start, end in presets()}

    assert periods["Today"] == (day, day)
    assert periods["Yesterday"] == (day - DAY, day - DAY)
    assert periods["Last 7 days"] == (day - 6 * DAY, day)
    assert periods["This month"] == (day.replace(day=1), day)
    assert periods["Last month"] == (last_month, day.replace(day=1) - DAY)
    assert periods["Last 12 months"][0] == (date(2025, 4, 1) if day.month == 3 else date(2027, 3, 1))


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
        ({"from": "2026-11-08", "to": "2026-11-02"}, "The end date is before the start date."),
        ({"from": "2001-01-01", "to": "2026-11-02"}, "The period cannot be longer than 366 days."),
        ({"from": "2001-01-01"}, "The period cannot be longer than 366 days."),
    ],
)
def test_invalid_period_falls_back_to_thirty_days(cashier: Client, query: dict[str, str], message: str) -> None:
    paid(at=timezone.now())

    content = page(cashier, **query)

    assert message in content
    assert "Showing the last 30 days instead." in content
    assert len(table(content, "periods")) == 32
    assert rows_of(cashier, **query)


@pytest.mark.parametrize(
    "query",
    [
        {"by": "year"},
        {"by": "\x00"},
        {"channel": "\x00"},
        {"channel": "x" * 33},
        {"merchant": "a\x00b"},
        {"merchant": "x" * 65},
        {"currency": "francs"},
        {"currency": "\x00"},
        {"currency": "XOF\n1"},
    ],
)
def test_invalid_filters_are_named_and_ignored(cashier: Client, query: dict[str, str]) -> None:
    paid()

    content = page(cashier, **WEEK, **query)

    assert '<p class="errornote">' in content
    assert "Showing the last 30 days instead." not in content
    assert key_figures(content)["Gross takings"][0] == "12 500 F CFA"


@pytest.mark.parametrize("query", [{"merchant": "😀"}, {"channel": "é😀"}, {"currency": "ZZZ"}, {"format": "pdf"}])
def test_filter_without_matches_is_not_an_error(cashier: Client, query: dict[str, str]) -> None:
    assert '<p class="errornote">' not in page(cashier, **WEEK, **query)


@pytest.mark.parametrize(
    ("query", "period"),
    [
        ({"from": "2000-01-01", "to": "2000-01-02"}, "1 Jan. – 2 Jan. 2000"),
        ({"to": "2000-01-02"}, "1 Jan. – 2 Jan. 2000"),
        ({"to": "2026-01-10"}, "12 Dec. 2025 – 10 Jan. 2026"),
        ({"from": "2099-12-31"}, "Thu 31 Dec. 2099"),
    ],
)
def test_incomplete_period_is_completed(cashier: Client, query: dict[str, str], period: str) -> None:
    assert f"<h2>{period}</h2>" in page(cashier, **query)


def test_empty_period_says_so(cashier: Client) -> None:
    content = page(cashier, **WEEK)

    assert "There are no payments or refunds in this period." in content
    assert "<svg" not in content.split('id="content-main"')[1].split("</main>")[0]
    assert rows_of(cashier, **WEEK)[0] == ["Takings", "2026-11-02", "2026-11-08", "XOF"]


@pytest.mark.parametrize("status", ["created", "cancelled"])
def test_period_with_one_kind_of_payment_is_shown(cashier: Client, status: str) -> None:
    make_payment(created_at=MONDAY, status=status)

    for unit in Unit:
        assert table(page(cashier, **WEEK, by=unit.value), "periods")


def test_period_with_refunds_alone_is_shown(cashier: Client) -> None:
    payment = paid(12500, MONDAY - 30 * DAY)
    refund(payment, 500)
    refund(payment, 250)

    for unit in Unit:
        total = table(page(cashier, **WEEK, by=unit.value), "periods")[-1]
        assert total == ["Total", "0", "0 F CFA", "2", "750 F CFA", "\N{MINUS SIGN}750 F CFA"]


def test_operator_and_merchant_are_picked_from_the_page(cashier: Client) -> None:
    paid(1000, merchant_id="A&B")
    paid(2000, merchant_id="C", channel="NEWPAY")

    content = page(cashier, **WEEK)

    assert (
        '<a href="?from=2026-11-02&amp;to=2026-11-08&amp;by=day&amp;currency=XOF&amp;channel=NEWPAY">NEWPAY</a>'
        in content
    )
    assert "&amp;merchant=A%26B" in content
    assert '<option value="NEWPAY">NEWPAY</option>' in content
    assert '<option value="A&amp;B"></option>' in content
    chosen = page(cashier, **WEEK, merchant="A&B", channel="WAVECI")
    assert key_figures(chosen)["Gross takings"][0] == "1 000 F CFA"
    assert '<option value="WAVECI" selected>' in chosen
    assert 'name="merchant" value="A&amp;B"' in chosen


def test_single_merchant_and_currency_need_no_choice(cashier: Client) -> None:
    paid()

    content = page(cashier, **WEEK)

    assert 'name="merchant"' not in content
    assert 'name="currency"' not in content
    assert 'class="daybook-label"><a href' in content


def test_smallest_merchants_are_summed(cashier: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MAX_MERCHANTS", 2)
    for number in range(5):
        paid(1000, merchant_id=f"M{number}")

    content = page(cashier, **WEEK)

    assert table(content, "merchants")[-1] == ["Others", "3", "3 000 F CFA"]
    assert '<span class="daybook-label">Others</span>' in content


def test_other_currencies_are_named_but_not_summed(cashier: Client) -> None:
    paid(12500)
    paid(30, currency="EUR")
    paid(20, currency="USD")

    content = page(cashier, **WEEK)

    assert key_figures(content)["Gross takings"][0] == "12 500 F CFA"
    assert "All amounts are in XOF. There are also takings in:" in content
    assert "&amp;currency=EUR" in content
    assert key_figures(page(cashier, **WEEK, currency="EUR"))["Gross takings"][0] == "30 EUR"


def test_outside_text_is_escaped(cashier: Client) -> None:
    for name in ("<script>alert(1)</script>", '"><img src=x>'):
        paid(merchant_id=name, channel="", gateway_channel=name[:32])
        opened("failed", gateway_channel=name[:32])

    content = page(cashier, **WEEK, merchant='"><b>x</b>')
    content += page(cashier, **WEEK)

    assert "<script>alert" not in content
    assert "<img src=x" not in content
    assert "<b>x" not in content
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in content


def test_page_has_no_external_or_inline_resources(cashier: Client) -> None:
    paid()

    content = page(cashier, **WEEK).split('id="content-main"')[1].split("</main>")[0]

    assert "http" not in content
    assert "style=" not in content
    assert "<script" not in content
    assert "onclick" not in content


def test_csv_has_all_tables(cashier: Client) -> None:
    paid(12500)
    opened("failed", channel="WAVECI")

    rows = rows_of(cashier, **WEEK, channel="WAVECI", merchant="PP-F324")

    assert rows[:12] == [
        ["Takings", "2026-11-02", "2026-11-08", "XOF"],
        ["Payment method", "Wave Côte d’Ivoire"],
        ["Merchant", "PP-F324"],
        [],
        ["Gross takings (XOF)", "12500"],
        ["Refunded (XOF)", "0"],
        ["Net (XOF)", "12500"],
        ["Paid payments", "1"],
        ["Success rate (%)", "50.0"],
        ["Median time to pay (s)", "90"],
        [],
        ["Takings per day"],
    ]
    assert ["From", "To", "Payments", "Gross takings (XOF)", "Refunds", "Refunded (XOF)", "Net (XOF)"] in rows
    assert ["2026-11-02", "2026-11-02", "1", "12500", "0", "0", "12500"] in rows
    assert ["Wave Côte d’Ivoire", "2", "1", "1", "0", "0", "0", "50.0"] in rows
    assert ["2026-11-02", "2026-11-02", "Wave Côte d’Ivoire", "2", "1", "0", "50.0"] in rows


def test_csv_of_one_table_is_a_plain_table(cashier: Client) -> None:
    paid(12500)
    query = {**WEEK, "by": "week", "table": "periods", "format": "csv"}

    assert rows_of(cashier, **query) == [
        ["From", "To", "Payments", "Gross takings (XOF)", "Refunds", "Refunded (XOF)", "Net (XOF)"],
        ["2026-11-02", "2026-11-08", "1", "12500", "0", "0", "12500"],
    ]
    assert "takings-periods-2026-11-02-2026-11-08.csv" in cashier.get(url(), query)["Content-Disposition"]
    assert "table=periods" in page(cashier, **WEEK)


def test_unknown_table_exports_all_tables(cashier: Client) -> None:
    make_payment(created_at=MONDAY)

    rows = rows_of(cashier, **WEEK, table="<script>")

    assert ["Success rate (%)", ""] in rows
    assert ["Median time to pay (s)", ""] in rows
    assert ["Created", "1", "100.0", "100.0"] in rows
    assert ["Paid", "0", "", "0.0"] in rows


def test_french_csv_has_decimal_commas(cashier: Client) -> None:
    paid()
    opened("failed")

    assert [row[1] for row in rows_of(cashier, "fr", **WEEK) if row and "(%)" in row[0]] == ["50,0"]


def test_fees_are_shown_where_a_statement_has_them(cashier: Client) -> None:
    first, _second = paid(12500, gateway_id="TX1", reference="abc"), paid(7500)
    paid(1000, gateway_id="TX3", reference="other-day", at=MONDAY + 10 * DAY)
    refund(first, 500)
    assert "Net after fees" not in page(cashier, **WEEK)
    rows = b"Transaction;Montant;Frais\nTX1;12500;250\nTX3;1000;20\nTX9;500;10\nTX1;-500;"
    services.import_statement(io.BytesIO(rows), all_paid=True)

    figures = key_figures(page(cashier, **WEEK))

    assert figures["Fees of the gateway"] == ("250 F CFA", "known for 1 of 2 payments, by the gateway’s statements")
    assert figures["Net after fees"] == ("19 250 F CFA", "takings minus refunds and known fees")
    rows_of_file = rows_of(cashier, **WEEK)
    assert ["Fees of the gateway (XOF)", "250"] in rows_of_file
    assert ["Net after fees (XOF)", "19250"] in rows_of_file
    assert "Net after fees" not in page(cashier, **WEEK, currency="EUR")


def test_formulas_stay_text_in_the_csv(cashier: Client) -> None:
    paid(merchant_id="=1+1")

    assert ["'=1+1", "1", "12500"] in rows_of(cashier, **WEEK, table="merchants")


def test_day_book_requires_the_view_permission(cashier: Client) -> None:
    stranger = Client()
    assert stranger.get(url()).status_code == 302
    User.objects.get().user_permissions.clear()

    assert cashier.get(url()).status_code == 403
    assert cashier.get(url(), {"format": "csv"}).status_code == 403


@pytest.mark.parametrize("count", [1, 30])
def test_number_of_queries_does_not_grow(cashier: Client, statements: Statements, count: int) -> None:
    for number in range(count):
        paid(at=MONDAY + number % 7 * DAY, merchant_id=f"M{number}", channel=f"C{number}")
        opened("failed", channel=f"C{number}")

    with statements:
        page(cashier, **WEEK)

    # Five for the book, and one for channel health.
    assert len([sql for sql in statements if "paiementpro_payment" in sql]) == 6
    assert len(statements) <= 13


def test_numbers_are_localized() -> None:
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
def test_duration_shows_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration_text(timedelta(seconds=seconds)).replace("\u00a0", " ") == text


def test_missing_duration_is_a_dash() -> None:
    assert duration_text(None) == "–"


def test_complete_month_is_named() -> None:
    def text(start: date, end: date) -> str:
        return line_text(Line(start, end, {"": Figures()}), Unit.MONTH)

    assert text(date(2026, 11, 1), date(2026, 11, 30)) == "November 2026"
    assert text(date(2026, 11, 2), date(2026, 11, 30)) == "2 Nov. – 30 Nov. 2026"
    assert text(date(2026, 11, 1), date(2026, 11, 29)) == "1 Nov. – 29 Nov. 2026"


def test_operator_label_comes_from_the_settings(settings: Any) -> None:
    settings.PAIEMENTPRO_CHANNELS = [("NEWPAY", "New Pay"), "WAVECI"]

    assert list(channel_texts(["NEWPAY", "WAVECI", "OMCIV2", "XYZ", ""]).values()) == [
        *("New Pay", "Wave Côte d’Ivoire", "Orange Money Côte d’Ivoire", "XYZ", "Not chosen"),
    ]


@pytest.mark.parametrize(
    ("amount", "top"),
    [(0, 10), (7, 10), (10, 10), (11, 12), (100, 100), (101, 120), (999, 1000), (1_530_000, 1_600_000)],
)
def test_axis_ends_at_a_round_number(amount: int, top: int) -> None:
    assert round_up(amount) == top
