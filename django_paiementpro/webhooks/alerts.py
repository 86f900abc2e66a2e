"""The mail about an endpoint that was switched off. It is due from that moment, so a mail server may be away."""

from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from django_paiementpro import log
from django_paiementpro.alerts.mail import Line, mail_staff
from django_paiementpro.db.connections import database
from django_paiementpro.enums import Outcome
from django_paiementpro.services.checkout import absolute_url
from django_paiementpro.webhooks.models import Delivery, Endpoint, explain

#: How soon another process may try to send the mail.
LEASE = timedelta(minutes=5)


def report_endpoints() -> None:
    """Mail what has not been reported yet. An error is logged, and the next reconciliation tries again."""
    for endpoint in Endpoint.objects.using(database()).filter(report_at__lte=timezone.now()):
        rows = Endpoint.objects.using(database()).filter(pk=endpoint.pk)
        if not rows.filter(report_at=endpoint.report_at).update(report_at=timezone.now() + LEASE):
            continue  # another process is sending it
        try:
            mail_staff(partial(_message, endpoint))
        except Exception as error:  # noqa: BLE001  mail backends raise anything
            log.write("deferred_work_failed", outcome=Outcome.FAILED, raised=error)
        else:
            rows.update(report_at=None)


def _message(endpoint: Endpoint) -> tuple[str, str, dict[str, Any]]:
    """Return the subject, the template and its context, in the active language."""
    failed = Delivery.objects.using(database()).filter(endpoint=endpoint, failures__gte=1).order_by("-pk").first()
    details = [
        _(
            "Webhooks to %(host)s have been switched off: one of them failed six times, over 31 hours. Nothing is sent "
            "there any more."
        )
        % {"host": endpoint.host},
        _("Newest answer: %(answer)s") % {"answer": explain(failed.last_attempt)} if failed else "",
        _("Correct the endpoint, send a test, and switch it on again. Then send again what it has missed."),
    ]
    subject = pgettext("webhook", "Switched off: %(endpoint)s") % {"endpoint": endpoint}
    return subject, "alerts", {"lines": [(Line(subject, tuple(filter(None, details))), _admin_url(endpoint))]}


def _admin_url(endpoint: Endpoint) -> str:
    """Return the page of the endpoint; empty if there is no admin, or no public address."""
    with suppress(NoReverseMatch, ImproperlyConfigured):
        return absolute_url(reverse("admin:paiementpro_webhooks_endpoint_change", args=[endpoint.pk]), None)
    return ""
