"""The blocks of code on the pages, in the order in which a reader meets them, and what stands before each.

A comment right before a block says what it is::

    <!-- file: NAME -->                    the page's folder holds it from here on; ``, faulty``: it is meant to be refused
    <!-- output: COMMAND -->               all that the command prints; ``; exit N`` where its exit code is not 0
    <!-- output, first N lines: COMMAND -->                its first lines
    <!-- output, first N lines at W columns: COMMAND -->   its first lines on a terminal
    <!-- lines of: COMMAND -->             lines that are among what the command prints
    <!-- not run: REASON -->               nothing here can run it
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md")))
WRITTEN = {
    "docs/accuracy.md": "make accuracy",
    "docs/market.md": "make bench",
    "docs/spec-fields.md": "make schema",
    "docs/plan.md": "make schema",
    "docs/cli.md": "make schema",
    "docs/codes.md": "make schema",
    "docs/python-api.md": "make schema",
}
"""Pages that a command writes from the models or from measured rows; each has a test that it is current, or is one."""

_COMMENT = re.compile(r"<!-- (?P<kind>file|output(?:, [^:]*)?|lines of|not run): (?P<words>.*?) -->\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of code on a page."""

    page: str
    line: int
    """Of the page, from 1."""
    language: str
    text: str
    kind: str
    """What the comment before it says it is: file, output, ..., or nothing."""
    words: str
    """The rest of that comment."""

    @property
    def name(self) -> str:
        """How a failing test names it."""
        return f"{self.page}:{self.line}"


def page_name(path: Path) -> str:
    """A page as a reader of the repository names it."""
    return path.relative_to(ROOT).as_posix()


def blocks_of(path: Path) -> tuple[Block, ...]:
    """The blocks of one page; an indented one has no language."""
    found = []
    before = ""
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8")):
        if token.type in {"fence", "code_block"} and token.map:
            comment = _COMMENT.search(before)
            kind, words = (comment["kind"], comment["words"]) if comment else ("", "")
            found.append(
                Block(
                    page=page_name(path),
                    line=token.map[0] + 1,
                    language=token.info.strip(),
                    text=token.content,
                    kind=kind,
                    words=" ".join(words.split()),
                )
            )
        before = token.content if token.type == "html_block" else ""
    return tuple(found)


BLOCKS = tuple(block for path in PAGES if path.exists() for block in blocks_of(path))


def anchors(page: Path) -> set[str]:
    """What headings of a page can be linked to, as the site and code hosts make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in titles)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.strip().lower())) for title in plain}
