"""What a single value in a YAML file means, and how to speak of it in a message.

The rules are those of YAML 1.1, which nearly all readers follow, plus the YAML 1.2 numbers such as ``1e3``. Where the
two versions disagree (``010``, ``1:30``, dates) and where a value is no finite number, nothing is guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import yaml

from agentgpu_iac.units import counted

MAX_NUMBER_CHARACTERS = 64
"""Longest spelling of a number; the longest that any program writes for a float has 24 characters."""

Scalar: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A scalar that we do not read, and why."""

    message: str
    hint: str


def read_plain(text: str) -> Scalar | Refusal:
    """What an unquoted scalar means; a refusal where readers of YAML disagree about it."""
    first = text[:1]
    if first and first not in _FIRST_OF_SPECIAL:
        return text
    if first in _FIRST_OF_NUMBERS and _YAML_1_2_FLOAT.fullmatch(text):
        return _read_float(text)
    kinds = (tag.rpartition(":")[2] for tag, pattern in _RESOLVERS.get(first, ()) if pattern.match(text))
    read = _READERS.get(next(kinds, "str"))
    return read(text) if read else text


def meaning_of(value: Scalar) -> str:
    """What a scalar means, in words: ``true``, ``the number 5``, ``the text 'a'``, ``no value``."""
    match value:
        case None:
            return "no value"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {shown(value)}"
        case _:
            return f"the number {value}"


def shown(text: str, limit: int = 60) -> str:
    """Quote a piece of the file for a message: invisible characters escaped, long texts cut."""
    return repr(text if len(text) <= limit else f"{text[:limit]}…")


_YAML_1_2_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
_DECIMAL: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FIRST_OF_NUMBERS: Final = frozenset("-+.0123456789")
_RESOLVERS: Final[dict[str, list[tuple[str, re.Pattern[str]]]]] = yaml.SafeLoader.yaml_implicit_resolvers
_FIRST_OF_SPECIAL: Final = frozenset(_RESOLVERS)


def _read_null(_: str) -> None:
    return None


def _read_bool(text: str) -> bool:
    return text.lower() in {"yes", "true", "on"}


def _read_timestamp(text: str) -> Refusal:
    return Refusal(message=f"YAML reads {text} as a date", hint=f"quote it: {text!r}")


def _read_int(text: str) -> int | Refusal:
    if len(text) > MAX_NUMBER_CHARACTERS:
        return _too_long(text)
    digits = text.replace("_", "")
    if _DECIMAL.fullmatch(digits):
        return int(digits)
    unsigned = digits.lstrip("+-")
    if re.fullmatch(r"0x[0-9a-fA-F]+|0b[01]+", unsigned):
        return int(digits, 0)
    if not re.fullmatch(r"[0-9:]+", unsigned):
        return Refusal(message=f"{text} is no number that YAML can read", hint=f"quote it for text: {text!r}")
    size = _base_60(unsigned) if ":" in unsigned else int(unsigned, 8)
    value = -size if digits.startswith("-") else size
    return Refusal(message=f"YAML reads {text} as the number {value}", hint=f"write {value}, or {text!r} for text")


def _base_60(text: str) -> int:
    value = 0
    for part in text.split(":"):
        value = value * 60 + int(part)
    return value


def _read_float(text: str) -> float | Refusal:
    if len(text) > MAX_NUMBER_CHARACTERS:
        return _too_long(text)
    if ":" in text:
        return Refusal(message=f"YAML reads {text} as a number to base 60", hint=f"quote it for text: {text!r}")
    value = float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
    if math.isfinite(value):
        return value
    meaning = "not a number" if math.isnan(value) else "infinity"
    return Refusal(message=f"YAML reads {text} as {meaning}", hint=f"write a finite number, or {text!r} for text")


def _too_long(text: str) -> Refusal:
    return Refusal(
        message=f"a number of {counted(len(text), 'character')}; at most {MAX_NUMBER_CHARACTERS} are read",
        hint="quote it if it is text",
    )


_READERS: Final[Mapping[str, Callable[[str], Scalar | Refusal]]] = {
    "null": _read_null,
    "bool": _read_bool,
    "int": _read_int,
    "float": _read_float,
    "timestamp": _read_timestamp,
}
