"""``shoot.py CHROMIUM ROOT PAGE SCHEME PICTURE``: the first screen of a page as a small PNG; run by ``browser-python``."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.browser.chromium import launched

_WIDTH, _HEIGHT = 1100, 1410
_COLOURS = 96
"""Of a page with flat colours no eye misses the others, and the file is a third."""


def shoot(chromium: str, root: str, page: Path, scheme: str, picture: Path) -> None:
    """Open it, take it, make it small."""
    with sync_playwright() as playwright:
        browser = launched(playwright, chromium, root)
        view = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}, color_scheme=scheme)  # type: ignore[arg-type]
        view.goto(page.as_uri())
        view.screenshot(path=picture)
        browser.close()
    Image.open(picture).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)


if __name__ == "__main__":
    shoot(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4], Path(sys.argv[5]))
