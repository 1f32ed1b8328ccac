"""A node pool of the plan, as EKS managed node groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pulumi
import pulumi_aws as aws

from agentgpu_iac.plan import NodePool
from agentgpu_iac.plan.network_cards import network_interfaces
from agentgpu_iac.plan.node_image import release_parameter
from agentgpu_iac.plan.nodes import ACCELERATOR_RESOURCE, CARD_LABEL, node_labels
from agentgpu_iac.provisioning.aws.capacity import CAPACITY_BLOCK, NodeGroupShape, node_group_shapes
from agentgpu_iac.provisioning.aws.held_capacity import HeldCapacity
from agentgpu_iac.provisioning.aws.naming import NODE_GROUP_NAME_LIMIT, fitted, pool_tags
from agentgpu_iac.provisioning.aws.node_template import Fabric, NodeTemplate, NodeTemplateArgs, RootVolume
from agentgpu_iac.provisioning.aws.node_updates import generation_suffix, moved_on, release_to_send, update_config
from agentgpu_iac.provisioning.aws.user_data import encoded, gpu_node_user_data

_AMI_TYPES: dict[Literal["x86_64", "arm64"], str] = {
    "x86_64": "AL2023_x86_64_NVIDIA",
    "arm64": "AL2023_ARM_64_NVIDIA",
}

_ACCELERATOR_TAINT = aws.eks.NodeGroupTaintArgs(key=ACCELERATOR_RESOURCE, value="present", effect="NO_SCHEDULE")
"""Only pods that tolerate it (those that ask for accelerators) land on these nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePoolArgs:
    """What a node pool needs to know."""

    stack: str
    pool: NodePool
    cluster_name: pulumi.Input[str]
    node_role_arn: pulumi.Input[str]
    subnet_ids: Mapping[str, pulumi.Input[str]]
    """Private subnets of the pool's zones, by zone."""
    cluster_security_group_id: pulumi.Input[str]
    instance_types: tuple[str, ...]
    """Those of the pool's that all of these zones sell, the planned one first. AWS takes on-demand nodes in this order."""
    held: HeldCapacity | None = None
    """The reservation that its reserved nodes are launched into, where you named one."""
    generation: int = 1
    """``agentgpu:nodeGroupGenerations``: a later one has node groups of other names, which are made before the old ones go."""
    last_releases: Mapping[str, str] = field(default_factory=dict)
    """The image release of each node group after the last deployment, by its logical name."""
    repairs_nodes: bool = False
    """Whether EKS replaces nodes that its monitoring agent finds ill."""
    placement_group: pulumi.Input[str] | None = None
    """Name of the group that keeps its nodes close together."""


