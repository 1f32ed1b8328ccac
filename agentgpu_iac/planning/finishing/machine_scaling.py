"""What raises and lowers the number of machines beside the cluster: the queries and thresholds of a burst in the cluster.

KEDA scales pods, and such a machine is none. So the same reasons are handed to ``agentgpu scale``, which asks the same
Prometheus, counts machines instead of replicas, and has Pulumi rent or end them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentgpu_iac.plan import (
    HostPlan,
    MachinePoolScaling,
    MachineScalerPlan,
    MachineScalingPlan,
    MachineTrigger,
    NodePool,
    Workload,
    baselines,
    tiers_by_agent,
)
from agentgpu_iac.planning.finishing.front import cluster_weight
from agentgpu_iac.planning.running.scaling import prometheus_auth, reasons, schedule, stay_s, while_closed
from agentgpu_iac.spec.model import MachineScaler, StackSpec

_STEP_S = 60
"""A machine starts in minutes; a peak of less than a look's time is carried by warm replicas."""
_OFFERS_TRIED = 2
_LIST_S = 120
"""Until a changed ConfigMap is a file in every pod: the kubelet's period of a minute and its cache of another, at most."""
_CPU_MILLI, _MEMORY_MIB, _SCRATCH_MIB = 500, 1_024, 512
"""Of a pod that runs Pulumi for a minute now and then (a judgement: no run of it was measured)."""


def machine_scaling_plan(
    spec: StackSpec,
    stack: str,
    workloads: Sequence[Workload],
    node_pools: Sequence[NodePool],
    hosts: Sequence[HostPlan],
) -> MachineScalingPlan | None:
    """What the machines beside the cluster follow; None where nothing is to raise bursts, or nothing there can be counted."""
    if spec.scaling.method == "none":
        return None
    pools = tuple(_pools(spec, stack, workloads, node_pools, hosts))
    if not pools:
        return None
    starts = [pool.market.start_timeout_s for pool in node_pools if pool.beside_cluster and pool.market is not None]
    return MachineScalingPlan(
        prometheus_url=spec.scaling.prometheus_url,
        prometheus_auth=prometheus_auth(spec.scaling.prometheus_auth),
        step_s=_STEP_S,
        pools=pools,
        scaler=None if spec.scaling.machines is None else _scaler(spec.scaling.machines, max(starts, default=0), hosts),
    )


def _scaler(wanted: MachineScaler, start_timeout_s: int, hosts: Sequence[HostPlan]) -> MachineScalerPlan:
    return MachineScalerPlan(
        image=wanted.image,
        secret=wanted.secret,
        pulumi_stack=wanted.pulumi_stack,
        every_minutes=wanted.every_minutes,
        cpu_milli=_CPU_MILLI,
        memory_mib=_MEMORY_MIB,
        scratch_mib=_SCRATCH_MIB,
        deadline_s=60 * wanted.every_minutes + _OFFERS_TRIED * start_timeout_s,
        logs_in=any(host.admin_ranges for host in hosts),
    )


def _pools(
    spec: StackSpec,
    stack: str,
    workloads: Sequence[Workload],
    node_pools: Sequence[NodePool],
    hosts: Sequence[HostPlan],
) -> Iterator[MachinePoolScaling]:
    beside = {pool.name: pool for pool in node_pools if pool.beside_cluster}
    tiers = tiers_by_agent(workloads)
    engines = {host.node_pool: host.engines for host in hosts}
    for burst in workloads:
        pool, metrics = beside.get(burst.node_pool), burst.metrics
        if pool is None or metrics is None or metrics.running is None or metrics.waiting is None:
            continue
        always = baselines(tiers[burst.agent])
        yield MachinePoolScaling(
            node_pool=pool.name,
            workload=burst.name,
            agent=burst.agent,
            replicas_per_machine=max(1, sum(engine.workload == burst.name for engine in engines.get(pool.name, ()))),
            max_replicas=burst.replicas.max,
            min_machines=pool.min,
            max_machines=pool.max,
            cluster_weight=cluster_weight(burst.agent, workloads),
            triggers=tuple(
                MachineTrigger(
                    name=each.name,
                    held=while_closed(each.held, always[0], stack, spec),
                    floor=each.floor,
                    threshold=each.threshold_of_baseline,
                )
                for each in reasons(burst, metrics, always, stack, spec)
            ),
            schedules=tuple(
                schedule(peak, burst.replicas.max) for peak in spec.scaling.schedule if peak.agent in burst.served
            ),
            stay_s=stay_s(burst.cold_start_s.total, burst.pace),
            drain_s=_LIST_S + burst.drain.grace_period_s,
        )
