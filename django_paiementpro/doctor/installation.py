"""What the settings say, and who listens."""

from collections.abc import Iterator

from django.conf import settings
from django.core.checks import ERROR, CheckMessage, run_checks
from django.core.checks.security.base import check_secret_key, check_secret_key_fallbacks
from django.utils.translation import gettext as _

from django_paiementpro.doctor.findings import Finding, failure, passed, warning
from django_paiementpro.doctor.visits import Visit
from django_paiementpro.models import Payment
from django_paiementpro.signals import payment_succeeded

# What other topics look at more closely: the URLs, the receivers, the site's address.
ELSEWHERE = frozenset({"paiementpro.E003", "paiementpro.E004", "paiementpro.W003"})


def settings_findings(visit: Visit) -> Iterator[Finding]:
    messages = run_checks(tags=["paiementpro"], include_deployment_checks=True)
    findings = [_finding(message) for message in messages if message.id not in ELSEWHERE]
    findings += _keys(visit)
    if settings.DEBUG and visit.base_url and not visit.is_local:
        findings.append(
            warning(
                _(
                    "DEBUG is on, and the gateway is not a local one: an error page would show payments to whoever "
                    "meets it. Write DEBUG = False where real money is taken."
                )
            )
        )
    yield from findings or [passed(_("The settings are as they should be."))]


def receiver_findings(visit: Visit) -> Iterator[Finding]:
    names = payment_succeeded.receiver_names(Payment)
    if names:
        yield passed(_("payment_succeeded is heard by %(names)s.") % {"names": ", ".join(names)})
    else:
        yield failure(
            _("No receiver is connected to payment_succeeded: paid orders are not fulfilled."),
            _("Connect one in a module that your AppConfig.ready() imports."),
        )


def _keys(visit: Visit) -> list[Finding]:
    """Look at the keys that sign the notification URLs, with Django's own measure."""
    verdict = warning if visit.is_local else failure
    return [
        verdict(
            _(
                "%(setting)s can be guessed, and whoever guesses it can say “paid” in the gateway’s place. Write a key "
                "of 50 random characters or more."
            )
            % {"setting": setting}
        )
        for setting, check in (("SECRET_KEY", check_secret_key), ("SECRET_KEY_FALLBACKS", check_secret_key_fallbacks))
        if check(None)
    ]


def _finding(message: CheckMessage) -> Finding:
    verdict = failure if message.level >= ERROR else warning
    return verdict(str(message.msg), str(message.hint or ""), f"({message.id})")
