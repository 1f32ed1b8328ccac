"""Where answers go: JSON and YAML as they are, blocks in colour on a terminal and as plain text in a pipe."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from agentgpu_iac.characters import escaped_json
from agentgpu_iac.cli.saying import say, say_styled, tell
from agentgpu_iac.review.blocks import Block, Line, Paragraph, Style, laid_out, markdown, plain_text

if TYPE_CHECKING:
    from agentgpu_iac.operations.report import Report


def write_json(value: Any) -> None:
    """Print a value as JSON, one stable layout."""
    say(json_text(value), nl=False)


def json_text(value: Any) -> str:
    """A value as JSON, one stable layout; hidden characters as escapes."""
    return escaped_json(json.dumps(value, indent=2, ensure_ascii=False)) + "\n"


def write_json_line(value: Any) -> None:
    """Print a value as one line of JSON."""
    say(escaped_json(json.dumps(value, ensure_ascii=False)))


def yaml_text(value: Any) -> str:
    """A value as YAML. What we read back is what was written.

    PyYAML quotes what YAML 1.1 takes for no text; we read numbers of YAML 1.2 too, such as a digest that spells 12e5.
    """
    import yaml  # noqa: PLC0415 - only this format needs it

    from agentgpu_iac.rendering.yaml_text import Dumper  # noqa: PLC0415
    from agentgpu_iac.spec.scalars import read_plain  # noqa: PLC0415

    styles: dict[str, str | None] = {}

    class Answer(Dumper):
        """Quotes every text that would be read as something else; each text is looked at once, since most come many times.

        Data as it is in JSON holds nothing twice, so that nothing is looked for that an alias could stand for.
        """

        def represent(self, data: Any) -> None:
            self.serialize(self.node(data))

        def node(self, data: Any) -> yaml.Node:
            if isinstance(data, str):
                if data not in styles:
                    styles[data] = None if read_plain(data) == data else "'"
                return yaml.ScalarNode("tag:yaml.org,2002:str", data, style=styles[data])
            if isinstance(data, dict):
                pairs = [(self.node(key), self.node(value)) for key, value in data.items()]
                return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=False)
            if isinstance(data, list | tuple):
                return yaml.SequenceNode("tag:yaml.org,2002:seq", [self.node(each) for each in data], flow_style=False)
            other: yaml.Node = self.represent_data(data)
            return other

    text: str = yaml.dump(value, Dumper=Answer, sort_keys=False, allow_unicode=True, width=120)
    return text


def write_blocks(blocks: Iterable[Block]) -> None:
    """Print blocks: within its width and coloured on a terminal, plain in a pipe."""
    if sys.stdout.isatty():
        coloured = has_colours()
        for line in laid_out(blocks, shutil.get_terminal_size().columns):
            say_styled(_parts(line, coloured=coloured))
    else:
        say(plain_text(blocks), nl=False)


def has_colours() -> bool:
    """Whether a terminal may be sent colours: not where NO_COLOR is set (no-color.org), nor where it is a dumb one."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")


COLOURS: Final[dict[Style, dict[str, Any]]] = {
    "title": {"bold": True},
    "command": {"fg": "cyan"},
    "good": {"fg": "green"},
    "tight": {"fg": "yellow"},
    "over": {"fg": "red", "bold": True},
    "first": {"bold": True},
    "quiet": {"dim": True},
}
"""How a terminal shows what each style means."""


def _parts(line: Line, *, coloured: bool) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A line in parts, each with its colours; spaces are never coloured, and none stand at its end."""
    last = max((at for at, span in enumerate(line) if span.text.strip()), default=-1)
    parts = [span.text.rstrip() if at == last else span.text for at, span in enumerate(line[: last + 1])]
    for span, part in zip(line, parts, strict=False):
        yield part, COLOURS[span.style] if coloured and span.style and part.strip() else {}


def write_markdown(blocks: Iterable[Block]) -> None:
    """Print blocks as Markdown."""
    say(markdown(blocks), nl=False)


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

        def moved(report: Report) -> None:
            for each in report.workloads:
                news = (each.stage, each.ready, each.wanted, each.waiting_for)
                if told.get(each.name) != news:
                    told[each.name] = news
                    tell(progress_line(each))
            rest = rest_line(report)
            if rest and told.get("") != (rest,):
                tell(rest)
            told[""] = (rest,)

        yield moved
        return

    from rich.console import Console  # noqa: PLC0415 - not needed in a pipe
    from rich.live import Live  # noqa: PLC0415

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)

    def shown(report: Report) -> str:
        blocks = (progress_table(report.workloads), Paragraph(text=rest_line(report)))
        lines = laid_out(blocks, console.width)
        return "\n".join("".join(part for part, _ in _parts(line, coloured=False)) for line in lines)

    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield lambda report: live.update(shown(report), refresh=True)
