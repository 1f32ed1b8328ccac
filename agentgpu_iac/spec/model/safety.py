"""Who may reach what, and what is refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model.fields import LISTED, DnsName, Name


class ExternalSecrets(Document):
    """An External Secrets store from which the stack's Secrets are made."""

    store: DnsName
    """Name of the store."""
    kind: Literal["SecretStore", "ClusterSecretStore"] = "ClusterSecretStore"
    """Kind of the store."""
    path_prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_.-]*$", max_length=200)] = ""
    """Put before a Secret's name to make its key in the store."""


class Security(Document):
    """Who may reach what, and where secrets come from. Secrets are named here, never given."""

    network_policies: bool = True
    """Deny all traffic of the namespace but what serving needs."""
    callers: Annotated[tuple[DnsName, ...], LISTED] = ()
    """Namespaces whose pods may call the agents. Empty: every namespace of the cluster."""
    callers_need_label: bool = False
    """Admit only pods with the label ``agentgpu.dev/calls: <stack>``, in the namespaces of ``callers``, or in every one."""
    monitoring_namespace: DnsName = "monitoring"
    """Namespace whose pods may read metrics."""
    api_key_secret: Name | None = None
    """Name of a Secret whose key ``key`` is the API key that engines ask for. Unset: no key is asked for."""
    external_secrets: ExternalSecrets | None = None
    """Make the named Secrets from this store. Unset: you make them."""
    resource_quota: bool = True
    """Limit the namespace to the accelerators, pods and memory of the plan."""


class Policy(Document):
    """What ``pulumi up`` refuses unless you say otherwise here."""

    allow_unpriced: bool = False
    """Use offerings whose price is unknown. They count at the dearest known price of the same accelerators."""
