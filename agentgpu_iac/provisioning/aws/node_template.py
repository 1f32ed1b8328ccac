"""The launch template that every node of the stack starts from."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from agentgpu_iac.plan.network_cards import NetworkInterface
from agentgpu_iac.provisioning.aws.held_capacity import HeldCapacity
from agentgpu_iac.provisioning.aws.naming import fitted

_NAME_LIMIT = 128

_ROOT_DEVICE = "/dev/xvda"
"""The root device of Amazon Linux 2023."""

_TAGGED = ("instance", "volume")
"""A node group's own tags do not reach its instances and volumes, where the cost arises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RootVolume:
    """A gp3 volume."""

    size_gib: int
    mib_per_s: int
    iops: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """Interfaces for IP and EFA, by network card of the instance."""

    interfaces: tuple[NetworkInterface, ...]
    security_group_id: pulumi.Input[str]
    """A template that names interfaces must name their security group, which EKS would else choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTemplateArgs:
    """What tells one kind of node from another."""

    root_volume: RootVolume
    tags: dict[str, str]
    node_name: str
    """The ``Name`` that instances show in the EC2 console."""
    user_data: str | None = None
    """Base64; None leaves it to EKS."""
    fabric: Fabric | None = None
    """None leaves the network interfaces to EKS."""
    placement_group: pulumi.Input[str] | None = None
    """Name of the group that its nodes are put into."""
    held: HeldCapacity | None = None
    """The reservation that its nodes are launched into; None leaves open reservations to be used where they match."""
    instance_type: str | None = None
    """None leaves it to the node group. EKS wants it here for a Capacity Block, and never in both places."""


class NodeTemplate(pulumi.ComponentResource):
    """Launch template with an encrypted gp3 root volume, whose instances guard their credentials.

    Instance metadata answers to session tokens only (IMDSv2) and one network hop deep: a pod that is not on the
    host network cannot borrow the node's role. Pods get their own through EKS Pod Identity.
    """

    launch_template: aws.ec2.LaunchTemplate

    def __init__(self, name: str, args: NodeTemplateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:NodeTemplate", name, None, opts)
        self.launch_template = aws.ec2.LaunchTemplate(
            fitted(name, _NAME_LIMIT),
            update_default_version=True,
            user_data=args.user_data,
            block_device_mappings=[
                aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                    device_name=_ROOT_DEVICE,
                    ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                        volume_type="gp3",
                        volume_size=args.root_volume.size_gib,
                        throughput=args.root_volume.mib_per_s,
                        iops=args.root_volume.iops,
                        encrypted="true",
                        delete_on_termination="true",
                    ),
                )
            ],
            network_interfaces=_network_interfaces(args.fabric),
            placement=_placement(args.placement_group),
            instance_type=args.instance_type,
            instance_market_options=_market(args.held),
            capacity_reservation_specification=_reservation(args.held),
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
            ),
            tag_specifications=[
                aws.ec2.LaunchTemplateTagSpecificationArgs(
                    resource_type=resource_type, tags={**args.tags, "Name": args.node_name}
                )
                for resource_type in _TAGGED
            ],
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"id": self.launch_template.id})

    def reference(self) -> aws.eks.NodeGroupLaunchTemplateArgs:
        """This template at its newest version: a change rolls through the node group."""
        return aws.eks.NodeGroupLaunchTemplateArgs(
            id=self.launch_template.id,
            version=self.launch_template.latest_version.apply(lambda version: str(int(version))),
        )


def _network_interfaces(fabric: Fabric | None) -> list[aws.ec2.LaunchTemplateNetworkInterfaceArgs] | None:
    if fabric is None:
        return None
    return [
        aws.ec2.LaunchTemplateNetworkInterfaceArgs(
            network_card_index=each.card,
            device_index=each.device,
            interface_type=each.kind,
            security_groups=[fabric.security_group_id],
            delete_on_termination="true",
        )
        for each in fabric.interfaces
    ]


def _placement(group: pulumi.Input[str] | None) -> aws.ec2.LaunchTemplatePlacementArgs | None:
    return None if group is None else aws.ec2.LaunchTemplatePlacementArgs(group_name=group)


def _market(held: HeldCapacity | None) -> aws.ec2.LaunchTemplateInstanceMarketOptionsArgs | None:
    """Capacity Blocks are a market type of their own; any other purchase is set on the node group."""
    if held is None or not held.is_block:
        return None
    return aws.ec2.LaunchTemplateInstanceMarketOptionsArgs(market_type="capacity-block")


def _reservation(held: HeldCapacity | None) -> aws.ec2.LaunchTemplateCapacityReservationSpecificationArgs | None:
    if held is None:
        return None
    target = aws.ec2.LaunchTemplateCapacityReservationSpecificationCapacityReservationTargetArgs(
        capacity_reservation_id=None if held.is_group else held.reservation,
        capacity_reservation_resource_group_arn=held.reservation if held.is_group else None,
    )
    return aws.ec2.LaunchTemplateCapacityReservationSpecificationArgs(capacity_reservation_target=target)
