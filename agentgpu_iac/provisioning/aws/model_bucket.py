"""The bucket that node caches are filled from: who may read it and, where you wish, the bucket itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from agentgpu_iac.errors import Fault
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.nodes import FILLER_SERVICE_ACCOUNT, STREAMING_SERVICE_ACCOUNT
from agentgpu_iac.provisioning.aws.naming import stack_tags
from agentgpu_iac.provisioning.aws.pod_role import PodRole, PodRoleArgs
from agentgpu_iac.provisioning.aws.roles import policy_document

EXISTING = "existing"
CREATE = "create"
MODEL_BUCKETS = (EXISTING, CREATE)

_UNFINISHED_DAYS = 7
"""An upload that was broken off can go on for a week; its parts are invisible, and billed."""

_OLD_REVISIONS_DAYS = 30
"""How long a model that was overwritten or deleted can be had back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelBucketArgs:
    """What the bucket needs to know."""

    stack: str
    """Name of the stack, and of its namespace."""
    url: str
    """The plan's bucket and prefix, such as s3://acme-models/agents."""
    readers: tuple[str, ...]
    """ServiceAccounts of the pods that read it."""
    cluster_name: pulumi.Input[str]
    is_made: bool
    """Whether to make the bucket; else it is there already."""
    goes_with_stack: bool
    """Whether ``pulumi destroy`` deletes the bucket that it made, with every model in it."""


class ModelBucket(pulumi.ComponentResource):
    """Read access to the models for the pods that read them, and the bucket where it is to be made.

    **Access.** The ServiceAccount of the fillers, and that of engines which stream their weights, may list and read what
    lies below the plan's prefix, nothing else. Other engines read the node's cache and need no right. Whoever uploads
    models does so as themselves.

    **The bucket** is private, takes no request without TLS, and encrypts with S3's own keys: only then is an object's
    ETag the MD5 that fillers compare. It keeps versions, so that a model overwritten by mistake can be had back; they
    expire, since a model is large.

    **Retained.** Models are costly to gather and nothing else holds them, so ``pulumi destroy`` leaves the bucket and
    its guards where they are unless told otherwise.
    """

    def __init__(self, name: str, args: ModelBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:ModelBucket", name, None, opts)
        self._name = f"{name}-models"
        self._args = args
        if args.is_made:
            self._bucket()
        for account in args.readers:
            PodRole(
                self._name if account == FILLER_SERVICE_ACCOUNT else f"{self._name}-{account}",
                PodRoleArgs(
                    cluster_name=args.cluster_name,
                    namespace=args.stack,
                    service_account=account,
                    policies={"read": read_policy(args.url)},
                    tags=stack_tags(args.stack),
                ),
                pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})

    def _kept(self, after: list[pulumi.Resource] | None = None) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=after, retain_on_delete=not self._args.goes_with_stack)

    def _bucket(self) -> None:
        bucket = aws.s3.Bucket(
            self._name,
            bucket=bucket_name(self._args.url),
            force_destroy=self._args.goes_with_stack,
            tags=stack_tags(self._args.stack),
            opts=self._kept(),
        )
        guard = aws.s3.BucketPublicAccessBlock(
            self._name,
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._kept(),
        )
        aws.s3.BucketPolicy(
            self._name, bucket=bucket.bucket, policy=bucket.arn.apply(only_tls_policy), opts=self._kept([guard])
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            self._name,
            bucket=bucket.bucket,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                        sse_algorithm="AES256"
                    )
                )
            ],
            opts=self._kept(),
        )
        versions = aws.s3.BucketVersioning(
            self._name,
            bucket=bucket.bucket,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=self._kept(),
        )
        aws.s3.BucketLifecycleConfiguration(
            self._name, bucket=bucket.bucket, rules=_lifecycle(), opts=self._kept([versions])
        )


def planned_bucket(plan: Plan) -> str | None:
    """Address of the bucket that models come from; None where they come from elsewhere."""
    filled = (pool.filler.bucket for pool in plan.node_pools if pool.filler is not None)
    streamed = (workload.model_cache.streamed_from for workload in plan.workloads)
    return next((bucket for bucket in (*filled, *streamed) if bucket is not None), None)


def bucket_readers(plan: Plan) -> tuple[str, ...]:
    """ServiceAccounts of the pods that read the bucket."""
    fills = any(pool.filler is not None and pool.filler.bucket is not None for pool in plan.node_pools)
    streams = any(workload.model_cache.streamed_from is not None for workload in plan.workloads)
    return (*((FILLER_SERVICE_ACCOUNT,) if fills else ()), *((STREAMING_SERVICE_ACCOUNT,) if streams else ()))


def model_bucket_faults(plan: Plan, choice: str, *, goes_with_stack: bool, source: str) -> Iterator[Fault]:
    """Why the model bucket cannot be set up as configured."""
    if choice not in MODEL_BUCKETS:
        yield Fault(
            source=source,
            path="agentgpu:modelBucket",
            message=f"there is no {choice!r}",
            hint=f"set it to {' or '.join(MODEL_BUCKETS)}",
        )
    if choice == CREATE and planned_bucket(plan) is None:
        yield Fault(
            source=source,
            path="agentgpu:modelBucket",
            message="the plan fills its caches from no bucket, so there is none to create",
            hint="set spec.modelCache.source to s3 and spec.modelCache.bucket",
        )
    if choice == EXISTING and goes_with_stack:
        yield Fault(
            source=source,
            path="agentgpu:deleteModelBucket",
            message="a bucket that was there before is never deleted",
            hint="pulumi config rm agentgpu:deleteModelBucket",
        )


def bucket_name(url: str) -> str:
    """The bucket of an address such as s3://acme-models/agents."""
    return _parts(url)[0]


def read_policy(url: str) -> str:
    """Permission to list and read objects under the address, and nothing else."""
    bucket, prefix = _parts(url)
    below = {"Condition": {"StringLike": {"s3:prefix": f"{prefix}*"}}} if prefix else {}
    return policy_document(
        {
            "Sid": "List",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": f"arn:aws:s3:::{bucket}",
            **below,
        },
        {
            "Sid": "Read",
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{bucket}/{prefix}*",
        },
    )


def only_tls_policy(bucket_arn: str) -> str:
    """Deny every request to the bucket without TLS, whatever other permissions the caller has."""
    return policy_document(
        {
            "Sid": "OnlyTls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [bucket_arn, f"{bucket_arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )


def _parts(url: str) -> tuple[str, str]:
    """Bucket and prefix; the prefix ends in a slash, or is empty."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return bucket, f"{prefix}/" if prefix else ""


def _lifecycle() -> list[aws.s3.BucketLifecycleConfigurationRuleArgs]:
    return [
        aws.s3.BucketLifecycleConfigurationRuleArgs(
            id="unfinished-uploads",
            status="Enabled",
            filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
            abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                days_after_initiation=_UNFINISHED_DAYS
            ),
        ),
        aws.s3.BucketLifecycleConfigurationRuleArgs(
            id="old-revisions",
            status="Enabled",
            filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
            noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                noncurrent_days=_OLD_REVISIONS_DAYS
            ),
            expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True),
        ),
    ]
