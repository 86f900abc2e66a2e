import json
import re
import time
from collections.abc import Callable
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from html import unescape
from typing import Any
from unittest.mock import patch
from urllib.parse import quote, unquote, urlencode, urlsplit

import pytest
from django.test import override_settings
from hypothesis import example, given
from hypothesis import strategies as st

from django_paiementpro.doctor.routing import make_probe_path
from django_paiementpro.exceptions import InvalidNotification
from django_paiementpro.gateway import parsing
from django_paiementpro.gateway.messages import (
    MAX_FIELDS,
    Notification,
    PageAnswer,
    PageRequest,
    StatusAnswer,
    format_date,
    parse_amount,
    parse_date,
)
from django_paiementpro.gateway.parsing import MAX_BODY, body_fields, parse_json_object, query_fields
from django_paiementpro.gateway.text import without_signed_urls
from django_paiementpro.models import Payment

FIELDS = {
    "merchantId": "PP-F324",
    "sessionId": "1a0ab925",
    "payId": "9210824147867",
    "channel": "MOMOCM",
    "countryCurrencyCode": "952",
    "referenceNumber": "b7c1f0a29d3e4f5a6b7c8d9e",
    "amount": "100",
    "transactiondt": "2026-09-25 15:44:25",
    "returnContext": "",
    "responsecode": "0",
}
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


def multipart(fields: dict[str, str] | list[tuple[str, str]], boundary: str = "x") -> tuple[str, bytes]:
    parts = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (fields.items() if isinstance(fields, dict) else fields)
    )
    return f"multipart/form-data; boundary={boundary}", f"{parts}--{boundary}--\r\n".encode()


def read(query: str = "", content_type: str = "", body: bytes = b"") -> Notification:
    in_query = query_fields(query)
    return Notification.from_fields([*in_query, *body_fields(content_type, body, in_query)])


def refusal(query: str = "", content_type: str = "", body: bytes = b"") -> InvalidNotification:
    with pytest.raises(InvalidNotification) as caught:
        read(query, content_type, body)
    assert caught.value.reason == "malformed"
    json.dumps(caught.value.data).encode()
    return caught.value


def changed(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in (FIELDS | fields).items() if value is not None}


@pytest.mark.parametrize(
    ("query", "content_type", "body"),
    [
        (urlencode(FIELDS), "", b""),
        (urlencode(FIELDS), *multipart(FIELDS)),
        ("", *multipart(FIELDS)),
        ("", FORM, urlencode(FIELDS).encode()),
        ("", FORM + "; charset=iso-8859-1", urlencode(FIELDS).encode()),
        ("", FORM + "; charset=nonsense", urlencode(FIELDS).encode()),
        ("", "", urlencode(FIELDS).encode()),
        ("", JSON, json.dumps(FIELDS).encode()),
        ("", JSON, json.dumps(FIELDS | {"amount": 100, "responsecode": 0}).encode()),
        ("", JSON + "; charset=utf-16", json.dumps(FIELDS).encode()),
        ("", FORM, b"\xef\xbb\xbf \n" + json.dumps(FIELDS).encode()),
        ("", "", json.dumps(FIELDS).encode()),
        ("", "text/plain", json.dumps({name.upper(): value for name, value in FIELDS.items()}).encode()),
        ("?" + urlencode(FIELDS), "", b""),
        ("utm=1?" + urlencode(FIELDS), "", b""),
        (urlencode(FIELDS), JSON, json.dumps({"amount": "100.00"}).encode()),
        (urlencode(FIELDS), "multipart/form-data; boundary=x", b"broken"),
        (urlencode(FIELDS), "multipart/form-data", b"no boundary"),
        (urlencode(FIELDS), JSON, b'{"amount": 100'),
        (urlencode(FIELDS), JSON, b'{"a":' + b"[" * 50_000),
        (urlencode(FIELDS), JSON, b"[1, 2]"),
    ],
)
def test_every_encoding_is_read_alike(query: str, content_type: str, body: bytes) -> None:
    notification = read(query, content_type, body)

    assert notification.merchant_id == "PP-F324"
    assert notification.reference == "b7c1f0a29d3e4f5a6b7c8d9e"
    assert notification.amount == 100
    assert notification.response_code == "0"
    assert notification.is_success
    assert notification.currency_number == "952"
    assert notification.gateway_id == "9210824147867"
    assert notification.channel == "MOMOCM"
    assert notification.transaction_date == datetime(2026, 9, 25, 15, 44, 25, tzinfo=timezone.utc)


