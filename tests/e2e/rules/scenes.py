"""Series under which each alert fires, and series under which it stays silent, with numbers from the plan."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agentgpu_iac import plan as p
from agentgpu_iac.plan import watching
from agentgpu_iac.plan.names import endpoint_picker
from agentgpu_iac.rendering.names import model_cache

STEP_S = 15
LONG = 4_000
"""Samples of every series: more than any waiting time needs."""

Series = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One alert under load."""

    fires: Series
    silent: Series
    value: float
    """What the expression gives when the alert fires."""
    labels: dict[str, str] = field(default_factory=dict)
    """Labels that the expression leaves."""
    starts_s: int = 0
    """When the trouble starts."""


def steady(value: float) -> str:
    return f"{value!r}+0x{LONG}"


def growing(step: float) -> str:
    return f"0+{step!r}x{LONG}"


def series(name: str, **labels: str) -> str:
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in sorted(labels.items())) + "}"


def of_agent(plan: p.Plan, agent: str, **more: str) -> dict[str, str]:
    return {"namespace": plan.stack, "agentgpu_dev_agent": agent, **more}


def tiers_of(plan: p.Plan, agent: str | None) -> Sequence[p.Workload]:
    return [one for one in plan.workloads if one.agent == agent]


def scene(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    return SCENES[alert.name](plan, alert)


def _metrics(plan: p.Plan, alert: p.AlertPlan) -> p.MetricsPlan:
    found = tiers_of(plan, alert.agent)[0].metrics
    assert found is not None
    return found


def _kv(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    labels = {"agentgpu_dev_tier": "baseline", "pod": "one"}
    name = series(str(_metrics(plan, alert).kv_usage), **of_agent(plan, str(alert.agent), **labels))
    return Scene(
        fires={name: steady(0.9)},
        silent={name: steady(alert.threshold)},
        value=0.9,
        labels={**labels, "agentgpu_dev_agent": str(alert.agent)},
    )


def _histogram(plan: p.Plan, alert: p.AlertPlan, name: str | None, edge_s: float | None) -> Scene:
    """Of 100 requests in a scrape, 10 are over the edge, or just the part that may be."""
    labels = of_agent(plan, str(alert.agent), agentgpu_dev_tier="baseline", pod="one")
    bucket, count = series(f"{name}_bucket", **labels, le=repr(edge_s)), series(f"{name}_count", **labels)
    above = series(f"{name}_bucket", **labels, le="+Inf")
    allowed = 100 * (1 - alert.threshold) + 1
    every = {count: growing(100), above: growing(100)}
    return Scene(fires={bucket: growing(90), **every}, silent={bucket: growing(allowed), **every}, value=0.1)


def _ttft(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    metrics = _metrics(plan, alert)
    return _histogram(plan, alert, metrics.ttft, metrics.ttft_edge_s)


def _tpot(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    metrics = _metrics(plan, alert)
    return _histogram(plan, alert, metrics.tpot, metrics.tpot_edge_s)


def _preemptions(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    labels = {"agentgpu_dev_tier": "burst", "pod": "one"}
    name = series(str(_metrics(plan, alert).preemptions), **of_agent(plan, str(alert.agent), **labels))
    return Scene(
        fires={name: growing(1)}, silent={name: steady(7)}, value=alert.window_s / STEP_S,
        labels={**labels, "agentgpu_dev_agent": str(alert.agent)},
    )  # fmt: skip


def _rejections(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    names = [
        series(
            str(_metrics(plan, alert).rejections),
            **of_agent(plan, str(alert.agent), agentgpu_dev_tier="baseline", pod="one", reason=reason),
        )
        for reason in ("requests", "tokens")
    ]
    return Scene(
        fires={names[0]: growing(1), names[1]: steady(0)},
        silent={names[0]: steady(7), names[1]: steady(0)},
        value=alert.window_s / STEP_S,
    )


def _replicas(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    """The last of the baseline's replicas does not answer; those of the burst tier do not count."""
    replicas = int(alert.threshold)
    names = [
        series("up", **of_agent(plan, str(alert.agent), agentgpu_dev_tier="baseline", pod=f"pod-{number}"))
        for number in range(replicas)
    ]
    burst = {series("up", **of_agent(plan, str(alert.agent), agentgpu_dev_tier="burst", pod="burst")): steady(1)}
    answering = {name: steady(1) for name in names}
    return Scene(
        fires={**answering, **burst, names[-1]: steady(0)}, silent={**answering, **burst}, value=replicas - 1.0
    )


def _scaler(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    burst = next(one for one in tiers_of(plan, alert.agent) if one.scaling is not None)
    assert burst.scaling is not None
    if burst.scaling.method == "hpa":
        name = series(
            "kube_horizontalpodautoscaler_status_condition", namespace=plan.stack, horizontalpodautoscaler=burst.name,
            condition="ScalingActive", status="false",
        )  # fmt: skip
        return Scene(fires={name: steady(1)}, silent={name: steady(0)}, value=1)
    names = [
        series(
            "keda_scaler_detail_errors_total", namespace="keda", exported_namespace=plan.stack,
            scaledObject=burst.name, triggerIndex=index,
        )
        for index in "01"
    ]  # fmt: skip
    return Scene(
        fires={names[0]: growing(1), names[1]: steady(3)},
        silent={names[0]: steady(3), names[1]: steady(3)},
        value=alert.window_s / STEP_S,
    )


def _pending(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    def phase(pod: str, pending: int) -> Series:
        return {series("kube_pod_status_phase", namespace=plan.stack, pod=pod, phase="Pending"): steady(pending)}

    def gpu(pod: str) -> Series:
        name = series(
            "kube_pod_container_resource_requests", namespace=plan.stack, pod=pod, container="engine",
            resource="nvidia_com_gpu",
        )  # fmt: skip
        return {name: steady(1)}

    others = {**phase("filler", 1), **phase("running", 0), **gpu("running")}
    return Scene(fires={**others, **phase("stuck", 1), **gpu("stuck")}, silent=others, value=1)


def _spot(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    """A counter that is not there before the first loss, and one of a pool that is not ours."""
    pool = next(each for each in plan.node_pools if "spot" in each.capacity_types)
    start_s = 2 * alert.window_s
    common = {"capacity_type": "spot", "reason": "spot_interrupted"}
    mine = series("karpenter_nodeclaims_disrupted_total", **common, nodepool=pool.name)
    other = series("karpenter_nodeclaims_disrupted_total", **common, nodepool="other")
    return Scene(
        fires={mine: f"_x{start_s // STEP_S} {steady(1)}", other: growing(1)},
        silent={mine: steady(4), other: growing(1)},
        value=1,
        starts_s=start_s + STEP_S,
    )


def _cache(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    name = model_cache(plan.node_pools[-1])
    labels = {"namespace": plan.stack, "daemonset": name}
    desired = series("kube_daemonset_status_desired_number_scheduled", **labels)
    ready = series("kube_daemonset_status_number_ready", **labels)
    return Scene(
        fires={desired: steady(3), ready: steady(1)},
        silent={desired: steady(3), ready: steady(3)},
        value=2,
        labels={"daemonset": name},
    )


def _errors(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    """One answer in ten is a 500; refusals, which are 503s too, count for nothing here."""
    metrics = _metrics(plan, alert)
    labels = of_agent(plan, str(alert.agent), agentgpu_dev_tier="baseline", pod="one", handler="/v1/chat/completions")
    good, bad = (series(str(metrics.answers), **labels, status=status) for status in ("2xx", "5xx"))
    refused = series(
        str(metrics.rejections), **of_agent(plan, str(alert.agent), agentgpu_dev_tier="baseline", pod="one")
    )
    return Scene(
        fires={good: growing(90), bad: growing(10), **({refused: growing(0)} if metrics.rejections else {})},
        silent={good: growing(90), bad: growing(10), refused: growing(10)}
        if metrics.rejections
        else {good: growing(9)},
        value=0.1,
    )


def _restarts(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    """Three in the hour, of this agent and not of one whose name begins alike."""
    name = tiers_of(plan, alert.agent)[0].name

    def restarts(pod: str) -> str:
        return series("kube_pod_container_status_restarts_total", namespace=plan.stack, pod=pod, container="engine")

    pod, other = f"{name}-6f7d8b9c4d-x2x4z", f"{name}-and-more-6f7d8b9c4d-x2x4z"
    late = f"0+0x{alert.window_s // STEP_S} 0+1x2 3+0x{LONG}"
    return Scene(
        fires={restarts(pod): f"0+0x{alert.window_s // STEP_S - 4} 1 2 3 4+0x{LONG}"},
        silent={restarts(other): late, restarts(pod): f"4+0x{alert.window_s // STEP_S} 5+0x{LONG}"},
        value=4.0 * alert.window_s / (alert.window_s),
        labels={"pod": pod},
        starts_s=alert.window_s,
    )


def _metrics_missing(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    """Two replicas answer, and one of them has other names than the plan knows."""
    labels = [of_agent(plan, str(alert.agent), agentgpu_dev_tier="baseline", pod=pod) for pod in ("old", "new")]
    up = {series("up", **each): steady(1) for each in labels}
    first, second = (series(str(_metrics(plan, alert).kv_usage), **each) for each in labels)
    return Scene(fires={**up, first: steady(0.1)}, silent={**up, first: steady(0.1), second: steady(0)}, value=1)


def _router_down(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    """Both away; one of two is what the second is for."""
    first, second = (series("nginx_up", namespace=plan.stack, pod=pod) for pod in ("router-1", "router-2"))
    return Scene(fires={first: steady(0), second: steady(0)}, silent={first: steady(1), second: steady(0)}, value=0)


def _router_full(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    labels = {"namespace": plan.stack, "pod": "router-1"}
    active = series("nginx_connections_active", **labels)
    counts = {
        series(f"nginx_connections_{what}", **labels): growing(step) for what, step in (("accepted", 4), ("handled", 4))
    }
    return Scene(
        fires={active: steady(alert.threshold + 1), **counts},
        silent={active: steady(alert.threshold), **counts},
        value=alert.threshold + 1,
        labels={"pod": "router-1"},
    )


def _picker(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    names = [endpoint_picker(route.agent) for route in plan.router.routes] if plan.router else []
    ready = [series("kube_deployment_status_replicas_ready", namespace=plan.stack, deployment=name) for name in names]
    well = dict.fromkeys(ready, steady(1))
    return Scene(fires={**well, ready[-1]: steady(0)}, silent=well, value=len(ready) - 1.0)


def engine_pod(plan: p.Plan, node: str) -> Series:
    """An engine of ours on a node, as kube-state-metrics says it."""
    name = f"{plan.workloads[0].name}-6f7d8b9c4d-x2x4z"
    return {series("kube_pod_info", namespace=plan.stack, pod=name, node=node): steady(1)}


def _card(name: str, node: str) -> str:
    return series(name, Hostname=node, gpu="3", UUID="GPU-1")


def _xid(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    """A card that fell off the bus; a program's own error, and a card of somebody else's node, are nothing to us."""
    name = "DCGM_FI_DEV_XID_ERRORS"
    return Scene(
        fires={**engine_pod(plan, "ours"), _card(name, "ours"): steady(79)},
        silent={**engine_pod(plan, "ours"), _card(name, "ours"): steady(31), _card(name, "other"): steady(79)},
        value=79,
        labels={"Hostname": "ours", "gpu": "3"},
    )


def _memory(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    name = "DCGM_FI_DEV_ROW_REMAP_FAILURE"
    rows = _card("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "ours")
    return Scene(
        fires={**engine_pod(plan, "ours"), _card(name, "ours"): steady(1)},
        silent={
            **engine_pod(plan, "ours"),
            _card(name, "ours"): steady(0),
            rows: steady(2),
            _card(name, "other"): steady(1),
        },
        value=1,
        labels={"Hostname": "ours", "gpu": "3"},
    )


def _hot(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    name = "DCGM_FI_DEV_GPU_TEMP"
    return Scene(
        fires={**engine_pod(plan, "ours"), _card(name, "ours"): steady(alert.threshold + 1)},
        silent={
            **engine_pod(plan, "ours"),
            _card(name, "ours"): steady(alert.threshold),
            _card(name, "other"): steady(99),
        },
        value=alert.threshold + 1,
        labels={"Hostname": "ours", "gpu": "3"},
    )


def _exporter(plan: p.Plan, alert: p.AlertPlan) -> Scene:
    """A node of ours whose cards nobody counts."""
    temperature = _card("DCGM_FI_DEV_GPU_TEMP", "ours")
    return Scene(
        fires={**engine_pod(plan, "ours"), _card("DCGM_FI_DEV_GPU_TEMP", "other"): steady(40)},
        silent={**engine_pod(plan, "ours"), temperature: steady(40)},
        value=1,
        labels={"exporter": "dcgm-exporter"},
    )


SCENES: dict[str, Callable[[p.Plan, p.AlertPlan], Scene]] = {
    watching.KV_CACHE_FULL: _kv,
    watching.TTFT_OVER_BUDGET: _ttft,
    watching.TPOT_OVER_BUDGET: _tpot,
    watching.PREEMPTIONS: _preemptions,
    watching.REQUESTS_REJECTED: _rejections,
    watching.ERRORS: _errors,
    watching.ENGINE_RESTARTS: _restarts,
    watching.METRICS_MISSING: _metrics_missing,
    watching.ROUTER_DOWN: _router_down,
    watching.ROUTER_NEARLY_FULL: _router_full,
    watching.PICKER_DOWN: _picker,
    watching.ACCELERATOR_ERRORS: _xid,
    watching.ACCELERATOR_MEMORY: _memory,
    watching.ACCELERATOR_HOT: _hot,
    watching.EXPORTER_MISSING: _exporter,
    watching.REPLICAS_BELOW_PLAN: _replicas,
    watching.SCALER_FAILING: _scaler,
    watching.GPU_PODS_PENDING: _pending,
    watching.SPOT_NODE_LOST: _spot,
    watching.MODEL_CACHE_NOT_FILLED: _cache,
}


def expanded(text: str, value: float, labels: dict[str, str]) -> str:
    """An annotation as Prometheus fills it in, as far as ours go."""
    text = re.sub(r"{{ \$labels\.(\w+) }}", lambda found: labels[found[1]], text)
    text = text.replace("{{ $value | humanizePercentage }}", f"{value * 100:.4g}%")
    text = text.replace("{{ $value | humanize }}", f"{value / 1000:.4g}k" if 1e3 <= value < 1e6 else f"{value:.4g}")
    return text.replace("{{ $value }}", f"{value:g}")
