"""A cluster of somebody's on the real engine: what goes into it, what goes again, and that it is never touched itself.

The tests of this module share one stack, and each begins where the one before has ended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.pulumi.aws.front.server import Front
from tests.e2e.pulumi.aws.real import RealAccount, real_account

DESK = (Path(__file__).parent / "stacks" / "desk.yaml").read_text("utf-8")
SPEC = DESK.replace("spec:\n", "spec:\n  cluster: existing\n", 1)
ZONES = ("us-east-1a", "us-east-1b")
PATIENCE_S = 30


def role(stack: RealAccount, name: str, service: str) -> str:
    """A role of the cluster's owner."""
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    return str(stack.aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"])


def cluster(stack: RealAccount) -> list[str]:
    """Make a cluster as its owner did, by hand; its subnets."""
    ec2, eks = stack.aws("ec2"), stack.aws("eks")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for number, zone in enumerate(ZONES)
    ]
    eks.create_cluster(
        name="shared",
        version="1.34",
        roleArn=role(stack, "Shared", "eks.amazonaws.com"),
        resourcesVpcConfig={"subnetIds": subnets},
        accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"},
    )
    until = time.monotonic() + PATIENCE_S
    while eks.describe_cluster(name="shared")["cluster"]["status"] != "ACTIVE":
        assert time.monotonic() < until
        time.sleep(0.1)
    return subnets


@pytest.fixture(scope="module")
def shared(front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAccount]:
    """An account with a cluster in it, and a stack that is to go into that."""
    with real_account(tmp_path_factory.mktemp("shared"), front, SPEC) as made:
        for number, subnet in enumerate(cluster(made)):
            made.project.run("config", "set", "--path", f"agentgpu:privateSubnetIds[{number}]", subnet)
        made.project.run("config", "rm", "agentgpu:apiAllowedCidrs")
        made.project.config("agentgpu:nodeRoleArn", role(made, "Nodes", "ec2.amazonaws.com"))
        yield made


@pytest.fixture(scope="module")
def before(shared: RealAccount) -> dict[str, list[str]]:
    """What its owner has."""
    shared.front.eks.asked.clear()
    return shared.what_is_there()


def asked(stack: RealAccount) -> set[str]:
    """What EKS was asked to do."""
    return {name for name, _ in stack.front.eks.asked}


def test_a_cluster_that_is_not_there_is_refused_before_anything_is_made(
    shared: RealAccount, before: dict[str, list[str]]
) -> None:
    shared.project.config("agentgpu:cluster", "shred")
    said = shared.project.up(expect=None)
    assert said.code != 0
    assert "there is no EKS cluster 'shred' in us-east-1" in said.text
    assert "Traceback" not in said.text
    assert shared.what_is_there() == before
    shared.project.config("agentgpu:cluster", "shared")


def test_only_nodes_and_agents_go_into_it(shared: RealAccount, before: dict[str, list[str]]) -> None:
    shared.project.up()
    assert asked(shared) == {"CreateNodegroup"}
    assert {group["nodeRole"].rpartition("/")[2] for group in shared.node_groups()} == {"Nodes"}
    assert {group["clusterName"] for group in shared.node_groups()} == {"shared"}
    now = shared.what_is_there()
    assert {kind: things for kind, things in now.items() if before.get(kind) != things}.keys() == {
        "launch templates", "node groups", "objects"
    }  # fmt: skip
    assert not [one for one in shared.project.resources() if "eks/cluster" in one["type"] or "ec2/vpc" in one["type"]]
    assert shared.project.outputs()["clusterName"] == "shared"


def test_a_second_up_changes_nothing(shared: RealAccount) -> None:
    assert shared.project.planned() == {}
    shared.project.refresh()
    assert shared.project.planned() == {}


def test_the_stack_does_not_leave_it_for_a_cluster_of_its_own(shared: RealAccount) -> None:
    there = shared.what_is_there()
    shared.project.write_spec(DESK)
    said = shared.project.up(expect=None)
    assert said.code != 0
    assert "put its agents into the cluster 'shared', which is there" in said.text
    assert shared.what_is_there() == there
    shared.project.write_spec(SPEC)


def test_destroy_leaves_it_as_it_was(shared: RealAccount, before: dict[str, list[str]]) -> None:
    shared.project.destroy()
    assert asked(shared) == {"CreateNodegroup", "DeleteNodegroup"}
    assert shared.what_is_there() == before
    assert shared.project.resources() == []


BUCKET = "acme-models"
FROM_BUCKET = SPEC.replace(
    "modelCache: {tokenSecret: hf-token}", f"modelCache: {{source: s3, bucket: 's3://{BUCKET}/agents'}}"
)


def test_its_own_karpenter_and_a_bucket_that_is_there_are_used_and_never_made(shared: RealAccount) -> None:
    eks, s3, project = shared.aws("eks"), shared.aws("s3"), shared.project
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="agents/weights", Body=b"somebody's")
    eks.create_addon(clusterName="shared", addonName="eks-pod-identity-agent")
    nodes = role(shared, "KarpenterNodes", "ec2.amazonaws.com")
    eks.create_access_entry(clusterName="shared", principalArn=nodes, type="EC2_LINUX")
    there = shared.what_is_there()
    project.write_spec(FROM_BUCKET)
    project.run("config", "rm", "agentgpu:nodeRoleArn")
    settings = {"cluster": "shared", "nodes": "karpenter", "karpenterVersion": "1.14.1"}
    for key, value in {**settings, "karpenterNodeRole": "KarpenterNodes"}.items():
        project.config(f"agentgpu:{key}", value)
    shared.front.eks.asked.clear()
    project.up()
    assert asked(shared) == {"CreatePodIdentityAssociation"}
    made = {each["type"].rpartition(":")[2] for each in project.resources()}
    assert {"NodePool", "EC2NodeClass", "PodIdentityAssociation"} <= made
    assert not {"NodeGroup", "Release", "Bucket", "Queue", "Cluster"} & {
        each["type"].rpartition(":")[2] for each in project.resources() if each["custom"]
    }
    assert project.planned() == {}
    project.destroy()
    assert shared.what_is_there() == there
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["agents/weights"]
