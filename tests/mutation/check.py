"""
Tell what became of the mutants, and fail where one survives that ``survivors.toml`` does not explain, or was not run.

    python -m tests.mutation.check [--new]

``--new`` prints those that are not explained, in the format of that file, to be explained there or killed by a test.
"""

import sys
from collections import Counter, defaultdict
from pathlib import Path

import tomllib
from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

EXPLAINED = Path(__file__).with_name("survivors.toml")

# A mutant that nothing runs survives too.
ALIVE = {"survived", "no tests", "suspicious", "segfault"}

Mutant = tuple[str, str, str]


def mutant_of(name: str, path: Path) -> Mutant:
    """Return where it is, what stood there, and what stands there now: that outlives a change of other lines."""
    function = name.rpartition("__mutmut_")[0].replace("xǁ", "").replace("x_", "", 1).replace("ǁ", ".")
    lines = get_diff_for_mutant(name, path=path).splitlines()
    removed, added = (
        " ".join(" ".join(line[1:].split()) for line in lines if line[:1] == sign and line[:3] != sign * 3)
        for sign in "-+"
    )
    return function.removeprefix("django_paiementpro."), removed, added


def main() -> int:
    explained = {
        (entry["in"], entry["was"], entry["is"]): False
        for entry in tomllib.loads(EXPLAINED.read_text(encoding="utf-8")).get("survivor", [])
    }
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    unexplained: list[Mutant] = []
    for path in sorted(path for path in Path("django_paiementpro").rglob("*.py") if config().should_mutate(path)):
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            status = status_by_exit_code[code]
            if status in ALIVE:
                mutant = mutant_of(name, path)
                if mutant in explained:
                    explained[mutant], status = True, "explained"
                else:
                    unexplained.append(mutant)
                    status = "survived"
            totals[str(path.relative_to("django_paiementpro"))][status] += 1
    print(
        f"{'':28}{'mutants':>8}{'killed':>8}{'by mypy':>8}{'timeout':>8}{'explained':>10}{'survived':>9}{'not run':>8}"
    )
    for module, numbers in [*totals.items(), ("together", sum(totals.values(), Counter()))]:
        row = [numbers[key] for key in ("killed", "caught by type check", "timeout")]
        print(f"{module:28}{numbers.total():8}", *(f"{number:7}" for number in row), end="")
        print(f"{numbers['explained']:10}{numbers['survived']:9}{numbers['not checked']:8}")
    is_whole = not any(numbers["not checked"] for numbers in totals.values())
    stale = [mutant for mutant, is_met in explained.items() if not is_met and is_whole]
    if not is_whole:
        print("\nNot all of them were run.")
    for where, was, becomes in unexplained:
        if "--new" in sys.argv:
            print(f"\n[[survivor]]\nin = {toml(where)}\nwas = {toml(was)}\nis = {toml(becomes)}\nwhy = ''")
        else:
            print(f"\nNot caught by any test, and not explained, in {where}:\n  - {was}\n  + {becomes}")
    for where, was, becomes in stale:
        print(f"\nNo longer survives, and can be removed from {EXPLAINED.name}, in {where}:\n  - {was}\n  + {becomes}")
    return int(bool(unexplained or stale) or not is_whole)


def toml(text: str) -> str:
    return f"'''{text}'''" if "'" in text else f"'{text}'"


if __name__ == "__main__":
    sys.exit(main())
