"""
Check that French and English say the same, once both are built.

    python docs/twins.py

A page, and README.rst, has a twin of the same shape: the same headings, paragraphs, lists, tables, code, pictures and
links between pages, in the same order. Of code, what is no comment, no text and no output is compared word for word.
"""

import pickle
import sys
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

from docutils import nodes
from docutils.core import publish_doctree
from pygments import lex
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Generic, String, Text
from pygments.util import ClassNotFound
from sphinx import addnodes

HERE = Path(__file__).parent

#: What counts by being there, and where.
PLAIN = (
    *(nodes.paragraph, nodes.list_item, nodes.definition_list_item, nodes.field, nodes.row, nodes.entry, nodes.image),
    *(nodes.Admonition, nodes.block_quote, nodes.line_block),
)

#: What each language has in its own words.
TRANSLATED = (Comment, String, Text, Generic.Output)


def shape(page: nodes.document) -> Iterator[str]:
    """Return a line for each part of a page, in order, indented as deep as its heading."""
    for node in page.findall():
        if line := kind_of(node):
            yield "  " * sum(isinstance(parent, nodes.section) for parent in parents(node)) + line
        if isinstance(node, nodes.section):
            yield f"links {sorted(links_of(node))}"


def kind_of(node: nodes.Node) -> str:
    if isinstance(node, nodes.literal_block):
        classes = node.get("classes", [])
        return f"code {code_of(node.astext(), node.get('language') or (classes[1] if len(classes) > 1 else 'none'))}"
    if isinstance(node, addnodes.desc_signature):
        return f"described {node['ids']}"
    if isinstance(node, nodes.section):
        return "heading"
    return type(node).__name__ if isinstance(node, PLAIN) else ""


def code_of(text: str, language: str) -> str:
    if language == "console":
        return "\n".join(line.partition(" # ")[0].rstrip() for line in text.splitlines() if line.startswith("$ "))
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return language
    words = (word.strip() for kind, word in lex(text, lexer) if not any(kind in spoken for spoken in TRANSLATED))
    return f"{language} {' '.join(filter(None, words))}"


def links_of(section: nodes.section) -> Iterator[str]:
    """Return where a section's own text leads to within the documentation, its subsections apart."""
    for link in section.findall(addnodes.pending_xref):
        if next(parent for parent in parents(link) if isinstance(parent, nodes.section)) is section:
            yield link["reftarget"]


def parents(node: nodes.Node) -> Iterator[nodes.Node]:
    while node := node.parent:
        yield node


def built(language: str) -> dict[str, nodes.document]:
    """Return the pages of a language by their names."""
    root = HERE / "_build" / language / ".doctrees"
    trees = ((path.relative_to(root).with_suffix("").as_posix(), path) for path in sorted(root.rglob("*.doctree")))
    return {name: pickle.loads(path.read_bytes()) for name, path in trees if (HERE / language / f"{name}.rst").exists()}  # noqa: S301


def readme(name: str) -> nodes.document:
    settings = {"syntax_highlight": "none", "report_level": 2, "halt_level": 2}
    return publish_doctree((HERE.parent / name).read_text(encoding="utf-8"), settings_overrides=settings)


def differences(english: nodes.document, french: nodes.document, name: str) -> Iterator[str]:
    return unified_diff(list(shape(english)), list(shape(french)), f"{name} (English)", f"{name} (French)", lineterm="")


def main() -> None:
    english, french = built("en"), built("fr")
    complaints = [f"{name}: no twin in the other language" for name in sorted(english.keys() ^ french.keys())]
    for name in sorted(english.keys() & french.keys()):
        complaints += differences(english[name], french[name], name)
    complaints += differences(readme("README.rst"), readme("LISEZMOI.rst"), "README.rst")
    if complaints or not english:
        sys.exit("\n".join(complaints) or "Nothing is built.")
    print(f"{len(english)} pages, and README.rst, have their twins.")


if __name__ == "__main__":
    main()
