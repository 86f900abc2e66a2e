"""Tell the staff what is new, at least once, in one mail for each language."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from django_paiementpro import log
from django_paiementpro.alerts.conditions import find_conditions
from django_paiementpro.alerts.mail import Line, admin_url, mail_staff
from django_paiementpro.alerts.wording import review_line, subject_of, text_of
from django_paiementpro.db.connections import database
from django_paiementpro.enums import Outcome
from django_paiementpro.models import Alert, Finding

#: The alert about payments to review, and how often it is mailed at most.
REVIEW = "review"
REVIEW_INTERVAL = timedelta(hours=1)

#: A process that has begun to mail an alert and not finished within this time has died.
CLAIM = timedelta(minutes=10)

#: How many findings are noted as mailed in one query.
BATCH = 500


def send_alerts(now: datetime | None = None) -> int:
    """Mail what is new to ``PAIEMENTPRO_ALERT_EMAILS``, and return how many alerts it was about."""
    now = now or timezone.now()
    _note_conditions(now)
    # The alerts come first: if another process mails them after that, they can no longer be claimed.
    due = list(_alerts().order_by("pk"))
    is_review_due = any(alert.key == REVIEW and _may_mail_again(alert, now) for alert in due)
    findings = list(_new_findings().select_related("payment").order_by("pk")) if is_review_due else []
    alerts = [alert for alert in due if _is_due(alert, now, findings) and _claim(alert, now)]
    if not alerts:
        return 0
    try:
        mail_staff(lambda: _message(alerts, findings))
    except Exception as error:  # noqa: BLE001  the next run tries again
        log.write("alerts_not_sent", outcome=Outcome.FAILED, raised=error)
        _alerts().filter(pk__in=[alert.pk for alert in alerts]).update(claimed_at=None)
        return 0
    for alert in alerts:
        _finish(alert, now, findings)
    return len(alerts)


def _alerts() -> Any:
    return Alert.objects.using(database())


def _note_conditions(now: datetime) -> None:
    """Store which conditions hold now."""
    known = {alert.key: alert for alert in _alerts().exclude(key=REVIEW)}
    for key, holds in find_conditions(now).items():
        if key in known and known[key].is_active != holds:
            _alerts().filter(key=key).update(is_active=holds, since=now)
        elif key not in known and holds:
            _alerts().bulk_create([Alert(key=key, since=now)], ignore_conflicts=True)
    _alerts().filter(is_active=False, was_told=False).delete()
    if _new_findings().exists() and not _alerts().filter(key=REVIEW).exists():
        _alerts().bulk_create([Alert(key=REVIEW, since=now)], ignore_conflicts=True)


def _new_findings() -> QuerySet[Finding]:
    """
    Return the open findings that were not mailed yet.

    Each finding stores when it was mailed, since it may be committed after others with a higher id.
    """
    return Finding.objects.using(database()).filter(reviewed_at=None, mailed_at=None)


def _is_due(alert: Alert, now: datetime, findings: Sequence[Finding]) -> bool:
    """Return whether to mail an alert, for the first time or again."""
    if alert.key == REVIEW:
        return bool(findings) and _may_mail_again(alert, now)
    return alert.is_active != alert.was_told


def _may_mail_again(alert: Alert, now: datetime) -> bool:
    return alert.mailed_at is None or not now - REVIEW_INTERVAL < alert.mailed_at <= now


def _claim(alert: Alert, now: datetime) -> bool:
    """Return whether this process is the one to mail the alert, as it was read."""
    is_free = Q(claimed_at=None) | ~Q(claimed_at__gt=now - CLAIM, claimed_at__lte=now)
    as_read = {"pk": alert.pk, "is_active": alert.is_active, "was_told": alert.was_told, "mailed_at": alert.mailed_at}
    return bool(_alerts().filter(is_free, **as_read).update(claimed_at=now))


def _finish(alert: Alert, now: datetime, findings: Sequence[Finding]) -> None:
    if alert.key == REVIEW:
        # Before the alert is free again.
        for start in range(0, len(findings), BATCH):
            _new_findings().filter(pk__in=[each.pk for each in findings[start : start + BATCH]]).update(mailed_at=now)
    _alerts().filter(pk=alert.pk).update(claimed_at=None, mailed_at=now, was_told=alert.is_active)


def _message(alerts: Sequence[Alert], findings: Sequence[Finding]) -> tuple[str, str, dict[str, Any]]:
    """Return the subject, the template and its context, in the active language."""
    lines = [review_line(findings) if alert.key == REVIEW else text_of(alert) for alert in alerts]
    return subject_of(lines), "alerts", {"lines": [(line, _link(line)) for line in lines]}


def _link(line: Line) -> str:
    return admin_url(line.url_name, line.query)
