"""The alerts about the stack as a whole: nodes, the router, the accelerators, and what counts all that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agentgpu_iac.plan import AlertPlan, Workload, watching
from agentgpu_iac.plan.names import endpoint_picker
from agentgpu_iac.plan.nodes import ACCELERATOR_RESOURCE
from agentgpu_iac.plan.series import decimal
from agentgpu_iac.rendering.agent_alerts import pods_of
from agentgpu_iac.rendering.alert_words import Said
from agentgpu_iac.rendering.names import model_cache
from agentgpu_iac.rendering.watched import Watched
from agentgpu_iac.units import counted

_KUBE_RESOURCE = ACCELERATOR_RESOURCE.replace(".", "_").replace("/", "_")
"""How kube-state-metrics spells the resource."""

_NODE = "Hostname"
"""What the DCGM exporter calls the node."""

_XIDS_OF_PROGRAMS = (13, 31, 43, 45, 68, 109)
"""Errors of a program and not of a card; NVIDIA's device plugin passes over the same ones by default."""


def _gpu_pods_pending(watched: Watched, alert: AlertPlan, _: Sequence[Workload]) -> Said:
    plan = watched.plan
    nodes = sum(pool.max for pool in plan.node_pools)
    pending = f'kube_pod_status_phase{{{watched.of_stack},phase="Pending"}} == 1'
    on_gpu = f'kube_pod_container_resource_requests{{{watched.of_stack},resource="{_KUBE_RESOURCE}"}} > 0'
    return Said(
        expression=f"count(({pending}) and on (pod) ({on_gpu})) > {decimal(alert.threshold)}",
        summary=f"Pods of {plan.stack} wait for accelerators",
        description=(
            f"{{{{ $value }}}} pods that ask for accelerators are pending for longer than {alert.for_s} s, the slowest cold "
            f"start of the plan. The plan has {counted(nodes, 'node')} at most."
        ),
        first="kubectl describe pod: its last event says what is missing, capacity, quota, or the device plugin.",
    )


def _spot_node_lost(watched: Watched, alert: AlertPlan, workloads: Sequence[Workload]) -> Said:
    plan = watched.plan
    pools = tuple(pool for pool in plan.node_pools if "spot" in pool.capacity_types)
    disrupted = (
        f'karpenter_nodeclaims_disrupted_total{{reason="spot_interrupted",nodepool=~"{"|".join(p.name for p in pools)}"'
        f"{watched.beside}}}"
    )
    affected = tuple(workload for workload in workloads if workload.node_pool in {pool.name for pool in pools})
    gone = (
        f'sum(kube_node_status_condition{{condition="Ready",status="true"{watched.beside}}} == bool 0 and on (node) '
        f'kube_pod_info{{{watched.of_stack},pod=~"{pods_of(affected)}"}})'
    )
    taken = f"sum({disrupted}) - (sum({disrupted} offset {alert.window_s}s) or vector(0))"
    names = ", ".join(pool.name for pool in pools)
    notices = sorted({workload.drain.notice_s or 0 for workload in affected})
    drains = max((workload.drain.grace_period_s for workload in affected), default=0)
    return Said(
        expression=f"({taken} > {decimal(alert.threshold)}) or ({gone} > {decimal(alert.threshold)})",
        summary=f"{plan.stack} lost a node on spot",
        description=(
            f"{{{{ $value }}}} nodes of {names} were taken away or do not answer. The provider gives "
            f"{' or '.join(str(notice) for notice in notices)} s of notice, a drain takes {drains} s."
        ),
        first="A single loss repairs itself. Many: plan again with capacity.spot: never or a higher onDemandFloorRatio.",
    )


def _model_cache_not_filled(watched: Watched, alert: AlertPlan, workloads: Sequence[Workload]) -> Said:
    plan = watched.plan
    names = "|".join(model_cache(pool) for pool in plan.node_pools)
    chosen = f'{watched.of_stack},daemonset=~"{names}"'
    slowest = max(workload.cold_start_s.upper.cache_fill for workload in workloads)
    return Said(
        expression=(
            f"sum by (daemonset) (kube_daemonset_status_desired_number_scheduled{{{chosen}}}) - "
            f"sum by (daemonset) (kube_daemonset_status_number_ready{{{chosen}}}) > {decimal(alert.threshold)}"
        ),
        summary=f"Nodes of {plan.stack} lack their models",
        description=(
            f"{{{{ $labels.daemonset }}}} has not filled the model cache of {{{{ $value }}}} nodes for longer than {alert.for_s} "
            f"s; the plan expects {slowest:.0f} s at most. Engines on those nodes wait."
        ),
        first="kubectl logs of that DaemonSet: a missing token, a revision that is not there, no space, or a slow source.",
    )


