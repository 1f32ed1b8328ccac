"""Five cron fields, as KEDA reads them: when a known peak starts and ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agentgpu_iac.spec.scalars import shown

_FIELDS: Final = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    ("weekday", 0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)
"""Fields of a schedule as KEDA reads them: lowest and highest value, and names from the lowest on."""


def cron_fault(text: str) -> str:
    """What is wrong with five cron fields, or nothing; another number of fields is reported elsewhere."""
    words = text.split()
    if len(words) != len(_FIELDS):
        return ""
    for word, (name, low, high, names) in zip(words, _FIELDS, strict=True):
        for part in word.split(","):
            if not _is_part(part, low, high, names):
                return f"{shown(part)} is no {name}: {low} to {high}, * or a range such as {low}-{high}/2"
    return ""


def cron_values(text: str) -> tuple[frozenset[int] | None, ...]:
    """The values that each of five faultless fields names, None where it names all; weekdays count from Sunday, 0."""
    return tuple(
        None
        if word == "*"
        else frozenset(value for part in word.split(",") for value in _values(part, low, high, names))
        for word, (_, low, high, names) in zip(text.split(), _FIELDS, strict=True)
    )


def _values(part: str, low: int, high: int, names: Sequence[str]) -> range:
    span, slash, step = part.partition("/")
    first, dash, last = span.lower().partition("-")
    start = low if span == "*" else _value(first, low, names)
    end = high if span == "*" or (slash and not dash) else _value(last, low, names) if dash else start
    assert start is not None and end is not None  # noqa: S101 - rules of the spec refused others
    return range(start, end + 1, int(step) if slash else 1)


def _is_part(part: str, low: int, high: int, names: Sequence[str]) -> bool:
    span, slash, step = part.partition("/")
    if slash and not (step.isascii() and step.isdigit() and int(step) > 0):
        return False
    if span == "*":
        return True
    first, dash, last = span.lower().partition("-")
    start = _value(first, low, names)
    end = _value(last, low, names) if dash else start
    return start is not None and end is not None and low <= start <= end <= high


def _value(word: str, low: int, names: Sequence[str]) -> int | None:
    if word in names:
        return low + names.index(word)
    return int(word) if word.isascii() and word.isdigit() and len(word) <= 2 else None
