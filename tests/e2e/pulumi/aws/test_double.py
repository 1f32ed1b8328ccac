"""The double itself: what it calls a replacement, and that it hides nothing. No engine here."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pulumi.provider.experimental import provider as protocol

from tests.e2e.pulumi.aws.account import account
from tests.e2e.pulumi.aws.cloud import Cloud, Refused
from tests.e2e.pulumi.aws.conftest import SPEC
from tests.e2e.pulumi.aws.faults import Faults
from tests.e2e.pulumi.aws.kinds_beside import KINDS
from tests.e2e.pulumi.aws.provider import AwsDouble
from tests.e2e.pulumi.aws.values import marked_map
from tests.provisioning.aws_api import CALLS

NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
GROUP = {
    "clusterName": "desk",
    "nodeGroupName": "desk-0123abc",
    "nodeRoleArn": "arn:aws:iam::123456789012:role/nodes",
    "subnetIds": ["subnet-1", "subnet-2"],
    "amiType": "AL2023_x86_64_NVIDIA",
    "capacityType": "ON_DEMAND",
    "instanceTypes": ["g6.xlarge"],
    "scalingConfig": {"minSize": 1, "maxSize": 2, "desiredSize": 1},
    "launchTemplate": {"id": "lt-1", "version": "1"},
    "labels": {"agentgpu.dev/tier": "baseline"},
}


def diff(token: str, old: dict[str, Any], new: dict[str, Any], folder: Path) -> protocol.DiffResponse:
    double = AwsDouble(Cloud("http://127.0.0.1:9", folder), Faults(folder))
    urn = f"urn:pulumi:test::agentgpu::agentgpu:aws:Pool${token}::desk"
    return asyncio.run(
        double.diff(protocol.DiffRequest(urn, "id", marked_map(old, like={}), marked_map(new, like={}), []))
    )


def test_the_double_knows_every_type_that_the_program_makes() -> None:
    assert set(CALLS) <= set(KINDS)


@pytest.mark.parametrize(
    ("changed", "replaces"),
    [
        ({}, []),
        ({"capacityType": "SPOT"}, ["capacityType"]),
        ({"instanceTypes": ["g6e.xlarge"]}, ["instanceTypes"]),
        ({"subnetIds": ["subnet-1"]}, ["subnetIds"]),
        ({"amiType": "AL2023_ARM_64_NVIDIA"}, ["amiType"]),
        ({"nodeGroupName": "other"}, ["nodeGroupName"]),
        ({"launchTemplate": {"id": "lt-2", "version": "1"}}, ["launchTemplate"]),
        ({"launchTemplate": {"id": "lt-1", "version": "2"}}, []),
        ({"scalingConfig": {"minSize": 2, "maxSize": 2, "desiredSize": 2}}, []),
        ({"labels": {"agentgpu.dev/tier": "burst"}}, []),
    ],
)
def test_a_node_group_is_replaced_where_eks_cannot_change_it(
    changed: dict[str, Any], replaces: list[str], tmp_path: Path
) -> None:
    answer = diff(NODE_GROUP, {**GROUP, "arn": "arn:aws:eks:1", "status": "ACTIVE"}, {**GROUP, **changed}, tmp_path)
    assert answer.changes == bool(changed)
    assert answer.replaces == replaces


def test_a_launch_template_gets_a_version_but_a_name_only_once(tmp_path: Path) -> None:
    old = {"name": "desk", "userData": "YQ==", "latestVersion": 1}
    assert diff(TEMPLATE, old, {"name": "desk", "userData": "Yg=="}, tmp_path).replaces == []
    assert diff(TEMPLATE, old, {"name": "other", "userData": "YQ=="}, tmp_path).replaces == ["name"]


def test_what_aws_makes_twice_the_double_makes_twice_and_what_aws_refuses_it_refuses(tmp_path: Path) -> None:
    with account(tmp_path, SPEC) as made:
        vpc, role = KINDS["aws:ec2/vpc:Vpc"], KINDS["aws:iam/role:Role"]
        network = {"cidrBlock": "10.0.0.0/16", "tags": {"Name": "desk"}}
        assert len({vpc.create(made.aws, "desk", network) for _ in range(2)}) == 2
        assert made.what_is_there()["VPCs"] == ["desk", "desk"]
        trusted = {"name": "nodes", "assumeRolePolicy": "{}", "tags": {}}
        role.create(made.aws, "nodes", trusted)
        with pytest.raises(ClientError, match="EntityAlreadyExists"):
            role.create(made.aws, "nodes", trusted)
        made.aws.journal.add("aws:eks/addon:Addon", "desk:coredns", {})
        with pytest.raises(Refused, match="exists already"):
            made.aws.journal.add("aws:eks/addon:Addon", "desk:coredns", {})
