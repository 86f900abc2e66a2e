"""The sentences of the alerts. They name no customer and hold no signed URL."""

from collections.abc import Callable, Iterable

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_paiementpro.admin.daybook.formats import channel_texts
from django_paiementpro.alerts.conditions import CHANNEL, OVERDUE, SILENT, UNDELIVERED, UNRECONCILED
from django_paiementpro.alerts.mail import Line
from django_paiementpro.models import Alert, Finding

#: How many payments to review are named.
MAX_NAMED = 20


def subject_of(lines: list[Line]) -> str:
    if len(lines) == 1:
        return lines[0].text
    return ngettext("%(count)d alert", "%(count)d alerts", len(lines)) % {"count": len(lines)}


def text_of(alert: Alert) -> Line:
    """Return what to say about a condition that has begun or ended."""
    if alert.key.startswith(CHANNEL):
        code = alert.key.removeprefix(CHANNEL)
        params = {"channel": channel_texts([code])[code]}
        text = _("%(channel)s is having problems: far fewer payments succeed than usual.")
        over = _("%(channel)s works again.")
        return Line((text if alert.is_active else over) % params, query=f"?channel={code}")
    began, ended = _TEXTS[alert.key]()
    return Line(began if alert.is_active else ended)


_TEXTS: dict[str, Callable[[], tuple[str, str]]] = {
    UNDELIVERED: lambda: (
        _("Some signals stay undelivered: a receiver keeps failing. The log has the errors."),
        _("All signals have been delivered again."),
    ),
    UNRECONCILED: lambda: (
        _("paiementpro_reconcile has not run for over an hour: check the cron job."),
        _("paiementpro_reconcile runs again."),
    ),
    OVERDUE: lambda: (
        _("Payments that should have expired have not: check paiementpro_reconcile."),
        _("Overdue payments expire again."),
    ),
    SILENT: lambda: (
        _("Paiement Pro’s notifications have stopped arriving: payments are found only by asking. Run the doctor."),
        _("Paiement Pro’s notifications arrive again."),
    ),
}


def review_line(findings: Iterable[Finding]) -> Line:
    """Return what to say about the payments that need a review."""
    payments = {finding.payment_id: finding for finding in findings}
    text = ngettext("%(count)d payment needs a review.", "%(count)d payments need a review.", len(payments))
    details = tuple(
        _("%(label)s: %(text)s") % {"label": finding.payment.short_reference, "text": finding.get_reason_display()}
        for finding in list(payments.values())[:MAX_NAMED]
    )
    return Line(text % {"count": len(payments)}, details, query="?review=1")
