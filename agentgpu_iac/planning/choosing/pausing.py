"""What a pause is worth: the ways to leave a paused session's cache that an agent, its engine and its model have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from agentgpu_iac.catalog.model import EngineRelease
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.known import Itself
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.deployments import requests_at_pace
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.sizing.pauses import pauses
from agentgpu_iac.sizing.pausing import Away, reload_gb_per_s
from agentgpu_iac.spec.model import Conversation
from agentgpu_iac.units import GIB

_FOUND = (0.95, 0.8, 0.5, 0.0)
"""Parts of the requests that find their session's cache on the accelerators, tried from most to none: more of them wait less,
and need more room for sessions that pause."""


def ways_away(kept: Candidate, release: EngineRelease) -> Iterator[tuple[Away, ...]]:
    """To host memory and to nowhere, as far as the agent leaves it open and its engine and model can; each with all, some or none
    of the room that is left for sessions that paused last.

    A reload, or reading the history again, is held against the budget of the next turn's TTFT; where there is none, nothing says
    how long it may take, and a cache is kept unless the spec says otherwise.
    """
    demand, agent, terms = kept.demand, kept.demand.agent, kept.memory
    asked = agent.paused_cache
    if demand.load is not None or kept.groups.count > 1 or kept.speed is None or asked == "keep":
        return
    if asked == "auto" and (agent.kv_offload_gib is not None or demand.budget_ttft_ms is None or not demand.pause_s):
        return
    resident = min(demand.peak, terms.most_sessions(demand.peak))
    own = demand.context_tokens - terms.shared_tokens
    each_gb = terms.kv_own_gib * GIB / 1e9
    if (
        asked in ("auto", "offload")
        and PORTS[release.engine].moves_kv_to_host(release.version)
        and not terms.kv_fixed_bytes
    ):
        per_token_ms = each_gb / own / reload_gb_per_s(kept.accelerator.pcie_generation) * 1000
        longest = max(0, min(demand.shape.longest_history_tokens, demand.context_tokens) - terms.shared_tokens)
        reloaded = _prompts_ratio(demand) if PORTS[release.engine].moves_prompts_alone(release.version) else 1.0
        yield _by_room(
            kept,
            Away(
                to="offload",
                resident=resident,
                mean_ms=min(own, demand.shape.history_tokens) * per_token_ms * reloaded,
                longest_ms=longest * per_token_ms,
                reloaded_ratio=reloaded,
            ),
        )
    if asked in ("auto", "drop"):
        yield _by_room(kept, Away(to="drop", resident=resident, mean_ms=0.0, longest_ms=0.0))


def _prompts_ratio(demand: Demand) -> float:
    """Part of a session's history that stood in a prompt before, and not in the answer to the last one alone; the least of any
    agent.
    """
    ratios = []
    for member in demand.served:
        answered = member.agent.conversation.output_tokens_per_turn / member.shape.requests_per_turn
        ratios.append(1 - min(1.0, answered / max(1.0, member.shape.history_tokens)))
    return min(ratios)


def _by_room(kept: Candidate, away: Away) -> tuple[Away, ...]:
    """The same with each part of the requests that may find their cache. Where the seats are set by hand, with none: nothing
    cuts them down to those that leave room.
    """
    if kept.demand.agent.overrides.max_num_seqs is not None:
        return (away,)
    parts = zip(_FOUND, _held_ratios(Itself(kept.demand)), strict=True)
    return tuple(replace(away, found=found, held_ratio=held) for found, held in parts)


@lru_cache(maxsize=256)
def _held_ratios(itself: Itself[Demand]) -> tuple[float, ...]:
    """Of the sessions that pause those whose cache is held, for each part of the requests that may find theirs."""
    weights: dict[Conversation, float] = {}
    for member in itself.thing.served:
        talk = member.agent.conversation
        weights[talk] = weights.get(talk, 0.0) + requests_at_pace(member)
    return _held_of(tuple(weights.items()) if len(weights) > 1 else ((next(iter(weights)), 1.0),))


@lru_cache(maxsize=256)
def _held_of(weighed: tuple[tuple[Conversation, float], ...]) -> tuple[float, ...]:
    """The same for all agents whose conversations are alike."""
    apart = pauses(weighed)
    return tuple(apart.held_ratio(found) for found in _FOUND)
