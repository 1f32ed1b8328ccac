"""The proxy in front of the agents: which models it knows, what it asks next, how long it waits, and when paid answers end.

LiteLLM is told everything here; see docs/tenancy.md for what it does with each setting, as read in its release and tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_DOWN, Decimal
from typing import Final

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import Infeasible
from agentgpu_iac.plan import (
    AgentPlan,
    HostProxyPlan,
    PaidRoute,
    ProxyPlan,
    ProxyRoute,
    RoutePlan,
    RouterPlan,
    TeamPlan,
    Topology,
    Workload,
)
from agentgpu_iac.plan.proxy import Window, counts_alone
from agentgpu_iac.planning import priorities
from agentgpu_iac.planning.choosing import leaving
from agentgpu_iac.planning.running.routing import (
    CONNECT_TIMEOUT_MS,
    DEFAULT_RETRY_MS,
    answer_timeout_s,
    tokens_per_s,
)
from agentgpu_iac.spec.model import Agent, PaidFallback, StackSpec, Team
from agentgpu_iac.spec.reserved import PAID_ENDING, PROXY_NAME
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import ceil_div, counted, round_up, usd

PROXY_PORT: Final = 4_000
"""LiteLLM's own. On a virtual machine NGINX listens there for callers."""
LOOPBACK_PORT: Final = 9_082
"""LiteLLM's on a virtual machine, after those of NGINX's own answers."""
MILLION: Final = Decimal(1_000_000)

CHUNK_CPU_US: Final = 1_250.0
"""CPU time of one streamed token through LiteLLM 1.104.2: 1.1 to 1.4 ms were seen on a core of a cloud machine, over streams
of 400 tokens. It is one thread: a process carries 800 tokens/s."""
_LEAST_CPU_MILLI: Final = 500
CORE_MILLI: Final = 1_000
"""What one thread can use."""
MEMORY_MIB: Final = 1_024
"""Of one process: 400 MiB were seen after its first requests, and what is under way comes on top."""
_START_S: Final = 180
"""28 s were seen on a busy machine with two cores; the rest is for an image's first start."""
_STOP_MARGIN_S: Final = 5
_LEAST_TIMEOUT_S: Final = 2
"""Of a first token: a connection that was lost on the way is sent anew by the kernel within a second."""
_SPREAD: tuple[Topology, ...] = ("host", "zone")

SHARE_AT_RISK: Final = Decimal("0.5")
"""Part of a cap that requests under way may be worth: what is under way is paid whatever is then decided."""
_MONTH_DAYS: Final = 30


def has_proxy(spec: StackSpec) -> bool:
    """Whether something must know teams or ask fallbacks, and may stand there."""
    if spec.proxy.use == "none" or not target_of(spec).can.runs_proxy:
        return False
    return bool(spec.teams) or any(
        agent.fallback is not None or agent.paid_fallback is not None for agent in spec.agents
    )


def proxy_plan(
    spec: StackSpec,
    catalog: Catalog,
    workloads: Mapping[str, Sequence[Workload]],
    agents: Sequence[AgentPlan],
    router: RouterPlan | None,
    addresses: Mapping[str, str],
    usd_per_million: Mapping[str, Decimal],
    *,
    machines: int | None,
) -> ProxyPlan | None:
    """LiteLLM and all that it is told; None where nobody needs it.

    ``workloads`` are by deployment; ``addresses`` and ``usd_per_million`` tokens by agent, where these are known; ``machines`` is
    how many run at most, each with a LiteLLM of its own, where there is no cluster.

    Raises Infeasible where a cap does not pay for one request, or where each of several machines would allow all of a limit.
    """
    if not has_proxy(spec):
        return None
    written = {agent.name: agent for agent in spec.agents}
    chats = [agent for agent in agents if written[agent.name].requests is None]
    tiers = {agent.name: workloads[agent.deployment] for agent in chats}
    behind = [
        tier for found in {agent.deployment: workloads[agent.deployment] for agent in chats}.values() for tier in found
    ]
    tokens = tokens_behind(behind)
    teams = tuple(_team(team, chats, index) for index, team in enumerate(spec.teams))
    replicas = _replicas(spec, teams, tokens) if machines is None else _on_each(spec, teams, machines)
    paid = tuple(
        _paid(spec, agent, tiers[agent.name], replicas, index)
        for index, agent in enumerate(chats)
        if _api(written, agent)
    )
    release = catalog.service("litellm")
    return ProxyPlan(
        version=release.version,
        image=spec.pins.proxy_image or release.image,
        port=PROXY_PORT if machines is None else LOOPBACK_PORT,
        replicas=replicas,
        spread=_SPREAD if spec.cluster_objects.topology_spread and replicas > 1 and machines is None else (),
        priority=priorities.highest(tier.pod.priority for tier in behind),
        cpu_milli=min(CORE_MILLI, max(_LEAST_CPU_MILLI, round_up(cpu_milli(tokens), 50))),
        memory_mib=MEMORY_MIB,
        start_s=_START_S,
        drain=leaving.behind(behind, _STOP_MARGIN_S),
        redis_secret=spec.proxy.redis_secret,
        session_header=spec.network.session_header,
        routes=tuple(
            route
            for agent in chats
            for route in _routes(
                agent,
                tiers[agent.name],
                _fallbacks(written, agent.name),
                router,
                addresses[agent.name],
                usd_per_million.get(agent.name),
            )
        ),
        paid=paid,
        teams=teams,
    )


