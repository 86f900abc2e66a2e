"""The workflows run what ``make check`` and ``make matrix`` run."""

import json
import re
from itertools import chain, product
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = ROOT / ".github" / "workflows"
NAMES = sorted(path.name for path in WORKFLOWS.glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")

#: What a job's services offer, for the addresses in the Makefile.
PORTS = {"postgres": "5432:5432", "mariadb": "3306:3306"}


def jobs(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((WORKFLOWS / name).read_text(encoding="utf-8"))["jobs"]
    return found


def commands(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def pythons(job: dict[str, Any]) -> list[str]:
    [step] = (step for step in job["steps"] if step.get("uses", "").startswith("actions/setup-python@"))
    return str(step["with"]["python-version"]).split()


def packages(text: str) -> set[str]:
    [found] = re.findall(r"--no-install-recommends(?: \\\n)? +([a-z0-9 -]+)\n", text)
    return set(found.split())


def tox_environments() -> set[str]:
    """Return what ``make matrix`` runs: pairs of Python and Django, on each database."""
    products = re.findall(r"{ product = (\[.*\]) }", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {"-".join(factors) for factors in chain.from_iterable(product(*json.loads(text)) for text in products)}


def test_check_runs_the_steps_of_make_check() -> None:
    [steps] = re.findall(r"^steps := (.*)$", MAKEFILE, re.MULTILINE)
    job = jobs("check.yml")["check"]

    assert job["strategy"]["matrix"]["step"] == steps.split()
    assert commands(job)[-1] == "make ${{ matrix.step }}"
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").endswith("\nmake check\n")


@pytest.mark.parametrize("name", NAMES)
def test_workflow_names_commands_of_the_makefile(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    called = {
        target
        for job in jobs(name).values()
        for command in commands(job)
        for target in re.findall(r"\bmake ([a-z-]+)", command)
    }

    assert called <= targets
    assert called or name == "check.yml"


@pytest.mark.parametrize(("name", "job"), [("check.yml", "check"), ("weekly.yml", "matrix")])
def test_job_has_the_databases_that_the_makefile_expects(name: str, job: str) -> None:
    services = jobs(name)[job]["services"]

    assert {service: values["ports"] for service, values in services.items()} == {
        service: [port] for service, port in PORTS.items()
    }
    assert {f":{port.partition(':')[0]}/" for port in PORTS.values()} <= set(re.findall(r":\d+/", MAKEFILE))


def test_packages_are_those_of_the_other_ci() -> None:
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    [line] = re.findall(r"^packages=\((.*)\)$", text, re.MULTILINE)
    [install] = (command for command in commands(jobs("check.yml")["check"]) if "apt-get" in command)

    # The image of GitHub has a compiler and Chrome; .ci/run expects Redis to be there.
    assert packages(install) == set(line.split()) - {"build-essential", "chromium"} | {"redis-server"}


def test_check_has_the_pythons_of_make_pairs_and_make_adapters() -> None:
    environments = re.findall(r"^(?:PAIRS|ADAPTERS) \?= (.*)$", MAKEFILE, re.MULTILINE)
    wanted = {re.sub(r"py3(\d+)-.*", r"3.\1", name) for name in ",".join(environments).split(",")}

    assert set(pythons(jobs("check.yml")["check"])) == wanted


def test_weekly_matrix_is_that_of_tox_and_the_next_python() -> None:
    job = jobs("weekly.yml")["matrix"]
    matrix = job["strategy"]["matrix"]
    left_out = {(pair["python"], pair["django"]) for pair in matrix["exclude"]}
    pairs = set(product(matrix["python"], matrix["django"])) - left_out
    databases = re.findall(r"\$pair-([a-z]+)", commands(job)[-1])
    environments = {
        f"py{python}-django{django}-{database}".replace(".", "") for python, django in pairs for database in databases
    }

    assert {name for name in environments if not name.startswith("py314-")} == tox_environments()
    assert {django for python, django in pairs if python == "3.14"} == set(matrix["django"])
    assert " ".join(pythons(job)[:-1]) == "${{ matrix.python }}"


@pytest.mark.parametrize("name", NAMES)
def test_workflow_gives_no_job_more_rights_than_it_needs(name: str) -> None:
    text = (WORKFLOWS / name).read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    rights = [workflow["permissions"], *(job.get("permissions", {}) for job in workflow["jobs"].values())]

    assert "secrets." not in text
    assert all(given.items() <= {"contents": "read", "id-token": "write"}.items() for given in rights)


def test_only_the_upload_may_ask_for_a_token_of_pypi() -> None:
    allowed = [
        (name, job)
        for name in NAMES
        for job, values in jobs(name).items()
        if "id-token" in values.get("permissions", {})
    ]

    assert allowed == [("release.yml", "publish")]
    assert jobs("release.yml")["publish"]["environment"] == "pypi"
    assert "make release" in " ".join(commands(jobs("release.yml")["build"]))


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem
)
def test_issue_form_is_one_that_github_accepts(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))

    assert form.keys() >= {"name", "description", "body"}
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    assert asked
    assert len({field["id"] for field in asked}) == len(asked)
    assert all(field["attributes"]["label"] for field in asked)


def test_dependabot_watches_packages_and_actions() -> None:
    settings = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))

    assert settings["version"] == 2
    assert [update["package-ecosystem"] for update in settings["updates"]] == ["pip", "github-actions"]


def test_read_the_docs_builds_with_make_docs() -> None:
    settings = yaml.safe_load((ROOT / ".readthedocs.yaml").read_text(encoding="utf-8"))

    assert settings["version"] == 2
    assert settings["build"]["commands"][0] == "make docs"
    assert (ROOT / "docs" / "index.html").exists()
