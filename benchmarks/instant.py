"""
A gateway that answers at once, in a process of its own, on connections that it keeps: ``python -m benchmarks.instant``.

It prints its URL. Every POST opens a page; a GET tells how many connections there have been.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PAGE = "https://www.paiementpro.net/webservice/onlinepayment/processing_v2.php?sessionid=a1b2c3"


class Gateway(asyncio.Protocol):
    connections = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        type(self).connections += 1
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, blank_line, body = self.received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if blank_line and len(body) >= int(length[1] if length else 0):
            self.received = b""
            answer = {"success": True, "url": PAGE} if head.startswith(b"POST") else {"connections": self.connections}
            content = json.dumps(answer).encode()
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (len(content), content)
            )


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Gateway, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


@contextmanager
def answering() -> Iterator[str]:
    """Run it, and return its URL."""
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


if __name__ == "__main__":
    asyncio.run(serve())
