"""The conclusions: sentences in the active language, and the settings to write."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_paiementpro.conf import conf
from django_paiementpro.models import offered_channels
from django_paiementpro.verification.cases import Case

#: What people call the transports.
TRANSPORTS = {"json": "JSON", "soap": "SOAP"}


def label_of(case: Case) -> str:
    """Return what people call the payment method of a case."""
    return str(dict(offered_channels()).get(case.channel, case.channel)) if case.channel else _("Choice on the page")


def sentences(cases: Iterable[Case]) -> Iterator[str]:
    """Yield what was found: transports first, then notifications, then the status look-up."""
    cases = list(cases)
    for transport in dict.fromkeys(case.transport for case in cases):
        yield _transport_sentence(transport, [case for case in cases if case.transport == transport])
    paid = [case for case in cases if case.is_paid]
    yield from _notification_sentences(cases)
    yield from _look_up_sentences(paid)
    if any(returned["has_second_question_mark"] for case in cases for returned in case.returns):
        yield _("The gateway adds a second “?” to the return URL.")


def _transport_sentence(transport: str, cases: list[Case]) -> str:
    params = {"transport": TRANSPORTS.get(transport, transport)}
    paid, opened = [case for case in cases if case.is_paid], [case for case in cases if case.page.get("host")]
    if paid:
        params["channels"] = ", ".join(label_of(case) for case in paid)
        return _("%(transport)s takes payments: %(channels)s.") % params
    if opened:
        return _("%(transport)s opens pages, but none was paid.") % params
    return _("%(transport)s opens no page.") % params


def _notification_sentences(cases: list[Case]) -> Iterator[str]:
    notified = [case for case in cases if case.notifications]
    if not notified:
        if any(case.page.get("host") for case in cases):
            yield _("No notification arrived.")
        return
    silent = [label_of(case) for case in cases if case.is_paid and not case.notifications]
    if silent:
        yield _("No notification arrived about %(channels)s.") % {"channels": ", ".join(silent)}
    most = max(len(case.notifications) for case in notified)
    if most == 1:
        yield _("Notifications come once.")
        return
    gaps = [second["seconds"] - first["seconds"] for case in notified for first, second in pairwise(case.notifications)]
    yield ngettext(
        "Each notification arrives up to %(count)d time, at most %(seconds)d s apart.",
        "Each notification arrives up to %(count)d times, at most %(seconds)d s apart.",
        most,
    ) % {"count": most, "seconds": round(max(gaps))}


def _look_up_sentences(paid: list[Case]) -> Iterator[str]:
    if not conf.status_url:
        yield _("The status look-up is switched off.")
        return
    unknown = [label_of(case) for case in paid if not knows(case)]
    if unknown:
        params = {"channels": ", ".join(dict.fromkeys(unknown))}
        yield _("The status look-up does not know payments by %(channels)s.") % params
    wrong = [label_of(case) for case in paid for answer in case.look_ups if not _fits(answer)]
    if wrong:
        params = {"channels": ", ".join(dict.fromkeys(wrong))}
        yield _("The status look-up answers with other values than those paid: %(channels)s.") % params
    known_after = [min(_known_after(case)) for case in paid if knows(case)]
    if known_after:
        yield _("The status look-up knows a payment at most %(seconds)d s after its page was opened.") % {
            "seconds": round(max(known_after))
        }


def knows(case: Case) -> bool:
    """Return whether the status service knew the payment in the end."""
    return bool(_known_after(case))


def _known_after(case: Case) -> list[float]:
    return [answer["seconds"] for answer in case.look_ups if answer["outcome"] == "known"]


def _fits(answer: dict[str, object]) -> bool:
    matches = answer.get("matches")
    return not isinstance(matches, dict) or all(matches.values())


def settings_to_write(cases: Iterable[Case]) -> list[str]:
    """Return the lines of ``settings.py`` that the findings speak for; those that are so already are left out."""
    cases = list(cases)
    paid = [case for case in cases if case.is_paid]
    if not paid:
        return []
    lines = []
    working = list(dict.fromkeys(case.transport for case in paid))
    if conf.transport not in working:
        lines.append(f'PAIEMENTPRO_TRANSPORT = "{working[0]}"')
    if conf.status_url and not any(knows(case) for case in paid):
        lines.append("PAIEMENTPRO_STATUS_URL = None")
    refused = {case.channel for case in cases if case.page.get("outcome") == "refused"} - {
        case.channel for case in paid
    }
    if refused.intersection(conf.channels):
        offered = ", ".join(f'"{code}"' for code in conf.channels if code not in refused)
        lines.append(f"PAIEMENTPRO_CHANNELS = [{offered}]")
    return lines
