"""Where answers go: JSON and YAML as they are, blocks in colour on a terminal and as plain text in a pipe."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import typer

from agentgpu_iac.review.blocks import Block, Line, Paragraph, Style, laid_out, markdown, plain_text

if TYPE_CHECKING:
    from agentgpu_iac.operations.report import Report


def write_json(value: Any) -> None:
    """Print a value as JSON, one stable layout."""
    typer.echo(json_text(value), nl=False)


def json_text(value: Any) -> str:
    """A value as JSON, one stable layout."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


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
    """Print blocks: within its width and coloured on a terminal, plain in a pipe."""
    if sys.stdout.isatty():
        coloured = has_colours()
        for line in laid_out(blocks, shutil.get_terminal_size().columns):
            typer.echo(_spelt(line, coloured=coloured))
    else:
        typer.echo(plain_text(blocks), nl=False)


def has_colours() -> bool:
    """Whether a terminal may be sent colours: not where NO_COLOR is set (no-color.org), nor where it is a dumb one."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")


_COLOURS: Final[dict[Style, dict[str, Any]]] = {
    "title": {"bold": True},
    "command": {"fg": "cyan"},
    "good": {"fg": "green"},
    "tight": {"fg": "yellow"},
    "over": {"fg": "red", "bold": True},
    "quiet": {"dim": True},
}
"""How a terminal shows what each style means."""


def _spelt(line: Line, *, coloured: bool) -> str:
    """A line with its colours; spaces are never coloured, and none stand at its end."""
    last = max((at for at, span in enumerate(line) if span.text.strip()), default=-1)
    parts = [span.text.rstrip() if at == last else span.text for at, span in enumerate(line[: last + 1])]
    return "".join(
        typer.style(part, **_COLOURS[span.style]) if coloured and span.style and part.strip() else part
        for span, part in zip(line, parts, strict=False)
    )


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

    from rich.console import Console  # noqa: PLC0415 - not needed in a pipe
    from rich.live import Live  # noqa: PLC0415

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)

    def shown(report: Report) -> str:
        blocks = (progress_table(report.workloads), Paragraph(text=rest_line(report)))
        return "\n".join(_spelt(line, coloured=False) for line in laid_out(blocks, console.width))

    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield lambda report: live.update(shown(report), refresh=True)
