import inspect
import logging
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_paiementpro import log
from django_paiementpro.conf import conf
from django_paiementpro.signals import SIGNALS
from shop import receivers, views

README = (Path(__file__).parent.parent / "README.rst").read_text(encoding="utf-8")


@pytest.mark.parametrize("function", [receivers.fulfil_order, views.pay])
def test_the_example_shop_is_quoted_to_the_letter(function: Callable[..., Any]) -> None:
    code = textwrap.indent(inspect.getsource(function), "    ", lambda line: bool(line.strip()))

    assert code in README


def test_every_setting_and_signal_is_told() -> None:
    for name in [*(setting.name for setting in conf), *SIGNALS]:
        assert f"``{name}``" in README


def test_every_line_of_the_log_is_told_with_its_level() -> None:
    told = re.findall(r"^``(\w+)`` +(info|warning|error) ", README, re.MULTILINE)
    assert dict(told) == {name: logging.getLevelName(level).lower() for name, level in log.LEVELS.items()}
