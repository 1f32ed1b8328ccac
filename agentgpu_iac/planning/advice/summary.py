"""What a plan amounts to, in a word or two sentences: its pattern, its architecture and its facts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentgpu_iac.plan import Architecture, Pattern, PriceAge, Workload, baselines
from agentgpu_iac.plan.cards import cards
from agentgpu_iac.plan.pooling import per_second
from agentgpu_iac.planning.advice.context import Context
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.units import counted

HIGH_CONCURRENCY_SESSIONS = 1_000
"""Sessions at the peak from which a stack is a high-concurrency API."""
RULING_SHARE = 0.9
"""Share of a stack's sessions from which one agent's traffic is the stack's."""
REASONING_TOKENS_PER_TURN = 1_000
REASONING_KV_GIB = 4.0
"""KV cache per session from which memory for long contexts rules the choice (a 70B model with GQA at 16K)."""
SMALL_MODEL_PARAMS = 10_000_000_000
LARGE_MODEL_PARAMS = 30_000_000_000
_ROUTER_ROLES = frozenset({"router", "classifier"})
_REASONER_ROLES = frozenset({"reasoner"})


def has_role(candidate: Candidate, roles: frozenset[str]) -> bool:
    """Whether the agent has one of these roles, in any case."""
    return any((member.agent.role or "").casefold() in roles for member in candidate.demand.served)


def is_reasoning_heavy(candidate: Candidate) -> bool:
    """Long reasoning or long contexts: the KV cache rules the choice of accelerator."""
    reasoning = [member.agent.conversation.reasoning_tokens_per_turn or 0 for member in candidate.demand.served]
    accelerators = candidate.accelerators_per_replica
    return (
        has_role(candidate, _REASONER_ROLES)
        or max(reasoning) >= REASONING_TOKENS_PER_TURN
        or candidate.memory.kv_per_session_gib * accelerators >= REASONING_KV_GIB
    )


def pattern(context: Context) -> Pattern:
    """The mission's pattern that the stack follows."""
    candidates = context.candidates
    peaks = [member.peak for candidate in candidates for member in candidate.demand.served]
    if max(peaks) >= max(HIGH_CONCURRENCY_SESSIONS, RULING_SHARE * sum(peaks)):
        return "high-concurrency-api"
    if len(peaks) > 1:
        return "multi-agent-orchestration"
    return "reasoning-heavy" if is_reasoning_heavy(candidates[0]) else "single-agent"


def architecture(context: Context) -> Architecture:
    """The mission's architecture that the placement amounts to."""
    baseline_providers = {pool.provider for pool in context.node_pools if pool.tier == "baseline"}
    burst_providers = {pool.provider for pool in context.node_pools if pool.tier == "burst"}
    if burst_providers and burst_providers != baseline_providers:
        return "multi-provider-burst"
    bursts = (service for service in context.sky_services if service.max_replicas > service.min_replicas)
    if any(len({place.cloud for place in service.places}) > 1 for service in bursts):
        return "multi-provider-burst"
    params = [candidate.demand.model.params_total for candidate in context.candidates]
    classes = {candidate.accelerator.id for candidate in context.candidates}
    has_router = any(has_role(candidate, _ROUTER_ROLES) for candidate in context.candidates)
    spread = min(params) <= SMALL_MODEL_PARAMS and max(params) >= LARGE_MODEL_PARAMS
    if len(classes) > 1 and (has_router or spread):
        return "tiered-by-complexity"
    if _scales(context):
        return "baseline-and-burst"
    return "single-node" if sum(pool.max for pool in context.node_pools) == 1 else "several-nodes"


def _scales(context: Context) -> bool:
    """Whether more runs at the peak than at rest."""
    if context.sky_services:
        return any(service.max_replicas > service.min_replicas for service in context.sky_services)
    return any(workload.tier == "burst" for workload in context.workloads)


def facts(context: Context) -> tuple[str, ...]:
    """The plan in short sentences, a fact each: the nodes, what they carry, what stays free, what it costs, how old that is."""
    kinds: dict[str, int] = {}
    for item in context.cost.line_items:
        if item.tier == "baseline":
            pool = context.pools[item.node_pool]
            bought = "" if item.capacity_type == "on-demand" else f", {item.capacity_type}"
            accelerator = context.catalog.accelerator(pool.accelerator).name
            kind = f"{item.instance_type} ({pool.accelerators_per_node} x {accelerator}{bought})"
            kinds[kind] = kinds.get(kind, 0) + item.nodes
    nodes = " + ".join(f"{count} x {kind}" for kind, count in kinds.items())
    cost = context.cost
    price = (
        f"USD {cost.baseline_usd_per_month:,.2f} a month warm, USD {cost.peak_usd_per_hour:,.2f} an hour at the peak."
    )
    aged = _prices(cost.price_age)
    return (f"{nodes}.", *_carried(context), _free(context), price, *((aged,) if aged else ()))


def _carried(context: Context) -> Iterator[str]:
    """What the nodes carry, at rest and at the peak."""
    burst = sum(pool.max for pool in context.node_pools if pool.tier == "burst")
    sessions = sum(
        min(candidate.demand.concurrent, _warm_seats(context.tiers[candidate.demand.name]))
        for candidate in context.candidates
    )
    peak = sum(
        min(candidate.demand.peak, candidate.peak_replicas * candidate.max_num_seqs) for candidate in context.candidates
    )
    answered = sum(
        candidate.demand.requests_per_s(peak=True)
        for candidate in context.candidates
        if candidate.demand.load is not None
    )
    if peak and burst:
        grown = f"{counted(burst, 'node')} more {'carries' if burst == 1 else 'carry'}"
        yield f"{counted(sessions, 'session')} {'is' if sessions == 1 else 'are'} warm, and {grown} {peak:,} at the peak."
    elif peak:
        yield f"{counted(peak, 'session')} of the peak {'stays' if peak == 1 else 'stay'} resident."
    if answered:
        yield f"{per_second(answered)} requests/s of the peak are answered."


def _warm_seats(tiers: Sequence[Workload]) -> int:
    return sum(tier.replicas.max * tier.max_num_seqs for tier in baselines(tiers))


def _free(context: Context) -> str:
    """What the fullest accelerator keeps free."""
    fullest = max(card.used_ratio for card in cards(context.workloads, context.node_pools))
    return f"At least {1 - fullest:.0%} of each accelerator is free."


def _prices(age: PriceAge | None) -> str:
    """How old the prices are, where they are older than wanted or nobody knows it."""
    if age is None:
        return ""
    old = f"up to {counted(age.days or 0, 'day')} old" if age.is_over else ""
    undated = "without a date" if age.undated else ""
    return f"Prices are {' or '.join(filter(None, (old, undated)))}." if old or undated else ""
