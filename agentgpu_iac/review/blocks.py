"""What is shown to a reader, before it is known where: headings, sentences and tables, printed by whoever shows them.

Every view of a plan (table, explanation, difference) is a tuple of blocks; a terminal, a plain pipe and Markdown are
three ways to print the same blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """A title above what follows."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """A sentence or two."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Sentences that stand side by side."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """What to type next."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under columns; ``right`` holds the positions of the columns whose figures align to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()


Block = Heading | Paragraph | Listing | Commands | Table


def plain_text(blocks: Iterable[Block]) -> str:
    """Plain text with aligned columns, for pipes and files."""
    return "\n".join(_plain(block) for block in blocks).strip("\n") + "\n"


def markdown(blocks: Iterable[Block]) -> str:
    """Markdown, for pull requests and reports."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _plain(block: Block) -> str:
    match block:
        case Heading():
            return f"\n{block.text}\n{'-' * len(block.text)}"
        case Paragraph():
            return block.text
        case Listing():
            return "\n".join(f"- {item}" for item in block.items)
        case Commands():
            return "\n".join(f"  $ {line}" for line in block.lines)
        case Table():
            return "\n".join(_aligned(block))


def _aligned(table: Table) -> Iterable[str]:
    widths = [
        max(len(table.columns[column]), *(len(row[column]) for row in table.rows), 0)
        for column in range(len(table.columns))
    ]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if column in table.right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(padded).rstrip()

    yield line(table.columns)
    yield "  ".join("-" * width for width in widths)
    for row in table.rows:
        yield line(row)


def _markdown(block: Block) -> str:
    match block:
        case Heading():
            return f"## {_escaped(block.text)}"
        case Paragraph():
            return _escaped(block.text)
        case Listing():
            return "\n".join(f"- {_escaped(item)}" for item in block.items)
        case Commands():
            return "\n".join(("```sh", *block.lines, "```"))
        case Table():
            rule = ["---:" if column in block.right else "---" for column in range(len(block.columns))]
            lines = [block.columns, tuple(rule), *block.rows]
            return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;")


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|")
