"""
Build the sdist and the wheel into a folder, so that every build of the same commit gives the same bytes.

    python tests/wheel/build.py [FOLDER]

They are made of what git tracks and of nothing else that lies around, and dated by the last commit, or by
SOURCE_DATE_EPOCH. setuptools sees to the wheel; in the sdist it leaves the clock, the user and the umask.
"""

import gzip
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


def copy_tracked_files(tree: Path) -> None:
    for name in filter(None, git("ls-files", "-z").split("\0")):
        source, target = Path(name), tree / name
        if source.is_file():  # it may have been removed, and not committed yet
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)


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
        subprocess.run([sys.executable, "-m", "build", "--outdir", folder, tree], check=True)
    for sdist in folder.glob("*.tar.gz"):
        normalize(sdist, int(moment))


if __name__ == "__main__":
    main()
