"""What an alert or a panel is about: the whole stack as a cluster's Prometheus sees it, or one machine as its own does.

A machine's Prometheus asks the engines of that machine alone, so replicas are counted there by what the machine runs. The
labels of the series are the same in both places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentgpu_iac.plan import HostPlan, Plan, Workload, baselines, warm_replicas
from agentgpu_iac.plan.series import TIER_SERIES_LABEL, in_cluster, selector


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The stack, or what one machine runs of it."""

    plan: Plan
    host: HostPlan | None = None
    cluster: str | None = None
    """Value of the label ``cluster``, or the dashboard's variable in its place."""

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """The workloads whose engines are seen."""
        if self.host is None:
            return self.plan.workloads
        here = {engine.workload for engine in self.host.engines}
        return tuple(workload for workload in self.plan.workloads if workload.name in here)

    def of_agent(self, agent: str) -> str:
        """Label matchers of an agent's series, all tiers."""
        return selector(self.plan.stack, agent, self.cluster)

    @property
    def of_stack(self) -> str:
        """Label matchers of the series of the stack's namespace."""
        return f'namespace="{self.plan.stack}"{self.beside}'

    @property
    def beside(self) -> str:
        """What follows other matchers so that no other cluster is meant."""
        return in_cluster(self.cluster)

    def replicas_up(self, workload: Workload) -> str:
        """Replicas of a workload that answer; by what Kubernetes says of them where nothing scrapes the engine."""
        if workload.metrics is None and self.host is None:
            return f'sum(kube_deployment_status_replicas_ready{{{self.of_stack},deployment="{workload.name}"}})'
        return f'sum(up{{{self.of_agent(workload.agent)},{TIER_SERIES_LABEL}="{workload.tier_label}"}})'

    def warm_replicas(self, tiers: Sequence[Workload]) -> int:
        """Replicas that are to answer whatever the load: those of the baseline, or all that the machine runs."""
        if self.host is None:
            return warm_replicas(tiers)
        names = {workload.name for workload in tiers}
        return sum(engine.workload in names for engine in self.host.engines)

    def warm_up(self, tiers: Sequence[Workload]) -> str:
        """How many of those answer."""
        counted = baselines(tiers) if self.host is None else tiers
        return " + ".join(f"({self.replicas_up(workload)} or vector(0))" for workload in counted)
