"""IAM roles: who may assume them, and the AWS-managed policies that they carry."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from agentgpu_iac.provisioning.aws.naming import fitted

_ROLE_NAME_LIMIT = 64

EKS_SERVICE = "eks.amazonaws.com"
EC2_SERVICE = "ec2.amazonaws.com"
POD_IDENTITY_SERVICE = "pods.eks.amazonaws.com"

_POD_IDENTITY_ACTIONS = ("sts:AssumeRole", "sts:TagSession")
"""EKS Pod Identity tags its sessions with cluster, namespace and service account, so it must be allowed to."""

_ACTIONS = {POD_IDENTITY_SERVICE: _POD_IDENTITY_ACTIONS}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRoleArgs:
    """A role for one AWS service."""

    service: str
    """The principal that may assume the role."""
    policies: tuple[str, ...]
    """Names of AWS-managed policies, with their path where they have one."""
    tags: dict[str, str]
    role_name: str | None = None
    """The physical name, where someone else knows the role by it; else Pulumi's choice."""


class ServiceRole(pulumi.ComponentResource):
    """An IAM role that exactly one AWS service may assume, with AWS-managed policies attached.

    Depend on the component, not on the role: what depends on it then waits for the policies as well.
    """

    arn: pulumi.Output[str]
    role_name: pulumi.Output[str]

    def __init__(self, name: str, args: ServiceRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:ServiceRole", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            fitted(name, _ROLE_NAME_LIMIT),
            name=args.role_name,
            assume_role_policy=trust(args.service),
            tags=args.tags,
            opts=child,
        )
        for policy in args.policies:
            aws.iam.RolePolicyAttachment(
                f"{name}-{policy.rpartition('/')[2]}",
                role=role.name,
                policy_arn=f"arn:aws:iam::aws:policy/{policy}",
                opts=child,
            )
        self.arn = role.arn
        self.role_name = role.name
        self.register_outputs({"arn": self.arn})


def trust(service: str) -> str:
    """The trust policy that lets one AWS service assume a role."""
    return policy_document(
        {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": list(_ACTIONS.get(service, ("sts:AssumeRole",))),
        }
    )


def policy_document(*statements: dict[str, object]) -> str:
    """An IAM policy as JSON, always in the same bytes."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, sort_keys=True)
