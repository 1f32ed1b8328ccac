"""Cheaper ways to buy the chosen nodes that were refused, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import NodePool, Rejection, Workload
from agentgpu_iac.planning.advice.context import Context
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.leaving import spot_grace_s
from agentgpu_iac.planning.choosing.tiers import Refusal, reserved_ratio, reserved_refusal, spot_refusal
from agentgpu_iac.spec.vocabulary import CapacityType


def purchase_rejections(context: Context) -> tuple[Rejection, ...]:
    """Cheaper ways to buy the chosen nodes that were refused: spot and reserved capacity."""
    spec = context.spec
    user_sessions = sum(candidate.demand.concurrent for candidate in context.candidates if candidate.demand.user_facing)
    may_reserve = reserved_ratio(spec.observed, user_sessions) > 0
    ways: dict[tuple[str, str, str], set[CapacityType]] = {}
    for offering in context.catalog.offerings:
        machine = (offering.provider, offering.instance_type.name, offering.region)
        ways.setdefault(machine, set()).add(offering.capacity_type)
    return tuple(
        Rejection(
            agent=workload.agent,
            accelerator=workload.accelerator,
            instance_type=pool.instance_types[0],
            tensor_parallel_size=workload.tensor_parallel_size,
            pipeline_parallel_size=workload.pipeline_parallel_size,
            precision=workload.precision,
            constraint=refusal.constraint,
            need=refusal.need,
            limit=refusal.limit,
            unit=refusal.unit,
            message=refusal.message,
        )
        for candidate in context.candidates
        if candidate.demand.user_facing
        for workload in context.tiers[candidate.demand.name]
        for pool in (context.pools[workload.node_pool],)
        if not pool.owned
        for on_offer in (ways.get((pool.provider, pool.instance_types[0], pool.region), set()),)
        for refusal in _refusals(context, candidate, workload, pool, may_reserve, on_offer)
    )


def _refusals(
    context: Context,
    candidate: Candidate,
    workload: Workload,
    pool: NodePool,
    may_reserve: bool,
    on_offer: set[CapacityType],
) -> Iterator[Refusal]:
    """Of the ways in which the machine is on offer, those that a user-facing tier does not take."""
    spot_unused = "spot" in on_offer and "spot" not in pool.capacity_types
    if workload.tier == "baseline":
        if spot_unused:
            yield Refusal(
                constraint="spot-baseline",
                need=1.0,
                limit=0.0,
                unit="nodes on spot",
                message="a user-facing baseline is never on spot: a reclaimed node would drop live sessions",
            )
        if "reserved" in on_offer and not may_reserve:
            yield reserved_refusal(context.spec.observed)
    elif spot_unused:
        notice_s = context.catalog.provider(pool.provider).interruption_notice_s
        grace_s = spot_grace_s(candidate.demand, candidate.service.tpot_ms)
        refusal = spot_refusal(candidate.demand, context.spec.capacity, notice_s, grace_s)
        if refusal is not None:
            yield refusal
