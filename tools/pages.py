#!/usr/bin/env python3
"""Writes the reference pages that are made from the code: the command line, every code of a plan, the Python interface.

``make schema`` calls it; ``tests/pages/test_references.py`` holds that the pages are current.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import EnumType
from pathlib import Path
from typing import Any, get_args

import typer

import agentgpu_iac
from agentgpu_iac.cli.examples import EXAMPLES
from agentgpu_iac.cli.main import app
from agentgpu_iac.plan.meanings import CONSTRAINTS, DRIVERS, WARNINGS, Meaning

DOCS = Path(__file__).resolve().parents[1] / "docs"

_CLI = """\
# The command line

Made by `make schema` from the commands themselves; `agentgpu COMMAND --help` prints the same.

Answers go to standard output, messages to standard error; [exit codes](errors.md) are the same everywhere.
`agentgpu --install-completion` adds completion to your shell, `agentgpu --version` prints the version.
"""
_CODES = """\
# Warnings and refusals

Made by `make schema` from the codes themselves.
A warning stands in `warnings[].code` of a [plan](plan.md) and in brackets before its sentence; the sentence has the numbers.
A plan with warnings is a valid plan.
A constraint stands in `rejections[].constraint`, beside need and limit: it says what turned a candidate away.
"""
_PYTHON = """\
# The Python interface

Made by `make schema` from the package; [From Python](python.md) shows it at work.
These names are kept; whatever else lies in the package may move.
"""


def pages() -> Mapping[str, str]:
    """The text of each page, by its name in ``docs``."""
    return {"cli.md": cli_page(), "codes.md": codes_page(), "python-api.md": python_page()}


def cli_page() -> str:
    """Every command with its arguments and options."""
    return "\n".join((_CLI, *_commands(typer.main.get_command(app), "agentgpu")))


def _commands(group: Any, name: str) -> Iterator[str]:
    for word, command in group.commands.items():
        if getattr(command, "commands", None):
            yield from _commands(command, f"{name} {word}")
            continue
        name_of_command = f"{name} {word}".partition(" ")[2]
        yield f"## {name} {word}\n"
        yield f"{_sentences(command.help)}\n"
        with command.make_context(word, [], resilient_parsing=True) as context:
            usage = " ".join(piece.strip("{}") for piece in command.collect_usage_pieces(context))
        yield f"Usage: `{name} {word} {usage}`\n"
        yield "| argument or option | default | meaning |\n|---|---|---|"
        for parameter in command.params:
            yield f"| {_names(parameter)} | {_default(parameter)} | {_cell(getattr(parameter, 'help', '') or '')} |"
        yield ""
        if name_of_command in EXAMPLES:
            yield "```sh"
            yield from (f"{name} {word} {example}".rstrip() for example in EXAMPLES[name_of_command])
            yield "```\n"


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or parameter.name).strip('{}').upper()}`"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    annotation = parameter.type_descriptor.annotation
    choices = tuple(annotation) if isinstance(annotation, EnumType) else get_args(annotation)
    return f"{names}: {' '.join(f'`{_word(choice)}`' for choice in choices)}" if choices else names


def _word(value: Any) -> str:
    return str(getattr(value, "value", value))


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or value == () or value is False or callable(value) or "Sentinel" in type(value).__name__:
        return ""
    return f"`{_word(value)}`"


def codes_page() -> str:
    """Every code with what it says and what to do, each at an address of its own."""
    return "\n".join(
        (
            _CODES,
            *_codes("Warnings", "It says", "What to do", WARNINGS.items()),
            *_codes("Refusals", "Need and limit are", "What would lift it", CONSTRAINTS.items()),
            *_codes("What drives the price", "Need and limit are", "What loosens it", DRIVERS.items()),
        )
    )


def _codes(title: str, says: str, remedy: str, meanings: Iterable[tuple[str, Meaning]]) -> Iterator[str]:
    yield f"## {title}\n"
    for code, meaning in sorted(meanings):
        yield f"### {code}\n"
        yield f"{_sentences(f'{says}: {meaning.says}.')}\n"
        yield f"{_sentences(f'{remedy}: {meaning.remedy}.')}\n"


def python_page() -> str:
    """Every public name with how it is called and what it says of itself."""
    parts = [_PYTHON]
    for name in agentgpu_iac.__all__:
        found = getattr(agentgpu_iac, name)
        if isinstance(found, str):
            continue
        parts.append(f"## {name}\n")
        if inspect.isfunction(found):
            signature = re.sub(r"agentgpu_iac[.]([a-z_]+[.])*|'", "", str(inspect.signature(found)))
            parts.append(f"`{name}{signature}`\n")
        parts.append(f"{_prose(inspect.getdoc(found) or '')}\n")
    return "\n".join(parts)


def _prose(text: str) -> str:
    """A docstring as Markdown: its sections as lists, one sentence a line."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", text.replace("``", "`").replace("::\n", ":\n")):
        title, _, rest = paragraph.partition("\n")
        if title in {"Args:", "Raises:", "Returns:", "Attributes:"}:
            entries = re.split(r"\n(?=    \S)", "\n" + rest)[1:]
            parts.append(title + "\n\n" + "\n".join(f"- {_entry(entry)}" for entry in entries))
        else:
            parts.append(_sentences(paragraph))
    return "\n\n".join(parts)


def _entry(text: str) -> str:
    name, colon, rest = " ".join(text.split()).partition(": ")
    return f"`{name}`: {rest}" if colon and " " not in name else " ".join(text.split())


def _sentences(text: str) -> str:
    """One sentence a line."""
    plain = " ".join((text or "").split()).replace("<", "&lt;")
    return re.sub(r"(?<=[.?!]) (?=[A-Z`])", "\n", plain)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
