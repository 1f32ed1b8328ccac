"""The ledger of a plan: the lines of every section, joined to their workloads, what was set by hand marked as such."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from agentgpu_iac.plan import (
    AgentPlan,
    Cost,
    LedgerEntry,
    LineItem,
    NodePool,
    Override,
    ProxyPlan,
    VcpuNeed,
    Workload,
    baselines,
)
from agentgpu_iac.planning.pools import Placed
from agentgpu_iac.planning.running.served import load_ratios
from agentgpu_iac.planning.writing.calling import Beyond, carried, days_per_month
from agentgpu_iac.planning.writing.ledger import (
    account,
    calls,
    context,
    cost,
    filling,
    host,
    latency,
    memory,
    proxying,
    rollout,
    start,
    throughput,
)
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.units import figure

_LINE_OF = {"coldStartS": "total", "baselineReplicas": "replicas", "burstReplicas": "replicas"}
"""Lines that are not called as the override is."""

_Section = tuple[str, Iterable[Line]]


def entries(
    placed: Sequence[Placed],
    tiers: Mapping[str, Sequence[Workload]],
    total: Cost,
    overrides: Sequence[Override],
    pools: Mapping[str, NodePool],
    quotas: Sequence[VcpuNeed],
    beyond: Mapping[str, Beyond],
) -> tuple[LedgerEntry, ...]:
    """Every number of every agent with its sum, in the order of the agents.

    Context, memory and latency stand at the baseline: the burst tier runs the same engine, and has lines of its own where it
    is another candidate or on another machine, as has the rest of a baseline on two kinds. ``pools`` are by name, ``beyond`` by
    agent.
    """
    members: dict[str, set[str]] = {}
    for workloads in tiers.values():
        for workload in workloads:
            members.setdefault(workload.node_pool, set()).add(workload.agent)
    by_pool: dict[str, list[LineItem]] = {}
    for item in total.line_items:
        by_pool.setdefault(item.node_pool, []).append(item)
    by_hand: dict[str, list[Override]] = {}
    for override in overrides:
        by_hand.setdefault(override.agent, []).append(override)
    costs = {each.agent: each for each in total.by_agent}
    cheapest = {each.agent: each for each in reversed(total.calls)}
    found: list[LedgerEntry] = []
    for member in placed:
        workloads = tiers[member.candidate.demand.name]
        baseline, agent = workloads[0], workloads[0].agent
        found += _with_overrides(baseline.name, _sections(member, baseline), by_hand.get(agent, ()))
        if member.rest is not None:
            found += _with_overrides(workloads[1].name, _sections(member.rest, workloads[1]), ())
        if member.burst is not None:
            found += _with_overrides(workloads[-1].name, _sections(member.burst, workloads[-1]), ())
        for workload in workloads:
            pool = workload.node_pool
            hours = cost.hours_lines(workload, pools[pool].idle_s)
            found += (_entry(workload.name, cost.SECTION, line) for line in hours)
            lines = cost.cost_lines(by_pool.get(pool, ()), agent, members[pool], baseline.open_hours)
            found += (_entry(workload.name, cost.SECTION, line) for line in lines)
            bound = cost.commitment_lines(total.commitments, pool)
            found += (_entry(workload.name, cost.SECTION, line) for line in bound)
            filled = filling.filling_lines(pools[pool])
            found += (_entry(workload.name, filling.SECTION, line) for line in filled)
            rolled = rollout.rollout_lines(workload, pools[pool].idle_s)
            found += (_entry(workload.name, rollout.SECTION, line) for line in rolled)
            counted = account.quota_lines(pools[pool], quotas)
            found += (_entry(workload.name, account.SECTION, line) for line in counted)
        demand = member.candidate.demand
        found += (
            _entry(baseline.name, f"{cost.SECTION} of {served.name}", line)
            for served, ratio in zip(demand.served, load_ratios(demand), strict=True)
            for line in cost.agent_lines(costs[served.name], ratio)
        )
        found += (
            _entry(baseline.name, f"{calls.SECTION} of {served.name}", line)
            for served, ratio in zip(demand.served, load_ratios(demand), strict=True)
            if served.name in cheapest
            for line in calls.call_lines(
                cheapest[served.name],
                costs[served.name],
                carried(member, served, ratio, baselines(workloads)),
                days_per_month(served),
                beyond.get(served.name),
            )
        )
        found += (
            _entry(baseline.name, calls.ENDPOINTS, line)
            for each in total.endpoints
            if each.deployment == demand.name
            for line in calls.endpoint_lines(each)
        )
    return tuple(found)


def proxy_entries(
    proxy: ProxyPlan | None, agents: Sequence[AgentPlan], tiers: Mapping[str, Sequence[Workload]]
) -> Iterator[LedgerEntry]:
    """What stands in front, agent by agent, and for all of them at the first."""
    if proxy is None:
        return
    behind = [agent for agent in agents if agent.name in proxy.agents]
    deployments = dict.fromkeys(agent.deployment for agent in behind)
    every = [tier for deployment in deployments for tier in tiers[deployment]]
    for index, agent in enumerate(behind):
        own = tiers[agent.deployment]
        section = proxying.SECTION if len(own[0].served) == 1 else f"{proxying.SECTION} of {agent.name}"
        lines = (*(proxying.stack_lines(proxy, every) if index == 0 else ()), *proxying.proxy_lines(proxy, agent, own))
        yield from (_entry(own[0].name, section, line) for line in lines)


def _sections(member: Placed, baseline: Workload) -> Iterator[_Section]:
    candidate = member.candidate
    yield context.SECTION, context.context_lines(candidate.demand)
    for served in candidate.demand.members:
        yield f"{context.SECTION} of {served.name}", context.context_lines(served)
    yield memory.SECTION, memory.lines(candidate, baseline)
    yield host.SECTION, host.lines(candidate, baseline)
    yield latency.SECTION, latency.latency_lines(candidate, baseline, member.option.engines_per_accelerator)
    yield throughput.SECTION, throughput.throughput_lines(candidate, baseline)
    yield start.SECTION, start.start_lines(baseline)


def _with_overrides(
    workload: str, sections: Iterable[_Section], overrides: Iterable[Override]
) -> Iterator[LedgerEntry]:
    """The lines, with no formula for a figure set by hand; then the figures set by hand that no line shows."""
    left: dict[str, list[Override]] = {}
    for override in overrides:
        left.setdefault(_LINE_OF.get(override.field, override.field), []).append(override)
    for section, lines in sections:
        for line in lines:
            by_hand = left.pop(line.name, None)
            entry = _entry(workload, section, line)
            if by_hand is not None:
                inputs = "; ".join(
                    f"{override.field} {figure(override.value)} ({override.beside})" for override in by_hand
                )
                entry = entry.model_copy(
                    update={"formula": "set by hand", "inputs": inputs, "source": "spec: overrides"}
                )
            yield entry
    for name, by_hand in left.items():
        for override in by_hand:
            yield LedgerEntry(
                workload=workload,
                section="Set by hand",
                name=name,
                formula="set by hand",
                inputs=override.beside,
                result=figure(override.value),
                value=override.value,
                unit="",
                source="spec: overrides",
            )


def _entry(workload: str, section: str, line: Line) -> LedgerEntry:
    return LedgerEntry(
        workload=workload,
        section=section,
        name=line.name,
        formula=line.formula,
        inputs=line.inputs,
        result=line.result,
        value=float(line.value),
        unit=line.unit,
        source=line.source,
    )
