"""Parsers of tool calls and of reasoning: what each engine calls the one that a model needs.

The catalog knows them by vLLM's names. An engine of another make has a parser of its own for most formats, under
another name; what an agent names by hand is the engine's own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentgpu_iac.errors import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsers:
    """The parsers of one kind that an engine has."""

    names: frozenset[str]
    """In the version that was read."""
    of_vllm: Mapping[str, str] | None = None
    """The engine's name for what vLLM calls otherwise; names that are not there have no counterpart. Unset: the same."""

    def named(self, by_hand: str | None, of_model: str | None) -> str | None:
        """The parser that the agent names, else the model's in this engine; nothing where it has none."""
        if by_hand is not None or of_model is None or self.of_vllm is None:
            return by_hand or of_model
        return self.of_vllm.get(of_model)

    def unknown(self, by_hand: str | None) -> str | None:
        """What is wrong with a name written by hand, if anything."""
        if by_hand is None or by_hand in self.names:
            return None
        near = did_you_mean(by_hand, sorted(self.names))
        return f"{by_hand!r}" + (f" ({near})" if near else "")


NO_PARSERS = Parsers(names=frozenset(), of_vllm={})
"""An engine that has none by name."""
