"""The pictures that the pages show are kept, small, and no others are. The diagrams are checked by the build."""

import re

from tests.docs.pages import DOCS

PICTURES = DOCS / "pictures"


def test_every_picture_is_kept_and_shown() -> None:
    texts = [path.read_text(encoding="utf-8") for path in DOCS.glob("??/**/*.rst")]
    shown = {name for text in texts for name in re.findall(r"^\.\. figure:: (?:\.\./)+(.*)$", text, re.MULTILINE)}
    kept = {f"pictures/{path.name}" for path in PICTURES.glob("*.webp")}

    assert kept == shown
    assert shown


def test_diagrams_are_kept_in_both_languages() -> None:
    english, french = ({path.stem[:-3] for path in PICTURES.glob(f"*-{language}.svg")} for language in ("en", "fr"))
    sources = [
        re.findall(r"^\.\. (?:uml|states)::", path.read_text(encoding="utf-8"), re.MULTILINE)
        for path in DOCS.glob("en/**/*.rst")
    ]

    assert english == french
    assert len(english) == sum(map(len, sources))


def test_pictures_take_little_room() -> None:
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < 3_000_000
