"""
The demonstration, as people use it: a real Chromium, the real server, and the gateway that it plays.

Each page that is come to is looked at in the same way, by ``Person.sees``. Nothing here touches Django's ORM, which
does not run beside Playwright's event loop: what the shop has stored is read from its SQLite file.
"""

import itertools
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Request, Response, Route, expect, sync_playwright

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parent.parent
MANAGE = ROOT / "example_project" / "manage.py"
HOST = "127.0.0.1"
START_SECONDS = 60
EXPECT_MILLISECONDS = 10_000
LATE_MILLISECONDS = 25_000  # the latest notification comes after ten seconds, and a page may be eight behind
MAX_WEIGHT = 15_000

SIZES = {"phone": (360, 740), "desk": (1280, 800)}
KINDS = [(size, language) for size in SIZES for language in ("fr", "en")]
NUMBERS = itertools.count(1)  # of the people, each of whom has an address of their own

FRENCH = {
    "Awkward ways": "Cas difficiles",
    "Back to the shop": "Retour à la boutique",
    "Buy": "Acheter",
    "Cancel": "Annuler",
    "Cancel the order": "Annuler la commande",
    "Check your balance and your number, then try again.": "Vérifiez votre solde et votre numéro, puis réessayez.",
    "Forged notification": "Notification contrefaite",
    "From the market to your door": "Du marché jusqu’à votre porte",
    "Go back to the payment page": "Revenir à la page de paiement",
    "If you have confirmed on your phone, do not pay again.": (
        "Si vous avez validé sur votre téléphone, ne payez pas une deuxième fois."
    ),
    "Leave without a word": "Partir sans un mot",
    "My orders": "Mes commandes",
    "Not paid yet": "Pas encore payée",
    "Notification doubled": "Notification en double",
    "Notification late": "Notification en retard",
    "Notification lost": "Notification perdue",
    "Order and pay": "Commander et payer",
    "Order cancelled": "Commande annulée",
    "Paid": "Payée",
    "Paid, thank you!": "Payée, merci !",
    "Pay": "Payer",
    "Payment received": "Paiement reçu",
    "Refuse": "Refuser",
    "Resume the payment": "Reprendre le paiement",
    "Return without payment": "Retour sans paiement",
    "The payment was not made": "Le paiement n’a pas abouti",
    "To be paid": "À payer",
    "To pay": "À payer",
    "Try again": "Réessayer",
    "Wax print cloth, 6 yards": "Pagne wax, 6 yards",
    "We are waiting for the confirmation": "Nous attendons la confirmation",
    "Wrong amount": "Montant faux",
    "You have left the page": "Vous avez quitté la page",
    "Your order": "Votre commande",
}

