"""Parsers of tool calls and of reasoning: what each engine calls the one that a model needs.

The catalog knows those of models by vLLM's names. An engine of another make has a parser of its own for most formats,
under another name; what an agent names by hand is the engine's own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from agentgpu_iac.catalog.engine_versions import lacked_names
from agentgpu_iac.catalog.model import EngineParsers, ParserNames
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import did_you_mean
from agentgpu_iac.spec.vocabulary import Engine

NO_PARSER = "none"
"""What an agent writes to have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsers:
    """The parsers of one kind that an engine has."""

    names: frozenset[str]
    """In the version that was read."""
    of_vllm: Mapping[str, str] | None
    """The engine's name for what vLLM calls otherwise; names that are not there have no counterpart. Unset: the same."""
    lacked: frozenset[str] = frozenset()
    """Names that the version which is run is known to lack: a model's own is then left out."""

    def named(self, by_hand: str | None, of_model: str | None) -> str | None:
        """The parser that the agent names, else the model's in this engine; nothing where it has none or wants none."""
        if by_hand == NO_PARSER:
            return None
        if by_hand is not None or of_model is None:
            return by_hand
        name = of_model if self.of_vllm is None else self.of_vllm.get(of_model)
        return None if name in self.lacked else name

    def unknown(self, by_hand: str | None) -> str | None:
        """What is wrong with a name written by hand, if anything."""
        if by_hand is None or by_hand == NO_PARSER or by_hand in self.names:
            return None
        near = did_you_mean(by_hand, sorted(self.names))
        return f"{by_hand!r}" + (f" ({near})" if near else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownParsers:
    """The parsers of both kinds that an engine has."""

    version: str
    """The version whose parsers were read; empty where none are known."""
    tool_calls: Parsers
    """Without any by name, the engine reads tool calls by itself."""
    reasoning: Parsers


def known_parsers(row: EngineParsers | None) -> KnownParsers:
    """The parsers that the catalog knows of an engine; without a row, none by name."""
    if row is None:
        none = Parsers(names=frozenset(), of_vllm={})
        return KnownParsers(version="", tool_calls=none, reasoning=none)
    return KnownParsers(version=row.version, tool_calls=_parsers(row.tool_calls), reasoning=_parsers(row.reasoning))


def parsers_in(catalog: Catalog, engine: Engine, version: str) -> KnownParsers:
    """The parsers of an engine in a version: those that were read, without what this version is known to lack."""
    known = known_parsers(catalog.engine_parsers(engine, version))
    rows = catalog.engine_versions
    return replace(
        known,
        tool_calls=replace(known.tool_calls, lacked=lacked_names(rows, engine, version, "tool-parser")),
        reasoning=replace(known.reasoning, lacked=lacked_names(rows, engine, version, "reasoning-parser")),
    )


def _parsers(known: ParserNames) -> Parsers:
    return Parsers(names=frozenset(known.names), of_vllm=None if known.of_vllm is None else dict(known.of_vllm))