def test_everything_received_is_kept() -> None:
    fields = FIELDS | {"Hash": "0b19", "returnContext": "test=2&ok=1"}

    assert read(urlencode(fields)).data == fields


@pytest.mark.parametrize("name", ["merchantId", "referenceNumber", "amount", "responsecode"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_deciding_fields_are_required(name: str, value: str | None) -> None:
    assert refusal(urlencode(changed(**{name: value}))).detail == f"no {name}"


@pytest.mark.parametrize("name", ["merchantId", "referenceNumber", "responsecode"])
def test_json_null_is_missing(name: str) -> None:
    refusal("", JSON, json.dumps(FIELDS | {name: None}).encode())


@pytest.mark.parametrize(
    ("text", "amount"),
    [("12500", 12500), ("12500.00", 12500), ("12500.0", 12500), (" 100 ", 100), ("0", 0), ("0100", 100)],
)
def test_whole_number_is_an_amount(text: str, amount: int) -> None:
    assert read(urlencode(changed(amount=text))).amount == amount


@pytest.mark.parametrize(
    "text",
    [
        *("12500.01", "12,500", "12 500", "1e3", "-100", "0x64", "100.", ".5", "NaN", "Infinity", "١٠٠", "１００"),  # noqa: RUF001
        *("9" * 5000, "100\x00", "100 F", "true"),
    ],
)
def test_other_values_are_not_amounts(text: str) -> None:
    assert refusal(urlencode(changed(amount=text))).detail == "amount is no whole number"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e400", "1.5", "true", "[100]", '{"a": 100}', "9" * 5000])
def test_other_json_types_are_not_amounts(value: str) -> None:
    error = refusal(urlencode(changed(amount=None)), JSON, b'{"amount": %s}' % value.encode())
    assert error.detail == "amount is no whole number"


@pytest.mark.parametrize("value", [False, [0], {"0": 0}, 0.0, "00", "SUCCESS", "０"])  # noqa: RUF001
def test_only_0_is_success(value: Any) -> None:
    notification = read("", JSON, json.dumps(FIELDS | {"responsecode": value}).encode())

    assert not notification.is_success
    assert not notification.is_failure


@pytest.mark.parametrize("value", [-1, "-1", " -1 "])
def test_minus_1_is_failure(value: Any) -> None:
    assert read("", JSON, json.dumps(FIELDS | {"responsecode": value}).encode()).is_failure


REQUIRED = ["merchantId", "referenceNumber", "amount", "responsecode"]
OPTIONAL = ["countryCurrencyCode", "payId", "hashcode"]
DECIDING = REQUIRED + OPTIONAL
OTHERS = ["sessionId", "channel", "transactiondt", "returnContext", "customerId", "hash", "message"]


@pytest.mark.parametrize(
    ("name", "value", "detail"),
    [
        *((name, "7", f"two values of {name}") for name in DECIDING),
        *((name, "", f"no {name}") for name in REQUIRED),
    ],
)
def test_deciding_field_with_two_values_is_refused(name: str, value: str, detail: str) -> None:
    fields = FIELDS | {"hashcode": "0b"}
    again = urlencode({name.upper(): value})

    for error in (refusal(f"{urlencode(fields)}&{again}"), refusal(urlencode(fields), FORM, again.encode())):
        assert error.detail == detail


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize("empty", ["", " "])
def test_empty_value_of_an_optional_field_contradicts_nothing(name: str, empty: str) -> None:
    fields = FIELDS | {"hashcode": "0b"}
    expected = read(urlencode(fields))

    for notification in (
        read(f"{urlencode(fields)}&{urlencode({name: empty})}"),
        read(urlencode(fields | {name: empty}), JSON, json.dumps({name: fields[name]}).encode()),
    ):
        assert replace(notification, data={}) == replace(expected, data={})
        assert sorted(notification.data[name]) == sorted([empty, fields[name]])


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("again", ["7", ""])
def test_other_field_with_two_values_is_kept_in_both(name: str, again: str) -> None:
    fields = FIELDS | {name: "first"}
    expected = read(urlencode(fields))

    in_query = read(f"{urlencode(fields)}&{urlencode({name: again})}")
    in_body = read(urlencode(fields), FORM, urlencode({name: again}).encode())
    other_case = read(urlencode(fields), JSON, json.dumps({name.upper(): again}).encode())

    assert in_query.data == in_body.data == fields | {name: ["first", again]}
    assert other_case.data == fields | {name.upper(): again}
    assert replace(in_query, data={}) == replace(expected, data={})


@pytest.mark.parametrize(
    "again", ["{&quot;order&quot;:&quot;1&quot;}", '{\\"order\\":\\"1\\"}', "%7B%22order%22%3A%221%22%7D", "[1, 2]"]
)
def test_escaped_context_in_the_body_is_accepted(again: str) -> None:
    context = '{"order":"1"}'
    notification = read(urlencode(changed(returnContext=context)), *multipart(changed(returnContext=again)))

    assert notification.is_success
    assert notification.return_context == context
    assert notification.data["returnContext"] == [context, again]


@pytest.mark.parametrize("again", ["100.00", " 100 ", "0100", 100])
def test_two_spellings_of_an_amount_are_one_value(again: Any) -> None:
    assert read(urlencode(FIELDS), JSON, json.dumps({"AMOUNT": again}).encode()).amount == 100


@pytest.mark.parametrize("name", [name for name in DECIDING if name != "amount"])
def test_spaces_around_a_value_do_not_make_another_value(name: str) -> None:
    fields = FIELDS | {"hashcode": "0b"}
    assert read(urlencode(fields), FORM, urlencode({name: f" {fields[name]} "}).encode()).data == fields


def test_repeated_json_key_has_two_values() -> None:
    body = json.dumps(FIELDS).replace('"amount": "100"', '"amount": 100, "amount": 7').encode()

    error = refusal("", JSON, body)

    assert error.data["amount"] == ["100", "7"]


def test_three_values_are_all_kept() -> None:
    assert refusal(f"{urlencode(FIELDS)}&payId=1&payId=2").data["payId"] == ["9210824147867", "1", "2"]


@pytest.mark.parametrize("name", DECIDING)
@pytest.mark.parametrize("value", ["%ff", "a%ed%a0%80"])
def test_deciding_fields_must_be_decodable(name: str, value: str) -> None:
    problem = "is no whole number" if name == "amount" else "cannot be read"
    for query in (f"{urlencode(changed(**{name: None}))}&{name}={value}", f"{urlencode(FIELDS)}&{name}={value}"):
        assert refusal(query).detail == f"{name} {problem}"


@pytest.mark.parametrize("name", ["merchantId", "referenceNumber", "responsecode", "countryCurrencyCode"])
@pytest.mark.parametrize("value", ["a\x00", "\ud800"])
def test_unstorable_characters_in_deciding_fields_are_refused(name: str, value: str) -> None:
    assert refusal("", JSON, json.dumps(FIELDS | {name: value}).encode()).detail == f"{name} cannot be read"


def test_other_fields_may_be_undecodable() -> None:
    query = urlencode(changed(returnContext=None)) + "&returnContext=caf%e9"
    content_type, body = multipart(FIELDS | {"returnContext": "café"})
    latin = json.dumps(FIELDS | {"returnContext": "café"}, ensure_ascii=False).encode("latin-1")

    assert read("", JSON, latin).return_context == "caf�"
    notification = read(query, content_type, body)

    assert notification.return_context == "café"
    json.dumps(notification.data).encode()


def test_form_is_read_as_utf_8_whatever_the_default_charset() -> None:
    content_type, body = multipart(FIELDS | {"returnContext": "café"})

    with override_settings(DEFAULT_CHARSET="latin-1"):
        assert read("", content_type, body).return_context == "café"


def test_undecodable_bytes_are_replaced() -> None:
    assert read(f"{urlencode(changed(channel=None))}&channel=a%ff").channel == "a�"


def test_unstorable_characters_are_replaced() -> None:
    body = json.dumps(FIELDS | {"channel": "a\x00\ud800b", "x\x00": "y"}).encode()

    notification = read("", JSON, body)

    assert notification.channel == "a��b"
    assert "x�" in notification.data


def test_query_may_have_been_read_as_utf_8_already() -> None:
    query = urlencode(changed(returnContext=None)) + "&returnContext=€"

    assert read(query).return_context == "€"


def test_query_may_hold_undecodable_bytes() -> None:
    query = urlencode(changed(returnContext=None)) + "&returnContext=caf\xe9"

    assert read(query).return_context == "caf�"


def test_only_the_first_question_mark_is_the_gateways() -> None:
    query = f"utm=1?{urlencode(changed(returnContext=None))}&returnContext=back?to=2"

    assert read(query).return_context == "back?to=2"


def test_unencodable_query_is_read() -> None:
    query = urlencode(changed(returnContext=None)) + "&returnContext=\ud800"

    assert read(query, *multipart(changed(returnContext=None))).return_context == "�"


@pytest.mark.parametrize(("value", "text"), [({"order_id": "n° 42"}, '{"order_id": "n° 42"}'), (True, "true")])
def test_json_of_another_kind_is_shown_but_decides_nothing(value: Any, text: str) -> None:
    assert read("", JSON, json.dumps(FIELDS | {"returnContext": value}).encode()).return_context == text


def test_json_numbers_are_kept_as_text() -> None:
    content = b'{"a": 12500.00, "b": -0, "c": 1e400, "d": NaN}'

    assert parse_json_object(content) == {"a": "12500.00", "b": "-0", "c": "1e400", "d": "NaN"}


@pytest.mark.parametrize(
    ("content_type", "body"), [(JSON, b'{"amount": \xff'), ("multipart/form-data", b"amount: \xff")]
)
def test_unreadable_body_is_kept(content_type: str, body: bytes) -> None:
    assert refusal("", content_type, body).data == {"body": body.decode("utf-8", "replace")}


@pytest.mark.parametrize("content_type", ["", JSON, "multipart/form-data; boundary=x"])
def test_thousands_of_fields_are_too_many(content_type: str) -> None:
    fields = FIELDS | {f"f{number}": "1" for number in range(3000)}
    body = {
        "": urlencode(fields).encode(),
        JSON: json.dumps(fields).encode(),
        "multipart/form-data; boundary=x": multipart(fields)[1],
    }[content_type]

    assert len(refusal("", content_type, body).data) <= MAX_FIELDS


def test_five_hundred_fields_are_accepted() -> None:
    fields = FIELDS | {f"f{number}": "1" for number in range(MAX_FIELDS - len(FIELDS))}

    assert read(urlencode(fields)).data == fields
    assert refusal(urlencode(fields | {"f": "1"})).detail == "more than 500 fields"


def test_malformed_part_header_is_refused() -> None:
    body = b"--x\r\nContent-Disposition: form-data; name*=nonsense''amount\r\n\r\n100\r\n--x--\r\n"

    refusal("", "multipart/form-data; boundary=x", body)


@pytest.mark.parametrize(
    "text",
    ["", "2026-09-25", "25/09/2026 15:44:25", "2026-13-45 15:44:25", "1999-12-31 23:59:59", "2100-01-01 00:00:00"],
)
def test_unreadable_date_is_ignored(text: str) -> None:
    assert parse_date(text) is None
    assert read(urlencode(changed(transactiondt=text))).is_success


def test_dates_are_limited_to_this_century() -> None:
    assert parse_date("2000-01-01 00:00:00") == datetime(2000, 1, 1, tzinfo=timezone.utc)
    assert parse_date("2099-12-31 23:59:59") == datetime(2099, 12, 31, 23, 59, 59, tzinfo=timezone.utc)


@given(query=st.text(max_size=200), content_type=st.text(max_size=60), body=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(query: str, content_type: str, body: bytes) -> None:
    refusal(query, content_type, body)


@given(
    body=st.one_of(
        st.binary(max_size=200).map(lambda noise: b"{" + noise),
        st.dictionaries(st.sampled_from(list(FIELDS)), st.one_of(st.text(max_size=20), st.integers(), st.none())).map(
            lambda fields: json.dumps({**fields, "amount": "no"}).encode()
        ),
    )
)
def test_any_json_is_read_or_refused(body: bytes) -> None:
    refusal("", JSON, body)


@given(noise=st.binary(max_size=300), header=st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_any_multipart_is_read_or_refused(noise: bytes, header: str) -> None:
    body = b"--x\r\n" + header.encode() + b"\r\n\r\n" + noise + b"\r\n--x--\r\n"
    refusal("", "multipart/form-data; boundary=x", body)


NAMES = st.one_of(st.sampled_from(list(FIELDS)), st.text(max_size=5))
TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(["", "--x", "\r\n--x", "x\r\n--x--\r\n", 'a"; filename="b']))


@example(fields=[("amount", "1\r\n--x")], boundary="x")
@example(fields=[('a"; filename="b', "1")], boundary="x")
@example(fields=[("x" * 999, "1")], boundary="x")
@given(
    fields=st.lists(st.tuples(NAMES | TEXTS, TEXTS), max_size=6), boundary=st.sampled_from(["x", "-" * 24 + "a1b2c3"])
)
def test_body_repeating_the_query_adds_nothing(fields: list[tuple[str, str]], boundary: str) -> None:
    form = multipart(fields, boundary)

    def by_name(in_query: list[tuple[str, str]]) -> dict[str, list[str]]:
        read = body_fields(*form, in_query)
        return {name: [value for other, value in read if other == name] for name, _value in read}

    assert by_name(fields) == by_name([])


@pytest.mark.parametrize("boundary", ["x", "------------------------a1b2c3"])
def test_body_that_repeats_the_query_is_not_parsed(boundary: str) -> None:
    with patch.object(parsing, "MultiPartParser", side_effect=AssertionError):
        notification = read(urlencode(FIELDS), *multipart(FIELDS, boundary))
    assert notification.data == FIELDS


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/form-data; boundary=y; x="boundary=x',
        "multipart/form-data; x=boundary=x",
        'multipart/form-data; boundary="x"',
        f"multipart/form-data; boundary={'x' * 71}",
    ],
)
def test_unusual_boundary_uses_the_parser(content_type: str) -> None:
    _content_type, body = multipart(FIELDS, content_type.rpartition("boundary=")[2])
    with patch.object(parsing, "MultiPartParser", side_effect=ValueError) as parser:
        read(urlencode(FIELDS), content_type, body)
    parser.assert_called_once()


@pytest.mark.parametrize("changes", [{"amount": "101"}, {"merchantId": None}, {"more": "1"}])
def test_differing_body_is_parsed(changes: dict[str, Any]) -> None:
    content_type, body = multipart(changed(**changes))
    in_query = list(FIELDS.items())
    assert dict(body_fields(content_type, body, in_query)) == changed(**changes)


def test_field_names_are_case_insensitive() -> None:
    notification = read(urlencode([*FIELDS.items(), ("PAYID", " 9210824147867"), ("payid", "9210824147867")]))

    assert (notification.gateway_id, notification.data) == ("9210824147867", FIELDS)


@given(st.text())
def test_amount_is_a_whole_number_or_none(text: str) -> None:
    amount = parse_amount(text)

    whole = text.partition(".")[0]
    assert amount is None or (text.isascii() and whole.isdigit() and amount == int(whole))


@pytest.mark.parametrize("content", [b"", b"[]", b"1", b"null", b"<html>", b'"a"', b"[" * 100_000, b'{"a":' * 100_000])
def test_non_object_json_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^(no JSON object$|JSON nested too deeply$|Expecting )"):
        parse_json_object(content)


def request(**values: Any) -> PageRequest:
    return PageRequest(
        **{
            "merchant_id": "PP-F324",
            "amount": 1000,
            "description": "Abonnement Premium",
            "channel": "CARD",
            "currency_number": "952",
            "reference": "REF772105",
            "customer_email": "test@example.com",
            "customer_first_name": "Ishola",
            "customer_last_name": "Lamine",
            "customer_phone": "01234567",
            "notification_url": "https://votre-site.com/webhook",
            "return_url": "https://votre-site.com/retour",
            "return_context": {"order_id": "123", "user": "88"},
            **values,
        }
    )


def test_request_is_the_thirteen_fields_of_the_official_page() -> None:
    assert request().as_json() == {
        "merchantId": "PP-F324",
        "amount": 1000,
        "description": "Abonnement Premium",
        "channel": "CARD",
        "countryCurrencyCode": "952",
        "referenceNumber": "REF772105",
        "customerEmail": "test@example.com",
        "customerFirstName": "Ishola",
        "customerLastname": "Lamine",
        "customerPhoneNumber": "01234567",
        "notificationURL": "https://votre-site.com/webhook",
        "returnURL": "https://votre-site.com/retour",
        "returnContext": '{"order_id":"123","user":"88"}',
    }


def test_return_context_is_sent_as_written() -> None:
    assert (
        request(return_context={"commande": "n° 1 – Koné"}).as_json()["returnContext"] == '{"commande":"n° 1 – Koné"}'
    )


def test_empty_channel_is_left_out() -> None:
    assert "channel" not in request(channel="").as_json()


def test_audit_trail_holds_no_signed_urls() -> None:
    assert "votre-site" not in str(request().for_audit())


@pytest.mark.parametrize(
    ("answer", "is_success", "is_refusal", "message"),
    [
        ({"success": True, "message": "ok", "url": "u"}, True, False, "ok"),
        ({"success": False, "message": "Echec"}, False, True, "Echec"),
        ({"success": False, "error": "Echec"}, False, True, "Echec"),
        ({"error": "Echec"}, False, True, "Echec"),
        ({"success": False}, False, True, ""),
        ({"success": "true", "url": "u"}, False, False, ""),
        ({"success": "1", "url": "u"}, False, False, ""),
        ({}, False, False, ""),
        ({"success": False, "message": {"a": ["b"]}}, False, True, '{"a": ["b"]}'),
    ],
)
def test_only_true_is_a_page(answer: dict[str, Any], is_success: bool, is_refusal: bool, message: str) -> None:
    page = PageAnswer.from_json(answer)

    assert (page.is_success, page.is_refusal, page.message) == (is_success, is_refusal, message)


def test_non_string_url_is_ignored() -> None:
    assert PageAnswer.from_json({"success": True, "url": ["u"]}).url == ""


def test_status_response_is_read_in_its_spelling() -> None:
    content = (
        b'{"marchant_id": "PP-F324", "pay_id": "CI2023", "reference": "b7c1", "amount": 1000, "channel": "OMCIV2", '
        b'"token": "x", "date": "2023-01-31 13:20:51", "success": true}'
    )

    answer = StatusAnswer.from_json(parse_json_object(content))

    assert (answer.is_success, answer.merchant_id, answer.reference) == (True, "PP-F324", "b7c1")
    assert (answer.amount, answer.gateway_id, answer.channel) == (1000, "CI2023", "OMCIV2")
    assert answer.transaction_date == datetime(2023, 1, 31, 13, 20, 51, tzinfo=timezone.utc)


def test_correctly_spelled_status_is_read() -> None:
    assert StatusAnswer.from_json({"merchant_id": "PP-F324"}).merchant_id == "PP-F324"


def test_empty_status_response_proves_nothing() -> None:
    assert StatusAnswer.from_json({}) == StatusAnswer(
        is_success=False,
        merchant_id="",
        reference="",
        amount=None,
        gateway_id="",
        channel="",
        transaction_date=None,
        data={},
    )


def test_too_deeply_nested_json_is_not_shown() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]

    assert StatusAnswer.from_json({"channel": nested}).channel == "�"


