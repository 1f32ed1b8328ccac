"""Components for Pulumi programs: a whole agent stack, or its parts for a program that has a network or a cluster already.

A whole project is these lines, which ``agentgpu init --pulumi DIR`` writes with all that stands beside them::

    import pulumi
    from agentgpu_iac.pulumi import AgentStack

    for name, value in AgentStack("agents").outputs.items():
        pulumi.export(name, value)

This package needs the extra ``pulumi``.
"""

from __future__ import annotations

from agentgpu_iac.errors import MissingExtra

try:
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
    from agentgpu_iac.pulumi.agent_stack import AgentStack
    from agentgpu_iac.pulumi.arguments import AgentStackArgs
except ModuleNotFoundError as error:
    raise MissingExtra(__name__, "pulumi", error) from None

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
