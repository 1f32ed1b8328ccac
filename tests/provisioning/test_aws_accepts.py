"""Every recorded resource is one that AWS would accept and that the SDK knows; and these checks can fail."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from tests.provisioning.aws_api import CALLS, complaints
from tests.provisioning.recording import Recorded
from tests.provisioning.scenes import CHOICES, OPTIONS, SCENES, scene
from tests.provisioning.sdk_inputs import unknown_inputs

NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
POOL = "demo-baseline-g6e-xlarge"
EVERYTHING = [*SCENES, *OPTIONS, *CHOICES]


def changed(resource: Recorded, path: tuple[str | int, ...], value: Any) -> Recorded:
    """The resource with one input set to something else."""
    inputs = copy.deepcopy(resource.inputs)
    inner: Any = inputs
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return replace(resource, inputs=inputs)


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("name", EVERYTHING)
def test_every_aws_resource_has_a_known_api_call(name: str) -> None:
    assert {resource.token for resource in scene(name).resources if resource.is_aws} <= set(CALLS)


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("name", EVERYTHING)
def test_aws_would_accept_every_resource(name: str) -> None:
    found = [complaint for resource in scene(name).resources if resource.is_aws for complaint in complaints(resource)]
    assert found == []


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("name", EVERYTHING)
def test_the_sdk_knows_every_input(name: str) -> None:
    found = [key for resource in scene(name).resources if resource.is_aws for key in unknown_inputs(resource)]
    assert found == []


@pytest.mark.parametrize(
    ("token", "name", "path", "value", "expected"),
    [
        (NODE_GROUP, POOL, ("capacityType",), "SPOTTY", "'SPOTTY' is none of ON_DEMAND"),
        (NODE_GROUP, POOL, ("amiType",), "AL2023_NVIDIA", "is none of"),
        (NODE_GROUP, POOL, ("taints", 0, "effect"), "NoSchedule", "is none of"),
        (NODE_GROUP, POOL, ("scalingConfig", "minSize"), 0.5, "Invalid type"),
        (NODE_GROUP, POOL, ("scalingConfig", "maxSize"), 0.0, "Invalid value"),
        (NODE_GROUP, POOL, ("labels", "agentgpu.dev/tier"), 1.0, "Invalid type"),
        (NODE_GROUP, POOL, ("colour",), "green", "the API knows no colour"),
        (TEMPLATE, POOL, ("metadataOptions", "httpTokens"), "demanded", "is none of"),
        (TEMPLATE, POOL, ("blockDeviceMappings", 0, "ebs", "volumeType"), "gp4", "is none of"),
        (TEMPLATE, POOL, ("blockDeviceMappings", 0, "ebs", "encrypted"), "yes", "Invalid type"),
        ("aws:eks/cluster:Cluster", "demo", ("accessConfig", "authenticationMode"), "APIS", "is none of"),
        ("aws:eks/cluster:Cluster", "demo", ("name",), "no spaces please", "does not match"),
        ("aws:eks/cluster:Cluster", "demo", ("enabledClusterLogTypes",), ["everything"], "is none of"),
    ],
)
def test_a_slip_is_caught(token: str, name: str, path: tuple[str | int, ...], value: Any, expected: str) -> None:
    resource = scene("single").one(token, name)
    assert complaints(resource) == []
    assert expected in "\n".join(complaints(changed(resource, path, value)))


def test_a_missing_required_member_is_caught() -> None:
    resource = scene("single").one(NODE_GROUP, POOL)
    without = replace(resource, inputs={key: value for key, value in resource.inputs.items() if key != "subnetIds"})
    assert any("Missing required parameter" in complaint for complaint in complaints(without))


@pytest.mark.parametrize("path", [("scalingConfig", "wanted"), ("taints", 0, "because"), ("flavour",)])
def test_an_input_unknown_to_the_sdk_is_caught(path: tuple[str | int, ...]) -> None:
    resource = scene("single").one(NODE_GROUP, POOL)
    assert unknown_inputs(resource) == []
    assert len(unknown_inputs(changed(resource, path, "x"))) == 1


def test_a_name_that_leaves_no_room_for_the_suffix_is_caught() -> None:
    role = scene("single").one("aws:iam/role:Role", "demo-nodes")
    assert any("longer than 64" in complaint for complaint in complaints(replace(role, name="n" * 60)))
