"""KV cache of engines that share one accelerator: what each was planned with, and its part of what is left.

An engine alone takes its default share of the card, whatever it was planned with. Engines that share one may take that share
together: each gets the KV cache of its planned sessions, and the rest is divided by the same figures, so that no memory
stays idle that no promise needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.pools import Placed, Pool
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.units import GIB, MIB


def kv_bytes(member: Placed, pool: Pool) -> int:
    """The fixed KV budget of one engine: never less than what it was planned with."""
    engines = _on_one_card(member, pool)
    planned = planned_kv_bytes(member.candidate)
    everyone = sum(planned_kv_bytes(engine.candidate) for engine in engines)
    return planned + (math.floor(spare_bytes(engines) * planned / everyone) if everyone else 0)


def planned_kv_bytes(candidate: Candidate) -> int:
    """KV cache of the planned sessions and of one page more, in whole MiB.

    Engines keep a page for themselves, and a session of full length would else never fit (vLLM's null block, read in
    0.33.0: v1/core/block_pool.py).
    """
    terms = candidate.memory
    return math.ceil((terms.kv_gib(candidate.seats_per_group) + terms.page_gib) * GIB / MIB) * MIB


def spare_bytes(engines: Sequence[Placed]) -> int:
    """What engines on one card leave of the smallest of their default shares of it; 0 where they need more."""
    card_gib = engines[0].candidate.memory.capacity.capacity_gib
    share = min(_default_share(engine) for engine in engines)
    return max(0, math.floor(card_gib * share * GIB) - sum(_taken_bytes(engine.candidate) for engine in engines))


def _taken_bytes(candidate: Candidate) -> int:
    """Everything that the engine was planned with."""
    terms, seats = candidate.memory, candidate.seats_per_group
    beside_kv = terms.need_gib(seats) - terms.kv_gib(seats) + terms.cold_start_gib
    return math.ceil(beside_kv * GIB) + planned_kv_bytes(candidate)


def _default_share(member: Placed) -> float:
    candidate = member.candidate
    return SIZING_PORTS[candidate.demand.agent.engine].default_share(candidate.accelerator, member.release)


def _on_one_card(member: Placed, pool: Pool) -> tuple[Placed, ...]:
    """The engines of an accelerator: those of several agents, or replicas of one."""
    mates = tuple(other for other in pool.members if other.share_group == member.share_group)
    return mates if len(mates) > 1 else mates * pool.engines_per_accelerator
