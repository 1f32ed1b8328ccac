"""How requests find a replica: the router between callers and engines, and its routes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from agentgpu_iac.plan.replica import DrainPlan
from agentgpu_iac.plan.vocabulary import PriorityLevel, Topology
from agentgpu_iac.spec.document import Document


class RoutingPlan(Document):
    """How requests find a replica."""

    policy: Literal["session-affine", "round-robin"]
    """As in the spec."""
    prefix_hit_ratio: float
    """Share of earlier context expected in the prefix cache, at peak replicas. Divided by them under round-robin, and by the
    attention groups of a replica where the engine chooses the group of each request."""


class GatewayPlan(Document):
    """The Gateway of yours that the agents' routes attach to."""

    name: str
    """As in the spec."""
    namespace: str
    """As in the spec."""
    hostname: str | None
    """Host name of the routes; null: any."""
    scheme: Literal["http", "https"]
    """How callers speak to that host."""


class FlowControlPlan(Document):
    """How an endpoint picker holds requests that no engine has room for, where no engine refuses one."""

    queue_depth: int
    """Requests that may wait in an engine: those that still meet the TTFT budget behind full seats; the picker's own 5
    where there is none. Averaged over the replicas, more than that are held by the picker."""
    kv_cache_ratio: float
    """KV cache in use from which a replica counts as full: above what its planned sessions fill."""
    queue_s: int
    """How long a request may be held: the TTFT budget, 60 without one. The picker then answers 429."""
    max_mib: int
    """Requests that it holds at most, by their size: half of the picker's memory."""


class RoutePlan(Document):
    """How the requests of one agent pass the router."""

    agent: str
    """The agent."""
    deployment: str | None = None
    """Deployment that answers it; null in plans of before: the one that has the agent's name."""
    port: int | None
    """Port of the router's pods that belongs to this agent; null behind a Gateway."""
    policy: Literal["session-affine", "round-robin"]
    """As in the spec."""
    attention_groups: int = 1
    """Attention groups of a replica, of which each session is given one by a hash; 1: the engine chooses, or has one."""
    group_header: str | None = None
    """Header by which the engine is told the group; null: it is not told."""
    max_connections: int | None
    """Requests that one router replica lets through at once: ``maxQueuedRequests`` x all replicas of the peak, which is
    what their seats and queues take; of a deployment that serves several agents the part of this one's sessions at the peak, so
    that none crowds out another. null: no limit, since the engines have none, or since there would be more of them than
    the 65,535 that NGINX counts."""
    refusal_statuses: tuple[int, ...] = (503,)
    """HTTP statuses by which its engines turn a request away; another replica is then asked."""
    max_tries: int
    """Replicas that one request may be sent to, as long as none has begun to answer it: 3 at most, and one more for each machine
    beside the cluster, since all of them may be away at once."""
    connect_timeout_ms: int
    """1,000."""
    retry_window_ms: int
    """From a request's start, the time in which it may still go to another replica: the connect timeout and the TTFT
    budget (10 s without one), and a connect timeout more for each machine beside the cluster."""
    flow_control: FlowControlPlan | None = None
    """What the route's endpoint picker does with requests that must wait; null: NGINX sends them on or turns them away."""
    answer_timeout_s: int
    """The longest silence of an engine, and so the longest answer that is not streamed: ``maxModelLen`` tokens at 50 ms
    or the planned TPOT, between 60 and 3,600."""

    @property
    def leads_to(self) -> str:
        """The deployment that answers."""
        return self.deployment or self.agent


class ReplicaWeight(Document):
    """How much NGINX gives a replica of one workload beside one of another workload of its deployment."""

    workload: str
    """Name of the workload."""
    weight: int
    """Its seats by those of the deployment's smallest replica, which has 10; rounded down, 100 at most."""


class ExporterPlan(Document):
    """What stands beside each NGINX and gives Prometheus its counts."""

    version: str
    """Version of nginx-prometheus-exporter."""
    image: str
    """Image by digest where the spec pins one, else by tag."""
    port: int
    """Port of its metrics: the pod's, or of a machine's loopback."""
    cpu_milli: int
    """CPU that it asks for, and may use."""
    memory_mib: int
    """Memory that it asks for, and may use."""


class RouterPlan(Document):
    """What stands between the callers and the replicas of some or all agents; see docs/traffic.md."""

    kind: Literal["nginx", "gateway"]
    """``nginx``: one NGINX for all routes. ``gateway``: a Gateway of yours and one endpoint picker for each route."""
    version: str
    """Version of NGINX or of the picker."""
    image: str
    """Image by digest where the spec pins one, else by tag."""
    replicas: int
    """Of NGINX, or of each picker. On virtual machines 1 on each."""
    spread: tuple[Topology, ...]
    """Over what they are spread where that is possible."""
    priority: PriorityLevel
    """Priority of its pods: the highest of the agents behind it."""
    cpu_milli: int
    """CPU of one pod; NGINX: all tokens of the peak at 25 us each."""
    memory_mib: int
    """Memory of one pod; NGINX: by the requests that it may hold."""
    worker_connections: int
    """Connections of one NGINX worker process, to callers and engines together; 0 for pickers."""
    body_buffer_kib: int
    """Part of a request's body that NGINX holds in memory; the rest goes to its scratch volume."""
    header_buffer_kib: int
    """What NGINX holds of an answer at once."""
    scratch_mib: int
    """Room for request bodies that are larger than their buffer in memory; 0 for pickers."""
    session_header: str
    """As in the spec."""
    max_request_mib: int
    """As in the spec."""
    drain: DrainPlan
    """As long as the slowest engine behind it."""
    gateway: GatewayPlan | None
    """The Gateway that routes attach to."""
    exporter: ExporterPlan | None
    """Null for pickers, which have metrics of their own, and where ``observability.monitors`` is ``none``."""
    routes: tuple[RoutePlan, ...]
    """In the order of the agents; an agent without a route is reached through its Service alone."""
    weights: tuple[ReplicaWeight, ...] = ()
    """Of the workloads of each deployment whose replicas have different numbers of seats, where NGINX keeps sessions: each
    replica then gets sessions by its seats. All others get as many each."""

    @property
    def weight_of(self) -> Mapping[str, int]:
        """The weights by workload."""
        return {each.workload: each.weight for each in self.weights}

    @cached_property
    def agents(self) -> frozenset[str]:
        """The agents behind it."""
        return frozenset(route.agent for route in self.routes)

    @cached_property
    def deployments(self) -> frozenset[str]:
        """The deployments behind it."""
        return frozenset(route.leads_to for route in self.routes)
