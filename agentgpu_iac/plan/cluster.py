"""What a namespace holds beside its workloads: priorities, access, quota, GitOps, policy."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.plan.vocabulary import PriorityLevel
from agentgpu_iac.spec.document import Document, Money


class PriorityClassPlan(Document):
    """How one kind of pods stands against others where a node is full."""

    level: PriorityLevel
    """Whose it is."""
    value: int
    """Kubernetes' number for it."""
    preempts: bool
    """Whether its pods may push out pods of a lower priority."""
    description: str
    """A sentence."""


class NamedSecret(Document):
    """A Secret that the stack reads, and the one key of it that it needs. Never a value."""

    name: str
    """Its name."""
    key: str
    """The key."""
    purpose: str
    """What it is for, in words."""
    store_key: str | None
    """Where an external store holds it; null: you make the Secret."""


class SecretStorePlan(Document):
    """The External Secrets store from which the Secrets are made."""

    name: str
    """Its name."""
    kind: Literal["SecretStore", "ClusterSecretStore"]
    """Its kind."""


class SecurityPlan(Document):
    """Who may reach what, and which Secrets the stack reads."""

    network_policies: bool
    """Whether policies are rendered."""
    callers: tuple[str, ...]
    """Namespaces that may call the agents; empty: every namespace of the cluster."""
    callers_need_label: bool = False
    """Whether only pods with the label ``agentgpu.dev/calls: <stack>`` may call."""
    monitoring_namespace: str
    """Namespace that may read metrics."""
    secrets: tuple[NamedSecret, ...]
    """Secrets that the stack reads. Never a value."""
    secret_store: SecretStorePlan | None
    """The External Secrets store that makes them; null: you do."""
    api_key_secret: str | None
    """Secret whose key ``key`` callers send as a bearer token; None: nobody is asked for one."""


class QuotaPlan(Document):
    """The most that the namespace may ask for: everything at its peak, in the middle of a rollout."""

    pods: int
    """Pods."""
    cpu_milli: int
    """CPU requested."""
    memory_mib: int
    """Memory requested."""
    memory_limit_mib: int
    """Memory limits."""
    accelerators: int
    """nvidia.com/gpu requested."""


class ClusterObjectsPlan(Document):
    """Optional objects that are rendered for a cluster; the spec's ``clusterObjects`` leaves them out. Others show by
    what the plan holds: priorityClasses, fillers, spread.
    """

    disruption_budgets: bool
    """Whether agents and the router have a PodDisruptionBudget."""
    helm_values: bool
    """Whether values for the charts of the GPU Operator and the device plugin are written."""


class GitOpsPlan(Document):
    """Who applies the manifests, and from where."""

    tool: Literal["argocd", "flux"]
    """The tool."""
    repository: str
    """Repository, as the tool wants it."""
    revision: str
    """Branch or tag."""
    revision_kind: Literal["branch", "tag"]
    """Which of them."""
    path: str
    """Folder of the overlay in the repository."""
    namespace: str
    """Namespace of the tool."""
    timeout_s: int
    """How long a rollout may take before it counts as failed: the longest progress deadline of the baseline. Neither tool
    waits so long before it applies what comes next."""
    others_scale: tuple[str, ...]
    """Deployments whose replicas someone else sets, so that the tool must leave them alone."""


class PolicyPlan(Document):
    """What the spec allows and forbids, for whoever carries the plan out without the spec. The Pulumi programs refuse a
    plan that breaks it, before anything is made.
    """

    allow_unpriced: bool = False
    """Whether machines may be bought of which nobody knows the price."""
    budget_usd_per_month: Money | None = None
    """The most that the baseline may cost in a month; null: no limit."""
