"""Those who buy: from the shop to the gateway and back, and to the staff where something does not fit."""

import itertools
import re
import time
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Route, expect

from tests.browser.demo import Demo
from tests.browser.people import Person
from tests.server.fronts import Front

pytestmark = pytest.mark.browser

LATE_MILLISECONDS = 45_000  # the latest notification comes after ten seconds, and a page may be eight behind

# What a page that waits must not say.
VERDICTS = {
    "en": re.compile(r"fail|not made|declin|refus|received|thank", re.IGNORECASE),
    "fr": re.compile(r"échou|échec|abouti|refus|reçu|merci", re.IGNORECASE),
}


def test_payment_pays_the_order(payer: Person, demo: Demo) -> None:
    stock = demo.stock("pagne-wax")
    payer.looks("shop")
    payer.follows("Wax print cloth, 6 yards")
    payer.sees("Wax print cloth, 6 yards", "product")
    payer.follows("Buy")
    payer.sees("Your order", "buy")
    payer.fills_the_form()
    payer.presses("Order and pay")
    payer.sees("To pay", "gateway")
    payer.presses("Pay")
    payer.sees("Paid, thank you!", "paid-order")
    payer.sees_status("Paid", "orders")
    assert demo.orders_of(payer.email) == ["paid"]
    assert demo.outcomes_of(payer.email) == ["accepted"]
    assert demo.stock("pagne-wax") == stock - 1


def test_shop_without_pages_of_its_own_shows_the_built_in_ones(payer: Person, demo: Demo) -> None:
    payer.orders("bissap")
    demo.execute("UPDATE paiementpro_payment SET success_url = '' WHERE customer_email = ?", payer.email)
    payer.presses("Pay")
    payer.sees("Payment received", "paid")
    payer.follows("Back to the shop")
    payer.sees("From the market to your door")
    payer.sees_status("Paid")


def test_refused_payment_can_be_tried_again(payer: Person, demo: Demo) -> None:
    stock = demo.stock("attieke")
    payer.orders("attieke")
    payer.presses("Refuse")
    payer.sees("The payment didn’t go through", "refused")
    payer.sees_words("Check your balance and your number, then try again.")
    assert demo.orders_of(payer.email) == ["open"]
    assert demo.stock("attieke") == stock
    payer.follows("Try again")
    payer.sees("To pay")
    payer.presses("Pay")
    payer.sees("Paid, thank you!")
    payer.sees_status("Paid")
    assert demo.payments_of(payer.email) == [("succeeded", 2)]
    assert demo.sessions_of(payer.email) == ["failed", "paid"]
    assert demo.stock("attieke") == stock - 1


def test_wrong_number_is_corrected_before_trying_again(payer: Person, demo: Demo) -> None:
    payer.orders("attieke")
    payer.presses("Refuse")
    payer.sees("The payment didn’t go through")
    payer.follows("Change number or payment method")
    payer.sees("Change number or payment method", "change")
    phone = payer.page.locator("[name=customer_phone]")
    assert phone.input_value() == ""
    expect(payer.page.get_by_text("+225 ******3456")).to_be_visible()
    phone.fill("12")
    payer.presses("Continue to payment")
    payer.sees_words("Enter a telephone number of 8 to 15 digits.")
    payer.forgets_troubles("400")
    payer.looks("change-wrong")
    phone.fill("05 05 12 34 56")
    payer.page.locator("[name=channel][value=WAVECI]").check()
    payer.presses("Continue to payment")
    payer.sees("To pay")
    payer.presses("Pay")
    payer.sees("Paid, thank you!")
    phones = "SELECT customer_phone, channel FROM paiementpro_payment WHERE customer_email = ?"
    assert demo.execute(phones, payer.email) == [("05 05 12 34 56", "WAVECI")]


