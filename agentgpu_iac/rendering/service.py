"""What stands for pods: Services and disruption budgets, and those of each agent's engines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from agentgpu_iac.plan import Plan, Workload
from agentgpu_iac.plan.nodes import (
    AGENT_LABEL,
    TIER_LABEL,
)
from agentgpu_iac.rendering.context import Context, Draft, Pairs
from agentgpu_iac.rendering.names import (
    BASE,
    COMPONENT_LABEL,
    ENGINE_COMPONENT,
    NAME_LABEL,
    labels,
)
from agentgpu_iac.rendering.stack import agents

HTTP_PORT = "http"
"""Name of the engines' port, in pods and Services."""
_EVICTABLE_REPLICAS = 1
"""How many replicas of an agent or a router a drain may take at once. Not 0: a lone replica would then hold up every drain of its
node for ever. It moves with an outage of one warm start, or with none where another replica serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceContext(Context):
    """Pods behind one name."""

    template: ClassVar[str] = "service.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    selector: Pairs
    headless: bool
    """Whether the name stands for the pods themselves, and not for one address before them."""
    port_name: str
    app_protocol: str
    port: int
    target_port: str
    """Name of the pods' port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisruptionBudgetContext(Context):
    """How many replicas of an agent, over all its tiers, or of a router a drain may take at once."""

    template: ClassVar[str] = "pod-disruption-budget.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    max_unavailable: int
    selector: Pairs


def service_drafts(plan: Plan) -> tuple[Draft, ...]:
    """The disruption budget of each deployment, and the Services of its agents where no router takes their place."""
    routed = behind_nginx(plan)
    contexts: tuple[Context, ...] = (
        *(
            engine_service(plan, workload, agent, headless=False)
            for workload in agents(plan)
            for agent in workload.served
            if workload.agent not in routed
        ),
        *(
            budget
            for workload in agents(plan)
            for budget in disruption_budgets(plan, workload.agent, engine_labels(plan, workload), _evictable(workload))
        ),
    )
    return tuple(Draft(folder=BASE, context=context) for context in contexts)


def engine_service(plan: Plan, agent: Workload, name: str, *, headless: bool) -> ServiceContext:
    """A name for the engines of a deployment, in all tiers."""
    return ServiceContext(
        name=name,
        namespace=plan.stack,
        labels=engine_labels(plan, agent),
        selector=engine_selector(agent.agent),
        headless=headless,
        port_name=HTTP_PORT,
        app_protocol="http",
        port=agent.port,
        target_port=HTTP_PORT,
    )


def tier_service(plan: Plan, workload: Workload, name: str) -> ServiceContext:
    """A name for the engines of one tier, each by itself."""
    whole = engine_service(plan, workload, name, headless=True)
    tier = ((TIER_LABEL, workload.tier_label),)
    return replace(whole, labels=(*whole.labels, *tier), selector=(*whole.selector, *tier))


def _evictable(agent: Workload) -> Pairs:
    """An agent's engines; of replicas over several nodes every pod, since losing one takes the whole group along."""
    if agent.nodes_per_replica == 1:
        return engine_selector(agent.agent)
    return ((NAME_LABEL, agent.engine.name), (AGENT_LABEL, agent.agent))


def disruption_budgets(
    plan: Plan, name: str, its_labels: Pairs, selector: Pairs
) -> tuple[DisruptionBudgetContext, ...]:
    """The budget of an agent or a router, where the plan wants budgets."""
    if not plan.cluster_objects.disruption_budgets:
        return ()
    budget = DisruptionBudgetContext(
        name=name, namespace=plan.stack, labels=its_labels, max_unavailable=_EVICTABLE_REPLICAS, selector=selector
    )
    return (budget,)


def engine_labels(plan: Plan, agent: Workload) -> Pairs:
    """The labels of what all tiers of an agent have in common."""
    return labels(plan.stack, ENGINE_COMPONENT, name=agent.engine.name, more=((AGENT_LABEL, agent.agent),))


def engine_selector(agent: str) -> Pairs:
    """The labels of an agent's engines in all tiers."""
    return ((COMPONENT_LABEL, ENGINE_COMPONENT), (AGENT_LABEL, agent))


def behind_nginx(plan: Plan) -> frozenset[str]:
    """Deployments whose agents' Services lead to NGINX, which finds the engines by another."""
    if plan.router is None or plan.router.kind != "nginx":
        return frozenset()
    return plan.router.deployments
