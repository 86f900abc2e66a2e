"""Statements as a gateway may write them."""

import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

import openpyxl

from django_paiementpro.models import Payment
from django_paiementpro.testing import make_payment

HEADINGS = ("Date", "N° transaction", "Référence", "Client", "Téléphone", "Montant", "Frais", "Net", "Statut")
NOON = datetime(2026, 11, 3, 12, tzinfo=timezone.utc)


def csv_file(
    rows: Iterable[Sequence[object]], headings: Sequence[str] = HEADINGS, encoding: str = "utf-8"
) -> io.BytesIO:
    lines = [";".join(map(str, row)) for row in [headings, *rows]]
    return io.BytesIO("\r\n".join(lines).encode(encoding))


def xlsx_file(rows: Iterable[Sequence[object]], headings: Sequence[str] = HEADINGS) -> io.BytesIO:
    book = openpyxl.Workbook()
    for row in [headings, *rows]:
        book.active.append(list(row))
    file = io.BytesIO()
    book.save(file)
    file.seek(0)
    return file


def row_of(payment: Payment, **values: Any) -> list[object]:
    """Return the row of a paid payment."""
    row = {
        "date": "03/11/2026 12:00",
        "gateway_id": payment.gateway_id,
        "reference": payment.gateway_reference,
        "name": "Awa Koné",
        "phone": "0707123456",
        "amount": payment.amount,
        "fee": 250,
        "net": payment.amount - 250,
        "status": "Succès",
        **values,
    }
    return list(row.values())


def paid(gateway_id: str = "TX1", **values: Any) -> Payment:
    return make_payment(
        **{
            "status": "succeeded",
            "attempt": 1,
            "gateway_id": gateway_id,
            "created_at": NOON,
            "initialized_at": NOON,
            "settled_at": NOON,
            "transaction_date": NOON,
            **values,
        }
    )


def damaged(workbook: io.BytesIO) -> io.BytesIO:
    """Return a workbook whose sheet ends in the middle."""
    other = io.BytesIO()
    with zipfile.ZipFile(workbook) as before, zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            content = before.read(name)
            after.writestr(name, content[: len(content) // 2] if name.startswith("xl/worksheets/") else content)
    other.seek(0)
    return other
