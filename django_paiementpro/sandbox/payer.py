"""What the payer may do on the page, the awkward ways included, and what the shop hears of each."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from django_paiementpro.sandbox import sending, wire
from django_paiementpro.sandbox.models import SandboxSession

#: How long after the payer's return a notification comes, in seconds.
AFTER_SECONDS = 2.0
LATE_SECONDS = 10.0


class Way(models.TextChoices):
    """What the payer does. The first three are the page's buttons, the others the drawer's."""

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
    LEAVE = "leave", _("Leave without a word")

    @property
    def advice(self) -> Any:
        """What happens, and what a good shop does about it."""
        return ADVICE.get(self, "")

    @property
    def takes_money(self) -> bool:
        return self not in {Way.REFUSE, Way.CANCEL, Way.FORGED, Way.UNPAID_RETURN, Way.LEAVE}


ADVICE: dict[Way, Any] = {
    Way.BEFORE: _(
        "The shop hears of the payment while the payer is still here. A good shop greets the payer with a paid order."
    ),
    Way.AFTER: _(
        "The payer is back two seconds before the notification. A good shop says that it is waiting or, where the "
        "status look-up knows of the payment already, “paid”; never “failed”."
    ),
    Way.LATE: _(
        "The notification comes ten seconds after the payer. A good shop waits or asks the status look-up, and asks "
        "nobody to pay again."
    ),
    Way.LOST: _("No notification is ever sent. A good shop asks the status look-up, on return and by the clock."),
    Way.DOUBLED: _("Two notifications arrive in the same instant. A good shop fulfils the order once."),
    Way.WRONG_AMOUNT: _(
        "Half of the price is paid and notified. A good shop keeps the goods, and shows the order to a person."
    ),
    Way.FORGED: _(
        "Nothing is paid; a stranger guesses the address of the notification. A good shop does not even look at it."
    ),
    Way.REFUSED_THEN_PAID: _(
        "The first try fails, the second succeeds on the same page. A good shop lets the success win."
    ),
    Way.UNPAID_RETURN: _(
        "The payer comes back with responsecode=0, and nothing was paid. A good shop believes no return URL."
    ),
    Way.LEAVE: _(
        "The page is closed, and nobody tells the shop. A good shop offers the link again, and expires it in time."
    ),
}

AWKWARD_WAYS = list(ADVICE)


def act(session: SandboxSession, way: Way, channel: str) -> str | None:
    """
    Do what the payer who stays chose, once, and tell the shop what it is to hear.

    Return the response code with which the payer goes back to the shop; None where the session has expired meanwhile.
    """
    session.begin_try(channel)
    if way == Way.UNPAID_RETURN:
        return wire.SUCCESS_CODE
    if way == Way.FORGED:
        url = wire.forged_url(session.notification_url)
        sending.send(url, wire.notification_fields(session, wire.SUCCESS_CODE))
        return wire.SUCCESS_CODE
    if way.takes_money:
        return _pay(session, way)
    return _fail(session)


def _fail(session: SandboxSession) -> str | None:
    if not session.fail():
        return _settled_code(session)
    sending.send(session.notification_url, wire.notification_fields(session, wire.FAILURE_CODE))
    return wire.FAILURE_CODE


def _pay(session: SandboxSession, way: Way) -> str | None:
    if way == Way.REFUSED_THEN_PAID:
        _fail(session)
        session.begin_try(session.channel)
    if not session.pay(session.amount // 2 if way == Way.WRONG_AMOUNT else session.amount):
        return _settled_code(session)
    url, fields = session.notification_url, wire.notification_fields(session, wire.SUCCESS_CODE)
    if way == Way.AFTER:
        sending.send_later(url, fields, AFTER_SECONDS)
    elif way == Way.LATE:
        sending.send_later(url, fields, LATE_SECONDS)
    elif way == Way.DOUBLED:
        sending.send_twice(url, fields)
    elif way != Way.LOST:
        sending.send(url, fields)
    return wire.SUCCESS_CODE


def _settled_code(session: SandboxSession) -> str | None:
    """Return the code of what another click has decided: a payer who clicks twice goes back all the same."""
    return wire.SUCCESS_CODE if session.is_paid else None
