"""
Uploaded files, kept in the database until a member of staff has identified their columns.

The next request may reach another server, and the files contain personal data, which must not be left in a public
folder.
"""

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import BinaryIO

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils import timezone

from django_paiementpro.db.connections import database
from django_paiementpro.models import Statement, StatementPart
from django_paiementpro.services.transactions import Fit, commit

#: Before compression. MySQL and MariaDB limit the size of a packet.
PART = 512 * 1024

#: How long an upload waits for its import.
LIFETIME = timedelta(days=1)


def store_upload(file: BinaryIO, *, merchant_id: str, file_name: str, user: AbstractBaseUser | None) -> Statement:
    """Store a file until it is imported, for a day at most."""
    discard_uploads(timezone.now() - LIFETIME)

    def work(fit: Fit) -> Statement:
        file.seek(0)
        statement = Statement.objects.using(database()).create(
            merchant_id=merchant_id, file_name=fit(file_name)[-255:], user_id=user.pk if user else None
        )
        for number, content in enumerate(iter(lambda: file.read(PART), b"")):
            StatementPart.objects.using(database()).create(
                statement=statement, number=number, content=zlib.compress(content)
            )
        return statement

    return commit(work)


@contextmanager
def opened_upload(statement: Statement) -> Iterator[BinaryIO]:
    """Open the uploaded file. It is empty if it has been imported or discarded."""
    parts = StatementPart.objects.using(database()).filter(statement=statement).order_by("number")
    with tempfile.TemporaryFile() as file:
        for number in parts.values_list("pk", flat=True):
            file.write(zlib.decompress(parts.get(pk=number).content))
        file.seek(0)
        yield file


def discard_uploads(before: datetime) -> int:
    """Delete the files that were uploaded before that moment, and not imported. Return how many there were."""
    waiting = Statement.objects.using(database()).filter(imported_at=None, created_at__lt=before)
    waiting = waiting.exclude(seen_at__gte=before)
    count, _by_model = waiting.delete()
    return count
