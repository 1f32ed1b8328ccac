"""Which nodes of the pools commitments cover, and what each commitment costs and is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from agentgpu_iac.plan import BreakEven, CommitmentCost, CoveredNodes
from agentgpu_iac.planning.choosing.commitments import Committed, applies, meter
from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.placement import Placement
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.tiers import Purchase
from agentgpu_iac.planning.pools import Covered, Pool
from agentgpu_iac.units import HOURS_PER_MONTH, rounded, usd_per_hour

_CENT = Decimal("0.01")


def covered_pools(pools: Sequence[Pool], placement: Placement, terms: Terms) -> tuple[Pool, ...]:
    """The pools with what commitments cover of their nodes; of pools of one kind the first ones first."""
    left = {key: Decimal(repr(nodes)) for key, nodes in placement.covered.items()}
    found: list[Pool] = []
    for pool in pools:
        free = Decimal(pool.nodes - pool.reserved_nodes)
        covered: list[Covered] = []
        for number, each in enumerate(terms.commitments):
            key = (number, meter(pool.machine.id, pool.tier))
            may_be = pool.open is None and applies(_on_demand(pool))
            nodes = min(free, left.get(key, Decimal(0))) if may_be else Decimal(0)
            if not nodes:
                continue
            free -= nodes
            left[key] -= nodes
            hourly = _on_demand(pool).usd_per_hour
            hours = Decimal(HOURS_PER_MONTH) if pool.tier == "baseline" else terms.burst_hours
            worth = each.saved_usd_per_hour(hourly, pool.tier) * hours * nodes
            covered.append(Covered(number=number, nodes=nodes, usd_per_month=worth))
        found.append(replace(pool, covered=tuple(covered)))
    return tuple(
        replace(
            pool,
            saved_usd_per_month=sum(
                (each.usd_per_month - _paid_for(each, pool, terms.commitments[each.number]) for each in pool.covered),
                Decimal(0),
            ),
        )
        for pool in found
    )


def _on_demand(pool: Pool) -> Purchase:
    """How those of its nodes are bought that no reserved capacity carries."""
    purchase = pool.purchase
    if pool.reserved_nodes and purchase.fallback_usd_per_hour is not None:
        return Purchase(
            capacity_types=("on-demand",), usd_per_hour=purchase.fallback_usd_per_hour, fallback_usd_per_hour=None
        )
    return purchase


def _used(pools: Sequence[Pool], number: int, committed: Committed) -> Decimal:
    """How much of a commitment nodes of the baseline use, all month."""
    return sum(
        (
            covered.nodes * committed.takes[pool.machine.id]
            for pool in pools
            for covered in pool.covered
            if covered.number == number and pool.tier == "baseline"
        ),
        Decimal(0),
    )


def _paid_for(covered: Covered, pool: Pool, committed: Committed) -> Decimal:
    """What a pool uses of a commitment, at what that costs: nodes of a burst use what is paid for anyway."""
    if pool.tier == "burst":
        return Decimal(0)
    return covered.nodes * committed.takes[pool.machine.id] * committed.usd_per_hour * committed.hours


def commitment_costs(
    pools: Sequence[Pool], placement: Placement, terms: Terms, machines: Sequence[Machine]
) -> tuple[CommitmentCost, ...]:
    """What each commitment costs, covers and leaves unused, and from how many hours a month it pays."""
    by_id = {machine.id: machine for machine in machines}
    found: list[CommitmentCost] = []
    for number, each in enumerate(terms.commitments):
        amount = Decimal(repr(placement.committed[number])) if placement.committed else Decimal(0)
        covers = tuple(
            CoveredNodes(
                node_pool=pool.name,
                tier=pool.tier,
                nodes=float(covered.nodes),
                usd_per_month=covered.usd_per_month.quantize(_CENT),
            )
            for pool in pools
            for covered in pool.covered
            if covered.number == number
        )
        used = _used(pools, number, each)
        found.append(
            CommitmentCost(
                position=each.position,
                kind=each.of.kind,
                machines=tuple(sorted({name for _, name, _ in each.takes})),
                region=each.of.region,
                signed=each.is_signed,
                most=float(each.most),
                committed=float(amount),
                usd_per_hour=usd_per_hour(each.usd_per_hour),
                upfront_usd=(each.of.upfront_usd * amount).quantize(_CENT),
                term_months=each.of.term_months,
                starts=each.of.starts,
                ends=each.of.ends,
                hours_per_month=float(each.hours),
                usd_per_month=(amount * each.usd_per_hour * each.hours).quantize(_CENT),
                covers=covers,
                covers_usd_per_month=sum((cover.usd_per_month for cover in covers), Decimal("0.00")),
                unused_ratio=rounded(float(1 - used / amount)) if amount else 0.0,
                break_even=_break_even(each, by_id),
            )
        )
    return tuple(found)


def _break_even(committed: Committed, machines: dict[tuple[str, str, str], Machine]) -> tuple[BreakEven, ...]:
    """For each kind of machine, where it is cheapest, how many hours on demand cost as much as a month of it committed."""
    cheapest: dict[str, tuple[Decimal, str, BreakEven]] = {}
    for machine_id, takes in sorted(committed.takes.items()):
        on_demand = machines[machine_id].usd_per_hour("on-demand")
        if not on_demand:
            continue
        _, name, region = machine_id
        hourly = takes * committed.usd_per_hour
        known = cheapest.get(name)
        if known is None or (on_demand, region) < known[:2]:
            cheapest[name] = (
                on_demand,
                region,
                BreakEven(
                    machine=name,
                    region=region,
                    on_demand_usd_per_hour=usd_per_hour(on_demand),
                    committed_usd_per_hour=usd_per_hour(hourly),
                    hours_per_month=rounded(float(hourly * committed.hours / on_demand)),
                ),
            )
    return tuple(each for _, _, each in cheapest.values())
