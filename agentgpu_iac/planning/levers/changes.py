"""The fixed set of changes: what is written for each into the spec, by what the stack is and how it was planned.

A change is left out where it would change nothing, such as a lower peak where there is no burst. What it costs or saves, and
whether it can be planned at all, is the planner's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.lever import LeverName
from agentgpu_iac.planning.choosing.pricing import owned_alone
from agentgpu_iac.planning.choosing.tiers import RESERVE_AFTER_DAYS
from agentgpu_iac.planning.demand import budgets_ms
from agentgpu_iac.spec.model import Agent, StackSpec
from agentgpu_iac.spec.vocabulary import Precision
from agentgpu_iac.spec.yaml_tree import Data, Steps
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import counted, rounded

_PERCENTILES = (50.0, 90.0, 95.0, 99.0)
_QUANTILES = (0.9, 0.95)
_NARROWER: Mapping[Precision, tuple[Precision, ...]] = {
    "bf16": ("fp8", "int4"),
    "fp16": ("fp8", "int4"),
    "fp8": ("int4",),
}
_REGIONS = 2
"""Other regions that are asked about: those where the planned machines cost least."""
_CARDS = 2
"""Accelerators that a plan is made without, one at a time: those of the dearest nodes."""
_QUALITY = "answers may differ: check their quality first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Values at places of a spec."""

    lever: LeverName
    agent: str | None
    change: str
    values: Mapping[Steps, Data] = field(hash=False)
    caution: str = ""


def written(values: Mapping[Steps, Data], spec: StackSpec) -> str:
    """Values at places of a spec as somebody writes them: below ``spec``, or below the agents that are named."""
    parts: dict[str, dict[str, Any]] = {}
    for steps, value in values.items():
        of_agent = steps[1] == "agents" and len(steps) > 3 and isinstance(steps[2], int)
        owner = f"agent {spec.agents[int(steps[2])].name}: " if of_agent else ""
        *above, last = steps[3:] if of_agent else steps[1:]
        part = parts.setdefault(owner, {})
        for step in above:
            part = part.setdefault(str(step), {})
        part[str(last)] = value
    return "; ".join(f"{owner}{_fields(part)}" for owner, part in parts.items())


def _fields(part: Mapping[str, Data]) -> str:
    return ", ".join(f"{key}: {_value(each)}" for key, each in part.items())


def _value(value: Data) -> str:
    if isinstance(value, dict):
        return f"{{{_fields(value)}}}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def place(position: int, *names: str) -> Steps:
    """The place of an agent's field."""
    return ("spec", "agents", position, *names)


def of_agent(position: int, agent: Agent, plan: Plan | None) -> Iterator[Change]:
    """The changes of one agent's own fields."""
    for make in (_ttft, _peak, _isolation):
        yield from make(position, agent, plan)


def of_deployment(spec: StackSpec, position: int, plan: Plan | None) -> Iterator[Change]:
    """The changes of what the engine of an agent is started with: for all agents that it serves, so that they still share it."""
    agent = spec.agents[position]
    tiers = None if plan is None else next((each for each in plan.workloads if agent.name in each.served), None)
    names = (agent.name,) if tiers is None else tiers.served
    positions = [at for at, each in enumerate(spec.agents) if each.name in names]
    for make in (_precision, _kv_cache_dtype, _paused, _cold_start):
        for change in make(position, agent, plan):
            (steps, value), *_ = change.values.items()
            yield replace(
                change,
                agent=agent.name if tiers is None else tiers.agent,
                values={place(at, *(str(step) for step in steps[3:])): value for at in positions},
            )


def _precision(position: int, agent: Agent, plan: Plan | None) -> Iterator[Change]:
    now = agent.precision or _planned(agent, plan, lambda workload: workload.precision)
    for narrower in _NARROWER.get(now, ()) if now else ():
        yield Change(
            lever="precision",
            agent=agent.name,
            change=f"weights in {narrower} in place of {now}",
            values={place(position, "precision"): narrower},
            caution=_QUALITY,
        )


def _kv_cache_dtype(position: int, agent: Agent, plan: Plan | None) -> Iterator[Change]:
    now = _planned(agent, plan, lambda workload: workload.kv_cache_dtype) or agent.kv_cache_dtype
    if now != "fp8" and agent.requests is None:
        yield Change(
            lever="kv-cache-dtype",
            agent=agent.name,
            change="the KV cache in fp8",
            values={place(position, "kvCacheDtype"): "fp8"},
            caution=_QUALITY,
        )


def _ttft(position: int, agent: Agent, _: Plan | None) -> Iterator[Change]:
    now = budgets_ms(agent)[0]
    if now is None or agent.requests is not None:
        return
    for factor, word in ((2.0, "a first token may take twice as long"), (0.5, "a first token in half the time")):
        yield Change(
            lever="ttft", agent=agent.name, change=word, values={place(position, "ttftMs"): rounded(now * factor, 1)}
        )


