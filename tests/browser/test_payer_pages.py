"""The payer pages in the shop's colours and as they come: what they look like, and for whom they can be used."""

import itertools
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python import sync_playwright as axe
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import come_to
from tests.browser.demo import Demo
from tests.browser.people import EXPECT_MILLISECONDS, KINDS, Person

pytestmark = pytest.mark.browser

SCHEMES: list[Any] = ["light", "dark"]

# Each page with its payment.
PAYMENTS = """
import json
from datetime import timedelta
from django.utils import timezone
from django_paiementpro.testing import make_payment
now = timezone.now()
opened = {"attempt": 1, "channel": "OMCIV2", "initialized_at": now}
settled = {**opened, "gateway_channel": "OMCIV2", "settled_at": now, "gateway_id": "MP261130.1632.A12345"}
print(json.dumps({
    "pay": make_payment().get_pay_url(),
    "pay-again": make_payment(status="pending", **opened).get_pay_url(),
    "details": make_payment(customer_phone="", customer_last_name="").get_checkout_url(),
    "change": make_payment(status="failed", **opened).get_checkout_url() + "?change",
    "invalid": make_payment(currency="EUR").get_checkout_url(),
    "waiting": make_payment(status="pending", **opened).get_return_url(),
    "waiting-review": make_payment(status="pending", needs_review=True, **opened).get_return_url(),
    "waiting-own": make_payment(status="pending", reference="INV-2026-0042", **opened).get_return_url(),
    "paid": make_payment(status="succeeded", **settled).get_return_url(),
    "refunded": make_payment(status="refunded", refunded_amount=12500, **settled).get_return_url(),
    "refused": make_payment(status="failed", **opened).get_return_url(),
    "expired": make_payment(status="expired", **opened).get_return_url(),
    "cancelled": make_payment(status="cancelled", **opened).get_return_url(),
}))
"""
NAMES = re.findall(r'"([a-z-]+)": make_payment', PAYMENTS)


