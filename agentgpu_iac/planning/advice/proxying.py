"""Warnings about the proxy in front: what a fallback asks of others, what is forgotten, and what is not counted."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import ProxyPlan, Warning
from agentgpu_iac.planning.advice.context import Context
from agentgpu_iac.planning.advice.wording import warning
from agentgpu_iac.planning.running.proxying import CHUNK_CPU_US, CORE_MILLI, cpu_milli, seats, tokens_behind
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import counted


def proxy_warnings(context: Context) -> Iterator[Warning]:
    """The warnings about it; none where callers come by themselves."""
    proxy = context.proxy
    if proxy is None:
        return
    if context.spec.pins.proxy_image is None:
        yield warning("unpinned", f"image {proxy.image} is named by tag; pin its digest with pins.proxyImage")
    yield from _alone(context, proxy)
    yield from _full(context, proxy)
    yield from _elsewhere(context, proxy)
    yield from _demand(context, proxy)
    yield from _not_counted(proxy)


def _alone(context: Context, proxy: ProxyPlan) -> Iterator[Warning]:
    if not proxy.counts_alone:
        return
    counts = any(team.budget_usd is not None for team in proxy.teams)
    forgets = (
        ", and it counts what teams have used up in its memory: after each start their days and months begin anew"
        if counts
        else ""
    )
    if target_of(context.spec).can.runs_machines:
        if counts:
            yield warning(
                "proxy-alone",
                "LiteLLM counts what teams have used up in its memory: after each start their days and months begin anew; name a "
                "Redis in proxy.redisSecret, which remembers",
            )
        return
    yield warning(
        "proxy-alone",
        f"one LiteLLM stands in front of {counted(len(proxy.agents), 'agent')}, and while it is replaced nobody "
        f"answers{forgets}; name a "
        "Redis in proxy.redisSecret, and two or more count together",
    )


def _full(context: Context, proxy: ProxyPlan) -> Iterator[Warning]:
    deployments = {agent.deployment for agent in context.agents if agent.name in proxy.agents}
    tokens = tokens_behind([tier for name in sorted(deployments) for tier in context.tiers[name]])
    carried = CORE_MILLI * 1_000 / CHUNK_CPU_US
    if cpu_milli(tokens) <= CORE_MILLI * proxy.replicas:
        return
    if target_of(context.spec).can.runs_machines:
        yield warning(
            "proxy-full",
            f"each machine has one LiteLLM, which carries about {carried:,.0f} streamed tokens/s (one thread, "
            f"{CHUNK_CPU_US / 1_000:g} ms each), and the agents on all {proxy.replicas} generate up to {tokens:,.0f}: answers "
            "slow down at the peak. Smaller machines, of which more run, or target: kubernetes have as many as it takes",
        )
    elif proxy.counts_alone:
        yield warning(
            "proxy-full",
            f"one LiteLLM carries about {carried:,.0f} streamed tokens/s (one thread, {CHUNK_CPU_US / 1_000:g} ms each), and the "
            f"agents generate up to {tokens:,.0f}: answers slow down at the peak. Name a Redis in proxy.redisSecret, and as many "
            "run as it takes",
        )


def _demand(context: Context, proxy: ProxyPlan) -> Iterator[Warning]:
    """What comes to a fallback when the agent before it is gone. No room is planned for it."""
    agents = {agent.name: agent for agent in context.agents}
    for route in proxy.routes:
        if route.model != route.agent or not route.fallbacks or route.fallbacks[0] not in agents:
            continue
        own, other = agents[route.agent], agents[route.fallbacks[0]]
        room = seats(other, context.tiers[other.deployment])
        missing = own.sessions_peak + other.sessions_peak - room
        if missing <= 0:
            continue
        then = f" and then go to {', '.join(route.fallbacks[1:])}" if len(route.fallbacks) > 1 else ""
        yield warning(
            "fallback-demand",
            f"when it is down, its {counted(own.sessions_peak, 'session')} of the peak ask {other.name}, which has "
            f"{counted(room, 'seat')} for {other.sessions_peak:,} of its own: up to {missing:,} wait there or are "
            f"refused{then}. No room "
            f"is planned for that; sessions.peak: {own.sessions_peak + other.sessions_peak:,} of {other.name} would plan it",
            own.name,
        )


def _elsewhere(context: Context, proxy: ProxyPlan) -> Iterator[Warning]:
    """Fallbacks that LiteLLM on a machine cannot ask."""
    if not target_of(context.spec).can.runs_machines:
        return
    agents = {agent.name: agent for agent in context.agents}
    at = {
        name: {tier.node_pool for tier in context.tiers[agents[name].deployment]}
        for name in agents
        if name in proxy.agents
    }
    for name, pools in at.items():
        following = agents[name].fallback
        if following is None or following not in at or pools <= at[following]:
            continue
        yield warning(
            "fallback-elsewhere",
            f"its fallback {following} is not on each of its machines ({', '.join(sorted(pools))}), and LiteLLM there knows no "
            f"address of other machines: callers ask {following} themselves, as the endpoints say. capacity.inventory "
            "with one machine, or isolation: shared for agents of one model, brings both onto one",
            name,
        )


def _not_counted(proxy: ProxyPlan) -> Iterator[Warning]:
    for team in proxy.teams:
        free = [
            route.agent
            for route in proxy.routes
            if route.model in team.models and route.model == route.agent and route.usd_per_million_tokens is None
        ]
        if team.budget_usd is not None and free:
            yield warning(
                "budget-not-counted",
                f"the budget of team {team.name} counts nothing for {', '.join(free)}: the spec does not say how many "
                "conversations share their cost (traffic.conversationsPerDay)",
            )
