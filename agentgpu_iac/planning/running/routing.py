"""Traffic: what stands between the callers and an agent's replicas, and the limits that it keeps.

A router does three things that a Service cannot: it brings a session back to the replica that holds its context, it
sends a request on when a replica refuses it, and it keeps what it holds for callers bounded. It decides nothing about
capacity: each engine's own admission limit does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import (
    AgentPlan,
    DrainPlan,
    ExporterPlan,
    FlowControlPlan,
    GatewayPlan,
    PriorityLevel,
    ReplicaWeight,
    RoutePlan,
    RouterPlan,
    Topology,
    Workload,
    tiers_by_agent,
)
from agentgpu_iac.planning import priorities
from agentgpu_iac.planning.choosing import leaving
from agentgpu_iac.planning.choosing.leaving import LONGEST_ANSWER_S, SLOWEST_TPOT_MS
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.planning.running.watching import kv_cache_full_ratio
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import ceil_div, round_up

FIRST_PORT = 10_000
"""Port of the first agent on the router's pods; the others follow. Services find them by name, so that a pod of an older
configuration is never asked for another agent."""

BODY_BUFFER_KIB = 64
"""Part of a request's body that NGINX holds in memory, about 16,000 tokens of text; the rest goes to its scratch volume."""
HEADER_BUFFER_KIB = 8
"""What NGINX holds of an answer at once."""

CONNECT_TIMEOUT_MS = 1_000
"""The kernel of a node that is up accepts a connection at once, however busy the engine is."""
DEFAULT_RETRY_MS = 10_000
"""Time for another try where there is no TTFT budget that would bound it."""
MAX_TRIES = 3
"""A request that kills engines must not meet all of them."""
LEAST_ANSWER_TIMEOUT_S = 60
STOP_MARGIN_S = 5
"""Time for NGINX to close down after the last answer."""

_REPLICAS = 2
"""One serves while the other is replaced or its node is lost; each can carry everything."""
CHUNK_CPU_US = 25.0
"""CPU time of one streamed token through NGINX, unbuffered: a read and a write. tests/e2e/traffic measures it; 16 us were seen
on one core of a cloud machine."""
_LEAST_CPU_MILLI = 250
_MOST_CPU_MILLI = 4_000
"""Of one NGINX; more of them share what is above."""
_BASE_MEMORY_MIB = 64
_CONNECTION_KIB = BODY_BUFFER_KIB + HEADER_BUFFER_KIB + 16
"""Memory of one request: its buffers, and its headers and bookkeeping."""
_SPARE_CONNECTIONS = 512
"""For idle connections that are kept open, probes and metrics."""

_MOST_COUNTED = 65_535
"""What ``limit_conn`` takes at most: NGINX keeps such counts in 16 bits."""

_LEAST_WEIGHT = 10
_MOST_WEIGHT = 100
"""Of a replica in NGINX's ring, which has 160 points for each unit: a name server gives 100 to all pods of a Service together."""

_SPREAD: tuple[Topology, ...] = ("host", "zone")
"""Its nodes are there anyway, so that spreading costs none."""

EXPORTER_PORT = 9_113
"""The exporter's own."""
_EXPORTER_CPU_MILLI = 25
_EXPORTER_MEMORY_MIB = 64
"""It reads seven figures when it is asked, and does nothing in between (a judgement)."""

_PICKER_REPLICAS = 1
"""Each would know only the prompts that it has routed itself, so several would find fewer prefixes; while the one is away the
Gateway picks any replica."""
_PICKER_QUEUE_DEPTH = 5
"""The picker's own default of requests that wait in an engine (llm-d router, utilization-detector)."""
_PICKER_QUEUE_S = 60
"""Its own default of how long it holds a request."""
_PICKER_CPU_MILLI = 1_000
_PICKER_MEMORY_MIB = 1_024
"""For some ten requests a second; the picker's own guide says 0.5 to 1 core for one request a second of 100,000 tokens."""


