"""Many links from a spreadsheet: what is read, what is refused, and that nothing is made twice."""

import io
import re
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, timezone
from html import unescape
from typing import Any

import openpyxl
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone as django_timezone

from django_paiementpro.links.importing import rows as rows_module
from django_paiementpro.links.importing import storage
from django_paiementpro.links.importing.rows import Reading, Row, read_rows
from django_paiementpro.links.importing.storage import batch_key, import_keys, import_links, links_of_batch
from django_paiementpro.links.models import PaymentLink
from django_paiementpro.tables import UnreadableTableError
from tests.docs.pages import LANGUAGES, blocks
from tests.server.threads import at_once

# As openpyxl returns a date.
MIDNIGHT = datetime(2098, 12, 31)  # noqa: DTZ001

TITLE = "Frais de scolarité"

IMPORT = "/admin/paiementpro_links/paymentlink/import/"

LIST = """\
Nom;Téléphone;Montant
Awa Koné;07 07 12 34 56;45 000
Yao Kouassi;05 05 12 34 56;32.500 F
"""


def read(text: str, **options: Any) -> Reading:
    return read_rows(text.encode(), TITLE, **options)


def workbook(*lines: Sequence[Any]) -> bytes:
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append(line)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def only_row(*cells: Any, headings: Sequence[str] = ("Nom", "Téléphone", "Montant")) -> Row:
    """Return the row that a workbook of one is read as."""
    reading = read_rows(workbook(headings, cells), TITLE)
    assert reading.faults == []
    (row,) = reading.rows
    return row


def reasons(*cells: Any, headings: Sequence[str] = ("Nom", "Téléphone", "Montant")) -> str:
    """Return what is wrong with the only row of a workbook."""
    reading = read_rows(workbook(headings, cells), TITLE)
    assert reading.rows == []
    (fault,) = reading.faults
    return " ".join(fault.reasons)


def refusal(content: bytes | str) -> str:
    with pytest.raises(UnreadableTableError) as caught:
        read_rows(content.encode() if isinstance(content, str) else content, TITLE)
    return str(caught.value)


# Files


def test_list_is_read() -> None:
    reading = read(LIST)
    assert reading.rows == [
        Row(2, "Awa Koné", "07 07 12 34 56", 45000),
        Row(3, "Yao Kouassi", "05 05 12 34 56", 32500),
    ]
    assert reading.faults == []
    assert reading.total == 77500


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_csv_of_every_spreadsheet_is_read(encoding: str, separator: str, newline: str) -> None:
    text = LIST.replace(";", separator).replace("\n", newline)
    assert read_rows(text.encode(encoding), TITLE).rows == read(LIST).rows


def test_big_endian_utf_16_with_a_mark_is_read() -> None:
    assert read_rows(b"\xfe\xff" + LIST.encode("utf-16-be"), TITLE).rows == read(LIST).rows


def test_separator_line_of_excel_is_skipped() -> None:
    assert [row.amount for row in read("sep=;\n" + LIST).rows] == [45000, 32500]


def test_amounts_with_commas_do_not_decide_about_the_separator() -> None:
    assert read("Name;Phone;Amount\nAwa, Koné;0707123456;12,500\n").rows[0].amount == 12500
    assert read('Name,Phone,Amount\nAwa,0707123456,"12,500"\n').rows[0].amount == 12500


def test_headings_decide_about_the_separator() -> None:
    """By their number of columns alone, commas fit these lines better."""
    reading = read("Nom, prénoms, classe;Montant;Nom\nKoné, Awa, CM2;500;Awa Koné\n")
    assert reading.rows == [Row(2, "Awa Koné", "", 500)]
    assert reading.ignored == ["Nom, prénoms, classe"]


@pytest.mark.parametrize(
    "headings",
    [
        "Nom,Téléphone,Montant",
        "NOM ,TEL.,MONTANT (F CFA)",
        "Client,N°,Somme",
        "name,phone,amount",
        "Full name,Mobile,Price XOF",
        "Nom et prénoms,Contact,À payer",
        "Pour,WhatsApp,Total",
    ],
)
def test_headings_are_recognised(headings: str) -> None:
    headings = headings.replace("N°", "Numéro")
    assert read(f"{headings}\nAwa,0707123456,500\n").rows == [Row(2, "Awa", "0707123456", 500)]