@pytest.mark.parametrize("success", ["false", '"true"', "1", "null", "[true]"])
def test_only_true_is_a_status(success: str) -> None:
    assert not StatusAnswer.from_json(parse_json_object(b'{"success": %s}' % success.encode())).is_success


# What is written by those who play the gateway is read as it was meant.


def test_request_round_trips() -> None:
    for asked in (request(), request(channel="", return_context={"order": "42"})):
        assert PageRequest.from_json(json.loads(json.dumps(asked.as_json()))) == asked


@pytest.mark.parametrize(
    "answer", [PageAnswer(True, False, "https://paiementpro.net/", "Bon"), PageAnswer(False, True, "", "Non")]
)
def test_page_response_round_trips(answer: PageAnswer) -> None:
    assert PageAnswer.from_json(answer.as_json()) == answer


def test_refusal_has_no_page() -> None:
    assert PageAnswer(False, True, "", "Non").as_json() == {"success": False, "message": "Non"}


@pytest.mark.parametrize("moment", [None, datetime(2026, 9, 25, 15, 44, 25, tzinfo=timezone.utc)])
def test_status_success_round_trips(moment: datetime | None) -> None:
    answer = StatusAnswer(True, "PP-F324", "b7c1", 100, "CI1", "OMCIV2", moment, {})

    read_back = StatusAnswer.from_json(parse_json_object(json.dumps(answer.as_json()).encode()))

    assert replace(read_back, data={}) == answer


