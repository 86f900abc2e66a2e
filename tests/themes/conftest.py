from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.browser.conftest import browser, shots  # noqa: F401  # fixtures
from tests.browser.demo import Demo

THEMES = ["django", "unfold", "unfold-mixin", "jazzmin", "grappelli"]
SETTINGS = "tests.themes.settings"

#: Each is started once, with the sales of 60 days.
SIZES = {"phone": (360, 740), "desk": (1366, 768)}
SCHEMES = ["light", "dark"]


@pytest.fixture(scope="module", params=THEMES)
def theme(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def shop(theme: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The example shop with its past sales, in an admin with this theme."""
    demo = Demo(tmp_path_factory.mktemp(theme), THEME=theme, DJANGO_SETTINGS_MODULE=SETTINGS)
    with demo.running():
        yield demo


def logged_in(browser: Browser, shop: Demo, size: str, scheme: Any) -> BrowserContext:  # noqa: F811
    """Return a browser of this size and colour scheme, in which the owner has logged in, in French."""
    width, height = SIZES[size]
    viewport: Any = {"width": width, "height": height}
    context = browser.new_context(base_url=shop.url, locale="fr-FR", viewport=viewport, color_scheme=scheme)
    page = context.new_page()
    page.goto("/admin/login/?next=/admin/")
    page.locator("[name=username]").fill("admin")
    page.locator("[name=password]").fill("admin")
    page.locator("[name=password]").press("Enter")
    page.wait_for_url("**/admin/")
    page.close()
    return context


@pytest.fixture(scope="module", params=[(size, scheme) for size in SIZES for scheme in SCHEMES], ids="-".join)
def look(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Size and colour scheme."""
    size, scheme = request.param
    return size, scheme


@pytest.fixture(scope="module")
def office(look: tuple[str, str], browser: Browser, shop: Demo) -> Iterator[BrowserContext]:  # noqa: F811
    context = logged_in(browser, shop, *look)
    yield context
    context.close()


@pytest.fixture(scope="module", params=SIZES)
def counter(request: pytest.FixtureRequest, browser: Browser, shop: Demo) -> Iterator[BrowserContext]:  # noqa: F811
    """For what does not depend on colours."""
    context = logged_in(browser, shop, request.param, "light")
    yield context
    context.close()