def cpu_milli(tokens: float) -> int:
    """CPU that all proxies need for the tokens of a second."""
    return math.ceil(tokens * CHUNK_CPU_US / 1_000)


def _replicas(spec: StackSpec, teams: Iterable[TeamPlan], tokens: float) -> int:
    """As many processes as the tokens need and one for one that is lost; one alone where nothing counts for several."""
    return 1 if counts_alone(teams, spec.proxy.redis_secret) else ceil_div(max(1, cpu_milli(tokens)), CORE_MILLI) + 1


def _on_each(spec: StackSpec, teams: Iterable[TeamPlan], machines: int) -> int:
    """One on each machine."""
    if machines > 1 and counts_alone(teams, spec.proxy.redis_secret):
        raise Infeasible(
            f"teams have limits, and each of {counted(machines, 'machine')} has a LiteLLM of its own, which would "
            "allow all of them; name a "
            "Redis that all machines reach in proxy.redisSecret, or take requestsPerMinute, tokensPerMinute and budgets out"
        )
    return machines


def on_machine(
    proxy: ProxyPlan | None,
    engines: Sequence[tuple[Workload, int]],
    here: Sequence[RoutePlan],
    agents: Mapping[str, AgentPlan],
) -> HostProxyPlan | None:
    """What LiteLLM knows on a machine with so many engines of each workload, and with these routes of its NGINX."""
    if proxy is None:
        return None
    known = {route.agent: route for route in here}
    paid = tuple(route for route in proxy.paid if route.agent in known)
    models = {*known, *(route.model for route in paid)}
    routes: list[ProxyRoute] = []
    for route in (each for each in proxy.routes if each.agent in known):
        fallbacks = tuple(name for name in route.fallbacks if name in models)
        own = [pair for pair in engines if pair[0].agent == known[route.agent].leads_to]
        free = _part(agents[route.agent], own) if fallbacks else known[route.agent].max_connections
        routes.append(route.model_copy(update={"fallbacks": fallbacks, "max_parallel_requests": free}))
    if not routes:
        return None
    longest_s = {each.model: each.answer_timeout_s for each in routes}
    longest_s |= {each.model: each.answer_timeout_s for each in paid}
    return HostProxyPlan(
        route=RoutePlan(
            agent=PROXY_NAME,
            port=PROXY_PORT,
            policy="round-robin",
            max_connections=None,
            max_tries=1,
            connect_timeout_ms=CONNECT_TIMEOUT_MS,
            retry_window_ms=CONNECT_TIMEOUT_MS,
            answer_timeout_s=max(sum(longest_s[name] for name in (each.model, *each.fallbacks)) for each in routes),
        ),
        routes=tuple(routes),
        paid=paid,
    )


def _api(written: Mapping[str, Agent], agent: AgentPlan) -> PaidFallback | None:
    return written[agent.name].paid_fallback


def _fallbacks(written: Mapping[str, Agent], name: str) -> tuple[str, ...]:
    """The agent's fallback, that one's own and so on, which ends, and then the agent's paid one."""
    found: list[str] = []
    following = written[name].fallback
    while following is not None and following not in found:
        found.append(following)
        following = written[following].fallback
    return (*found, *((f"{name}{PAID_ENDING}",) if written[name].paid_fallback is not None else ()))


def _routes(
    agent: AgentPlan,
    tiers: Sequence[Workload],
    fallbacks: tuple[str, ...],
    router: RouterPlan | None,
    address: str,
    usd_per_million: Decimal | None,
) -> Iterator[ProxyRoute]:
    route = None if router is None else next((each for each in router.routes if each.agent == agent.name), None)
    let_through = None if route is None else route.max_connections
    for model, served in ((agent.name, agent.served_model_name), *((name, name) for name in agent.adapters)):
        yield ProxyRoute(
            model=model,
            agent=agent.name,
            served_model_name=served,
            base_url=address,
            fallbacks=fallbacks,
            max_parallel_requests=seats(agent, tiers) if fallbacks else let_through,
            first_token_timeout_s=first_token_timeout_s(tiers),
            answer_timeout_s=max(answer_timeout_s(tier) for tier in tiers),
            max_tokens=min(tier.max_model_len for tier in tiers),
            usd_per_million_tokens=usd_per_million,
        )


def seats(agent: AgentPlan, tiers: Sequence[Workload]) -> int:
    """The agent's part of the sessions that all replicas of the peak hold, by its sessions."""
    return _part(agent, [(tier, tier.replicas.max) for tier in tiers])


