"""The network: a VPC of its own, so that the stack can be removed without a trace."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from agentgpu_iac.plan.nodes import KARPENTER_DISCOVERY_TAG
from agentgpu_iac.provisioning.aws.naming import stack_tags

VPC_CIDR = "10.0.0.0/16"
"""65,536 addresses. ``agentgpu:vpcCidr`` sets another range before the first ``up``, for a VPC that will be joined to a
network that overlaps."""

LARGEST_PREFIX, SMALLEST_PREFIX = 16, 20
"""AWS takes no VPC larger than a /16; from a /20 each zone has 251 usable addresses for its pods."""

_PRIVATE_BITS = 4
"""A sixteenth of the VPC for the pods and nodes of each zone: eight such ranges fill its lower half. In a /16 they are /20s of
4,091 usable addresses."""

_PUBLIC_BITS = 8
"""Public subnets hold the NAT gateway and load balancers only; they are cut from the upper half of the VPC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkArgs:
    """What the network needs to know."""

    stack: str
    """Name of the stack, and of its cluster."""
    region: str
    cidr: str = VPC_CIDR
    """Addresses of the VPC."""
    zones: tuple[str, ...]
    """Names of the availability zones; EKS wants two at least. Subnets cost nothing, so take all that there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneRanges:
    """Address ranges of one zone, fixed by the zone's letter: a zone more or less never moves another's subnets."""

    private: str
    public: str

    @classmethod
    def of(cls, zone: str, cidr: str = VPC_CIDR) -> ZoneRanges:
        """Cut the ranges of a zone such as ``us-east-1b`` from the VPC."""
        vpc = ipaddress.ip_network(cidr)
        lower, upper = vpc.subnets(prefixlen_diff=1)
        index = ord(zone[-1]) - ord("a")
        return cls(
            private=str(tuple(lower.subnets(new_prefix=vpc.prefixlen + _PRIVATE_BITS))[index]),
            public=str(tuple(upper.subnets(new_prefix=vpc.prefixlen + _PUBLIC_BITS))[index]),
        )


class Network(pulumi.ComponentResource):
    """VPC with a public and a private subnet in every zone, one NAT gateway and a gateway endpoint for S3.

    Nodes and control-plane interfaces live in the private subnets; nothing in them is reachable from outside.

    **One NAT gateway, not one a zone.** It saves the hourly price of the others; in return, losing its zone cuts
    nodes in all zones off from image registries and model hubs (running engines keep serving, new nodes cannot
    start), and traffic from other zones pays the cross-zone rate. Image pulls and Hugging Face downloads go
    through it and are billed by the gigabyte; weights in S3 do not, thanks to the endpoint.
    """

    vpc_id: pulumi.Output[str]
    private_subnet_ids: dict[str, pulumi.Output[str]]
    """By zone, in the order of the zones."""
    way_out: pulumi.Output[str]
    """The address by which its private subnets ask the internet."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:Network", name, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        self._args = args
        self._tags = stack_tags(args.stack)

        vpc = aws.ec2.Vpc(
            name,
            cidr_block=args.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self._named(name),
            opts=self._child,
        )
        self.vpc_id = vpc.id
        public = {zone: self._public_subnet(f"{name}-public-{zone}", zone) for zone in args.zones}
        private = {zone: self._private_subnet(f"{name}-private-{zone}", zone) for zone in args.zones}
        self.private_subnet_ids = {zone: subnet.id for zone, subnet in private.items()}

        gateway = aws.ec2.InternetGateway(name, vpc_id=vpc.id, tags=self._named(name), opts=self._child)
        public_routes = self._route_table(f"{name}-public", public)
        self._default_route(f"{name}-public", public_routes, gateway_id=gateway.id)

        nat = self._nat_gateway(name, public[args.zones[0]], gateway)
        private_routes = self._route_table(f"{name}-private", private)
        self._default_route(f"{name}-private", private_routes, nat_gateway_id=nat.id)
        aws.ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            vpc_endpoint_type="Gateway",
            service_name=f"com.amazonaws.{args.region}.s3",
            route_table_ids=[private_routes.id],
            tags=self._named(f"{name}-s3"),
            opts=self._child,
        )
        self.register_outputs({"vpcId": self.vpc_id, "privateSubnetIds": self.private_subnet_ids})

    def _named(self, name: str) -> dict[str, str]:
        return {**self._tags, "Name": name}

    def _public_subnet(self, name: str, zone: str) -> aws.ec2.Subnet:
        return self._subnet(name, zone, ZoneRanges.of(zone, self._args.cidr).public, {"kubernetes.io/role/elb": "1"})

    def _private_subnet(self, name: str, zone: str) -> aws.ec2.Subnet:
        discovery = {"kubernetes.io/role/internal-elb": "1", KARPENTER_DISCOVERY_TAG: self._args.stack}
        return self._subnet(name, zone, ZoneRanges.of(zone, self._args.cidr).private, discovery)

    def _subnet(self, name: str, zone: str, cidr: str, discovery: dict[str, str]) -> aws.ec2.Subnet:
        """Make a subnet that gives nobody a public address, with the tags that EKS and Karpenter look for."""
        return aws.ec2.Subnet(
            name,
            vpc_id=self.vpc_id,
            availability_zone=zone,
            cidr_block=cidr,
            map_public_ip_on_launch=False,
            tags={**self._named(name), f"kubernetes.io/cluster/{self._args.stack}": "shared", **discovery},
            opts=self._child,
        )

    def _route_table(self, name: str, subnets: dict[str, aws.ec2.Subnet]) -> aws.ec2.RouteTable:
        table = aws.ec2.RouteTable(name, vpc_id=self.vpc_id, tags=self._named(name), opts=self._child)
        for zone, subnet in subnets.items():
            aws.ec2.RouteTableAssociation(
                f"{name}-{zone}", route_table_id=table.id, subnet_id=subnet.id, opts=self._child
            )
        return table

    def _default_route(
        self,
        name: str,
        table: aws.ec2.RouteTable,
        *,
        gateway_id: pulumi.Input[str] | None = None,
        nat_gateway_id: pulumi.Input[str] | None = None,
    ) -> None:
        aws.ec2.Route(
            f"{name}-default",
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway_id,
            nat_gateway_id=nat_gateway_id,
            opts=self._child,
        )

    def _nat_gateway(self, name: str, subnet: aws.ec2.Subnet, gateway: aws.ec2.InternetGateway) -> aws.ec2.NatGateway:
        """Make the one way out, and keep its address."""
        address = aws.ec2.Eip(
            f"{name}-nat",
            domain="vpc",
            tags=self._named(f"{name}-nat"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[gateway]),
        )
        self.way_out = address.public_ip
        return aws.ec2.NatGateway(
            f"{name}-nat",
            allocation_id=address.id,
            subnet_id=subnet.id,
            tags=self._named(f"{name}-nat"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[gateway]),
        )
