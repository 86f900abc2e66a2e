"""Mail to the staff, each in their language."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import translation

from django_paiementpro.conf import conf

LIST = "admin:paiementpro_payment_changelist"


@dataclass(frozen=True, slots=True)
class Line:
    """What is new: a sentence, details, and the admin's page about it."""

    text: str
    details: tuple[str, ...] = ()
    url_name: str = LIST
    query: str = ""


def admin_url(name: str, query: str = "") -> str:
    """Return the public URL of an admin page; empty if the site has no admin, or no ``PAIEMENTPRO_SITE_URL``."""
    try:
        return f"{conf.site_url}{reverse(name)}{query}" if conf.site_url and name else ""
    except NoReverseMatch:
        return ""


def mail_staff(compose: Callable[[], tuple[str, str, dict[str, Any]]]) -> None:
    """Mail the staff, each language once. ``compose`` returns subject, template and context in the active language."""
    by_language: dict[str, list[str]] = {}
    for address, language in conf.alert_emails:
        by_language.setdefault(language or settings.LANGUAGE_CODE, []).append(address)
    for language, addresses in by_language.items():
        with translation.override(language):
            subject, template, context = compose()
            subject = f"[{conf.shop.name or 'Paiement Pro'}] {subject}"
            context |= {"subject": subject, "shop": conf.shop}
            text, html = (render_to_string(f"paiementpro/mail/{template}.{kind}", context) for kind in ("txt", "html"))
        mail = EmailMultiAlternatives(" ".join(subject.split()), text, settings.SERVER_EMAIL, addresses)
        mail.attach_alternative(html, "text/html")
        mail.send()
