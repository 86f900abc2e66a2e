"""
The texts that stand in the code, in the language of the documentation.

They are docstrings, comments that begin with ``#:``, and help texts of commands: English, translated paragraph by
paragraph through locale/fr/LC_MESSAGES/code.po. In the French build a text without its translation is a warning, and
so is a translation of nothing; ``-t collect`` writes into the catalogue what is to be translated instead.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging

PO = Path(__file__).parent.parent / "locale" / "fr" / "LC_MESSAGES" / "code.po"

#: How docstrings and comments cite the page with facts about the gateway.
GATEWAY_PAGE = r'"What\s+is\s+known\s+of\s+the\s+gateway"'

logger = logging.getLogger(__name__)


class Translator:
    """What the French build has asked for, and what there is."""

    def __init__(self, language: str) -> None:
        self.is_needed = language == "fr"
        self.asked: dict[str, None] = {}
        with PO.open("rb") as file:
            self.catalog = read_po(file, locale="fr")

    def say(self, text: str) -> str:
        """Return a text of one or more paragraphs, translated where that is needed, with links to the settings."""
        said = "\n\n".join(map(self._say_paragraph, paragraphs(text)))
        return re.sub("``(PAIEMENTPRO_[A-Z_]*[A-Z])``", r":setting:`\1`", said)

    def _say_paragraph(self, paragraph: str) -> str:
        is_code = paragraph.startswith(" ") or not re.search("[A-Za-z]{2}", re.sub("``.+?``", "", paragraph))
        if is_code or not self.is_needed:
            return paragraph
        self.asked[paragraph] = None
        return self._translation(paragraph) or paragraph

    def _translation(self, paragraph: str) -> str:
        message = self.catalog.get(paragraph)
        return "" if message is None or message.fuzzy else str(message.string)

    def untranslated(self) -> list[str]:
        return [text for text in self.asked if not self._translation(text)]

    def unused(self) -> list[str]:
        return [str(message.id) for message in self.catalog if message.id and message.id not in self.asked]

    def collect(self) -> None:
        """Write the catalogue anew, with all that was asked for; what looks like an earlier text is marked fuzzy."""
        header = PO.read_text(encoding="utf-8").partition("\n\n")[0]
        template = Catalog()
        for text in self.asked:
            template.add(text)
        self.catalog.update(template)
        with PO.open("wb") as file:
            file.write(f"{header}\n\n".encode())
            write_po(file, self.catalog, width=120, omit_header=True, ignore_obsolete=True)


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs, each on one line unless it is indented or a list, with links to the page that is cited."""
    parts = re.split(r"\n\s*\n", re.sub(GATEWAY_PAGE, ":doc:`/explanation/gateway`", text.strip("\n")))
    return [part if re.search(r"^(\s|- )", part, re.MULTILINE) else " ".join(part.split()) for part in parts]


def comment_of(owner: type | ModuleType, name: str) -> str:
    """Return the ``#:`` comment of an attribute of a class or a module. Raises ``LookupError`` where it has none."""
    module, prefix = (owner.__name__, "") if isinstance(owner, ModuleType) else (owner.__module__, owner.__qualname__)
    return "\n".join(ModuleAnalyzer.for_module(module).find_attr_docs()[prefix, name]).strip()


@cache
def comments_of_keys(module: ModuleType, name: str) -> dict[str, str]:
    """Return the ``#:`` comment above each key of a module's dictionary. Raises ``LookupError`` where one has none."""
    lines = inspect.getsource(module).splitlines()
    assignments = (node for node in ast.parse("\n".join(lines)).body if isinstance(node, (ast.Assign, ast.AnnAssign)))
    for node in assignments:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if ast.unparse(targets[0]) == name and isinstance(node.value, ast.Dict):
            return {
                ast.literal_eval(key): _comment_above(lines, key.lineno) for key in node.value.keys if key is not None
            }
    raise LookupError(f"{module.__name__} has no dictionary {name}")


def _comment_above(lines: list[str], number: int) -> str:
    found: list[str] = []
    for line in reversed(lines[: number - 1]):
        if not line.strip().startswith("#:"):
            break
        found.insert(0, line.strip()[2:].strip())
    if not found:
        raise LookupError(f"no comment above {lines[number - 1].strip()}")
    return " ".join(found)


def docstring_of(thing: object) -> str:
    return inspect.getdoc(thing) or ""


def indented(text: str, by: str = "   ") -> str:
    return textwrap.indent(text, by)


def translate_docstring(app: Sphinx, what: str, name: str, thing: object, options: Any, lines: list[str]) -> None:
    lines[:] = [*app.env.translator.say("\n".join(lines)).splitlines(), ""]


def begin(app: Sphinx) -> None:
    app.env.translator = Translator(app.config.language)


def finish(app: Sphinx, env: Any) -> Iterable[str]:
    translator: Translator = vars(env).pop("translator")  # it is not pickled with the rest
    if translator.is_needed and app.tags.has("collect"):
        translator.collect()
    elif translator.is_needed:
        for text in translator.untranslated():
            logger.warning("untranslated: %s", text, location=PO.name)
        for text in translator.unused():
            logger.warning("no text of the code any more: %s", text, location=PO.name)
    return []


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", begin)
    app.connect("autodoc-process-docstring", translate_docstring)
    app.connect("env-updated", finish)
    return {"parallel_read_safe": False}
