"""What would shorten the starts of agents whose burst is absorbed by warm replicas, priced by those that could then go."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from agentgpu_iac.catalog.model import Shortcut
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import StartChoice, StartTarget
from agentgpu_iac.planning.choosing import caching
from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.shortcuts import Start, longest_start_s, warm_for, way
from agentgpu_iac.planning.choosing.tiers import spare_replicas
from agentgpu_iac.planning.pools import Placed, Pool, pool_models
from agentgpu_iac.spec.model import Capacity, StackSpec
from agentgpu_iac.units import rounded

_CENT = Decimal("0.01")


def start_choices(
    placed: Sequence[Placed], pools: Mapping[int, Sequence[Pool]], spec: StackSpec, catalog: Catalog, terms: Terms
) -> tuple[StartChoice, ...]:
    """Every known way for each agent that keeps more replicas warm than normal load needs."""
    return tuple(
        choice
        for member in placed
        if is_absorbed(member, spec)
        for choice in _choices(member, pools[member.position], spec, catalog, terms)
    )


def start_targets(placed: Sequence[Placed], spec: StackSpec, terms: Terms) -> tuple[StartTarget, ...]:
    """How short the start of each such agent must be, for every number of warm replicas that is smaller than the planned."""
    return tuple(
        target for member in placed if is_absorbed(member, spec) for target in _targets(member, spec.capacity, terms)
    )


def _targets(member: Placed, capacity: Capacity, terms: Terms) -> Iterator[StartTarget]:
    candidate = member.candidate
    now = _baseline_usd(member, candidate.baseline_replicas, terms)
    for warm in range(warm_for(candidate, 0.0, capacity, _spare(member, capacity)), candidate.baseline_replicas):
        longest_s = math.floor(longest_start_s(candidate, warm) * 10) / 10
        if longest_s > 0:
            usd = _baseline_usd(member, warm, terms)
            yield StartTarget(
                agent=candidate.demand.name,
                warm_replicas=warm,
                cold_start_s=longest_s,
                usd_per_month=usd,
                delta_usd_per_month=usd - now,
            )


def _spare(member: Placed, capacity: Capacity) -> int:
    return spare_replicas(member.candidate, member.option.machine, capacity)


def is_absorbed(member: Placed, spec: StackSpec) -> bool:
    """Whether the length of a start decides how many of the agent's replicas are warm."""
    candidate = member.candidate
    overrides = candidate.demand.agent.overrides
    return (
        candidate.demand.user_facing
        and spec.capacity.fast_burst == "absorb"
        and overrides.baseline_replicas is None
        and overrides.cold_start_s is None
        and not member.option.is_shared
        and not member.option.is_divided
        and candidate.baseline_replicas > candidate.normal_replicas
    )


def _choices(
    member: Placed, pools: Sequence[Pool], spec: StackSpec, catalog: Catalog, terms: Terms
) -> Iterator[StartChoice]:
    pool = next((pool for pool in pools if pool.tier == "burst"), pools[0])
    gib = caching.models_gib(pool_models(pool, spec))
    start = Start(
        candidate=member.at(pool.tier).candidate,
        machine=pool.machine,
        release=member.release,
        spec=spec,
        node_models_gib=gib,
    )
    for row in catalog.shortcuts:
        yield _choice(row, start, member, terms)


def _choice(row: Shortcut, start: Start, member: Placed, terms: Terms) -> StartChoice:
    candidate, found = member.candidate, way(row, start)
    cold_s = rounded(found.start.upper_total, 1)
    keeps = row.keeps_nodes or found.status == "taken"
    capacity = start.spec.capacity
    warm = warm_for(candidate, cold_s, capacity, _spare(member, capacity))
    if keeps:
        warm = candidate.baseline_replicas
    usd, now = _baseline_usd(member, warm, terms), _baseline_usd(member, candidate.baseline_replicas, terms)
    return StartChoice(
        agent=candidate.demand.name,
        choice=row.id,
        title=row.title,
        status=found.status,
        setting=row.setting,
        why_not=found.why_not,
        measured=bool(row.setting) or row.keeps_nodes or row.takes_s is not None,
        cold_start_s=cold_s,
        warm_replicas=warm,
        usd_per_month=usd,
        delta_usd_per_month=usd - now,
        source=f"{row.sources[0]}, read {row.read}",
    )


def _baseline_usd(member: Placed, warm: int, terms: Terms) -> Decimal:
    """The agent's baseline on nodes of its own, with so many replicas."""
    option = replace(member.option, candidates=(replace(member.candidate, baseline_replicas=warm),))
    return option.baseline_usd_alone(terms).quantize(_CENT)
