"""What came with which release of an engine: rows of ``data/engine_versions.json``, read in the released packages.

A row lists what its release has and no release read before it has. What lies between two releases that were read is not
known, so nothing is said to be missing there: a version lacks a thing where the next release that was read lacks it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from agentgpu_iac.catalog.engine_cards import Capability
from agentgpu_iac.catalog.model import Accelerator, Model
from agentgpu_iac.catalog.model.scalars import ReadOn, Sources
from agentgpu_iac.catalog.versions import at_least, order
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import ENGINE_TITLES, Engine

Kind = Literal["architecture", "flag", "tool-parser", "reasoning-parser"]


class EngineVersion(Document):
    """One release of an engine that was read, and what came with it."""

    engine: Engine
    """Which engine."""
    version: str
    """The release."""
    architectures: tuple[str, ...] = ()
    """Model types of config.json whose class it has for the first time; text models by the class of their checkpoints."""
    flags: tuple[str, ...] = ()
    """Flags, of those that we write, that it has for the first time."""
    tool_parsers: tuple[str, ...] = ()
    """Parsers of tool calls that it has for the first time."""
    reasoning_parsers: tuple[str, ...] = ()
    """Parsers of reasoning that it has for the first time."""
    compute_capabilities: tuple[Capability, ...] = ()
    """All compute capabilities that its binaries hold code for; one of them runs on later minor ones too. Empty: not read."""
    sources: Sources
    """What was read."""
    read: ReadOn
    """When it was read."""

    def named(self, kind: Kind) -> tuple[str, ...]:
        """What came with it, of one kind."""
        by_kind: dict[Kind, tuple[str, ...]] = {
            "architecture": self.architectures,
            "flag": self.flags,
            "tool-parser": self.tool_parsers,
            "reasoning-parser": self.reasoning_parsers,
        }
        return by_kind[kind]

    def runs_on(self, compute_capability: str) -> bool:
        """Whether its binaries hold code for a card; code for an older minor capability runs on a newer one."""
        major = compute_capability.partition(".")[0]
        return any(
            built.partition(".")[0] == major and at_least(compute_capability, built)
            for built in self.compute_capabilities
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What a version of an engine is known not to have."""

    message: str
    """What, and since when there is one."""
    version: str
    """The version that was asked for."""
    since: str | None
    """The first one read that has it, or the last where newer ones lack it again; None: no release read has it."""


def lack_of(
    rows: Iterable[EngineVersion], engine: Engine, version: str, kind: Kind, name: str, words: str
) -> Lack | None:
    """Why a version is refused that lacks a thing, called by ``words``; None where it is not known to lack it."""
    since = first_with(rows, engine, version, kind, name)
    if since is None:
        return None
    message = f"{ENGINE_TITLES[engine]} {version} has no {words}; {since} and newer have"
    return Lack(message=message, version=version, since=since)


def lack_of_class(rows: Iterable[EngineVersion], engine: Engine, version: str, model: Model) -> Lack | None:
    """Why a version is refused that has no class for a model."""
    words = f"model class for {model.id} ({model.architecture})"
    return lack_of(rows, engine, version, "architecture", model.architecture, words)


def lack_of_code(rows: Iterable[EngineVersion], engine: Engine, version: str, accelerator: Accelerator) -> Lack | None:
    """Why a version is refused whose binaries hold no code for a card."""
    capability = accelerator.compute_capability
    since = first_on(rows, engine, version, capability)
    if since is None:
        return None
    message = (
        f"{ENGINE_TITLES[engine]} {version} is not built for {accelerator.name} (compute capability {capability}); "
        f"{since} and newer are"
    )
    return Lack(message=message, version=version, since=since)


def first_with(rows: Iterable[EngineVersion], engine: Engine, version: str, kind: Kind, name: str) -> str | None:
    """The first release read that has a thing, where this version is known to lack it; else None."""
    return _first(_oldest_first(rows, engine), version, lambda row: name in row.named(kind))


def first_on(rows: Iterable[EngineVersion], engine: Engine, version: str, compute_capability: str) -> str | None:
    """The first release read with code for a card, where this version is known to have none; else None."""
    built = tuple(row for row in rows if row.compute_capabilities)
    if compute_capability.startswith("gfx"):
        return None
    return _first(_oldest_first(built, engine), version, lambda row: row.runs_on(compute_capability))


def lacked_names(rows: Sequence[EngineVersion], engine: Engine, version: str, kind: Kind) -> frozenset[str]:
    """Everything of one kind that this version is known to lack."""
    own = [(row, frozenset(row.named(kind))) for row in _oldest_first(rows, engine)]
    first = {name: index for index, (_, names) in reversed(tuple(enumerate(own))) for name in names}
    return frozenset(name for name, index in first.items() if index and at_least(own[index - 1][0].version, version))


def _oldest_first(rows: Iterable[EngineVersion], engine: Engine) -> list[EngineVersion]:
    return sorted((row for row in rows if row.engine == engine), key=lambda row: order(row.version))


def _first(own: Sequence[EngineVersion], version: str, has: Callable[[EngineVersion], bool]) -> str | None:
    found = next((index for index, row in enumerate(own) if has(row)), None)
    if found in (None, 0):
        return None
    return own[found].version if at_least(own[found - 1].version, version) else None
