"""What payment methods look like: a name, and letters on a colour of our own instead of a trademark."""

from dataclasses import dataclass

from django.utils.html import format_html
from django.utils.safestring import SafeString

from django_paiementpro.conf import conf
from django_paiementpro.enums import Channel


@dataclass(frozen=True, slots=True)
class Mark:
    """The sign of a brand. Without letters it is a drawing: a bank card, or a coin."""

    brand: str
    letters: str
    ground: str
    ink: str


_BANK_CARD = Mark("bankcard", "", "#1f2937", "#ffffff")
_OTHER = Mark("other", "", "#5b6678", "#ffffff")

# By prefix of the gateway's codes, so that a new country needs no new version.
_MARKS = {
    "OM": Mark("orange", "OM", "#ff7900", "#000000"),
    "MOMO": Mark("mtn", "MTN", "#ffcb05", "#0a2540"),
    "FLOOZ": Mark("moov", "Moov", "#0b5cad", "#ffffff"),
    "MOOV": Mark("moov", "Moov", "#0b5cad", "#ffffff"),
    "WAVE": Mark("wave", "Wave", "#5cd3ff", "#06283d"),
    "TOGOCEL": Mark("tmoney", "T", "#ffe14d", "#7a1010"),
    "AIRTEL": Mark("airtel", "air", "#c8102e", "#ffffff"),
    "CARD": _BANK_CARD,
}

# Attributes rather than styles, which a content security policy may forbid.
_SVG = (
    '<svg class="channel-mark {brand}" viewBox="0 0 52 36" width="52" height="36" {name} focusable="false">'
    '<rect width="52" height="36" rx="8" fill="{ground}"/>{sign}</svg>'
)
_LETTERS = (
    '<text x="26" y="23" fill="{ink}" font-family="system-ui, sans-serif" font-size="13" font-weight="800"'
    ' text-anchor="middle">{letters}</text>'
)
_CARD = (
    '<g fill="none" stroke="{ink}" stroke-width="2"><rect x="14" y="9" width="24" height="18" rx="3"/>'
    '<path d="M14 15h24M18 22h6"/></g>'
)
_COIN = (
    '<g fill="none" stroke="{ink}" stroke-width="2"><circle cx="26" cy="18" r="9"/><circle cx="26" cy="18" r="4"/></g>'
)


def mark_of(channel: str) -> Mark:
    """Return the mark of a payment method."""
    return next((mark for prefix, mark in _MARKS.items() if channel.upper().startswith(prefix)), _OTHER)


def label_of(channel: str) -> str:
    """Return the name of a payment method, as the shop or else the app calls it; an unknown code as it is."""
    if label := conf.channels.get(channel):
        return str(label)
    return str(Channel(channel).label) if channel in Channel.values else channel


def draw_mark(channel: str, name: str = "") -> SafeString:
    """
    Return the mark as inline SVG, which needs no files and no styles.

    ``name`` is what screen readers say; without it they skip the mark, since a label beside it says the same.
    """
    mark = mark_of(channel)
    sign = _LETTERS if mark.letters else (_CARD if mark is _BANK_CARD else _COIN)
    said = format_html('role="img" aria-label="{}"', name) if name else SafeString('aria-hidden="true"')
    drawn = format_html(sign, ink=mark.ink, letters=mark.letters)
    return format_html(_SVG, brand=mark.brand, name=said, ground=mark.ground, sign=drawn)