def router_plan(
    spec: StackSpec,
    catalog: Catalog,
    workloads: Sequence[Workload],
    agents: Sequence[AgentPlan],
    beside: Mapping[str, int] | None = None,
    passes: int = 1,
) -> RouterPlan | None:
    """The stack's router and its routes; None where the Services alone spread connections.

    ``beside``: machines of each pool that stands beside the cluster, by its name. ``passes``: how often a request passes the
    router: twice where it leads callers to the proxy, and the proxy to the agents.
    """
    deployments = {name: tiers for name, tiers in tiers_by_agent(workloads).items() if _is_routed(spec, tiers)}
    if not deployments:
        return None
    routed = tuple(deployments.values())
    routes = tuple(
        _route(spec, deployments[agent.deployment], agent, index, beside or {})
        for index, agent in enumerate(agent for agent in agents if agent.deployment in deployments)
    )
    if spec.network.router == "gateway":
        return _gateway(spec, catalog, routed, routes)
    return _nginx(spec, catalog, routed, routes, beside or {}, passes)


def _is_routed(spec: StackSpec, tiers: Sequence[Workload]) -> bool:
    """A key counts too: engines leave some paths open that answer prompts, and the router lets /v1 through alone. So do
    attention groups, since nobody else brings a session back to its own.

    On a virtual machine NGINX is what callers reach.
    """
    if target_of(spec).can.runs_machines:
        return True
    match spec.network.router:
        case "none":
            return False
        case "auto":
            return _replicas(tiers) > 1 or spec.security.api_key_secret is not None or _by_session(tiers[0])
        case _:
            return True


def _by_session(tier: Workload) -> bool:
    """Whether the router chooses the attention group of a session."""
    return tier.group_choice == "by-session"


def _replicas(tiers: Sequence[Workload]) -> int:
    return sum(tier.replicas.max for tier in tiers)


def _nginx(
    spec: StackSpec,
    catalog: Catalog,
    routed: Sequence[tuple[Workload, ...]],
    routes: tuple[RoutePlan, ...],
    beside: Mapping[str, int],
    passes: int,
) -> RouterPlan:
    release = catalog.router("nginx")
    connections = passes * sum(_connections(tiers) for tiers in routed)
    cpu_milli = math.ceil(passes * tokens_per_s(routed) * CHUNK_CPU_US / 1_000)
    sharing = ceil_div(max(cpu_milli, 1), _MOST_CPU_MILLI)
    return RouterPlan(
        kind="nginx",
        version=release.version,
        image=spec.pins.router_image or release.image,
        replicas=1 if target_of(spec).can.runs_machines else max(_REPLICAS, sharing + 1),
        spread=_SPREAD if spec.cluster_objects.topology_spread else (),
        priority=_priority(routed),
        cpu_milli=max(_LEAST_CPU_MILLI, round_up(ceil_div(cpu_milli, sharing), 50)),
        memory_mib=round_up(_BASE_MEMORY_MIB + ceil_div(connections * _CONNECTION_KIB, 1024), 64),
        worker_connections=round_up(2 * connections + _SPARE_CONNECTIONS, 1024),
        body_buffer_kib=BODY_BUFFER_KIB,
        header_buffer_kib=HEADER_BUFFER_KIB,
        scratch_mib=max(1, ceil_div(connections, 4)) * spec.network.max_request_mib,
        session_header=spec.network.session_header,
        max_request_mib=spec.network.max_request_mib,
        drain=_drain(routed),
        gateway=None,
        exporter=_exporter(spec, catalog),
        routes=routes,
        weights=() if target_of(spec).can.runs_machines else tuple(_weights(routed, beside)),
    )


