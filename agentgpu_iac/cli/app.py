"""The application and what its commands share: kinds of answers, arguments, and how a file that cannot be written is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from agentgpu_iac import __version__
from agentgpu_iac.cli.saying import say
from agentgpu_iac.errors import EXIT_GOOD, BadInput


class _Commands(TyperGroup):
    """A reader who closes the pipe has seen enough: exit code 0, where Typer's own 1 would mean that the answer is no."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            drop_output()
            raise typer.Exit(EXIT_GOOD) from None


PROGRAM = "agentgpu"
"""What usage texts and shell completion call the command."""

app = typer.Typer(
    name=PROGRAM,
    cls=_Commands,
    help="GPU infrastructure for AI agents: one agent stack in; a sized, priced plan, manifests and Pulumi out.",
    no_args_is_help=True,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class PlanFormat(StrEnum):
    """How what is about plans is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    MARKDOWN = "markdown"


class PageFormat(StrEnum):
    """How a plan is printed, or made a page of."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    MARKDOWN = "markdown"
    HTML = "html"


class Format(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    JSON = "json"


class SimulationFormat(StrEnum):
    """How a simulation is printed, or made a page of."""

    TABLE = "table"
    JSON = "json"
    HTML = "html"


DEFAULT_SPEC = Path("agentstack.yaml")
"""The agent stack where none is named: what ``init`` writes."""
SpecArgument = Annotated[Path, typer.Argument(help="Agent stack (YAML); - is standard input.", metavar="SPEC")]
SourceArgument = Annotated[
    Path,
    typer.Argument(help="Agent stack (YAML), or a plan saved as JSON or YAML; - is standard input.", metavar="SPEC"),
]
OverlayOption = Annotated[
    Path | None, typer.Option("--catalog", help="Your own catalog rows on top of ours (prices, models, accelerators).")
]
TodayOption = Annotated[
    datetime | None,
    typer.Option(
        "--today",
        formats=["%Y-%m-%d"],
        help="Day that ages of prices count to; left out, the newest that the catalog names, so that plans stay the same.",
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print the answer.")]


def somebody_answers() -> bool:
    """Whether a question finds somebody who answers it: standard input is a terminal."""
    return sys.stdin.isatty()


def drop_output() -> None:
    """Let what is still buffered go nowhere, so that Python does not fail once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version(*, wanted: bool) -> None:
    if wanted:
        say(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=lambda value: _version(wanted=value), is_eager=True
        ),
    ] = False,
) -> None:
    pass


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A path that cannot be written is a bad option."""
    try:
        yield
    except OSError as error:
        raise BadInput.one(str(error.filename or path), f"cannot be written: {error.strerror}") from None
