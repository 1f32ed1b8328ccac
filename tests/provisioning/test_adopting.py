"""What may be there already of what a preview would make: how it is looked for, and the file that takes it over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.errors import BadInput, OutsideFailure
from agentgpu_iac.operations import aws_command
from agentgpu_iac.provisioning.aws.adopting import import_file, named_ids, read_preview
from tests.cli.running import agentgpu
from tests.provisioning.scenes import CHOICES, OPTIONS, SCENES, scene

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
STACK = "urn:pulumi:test::agentgpu::pulumi:pulumi:Stack::agentgpu-test"
CLUSTER = "urn:pulumi:test::agentgpu::agentgpu:aws:Cluster::desk"
SYSTEM = "urn:pulumi:test::agentgpu::agentgpu:aws:Cluster$agentgpu:aws:SystemNodes::desk-system"
GROUP = "aws:eks/nodeGroup:NodeGroup"
ROLE = "aws:iam/role:Role"


def component(urn: str, parent: str) -> dict[str, Any]:
    kind = urn.split("::")[2].rpartition("$")[2]
    return {"op": "create", "newState": {"urn": urn, "type": kind, "custom": False, "parent": parent}}


def create(kind: str, name: str, inputs: dict[str, Any], parent: str = CLUSTER, op: str = "create") -> dict[str, Any]:
    urn = f"urn:pulumi:test::agentgpu::agentgpu:aws:Some${kind}::{name}"
    return {"op": op, "newState": {"urn": urn, "type": kind, "custom": True, "parent": parent, "inputs": inputs}}


STEPS = [
    component(CLUSTER, STACK),
    component(SYSTEM, CLUSTER),
    create("aws:eks/cluster:Cluster", "desk", {"name": "desk"}),
    create(ROLE, "desk-nodes", {"name": "desk-nodes-0123abc"}),
    create(GROUP, "desk-system", {"clusterName": "desk", "nodeGroupName": "desk-system-0123abc"}, SYSTEM),
    create("aws:ec2/launchTemplate:LaunchTemplate", "desk-system", {"name": "desk-system-0123abc"}, SYSTEM),
    create("aws:ec2/route:Route", "desk", {"routeTableId": UNKNOWN, "destinationCidrBlock": "0.0.0.0/0"}),
    create("aws:ec2/tag:Tag", "desk-discovery", {"resourceId": "sg-1"}),
    create("kubernetes:core/v1:Namespace", "desk:desk", {}),
    create("aws:ec2/vpc:Vpc", "desk", {"tags": {"Name": "desk"}}, op="same"),
]
PREVIEW = {"config": {"aws:region": "us-east-1", "aws:profile": "desk"}, "steps": STEPS}
PLACES = ["aws:eks/cluster:Cluster::desk", f"{ROLE}::desk-nodes", f"{GROUP}::desk-system"]


def wanted(place: str) -> Any:
    (found,) = (one for one in read_preview(PREVIEW, "preview.json").wanted if one.place == place)
    return found


def test_only_what_would_be_made_twice_is_looked_for() -> None:
    assert [one.place for one in read_preview(PREVIEW, "preview.json").wanted] == [
        *PLACES, "aws:ec2/launchTemplate:LaunchTemplate::desk-system", "aws:ec2/route:Route::desk"
    ]  # fmt: skip


def test_what_has_a_name_of_its_own_is_found_by_that() -> None:
    assert wanted(PLACES[0]).look_up.startswith("aws eks describe-cluster --name desk ")
    assert wanted(PLACES[0]).ids(("desk",)) == ("desk",)
    assert wanted(PLACES[0]).ids(()) == ()


def test_a_drawn_name_is_found_by_what_stands_before_it() -> None:
    assert "starts_with(RoleName" in wanted(PLACES[1]).look_up
    assert "0123abc" not in wanted(PLACES[1]).look_up
    answers = ("desk-nodes-7654321", "desk-nodes-of-others-7654321", "desk-nodes-by-hand")
    assert wanted(PLACES[1]).ids(answers) == ("desk-nodes-7654321",)
    assert wanted(PLACES[2]).ids(("desk-system-7654321",)) == ("desk:desk-system-7654321",)
    assert "Values=desk-system-???????" in wanted("aws:ec2/launchTemplate:LaunchTemplate::desk-system").look_up


def test_what_hangs_on_an_unknown_id_is_not_asked_for() -> None:
    assert wanted("aws:ec2/route:Route::desk").look_up is None


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("name", [*SCENES, *OPTIONS, *CHOICES])
def test_there_is_a_look_up_for_everything_that_the_program_makes(name: str) -> None:
    drawn = {"name": "drawn-0123abc", "nodeGroupName": "drawn-0123abc"}
    steps = [create(one.token, one.name, {**drawn, **one.inputs}) for one in scene(name).resources if one.is_aws]
    found = read_preview({"steps": steps}, "preview.json").wanted
    assert [one.place for one in found if one.look_up is None] == []


def test_the_file_has_the_programs_own_types_names_and_parents() -> None:
    preview = read_preview(PREVIEW, "preview.json")
    file = import_file(preview, {PLACES[0]: "desk", PLACES[2]: "desk:handmade"})
    assert file == {
        "nameTable": {},
        "resources": [
            {"type": "agentgpu:aws:Cluster", "name": "parent0", "logicalName": "desk", "component": True},
            {
                "type": "agentgpu:aws:SystemNodes", "name": "parent1", "logicalName": "desk-system", "component": True,
                "parent": "parent0",
            },
            {
                "type": "aws:eks/cluster:Cluster", "name": "resource0", "logicalName": "desk", "parent": "parent0",
                "id": "desk",
            },
            {"type": GROUP, "name": "resource1", "logicalName": "desk-system", "parent": "parent1", "id": "desk:handmade"},
        ],
    }  # fmt: skip


def test_a_parent_that_is_in_the_state_already_is_named_by_its_urn() -> None:
    preview = read_preview({"steps": STEPS[2:]}, "preview.json")
    file = import_file(preview, {PLACES[0]: "desk"})
    assert file["nameTable"] == {"parent0": CLUSTER}
    assert [one["parent"] for one in file["resources"]] == ["parent0"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("nowhere=1", "would make nothing of the name 'nowhere'"),
        ("desk=vpc-1", "'desk' may mean several (aws:eks/cluster:Cluster::desk, aws:ec2/route:Route::desk)"),
        ("desk-nodes", "'desk-nodes' names no id (write NAME=ID"),
    ],
)
def test_an_id_that_nobody_can_place_is_refused(given: str, told: str) -> None:
    with pytest.raises(BadInput) as refused:
        named_ids(read_preview(PREVIEW, "preview.json"), [given], "--id")
    assert told in str(refused.value)


@pytest.mark.parametrize("said", [[], {}, {"steps": {}}, "steps"])
def test_something_else_than_a_preview_is_refused(said: Any) -> None:
    with pytest.raises(BadInput, match="is nothing that pulumi preview --json says"):
        read_preview(said, "preview.json")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "preview.json").write_text(json.dumps(PREVIEW))
    return tmp_path


def aws(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """An aws command that answers so."""
    program = folder / "bin" / "aws"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


ACCOUNT = """
test "$AWS_REGION" = us-east-1 -a "$AWS_PROFILE" = desk || exit 9
case "$2" in
  describe-cluster) echo desk;;
  list-roles) printf 'desk-nodes-7654321\\tdesk-nodes-1234567\\n';;
  list-nodegroups) echo 'An error occurred (ResourceNotFoundException) when calling' >&2; exit 254;;
  *) echo None;;
