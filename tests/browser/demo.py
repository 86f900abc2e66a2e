import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
MANAGE = ROOT / "example_project" / "manage.py"
HOST = "127.0.0.1"
START_SECONDS = 60


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

    def shell(self, code: str) -> str:
        """Return what Python code has printed in the shop."""
        command = [sys.executable, MANAGE, "shell", "--verbosity", "0", "-c", code]
        done = subprocess.run(command, env=self.environ, check=True, timeout=60, stdout=subprocess.PIPE)
        return done.stdout.decode()

    def execute(self, sql: str, *values: Any) -> list[Any]:
        """Return the rows, as they are stored; their bare values, where each has one."""
        with closing(sqlite3.connect(self.database, timeout=20)) as connection, connection:
            rows = connection.execute(sql, values).fetchall()
        return [row[0] if len(row) == 1 else row for row in rows]

    def stock(self, slug: str) -> int:
        return self.execute("SELECT stock FROM shop_product WHERE slug = ?", slug)[0]

    def restock(self) -> None:
        """Fill the shelves, which the tests before may have emptied; there are few of the basket on purpose."""
        self.execute("UPDATE shop_product SET stock = 40 WHERE slug != 'panier-tresse'")

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
