"""Who administers the cluster besides whoever made it: access entries, since there is no aws-auth ConfigMap."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from agentgpu_iac.errors import Fault

_KEY = "agentgpu:adminRoleArns"

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/(?:[\w+=,.@-]+/)*(?P<name>[\w+=,.@-]+)")

_ADMINISTRATOR = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
_DIGEST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministratorsArgs:
    """What the access entries need to know."""

    cluster_name: pulumi.Input[str]
    role_arns: tuple[str, ...]
    tags: dict[str, str]


class Administrators(pulumi.ComponentResource):
    """An access entry for each role, with EKS's administrator policy over the whole cluster.

    Whoever runs the first ``pulumi up`` is administrator already, by an entry that EKS makes: AWS refuses a second one
    for the same role.
    """

    def __init__(self, name: str, args: AdministratorsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:Administrators", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        for arn in args.role_arns:
            logical_name = f"{name}-{_label(arn)}"
            entry = aws.eks.AccessEntry(
                logical_name,
                cluster_name=args.cluster_name,
                principal_arn=arn,
                type="STANDARD",
                tags=args.tags,
                opts=child,
            )
            aws.eks.AccessPolicyAssociation(
                logical_name,
                cluster_name=args.cluster_name,
                principal_arn=entry.principal_arn,
                policy_arn=_ADMINISTRATOR,
                access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
                opts=child,
            )
        self.register_outputs({})


def administrator_faults(role_arns: tuple[str, ...], source: str) -> Iterator[Fault]:
    """Principals that EKS accepts but that nobody could log in as, and typing errors."""
    for arn in role_arns:
        if not _ROLE.fullmatch(arn):
            yield Fault(
                source=source,
                path=_KEY,
                message=f"{arn!r} is not the ARN of an IAM role",
                hint="write arn:aws:iam::ACCOUNT:role/NAME; of an assumed role, name the role itself",
            )
    for arn in sorted({arn for arn in role_arns if role_arns.count(arn) > 1}):
        yield Fault(source=source, path=_KEY, message=f"{arn} stands there twice", hint="remove one")


def _label(arn: str) -> str:
    """The role's name, kept apart from a role of the same name elsewhere."""
    found = _ROLE.fullmatch(arn)
    name = found["name"] if found else ""
    return f"{name}-{hashlib.sha256(arn.encode()).hexdigest()[:_DIGEST]}"
