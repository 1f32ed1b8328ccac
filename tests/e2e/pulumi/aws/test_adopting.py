"""What is there already becomes a Pulumi stack's own on the real engine and provider, by a file for ``pulumi import``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.operations import aws_command
from tests.cli.running import agentgpu
from tests.e2e.pulumi.aws.aws_command import answer
from tests.e2e.pulumi.aws.front.server import Front
from tests.e2e.pulumi.aws.real import RealAccount, real_account
from tests.e2e.pulumi.cli import ROOT, STACK

DESK = (Path(__file__).parent / "stacks" / "desk.yaml").read_text("utf-8")
BUCKET = "acme-models"
SPEC = DESK.replace(
    "modelCache: {tokenSecret: hf-token}", f"modelCache: {{source: s3, bucket: 's3://{BUCKET}/agents'}}"
)
IMPORT = ("import", "--file", "import.json", "--protect=false", "--generate-code=false", "--yes", "--skip-preview")
IN_PLACE = {
    "defaultVersion",
    "updateDefaultVersion",
    "resolveConflictsOnCreate",
    "resolveConflictsOnUpdate",
    "forceDestroy",
    "regionalNatGatewayAddresses",
}
"""What AWS does not keep, or tells otherwise: set in its place, without a change of what runs. The last is the provider's own
word of gateways that stand in no zone, which it has of ours only once it has seen an ``up``."""


def adopt(stack: RealAccount, monkeypatch: pytest.MonkeyPatch, *ids: str) -> dict[str, Any]:
    """One round of docs/existing.md; what the preview before it would do."""

    def asked(command: str) -> tuple[str, ...]:
        return tuple(answer(stack.aws, command, addons_in_journal=False))

    monkeypatch.setattr(aws_command, "asking", lambda _: asked)
    folder = stack.project.folder
    preview = stack.project.preview()
    (folder / "preview.json").write_text(json.dumps(preview), encoding="utf-8")
    words = [word for each in ids for word in ("--id", each)]
    written = agentgpu("pulumi", "import", folder / "preview.json", "-o", folder / "import.json", *words)
    assert written.code == 0, written.err
    assert "may be any of" not in written.err
    stack.project.run(*IMPORT)
    return preview


def forget(stack: RealAccount) -> None:
    """Lose the state, and keep the settings."""
    settings = stack.project.folder / "stacks" / f"Pulumi.{STACK}.yaml"
    kept = settings.read_text("utf-8")
    stack.project.run("stack", "rm", "--force", "--yes")
    stack.project.run("stack", "init", STACK)
    settings.write_text(kept, encoding="utf-8")


def touched(preview: dict[str, Any]) -> dict[str, set[str]]:
    """What would not stay as it is, by its type and name, with the inputs that differ; creations left out."""
    return {
        step["urn"].partition("$")[2] or step["urn"]: {"replace"} if "replace" in step["op"] else differing(step)
        for step in preview["steps"]
        if step["op"] not in ("same", "create", "read")
    }


def differing(step: dict[str, Any]) -> set[str]:
    return set(step.get("diffReasons") or [step["op"]])


def test_a_stack_whose_state_was_lost_is_taken_over_whole(
    front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with real_account(tmp_path, front, SPEC) as stack:
        stack.project.config("agentgpu:modelBucket", "create")
        stack.project.up()
        there = stack.what_is_there()
        forget(stack)
        adopt(stack, monkeypatch)
        second = adopt(stack, monkeypatch)
        for name, reasons in touched(second).items():
            assert reasons <= IN_PLACE, name
        stack.project.up()
        assert stack.what_is_there() == there, "nothing was made a second time or anew"
        kinds = {each["type"] for each in stack.project.resources()}
        assert {"aws:eks/cluster:Cluster", "aws:eks/nodeGroup:NodeGroup", "aws:ec2/natGateway:NatGateway"} <= kinds


def test_what_was_made_by_hand_is_taken_over_by_its_own_names(
    front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with real_account(tmp_path, front, SPEC) as stack:
        stack.project.config("agentgpu:modelBucket", "create")
        ec2, iam = stack.aws("ec2"), stack.aws("iam")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        ec2.create_tags(Resources=[vpc], Tags=[{"Key": "Name", "Value": "desk"}])
        stack.aws("s3").create_bucket(Bucket=BUCKET)
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam.create_role(RoleName="HandmadeNodes", AssumeRolePolicyDocument=document)
        adopt(stack, monkeypatch, "aws:iam/role:Role::desk-nodes=HandmadeNodes")
        taken = {each["id"] for each in stack.project.resources() if each.get("id")}
        assert {vpc, BUCKET, "HandmadeNodes"} <= taken
        for name, reasons in touched(stack.project.preview()).items():
            assert "replace" not in reasons, name


def test_the_page_tells_users_to_run_what_these_tests_run() -> None:
    page = (ROOT / "docs" / "existing.md").read_text("utf-8")
    asked = ("--yes", "--skip-preview")
    assert f"pulumi {' '.join(word for word in IMPORT if word not in asked)}" in page
