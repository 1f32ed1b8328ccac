"""Runs a Pulumi program against mocks and keeps what it asked for. No engine, no plugin, no network."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import pulumi
import pulumi_aws
from pulumi.runtime import resource as registering
from pulumi.runtime.proto import source_pb2
from pulumi.runtime.settings import get_root_resource

from agentgpu_iac.errors import Fault
from agentgpu_iac.provisioning.aws import existing_cluster, health, quotas
from agentgpu_iac.provisioning.aws import program as program_of_aws
from tests.provisioning.there import There

with warnings.catch_warnings():
    # The AWS SDK loads a module at its first use, and warns of its own deprecated classes while it does.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"pulumi_aws\.")
    LOADED = (
        pulumi_aws.budgets.Budget,
        pulumi_aws.cloudwatch.LogGroup,
        pulumi_aws.ec2.Vpc,
        pulumi_aws.eks.Cluster,
        pulumi_aws.iam.Role,
        pulumi_aws.kms.Key,
        pulumi_aws.s3.Bucket,
        pulumi_aws.sqs.Queue,
        pulumi_aws.ssm.Parameter,
        pulumi_aws.vpc.SecurityGroupIngressRule,
    )

REGION = "us-east-1"

SUBNETS = {
    "subnet-a": ("us-east-1a", "use1-az1", "vpc-1"),
    "subnet-b": ("us-east-1b", "use1-az2", "vpc-1"),
    "subnet-b2": ("us-east-1b", "use1-az2", "vpc-1"),
    "subnet-e": ("us-east-1e", "use1-az3", "vpc-1"),
    "subnet-far": ("us-east-1a", "use1-az1", "vpc-2"),
}
"""Subnets that were there before: zone, the zone's id, VPC."""

BLOCKS = {"cr-b10c": ("us-east-1a", "p5.48xlarge", 2)}
"""Capacity Blocks that were bought before: zone, instance type, instances."""

SOLD = {
    "us-east-1a": ("g6e.xlarge", "m6i.large", "m7i.large", "p5.48xlarge"),
    "us-east-1b": ("g6e.xlarge", "m6i.large"),
    "us-east-1d": ("m6i.large",),
}
"""The world of these tests: zones, and the instance types that each sells."""


@dataclass(frozen=True)
class Recorded:
    """One resource as the engine would have received it."""

    token: str
    name: str
    inputs: dict[str, Any]

    @property
    def is_aws(self) -> bool:
        return self.token.startswith("aws:")


@dataclass
class Recording:
    """Everything that one run asked for, in the order of registration."""

    resources: list[Recorded] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    secret_outputs: set[str] = field(default_factory=set)
    cluster_status: str = "ACTIVE"
    last_outputs: dict[str, Any] = field(default_factory=dict)
    """Those of the deployment before."""

    def of(self, token: str) -> list[Recorded]:
        """All resources of one type."""
        return [resource for resource in self.resources if resource.token == token]

    def one(self, token: str, name: str) -> Recorded:
        """The resource of that type and logical name."""
        (found,) = (resource for resource in self.of(token) if resource.name == name)
        return found

    def position(self, token: str, name: str) -> int:
        """When the resource was registered, relative to the others."""
        return self.resources.index(self.one(token, name))

    def strings(self) -> Iterator[tuple[str, str]]:
        """Every string in every input, with the resource that holds it."""
        for resource in self.resources:
            for text in _strings(resource.inputs):
                yield f"{resource.token} {resource.name}", text


TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


def ident(token: str, name: str) -> str:
    """The id of what is made: the real provider looks at some of them."""
    return f"lt-{name.replace('-', '')}" if token == TEMPLATE else f"{name}-id"


