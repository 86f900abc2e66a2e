"""
The tutorial, followed word for word in an empty folder, in both languages.

Its commands run in a real shell, in the virtual environment that they make; there the packages of the suite count as
installed, so that pip fetches nothing. Its server is a real ``runserver``, on a port of its own, and what it says to do
in a browser is done over HTTP.
"""

import contextlib
import os
import pty
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from itertools import takewhile
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests

from tests.docs.browser import WRITTEN, Browser
from tests.docs.pages import LANGUAGES, Act, Block, page, shows, steps, write
from tests.server.threads import at_once, wait_until

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]

# What the page calls them.
PORT = "8000"
PASSWORD_PROMPTS = ("Password:", "Password (again):")


class Terminal:
    """
    One who types what the page says.

    Each command has a shell of its own, in which what moves to a folder and activates an environment is typed first.
    """

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self.skipped: tuple[str, ...] = ()
        self.project = home / "first-sale"
        self.port = port
        self.moves: list[str] = []
        self.servers: list[subprocess.Popen[bytes]] = []
        strange = {"DJANGO_SETTINGS_MODULE", "DATABASE_URL", "PYTHONHOME", "VIRTUAL_ENV"}
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in strange},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *(path for path in sys.path if path.endswith("-packages"))]),
            "PYTHONUNBUFFERED": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "NO_PROXY": "127.0.0.1",
        }

    def type(self, command: str, answer: str) -> None:
        """Type a command, and compare what it says to what the page shows, where it shows anything."""
        if command.startswith(self.skipped):
            return
        if command.startswith(("cd ", "source ")):
            self._run(command)
            self.moves.append(command)
        elif command.endswith(" runserver"):
            self._serve(command, answer)
        elif any(line.strip() in PASSWORD_PROMPTS for line in answer.splitlines()):
            _assert_is(answer, self._run_dialogue(command))
        elif answer:
            _assert_is(answer, self._run(command))
        else:
            self._run(command)

    def _shell(self, command: str) -> list[str]:
        return ["bash", "-c", " && ".join([*self.moves, command])]

    def _run(self, command: str) -> str:
        done = subprocess.run(
            self._shell(command), cwd=self.home, env=self.environment, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def _run_dialogue(self, command: str) -> str:
        """Run a command on a terminal, and type the password whenever it is asked for."""
        ours, theirs = pty.openpty()
        environment = {**self.environment, "DJANGO_COLORS": "nocolor"}
        shell = subprocess.Popen(
            self._shell(command), cwd=self.home, env=environment, start_new_session=True,
            stdin=theirs, stdout=theirs, stderr=theirs,
        )  # fmt: skip
        os.close(theirs)
        said = ""
        with contextlib.suppress(OSError):  # the other end has hung up
            while heard := os.read(ours, 1024).decode():
                said += heard
                if said.rstrip(" ").endswith(PASSWORD_PROMPTS):
                    os.write(ours, f"{WRITTEN['password']}\n".encode())
        os.close(ours)
        assert shell.wait(30) == 0, said
        return said

    def _serve(self, command: str, answer: str) -> None:
        """Start the server, await what the page shows, and go on in another terminal."""
        log = self.home / "runserver.log"
        with log.open("wb") as output:
            shell = self._shell(f"{command} {self.port}")
            self.servers.append(
                subprocess.Popen(
                    shell, cwd=self.home, env=self.environment, start_new_session=True, stdout=output, stderr=output
                )
            )
        self.moves = []
        wait_until(lambda: _is_listening(self.port))
        wait_until(lambda: shows(answer, log.read_text()))

    def close(self) -> None:
        for server in self.servers:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)


def _assert_is(wanted: str, said: str) -> None:
    assert shows(wanted, said), f"the page shows\n{wanted}\nand the command says\n{said}"


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, _free_port())
    yield terminal
    terminal.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_tutorial_can_be_followed_word_for_word(
    terminal: Terminal, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser()

    for step in steps(page(language, "tutorial/first-sale")):
        _follow(step, terminal, browser)

    # A mistyped number brings the form back, and makes no order.
    monkeypatch.setitem(WRITTEN, "phone", "0707")
    browser.open(f"http://127.0.0.1:{terminal.port}/")
    browser.press(browser.page.buttons[0].label)
    browser.read("07 07 12 34 56")

    # Four orders, of which two were paid: one by notification, one as the gateway was asked; and one to look at.
    with contextlib.closing(sqlite3.connect(terminal.project / "db.sqlite3")) as database:
        paid = database.execute("SELECT is_paid FROM orders_order ORDER BY is_paid").fetchall()
        settled = database.execute(
            "SELECT status, settled_by, needs_review FROM paiementpro_payment ORDER BY id"
        ).fetchall()
    assert paid == [(0,), (0,), (1,), (1,)]
    assert settled == [
        ("succeeded", "notification", 0),
        ("succeeded", "status", 0),
        ("pending", "", 0),
        ("pending", "", 1),
    ]


def test_two_clicks_at_once_lead_to_one_page(terminal: Terminal) -> None:
    browser = Browser()
    terminal.skipped = ("python3 -m venv ", "source ", "pip install ")  # the environment of these tests will do
    for step in takewhile(lambda step: isinstance(step, Block), steps(page("en", "tutorial/first-sale"))):
        _follow(step, terminal, browser)

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


def _follow(step: Act | Block, terminal: Terminal, browser: Browser) -> None:
    """Do what a step of the page says."""
    if isinstance(step, Act):
        getattr(browser, step.verb)(step.text.replace(PORT, str(terminal.port)))
    elif step.language == "console":
        for command, answer in step.dialogue:
            terminal.type(command, answer.replace(PORT, str(terminal.port)))
    else:
        assert step.file, f"no caption names the file of:\n{step.text}"
        write(step, terminal.project)
        _move_port(terminal.project / step.file, terminal.port)


def _move_port(path: Path, port: int) -> None:
    """Write a free port into a file."""
    path.write_text(path.read_text(encoding="utf-8").replace(PORT, str(port)), encoding="utf-8")
