import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml
from django.db import connection
from django.test import TransactionTestCase

from tests.server.threads import wait_until

HERE = Path.cwd()
INSTRUCTIONS = re.findall(r"^([A-Z]+) (.*)$", (HERE / "Dockerfile").read_text(), re.MULTILINE)
COMPOSE = yaml.safe_load((HERE / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
HEADERS = {"Host": "shop.example.com", "X-Forwarded-Proto": "https", "Referer": "https://shop.example.com/"}

# An order's payment, as the gateway would notify it.
OPEN = """
import json
from django_paiementpro.models import Payment
from django_paiementpro.testing.notifications import notification_fields
payment = Payment.objects.get()
print(json.dumps([payment.get_notification_url(), notification_fields(payment)]))
"""


def of(instruction: str) -> list[str]:
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def environment() -> dict[str, str]:
    """What the container has, with the database of these tests."""
    image = dict(pair.split("=", 1) for line in of("ENV") for pair in shlex.split(line))
    assert {"DB_HOST", "DB_NAME", "DB_USER"} <= SERVICES["web"]["environment"].keys()
    ours = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    database = {"DB_NAME": connection.settings_dict["NAME"]} if connection.vendor == "postgresql" else {}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**ours, **image, **database, "PATH": path}


def run(command: list[str]) -> str:
    done = subprocess.run(command, env=environment(), check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def running(command: list[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment(), stdout=output, stderr=output, start_new_session=True)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, log.read_text()


class Containers(TransactionTestCase):
    def test_order_is_taken_paid_and_reconciled(self) -> None:
        for line in of("RUN"):
            if "manage.py" in line:
                run(["sh", "-c", line])
        run(shlex.split(SERVICES["migrate"]["command"]))

        [start] = map(json.loads, of("CMD"))
        log = HERE / "web.log"
        with running([word.replace("0.0.0.0:8000", "127.0.0.1:0") for word in start], log):
            wait_until(lambda: "Listening at" in log.read_text())
            [self.site] = re.findall(r"Listening at: (http://127\.0\.0\.1:\d+)", log.read_text())
            self.sell()
        assert "gthread" in log.read_text()

        log = HERE / "reconcile.log"
        started_at = time.monotonic()
        with running(shlex.split(SERVICES["reconcile"]["command"]), log):
            wait_until(lambda: re.search(r"\d", log.read_text()))
        assert time.monotonic() - started_at < 60  # it does not sleep on
        assert re.search(r" : 0, .* ; erreurs : 0", " ".join(log.read_text().split()))

    def sell(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.headers.update(HEADERS)
            assert session.get(f"{self.site}/static/paiementpro/admin.css", timeout=30).status_code == 200
            page = session.get(f"{self.site}/", timeout=30)
            [token] = re.findall('name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
            order = {"first_name": "Awa", "last_name": "Koné", "email": "awa@example.com", "phone": "0707123456"}
            data = {**order, "csrfmiddlewaretoken": token}
            cookies = {"csrftoken": page.cookies["csrftoken"]}
            bought = self.post(session, "/", data, cookies)
            paid = session.get(self.site + bought.headers["Location"], allow_redirects=False, timeout=30)
            assert paid.headers["Location"].startswith("/paiementpro/checkout/")

            path, fields = json.loads(run([sys.executable, "manage.py", "shell", "-v0", "-c", OPEN]))
            answer = session.post(f"{self.site}{path}", fields, timeout=30)
            assert (answer.status_code, answer.text) == (200, "OK")
            shown = session.get(self.site + bought.headers["Location"], allow_redirects=False, timeout=30)
            assert "Payée" in session.get(self.site + shown.headers["Location"], timeout=30).text

    def post(self, session: requests.Session, path: str, data: dict[str, str], cookies: Any) -> requests.Response:
        response = session.post(f"{self.site}{path}", data, cookies=cookies, allow_redirects=False, timeout=30)
        assert response.status_code == 302, response.text
        return response

    def test_services_wait_for_the_migrations(self) -> None:
        for name in ("web", "reconcile"):
            assert SERVICES[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
        assert SERVICES["migrate"]["depends_on"] == {"db": {"condition": "service_healthy"}}
        assert SERVICES["migrate"]["restart"] == "no"
        assert COMPOSE["volumes"].keys() == {"db"}

    def test_secrets_are_not_in_the_image(self) -> None:
        assert ".env" in (HERE / ".dockerignore").read_text().split()
        named = set(re.findall(r"^([A-Z_]+)=", (HERE / "env.example").read_text(), re.MULTILINE))
        assert named | SERVICES["web"]["environment"].keys() == {
            *("SECRET_KEY", "PAIEMENTPRO_MERCHANT_ID", "DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD")
        }
