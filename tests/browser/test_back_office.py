"""
The back office as cashiers use it.

Each test runs on a desktop in French and on a phone in English. Screenshots are taken in all four combinations.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.conftest import come_to
from tests.browser.demo import Demo
from tests.browser.people import KINDS, LOOK, Person

pytestmark = pytest.mark.browser

LIST = "/admin/paiementpro/payment/"

FRENCH = {
    "Amount at the gateway": "Montant chez la passerelle",
    "Ask the gateway now": "Interroger la passerelle",
    "Confirm manually": "Confirmer à la main",
    "Copied": "Copié",
    "Copy": "Copier",
    "All receivers of the shop have succeeded.": "Tous les récepteurs de la boutique ont abouti.",
    "Export (CSV)": "Exporter (CSV)",
    "It would be accepted.": "Elle serait acceptée.",
    "It would be rejected": "Elle serait rejetée",
    "Mark as reviewed": "Marquer comme vérifié",
    "Note": "Note",
    "Nothing has been done yet. Please correct the errors below.": (
        "Rien n’a encore été fait. Corrigez les erreurs ci-dessous."
    ),
    "Nothing would change.": "Rien ne changerait.",
    "Refund number": "Numéro du remboursement",
    "Paid": "Payé",
    "Proof": "Preuve",
    "Reason": "Motif",
    "Record a refund": "Noter un remboursement",
    "Replay the notification": "Rejouer la notification",
    "Send the signals again": "Renvoyer les signaux",
    "Takings": "Journal de caisse",
    "The gateway confirms the payment. It is now paid.": "La passerelle confirme le paiement. Il est maintenant payé.",
    "The payment is marked as reviewed.": "Le paiement est marqué comme vérifié.",
    "Gateway transaction": "Transaction de la passerelle",
    "What was received": "Ce qui a été reçu",
}


class Cashier:
    """A staff user who works in the payer's browser, on the payer's last payment."""

    def __init__(self, payer: Person) -> None:
        self.payer, self.page = payer, payer.page

    def says(self, words: str) -> str:
        return FRENCH[words].replace(" :", "\u00a0:") if self.payer.language == "fr" else words

    def logs_in(self) -> None:
        self.page.goto(LIST)
        self.page.locator("[name=username]").fill("admin")
        self.page.locator("[name=password]").fill("admin")
        self.page.locator("[type=submit]").click()
        expect(self.page.locator("#searchbar")).to_be_visible()
        self.looks()

    def looks(self, shot: str = "", schemes: tuple[str, ...] = ("light",)) -> None:
        """Look at a page: nothing hangs over, and what is ours can be read, in light and in dark."""
        self.payer.looks()
        for scheme in ("dark", "light"):
            self.page.emulate_media(color_scheme=scheme)
            self.page.evaluate("Promise.all(document.getAnimations().map((animation) => animation.finished))")
            faint = self.page.evaluate(LOOK)["faint"]
            assert [html for html in faint if 'class="pp-' in html] == []
            if shot and scheme in schemes:
                name = f"{shot}-{self.payer.size}-{self.payer.language}-{scheme}.png"
                self.page.screenshot(path=self.payer.shots / name, full_page=True, animations="disabled")

    def finds(self, text: str) -> None:
        """Search the list, and open the only payment that is found."""
        self.page.goto(LIST)
        self.page.locator("#searchbar").fill(text)
        self.page.locator("#searchbar").press("Enter")
        links = self.page.locator("#result_list .field-reference a")
        expect(links).to_have_count(1)
        links.click()
        expect(self.page.locator(".pp-box")).to_be_visible()
        self.looks()

    def opens(self, action: str) -> None:
        self.page.get_by_role("link", name=self.says(action), exact=True).click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(self.says(action))
        self.looks()

    def enters(self, label: str, text: str) -> None:
        self.page.get_by_label(self.says(label)).fill(text)

    def submits(self, action: str) -> None:
        self.page.get_by_role("button", name=self.says(action), exact=True).click()

    def is_told(self, words: str) -> None:
        expect(self.page.locator(".messagelist")).to_contain_text(self.says(words))
        self.looks()

    def badge(self) -> Locator:
        return self.page.locator(".field-badge .pp-badge").first

    def story(self) -> Locator:
        return self.page.locator(".pp-timeline")


@pytest.fixture(params=[("desk", "fr"), ("phone", "en")], ids="-".join)
def payer(request: pytest.FixtureRequest, browser: Browser, demo: Demo, shots: Path) -> Iterator[Person]:
    with come_to(demo, browser, shots, request) as person:
        yield person


@pytest.fixture
def cashier(payer: Person) -> Cashier:
    cashier = Cashier(payer)
    cashier.logs_in()
    return cashier


def orders_without_word(payer: Person, way: str = "Return without payment") -> None:
    payer.orders("attieke")
    payer.chooses_way(way)
    payer.sees("We are waiting for the confirmation")


def pays(payer: Person) -> None:
    payer.orders("bissap")
    payer.presses("Pay")
    payer.sees("Paid, thank you!")


def acts_of(demo: Demo, email: str) -> list[str]:
    """Return the reasons that the staff have given."""
    return demo.execute(
        "SELECT message FROM paiementpro_paymentevent WHERE kind = 'staff' AND payment_id IN "
        "(SELECT id FROM paiementpro_payment WHERE customer_email = ?) ORDER BY id",
        email,
    )


def test_cashier_answers_whether_a_payment_has_arrived(payer: Person, cashier: Cashier, demo: Demo) -> None:
    pays(payer)
    cashier.finds(payer.email)
    expect(cashier.badge()).to_have_text(cashier.says("Paid"))
    reference = demo.execute("SELECT reference FROM paiementpro_payment WHERE customer_email = ?", payer.email)[0]
    for text in (reference, reference[:10], payer.email.upper()):
        cashier.finds(text)
    cashier.page.goto(f"{LIST}?q=07+07+12+34+56&status=succeeded")
    expect(cashier.page.locator("#result_list").get_by_text("07 07 12 34 56").first).to_be_visible()
    cashier.looks()


def test_cashier_checks_a_payment_at_the_gateway(payer: Person, cashier: Cashier, demo: Demo) -> None:
    payer.orders("attieke")
    # The payer closes the tab, and the notification gets lost.
    payer.page.route("**/sandbox.php*", lambda route: (route.fetch(max_redirects=0), route.fulfill(status=204)))
    with payer.page.expect_response("**/sandbox.php*"):
        payer.chooses_way("Notification lost")
    cashier.page = payer.page = payer.context.new_page()
    cashier.finds(payer.email)
    cashier.opens("Ask the gateway now")
    cashier.enters("Reason", "She has the SMS")
    cashier.submits("Ask the gateway now")
    cashier.is_told("The gateway confirms the payment. It is now paid.")
    expect(cashier.badge()).to_have_text(cashier.says("Paid"))
    expect(cashier.story()).to_contain_text("She has the SMS")
    assert demo.orders_of(payer.email) == ["paid"]


def test_cashier_confirms_by_hand_once(payer: Person, cashier: Cashier, demo: Demo) -> None:
    stock = demo.stock("attieke")
    orders_without_word(payer)
    cashier.finds(payer.email)
    cashier.opens("Confirm manually")
    cashier.enters("Gateway transaction", f"CI-{payer.email}")
    cashier.enters("Amount at the gateway", "100")
    cashier.enters("Proof", "Seen in the back office at ten")
    cashier.submits("Confirm manually")
    expect(
        cashier.page.get_by_text(cashier.says("Nothing has been done yet. Please correct the errors below."))
    ).to_be_visible()
    cashier.looks("confirm")
    assert demo.orders_of(payer.email) == ["open"]

    [amount] = demo.execute("SELECT amount FROM paiementpro_payment WHERE customer_email = ?", payer.email)
    cashier.enters("Amount at the gateway", str(amount))
    cashier.page.get_by_role("button", name=cashier.says("Confirm manually"), exact=True).dblclick()
    expect(cashier.badge()).to_have_text(cashier.says("Paid"))
    expect(cashier.story()).to_contain_text("Seen in the back office at ten")
    assert demo.orders_of(payer.email) == ["paid"]
    assert demo.stock("attieke") == stock - 1
    assert acts_of(demo, payer.email) == ["Seen in the back office at ten"]


def test_cashier_records_refunds(payer: Person, cashier: Cashier, demo: Demo) -> None:
    pays(payer)
    order = cashier.page.url
    cashier.finds(payer.email)
    cashier.opens("Record a refund")
    [amount] = demo.execute("SELECT amount FROM paiementpro_payment WHERE customer_email = ?", payer.email)
    expect(cashier.page.locator("[name=amount]")).to_have_value(str(amount))
    cashier.page.locator("[name=amount]").fill("1000")
    cashier.enters("Refund number", "R-77")
    cashier.enters("Reason", "The bottle was broken")
    cashier.page.locator("[name=refunded_on]").fill("2199-01-01")
    cashier.submits("Record a refund")
    expect(
        cashier.page.get_by_text(cashier.says("Nothing has been done yet. Please correct the errors below."))
    ).to_be_visible()
    cashier.looks()
    today = cashier.page.evaluate("new Date().toISOString().slice(0, 10)")
    cashier.page.locator("[name=refunded_on]").fill(today)
    cashier.page.get_by_role("button", name=cashier.says("Record a refund"), exact=True).dblclick()
    expect(cashier.story()).to_contain_text("R-77")
    expect(cashier.story()).to_contain_text("The bottle was broken")
    expect(cashier.page.locator(".pp-refunds tbody tr")).to_have_count(1)
    cashier.looks()
    assert demo.orders_of(payer.email) == ["paid"]
    assert demo.payments_of(payer.email) == [("succeeded", 1)]
    cashier.page.goto(f"{LIST}?q={payer.email}")
    expect(cashier.page.locator(".field-amount_display .pp-quiet")).to_contain_text("1\u202f000\u00a0F\u00a0CFA")
    cashier.looks()
    payer.page.goto(order)
    expect(payer.page.locator(".facts")).to_contain_text("1\u202f000\u00a0F\u00a0CFA")
    payer.looks()

    cashier.finds(payer.email)
    cashier.opens("Record a refund")
    expect(cashier.page.locator("[name=amount]")).to_have_value(str(amount - 1000))
    cashier.page.locator("[name=kind]").select_option("chargeback")
    cashier.page.locator("[name=fee]").fill("2500")
    cashier.enters("Refund number", "R-78")
    cashier.enters("Reason", "She asked her bank")
    cashier.submits("Record a refund")
    expect(cashier.page.locator(".pp-refunds tbody tr")).to_have_count(2)
    expect(cashier.page.locator(".pp-refunds")).to_contain_text("2\u202f500\u00a0F\u00a0CFA")
    cashier.looks()
    assert demo.orders_of(payer.email) == ["refunded"]
    assert demo.payments_of(payer.email) == [("refunded", 1)]


def test_cashier_reviews_one_finding_of_two(payer: Person, cashier: Cashier, demo: Demo) -> None:
    orders_without_word(payer, "Wrong amount")
    demo.execute(
        "INSERT INTO paiementpro_finding (payment_id, reason, detail, gateway_key, created_at, note) "
        "SELECT id, 'unknown_code', '7', '', CURRENT_TIMESTAMP, '' FROM paiementpro_payment WHERE customer_email = ?",
        payer.email,
    )
    cashier.finds(payer.email)
    expect(cashier.page.locator(".pp-finding")).to_have_count(2)
    cashier.opens("Mark as reviewed")
    cashier.page.locator("[name=finding]").select_option(index=2)
    cashier.enters("Note", "Our own test")
    cashier.submits("Mark as reviewed")
    expect(cashier.story()).to_contain_text("Our own test")
    expect(cashier.page.locator(".pp-finding")).to_have_count(1)
    cashier.looks()
    open_reasons = demo.execute(
        "SELECT reason FROM paiementpro_finding WHERE reviewed_at IS NULL AND payment_id = "
        "(SELECT id FROM paiementpro_payment WHERE customer_email = ?)",
        payer.email,
    )
    assert open_reasons == ["amount_mismatch"]


def test_cashier_delivers_the_signals_again(payer: Person, cashier: Cashier, demo: Demo) -> None:
    pays(payer)
    # What a shop that was broken would have lost.
    demo.execute("UPDATE shop_order SET status = 'open', paid_with_id = NULL WHERE email = ?", payer.email)
    cashier.finds(payer.email)
    cashier.opens("Send the signals again")
    cashier.enters("Reason", "The order stayed open")
    cashier.submits("Send the signals again")
    cashier.is_told("All receivers of the shop have succeeded.")
    assert demo.orders_of(payer.email) == ["paid"]


def test_cashier_works_off_the_review_queue(payer: Person, cashier: Cashier, demo: Demo) -> None:
    orders_without_word(payer, "Wrong amount")
    cashier.page.goto("/admin/")
    cashier.looks()
    cashier.page.locator(".pp-queue a").click()
    assert urlsplit(cashier.page.url).query == "review=1"
    cashier.looks()
    cashier.finds(payer.email)
    expect(cashier.page.locator(".pp-finding")).to_be_visible()
    cashier.opens("Mark as reviewed")
    cashier.enters("Note", "Given back, R-78")
    cashier.submits("Mark as reviewed")
    cashier.is_told("The payment is marked as reviewed.")
    expect(cashier.page.locator(".pp-finding")).to_have_count(0)
    expect(cashier.story()).to_contain_text("Given back, R-78")
    assert demo.execute("SELECT needs_review FROM paiementpro_payment WHERE customer_email = ?", payer.email) == [0]


def test_cashier_replays_what_was_refused(payer: Person, cashier: Cashier, demo: Demo) -> None:
    orders_without_word(payer, "Wrong amount")
    cashier.finds(payer.email)
    cashier.opens("Replay the notification")
    expect(cashier.page.get_by_text(cashier.says("It would be rejected"))).to_be_visible()
    expect(cashier.page.get_by_text(cashier.says("Nothing would change."))).to_be_visible()
    expect(cashier.page.locator("form[data-pp-once]")).to_have_count(0)

    # The wrong price of the order has been corrected since.
    demo.execute(
        "UPDATE paiementpro_payment SET amount = (SELECT json_extract(data, '$.amount') FROM paiementpro_paymentevent "
        "WHERE payment_id = paiementpro_payment.id AND kind = 'notification') WHERE customer_email = ?",
        payer.email,
    )
    cashier.page.reload()
    expect(cashier.page.get_by_text(cashier.says("It would be accepted."))).to_be_visible()
    assert demo.orders_of(payer.email) == ["open"]
    cashier.looks()
    cashier.enters("Reason", "The price was wrong")
    cashier.submits("Replay the notification")
    expect(cashier.badge()).to_have_text(cashier.says("Paid"))
    assert demo.orders_of(payer.email) == ["paid"]


def test_cashier_sends_the_payers_link(payer: Person, cashier: Cashier, demo: Demo) -> None:
    payer.orders("attieke")
    payer.presses("Refuse")
    payer.sees("The payment didn’t go through")
    cashier.finds(payer.email)
    payer.context.grant_permissions(["clipboard-read", "clipboard-write"])
    cashier.page.get_by_role("button", name=cashier.says("Copy"), exact=True).click()
    expect(cashier.page.get_by_role("button", name=cashier.says("Copied"), exact=True)).to_be_visible()
    link = cashier.page.evaluate("navigator.clipboard.readText()")

    customer = payer.other()
    customer.page.goto(link)
    assert demo.payments_of(payer.email) == [("failed", 1)]  # a preview of the link opens nothing
    customer.page.locator("form button").click()
    customer.page.locator("button[name=way], button[type=submit]").first.wait_for()
    assert demo.payments_of(payer.email) == [("pending", 2)]


def test_accountant_exports_the_list(payer: Person, cashier: Cashier) -> None:
    pays(payer)
    cashier.page.goto(f"{LIST}?q={payer.email}")
    with cashier.page.expect_download() as download:
        cashier.page.get_by_role("link", name=cashier.says("Export (CSV)"), exact=True).click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    header, row = text.splitlines()
    assert header.startswith("\ufeff")
    separator = ";" if payer.language == "fr" else ","
    assert cashier.says("Paid") in row.split(separator)
    assert payer.email in row.split(separator)


def test_owner_reads_the_takings(payer: Person, cashier: Cashier) -> None:
    pays(payer)
    cashier.page.goto(LIST)
    cashier.page.get_by_role("link", name=cashier.says("Takings"), exact=True).click()
    expect(cashier.page.get_by_role("heading", level=1)).to_have_text(cashier.says("Takings"))
    expect(cashier.page.locator("svg[role=img]").first).to_be_visible()
    cashier.looks()
    cashier.page.locator("[name=by]").select_option("month")
    cashier.page.locator("form [type=submit]").last.click()
    assert "by=month" in cashier.page.url
    cashier.looks()


@pytest.mark.parametrize("payer", KINDS, ids="-".join, indirect=True)
def test_pictures_of_every_page(payer: Person, cashier: Cashier, demo: Demo) -> None:
    pays(payer)
    cashier.finds(payer.email)
    both = ("light", "dark")
    cashier.looks("payment-paid", both)
    [paid] = newest(demo, payer)
    cashier.page.goto(f"{LIST}{paid}/refund/")
    cashier.looks("refund", both)
    cashier.page.locator("[name=amount]").fill("1000000")
    cashier.page.locator("[name=fee]").fill("-1")
    cashier.submits("Record a refund")
    cashier.looks("refund-refused", both)
    for number, fee in enumerate(("", "2500")):
        cashier.page.goto(f"{LIST}{paid}/refund/")
        cashier.page.locator("[name=amount]").fill("500")
        cashier.page.locator("[name=kind]").select_option("chargeback" if fee else "refund")
        cashier.page.locator("[name=fee]").fill(fee)
        cashier.page.locator("[name=reference]").fill(f"RB-20261125-{number}")
        cashier.page.locator("[name=reason]").fill("The bottle was broken")
        cashier.submits("Record a refund")
        expect(cashier.page.locator(".pp-refunds tbody tr")).to_have_count(number + 1)
    cashier.looks("payment-partly-refunded", both)
    payer.orders("attieke")
    payer.presses("Refuse")
    payer.sees("The payment didn’t go through")
    [refused] = newest(demo, payer)
    cashier.page.goto(f"{LIST}{refused}/change/")
    cashier.looks("payment-refused", both)
    orders_without_word(payer, "Wrong amount")
    [flagged] = newest(demo, payer)
    demo.execute(
        "INSERT INTO paiementpro_finding (payment_id, reason, detail, gateway_key, created_at, note) "
        "VALUES (?, 'unknown_code', '7', '', CURRENT_TIMESTAMP, '')",
        flagged,
    )
    cashier.page.goto(f"{LIST}{flagged}/change/")
    cashier.looks("payment-to-review", both)
    cashier.page.goto(f"{LIST}{flagged}/review/")
    cashier.looks("review", both)
    event, *_others = demo.execute(
        "SELECT id FROM paiementpro_paymentevent WHERE payment_id = ? AND kind = 'notification'", flagged
    )
    cashier.page.goto(f"{LIST}{flagged}/events/{event}/replay/")
    cashier.looks("replay", both)
    cashier.page.goto("/admin/")
    cashier.looks("index", both)
    cashier.page.goto(LIST)
    cashier.looks("list", both)
    cashier.page.goto(f"{LIST}takings/")
    cashier.looks("takings", both)


def newest(demo: Demo, payer: Person) -> list[Any]:
    sql = "SELECT id FROM paiementpro_payment WHERE customer_email = ? ORDER BY id DESC LIMIT 1"
    return demo.execute(sql, payer.email)
