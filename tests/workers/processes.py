"""The processes of a host: its site, its workers, its cron, and a broker that a test may stop."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.db import connection

from django_paiementpro.delivery.backends import CELERY_APP
from django_paiementpro.models import Payment
from django_paiementpro.testing.notifications import notification_fields
from tests.server import wire
from tests.workers import settings as own_settings

ROOT = Path(__file__).parent.parent.parent
DEADLINE = 60.0

Process = subprocess.Popen[bytes]


def wait_until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill(process: Process) -> None:
    """Kill a process and all its children with SIGKILL."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(DEADLINE)


class Host:
    """Starts processes on the test's database; what they say is in ``output``."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.output = folder / "output"
        self.hold = folder / "hold"
        self._started: list[Process] = []
        database = ["ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS", "ATOMIC_REQUESTS"]
        self._settings = {
            "DATABASES": {"default": {name: connection.settings_dict[name] for name in database}},
            "ALLOWED_HOSTS": ["127.0.0.1"],
            "HOLD": str(self.hold),
            **settings,
        }

    def set(self, **settings: Any) -> None:
        """Change settings, for the processes that start from now on."""
        self._settings |= settings

    def start(self, *arguments: str, **options: Any) -> Process:
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                **{"stdout": output, "stderr": output, **options},
                cwd=ROOT,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": own_settings.__name__,
                    "HOST_SETTINGS": json.dumps(self._settings),
                    "PYTHONUNBUFFERED": "1",
                },
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def kill_all(self) -> None:
        while self._started:
            kill(self._started.pop())

    def serve(self) -> "Server":
        return Server(self.start("-m", "tests.workers.serve", stdout=subprocess.PIPE))

    def start_worker(self) -> Process:
        raise NotImplementedError

    def reconcile(self) -> None:
        """Run ``paiementpro_reconcile``, twice at once. To one run, what the other has under way is owed yet."""
        command = ["-m", "django", "paiementpro_reconcile", "--json"]
        runs = [self.start(*command, stdout=subprocess.PIPE) for _ in range(2)]
        totals = [json.loads(run.communicate(timeout=DEADLINE)[0]) for run in runs]
        assert [total["failed"] for total in totals] == [0, 0], self.output.read_text()


class FrameworkHost(Host):
    """Its worker is the one of ``django_tasks_db``."""

    def start_worker(self) -> Process:
        return self.start("-m", "django", "db_worker", "--no-startup-delay", "--interval", "0.1")


class CeleryHost(Host):
    """Its worker is Celery's, with as many children."""

    def __init__(self, folder: Path, broker: str, **settings: Any) -> None:
        settings |= {
            "INSTALLED_APPS": [*own_settings.INSTALLED_APPS, CELERY_APP],
            "CELERY_BROKER_URL": broker,
            "CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP": True,
        }
        super().__init__(folder, **settings)

    def start_worker(self, children: int = 1) -> Process:
        worker = ["-m", "celery", "-A", "tests.workers.celery_app", "worker", "--loglevel", "INFO"]
        calm = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return self.start(*worker, *calm, "--pool", "prefork", "--concurrency", str(children))


class Server:
    def __init__(self, process: Process) -> None:
        assert process.stdout
        self.process = process
        with process.stdout:
            self.url = process.stdout.readline().decode().strip()
        assert self.url, "the server did not start"

    def notify(self, payment: Payment, **fields: Any) -> float:
        """Notify, and return how many seconds the answer took, which is 200."""
        started_at = time.monotonic()
        answer = wire.notify(self.url + payment.get_notification_url(), notification_fields(payment, **fields))
        assert answer == (200, None, b"OK")
        return time.monotonic() - started_at


class Redis:
    """A broker of the test's own, behind a password, to be stopped, continued and killed."""

    password = "broker-s3cret"

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        self.folder = folder
        self.url = f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "requirepass": self.password}
        arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        with (self.folder / "redis").open("ab") as output:
            self.process = subprocess.Popen(
                ["redis-server", *arguments], cwd=self.folder, stdout=output, stderr=output, start_new_session=True
            )
        wait_until(self._answers)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
            client.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            with client.makefile("rb") as answers:
                return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        return False

    def kill(self) -> None:
        kill(self.process)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Keep it from answering, while its socket still takes connections."""
        self.process.send_signal(signal.SIGSTOP)
        yield
        self.process.send_signal(signal.SIGCONT)


def is_listening(url: str) -> bool:
    parts = urlsplit(url)
    with suppress(OSError), socket.create_connection((parts.hostname or "", parts.port or 6379), timeout=5):
        return True
    return False
