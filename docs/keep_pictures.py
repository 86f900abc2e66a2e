"""
Keep the screenshots that the pages show, small, in docs/pictures; remove those that no page shows any more.

    python docs/keep_pictures.py docs/_build/screenshots

``make docs-pictures`` calls it. ``front-en`` and ``front-fr`` are composed of three screenshots.
"""

import re
import sys
from pathlib import Path

from PIL import Image, ImageDraw

HERE = Path(__file__).parent
PICTURES = HERE / "pictures"

#: The pictures of the front pages: how large each screenshot is, and where it stands.
CANVAS = (1600, 790)
FRONT = {
    "takings-desk-{}-light": ((1200, 750), (0, 15)),
    "pay-phone-{}": ((336, 690), (880, 90)),
    "paid-phone-{}": ((336, 560), (1250, 140)),
}
EDGE = "#c9ced6"


def shown() -> set[str]:
    """Return the names of the pictures in the pages."""
    texts = (path.read_text(encoding="utf-8") for path in HERE.glob("??/**/*.rst"))
    return {name for text in texts for name in re.findall(r"pictures/([\w-]+)\.webp", text)}


def compose(screenshots: Path, language: str) -> Image.Image:
    canvas = Image.new("RGB", CANVAS, "white")
    for name, ((width, height), place) in FRONT.items():
        shot = Image.open(screenshots / f"{name.format(language)}.png").convert("RGB")
        scaled = shot.resize((width, round(shot.height * width / shot.width)), Image.Resampling.LANCZOS)
        part = Image.new("RGB", (width, height), scaled.getpixel((0, scaled.height - 1)))
        part.paste(scaled.crop((0, 0, width, min(height, scaled.height))))
        mask = Image.new("L", (width, height))
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, width - 1, height - 1), 14, fill=255)
        ImageDraw.Draw(part).rounded_rectangle((0, 0, width - 1, height - 1), 14, outline=EDGE, width=3)
        canvas.paste(part, place, mask)
    return canvas


def keep(image: Image.Image, name: str) -> None:
    image.convert("RGB").quantize(128).convert("RGB").save(PICTURES / f"{name}.webp", lossless=True, method=6)


def main(folder: str) -> None:
    names = shown()
    for path in PICTURES.glob("*.webp"):
        if path.stem not in names:
            path.unlink()
    for name in sorted(names):
        if name.startswith("front-"):
            keep(compose(Path(folder), name[-2:]), name)
        else:
            keep(Image.open(Path(folder, f"{name}.png")), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
