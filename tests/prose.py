"""
Find phrases that read as a translation, in English and in French texts.

    python -m tests.prose [--counts] [FILE...]

Without files it reads all those in git: docstrings, comments, strings and test names in Python, both sides of
translation catalogues (but for fuzzy entries, which are not shown), and other texts as a whole. ``--counts`` writes
hits per folder instead of each one.
"""

import io
import re
import subprocess
import sys
import tokenize
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

#: Begins a text or a paragraph, in texts as they are searched.
MARK = "¶"
START = f"(?:(?<={MARK} )|(?<=[.:;!?(“«] ))"

#: What to avoid, by regular expression, and what to write instead.
ENGLISH = {
    r"so many": "give the number, or “that many”",
    r"whoever": "“anyone who”, or name the person",
    r"(?:no|some)body": "name the subject, or use the passive",
    r"(?:is|are|was|were|be|been|being) told": "“receives”, “is notified”, “reports”",
    r"(?:say|says|said|tell|tells|told) of": "“say about”, “report”",
    r"of (?:theirs|ours|yours|hers)": "“their own”, “our”",
    r"of (?:the )?\w+['’]s(?:[.,;:)]| (?:and|or|has|have|is|are|may|that|which))": "“of the host”, “the host’s”",
    r"(?:that|which|who) (?:is|are|was|were) none": "“that is not a …”, “invalid”",
    r"where there (?:is|are) none": "“if there is none”",
    r"without a word": "“silently”",
    r"never not": "“at least once”",
    START + r"Have (?:the|a|an|your|its|it|them|cron|[A-Z]\w+) \w+": "“Make …”, “Let …”, or the verb itself",
    r"have (?:the|your|its) \w+ (?:pass|send|run|call|give|take|ask|write|show|tell|know|read|do)": "“make the …”",
    r"what is there for": "“for”",
    r"by (?:its|their) looks?": "“by its form”",
    r"(?<!\bis )the ones? that": "“the … that”, with its noun",
    r"mend(?:s|ed|ing)?": "“fix”",
    r"whence|whereof|thereof": "“from where”, “of which”",
}
FRENCH = {
    r"sans un mot": "« en silence », « silencieusement »",
    r"(?:est|sont|était|étaient|être|été) dite?s?": "« est indiqué », « est décrit »",
    r"en dit (?:aucune?|plus)": "« les désactive », « en indique »",
    r"(?:a|ait|ont) dit non": "« a refusé »",
    START + r"Dit (?:si|où|quand|combien)": "« Indique … »",
    r"rien par là": "« ne prouve rien »",
    r"si cela se peut": "« si possible »",
    r"aussi souvent que": "« même si … plusieurs fois »",
    r"sans retour": "« irréversible »",
    r"du genre": "« par exemple »",
    r"(?:depuis|dans|avant|après) tant de": "« un certain nombre de »",
    r"dans son histoire": "« dans son historique »",
    START + r"Qui (?!est|sont|peut|a |l’a )[^?.!¶]*[.!]": "« La personne qui », ou un nom",
    START + r"Que (?:le|la|les|l’\w+|cron) \w+ \w*e(?:nt)?(?![^.!¶]*\?)": "« Configurez … », à l’impératif",
}

#: These files quote the phrases.
EXEMPT = {"tests/prose.py", "tests/test_prose.py"}
SUFFIXES = {".py", ".po", ".rst", ".md", ".html", ".txt"}


class Hit(NamedTuple):
    path: str
    line: int
    phrase: str
    advice: str


def find_hits(path: str, content: str) -> Iterator[Hit]:
    """Yield the phrases to avoid in a file, in the order of its lines."""
    hits = []
    for text, patterns in texts_of(path, content):
        joined, lines, starts = joined_words(text)
        for pattern, advice in patterns.items():
            flags = 0 if pattern.startswith(START) else re.IGNORECASE
            matches = re.finditer(rf"(?<!\w){pattern}(?!\w)", joined, flags)
            hits += [Hit(path, lines[bisect_right(starts, match.start()) - 1], match[0], advice) for match in matches]
    yield from sorted(hits)


