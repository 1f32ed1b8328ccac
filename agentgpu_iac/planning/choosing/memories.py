"""The memory of a replica, worked out once for all agents whose engines would run alike with contexts as long.

As with its speed (``speeds``), most agents of a stack differ in their sessions alone, which it does not hang on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

from agentgpu_iac.catalog.model import Accelerator, EngineRelease, Model
from agentgpu_iac.planning.choosing.known import Itself
from agentgpu_iac.sizing import memory
from agentgpu_iac.sizing.replica import ByHand, MemoryTerms, Replica, memory_terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Contexts:
    """The tokens for which memory is counted, as ``memory_terms`` takes them."""

    context_tokens: int
    longest_tokens: int
    shared_tokens: int
    other_prefix_tokens: int


def terms_of(
    of: Replica, contexts: Contexts, by_hand: ByHand, reserve_ratio: float, release: EngineRelease
) -> MemoryTerms:
    """Memory of one accelerator of the replica, with the reserve that is asked for; remembered unless it drafts with a model of
    its own.
    """
    if of.draft is not None:
        return memory.with_reserve(_terms(of, contexts, by_hand), reserve_ratio, release.engine, release)
    terms = _remembered(Itself(of.model), Itself(of.accelerator), _flags(of), contexts, by_hand)
    return _with_reserve(Itself(terms), reserve_ratio, Itself(release))


@lru_cache(maxsize=8192)
def _with_reserve(terms: Itself[MemoryTerms], reserve_ratio: float, release: Itself[EngineRelease]) -> MemoryTerms:
    return memory.with_reserve(terms.thing, reserve_ratio, release.thing.engine, release.thing)


_FLAGS = tuple(name for name in Replica.__slots__ if name not in ("model", "accelerator", "draft"))
_flags = attrgetter(*_FLAGS)


@lru_cache(maxsize=8192)
def _remembered(
    model: Itself[Model],
    accelerator: Itself[Accelerator],
    flags: tuple[object, ...],
    contexts: Contexts,
    by_hand: ByHand,
) -> MemoryTerms:
    named = dict(zip(_FLAGS, flags, strict=True))
    return _terms(Replica(model=model.thing, accelerator=accelerator.thing, **named), contexts, by_hand)  # type: ignore[arg-type]


def _terms(of: Replica, contexts: Contexts, by_hand: ByHand) -> MemoryTerms:
    return memory_terms(
        of,
        contexts.context_tokens,
        by_hand,
        longest_tokens=contexts.longest_tokens,
        shared_tokens=contexts.shared_tokens,
        other_prefix_tokens=contexts.other_prefix_tokens,
    )