def test_columns_may_come_in_any_order_with_others() -> None:
    headings = "Classe;Montant;E-mail;Échéance;Nom;Objet;Tél;\n"
    reading = read(headings + "CM2;500;awa@example.com;31/12/2098;Awa;Cantine;;\nCP;600;;;Yao;;;\n")
    assert reading.rows == [
        Row(2, "Awa", "", 500, "Cantine", "awa@example.com", "2098-12-31"),
        Row(3, "Yao", "", 600),
    ]
    assert reading.ignored == ["Classe"]


def test_first_and_last_names_are_joined() -> None:
    assert [row.name for row in read("Nom;Prénoms;Montant\nKoné;Awa Fatou;500\nYao;;500\n").rows] == [
        "Awa Fatou Koné",
        "Yao",
    ]


def test_title_of_the_list_may_stand_above_its_headings() -> None:
    rows = read("École Les Palmiers;;\n\nPremier trimestre;;\n" + LIST).rows
    assert [row.line for row in rows] == [5, 6]


def test_rows_keep_their_numbers_after_blank_ones_and_long_cells() -> None:
    text = 'Nom;Montant\n\n"Awa\nKoné";500\n ; \nYao;700\n'
    # As a spreadsheet numbers them.
    assert [(row.line, row.name) for row in read(text).rows] == [(3, "Awa Koné"), (5, "Yao")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "No headings were found."),
        (b"\x00\x01\x02\x03" * 300, "This file is not a table."),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a file of an old Excel"),
        (b"PK\x03\x04rubbish", "This workbook is damaged"),
        (b"%PDF-1.7", "This is a PDF."),
        ("<html><body>404</body></html>", "This is a web page"),
        (
            "Nom;Téléphone\nAwa;0707123456\n",
            "A column is missing: the file needs an amount, and a name or a phone number",
        ),
        ("Montant\n500\n", "Found: Amount."),
        ("Nom;Montant;Somme\nAwa;500;600\n", "two columns for one value: Amount."),
        ("Nom;Montant\n", "no rows below its headings"),
        ("Awa;500\n" * 20 + LIST, "No headings were found."),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_file_that_is_no_list_is_refused_in_words(content: bytes | str, words: str) -> None:
    assert words in refusal(content)


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_ROWS", 2)
    assert len(read(LIST).rows) == 2
    assert "more than 2 rows" in refusal(LIST + "Ama;;500\n")
    monkeypatch.setattr(rows_module, "MAX_BYTES", len(LIST.encode()) - 1)
    assert "too large" in refusal(LIST)


@pytest.mark.parametrize(
    "content", [b"Nom;Montant\nAwa \x81;500\nYao;600", b"\xef\xbb\xbfNom;Montant\nAwa \xe9;500\nYao;600"]
)
def test_undecodable_character_affects_only_its_row(content: bytes) -> None:
    reading = read_rows(content, TITLE)
    assert [fault.reasons for fault in reading.faults] == [["Name: This contains characters that cannot be read."]]
    assert reading.rows == [Row(3, "Yao", "", 600)]


def test_overlong_line_affects_only_its_row() -> None:
    reading = read('Nom;Montant\n"' + "x" * 140_000 + '";500\nYao;600\n')
    assert reading.faults
    assert [row.name for row in reading.rows] == ["Yao"]


# Workbooks


def test_workbook_is_read_like_its_csv() -> None:
    content = workbook(["Nom", "Téléphone", "Montant"], ["Awa Koné", "07 07 12 34 56", 45000.0], [], ["Yao", None, 500])
    assert read_rows(content, TITLE).rows == [
        Row(2, "Awa Koné", "07 07 12 34 56", 45000),
        Row(4, "Yao", "", 500),
    ]


def test_dates_of_workbooks_are_read() -> None:
    headings = ["Nom", "Montant", "Échéance"]
    assert only_row("Awa", 500, MIDNIGHT, headings=headings).due == "2098-12-31"
    assert only_row("Awa", 500, date(2098, 12, 31), headings=headings).due == "2098-12-31"
    assert only_row("Awa", 500, datetime(2098, 12, 31, 14, 5), headings=headings).due == "2098-12-31"  # noqa: DTZ001
    assert only_row("Awa", 500, "2098-12-31 00:00:00", headings=headings).due == "2098-12-31"
    assert only_row("Awa", 500, "1.2.2098", headings=headings).due == "2098-02-01"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("01/13/2098", "not a date"),
        ("31/12/98", "not a date"),
        ("demain", "not a date"),
        (44927, "not a date"),
        ("31/12-2098", "not a date"),
        ("2020-01-01", "in the past"),
        ("31/12/2100", "too far away"),
        ("TRUE", "not a date"),
    ],
)
def test_wrong_date_is_refused(value: Any, words: str) -> None:
    assert f"Due date: {words}" in reasons("Awa", 500, value, headings=["Nom", "Montant", "Date"]).replace(
        "This date is ", ""
    ).replace(f"“{value}” is ", "")


