"""Karpenter and a bucket of models on the real engine: what stands in the account, and what is left of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.pulumi.aws.front.server import Front
from tests.e2e.pulumi.aws.real import RealAccount, real_account

DESK = (Path(__file__).parent / "stacks" / "desk.yaml").read_text("utf-8")
SPEC = DESK.replace(
    "modelCache: {tokenSecret: hf-token}", "modelCache: {source: s3, bucket: 's3://acme-models/agents'}"
)
BUCKET = "acme-models"


@pytest.fixture(scope="module")
def chosen(front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAccount]:
    """One stack that the tests of this module use one after the other."""
    with real_account(tmp_path_factory.mktemp("chosen"), front, SPEC) as made:
        made.project.config("agentgpu:nodes", "karpenter")
        made.project.config("agentgpu:karpenterChart", "charts/karpenter")
        made.project.config("agentgpu:modelBucket", "create")
        yield made


def objects(stack: RealAccount, kind: str) -> list[dict[str, Any]]:
    return [json.loads(file.read_text("utf-8")) for file in sorted(stack.objects.glob(f"{kind}.*"))]


def fill(stack: RealAccount) -> None:
    """Put a model into the bucket, and over it another. The account here knows no TLS, so the policy steps aside."""
    s3 = stack.aws("s3")
    policy = s3.get_bucket_policy(Bucket=BUCKET)["Policy"]
    with pytest.raises(ClientError, match="403"):
        s3.put_object(Bucket=BUCKET, Key="agents/model/weights", Body=b"in clear")
    s3.delete_bucket_policy(Bucket=BUCKET)
    for body in (b"first", b"second"):
        s3.put_object(Bucket=BUCKET, Key="agents/model/weights", Body=body)
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy)


def test_karpenter_stands_in_place_of_the_node_groups(chosen: RealAccount) -> None:
    chosen.project.up()
    assert [one["nodegroupName"][:11] for one in chosen.node_groups()] == ["desk-system"]
    (release,) = objects(chosen, "Release")
    iam, sqs, events = chosen.aws("iam"), chosen.aws("sqs"), chosen.aws("events")

    nodes = iam.get_role(RoleName="KarpenterNodeRole-desk")["Role"]
    classes = objects(chosen, "EC2NodeClass")
    assert {one["spec"]["role"] for one in classes} == {nodes["RoleName"]}
    assert {one["metadata"]["name"] for one in objects(chosen, "NodePool")} == {
        one["metadata"]["name"] for one in classes
    }
    entries = chosen.front.eks.entries.values()
    assert [one["type"] for one in entries if one["principalArn"] == nodes["Arn"]] == ["EC2_LINUX"]

    (url,) = sqs.list_queues()["QueueUrls"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert url.endswith(f"/{release['values']['settings']['interruptionQueue']}")
    rules = events.list_rules()["Rules"]
    targets = [one["Arn"] for rule in rules for one in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]]
    assert targets == [queue["QueueArn"]] * len(rules)
    put = json.loads(queue["Policy"])["Statement"][0]
    assert sorted(put["Condition"]["ArnEquals"]["aws:SourceArn"]) == sorted(rule["Arn"] for rule in rules)

    (controller,) = (role for role in iam.list_roles()["Roles"] if role["RoleName"].startswith("desk-karpenter-"))
    policies = iam.list_role_policies(RoleName=controller["RoleName"])["PolicyNames"]
    assert len(policies) == 3
    assert chosen.pod_roles()["kube-system", "karpenter"] == controller["Arn"]


def test_the_bucket_is_guarded_and_fillers_read_it(chosen: RealAccount) -> None:
    s3, iam = chosen.aws("s3"), chosen.aws("iam")
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    (tls,) = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert (tls["Effect"], tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    assert len(s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]) == 2
    fillers = {one["spec"]["template"]["spec"]["serviceAccountName"] for one in objects(chosen, "DaemonSet")}
    role = chosen.pod_roles()["desk", fillers.pop()].rpartition("/")[2]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    statements = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]
    assert {one["Action"] for one in statements} == {"s3:ListBucket", "s3:GetObject"}


def test_the_controller_outlives_the_nodes_that_it_must_end(chosen: RealAccount) -> None:
    """Pulumi deletes in the opposite order of what depends on what."""
    found = {one["urn"]: one for one in chosen.project.resources()}
    by_type = {kind: {urn for urn in found if kind in urn} for kind in (":Release::", ":EC2NodeClass::", ":NodePool::")}
    assert all(by_type.values())
    for urn in by_type[":NodePool::"]:
        assert by_type[":EC2NodeClass::"] | by_type[":Release::"] <= set(found[urn]["dependencies"])
        assert found[urn]["customTimeouts"]["delete"] > 15 * 60
    for urn in by_type[":EC2NodeClass::"]:
        assert by_type[":Release::"] <= set(found[urn]["dependencies"])


def test_nothing_is_left_to_do(chosen: RealAccount) -> None:
    assert chosen.project.planned() == {}
    chosen.project.refresh()
    assert chosen.project.planned() == {}


def test_the_bucket_outlives_the_stack_with_its_guards_and_all_that_is_in_it(chosen: RealAccount) -> None:
    s3 = chosen.aws("s3")
    fill(chosen)
    chosen.project.destroy()
    assert chosen.what_is_there() == {"buckets": [BUCKET]}
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    assert json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert len(s3.list_object_versions(Bucket=BUCKET)["Versions"]) == 2


def test_the_bucket_goes_with_the_stack_where_that_is_wanted(front: Front, tmp_path: Path) -> None:
    with real_account(tmp_path, front, SPEC) as stack:
        stack.project.config("agentgpu:modelBucket", "create")
        stack.project.up()
        stack.project.config("agentgpu:deleteModelBucket", "true")
        planned = stack.project.planned()
        assert set(planned) == {"update"}
        assert {urn.rpartition("::")[2] for urn in planned["update"]} == {"desk-models"}
        stack.project.up()
        fill(stack)
        stack.project.destroy()
        assert stack.what_is_there() == {}