def test_missing_details_are_asked_for(payer: Person, demo: Demo) -> None:
    with payer.page.expect_request(re.compile("/paiementpro/checkout/")) as checkout:
        payer.orders("attieke")
    unknown = "UPDATE paiementpro_payment SET customer_phone = '', customer_last_name = '' WHERE customer_email = ?"
    demo.execute(unknown, payer.email)

    payer.page.goto(checkout.value.url)

    payer.sees("Your details", "details")
    payer.page.locator("[name=customer_last_name]").fill("Koné")
    payer.page.locator("[name=customer_phone]").fill("07 07 12 34 56")
    payer.presses("Continue to payment")
    payer.sees("To pay")
    payer.presses("Pay")
    payer.sees("Paid, thank you!")
    assert demo.payments_of(payer.email) == [("succeeded", 1)]


def test_cancelled_payment_leaves_the_order_payable(payer: Person, demo: Demo) -> None:
    payer.orders("beurre-de-karite")
    payer.presses("Cancel")
    payer.sees("The payment didn’t go through")
    payer.sees_status("To be paid")
    payer.opens_order()
    payer.sees("The payment didn’t go through", "unpaid-order")
    payer.presses("Cancel the order")
    payer.sees("Order cancelled", "cancelled-order")
    assert demo.payments_of(payer.email) == [("cancelled", 1)]


def test_late_notification_is_waited_for(patient_payer: Person, deaf_demo: Demo) -> None:
    stock = deaf_demo.stock("cafe-de-man")
    patient_payer.orders("cafe-de-man")
    patient_payer.chooses_way("Notification late")
    patient_payer.sees("We are waiting for the confirmation")
    with patient_payer.page.expect_response("**/paiementpro/status/**"):
        assert deaf_demo.orders_of(patient_payer.email) == ["open"]
    patient_payer.sees("Paid, thank you!", timeout=LATE_MILLISECONDS)
    assert deaf_demo.outcomes_of(patient_payer.email) == ["accepted"]
    assert deaf_demo.stock("cafe-de-man") == stock - 1


def test_late_notification_is_overtaken_by_the_status_look_up(payer: Person, demo: Demo) -> None:
    payer.orders("cafe-de-man")
    payer.chooses_way("Notification late")
    payer.sees("Paid, thank you!")
    assert demo.outcomes_of(payer.email) == []
    assert demo.orders_of(payer.email) == ["paid"]


def test_return_without_payment_waits_until_it_is_paid(payer: Person, demo: Demo) -> None:
    payer.orders("bissap")
    payer.chooses_way("Return without payment", "gateway-edge-cases")
    payer.sees("We are waiting for the confirmation", "waiting")
    payer.sees_words("If you have confirmed on your phone, do not pay again.")
    assert "responsecode=0" in payer.page.url
    assert not VERDICTS[payer.language].search(payer.page.inner_text("body"))
    assert demo.orders_of(payer.email) == ["open"]
    waiting = payer.page
    payer.page = payer.context.new_page()
    payer.opens_order()
    payer.sees("Not paid yet", "pending-order")
    payer.presses("Resume the payment")
    payer.sees("To pay")
    payer.presses("Pay")
    payer.sees("Paid, thank you!")
    payer.page = waiting
    payer.sees("Paid, thank you!")
    assert demo.payments_of(payer.email) == [("succeeded", 1)]


@pytest.mark.parametrize("payer", [("phone", "fr"), ("desk", "en")], ids="-".join, indirect=True)
def test_waiting_page_turns_into_paid_without_javascript(payer: Person) -> None:
    payer.orders("beurre-de-karite")
    plain = payer.other(java_script_enabled=False, storage_state=payer.context.storage_state())
    plain.page.goto(payer.page.url)
    plain.sees("To pay")
    plain.chooses_way("Return without payment")
    plain.sees("We are waiting for the confirmation")
    payer.presses("Pay")
    payer.sees("Paid, thank you!")
    plain.sees("Paid, thank you!", timeout=LATE_MILLISECONDS)


