"""
Build the sdist and the wheel into a folder, so that every build of the same commit gives the same bytes.

    python tests/wheel/build.py [FOLDER]

They are made of what git tracks and of nothing else that lies around, and dated by the last commit, or by
SOURCE_DATE_EPOCH. setuptools sees to the wheel; in the sdist it leaves the clock, the user and the umask.

An index shows README.rst, without the rest of the repository: there its links and pictures become absolute, by the
project URL "Source" in setup.cfg. Without that URL, links become the names of files, and badges text.
"""

import gzip
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from configparser import ConfigParser
from pathlib import Path

LINK = re.compile(r"`([^`<]+)\s<([^:>]+)>`_")
PICTURE = re.compile(r"^\.\. image:: (?!https:)(\S+)\n(?: +:.*\n)+\n", re.MULTILINE)
BADGE = re.compile(r"^(\.\. \|\w+\|) image:: (\S+)\n +:alt: (.+)\n +:target: (.+)\n", re.MULTILINE)


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


def copy_tracked_files(tree: Path) -> None:
    for name in filter(None, git("ls-files", "-z").split("\0")):
        source, target = Path(name), tree / name
        if source.is_file():  # it may have been removed, and not committed yet
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)


def for_index(text: str, source: str) -> str:
    """Return README.rst as it can be shown apart from the repository, which has its public URL, or none yet."""
    if source:
        text = LINK.sub(rf"`\1 <{source}/blob/HEAD/\2>`_", text)
        text = re.sub(r":target: (\S+)", rf":target: {source}/blob/HEAD/\1", text)
        return re.sub(r"image:: (\S+)", rf"image:: {source}/raw/HEAD/\1", text)
    text = LINK.sub(lambda link: link[1] if link[1] == link[2] else f"{link[1]} (``{link[2]}``)", text)
    return BADGE.sub(r"\1 replace:: \3\n", PICTURE.sub("", text).replace("| |", "| · |"))


def source_url(tree: Path) -> str:
    parser = ConfigParser()
    parser.read(tree / "setup.cfg", encoding="utf-8")
    urls = parser["metadata"].get("project_urls", "")
    return "".join(re.findall(r"^Source *= *(\S+?)/?$", urls, re.MULTILINE))


def normalize(sdist: Path, moment: int) -> None:
    content = sdist.with_suffix(".new")
    with (
        tarfile.open(sdist) as old,
        content.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=moment) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            member.mtime, member.pax_headers = moment, {}
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    content.replace(sdist)


def main() -> None:
    folder = Path(sys.argv[1] if sys.argv[1:] else "dist").absolute()
    moment = os.environ.setdefault("SOURCE_DATE_EPOCH", git("log", "-1", "--format=%ct").strip())
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as tree:
        copy_tracked_files(Path(tree))
        readme = Path(tree, "README.rst")
        readme.write_text(for_index(readme.read_text(encoding="utf-8"), source_url(Path(tree))), encoding="utf-8")
        subprocess.run([sys.executable, "-m", "build", "--outdir", folder, tree], check=True)
    for sdist in folder.glob("*.tar.gz"):
        normalize(sdist, int(moment))


if __name__ == "__main__":
    main()