def _router_down(watched: Watched, alert: AlertPlan, _: Sequence[Workload]) -> Said:
    stack = watched.plan.stack
    return Said(
        expression=f"(sum(nginx_up{{{watched.of_stack}}}) or vector(0)) < {decimal(alert.threshold)}",
        summary=f"No router of {stack} answers",
        description=(
            f"{{{{ $value }}}} routers answer their exporter, for longer than {alert.for_s} s: nobody reaches the agents behind "
            "NGINX. It fires too where Prometheus does not reach the exporters."
        ),
        first="kubectl get pods -l app.kubernetes.io/component=router: are they there and ready? If so, look at the PodMonitor "
        "router among Prometheus' targets."
        if watched.host is None
        else "docker compose ps nginx and its log: a certificate or a configuration that it refuses is named there.",
    )


def _router_nearly_full(watched: Watched, alert: AlertPlan, _: Sequence[Workload]) -> Said:
    """Connections that NGINX accepted and had to drop are callers that were cut off: one is enough."""
    chosen, window = watched.of_stack, f"[{alert.window_s}s]"
    accepted, handled = (f"increase(nginx_connections_{what}{{{chosen}}}{window})" for what in ("accepted", "handled"))
    held = f"max by (pod) (nginx_connections_active{{{chosen}}})"
    return Said(
        expression=(f"({held} > {decimal(alert.threshold)}) or (max by (pod) ({accepted} - {handled}) > 0.5)"),
        summary=f"A router of {watched.plan.stack} runs out of connections",
        description=(
            f"{{{{ $labels.pod }}}} holds more than {counted(alert.threshold, 'connection', ',.0f')} of callers, or "
            "dropped some for want of "
            "room (value {{ $value | humanize }}). Beyond its limit callers are refused before any engine hears of them."
        ),
        first="Find callers that open connections and leave them open. If the load is real, raise sessions.peak: the router "
        "grows with the seats.",
    )


def _picker_down(watched: Watched, alert: AlertPlan, _: Sequence[Workload]) -> Said:
    router = watched.plan.router
    names = "|".join(endpoint_picker(name) for name in (() if router is None else sorted(router.deployments)))
    ready = f'kube_deployment_status_replicas_ready{{{watched.of_stack},deployment=~"{names}"}}'
    return Said(
        expression=f"(count({ready} > 0) or vector(0)) < {decimal(alert.threshold)}",
        summary=f"An endpoint picker of {watched.plan.stack} is away",
        description=(
            f"{{{{ $value }}}} of {alert.threshold:.0f} endpoint pickers are ready, for longer than {alert.for_s} s. The Gateway "
            "then takes any replica: sessions lose their prefix cache, and full replicas are asked."
        ),
        first="kubectl describe the picker's pod and read its log: it needs its ConfigMap, its Role and the pool.",
    )


def _accelerator_errors(watched: Watched, alert: AlertPlan, workloads: Sequence[Workload]) -> Said:
    last = f"max by ({_NODE}, gpu) (DCGM_FI_DEV_XID_ERRORS{_all(watched)})"
    of_programs = " or ".join(f"{last} == {xid}" for xid in _XIDS_OF_PROGRAMS)
    return Said(
        expression=_on_our_nodes(watched, workloads, f"({last} > {decimal(alert.threshold)}) unless ({of_programs})"),
        summary=f"An accelerator of {watched.plan.stack} has a hardware error",
        description=(
            f"Accelerator {{{{ $labels.gpu }}}} of {{{{ $labels.{_NODE} }}}}: the driver's last error is XID {{{{ $value }}}}. "
            f"Those of programs ({', '.join(map(str, _XIDS_OF_PROGRAMS))}) are left out."
        ),
        first="Look the XID up in NVIDIA's list, then drain and replace the node; a reset clears some of them.",
    )


