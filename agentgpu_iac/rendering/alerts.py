"""Alert rules: each alert of the plan as a rule of Prometheus, for its operator or in a file of its own.

Alerts of an agent stand in a PrometheusRule of its own, since one object cannot hold those of a thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import AlertPlan, HostPlan, Plan, Workload, tiers_by_agent
from agentgpu_iac.plan.series import AGENT_SERIES_LABEL, CLUSTER_LABEL
from agentgpu_iac.rendering.agent_alerts import AGENT_ALERTS
from agentgpu_iac.rendering.context import Context, Draft, Pairs
from agentgpu_iac.rendering.names import MONITORING, watched_labels
from agentgpu_iac.rendering.scaling import BURST_SERIES
from agentgpu_iac.rendering.stack_alerts import STACK_ALERTS
from agentgpu_iac.rendering.watched import Watched

Record = tuple[str, str, Pairs]
"""(series, expression, labels)."""
Rule = tuple[str, str, str, Pairs, Pairs]
"""(alert, expression, waiting time, labels, annotations)."""
Group = tuple[str, str, tuple[Record, ...], tuple[Rule, ...]]
"""(name, interval, records, alerts): rules about one agent, or about the stack as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusRuleContext(Context):
    """A group of rules, as the operator's kind."""

    template: ClassVar[str] = "prometheus-rule.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFileContext(Context):
    """All rules of one machine, as Prometheus itself reads them."""

    template: ClassVar[str] = "rules.yaml.j2"
    groups: tuple[Group, ...]


def rule_drafts(plan: Plan) -> tuple[Draft, ...]:
    """The rules of each agent, and those of the stack."""
    if plan.watching.monitors == "none":
        return ()
    watched = Watched(plan=plan, cluster=plan.watching.cluster)
    return tuple(
        Draft(
            folder=MONITORING,
            context=PrometheusRuleContext(
                name=name, namespace=plan.stack, labels=watched_labels(plan, name), groups=(group,)
            ),
        )
        for name, group in _groups(watched)
    )


def rule_file(plan: Plan, host: HostPlan) -> RuleFileContext:
    """The rules about what one machine runs."""
    watched = Watched(plan=plan, host=host, cluster=plan.watching.cluster)
    return RuleFileContext(groups=tuple(group for _, group in _groups(watched)))


def _groups(watched: Watched) -> Iterator[tuple[str, Group]]:
    """A group for each agent and one for the stack, with the name of each; none is empty."""
    plan = watched.plan
    alerts: dict[str | None, list[AlertPlan]] = {}
    for alert in plan.watching.alerts:
        alerts.setdefault(alert.agent, []).append(alert)
    by_agent = tiers_by_agent(watched.workloads)
    found = [(f"agent-{agent}", agent, tiers) for agent, tiers in by_agent.items()]
    about: tuple[tuple[str, str | None, Sequence[Workload]], ...] = (*found, ("stack", None, watched.workloads))
    for name, agent, workloads in about:
        records = () if agent is None else tuple(_records(plan.stack, workloads))
        rules = tuple(_rule(watched, alert, workloads) for alert in alerts.get(agent, ()))
        if records or rules:
            yield name, (f"{plan.stack}.{name}", f"{plan.watching.scrape_interval_s}s", records, rules)


def _rule(watched: Watched, alert: AlertPlan, workloads: Sequence[Workload]) -> Rule:
    said = {**AGENT_ALERTS, **STACK_ALERTS}[alert.name](watched, alert, workloads)
    plan = watched.plan
    return (
        alert.name,
        said.expression,
        f"{alert.for_s}s",
        (
            ("severity", alert.severity),
            ("agentgpu_dev_stack", plan.stack),
            *(() if alert.agent is None else ((AGENT_SERIES_LABEL, alert.agent),)),
            *(() if plan.watching.cluster is None else ((CLUSTER_LABEL, plan.watching.cluster),)),
        ),
        (
            ("summary", said.summary),
            ("description", f"{said.description} First: {said.first}"),
            *_runbook(plan.watching.runbook_base_url, alert.name),
        ),
    )


def _records(stack: str, workloads: Sequence[Workload]) -> Iterator[Record]:
    """The series that a metrics adapter serves to an HPA. KEDA queries Prometheus directly."""
    for workload in workloads:
        if workload.scaling is not None and workload.scaling.method == "hpa":
            about = (("namespace", stack), (AGENT_SERIES_LABEL, workload.agent))
            yield from ((BURST_SERIES[trigger.name], trigger.query, about) for trigger in workload.scaling.triggers)


def _runbook(base_url: str | None, alert: str) -> Pairs:
    """A link to the alert's section. Tools open it as it stands, so it is absolute or not there."""
    return () if base_url is None else (("runbook_url", f"{base_url}#{alert.lower()}"),)
