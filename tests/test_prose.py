"""The check of phrases that read as a translation."""

from pathlib import Path

import pytest

from tests import prose


def phrases(path: str, content: str) -> list[tuple[int, str]]:
    return [(hit.line, hit.phrase) for hit in prose.find_hits(path, content)]


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("The gateway has refused so many times.", "so many"),
        ("It is for whoever asks.", "whoever"),
        ("Nobody is signed in.", "Nobody"),
        ("If somebody looks", "somebody"),
        ("The shop is told.", "is told"),
        ("as the log says of it", "says of"),
        ("A setting of ours.", "of ours"),
        ("an error of Django's, or another", "of Django's,"),
        ("the middleware of the host's and ours", "of the host's and"),
        ("fields that are none", "that are none"),
        ("It leaves without a word.", "without a word"),
        ("Have the payer pay.", "Have the payer"),
        ("Correct it, and have the proxy pass it on.", "have the proxy pass"),
        ("known by its look alone", "by its look"),
        ("Use the one that works.", "the one that"),
        ("See the log, and mend it.", "mend"),
    ],
)
def test_english_phrases_are_found(text: str, phrase: str) -> None:
    assert [found for _line, found in phrases("README.rst", text)] == [phrase]


@pytest.mark.parametrize(
    "text",
    [
        "It takes many forms, and so on.",
        "The table of the host's payments",
        "It tells the shop.",
        "You have the choice.",
        "An amendment",
        "Have you paid?",
        "The language is the one that Django activates.",
    ],
)
def test_plain_english_is_left_alone(text: str) -> None:
    assert phrases("README.rst", text) == []


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("Partir sans un mot", "sans un mot"),
        ("Les retards sont dits plus bas.", "sont dits"),
        ("La passerelle a dit non.", "a dit non"),
        ("Dit si c’est possible.", "Dit si"),
        ("Qui ouvre cette page ne prouve rien.", "Qui ouvre cette page ne prouve rien."),
        ("Ou bien : Que le mandataire transmette l’en-tête.", "Que le mandataire transmette"),
    ],
)
def test_french_phrases_are_found(text: str, phrase: str) -> None:
    assert [found for _line, found in phrases("docs/fr/index.rst", text)] == [phrase]
    assert phrases("docs/en/index.rst", text) == []


@pytest.mark.parametrize("text", ["Qui peut payer ? Le client.", "Que le client fasse quoi ?", "La personne a payé."])
def test_plain_french_is_left_alone(text: str) -> None:
    assert phrases("LISEZMOI.rst", text) == []


PYTHON = '''
def test_nobody_is_signed_in(somebody, whoever=1):
    """
    Return so
    many rows.
    """
    # Told without a
    # word.
    whoever = nobody  # fine
    return ["without" " a word", f"so many {whoever}"]


#: Have the page say it.
MANY = 1
'''


def test_python_is_read_at_its_strings_comments_and_test_names() -> None:
    assert phrases("shop/views.py", PYTHON) == [
        (2, "nobody"),
        (4, "so many"),
        (7, "without a word"),
        (10, "so many"),
        (10, "without a word"),
        (13, "Have the page"),
    ]


CATALOGUE = """
# nobody
msgid ""
msgstr "Language: fr\\n"

#: shop/views.py:1
msgid "Leave without "
"a word"
msgstr "Partir sans un "
"mot"

msgid "%d waits for somebody"
msgid_plural "%d wait for somebody"
msgstr[0] "%d sans un mot"
msgstr[1] "%d attendent"

#| msgid "Have a look"
#, fuzzy
msgid "Silently"
msgstr "Partir sans un mot"

#~ msgid "so many"
#~ msgstr "sans un mot"
"""


def test_catalogues_are_read_in_both_languages() -> None:
    assert phrases("locale/fr/LC_MESSAGES/django.po", CATALOGUE) == [
        (7, "without a word"),
        (9, "sans un mot"),
        (12, "somebody"),
        (13, "somebody"),
        (14, "sans un mot"),
    ]


def test_paragraphs_are_read_apart() -> None:
    assert phrases("README.rst", "so\n\nmany") == []


def test_hits_are_written_with_advice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shop").mkdir()
    Path("shop/README.md").write_text("Fine.\nIt takes so many.\n", "utf-8")
    Path("NEWS.md").write_text("So.\n", "utf-8")

    assert prose.main("shop/README.md", "NEWS.md") == 1
    assert capsys.readouterr().out == "shop/README.md:2: so many: give the number, or “that many”\n"
    assert prose.main("--counts", "shop/README.md") == 1
    assert capsys.readouterr().out == "    1 shop\n"
    assert prose.main("NEWS.md") == 0


def test_all_files_in_git_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"README.rst", "tests/conftest.py", "docs/fr/index.rst"} <= set(prose.files_in_git())
    prose.main()
    assert "tests/prose.py" not in capsys.readouterr().out
