"""
Notifications on their way to the shop.

As the samples show them: a POST with the fields in the query string and again in a multipart body, sent once; nobody
has seen the gateway try again (FIELD_GUIDE section 6). What the shop answers is logged, without the URL, which is a
secret of the shop's.
"""

import logging
import threading
from collections.abc import Callable

import requests
from django.db import connections

from django_paiementpro.gateway.messages import USER_AGENT
from django_paiementpro.sandbox.wire import Fields

logger = logging.getLogger("django_paiementpro.sandbox")

TIMEOUT = 10.0

# What is read of an answer, so that the shop's server is not cut short.
MAX_ANSWER = 64 * 1024


def send(url: str, fields: Fields) -> None:
    """Notify the shop, and wait for its answer. Raises nothing; without a URL nothing is sent."""
    reference, response_code = dict(fields)["referenceNumber"], dict(fields)["responsecode"]
    if not url:
        logger.info("nothing sent for %s (responsecode %s): the shop named no URL", reference, response_code)
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
    """Notify the shop after so many seconds, unless the server is gone by then."""
    timer = threading.Timer(seconds, _in_thread(lambda: send(url, fields)))
    timer.daemon = True
    timer.start()


def send_twice(url: str, fields: Fields) -> None:
    """Notify the shop twice in the same instant, and wait for both answers."""
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
        http.trust_env = False  # a proxy of the environment's would not find a server of this machine
        files = {name: (None, value) for name, value in fields}
        headers = {"User-Agent": USER_AGENT}
        with http.post(
            url, params=fields, files=files, headers=headers, timeout=TIMEOUT, allow_redirects=False, stream=True
        ) as response:
            next(response.iter_content(MAX_ANSWER), b"")
            return response.status_code


def _in_thread(action: Callable[[], None]) -> Callable[[], None]:
    """Close what database connections a log handler of the host's may open in a thread of ours."""

    def run() -> None:
        try:
            action()
        finally:
            connections.close_all()

    return run
