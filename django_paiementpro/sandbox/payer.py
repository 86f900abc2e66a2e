"""What the payer can do on the page, including edge cases, and the notifications that follow."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from django_paiementpro.sandbox import protocol, sending
from django_paiementpro.sandbox.models import SandboxSession

#: Seconds between the payer's return and the notification.
AFTER_SECONDS = 2.0
LATE_SECONDS = 10.0


class Way(models.TextChoices):
    """What the payer does: the page's three buttons, then the edge cases."""

    PAY = "pay", pgettext_lazy("payment page", "Pay")
    REFUSE = "refuse", pgettext_lazy("payment page", "Refuse")
    CANCEL = "cancel", pgettext_lazy("payment page", "Cancel")
    BEFORE = "before", _("Notification before the return")
    AFTER = "after", _("Notification after the return")
    LATE = "late", _("Notification late")
    LOST = "lost", _("Notification lost")
    DOUBLED = "doubled", _("Notification doubled")
    WRONG_AMOUNT = "wrong_amount", _("Wrong amount")
    FORGED = "forged", _("Forged notification")
    REFUSED_THEN_PAID = "refused_then_paid", _("Refused, then paid")
    UNPAID_RETURN = "unpaid_return", _("Return without payment")
    LEAVE = "leave", _("Leave without paying")

    @property
    def advice(self) -> Any:
        """What happens, and how a good shop reacts."""
        return ADVICE.get(self, "")

    @property
    def takes_money(self) -> bool:
        return self not in {Way.REFUSE, Way.CANCEL, Way.FORGED, Way.UNPAID_RETURN, Way.LEAVE}


ADVICE: dict[Way, Any] = {
    Way.BEFORE: _("The shop is notified while the payer is still here. A good shop shows a paid order on return."),
    Way.AFTER: _(
        "The payer returns two seconds before the notification arrives. A good shop says that it is waiting or, if the "
        "status look-up already confirms the payment, “paid”; never “failed”."
    ),
    Way.LATE: _(
        "The notification arrives ten seconds after the payer. A good shop waits or uses the status look-up, and does "
        "not ask for a second payment."
    ),
    Way.LOST: _("No notification is sent. A good shop uses the status look-up, on return and at intervals."),
    Way.DOUBLED: _("Two notifications arrive at the same time. A good shop fulfils the order once."),
    Way.WRONG_AMOUNT: _(
        "Half of the price is paid and notified. A good shop does not deliver, and has a person review the order."
    ),
    Way.FORGED: _("Nothing is paid; a stranger guesses the notification’s URL. A good shop ignores the request."),
    Way.REFUSED_THEN_PAID: _(
        "The first attempt fails, the second succeeds on the same page. For a good shop, the success counts."
    ),
    Way.UNPAID_RETURN: _(
        "The payer returns with responsecode=0, but nothing was paid. A good shop does not trust the return URL."
    ),
    Way.LEAVE: _(
        "The payer closes the page; the shop is not notified. A good shop offers the link again, and lets it expire."
    ),
}

EDGE_CASES = list(ADVICE)


def act(session: SandboxSession, way: Way, channel: str) -> str | None:
    """
    Do what the payer chose, once, and notify the shop accordingly.

    Return the response code with which the payer returns to the shop, or None if the session has expired meanwhile.
    """
    session.begin_attempt(channel)
    if way == Way.UNPAID_RETURN:
        return protocol.SUCCESS_CODE
    if way == Way.FORGED:
        url = protocol.forged_url(session.notification_url)
        sending.send(url, protocol.notification_fields(session, protocol.SUCCESS_CODE))
        return protocol.SUCCESS_CODE
    if way.takes_money:
        return _pay(session, way)
    return _fail(session)


def _fail(session: SandboxSession) -> str | None:
    if not session.fail():
        return _settled_code(session)
    sending.send(session.notification_url, protocol.notification_fields(session, protocol.FAILURE_CODE))
    return protocol.FAILURE_CODE


def _pay(session: SandboxSession, way: Way) -> str | None:
    if way == Way.REFUSED_THEN_PAID:
        _fail(session)
        session.begin_attempt(session.channel)
    if not session.pay(session.amount // 2 if way == Way.WRONG_AMOUNT else session.amount):
        return _settled_code(session)
    url, fields = session.notification_url, protocol.notification_fields(session, protocol.SUCCESS_CODE)
    if way == Way.AFTER:
        sending.send_later(url, fields, AFTER_SECONDS)
    elif way == Way.LATE:
        sending.send_later(url, fields, LATE_SECONDS)
    elif way == Way.DOUBLED:
        sending.send_twice(url, fields)
    elif way != Way.LOST:
        sending.send(url, fields)
    return protocol.SUCCESS_CODE


def _settled_code(session: SandboxSession) -> str | None:
    """Return the result of an earlier click, so that a payer who clicks twice returns to the shop as well."""
    return protocol.SUCCESS_CODE if session.is_paid else None
