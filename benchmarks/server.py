"""
Serve the host on a free port, which it prints: ``python -m benchmarks.server --delay 0.2``.

There is a thread for each connection, without limit. ``--delay`` delays each answer, in seconds.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler


class Handler(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


class Server(ThreadedWSGIServer):
    request_queue_size = 256


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    app = WSGIHandler()

    def held_back(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        time.sleep(options.delay)
        return app(environ, start_response)

    server = Server(("127.0.0.1", options.port), Handler)
    server.set_app(held_back)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