def test_lost_notification_is_recovered_by_reconciliation(payer: Person, demo: Demo) -> None:
    stock = demo.stock("attieke")
    payer.orders("attieke")

    def lose_the_answer(route: Route) -> None:
        route.fetch(max_redirects=0)
        route.fulfill(status=204)

    # The gateway hears the click; the payer closes the tab before the answer is there.
    payer.page.route("**/sandbox.php*", lose_the_answer)
    with payer.page.expect_response("**/sandbox.php*"):
        payer.chooses_way("Notification lost")
    payer.page.close()
    assert demo.sessions_of(payer.email) == ["paid"]
    assert demo.orders_of(payer.email) == ["open"]
    payer.page = payer.context.new_page()
    payer.sees_status("To be paid")
    demo.manage("paiementpro_reconcile")
    payer.sees_status("Paid")
    payer.opens_order()
    payer.sees("Paid, thank you!")
    assert demo.outcomes_of(payer.email) == []
    assert demo.stock("attieke") == stock - 1


def test_doubled_notification_counts_once(payer: Person, demo: Demo) -> None:
    stock = demo.stock("beurre-de-karite")
    payer.orders("beurre-de-karite")
    payer.chooses_way("Notification doubled")
    payer.sees("Paid, thank you!")
    payer.sees_status("Paid")
    assert demo.outcomes_of(payer.email) == ["accepted", "duplicate"]
    assert demo.orders_of(payer.email) == ["paid"]
    assert demo.stock("beurre-de-karite") == stock - 1


def test_wrong_amount_is_shown_to_the_staff(payer: Person, demo: Demo) -> None:
    payer.orders("attieke")
    payer.chooses_way("Wrong amount")
    payer.sees("We are waiting for the confirmation")
    payer.sees_status("To be paid")
    sql = (
        "SELECT reference, needs_review, finding.reason, detail FROM paiementpro_payment payment "
        "JOIN paiementpro_finding finding ON finding.payment_id = payment.id WHERE payment.customer_email = ?"
    )
    [(reference, needs_review, reason, detail)] = demo.execute(sql, payer.email)
    assert (needs_review, reason) == (1, "amount_mismatch")
    payer.page.goto("/admin/paiementpro/payment/")
    payer.looks("admin-login")
    payer.page.locator("[name=username]").fill("admin")
    payer.page.locator("[name=password]").fill("admin")
    payer.page.locator("[type=submit]").click()
    link = payer.page.get_by_role("link", name=reference)
    expect(link).to_be_visible()
    payer.looks("admin-payments")
    link.click()
    for figure in detail.split(" != "):
        expect(payer.page.locator(".pp-finding")).to_contain_text(figure)
    payer.looks("admin-payment")


def test_forged_notification_changes_nothing(payer: Person, demo: Demo) -> None:
    payer.orders("attieke")
    payer.chooses_way("Forged notification")
    payer.sees("We are waiting for the confirmation")
    payer.follows("Go back to the payment page")
    payer.sees("To pay")
    payer.sees_status("To be paid")
    assert demo.payments_of(payer.email) == [("pending", 1)]
    assert demo.outcomes_of(payer.email) == []


def test_checkout_link_resumes_on_another_device(payer: Person, demo: Demo) -> None:
    with payer.page.expect_request("**/paiementpro/checkout/**") as checkout:
        payer.orders("bissap")
    payer.chooses_way("Leave without paying")
    payer.sees("You have left the page")
    tablet = payer.other()
    tablet.chooses_language()
    tablet.page.goto(checkout.value.url)
    tablet.sees("To pay")
    tablet.presses("Pay")
    thanks = "|".join(map(tablet.says, ("Paid, thank you!", "Payment received"))).replace(" ", r"\s")
    expect(tablet.page.get_by_role("heading", level=1)).to_have_text(re.compile(thanks))
    tablet.looks("paid-elsewhere")
    payer.sees_status("Paid")
    assert demo.payments_of(payer.email) == [("succeeded", 1)]


