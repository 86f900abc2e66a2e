import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Request, Response, expect

from tests.browser.demo import HOST, Demo

EXPECT_MILLISECONDS = 30_000
MAX_WEIGHT = 15_000
LOGO = "/static/shop/logo.svg"

SIZES = {"phone": (360, 740), "desk": (1280, 800)}
KINDS = [(size, language) for size in SIZES for language in ("fr", "en")]
NUMBERS = itertools.count(1)  # of the people, each of whom has an address of their own

FRENCH = {
    "Continue to payment": "Continuer vers le paiement",
    "Copied": "Copié",
    "Edge cases": "Cas particuliers",
    "Enter a telephone number of 8 to 15 digits.": "Saisissez un numéro de téléphone de 8 à 15 chiffres.",
    "Back to the shop": "Retour à la boutique",
    "Buy": "Acheter",
    "Buy something else": "Acheter autre chose",
    "Cancel": "Annuler",
    "Cancel the order": "Annuler la commande",
    "Change number or payment method": "Changer de numéro ou de moyen de paiement",
    "Check your balance and your number, then try again.": "Vérifiez votre solde et votre numéro, puis réessayez.",
    "Express checkout": "Achat express",
    "Forged notification": "Notification contrefaite",
    "From the market to your door": "Du marché jusqu’à votre porte",
    "Go back to the payment page": "Revenir à la page de paiement",
    "If you have confirmed on your phone, do not pay again.": (
        "Si vous avez validé sur votre téléphone, ne payez pas une deuxième fois."
    ),
    "In a hurry? Buy on a single page": "Pressé ? Achetez en une seule page",
    "Leave without paying": "Partir sans payer",
    "My orders": "Mes commandes",
    "Not paid yet": "Pas encore payée",
    "Notification doubled": "Notification en double",
    "Notification late": "Notification en retard",
    "Notification lost": "Notification perdue",
    "Opening the payment page…": "Ouverture de la page de paiement…",
    "Order and pay": "Commander et payer",
    "Order cancelled": "Commande annulée",
    "Paid": "Payée",
    "Paid, thank you!": "Payée, merci !",
    "Pay": "Payer",
    "Payment received": "Paiement reçu",
    "Payment received, thank you!": "Paiement reçu, merci !",
    "Please look at the fields marked below.": "Merci de vérifier les champs signalés ci-dessous.",
    "Refuse": "Refuser",
    "Resume the payment": "Reprendre le paiement",
    "Return without payment": "Retour sans paiement",
    "See my order": "Voir ma commande",
    "The shop cannot be reached. Check your connection, then try again.": (
        "La boutique ne répond pas. Vérifiez votre connexion, puis réessayez."
    ),
    "The payment is kept. Please try again in a moment.": (
        "Le paiement est conservé. Veuillez réessayer dans un instant."
    ),
    "The payment didn’t go through": "Le paiement n’a pas abouti",
    "To be paid": "À payer",
    "To pay": "À payer",
    "Try again": "Réessayer",
    "Wax print cloth, 6 yards": "Pagne wax, 6 yards",
    "We are waiting for the confirmation": "Nous attendons la confirmation",
    "We are waiting for your payment": "Nous attendons votre paiement",
    "Wrong amount": "Montant faux",
    "You have left the page": "Vous avez quitté la page",
    "Your details": "Vos coordonnées",
    "Your order": "Votre commande",
}

# What a person sees of a page; contrast as WCAG 2 computes it.
LOOK = """() => {
  const rgba = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const over = ([r, g, b, a], below) => [r, g, b].map((part, i) => part * a + below[i] * (1 - a));
  const ground = (element) => {
    if (!element) { return [255, 255, 255]; }
    const color = rgba(getComputedStyle(element).backgroundColor);
    return color[3] === 1 ? color.slice(0, 3) : over(color, ground(element.parentElement));
  };
  const light = (color) => {
    const linear = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = color.map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (element) => {
    const below = ground(element);
    const both = [light(below), light(over(rgba(getComputedStyle(element).color), below))];
    return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
  };
  const texts = [...document.querySelectorAll("body *")].filter((element) => element.checkVisibility() && (
    element.matches("input, select, textarea")
    || [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())));
  const root = document.documentElement;
  return {
    language: root.lang,
    headings: [...document.querySelectorAll("h1")].filter((heading) => heading.checkVisibility()).length,
    overhang: root.scrollWidth - root.clientWidth,
    faint: texts.filter((element) => contrast(element) < 4.5).map((element) => element.outerHTML.slice(0, 200)),
    resources: performance.getEntriesByType("resource").map((entry) => new URL(entry.name).pathname)
      .filter((path) => !path.startsWith("/paiementpro/status/") && path !== "/favicon.ico"),
  };
}"""


