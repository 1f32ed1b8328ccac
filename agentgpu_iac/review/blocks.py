"""What is shown to a reader, before it is known where: headings, sentences and tables, printed by whoever shows them.

Every view of a plan (table, explanation, difference) is a tuple of blocks; a terminal, a plain pipe and Markdown are
three ways to print the same blocks. A tone says what something means; only a terminal has colours for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Literal

from agentgpu_iac.characters import visible
from agentgpu_iac.review.columns import GAP, cut, fitted, padded, width_of, wrapped
from agentgpu_iac.review.commonmark import code, fenced, inline

Tone = Literal["", "good", "tight", "over", "first", "quiet"]
"""What a figure or a sentence means: within its budget by far; over 90 % of it; over it, or a promise that is not kept; to be
read before the others; beside the point. A colour says only how something stands against a budget: what comes first has
none, so that red is never a matter of opinion."""
TIGHT_RATIO: Final = 0.9
"""Share of a budget above which what is left of it is little: the stated error of a latency alone may be 10 % or more."""


def tone_of(ratio: float) -> Tone:
    """The tone of a figure that takes this share of its budget."""
    return "over" if ratio > 1 else "tight" if ratio > TIGHT_RATIO else ""


MARKS: Final[dict[Tone, str]] = {"tight": "!", "over": "!!"}
"""What stands behind a figure for readers without colours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """A title above what follows."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """A sentence or two."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Sentences that stand side by side."""

    items: tuple[str, ...]
    tones: tuple[Tone, ...] = ()
    """One for each item; none: none has any."""
    one_line: bool = False
    """An item that is longer than a line of the terminal ends in …, since its whole is told elsewhere."""


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
    whole: frozenset[int] = frozenset()
    """Columns whose cells stay in one line."""
    cuttable: frozenset[int] = frozenset()
    """Columns whose cells end in … where there is little room."""
    drop: tuple[int, ...] = ()
    """Columns that go where there is little room, in this order."""
    tones: tuple[tuple[int, int, Tone], ...] = ()
    """Row, column and tone of the cells that have one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Lines that are a picture together, narrow enough for every terminal."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What is opened by who wants to know more; on a terminal it is simply there, under its summary."""

    summary: str
    blocks: tuple[Block, ...]


Block = Heading | Paragraph | Listing | Commands | Table | Drawing | Folded


def unfolded(blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks for who has no hand to open them."""
    for block in blocks:
        if isinstance(block, Folded):
            yield Heading(text=block.summary)
            yield from unfolded(block.blocks)
        else:
            yield block


Style = Tone | Literal["title", "command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of a line, in one style."""

    text: str
    style: Style = ""


Line = tuple[Span, ...]


def plain_text(blocks: Iterable[Block], width: int | None = None) -> str:
    """Plain text with aligned columns, for pipes and files: as wide as it likes, or within a width."""
    lines = ("".join(span.text for span in line).rstrip() for line in laid_out(blocks, width, rules=True))
    return "\n".join(lines).strip("\n") + "\n"


def laid_out(blocks: Iterable[Block], width: int | None, *, rules: bool = False) -> Iterator[Line]:
    """The lines of blocks on a screen of a width. ``rules``: lines of hyphens stand where a terminal has bold and dim."""
    for number, block in enumerate(unfolded(blocks)):
        match block:
            case Heading():
                if number:
                    yield ()
                yield from ((Span(text=line, style="title"),) for line in wrapped(visible(block.text), width))
                if rules:
                    yield (Span(text="-" * min(width_of(block.text), width or width_of(block.text))),)
            case Paragraph():
                yield from ((Span(text=line, style=block.tone),) for line in wrapped(visible(block.text), width))
            case Listing():
                yield from _items(block, width, "- " if rules else " • ")
            case Commands():
                yield from ((Span(text=f"  $ {visible(line)}", style="command"),) for line in block.lines)
            case Table():
                yield from _table(block, width, rules=rules)
            case Drawing():
                yield from ((Span(text=visible(line)),) for line in block.lines)


def _items(block: Listing, width: int | None, bullet: str) -> Iterator[Line]:
    room = None if width is None else width - len(bullet)
    for at, item in enumerate(block.items):
        tone: Tone = block.tones[at] if block.tones else ""
        text = visible(item)
        lines = [cut(text, room)] if block.one_line and room is not None else wrapped(text, room)
        for number, line in enumerate(lines):
            yield (Span(text=bullet if number == 0 else " " * len(bullet)), Span(text=line, style=tone))


def _table(table: Table, width: int | None, *, rules: bool) -> Iterator[Line]:
    columns, rows = tuple(map(visible, table.columns)), [tuple(map(visible, row)) for row in table.rows]
    fit = fitted(columns, rows, width, whole=table.whole, cuttable=table.cuttable, drop=table.drop)
    tones = {(row, column): tone for row, column, tone in table.tones}

    def lines(cells: Sequence[str], styles: Sequence[Style]) -> Iterator[Line]:
        parts = [
            [cut(cells[at], room)] if at in table.cuttable else wrapped(cells[at], room)
            for at, room in zip(fit.shown, fit.widths, strict=True)
        ]
        for number in range(max(map(len, parts))):
            spans: list[Span] = []
            for at, room, part in zip(fit.shown, fit.widths, parts, strict=True):
                text = padded(part[number] if number < len(part) else "", room, right=at in table.right)
                spans += [Span(text=GAP)] if spans else []
                spans.append(Span(text=text, style=styles[at]))
            yield tuple(spans)

    if any(columns):
        yield from lines(columns, ["quiet"] * len(columns))
        if rules:
            yield (Span(text=GAP.join("-" * each for each in fit.widths)),)
    for row, cells in enumerate(rows):
        yield from lines(cells, [tones.get((row, column), "") for column in range(len(cells))])


def markdown(blocks: Iterable[Block]) -> str:
    """Markdown, for pull requests and reports."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading():
            return f"## {inline(block.text)}"
        case Paragraph():
            return inline(block.text)
        case Listing():
            return "\n".join(f"- {inline(item)}" for item in block.items)
        case Commands() | Drawing():
            return fenced(block.lines, "sh" if isinstance(block, Commands) else "text")
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