@pytest.fixture(scope="module")
def plain_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A shop that has not said who it is."""
    settings = {"DJANGO_SETTINGS_MODULE": "tests.browser.plain_settings"}
    with Demo(tmp_path_factory.mktemp("plain_demo"), **settings).running() as demo:
        yield demo


@pytest.fixture(scope="module")
def pages(demo: Demo) -> dict[str, str]:
    return json.loads(demo.shell(PAYMENTS))


@pytest.fixture(scope="module")
def plain_pages(plain_demo: Demo) -> dict[str, str]:
    return json.loads(plain_demo.shell(PAYMENTS.replace("INV-2026-0042", "INV-2026-0043")))


@pytest.fixture(params=KINDS, ids="-".join)
def plain_payer(request: pytest.FixtureRequest, browser: Browser, plain_demo: Demo, shots: Path) -> Iterator[Person]:
    with come_to(plain_demo, browser, shots, request) as person:
        yield person


def is_usable(person: Person, url: str, shot: str) -> None:
    person.page.goto(url)
    # Invalid data are answered with 400, of which the browser tells in its console too.
    person.troubles = [trouble for trouble in person.troubles if "400" not in trouble]
    person.looks()
    for scheme in SCHEMES:
        person.page.emulate_media(color_scheme=scheme)
        violations = axe.Axe().run(person.page).response["violations"]
        found = [(violation["id"], [node["html"] for node in violation["nodes"]]) for violation in violations]
        assert found == [], (shot, scheme)
        name = f"{shot}-{person.size}-{person.language}-{scheme}.png"
        person.page.screenshot(path=person.shots / name, full_page=True, animations="disabled")


def test_every_payer_page_is_the_shops_own(payer: Person, pages: dict[str, str]) -> None:
    for name in NAMES:
        is_usable(payer, pages[name], f"payer-{name}")
        expect(payer.page.locator("header.shop")).to_have_text("La petite boutique")
        expect(payer.page.locator("header.shop img")).to_be_visible()
        expect(payer.page.locator(".contact a")).to_have_count(3)


def test_every_payer_page_works_without_an_identity(plain_payer: Person, plain_pages: dict[str, str]) -> None:
    for name in NAMES:
        is_usable(plain_payer, plain_pages[name], f"plain-{name}")
        expect(plain_payer.page.locator(".shop, .contact, .seller")).to_have_count(0)


def test_pages_of_the_shop_itself_are_usable(payer: Person) -> None:
    for number, url in enumerate(("/", "/products/attieke/", "/products/attieke/buy/", "/express/", "/orders/")):
        is_usable(payer, url, f"shop-{number}")


def test_copy_button_copies_the_whole_reference(payer: Person, demo: Demo, pages: dict[str, str]) -> None:
    payer.context.grant_permissions(["clipboard-read", "clipboard-write"])
    payer.page.goto(pages["waiting"])
    payer.page.locator("[data-copy]").click()
    expect(payer.page.locator("[data-copy]")).to_have_text(payer.says("Copied"))
    reference = payer.page.evaluate("navigator.clipboard.readText()")
    assert demo.execute("SELECT status FROM paiementpro_payment WHERE reference = ?", reference) == ["pending"]


def test_page_without_javascript_has_no_copy_button(browser: Browser, demo: Demo, pages: dict[str, str]) -> None:
    context = browser.new_context(base_url=demo.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["waiting"])
    expect(page.locator("[data-copy]")).to_be_hidden()
    page.goto(pages["pay"])
    page.locator("form .button").click()
    assert "/sandbox.php" in page.url
    context.close()


# The waiting page and its requests


@pytest.fixture
def waiting_page(browser: Browser, demo: Demo, pages: dict[str, str]) -> Iterator[Page]:
    context = browser.new_context(base_url=demo.url, viewport={"width": 360, "height": 740})
    yield context.new_page()
    context.close()


class Answers:
    """Plays the status URL, and notes when it was asked, in seconds."""

    def __init__(self, page: Page, **answer: Any) -> None:
        self.answer = answer
        self.moments: list[float] = []
        page.route("**/paiementpro/status/**", self._play)

    def _play(self, route: Route) -> None:
        self.moments.append(time.monotonic())
        route.fulfill(content_type="application/json", **{"body": '{"is_final": false}', **self.answer})

    @property
    def pauses(self) -> list[float]:
        return [later - sooner for sooner, later in itertools.pairwise(self.moments)]


def wait_until(page: Page, is_so: Any) -> None:
    for _ in range(EXPECT_MILLISECONDS // 100):
        if is_so():
            return
        page.wait_for_timeout(100)
    raise AssertionError


@pytest.mark.parametrize("status", [200, 503])
def test_waiting_page_respects_retry_after(waiting_page: Page, pages: dict[str, str], status: int) -> None:
    answers = Answers(waiting_page, status=status, headers={"Retry-After": "4"})
    waiting_page.goto(pages["waiting"])
    wait_until(waiting_page, lambda: len(answers.moments) == 3)
    assert min(answers.pauses) > 3.5


def test_waiting_page_asks_less_and_less_where_nothing_says_when(waiting_page: Page, pages: dict[str, str]) -> None:
    answers = Answers(waiting_page, status=502, body="<html>")
    waiting_page.goto(pages["waiting"])
    wait_until(waiting_page, lambda: len(answers.moments) == 3)
    first, second = answers.pauses
    assert first > 4.5
    assert second > 1.5 * first


def test_waiting_page_survives_being_offline(waiting_page: Page, pages: dict[str, str]) -> None:
    waiting_page.goto(pages["waiting"])
    waiting_page.context.set_offline(True)
    waiting_page.wait_for_timeout(3000)
    answers = Answers(waiting_page, body='{"is_final": true, "redirect_url": "/orders/"}')
    waiting_page.context.set_offline(False)
    waiting_page.wait_for_url("**/orders/")
    assert len(answers.moments) == 1


def test_hidden_waiting_page_asks_nothing_until_it_is_seen_again(waiting_page: Page, pages: dict[str, str]) -> None:
    answers = Answers(waiting_page, headers={"Retry-After": "1"})
    waiting_page.goto(pages["waiting"])
    wait_until(waiting_page, lambda: answers.moments)
    see(waiting_page, is_hidden=True)
    waiting_page.wait_for_timeout(500)
    asked = len(answers.moments)
    waiting_page.wait_for_timeout(3500)
    assert len(answers.moments) == asked
    see(waiting_page, is_hidden=False)
    seen_at = time.monotonic()
    wait_until(waiting_page, lambda: len(answers.moments) > asked)
    assert answers.moments[asked] - seen_at < 0.7


def see(page: Page, *, is_hidden: bool) -> None:
    """Show the tab, or hide it: a browser without a window never does either."""
    page.evaluate(
        "(hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        is_hidden,
    )


def test_waiting_page_makes_few_requests(waiting_page: Page, demo: Demo) -> None:
    """In the second minute after its page was opened, as most payers wait."""
    made = (
        "from datetime import timedelta; from django.utils import timezone; from django_paiementpro.testing import "
        "make_payment; print(make_payment(status='pending', attempt=1, "
        "initialized_at=timezone.now() - timedelta(seconds=45)).get_return_url())"
    )
    waiting_page.goto(demo.shell(made).strip())
    requests: list[str] = []
    waiting_page.on("request", lambda request: requests.append(request.method))
    waiting_page.wait_for_timeout(30_000)
    assert "HEAD" in requests
    assert 4 <= len(requests) <= 10


# Buttons that are working


@pytest.mark.parametrize("payer", [("phone", "fr"), ("desk", "en")], ids="-".join, indirect=True)
@pytest.mark.parametrize("url", ["pay", "/products/attieke/buy/"])
def test_button_says_that_it_is_working(payer: Person, demo: Demo, url: str) -> None:
    if url == "pay":
        made = "from django_paiementpro.testing import make_payment; print(make_payment().get_pay_url())"
        url = demo.shell(made).strip()
    page, posts = payer.page, []

    def hold(route: Route) -> None:
        if route.request.method == "POST":
            posts.append(route.request)
            route.fulfill(status=204)  # with which a browser stays where it is
        else:
            route.continue_()

    page.route("**/*", hold)
    page.goto(url)
    if "buy" in url:
        payer.fills_the_form()
    button = page.locator("form .button[data-busy]")
    label = button.inner_text()
    button.click()
    expect(button).to_have_text(payer.says("Opening the payment page…"))
    expect(button).to_have_attribute("aria-disabled", "true")
    button.click(force=True)
    page.wait_for_timeout(500)
    assert len(posts) == 1
    # As when the payer comes back by the browser's button.
    page.evaluate("dispatchEvent(new Event('pageshow'))")
    expect(button).to_have_text(label)
    page.unroute("**/*")
    button.click()
    payer.sees("To pay")
    page.go_back()
    expect(button).to_have_text(label)
