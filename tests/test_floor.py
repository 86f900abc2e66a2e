"""The lowest versions of what the app depends on, which one pair of ``make pairs`` installs."""

import runpy
from pathlib import Path

import pytest

from tests import floor
from tests.floor import read_floor


def test_floor_pins_what_hosts_and_tests_need(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(floor.__file__, run_name="__main__")

    pins = dict(line.split("==") for line in capsys.readouterr().out.split())
    assert pins.keys() > {"Django", "requests", "urllib3", "djangorestframework", "celery", "psycopg", "pytest"}
    assert not pins.keys() & {"django-paiementpro", "ruff", "sphinx"}


def write(path: Path, requirement: str) -> Path:
    path /= "setup.cfg"
    path.write_text(
        f"[options]\ninstall_requires =\n    a-b>=1.9\n[options.extras_require]\n# Why.\nx =\n    {requirement}\n"
    )
    return path


def test_floor_is_the_highest_of_two(tmp_path: Path) -> None:
    assert read_floor(write(tmp_path, "a-b[c,d]>=1.10")) == {"a-b": "1.10"}


@pytest.mark.parametrize("rest", [",<1.20", '; python_version >= "3.12"'])
def test_ceiling_and_marker_do_not_matter(tmp_path: Path, rest: str) -> None:
    assert read_floor(write(tmp_path, f"a-b>=1.10{rest}")) == {"a-b": "1.10"}


@pytest.mark.parametrize("requirement", ["a", "a==1", "a>1", "a~=1.0", "a<2,>=1"])
def test_requirement_without_a_floor_is_refused(tmp_path: Path, requirement: str) -> None:
    with pytest.raises(AssertionError, match="from which version on"):
        read_floor(write(tmp_path, requirement))
