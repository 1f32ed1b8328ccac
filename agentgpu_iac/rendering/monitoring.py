"""Watching: what scrapes the engines and the router, the alert rules, and the dashboards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.nodes import AGENT_LABEL, STACK_LABEL, TIER_LABEL
from agentgpu_iac.plan.series import CLUSTER_LABEL
from agentgpu_iac.rendering.alerts import rule_drafts
from agentgpu_iac.rendering.context import Context, Draft, Pairs
from agentgpu_iac.rendering.dashboard import dashboard_drafts
from agentgpu_iac.rendering.gateway import PICKER_METRICS_PATH, PICKER_METRICS_PORT_NAME
from agentgpu_iac.rendering.names import (
    COMPONENT_LABEL,
    ENDPOINT_PICKER_COMPONENT,
    ENGINE_COMPONENT,
    EXPORTER_PORT_NAME,
    MONITORING,
    ROUTER_COMPONENT,
    watched_labels,
)
from agentgpu_iac.rendering.service import HTTP_PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class PodMonitorContext(Context):
    """Pods whose metrics page has one path: the engines of one name in all tiers, or the routers."""

    template: ClassVar[str] = "pod-monitor.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    pod_target_labels: tuple[str, ...]
    selector: Pairs
    port: str
    """Name of the pods' port."""
    path: str
    interval: str
    timeout: str
    has_cluster: bool
    added_labels: Pairs
    """The name of the cluster, where Prometheus gives it one: so its own queries find it too."""


def monitoring_drafts(plan: Plan) -> tuple[Draft, ...]:
    """Everything that watches the stack, as far as the spec wants it."""
    return (*_monitor_drafts(plan), *rule_drafts(plan), *dashboard_drafts(plan))


def _monitor_drafts(plan: Plan) -> tuple[Draft, ...]:
    """One PodMonitor for each engine in use, since engines of one name have one path; and one for what routes requests: NGINX's
    exporters, or endpoint pickers, whose queue a burst is scaled on.
    """
    if plan.watching.monitors == "none":
        return ()
    paths = {workload.engine.name: workload.metrics.path for workload in plan.workloads if workload.metrics is not None}
    monitors = [
        _monitor(
            plan,
            f"engines-{engine}",
            watched_labels(plan, engine),
            (STACK_LABEL, AGENT_LABEL, TIER_LABEL),
            ((COMPONENT_LABEL, ENGINE_COMPONENT), ("app.kubernetes.io/name", engine)),
            HTTP_PORT,
            path,
        )
        for engine, path in paths.items()
    ]
    if plan.router is not None and plan.router.exporter is not None:
        monitors.append(
            _monitor(
                plan,
                ROUTER_COMPONENT,
                watched_labels(plan, "nginx"),
                (STACK_LABEL,),
                ((COMPONENT_LABEL, ROUTER_COMPONENT),),
                EXPORTER_PORT_NAME,
                "/metrics",
            )
        )
    if plan.router is not None and plan.router.gateway is not None:
        monitors.append(
            _monitor(
                plan,
                "endpoint-pickers",
                watched_labels(plan, "endpoint-pickers"),
                (STACK_LABEL, AGENT_LABEL),
                ((COMPONENT_LABEL, ENDPOINT_PICKER_COMPONENT),),
                PICKER_METRICS_PORT_NAME,
                PICKER_METRICS_PATH,
            )
        )
    return tuple(Draft(folder=MONITORING, context=monitor) for monitor in monitors)


def _monitor(
    plan: Plan, name: str, labels: Pairs, copied: tuple[str, ...], selector: Pairs, port: str, path: str
) -> PodMonitorContext:
    seconds, cluster = f"{plan.watching.scrape_interval_s}s", plan.watching.cluster
    return PodMonitorContext(
        name=name,
        namespace=plan.stack,
        labels=labels,
        pod_target_labels=copied,
        selector=selector,
        port=port,
        path=path,
        interval=seconds,
        timeout=seconds,
        has_cluster=cluster is not None,
        added_labels=() if cluster is None else ((CLUSTER_LABEL, cluster),),
    )
