"""
Diagrams, kept as pictures in docs/pictures.

PlantUML and Graphviz draw them for ``make docs-pictures`` (``-t draw``). Any other build needs neither: it shows the
kept pictures, and warns if one is missing, was drawn from another source, or is no longer used. The last line of a
picture is the digest of its source.
"""

import hashlib
import subprocess
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

DOCS = Path(__file__).parent.parent
PICTURES = DOCS / "pictures"
LOOKS = DOCS / "plantuml.cfg"

COMMANDS = {
    "dot": ["dot", "-Tsvg"],
    "plantuml": ["plantuml", "-charset", "UTF-8", "-config", str(LOOKS), "-tsvg", "-nometadata", "-pipe"],
}

logger = logging.getLogger(__name__)


class Diagrams:
    """The pictures that a build shows, and whether it draws them."""

    def __init__(self, app: Sphinx) -> None:
        self.language, self.are_drawn = app.config.language, app.tags.has("draw")
        self.used: set[str] = set()

    def show(self, page: str, number: int, tool: str, source: str) -> str:
        """Return the name of a diagram's picture, which is drawn if it has to be."""
        name = f"{page.rpartition('/')[2]}-{number}-{self.language}.svg"
        self.used.add(name)
        path, digest = PICTURES / name, digest_of(tool, source)
        if not path.exists() or digest not in path.read_text(encoding="utf-8"):
            if self.are_drawn:
                draw(tool, source, path, digest)
            else:
                logger.warning("%s is missing or outdated: run make docs-pictures", name, location=page)
        return name

    def finish(self) -> None:
        unused = [path for path in PICTURES.glob(f"*-{self.language}.svg") if path.name not in self.used]
        for path in unused:
            if self.are_drawn:
                path.unlink()
            else:
                logger.warning("%s shows no diagram: run make docs-pictures", path.name)


def diagram(directive: SphinxDirective, tool: str, source: str, alt: str) -> nodes.Node:
    env = directive.env
    name = env.diagrams.show(env.docname, env.new_serialno("diagram") + 1, tool, source)
    return nodes.container("", nodes.image(uri=f"/../pictures/{name}", alt=alt), classes=["diagram"])


def digest_of(tool: str, source: str) -> str:
    looks = LOOKS.read_text(encoding="utf-8") if tool == "plantuml" else ""
    return hashlib.sha256(f"{tool}\n{looks}\n{source}".encode()).hexdigest()


def draw(tool: str, source: str, path: Path, digest: str) -> None:
    done = subprocess.run(COMMANDS[tool], input=source, capture_output=True, text=True, encoding="utf-8", check=True)  # noqa: S603
    path.write_text(f"{done.stdout.rstrip()}\n<!-- {digest} -->\n", encoding="utf-8")


class Uml(SphinxDirective):
    """A diagram in PlantUML's language."""

    has_content = True
    option_spec = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        source = "\n".join(["@startuml", *self.content, "@enduml", ""])
        return [diagram(self, "plantuml", source, self.options["alt"])]


def begin(app: Sphinx) -> None:
    app.env.diagrams = Diagrams(app)


def finish(app: Sphinx, env: Any) -> list[str]:
    vars(env).pop("diagrams").finish()  # it is not pickled with the rest
    return []


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("uml", Uml)
    app.connect("builder-inited", begin)
    app.connect("env-updated", finish)
    return {"parallel_read_safe": False}