def peak_values(position: int, agent: Agent, peak: int) -> dict[Steps, Data]:
    """An agent with another peak: of its sessions, and of all that the burst factor multiplies."""
    factor = max(1.0, rounded(peak / agent.sessions.concurrent, 6))
    values: dict[Steps, Data] = {place(position, "traffic", "burstFactor"): factor}
    if agent.requests is None:
        values[place(position, "sessions", "peak")] = peak
    return values


def peak_of(agent: Agent) -> int:
    """Sessions at the peak, as the spec says it."""
    return agent.sessions.peak or round(agent.sessions.concurrent * agent.traffic.burst_factor)


def _peak(position: int, agent: Agent, _: Plan | None) -> Iterator[Change]:
    if agent.requests is not None:
        if agent.traffic.burst_factor > 1:
            lower = rounded((1 + agent.traffic.burst_factor) / 2, 3)
            yield Change(
                lever="peak",
                agent=agent.name,
                change="half as much on top at the peak",
                values={place(position, "traffic", "burstFactor"): lower},
                caution="callers beyond it wait or are turned away",
            )
        return
    normal, now = agent.sessions.concurrent, peak_of(agent)
    half = normal + (now - normal) // 2
    if normal <= half < now:
        yield Change(
            lever="peak",
            agent=agent.name,
            change=f"{counted(half, 'session')} at the peak in place of {now:,}",
            values=peak_values(position, agent, half),
            caution="sessions beyond it wait or are turned away",
        )


def _paused(position: int, agent: Agent, plan: Plan | None) -> Iterator[Change]:
    if agent.requests is not None or plan is None:
        return
    now = _planned(agent, plan, lambda workload: workload.paused_cache) or "keep"
    for other, word in (
        ("keep", "kept on the accelerator"),
        ("offload", "moved to host memory"),
        ("drop", "dropped and read again"),
    ):
        if other != now:
            yield Change(
                lever="paused-cache",
                agent=agent.name,
                change=f"the cache of sessions that pause is {word}",
                values={place(position, "pausedCache"): other},
            )


def _isolation(position: int, agent: Agent, plan: Plan | None) -> Iterator[Change]:
    if agent.isolation == "dedicated":
        yield Change(
            lever="isolation",
            agent=agent.name,
            change="replicas in common with agents of the same model",
            values={place(position, "isolation"): "shared"},
        )
    elif plan is not None and any(each.name == agent.name and each.deployment != agent.name for each in plan.agents):
        yield Change(
            lever="isolation",
            agent=agent.name,
            change="replicas of its own",
            values={place(position, "isolation"): "dedicated"},
        )


def _cold_start(position: int, agent: Agent, plan: Plan | None) -> Iterator[Change]:
    if plan is None:
        return
    start = next((tiers for tiers in reversed(plan.workloads) if agent.name in tiers.served), None)
    if start is None or not start.user_facing or peak_of(agent) == agent.sessions.concurrent:
        return
    half = rounded(start.cold_start_s.upper.total / 2, 1)
    yield Change(
        lever="cold-start",
        agent=agent.name,
        change="a start that takes half as long",
        values={place(position, "overrides", "coldStartS"): half},
        caution="a figure that you measured: agentgpu explain lists what would shorten a start",
    )


def _planned(agent: Agent, plan: Plan | None, what: Callable[..., Precision | str]) -> Precision | None:
    """Something of the workload that serves the agent; None where there is no plan."""
    found = None if plan is None else next((each for each in plan.workloads if agent.name in each.served), None)
    return None if found is None else what(found)  # type: ignore[return-value]


def of_stack(spec: StackSpec, plan: Plan | None, catalog: Catalog) -> Iterator[Change]:
    """The changes of the stack's own fields."""
    capacity, latency = spec.capacity, spec.latency
    for near in _neighbours(_PERCENTILES, latency.percentile):
        yield _change(
            "percentile",
            f"budgets hold for {near:g} % of the requests",
            {("spec", "latency", "percentile"): near},
        )
    for near in [each for each in _QUANTILES if each < capacity.quantile][-1:]:
        yield _change(
            "quantile",
            f"enough is there for {near:.4g} of the time",
            {("spec", "capacity", "quantile"): near},
        )
    lower = rounded(capacity.memory_reserve_ratio / 2, 3)
    if lower:
        yield _change(
            "memory-reserve",
            f"{lower:.1%} of the memory kept free in place of {capacity.memory_reserve_ratio:.1%}",
            {("spec", "capacity", "memoryReserveRatio"): lower},
            "less room for what is not foreseen",
        )
    if capacity.spot == "never":
        yield _change("spot", "spot where it is safe", {("spec", "capacity", "spot"): "auto"})
    elif plan is None or any("spot" in pool.capacity_types for pool in plan.node_pools):
        yield _change("spot", "nothing on spot", {("spec", "capacity", "spot"): "never"})
    if capacity.fast_burst == "absorb" and any(_bursts(agent) for agent in spec.agents):
        yield _change(
            "fast-burst",
            "warm replicas for normal load alone",
            {("spec", "capacity", "fastBurst"): "turn-away"},
            "callers of a burst get 503 until its replicas are up",
        )
    if capacity.survive == "nothing" and any(agent.latency_class != "background" for agent in spec.agents):
        yield _change(
            "survive",
            "a warm replica to spare for each user-facing agent",
            {("spec", "capacity", "survive"): "replica"},
        )
    other = "never" if capacity.share_accelerators == "auto" else "auto"
    if len(spec.agents) > 1 and target_of(spec).can.shares_accelerators:
        word = "no accelerator has several models" if other == "never" else "small models together on an accelerator"
        yield _change("share-accelerators", word, {("spec", "capacity", "shareAccelerators"): other})
    yield from _reserved(spec)
    yield from _regions(spec, plan, catalog)
    yield from _cards(spec, plan)


