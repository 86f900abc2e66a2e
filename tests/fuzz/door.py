"""
Fuzz the notification view with mutated samples.

    python -m tests.fuzz.door RUNS --repeatable
    python -m tests.fuzz.door [RUNS] [option of libFuzzer ...]

The first makes the same inputs each time. In the second atheris chooses them by the code that they reach.

An input is four parts with a newline between them: what stands in the URL where the signed reference should (nothing
for the right one), the query string, the content type, the body. The database is SQLite in memory. For each input: no
exception, an answer of 200, 400 or 404; a 404 writes nothing; and no payment changes its state but by a notification
that says so, read here once more, by other parsers.
"""

import json
import os
import random
import re
import sys
import tempfile
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes
from email.message import Message
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qsl, unquote_to_bytes

import atheris
from urllib3 import encode_multipart_formdata

os.environ.update(DJANGO_SETTINGS_MODULE="tests.settings", DATABASE_URL="sqlite://:memory:")

with atheris.instrument_imports(include=["django_paiementpro"]):
    import django

    django.setup()

    from django.core.handlers.wsgi import WSGIRequest
    from django.core.management import call_command
    from django.db import connection, transaction

    from django_paiementpro.models import Payment
    from django_paiementpro.views import NotificationView

SAMPLES = Path(__file__).parent.parent / "samples"
WORDS = Path(__file__).with_suffix(".dict")
RUNS = 1_000_000

# The payment of tests/samples/notification_production_2026.http.
MERCHANT, REFERENCE, AMOUNT = "PP-F324", "b7c1f0a29d3e4f5a6b7c8d9e", 100

# What no server takes in a header; Django stumbles over the first.
_UNSENDABLE = re.compile(rb"[\0\r]")

# That of a body which says the query's fields again.
BOUNDARY = b"------------------------a1b2c3"
REPEATED = b"multipart/form-data; boundary=" + BOUNDARY

# What every parser reads alike.
_PART = re.compile(rb'--%s\r\nContent-Disposition: form-data; name="(\w+)"\r\n\r\n([^\r\n]*)\r\n' % BOUNDARY)
_WELL_FORMED = re.compile(rb"(?:%s)*--%s--\r\n" % (_PART.pattern, BOUNDARY))

# A part's name, in whichever header.
_NAME = re.compile(rb"""\bname\*?\s*=\s*(?:[\w-]*'\w*')?"?([^";\r\n]*)""", re.IGNORECASE)

# A word of the dictionary, in quotation marks.
_WORD = re.compile(r'^"(.*)"$', re.MULTILINE)

Values = dict[str, set[str]]


def seeds() -> list[bytes]:
    """Return the samples as inputs, and each of them in the other forms that a notification may take."""
    head, body = (SAMPLES / "notification_production_2026.http").read_bytes().split(b"\n\n", 1)
    query = re.search(rb"\?(\S+) HTTP", head)[1]
    content_type = re.search(rb"Content-Type: (.+)", head)[1]
    old_query = (SAMPLES / "notification_production_2021.txt").read_bytes().strip()
    sandbox = (SAMPLES / "notification_sandbox_2026.json").read_bytes()
    fields = dict(parse_qsl(query.decode(), keep_blank_values=True))
    multipart = body.replace(b"\n", b"\r\n")
    repeated, _content_type = encode_multipart_formdata(list(fields.items()), BOUNDARY.decode())
    form, as_json = b"application/x-www-form-urlencoded", b"application/json"
    refused = query.replace(b"responsecode=0", b"responsecode=-1")
    return [
        b"\n".join(parts)
        for parts in (
            (b"", query, content_type, multipart),
            (b"", query, REPEATED, repeated),
            (b"", query, REPEATED, repeated.replace(b"100", b"101")),
            (b"", query, b"", b""),
            (b"", b"utm=1?" + query, b"", b""),
            (b"", refused, b"", b""),
            (b"", query.replace(b"amount=100", b"amount=100.00"), b"", b""),
            (b"", query + b"&amount=7", b"", b""),
            (b"", old_query, b"", b""),
            (b"", b"", content_type, multipart),
            (b"", b"", form, query),
            (b"", b"", as_json, sandbox),
            (b"", b"", as_json, json.dumps(fields).encode()),
            (b"", b"", as_json, json.dumps(fields | {"amount": AMOUNT, "responsecode": 0}).encode()),
            (b"", query, as_json, b'{"amount": 100, "amount": "7"}'),
            (b"abc.def", query, b"", b""),
            (REFERENCE.encode(), query, b"", b""),
        )
    ]


