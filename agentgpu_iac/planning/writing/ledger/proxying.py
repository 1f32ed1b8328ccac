"""What the proxy in front of the agents lets through, waits for and pays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentgpu_iac.plan import AgentPlan, PaidRoute, ProxyPlan, ProxyRoute, Workload
from agentgpu_iac.planning.running.proxying import CHUNK_CPU_US, SHARE_AT_RISK, slowest_first_token, tokens_behind
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.units import counted

SECTION = "Proxy"

_READ = "LiteLLM 1.104.2, docs/tenancy.md"


def proxy_lines(proxy: ProxyPlan, agent: AgentPlan, tiers: Sequence[Workload]) -> Iterator[Line]:
    """The lines of one agent; none where callers ask it by themselves."""
    route = next((each for each in proxy.routes if each.model == agent.name), None)
    if route is None:
        return
    yield from _route_lines(route, agent, tiers)
    for paid in proxy.paid:
        if paid.agent == agent.name:
            yield from _paid_lines(paid, proxy.replicas)


def stack_lines(proxy: ProxyPlan, tiers: Sequence[Workload]) -> Iterator[Line]:
    """The lines of the proxy itself."""
    tokens = tokens_behind(tiers)
    yield Line(
        name="proxies",
        formula="tokens/s of all agents at the peak x CPU time of a token / a core, + 1 where a Redis counts for several; else 1",
        inputs=f"{tokens:,.0f} tokens/s x {CHUNK_CPU_US:,.0f} us",
        value=proxy.replicas,
        result=f"{proxy.replicas} of {proxy.cpu_milli} m",
        unit="",
        source="tests/e2e/proxy",
    )


def _route_lines(route: ProxyRoute, agent: AgentPlan, tiers: Sequence[Workload]) -> Iterator[Line]:
    if route.max_parallel_requests is not None:
        seats = " + ".join(f"{tier.replicas.max} x {tier.max_num_seqs}" for tier in tiers)
        shared = len(tiers[0].served) > 1
        part = f" x {agent.sessions_peak} / {counted(tiers[0].sessions_peak, 'session')}" if shared else ""
        yield Line(
            name="maxParallelRequests",
            formula="seats of all replicas of the peak, the agent's part by its sessions; then its fallback is asked"
            if route.fallbacks
            else "what the router lets through",
            inputs=f"{seats}{part}" if route.fallbacks else "",
            value=route.max_parallel_requests,
            result=counted(route.max_parallel_requests, "request"),
            unit="",
            source=_READ,
        )
    known = slowest_first_token(tiers)
    yield Line(
        name="firstTokenTimeoutS",
        formula="time in which the router may try other replicas + TTFT at the percentile, or with a lost cache, + its error"
        if known is not None
        else "the longest answer, since nothing is known of its TTFT",
        inputs="" if known is None else f"({known[0]:,.0f} + {known[1]:,.0f} x (1 + {known[2]:g})) ms",
        value=route.first_token_timeout_s,
        result=f"{route.first_token_timeout_s} s",
        unit="s",
        source=_READ,
    )


def _paid_lines(paid: PaidRoute, replicas: int) -> Iterator[Line]:
    yield Line(
        name="dearestRequestUsd",
        formula="longest prompt x price + longest answer x price",
        inputs=f"{paid.max_tokens:,} x ({paid.usd_per_million_input:g} + {paid.usd_per_million_output:g}) / 1,000,000",
        value=float(paid.dearest_request_usd),
        result=f"USD {paid.dearest_request_usd:,.6f}",
        unit="USD",
        source="spec: paidFallback",
    )
    yield Line(
        name="paid requests at once",
        formula="seats of the agent, or what half of the cap pays for, of each proxy",
        inputs=f"{paid.cap_usd:g} x {SHARE_AT_RISK:g} / ({paid.dearest_request_usd:g} x {replicas})",
        value=paid.max_parallel_requests,
        result=f"{paid.max_parallel_requests:,} at most",
        unit="",
        source=_READ,
    )
    yield Line(
        name="budgetUsd",
        formula="cap - dearest request x requests at once x proxies: what is under way is paid whatever is then decided",
        inputs=f"{paid.cap_usd:g} - {paid.dearest_request_usd:g} x {paid.max_parallel_requests} x {replicas}",
        value=float(paid.budget_usd),
        result=f"USD {paid.budget_usd:,.4f} a {paid.window}, of a cap of {paid.cap_usd:,.2f}",
        unit="USD",
        source=_READ,
    )
