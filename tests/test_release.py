"""What ``make release`` refuses, and what it says to do."""

import subprocess
from pathlib import Path

import pytest

from django_paiementpro import __version__
from tests import release
from tests.release import UNRELEASED, find_outdated_pages, find_problems

READY = "Changelog\n=========\n\n1.2.0 (2026-01-31)\n------------------\n\n1.1.0 (2025-12-01)\n------------------\n"


def test_commit_that_is_ready_has_no_problems() -> None:
    assert list(find_problems(READY, "", "1.2.0", "v1.2.0")) == []


@pytest.mark.parametrize(
    ("changelog", "changes", "version", "tag", "problem"),
    [
        (READY.replace("1.2.0 (2026-01-31)", "Unreleased"), "", "1.2.0", "v1.2.0", "begins with Unreleased"),
        (READY.replace("2026-01-31", "soon"), "", "1.2.0", "v1.2.0", "write 1.2.0 (YYYY-MM-DD)"),
        ("Changelog\n=========\n", "", "1.2.0", "v1.2.0", "begins with nothing"),
        (READY, "", "1.1.0", "v1.1.0", "begins with 1.2.0"),
        (READY.replace("1.2.0", "1.2.0.dev0"), "", "1.2.0.dev0", "v1.2.0.dev0", "__version__ is 1.2.0.dev0"),
        (READY, "", "1.2.0", "v1.2", "it must be v1.2.0"),
        (READY, " M README.rst\n", "1.2.0", "v1.2.0", "M README.rst"),
    ],
)
def test_commit_that_is_not_ready_is_refused(
    changelog: str, changes: str, version: str, tag: str, problem: str
) -> None:
    [found] = find_problems(changelog, changes, version, tag)

    assert problem in found


def test_command_names_the_tag_to_push(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(release, "ROOT", tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".git" / "info" / "exclude").write_text("*.rst\n", encoding="utf-8")
    for name in UNRELEASED:
        (tmp_path / name).write_text("pip install django-paiementpro\n", encoding="utf-8")
    changelog = tmp_path / "CHANGELOG.rst"

    changelog.write_text("Unreleased\n----------\n", encoding="utf-8")
    assert release.main() == 1
    assert "begins with Unreleased" in capsys.readouterr().err

    changelog.write_text(f"{__version__} (2026-01-31)\n------------------\n", encoding="utf-8")
    assert release.main() == 0
    assert f"git push origin v{__version__}" in capsys.readouterr().out

    (tmp_path / "README.rst").write_text("The package is not on\nPyPI yet.\n", encoding="utf-8")
    assert release.main() == 1
    assert capsys.readouterr().err == "README.rst says “not on PyPI yet”: remove that sentence\n"
    (tmp_path / "README.rst").write_text("", encoding="utf-8")

    (tmp_path / "stray.py").touch()
    assert release.main(f"v{__version__}") == 1
    assert "stray.py" in capsys.readouterr().err


def test_front_pages_say_that_there_is_no_release_yet() -> None:
    """Until the first one is prepared, and then they must not."""
    is_released = "\nUnreleased\n" not in (release.ROOT / "CHANGELOG.rst").read_text(encoding="utf-8")

    assert len(list(find_outdated_pages(release.ROOT))) == (0 if is_released else 2)