esac
"""


def test_the_command_asks_and_writes_what_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aws(folder, monkeypatch, ACCOUNT)
    answer = agentgpu("pulumi", "import", "preview.json")
    assert (answer.code, answer.out) == (0, "")
    assert f"{ROLE}::desk-nodes may be any of desk-nodes-7654321, desk-nodes-1234567" in answer.err
    assert "Wrote 1 of 5 things to import.json. Next: pulumi import --file import.json --protect=false" in answer.err
    written = json.loads((folder / "import.json").read_text())
    assert [one.get("id") for one in written["resources"]] == [None, "desk"]


def test_ids_that_are_named_are_not_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aws(folder, monkeypatch, ACCOUNT)
    answer = agentgpu("pulumi", "import", "preview.json", "--id", "desk-nodes=Handmade", "-o", "own.json")
    assert "may be any of" not in answer.err
    written = json.loads((folder / "own.json").read_text())
    assert {one.get("id") for one in written["resources"]} == {None, "desk", "Handmade"}


def test_an_account_that_does_not_answer_is_no_empty_account(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aws(folder, monkeypatch, "echo 'Unable to locate credentials' >&2; exit 253")
    answer = agentgpu("pulumi", "import", "preview.json")
    assert answer.code == 3
    assert "aws eks describe-cluster: Unable to locate credentials" in answer.err
    assert not (folder / "import.json").exists()


def test_without_the_aws_command_look_ups_are_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(OutsideFailure, match="the aws command is not installed"):
        aws_command.asking({})
    answer = agentgpu("pulumi", "import", "preview.json", "--no-ask")
    assert (answer.code, (folder / "import.json").exists()) == (0, False)
    assert "aws eks describe-cluster --name desk" in answer.out
    assert "hangs on ids that are not known before others are imported" in answer.out
    assert "nothing to import" in answer.err