class Person:
    """A person with a browser, which records its errors."""

    def __init__(self, browser: Browser, demo: Demo, kind: tuple[str, str], shots: Path, **options: Any) -> None:
        self.browser, self.demo, self.kind, self.shots = browser, demo, kind, shots
        self.size, self.language = kind
        self.email = f"awa.kone{next(NUMBERS)}@example.com"
        self.troubles: list[str] = []
        self.documents: dict[str, Response] = {}
        width, height = SIZES[self.size]
        self.context = browser.new_context(
            base_url=demo.url, viewport={"width": width, "height": height}, locale="en-GB", **options
        )
        self.context.set_default_timeout(EXPECT_MILLISECONDS)
        self.context.on("request", self._note_request)
        self.context.on("response", self._note_response)
        self.context.on("console", self._note_console)
        self.context.on("weberror", lambda error: self.troubles.append(f"error in a script: {error.error}"))
        self.page = self.context.new_page()
        self.others: list[Person] = []

    def leaves(self) -> None:
        for person in (*self.others, self):
            person.context.close()
            assert person.troubles == []

    def _note_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data" and parts.hostname != HOST:
            self.troubles.append(f"a request to {request.url}")

    def _note_response(self, response: Response) -> None:
        if response.status >= 500:
            self.troubles.append(f"{response.status} from {response.url}")
        if response.request.is_navigation_request() and not response.headers.get("location"):
            self.documents[response.url] = response

    def _note_console(self, message: ConsoleMessage) -> None:
        # The icon of the site is asked for once, wherever a page names none; that a shop has one is not our subject.
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            self.troubles.append(f"in the console: {message.text} ({message.location})")

    def forgets_troubles(self, what: str) -> None:
        """Take as told what was asked for: answers that a browser writes into its console as errors."""
        assert self.troubles
        assert all(what in trouble for trouble in self.troubles)
        self.troubles.clear()

    def other(self, **options: Any) -> "Person":
        """Return a person with another browser, which shares nothing with the first."""
        self.others.append(Person(self.browser, self.demo, self.kind, self.shots, **options))
        return self.others[-1]

    def says(self, words: str) -> str:
        return FRENCH[words] if self.language == "fr" else words

    # Looking.

    def waits_until(self, is_so: Callable[[], bool]) -> None:
        for _ in range(EXPECT_MILLISECONDS // 100):
            if is_so():
                return
            self.page.wait_for_timeout(100)
        raise AssertionError

    def sees(self, heading: str, shot: str = "", timeout: int = EXPECT_MILLISECONDS) -> None:
        """Come to a page, and look at it as anybody does at each."""
        expect(self.page.get_by_role("heading", level=1)).to_contain_text(self.says(heading), timeout=timeout)
        self.page.wait_for_load_state()
        self.looks(shot)

    def looks(self, shot: str = "") -> None:
        self.page.wait_for_load_state()
        path = urlsplit(self.page.url).path
        look = self.page.evaluate(LOOK)
        assert look["language"] == self.language
        assert look["overhang"] <= 0
        # The admin's colours, and its login page, are Django's own.
        assert look["headings"] == 1 or path == "/admin/login/"
        assert look["faint"] == [] or path.startswith("/admin/")
        if path.startswith("/paiementpro/"):
            assert set(look["resources"]) <= {LOGO}
            assert len(self.documents[self.page.url].body()) < MAX_WEIGHT
        if not path.startswith("/admin/"):
            self.page.emulate_media(color_scheme="dark")
            assert self.page.evaluate(LOOK)["faint"] == []
            self.page.emulate_media(color_scheme="light")
        assert self.troubles == []
        if shot:
            name = f"{shot}-{self.size}-{self.language}.png"
            self.page.screenshot(path=self.shots / name, full_page=True, animations="disabled")

    def sees_words(self, words: str) -> None:
        expect(self.page.get_by_text(self.says(words))).to_be_visible()

    def sees_status(self, status: str, shot: str = "") -> None:
        """See the status of the newest order in the list of orders."""
        self.page.goto("/orders/")
        expect(self.page.locator(".order .status").first).to_have_text(self.says(status))
        self.looks(shot)

    # Doing.

    def button(self, words: str) -> Locator:
        return self.page.get_by_role("button", name=self.says(words), exact=True)

    def presses(self, words: str) -> None:
        self.button(words).click()

    def follows(self, words: str) -> None:
        self.page.get_by_role("link", name=self.says(words), exact=True).click()

    def chooses_language(self) -> None:
        """Take the English of the page's own switch; French is what everybody gets."""
        self.page.goto("/")
        if self.language == "en":
            self.page.get_by_role("button", name="English").click()
        self.sees("From the market to your door")

    def fills_the_form(self) -> None:
        buyer = {"first_name": "Awa", "last_name": "Koné", "phone": "07 07 12 34 56", "email": self.email}
        for field, value in buyer.items():
            self.page.locator(f"[name={field}]").fill(value)

    def orders(self, slug: str) -> None:
        """Order a product, as far as the gateway's page."""
        self.page.goto(f"/products/{slug}/buy/")
        self.fills_the_form()
        self.presses("Order and pay")
        self.sees("To pay")

    def chooses_way(self, words: str, shot: str = "") -> None:
        """Do on the gateway's page what its drawer offers."""
        self.page.get_by_text(self.says("Edge cases")).click()
        self.looks(shot)
        self.presses(words)

    def opens_order(self) -> None:
        self.page.goto("/orders/")
        self.page.locator(".order a").first.click()

    def tabs_to(self, target: Locator) -> None:
        """Go to it with the tabulator key, seeing on the way where the focus is."""
        for _ in range(40):
            self.page.keyboard.press("Tab")
            assert self.page.evaluate(
                "[document.activeElement, document.activeElement.closest('label')]"
                ".some((element) => element && getComputedStyle(element).outlineStyle !== 'none')"
            )
            if target.evaluate("(element) => element === document.activeElement"):
                return
        pytest.fail(f"no way to {target} by keyboard")

    def types(self, field: str, text: str) -> None:
        self.tabs_to(self.page.locator(f"[name={field}]"))
        self.page.keyboard.type(text)
