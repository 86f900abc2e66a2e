"""A real webhook, verified by npm's library of the specification. Needs node, and npm's registry."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from django_paiementpro.testing import pay
from django_paiementpro.webhooks import sending
from django_paiementpro.webhooks.models import Endpoint
from tests.webhooks.conftest import Receive, connected, private, receive  # noqa: F401  fixtures
from tests.webhooks.test_receivers import bought, make_endpoint

pytestmark = [
    pytest.mark.schema,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("connected", "private"),
]

SOURCES = Path(__file__).parent / "webhooks"


def run(folder: Path, *command: str, **options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, check=False, capture_output=True, encoding="utf-8", cwd=folder, timeout=300, **options
    )


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(SOURCES, tmp_path_factory.mktemp("npm") / "receiver"))
    done = run(folder, "npm", "install", "--no-audit", "--no-fund", "--silent")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_webhook_is_verified_by_another_library(library: Path, receive: Receive) -> None:  # noqa: F811
    receiver = receive()
    endpoint = make_endpoint(receiver.url, include_customer=True)
    old_secret = endpoint.secret
    assert sending.replace_secret(endpoint)
    payment = bought()
    pay(payment)

    [visitor] = receiver.visitors
    headers = {name: visitor.headers[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
    for secret, is_valid in (
        (endpoint.secret, True),
        (old_secret, True),
        (Endpoint(url="").secret, False),
    ):
        message = {"secret": secret, "headers": headers, "body": visitor.body.decode()}
        done = run(library, "node", "verify.mjs", input=json.dumps(message))
        assert (done.returncode == 0) is is_valid, done.stderr
        if is_valid:
            assert json.loads(done.stdout)["data"]["reference"] == payment.reference
        else:
            assert "No matching signature found" in done.stderr
