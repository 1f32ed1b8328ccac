"""The one place that prints: nothing that a file, a cluster or a site answered is obeyed by the terminal.

Hidden characters (controls, marks of direction) are spelled out; line breaks and tabs stay. Sentences break between words
where a terminal ends; what another program reads is never broken.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final, TextIO

import typer

from agentgpu_iac.characters import printable
from agentgpu_iac.review.columns import between_words, cut

_HANGING: Final = 2
"""Spaces before what of a sentence goes on in another line."""


def say(text: str, *, nl: bool = True) -> None:
    """Print an answer as it is: data, and names that are copied."""
    typer.echo(printable(text), nl=nl)


def say_sentences(text: str) -> None:
    """Print an answer in sentences."""
    typer.echo(_fitting(printable(text), sys.stdout))


def tell(text: str) -> None:
    """Print to standard error what is no answer: a fault, a note, how far something is."""
    typer.echo(_fitting(printable(text), sys.stderr), err=True)


def _fitting(text: str, stream: TextIO) -> str:
    """Text whose lines break between words where a terminal ends; in a pipe as it is."""
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(part for line in text.split("\n") for part in between_words(line, width, hanging=_HANGING))


def tell_in_place(text: str, *, last: bool) -> None:
    """The same in place of the line before it, on a terminal; the last one stays."""
    shown = cut(printable(text), shutil.get_terminal_size().columns - 1)
    typer.echo(f"\r\x1b[K{shown}", nl=last, err=True)


def say_styled(parts: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Print a line of parts, each in its style; none: as it is."""
    typer.echo("".join(typer.style(printable(text), **style) if style else printable(text) for text, style in parts))