def test_status_success_matches_the_official_sample() -> None:
    moment = datetime(2023, 1, 31, 13, 20, 51, tzinfo=timezone.utc)

    assert StatusAnswer(True, "PP-F324", "b7c1", 1000, "CI2023", "OMCIV2", moment, {}).as_json() == {
        "marchant_id": "PP-F324",
        "pay_id": "CI2023",
        "reference": "b7c1",
        "amount": 1000,
        "channel": "OMCIV2",
        "date": "2023-01-31 13:20:51",
        "success": True,
    }


def test_status_without_success_has_no_other_fields() -> None:
    assert StatusAnswer.from_json({}).as_json() == {"success": False, "error": "Aucune transaction"}


@pytest.mark.parametrize("values", [{}, {"response_code": "-1", "message": "Solde insuffisant", "hashcode": "0b19"}])
def test_notification_round_trips(values: dict[str, str]) -> None:
    notification = replace(read(urlencode(FIELDS)), data={}, **values)

    read_back = read("", JSON, json.dumps(notification.as_fields()).encode())

    assert replace(read_back, data={}) == notification


def test_notification_matches_production() -> None:
    fields = read(urlencode(FIELDS)).as_fields()

    assert urlencode(fields) == urlencode(FIELDS)
    assert (fields["amount"], fields["responsecode"]) == (100, 0)
    assert read(urlencode(changed(responsecode="00"))).as_fields()["responsecode"] == "00"
    more = changed(hashcode="0b19", message="Solde insuffisant")
    assert urlencode(read(urlencode(more)).as_fields()) == urlencode(more)