def test_double_clicks_buy_once(payer: Person, demo: Demo) -> None:
    stock = demo.stock("attieke")

    def send_twice(route: Route) -> None:
        if route.request.method == "POST":
            route.fetch()
        route.continue_()

    # Chromium may make one request of two quick clicks; the shop is to hear both.
    payer.page.route("**/*", send_twice)
    payer.page.goto("/products/attieke/buy/")
    payer.fills_the_form()
    payer.button("Order and pay").dblclick()
    payer.sees("To pay")
    assert demo.orders_of(payer.email) == ["open"]
    assert demo.payments_of(payer.email) == [("pending", 1)]
    assert demo.sessions_of(payer.email) == ["open"]
    payer.button("Pay").dblclick()
    payer.sees("Paid, thank you!")
    assert demo.orders_of(payer.email) == ["paid"]
    assert demo.payments_of(payer.email) == [("succeeded", 1)]
    assert demo.outcomes_of(payer.email) == ["accepted"]
    assert demo.stock("attieke") == stock - 1


def test_pictures_of_an_unavailable_gateway(unlucky_payer: Person, cut_off_demo: Demo) -> None:
    page = unlucky_payer.page
    page.goto("/products/attieke/buy/")
    unlucky_payer.fills_the_form()
    unlucky_payer.presses("Order and pay")
    expect(page.get_by_role("link", name=unlucky_payer.says("Try again"))).to_be_visible()
    # The answer is a 503, of which the browser tells in its console too.
    assert [trouble for trouble in unlucky_payer.troubles if "503" not in trouble] == []
    unlucky_payer.troubles.clear()
    unlucky_payer.looks("unavailable")
    assert cut_off_demo.payments_of(unlucky_payer.email) == [("created", 1)]


@pytest.mark.parametrize("payer", [("phone", "fr"), ("phone", "en")], ids="-".join, indirect=True)
def test_pictures_of_what_a_payer_sees(payer: Person, demo: Demo) -> None:
    payer.page.goto("/products/attieke/buy/")
    payer.fills_the_form()
    payer.looks("pay")
    payer.presses("Order and pay")
    payer.sees("To pay")
    payer.chooses_way("Return without payment")
    payer.sees("We are waiting for the confirmation", "waiting")
    payer.orders("bissap")
    payer.presses("Refuse")
    payer.sees("The payment didn’t go through", "refused")
    payer.orders("bissap")
    demo.execute("UPDATE paiementpro_payment SET success_url = '' WHERE customer_email = ?", payer.email)
    payer.presses("Pay")
    payer.sees("Payment received", "paid")


def test_keyboard_alone_buys(payer: Person, demo: Demo) -> None:
    keys = payer.page.keyboard
    payer.tabs_to(payer.page.locator("a.button[href='/products/attieke/buy/']"))
    keys.press("Enter")
    payer.sees("Your order")
    payer.types("first_name", "Awa")
    payer.types("last_name", "Koné")
    payer.types("phone", "07 07 12 34 56")
    payer.types("email", payer.email)
    payer.tabs_to(payer.page.locator("[name=channel]").first)
    keys.press("ArrowDown")
    payer.tabs_to(payer.button("Order and pay"))
    keys.press("Enter")
    payer.sees("To pay")
    payer.tabs_to(payer.page.locator("[name=channel]:checked"))
    keys.press("ArrowDown")
    payer.tabs_to(payer.button("Pay"))
    keys.press("Enter")
    payer.sees("Paid, thank you!")
    assert demo.orders_of(payer.email) == ["paid"]


# The single page, which buys through the API


def test_single_page_buys_and_shows_the_outcome(payer: Person, demo: Demo) -> None:
    stock = demo.stock("pagne-wax")
    payer.page.goto("/")
    payer.follows("In a hurry? Buy on a single page")
    payer.sees("Express checkout", "express")
    payer.fills_the_form()
    payer.page.locator("[name=quantity]").select_option("2")
    expect(payer.page.locator("[data-total]")).to_have_text(re.compile(r"25\s000"))
    with payer.page.expect_response("**/api/payments/") as opened:
        payer.page.locator("[name=pay]").click()
    assert opened.value.status == 201
    payer.sees("To pay")
    payer.presses("Pay")
    payer.sees("Paid, thank you!")
    assert demo.orders_of(payer.email) == ["paid"]
    assert demo.payments_of(payer.email) == [("succeeded", 1)]
    assert demo.stock("pagne-wax") == stock - 2
    payer.page.goto("/express/")
    payer.sees("Payment received, thank you!", "express-paid")
    expect(payer.page.locator("[data-title]")).to_have_text(re.compile(r"25\s000"))
    payer.follows("See my order")
    payer.sees("Paid, thank you!")


