"""
Send notifications to the shop.

A notification is a POST with the fields in the query string and again in a multipart body. It is sent once: the gateway
has never been seen to retry (see "What is known of the gateway"). The shop's response is logged without the URL, which
is secret.
"""

import logging
import threading
from collections.abc import Callable

import requests
from django.db import connections

from django_paiementpro.gateway.messages import USER_AGENT
from django_paiementpro.sandbox.protocol import Fields

logger = logging.getLogger("django_paiementpro.sandbox")

TIMEOUT = 10.0

# How much of a response is read, in bytes.
MAX_ANSWER = 64 * 1024


def send(url: str, fields: Fields) -> None:
    """Notify the shop and wait for its response. Never raises. Does nothing without a URL."""
    reference, response_code = dict(fields)["referenceNumber"], dict(fields)["responsecode"]
    if not url:
        logger.info("nothing sent for %s (responsecode %s): the shop gave no URL", reference, response_code)
        return
    try:
        status = _post(url, fields)
    except (requests.RequestException, ValueError) as error:
        logger.warning(
            "notification for %s (responsecode %s): no answer (%s)", reference, response_code, type(error).__name__
        )
    else:
        level = logging.INFO if status == 200 else logging.WARNING
        logger.log(level, "notification for %s (responsecode %s): HTTP %d", reference, response_code, status)


def send_later(url: str, fields: Fields, seconds: float) -> None:
    """Notify the shop after a delay, unless the server stops first."""
    timer = threading.Timer(seconds, _in_thread(lambda: send(url, fields)))
    timer.daemon = True
    timer.start()


def send_twice(url: str, fields: Fields) -> None:
    """Notify the shop twice at the same time, and wait for both responses."""
    barrier = threading.Barrier(2)

    def send_together() -> None:
        barrier.wait(TIMEOUT)
        send(url, fields)

    threads = [threading.Thread(target=_in_thread(send_together), daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _post(url: str, fields: Fields) -> int:
    with requests.Session() as http:
        http.trust_env = False  # a proxy would not find a server on this machine
        files = {name: (None, value) for name, value in fields}
        headers = {"User-Agent": USER_AGENT}
        with http.post(
            url, params=fields, files=files, headers=headers, timeout=TIMEOUT, allow_redirects=False, stream=True
        ) as response:
            next(response.iter_content(MAX_ANSWER), b"")
            return response.status_code


def _in_thread(action: Callable[[], None]) -> Callable[[], None]:
    """Close any database connections that a log handler of the host opens in our thread."""

    def run() -> None:
        try:
            action()
        finally:
            connections.close_all()

    return run
