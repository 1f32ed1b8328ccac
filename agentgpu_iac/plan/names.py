"""Names that follow from a plan, and the proof that no two things of one plan share one.

Every name that is made from an agent's is made here, with an ending that no agent may have (``spec/reserved.py``). ``clashes``
is asked once, when a plan is made or read; behind it a name stands for one thing, whoever keeps things by their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentgpu_iac.plan.document import Plan
from agentgpu_iac.plan.hosts import HostPlan
from agentgpu_iac.plan.workload import Workload, tiers_by_agent
from agentgpu_iac.spec.reserved import BURST_ENDING, ENGINES_ENDING, PICKER_ENDING, PROXY_NAME, REST_ENDING, ROUTER_NAME
from agentgpu_iac.spec.vocabulary import Tier
from agentgpu_iac.units import counted

MAX_LABEL = 63
"""Characters of a DNS label: what a Service, a pod's host name and the value of a Kubernetes label may hold."""
MAX_PORT = 65_535
_MAX_SKY_SERVICE = 253
"""SkyServe takes names of any length, and shortens those of its clusters itself; they stand in the name of a file."""

MACHINES_NAME = f"{ROUTER_NAME}-machines"
"""The ConfigMap that tells NGINX which machines beside the cluster run."""

BURST_SCALER_NAME = "burst-scaler"
"""The CronJob that raises and lowers their number, and its identity."""


def workload_name(agent: str, tier: Tier, *, is_rest: bool = False) -> str:
    """Name of a deployment in one tier; ``is_rest``: of what carries the rest of its baseline on another kind of machine."""
    if is_rest:
        return f"{agent}{REST_ENDING}"
    return agent if tier == "baseline" else f"{agent}{BURST_ENDING}"


def engines_service(agent: str, tier_label: str = "") -> str:
    """Service of a deployment's pods themselves, for the NGINX that stands in front of them: of all, or of those of one tier."""
    return f"{agent}-{tier_label}{ENGINES_ENDING}" if tier_label else f"{agent}{ENGINES_ENDING}"


def weighted(plan: Plan, agent: str) -> tuple[Workload, ...]:
    """The workloads of a deployment that NGINX gives different numbers of sessions, each behind a Service of its own."""
    weights = {} if plan.router is None else plan.router.weight_of
    return tuple(each for each in plan.workloads if each.agent == agent and each.name in weights)


def endpoint_picker(agent: str) -> str:
    """Name of every object that makes up a deployment's endpoint picker."""
    return f"{agent}{PICKER_ENDING}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A name that something of the plan bears."""

    space: str
    """What bears names of this kind, in words: within it each is borne once."""
    name: str
    bearer: str
    """What bears it, in words."""
    agent: str | None
    """Whose it is; None: the stack's."""
    most: int = MAX_LABEL
    """Characters that it may have."""
    is_port: bool = False
    """It is the number of a port, of which a machine has 65,535."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """A name that two things would bear, or that is too long to be borne."""

    message: str
    agent: str | None
    """The agent to rename, where that helps."""


def clashes(plan: Plan) -> tuple[Clash, ...]:
    """Every name of the plan that cannot be borne as planned."""
    found: list[Clash] = []
    first: dict[tuple[str, str], Claim] = {}
    for claim in _claims(plan):
        there = first.setdefault((claim.space, claim.name), claim)
        if there is not claim:
            message = f"{there.bearer} and {claim.bearer} would both be the {claim.space} {claim.name!r}"
            found.append(Clash(message=message, agent=claim.agent or there.agent))
        elif len(claim.name) > claim.most:
            message = f"the {claim.space} {claim.name!r} would have {counted(len(claim.name), 'character')}; {claim.most} at most"
            found.append(Clash(message=message, agent=claim.agent))
        elif claim.is_port and int(claim.name) > MAX_PORT:
            message = f"{claim.bearer} would have the {claim.space} {claim.name}; the last is {MAX_PORT}"
            found.append(Clash(message=message, agent=claim.agent))
    return tuple(found)


def _claims(plan: Plan) -> Iterator[Claim]:
    for workload in plan.workloads:
        yield Claim(space="workload", name=workload.name, bearer=_tier(workload), agent=workload.agent)
    for pool in plan.node_pools:
        yield Claim(space="node pool", name=pool.name, bearer=f"a pool of {pool.instance_types[0]}", agent=None)
    for agent, tiers in tiers_by_agent(plan.workloads).items():
        yield from _services(plan, agent, tiers)
    for host in plan.hosts:
        for engine in host.engines:
            bearer = f"an engine of {engine.workload}"
            yield Claim(space=f"engine on a machine of {host.node_pool}", name=engine.name, bearer=bearer, agent=None)
        yield from _ports(host, plan)
    for machine in (
        *(() if plan.front is None else plan.front.others),
        *(() if plan.joined is None else plan.joined.machines),
    ):
        yield Claim(space="machine", name=machine.name, bearer=f"a machine of {machine.node_pool}", agent=None)
    for route in () if plan.joined is None else (route for each in plan.joined.machines for route in each.routes):
        bearer = f"the way to {route.agent} on another machine"
        yield Claim(space="port of the router", name=str(route.port), bearer=bearer, agent=None, is_port=True)
    for service in plan.sky_services:
        yield Claim(
            space="SkyServe service",
            name=service.name,
            bearer=f"agent {service.agent}",
            agent=service.agent,
            most=_MAX_SKY_SERVICE,
        )


def _proxy_ports(host: HostPlan, plan: Plan) -> tuple[tuple[str, int, None], ...]:
    """Of LiteLLM on the machine, and of NGINX's way to it."""
    if host.proxy is None or plan.proxy is None or host.proxy.route.port is None:
        return ()
    return (("the LiteLLM", plan.proxy.port, None), ("the way to the LiteLLM", host.proxy.route.port, None))


def _ports(host: HostPlan, plan: Plan) -> Iterator[Claim]:
    """Ports of one machine: of the agents to callers, and of what answers on the loopback alone."""
    front = plan.front
    is_front = front is not None and front.node_pool == host.node_pool
    routes = front.routes if front is not None and is_front else host.routes
    behind = front.others if front is not None and is_front else ()
    services = (("Prometheus", host.prometheus), ("DCGM exporter", host.dcgm_exporter), ("Ollama", host.ollama))
    taken = (
        ("the health check of NGINX", host.health_port, None),
        ("the counts of NGINX", host.status_port, None),
        *((f"the {name}", service.port, None) for name, service in services if service is not None),
        *((f"engine {engine.name}", engine.port, None) for engine in host.engines),
        *_proxy_ports(host, plan),
        *((f"agent {route.agent}", route.port, route.agent) for route in routes if route.port is not None),
        *((f"{route.agent} on {machine.name}", route.port, None) for machine in behind for route in machine.routes),
    )
    for bearer, port, agent in taken:
        yield Claim(
            space=f"port of a machine of {host.node_pool}", name=str(port), bearer=bearer, agent=agent, is_port=True
        )


def _services(plan: Plan, agent: str, tiers: tuple[Workload, ...]) -> Iterator[Claim]:
    """The Services of a cluster, among them those that the controller of groups makes, one for each."""
    if plan.in_cluster.hosts or plan.sky_services:
        return
    for name in tiers[0].served:
        yield Claim(space="Service", name=name, bearer=f"agent {name}", agent=name)
    if plan.router is not None and agent in plan.router.deployments:
        name = engines_service(agent) if plan.router.gateway is None else endpoint_picker(agent)
        yield Claim(space="Service", name=name, bearer=f"what stands before agent {agent}", agent=agent)
        for each in weighted(plan, agent):
            yield Claim(
                space="Service",
                name=engines_service(agent, each.tier_label),
                bearer=f"what stands before {_tier(each)}",
                agent=agent,
            )
    for workload in tiers:
        for number in range(workload.replicas.max if workload.kind != "Deployment" else 0):
            bearer = f"group {number} of {_tier(workload)}"
            yield Claim(space="Service", name=f"{workload.name}-{number}", bearer=bearer, agent=None)


def _tier(workload: Workload) -> str:
    return f"the {'rest of the ' if workload.is_rest else ''}{workload.tier} tier of {workload.agent}"


__all__ = (
    "BURST_SCALER_NAME",
    "MACHINES_NAME",
    "MAX_LABEL",
    "PROXY_NAME",
    "ROUTER_NAME",
    "Clash",
    "clashes",
    "endpoint_picker",
    "engines_service",
    "weighted",
    "workload_name",
)