def test_today_is_not_in_the_past() -> None:
    today = django_timezone.localdate()
    assert only_row("Awa", 500, today, headings=["Nom", "Montant", "Date"]).due == today.isoformat()


@pytest.mark.parametrize(
    "value",
    [None, "", -500, 12.5, "12,5", "1e3", "500 6000", "cinq cents", True, MIDNIGHT, 0, 99, 1e20, "=A2*3"],
)
def test_wrong_amount_is_refused(value: Any) -> None:
    assert "Amount: " in reasons("Awa", "0707123456", value)


@pytest.mark.parametrize("value", [MIDNIGHT, date(2098, 12, 31), time(14, 5), True, False])
def test_text_that_a_spreadsheet_has_misread_is_refused(value: Any) -> None:
    """A spreadsheet makes a date of a title such as “Sept 2098”."""
    assert reasons("Awa", value, 500) == "Phone: This is not text."
    assert reasons(value, "0707123456", 500) == "Name: This is not text."
    assert reasons("Awa", 500, value, headings=["Nom", "Montant", "Objet"]) == "Title: This is not text."


def test_formula_without_a_value_is_a_missing_amount() -> None:
    assert reasons("Awa", "0707123456", "=1+2") == "Amount: It is missing."


@pytest.mark.parametrize("value", ["#REF!", "#VALEUR!", "#N/A"])
def test_formula_with_an_error_is_refused(value: str) -> None:
    assert f"Name: The formula has an error ({value})." in reasons(value, "0707123456", 500)
    assert f"Amount: The formula has an error ({value})." in reasons("Awa", "0707123456", value)


def test_value_of_a_formula_is_what_excel_computed() -> None:
    content = workbook(["Nom", "Montant"], ["Awa", "=400+100"])
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for part in old.infolist():
            data = old.read(part)
            if part.filename == "xl/worksheets/sheet1.xml":
                data = re.sub(rb"<f>400\+100</f>(<v ?/>|<v></v>)", b"<f>400+100</f><v>500</v>", data)
                assert b"<v>500</v>" in data
            new.writestr(part, data)
    assert read_rows(file.getvalue(), TITLE).rows[0].amount == 500


def test_zip_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b" " * (rows_module.MAX_UNPACKED_BYTES + 1))
    assert len(file.getvalue()) < 100_000
    monkeypatch.setattr(openpyxl, "load_workbook", None)
    assert "too large" in refusal(file.getvalue())


def test_zip_file_that_is_no_workbook_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "Hello")
    assert "This workbook is damaged" in refusal(file.getvalue())


def test_truncated_workbook_is_refused() -> None:
    content = workbook(["Nom", "Montant"], *(["Awa", number] for number in range(100, 400)))
    assert "This workbook is damaged" in refusal(content[: len(content) // 2])


def test_row_at_the_end_of_the_sheet_is_found() -> None:
    book = openpyxl.Workbook()
    book.active.append(["Nom", "Montant"])
    book.active.cell(row=1_048_576, column=1, value="Awa")
    book.active.cell(row=1_048_576, column=2, value=500)
    file = io.BytesIO()
    book.save(file)
    assert read_rows(file.getvalue(), TITLE).rows == [Row(1_048_576, "Awa", "", 500)]


def test_workbook_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_paiementpro.tables.find_spec", lambda name: None)
    assert "django-paiementpro[xlsx]" in refusal(workbook(["Nom", "Montant"]))


# Phone numbers


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (707123456.0, "0707123456"),
        (707123456, "0707123456"),
        ("707123456", "0707123456"),
        (2250707123456.0, "2250707123456"),
        ("+225 07 07 12 34 56", "+225 07 07 12 34 56"),
        ("0707123456", "0707123456"),
        ("07-07-12-34-56", "07-07-12-34-56"),
        ("+221 77 123 45 67", "+221 77 123 45 67"),
        ("+33 6 12 34 56 78", "+33 6 12 34 56 78"),
        (None, ""),
    ],
)
def test_phone_number_is_read_as_it_is_meant(value: Any, number: str) -> None:
    assert only_row("Awa", value, 500).phone == number


