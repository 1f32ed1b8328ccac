"""Several machines behind one NGINX: which machine is in front, and by which ports it reaches the others.

Engines speak plain HTTP on the loopback, other machines TLS, and one upstream of NGINX has one scheme. So the front machine
has a loopback port for each agent on each other machine: what comes there goes out by TLS, and to the balancing it looks
like one more engine. Every machine that may ever run has its ports, so that sessions keep their place while others come
and go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from agentgpu_iac.plan import (
    FrontPlan,
    HostPlan,
    JoinedPlan,
    MachineRoute,
    MachineScalingPlan,
    NodePool,
    OtherMachine,
    RoutePlan,
    RouterPlan,
    Workload,
)
from agentgpu_iac.plan.addresses import server_name
from agentgpu_iac.plan.names import MACHINES_NAME
from agentgpu_iac.planning.running.routing import CONNECT_TIMEOUT_MS
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.targets import target_of

FIRST_MACHINE_PORT = 22_000
"""Loopback port of the first agent on the first other machine. Engines begin 2,000 below, outgoing connections 10,768 above."""
_IDLE_MARGIN_S = 60
_SRV_WEIGHTS = 100
"""What CoreDNS divides among the pods of a Service, each 1 at least, and rounded down (plugin/backend_lookup.go, SRV)."""
AWAY_S = 10
"""NGINX's own default of how long a server that failed is left alone; one request in that time then finds out anew."""


def front_plan(
    spec: StackSpec,
    stack: str,
    workloads: Sequence[Workload],
    node_pools: Sequence[NodePool],
    hosts: Sequence[HostPlan],
    router: RouterPlan | None,
) -> FrontPlan | None:
    """The machine in front; None where there is one machine at most, or where only the machine itself may call.

    Only machines that Pulumi makes can be told of each other.
    """
    if not target_of(spec).can.makes_machines or router is None or not spec.hosts.caller_ranges:
        return None
    front = next((pool for pool in node_pools if pool.tier == "baseline" and pool.min > 0), None)
    if front is None or sum(pool.max for pool in node_pools) == 1:
        return None
    deployments = {workload.name: workload.agent for workload in workloads}
    return FrontPlan(
        node_pool=front.name,
        server_name=server_name(stack),
        routes=router.routes,
        others=tuple(_others(front, node_pools, {host.node_pool: host for host in hosts}, deployments)),
        worker_connections=2 * router.worker_connections,
        connect_timeout_ms=CONNECT_TIMEOUT_MS,
        idle_timeout_s=max(route.answer_timeout_s for route in router.routes) + _IDLE_MARGIN_S,
    )


def joined_plan(
    stack: str,
    workloads: Sequence[Workload],
    node_pools: Sequence[NodePool],
    hosts: Sequence[HostPlan],
    router: RouterPlan | None,
    scaling: MachineScalingPlan | None = None,
) -> JoinedPlan | None:
    """How the cluster's NGINX reaches machines beside it; None where there are none."""
    beside = [pool for pool in node_pools if pool.beside_cluster]
    if not beside or router is None:
        return None
    deployments = {workload.name: workload.agent for workload in workloads}
    return JoinedPlan(
        scaling=scaling,
        config_map=MACHINES_NAME,
        server_name=server_name(stack),
        machines=tuple(
            machine.model_copy(update={"routes": tuple(_weighed(way, workloads, router) for way in machine.routes)})
            for machine in _others(None, beside, {host.node_pool: host for host in hosts}, deployments)
        ),
        worker_connections=2 * router.worker_connections,
        connect_timeout_ms=CONNECT_TIMEOUT_MS,
        away_s=AWAY_S,
        idle_timeout_s=max(route.answer_timeout_s for route in router.routes) + _IDLE_MARGIN_S,
    )


def _weighed(way: MachineRoute, workloads: Sequence[Workload], router: RouterPlan) -> MachineRoute:
    """The way with its weight beside the pods of its agent that are always there."""
    deployment = next(route.leads_to for route in router.routes if route.agent == way.agent)
    return way.model_copy(update={"weight": way.engines * _weight_of_a_pod(_pods(deployment, workloads))})


def _pods(deployment: str, workloads: Sequence[Workload]) -> int:
    """Engines of a deployment that are always there in the cluster."""
    return sum(each.replicas.max for each in workloads if each.agent == deployment and each.tier == "baseline")


def _weight_of_a_pod(pods: int) -> int:
    return max(1, _SRV_WEIGHTS // max(1, pods))


def cluster_weight(deployment: str, workloads: Sequence[Workload]) -> int:
    """What NGINX weighs all pods of a deployment by."""
    pods = _pods(deployment, workloads)
    return max(1, pods) * _weight_of_a_pod(pods)


def _others(
    front: NodePool | None, node_pools: Sequence[NodePool], hosts: dict[str, HostPlan], deployments: dict[str, str]
) -> Iterator[OtherMachine]:
    ports = count(FIRST_MACHINE_PORT)
    for pool in node_pools:
        host = hosts[pool.name]
        for index in range(1 if pool is front else 0, pool.max):
            yield OtherMachine(
                name=f"{pool.name}-{index}",
                node_pool=pool.name,
                index=index,
                routes=tuple(
                    MachineRoute(
                        agent=route.agent,
                        port=next(ports),
                        target_port=port,
                        engines=_engines(route, host, deployments),
                    )
                    for route in host.routes
                    if (port := route.port) is not None
                ),
            )


def _engines(route: RoutePlan, host: HostPlan, deployments: dict[str, str]) -> int:
    return sum(deployments[engine.workload] == route.leads_to for engine in host.engines)
