"""A broken rule, and how rules read what a file holds: values of the right kind, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeGuard

from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model import (
    MAX_COUNT,
)
from agentgpu_iac.spec.shape import fields_of
from agentgpu_iac.spec.yaml_tree import Data, Steps

LINE = "{line}"


_NOTHING: Final[Mapping[str, Data]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A rule broken at a place.

    Where it clashes with another value, ``other`` is the way there, and ``LINE`` in the hint stands for its line.
    """

    steps: Steps
    message: str
    hint: str = ""
    other: Steps = ()


def mapping(data: Data) -> Mapping[str, Data]:
    """The fields of a value; none where it has no fields."""
    return data if isinstance(data, dict) else _NOTHING


def part(data: Data | Mapping[str, Data], key: str) -> Mapping[str, Data]:
    """The fields of a field."""
    return mapping(data.get(key)) if isinstance(data, Mapping) else _NOTHING


def items(data: Mapping[str, Data], key: str) -> tuple[Data, ...]:
    """The entries of a field; none where it is no list."""
    value = data.get(key)
    return value if isinstance(value, tuple) else ()


def word(data: Mapping[str, Data], key: str, document: type[Document]) -> str:
    """A word, or its default where the key is absent; empty where it is malformed."""
    value = data.get(key, fields_of(document)[key].default)
    return value if isinstance(value, str) else ""


def count(data: Mapping[str, Data], key: str, document: type[Document]) -> int | None:
    """A count, or its default where the key is absent; None where it is malformed."""
    value = data.get(key, fields_of(document)[key].default)
    return value if is_count(value) else None


def is_count(value: object) -> TypeGuard[int]:
    """Whether a value is a number of things that a spec may have."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT
