"""Names, labels and places that several objects must agree on."""

from __future__ import annotations

from agentgpu_iac.planning.plan import NodePool, Workload
from agentgpu_iac.rendering.context import Pairs

BASE = "base"
KARPENTER = "karpenter"
DEVICE_PLUGIN = "device-plugin"
"""Folders of the tree that hold objects."""

MANAGER = "agentgpu"

STACK_LABEL = "agentgpu.dev/stack"
AGENT_LABEL = "agentgpu.dev/agent"
TIER_LABEL = "agentgpu.dev/tier"
POOL_LABEL = "agentgpu.dev/node-pool"
COMPONENT_LABEL = "app.kubernetes.io/component"

ACCELERATOR_RESOURCE = "nvidia.com/gpu"
"""Resource that pods ask for, and key of the taint that keeps other pods off accelerator nodes."""

SERVICE_ACCOUNT = "engine"

SCRIPT_FOLDER = "/opt/model-cache"
SCRIPT = "model_cache.py"
MODELS_FOLDER = "/models"
"""Where filler and engines mount the model cache; the engines' arguments name models below it."""


def labels(stack: str, component: str, *, name: str, more: Pairs = ()) -> Pairs:
    """The labels of one object: what it is, whose it is, then what is particular to it."""
    return (
        ("app.kubernetes.io/name", name),
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
    return ((AGENT_LABEL, workload.agent), (TIER_LABEL, workload.tier), (POOL_LABEL, workload.node_pool))


def model_cache(pool: NodePool) -> str:
    """Name of every object that makes up a pool's model cache."""
    return f"model-cache-{pool.name}"
