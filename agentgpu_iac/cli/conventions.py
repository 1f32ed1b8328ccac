"""What holds for every command, and is therefore decided once: ``--json``, formats by suffix, words for values, examples.

``tests/cli/test_conventions.py`` walks all commands and holds each of these as a law.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from copy import copy
from datetime import datetime
from enum import EnumType
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from agentgpu_iac.cli.app import DEFAULT_SPEC, PROGRAM
from agentgpu_iac.cli.examples import EXAMPLES
from agentgpu_iac.errors import BadInput
from agentgpu_iac.spec.pages import page

_WORDS: Final[dict[Any, str]] = {Path: "FILE", int: "N", float: "N", datetime: "DATE"}
"""What stands for a value in a usage text, by its kind; of a text it is the last word of its option."""
_SUFFIXES: Final = {
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
}
"""Formats that the name of an output file tells."""

_AsJson = Annotated[bool, typer.Option("--json", help="The same as --format json.")]


def register(group: typer.Typer, function: Callable[..., None], *path: str) -> None:
    """Make a function a command of a group, under the conventions. ``path``: its words; left out, the function's name."""
    words = path or (function.__name__,)
    name = " ".join(words)
    group.command(words[-1], epilog=_ending(name))(_with_conventions(function))


def _ending(name: str) -> str:
    """Examples and where to read on, as the end of a help text; the first mark keeps its lines apart."""
    lines = "\n".join(f"  {PROGRAM} {name} {example}".rstrip() for example in EXAMPLES.get(name, ()))
    more = f"More: {page('cli', heading_of(name))}"
    return f"\b\nExamples:\n{lines}\n\n{more}" if lines else more


def heading_of(name: str) -> str:
    """The heading of a command on the page of the command line."""
    return "-".join((PROGRAM, *name.split()))


def _with_conventions(function: Callable[..., None]) -> Callable[..., None]:
    """The function with ``--json`` where it has a format, the format by the suffix of its file, and its SPEC by default."""
    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    given = [each.replace(annotation=_with_word(each.name, hints[each.name])) for each in signature.parameters.values()]
    own = next((each.name for each in given if hints[each.name] is typer.Context), None)
    context_name = own or "command_context"
    formats = _members(hints.get("format"))
    extra = [] if own else [inspect.Parameter(context_name, inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    if "json" in formats:
        json = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_AsJson)
        extra.append(json)

    @functools.wraps(function)
    def command(**values: Any) -> None:
        context: typer.Context = values[context_name] if own else values.pop(context_name)
        _there(context, values)
        if "format" in values:
            values["format"] = _format(context, values, formats)
        values.pop("as_json", None)
        function(**values)

    vars(command).pop("__wrapped__")
    command.__signature__ = signature.replace(parameters=[*given, *extra])  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in (*given, *extra)}
    return command


def _with_word(name: str, hint: Any) -> Any:
    """An annotation whose option or argument says what stands for its value; flags and closed sets need no word."""
    kind, *notes = get_args(hint) or (hint,)
    if len(notes) != 1 or not isinstance(notes[0], OptionInfo | ArgumentInfo) or notes[0].metavar:
        return hint
    inner = [each for each in get_args(kind) if each is not type(None)] or [kind]
    own = inner[0] is str or isinstance(notes[0], ArgumentInfo)
    word = name.rpartition("_")[2].upper() if own else _WORDS.get(inner[0])
    if word is None:
        return hint
    said = copy(notes[0])
    said.metavar = word
    return Annotated[kind, said]


def _members(hint: Any) -> dict[str, Any]:
    """Formats of a command by their words."""
    kind: Any = getattr(hint, "__origin__", hint)  # of an annotated type
    found: list[Any] = list(kind) if isinstance(kind, EnumType) else []
    return {str(each.value): each for each in found}


def _format(context: typer.Context, values: dict[str, Any], formats: dict[str, Any]) -> Any:
    """``--json``, else ``--format``, else what the suffix of the file that is written says, else the command's own."""
    chosen, is_given = values["format"], _is_given(context, "format")
    if values.get("as_json"):
        if is_given and chosen is not formats["json"]:
            raise BadInput.one("--json", f"is not --format {chosen.value}", hint="give one of them")
        return formats["json"]
    target = values.get("output_file")
    if not is_given and isinstance(target, Path) and "yaml" in formats:
        return formats.get(_SUFFIXES.get(target.suffix.casefold(), ""), chosen)
    return chosen


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


_WHAT_TO_DO: Final = {
    str(DEFAULT_SPEC): f"name one, write one with {PROGRAM} init, or hand one over with -",
    "agentgpu-policies.yaml": f"name one with --policies; what stands in it: {page('pull-requests', 'policies')}",
    "agentgpu-publish.yaml": f"name one; what stands in it: {page('pull-requests', 'publish')}",
}
"""The files that a command reads where none is named, and what to do where it is not there."""


def _there(context: typer.Context, values: dict[str, Any]) -> None:
    """A file that nobody named must be there."""
    for name, value in values.items():
        hint = _WHAT_TO_DO.get(str(value))
        left_out = hint is not None and not _is_given(context, name) and _is_read(context, name)
        if left_out and isinstance(value, Path) and not value.exists():
            raise BadInput.one(str(value), f"is not here, and no {name.upper()} is given", hint=hint or "")


def _is_read(context: typer.Context, name: str) -> bool:
    """Whether a command reads it: ``init`` writes what the others read."""
    return not (context.command.name == "init" and name == "path")
