"""What the plan costs, line by line, and what else would work at which price."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from agentgpu_iac.plan import AgentCost, Alternative, CommitmentCost, Cost, LineItem, NodePool
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.service import Service
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.opening import open_days, windows_per_month, work_seconds
from agentgpu_iac.planning.pools import Placed, Pool, homes
from agentgpu_iac.planning.running.served import load_ratios
from agentgpu_iac.planning.running.why import part_in_words
from agentgpu_iac.planning.settling import Settled
from agentgpu_iac.planning.writing.price_ages import price_age
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.vocabulary import CapacityType
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import HOURS_PER_MONTH, counted, rounded, usd_per_hour, usd_per_month

_CENT = Decimal("0.01")
_ALTERNATIVES_PER_AGENT = 3


def cost(
    pools: Sequence[Pool],
    alternatives: tuple[Alternative, ...],
    burst_hours: Decimal,
    gap_ratio: float,
    *,
    day: str,
    max_price_age_days: int,
    commitments: tuple[CommitmentCost, ...] = (),
) -> Cost:
    """What the pools cost, line by line; ``day`` is the one that the age of their prices counts to."""
    paid = _sum(each.usd_per_month for each in commitments)
    covered = [cover for each in commitments for cover in each.covers]
    in_baseline = _sum(cover.usd_per_month for cover in covered if cover.tier == "baseline")
    items = tuple(item for pool in pools for item in _line_items(pool, burst_hours))
    return Cost(
        baseline_usd_per_month=_sum(item.usd_per_month for item in items if item.tier == "baseline")
        + (paid - in_baseline),
        peak_usd_per_hour=usd_per_hour(
            _sum(item.usd_per_hour * item.nodes for item in items) + _at_the_peak(pools, paid)
        ),
        expected_usd_per_month=_sum(item.usd_per_month for item in items)
        + (paid - _sum(cover.usd_per_month for cover in covered)),
        line_items=items,
        commitments=commitments,
        price_age=price_age(_bought(items, pools), day, max_price_age_days),
        alternatives=alternatives,
        optimality_gap_ratio=gap_ratio,
    )


def _bought(items: Sequence[LineItem], pools: Sequence[Pool]) -> Sequence[LineItem]:
    """Without machines that are there already, whose rate is what the spec says today."""
    owned = {pool.name for pool in pools if pool.machine.owned}
    return [item for item in items if item.node_pool not in owned]


def _at_the_peak(pools: Sequence[Pool], paid_per_month: Decimal) -> Decimal:
    """What commitments cost more in an hour than the nodes that they cover do, while everything runs."""
    covered = _sum(
        each.nodes * (pool.purchase.fallback_usd_per_hour or pool.purchase.usd_per_hour)
        for pool in pools
        for each in pool.covered
    )
    return paid_per_month / HOURS_PER_MONTH - covered


def with_dearest(total: Cost, node_pools: Sequence[NodePool]) -> Cost:
    """The same with what it would be if every node were the dearest type that may stand in; as it is where none may."""
    if all(pool.dearest_usd_per_hour is None for pool in node_pools):
        return total
    hourly = [
        (
            pool.tier,
            _pool_usd_per_hour(pool, total)
            if pool.dearest_usd_per_hour is None
            else pool.dearest_usd_per_hour * pool.max,
            _mean_hours(pool),
        )
        for pool in node_pools
    ]
    return total.model_copy(
        update={
            "dearest_baseline_usd_per_month": _sum(
                (usd * hours).quantize(_CENT) for tier, usd, hours in hourly if tier == "baseline"
            ),
            "dearest_peak_usd_per_hour": usd_per_hour(_sum(usd for _, usd, _ in hourly)),
        }
    )


def _mean_hours(pool: NodePool) -> Decimal:
    """Hours of a month in which a node of the pool is there, on average over its nodes."""
    if pool.open_hours_per_month is None:
        return Decimal(HOURS_PER_MONTH)
    whole = HOURS_PER_MONTH * pool.min + Decimal(str(pool.open_hours_per_month)) * (pool.max - pool.min)
    return whole / pool.max


def _pool_usd_per_hour(pool: NodePool, total: Cost) -> Decimal:
    """All nodes of a pool as they are bought."""
    return _sum(item.usd_per_hour * item.nodes for item in total.line_items if item.node_pool == pool.name)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal("0.00"))


def _line_items(pool: Pool, burst_hours: Decimal) -> list[LineItem]:
    nodes, kept, month_h = pool.nodes, pool.kept_nodes, Decimal(HOURS_PER_MONTH)
    split: list[tuple[CapacityType, int, Decimal]] = [
        (pool.purchase.price_of, kept, month_h),
        (pool.purchase.price_of, nodes - kept, pool.other_hours(burst_hours)),
    ]
    if pool.reserved_nodes:
        split = [("reserved", pool.reserved_nodes, month_h), ("on-demand", nodes - pool.reserved_nodes, month_h)]
    items: list[LineItem] = []
    for way, count, hours in split:
        bought = pool.machine.way(way)
        if not count or bought is None:
            continue
        price = usd_per_hour(bought.usd_per_hour)
        month = usd_per_month(price * count) if hours == month_h else (price * count * hours).quantize(_CENT)
        items.append(
            LineItem(
                node_pool=pool.name,
                tier=pool.tier,
                capacity_type="owned" if pool.machine.owned else way,
                instance_type=pool.machine.instance.name,
                nodes=count,
                usd_per_hour=price,
                hours_per_month=hours.quantize(_CENT),
                usd_per_month=month,
                price_known=bought.price_known,
                price_date=bought.price_date,
                price_source=bought.price_source,
            )
        )
    return items


def other_accelerators(
    placed: Sequence[Placed],
    options: Sequence[Sequence[Option]],
    pools: Mapping[int, Sequence[Pool]],
    terms: Terms,
) -> tuple[Alternative, ...]:
    """For each deployment the next accelerators that would serve it; ``options`` are by their positions."""
    found: list[Alternative] = []
    for member in placed:
        here = part_of(member, pools[member.position], terms)
        seen = {member.candidate.accelerator.id}
        elsewhere = [
            option
            for option in options[member.position]
            if option.candidates[0].accelerator.id not in seen and option.are_there(terms)
        ]
        for option in sorted(elsewhere, key=lambda option: option.rank(terms)):
            candidate = option.candidates[0]
            if candidate.accelerator.id in seen or len(seen) > _ALTERNATIVES_PER_AGENT:
                continue
            seen.add(candidate.accelerator.id)
            price = option.usd_per_month_alone(terms).quantize(_CENT)
            found.append(_alternative(member, option, price, price - here.quantize(_CENT)))
    return tuple(found)


def with_less_reserve(
    placed: Sequence[Placed],
    options: Mapping[int, Sequence[Option]],
    pools: Mapping[int, Sequence[Pool]],
    terms: Terms,
) -> tuple[Alternative, ...]:
    """For each deployment the cheapest of what the memory's reserve alone turned away, where that is cheaper."""
    found: list[Alternative] = []
    for member in placed:
        refused = [option for option in options[member.position] if option.are_there(terms)]
        if not refused:
            continue
        here = part_of(member, pools[member.position], terms).quantize(_CENT)
        option = min(refused, key=lambda option: option.rank(terms))
        price = option.usd_per_month_alone(terms).quantize(_CENT)
        if price >= here:
            continue
        candidate = option.candidates[0]
        enough = candidate.memory.reserve_that_admits(candidate.memory.need_gib(candidate.seats_per_group))
        found.append(
            _alternative(member, option, price, price - here).model_copy(
                update={
                    "note": f"only the memory's reserve turns it away: capacity.memoryReserveRatio {enough or 0:g} would not; "
                    f"{_service_words(candidate.service)}"
                }
            )
        )
    return tuple(found)


