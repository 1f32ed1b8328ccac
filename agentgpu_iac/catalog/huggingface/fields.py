"""The fields of a config: read by name, each reading noted, each fault with the path of its field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

Json = Mapping[str, object]
MOST = 10**9
"""No count of a shape is larger: what is, is a mistake or an attack."""
MOST_LAYERS = 10_000
"""The deepest models have two hundred."""
MOST_FAULTS = 20
"""Faults named of one file."""


def is_object(value: object) -> TypeGuard[Json]:
    """Whether a value is a JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Whether a value is a JSON list."""
    return isinstance(value, list)


@dataclass(frozen=True, slots=True)
class Config:
    """A config, the faults found in it so far (path, message), and the fields that were read."""

    fields: Json
    faults: list[tuple[str, str]] = field(default_factory=list)
    defaults: Json = field(default_factory=dict)
    """What the architecture means by a field that is not there."""
    prefix: str = ""
    read: set[str] = field(default_factory=set)
    unclear: list[str] = field(default_factory=list)
    """What could not be told and is said with the model: sentences."""
    sections: dict[str, Config] = field(default_factory=dict)
    """The nested objects that were read."""

    def get(self, name: str) -> object:
        """The value of a field as it stands, or what the architecture means by leaving it out."""
        self.read.add(name)
        return self.fields[name] if name in self.fields else self.defaults.get(name)

    def integer(self, *names: str) -> int | None:
        """The first of these fields that is set; a fault where it is no positive whole number. 0 counts as unset."""
        self.read.update(names)
        for name in self._stated_first(names):
            value = self.get(name)
            if value is None or value == 0:
                continue
            if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST:
                return value
            self.fault(name, f"must be a positive whole number, {MOST:,} at most")
            return None
        return None

    def required(self, *names: str) -> int:
        """As ``integer``, but a fault where none is set; 1 stands in, so that further faults are found."""
        value = self.integer(*names)
        if value is None and not self.has_fault(*names):
            self.fault(names[0], "is missing")
        return value or 1

    def has_fault(self, *names: str) -> bool:
        """Whether one of these fields is faulty already."""
        return any(path.removeprefix(self.prefix) in names for path, _ in self.faults)

    def number(self, name: str) -> float | None:
        """A field that is a number above 0."""
        value = self.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
            return None
        if value <= MOST:
            return float(value)
        self.fault(name, f"must be a number, {MOST:,} at most")
        return None

    def flag(self, name: str) -> bool:
        """Whether a field is true."""
        return self.get(name) is True

    def section(self, name: str) -> Config:
        """A nested object; empty where it is unset."""
        if name not in self.sections:
            value = self.get(name)
            if value is not None and not is_object(value):
                self.fault(name, "must be an object")
            fields = value if is_object(value) else {}
            self.sections[name] = Config(fields, self.faults, prefix=f"{self.prefix}{name}.", unclear=self.unclear)
        return self.sections[name]

    def listed(self, name: str) -> Sequence[object]:
        """A list; empty where it is unset."""
        value = self.get(name)
        return value if is_list(value) else ()

    def text(self, *names: str) -> str:
        """The first of these fields that is text; empty where none is."""
        self.read.update(names)
        return next((value for name in self._stated_first(names) if isinstance(value := self.get(name), str)), "")

    def fault(self, path: str, message: str) -> None:
        """Note a fault."""
        self.faults.append((f"{self.prefix}{path}", message))

    def _stated_first(self, names: Sequence[str]) -> Sequence[str]:
        """Fields that the file states before those that the architecture assumes."""
        return sorted(names, key=lambda name: name not in self.fields)


def share(whole: int, parts: int) -> int:
    """A width spread over parts, at least 1: what is missing was said before."""
    return max(1, whole // max(1, parts))
