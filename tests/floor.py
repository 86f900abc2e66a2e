"""Print the lowest versions that setup.cfg allows hosts and the tests, as pip constraints."""

import re
import sys
from configparser import ConfigParser
from pathlib import Path

#: Extras that hosts and the tests do without.
TOOLS = {"adapters", "docs", "dev", "prove"}


def read_floor(path: Path) -> dict[str, str]:
    """Return the lowest version of each package, the highest where two extras differ."""
    config = ConfigParser()
    config.read_string(path.read_text(encoding="utf-8"))
    extras = [text for extra, text in config["options.extras_require"].items() if extra not in TOOLS]
    floor: dict[str, str] = {}
    for line in "\n".join([config["options"]["install_requires"], *extras]).split("\n"):
        requirement = line.partition("#")[0].strip()
        if not requirement or requirement.startswith("django-paiementpro["):
            continue
        match = re.fullmatch(r"([A-Za-z0-9-]+)(?:\[[a-z,]+\])?>=([0-9.]+)(?:,<[0-9.]+)?(?:; .+)?", requirement)
        assert match, f"{path.name}: {requirement} does not say from which version on"
        floor[match[1]] = max(floor.get(match[1], ""), match[2], key=_numbers)
    return floor


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall("[0-9]+", version)]


if __name__ == "__main__":
    for name, version in read_floor(Path(__file__).parents[1] / "setup.cfg").items():
        sys.stdout.write(f"{name}=={version}\n")
