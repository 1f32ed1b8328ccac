"""What is shown to a reader, before it is known where: headings, sentences and tables, printed by whoever shows them.

Every view of a plan (table, explanation, difference) is a tuple of blocks; a terminal, a plain pipe and Markdown are
three ways to print the same blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape

from agentgpu_iac.review.commonmark import code, fenced, inline, visible


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
    """Rows under columns; ``right`` holds the positions of the columns whose figures align to the right, ``exact`` of those
    whose values are read letter by letter.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()
    exact: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What is opened by who wants to know more; on a terminal it is simply there, under its summary."""

    summary: str
    blocks: tuple[Block, ...]


Block = Heading | Paragraph | Listing | Commands | Table | Folded


def unfolded(blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks for who has no hand to open them."""
    for block in blocks:
        if isinstance(block, Folded):
            yield Heading(text=block.summary)
            yield from unfolded(block.blocks)
        else:
            yield block


def plain_text(blocks: Iterable[Block]) -> str:
    """Plain text with aligned columns, for pipes and files."""
    return "\n".join(_plain(block) for block in unfolded(blocks)).strip("\n") + "\n"


def markdown(blocks: Iterable[Block]) -> str:
    """Markdown, for pull requests and reports."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _plain(block: Block) -> str:
    match block:
        case Heading():
            text = visible(block.text)
            return f"\n{text}\n{'-' * len(text)}"
        case Paragraph():
            return visible(block.text)
        case Listing():
            return "\n".join(f"- {visible(item)}" for item in block.items)
        case Commands():
            return "\n".join(f"  $ {visible(line)}" for line in block.lines)
        case Table():
            return "\n".join(_aligned(_shown(block)))
        case Folded():
            return plain_text((block,))


def _shown(table: Table) -> Table:
    return replace(
        table,
        columns=tuple(map(visible, table.columns)),
        rows=tuple(tuple(map(visible, row)) for row in table.rows),
    )


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
            return f"## {inline(block.text)}"
        case Paragraph():
            return inline(block.text)
        case Listing():
            return "\n".join(f"- {inline(item)}" for item in block.items)
        case Commands():
            return fenced(block.lines, "sh")
        case Table():
            rule = ["---:" if column in block.right else "---" for column in range(len(block.columns))]
            head = tuple(inline(column, cell=True) for column in block.columns)
            rows = (
                tuple((code if at in block.exact else inline)(cell, cell=True) for at, cell in enumerate(row))
                for row in block.rows
            )
            return "\n".join(f"| {' | '.join(line)} |" for line in (head, tuple(rule), *rows))
        case Folded():
            return f"<details><summary>{escape(block.summary)}</summary>\n\n{markdown(block.blocks)}\n</details>"
