"""A purchase in a real Chromium, up to the thank-you page. ``SCREENSHOTS=`` names a folder for pictures of it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from django_paiementpro.models import Payment
from tests.adapters.oscar.shop import ADDRESS, EMAIL, Order, make_product

# Playwright has a loop running in this thread, which Django takes for an asynchronous caller.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

SIZES = {"360": (360, 740), "1366": (1366, 768)}

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert executable, "No Chromium here: install it, or say in CHROMIUM where it is"
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()


class Customer:
    def __init__(self, page: Page, size: str) -> None:
        self.page = page
        self.size = size

    def sees(self, title: str, picture: str) -> None:
        expect(self.page.get_by_role("heading", name=title).first).to_be_visible()
        if folder := os.environ.get("SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"oscar-{picture}-{self.size}.png", full_page=True)

    def presses(self, name: str) -> None:
        self.page.get_by_role("button", name=name).first.click()

    def follows(self, name: str) -> None:
        self.page.get_by_role("link", name=name).first.click()


@pytest.fixture(params=SIZES)
def customer(request: pytest.FixtureRequest, browser: Browser, live_server: Any, settings: Any) -> Iterator[Customer]:
    settings.DEBUG = True
    settings.PAIEMENTPRO_SITE_URL = None
    settings.PAIEMENTPRO_GATEWAY_URL = f"{live_server.url}/sandbox"
    width, height = SIZES[request.param]
    context = browser.new_context(viewport={"width": width, "height": height}, base_url=live_server.url)
    yield Customer(context.new_page(), request.param)
    context.close()


def test_purchase_from_the_basket_to_the_thank_you_page(customer: Customer) -> None:
    page = customer.page
    page.goto(make_product().get_absolute_url())
    customer.presses("Add to cart")
    page.goto("/basket/")
    customer.sees("Cart", "1-basket")
    customer.follows("Proceed to checkout")
    page.fill("#id_username", EMAIL)
    customer.presses("Continue")
    for name in ("first_name", "last_name", "line1", "line4"):
        page.fill(f"#id_{name}", ADDRESS[name])
    customer.presses("Continue")
    customer.sees("Preview order", "2-preview")
    customer.presses("Place order")
    expect(page.get_by_label("Phone")).to_be_visible()
    customer.sees("Your details", "3-phone")
    assert Order.objects.get().status == "Pending"
    page.goto("/checkout/thank-you/")
    page.fill("input[name=email]", EMAIL)
    customer.presses("Submit")
    customer.sees("Status", "4-unpaid-order")
    customer.follows("Pay now")
    page.get_by_label("Phone").fill("07 07 12 34 56")
    customer.presses("Continue to payment")
    customer.sees("To pay", "5-gateway")
    customer.presses("Pay")
    page.wait_for_url("**/checkout/thank-you/**")
    customer.sees("Order contents", "6-thank-you")
    order = Order.objects.get()
    assert order.status == "Being processed"
    assert Payment.objects.for_object(order).get().status == Payment.Status.SUCCEEDED
