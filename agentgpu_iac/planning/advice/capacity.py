"""Warnings about nodes that an autoscaler makes: what they may be, what they may cost, and when they are renewed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from agentgpu_iac.plan import NodePool, Warning, warm_replicas
from agentgpu_iac.planning.advice.context import Context
from agentgpu_iac.planning.advice.wording import warning
from agentgpu_iac.planning.choosing.siblings import price_cap_ratio
from agentgpu_iac.targets import target_of


def capacity_warnings(context: Context) -> Iterator[Warning]:
    """The warnings about such nodes."""
    yield from _other_instance_types(context)
    yield from _renewed_at_any_hour(context)
    yield from _idle_machines(context)


def _idle_machines(context: Context) -> Iterator[Warning]:
    """Machines of one's own that stand idle beside rented ones."""
    capacity = context.spec.capacity
    if capacity.beyond_inventory != "rent" or all(pool.owned for pool in context.node_pools):
        return
    idle = Counter[str]()
    for each in capacity.inventory:
        idle[each.machine] += each.count
    for pool in context.node_pools:
        if pool.owned:
            idle[pool.instance_types[0]] -= pool.max
    named = [f"{count} x {machine}" for machine, count in idle.items() if count > 0]
    if named:
        yield warning(
            "inventory-idle",
            f"{' and '.join(named)} of yours (capacity.inventory) carry nothing: machines that are rented alone cost less, or "
            "fit where yours do not; where an agent is on both, sessions are spread evenly, so the weaker kind sets how many "
            "replicas there are",
        )


def _other_instance_types(context: Context) -> Iterator[Warning]:
    """What may stand in for a planned type, once for each list of types; and what that may cost the whole stack."""
    told: dict[tuple[str, ...], list[NodePool]] = {}
    for pool in context.node_pools:
        if len(pool.types) > 1:
            told.setdefault(pool.instance_types, []).append(pool)
    if not told:
        return
    parts = []
    for (planned, *others), pools in told.items():
        dearest = max(each.usd_per_hour for pool in pools for each in pool.types)
        parts.append(f"{' or '.join(others)} where no {planned} is to be had, up to USD {dearest:,.2f} an hour a node")
    cost, budget = context.cost, context.spec.capacity.budget_usd_per_month
    most = cost.dearest_baseline_usd_per_month
    over = (
        f", over the budget of USD {budget:,.2f}, which is held against the planned price"
        if budget is not None and most is not None and most > budget
        else ""
    )
    dear = "" if most is None else f"; at the dearest throughout the baseline costs USD {most:,.2f} a month{over}"
    yield warning(
        "other-instance-types",
        f"nodes may be {'; '.join(parts)} (capacity.priceCapRatio {price_cap_ratio(context.spec):g}){dear}",
    )


def _renewed_at_any_hour(context: Context) -> Iterator[Warning]:
    """A lone replica on a node that is renewed whenever AWS publishes an AMI."""
    spec = context.spec
    if (
        not target_of(spec).can.chooses_node_image
        or spec.pins.ami_alias
        or spec.capacity.maintenance_window is not None
    ):
        return
    lone = [
        tiers[0]
        for tiers in context.tiers.values()
        if tiers[0].user_facing
        and warm_replicas(tiers) == 1
        and context.pools[tiers[0].node_pool].autoscaler is not None
    ]
    if lone:
        names = ", ".join(workload.agent for workload in lone)
        longest_s = max(workload.cold_start_s.warm_node_total for workload in lone)
        yield warning(
            "renewed-at-any-hour",
            f"the AMI is not pinned, so with Karpenter a new one has the node of the only replica of {names} replaced at "
            f"whatever hour it appears: an outage of up to about {longest_s:,.0f} s",
        )
