"""An existing network: read and used, never changed, except for one tag on request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.plan.nodes import KARPENTER_DISCOVERY_TAG
from agentgpu_iac.provisioning.aws.zones import WITHOUT_CONTROL_PLANE

_VPC_KEY = "agentgpu:vpcId"
SUBNETS_KEY = "agentgpu:privateSubnetIds"
_TAG_KEY = "agentgpu:tagSubnets"
_ENDPOINTS_KEY = "agentgpu:interfaceEndpoints"

_FEWEST_ZONES = 2
"""EKS wants its control plane in two zones at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingNetworkArgs:
    """What an existing network needs to know."""

    stack: str
    vpc_id: str
    subnets: Mapping[str, str]
    """Private subnets by zone."""
    way_out: str | None = None
    """The address by which they ask the internet, where somebody said so."""
    tagged: bool
    """Whether the subnets get the tag by which Karpenter finds them."""


class ExistingNetwork(pulumi.ComponentResource):
    """Your VPC and its private subnets, one in each zone.

    Nodes there need a way out (a NAT gateway, or endpoints and a registry of your own) and DNS names in the VPC; that
    is yours to see to. ``pulumi destroy`` leaves all of it, but removes the tag.
    """

    vpc_id: pulumi.Output[str]
    private_subnet_ids: dict[str, pulumi.Output[str]]
    """By zone, in the order of the zones."""
    way_out: pulumi.Output[str] | None
    """The address by which they ask the internet; None: nobody said so."""

    def __init__(self, name: str, args: ExistingNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:ExistingNetwork", name, None, opts)
        self.vpc_id = pulumi.Output.from_input(args.vpc_id)
        self.way_out = None if args.way_out is None else pulumi.Output.from_input(args.way_out)
        self.private_subnet_ids = {zone: pulumi.Output.from_input(id) for zone, id in args.subnets.items()}
        if args.tagged:
            for zone, subnet_id in args.subnets.items():
                aws.ec2.Tag(
                    f"{name}-discovery-{zone}",
                    resource_id=subnet_id,
                    key=KARPENTER_DISCOVERY_TAG,
                    value=args.stack,
                    opts=pulumi.ResourceOptions(parent=self),
                )
        self.register_outputs({"vpcId": self.vpc_id, "privateSubnetIds": self.private_subnet_ids})


def existing_network_faults(
    *, vpc_id: str | None, subnet_ids: tuple[str, ...], tagged: bool, endpoints: bool, source: str
) -> Iterator[Fault]:
    """Settings that do not go together."""
    if vpc_id and not subnet_ids:
        yield Fault(
            source=source,
            path=SUBNETS_KEY,
            message=f"no subnet of {vpc_id} is named",
            hint="name one private subnet in each zone that nodes may stand in, or remove agentgpu:vpcId",
        )
    if subnet_ids and not vpc_id:
        yield Fault(
            source=source,
            path=_VPC_KEY,
            message="subnets are named, but not their VPC",
            hint="pulumi config set agentgpu:vpcId VPC",
        )
    if not vpc_id and tagged:
        yield Fault(
            source=source,
            path=_TAG_KEY,
            message="only subnets of an existing network are tagged by request",
            hint="remove it: the subnets of a new network carry the tag anyway",
        )
    if vpc_id and endpoints:
        yield Fault(
            source=source,
            path=_ENDPOINTS_KEY,
            message="nothing is made in an existing network",
            hint="remove it, and make the endpoints where the network is made",
        )


def find_subnets(
    vpc_id: str, subnet_ids: tuple[str, ...], source: str, *, for_control_plane: bool = True
) -> dict[str, str]:
    """Ask AWS in which zones these subnets lie; by zone, in alphabetical order. Raises BadInput where EKS would refuse.

    ``for_control_plane``: a cluster is made in them; nodes alone need neither two zones nor those with a control plane.
    A subnet that does not exist fails in the look-up itself, before anything is made.
    """
    found = [aws.ec2.get_subnet(id=subnet_id) for subnet_id in subnet_ids]
    by_zone: dict[str, str] = {}
    faults: list[Fault] = []
    for subnet in found:
        problem = ""
        if subnet.vpc_id != vpc_id:
            problem = f"{subnet.id} belongs to {subnet.vpc_id}, not to {vpc_id}"
        elif for_control_plane and subnet.availability_zone_id in WITHOUT_CONTROL_PLANE:
            problem = f"EKS places no control plane in {subnet.availability_zone}, where {subnet.id} lies"
        elif subnet.availability_zone in by_zone:
            problem = f"{by_zone[subnet.availability_zone]} and {subnet.id} both lie in {subnet.availability_zone}"
        if problem:
            faults.append(
                Fault(source=source, path=SUBNETS_KEY, message=problem, hint="name one private subnet in each zone")
            )
        else:
            by_zone[subnet.availability_zone] = subnet.id
    if for_control_plane and not faults and len(by_zone) < _FEWEST_ZONES:
        faults.append(
            Fault(
                source=source,
                path=SUBNETS_KEY,
                message=f"an EKS cluster needs subnets in {_FEWEST_ZONES} zones at least",
                hint="name a private subnet in another zone too",
            )
        )
    if faults:
        raise BadInput(faults)
    return dict(sorted(by_zone.items()))
