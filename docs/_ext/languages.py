"""The language switch: each page leads to its twin, the page of the same name in the other language."""

from typing import Any

from sphinx.application import Sphinx

NAMES = {"en": "English", "fr": "Français"}


def add_twins(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Give the templates a link to the page in each language, or None for its own language."""
    up = "../" * (page.count("/") + 1)
    context["languages"] = [
        (code, name, None if code == app.config.language else f"{up}{code}/{page}.html") for code, name in NAMES.items()
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", add_twins)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
