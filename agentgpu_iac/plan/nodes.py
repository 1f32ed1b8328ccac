"""What nodes and pods must agree on, whoever makes the nodes: labels, taint, the engine's user and its directories.

Manifests select what node groups label, and engines read what node user data made room for; so each of these stands
here once, for both the rendered files and the Pulumi program.
"""

from __future__ import annotations

from agentgpu_iac.plan.node_pool import NodePool

STACK_LABEL = "agentgpu.dev/stack"
AGENT_LABEL = "agentgpu.dev/agent"
TIER_LABEL = "agentgpu.dev/tier"
POOL_LABEL = "agentgpu.dev/node-pool"
DEVICE_PLUGIN_CONFIG_LABEL = "nvidia.com/device-plugin.config"
"""The NVIDIA device plugin reads from this node label which of its named configurations to use."""

ACCELERATOR_RESOURCE = "nvidia.com/gpu"
"""Resource that pods ask for, and key of the taint that keeps other pods off accelerator nodes."""

STARTUP_TAINT = "agentgpu.dev/model-cache"
"""Key of the taint that new nodes carry until their model cache is filled. It keeps no pod away, it only tells Karpenter that
the node is not there yet: engines may pull their image and wait while the cache fills."""
STARTUP_TAINT_VALUE = "filling"
STARTUP_TAINT_EFFECT = "PreferNoSchedule"

FABRIC_RESOURCE = "vpc.amazonaws.com/efa"
"""EFA interfaces that pods ask for, as AWS's device plugin offers them. Karpenter attaches as many to a node."""

DEVICE_PLUGIN_NAMESPACE = "gpu-operator"
"""Where the NVIDIA GPU Operator is usually installed, and so where its device plugin looks for configurations."""

CARD_LABEL = "k8s.amazonaws.com/accelerator"
"""By it the Cluster Autoscaler knows that a new node will offer accelerators once the device plugin runs there. Without it the
node counts as one that offers none, and another is started for the same pod (kubernetes/autoscaler, its page for AWS)."""

CLUSTER_AUTOSCALER = "cluster-autoscaler"
"""ServiceAccount of the Cluster Autoscaler, in kube-system."""

PREFERRED_SUFFIX = "-preferred"
FALLBACK_SUFFIX = "-fallback"
"""What tells the node groups of one pool apart, for people and for the Cluster Autoscaler's priority expander. A pool's own name
may hold words such as spot already, so the capacity type would not."""

KARPENTER_DISCOVERY_TAG = "karpenter.sh/discovery"
"""Subnets, security groups and reservations with this tag (value: the cluster's name) are found by an EC2NodeClass."""

KARPENTER_POOL_LABEL = "karpenter.sh/nodepool"
"""What Karpenter puts onto nodes, claims and instances: the name of their NodePool."""

FILLER_SERVICE_ACCOUNT = "model-cache"
"""ServiceAccount of the pods that fill a node's model cache."""
STREAMING_SERVICE_ACCOUNT = "engine-streaming"
"""ServiceAccount of engines that stream their weights. A bucket of models is opened to these two alone."""

ENGINE_UID = 2000
"""User and group that engines and cache fillers run as, and that owns the model cache on the nodes."""

_CACHE_DIRECTORY_SCRIPT = """\
#!/bin/bash
# The instance store is mounted after this script and before the kubelet starts. A directory made here would lie
# beneath that mount, so systemd makes it, each time before the kubelet starts.
# Set-group-ID and the group are what the kubelet looks for: with them it leaves the owners of the models as they are.
set -o errexit -o nounset
install --directory /etc/systemd/system/kubelet.service.d
cat > /etc/systemd/system/kubelet.service.d/50-agentgpu-model-cache.conf <<'UNIT'
[Unit]
RequiresMountsFor={path}
[Service]
ExecStartPre=/usr/bin/install --directory --owner={uid} --group={uid} --mode=2770 {path}
UNIT
systemctl daemon-reload
"""


def node_labels(pool: NodePool) -> dict[str, str]:
    """Labels of a pool's nodes: pods and the cache volume select on the pool, the device plugin on its config."""
    labels = {POOL_LABEL: pool.name, TIER_LABEL: pool.tier}
    if pool.sharing == "time-slicing":
        labels[DEVICE_PLUGIN_CONFIG_LABEL] = device_plugin_config(pool)
    return labels


def device_plugin_config(pool: NodePool) -> str:
    """Name of the device plugin's configuration for a pool whose accelerators are shared."""
    return f"share-{pool.slots_per_accelerator}"


def karpenter_node_role(stack: str) -> str:
    """The IAM role of Karpenter's nodes, by the name that its own installation guide gives it."""
    return f"KarpenterNodeRole-{stack}"


PARALLEL_PULL_GATE = "FastImagePull"
"""nodeadm's gate by which SOCI fetches and unpacks the layers of an image side by side. Below 4 CPUs or 7 GiB it is ignored."""


def cache_directory_script(cache_path: str) -> str:
    """Shell part of a node's user data: the model cache directory, owned by the engines' user."""
    return _CACHE_DIRECTORY_SCRIPT.format(path=cache_path, uid=ENGINE_UID)
