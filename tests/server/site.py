"""The host's site on a real socket: a thread for each connection, and in it a database connection of its own."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from socketserver import BaseServer
from typing import Any, TypeVar

from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer
from django.test.testcases import QuietWSGIRequestHandler

S = TypeVar("S", bound=BaseServer)


class Site(ThreadedWSGIServer):
    daemon_threads = False  # so that closing waits for those that still answer
    request_queue_size = 128  # so that nobody who calls at once is put off by a second

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), QuietWSGIRequestHandler)
        self.set_app(WSGIHandler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class SmallSite(Site):
    """The same with few threads, as a server in production has; the next visitor waits until one is free."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.pool = ThreadPoolExecutor(threads)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.pool.submit(self.process_request_thread, request, client_address)

    def server_close(self) -> None:
        super().server_close()
        self.pool.shutdown()


@contextmanager
def running(server: S) -> Iterator[S]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