_DAYS_PER_MONTH = HOURS_PER_MONTH // 24
_DAYS_PER_WEEK = 7


def by_agent(placed: Sequence[Placed], pools: Mapping[int, Sequence[Pool]], terms: Terms) -> tuple[AgentCost, ...]:
    """What each agent causes of the nodes' cost, and what that is for a thousand of what it is asked."""
    found: list[AgentCost] = []
    for member in placed:
        demand = member.candidate.demand
        whole = part_of(member, pools[member.position], terms)
        burst = part_of(member, (pool for pool in pools[member.position] if pool.tier == "burst"), terms)
        for served, ratio in zip(demand.served, load_ratios(demand), strict=True):
            usd, asked = whole * Decimal(str(ratio)), _asked_per_month(served)
            found.append(
                AgentCost(
                    agent=served.name,
                    usd_per_month=usd.quantize(_CENT),
                    burst_usd_per_month=(burst * Decimal(str(ratio))).quantize(_CENT),
                    asked_per_month=asked,
                    asked="conversations" if served.load is None else "requests",
                    usd_per_1000=None if not asked else (usd * 1000 / Decimal(str(asked))).quantize(Decimal("0.0001")),
                )
            )
    return tuple(found)


def _asked_per_month(demand: Demand) -> float | None:
    """What the spec says of it; what sessions could ask at most is no volume."""
    requests, daily = demand.agent.requests, demand.agent.traffic.conversations_per_day
    if demand.load is not None:
        return None if requests is None or requests.per_s is None else requests.per_s * HOURS_PER_MONTH * 3600
    if demand.agent.work is not None:
        return _work_per_month(demand)
    return None if not daily else float(daily * _DAYS_PER_MONTH * open_days(demand.agent) / _DAYS_PER_WEEK)


def _work_per_month(demand: Demand) -> float:
    """Conversations, or requests of a model that generates nothing, that its work is made of."""
    return demand.turns_per_s / demand.turns_per_asked * work_seconds(demand.agent) * windows_per_month(demand.agent)


