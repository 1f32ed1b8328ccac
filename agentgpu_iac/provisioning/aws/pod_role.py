"""What pods may do on AWS: a role for the pods of one ServiceAccount, through EKS Pod Identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from agentgpu_iac.provisioning.aws.roles import POD_IDENTITY_SERVICE, ServiceRole, ServiceRoleArgs


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRoleArgs:
    """Whose role it is, and what it may do."""

    cluster_name: pulumi.Input[str]
    namespace: str
    service_account: str
    policies: Mapping[str, pulumi.Input[str]]
    """Policy documents by what they are for. IAM takes 10,240 characters for all of them, white space aside."""
    tags: dict[str, str]


class PodRole(pulumi.ComponentResource):
    """An IAM role with policies of its own, and its association with one ServiceAccount of one cluster.

    A pod learns of its role when it is made, so whatever makes the pods must depend on this component; pods that were
    there before must be made anew. The ServiceAccount itself may come later.
    """

    def __init__(self, name: str, args: PodRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:PodRole", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = ServiceRole(name, ServiceRoleArgs(service=POD_IDENTITY_SERVICE, policies=(), tags=args.tags), child)
        policies = [
            aws.iam.RolePolicy(f"{name}-{purpose}", name=purpose, role=role.role_name, policy=document, opts=child)
            for purpose, document in args.policies.items()
        ]
        aws.eks.PodIdentityAssociation(
            name,
            cluster_name=args.cluster_name,
            namespace=args.namespace,
            service_account=args.service_account,
            role_arn=role.arn,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=policies),
        )
        self.register_outputs({"roleArn": role.arn})
