"""
The pages of the documentation, as one who follows them reads them: blocks of code, and what to do in a browser.

- ``console``: what stands behind ``$`` is typed, what comes below it is the answer.
- A block with a caption is a file, of that name; ``(at the end)``, ``(à la fin)`` behind it: what is added to it.
- In README.rst and LISEZMOI.rst the first line of a file is its name, as a comment: an index knows no captions.
- In the tutorial, and there, a URL is opened, a ``:guilabel:`` is pressed, and what is in bold is read on the page.
"""

import doctest
import io
import re
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
LANGUAGES = ("en", "fr")

DIRECTIVE = re.compile(r"( *)\.\. code-block:: (\S+)\n")
CAPTION = re.compile(r"(?P<name>\S+)(?P<added> \((at the end|à la fin)\))?")
FIRST_LINE = re.compile(r"# (?P<name>\S+\.py)(, (?P<added>at the end|à la fin))?\n")
LABEL = re.compile(r"""((?:Field\(|verbose_name(?:_plural)? ?= ?))"[^"]*\"""")
NAME = re.compile(r"""["']?[a-z0-9_./:{}-]{3,}["']?""")
ACT = re.compile(r":guilabel:`(?P<press>[^`]+)`|\*\*(?P<read>[^*]+)\*\*|(?P<open>http://127\.0\.0\.1:8000/[^\s`,.;]*)")


@dataclass(frozen=True)
class Block:
    language: str
    caption: str
    text: str

    @property
    def file(self) -> str:
        """The file that the block is, or is added to; empty where it is none."""
        match = CAPTION.fullmatch(self.caption)
        return match["name"] if match else ""

    @property
    def is_added(self) -> bool:
        match = CAPTION.fullmatch(self.caption)
        return bool(match and match["added"])

    @property
    def dialogue(self) -> list[tuple[str, str]]:
        """Each command, with the answer that is shown below it."""
        turns = re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]
        return [(command, answer) for command, _newline, answer in (turn.partition("\n") for turn in turns)]

    @property
    def essence(self) -> tuple[str, object]:
        """What the twin in the other language has as well: all but what people read."""
        if self.language == "python":
            return self.file, _tokens(self.text)
        if self.language == "console":
            return self.file, [_without_comment(command) for command, _answer in self.dialogue]
        if self.language == "html+django":
            return self.file, re.findall(r"<[^>]*>|{%[^%]*%}|{{[^}]*}}", self.text)
        lines = map(_without_comment, self.text.splitlines())
        return self.file, [line for line in lines if line and not line.startswith("Description=")]


@dataclass(frozen=True)
class Act:
    """What the reader does, or looks at, in the browser: ``open``, ``press`` or ``read``."""

    verb: str
    text: str


def page(language: str, name: str) -> str:
    return (DOCS / language / f"{name}.rst").read_text(encoding="utf-8")


def steps(text: str) -> Iterator[Block | Act]:
    """Walk through a page from top to bottom."""
    position = 0
    for match in DIRECTIVE.finditer(text):
        yield from _acts(text[position : match.start()])
        position = _end_of(text, match)
        options, _blank, content = text[match.end() : position].partition("\n\n" if text[match.end()] == " " else "\n")
        caption = re.search(r":caption: (.*)", options)
        yield Block(match[2], caption[1] if caption else "", textwrap.dedent(content).strip("\n") + "\n")
    yield from _acts(text[position:])


def blocks(language: str, name: str) -> list[Block]:
    return [step for step in steps(page(language, name)) if isinstance(step, Block)]


def first_steps(name: str) -> Iterator[Block | Act]:
    """Walk through README.rst, or LISEZMOI.rst, from an empty folder to a paid order."""
    text = (DOCS.parent / name).read_text(encoding="utf-8")
    [section] = re.findall(r"\n(?:In short|En bref)\n-+\n(.*?)\n\n\n\S[^\n]*\n-{3,}\n", text, re.DOTALL)
    for step in steps(section):
        match = FIRST_LINE.match(step.text) if isinstance(step, Block) else None
        if isinstance(step, Block) and match:
            caption = f"{match['name']} ({match['added']})" if match["added"] else match["name"]
            yield replace(step, caption=caption)
        else:
            yield step


def write(block: Block, folder: Path) -> None:
    """Write a block's file, as its caption says."""
    path = folder / block.file
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text(encoding="utf-8") + "\n" if block.is_added else ""
    path.write_text(before + block.text, encoding="utf-8")


def shows(answer: str, said: str) -> bool:
    """Whether a program has said what a page shows below the command; ... stands for anything."""
    wanted, said = (" ".join(text.split()) for text in (answer, said))
    return doctest.OutputChecker().check_output(wanted, said, doctest.ELLIPSIS)


def _end_of(text: str, match: re.Match[str]) -> int:
    """Return where the lines end that are indented deeper than the directive."""
    body = re.compile(rf"(?:{match[1]} +.*\n| *\n)*").match(text, match.end())
    return body.end() if body else match.end()


def _acts(prose: str) -> Iterator[Act]:
    for match in ACT.finditer(prose):
        for verb, text in match.groupdict().items():
            if text is not None:
                yield Act(verb, " ".join(text.split()))


def _tokens(code: str) -> list[str]:
    """Return a program without its comments and the words in it: a label, or a text that can be no name and no path."""
    left_out = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    texts = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    return [
        "words" if token.type in texts and not NAME.fullmatch(token.string) else token.string
        for token in tokenize.generate_tokens(io.StringIO(LABEL.sub(r'\1"A label"', code)).readline)
        if token.type not in left_out
    ]


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s+)(#|//)( .*)?$", "", line).strip()
