"""What the double knows of the types beside the cluster: queues, event rules and buckets."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from tests.e2e.pulumi.aws.cloud import Cloud
from tests.e2e.pulumi.aws.kinds import KINDS, Inputs, Kind, Properties, changed, kind, lowered, only, tags
from tests.provisioning.aws_api import tag_list

__all__ = ["KINDS"]


@kind("aws:sqs/queue:Queue")
class Queue(Kind):
    forces_new = frozenset({"name"})
    computed = frozenset({"arn", "url"})

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return str(answer["QueueUrl"])

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        found = aws("sqs").get_queue_attributes(QueueUrl=ident, AttributeNames=["All"])["Attributes"]
        return {
            "name": ident.rpartition("/")[2],
            "url": ident,
            "arn": found["QueueArn"],
            "messageRetentionSeconds": int(found["MessageRetentionPeriod"]),
            "tags": aws("sqs").list_queue_tags(QueueUrl=ident).get("Tags", {}),
        }

    def delete(self, aws: Cloud, ident: str) -> None:
        aws("sqs").delete_queue(QueueUrl=ident)


@kind("aws:sqs/queuePolicy:QueuePolicy")
class QueuePolicy(Kind):
    forces_new = frozenset({"queueUrl"})

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return str(inputs["queueUrl"])

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        found = aws("sqs").get_queue_attributes(QueueUrl=ident, AttributeNames=["Policy"]).get("Attributes", {})
        return {"queueUrl": ident, "policy": found["Policy"]} if found.get("Policy") else None

    def delete(self, aws: Cloud, ident: str) -> None:
        aws("sqs").set_queue_attributes(QueueUrl=ident, Attributes={"Policy": ""})


@kind("aws:cloudwatch/eventRule:EventRule")
class EventRule(Kind):
    autonamed = "name"
    forces_new = frozenset({"name", "eventBusName"})

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return str(inputs["name"])

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        found = aws("events").describe_rule(Name=ident)
        listed = aws("events").list_tags_for_resource(ResourceARN=found["Arn"])["Tags"]
        return {
            "name": ident,
            "arn": found["Arn"],
            "description": found["Description"],
            "eventPattern": found["EventPattern"],
            "tags": tags(listed),
        }

    def delete(self, aws: Cloud, ident: str) -> None:
        aws("events").delete_rule(Name=ident)


@kind("aws:cloudwatch/eventTarget:EventTarget")
class EventTarget(Kind):
    forces_new = frozenset({"rule", "eventBusName", "targetId"})

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return str(inputs["rule"])

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        found = only(aws("events").list_targets_by_rule(Rule=ident)["Targets"])
        return None if found is None else {"rule": ident, "arn": found["Arn"]}

    def delete(self, aws: Cloud, ident: str) -> None:
        targets = aws("events").list_targets_by_rule(Rule=ident)["Targets"]
        aws("events").remove_targets(Rule=ident, Ids=[one["Id"] for one in targets])


@kind("aws:s3/bucket:Bucket")
class Bucket(Kind):
    """``forceDestroy`` is the provider's own: the journal keeps it, and with it the objects go before the bucket."""

    forces_new = frozenset({"bucket"})

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return str(inputs["bucket"])

    def finish(self, aws: Cloud, ident: str, inputs: Inputs) -> None:
        aws("s3").put_bucket_tagging(Bucket=ident, Tagging={"TagSet": tag_list(inputs.get("tags") or {})})
        aws.journal.add(self.token, ident, {"forceDestroy": bool(inputs.get("forceDestroy"))})

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        aws("s3").head_bucket(Bucket=ident)
        listed = aws("s3").get_bucket_tagging(Bucket=ident)["TagSet"]
        kept = aws.journal.entries(self.token)[ident]
        return {"bucket": ident, "arn": f"arn:aws:s3:::{ident}", "tags": tags(listed), **kept}

    def update(self, aws: Cloud, ident: str, old: Inputs, new: Inputs) -> None:
        if changed(old, new) - {"forceDestroy"}:
            super().update(aws, ident, old, new)
        aws.journal.change(self.token, ident, {"forceDestroy": bool(new.get("forceDestroy"))})

    def delete(self, aws: Cloud, ident: str) -> None:
        if aws.journal.entries(self.token)[ident]["forceDestroy"]:
            found = aws("s3").list_object_versions(Bucket=ident)
            for one in (*found.get("Versions", ()), *found.get("DeleteMarkers", ())):
                aws("s3").delete_object(Bucket=ident, Key=one["Key"], VersionId=one["VersionId"])
        aws("s3").delete_bucket(Bucket=ident)
        aws.journal.remove(self.token, ident)


class PartOfBucket(Kind):
    """One of the settings of a bucket, which S3 has calls of their own for."""

    forces_new = frozenset({"bucket"})
    word: ClassVar[str]
    """As in get_<word> and delete_<word>."""

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return str(inputs["bucket"])

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        try:
            answer = getattr(aws("s3"), f"get_{self.word}")(Bucket=ident)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code.startswith("NoSuch") or code.endswith("NotFoundError"):
                return None
            raise
        return {"bucket": ident, **self.shown(answer)}

    def shown(self, answer: Any) -> Properties:
        raise NotImplementedError

    def delete(self, aws: Cloud, ident: str) -> None:
        getattr(aws("s3"), f"delete_{self.word}")(Bucket=ident)


@kind("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
class BucketPublicAccessBlock(PartOfBucket):
    word = "public_access_block"

    def shown(self, answer: Any) -> Properties:
        return dict(lowered(answer["PublicAccessBlockConfiguration"]))


@kind("aws:s3/bucketPolicy:BucketPolicy")
class BucketPolicy(PartOfBucket):
    word = "bucket_policy"

    def shown(self, answer: Any) -> Properties:
        return {"policy": json.dumps(json.loads(answer["Policy"]), sort_keys=True)}


@kind("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
class BucketEncryption(PartOfBucket):
    word = "bucket_encryption"

    def shown(self, answer: Any) -> Properties:
        rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
        algorithms = [rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in rules]
        return {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": one}} for one in algorithms]}


@kind("aws:s3/bucketVersioning:BucketVersioning")
class BucketVersioning(PartOfBucket):
    word = "bucket_versioning"

    def shown(self, answer: Any) -> Properties:
        return {"versioningConfiguration": {"status": answer.get("Status", "Disabled")}}

    def delete(self, aws: Cloud, ident: str) -> None:
        aws("s3").put_bucket_versioning(Bucket=ident, VersioningConfiguration={"Status": "Suspended"})


@kind("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
class BucketLifecycle(PartOfBucket):
    word = "bucket_lifecycle"

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        try:
            found = aws("s3").get_bucket_lifecycle_configuration(Bucket=ident)["Rules"]
        except ClientError as error:
            if error.response["Error"]["Code"].startswith("NoSuch"):
                return None
            raise
        rules = [{("id" if key == "ID" else key): value for key, value in rule.items()} for rule in found]
        return {"bucket": ident, "rules": lowered(rules)}
