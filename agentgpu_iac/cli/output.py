"""Where answers go: JSON and YAML as they are, blocks as Rich tables on a terminal and as plain text in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from agentgpu_iac.review.blocks import (
    Block,
    Commands,
    Heading,
    Listing,
    Paragraph,
    Table,
    markdown,
    plain_text,
    unfolded,
)

if TYPE_CHECKING:
    from agentgpu_iac.operations.report import Report


def write_json(value: Any) -> None:
    """Print a value as JSON, one stable layout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def write_json_line(value: Any) -> None:
    """Print a value as one line of JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def yaml_text(value: Any) -> str:
    """A value as YAML, through the C dumper where there is one."""
    import yaml  # noqa: PLC0415 - only this format needs it

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def write_blocks(blocks: Iterable[Block]) -> None:
    """Print blocks: coloured on a terminal, plain in a pipe."""
    if sys.stdout.isatty():
        _write_rich(blocks)
    else:
        typer.echo(plain_text(blocks), nl=False)


def write_markdown(blocks: Iterable[Block]) -> None:
    """Print blocks as Markdown."""
    typer.echo(markdown(blocks), nl=False)


@contextmanager
def progress() -> Iterator[Callable[[Report], None]]:
    """Where a report goes while it is waited for: a live table on a terminal, else a line for each workload that moved.

    It goes to standard error, so that standard output holds the answer alone.
    """
    from agentgpu_iac.operations.status_view import (  # noqa: PLC0415 - only to wait
        progress_line,
        progress_table,
        rest_line,
    )

    if not sys.stderr.isatty():
        told: dict[str, tuple[object, ...]] = {}

        def tell(report: Report) -> None:
            for each in report.workloads:
                news = (each.stage, each.ready, each.wanted, each.waiting_for)
                if told.get(each.name) != news:
                    told[each.name] = news
                    typer.echo(progress_line(each), err=True)
            rest = rest_line(report)
            if rest and told.get("") != (rest,):
                typer.echo(rest, err=True)
            told[""] = (rest,)

        yield tell
        return

    from rich.console import Console, Group  # noqa: PLC0415 - not needed in a pipe
    from rich.live import Live  # noqa: PLC0415

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield lambda report: live.update(
            Group(_grid(progress_table(report.workloads), console.width), rest_line(report)), refresh=True
        )


def _write_rich(blocks: Iterable[Block]) -> None:
    from rich.console import Console  # noqa: PLC0415 - not needed in a pipe
    from rich.table import Table as Grid  # noqa: PLC0415

    console = Console(highlight=False, markup=False, emoji=False)
    for block in unfolded(blocks):
        match block:
            case Heading():
                console.print()
                console.print(block.text, style="bold")
            case Paragraph():
                console.print(block.text)
            case Listing():
                items = Grid.grid(padding=(0, 1))
                for item in block.items:
                    items.add_row(" •", item)
                console.print(items)
            case Commands():
                for line in block.lines:
                    console.print(f"  $ {line}", style="cyan", soft_wrap=True)
            case Table():
                console.print(_grid(block, console.width))


def _grid(table: Table, room: int) -> Any:
    """Columns beside each other where no word of theirs must be broken, else one record below the other."""
    from rich.table import Table as Grid  # noqa: PLC0415 - not needed in a pipe

    widths = _widths(table, room - len(_GAP) * (len(table.columns) - 1))
    if widths is None:
        records = Grid.grid("name", "value", padding=(0, len(_GAP)))
        records.columns[0].style = "dim"
        for number, row in enumerate(table.rows):
            if number:
                records.add_row()
            for column, cell in zip(table.columns, row, strict=True):
                records.add_row(column, cell)
        return records
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    for position, (column, width) in enumerate(zip(table.columns, widths, strict=True)):
        grid.add_column(column, justify="right" if position in table.right else "left", width=width)
    for row in table.rows:
        grid.add_row(*row)
    return grid


_GAP = "  "


def _widths(table: Table, room: int) -> list[int] | None:
    """A width for each column, the widest giving way first; None where not even the single words fit."""
    columns = list(zip(table.columns, *table.rows, strict=True))
    widths = [max(map(len, cells)) for cells in columns]
    least = [max(len(word) for cell in cells for word in (cell.split() or [""])) for cells in columns]
    if sum(least) > room:
        return None
    while sum(widths) > room:
        widest = max((at for at in range(len(widths)) if widths[at] > least[at]), key=widths.__getitem__)
        widths[widest] -= 1
    return widths