def values_of(query: bytes, content_type: bytes, body: bytes) -> Values:
    """Read the fields in every way that one may: by name in lower case, all values that anybody could see."""
    pairs = [(name, value) for text in (query, body) for name, value in _pairs_of_form(text)]
    with suppress(ValueError, RecursionError):
        pairs += _pairs_of_json(body)
    if content_type.lower().startswith(b"multipart/"):
        pairs += _pairs_of_multipart(content_type, body)
    values: Values = {}
    for name, value in pairs:
        values.setdefault(name.strip().lower(), set()).add(value.strip())
    return values


def _pairs_of_form(content: bytes) -> list[tuple[str, str]]:
    parts = (part.partition(b"=") for part in re.split(rb"[&?]", content))
    return [
        tuple(unquote_to_bytes(text.replace(b"+", b" ")).decode("utf-8", "replace") for text in (name, value))
        for name, _, value in parts
    ]


def _pairs_of_json(body: bytes) -> list[tuple[str, str]]:
    pairs = json.loads(
        body.decode("utf-8-sig", "replace"), object_pairs_hook=list, parse_int=str, parse_float=str, parse_constant=str
    )
    return [(name, value) for name, value in pairs if isinstance(value, str)] if isinstance(pairs, list) else []


def _pairs_of_multipart(content_type: bytes, body: bytes) -> list[tuple[str, str]]:
    message = message_from_bytes(b"Content-Type: " + content_type.splitlines()[0] + b"\r\n\r\n" + body)
    return [
        (name, (part.get_payload(decode=True) or b"").decode("utf-8", "replace"))
        for part in message.walk()
        if not part.is_multipart()
        for name in _names_of(part)
    ] + _pairs_of_broken_parts(message.get_boundary(""), body)


def _pairs_of_broken_parts(boundary: str, body: bytes) -> list[tuple[str, str]]:
    """Read parts with invalid header lines, which Django skips."""
    pairs = []
    for part in body.split(b"--" + boundary.encode("latin-1", "replace")) if boundary else []:
        head, _blank, value = part.partition(b"\r\n\r\n")
        values = [value]
        with suppress(ValueError):
            values.append(b64decode(value))
        for name in _NAME.findall(head):
            pairs += [(name.decode("utf-8", "replace"), each.decode("utf-8", "replace")) for each in values]
    return pairs


def _names_of(part: Message) -> set[str]:
    """Return the name of a part, whichever of several headers counts."""
    headers = " ".join(map(str, part.get_all("content-disposition", [])))
    return {str(part.get_param("name", header="content-disposition")), *re.findall('name="([^"]*)"', headers)}


def is_right_amount(text: str) -> bool:
    return bool(re.fullmatch(r"0*100(\.0+)?", text, re.ASCII))


