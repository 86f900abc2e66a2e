"""
The code of the how-to guides, run as a reader would run it.

A guide starts from the tutorial's project: each of its blocks with a caption is written into a copy of the project,
and the tests of the guide in ``scenarios`` are then run there by ``manage.py test``, in their own process.
"""

import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from django.db import connection

from tests.docs.pages import LANGUAGES, blocks, shows, write

SCENARIOS = Path(__file__).parent / "scenarios"
ROOT = SCENARIOS.parents[2]

Begin = Callable[[str, Path], Path]

OTHERS = {"__init__", "docker", "first_sale", "mysql", "personal_data"}
NAMES = sorted(path.stem for path in SCENARIOS.glob("*.py") if path.stem not in OTHERS)
# Each in one of the languages, in turn, as test_pages sees to it that the code is the same; answers are read in both.
CASES = [
    *((name, LANGUAGES[number % 2]) for number, name in enumerate(NAMES)),
    ("personal_data", "en"),
    ("personal_data", "fr"),
]

# What shows two ways to do one thing, or a database server: which of its files a scenario is for, by their numbers.
WAYS = {"celery_and_tasks__tasks": {0, 4}, "celery_and_tasks__celery": {1, 2, 3, 4}, "going_live": {0, 1}}
WAYS |= {"transports__soap": {0}, "transports__own": {1, 2}}

# What goes on from another guide than the tutorial, and what is run with the settings of the server.
BEFORE = {"nginx_and_passenger": "going_live"}
LIVE = {"going_live", "nginx_and_passenger"}
SECRETS = {"SECRET_KEY": "0123456789" * 6, "PAIEMENTPRO_MERCHANT_ID": "PP-F900", "DB_PASSWORD": "s e c r e t"}


