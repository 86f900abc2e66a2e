"""
Check that every text of the given folders is translated, and that every .mo is what its .po says. Needs gettext.

    python tests/translations/check.py FOLDER...

It works on copies: nothing in the folders changes.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def missing_translations(folder: Path, scratch: Path) -> list[str]:
    """Collect the texts anew, in a copy; return what the copies of the .po files lack then."""
    copy = scratch / folder.name
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.pyc", ".env", "*.sqlite3*"))
    if not (copy / "locale").is_dir():
        sys.exit(f"{folder} has no locale folder: nothing would be checked")
    run(sys.executable, "-m", "django", "makemessages", "--all", "--no-location", cwd=copy)
    return [
        f"{folder / po.relative_to(copy)}: {what} after makemessages:\n{texts(entries)}"
        for po in sorted(copy.rglob("*.po"))
        for what in ("untranslated", "only-fuzzy")
        if (entries := run("msgattrib", f"--{what}", "--no-obsolete", "--no-wrap", po))
    ]


def texts(entries: str) -> str:
    return "\n".join(line for line in entries.splitlines() if line.startswith('msgid "') and line != 'msgid ""')


def stale_catalogs(folder: Path, scratch: Path) -> list[str]:
    complaints = []
    for po in sorted(folder.rglob("*.po")):
        mo, fresh = po.with_suffix(".mo"), scratch / "fresh.mo"
        run("msgfmt", "--check", "-o", fresh, po)
        if not mo.exists() or run("msgunfmt", mo) != run("msgunfmt", fresh):
            complaints.append(f"{mo}: not compiled from {po.name} as it is now; run compilemessages")
    return complaints


def changed_english(folder: Path) -> list[str]:
    """Return the texts that an English catalogue, which some projects need, does not say as the code does."""
    complaints = []
    for po in sorted(folder.rglob("locale/en/**/*.po")):
        _header, *entries = run("msgcat", "--no-wrap", po).split("\n\n")
        for entry in entries:
            lines = [line for line in entry.strip().splitlines() if not line.startswith(("#", "msgctxt"))]
            texts = [line.partition(" ")[2] if line.startswith("msg") else line for line in lines]
            if texts[: len(texts) // 2] != texts[len(texts) // 2 :]:
                complaints.append(f"{po}: not what the code says:\n{entry}")
    return complaints


def main(*folders: str) -> None:
    if not shutil.which("msgfmt"):
        sys.exit("No gettext here: apt-get install gettext")
    complaints = []
    for folder in map(Path, folders):
        if not list(folder.rglob("*.po")):
            complaints.append(f"{folder}: no .po file in it")
            continue
        complaints += changed_english(folder)
        with tempfile.TemporaryDirectory() as scratch:
            complaints += missing_translations(folder, Path(scratch)) + stale_catalogs(folder, Path(scratch))
    if complaints:
        sys.exit("\n".join(complaints))
    print("Every text is translated, every .mo is up to date.")


if __name__ == "__main__":
    main(*sys.argv[1:])
