"""Private ways to the AWS services that nodes call, past the NAT gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws
from botocore.exceptions import BotoCoreError, ClientError

from agentgpu_iac.provisioning.aws.identity import PATIENCE, session

IMAGE_SERVICES = ("ecr.api", "ecr.dkr", "sts")
"""What a node calls to pull images from ECR. The layers themselves come from S3, through the gateway endpoint."""

JOIN_SERVICES = ("ec2", "eks", "eks-auth")
"""What a node calls to join (nodeadm, pod networking) and what a pod calls for its own permissions."""

_HTTPS = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceEndpointsArgs:
    """What the endpoints need to know."""

    region: str
    vpc_id: pulumi.Input[str]
    vpc_cidr: str
    """Who may call the endpoints: everything in the network."""
    subnet_ids: Mapping[str, pulumi.Input[str]]
    """One in each zone: an endpoint is billed by the hour in every zone that it stands in, and by the gigabyte."""
    services: tuple[str, ...]
    tags: dict[str, str]
    zones_of_service: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Where each service has endpoints; in all zones where nothing is said of it."""


def zones_of_services(services: tuple[str, ...], region: str) -> Mapping[str, frozenset[str]]:
    """The zones in which each service has endpoints, as EC2 says; nothing where it was not to be asked.

    AWS makes no endpoint in a zone that its service does not stand in, and ``up`` would end there.
    """
    names = {f"com.amazonaws.{region}.{service}": service for service in services}
    try:
        ec2 = session().create_client("ec2", region_name=region, config=PATIENCE)
        answer = ec2.describe_vpc_endpoint_services(ServiceNames=list(names))
    except (BotoCoreError, ClientError) as error:
        pulumi.log.info(f"nobody looked which zones have endpoints: {error}")
        return {}
    return {
        names[each["ServiceName"]]: frozenset(each.get("AvailabilityZones", ()))
        for each in answer["ServiceDetails"]
        if each["ServiceName"] in names
    }


class InterfaceEndpoints(pulumi.ComponentResource):
    """One interface endpoint per service, in every zone, under the service's usual name (private DNS).

    They cost money by the hour whether they are used or not, which is why they are off unless you ask for them. Worth
    it where images are pulled often (the NAT gateway bills by the gigabyte too) or must not go over the internet.
    """

    def __init__(self, name: str, args: InterfaceEndpointsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:InterfaceEndpoints", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        label = f"{name}-endpoints"
        group = aws.ec2.SecurityGroup(
            label,
            vpc_id=args.vpc_id,
            description=f"Interface endpoints of {name}",
            tags={**args.tags, "Name": label},
            opts=child,
        )
        aws.vpc.SecurityGroupIngressRule(
            label,
            security_group_id=group.id,
            cidr_ipv4=args.vpc_cidr,
            ip_protocol="tcp",
            from_port=_HTTPS,
            to_port=_HTTPS,
            description="HTTPS from the network itself",
            tags=args.tags,
            opts=child,
        )
        for service in args.services:
            served = args.zones_of_service.get(service, frozenset(args.subnet_ids))
            subnet_ids = [subnet for zone, subnet in args.subnet_ids.items() if zone in served]
            if not subnet_ids:
                pulumi.log.warn(
                    f"{service} has no endpoint in {', '.join(args.subnet_ids)}: nodes ask it past the NAT gateway"
                )
                continue
            endpoint = f"{name}-{service.replace('.', '-')}"
            aws.ec2.VpcEndpoint(
                endpoint,
                vpc_id=args.vpc_id,
                vpc_endpoint_type="Interface",
                service_name=f"com.amazonaws.{args.region}.{service}",
                private_dns_enabled=True,
                subnet_ids=subnet_ids,
                security_group_ids=[group.id],
                tags={**args.tags, "Name": endpoint},
                opts=child,
            )
        self.register_outputs({})
