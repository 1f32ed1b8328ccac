"""Nodes that share a replica, close together."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from agentgpu_iac.plan import NodePool
from agentgpu_iac.provisioning.aws.naming import fitted, pool_tags

_NAME_LIMIT = 255


class ClusterPlacement(pulumi.ComponentResource):
    """A cluster placement group: EC2 puts the nodes of a pool near one another in one zone, or starts none.

    For pools whose replicas go over several nodes. Capacity Blocks and the reservations that you hold lie where they
    lie, so nodes that are launched into them do not ask for it.
    """

    group: aws.ec2.PlacementGroup

    def __init__(self, name: str, stack: str, pool: NodePool, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:ClusterPlacement", name, None, opts)
        self.group = aws.ec2.PlacementGroup(
            fitted(name, _NAME_LIMIT),
            strategy="cluster",
            tags=pool_tags(stack, pool),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"name": self.group.name})
