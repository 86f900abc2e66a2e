"""What the optional apps of this package add to the core, which does not import them."""

from collections.abc import Collection, Iterator, Mapping
from threading import Event
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig, apps

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_paiementpro.models import Payment


class ExtensionConfig(AppConfig):
    """The configuration of an optional app. Each method adds nothing unless it is overridden."""

    #: Whether customers pay for what no receiver of the host needs to hear about.
    sells = False

    def reconcile(self, stop: Event) -> Mapping[str, int]:
        """Do the app's part of a reconciliation, until ``stop`` is set. Return what was done, in numbers."""
        return {}

    def blank_personal_data(self, payments: Collection[int]) -> None:
        """Blank the personal data that belong to these payments, by key, inside the transaction that blanks theirs."""

    def erase_person(self, email: str, phone: str, *, dry_run: bool = False) -> Mapping[str, int]:
        """
        Blank the other data that the app stores about a person, or only count it.

        ``email`` is in the form of ``normalization.canonical_email``, ``phone`` in E.164 format; one of them may be
        empty. Return how many rows there were, by what people call them: ``{"payment links": 2}``.
        """
        return {}

    def result_context(self, payment: "Payment") -> Mapping[str, Any]:
        """Return extra context for the result page: ``receipt_url``, ``success_message``."""
        return {}

    def keeps_payer(self, payment: "Payment") -> bool:
        """Return whether the payer stays on the result page, whatever ``PAIEMENTPRO_SUCCESS_URL`` says."""
        return False

    def admin_links(self, request: "HttpRequest", payment: "Payment") -> list[tuple[str, str]]:
        """Return labels and URLs that the payment's page in the admin links to, for this user."""
        return []


def extensions() -> Iterator[ExtensionConfig]:
    """Iterate over the optional apps that are installed."""
    return (config for config in apps.get_app_configs() if isinstance(config, ExtensionConfig))
