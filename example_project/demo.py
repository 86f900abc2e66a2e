"""
Run the example shop without make: create .venv, install what the shop needs there, and start the demonstration.

    py example_project/demo.py         on Windows
    python3 example_project/demo.py    anywhere else

With --port it uses another port than 8000. It needs Python 3.10 or newer, and nothing else.
"""

import argparse
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
# make leaves the same mark.
MARK = VENV / ".with-example"


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the example shop, with a payment gateway of its own.")
    parser.add_argument("--port", type=int, help="the port to serve it on, 8000 by default")
    port = parser.parse_args().port
    install()
    settings = {"PORT": str(port)} if port else {}
    command = [PYTHON, ROOT / "example_project" / "manage.py", "demo"]
    with suppress(KeyboardInterrupt):
        return subprocess.run(command, env={**os.environ, **settings}, check=False).returncode
    return 0  # Ctrl-C ends it


def install() -> None:
    """Install the package in place, with what the shop needs; again when setup.cfg has changed."""
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    if not MARK.exists() or MARK.stat().st_mtime < (ROOT / "setup.cfg").stat().st_mtime:
        print("Installing the package with its extras: example", flush=True)
        pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--editable", ".[example]"], cwd=ROOT, check=True)
        MARK.touch()


if __name__ == "__main__":
    sys.exit(main())
