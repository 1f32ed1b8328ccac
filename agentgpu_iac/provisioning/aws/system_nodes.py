"""The nodes without accelerators: which of the planned machines the network's zones sell, and the node group of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.plan import Plan, SystemNodesPlan
from agentgpu_iac.plan.system_nodes import KARPENTER_PODS
from agentgpu_iac.provisioning.aws.naming import NODE_GROUP_NAME_LIMIT, fitted
from agentgpu_iac.provisioning.aws.node_template import NodeTemplate, NodeTemplateArgs, RootVolume
from agentgpu_iac.provisioning.aws.zones import Zone
from agentgpu_iac.provisioning.faults import PLAN

_INCLUDED_MIB_PER_S = 125
_INCLUDED_IOPS = 3_000
"""The included performance of gp3: nothing here reads much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPlace:
    """What of the planned machines can be bought, and where."""

    instance_types: tuple[str, ...]
    """Those that each of the zones sells. AWS takes on-demand nodes in this order."""
    zones: tuple[str, ...]
    count: int
    root_volume_gib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemNodesArgs:
    """What the system nodes need to know."""

    cluster_name: pulumi.Input[str]
    kubernetes_version: str
    node_role_arn: pulumi.Input[str]
    subnet_ids: tuple[pulumi.Input[str], ...]
    place: SystemPlace
    tags: dict[str, str]


class SystemNodes(pulumi.ComponentResource):
    """A managed node group without accelerators or taints, of the machine that the plan sized for what stands there."""

    node_group: aws.eks.NodeGroup

    def __init__(self, name: str, args: SystemNodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:SystemNodes", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        volume = RootVolume(size_gib=args.place.root_volume_gib, mib_per_s=_INCLUDED_MIB_PER_S, iops=_INCLUDED_IOPS)
        template = NodeTemplate(name, NodeTemplateArgs(root_volume=volume, tags=args.tags, node_name=name), child)
        self.node_group = aws.eks.NodeGroup(
            fitted(name, NODE_GROUP_NAME_LIMIT),
            cluster_name=args.cluster_name,
            version=args.kubernetes_version,
            node_role_arn=args.node_role_arn,
            subnet_ids=list(args.subnet_ids),
            ami_type="AL2023_x86_64_STANDARD",
            capacity_type="ON_DEMAND",
            instance_types=list(args.place.instance_types),
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                min_size=args.place.count, max_size=args.place.count + 1, desired_size=args.place.count
            ),
            update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
            launch_template=template.reference(),
            tags=args.tags,
            opts=child,
        )
        self.register_outputs({"nodeGroupArn": self.node_group.arn})


def system_place(plan: Plan, zones: tuple[Zone, ...]) -> SystemPlace:
    """The machines and zones of the system nodes.

    A machine that all zones sell is best; else the planned order decides, and its nodes stand in the zones that sell it.

    Raises:
        BadInput: fewer than two zones sell any of them.
    """
    planned = plan.system_nodes
    if planned is None:
        raise ValueError("the plan has no system nodes, which is a fault of its own")
    everywhere = tuple(kind for kind in planned.instance_types if all(kind in zone.instance_types for zone in zones))
    if everywhere:
        return _place(planned, everywhere, tuple(zone.name for zone in zones))
    for kind in planned.instance_types:
        found = tuple(zone.name for zone in zones if kind in zone.instance_types)
        if len(found) >= min(2, len(zones)):
            return _place(planned, (kind,), found)
    raise BadInput.one(
        PLAN,
        f"no two of the zones {', '.join(zone.name for zone in zones)} sell {' or '.join(planned.instance_types)} for the "
        "system nodes",
        path="systemNodes.instanceTypes",
        hint="name another machine with capacity.systemNodes.machine of the spec",
    )


def karpenter_requests(plan: Plan) -> tuple[int, int]:
    """What a replica of Karpenter's controller may ask for: CPU in millicores and memory in MiB."""
    place = plan.system_nodes or plan.existing_cluster
    found = None if place is None else place.requests_of(KARPENTER_PODS)
    if found is None:
        raise ValueError("the plan has no place for Karpenter, though it makes nodes")
    return found


def system_faults(plan: Plan) -> Iterator[Fault]:
    """A plan of before says nothing of the nodes that the router and the cluster's own pods stand on."""
    if plan.system_nodes is None and plan.existing_cluster is None:
        yield Fault(
            source=PLAN,
            path="systemNodes",
            message="the plan does not say which nodes carry the router and the cluster's own pods",
            hint="make it again with this version (agentgpu plan SPEC -f json -o FILE)",
        )


def _place(planned: SystemNodesPlan, kinds: tuple[str, ...], zones: tuple[str, ...]) -> SystemPlace:
    return SystemPlace(instance_types=kinds, zones=zones, count=planned.count, root_volume_gib=planned.root_volume_gib)
