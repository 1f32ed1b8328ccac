"""The role of the Cluster Autoscaler, which makes the nodes of managed node groups whose size may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi

from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.charts import CHARTS, ChartName
from agentgpu_iac.plan.nodes import CLUSTER_AUTOSCALER
from agentgpu_iac.provisioning.aws.naming import stack_tags
from agentgpu_iac.provisioning.aws.node_makers import KARPENTER
from agentgpu_iac.provisioning.aws.pod_role import PodRole, PodRoleArgs
from agentgpu_iac.provisioning.aws.roles import policy_document

CHART: Final[ChartName] = "cluster-autoscaler"

_READ: Final = (
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeAutoScalingInstances",
    "autoscaling:DescribeLaunchConfigurations",
    "autoscaling:DescribeScalingActivities",
    "autoscaling:DescribeTags",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:GetInstanceTypesFromInstanceRequirements",
    "eks:DescribeNodegroup",
)
_CHANGED: Final = ("autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup")
"""What it does (kubernetes/autoscaler, its page for AWS). EKS tags the groups of a cluster's node groups with its name."""


def unused_charts(nodes: str) -> Mapping[str, str]:
    """Charts that what makes the nodes leaves no use for, each with the reason."""
    return (
        {CHART: "Karpenter makes the nodes, and two autoscalers would undo each other's work"}
        if nodes == KARPENTER
        else {}
    )


def cluster_autoscaler_role(plan: Plan, cluster_name: pulumi.Input[str], opts: pulumi.ResourceOptions) -> PodRole:
    """The right to change the size of this cluster's node groups, and of no others."""
    owned = {"StringEquals": {f"aws:ResourceTag/k8s.io/cluster-autoscaler/{plan.stack}": "owned"}}
    return PodRole(
        f"{plan.stack}-{CHART}",
        PodRoleArgs(
            cluster_name=cluster_name,
            namespace=CHARTS[CHART].namespace,
            service_account=CLUSTER_AUTOSCALER,
            policies={
                "reading": policy_document({"Effect": "Allow", "Action": list(_READ), "Resource": "*"}),
                "groups": policy_document(
                    {"Effect": "Allow", "Action": list(_CHANGED), "Resource": "*", "Condition": owned}
                ),
            },
            tags=stack_tags(plan.stack),
        ),
        opts,
    )