def _change(lever: LeverName, change: str, values: Mapping[Steps, Data], caution: str = "") -> Change:
    return Change(lever=lever, agent=None, change=change, values=values, caution=caution)


def _bursts(agent: Agent) -> bool:
    return agent.latency_class != "background" and (
        peak_of(agent) > agent.sessions.concurrent or agent.traffic.burst_factor > 1
    )


def _neighbours(known: Sequence[float], now: float) -> Iterator[float]:
    """The nearest of the usual values on either side."""
    below = [each for each in known if each < now]
    above = [each for each in known if each > now]
    yield from below[-1:]
    yield from above[:1]


def _reserved(spec: StackSpec) -> Iterator[Change]:
    """As if production had shown a stable load for long enough: what waiting for that is worth."""
    sessions = sum(agent.sessions.concurrent for agent in spec.agents if agent.latency_class != "background")
    observed = spec.observed
    if not sessions or (observed.days >= RESERVE_AFTER_DAYS and observed.baseline_sessions >= sessions):
        return
    yield _change(
        "reserved",
        "normal load on reserved capacity",
        {("spec", "observed"): {"days": RESERVE_AFTER_DAYS, "baselineRatio": 1.0, "baselineSessions": sessions}},
        f"only once {RESERVE_AFTER_DAYS} days of production show so, and for the term of the reservation",
    )


def _regions(spec: StackSpec, plan: Plan | None, catalog: Catalog) -> Iterator[Change]:
    """The other regions where the planned machines cost least, bought as they are; one question where any region may be used."""
    if owned_alone(spec):
        return
    if not target_of(spec).can.one_region:
        if spec.regions:
            yield _change("region", "any region", {("spec", "regions"): ()}, "latency and residency of data change")
        return
    if plan is None:
        return
    wanted = {
        (plan.pool(item.node_pool).provider, item.instance_type, item.capacity_type): Decimal(0)
        for item in plan.cost.line_items
    }
    for item in plan.cost.line_items:
        hours = item.usd_per_month / item.usd_per_hour if item.usd_per_hour else Decimal(0)
        wanted[plan.pool(item.node_pool).provider, item.instance_type, item.capacity_type] += hours
    here = {pool.region for pool in plan.node_pools} | set(spec.regions)
    prices: dict[str, dict[tuple[str, str, str], Decimal]] = {}
    for offering in catalog.offerings:
        key = (offering.provider, offering.instance_type.name, offering.capacity_type)
        if (
            key in wanted
            and offering.usd_per_hour is not None
            and offering.region not in here
            and not offering.local_zone_of
        ):
            prices.setdefault(offering.region, {})[key] = offering.usd_per_hour
    sums = {
        region: sum((found[key] * hours for key, hours in wanted.items()), Decimal(0))
        for region, found in prices.items()
        if len(found) == len(wanted)
    }
    for region in sorted(sums, key=lambda region: (sums[region], region))[:_REGIONS]:
        yield _change(
            "region",
            f"region {region}",
            {("spec", "regions"): (region,)},
            "latency to callers and residency of data change",
        )


def _cards(spec: StackSpec, plan: Plan | None) -> Iterator[Change]:
    """Without a card that is planned: what it is worth, and what there is where it is not to be had."""
    if spec.accelerators.allow or spec.accelerators.deny:
        yield _change("card", "any accelerator", {("spec", "accelerators"): {"allow": (), "deny": ()}})
    if plan is None:
        return
    usd: dict[str, Decimal] = {}
    for item in plan.cost.line_items:
        card = plan.pool(item.node_pool).accelerator
        usd[card] = usd.get(card, Decimal(0)) + item.usd_per_month
    for card in sorted(usd, key=lambda card: (-usd[card], card))[:_CARDS]:
        allowed = tuple(each for each in spec.accelerators.allow if each != card)
        values: dict[Steps, Data] = {("spec", "accelerators", "deny"): (*spec.accelerators.deny, card)}
        if spec.accelerators.allow:
            if not allowed:
                continue
            values = {("spec", "accelerators", "allow"): allowed}
        yield _change("card", f"no {card}", values)