def joined_words(text: str) -> tuple[str, list[int], list[int]]:
    """Return the words of a text with single spaces between, the line of each, and its offset."""
    found = [
        (word, number)
        for number, line in enumerate((MARK + text).split("\n"), 1)
        for word in line.replace(MARK, f" {MARK} ").split() or [MARK]  # an empty line ends a paragraph
    ]
    starts = accumulate((len(word) + 1 for word, _number in found), initial=0)
    return " ".join(word for word, _number in found), [number for _word, number in found], list(starts)


def texts_of(path: str, content: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the texts of a file, at their lines, with the patterns of their language."""
    parts = Path(path).parts
    own = FRENCH if "fr" in parts or parts[-1].startswith("LISEZMOI") else ENGLISH
    if path.endswith(".po"):
        yield catalogue_side(content, "msgid"), ENGLISH
        yield catalogue_side(content, "msgstr"), own
    elif path.endswith(".py"):
        yield words_in_python(content), own
    else:
        yield content, own


def catalogue_side(content: str, keyword: str) -> str:
    """Return a catalogue with nothing but the current texts behind ``msgid`` or ``msgstr``, on their lines."""
    lines, is_on, is_fuzzy = [], False, False
    for line in content.split("\n"):
        is_fuzzy = line.startswith("#, fuzzy") or (is_fuzzy and line != "")
        match = re.match('(msg\\w+)?[^"#]*"(.*)"$', line)
        is_on = match is not None and (match[1].startswith(keyword) if match[1] else is_on)
        lines.append(f"{MARK if match[1] else ''} {match[2]}" if match and is_on and not is_fuzzy else "")
    return "\n".join(lines)


def words_in_python(content: str) -> str:
    """Return a module with nothing but its strings, comments and names of tests, on their lines."""
    lines = [""] * (content.count("\n") + 2)
    previous = (0, "")
    for token in tokenize.generate_tokens(io.StringIO(content).readline):
        text = ""
        if token.type == tokenize.NAME and previous[1] == "def" and token.string.startswith("test_"):
            text = f"{MARK} {token.string.replace('_', ' ')}"
        elif token.type == tokenize.COMMENT:
            text = token.string.lstrip("#: ") if previous[0] == tokenize.COMMENT else MARK + token.string.lstrip("#: ")
        elif "STRING" in tokenize.tok_name[token.type]:
            body = re.sub("^[A-Za-z]*[\"']+|[\"']+$|(?<={)[^{}]*(?=})", "", token.string)
            text = body if "STRING" in tokenize.tok_name[previous[0]] else MARK + body
        for offset, part in enumerate(text.split("\n")):
            lines[token.start[0] - 1 + offset] += f" {part}"
        if token.type != tokenize.NL:
            previous = (token.type, token.string)
    return "\n".join(lines)


def files_in_git() -> list[str]:
    done = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True)
    return [path for path in done.stdout.splitlines() if Path(path).suffix in SUFFIXES]


def folder_of(hit: Hit) -> str:
    return "/".join(Path(hit.path).parts[:2][: 2 if len(Path(hit.path).parts) > 2 else 1])


def main(*arguments: str) -> int:
    """Write the hits, and return the exit code."""
    paths: Iterable[str] = [argument for argument in arguments if argument != "--counts"] or files_in_git()
    hits = [hit for path in paths if path not in EXEMPT for hit in find_hits(path, Path(path).read_text("utf-8"))]
    if "--counts" in arguments:
        for folder, count in sorted(Counter(map(folder_of, hits)).items()):
            sys.stdout.write(f"{count:5} {folder}\n")
    else:
        for hit in hits:
            sys.stdout.write(f"{hit.path}:{hit.line}: {hit.phrase}: {hit.advice}\n")
    return 1 if hits else 0


if __name__ == "__main__":  # pragma: no cover
    sys.exit(main(*sys.argv[1:]))