@pytest.mark.parametrize(
    "value", ["12", "099912345", "70712345", "0707", "abc", "07 07 12 34 56 / 05 05 12 34 56", "+225 0707", 1e15, True]
)
def test_phone_number_that_is_incomplete_is_refused(value: Any) -> None:
    assert "Phone: " in reasons("Awa", value, 500)


def test_phone_number_of_two_countries_is_refused(settings: Any) -> None:
    settings.PAIEMENTPRO_CHANNELS = ["OMCIV2", "OMSN", "CARD"]
    assert "may be the number of several countries" in reasons("Awa", "771234567", 500)
    assert only_row("Awa", "0707123456", 500).phone == "0707123456"


def test_phone_number_belongs_to_the_shop_s_country(settings: Any) -> None:
    settings.PAIEMENTPRO_CHANNELS = ["OMSN"]
    assert only_row("Awa", "77 123 45 67", 500).phone == "+221771234567"
    settings.PAIEMENTPRO_CHANNELS = ["CARD"]
    assert only_row("Awa", "707123456", 500).phone == "0707123456"


def test_phone_number_belongs_to_the_country_of_the_payment_method() -> None:
    text = "Nom;Tél;Montant\nAwa;77 123 45 67;500\n"
    assert read(text, channel="OMSN").rows[0].phone == "77 123 45 67"
    assert read(text).faults == []  # with its zero, a number of Côte d'Ivoire
    assert read("Nom;Tél;Montant\nAwa;161234567;500\n", channel="MOMOBJ").rows[0].phone == "0161234567"


# Rows


def test_row_without_a_customer_is_refused() -> None:
    reading = read("Nom;Tél;Montant\nAwa;;500\n;;500\nTOTAL :;;1000\n;0707123456;700\n")
    assert [row.line for row in reading.rows] == [2, 5]
    assert [(fault.line, fault.text) for fault in reading.faults] == [(3, "500"), (4, "TOTAL : · 1000")]
    assert "if it is a total, remove it" in reading.faults[0].reasons[0]


def test_every_reason_is_named() -> None:
    reading = read("Nom;Tél;Montant;Mail\nAwa;12;x;y\n")
    assert reading.faults[0].reasons == [
        "Phone: “12” is not a complete phone number.",
        "Amount: “x” is not a whole amount in francs.",
        "E-mail: “y” is not an e-mail address.",
    ]


def test_link_that_the_model_refuses_is_a_fault(settings: Any) -> None:
    settings.PAIEMENTPRO_MIN_AMOUNT = 1000
    (fault,) = read("Nom;Montant\nAwa;500\n").faults
    assert fault.reasons == ["Amount: Ensure this value is greater than or equal to 1000."]
    (fault,) = read(f"Nom;Montant\n{'x' * 301};2000\n").faults
    assert fault.reasons[0].startswith("For: Ensure this value has at most 300 characters")


def test_error_about_no_field_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.core.exceptions import ValidationError

    def clean(link: PaymentLink) -> None:
        raise ValidationError("Closed on Sundays.")

    monkeypatch.setattr(PaymentLink, "clean", clean)
    assert read("Nom;Montant\nAwa;500\n").faults[0].reasons == ["Closed on Sundays."]


def test_rubbish_is_refused_row_by_row() -> None:
    reading = read("Nom;Tél;Montant\nAwa;0707123456\nA\x07wa;0707123456;500\n\ufffd;;500\nYao;;500;more;cells\n")
    assert [fault.line for fault in reading.faults] == [2, 3, 4]
    assert [row.line for row in reading.rows] == [5]


def test_formula_and_html_in_a_name_are_text() -> None:
    assert read('Nom;Montant\n"=HYPERLINK(""x"")";500\n<b>Awa</b>;500\n').rows[0].name == '=HYPERLINK("x")'