def test_single_page_resumes_the_payment(payer: Person, demo: Demo) -> None:
    orders_express(payer, "bissap")
    payer.page.go_back()
    payer.sees("We are waiting for your payment", "express-waiting")
    payer.presses("Resume the payment")
    payer.sees("To pay")
    payer.presses("Refuse")
    payer.sees("The payment didn’t go through", "express-refused")
    payer.presses("Try again")
    payer.sees("To pay")
    gateway, payer.page = payer.page, payer.context.new_page()
    payer.page.goto("/express/")
    payer.sees("We are waiting for your payment")
    waiting, payer.page = payer.page, gateway
    payer.presses("Pay")
    payer.sees("Paid, thank you!")
    payer.page = waiting
    payer.sees("Payment received, thank you!")
    payer.presses("Buy something else")
    payer.sees("Express checkout")
    assert demo.payments_of(payer.email) == [("succeeded", 2)]


def test_single_page_tabs_show_their_own_payment(payer: Person) -> None:
    orders_express(payer, "attieke")
    first, payer.page = payer.page, payer.context.new_page()
    payer.page.goto("/express/")
    payer.sees("We are waiting for your payment")
    payer.presses("Buy something else")
    orders_express(payer, "bissap", here=True)
    payer.page = first
    payer.presses("Refuse")
    payer.sees("Express checkout")  # this one was given up for something else
    payer.page.goto("/express/")
    payer.sees("We are waiting for your payment")
    expect(payer.page.locator("[data-title]")).to_have_text(re.compile(r"1\s200"))


def test_single_page_refuses_sold_out_products(payer: Person, demo: Demo) -> None:
    orders_express(payer, "cafe-de-man")
    payer.page.go_back()
    payer.sees("We are waiting for your payment")
    demo.execute("UPDATE shop_product SET stock = 0 WHERE slug = 'cafe-de-man'")
    with payer.page.expect_response("**/api/payments/") as asked:
        payer.presses("Resume the payment")
    demo.execute("UPDATE shop_product SET stock = 24 WHERE slug = 'cafe-de-man'")
    assert asked.value.status == 409
    expect(payer.page.get_by_role("heading", level=1)).to_have_text(payer.says("Not paid yet"))
    payer.forgets_troubles("409")
    payer.looks()


def test_single_page_can_be_paid_on_another_device(payer: Person) -> None:
    with payer.page.expect_request("**/paiementpro/checkout/**") as checkout:
        orders_express(payer, "bissap")
    tablet = payer.other()
    tablet.chooses_language()
    tablet.page.goto(checkout.value.url)
    tablet.sees("To pay")
    tablet.presses("Pay")
    tablet.sees("Paid, thank you!")


@pytest.mark.parametrize("payer", [("phone", "fr"), ("desk", "en")], ids="-".join, indirect=True)
def test_single_page_needs_no_storage(payer: Person, demo: Demo) -> None:
    payer.context.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError'); }})"
    )
    orders_express(payer, "bissap")
    payer.presses("Pay")
    payer.sees("Paid, thank you!")
    payer.page.goto("/express/")
    payer.sees("Express checkout")
    assert demo.payments_of(payer.email) == [("succeeded", 1)]


@pytest.mark.parametrize("payer", [("phone", "fr"), ("desk", "en")], ids="-".join, indirect=True)
def test_single_page_is_patient_with_errors(payer: Person) -> None:
    orders_express(payer, "bissap")
    asked: list[float] = []

    def fail(route: Route) -> None:
        asked.append(time.monotonic())
        route.fulfill(status=502, content_type="application/json", body="{}")

    payer.page.route("**/paiementpro/status/**", fail)
    payer.page.go_back()
    expect(payer.page.get_by_role("heading", level=1)).to_have_text(payer.says("We are waiting for your payment"))
    payer.waits_until(lambda: len(asked) > 0)
    payer.page.wait_for_timeout(5000)
    assert len(asked) <= 2
    payer.page.unroute("**/paiementpro/status/**")
    payer.page.route("**/paiementpro/status/**", lambda route: route.fulfill(status=404))
    expect(payer.page.get_by_role("heading", level=1)).to_have_text(payer.says("Express checkout"))
    payer.troubles.clear()


