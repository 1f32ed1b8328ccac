"""Facts of a model that may be missing, and the complaint that one is."""

from __future__ import annotations

from typing import TypeVar

from agentgpu_iac.catalog.model import ModelFacts

T = TypeVar("T")


class UnsizableError(Exception):
    """The facts do not suffice to size the model. The message says which is missing, or why they cannot."""


def known(fact: T | None, what: str) -> T:
    """The fact, or the complaint that it is unknown.

    Raises:
        UnsizableError: it is unset.
    """
    if fact is None:
        raise UnsizableError(f"{what} is unknown")
    return fact


def expert_width(facts: ModelFacts) -> int | None:
    """Width of one routed expert; configs that give a single width mean it for the experts."""
    return (facts.moe_intermediate_size or facts.intermediate_size) if facts.experts else None