def test_return_query_lacks_the_gateway_id() -> None:
    assert urlencode(read(urlencode(FIELDS)).for_return()) == urlencode(changed(payId=None))


@override_settings(TIME_ZONE="Asia/Tokyo")
def test_gateway_times_are_in_abidjan() -> None:
    assert format_date(datetime(2026, 9, 25, 17, 44, 25, tzinfo=timezone(timedelta(hours=2)))) == "2026-09-25 15:44:25"
    assert format_date(None) == ""


# What the gateway, or anyone on the way, may make of a URL that it quotes.
QUOTED: dict[str, Callable[[str], str]] = {
    "whole": lambda url: url,
    "in words": lambda url: f"notificationURL invalide : « {url} ».",
    "twice": lambda url: f"{url} {url}",
    "without the host": lambda url: urlsplit(url).path,
    "signed part alone": lambda url: url.split("/")[-2],
    "percent-encoded": lambda url: quote(url, safe=""),
    "percent-encoded throughout": lambda url: "".join(f"%{ord(character):02x}" for character in url),
    "percent-encoded twice": lambda url: quote("".join(f"%{ord(character):02X}" for character in url)),
    "as HTML": lambda url: "".join(f"&#{ord(character)};" for character in url),
    "as hexadecimal HTML": lambda url: "".join(f"&#x{ord(character):x};" for character in url),
    "as escaped HTML": lambda url: url.replace(".", "&amp;period;"),
    "as JSON": lambda url: json.dumps({"url": url}).replace("/", "\\/"),
    "with backslashes": lambda url: re.sub(r"([/._-])", r"\\\1", url),
    "in upper case": str.upper,
    "in lower case": str.lower,
    "with soft hyphens": "\xad".join,
    "with zero-width spaces": "\u200b".join,
    "with a query": lambda url: f"{url}?merchantId=PP-F324&amount=100",
    "wrapped": lambda url: "\r\n".join(re.findall(".{1,30}", url)),
    "wrapped in HTML": lambda url: "<br />\n".join(re.findall(".{1,16}", url)),
    "wrapped and escaped": lambda url: "\\n".join(re.findall(".{1,40}", url)),
    "wrapped and percent-encoded": lambda url: quote("\n".join(re.findall(".{1,20}", url)), safe=""),
    "parted by a space": lambda url: f"{url[:-30]} {url[-30:]}",
    "parted by a no-break space": lambda url: f"{url[:-50]}\xa0{url[-50:]}",
    "with NUL": lambda url: f"{quote(url, safe='').replace('.', '%2e')}%00",
}


