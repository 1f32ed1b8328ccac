"""What an ``up`` that was cut off may have left: which command tells, and which id imports it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.provisioning.aws.pending import import_file, instructions, pending_creates
from tests.provisioning.scenes import CHOICES, OPTIONS, SCENES, scene

ROOT = Path(__file__).parents[2]
NETWORK = "urn:pulumi:test::agentgpu::agentgpu:aws:Network::desk"
CLUSTER = "urn:pulumi:test::agentgpu::agentgpu:aws:Cluster::desk"


def operation(kind: str, name: str, inputs: dict[str, Any], *, parent: str = NETWORK, doing: str = "creating") -> Any:
    urn = f"urn:pulumi:test::agentgpu::agentgpu:aws:Some${kind}::{name}"
    return {"type": doing, "resource": {"urn": urn, "type": kind, "parent": parent, "inputs": inputs}}


def export(*operations: Any) -> dict[str, Any]:
    return {"deployment": {"resources": [], "pending_operations": list(operations)}}


VPC = operation("aws:ec2/vpc:Vpc", "desk", {"tags": {"Name": "desk"}})
GROUP = operation(
    "aws:eks/nodeGroup:NodeGroup",
    "desk-system",
    {"clusterName": "desk", "nodeGroupName": "desk-system-0123abc"},
    parent=CLUSTER,
)


def test_what_has_a_name_tag_is_found_by_it() -> None:
    (found,) = pending_creates(export(VPC))
    assert "Name=resource-type,Values=vpc" in found.look_up
    assert "Name=value,Values=desk" in found.look_up
    assert found.ident is None


def test_what_has_a_physical_name_is_found_by_that() -> None:
    (found,) = pending_creates(export(GROUP))
    assert found.look_up.startswith(
        "aws eks describe-nodegroup --cluster-name desk --nodegroup-name desk-system-0123abc "
    )
    assert found.ident == "desk:desk-system-0123abc"


def test_what_may_be_made_twice_and_what_was_not_being_made_is_left_out() -> None:
    attachment = operation("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "a", {"role": "r", "policyArn": "p"})
    manifest = operation("kubernetes:apps/v1:Deployment", "desk:desk/support", {})
    deletion = operation("aws:ec2/vpc:Vpc", "desk", {"tags": {"Name": "desk"}}, doing="deleting")
    assert pending_creates(export(attachment, manifest, deletion)) == ()
    assert pending_creates({"deployment": {"resources": []}}) == ()


def test_the_import_file_names_each_parent_once() -> None:
    again = operation("aws:ec2/subnet:Subnet", "desk-a", {"tags": {"Name": "desk-a"}})
    assert import_file(pending_creates(export(VPC, GROUP, again))) == {
        "nameTable": {"parent0": NETWORK, "parent1": CLUSTER},
        "resources": [
            {"type": "aws:ec2/vpc:Vpc", "name": "desk", "parent": "parent0", "id": ""},
            {
                "type": "aws:eks/nodeGroup:NodeGroup",
                "name": "desk-system",
                "parent": "parent1",
                "id": "desk:desk-system-0123abc",
            },
            {"type": "aws:ec2/subnet:Subnet", "name": "desk-a", "parent": "parent0", "id": ""},
        ],
    }


def test_a_type_that_nobody_thought_of_is_named_all_the_same() -> None:
    (found,) = pending_creates(export(operation("aws:new/thing:Thing", "desk", {})))
    assert found.look_up == "# look for aws:new/thing:Thing in the AWS console"


def test_the_script_writes_the_file_to_one_stream_and_what_to_do_to_the_other() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "stacks" / "pending_creates.py"],
        input=json.dumps(export(VPC, GROUP)),
        capture_output=True,
        text=True,
        check=True,
    )
    pending = pending_creates(export(VPC, GROUP))
    assert json.loads(done.stdout) == import_file(pending)
    assert done.stderr.splitlines() == list(instructions(pending))


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("name", [*SCENES, *OPTIONS, *CHOICES])
def test_there_is_a_look_up_for_everything_that_the_program_makes(name: str) -> None:
    drawn = {"name": "drawn-0123abc", "nodeGroupName": "drawn-0123abc"}
    operations = [
        operation(one.token, one.name, {**drawn, **one.inputs}) for one in scene(name).resources if one.is_aws
    ]
    found = pending_creates(export(*operations))
    assert bool(found) == bool(operations), "in a cluster with a Karpenter of its own nothing of AWS may be made"
    assert [one.resource_type for one in found if not one.look_up.startswith("aws ")] == []
