"""What a stack has once: its namespace, identities, priority classes, quota, and the addresses of its agents."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import Plan, PriorityClassPlan, QuotaPlan, Workload, tiers_by_agent
from agentgpu_iac.plan.endpoints import as_json, endpoints, variables
from agentgpu_iac.plan.nodes import ACCELERATOR_RESOURCE, FILLER_SERVICE_ACCOUNT, STREAMING_SERVICE_ACCOUNT
from agentgpu_iac.rendering.context import ConfigMapContext, Context, Draft, Pairs
from agentgpu_iac.rendering.names import (
    BASE,
    CALLERS,
    ENGINE_COMPONENT,
    MODEL_CACHE_COMPONENT,
    SERVICE_ACCOUNT,
    labels,
    priority_class,
)
from agentgpu_iac.units import cpu_quantity, mib_quantity

_POD_SECURITY_MODES = ("enforce", "audit", "warn")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceContext(Context):
    """The stack's namespace."""

    template: ClassVar[str] = "namespace.yaml.j2"
    name: str
    labels: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccountContext(Context):
    """An identity for engines, one for engines that stream their weights and one for fillers: none talks to the Kubernetes
    API; a bucket is opened to the latter two alone.
    """

    template: ClassVar[str] = "service-account.yaml.j2"
    name: str
    namespace: str
    labels: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityClassContext(Context):
    """One of the stack's priorities; a cluster-wide object."""

    template: ClassVar[str] = "priority-class.yaml.j2"
    name: str
    labels: Pairs
    priority: int
    preemption_policy: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceQuotaContext(Context):
    """The most that the namespace may ask for."""

    template: ClassVar[str] = "resource-quota.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    hard: Pairs


def stack_drafts(plan: Plan) -> tuple[Draft, ...]:
    """The objects that a stack has once."""
    contexts = (
        _namespace(plan),
        _service_account(plan, ENGINE_COMPONENT, SERVICE_ACCOUNT),
        *_filler_accounts(plan),
        *_streaming_accounts(plan),
        *(_priority_class(plan, priority) for priority in plan.priority_classes),
        *(() if plan.quota is None else (_quota(plan, plan.quota),)),
        _endpoints(plan),
    )
    return (*(Draft(folder=BASE, context=context) for context in contexts), *_callers_copy(plan))


def agents(plan: Plan) -> tuple[Workload, ...]:
    """One workload per agent, the first of each: what all tiers of an agent share can be read from it."""
    return tuple(tiers[0] for tiers in tiers_by_agent(plan.workloads).values())


def _namespace(plan: Plan) -> NamespaceContext:
    return NamespaceContext(
        name=plan.stack, labels=labels(plan.stack, "namespace", name=plan.stack, more=_pod_security())
    )


def _pod_security() -> Pairs:
    """The restricted Pod Security standard, as the newest Kubernetes defines it, in every mode."""
    return tuple(
        pair
        for mode in _POD_SECURITY_MODES
        for pair in (
            (f"pod-security.kubernetes.io/{mode}", "restricted"),
            (f"pod-security.kubernetes.io/{mode}-version", "latest"),
        )
    )


def _service_account(plan: Plan, component: str, name: str) -> ServiceAccountContext:
    return ServiceAccountContext(name=name, namespace=plan.stack, labels=labels(plan.stack, component, name=name))


def _filler_accounts(plan: Plan) -> tuple[ServiceAccountContext, ...]:
    fills = any(pool.filler is not None for pool in plan.node_pools)
    return (_service_account(plan, MODEL_CACHE_COMPONENT, FILLER_SERVICE_ACCOUNT),) if fills else ()


def _streaming_accounts(plan: Plan) -> tuple[ServiceAccountContext, ...]:
    streams = any(workload.model_cache.streamed_from for workload in plan.workloads)
    return (_service_account(plan, ENGINE_COMPONENT, STREAMING_SERVICE_ACCOUNT),) if streams else ()


def _priority_class(plan: Plan, priority: PriorityClassPlan) -> PriorityClassContext:
    return PriorityClassContext(
        name=priority_class(plan.stack, priority.level),
        labels=labels(plan.stack, "priority", name=priority.level),
        priority=priority.value,
        preemption_policy="PreemptLowerPriority" if priority.preempts else "Never",
        description=priority.description,
    )


def _quota(plan: Plan, quota: QuotaPlan) -> ResourceQuotaContext:
    """Extended resources can only be limited by what is requested of them."""
    return ResourceQuotaContext(
        name=plan.stack,
        namespace=plan.stack,
        labels=labels(plan.stack, "quota", name="quota"),
        hard=(
            ("pods", str(quota.pods)),
            ("requests.cpu", cpu_quantity(quota.cpu_milli)),
            ("requests.memory", mib_quantity(quota.memory_mib)),
            ("limits.memory", mib_quantity(quota.memory_limit_mib)),
            (f"requests.{ACCELERATOR_RESOURCE}", str(quota.accelerators)),
        ),
    )


def _endpoints(plan: Plan) -> ConfigMapContext:
    """How programs reach the agents: one JSON document, and the same as variables for ``envFrom``."""
    return ConfigMapContext(
        name="endpoints",
        namespace=plan.stack,
        labels=labels(plan.stack, "endpoints", name="endpoints"),
        data=endpoint_data(plan),
    )


def endpoint_data(plan: Plan) -> Pairs:
    """``endpoints.json``, and a variable for each value in it."""
    found = endpoints(plan)
    document = {endpoint.agent: as_json(endpoint) for endpoint in found}
    return (
        ("endpoints.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n"),
        *(pair for endpoint in found for pair in variables(endpoint)),
    )


def _callers_copy(plan: Plan) -> tuple[Draft, ...]:
    """The same in the namespaces of those who call, where a pod can read it: not ours, so no overlay applies it."""
    return tuple(
        Draft(
            folder=f"{CALLERS}/{namespace}",
            context=ConfigMapContext(
                name=f"{plan.stack}-agents",
                namespace=namespace,
                labels=labels(plan.stack, "endpoints", name="endpoints"),
                data=endpoint_data(plan),
            ),
        )
        for namespace in plan.security.callers
    )
