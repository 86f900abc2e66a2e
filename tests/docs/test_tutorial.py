"""
The tutorial, followed word for word in an empty folder, in both languages.

There the packages of the suite count as installed, so that pip fetches nothing.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from functools import partial
from itertools import takewhile
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests

from tests.docs.browser import WRITTEN, Browser
from tests.docs.pages import LANGUAGES, Block, page, steps
from tests.docs.terminal import INSTALLED, Terminal, follow
from tests.server.threads import at_once

pytestmark = pytest.mark.process


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, tmp_path / "first-sale", INSTALLED)
    yield terminal
    terminal.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_tutorial_can_be_followed_literally(terminal: Terminal, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser()

    for step in steps(page(language, "tutorial/first-sale")):
        follow(step, terminal, browser)

    # The app asks for a number that was mistyped.
    monkeypatch.setitem(WRITTEN, "phone", "0707")
    browser.open(f"http://127.0.0.1:{terminal.port}/")
    browser.press(browser.page.buttons[0].label)
    browser.read({"en": "Your details", "fr": "Vos coordonnées"}[language])
    button = browser.page.buttons[0]
    assert button.form
    assert button.form.fields == {"customer_phone": "0707"}
    button.form.fields["customer_phone"] = "07 07 12 34 56"
    browser.press(button.label)
    assert "/sandbox/" in browser.url

    # Five orders, of which two were paid: one by notification, one as the gateway was asked; and one to look at.
    with contextlib.closing(sqlite3.connect(terminal.project / "db.sqlite3")) as database:
        paid = database.execute("SELECT is_paid FROM orders_order ORDER BY is_paid").fetchall()
        settled = database.execute(
            "SELECT status, settled_by, needs_review FROM paiementpro_payment ORDER BY id"
        ).fetchall()
    assert paid == [(0,), (0,), (0,), (1,), (1,)]
    assert settled == [
        ("succeeded", "notification", 0),
        ("succeeded", "status", 0),
        ("pending", "", 0),
        ("pending", "", 1),
        ("pending", "", 0),
    ]


def test_two_clicks_at_once_lead_to_one_page(terminal: Terminal) -> None:
    browser = Browser()
    terminal.skipped = ("python3 -m venv ", "source ", "pip install ")  # the environment of these tests will do
    for step in takewhile(lambda step: isinstance(step, Block), steps(page("en", "tutorial/first-sale"))):
        follow(step, terminal, browser)

    def click(url: str) -> tuple[int, str]:
        with requests.Session() as session:
            session.trust_env = False
            response = session.get(url, timeout=30)
        return response.status_code, response.url

    for _ in range(8):
        browser.open(f"http://127.0.0.1:{terminal.port}/")
        form = browser.page.buttons[0].form
        assert form
        bought = browser.session.post(browser.url, {**form.fields, **WRITTEN}, allow_redirects=False, timeout=30)
        pay = partial(click, urljoin(browser.url, bought.headers["Location"]))
        one, other = at_once(pay, pay)
        assert one == other
        assert one[0] == 200
        assert "/sandbox/" in one[1]
