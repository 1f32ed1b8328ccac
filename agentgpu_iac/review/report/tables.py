"""Tables of the report: cells of text, some of which lead to the sum behind them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agentgpu_iac.plan import LedgerEntry, Plan
from agentgpu_iac.review.blocks import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell."""

    text: str
    href: str = ""
    """Where its sum stands on the page; empty: nowhere."""
    is_linked: bool = False
    is_right: bool = False
    """A figure, aligned to the right."""
    is_row_header: bool = False
    """It says what its row is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table with its caption."""

    caption: str
    columns: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Where the sum of each number of the plan stands on the page."""

    numbers: dict[tuple[str, str], str]

    @classmethod
    def of(cls, plan: Plan) -> Sums:
        """By workload and name; of two of one name in two sections the first."""
        found: dict[tuple[str, str], str] = {}
        for position, entry in enumerate(plan.ledger):
            found.setdefault((entry.workload, entry.name), anchor(position))
        return cls(numbers=found)

    def cell(self, text: str, workload: str, name: str) -> Cell:
        """A cell that leads to the sum of that number, where the plan has one."""
        href = self.numbers.get((workload, name), "")
        return Cell(text=text, href=f"#{href}", is_linked=bool(href))


def anchor(position: int) -> str:
    """What a sum is called on the page: by its place in the ledger, since names are other people's text."""
    return f"sum-{position}"


def grid(
    caption: str, columns: tuple[str, ...], rows: Iterable[tuple[Cell | str, ...]], right: frozenset[int] = frozenset()
) -> Grid:
    """A table; the first column says what a row is about, and ``right`` holds the positions of those with figures."""
    return Grid(
        caption=caption,
        columns=tuple(Cell(text=text, is_right=at in right) for at, text in enumerate(columns)),
        rows=tuple(tuple(_placed(cell, at, right) for at, cell in enumerate(row)) for row in rows),
    )


def of_block(caption: str, table: Table) -> Grid:
    """A table of another view."""
    return grid(caption, table.columns, table.rows, table.right)


def _placed(cell: Cell | str, at: int, right: frozenset[int]) -> Cell:
    text, href, is_linked = (cell, "", False) if isinstance(cell, str) else (cell.text, cell.href, cell.is_linked)
    return Cell(text=text, href=href, is_linked=is_linked, is_right=at in right, is_row_header=at == 0)


def sections(entries: Iterable[tuple[int, LedgerEntry]]) -> dict[str, list[tuple[int, LedgerEntry]]]:
    """Sums by the part of the plan that they belong to, in its order."""
    found: dict[str, list[tuple[int, LedgerEntry]]] = {}
    for position, entry in entries:
        found.setdefault(entry.section, []).append((position, entry))
    return found
