"""
Build the last commit twice, as two people might, and see that they have the same bytes.

    python tests/wheel/build_twice.py [FOLDER]

A folder must contain the same files, with the same bytes.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# What differs between two people: where they keep it, what others may read, where they live, in what order sets walk.
PEOPLE = (
    ("one", 0o022, {"TZ": "Africa/Abidjan", "PYTHONHASHSEED": "1", "LC_ALL": "C.UTF-8"}),
    ("another/folder deeper", 0o077, {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "2", "LC_ALL": "C"}),
)


def build(tree: Path, umask: int, environment: dict[str, str]) -> dict[str, str]:
    """Return the digest of each file that is built."""
    os.umask(umask)
    subprocess.run(["git", "clone", "--quiet", ".", tree], check=True)
    command = [sys.executable, "tests/wheel/build.py"]
    without_epoch = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    subprocess.run(command, cwd=tree, env={**without_epoch, **environment}, check=True, stdout=subprocess.DEVNULL)
    return digests(tree / "dist")


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        first, second = (build(Path(folder, name), umask, environment) for name, umask, environment in PEOPLE)
    for name, digest in first.items():
        print(digest, name)
    if len(first) != 2 or first != second:
        sys.exit(f"Not the same bytes: {second}")
    for name in sys.argv[1:]:
        if digests(Path(name)) != first:
            sys.exit(f"{name} has other files, or other bytes: {digests(Path(name))}")
    print("Built twice, the same bytes.")


if __name__ == "__main__":
    main()