# What a page that waits must not say.
VERDICTS = {
    "en": re.compile(r"fail|not made|declin|refus|received|thank", re.IGNORECASE),
    "fr": re.compile(r"échou|échec|abouti|refus|reçu|merci", re.IGNORECASE),
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
    headings: document.querySelectorAll("h1").length,
    overhang: root.scrollWidth - root.clientWidth,
    faint: texts.filter((element) => contrast(element) < 4.5).map((element) => element.outerHTML.slice(0, 200)),
    resources: performance.getEntriesByType("resource").map((entry) => new URL(entry.name).pathname)
      .filter((path) => !path.startsWith("/paiementpro/status/") && path !== "/favicon.ico"),
  };
}"""


class Demo:
    """What ``make demo`` runs, on a port and a database of its own."""

    def __init__(self, directory: Path, **settings: str) -> None:
        with socket.create_server((HOST, 0)) as server:
            self.port = server.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        self.database = directory / "shop.sqlite3"
        self.log = directory / "log.txt"
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONUTF8": "1",
            "PORT": str(self.port),
            "DATABASE_URL": f"sqlite:///{self.database}",
            # What a .env that lies about would say otherwise.
            "DEBUG": "true",
            "LOCAL_SANDBOX": "true",
            "LANGUAGE_CODE": "fr",
            "PAIEMENTPRO_GATEWAY_URL": f"{self.url}/sandbox",
            "PAIEMENTPRO_STATUS_URL": f"{self.url}/sandbox/status",
            **settings,
        }

    @contextmanager
    def running(self) -> Iterator["Demo"]:
        command = [sys.executable, MANAGE, "demo"]
        with (
            self.log.open("wb") as log,
            subprocess.Popen(command, env=self.environ, stdout=log, stderr=subprocess.STDOUT) as process,
        ):
            try:
                self._await_answer(process)
                yield self
            finally:
                process.terminate()
        assert "Traceback" not in self.log.read_text(encoding="utf-8")

    def _await_answer(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection((HOST, self.port), timeout=START_SECONDS).close()
            except ConnectionRefusedError:
                assert process.poll() is None, self.log.read_text(encoding="utf-8")
                assert time.monotonic() < deadline, "the demonstration does not answer"
                time.sleep(0.1)
            else:
                return

    def manage(self, *arguments: str) -> None:
        subprocess.run([sys.executable, MANAGE, *arguments], env=self.environ, check=True, timeout=60)

    def execute(self, sql: str, *values: Any) -> list[Any]:
        """Return the rows, as they are stored; their bare values, where each has one."""
        with closing(sqlite3.connect(self.database, timeout=20)) as connection, connection:
            rows = connection.execute(sql, values).fetchall()
        return [row[0] if len(row) == 1 else row for row in rows]

    def stock(self, slug: str) -> int:
        return self.execute("SELECT stock FROM shop_product WHERE slug = ?", slug)[0]

    def orders_of(self, email: str) -> list[str]:
        return self.execute("SELECT status FROM shop_order WHERE email = ?", email)

    def payments_of(self, email: str) -> list[tuple[str, int]]:
        """Return status and number of attempts of each payment."""
        return self.execute("SELECT status, attempt FROM paiementpro_payment WHERE customer_email = ?", email)

    def sessions_of(self, email: str) -> list[str]:
        """Return the state of each page that the gateway has opened."""
        return self.execute("SELECT state FROM paiementpro_sandbox_sandboxsession WHERE customer_email = ?", email)

    def outcomes_of(self, email: str) -> list[str]:
        """Return what became of each notification."""
        return self.execute(
            "SELECT outcome FROM paiementpro_paymentevent WHERE kind = 'notification' AND payment_id IN "
            "(SELECT id FROM paiementpro_payment WHERE customer_email = ?) ORDER BY id",
            email,
        )


class Person:
    """Somebody with a browser, who notes what goes wrong in it."""

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

    def other(self, **options: Any) -> "Person":
        """Return somebody at another browser, which knows nothing of the first."""
        self.others.append(Person(self.browser, self.demo, self.kind, self.shots, **options))
        return self.others[-1]

    def says(self, words: str) -> str:
        return FRENCH[words] if self.language == "fr" else words

    # Looking.

    def sees(self, heading: str, shot: str = "", timeout: int = EXPECT_MILLISECONDS) -> None:
        """Come to a page, and look at it as anybody does at each."""
        expect(self.page.get_by_role("heading", level=1)).to_contain_text(self.says(heading), timeout=timeout)
        self.page.wait_for_load_state()
        self.looks(shot)

    def looks(self, shot: str = "") -> None:
        path = urlsplit(self.page.url).path
        look = self.page.evaluate(LOOK)
        assert look["language"] == self.language
        assert look["overhang"] <= 0
        # The admin's colours, and its login page, are Django's own.
        assert look["headings"] == 1 or path == "/admin/login/"
        assert look["faint"] == [] or path.startswith("/admin/")
        if path.startswith("/paiementpro/"):
            assert look["resources"] == []
            assert len(self.documents[self.page.url].body()) < MAX_WEIGHT
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
        self.page.get_by_text(self.says("Awkward ways")).click()
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert executable, "No Chromium here: install it, or say in CHROMIUM where it is"
    expect.set_options(timeout=EXPECT_MILLISECONDS)
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with Demo(tmp_path_factory.mktemp("demo")).running() as demo:
        yield demo


@pytest.fixture(scope="module")
def deaf_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A shop whose status look-up is answered by nobody: it depends on notifications."""
    settings = {"PAIEMENTPRO_STATUS_URL": f"http://{HOST}:9/status"}
    with Demo(tmp_path_factory.mktemp("deaf_demo"), **settings).running() as demo:
        yield demo


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures go: into the folder that SCREENSHOTS names."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def come_to(demo: Demo, browser: Browser, shots: Path, request: pytest.FixtureRequest) -> Iterator[Person]:
    person = Person(browser, demo, request.param, shots)
    person.chooses_language()
    yield person
    person.leaves()


@pytest.fixture(params=KINDS, ids="-".join)
def payer(request: pytest.FixtureRequest, browser: Browser, demo: Demo, shots: Path) -> Iterator[Person]:
    """Somebody at the shop: on a phone and at a desk, in French and in English."""
    with come_to(demo, browser, shots, request) as person:
        yield person


@pytest.fixture(params=[("phone", "en"), ("desk", "fr")], ids="-".join)
def patient_payer(request: pytest.FixtureRequest, browser: Browser, deaf_demo: Demo, shots: Path) -> Iterator[Person]:
    """The same, at the shop that depends on notifications."""
    with come_to(deaf_demo, browser, shots, request) as person:
        yield person


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
    payer.sees("The payment was not made", "refused")
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


def test_payment_cancelled_at_the_gateway_leaves_the_order_to_be_paid(payer: Person, demo: Demo) -> None:
    payer.orders("beurre-de-karite")
    payer.presses("Cancel")
    payer.sees("The payment was not made")
    payer.sees_status("To be paid")
    payer.opens_order()
    payer.sees("The payment was not made", "unpaid-order")
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
    payer.chooses_way("Return without payment", "gateway-awkward")
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


def test_lost_notification_is_made_good_by_reconciliation(payer: Person, demo: Demo) -> None:
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
    sql = "SELECT reference, needs_review, review_reason FROM paiementpro_payment WHERE customer_email = ?"
    [(reference, needs_review, reason)] = demo.execute(sql, payer.email)
    assert needs_review
    payer.page.goto("/admin/paiementpro/payment/")
    payer.looks("admin-login")
    payer.page.locator("[name=username]").fill("admin")
    payer.page.locator("[name=password]").fill("admin")
    payer.page.locator("[type=submit]").click()
    link = payer.page.get_by_role("link", name=reference)
    expect(link).to_be_visible()
    payer.looks("admin-payments")
    link.click()
    expect(payer.page.get_by_text(reason.splitlines()[0]).first).to_be_visible()
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
    payer.chooses_way("Leave without a word")
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
