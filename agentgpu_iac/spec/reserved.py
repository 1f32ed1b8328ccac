"""Names that no stack and no agent may have, because something else is called so.

An agent's name is the name of its Service and its Deployment, and others are made from it: its burst tier, the Service of its
engines, its endpoint picker. Where names may hold a character that an agent's may not, such as the underscore of NGINX's
zones, what is derived holds one. Kubernetes leaves no such character, so there the derived endings belong to us: whoever
may choose them for an agent could name one like a part of another. ``plan/names.py`` makes names of nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

BURST_ENDING: Final = "-burst"
ENGINES_ENDING: Final = "-engines"
PICKER_ENDING: Final = "-picker"
PAID_ENDING: Final = "-paid"
REST_ENDING: Final = "-rest"
"""No agent is refused for it: a plan in which two things would be called so is none (``plan/names.py``)."""

ROUTER_NAME: Final = "traffic-router"
"""Name of every object that makes up the stack's NGINX."""

PROXY_NAME: Final = "model-proxy"
"""Name of every object that makes up the LiteLLM in front of the agents."""

RESERVED_ENDINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        BURST_ENDING: "the burst tier of an agent",
        ENGINES_ENDING: "the Service of an agent's engines",
        PICKER_ENDING: "the endpoint picker of an agent",
        PAID_ENDING: "the paid fallback of an agent",
    }
)
"""How the names end that are derived from an agent's, and what bears them."""

RESERVED_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {ROUTER_NAME: "the NGINX in front of the agents", PROXY_NAME: "the LiteLLM in front of the agents"}
)
"""Names of parts that a stack has once, beside the bare names of its agents."""

_NAMESPACE_PREFIXES: Final = (
    *("kube-", "kubernetes-", "openshift-", "gke-", "aks-", "azure-", "amazon-", "cattle-", "nvidia-", "argo-"),
    *("calico-", "cilium-", "istio-", "knative-", "linkerd-", "tekton-", "tigera-"),
)
"""Namespaces that Kubernetes, a distribution, a mesh or a family of controllers keeps for itself begin so."""
_NAMESPACE_ENDING: Final = "-system"
"""How the namespaces of controllers end, by their own manifests: flux-system, lws-system, kueue-system, istio-system."""
_NAMESPACES: Final = frozenset(
    {
        "argo",
        "argocd",
        "cert-manager",
        "crossplane",
        "datadog",
        "default",
        "dynatrace",
        "external-dns",
        "external-secrets",
        "fluxcd",
        "gitlab",
        "gpu-operator",
        "grafana",
        "harbor",
        "ingress",
        "ingress-nginx",
        "istio",
        "jaeger",
        "jenkins",
        "karpenter",
        "keda",
        "kserve",
        "kubeflow",
        "kuberay",
        "kyverno",
        "linkerd",
        "logging",
        "loki",
        "longhorn",
        "lws",
        "metallb",
        "mimir",
        "minio",
        "monitoring",
        "newrelic",
        "nginx-ingress",
        "node-feature-discovery",
        "nvidia-device-plugin",
        "nvidia-gpu-operator",
        "observability",
        "openebs",
        "openshift",
        "opentelemetry",
        "prometheus",
        "prometheus-operator",
        "rook-ceph",
        "tailscale",
        "tempo",
        "thanos",
        "traefik",
        "vault",
        "velero",
    }
)
"""Where the documentation of what runs beside a stack puts it."""
_PRIORITY_PREFIX: Final = "system-"
"""Kubernetes refuses PriorityClasses of others with such a name, and ours begin with the stack's."""
_NAMESPACE_IN_HOST: Final = re.compile(
    r"https?://(?:[^/?#]*@)?(?:[a-z0-9-]+\.){1,8}?([a-z0-9-]+)\.svc(?:[.:/]|$)|http://[a-z0-9-]+\.([a-z0-9-]+)(?:[:/]|$)",
    re.IGNORECASE,
)
"""A Service by its full name, or a pod behind it; or, in clear, by the two words that are enough inside a cluster."""


def reserved(agent: str) -> str:
    """What is called so, or ends so, where an agent may not be; empty where it may."""
    if agent in RESERVED_NAMES:
        return f"is the name of {RESERVED_NAMES[agent]}"
    for ending, bearer in RESERVED_ENDINGS.items():
        if agent.endswith(ending):
            return f"ends in {ending}, as does the name of {bearer}"
    return ""


def namespace_bearer(stack: str) -> str:
    """Whose the namespace is that a stack of this name would take; empty where it may be its own."""
    if stack == _PRIORITY_PREFIX[:-1] or stack.startswith(_PRIORITY_PREFIX):
        return "the system's: Kubernetes refuses priority classes that begin so"
    if stack in _NAMESPACES or stack.startswith(_NAMESPACE_PREFIXES) or stack.endswith(_NAMESPACE_ENDING):
        return "the cluster's own, or of what runs beside the stack"
    return ""


def namespace_of_service(address: str) -> str:
    """The namespace of the Service that an address inside a cluster names; empty where it names none."""
    found = _NAMESPACE_IN_HOST.match(address)
    return (found.group(1) or found.group(2)).lower() if found else ""
