import os
import subprocess
import sys

from django.apps import apps
from django.conf import settings
from django.test import TransactionTestCase
from django.test.utils import override_settings

from django_paiementpro.conf import conf


class Live(TransactionTestCase):
    def test_django_checks_pass(self) -> None:
        # Outside of the tests, whose e-mail goes nowhere.
        command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "shop.live"}
        subprocess.run(command, check=True, env=environment)

    def test_gateway_is_the_live_one(self) -> None:
        assert conf.gateway_url == "https://www.paiementpro.net"
        assert conf.status_url == "https://api.paiementpro.net/status"
        assert conf.merchant_id == "PP-F900"
        assert conf.site_url == "https://shop.example.com"

    def test_sandbox_is_removed(self) -> None:
        assert not settings.DEBUG
        assert not apps.is_installed("django_paiementpro.sandbox")
        assert self.client.get("/sandbox/sandbox.php?sessionid=1", secure=True).status_code == 404
        assert self.client.get("/", secure=True).status_code == 200

    def test_payers_are_sent_to_https(self) -> None:
        with override_settings(ALLOWED_HOSTS=["shop.example.com"]):
            response = self.client.get("/", headers={"host": "shop.example.com"})
        assert response.headers["Location"] == "https://shop.example.com/"
