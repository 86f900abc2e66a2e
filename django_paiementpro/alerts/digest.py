"""A day in figures, for the shop's staff: no customer, and no signed URL."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.text import capfirst
from django.utils.translation import gettext as _

from django_paiementpro.admin.daybook.formats import channel_texts, day_text, rate_text
from django_paiementpro.admin.daybook.statistics import DayBook, day_book
from django_paiementpro.alerts.mail import admin_url, mail_staff
from django_paiementpro.conf import conf
from django_paiementpro.models import format_amount
from django_paiementpro.monitoring.health import Health, health


@dataclass(frozen=True, slots=True)
class Digest:
    """What happened on a day, by currency, and what waits now."""

    day: date
    books: list[DayBook]
    health: Health


def read_digest(day: date) -> Digest:
    """Return the figures of a day in the current time zone. Currencies without any payment are left out."""
    books = [day_book(day, day, currency=currency) for currency in conf.currencies]
    return Digest(day, [book for book in books if book.days] or books[:1], health())


def send_digest(digest: Digest) -> None:
    """Mail it to ``PAIEMENTPRO_ALERT_EMAILS``."""
    mail_staff(lambda: compose(digest))


def compose(digest: Digest) -> tuple[str, str, dict[str, Any]]:
    """Return the subject, the template and its context, in the active language."""
    day = day_text(digest.day)
    taken = " + ".join(format_amount(book.total.taken, book.currency) for book in digest.books)
    subject = _("%(day)s: %(taken)s") % {"day": capfirst(day), "taken": taken}
    iso = digest.day.isoformat()
    return (
        subject,
        "digest",
        {
            "day": day,
            "books": [_table(book) for book in digest.books],
            "to_review": digest.health.to_review,
            "undelivered": digest.health.undelivered,
            "pending": digest.health.pending,
            "takings_url": admin_url("admin:paiementpro_payment_daybook", f"?from={iso}&to={iso}"),
            "review_url": admin_url("admin:paiementpro_payment_changelist", "?review=1"),
        },
    )


def _table(book: DayBook) -> dict[str, Any]:
    """Return the rows of a currency: payment method, payments, takings, refunds, success rate."""
    labels = channel_texts(book.channels)
    rows = [(labels[code], figures) for code, figures in book.channels.items()]
    return {
        "rows": [
            {
                "label": label,
                "payments": figures.payments,
                "taken": format_amount(figures.taken, book.currency),
                "refunded": format_amount(figures.refunded, book.currency) if figures.refunded else "",
                "success_rate": rate_text(figures.success_rate),
                "is_total": label is total,
            }
            for total in [_("Total")]
            for label, figures in [*rows, (total, book.total)]
        ],
        "net": format_amount(book.total.net, book.currency),
        "has_refunds": bool(book.total.refunded),
    }
