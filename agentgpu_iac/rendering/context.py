"""What a template is given: a frozen dataclass whose fields are exactly the template's variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

Pairs = tuple[tuple[str, str], ...]
"""Keys and values in the order in which they are printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The base of all contexts."""

    template: ClassVar[str]
    """File below ``templates``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigMapContext(Context):
    """Any ConfigMap."""

    template: ClassVar[str] = "config-map.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    data: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part that one kind of object has in common with another: made once, by the template of one of them."""

    place: tuple[str, ...]
    """Keys that lead to it in the object."""
    context: Context
    """Of the object that it is taken from."""
    taken_from: tuple[str, ...]
    """Keys that lead to it there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An object that is decided but not yet printed, and the folder of the tree that it goes to."""

    folder: str
    context: Context
    parts: tuple[Part, ...] = ()
    """What stands inside the object but is made by another template."""
