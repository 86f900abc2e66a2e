"""README.rst and LISEZMOI.rst: what they show works, and what they say about the project is true."""

import contextlib
import re
import runpy
import sqlite3
from collections.abc import Iterator
from configparser import ConfigParser
from itertools import groupby
from pathlib import Path

import pytest
from django.utils import translation
from readme_renderer.rst import render

from django_paiementpro.enums import Channel
from tests.docs.browser import Browser
from tests.docs.pages import Act, first_steps
from tests.docs.terminal import INSTALLED, Terminal, follow
from tests.docs.test_howto import run
from tests.test_workflows import tox_environments
from tests.wheel.build import for_index

ROOT = Path(__file__).parent.parent
LANGUAGES = {"README.rst": "en", "LISEZMOI.rst": "fr"}

pages = pytest.mark.parametrize("page", LANGUAGES)


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def listed(page: str) -> list[str]:
    """Return the payment methods, a line for each country."""
    return re.findall(r"^- (.+?)$", section(page, 2), re.MULTILINE)


def section(page: str, number: int) -> str:
    return re.split(r"\n\n\n(?=\S[^\n]*\n-{3,}\n)", read(page))[number]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, tmp_path, INSTALLED)
    yield terminal
    terminal.close()


@pages
@pytest.mark.process
def test_page_leads_to_a_paid_order(page: str, terminal: Terminal) -> None:
    browser = Browser()

    for step in first_steps(page):
        follow(step, terminal, browser)

    assert isinstance(step, Act)
    assert step.verb == "read"
    with contextlib.closing(sqlite3.connect(terminal.project / "db.sqlite3")) as database:
        assert database.execute("SELECT id, is_paid FROM orders_order").fetchall() == [(1, 1)]
        assert database.execute("SELECT settled_by FROM paiementpro_payment").fetchall() == [("notification",)]
    browser.open(f"http://127.0.0.1:{terminal.port}/orders/1/pay/")
    browser.read(step.text)
    assert run(terminal.project, "manage.py", "check") == "System check identified no issues (0 silenced).\n"

    # The tests of the shop, with the settings that the page names.
    lines = re.findall(r"``(PAIEMENTPRO_\w+\s=\s[^`]+)``", section(page, 1))
    text = "\n".join(["from shop.settings import *", *(" ".join(line.split()) for line in lines)])
    (terminal.project / "shop" / "testing.py").write_text(text, encoding="utf-8")
    (terminal.project / "orders" / "tests.py").write_text(
        "from django.conf import settings\nfrom django.test import TestCase\n\n\n"
        "class Shop(TestCase):\n    def test_debug_is_off(self):\n        self.assertFalse(settings.DEBUG)\n"
    )
    said = run(terminal.project, "manage.py", "test", "--settings", "shop.testing")
    assert "Ran 1 test" in said
    assert "System check identified no issues" in said


@pages
def test_payment_methods_are_those_of_the_code(page: str) -> None:
    with translation.override(LANGUAGES[page]):
        countries = [list(channels) for _code, channels in groupby(Channel, lambda channel: channel.country)]
        for line, channels in zip(listed(page), countries, strict=True):
            country, names = re.split(r" ?: ", line, maxsplit=1)
            expected = [str(channel.label).replace(f" {country}", "") for channel in channels]
            assert names.casefold() == ", ".join(expected).casefold()
            assert all(country in str(channel.label) for channel in channels if channel.country)


@pages
def test_versions_are_those_that_are_tested(page: str) -> None:
    python, django, databases = re.findall(
        r"^(?:Python|Django|Databases|Bases de données)  +(.+)$", read(page), re.MULTILINE
    )
    factors = {tuple(name.split("-")) for name in tox_environments()}
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    classifiers = parser["metadata"]["classifiers"]

    pythons = re.findall(r"\d\.\d+", python)
    djangos = re.findall(r"\d\.\d+", re.split(" ?;", django)[0])
    assert re.findall(r"^Programming Language :: Python :: (\d+\.\d+)$", classifiers, re.MULTILINE) == pythons
    assert re.findall(r"^Framework :: Django :: (\d+\.\d+)$", classifiers, re.MULTILINE) == djangos
    assert {f"py{version.replace('.', '')}" for version in pythons} == {factor[0] for factor in factors}
    assert {f"django{version.replace('.', '')}" for version in djangos} == {factor[1] for factor in factors}
    tested = re.split(" ?;", databases)[0].lower().replace("postgresql", "postgres").split(", ")
    assert set(tested) == {factor[2] for factor in factors}
    # The newer ones need a newer Python.
    assert re.findall(r"\d\.\d+", django.partition(";")[2]) == ["6.0", "3.12"]
    assert {factor[0] for factor in factors if factor[1] != "django52"} == {
        f"py{version.replace('.', '')}" for version in pythons if version not in ("3.10", "3.11")
    }


@pages
def test_badges_are_true(page: str) -> None:
    badges = runpy.run_path(str(ROOT / "docs" / "badges.py"))
    texts = badges["texts"]()

    shown = re.findall(r"^\.\. \|(\w+)\| image:: docs/badges/(\w+)\.svg\n   :alt: (.+)$", read(page), re.MULTILINE)
    assert {name: alt for _label, name, alt in shown} == {name: ": ".join(text) for name, text in texts.items()}
    assert read(page).splitlines()[3] == " ".join(f"|{name}|" for name in texts)
    for name, text in texts.items():
        kept = (ROOT / "docs" / "badges" / f"{name}.svg").read_text(encoding="utf-8")
        assert kept == badges["draw"](*text), "run: python docs/badges.py"


@pages
def test_frameworks_are_those_with_an_adapter_or_a_guide(page: str) -> None:
    folders = {path.parent.name for path in (ROOT / "django_paiementpro" / "contrib").glob("*/apps.py")}
    guides = set(re.findall(r"<docs/../howto/(\w+)\.rst>", section(page, 3)))

    assert guides == folders - {"celery"} | {"salesman", "pretix", "saleor"}


@pages
def test_links_lead_to_files(page: str) -> None:
    targets = re.findall(r"`[^`]+\s<([^:>]+)>`_|(?:image::|:target:) (\S+)", read(page))
    names = [first or second for first, second in targets]

    assert len(names) > 20
    assert [name for name in names if not (ROOT / name).is_file()] == []


@pages
def test_index_shows_no_broken_link_and_no_broken_picture(page: str) -> None:
    html = render(for_index(read(page), ""))

    assert html
    assert "<img" not in html
    assert [url for url in re.findall(r'(?:href|src)="([^"]*)"', html) if not re.match("#|https?://", url)] == []
    assert "Django: 5.2 – 6.1 · licence: MIT" in html
    assert "docs/" in html  # where the pages are, as text


@pages
def test_index_links_to_the_repository_once_it_is_known(page: str) -> None:
    html = render(for_index(read(page), "https://code.example/shop/app"))

    assert html
    urls = re.findall(r'(?:href|src)="([^"#][^"]*)"', html)
    assert "https://code.example/shop/app/blob/HEAD/SECURITY.md" in urls
    assert f"https://code.example/shop/app/raw/HEAD/docs/pictures/front-{LANGUAGES[page]}.webp" in urls
    assert "https://code.example/shop/app/raw/HEAD/docs/badges/ci.svg" in urls
    assert [url for url in urls if not re.match("https?://", url)] == []
