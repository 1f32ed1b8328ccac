"""What takes the startup taint off a new node once its model cache is filled, and what keeps it from doing anything else.

A container beside the filler does it. The filler itself, which talks to the internet, gets no token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.nodes import FILLER_SERVICE_ACCOUNT, STARTUP_TAINT
from agentgpu_iac.rendering.context import ConfigMapContext, Context, Draft, Pairs
from agentgpu_iac.rendering.names import BASE, MODEL_CACHE_COMPONENT, labels
from agentgpu_iac.rendering.templates import verbatim

SCRIPT: Final = "startup_taint.py"
CONFIG: Final = "startup-taint"
"""The ConfigMap that holds the script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRoleContext(Context):
    """The right to read and to patch nodes."""

    template: ClassVar[str] = "cluster-role.yaml.j2"
    name: str
    labels: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRoleBindingContext(Context):
    """Who has it."""

    template: ClassVar[str] = "cluster-role-binding.yaml.j2"
    name: str
    labels: Pairs
    role: str
    service_account: str
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionPolicyContext(Context):
    """What whoever has it may change."""

    template: ClassVar[str] = "validating-admission-policy.yaml.j2"
    name: str
    labels: Pairs
    match: str
    validations: Pairs
    """Expressions that must hold, and what is said where one does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionPolicyBindingContext(Context):
    """That the policy holds in the whole cluster."""

    template: ClassVar[str] = "validating-admission-policy-binding.yaml.j2"
    name: str
    labels: Pairs
    policy: str


def has_startup_taint(plan: Plan) -> bool:
    """Whether nodes of any pool start with the taint."""
    return any(pool.startup_taint is not None for pool in plan.node_pools)


def startup_taint_drafts(plan: Plan) -> tuple[Draft, ...]:
    """Script, right and policy; nothing where no node starts with the taint."""
    if not has_startup_taint(plan):
        return ()
    name, its_labels = f"{plan.stack}-startup-taint", labels(plan.stack, MODEL_CACHE_COMPONENT, name="startup-taint")
    contexts: tuple[Context, ...] = (
        ConfigMapContext(name=CONFIG, namespace=plan.stack, labels=its_labels, data=((SCRIPT, verbatim(SCRIPT)),)),
        ClusterRoleContext(name=name, labels=its_labels),
        ClusterRoleBindingContext(
            name=name, labels=its_labels, role=name, service_account=FILLER_SERVICE_ACCOUNT, namespace=plan.stack
        ),
        AdmissionPolicyContext(
            name=name,
            labels=its_labels,
            match=f"request.userInfo.username == 'system:serviceaccount:{plan.stack}:{FILLER_SERVICE_ACCOUNT}'",
            validations=_VALIDATIONS,
        ),
        AdmissionPolicyBindingContext(name=name, labels=its_labels, policy=name),
    )
    return tuple(Draft(folder=BASE, context=context) for context in contexts)


_NODE_OF_TOKEN = "authentication.kubernetes.io/node-name"  # noqa: S105 - a key, not a token
"""What the API server adds to a request by a token that is bound to a pod: the node that the pod is on (Kubernetes 1.32)."""


def _taints(of: str) -> str:
    return f"(has({of}.spec.taints) ? {of}.spec.taints : [])"


_VALIDATIONS: Final = (
    (
        "request.operation == 'UPDATE' && (!has(request.subResource) || request.subResource == '')",
        "the model cache may only update nodes",
    ),
    (
        (
            f"'{_NODE_OF_TOKEN}' in request.userInfo.extra && "
            f"request.userInfo.extra['{_NODE_OF_TOKEN}'].exists(name, name == request.name)"
        ),
        "the model cache may only change the node that it is on",
    ),
    (
        f"{_taints('object')} == {_taints('oldObject')}.filter(taint, taint.key != '{STARTUP_TAINT}')",
        f"the model cache may only take the taint {STARTUP_TAINT} off",
    ),
    (
        (
            "object.metadata.?labels == oldObject.metadata.?labels && "
            "object.metadata.?annotations == oldObject.metadata.?annotations && "
            "object.metadata.?finalizers == oldObject.metadata.?finalizers && "
            "object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences && "
            "object.spec.?unschedulable == oldObject.spec.?unschedulable"
        ),
        "the model cache may change nothing of a node but its taints",
    ),
)
"""Expressions in CEL over the node before and after; what is not named here cannot be changed on a node that exists."""
