"""What a quantisation says, whatever its method: which format each matrix is stored in, and what the cache is kept in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeGuard

from agentgpu_iac.catalog.model.modules import CheckpointCache, ModuleKind
from agentgpu_iac.catalog.quantisation.formats import Format

Json = Mapping[str, object]

LINEAR_KINDS: Final[tuple[ModuleKind, ...]] = (
    "attention",
    "recurrent",
    "feed_forward",
    "shared_experts",
    "routed_experts",
    "draft",
    "other",
)
"""Parts made of linear layers, which a method takes unless told otherwise. Engines build routers without any, tools leave
towers alone, and the output head is a class of its own in most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Matrices by pattern, and how they are stored."""

    field: str
    """Where the file says so."""
    patterns: tuple[str, ...]
    stored: Format | None
    """None: left in 16 bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """How a checkpoint is quantised."""

    method: str
    """What an engine must know to serve it: a name of ``quantisation_methods.json``."""
    defaults: Mapping[ModuleKind, Format]
    """Formats of the matrices that no rule names; a part that is not here is left in 16 bit."""
    rules: tuple[Rule, ...] = ()
    """The first that names a matrix counts."""
    cache: CheckpointCache | None = None


def of_linear_layers(stored: Format, *, output_head: bool = False) -> Mapping[ModuleKind, Format]:
    """One format for all linear layers, and maybe for the output head."""
    kinds: tuple[ModuleKind, ...] = (*LINEAR_KINDS, *(("output_head",) if output_head else ()))
    return dict.fromkeys(kinds, stored)


def is_object(value: object) -> TypeGuard[Json]:
    """Whether a value of a JSON file is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Whether a value of a JSON file is a list."""
    return isinstance(value, list)


@dataclass(frozen=True, slots=True)
class Section:
    """An object of a JSON file, where it stands, and the faults found so far: (path, message)."""

    fields: Json
    path: str
    faults: list[tuple[str, str]] = field(default_factory=list)

    def fault(self, name: str, message: str) -> None:
        """Note a fault of a field; of the whole section where the name is empty."""
        self.faults.append((f"{self.path}.{name}" if name and self.path else name or self.path, message))

    def section(self, name: str) -> Section:
        """A nested object; empty where it is unset."""
        value = self.fields.get(name)
        if value is not None and not is_object(value):
            self.fault(name, "must be an object")
        return Section(value if is_object(value) else {}, f"{self.path}.{name}" if self.path else name, self.faults)

    def text(self, *names: str) -> str:
        """The first of these fields that is text; empty where none is."""
        return next((value for name in names if isinstance(value := self.fields.get(name), str)), "")

    def integer(self, *names: str, default: int | None = None) -> int | None:
        """The first of these fields that is set; a fault where it is no whole number, or where two of them differ."""
        found = {name: value for name in names if (value := self.fields.get(name)) is not None}
        for name, value in found.items():
            if not isinstance(value, int) or isinstance(value, bool):
                self.fault(name, "must be a whole number")
                return default
        if len(set(found.values())) > 1:
            said = " and ".join(f"{name} {value}" for name, value in found.items())
            self.fault(next(iter(found)), f"contradicts itself: {said}")
        return next((value for value in found.values() if isinstance(value, int)), default)

    def flag(self, *names: str, default: bool) -> bool:
        """The first of these fields that is set; a fault where it is neither true nor false."""
        for name in names:
            value = self.fields.get(name)
            if value is None:
                continue
            if isinstance(value, bool):
                return value
            self.fault(name, "must be true or false")
            break
        return default

    def patterns(self, *names: str) -> tuple[str, ...]:
        """The names and patterns of the first of these fields that is set and not empty; lists in it are taken as one."""
        for name in names:
            value = self.fields.get(name)
            if not value:
                continue
            flat = _flat(value)
            if flat is None:
                self.fault(name, "must be a list of names")
                return ()
            return flat
        return ()

    def pair(self, name: str) -> tuple[int, int] | None:
        """Two positive whole numbers; None where the field is unset."""
        value = self.fields.get(name)
        if value is None:
            return None
        if is_list(value) and len(value) == 2:
            first, second = value
            if isinstance(first, int) and isinstance(second, int) and first > 0 and second > 0:
                return first, second
        self.fault(name, "must be two positive whole numbers")
        return None


def _flat(value: object) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if not is_list(value):
        return None
    parts: list[str] = []
    for item in value:
        if isinstance(item, str):
            parts.append(item)
        elif is_list(item) and all(isinstance(inner, str) for inner in item):
            parts.extend(str(inner) for inner in item)
        else:
            return None
    return tuple(parts)
