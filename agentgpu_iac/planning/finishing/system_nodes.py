"""The nodes without accelerators: what stands on them, and the cheapest machines that hold it.

Accelerator nodes are tainted, so whatever asks for no accelerator stands here: the router, the proxy, the cluster's own pods
and its operators. A pod that fits no node waits for ever, and the way into the stack with it; so each machine is tried with
all pods of a rollout, the way a scheduler may place them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from agentgpu_iac.catalog.model import ClusterPart, SystemMachine
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput, Fault, did_you_mean
from agentgpu_iac.plan import ExistingClusterPlan, NodePool, RouterPlan, SystemNodesPlan, SystemPod, Workload
from agentgpu_iac.planning.finishing import quota
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.targets import target_of
from agentgpu_iac.targets.port import uses_existing_cluster
from agentgpu_iac.units import HOURS_PER_MONTH, ceil_div, usd_per_month

CPU_SHARE: Final = 0.9
"""Part of a node's CPU that is planned; the rest is for pods that declare no request and operators of yours (a judgement)."""
MEMORY_SHARE: Final = 0.85
"""The same of its memory, which runs out worse: most charts declare none."""
LEAST_NODES: Final = 2
"""In two zones: one serves while the other is replaced or lost."""
MOST_NODES: Final = 20
"""Beyond that a larger machine is meant."""
LEAST_MEMORY_MIB: Final = 6_144
"""What pods can have of a machine that is chosen here: a Prometheus and operators of yours declare little, and take some GiB (a
judgement). A machine that the spec names may have less."""
ROOT_GIB: Final = 30
"""For the system, its images and logs."""
_PODS_BESIDE: Final = 8
"""Of the pods that a machine may run, those left for operators that are not counted (a judgement)."""
_PLACE: Final = "spec.capacity.systemNodes"


@dataclass(slots=True, kw_only=True)
class _Node:
    """What is free on a node."""

    cpu_milli: int
    memory_mib: int
    pods: int

    def takes(self, pod: SystemPod) -> bool:
        return self.cpu_milli >= pod.cpu_milli and self.memory_mib >= pod.memory_mib and self.pods >= 1

    def take(self, pod: SystemPod) -> None:
        self.cpu_milli -= pod.cpu_milli
        self.memory_mib -= pod.memory_mib
        self.pods -= 1


def system_nodes(
    loaded: LoadedStack,
    spec: StackSpec,
    catalog: Catalog,
    workloads: Sequence[Workload],
    node_pools: Sequence[NodePool],
    servants: quota.Servants,
) -> SystemNodesPlan | None:
    """The system nodes of a cluster that is made for the stack; None where there is none, or nothing is known of machines.

    Raises:
        BadInput: the spec names a machine or a number that does not hold them.
    """
    machines = catalog.system_machines_of(node_pools[0].provider) if node_pools else ()
    if not target_of(spec).can.makes_cluster or uses_existing_cluster(spec) or not machines:
        return None
    pods = tuple(_pods(catalog, _parts(spec, workloads, node_pools), servants))
    wanted = spec.capacity.system_nodes
    if wanted.machine is not None:
        chosen = next((row for row in machines if row.name == wanted.machine), None)
        if chosen is None:
            hint = did_you_mean(wanted.machine, [row.name for row in machines])
            raise BadInput([loaded.fault(f"{_PLACE}.machine", f"there is no system machine {wanted.machine!r}", hint)])
        machines = (chosen, *(row for row in machines if row.name != wanted.machine))
    counts = range(LEAST_NODES, MOST_NODES + 1) if wanted.count is None else (wanted.count,)
    tried = (
        tuple(row for row in machines if row.allocatable_memory_mib >= LEAST_MEMORY_MIB)
        if wanted.machine is None
        else machines[:1]
    )
    fitting = [
        (row.usd_per_hour * count, count, row)
        for row in tried
        if (count := next((count for count in counts if fits(row, count, pods)), None)) is not None
    ]
    if not fitting:
        raise BadInput([_too_small(loaded, tried[-1], counts[-1], pods)])
    _, count, machine = min(fitting, key=lambda found: (found[0], found[1], found[2].name))
    return _plan(machine, count, machines, pods, servants.router, by_hand=wanted.model_fields_set != set())


def existing_cluster(
    spec: StackSpec,
    catalog: Catalog,
    workloads: Sequence[Workload],
    node_pools: Sequence[NodePool],
    servants: quota.Servants,
) -> ExistingClusterPlan | None:
    """What the plan asks of a cluster that is there already, whose own pods have their place. None where one is made."""
    if not uses_existing_cluster(spec):
        return None
    parts = _parts(spec, workloads, node_pools) & {"karpenter"}
    pods = tuple(_pods(catalog, parts, servants))
    cpu, memory = _needed(pods, 1)
    return ExistingClusterPlan(pods=pods, cpu_milli=cpu, memory_mib=memory)


def _parts(spec: StackSpec, workloads: Sequence[Workload], node_pools: Sequence[NodePool]) -> frozenset[ClusterPart]:
    """What the plan uses of what may be in a cluster. Whoever makes the nodes is chosen later, so Karpenter counts where it may
    be.
    """
    scaled = {workload.scaling.method for workload in workloads if workload.scaling is not None}
    found: dict[ClusterPart, bool] = {
        "eks": True,
        "node-health": spec.observability.node_health == "eks-agent",
        "karpenter": any(pool.autoscaler == "karpenter" for pool in node_pools),
        "keda": "keda" in scaled,
        "lws": any(pool.nodes_per_replica > 1 for pool in node_pools),
        "efa": any(pool.nodes_per_replica > 1 for pool in node_pools),
    }
    return frozenset(part for part, used in found.items() if used)


