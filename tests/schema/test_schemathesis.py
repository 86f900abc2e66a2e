"""What the schema allows, and what it forbids, sent to a real server: no answer is a failure, none is undocumented."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from django_paiementpro.testing import make_payment
from tests.host.models import Order
from tests.server.gateway import FakeGateway
from tests.server.site import Site, running

pytestmark = [pytest.mark.schema, pytest.mark.django_db(transaction=True)]

CASES = 2000
CONFIG = """
seed = 20261125
[checks.positive_data_acceptance]
# What no schema can express: a forged cursor, a host that is not listed, a key that was used with another body.
expected-statuses = ["2xx", "304", "400", "401", "403", "404", "409", "422"]
"""


@pytest.fixture
def site(transactional_db: None, settings: Any) -> Iterator[Site]:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "tests.host.payments.new_payment"
    settings.PAIEMENTPRO_API_CUSTOMER_FIELDS = ["customer_phone", "customer_email"]
    settings.PAIEMENTPRO_RETURN_HOSTS = ["shop.example.com", "maboutique://"]
    with running(FakeGateway()) as gateway, running(Site()) as site:
        settings.PAIEMENTPRO_GATEWAY_URL = gateway.url
        yield site


@pytest.mark.parametrize("who", ["awa", "staff", ""])
def test_no_answer_is_a_failure_or_undocumented(site: Site, tmp_path: Path, who: str) -> None:
    user = User.objects.create_user("awa", password="secret")
    User.objects.create_superuser("staff", password="secret")
    Order.objects.create(pk=42)
    make_payment(reference="5b1f0d7c9a3e4f6081c2d3e4", user=user)
    schema, config = tmp_path / "schema.yaml", tmp_path / "schemathesis.toml"
    call_command("spectacular", file=str(schema), validate=True, fail_on_warn=True)
    config.write_text(CONFIG)
    auth = ["--auth", f"{who}:secret"] if who else []

    program = Path(sys.executable).with_name("schemathesis")
    options = [f"--url={site.url}", "--checks=all", "--max-examples=70", "--no-color", *auth]
    run = subprocess.run(
        [program, f"--config-file={config}", "run", schema, *options],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=600,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    tested = re.search(r"(\d[\d,]*) generated", run.stdout)
    assert tested
    assert int(tested[1].replace(",", "")) >= CASES / 3
    sys.stdout.write(run.stdout[run.stdout.index("SUMMARY") :])
