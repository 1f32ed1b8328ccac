#!/usr/bin/env python3
"""Builds the site of ``docs`` into ``build/site``, and holds that no page of it asks anybody outside for anything.

MkDocs is strict: a link or a heading that is not there, or a page outside the navigation, is a failure.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "site"
FETCHED = {"src", "srcset", "poster", "data"}
"""Attributes whose address a browser fetches by itself."""
_CSS_ADDRESS = re.compile(r"(?:url\(|@import)\s*[\"']?\s*(?:https?:)?//", re.IGNORECASE)


class _Fetches(HTMLParser):
    """Collects what a browser would fetch from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        names = FETCHED | (
            {"href"} if tag == "link" and values.get("rel") not in {"canonical", "prev", "next"} else set()
        )
        self.found += [
            value for name in names if (value := values.get(name) or "").startswith(("http:", "https:", "//"))
        ]


def main() -> int:
    """Build, check; 1 where a page would fetch anything."""
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean"]  # not quietly: warnings would not count
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if done.returncode:
        return done.returncode
    pages = sorted(SITE.rglob("*.html"))
    faults = [f"{page.relative_to(SITE)}: fetches {address}" for page in pages for address in _fetched(page)]
    faults += [
        f"{sheet.relative_to(SITE)}: fetches from elsewhere"
        for sheet in sorted(SITE.rglob("*.css"))
        if _CSS_ADDRESS.search(sheet.read_text(encoding="utf-8"))
    ]
    print(
        "\n".join(faults)
        or f"build/site: {len(pages)} pages, every link leads somewhere, nothing is fetched from elsewhere"
    )
    return bool(faults)


def _fetched(page: Path) -> list[str]:
    reader = _Fetches()
    reader.feed(page.read_text(encoding="utf-8"))
    return reader.found


if __name__ == "__main__":
    raise SystemExit(main())
