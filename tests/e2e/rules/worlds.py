"""Whole worlds in which no alert may fire: a quiet night, and a rollout that goes as it should."""

from __future__ import annotations

from agentgpu_iac import plan as p
from agentgpu_iac.plan import tiers_by_agent
from agentgpu_iac.plan.names import endpoint_picker
from agentgpu_iac.rendering.names import model_cache
from tests.e2e.rules.scenes import LONG, STEP_S, Series, growing, of_agent, series, steady

HOURS_S = 2 * 3_600
"""How long each lasts."""
_OUT = HOURS_S // 2 // STEP_S
"""Samples until the rollout begins."""
_STARTING = 8
"""Samples for which a new pod does not answer: two minutes, less than any alert waits."""


def _named(workload: p.Workload, number: int, generation: str) -> str:
    suffix = "".join("bcdfghjklm"[int(digit)] for digit in f"{number:05d}")
    return f"{workload.name}-{generation * 8}-{suffix}"


def _engine(plan: p.Plan, workload: p.Workload, pod: str, edges: dict[float, float], every: float) -> Series:
    """One engine: its gauges, and its counters as so many requests every step, of which a part is within each edge."""
    metrics = workload.metrics
    labels = of_agent(plan, workload.agent, agentgpu_dev_tier=workload.tier_label, pod=pod)
    if metrics is None:
        return {series("up", **labels): (steady(1))}
    found: Series = {series("up", **labels): (steady(1))}
    for gauge, value in ((metrics.kv_usage, 0.05), (metrics.running, 1), (metrics.waiting, 0)):
        if gauge is not None:
            found[series(gauge, **labels)] = steady(value)
    for histogram in (metrics.ttft, metrics.tpot):
        if histogram is not None:
            found[series(f"{histogram}_count", **labels)] = growing(every)
            found[series(f"{histogram}_bucket", **labels, le="+Inf")] = growing(every)
            for edge, part in edges.items():
                found[series(f"{histogram}_bucket", **labels, le=repr(edge))] = growing(part * every)
    for counter in (metrics.preemptions, metrics.rejections):
        if counter is not None:
            found[series(counter, **labels)] = steady(0)
    if metrics.answers is not None:
        label = "status_code" if "status_code" in str(metrics.failures) else "status"
        good, bad = ("200", "500") if label == "status_code" else ("2xx", "5xx")
        found[series(metrics.answers, **labels, **{label: good})] = growing(every)
        found[series(metrics.answers, **labels, **{label: bad})] = steady(2)
    return found


def _pod(plan: p.Plan, workload: p.Workload, pod: str, node: str) -> Series:
    """What kube-state-metrics and the DCGM exporter say of one engine and its card."""
    of_pod = {"namespace": plan.stack, "pod": pod}
    card = {"Hostname": node, "gpu": "0"}
    return {
        series("kube_pod_info", **of_pod, node=node): (steady(1)),
        series("kube_pod_status_phase", **of_pod, phase="Pending"): (steady(0)),
        series("kube_pod_container_resource_requests", **of_pod, container="engine", resource="nvidia_com_gpu"): (
            steady(1)
        ),
        series("kube_pod_container_status_restarts_total", **of_pod, container="engine"): (steady(1)),
        series("kube_node_status_condition", node=node, condition="Ready", status="true"): (steady(1)),
        series("DCGM_FI_DEV_XID_ERRORS", **card): (steady(31)),
        series("DCGM_FI_DEV_GPU_TEMP", **card): (steady(61)),
        series("DCGM_FI_DEV_ROW_REMAP_FAILURE", **card): (steady(0)),
        series("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", **card): (steady(2)),
    }


