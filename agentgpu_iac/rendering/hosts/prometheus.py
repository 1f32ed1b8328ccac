"""What Prometheus asks on one machine, and which rules it holds that against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan.series import AGENT_SERIES_LABEL, CLUSTER_LABEL, TIER_SERIES_LABEL
from agentgpu_iac.rendering.alerts import RuleFileContext, rule_file
from agentgpu_iac.rendering.context import Context, Pairs
from agentgpu_iac.rendering.hosts.machine import Machine
from agentgpu_iac.rendering.ways import LOOPBACK

PROMETHEUS = "prometheus.yml"
RULES = "rules.yml"
FOLDER_INSIDE = "/etc/prometheus"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusContext(Context):
    """What Prometheus asks on the machine."""

    template: ClassVar[str] = "prometheus.yaml.j2"
    interval: str
    stack: str
    node_pool: str
    more_labels: Pairs
    rule_files: tuple[str, ...]
    engines: tuple[tuple[str, str, str, Pairs], ...]
    routers: tuple[tuple[str, Pairs], ...]
    accelerators: tuple[str, ...]


def prometheus_context(machine: Machine) -> PrometheusContext:
    """The engines, NGINX and the accelerators, labelled as a cluster's pods would be."""
    plan, host = machine.plan, machine.host
    watched = [
        (engine, machine.workloads[engine.workload], metrics.path)
        for engine in host.engines
        if (metrics := machine.workloads[engine.workload].metrics) is not None
    ]
    exporter, cluster = machine.router.exporter, plan.watching.cluster
    return PrometheusContext(
        interval=f"{plan.watching.scrape_interval_s}s",
        stack=plan.stack,
        node_pool=host.node_pool,
        more_labels=() if cluster is None else ((CLUSTER_LABEL, cluster),),
        rule_files=() if rules_context(machine) is None else (f"{FOLDER_INSIDE}/{RULES}",),
        engines=tuple(
            (
                engine.name,
                path,
                f"{LOOPBACK}:{engine.port}",
                (
                    ("agentgpu_dev_stack", plan.stack),
                    (AGENT_SERIES_LABEL, workload.agent),
                    (TIER_SERIES_LABEL, workload.tier),
                    *_as_in_a_cluster(plan.stack, engine.name),
                ),
            )
            for engine, workload, path in watched
        ),
        routers=()
        if exporter is None
        else (
            (
                f"{LOOPBACK}:{exporter.port}",
                (("agentgpu_dev_stack", plan.stack), *_as_in_a_cluster(plan.stack, "nginx")),
            ),
        ),
        accelerators=() if host.dcgm_exporter is None else (f"{LOOPBACK}:{host.dcgm_exporter.port}",),
    )


def rules_context(machine: Machine) -> RuleFileContext | None:
    """The rules of the machine; None where there are none, or nothing that would read them."""
    if machine.host.prometheus is None:
        return None
    rules = rule_file(machine.plan, machine.host)
    return rules if rules.groups else None


def _as_in_a_cluster(stack: str, pod: str) -> Pairs:
    """What every query asks for; a machine has neither, so they stand for the stack and for one of its programs."""
    return (("namespace", stack), ("pod", pod))