def _part(agent: AgentPlan, replicas: Sequence[tuple[Workload, int]]) -> int:
    every = sum(count * tier.max_num_seqs for tier, count in replicas)
    first = replicas[0][0]
    of_all = first.sessions_peak
    if len(first.served) == 1 or not of_all:
        return every
    return max(1, ceil_div(every * agent.sessions_peak, of_all))


def first_token_timeout_s(tiers: Sequence[Workload]) -> int:
    """How long a first token may take before the agent counts as failing; the longest answer where nothing is known of it.

    What is still well must not be given up: a request that a router sends to another replica, and one that finds its cache lost.
    """
    slowest = slowest_first_token(tiers)
    if slowest is None:
        return max(answer_timeout_s(each) for each in tiers)
    retry_ms, ttft_ms, error_ratio = slowest
    return max(_LEAST_TIMEOUT_S, math.ceil((retry_ms + ttft_ms * (1 + error_ratio)) / 1_000))


def slowest_first_token(tiers: Sequence[Workload]) -> tuple[float, float, float] | None:
    """Of the slowest tier: the router's time for other replicas, the TTFT that may still be well, and its stated error; None
    where a tier's is not known.
    """
    found: list[tuple[float, float, float]] = []
    for tier in tiers:
        latency = tier.latency
        known = [value for value in (latency.ttft_at_percentile_ms, latency.uncached_ttft_ms) if value is not None]
        if not known:
            return None
        retry_ms = CONNECT_TIMEOUT_MS + (latency.budget_ttft_ms or DEFAULT_RETRY_MS)
        found.append((retry_ms, max(known), latency.ttft_error_ratio or 0.0))
    return max(found, key=lambda each: each[0] + each[1] * (1 + each[2]))


def tokens_behind(tiers: Sequence[Workload]) -> float:
    """Tokens/s that pass the proxy at most."""
    return tokens_per_s([tiers])


def _paid(spec: StackSpec, agent: AgentPlan, tiers: Sequence[Workload], replicas: int, index: int) -> PaidRoute:
    """A route whose cap holds whatever is under way when it is reached."""
    api = next(each.paid_fallback for each in spec.agents if each.name == agent.name)
    if api is None or api.usd_per_million_input is None or api.usd_per_million_output is None:
        raise ValueError(f"the paid fallback of {agent.name} has no price")
    longest = min(tier.max_model_len for tier in tiers)
    prices = usd(api.usd_per_million_input), usd(api.usd_per_million_output)
    dearest = sum(prices) * longest / MILLION
    cap, window = _budget(api.usd_per_day, api.usd_per_month)
    if cap is None or window is None:
        raise ValueError(f"the paid fallback of {agent.name} has no cap")
    parallel = min(seats(agent, tiers), int(cap * SHARE_AT_RISK / (dearest * replicas)))
    if parallel < 1:
        least = (dearest * replicas / SHARE_AT_RISK).quantize(Decimal("0.01")) + Decimal("0.01")
        raise Infeasible(
            f"agent {agent.name!r}: the cap of its paidFallback, USD {cap:,.2f} a {window}, is too small to be kept: one request "
            f"of {api.api_model} may cost USD {dearest:,.4f} ({counted(longest, 'token')} in and as many out), "
            f"{replicas} may be under "
            f"way, and those may be worth half of the cap at most; USD {least:,.2f} would do, or a smaller overrides.maxModelLen"
        )
    return PaidRoute(
        model=f"{agent.name}{PAID_ENDING}",
        agent=agent.name,
        api_model=api.api_model,
        base_url=api.base_url,
        key_secret=api.key_secret,
        key_variable=f"PAID_KEY_{index + 1}",
        window=window,
        cap_usd=cap,
        budget_usd=(cap - parallel * replicas * dearest).quantize(Decimal("0.000001"), rounding=ROUND_DOWN),
        dearest_request_usd=dearest,
        max_parallel_requests=parallel,
        max_tokens=longest,
        usd_per_million_input=prices[0],
        usd_per_million_output=prices[1],
        first_token_timeout_s=max(answer_timeout_s(tier) for tier in tiers),
        answer_timeout_s=max(answer_timeout_s(tier) for tier in tiers),
    )


def _budget(per_day: float | None, per_month: float | None) -> tuple[Decimal | None, Window | None]:
    if per_day is not None:
        return usd(per_day), "day"
    return (None, None) if per_month is None else (usd(per_month), "month")


def _team(team: Team, chats: Sequence[AgentPlan], index: int) -> TeamPlan:
    may_call = [agent for agent in chats if not team.agents or agent.name in team.agents]
    budget, window = _budget(team.usd_per_day, team.usd_per_month)
    return TeamPlan(
        name=team.name,
        key_secret=team.key_secret,
        key_variable=f"TEAM_KEY_{index + 1}",
        agents=tuple(agent.name for agent in may_call),
        models=tuple(model for agent in may_call for model in (agent.name, *agent.adapters)),
        requests_per_minute=team.requests_per_minute,
        tokens_per_minute=team.tokens_per_minute,
        budget_usd=budget,
        window=window,
    )
