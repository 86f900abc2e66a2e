import logging
import os
import re
import subprocess
import sys
from io import StringIO

from django.test import TransactionTestCase

from django_paiementpro.testing import make_payment, notify
from tests.docs.pages import blocks

# What Passenger does, and which settings it has then.
PASSENGER = """
from wsgiref.util import setup_testing_defaults
from passenger_wsgi import application
from django.conf import settings

environ = {"PATH_INFO": "/", "HTTP_HOST": "shop.example.com", "HTTP_X_FORWARDED_PROTO": "https"}
setup_testing_defaults(environ)
application(environ, lambda status, headers: print(status, settings.PAIEMENTPRO_SITE_URL))
"""


class Proxied(TransactionTestCase):
    def test_no_signature_is_in_a_log_of_django(self) -> None:
        (handler,) = logging.getLogger().handlers
        payment = make_payment()
        signature = payment.get_notification_url().split("/")[-2]
        said = StringIO()
        before = handler.setStream(said)
        try:
            assert notify(payment, amount=1).status_code == 400
            assert self.client.get(payment.get_return_url()[:-3] + "/", secure=True).status_code == 404
        finally:
            handler.setStream(before)
        lines = said.getvalue()
        assert "Bad Request: /paiementpro/notification/-/" in lines
        assert "Not Found: /paiementpro/return/-/" in lines
        assert signature not in lines

    def test_proxy_reports_https(self) -> None:
        response = self.client.get("/", headers={"host": "shop.example.com", "x-forwarded-proto": "https"})
        assert response.wsgi_request.is_secure()

    def test_nginx_logs_no_signature(self) -> None:
        payment = make_payment()
        for language in ("en", "fr"):
            (conf,) = (
                block.text for block in blocks(language, "howto/nginx-and-passenger") if block.language == "nginx"
            )
            pattern = re.search(r'"~(\^\S+)"', conf)[1].replace("(?<", "(?P<")
            for path in (payment.get_notification_url(), payment.get_return_url(), payment.get_checkout_url()):
                match = re.match(pattern, f"{path}?referenceNumber=1")
                assert match["app_path"] == "/".join(path.split("/")[:3]) + "/"
            assert not re.match(pattern, "/orders/1/")
            (logged,) = re.findall(r"log_format \w+ ([^;]*);", conf)
            assert set(re.findall(r"\$\w+", logged)) == {
                *("$remote_addr", "$time_iso8601", "$request_method", "$unsigned_uri", "$status"),
                *("$body_bytes_sent", "$http_user_agent"),
            }

    def test_passenger_finds_the_application(self) -> None:
        environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH")}  # nothing of live.env
        done = subprocess.run(
            [sys.executable, "-c", PASSENGER], env=environment, check=False, capture_output=True, text=True
        )
        assert done.stdout == "200 OK https://shop.example.com\n", done.stderr