def run(folder: Path, *arguments: str) -> str:
    """Run Python in a folder; where it has a live.env, as the guides say that cron does."""
    strange = {"DATABASE_URL", "DJANGO_SETTINGS_MODULE"}
    environment = {name: value for name, value in os.environ.items() if name not in strange}
    read = "set -a && . ./live.env && " if (folder / "live.env").exists() else ""
    done = subprocess.run(
        ["sh", "-c", f'{read}exec "$@"', "sh", sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def write_guide(project: Path, language: str, name: str) -> None:
    """Start the apps that the guide starts, and write what it adds to the project."""
    guide = name.partition("__")[0].replace("_", "-")
    for block in blocks(language, f"howto/{guide}"):
        for command, _answer in block.dialogue:
            if command.startswith("python manage.py startapp "):
                run(project, *command.split()[1:])
    files = [block for block in blocks(language, f"howto/{guide}") if block.file and block.file[0] != "/"]
    assert files
    for number, block in enumerate(files):
        if number in WAYS.get(name, range(len(files))):
            write(block, project)


def write_environment(project: Path, language: str) -> None:
    """Write live.env as going-live has it, with what is secret filled in."""
    [environment] = [block for block in blocks(language, "howto/going-live") if block.file == "/srv/shop/live.env"]
    secret = re.compile(f"^({'|'.join(SECRETS)})=.*", re.MULTILINE)
    text = secret.sub(lambda line: f"{line[1]}='{SECRETS[line[1]]}'", environment.text)
    assert "…" not in text
    (project / "live.env").write_text(text)


def set_environment(monkeypatch: pytest.MonkeyPatch) -> str:
    """Set what the guides read from the environment, for the server of these tests. Return the database's name."""
    for key in ("SECRET_KEY", "PAIEMENTPRO_MERCHANT_ID"):
        monkeypatch.setenv(key, SECRETS[key])
    database = f"howto_{secrets.token_hex(4)}"
    monkeypatch.setenv("DB_NAME", database)
    for key in ("USER", "PASSWORD", "HOST"):
        monkeypatch.setenv(f"DB_{key}", connection.settings_dict[key])
    return database


def run_scenario(project: Path, name: str) -> None:
    options = [] if name in LIVE else ["--debug-mode"]
    said = run(project, "manage.py", "test", f"tests.docs.scenarios.{name}", *options)

    assert "\nOK" in said
    assert "Ran 0" not in said


@pytest.fixture(scope="session")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Begin:
    """Begin a project where the tutorial ends, as its pages have it."""

    @cache
    def tutorial(language: str) -> Path:
        folder = tmp_path_factory.mktemp(f"tutorial_{language}")
        run(folder, "-m", "django", "startproject", "shop", ".")
        run(folder, "manage.py", "startapp", "orders")
        for block in blocks(language, "tutorial/first-sale"):
            if block.file:
                write(block, folder)
        return folder

    return lambda language, folder: shutil.copytree(tutorial(language), folder / "project")


@pytest.mark.parametrize(("name", "language"), CASES)
def test_guide_code_works(
    begin: Begin, name: str, language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = begin(language, tmp_path)
    if name == "reconcile_and_watch":
        monkeypatch.setenv("PAIEMENTPRO_HEALTH_TOKEN", "0123456789" * 4)

    for guide in filter(None, [BEFORE.get(name), name]):
        write_guide(project, language, guide)
    if name in LIVE:
        write_environment(project, language)
    run(project, "manage.py", "makemigrations", "-v0")
    run_scenario(project, name)


@pytest.mark.parametrize("language", LANGUAGES)
def test_tutorial_order_can_be_paid_until_it_is_paid(begin: Begin, language: str, tmp_path: Path) -> None:
    project = begin(language, tmp_path)
    run(project, "manage.py", "makemigrations", "-v0")
    run_scenario(project, "first_sale")


@pytest.mark.parametrize(
    ("vendor", "name", "settings", "options"),
    [
        ("mysql", "mysql", "shop.settings", ["--debug-mode"]),
        ("postgresql", "going_live__postgresql", "shop.live", []),
    ],
)
def test_database_settings_of_the_guides_work(
    begin: Begin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    vendor: str,
    name: str,
    settings: str,
    options: list[str],
) -> None:
    """On that database they are used; elsewhere they are only read, as the driver may be missing."""
    project = begin("en", tmp_path)
    run(project, "manage.py", "makemigrations", "-v0")
    database = set_environment(monkeypatch)

    write_guide(project, "en", name)
    read = ("-c", f"from {settings} import DATABASES; print(DATABASES)")
    scenario = f"tests.docs.scenarios.{name.partition('__')[0]}"
    use = {vendor: ("manage.py", "test", scenario, "--noinput", "--settings", settings, *options)}
    said = run(project, *use.get(connection.vendor, read))
    assert "\nOK" in said or f"'NAME': '{database}'" in said
    assert "Ran 0" not in said


@pytest.mark.process
def test_commands_of_the_containers_work(begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the guide's own database if these tests run on PostgreSQL, else on SQLite."""
    project = begin("fr", tmp_path)
    write_guide(project, "fr", {"postgresql": "going_live__postgresql"}.get(connection.vendor, "going_live"))
    write_guide(project, "fr", "docker")
    shutil.copytree(ROOT / "docs" / "docker", project, dirs_exist_ok=True)
    run(project, "manage.py", "makemigrations", "-v0")
    set_environment(monkeypatch)

    said = run(project, "manage.py", "test", "tests.docs.scenarios.docker", "--settings", "shop.live", "--noinput")

    assert "\nOK" in said
    assert "Ran 0" not in said


def test_guide_tests_fail_when_the_shop_is_broken(begin: Begin, tmp_path: Path) -> None:
    project = begin("fr", tmp_path)
    write_guide(project, "fr", "testing")
    run(project, "manage.py", "makemigrations", "-v0")
    with_django = ("manage.py", "test", "orders.tests", "--settings", "shop.testing")
    with_pytest = ("-m", "pytest")

    [shown] = [
        answer for block in blocks("fr", "howto/testing") for command, answer in block.dialogue if " test " in command
    ]
    assert shows(shown, run(project, *with_django))
    said = run(project, *with_pytest)
    assert "orders/tests.py ." in said
    assert "orders/test_payments.py ." in said

    (project / "orders" / "receivers.py").write_text("")
    with pytest.raises(AssertionError, match=r"FAILED \(failures=\d+\)"):
        run(project, *with_django)
    with pytest.raises(AssertionError, match=r"\d+ failed, \d+ passed"):
        run(project, *with_pytest)
