"""Which URLs webhooks may go to."""

import socket
import threading
from ipaddress import ip_address
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import override_settings

from django_paiementpro.webhooks import addresses
from django_paiementpro.webhooks.addresses import RefusedURLError, is_public, parse, resolve, validate_url
from django_paiementpro.webhooks.models import Endpoint
from tests.webhooks.conftest import PUBLIC, Internet

REFUSED = [
    # Loopback, private, link-local, shared, metadata.
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "192.0.0.192",
    # Documentation, benchmarks, 6to4 relays, multicast, reserved, broadcast.
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:0:808:808::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
]

PUBLIC_ONES = [
    "8.8.8.8",
    "41.66.0.1",
    "100.128.0.1",
    "172.32.0.1",
    "2001:4860:4860::8888",
    "2a00::1",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", REFUSED)
def test_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC_ONES)
def test_public_address_is_accepted(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", REFUSED)
def test_name_with_such_an_address_is_refused_beside_a_public_one(address: str, internet: Internet) -> None:
    internet.names["hooks.example.com"] = [[PUBLIC, address]]

    with pytest.raises(RefusedURLError, match=r"hooks\.example\.com is not a public address"):
        validate_url("https://hooks.example.com/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "ftp://hooks.example.com/",
        "//hooks.example.com/",
        "https://",
        "https:///path",
        "https://user@hooks.example.com/",
        "https://user:pass@hooks.example.com/",
        "https://hooks.example.com@127.0.0.1/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com/#fragment",
        "https://hooks.example.com/ path",
        "https://hooks.example.com/\r\nX: 1",
        "https://hooks.example.com:port/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:65536/",
        "https://hooks..example.com/",
        "https://hooks.example.com./",
        "https://-hooks.example.com/",
        "https://" + "a." * 130 + "com/",
        "https://hooks.example.com/" + "a" * 500,
        "https://bücher.example.com/",
        "https://①②⑦.0.0.1/",
        # Other spellings of 127.0.0.1.
        "https://2130706433/",
        "https://017700000001/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.1/",
        "https://127.0.0.0x1/",
        "https://127.0.0.01/",
        "https://256.0.0.1/",
        "https://[::1/",
        "https://[::1]x/",
        "https://[fe80::1%25eth0]/",
        "https://[127.0.0.1]/",
    ],
)
def test_url_that_could_be_read_in_two_ways_is_refused(url: str) -> None:
    for is_allowed in (False, True):
        with override_settings(PAIEMENTPRO_WEBHOOKS_ALLOW_PRIVATE=is_allowed), pytest.raises(RefusedURLError):
            parse(url)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://hooks.example.com/", "insecure"),
        ("https://hooks.example.com:22/", "port"),
        ("https://hooks.example.com:80/", "port"),
    ],
)
def test_http_and_ports_of_other_services_are_for_private_use(url: str, code: str) -> None:
    with pytest.raises(RefusedURLError) as error:
        parse(url)
    assert error.value.code == code
    with override_settings(PAIEMENTPRO_WEBHOOKS_ALLOW_PRIVATE=True):
        assert parse(url).host == "hooks.example.com"


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://Hooks.Example.com", ("https", "hooks.example.com", 443, "/")),
        ("HTTPS://hooks.example.com:8443/a?b=c", ("https", "hooks.example.com", 8443, "/a?b=c")),
        ("https://hooks.example.com?b=c", ("https", "hooks.example.com", 443, "/?b=c")),
        ("https://8.8.8.8/x", ("https", "8.8.8.8", 443, "/x")),
        ("https://[2A00::1]:1024/", ("https", "2a00::1", 1024, "/")),
    ],
)
def test_url_is_taken_apart(url: str, parts: tuple[Any, ...]) -> None:
    target = parse(url)
    assert (target.scheme, target.host, target.port, target.path) == parts


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "10.0.0.7"])
def test_address_of_this_network_is_refused_by_the_form(host: str) -> None:
    with pytest.raises(ValidationError) as error:
        Endpoint(url=f"https://{host}/").clean_fields()
    assert list(error.value.message_dict) == ["url"]
    assert "is not a public address" in error.value.message_dict["url"][0]
    with override_settings(PAIEMENTPRO_WEBHOOKS_ALLOW_PRIVATE=True):
        Endpoint(url=f"http://{host}:8000/").clean_fields()


def test_name_is_resolved_once(internet: Internet) -> None:
    internet.names["hooks.example.com"] = [[PUBLIC, PUBLIC, "2a00::1"]]

    places = resolve(parse("https://hooks.example.com/"))

    assert [place.address[:2] for place in places] == [(PUBLIC, 443), ("2a00::1", 443)]
    assert [place.family for place in places] == [socket.AF_INET, socket.AF_INET6]
    assert internet.asked == ["hooks.example.com"]


def test_unknown_name_is_refused(internet: Internet) -> None:
    with pytest.raises(ValidationError, match="cannot be resolved"):
        validate_url("https://hooks.invalid/")


def test_name_without_an_address_is_refused(internet: Internet) -> None:
    internet.names["hooks.example.com"] = [[]]
    with pytest.raises(ValidationError, match="cannot be resolved"):
        validate_url("https://hooks.example.com/")


def test_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()

    def hang(*args: Any, **kwargs: Any) -> list[Any]:
        is_over.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(addresses, "RESOLVE_SECONDS", 0.05)

    with pytest.raises(ValidationError, match="cannot be resolved"):
        validate_url("https://hooks.example.com/")
    is_over.set()
