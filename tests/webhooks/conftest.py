"""Receivers of webhooks on real sockets, with https where that matters."""

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme
from django.apps import apps
from standardwebhooks import Webhook

from django_paiementpro.models import Payment
from django_paiementpro.signals import SIGNALS
from django_paiementpro.webhooks.models import Endpoint
from tests.server.fronts import Front, Visitor
from tests.server.site import running

#: A public address, where nothing listens for these tests.
PUBLIC = "198.200.1.7"


def accepts(visitor: Visitor) -> None:
    visitor.answers(b"taken")


class Receiver(Front):
    """A server that receives webhooks; ``play`` says how it answers."""

    request_queue_size = 128

    def __init__(self, play: Callable[[Visitor], object] = accepts, context: ssl.SSLContext | None = None) -> None:
        super().__init__(play, context=context)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(visitor.body) for visitor in self.visitors]

    @property
    def types(self) -> list[str]:
        return [body["type"] for body in self.bodies]

    def verified(self, endpoint: Endpoint) -> list[dict[str, Any]]:
        """Return what was received, as the standard library of the specification verifies it."""
        webhook = Webhook(endpoint.secret)
        return [webhook.verify(visitor.body, dict(visitor.headers)) for visitor in self.visitors]


Receive = Callable[..., Receiver]


@pytest.fixture
def receive() -> Iterator[Receive]:
    """Start receivers of webhooks."""
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(running(Receiver(*args, **kwargs)))


@pytest.fixture
def private(settings: Any) -> None:
    """Allow webhooks to go to this machine, by http."""
    settings.PAIEMENTPRO_WEBHOOKS_ALLOW_PRIVATE = True


@pytest.fixture
def connected() -> Iterator[None]:
    """Connect the receivers of the app."""
    apps.get_app_config("paiementpro_webhooks").ready()
    yield
    for name, signal in SIGNALS.items():
        for receiver in signal.receiver_names(Payment):
            assert receiver == f"paiementpro_webhooks.{name}"
            signal.disconnect(dispatch_uid=receiver)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def served_with(certificate: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the certificate authority of these tests."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))


class Internet:
    """A resolver with the answers of a test, and routes from public addresses to servers of this machine."""

    def __init__(self) -> None:
        #: The addresses of each name, answer by answer; the last one is repeated.
        self.names: dict[str, list[list[str]]] = {}
        self.routes: dict[str, int] = {}
        #: What was asked for, and what was connected to.
        self.asked: list[str] = []
        self.reached: list[str] = []

    def getaddrinfo(self, host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        self.asked.append(host)
        answers = self.names.get(host)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    internet = Internet()
    connect = socket.socket.connect

    class Routed(socket.socket):
        def connect(self, address: Any) -> None:
            internet.reached.append(address[0])
            if address[0] not in internet.routes:
                raise OSError("no route")
            connect(self, ("127.0.0.1", internet.routes[address[0]]))

    monkeypatch.setattr(socket, "getaddrinfo", internet.getaddrinfo)
    monkeypatch.setattr(socket, "socket", Routed)
    return internet
