"""Payment links: from the address in a chat to the money."""

import re
import secrets

import pytest
from playwright.sync_api import expect

from tests.browser.demo import Demo
from tests.browser.people import LOGO, LOOK, Person

pytestmark = pytest.mark.browser

MAX_WEIGHT = 20_000


def make_link(demo: Demo, **values: object) -> str:
    """Make a link, as staff do, and return its path."""
    token = secrets.token_hex(12)
    values = {"token": token, "title": "Panier de mangues", **values}
    code = f"from django_paiementpro.links.models import PaymentLink; PaymentLink.objects.create(**{values!r})"
    demo.manage("shell", "-c", code)
    return f"/pay/{token}/"


def opens(person: Person, path: str, heading: str, shot: str = "") -> None:
    """Open a page of a link, and look at it: light, in both colour schemes, with nothing loaded but the logo."""
    person.page.goto(path)
    expect(person.page.get_by_role("heading", level=1)).to_have_text(heading)
    person.looks(shot)
    assert len(person.documents[person.page.url].body()) < MAX_WEIGHT
    person.page.emulate_media(color_scheme="dark")
    look = person.page.evaluate(LOOK)
    assert look["faint"] == []
    assert set(look["resources"]) <= {LOGO}
    person.page.emulate_media(color_scheme="light")


def fills_in(person: Person, **values: str) -> None:
    customer = {
        "customer_first_name": "Awa",
        "customer_last_name": "Koné",
        "customer_email": person.email,
        "customer_phone": "07 07 12 34 56",
    }
    for name, value in {**customer, **values}.items():
        person.page.locator(f"[name={name}]").fill(value)


def submits(person: Person) -> None:
    person.page.locator("form button").click()


def test_link_is_bought(payer: Person, demo: Demo) -> None:
    path = make_link(demo, amount=5000, description="Kent, 5 kg.", success_message="Livraison demain.")
    opens(payer, path, "Panier de mangues", "link")
    expect(payer.page.locator(".price")).to_have_text(re.compile(r"5\s000\sF\sCFA"))
    fills_in(payer)
    submits(payer)
    payer.sees("To pay")
    payer.presses("Pay")
    expect(payer.page.get_by_text("Livraison demain.")).to_be_visible(timeout=30_000)
    assert urlpath(payer).startswith("/paiementpro/return/")
    payer.looks("link-result")
    assert demo.payments_of(payer.email) == [("succeeded", 1)]

    payer.page.goto(path)
    expect(payer.page.locator("svg.good")).to_be_visible()
    expect(payer.page.locator("form")).to_have_count(0)
    payer.looks("link-paid")


def test_customer_goes_back_and_corrects_the_number(payer: Person, demo: Demo) -> None:
    path = make_link(demo, amount=None, suggested_amounts=[2000, 5000], is_reusable=True)
    opens(payer, path, "Panier de mangues", "link-open-amount")
    fills_in(payer, customer_phone="07 07 12 34 5")
    payer.page.locator("[type=radio]").nth(1).check()
    payer.page.locator("[name=channel]").select_option("WAVECI")
    submits(payer)
    payer.sees("To pay")

    payer.page.go_back()
    payer.page.locator("[name=customer_phone]").fill("07 07 12 34 56")
    payer.page.locator("[name=customer_email]").fill(payer.email)
    submits(payer)
    payer.sees("To pay")
    payer.presses("Pay")
    expect(payer.page.locator("svg.good")).to_be_visible(timeout=30_000)
    statuses = [status for status, _attempt in demo.payments_of(payer.email)]
    assert statuses.count("succeeded") == 1


def test_wrong_answers_are_marked(payer: Person, demo: Demo) -> None:
    path = make_link(demo, amount=None, min_amount=500, max_amount=20000)
    opens(payer, path, "Panier de mangues")
    fills_in(payer, amount="12,5", customer_phone="12")
    submits(payer)
    expect(payer.page.locator(".error")).to_have_count(2)
    expect(payer.page.locator("#id_amount")).to_have_value("12,5")
    payer.forgets_troubles("400")
    payer.looks("link-wrong")

    fills_in(payer, amount="12.500 F")
    submits(payer)
    payer.sees("To pay")
    assert demo.execute("SELECT amount FROM paiementpro_payment WHERE customer_email = ?", payer.email) == [12500]


@pytest.mark.parametrize(
    "values", [{"is_active": False}, {"max_payments": 0, "is_reusable": True}], ids=["off", "full"]
)
def test_closed_link_tells_how_to_reach_the_shop(payer: Person, demo: Demo, values: dict[str, object]) -> None:
    payer.page.goto(make_link(demo, amount=5000, **values))
    expect(payer.page.locator("form")).to_have_count(0)
    expect(payer.page.get_by_role("link", name="WhatsApp")).to_be_visible()
    payer.forgets_troubles("410")
    payer.looks("link-closed")


def urlpath(person: Person) -> str:
    return re.sub("^https?://[^/]+", "", person.page.url)