def test_link_has_the_values_of_its_row() -> None:
    link = Row(2, "Awa", "0707123456", 500, "Cantine", "awa@example.com", "2098-12-31").link(TITLE, "WAVECI")
    assert (link.title, link.amount, link.channel) == ("Cantine", 500, "WAVECI")
    assert (link.customer_name, link.customer_phone, link.customer_email) == ("Awa", "0707123456", "awa@example.com")
    assert link.expires_at == datetime(2098, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
    assert not link.is_reusable
    assert Row(2, "Awa", "", 500).link(TITLE).title == TITLE


# Once


@pytest.fixture
def clerk(db: None) -> User:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["add_paymentlink", "view_paymentlink"]))
    return user


def keys(text: str, title: str = TITLE) -> list[str]:
    return import_keys(read(text).rows, title)


def test_keys_depend_on_what_rows_say() -> None:
    (key,) = keys("Nom;Tél;Montant\nAwa Koné;0707123456;500\n")
    assert keys("Amount,Name,Phone\n500 F,Awa  Koné,+225 07 07 12 34 56\n") == [key]
    assert len(key) == 64
    for other in ("Awa Kone;0707123456;500", "Awa Koné;0707123457;500", "Awa Koné;0707123456;501"):
        assert keys(f"Nom;Tél;Montant\n{other}\n") != [key]
    assert keys("Nom;Tél;Montant\nAwa Koné;0707123456;500\n", "Cantine") != [key]
    assert keys("Nom;Tél;Montant;Mail\nAwa Koné;0707123456;500;a@example.com\n") != [key]


def test_row_that_is_there_twice_makes_two_links(clerk: User) -> None:
    twice = read("Nom;Montant\nAwa;500\nAwa;500\n").rows
    assert import_links(twice, TITLE, "", clerk).made == 2
    assert import_links(twice, TITLE, "", clerk) == storage.Imported(batch_key(TITLE), 0, 2)
    thrice = [*twice, twice[0]]
    assert import_links(thrice, TITLE, "", clerk).made == 1
    assert PaymentLink.objects.count() == 3


def test_longer_list_in_another_order_makes_what_is_missing(clerk: User) -> None:
    import_links(read(LIST).rows, TITLE, "", clerk)
    longer = read("Nom;Tél;Montant\nAma;;500\nYao Kouassi;0505123456;32500\nAwa Koné;0707123456;45000\n").rows
    assert import_links(longer, TITLE, "", clerk).made == 1
    assert import_links(read(LIST).rows, "Cantine", "", clerk).made == 2


def test_links_are_made_in_the_order_of_the_file_and_recorded(clerk: User) -> None:
    imported = import_links(read(LIST).rows, TITLE, "WAVECI", clerk)
    links = list(links_of_batch(imported.batch).order_by("pk"))
    assert [link.customer_name for link in links] == ["Awa Koné", "Yao Kouassi"]
    assert {link.channel for link in links} == {"WAVECI"}
    assert {link.created_by for link in links} == {clerk}
    assert len({link.token for link in links}) == 2
    entries = LogEntry.objects.filter(user=clerk)
    assert {entry.object_id for entry in entries} == {str(link.pk) for link in links}