class Door:
    """The view, with one payment that waits."""

    def __init__(self) -> None:
        call_command("migrate", verbosity=0)
        payment = Payment.objects.create(
            reference=REFERENCE,
            merchant_id=MERCHANT,
            amount=AMOUNT,
            description="Order 1",
            status="pending",
            attempt=2,
            opened_attempt=2,
        )
        self.view = NotificationView.as_view()
        self.signed = payment.get_notification_url().split("/")[-2]
        self.answers: dict[int, int] = {}
        # Past Django's own layers, which would take longer than all the rest.
        self.database = connection.connection

    def knock(self, data: bytes) -> None:
        """Hand over one input, and undo what it has done."""
        signed, query, content_type, body = [*data.split(b"\n", 3), b"", b"", b""][:4]
        content_type = _UNSENDABLE.sub(b"", content_type)
        with transaction.atomic():
            rows = self.database.total_changes
            status = self._post(signed, query, content_type, body)
            self.answers[status] = self.answers.get(status, 0) + 1
            if status == 404:
                assert signed
                assert self.database.total_changes == rows
            else:
                assert status in {200, 400}, status
                assert not signed
                self._check(status == 400, query, content_type, body)
            transaction.set_rollback(True)

    def _post(self, signed: bytes, query: bytes, content_type: bytes, body: bytes) -> int:
        request = WSGIRequest(
            {
                "REQUEST_METHOD": "POST",
                "PATH_INFO": "/",
                "QUERY_STRING": query.decode("latin-1"),
                "CONTENT_TYPE": content_type.decode("latin-1"),
                "CONTENT_LENGTH": str(len(body)),
                "REMOTE_ADDR": "127.0.0.1",
                "SERVER_NAME": "testserver",
                "SERVER_PORT": "80",
                "wsgi.url_scheme": "http",
                "wsgi.input": BytesIO(body),
            }
        )
        return self.view(request, signed=signed.decode("latin-1") or self.signed).status_code

    def _check(self, is_refused: bool, query: bytes, content_type: bytes, body: bytes) -> None:
        [(outcome,)] = self.database.execute("SELECT outcome FROM paiementpro_paymentevent").fetchall()
        assert (outcome == "refused") == is_refused
        [(now, needs_review)] = self.database.execute("SELECT status, needs_review FROM paiementpro_payment").fetchall()
        findings = self.database.execute("SELECT reason, detail FROM paiementpro_finding").fetchall()
        assert needs_review == bool(findings)
        assert len(set(findings)) == len(findings)
        assert all(detail.isascii() and len(detail) <= 200 for _, detail in findings)
        if now != "pending":
            assert not is_refused
            values = values_of(query, content_type, body)
            assert MERCHANT in values["merchantid"]
            assert values["referencenumber"] & {REFERENCE, f"{REFERENCE}-2"}
            assert any(map(is_right_amount, values["amount"]))
            assert {"succeeded": "0", "failed": "-1"}[now] in values["responsecode"]
            if content_type == REPEATED and _WELL_FORMED.fullmatch(body):
                amounts = [value for name, value in _PART.findall(body) if name.lower() == b"amount"]
                assert all(is_right_amount(amount.decode("utf-8", "replace").strip()) for amount in amounts)


def mutations(runs: int) -> Iterator[bytes]:
    """Return that many inputs, the same each time: the samples with some bytes cut, doubled or replaced."""
    chosen, samples = random.Random(1), seeds()
    dictionary = WORDS.read_text(encoding="ascii")
    words = [bytes(word, "ascii").decode("unicode_escape").encode("latin-1") for word in _WORD.findall(dictionary)]
    for _ in range(runs):
        data = chosen.choice(samples)
        for _ in range(chosen.randint(1, 5)):
            start = chosen.randint(0, len(data))
            end = min(start + chosen.choice([0, 1, 1, 2, 8, 40]), len(data))
            other = chosen.choice(samples)
            middle = chosen.choice(
                [
                    b"",
                    data[start:end] * 2,
                    chosen.randbytes(chosen.randint(1, 4)),
                    chosen.choice(words),
                    other[start : start + chosen.randint(1, 80)],
                ]
            )
            data = data[:start] + middle + data[end:]
        yield data


def main() -> None:
    runs = int(sys.argv[1]) if sys.argv[1:] else RUNS
    door = Door()
    if "--repeatable" in sys.argv:
        for data in mutations(runs):
            try:
                door.knock(data)
            except Exception:
                print(f"The input is {data!r}", flush=True)
                raise
        print(f"{runs} inputs are answered {door.answers}")
        return
    corpus = tempfile.mkdtemp(prefix="door-")
    for number, seed in enumerate(seeds()):
        door.knock(seed)
        (Path(corpus) / f"seed-{number}").write_bytes(seed)
    print(f"{len(seeds())} seeds are answered {door.answers}", flush=True)
    options = [f"-runs={runs}", f"-dict={WORDS}", "-max_len=4096", "-timeout=60"]
    atheris.Setup([sys.argv[0], corpus, *options, *sys.argv[2:]], door.knock)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