def signed_urls() -> dict[str, str]:
    """Return a URL of each kind that this site signs."""
    payment = Payment(reference="Order_7-x", amount=1)
    paths = {
        "checkout": payment.get_checkout_url(),
        "notification": payment.get_notification_url(),
        "return": payment.get_return_url(),
        "status": payment.get_status_url(),
        "probe": make_probe_path()[1],
    }
    return {name: f"https://shop.example{path}" for name, path in paths.items()}


def assert_cut(shown: object, url: str) -> None:
    """Assert that nothing is left of the signature, as a person or a program may read what is shown."""
    signature = url.split("/")[-2].rpartition(".")[2].lower()
    readable = re.sub(r"[\xad\u200b\s\\]|\\n|<br />", "", unescape(unescape(unquote(unquote(str(shown)))))).lower()
    assert signature not in readable
    assert "[url]" in readable
    assert "\0" not in str(shown)


def what_is_read(fields: dict[str, str]) -> object:
    try:
        return vars_of(Notification.from_fields(list(fields.items())))
    except InvalidNotification as error:
        return error, error.data


def vars_of(message: Any) -> dict[str, Any]:
    return {field.name: getattr(message, field.name) for field in dataclass_fields(message)}


@pytest.mark.parametrize("missing", [1, 2, 4, 16])
@pytest.mark.parametrize("name", ["checkout", "notification", "return", "status", "probe"])
def test_truncated_signed_url_is_removed(name: str, missing: int) -> None:
    url = signed_urls()[name].rstrip("/")

    message = PageAnswer.from_json({"success": False, "message": f"URL invalide : {url[:-missing]}"}).message

    assert message.endswith("[URL]")
    assert url.rpartition(".")[2][:20] not in message


