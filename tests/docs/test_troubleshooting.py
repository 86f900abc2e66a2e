"""What the page about troubleshooting quotes is what the app shows, with the same status."""

import html
import re
from contextlib import AbstractContextManager, nullcontext

import pytest
from django.test import Client

from django_paiementpro.services.checkout import gateway_place
from django_paiementpro.testing import FakeGateway, make_payment
from tests.docs.pages import LANGUAGES, page

# The symptoms: the page's title in italics, the status, and in the log a line.
SYMPTOM = re.compile(r"^\*(.+)\* \((\d{3})(?:, :logline:`(\w+)`)?", re.MULTILINE)
CASES = {
    "page_unavailable": "unavailable",
    "page_refused": "refused",
    "payment_invalid": "invalid",
    "429": "paused",
    "503": "busy",
}


def symptoms(language: str) -> dict[str, tuple[str, int]]:
    found = SYMPTOM.findall(page(language, "howto/troubleshooting"))
    return {CASES[line or status]: (title, int(status)) for title, status, line in found}


@pytest.mark.django_db
@pytest.mark.parametrize("case", CASES.values())
@pytest.mark.parametrize("language", LANGUAGES)
def test_checkout_shows_what_the_page_quotes(
    language: str, case: str, settings: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    settings.PAIEMENTPRO_API_GATEWAY_CALLS = 1
    payment = make_payment(description="" if case == "invalid" else "Attiéké")
    client = Client(headers={"accept-language": language})
    place: AbstractContextManager[None] = gateway_place() if case == "busy" else nullcontext()

    with FakeGateway() as gateway, place:
        if case == "unavailable":
            gateway.is_away()
        if case in {"refused", "paused"}:
            gateway.refuses()
        for _ in range(3 if case == "paused" else 0):
            client.get(payment.get_checkout_url())
        response = client.get(payment.get_checkout_url())

    title, status = symptoms(language)[case]
    assert response.status_code == status
    assert title in html.unescape(response.text)
    [logged] = [line for line, its_case in CASES.items() if its_case == case]
    assert logged in caplog.text or logged.isdigit()
