"""
One who follows a page: types its commands, writes its files, and does in a browser what it says.

The commands run in a real shell, in the virtual environment that they make. Its server is a real ``runserver``, on a
port of its own, and the browser speaks HTTP with it.
"""

import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.docs.browser import WRITTEN, Browser
from tests.docs.pages import Act, Block, shows, write
from tests.server.threads import wait_until

ROOT = Path(__file__).resolve().parents[2]

# What the pages call them.
PORT = "8000"
PASSWORD_PROMPTS = ("Password:", "Password (again):")

#: For pip, the packages of this suite count as installed: it fetches nothing.
INSTALLED = {"PYTHONPATH": os.pathsep.join([str(ROOT), *(path for path in sys.path if path.endswith("-packages"))])}


class Terminal:
    """
    One who types what the page says, in a folder, with more variables in the environment.

    Each command has a shell of its own, in which what moves to a folder and activates an environment is typed first.
    """

    def __init__(self, home: Path, project: Path, environment: dict[str, str]) -> None:
        self.home = home
        self.skipped: tuple[str, ...] = ()
        self.project = project
        self.port = free_port()
        self.moves: list[str] = []
        self.servers: list[subprocess.Popen[bytes]] = []
        strange = {"DJANGO_SETTINGS_MODULE", "DATABASE_URL", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"}
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in strange},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "NO_PROXY": "127.0.0.1",
            **environment,
        }

    def type(self, command: str, answer: str) -> None:
        """Type a command, and compare what it says to what the page shows, where it shows anything."""
        if command.startswith(self.skipped):
            return
        if command.startswith(("cd ", "source ")):
            self.run(command)
            self.moves.append(command)
        elif command.endswith(" runserver"):
            self._serve(command, answer)
        elif any(line.strip() in PASSWORD_PROMPTS for line in answer.splitlines()):
            _assert_is(answer, self._run_dialogue(command))
        elif answer:
            _assert_is(answer, self.run(command))
        else:
            self.run(command)

    def _shell(self, command: str) -> list[str]:
        return ["bash", "-c", " && ".join([*self.moves, command])]

    def run(self, command: str) -> str:
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
        wait_until(lambda: not answer or shows(answer, log.read_text()))

    def close(self) -> None:
        for server in self.servers:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)


def _assert_is(wanted: str, said: str) -> None:
    assert shows(wanted, said), f"the page shows\n{wanted}\nand the command says\n{said}"


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def follow(step: Act | Block, terminal: Terminal, browser: Browser) -> None:
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