def _weights(routed: Sequence[tuple[Workload, ...]], beside: Mapping[str, int]) -> Iterator[ReplicaWeight]:
    """By seats, where the replicas of a deployment have different numbers of them and each session keeps to its own.

    A number of replicas is found for an even spread: n x the least seats >= the sessions. So with weights that are rounded down
    none gets more than it has seats for, and all are filled about alike. NGINX takes a weight of 1 for
    none, and then that of the name server, so the smallest is more. Machines beside the cluster have weights that count on those
    of the name server: a deployment with some is spread evenly.
    """
    for tiers in routed:
        if tiers[0].routing.policy != "session-affine" or any(tier.node_pool in beside for tier in tiers):
            continue
        if any(tier.pooling is not None for tier in tiers):  # nobody keeps a seat
            continue
        least = min(tier.max_num_seqs for tier in tiers)
        weights = [min(_MOST_WEIGHT, _LEAST_WEIGHT * tier.max_num_seqs // least) for tier in tiers]
        if len(set(weights)) > 1:
            yield from (ReplicaWeight(workload=tier.name, weight=it) for tier, it in zip(tiers, weights, strict=True))


def _exporter(spec: StackSpec, catalog: Catalog) -> ExporterPlan | None:
    """NGINX counts connections and requests for itself alone; it has no status codes of its own to count."""
    if spec.observability.monitors == "none":
        return None
    release = catalog.service("nginx-exporter")
    return ExporterPlan(
        version=release.version,
        image=spec.pins.router_exporter_image or release.image,
        port=EXPORTER_PORT,
        cpu_milli=_EXPORTER_CPU_MILLI,
        memory_mib=_EXPORTER_MEMORY_MIB,
    )


def _gateway(
    spec: StackSpec, catalog: Catalog, routed: Sequence[tuple[Workload, ...]], routes: tuple[RoutePlan, ...]
) -> RouterPlan:
    release, gateway = catalog.router("endpoint-picker"), spec.network.gateway
    return RouterPlan(
        kind="gateway",
        version=release.version,
        image=spec.pins.router_image or release.image,
        replicas=_PICKER_REPLICAS,
        spread=(),
        priority=_priority(routed),
        cpu_milli=_PICKER_CPU_MILLI,
        memory_mib=_PICKER_MEMORY_MIB,
        worker_connections=0,
        body_buffer_kib=BODY_BUFFER_KIB,
        header_buffer_kib=HEADER_BUFFER_KIB,
        scratch_mib=0,
        session_header=spec.network.session_header,
        max_request_mib=spec.network.max_request_mib,
        drain=_drain(routed),
        gateway=None
        if gateway is None
        else GatewayPlan(
            name=gateway.name, namespace=gateway.namespace, hostname=gateway.hostname, scheme=gateway.scheme
        ),
        exporter=None,
        routes=routes,
    )


def _priority(routed: Sequence[tuple[Workload, ...]]) -> PriorityLevel:
    return priorities.highest(workload.pod.priority for tiers in routed for workload in tiers)


def _route(
    spec: StackSpec, tiers: Sequence[Workload], agent: AgentPlan, index: int, beside: Mapping[str, int]
) -> RoutePlan:
    """Machines beside the cluster may all be away at once, without a word: each then takes a try, and a connect timeout."""
    first = tiers[0]
    budget_ms = first.latency.first_answer_budget_ms
    away = sum(beside.get(tier.node_pool, 0) for tier in tiers)
    answer_s = max(answer_timeout_s(tier) for tier in tiers)
    retry_ms = CONNECT_TIMEOUT_MS + math.ceil(DEFAULT_RETRY_MS if budget_ms is None else budget_ms)
    return RoutePlan(
        agent=agent.name,
        deployment=agent.deployment,
        port=None if spec.network.router == "gateway" else FIRST_PORT + index,
        policy=first.routing.policy,
        attention_groups=first.attention_data_parallel_size if _by_session(first) else 1,
        group_header=PORTS[first.engine.name].group_header if _by_session(first) else None,
        max_connections=None
        if first.admission.max_queued_requests is None
        else countable(connections_of(agent, first, _connections(tiers))),
        refusal_statuses=_refusal_statuses(tiers),
        max_tries=min(MAX_TRIES, _replicas(tiers)) + away,
        connect_timeout_ms=CONNECT_TIMEOUT_MS,
        retry_window_ms=min(retry_ms + away * CONNECT_TIMEOUT_MS, max(retry_ms, answer_s * 1000 - CONNECT_TIMEOUT_MS)),
        flow_control=_flow_control(first) if spec.network.router == "gateway" else None,
        answer_timeout_s=answer_s,
    )


def connections_of(agent: AgentPlan, first: Workload, requests: int) -> int:
    """An agent's part of the requests that its deployment holds: that of its sessions at the peak, rounded up."""
    if len(first.served) == 1 or not first.sessions_peak:
        return requests
    return ceil_div(requests * agent.sessions_peak, first.sessions_peak)


def countable(requests: int) -> int | None:
    """A limit as NGINX takes it: it counts to 65,535 and refuses a larger one. None: the engines alone say when they are full."""
    return requests if requests <= _MOST_COUNTED else None


def _flow_control(first: Workload) -> FlowControlPlan:
    """The picker's queue in place of the engines' limits: nobody would ask a second engine."""
    budget_ms, waiting = first.latency.first_answer_budget_ms, first.waiting_room
    return FlowControlPlan(
        queue_depth=_PICKER_QUEUE_DEPTH if waiting is None else max(1, waiting),
        kv_cache_ratio=kv_cache_full_ratio(first),
        queue_s=_PICKER_QUEUE_S if budget_ms is None else max(1, math.ceil(budget_ms / 1000)),
        max_mib=_PICKER_MEMORY_MIB // 2,
    )


def _refusal_statuses(tiers: Sequence[Workload]) -> tuple[int, ...]:
    """503, which engines answer while they start and stop too, and what their queue limits answer."""
    limits = {tier.admission.refusal_status for tier in tiers} - {None}
    return tuple(sorted({503, *(status for status in limits if status is not None)}))


def _connections(tiers: Sequence[Workload]) -> int:
    """Requests that all replicas hold at the peak; where engines have no limit, twice their seats, to size the router."""
    return sum(tier.replicas.max * (tier.admission.max_queued_requests or 2 * tier.max_num_seqs) for tier in tiers)


def tokens_per_s(routed: Sequence[Sequence[Workload]]) -> float:
    """Tokens that the replicas of all these deployments can generate; at 50 ms each where their speed is not known."""
    return sum(_tokens_per_s(tiers) for tiers in routed)


def _tokens_per_s(tiers: Sequence[Workload]) -> float:
    return sum(
        tier.replicas.max * (tier.pooling.inputs_per_s or tier.max_num_seqs)
        if tier.pooling is not None
        else tier.replicas.max * tier.max_num_seqs * 1000 / SLOWEST_TPOT_MS
        if tier.throughput.output_tokens_per_s is None
        else tier.throughput.output_tokens_per_s
        for tier in tiers
    )


def answer_timeout_s(tier: Workload) -> int:
    """The longest answer that the engine's own limit allows: the longest sequence at the pace of a full replica, and never less
    than a drain waits for.
    """
    if tier.pooling is not None:
        return max(LEAST_ANSWER_TIMEOUT_S, tier.drain.answer_s)
    tpot_ms = max(SLOWEST_TPOT_MS, tier.latency.tpot_ms or 0.0)
    answer_s = math.ceil(tier.max_model_len * tpot_ms / 1000)
    return min(LONGEST_ANSWER_S, max(LEAST_ANSWER_TIMEOUT_S, tier.drain.answer_s, answer_s))


def _drain(routed: Sequence[tuple[Workload, ...]]) -> DrainPlan:
    """A router waits for the longest answer of any engine behind it, also where an engine on spot could not."""
    return leaving.behind([tier for tiers in routed for tier in tiers], STOP_MARGIN_S)