def test_nothing_is_made_if_one_row_fails(clerk: User) -> None:
    good, bad = Row(2, "Awa", "", 500), Row(3, "Yao", "", 500, email=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        import_links([good, bad], TITLE, "", clerk)
    assert PaymentLink.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_error_that_stays_is_raised(clerk: User) -> None:
    with pytest.raises(IntegrityError):
        import_links([Row(2, "Awa", "", 500), Row(3, "Yao", "", 500, email=None)], TITLE, "", clerk)
    assert PaymentLink.objects.count() == 0
    assert LogEntry.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_same_list_at_once_makes_each_link_once(clerk: User, alone: None) -> None:
    rows = read("Nom;Montant\n" + "".join(f"Client {number};{number}\n" for number in range(500, 700))).rows

    imported = at_once(*[lambda: import_links(rows, TITLE, "", clerk)] * 6)

    assert sum(each.made for each in imported) == 200
    assert sorted(each.made + each.existing for each in imported) == [200] * 6
    assert PaymentLink.objects.count() == 200
    assert LogEntry.objects.count() == 200


@pytest.mark.django_db(transaction=True)
def test_lists_that_overlap_at_once_make_each_link_once(clerk: User, alone: None) -> None:
    rows = read("Nom;Montant\n" + "".join(f"Client {number};{number}\n" for number in range(500, 600))).rows

    at_once(*[lambda part=part: import_links(part, TITLE, "", clerk) for part in (rows[:70], rows[30:], rows[::-1])])

    assert PaymentLink.objects.count() == 100


def test_five_thousand_rows_are_imported_with_few_statements(clerk: User) -> None:
    text = "Nom;Tél;Montant\n" + "".join(f"Client {number};07{number:08};{number}\n" for number in range(500, 5500))
    rows = read(text).rows
    with CaptureQueriesContext(connection) as queries:
        assert import_links(rows, TITLE, "", clerk).made == 5000
    # SQLite takes few parameters with a statement.
    assert len(queries) < (400 if connection.vendor == "sqlite" else 60)


# The pages


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def client(clerk: User) -> Client:
    return client_of(clerk)


def upload(client: Client, content: bytes | str = LIST, **values: str) -> str:
    data = content.encode() if isinstance(content, str) else content
    response = client.post(IMPORT, {"title": TITLE, "file": SimpleUploadedFile("list.csv", data), **values})
    assert response.status_code == 200
    return response.content.decode()


def rows_in(content: str) -> str:
    (text,) = re.findall(r'name="rows" value="([^"]+)"', content)
    return unescape(text)


def test_preview_makes_nothing(client: Client) -> None:
    content = upload(client, LIST + "<b>Ama</b>;;500\n", channel="WAVECI")
    assert "3 rows, 78\u202f000\u00a0F\u00a0CFA in all" in content
    assert "Make 3 links" in content
    assert "&lt;b&gt;Ama&lt;/b&gt;" in content
    assert PaymentLink.objects.count() == 0


def test_confirmation_makes_the_links(client: Client) -> None:
    response = client.post(IMPORT, {"rows": rows_in(upload(client, channel="WAVECI"))}, follow=True)
    content = response.content.decode()
    assert "2 links have been made." in content
    assert content.index("Awa Koné") < content.index("Yao Kouassi")
    link = PaymentLink.objects.get(customer_name="Awa Koné")
    assert (link.title, link.amount, link.channel) == (TITLE, 45000, "WAVECI")
    assert f'value="https://testserver{link.get_absolute_url()}"' in content
    assert "https://wa.me/2250707123456?text=" in content


def test_same_file_twice_makes_nothing_twice(client: Client) -> None:
    client.post(IMPORT, {"rows": rows_in(upload(client))})
    content = upload(client, LIST + "Ama;;500\n")
    assert "2 of them have become links before" in content
    assert "Make 1 link" in content
    response = client.post(IMPORT, {"rows": rows_in(content)}, follow=True)
    assert "1 link has been made." in response.content.decode()
    assert "2 links existed already." in response.content.decode()
    content = upload(client)
    assert "Show the links" in content
    client.post(IMPORT, {"rows": rows_in(content)})
    assert PaymentLink.objects.count() == 3


def test_faulty_rows_are_reported_and_nothing_can_be_confirmed(client: Client) -> None:
    content = upload(client, LIST + "Ama;12;x\n<i>Yao</i>;;\n")
    assert "2 rows have errors." in content
    assert "The other 2 rows are fine." in content
    assert 'data-label="Row">4<' in content
    assert "Amount: “x” is not a whole amount in francs." in content
    assert "&lt;i&gt;Yao&lt;/i&gt;" in content
    assert 'name="rows"' not in content


def test_columns_that_are_not_used_are_named(client: Client) -> None:
    assert "These columns are not used: Classe" in upload(client, "Classe;Nom;Montant\nCM2;Awa;500\n")


@pytest.mark.parametrize(
    ("content", "words"), [("rubbish", "No headings were found."), (b"", "The submitted file is empty.")]
)
def test_unreadable_file_is_reported_beside_its_field(client: Client, content: Any, words: str) -> None:
    page = upload(client, content)
    assert words in page
    assert "Nothing has been done yet." in page


def test_large_file_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr("django_paiementpro.links.admin.forms.MAX_BYTES", 10)
    assert "This file is too large." in upload(client)
    monkeypatch.undo()
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2100
    assert "This file is too large." in upload(client)
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None
    assert "Make 2 links" in upload(client)


def test_title_is_required(client: Client) -> None:
    assert "This field is required." in upload(client, title="  ")


@pytest.mark.parametrize("rows", ["", "rubbish", "e30:1:x"])
def test_forged_confirmation_makes_nothing(client: Client, rows: str) -> None:
    response = client.post(IMPORT, {"rows": rows}, follow=True)
    assert "Please upload the file again." in response.content.decode()
    assert PaymentLink.objects.count() == 0


def test_preview_belongs_to_its_user(client: Client) -> None:
    rows = rows_in(upload(client))
    other = client_of(User.objects.create_superuser("other"))
    assert "Please upload the file again." in other.post(IMPORT, {"rows": rows}, follow=True).content.decode()
    assert PaymentLink.objects.count() == 0


def test_old_preview_cannot_be_confirmed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_in(upload(client))
    monkeypatch.setattr("django_paiementpro.links.admin.imports.PREVIEW_SECONDS", -1)
    assert "Please upload the file again." in client.post(IMPORT, {"rows": rows}, follow=True).content.decode()


def test_user_without_the_view_permission_is_not_shown_the_links(clerk: User) -> None:
    clerk.user_permissions.remove(Permission.objects.get(codename="view_paymentlink"))
    client = client_of(clerk)
    response = client.post(IMPORT, {"rows": rows_in(upload(client))})
    assert response.url == IMPORT
    assert PaymentLink.objects.count() == 2


def batch_urls(title: str = TITLE) -> list[str]:
    names = ("batch", "batch_export")
    return [reverse(f"admin:paiementpro_links_paymentlink_{name}", args=[batch_key(title)]) for name in names]


def test_links_of_an_import_can_be_exported(client: Client, clerk: User) -> None:
    import_links([*read(LIST).rows, Row(4, "=1+2", "", 500, "Cantine")], TITLE, "", clerk)
    PaymentLink.objects.create(title=TITLE, amount=500)  # made by hand
    _page, export = batch_urls()
    lines = b"".join(client.get(export).streaming_content).decode("utf-8-sig").splitlines()
    first = PaymentLink.objects.get(customer_name="Awa Koné")
    assert lines[:2] == [
        "Name,Phone,Amount,Title,Address",
        f"Awa Koné,07 07 12 34 56,45000,{TITLE},https://testserver{first.get_absolute_url()}",
    ]
    assert lines[3].startswith("'=1+2,,500,Cantine,")
    assert len(lines) == 4


def test_links_of_an_import_come_in_pages(client: Client, clerk: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_paiementpro.links.admin.imports.LINKS_PER_PAGE", 2)
    import_links(read("Nom;Montant\nAwa;500\nYao;500\nAma;500\n").rows, TITLE, "", clerk)
    page, _export = batch_urls()
    first, second = (client.get(page, {"p": number}).content.decode() for number in (1, 2))
    assert "3 links" in first
    assert "Page 1 of 2" in first
    assert 'href="?p=2"' in first
    assert "Awa" in first
    assert "Ama" not in first
    assert "Ama" in second
    assert 'href="?p=1"' in second


@pytest.mark.parametrize("batch", ["0" * 16, "x" * 16, "0" * 15])
def test_unknown_import_is_not_found(client: Client, batch: str) -> None:
    assert client.get(f"/admin/paiementpro_links/paymentlink/imports/{batch}/").status_code == 404


def test_page_of_an_import_costs_few_queries(client: Client, clerk: User) -> None:
    page, _export = batch_urls()

    def count_queries() -> int:
        client.get(page)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(page).status_code == 200
        return len(queries)

    import_links(read("Nom;Montant\nAwa;500\n").rows, TITLE, "", clerk)
    few = count_queries()
    import_links(read("Nom;Montant\n" + "Yao;500\n" * 40).rows, TITLE, "", clerk)
    assert count_queries() == few


def test_due_date_is_the_last_day(client: Client) -> None:
    day = django_timezone.localdate() + timedelta(days=3)
    client.post(IMPORT, {"rows": rows_in(upload(client, f"Nom;Montant;Échéance\nAwa;500;{day:%d/%m/%Y}\n"))})
    link = PaymentLink.objects.get()
    assert link.expires_at is not None
    assert link.expires_at.date() == day


@pytest.mark.parametrize("language", LANGUAGES)
def test_list_of_the_guide_is_read(language: str) -> None:
    (example,) = (block for block in blocks(language, "howto/many-links") if block.language == "text")
    reading = read(example.text)
    assert reading.faults == []
    assert [row.amount for row in reading.rows] == [45000, 32500]
    assert {row.due for row in reading.rows} == {"2098-12-31"}
