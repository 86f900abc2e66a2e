"""
Draw the badges of README.rst, from what the repository says about itself.

    python docs/badges.py

They are kept in docs/badges, so that they show without a network. A test fails if one of them is no longer true.
"""

import re
from configparser import ConfigParser
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
BADGES = HERE / "badges"

#: How wide a character is, at most, in Verdana and DejaVu Sans at 11 pixels.
WIDTH, NARROW = 7.0, 4.0

SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{name}: {value}">
<title>{name}: {value}</title>
<clipPath id="edge"><rect width="{width}" height="20" rx="3"/></clipPath>
<g clip-path="url(#edge)">
<rect width="{middle}" height="20" fill="#444"/>
<rect x="{middle}" width="{rest}" height="20" fill="#0b5c4b"/>
</g>
<g fill="#fff" font-family="Verdana, DejaVu Sans, sans-serif" font-size="11" text-anchor="middle">
<text x="{name_center}" y="14">{name}</text>
<text x="{value_center}" y="14">{value}</text>
</g>
</svg>
"""


def texts() -> dict[str, tuple[str, str]]:
    """Return what each badge says, by its file's name."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    metadata = parser["metadata"]
    classifiers = metadata["classifiers"]
    pythons = re.findall(r"^Programming Language :: Python :: (\d+\.\d+)$", classifiers, re.MULTILINE)
    djangos = re.findall(r"^Framework :: Django :: (\d+\.\d+)$", classifiers, re.MULTILINE)
    languages = sorted(path.parent.name for path in HERE.glob("??/index.rst"))
    return {
        "ci": ("CI", "make check"),
        "python": ("Python", f"{pythons[0]} – {pythons[-1]}"),
        "django": ("Django", f"{djangos[0]} – {djangos[-1]}"),
        "licence": ("licence", metadata["license_expression"]),
        "docs": ("docs", ", ".join(languages)),
    }


def draw(name: str, value: str) -> str:
    middle, rest = length(name) + 12, length(value) + 12
    return SVG.format(
        name=name,
        value=value,
        width=middle + rest,
        middle=middle,
        rest=rest,
        name_center=middle / 2,
        value_center=middle + rest / 2,
    )


def length(text: str) -> int:
    return round(sum(NARROW if character in "il.,: " else WIDTH for character in text))


def main() -> None:
    BADGES.mkdir(exist_ok=True)
    for file, (name, value) in texts().items():
        (BADGES / f"{file}.svg").write_text(draw(name, value), encoding="utf-8")


if __name__ == "__main__":
    main()
