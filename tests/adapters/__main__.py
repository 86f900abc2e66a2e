"""
Run the tests of the shop frameworks, each in the settings of its own shop, with every branch of its adapter covered.

    python -m tests.adapters [name ...] [-- argument of pytest ...]

Tests that need a real server, or a browser, are run on PostgreSQL (PG_URL=, CHROMIUM=).
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import django

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

#: Modules that run on PostgreSQL, in a run of their own.
ON_POSTGRES = ("test_browser.py", "test_concurrency.py")
PG_URL = "postgres://postgres@127.0.0.1:5432/postgres"

#: Frameworks that do not support all versions of Django that the app supports, with the first that is too new.
TOO_NEW = {"salesman": (6, 0)}


def names() -> list[str]:
    found = sorted(path.parent.name for path in HERE.glob("*/settings.py"))
    return [name for name in found if TOO_NEW.get(name, (99,)) > django.VERSION]


def run(name: str, arguments: list[str], coverage_file: str) -> bool:
    """Run the tests of one framework, and return whether all have passed."""
    folder = f"tests/adapters/{name}"
    adapter = f"django_paiementpro/contrib/{name}"
    covered = [path for path in (adapter, folder) if (ROOT / path).exists()]
    common = ["-q", "-p", "no:cacheprovider", "--nomigrations", "--ds", f"tests.adapters.{name}.settings"]
    common += ["--confcutdir", str(HERE), *arguments]
    measured = [
        *(f"--ignore={folder}/{module}" for module in ON_POSTGRES),
        *(f"--cov={path}" for path in covered),
        *("--cov-config", str(HERE / "coverage.ini"), "--cov-report", "term-missing:skip-covered"),
    ]
    print(f"{name}, with Django {django.__version__}:", flush=True)
    is_passed = _pytest(folder, *common, *measured, COVERAGE_FILE=coverage_file)
    if modules := [f"{folder}/{module}" for module in ON_POSTGRES if (HERE / name / module).exists()]:
        url = os.environ.get("PG_URL") or PG_URL
        is_passed &= _pytest(*modules, *common, "-m", "", DATABASE_URL=url)
    return is_passed


def _pytest(*arguments: str, **environ: str) -> bool:
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **environ}, check=False).returncode == 0


def main(arguments: list[str]) -> None:
    """Run all, and exit with an error if one has failed."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    with tempfile.TemporaryDirectory() as folder:
        coverage_file = str(Path(folder) / "coverage")
        failed = [name for name in arguments[:end] or names() if not run(name, arguments[end + 1 :], coverage_file)]
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
