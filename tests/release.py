"""
Check that the last commit can be released, and say how: ``make release`` builds it in between.

    python -m tests.release [TAG]
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from django_paiementpro import __version__

ROOT = Path(__file__).parents[1]

HOW = """\
dist/ has what PyPI gets, for {version}. Now tag the commit and push the tag:

    git tag --annotate {tag} --message "Version {version}"
    git push origin {tag}

The workflow release.yml builds the same bytes and uploads them, with attestations. Compare the digests above with
those that PyPI shows. Without the workflow: twine upload dist/*, then without attestations.
"""


#: What the two front pages say until the first release.
UNRELEASED = {"README.rst": "not on PyPI yet", "LISEZMOI.rst": "pas encore sur PyPI"}


def find_problems(changelog: str, changes: str, version: str, tag: str) -> Iterator[str]:
    """Yield what forbids a release: ``changes`` is what ``git status`` lists."""
    headings = re.findall(r"^(.+)\n-{3,}$", changelog, re.MULTILINE)
    heading = headings[0] if headings else "nothing"
    if not re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", heading):
        yield f"CHANGELOG.rst begins with {heading}: write {version} (YYYY-MM-DD), or change __version__"
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        yield f"__version__ is {version}: write a version like 1.2.3 or 1.2.3rc1"
    if tag != f"v{version}":
        yield f"The tag is {tag}: it must be v{version}"
    if changes:
        yield f"Not committed:\n{changes.rstrip()}"


def find_outdated_pages(root: Path) -> Iterator[str]:
    for name, phrase in UNRELEASED.items():
        if phrase in " ".join((root / name).read_text(encoding="utf-8").split()):
            yield f"{name} says “{phrase}”: remove that sentence"


def main(tag: str = f"v{__version__}") -> int:
    """Write the problems or the instructions, and return the exit code."""
    done = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, check=True, capture_output=True, text=True)
    changelog = (ROOT / "CHANGELOG.rst").read_text(encoding="utf-8")
    problems = [*find_problems(changelog, done.stdout, __version__, tag), *find_outdated_pages(ROOT)]
    if problems:
        sys.stderr.write("\n".join(problems) + "\n")
        return 1
    sys.stdout.write(HOW.format(version=__version__, tag=tag))
    return 0


if __name__ == "__main__":  # pragma: no cover
    sys.exit(main(*sys.argv[1:]))
