"""
Fixtures for pytest, with pytest-django.

Turn them on in the ``conftest.py`` at the top of your tests::

    pytest_plugins = ["django_paiementpro.testing.fixtures"]

pytest does not find them by itself: that would import Django and the app before your settings are known and before
coverage counts, in every project of the environment. Where ``conftest.py`` calls ``settings.configure()`` itself, in
``pytest_configure``, write ``config.pluginmanager.import_plugin("django_paiementpro.testing.fixtures")`` behind that.
"""

from collections.abc import Iterator

import pytest

from django_paiementpro.models import Payment
from django_paiementpro.testing import FakeGateway, make_payment


@pytest.fixture
def paiementpro_gateway() -> Iterator[FakeGateway]:
    """Play the gateway for the length of the test, by a ``FakeGateway``: it opens pages, and knows of no payment."""
    with FakeGateway() as gateway:
        yield gateway


@pytest.fixture
def paiementpro_payment(db: None) -> Payment:
    """Make a payment of 12 500 francs whose page has been opened: ``pay`` it, ``decline`` it, or ``expire`` it."""
    return make_payment(status=Payment.Status.PENDING, attempt=1)
