"""How requests find a replica: the router between callers and engines, and its routes."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from agentgpu_iac.plan.replica import DrainPlan
from agentgpu_iac.plan.vocabulary import PriorityLevel, Topology
from agentgpu_iac.spec.document import Document


class RoutingPlan(Document):
    """How requests find a replica."""

    policy: Literal["session-affine", "round-robin"]
    prefix_hit_ratio: float
    """Share of earlier context expected in the prefix cache, at peak replicas."""


class GatewayPlan(Document):
    """The Gateway that the agents' routes attach to."""

    name: str
    namespace: str
    hostname: str | None
    """Host name of the routes. Unset: any."""
    scheme: Literal["http", "https"]
    """How callers speak to that host."""


class RoutePlan(Document):
    """How the requests of one agent pass the router."""

    agent: str
    port: int | None
    """Port of the router's pods that belongs to this agent; unset behind a Gateway."""
    policy: Literal["session-affine", "round-robin"]
    max_connections: int | None
    """Requests that one router replica lets through at once: what the seats and queues of all replicas take at the peak.
    Unset: no limit, since the engines have none."""
    max_tries: int
    """Replicas that one request may be sent to, as long as none has answered it."""
    connect_timeout_ms: int
    retry_window_ms: int
    """From a request's start, the time in which it may still go to another replica."""
    answer_timeout_s: int
    """The longest silence of an engine, and so the longest answer that is not streamed."""


class RouterPlan(Document):
    """What stands between the callers and the replicas of some or all agents."""

    kind: Literal["nginx", "gateway"]
    """nginx: one NGINX for all routes. gateway: a Gateway of yours and one endpoint picker per route."""
    version: str
    image: str
    """Image by digest where the spec pins one, else by tag."""
    replicas: int
    """Of NGINX, or of each endpoint picker; on virtual machines 1 on each."""
    spread: tuple[Topology, ...]
    """Over what they are spread where that is possible."""
    priority: PriorityLevel
    """The highest of the agents behind it."""
    cpu_milli: int
    memory_mib: int
    worker_connections: int
    """Connections of one NGINX worker process, to callers and engines together."""
    body_buffer_kib: int
    """Part of a request's body that NGINX holds in memory; the rest goes to its scratch volume."""
    header_buffer_kib: int
    """What NGINX holds of an answer at once."""
    scratch_mib: int
    """Room for request bodies that are larger than their buffer in memory."""
    session_header: str
    max_request_mib: int
    drain: DrainPlan
    gateway: GatewayPlan | None
    routes: tuple[RoutePlan, ...]
    """In the order of the agents; an agent without a route is reached through its Service alone."""

    @cached_property
    def agents(self) -> frozenset[str]:
        """The agents behind it."""
        return frozenset(route.agent for route in self.routes)