@pytest.mark.parametrize("way", QUOTED)
@pytest.mark.parametrize("name", ["checkout", "notification", "return", "status", "probe"])
def test_signed_urls_are_removed_from_outside_text(name: str, way: str) -> None:
    url = signed_urls()[name]
    quoted = QUOTED[way](url)

    for answer in ({"success": False, "message": quoted}, {"success": False, "error": quoted}):
        assert_cut(PageAnswer.from_json(answer).message, url)
    assert_cut(vars_of(StatusAnswer.from_json({"success": True, "reference": quoted, quoted: "x"})), url)
    fields = {"merchantId": "PP-F324", "referenceNumber": "a", "amount": "100", "responsecode": "0"}
    for changes in ({"returnContext": quoted}, {"message": quoted}, {quoted: "x"}, {"merchantId": quoted}):
        assert_cut(what_is_read(fields | changes), url)
    with pytest.raises(InvalidNotification) as caught:
        read("", "text/plain", f"{{{quoted}".encode())
    assert_cut((caught.value, caught.value.data), url)


@pytest.mark.parametrize(
    "text",
    [
        "eyJhbGciOiJIUzI1NiJ9.eyJvcmRlciI6IjEyMyJ9.qFiSyowoG1QJO48iEZsLKps9mcit_G7GDV1dV5X6ZVQ",
        "07-07123456. Veuillez contacter le service clientèle de votre opérateur de téléphonie.",
        "CMD-3fa85f64. Your payment was declined: please contact the operator.",
        "CMD-3fa85f64. Transaction refused for an unknown reason, unfortunately.",
        "https://shop.example/orders/2026-09251544.html?%20" + "a" * 60,
        "%26amp; 100% " + "-" * 60,
    ],
)
def test_other_outside_text_is_unchanged(text: str) -> None:
    assert without_signed_urls(text) == text


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "-",
        "a-",
        "-12345678.",
        "%2d",
        "&#45;",
        "0123456789abcdef",
        "a ",
        "a\n\n",
        "\\n",
        "a<br ",
        "-12345678.abcdefabcdef ",
    ],
)
def test_long_text_is_read_quickly(unit: str) -> None:
    started_at = time.process_time()
    without_signed_urls(unit * (MAX_BODY // len(unit)))
    assert time.process_time() - started_at < 1


def test_messages_are_shown_without_their_secrets() -> None:
    secrets = {
        "customer_phone": "+2250707",
        "notification_url": "https://a.example/b",
        "return_url": "https://a.example/c",
    }
    quoted = urlencode(FIELDS | {"message": "https://a.example/d", "returnContext": "https://a.example/e"})
    shown = f"{request(**secrets)!r} {read(quoted)!r}"

    assert "REF772105" in shown
    assert "a.example" not in shown
    assert "+2250707" not in shown
    assert "Lamine" not in shown
