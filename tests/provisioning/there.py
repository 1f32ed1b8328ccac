"""What stands in the account before a program runs: a cluster of somebody's, roles, and who Pulumi acts as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentgpu_iac.provisioning.aws.identity import Unanswered

ACCOUNT = "123456789012"
NODES = f"arn:aws:iam::{ACCOUNT}:role/platform/Nodes"
OPERATOR = f"arn:aws:iam::{ACCOUNT}:role/Operator"
DENIED = "AccessDeniedException: not authorized\nand more"


def trust(service: str) -> dict[str, Any]:
    """A trust policy as botocore reads it."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


@dataclass(frozen=True, kw_only=True)
class There:
    """An account with one cluster, which has access entries and the add-on for identities of pods."""

    named: str = "shared"
    version: str = "1.34"
    status: str = "ACTIVE"
    mode: str = "API_AND_CONFIG_MAP"
    tags: Mapping[str, str] = field(default_factory=dict)
    addons: frozenset[str] = frozenset({"eks-pod-identity-agent", "eks-node-monitoring-agent"})
    roles: Mapping[str, Any] = field(
        default_factory=lambda: {
            "Nodes": trust("ec2.amazonaws.com"),
            "KarpenterNodes": trust("ec2.amazonaws.com"),
            "Pods": trust("pods.eks.amazonaws.com"),
            "Operator": trust("ec2.amazonaws.com"),
        }
    )
    """Trust policies by name."""
    entries: frozenset[str] = frozenset({OPERATOR})
    who: str = f"arn:aws:sts::{ACCOUNT}:assumed-role/Operator/session"
    denied: frozenset[str] = frozenset()
    """Questions that nobody answers."""

    def cluster(self, name: str) -> Mapping[str, Any] | None:
        self._may("cluster")
        found = {
            "name": name,
            "arn": f"arn:aws:eks:us-east-1:{ACCOUNT}:cluster/{name}",
            "status": self.status,
            "version": self.version,
            "endpoint": "https://shared.invalid",
            "certificateAuthority": {"data": "Q0E="},
            "accessConfig": {"authenticationMode": self.mode},
            "tags": dict(self.tags),
            "resourcesVpcConfig": {"vpcId": "vpc-1", "clusterSecurityGroupId": "sg-shared", "subnetIds": ["subnet-a"]},
        }
        return found if name == self.named else None

    def role(self, name: str) -> Mapping[str, Any] | None:
        self._may("role")
        path = "platform/" if name == "Nodes" else ""
        arn = f"arn:aws:iam::{ACCOUNT}:role/{path}{name}"
        return {"Arn": arn, "AssumeRolePolicyDocument": self.roles[name]} if name in self.roles else None

    def addon(self, cluster: str, name: str) -> Mapping[str, Any] | None:
        self._may("addon")
        return {"addonName": name, "clusterName": cluster} if name in self.addons else None

    def entry(self, cluster: str, principal_arn: str) -> Mapping[str, Any] | None:
        self._may("entry")
        return {"principalArn": principal_arn, "clusterName": cluster} if principal_arn in self.entries else None

    def caller(self) -> str:
        self._may("caller")
        return self.who

    def _may(self, question: str) -> None:
        if question in self.denied:
            raise Unanswered(DENIED)
