"""
For pytest, when mutmut calls it: what kills quickest comes first, and each mutant has a database file to itself.

Tests without a database come first, then those that are known to be quick.
"""

import json
import os
from pathlib import Path

import pytest
from django.db import connections

STATISTICS = Path("mutmut-stats.json")


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    settings = connections["default"].settings_dict
    name = Path(settings["TEST"]["NAME"])
    settings["TEST"]["NAME"] = str(name.with_name(f"{name.stem}-{os.getpid()}.sqlite3"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    durations = json.loads(STATISTICS.read_text())["duration_by_test"] if STATISTICS.exists() else {}
    items.sort(key=lambda item: (item.get_closest_marker("django_db") is not None, durations.get(item.nodeid, 1.0)))
