"""Every recorded resource passes the real provider's own validation and plan; and these checks can fail."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.e2e.pulumi.aws.bridge import Bridge, bridge
from tests.provisioning.recording import Recorded
from tests.provisioning.scenes import CHOICES, OPTIONS, SCENES, scene

NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
CLUSTER = "aws:eks/cluster:Cluster"
POOL = "demo-baseline-g6e-xlarge"

GONE = object()
"""In place of a value: the input is left out."""


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    with bridge(tmp_path_factory.mktemp("bridge")) as running:
        yield running


def changed(resource: Recorded, path: tuple[str | int, ...], value: Any) -> Recorded:
    """The resource with one input set to something else."""
    inputs = copy.deepcopy(resource.inputs)
    inner: Any = inputs
    for step in path[:-1]:
        inner = inner[step]
    if value is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return replace(resource, inputs=inputs)


@pytest.mark.parametrize("name", [*SCENES, *OPTIONS, *CHOICES])
def test_the_provider_accepts_and_plans_every_resource(name: str, provider: Bridge) -> None:
    resources = [resource for resource in scene(name).resources if resource.is_aws]
    assert resources or "existing karpenter" in name, (
        "a Karpenter that is there makes the nodes: nothing of AWS is ours"
    )
    found = {f"{one.token} {one.name}": said for one in resources if (said := provider.complaints(one))}
    assert found == {}


@pytest.mark.parametrize(
    ("where", "token", "name", "path", "value", "expected"),
    [
        ("single", NODE_GROUP, POOL, ("capacityType",), "SPOTTY", "SPOTTY"),
        ("single", NODE_GROUP, POOL, ("updateConfig", "maxUnavailablePercentage"), 50.0, "maxUnavailable"),
        ("single", NODE_GROUP, POOL, ("scalingConfig", "maxSize"), 0.0, "maxSize"),
        ("single", NODE_GROUP, POOL, ("subnetIds",), GONE, "subnetIds"),
        ("single", NODE_GROUP, POOL, ("launchTemplate", "id"), "demo", "lt-"),
        ("single", NODE_GROUP, POOL, ("taints", 0, "effect"), "NoSchedule", "NoSchedule"),
        ("single", NODE_GROUP, POOL, ("colour",), "green", "colour"),
        ("single", TEMPLATE, POOL, ("metadataOptions", "httpTokens"), "demanded", "demanded"),
        ("single", TEMPLATE, POOL, ("blockDeviceMappings", 0, "ebs", "volumeType"), "gp4", "gp4"),
        ("single", CLUSTER, "demo", ("accessConfig", "authenticationMode"), "APIS", "APIS"),
        ("single", CLUSTER, "demo", ("vpcConfig",), GONE, "vpcConfig"),
        ("single", "aws:iam/role:Role", "demo-nodes", ("assumeRolePolicy",), "{not json", "assumeRolePolicy"),
        ("private", "aws:budgets/budget:Budget", "demo", ("timeUnit",), "WEEKLY", "WEEKLY"),
    ],
)
def test_a_slip_is_caught(
    where: str, token: str, name: str, path: tuple[str | int, ...], value: Any, expected: str, provider: Bridge
) -> None:
    resource = scene(where).one(token, name)
    assert provider.complaints(resource) == ()
    assert expected in "\n".join(provider.complaints(changed(resource, path, value)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("capacityType",), "SPOT"),
        (("instanceTypes",), ["g6.xlarge"]),
        (("subnetIds",), ["subnet-1"]),
        (("amiType",), "AL2023_ARM_64_NVIDIA"),
        (("launchTemplate", "id"), "lt-2"),
    ],
)
def test_a_node_group_is_replaced_where_the_provider_cannot_change_it(
    path: tuple[str, ...], value: Any, provider: Bridge
) -> None:
    group = scene("single").one(NODE_GROUP, POOL)
    assert path[0] in provider.replacing(group, changed(group, path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("tags", "team"), "ops"),
        (("launchTemplate", "version"), "2"),
        (("scalingConfig", "maxSize"), 9.0),
        (("labels", "agentgpu.dev/tier"), "burst"),
    ],
)
def test_a_node_group_changes_in_its_place_where_the_provider_can(
    path: tuple[str, ...], value: Any, provider: Bridge
) -> None:
    group = scene("single").one(NODE_GROUP, POOL)
    assert provider.replacing(group, changed(group, path, value)) == ()


def test_a_launch_template_gets_a_version_but_a_name_only_once(provider: Bridge) -> None:
    template = scene("single").one(TEMPLATE, POOL)
    assert provider.replacing(template, changed(template, ("userData",), "Yg==")) == ()
    assert provider.replacing(template, changed(template, ("name",), "other")) == ("name",)
