"""
Fixtures for pytest, with pytest-django.

Enable them in your top-level ``conftest.py``::

    pytest_plugins = ["django_paiementpro.testing.fixtures"]

pytest does not load them by itself, which would import the app before your settings are known and before coverage
starts, in every project of the environment. If your ``pytest_configure`` calls ``settings.configure()``, call
``config.pluginmanager.import_plugin("django_paiementpro.testing.fixtures")`` after it.
"""

from collections.abc import Iterator

import pytest

from django_paiementpro.models import Payment
from django_paiementpro.testing import FakeGateway, make_payment


@pytest.fixture
def paiementpro_gateway() -> Iterator[FakeGateway]:
    """Replace the gateway during the test with a ``FakeGateway``, which opens pages and knows no payment."""
    with FakeGateway() as gateway:
        yield gateway


@pytest.fixture
def paiementpro_payment(db: None) -> Payment:
    """Return a pending payment of 12,500 francs, to ``pay``, ``decline`` or ``expire``."""
    return make_payment(status=Payment.Status.PENDING, attempt=1)
