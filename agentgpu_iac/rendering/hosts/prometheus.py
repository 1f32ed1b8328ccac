"""What Prometheus asks on one machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.rendering.context import Context, Pairs
from agentgpu_iac.rendering.hosts.machine import LOOPBACK, Machine

PROMETHEUS = "prometheus.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusContext(Context):
    """What Prometheus asks on the machine."""

    template: ClassVar[str] = "prometheus.yaml.j2"
    interval: str
    stack: str
    node_pool: str
    engines: tuple[tuple[str, str, str, Pairs], ...]
    accelerators: tuple[str, ...]


def prometheus_context(machine: Machine) -> PrometheusContext:
    """The engines and accelerators that Prometheus asks."""
    plan, host = machine.plan, machine.host
    watched = [
        (engine, machine.workloads[engine.workload], metrics.path)
        for engine in host.engines
        if (metrics := machine.workloads[engine.workload].metrics) is not None
    ]
    return PrometheusContext(
        interval=f"{plan.watching.scrape_interval_s}s",
        stack=plan.stack,
        node_pool=host.node_pool,
        engines=tuple(
            (
                engine.name,
                path,
                f"{LOOPBACK}:{engine.port}",
                (
                    ("agentgpu_dev_stack", plan.stack),
                    ("agentgpu_dev_agent", workload.agent),
                    ("agentgpu_dev_tier", workload.tier),
                ),
            )
            for engine, workload, path in watched
        ),
        accelerators=() if host.dcgm_exporter is None else (f"{LOOPBACK}:{host.dcgm_exporter.port}",),
    )
