"""``shoot.py CHROMIUM ROOT PAGE SCHEME PICTURE``: the first screen of a page as a small PNG; run by ``browser-python``."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.browser.chromium import launched

_WIDTH, _HEIGHT = 1100, 1410
_COLOURS = 256
"""Of a page with flat colours no eye misses the others, and the file is a half."""


def shoot(chromium: str, root: str, page: Path, scheme: str, picture: Path) -> None:
    """Open it, take it, make it small."""
    with sync_playwright() as playwright:
        browser = launched(playwright, chromium, root)
        view = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}, color_scheme=scheme)  # type: ignore[arg-type]
        view.goto(page.as_uri())
        view.screenshot(path=picture)
        browser.close()
    whole = Image.open(picture).convert("RGB")
    # Median cut would spend its colours on large areas, and small swatches of a key would become those of their neighbours.
    small = whole.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    kept = _colours(small.convert("RGB"))
    lost = [each for each in _colours(whole, _SWATCH) if min(_apart(each, one) for one in kept) > _SEEN]
    if lost:
        raise SystemExit(f"{picture}: {_COLOURS} colours leave out {lost}")
    small.save(picture, optimize=True)


_SWATCH = 60
"""Pixels of a colour that a reader looks for in a key, at least."""
_SEEN = 12
"""Steps of red, green and blue together that no eye sees."""


def _colours(picture: Image.Image, least: int = 1) -> list[tuple[int, int, int]]:
    return [colour for count, colour in picture.getcolors(_WIDTH * _HEIGHT) or [] if count >= least]  # type: ignore[misc]


def _apart(one: tuple[int, int, int], other: tuple[int, int, int]) -> int:
    return sum(abs(mine - its) for mine, its in zip(one, other, strict=True))


if __name__ == "__main__":
    shoot(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4], Path(sys.argv[5]))
