"""What ``services`` exports is what the documentation names."""

import ast
import re
from pathlib import Path

import pytest

import django_paiementpro
from django_paiementpro import services

PACKAGE = Path(django_paiementpro.__file__).parent
REFERENCE = PACKAGE.parent / "docs" / "en" / "reference" / "services.rst"
MODULES = [path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE / "services"]


def test_exports_are_those_of_the_reference() -> None:
    documented = re.findall(r"^\.\. auto\w+:: django_paiementpro\.services\.(\w+)", REFERENCE.read_text(), re.MULTILINE)

    assert sorted(documented) == sorted(services.__all__)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_exports_are_not_imported_from_their_modules(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {
        alias.name
        for node in imports
        if (node.module or "").startswith("django_paiementpro.services.")
        for alias in node.names
    }

    assert not names & set(services.__all__)
