"""Payment links as a shop's staff make, share, print and import them, on a phone and at a desk, in both languages."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import come_to
from tests.browser.demo import Demo
from tests.browser.people import KINDS, LOOK
from tests.browser.test_back_office import Cashier

pytestmark = pytest.mark.browser

LIST = "/admin/paiementpro_links/paymentlink/"

#: The desk of a small laptop.
DESK = {"width": 1366, "height": 768}

FRENCH = {
    "Check the list": "Vérifier la liste",
    "Copied": "Copié",
    "Copy": "Copier",
    "Make 2 links": "Créer 2 liens",
    "More options": "Plus d’options",
    "Poster (A4)": "Affiche (A4)",
    "Table card (A6)": "Carte de table (A6)",
    "Save": "Enregistrer",
    "Scan to pay": "Scannez pour payer",
    "Switch the link off": "Désactiver le lien",
    "Switch the link on": "Activer le lien",
    "The link is ready: send it to your customer.": "Le lien est prêt : envoyez-le à votre client.",
    "The link is switched off.": "Le lien est désactivé.",
}


class Clerk(Cashier):
    """A staff user who makes payment links."""

    def says(self, words: str) -> str:
        if self.payer.language == "fr" and words in FRENCH:
            return FRENCH[words].replace(" :", "\u00a0:")
        return super().says(words) if self.payer.language == "fr" else words

    def makes_a_link(self, **values: str) -> None:
        self.page.goto(f"{LIST}add/")
        for name, value in {"title": "Pagne wax, 6 yards", "amount": "12 500", **values}.items():
            self.page.locator(f"[name={name}]").fill(value)
        self.looks("link-new", ("light", "dark"))
        self.submits("Save")
        self.is_told("The link is ready: send it to your customer.")

    def reads_paper(self, name: str, paper_name: str, shot: str = "") -> None:
        """Open a poster or a card, look at it on the screen, and print it: on one page, of the right size."""
        with self.page.expect_popup() as popup:
            self.page.get_by_role("link", name=self.says(name), exact=True).click()
        paper = popup.value
        file = f"{shot or paper_name}-{self.payer.size}-{self.payer.language}"
        paper.wait_for_load_state()
        expect(paper.get_by_text(self.says("Scan to pay"))).to_be_visible()
        look = paper.evaluate(LOOK)
        assert (look["language"], look["headings"], look["overhang"]) == (self.payer.language, 1, 0)
        assert look["faint"] == []
        paper.screenshot(path=self.payer.shots / f"{file}.png", full_page=True)
        pdf = paper.pdf(prefer_css_page_size=True, print_background=True)
        (self.payer.shots / f"{file}.pdf").write_bytes(pdf)
        assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
        box = re.search(rb"/MediaBox\s*\[\s*0\s+0\s+([\d.]+)\s+([\d.]+)", pdf)
        assert box
        points = [round(float(length)) for length in box.groups()]
        expected = {"poster": (595, 842), "card": (298, 420)}[paper_name]
        assert all(abs(one - other) <= 2 for one, other in zip(points, expected, strict=True))
        paper.close()


@pytest.fixture(params=KINDS, ids="-".join)
def clerk(request: pytest.FixtureRequest, browser: Browser, demo: Demo, shots: Path) -> Iterator[Clerk]:
    with come_to(demo, browser, shots, request) as person:
        if person.size == "desk":
            person.page.set_viewport_size(DESK)
        clerk = Clerk(person)
        clerk.logs_in()
        yield clerk


def test_clerk_makes_shares_prints_and_switches_off_a_link(clerk: Clerk, demo: Demo) -> None:
    page = clerk.page
    clerk.makes_a_link(customer_name="Awa Koné", customer_phone="07 07 12 34 56")
    clerk.looks("link", ("light", "dark"))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name=clerk.says("Copy"), exact=True).click()
    expect(page.get_by_role("button", name=clerk.says("Copied"), exact=True)).to_be_visible()
    address = page.evaluate("navigator.clipboard.readText()")
    [token] = demo.execute("SELECT token FROM paiementpro_links_paymentlink ORDER BY id DESC LIMIT 1")
    assert address == f"{demo.url}/pay/{token}/"
    whatsapp = page.get_by_role("link", name="WhatsApp").get_attribute("href") or ""
    assert whatsapp.startswith("https://wa.me/2250707123456?text=")
    assert address in unquote(whatsapp)

    clerk.reads_paper("Poster (A4)", "poster")
    clerk.reads_paper("Table card (A6)", "card")

    clerk.opens("Switch the link off")
    page.locator("[name=closed_message]").fill("Épuisé, à bientôt !")
    clerk.looks("link-switch", ("light", "dark"))
    clerk.submits("Switch the link off")
    clerk.is_told("The link is switched off.")
    expect(page.get_by_role("link", name=clerk.says("Switch the link on"), exact=True)).to_be_visible()
    page.goto(LIST)
    clerk.looks("links", ("light", "dark"))


def test_long_title_stays_on_its_paper(clerk: Clerk) -> None:
    clerk.makes_a_link(title=("Frais de scolarité 😀 " * 30)[:500], amount="")
    clerk.looks("link-long")
    clerk.reads_paper("Poster (A4)", "poster", "poster-long")
    clerk.reads_paper("Table card (A6)", "card", "card-long")


def test_clerk_imports_a_list(clerk: Clerk, demo: Demo) -> None:
    page = clerk.page
    title = f"Cotisation {clerk.payer.size} {clerk.payer.language}"

    def upload(text: str) -> None:
        page.goto(f"{LIST}import/")
        page.locator("[name=title]").fill(title)
        page.locator("[name=file]").set_input_files(
            {"name": "list.csv", "mimeType": "text/csv", "buffer": text.encode()}
        )
        clerk.looks("import", ("light", "dark"))
        clerk.submits("Check the list")

    upload("Nom;Tél;Montant\nAwa Koné;0707123456;45 000\nYao;12;x\nTOTAL;;45 000\n")
    clerk.looks("import-faults", ("light", "dark"))
    expect(page.locator("[name=rows]")).to_have_count(0)
    upload("Nom;Tél;Montant;Classe\nAwa Koné;0707123456;45 000;CM2\nYao Kouassi;;32.500 F;CP\n")
    clerk.looks("import-preview", ("light", "dark"))
    page.get_by_role("button", name=clerk.says("Make 2 links"), exact=True).dblclick()
    expect(page.locator(".pp-item")).to_have_count(2)
    clerk.looks("import-links", ("light", "dark"))
    amounts = demo.execute("SELECT amount FROM paiementpro_links_paymentlink WHERE title = ? ORDER BY id", title)
    assert amounts == [45000, 32500]
