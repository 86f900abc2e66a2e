import pytest
from django.http.request import validate_host

from django_paiementpro.return_urls import is_allowed_host


@pytest.mark.parametrize("pattern", ["*", "example.com", ".Example.com", ".com", "com", "shop.example.com"])
@pytest.mark.parametrize("host", ["example.com", "shop.example.com", "notexample.com", "com", "example.ci", "[::1]"])
def test_hosts_are_allowed_as_in_allowed_hosts(host: str, pattern: str) -> None:
    assert is_allowed_host(host, [pattern]) == validate_host(host, [pattern])
    assert not is_allowed_host(host, [])
