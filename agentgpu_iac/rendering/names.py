"""Names, labels and places that several objects must agree on."""

from __future__ import annotations

from collections.abc import Sequence

from agentgpu_iac.plan import NodePool, Plan, PriorityLevel, Topology, Workload
from agentgpu_iac.plan.nodes import AGENT_LABEL, POOL_LABEL, STACK_LABEL, TIER_LABEL
from agentgpu_iac.rendering.context import Pairs

BASE = "base"
GROUPS = "groups"
KARPENTER = "karpenter"
DEVICE_PLUGIN = "device-plugin"
SCALING = "scaling"
MONITORING = "monitoring"
GATEWAY = "gateway"
SECRETS = "secrets"
GITOPS = "gitops"
CALLERS = "callers"
"""Folders of the tree that hold objects: ``base`` in kinds that every cluster serves, each other folder what needs an
operator, or a choice, of its own; below ``callers`` one for each namespace of those who call, who apply it themselves."""

MANAGER = "agentgpu"

NAME_LABEL = "app.kubernetes.io/name"
COMPONENT_LABEL = "app.kubernetes.io/component"

ENGINE_COMPONENT = "engine"
ENGINE_WORKER_COMPONENT = "engine-worker"
MODEL_CACHE_COMPONENT = "model-cache"
ROUTER_COMPONENT = "router"
ENDPOINT_PICKER_COMPONENT = "endpoint-picker"
PROXY_COMPONENT = "model-proxy"
BURST_SCALER_COMPONENT = "burst-scaler"
"""Components whose pods others must tell apart. An engine serves requests; a worker only works for one of them, on another
node, and no Service or monitor may take one for the other."""

SERVICE_ACCOUNT = "engine"

EXPORTER_PORT_NAME = "metrics"
"""Name of the port of what counts for a pod's main container."""

SCRIPT_FOLDER = "/opt/model-cache"
SCRIPT = "model_cache.py"
SCRIPTS = (SCRIPT, "model_files.py", "model_hub.py")
"""What fills model caches, waits for models and holds them; one file, read beside the others."""
SCRIPTS_NAME = "model-cache-scripts"
"""Name of the one ConfigMap of all pools' scripts."""


def labels(stack: str, component: str, *, name: str, more: Pairs = ()) -> Pairs:
    """The labels of one object: what it is, whose it is, then what is particular to it."""
    return (
        (NAME_LABEL, name),
        (COMPONENT_LABEL, component),
        ("app.kubernetes.io/part-of", stack),
        ("app.kubernetes.io/managed-by", MANAGER),
        (STACK_LABEL, stack),
        *more,
    )


def pool_labels(pool: NodePool) -> Pairs:
    """The labels that say which nodes an object is about; the nodes themselves carry them as well."""
    return ((TIER_LABEL, pool.tier), (POOL_LABEL, pool.name))


def workload_labels(workload: Workload) -> Pairs:
    """The labels that say which agent, tier and nodes an object is about."""
    return ((AGENT_LABEL, workload.agent), (TIER_LABEL, workload.tier_label), (POOL_LABEL, workload.node_pool))


def watched_labels(plan: Plan, name: str) -> Pairs:
    """Labels of a monitor or of rules; those by which the user's Prometheus selects them win over ours."""
    return tuple({**dict(labels(plan.stack, MONITORING, name=name)), **plan.watching.labels}.items())


def priority_class(stack: str, level: PriorityLevel) -> str:
    """Name of one of the stack's priority classes, which belong to the whole cluster."""
    return f"{stack}-{level}"


_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"
"""What Kubernetes makes the random parts of names of: no vowels, and no digit that looks like one."""


def pod_pattern(workload: Workload) -> str:
    """The names of a workload's pods as a regular expression: of no other agent's, though its name begins like this one's."""
    if workload.kind == "Deployment":
        return f"{workload.name}-{_RANDOM}+-{_RANDOM}{{5}}"
    return f"{workload.name}-[0-9]+(-[0-9]+)?"


_TOPOLOGY_KEYS: dict[Topology, str] = {"zone": "topology.kubernetes.io/zone", "host": "kubernetes.io/hostname"}


def topology_keys(spread: Sequence[Topology]) -> tuple[str, ...]:
    """Node labels over which pods are spread."""
    return tuple(_TOPOLOGY_KEYS[topology] for topology in spread)


def priority_of(plan: Plan, level: PriorityLevel) -> str | None:
    """Name of the priority class of such pods; None where the plan has no classes."""
    return priority_class(plan.stack, level) if plan.priority_classes else None


def model_cache(pool: NodePool) -> str:
    """Name of every object that makes up a pool's model cache."""
    return f"model-cache-{pool.name}"
