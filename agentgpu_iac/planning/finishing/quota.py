"""The most that a stack's namespace may ask for: every pod of the plan at its peak, in the middle of a rollout.

A pod that drains still counts, so each workload is given its replicas, its surge, and one that is leaving; a quota
must never be what stalls a rollout. Each pool is given one node more than it may have, for a filler on a node that
takes another's place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentgpu_iac.plan import MachineScalerPlan, NodePool, ProxyPlan, QuotaPlan, RouterPlan, Workload

_LEAVING_REPLICAS = 1
_REPLACEMENT_NODES = 1
_ROUTER_SURGE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PodDemand:
    """Pods of one kind, and what each of them asks for."""

    pods: int
    """Those that run or are to run at once."""
    leaving: int = 0
    """Those that drain beside them."""
    cpu_milli: int
    memory_mib: int
    memory_limit_mib: int
    accelerators: int = 0

    @property
    def at_most(self) -> int:
        """All pods that there may be."""
        return self.pods + self.leaving


@dataclass(frozen=True, slots=True, kw_only=True)
class Servants:
    """What stands before and beside the engines, on nodes without accelerators."""

    router: RouterPlan | None
    proxy: ProxyPlan | None
    scaler: MachineScalerPlan | None

    def demands(self) -> Iterator[tuple[str, PodDemand]]:
        """What each asks for, with the name of its part."""
        for name, found in (
            ("router", routers(self.router)),
            ("proxy", _proxies(self.proxy)),
            ("burst-scaler", _scalers(self.scaler)),
        ):
            yield from ((name, demand) for demand in found)


def plan(workloads: Sequence[Workload], node_pools: Sequence[NodePool], servants: Servants) -> QuotaPlan:
    """The sums over all pods of the plan."""
    demands = (*map(_engines, workloads), *_fillers(node_pools), *(demand for _, demand in servants.demands()))
    return QuotaPlan(
        pods=sum(demand.at_most for demand in demands),
        cpu_milli=sum(demand.at_most * demand.cpu_milli for demand in demands),
        memory_mib=sum(demand.at_most * demand.memory_mib for demand in demands),
        memory_limit_mib=sum(demand.at_most * demand.memory_limit_mib for demand in demands),
        accelerators=sum(demand.at_most * demand.accelerators for demand in demands),
    )


def _engines(workload: Workload) -> PodDemand:
    return PodDemand(
        pods=(workload.replicas.max + workload.rollout.max_surge) * workload.nodes_per_replica,
        leaving=_LEAVING_REPLICAS * workload.nodes_per_replica,
        cpu_milli=workload.pod.cpu_milli,
        memory_mib=workload.pod.memory_mib,
        memory_limit_mib=workload.pod.memory_mib,
        accelerators=workload.pod.accelerators,
    )


def routers(router: RouterPlan | None) -> Iterator[PodDemand]:
    """NGINX and its exporter, whose rollout surges, or an endpoint picker for each route, which is replaced in place."""
    if router is not None:
        exporter = router.exporter
        memory_mib = router.memory_mib + (0 if exporter is None else exporter.memory_mib)
        apart, surge = (1, _ROUTER_SURGE) if router.kind == "nginx" else (len(router.routes), 0)
        yield PodDemand(
            pods=apart * (router.replicas + surge),
            leaving=apart * _LEAVING_REPLICAS,
            cpu_milli=router.cpu_milli + (0 if exporter is None else exporter.cpu_milli),
            memory_mib=memory_mib,
            memory_limit_mib=memory_mib,
        )


def _proxies(proxy: ProxyPlan | None) -> Iterator[PodDemand]:
    """LiteLLM, whose rollout surges where something counts for several."""
    if proxy is not None:
        surge = 0 if proxy.counts_alone else _ROUTER_SURGE
        yield PodDemand(
            pods=proxy.replicas + surge,
            leaving=_LEAVING_REPLICAS,
            cpu_milli=proxy.cpu_milli,
            memory_mib=proxy.memory_mib,
            memory_limit_mib=proxy.memory_mib,
        )


def _scalers(scaler: MachineScalerPlan | None) -> Iterator[PodDemand]:
    """One look at a time, beside one that was given up and still ends."""
    if scaler is not None:
        yield PodDemand(
            pods=1,
            leaving=_LEAVING_REPLICAS,
            cpu_milli=scaler.cpu_milli,
            memory_mib=scaler.memory_mib,
            memory_limit_mib=scaler.memory_mib,
        )


def _fillers(node_pools: Sequence[NodePool]) -> Iterator[PodDemand]:
    for pool in node_pools:
        if pool.filler is not None:
            beside = pool.startup_taint
            beside_mib = 0 if beside is None else beside.memory_mib
            yield PodDemand(
                pods=pool.max + max(pool.surge_nodes, _REPLACEMENT_NODES),
                cpu_milli=pool.filler.cpu_milli + (0 if beside is None else beside.cpu_milli),
                memory_mib=pool.filler.memory_mib + beside_mib,
                memory_limit_mib=pool.filler.memory_limit_mib + beside_mib,
            )
