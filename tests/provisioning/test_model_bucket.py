"""The bucket of models: who may read it, how it is guarded, and whether it outlives the stack."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pulumi
import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan
from agentgpu_iac.provisioning.aws.model_bucket import read_policy
from agentgpu_iac.provisioning.aws.program import deploy
from agentgpu_iac.provisioning.aws.settings import Settings
from tests.plans import make_plan
from tests.provisioning.policies import is_known, statements
from tests.provisioning.recording import record
from tests.provisioning.scenes import CHOICES, MODELS, SETTINGS, bucket_plan, scene, with_pools
from tests.rendered import rendered_once

BUCKET = "aws:s3/bucket:Bucket"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
GROUP = "kubernetes:yaml/v2:ConfigGroup"
WITH_BUCKET = [name for name in CHOICES if "bucket" in name]


def pods_of(recording: Any) -> dict[str, str]:
    """Kinds of pods and the ServiceAccount of each."""
    (group,) = recording.of(GROUP)
    return {
        one["kind"]: one["spec"]["template"]["spec"]["serviceAccountName"]
        for one in group.inputs["objs"]
        if one["kind"] in {"Deployment", "DaemonSet"}
    }


@pytest.mark.parametrize("name", WITH_BUCKET)
def test_fillers_alone_may_read_it(name: str) -> None:
    recording = scene(name)
    (association,) = recording.of(ASSOCIATION)
    assert association.inputs["namespace"] == "demo"
    assert association.inputs["serviceAccount"] == pods_of(recording)["DaemonSet"]
    assert association.inputs["serviceAccount"] != pods_of(recording)["Deployment"]
    assert association.inputs["clusterName"] == recording.outputs["clusterName"]
    assert recording.position(ASSOCIATION, "demo-models") < recording.position(GROUP, "demo")


def test_they_may_list_and_read_below_the_prefix_and_nothing_else() -> None:
    policy = scene("bucket").one("aws:iam/rolePolicy:RolePolicy", "demo-models-read").inputs["policy"]
    assert policy == read_policy(MODELS)
    listing, reading = statements(policy)
    assert (listing["Action"], listing["Resource"]) == (["s3:ListBucket"], ["arn:aws:s3:::acme-models"])
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "agents/*"}}
    assert (reading["Action"], reading["Resource"]) == (["s3:GetObject"], ["arn:aws:s3:::acme-models/agents/*"])
    assert all(is_known(action) for one in (listing, reading) for action in one["Action"])


def test_without_a_prefix_the_whole_bucket_is_theirs_to_read() -> None:
    listing, reading = statements(read_policy("s3://acme-models"))
    assert "Condition" not in listing
    assert reading["Resource"] == ["arn:aws:s3:::acme-models/*"]


def test_a_bucket_that_is_there_is_left_alone() -> None:
    assert [one.token for one in scene("bucket").resources if one.token.startswith("aws:s3")] == []


def test_a_plan_that_fills_from_the_hub_gets_neither_bucket_nor_role() -> None:
    assert scene("single").of(ASSOCIATION) == []
    assert "a folder for each" not in "".join(scene("single").outputs["prerequisites"])


def test_the_bucket_is_guarded() -> None:
    recording = scene("own bucket")
    (bucket,) = recording.of(BUCKET)
    assert bucket.inputs["bucket"] == "acme-models"
    (block,) = recording.of("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    assert {key for key, value in block.inputs.items() if value is True} == {
        *("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    }
    (policy,) = recording.of("aws:s3/bucketPolicy:BucketPolicy")
    (tls,) = statements(policy.inputs["policy"])
    assert (tls["Effect"], tls["Principal"], tls["Action"]) == ("Deny", "*", ["s3:*"])
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert {one.removesuffix("/*") for one in tls["Resource"]} == {tls["Resource"][0]}
    assert recording.position(block.token, block.name) < recording.position(policy.token, policy.name)
    (encryption,) = recording.of(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    )
    # Under a key of KMS an ETag is no MD5, and fillers would compare sizes alone.
    assert encryption.inputs["rules"] == [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]
    guards = [one for one in recording.resources if one.token.startswith("aws:s3/bucket") and one is not bucket]
    assert {one.inputs["bucket"] for one in guards} == {"acme-models"}


def test_what_nobody_needs_any_more_expires() -> None:
    recording = scene("own bucket")
    (versioning,) = recording.of("aws:s3/bucketVersioning:BucketVersioning")
    assert versioning.inputs["versioningConfiguration"] == {"status": "Enabled"}
    (lifecycle,) = recording.of("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
    unfinished, old = lifecycle.inputs["rules"]
    assert unfinished["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}
    assert old["noncurrentVersionExpiration"] == {"noncurrentDays": 30}
    assert {one["status"] for one in (unfinished, old)} == {"Enabled"}
    assert not any("days" in one.get("expiration", {}) for one in (unfinished, old))


@pytest.mark.parametrize("goes", [False, True])
def test_it_outlives_the_stack_unless_told_otherwise(goes: bool) -> None:
    retained: dict[str, bool] = {}

    def keep(args: pulumi.ResourceTransformationArgs) -> None:
        if args.type_.startswith("aws:s3/"):
            retained[args.type_] = bool(args.opts.retain_on_delete)

    def program() -> None:
        pulumi.runtime.register_stack_transformation(keep)
        settings = replace(SETTINGS, model_bucket="create", delete_model_bucket=goes)
        deploy(bucket_plan(), rendered_once(bucket_plan()), settings)

    (bucket,) = record(program).of(BUCKET)
    assert bucket.inputs["forceDestroy"] is goes
    assert len(retained) == 6
    assert set(retained.values()) == {not goes}


@pytest.mark.parametrize("name", WITH_BUCKET)
def test_the_models_that_must_lie_there_are_named(name: str) -> None:
    told = "\n".join(scene(name).outputs["prerequisites"])
    assert f"the models in {MODELS}, a folder for each: qwen--qwen3-8b--main; without them" in told


@pytest.mark.parametrize(
    ("plan", "settings", "message"),
    [
        (
            bucket_plan(),
            replace(SETTINGS, model_bucket="mine"),
            "there is no 'mine' \\(set it to existing or create\\)",
        ),
        (make_plan(), replace(SETTINGS, model_bucket="create"), "from no bucket, so there is none to create"),
        (bucket_plan(), replace(SETTINGS, delete_model_bucket=True), "a bucket that was there before is never deleted"),
    ],
    ids=["unknown", "no bucket", "not ours"],
)
def test_a_choice_that_cannot_be_had_is_bad_input(plan: Plan, settings: Settings, message: str) -> None:
    def program() -> None:
        with pytest.raises(BadInput, match=message):
            deploy(plan, rendered_once(plan), settings)

    assert record(program).resources == []


def test_engines_that_stream_have_a_role_of_their_own() -> None:
    plan = with_pools(make_plan(), filler=None, cached_models=())
    plan = plan.model_copy(
        update={
            "workloads": tuple(
                each.model_copy(update={"model_cache": each.model_cache.model_copy(update={"streamed_from": MODELS})})
                for each in plan.workloads
            )
        }
    )
    recording = record(lambda: deploy(plan, rendered_once(plan), SETTINGS))
    (association,) = recording.of(ASSOCIATION)
    assert association.inputs["serviceAccount"] == pods_of(recording)["Deployment"] == "engine-streaming"
    assert recording.position(ASSOCIATION, "demo-models-engine-streaming") < recording.position(GROUP, "demo")
    policy = recording.one("aws:iam/rolePolicy:RolePolicy", "demo-models-engine-streaming-read").inputs["policy"]
    assert policy == read_policy(MODELS)
    assert "in the cluster's region" in "".join(recording.outputs["prerequisites"])
