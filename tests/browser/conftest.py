import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.demo import HOST, Demo
from tests.browser.people import EXPECT_MILLISECONDS, KINDS, Person
from tests.server.fronts import Front
from tests.server.site import running


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
def cut_off_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A shop whose gateway is away."""
    settings = {"PAIEMENTPRO_GATEWAY_URL": f"http://{HOST}:9"}
    with Demo(tmp_path_factory.mktemp("cut_off_demo"), **settings).running() as demo:
        yield demo


@pytest.fixture(scope="module")
def deaf_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A shop whose status look-up never answers: it depends on notifications."""
    settings = {"PAIEMENTPRO_STATUS_URL": f"http://{HOST}:9/status"}
    with Demo(tmp_path_factory.mktemp("deaf_demo"), **settings).running() as demo:
        yield demo


@pytest.fixture(scope="module")
def moody_front() -> Iterator[Front]:
    """What stands before a shop's gateway, and has moods: ``play`` says which."""
    with running(Front(lambda visitor: None)) as front:
        yield front


@pytest.fixture(scope="module")
def moody_demo(tmp_path_factory: pytest.TempPathFactory, moody_front: Front) -> Iterator[Demo]:
    settings = {"PAIEMENTPRO_GATEWAY_URL": f"{moody_front.url}/sandbox"}
    with Demo(tmp_path_factory.mktemp("moody_demo"), **settings).running() as demo:
        moody_front.site = demo.url
        yield demo


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures go: into the folder that SCREENSHOTS names."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def come_to(demo: Demo, browser: Browser, shots: Path, request: pytest.FixtureRequest) -> Iterator[Person]:
    demo.restock()
    person = Person(browser, demo, request.param, shots)
    person.chooses_language()
    yield person
    person.leaves()


@pytest.fixture(params=KINDS, ids="-".join)
def payer(request: pytest.FixtureRequest, browser: Browser, demo: Demo, shots: Path) -> Iterator[Person]:
    """A customer of the shop: on a phone and at a desk, in French and in English."""
    with come_to(demo, browser, shots, request) as person:
        yield person


@pytest.fixture(params=[("phone", "en"), ("phone", "fr")], ids="-".join)
def unlucky_payer(
    request: pytest.FixtureRequest, browser: Browser, cut_off_demo: Demo, shots: Path
) -> Iterator[Person]:
    """The same, at the shop whose gateway is away."""
    with come_to(cut_off_demo, browser, shots, request) as person:
        yield person


@pytest.fixture(params=[("phone", "en"), ("desk", "fr")], ids="-".join)
def patient_payer(request: pytest.FixtureRequest, browser: Browser, deaf_demo: Demo, shots: Path) -> Iterator[Person]:
    """The same, at the shop that depends on notifications."""
    with come_to(deaf_demo, browser, shots, request) as person:
        yield person


@pytest.fixture
def moody_payer(request: pytest.FixtureRequest, browser: Browser, moody_demo: Demo, shots: Path) -> Iterator[Person]:
    """The same, at the shop whose gateway has moods."""
    with come_to(moody_demo, browser, shots, request) as person:
        yield person
