"""
Follow README.rst and LISEZMOI.rst word for word, each in an empty folder, and take a payment with the built wheel.

    python -m tests.wheel.take_a_payment dist/*.whl

``pip install django-paiementpro`` finds the wheel, in the fresh environment that the page makes; nothing leads to the
sources. The rest is what a reader does: files, commands, a server, and a payment in a browser, over a real socket.
"""

import sys
import tempfile
import time
import zipfile
from pathlib import Path

from tests.docs.browser import Browser
from tests.docs.pages import Act, Block, first_steps
from tests.docs.terminal import Terminal, follow

PACKAGE = Path(__file__).resolve().parents[2] / "django_paiementpro"

MISSING = """
try:
    import django_paiementpro.testing
except ImportError as error:
    print(error)
"""


def main(wheel: str) -> None:
    check_contents(Path(wheel))
    for page in ("README.rst", "LISEZMOI.rst"):
        with tempfile.TemporaryDirectory() as folder:
            # Without the name of a version, pip would take a newer one from its index.
            constraint = Path(folder, "constraint.txt")
            constraint.write_text(f"django-paiementpro @ {Path(wheel).resolve().as_uri()}\n", encoding="utf-8")
            home = Path(folder, "home")
            home.mkdir()
            terminal = Terminal(home, home, {"PIP_CONSTRAINT": str(constraint)})
            try:
                seconds = sell(page, terminal)
                check_installation(terminal)
            except BaseException:
                sys.stderr.write("".join(path.read_text() for path in home.glob("runserver.log")))
                raise
            finally:
                terminal.close()
        print(f"{page}: {seconds:.0f} s from pip install to the first paid order.")
    print("The wheel is whole, and took a payment.")


def check_contents(wheel: Path) -> None:
    """The wheel holds all of the package's folder, and nothing else."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    require(names == sources, f"the wheel and the package's folder differ: {sorted(names ^ sources)}")
    for wanted in ("py.typed", ".html", ".mo"):
        require(any(name.endswith(wanted) for name in names), f"the wheel has no {wanted}")


def sell(page: str, terminal: Terminal) -> float:
    """Follow a page to the order that is paid, and return the seconds from ``pip install`` on."""
    browser = Browser()
    started, read = 0.0, False
    for step in first_steps(page):
        if isinstance(step, Block) and "pip install " in step.text:
            started = time.monotonic()
        follow(step, terminal, browser)
        read = isinstance(step, Act) and step.verb == "read"
    require(bool(started) and read, f"{page} does not lead from pip install to a paid order")
    return time.monotonic() - started


def check_installation(terminal: Terminal) -> None:
    terminal.type("source .venv/bin/activate", "")  # in another terminal than the server's
    place = terminal.run('python -c "import django_paiementpro; print(django_paiementpro.__file__)"')
    require("site-packages" in place, f"not the installed package: {place}")
    terminal.run("python manage.py check --fail-level WARNING")
    terminal.run("python manage.py paiementpro_reconcile")
    # What only tests need is not there, and its place says how to get it.
    complaint = terminal.run(f"python manage.py shell -c '{MISSING}'")
    require('pip install "django-paiementpro[testing]"' in complaint, f"no word of the extra: {complaint}")


def require(holds: bool, complaint: str) -> None:
    if not holds:
        sys.exit(complaint)


if __name__ == "__main__":
    main(*sys.argv[1:])