class AwsMocks(pulumi.runtime.Mocks):
    """Answers as AWS would: ids, ARNs and the few computed properties that the program reads."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.recording.resources.append(Recorded(token=args.typ, name=args.name, inputs=args.inputs))
        computed: dict[str, Any] = {
            "name": args.name,
            "arn": f"arn:aws:mock:{REGION}:123456789012:{args.name}",
            **args.inputs,
        }
        match args.typ:
            case "aws:eks/cluster:Cluster":
                computed["status"] = self.recording.cluster_status
                computed["endpoint"] = "https://cluster.invalid"
                computed["certificateAuthority"] = {"data": "Q0E="}
                computed["vpcConfig"] = {**args.inputs["vpcConfig"], "clusterSecurityGroupId": "sg-cluster"}
            case "pulumi-python:dynamic/agentgpu:SpheronMachine":
                computed |= {
                    "machineName": f"{args.name}-0123456789",
                    "status": "running",
                    "ipAddress": "198.51.100.1",
                    "sshCommand": "ssh ubuntu@198.51.100.1",
                    "usdPerHour": "0.8",
                }
            case "pulumi-python:dynamic/agentgpu:MachinesCertificate":
                computed |= {"certificate": "a certificate", "privateKey": "its key"}
            case "pulumi-python:dynamic/agentgpu:MachineFiles":
                computed |= {"hostKey": "a proven key"}
            case "aws:ec2/placementGroup:PlacementGroup":
                computed["arn"] = f"arn:aws:ec2:{REGION}:123456789012:placement-group/{args.name}"
            case _ if args.typ == TEMPLATE:
                computed["latestVersion"] = 1
            case "aws:ec2/eip:Eip":
                computed["publicIp"] = "192.0.2.7"
            case "aws:sqs/queue:Queue":
                computed["url"] = f"https://queues.invalid/{args.inputs['name']}"
            case _:
                pass
        return ident(args.typ, args.name), computed

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        self.recording.calls.append((args.token, args.args))
        match args.token:
            case "aws:index/getAvailabilityZones:getAvailabilityZones":
                return {"names": sorted(SOLD, reverse=True)}
            case "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings":
                (wanted,) = (one["values"] for one in args.args["filters"] if one["name"] == "instance-type")
                pairs = [(zone, kind) for zone, kinds in SOLD.items() for kind in kinds if kind in wanted]
                return {
                    "locations": [zone for zone, _ in pairs],
                    "instanceTypes": [kind for _, kind in pairs],
                }
            case "aws:ec2/getSubnet:getSubnet":
                zone, zone_id, vpc = SUBNETS[args.args["id"]]
                return {"id": args.args["id"], "availabilityZone": zone, "availabilityZoneId": zone_id, "vpcId": vpc}
            case "aws:ec2/getCapacityBlockReservation:getCapacityBlockReservation":
                zone, kind, count = BLOCKS[args.args["id"]]
                return {"availabilityZone": zone, "instanceType": kind, "instanceCount": count}
            case "aws:eks/getAddonVersion:getAddonVersion":
                return {"version": f"v{args.args['kubernetesVersion']}.0-eksbuild.1"}
            case "aws:ssm/getParameter:getParameter":
                release = args.args["name"].split("-v")[-1].split("/")[0]
                return {"insecureValue": f"1.34.2-{release}"}
            case "pulumi:pulumi:readStackOutputs":
                return {"name": args.args["name"], "outputs": self.recording.last_outputs}
            case _:
                raise AssertionError(f"the program asked for something unexpected: {args.token}")


NOWHERE = source_pb2.StackTrace
"""Where in our code each resource is made: the SDK looks it up for the engine, and nobody asks here."""


def record(
    program: Callable[[], None],
    *,
    region: str = REGION,
    last_outputs: dict[str, Any] | None = None,
    ask: health.Ask = lambda _: None,
    cluster_status: str = "ACTIVE",
    quota: quotas.Ask = lambda _: None,
    endpoint_zones: Mapping[str, frozenset[str]] = MappingProxyType({}),
    there: There | None = None,
    credentials: Callable[[], Iterator[Fault]] = lambda: iter(()),
) -> Recording:
    """Run the program to its end and return what it asked for. ``ask`` answers for EKS, ``quota`` for Service Quotas,
    ``endpoint_zones`` for EC2 of who serves where, ``there`` for what stands in the account already, ``credentials`` for what
    is wrong with them."""
    recording = Recording(last_outputs=last_outputs or {}, cluster_status=cluster_status)
    with (
        _event_loops(),
        patch.object(registering, "_get_stack_trace", NOWHERE),
        patch.object(existing_cluster, "asking", lambda _: there or There()),
        patch.object(health, "asking", lambda _: ask),
        patch.object(quotas, "asking", lambda: quota),
        patch.object(program_of_aws, "zones_of_services", lambda *_: endpoint_zones),
        patch.object(program_of_aws, "credential_faults", credentials),
    ):
        pulumi.runtime.set_mocks(AwsMocks(recording), project="agentgpu", stack="test", organization="organization")
        get_root_resource().outputs.clear()  # the root resource outlives a run
        pulumi.runtime.set_all_config({"aws:region": region})

        def body() -> pulumi.Output[None]:
            program()
            exported = {name: pulumi.Output.from_input(value) for name, value in get_root_resource().outputs.items()}
            secrets = {name: pulumi.Output.from_input(value.is_secret()) for name, value in exported.items()}
            return pulumi.Output.all(values=exported, secrets=secrets).apply(keep)

        def keep(known: dict[str, Any]) -> None:
            recording.outputs.update(known["values"])
            recording.secret_outputs.update(name for name, secret in known["secrets"].items() if secret)

        pulumi.runtime.test(body)()
    return recording


@contextmanager
def _event_loops() -> Iterator[None]:
    """An event loop for the program and one for the worker that plays the engine; Pulumi would leave them open."""
    loop, worker_loop = asyncio.new_event_loop(), asyncio.new_event_loop()
    worker = ThreadPoolExecutor(max_workers=1, initializer=asyncio.set_event_loop, initargs=(worker_loop,))
    loop.set_default_executor(worker)
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        worker.shutdown()
        asyncio.set_event_loop(None)
        worker_loop.close()
        loop.close()


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