def _accelerator_memory(watched: Watched, alert: AlertPlan, workloads: Sequence[Workload]) -> Said:
    remapped = f"DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS{_all(watched)}[{alert.window_s}s]"
    return Said(
        expression=_on_our_nodes(
            watched,
            workloads,
            f"(max by ({_NODE}, gpu) (DCGM_FI_DEV_ROW_REMAP_FAILURE{_all(watched)}) > 0) or "
            f"(max by ({_NODE}, gpu) (increase({remapped})) > {decimal(alert.threshold)})",
        ),
        summary=f"Memory of an accelerator of {watched.plan.stack} fails",
        description=(
            f"Accelerator {{{{ $labels.gpu }}}} of {{{{ $labels.{_NODE} }}}} had memory errors that could not be corrected: rows "
            "were taken out of use, or could not be. Engines on it may have answered wrongly or will end."
        ),
        first="Drain and replace the node. A row that was remapped needs a reset of the card; a failed remap needs another card.",
    )


def _accelerator_hot(watched: Watched, alert: AlertPlan, workloads: Sequence[Workload]) -> Said:
    hottest = f"max by ({_NODE}, gpu) (DCGM_FI_DEV_GPU_TEMP{_all(watched)})"
    return Said(
        expression=_on_our_nodes(watched, workloads, f"{hottest} > {decimal(alert.threshold)}"),
        summary=f"An accelerator of {watched.plan.stack} is hot",
        description=(
            f"Accelerator {{{{ $labels.gpu }}}} of {{{{ $labels.{_NODE} }}}} is at {{{{ $value }}}} degrees Celsius, over "
            f"{alert.threshold:.0f} for longer than {alert.for_s} s: it slows down, and so does every answer from it."
        ),
        first="Drain and replace a rented node; on a machine of yours look at its fans and its room.",
    )


def _exporter_missing(watched: Watched, alert: AlertPlan, workloads: Sequence[Workload]) -> Said:
    """An alert whose series are not there is silent for ever; so what exports them is asked for itself."""
    is_counted = watched.plan.watching.accelerators != "none"
    temperature = f"DCGM_FI_DEV_GPU_TEMP{_all(watched)}"
    missing: list[tuple[str, str]] = []
    if watched.host is None:
        missing.append(("kube-state-metrics", f"absent(kube_pod_info{{{watched.of_stack}}})"))
    if is_counted:
        away = f"absent({temperature})"
        if watched.host is None:
            away = f"({_engine_nodes(watched, workloads)}) unless on ({_NODE}) {temperature}"
        missing.append(("dcgm-exporter", away))
    each = " or ".join(
        f'label_replace(count({expression}), "exporter", "{name}", "", "")' for name, expression in missing
    )
    return Said(
        expression=f"({each}) > {decimal(alert.threshold)}",
        summary=f"{watched.plan.stack} is not fully watched",
        description=(
            f"{{{{ $labels.exporter }}}} gives no series, for longer than {alert.for_s} s: every alert that asks for them is "
            "silent, whatever happens."
        ),
        first="Install or repair it, or let Prometheus reach it. Who wants no accelerator metrics writes "
        "observability.accelerators: none.",
    )


def _all(watched: Watched) -> str:
    """Matchers of a series that is not the namespace's."""
    return f"{{{watched.beside.removeprefix(',')}}}" if watched.beside else ""


def _engine_nodes(watched: Watched, workloads: Sequence[Workload]) -> str:
    """A sample for each engine pod on a node, labelled as the DCGM exporter labels that node's cards."""
    pods = f'kube_pod_info{{{watched.of_stack},node!="",pod=~"{pods_of(workloads)}"}}'
    return f'label_replace({pods}, "{_NODE}", "$1", "node", "(.+)")'


def _on_our_nodes(watched: Watched, workloads: Sequence[Workload], expression: str) -> str:
    """Cards of nodes that run our engines: a cluster may have others. A machine has no others."""
    if watched.host is not None:
        return expression
    return f"({expression}) and on ({_NODE}) {_engine_nodes(watched, workloads)}"


STACK_ALERTS: Mapping[str, Callable[[Watched, AlertPlan, Sequence[Workload]], Said]] = {
    watching.GPU_PODS_PENDING: _gpu_pods_pending,
    watching.SPOT_NODE_LOST: _spot_node_lost,
    watching.MODEL_CACHE_NOT_FILLED: _model_cache_not_filled,
    watching.ROUTER_DOWN: _router_down,
    watching.ROUTER_NEARLY_FULL: _router_nearly_full,
    watching.PICKER_DOWN: _picker_down,
    watching.ACCELERATOR_ERRORS: _accelerator_errors,
    watching.ACCELERATOR_MEMORY: _accelerator_memory,
    watching.ACCELERATOR_HOT: _accelerator_hot,
    watching.EXPORTER_MISSING: _exporter_missing,
}