class AcceleratorNodePool(pulumi.ComponentResource):
    """One pool of GPU nodes: launch templates, and one managed node group for each way of buying its nodes.

    **Driver and device plugin.** The AMI (Amazon Linux 2023, NVIDIA variant) carries the driver and the container
    toolkit, *not* the Kubernetes device plugin. Until that DaemonSet runs in the cluster, no node offers
    ``nvidia.com/gpu`` and engine pods stay pending. The stack output ``prerequisites`` names the version.

    **Spot with a fallback.** Such a pool becomes two groups, ``…-preferred`` (spot) and ``…-fallback`` (on-demand), and
    AWS does not move nodes between them by itself. The fallback works once the Cluster Autoscaler runs with its
    priority expander (preferred above fallback); without it, you raise the fallback group's desired size by hand.

    **Capacity that you hold.** A reservation that you name is targeted by a launch template of its own, and its group
    stands in the reservation's zone. There is nothing to spare in it, so an update takes the old nodes away first.

    **Sizes.** The plan sets minimum and maximum. Where they differ, the desired size is the plan's at creation only
    and an autoscaler's from then on, so ``pulumi up`` never undoes a burst. (To raise such a minimum above the number
    of nodes that run, first scale the group up: AWS refuses a minimum above the desired size.) A pool of fixed size
    has minimum = maximum.

    **AMI release.** ``spec.pins.amiAlias`` names it; otherwise EKS takes its newest release for the Kubernetes version at
    creation. A change of the launch template takes a group to the newest release either way, and no group goes back: what
    it runs is read back (``nodeReleases``) and sent, and a new generation is a new group.

    **Updates.** The old nodes of a group go first (``capacity.nodeUpdates``), since accelerators to spare are seldom to be
    had.
    """

    node_groups: tuple[aws.eks.NodeGroup, ...]
    releases: Mapping[str, pulumi.Output[str]]
    """The image release that each of them runs, by its logical name."""

    def __init__(self, name: str, args: NodePoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:AcceleratorNodePool", name, None, opts)
        self._args = args
        self._ami_release = ami_release(args.pool)
        shapes = node_group_shapes(args.pool, args.held)
        templates = {held: self._node_template(name, held) for held in dict.fromkeys(shape.held for shape in shapes)}
        groups: dict[str, aws.eks.NodeGroup] = {}
        for shape in shapes:
            suffix = shape.suffix + generation_suffix(args.generation)
            group = fitted(name, NODE_GROUP_NAME_LIMIT - len(suffix)) + suffix
            groups[group] = self._node_group(group, shape, templates[shape.held])
        self.node_groups = tuple(groups.values())
        self.releases = {group: made.release_version for group, made in groups.items()}
        self.register_outputs({"nodeGroupArns": [group.arn for group in self.node_groups]})

    def _node_template(self, name: str, held: HeldCapacity | None) -> NodeTemplate:
        pool = self._args.pool
        user_data = gpu_node_user_data(
            cache_path=pool.cache_path, nvme=pool.nvme_gb > 0, parallel_pull=pool.image_pull == "parallel"
        )
        return NodeTemplate(
            name if held is None else f"{name}-held",
            NodeTemplateArgs(
                root_volume=RootVolume(
                    size_gib=pool.root_volume_gib, mib_per_s=pool.root_volume_mib_per_s, iops=pool.root_volume_iops
                ),
                tags=pool_tags(self._args.stack, pool),
                node_name=pool.name,
                user_data=encoded(user_data),
                fabric=self._fabric(),
                placement_group=self._args.placement_group if held is None else None,
                held=held,
                instance_type=pool.instance_types[0] if held is not None and held.is_block else None,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _release(self, group: str) -> pulumi.Output[str] | None:
        """The pinned release, unless the group has moved beyond it; None leaves it to EKS."""
        if self._ami_release is None:
            return None
        last = self._args.last_releases.get(group)

        def sent(pinned: str) -> str:
            if (sentence := moved_on(group, pinned, last)) is not None:
                pulumi.log.warn(sentence)
            return release_to_send(pinned, last)

        return self._ami_release.apply(sent)

    def _fabric(self) -> Fabric | None:
        """EFA for nodes that share a replica; others need none and would only spend addresses on it."""
        interfaces = network_interfaces(self._args.pool)
        if not interfaces:
            return None
        return Fabric(interfaces=interfaces, security_group_id=self._args.cluster_security_group_id)

    def _node_group(self, name: str, shape: NodeGroupShape, template: NodeTemplate) -> aws.eks.NodeGroup:
        args, pool = self._args, self._args.pool
        zone = shape.held.zone if shape.held is not None else None
        nothing_to_spare = shape.held is not None and not shape.held.is_group
        return aws.eks.NodeGroup(
            name,
            cluster_name=args.cluster_name,
            node_role_arn=args.node_role_arn,
            subnet_ids=list(args.subnet_ids.values()) if zone is None else [args.subnet_ids[zone]],
            version=pool.kubernetes_version,
            release_version=self._release(name),
            ami_type=_AMI_TYPES[pool.architecture],
            capacity_type=shape.eks_capacity_type,
            instance_types=_types(args, shape),
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                min_size=shape.min_size, max_size=shape.max_size, desired_size=shape.desired_size
            ),
            update_config=update_config(pool, nothing_to_spare=nothing_to_spare),
            node_repair_config=aws.eks.NodeGroupNodeRepairConfigArgs(enabled=True) if args.repairs_nodes else None,
            launch_template=template.reference(),
            labels={**node_labels(pool), CARD_LABEL: pool.accelerator},
            taints=[_ACCELERATOR_TAINT],
            tags=pool_tags(args.stack, pool),
            opts=pulumi.ResourceOptions(
                parent=self, ignore_changes=["scalingConfig.desiredSize"] if shape.elastic else None
            ),
        )


def _types(args: NodePoolArgs, shape: NodeGroupShape) -> list[str] | None:
    """What the group's nodes may be: what is held is of the planned type, and a block's stands in its launch template."""
    if shape.eks_capacity_type == CAPACITY_BLOCK:
        return None
    return list(args.instance_types if shape.held is None else args.instance_types[:1])


def ami_release(pool: NodePool) -> pulumi.Output[str] | None:
    """The release version that EKS knows the pool's pinned AMI by, or None where the plan pins none.

    EKS spells a release ``<Kubernetes patch version>-<date>``. The plan knows the date; the patch version is
    looked up in the public parameter of that very AMI, so an unpublished release fails before anything is made.
    """
    if pool.ami_alias is None:
        return None
    _, release = pool.ami_alias.split("@")
    return aws.ssm.get_parameter_output(name=release_parameter(pool, release)).insecure_value
