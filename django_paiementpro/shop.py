"""The shop's identity, which its customers see: ``PAIEMENTPRO_SHOP``."""

from dataclasses import dataclass
from urllib.parse import quote

from django.templatetags.static import static

from django_paiementpro.phones import parse_phone


@dataclass(frozen=True, slots=True)
class Shop:
    """What ``PAIEMENTPRO_SHOP`` says about the shop. Everything may be empty."""

    name: str = ""
    #: A URL, or the path of a static file.
    logo: str = ""
    phone: str = ""
    whatsapp: str = ""
    email: str = ""
    address: str = ""
    #: The number in the trade register (RCCM).
    registration: str = ""
    #: The taxpayer's number (NCC, IFU, NINEA).
    tax_id: str = ""
    #: The terms of sale: a URL or a path.
    terms_url: str = ""

    @property
    def logo_url(self) -> str:
        """The URL of the logo, or an empty string if there is none, or its static file has not been collected."""
        if not self.logo or "://" in self.logo:
            return self.logo
        try:
            return static(self.logo)
        except ValueError:  # a manifest does not list it
            return ""

    @property
    def phone_url(self) -> str:
        return f"tel:{parse_phone(self.phone)}" if self.phone else ""

    @property
    def has_contact(self) -> bool:
        """Whether there is a way for customers to reach the shop."""
        return bool(self.phone or self.whatsapp or self.email)

    def whatsapp_url(self, text: str) -> str:
        """Return the link that opens a conversation with the shop, with this message prefilled."""
        return f"https://wa.me/{parse_phone(self.whatsapp)[1:]}?text={quote(text, safe='')}" if self.whatsapp else ""

    def mail_url(self, subject: str, text: str) -> str:
        """Return the link that opens an e-mail to the shop, with this subject and message prefilled."""
        if not self.email:
            return ""
        return f"mailto:{quote(self.email, safe='@')}?subject={quote(subject, safe='')}&body={quote(text, safe='')}"
