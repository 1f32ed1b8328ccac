"""Watching: what scrapes the engines, the alert rules, and the dashboards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.nodes import AGENT_LABEL, STACK_LABEL, TIER_LABEL
from agentgpu_iac.rendering.alerts import rule_drafts
from agentgpu_iac.rendering.context import Context, Draft, Pairs
from agentgpu_iac.rendering.dashboard import dashboard_drafts
from agentgpu_iac.rendering.gateway import PICKER_METRICS_PATH, PICKER_METRICS_PORT_NAME
from agentgpu_iac.rendering.names import (
    COMPONENT_LABEL,
    ENDPOINT_PICKER_COMPONENT,
    ENGINE_COMPONENT,
    MONITORING,
    watched_labels,
)
from agentgpu_iac.rendering.service import HTTP_PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class PodMonitorContext(Context):
    """The engines whose metrics page has one path, in all tiers."""

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


def monitoring_drafts(plan: Plan) -> tuple[Draft, ...]:
    """Everything that watches the stack, as far as the spec wants it."""
    return (*_monitor_drafts(plan), *rule_drafts(plan), *dashboard_drafts(plan))


def _monitor_drafts(plan: Plan) -> tuple[Draft, ...]:
    """One PodMonitor for each engine in use: engines of one name have one path."""
    if plan.watching.monitors == "none":
        return ()
    paths = {workload.engine.name: workload.metrics.path for workload in plan.workloads if workload.metrics is not None}
    monitors = (*(_monitor(plan, engine, path) for engine, path in paths.items()), *_picker_monitor(plan))
    return tuple(Draft(folder=MONITORING, context=monitor) for monitor in monitors)


def _picker_monitor(plan: Plan) -> tuple[PodMonitorContext, ...]:
    """The endpoint pickers: what they hold until a replica has room is what a burst is scaled on."""
    if plan.router is None or plan.router.gateway is None:
        return ()
    seconds = f"{plan.watching.scrape_interval_s}s"
    return (
        PodMonitorContext(
            name="endpoint-pickers",
            namespace=plan.stack,
            labels=watched_labels(plan, "endpoint-pickers"),
            pod_target_labels=(STACK_LABEL, AGENT_LABEL),
            selector=((COMPONENT_LABEL, ENDPOINT_PICKER_COMPONENT),),
            port=PICKER_METRICS_PORT_NAME,
            path=PICKER_METRICS_PATH,
            interval=seconds,
            timeout=seconds,
        ),
    )


def _monitor(plan: Plan, engine: str, path: str) -> PodMonitorContext:
    seconds = f"{plan.watching.scrape_interval_s}s"
    return PodMonitorContext(
        name=f"engines-{engine}",
        namespace=plan.stack,
        labels=watched_labels(plan, engine),
        pod_target_labels=(STACK_LABEL, AGENT_LABEL, TIER_LABEL),
        selector=((COMPONENT_LABEL, ENGINE_COMPONENT), ("app.kubernetes.io/name", engine)),
        port=HTTP_PORT,
        path=path,
        interval=seconds,
        timeout=seconds,
    )