def part_of(member: Placed, pools: Iterable[Pool], terms: Terms) -> Decimal:
    """What one deployment causes of the monthly cost of pools."""
    return sum((_part(member, pool, terms) for pool in pools), Decimal(0))


def _part(member: Placed, pool: Pool, terms: Terms) -> Decimal:
    """What one deployment causes of a pool's monthly cost: the pool's price by the accelerators that it takes there."""
    hours = pool.node_hours(terms.burst_hours) / pool.nodes
    month = pool.usd_per_hour * hours - pool.saved_usd_per_month
    if pool.shared:
        return month / len(pool.members)
    return month * pool.part(member.position).option.accelerators(pool.tier) / max(1, pool.accelerators_taken)


def _alternative(member: Placed, option: Option, price: Decimal, delta: Decimal) -> Alternative:
    candidate = option.candidates[0]
    count = candidate.accelerators_per_replica
    replicas = candidate.peak_replicas
    why = "dearer" if delta > 0 else "cheaper alone, but not for the stack as a whole"
    return Alternative(
        agent=member.candidate.demand.name,
        description=f"{replicas} x {count} {candidate.accelerator.name} on {_nodes(candidate)}{option.machine.instance.name}",
        accelerator=candidate.accelerator.id,
        instance_type=option.machine.instance.name,
        replicas=replicas,
        usd_per_month=price,
        delta_usd_per_month=delta,
        note=f"{why}; {_service_words(candidate.service)}",
        **_latency(candidate.service),
    )


def _latency(service: Service) -> dict[str, float | None]:
    """What would be planned of an alternative's latency."""
    return {
        "ttft_at_percentile_ms": _rounded(service.ttft_at_ms),
        "tpot_at_percentile_ms": _rounded(service.tpot_at_ms),
        "e2e_at_percentile_ms": _rounded(service.e2e_at_ms),
    }


def _rounded(value_ms: float | None) -> float | None:
    return None if value_ms is None else rounded(value_ms, 2)


def _nodes(candidate: Candidate) -> str:
    return "" if candidate.nodes == 1 else f"{candidate.nodes} x "


def _service_words(service: Service) -> str:
    if service.e2e_at_ms is not None:
        return f"answers in {service.e2e_at_ms:.0f} ms"
    if service.ttft_at_ms is None or service.tpot_at_ms is None:
        return "latency not predicted"
    return f"TTFT {service.ttft_at_ms:.0f} ms, TPOT {service.tpot_at_ms:.1f} ms"


def second_replicas(
    settled: Settled, with_second: Mapping[int, Settled], terms: Terms, spec: StackSpec
) -> tuple[Alternative, ...]:
    """A second warm replica for each user-facing agent whose only one would be away during a rollout, as it would be planned."""
    found: list[Alternative] = []
    here = homes(settled.pools)
    for member in settled.placed:
        other = with_second.get(member.position)
        if other is None:
            continue
        names = {served.name for served in member.candidate.demand.served}
        there = [each for each in other.placed if names & {served.name for served in each.candidate.demand.served}]
        more = (other.placement.usd - settled.placement.usd).quantize(_CENT)
        now = sum((_part(member, pool, terms) for pool in here[member.position]), Decimal(0)).quantize(_CENT)
        first = there[0].candidate
        pools = [pool for each in there for pool in homes(other.pools)[each.position] if pool.tier == "baseline"]
        found.append(
            Alternative(
                agent=member.candidate.demand.name,
                description=f"a second warm replica: {_and(_in_words(each) for each in there)}",
                accelerator=first.accelerator.id,
                instance_type=there[0].option.machine.instance.name,
                replicas=sum(each.candidate.baseline_replicas for each in there),
                usd_per_month=now + more,
                delta_usd_per_month=more,
                note=_second_buys(spec, on_several_nodes=all(pool.nodes > first.nodes for pool in pools)),
                **_latency(first.service),
            )
        )
    return tuple(found)


def _in_words(member: Placed) -> str:
    candidate = member.candidate
    if member.rest is not None:
        return _and(map(part_in_words, (member, member.rest)))
    if member.option.is_shared:
        on = f"each {candidate.accelerator.name} of {member.option.machine.instance.name}"
        return f"{counted(candidate.baseline_replicas, 'engine')}, {member.option.engines_per_accelerator} on {on}"
    return (
        f"{candidate.baseline_replicas} x {candidate.accelerators_per_replica} {candidate.accelerator.name} on "
        f"{_nodes(candidate)}{member.option.machine.instance.name}"
    )


def _and(words: Iterable[str]) -> str:
    return " and ".join(words)


def _second_buys(spec: StackSpec, *, on_several_nodes: bool) -> str:
    """What a second warm replica is good for."""
    if target_of(spec).can.runs_machines:
        return "no outage when the machine that is not in front fails"
    return "no outage at rollouts or when a node fails" if on_several_nodes else "no outage at rollouts"
