"""What belongs to a cluster or a virtual machine: who applies the manifests, what is left out, what is pinned."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import StringConstraints

from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model.fields import HOST, LISTED, AddressRange, DnsName

_GIT_ADDRESS: Final = (
    rf"^(https://{HOST}(:[0-9]{{1,5}})?/|ssh://([A-Za-z0-9_][A-Za-z0-9_.-]*@)?{HOST}(:[0-9]{{1,5}})?/|git@{HOST}:/?)"
    r"[^\s\"'{}<>@:?#-][^\s\"'{}<>?#]*$"
)
"""Neither a host nor a path begins with a hyphen, which ssh or git would take for an option."""


class GitOps(Document):
    """Who applies the manifests from a Git repository."""

    tool: Literal["argocd", "flux"]
    """argocd: an Application. flux: a GitRepository and a Kustomization."""
    repository: Annotated[str, StringConstraints(pattern=_GIT_ADDRESS, max_length=500)]
    """Repository that holds the rendered tree. The tool signs in by a Secret of its own: no user, password or token stands in
    an https address."""
    path: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$", max_length=500)
    ]
    """Folder of the rendered tree in the repository."""
    revision: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length=200)] = "main"
    """Branch or tag."""
    overlay: Literal["karpenter", "node-groups"] = "karpenter"
    """Overlay to apply."""
    namespace: DnsName | None = None
    """Namespace of the tool. Unset: argocd, or flux-system."""


class ClusterObjects(Document):
    """What is rendered for a cluster beside what serving cannot do without."""

    disruption_budgets: bool = True
    """PodDisruptionBudgets: one replica of an agent may be evicted at a time."""
    priority_classes: bool = True
    """PriorityClasses of the stack. Off: its pods have the cluster's default priority, and quotas or preemption of others
    apply to them as to all."""
    topology_spread: bool = True
    """Spread the replicas of an agent over zones and nodes where that costs no node."""
    cache_fillers: bool = True
    """Fill the model cache of each node. Off: whoever makes the nodes puts the models and their markers there."""
    helm_values: bool = True
    """Values for the charts of the GPU Operator, the device plugin, the DCGM exporter and, with ``nodeHealth``, Karpenter."""


class Hosts(Document):
    """Virtual machines that run Docker Compose: the targets compose and spheron."""

    caller_ranges: Annotated[tuple[AddressRange, ...], LISTED] = ()
    """Address ranges that may call the agents. Empty: the machine itself alone."""
    admin_ranges: Annotated[tuple[AddressRange, ...], LISTED] = ()
    """Address ranges that may log in by SSH. Empty: nobody, once the machine is set up."""


KubernetesVersion = Literal["1.34", "1.35", "1.36"]
"""Versions whose manifests are validated, and that the catalog knows."""


class Pins(Document):
    """Exact versions that nobody can know offline. Unset: the plan says ``unpinned``."""

    router_image: Annotated[str, StringConstraints(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")] | None = None
    """Router image by digest."""
    prometheus_image: Annotated[str, StringConstraints(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")] | None = None
    """Prometheus image of virtual machines, by digest."""
    dcgm_exporter_image: Annotated[str, StringConstraints(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")] | None = None
    """DCGM exporter image of virtual machines, by digest."""
    router_exporter_image: Annotated[str, StringConstraints(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")] | None = None
    """Image of the exporter beside NGINX, by digest."""
    proxy_image: Annotated[str, StringConstraints(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")] | None = None
    """Image of the LiteLLM proxy, by digest."""
    grafana_image: Annotated[str, StringConstraints(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")] | None = None
    """Grafana image of virtual machines, by digest."""
    ollama_image: Annotated[str, StringConstraints(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")] | None = None
    """Ollama image of a developer's machine, by digest."""
    engine_image: Annotated[str, StringConstraints(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")] | None = None
    """Engine image by digest."""
    ami_alias: Annotated[str, StringConstraints(pattern=r"^al2023@v[0-9]{8}$")] | None = None
    """Amazon Linux 2023 release of the nodes, for example al2023@v20261105."""
    kubernetes_version: KubernetesVersion | None = None
    """Kubernetes version of the cluster. Unset: the newest that the catalog knows to have standard support on EKS.
    A cluster goes up one minor version at a time, and never back."""