def test_single_page_respects_retry_after(payer: Person) -> None:
    orders_express(payer, "bissap")
    asked: list[float] = []
    payer.page.on("response", lambda response: "/status/" in response.url and asked.append(time.monotonic()))
    payer.page.go_back()
    payer.sees("We are waiting for your payment")
    payer.waits_until(lambda: len(asked) > 2)
    waits = [later - sooner for sooner, later in itertools.pairwise(asked)]
    assert min(waits) >= 1.5  # of two seconds, by the clock of the one who listens


def test_single_page_marks_what_is_wrong(payer: Person, demo: Demo) -> None:
    payer.page.goto("/express/")
    payer.sees("Express checkout")
    payer.fills_the_form()
    payer.page.locator("[name=phone]").fill("07")
    payer.page.locator("[name=pay]").click()
    payer.sees_words("Please look at the fields marked below.")
    expect(payer.page.locator("[aria-invalid]")).to_have_attribute("name", "phone")
    payer.forgets_troubles("400")
    payer.looks("express-wrong")
    assert demo.orders_of(payer.email) == []
    payer.page.locator("[name=phone]").fill("07 07 12 34 56")
    payer.page.locator("[name=pay]").click()
    payer.sees("To pay")


def test_single_page_pays_once_though_answers_are_lost(payer: Person, demo: Demo) -> None:
    urls: list[str] = []
    keys: list[str] = []

    def lose_the_answer(route: Route) -> None:
        keys.extend(filter(None, [route.request.headers.get("idempotency-key")]))
        if route.request.url in urls:
            route.continue_()
        else:
            urls.append(route.request.url)
            route.fetch()
            route.abort()

    payer.page.route("**/api/**", lose_the_answer)
    payer.page.goto("/express/")
    payer.fills_the_form()
    for _loss in range(2):
        payer.page.locator("[name=pay]").click()
        payer.sees_words("The shop cannot be reached. Check your connection, then try again.")
        expect(payer.page.locator("[name=pay]")).to_be_enabled()
    payer.forgets_troubles("ERR_FAILED")
    payer.page.locator("[name=pay]").click()
    payer.sees("To pay")
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert demo.orders_of(payer.email) == ["open"]
    assert demo.payments_of(payer.email) == [("pending", 1)]
    assert demo.sessions_of(payer.email) == ["open"]


@pytest.mark.parametrize("moody_payer", [("phone", "fr"), ("desk", "en")], ids="-".join, indirect=True)
def test_single_page_tries_again_when_the_gateway_is_back(moody_payer: Person, moody_front: Front) -> None:
    payer = moody_payer
    moody_front.play = lambda visitor: visitor.answers(status=503)
    payer.page.goto("/express/")
    payer.fills_the_form()
    with payer.page.expect_response("**/api/payments/") as opened:
        payer.page.locator("[name=pay]").click()
    assert (opened.value.status, opened.value.headers["retry-after"]) == (503, "30")
    payer.sees_words("The payment is kept. Please try again in a moment.")
    payer.forgets_troubles("503")
    payer.looks("express-away")
    moody_front.play = lambda visitor: visitor.passes_on(Host=urlsplit(payer.demo.url).netloc)
    payer.page.locator("[name=pay]").click()
    payer.sees("To pay")
    assert payer.demo.payments_of(payer.email) == [("pending", 2)]


def orders_express(payer: Person, slug: str, *, here: bool = False) -> None:
    if not here:
        payer.page.goto("/express/")
    payer.page.locator(f"[name=product][value*={slug}]").check()
    payer.fills_the_form()
    payer.page.locator("[name=pay]").click()
    payer.sees("To pay")
