"""A TypeScript client, generated from the schema and compiled. Needs node, and npm's registry."""

import shutil
import subprocess
from pathlib import Path

import pytest
from django.core.management import call_command

pytestmark = pytest.mark.schema

SOURCES = Path(__file__).parent / "typescript"


def run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_generated_client_compiles(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SOURCES, tmp_path / "client"))
    schema = folder / "schema.json"
    call_command("spectacular", file=str(schema), format="openapi-json", validate=True, fail_on_warn=True)

    run(folder, "npm", "install", "--no-audit", "--no-fund", "--silent")
    run(folder, "npx", "openapi-typescript", "schema.json", "--output", "schema.ts")
    run(
        folder,
        "npx",
        "tsc",
        "--noEmit",
        "--strict",
        "--target",
        "es2022",
        "--module",
        "esnext",
        "--moduleResolution",
        "bundler",
        "--lib",
        "es2022,dom",
        "--skipLibCheck",
        "client.ts",
    )
