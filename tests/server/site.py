"""The host's site on a real socket: a thread for each connection, and in it a database connection of its own."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO, IOBase
from socketserver import BaseServer
from typing import Any, BinaryIO, TypeVar

from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer
from django.test.testcases import QuietWSGIRequestHandler

S = TypeVar("S", bound=BaseServer)


class Site(ThreadedWSGIServer):
    daemon_threads = False  # so that closing waits for requests in progress
    request_queue_size = 128  # so that no concurrent client is delayed by a second

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


class ChunkedInput(IOBase):
    """A body in chunks, which ends by itself; ``count`` is how many of its bytes have been read."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.chunk = BytesIO()
        self.is_finished = False
        self.count = 0

    def read(self, size: int) -> bytes:
        """Return at most this many bytes of one chunk, and nothing once all have been read."""
        content = self.chunk.read(size)
        if not content and not self.is_finished:
            self.is_finished = True
            length = int(self.stream.readline(), 16)
            self.chunk = BytesIO(self.stream.read(length))
            self.stream.readline()
            self.is_finished = not length
            content = self.chunk.read(size)
        self.count += len(content)
        return content


class SocketHandler(QuietWSGIRequestHandler):
    def get_environ(self) -> dict[str, Any]:
        return {**super().get_environ(), "socket": self.rfile}


class ChunkedSite(Site):
    """A site that hands over chunked bodies as gunicorn does: no length, and a stream that ends by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = SocketHandler
        #: How many bytes the views have read of each body.
        self.counts: list[int] = []
        handler = WSGIHandler()

        def application(environ: dict[str, Any], start_response: Any) -> Any:
            body = ChunkedInput(environ["socket"])
            answer = handler({**environ, "wsgi.input": body, "wsgi.input_terminated": True}, start_response)
            self.counts.append(body.count)
            while body.read(65_536):
                pass  # else the connection would be reset
            return answer

        self.set_app(application)


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
