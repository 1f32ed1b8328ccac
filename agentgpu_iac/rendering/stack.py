"""What a stack has once: its namespace, the engines' identity, and the addresses of its agents."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.planning.nodes import base_url
from agentgpu_iac.planning.plan import Plan, Workload
from agentgpu_iac.rendering.context import ConfigMapContext, Context, Draft, Pairs
from agentgpu_iac.rendering.names import BASE, SERVICE_ACCOUNT, labels

_POD_SECURITY_MODES = ("enforce", "audit", "warn")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceContext(Context):
    """The stack's namespace."""

    template: ClassVar[str] = "namespace.yaml.j2"
    name: str
    labels: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccountContext(Context):
    """The identity of engines and cache fillers: none of them talks to the Kubernetes API."""

    template: ClassVar[str] = "service-account.yaml.j2"
    name: str
    namespace: str
    labels: Pairs


def stack_drafts(plan: Plan) -> tuple[Draft, ...]:
    """The objects that a stack has once."""
    contexts = (_namespace(plan), _service_account(plan), _endpoints(plan))
    return tuple(Draft(folder=BASE, context=context) for context in contexts)


def agents(plan: Plan) -> tuple[Workload, ...]:
    """One workload per agent, the first of each: what all tiers of an agent share can be read from it."""
    first: dict[str, Workload] = {}
    for workload in plan.workloads:
        first.setdefault(workload.agent, workload)
    return tuple(first.values())


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


def _service_account(plan: Plan) -> ServiceAccountContext:
    return ServiceAccountContext(
        name=SERVICE_ACCOUNT, namespace=plan.stack, labels=labels(plan.stack, "engine", name=SERVICE_ACCOUNT)
    )


def _endpoints(plan: Plan) -> ConfigMapContext:
    """How programs reach the agents: one JSON document, and the same as variables for ``envFrom``."""
    return ConfigMapContext(
        name="endpoints",
        namespace=plan.stack,
        labels=labels(plan.stack, "endpoints", name="endpoints"),
        data=(("endpoints.json", _endpoints_document(plan)), *_endpoint_variables(plan)),
    )


def _endpoints_document(plan: Plan) -> str:
    addresses = {agent.agent: base_url(plan, agent) for agent in agents(plan)}
    document = {
        agent.agent: {
            "baseUrl": addresses[agent.agent],
            "model": agent.served_model_name,
            "latencyClass": agent.latency_class,
            **({"fallback": agent.fallback} if agent.fallback else {}),
        }
        for agent in agents(plan)
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _endpoint_variables(plan: Plan) -> Pairs:
    return tuple(
        (f"{_variable_prefix(agent.agent)}_{key}", value)
        for agent in agents(plan)
        for key, value in (
            ("BASE_URL", base_url(plan, agent)),
            ("MODEL", agent.served_model_name),
            ("LATENCY_CLASS", agent.latency_class),
        )
    )


def _variable_prefix(agent: str) -> str:
    return agent.upper().replace("-", "_")
