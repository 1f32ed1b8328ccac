"""What a namespace holds beside its workloads: priorities, access, quota, GitOps, policy."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.plan.vocabulary import PriorityLevel
from agentgpu_iac.spec.document import Document, Money


class PriorityClassPlan(Document):
    """How one kind of pods stands against others where a node is full."""

    level: PriorityLevel
    value: int
    preempts: bool
    """Whether its pods may push out pods of a lower priority."""
    description: str


class NamedSecret(Document):
    """A Secret that the stack reads, and the one key of it that it needs. Never a value."""

    name: str
    key: str
    purpose: str
    store_key: str | None
    """Where an external store holds it; None where you make the Secret."""


class SecretStorePlan(Document):
    """The External Secrets store from which the Secrets are made."""

    name: str
    kind: Literal["SecretStore", "ClusterSecretStore"]


class SecurityPlan(Document):
    """Who may reach what, and which Secrets the stack reads."""

    network_policies: bool
    callers: tuple[str, ...]
    """Namespaces that may call the agents; empty: every namespace of the cluster."""
    monitoring_namespace: str
    secrets: tuple[NamedSecret, ...]
    secret_store: SecretStorePlan | None
    api_key_secret: str | None
    """Secret whose key ``key`` callers send as a bearer token; None: nobody is asked for one."""


class QuotaPlan(Document):
    """The most that the namespace may ask for: everything at its peak, in the middle of a rollout."""

    pods: int
    cpu_milli: int
    memory_mib: int
    memory_limit_mib: int
    accelerators: int


class ClusterObjectsPlan(Document):
    """Optional objects that are rendered for a cluster. Others show by what the plan holds: priorityClasses, fillers, spread."""

    disruption_budgets: bool
    helm_values: bool


class GitOpsPlan(Document):
    """Who applies the manifests, and from where."""

    tool: Literal["argocd", "flux"]
    repository: str
    revision: str
    revision_kind: Literal["branch", "tag"]
    path: str
    """Folder of the overlay in the repository."""
    namespace: str
    timeout_s: int
    """How long a rollout may take before it counts as failed: the longest progress deadline of the baseline."""
    others_scale: tuple[str, ...]
    """Deployments whose replicas someone else sets, so that the tool must leave them alone."""


class PolicyPlan(Document):
    """What the spec allows and forbids, for whoever carries the plan out without the spec."""

    allow_unpriced: bool = False
    """Whether machines may be bought of which nobody knows the price."""
    budget_usd_per_month: Money | None = None
    """The most that the baseline may cost in a month."""