def _pods(catalog: Catalog, parts: frozenset[ClusterPart], servants: quota.Servants) -> Iterator[SystemPod]:
    """The pods of the plan, in a rollout, then those of the cluster."""
    for name, demand in servants.demands():
        yield SystemPod(
            name=name,
            pods=demand.pods,
            placed="anywhere",
            cpu_milli=demand.cpu_milli,
            memory_mib=demand.memory_mib,
        )
    for row in catalog.cluster_pods:
        if row.comes_with in parts and row.on != "accelerator-nodes":
            yield SystemPod(
                name=row.name,
                pods=row.replicas,
                placed="each-node" if row.on == "every-node" else "anywhere",
                cpu_milli=row.cpu_milli,
                memory_mib=row.memory_mib,
            )


def fits(machine: SystemMachine, count: int, pods: Sequence[SystemPod]) -> bool:
    """Whether so many machines hold all pods, whether the largest or the smallest come first."""
    everywhere = [pod for pod in pods if pod.placed == "each-node" for _ in range(pod.pods)]
    single = [pod for pod in pods if pod.placed == "anywhere" for _ in range(pod.pods)]

    def size(pod: SystemPod) -> float:
        return max(
            pod.cpu_milli / machine.allocatable_cpu_milli,
            pod.memory_mib / machine.allocatable_memory_mib,
        )

    return all(
        _holds(machine, count, everywhere, sorted(single, key=size, reverse=largest_first))
        for largest_first in (True, False)
    )


def _holds(machine: SystemMachine, count: int, everywhere: list[SystemPod], single: list[SystemPod]) -> bool:
    """Each pod goes to the node with the most free CPU that takes it, as a scheduler spreads them."""
    nodes = [
        _Node(
            cpu_milli=int(machine.allocatable_cpu_milli * CPU_SHARE),
            memory_mib=int(machine.allocatable_memory_mib * MEMORY_SHARE),
            pods=machine.pods - _PODS_BESIDE,
        )
        for _ in range(count)
    ]
    for node in nodes:
        for pod in everywhere:
            if not node.takes(pod):
                return False
            node.take(pod)
    for pod in single:
        free = max((node for node in nodes if node.takes(pod)), key=lambda node: node.cpu_milli, default=None)
        if free is None:
            return False
        free.take(pod)
    return True


def _too_small(loaded: LoadedStack, machine: SystemMachine, count: int, pods: Sequence[SystemPod]) -> Fault:
    cpu, memory = _needed(pods, count)
    largest = max(pods, key=lambda pod: pod.cpu_milli)
    return loaded.fault(
        _PLACE,
        f"{count} x {machine.name} plan for {int(machine.allocatable_cpu_milli * CPU_SHARE):,} m of CPU and "
        f"{int(machine.allocatable_memory_mib * MEMORY_SHARE):,} MiB each; the pods there ask for {cpu:,} m and {memory:,} MiB "
        f"in all, the largest ({largest.name}) for {largest.cpu_milli:,} m",
        "name a larger machine or more of them, or leave it out: the plan then finds the cheapest that hold them",
    )


def _needed(pods: Sequence[SystemPod], count: int) -> tuple[int, int]:
    times = [pod.pods * (count if pod.placed == "each-node" else 1) for pod in pods]
    return (
        sum(pod.cpu_milli * each for pod, each in zip(pods, times, strict=True)),
        sum(pod.memory_mib * each for pod, each in zip(pods, times, strict=True)),
    )


def _plan(
    machine: SystemMachine,
    count: int,
    machines: Sequence[SystemMachine],
    pods: tuple[SystemPod, ...],
    router: RouterPlan | None,
    *,
    by_hand: bool,
) -> SystemNodesPlan:
    cpu, memory = _needed(pods, count)
    usd = machine.usd_per_hour.normalize()
    return SystemNodesPlan(
        instance_type=machine.name,
        instance_types=(machine.name, *_stand_ins(machine, machines)),
        count=count,
        allocatable_cpu_milli=machine.allocatable_cpu_milli,
        allocatable_memory_mib=machine.allocatable_memory_mib,
        pods=pods,
        root_volume_gib=ROOT_GIB + _scratch_gib(router, count),
        usd_per_hour=machine.usd_per_hour,
        usd_per_month=usd_per_month(machine.usd_per_hour * count),
        formula=f"{count} x USD {usd:f} an hour x {HOURS_PER_MONTH} h, at the price of {machine.region}: {cpu:,} m of CPU and "
        f"{memory:,} MiB are asked for there, {count} x {machine.allocatable_cpu_milli * CPU_SHARE:,.0f} m and "
        f"{machine.allocatable_memory_mib * MEMORY_SHARE:,.0f} MiB are planned with",
        price_date=machine.date,
        price_source="; ".join(machine.sources),
        chosen_by="spec" if by_hand else "plan",
    )


def _stand_ins(machine: SystemMachine, machines: Sequence[SystemMachine]) -> Iterator[str]:
    """Those with as many vCPUs and no less room, cheapest first."""
    for row in sorted(machines, key=lambda row: (row.usd_per_hour, row.name)):
        if (
            row.name != machine.name
            and row.vcpu == machine.vcpu
            and row.allocatable_cpu_milli >= machine.allocatable_cpu_milli
            and row.allocatable_memory_mib >= machine.allocatable_memory_mib
            and row.pods >= machine.pods
        ):
            yield row.name


def _scratch_gib(router: RouterPlan | None, count: int) -> int:
    """Room for request bodies of the routers that one node may carry."""
    pods = sum(demand.pods for demand in quota.routers(router))
    return 0 if router is None else ceil_div(router.scratch_mib * ceil_div(pods, count), 1024)
