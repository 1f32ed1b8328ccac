"""Where Karpenter hears that EC2 is about to take a node away."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from agentgpu_iac.provisioning.aws.naming import fitted, stack_tags
from agentgpu_iac.provisioning.aws.roles import policy_document

_TARGET = "queue"
"""A name of our own: to put a target twice under one name makes one, so that no notice comes twice."""

_RULE_NAME_LIMIT = 64

_KEPT_S = 300
"""News of an interruption is of no use after that: spot nodes go two minutes after the notice."""

_EVENTS = {
    "spot-interruption": ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
    "rebalance": ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
    "state-change": ("aws.ec2", "EC2 Instance State-change Notification"),
    "reservation-interruption": ("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning"),
    "health": ("aws.health", "AWS Health Event"),
}
"""What Karpenter 1.14 acts upon, each with the source that says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptionQueueArgs:
    """What the queue needs to know."""

    stack: str
    """Name of the queue: the stack's, and so the cluster's."""


class InterruptionQueue(pulumi.ComponentResource):
    """An SQS queue that EventBridge puts EC2's notices into, by one rule for each kind.

    EC2 tells of all instances of the account and region; Karpenter passes over those that are not its own. Of
    AWS's services only these rules may put messages in, and nobody may without TLS.
    """

    queue_name: pulumi.Output[str]
    queue_arn: pulumi.Output[str]

    def __init__(self, name: str, args: InterruptionQueueArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:InterruptionQueue", name, None, opts)
        child, tags = pulumi.ResourceOptions(parent=self), stack_tags(args.stack)
        queue = aws.sqs.Queue(
            name,
            name=args.stack,
            message_retention_seconds=_KEPT_S,
            sqs_managed_sse_enabled=True,
            tags=tags,
            opts=child,
        )
        rules = {
            purpose: aws.cloudwatch.EventRule(
                fitted(f"{name}-{purpose}", _RULE_NAME_LIMIT),
                description=f"{detail}: to Karpenter",
                event_pattern=json.dumps({"source": [source], "detail-type": [detail]}),
                tags=tags,
                opts=child,
            )
            for purpose, (source, detail) in _EVENTS.items()
        }
        policy = aws.sqs.QueuePolicy(
            name,
            queue_url=queue.url,
            policy=pulumi.Output.all(queue.arn, *(rule.arn for rule in rules.values())).apply(
                lambda known: queue_policy(known[0], tuple(known[1:]))
            ),
            opts=child,
        )
        for purpose, rule in rules.items():
            aws.cloudwatch.EventTarget(
                f"{name}-{purpose}",
                rule=rule.name,
                target_id=_TARGET,
                arn=queue.arn,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
            )
        self.queue_name = queue.name
        self.queue_arn = queue.arn
        self.register_outputs({"queueName": self.queue_name})


def queue_policy(queue_arn: str, rule_arns: tuple[str, ...]) -> str:
    """Who may do what with the queue."""
    return policy_document(
        {
            "Sid": "PutByRules",
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": list(rule_arns)}},
        },
        {
            "Sid": "OnlyTls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": queue_arn,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    )
