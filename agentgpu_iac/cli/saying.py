"""The one place that prints: nothing that a file, a cluster or a site answered is obeyed by the terminal.

Hidden characters (controls, marks of direction) are spelled out; line breaks and tabs stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import typer

from agentgpu_iac.characters import printable


def say(text: str, *, nl: bool = True) -> None:
    """Print an answer."""
    typer.echo(printable(text), nl=nl)


def tell(text: str) -> None:
    """Print to standard error what is no answer: a fault, a note, how far something is."""
    typer.echo(printable(text), err=True)


def tell_in_place(text: str, *, last: bool) -> None:
    """The same in place of the line before it, on a terminal; the last one stays."""
    typer.echo(f"\r\x1b[K{printable(text)}", nl=last, err=True)


def say_styled(parts: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Print a line of parts, each in its style; none: as it is."""
    typer.echo("".join(typer.style(printable(text), **style) if style else printable(text) for text, style in parts))
