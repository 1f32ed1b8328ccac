"""Where answers go: JSON and YAML as they are, blocks as Rich tables on a terminal and as plain text in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

import typer

from agentgpu_iac.review.blocks import Block, Commands, Heading, Listing, Paragraph, Table, markdown, plain_text


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


def _write_rich(blocks: Iterable[Block]) -> None:
    from rich.console import Console  # noqa: PLC0415 - not needed in a pipe
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table as RichTable  # noqa: PLC0415

    console = Console()
    for block in blocks:
        match block:
            case Heading():
                console.print(f"\n[bold]{escape(block.text)}[/bold]")
            case Paragraph():
                console.print(escape(block.text))
            case Listing():
                for item in block.items:
                    console.print(f" • {escape(item)}")
            case Commands():
                for line in block.lines:
                    console.print(f"  [cyan]$ {escape(line)}[/cyan]")
            case Table():
                table = RichTable(box=None, pad_edge=False, header_style="dim")
                for position, column in enumerate(block.columns):
                    table.add_column(column, justify="right" if position in block.right else "left", overflow="fold")
                for row in block.rows:
                    table.add_row(*(escape(cell) for cell in row))
                console.print(table)