def _around(plan: p.Plan) -> Series:
    """What does not change: routers, caches, scalers, and a node of somebody else's that is ill."""
    found: Series = {
        series("DCGM_FI_DEV_XID_ERRORS", Hostname="not-ours", gpu="0"): steady(79),
        series("DCGM_FI_DEV_GPU_TEMP", Hostname="not-ours", gpu="0"): steady(99),
        series(
            "keda_scaler_detail_errors_total", namespace="keda", exported_namespace=plan.stack, scaledObject="x"
        ): steady(3),
    }
    for pod in ("router-a", "router-b"):
        labels = {"namespace": plan.stack, "pod": pod}
        found |= {
            series("nginx_up", **labels): steady(1),
            series("nginx_connections_active", **labels): steady(3),
            series("nginx_connections_accepted", **labels): growing(2),
            series("nginx_connections_handled", **labels): growing(2),
        }
    for route in () if plan.router is None else plan.router.routes:
        picker = series(
            "kube_deployment_status_replicas_ready", namespace=plan.stack, deployment=endpoint_picker(route.agent)
        )
        found[picker] = steady(1)
    for pool in plan.node_pools:
        labels = {"namespace": plan.stack, "daemonset": model_cache(pool)}
        found |= {
            series("kube_daemonset_status_desired_number_scheduled", **labels): steady(2),
            series("kube_daemonset_status_number_ready", **labels): steady(2),
            series(
                "karpenter_nodeclaims_disrupted_total",
                reason="spot_interrupted",
                nodepool=pool.name,
                capacity_type="spot",
            ): steady(4),
        }
    return found


def quiet_night(plan: p.Plan) -> Series:
    """The warm replicas idle. In two hours two requests come, both slow, and one of them fails."""
    found = _around(plan)
    for tiers in tiers_by_agent(plan.workloads).values():
        workload, metrics = tiers[0], tiers[0].metrics
        for number in range(workload.replicas.min):
            pod = _named(workload, number, "b")
            found |= _engine(plan, workload, pod, _edges(metrics, 0.0), 0.0)
            found |= _pod(plan, workload, pod, f"{workload.name}-{number}")
        two = f"0+0x{_OUT} 2+0x{LONG}"
        pod = _named(workload, 0, "b")
        labels = of_agent(plan, workload.agent, agentgpu_dev_tier=workload.tier_label, pod=pod)
        for histogram in () if metrics is None else (metrics.ttft, metrics.tpot):
            if histogram is not None:
                found[series(f"{histogram}_count", **labels)] = two
                found[series(f"{histogram}_bucket", **labels, le="+Inf")] = two
        if metrics is not None and metrics.answers is not None and 'status="5xx"' in str(metrics.failures):
            found[series(metrics.answers, **labels, status="5xx")] = f"0+0x{_OUT} 1+0x{LONG}"
            found[series(metrics.answers, **labels, status="2xx")] = f"0+0x{_OUT} 1+0x{LONG}"
    return found


def rollout(plan: p.Plan) -> Series:
    """Each warm replica gives way to one of a new revision, whose histograms have the edges of the plan.

    The old one has others, since it was told another budget or is another version; all of its requests are fast. The new one
    does not answer for two minutes, begins its counters at 0, and is slow for 3 % of its requests.
    """
    found = _around(plan)
    for tiers in tiers_by_agent(plan.workloads).values():
        workload, metrics = tiers[0], tiers[0].metrics
        for number in range(workload.replicas.min):
            node, old, new = f"{workload.name}-{number}", _named(workload, number, "b"), _named(workload, number, "c")
            other = {0.013: 0.97, 1000.0: 1.0}
            found |= _until(_engine(plan, workload, old, other, 60.0))
            found |= _from(_engine(plan, workload, new, _edges(metrics, 0.97), 60.0), _STARTING)
            labels = of_agent(plan, workload.agent, agentgpu_dev_tier=workload.tier_label, pod=new)
            found[series("up", **labels)] = f"_x{_OUT} 0+0x{_STARTING} 1+0x{LONG}"
            found |= _until(_pod(plan, workload, old, node))
            shared = {key: value for key, value in _pod(plan, workload, new, node).items() if f'"{new}"' not in key}
            own = {key: value for key, value in _pod(plan, workload, new, node).items() if f'"{new}"' in key}
            found |= {**shared, **_from(own, 0)}
            pending = series("kube_pod_status_phase", namespace=plan.stack, pod=new, phase="Pending")
            found[pending] = f"_x{_OUT} 1+0x{_STARTING} 0+0x{LONG}"
    return found


def _edges(metrics: p.MetricsPlan | None, part: float) -> dict[float, float]:
    edges = () if metrics is None else (metrics.ttft_edge_s, metrics.tpot_edge_s)
    return {edge: part for edge in edges if edge is not None}


def _until(found: Series) -> Series:
    """Such series, up to the rollout."""
    return {key: value.replace(f"x{LONG}", f"x{_OUT}") + " stale" for key, value in found.items()}


def _from(found: Series, later: int) -> Series:
    """Such series, from the rollout on."""
    return {key: f"_x{_OUT + later} {value}" for key, value in found.items()}
