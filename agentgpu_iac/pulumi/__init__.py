"""Components for Pulumi programs: a whole agent stack, or its parts for a program that has a network or a cluster already.

A whole project is these lines, which ``agentgpu init --pulumi DIR`` writes with all that stands beside them::

    import pulumi
    from agentgpu_iac.pulumi import AgentStack

    for name, value in AgentStack("agents").outputs.items():
        pulumi.export(name, value)

This package needs the extra ``pulumi``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from agentgpu_iac.errors import MissingExtra

try:
    from agentgpu_iac.pulumi.agent_stack import AgentStack
    from agentgpu_iac.pulumi.arguments import AgentStackArgs
except ModuleNotFoundError as error:
    raise MissingExtra(__name__, "pulumi", error) from None

if TYPE_CHECKING:
    from agentgpu_iac.provisioning.aws.api_endpoint import ApiEndpoint
    from agentgpu_iac.provisioning.aws.cluster import Cluster, ClusterArgs
    from agentgpu_iac.provisioning.aws.karpenter import Karpenter, KarpenterArgs
    from agentgpu_iac.provisioning.aws.model_bucket import ModelBucket as ModelCacheBucket
    from agentgpu_iac.provisioning.aws.model_bucket import ModelBucketArgs as ModelCacheBucketArgs
    from agentgpu_iac.provisioning.aws.network import Network, NetworkArgs
    from agentgpu_iac.provisioning.aws.node_pool import AcceleratorNodePool as GpuNodePool
    from agentgpu_iac.provisioning.aws.node_pool import NodePoolArgs as GpuNodePoolArgs
    from agentgpu_iac.provisioning.serving import Serving, ServingArgs
    from agentgpu_iac.provisioning.spheron.program import MachinePool as SpheronMachines
    from agentgpu_iac.provisioning.spheron.program import MachinePoolArgs as SpheronMachinesArgs

__all__ = (
    "AgentStack",
    "AgentStackArgs",
    "ApiEndpoint",
    "Cluster",
    "ClusterArgs",
    "GpuNodePool",
    "GpuNodePoolArgs",
    "Karpenter",
    "KarpenterArgs",
    "ModelCacheBucket",
    "ModelCacheBucketArgs",
    "Network",
    "NetworkArgs",
    "Serving",
    "ServingArgs",
    "SpheronMachines",
    "SpheronMachinesArgs",
)

_ROOM: Final = "agentgpu_iac.provisioning"
_PARTS: Final = {
    "ApiEndpoint": ("aws.api_endpoint", "ApiEndpoint"),
    "Cluster": ("aws.cluster", "Cluster"),
    "ClusterArgs": ("aws.cluster", "ClusterArgs"),
    "GpuNodePool": ("aws.node_pool", "AcceleratorNodePool"),
    "GpuNodePoolArgs": ("aws.node_pool", "NodePoolArgs"),
    "Karpenter": ("aws.karpenter", "Karpenter"),
    "KarpenterArgs": ("aws.karpenter", "KarpenterArgs"),
    "ModelCacheBucket": ("aws.model_bucket", "ModelBucket"),
    "ModelCacheBucketArgs": ("aws.model_bucket", "ModelBucketArgs"),
    "Network": ("aws.network", "Network"),
    "NetworkArgs": ("aws.network", "NetworkArgs"),
    "Serving": ("serving", "Serving"),
    "ServingArgs": ("serving", "ServingArgs"),
    "SpheronMachines": ("spheron.program", "MachinePool"),
    "SpheronMachinesArgs": ("spheron.program", "MachinePoolArgs"),
}
"""Where each part lies. A part is imported when it is asked for: a stack in a cluster of yours needs no library for AWS."""


def __getattr__(name: str) -> Any:
    """A part, or its arguments."""
    if name not in _PARTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, there = _PARTS[name]
    try:
        return getattr(import_module(f"{_ROOM}.{module}"), there)
    except ModuleNotFoundError as error:
        raise MissingExtra(__name__, "pulumi", error) from None
