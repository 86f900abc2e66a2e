"""Every page of the tutorial and of the how-to guides has its twin, with the same blocks."""

import pytest

from tests.docs.pages import DOCS, LANGUAGES, blocks

PAGES = sorted(
    f"{folder}/{path.stem}"
    for folder in ("tutorial", "howto")
    for path in (DOCS / "en" / folder).glob("*.rst")
    if path.stem not in {"index", "demo"}
)


def test_both_languages_have_the_same_pages() -> None:
    for folder in ("tutorial", "howto"):
        english, french = (
            {path.name for path in (DOCS / language / folder).glob("*.rst")} for language in ("en", "fr")
        )
        assert english == french


@pytest.mark.parametrize("name", PAGES)
def test_both_languages_have_the_same_code(name: str) -> None:
    english, french = blocks("en", name), blocks("fr", name)

    assert [(block.language, block.is_added) for block in english] == [
        (block.language, block.is_added) for block in french
    ]
    for one, other in zip(english, french, strict=True):
        assert one.essence == other.essence


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
def test_every_python_block_compiles_and_has_a_file(name: str, language: str) -> None:
    for block in blocks(language, name):
        if block.language == "python":
            assert block.file
            compile(block.text, block.file, "exec")
