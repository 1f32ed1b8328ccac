"""Karpenter's rights, word for word: what AWS is asked to allow, written out here a second time.

A right that is too wide works as well as one that is right, so no program's run shows it. The tags are those of
Karpenter 1.14's documented controller policy: ``karpenter.sh/nodepool`` stands on what it launched, and
``kubernetes.io/cluster/<name>`` says for whom.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentgpu_iac.provisioning.aws.karpenter_policy import ControllerScope

SCOPE = ControllerScope(
    cluster="demo",
    region="us-east-1",
    account="111122223333",
    node_role_arn="arn:aws:iam::111122223333:role/nodes",
    queue_arn="arn:aws:sqs:us-east-1:111122223333:demo",
)
EC2 = "arn:aws:ec2:us-east-1:*"
PROFILES = "arn:aws:iam::111122223333:instance-profile/*"
MADE = [
    f"{EC2}:{kind}/*"
    for kind in ("fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request")
]
ITS_OWN = {
    "StringEquals": {"aws:ResourceTag/kubernetes.io/cluster/demo": "owned"},
    "StringLike": {"aws:ResourceTag/karpenter.sh/nodepool": "*"},
}
NEW = {
    "StringEquals": {
        "aws:RequestTag/kubernetes.io/cluster/demo": "owned",
        "aws:RequestTag/eks:eks-cluster-name": "demo",
    },
    "StringLike": {"aws:RequestTag/karpenter.sh/nodepool": "*"},
}
OWN_PROFILE = {
    "StringEquals": {
        "aws:ResourceTag/kubernetes.io/cluster/demo": "owned",
        "aws:ResourceTag/topology.kubernetes.io/region": "us-east-1",
    },
    "StringLike": {"aws:ResourceTag/karpenter.k8s.aws/ec2nodeclass": "*"},
}
NEW_PROFILE = {
    "StringEquals": {
        "aws:RequestTag/kubernetes.io/cluster/demo": "owned",
        "aws:RequestTag/eks:eks-cluster-name": "demo",
        "aws:RequestTag/topology.kubernetes.io/region": "us-east-1",
    },
    "StringLike": {"aws:RequestTag/karpenter.k8s.aws/ec2nodeclass": "*"},
}

NODES: dict[str, tuple[Any, ...]] = {
    "Take": (
        ["ec2:RunInstances", "ec2:CreateFleet"],
        [
            "arn:aws:ec2:us-east-1::image/*",
            "arn:aws:ec2:us-east-1::snapshot/*",
            *(f"{EC2}:{kind}/*" for kind in ("security-group", "subnet", "capacity-reservation", "placement-group")),
        ],
        None,
    ),
    "LaunchByOwnTemplates": (["ec2:RunInstances", "ec2:CreateFleet"], f"{EC2}:launch-template/*", ITS_OWN),
    "Launch": (["ec2:RunInstances", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"], MADE, NEW),
    "TagAtLaunch": (
        "ec2:CreateTags",
        MADE,
        {
            **NEW,
            "StringEquals": {
                **NEW["StringEquals"],
                "ec2:CreateAction": ["RunInstances", "CreateFleet", "CreateLaunchTemplate"],
            },
        },
    ),
    "TagLater": (
        "ec2:CreateTags",
        f"{EC2}:instance/*",
        {
            **ITS_OWN,
            "StringEqualsIfExists": {"aws:RequestTag/eks:eks-cluster-name": "demo"},
            "ForAllValues:StringEquals": {"aws:TagKeys": ["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"]},
        },
    ),
    "Delete": (
        ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"],
        [f"{EC2}:instance/*", f"{EC2}:launch-template/*"],
        ITS_OWN,
    ),
}
PROFILE_RIGHTS: dict[str, tuple[Any, ...]] = {
    "PassNodeRole": (
        "iam:PassRole",
        "arn:aws:iam::111122223333:role/nodes",
        {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    ),
    "MakeProfiles": ("iam:CreateInstanceProfile", PROFILES, NEW_PROFILE),
    "TagProfiles": (
        "iam:TagInstanceProfile",
        PROFILES,
        {
            "StringEquals": {**OWN_PROFILE["StringEquals"], **NEW_PROFILE["StringEquals"]},
            "StringLike": {**OWN_PROFILE["StringLike"], **NEW_PROFILE["StringLike"]},
        },
    ),
    "UseProfiles": (
        ["iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile"],
        PROFILES,
        OWN_PROFILE,
    ),
    "ReadProfiles": ("iam:GetInstanceProfile", PROFILES, None),
    "ListProfiles": ("iam:ListInstanceProfiles", "*", None),
}
READING: dict[str, tuple[Any, ...]] = {
    "Describe": (
        [
            f"ec2:Describe{kind}"
            for kind in (
                "CapacityReservations",
                "Images",
                "InstanceStatus",
                "InstanceTypeOfferings",
                "InstanceTypes",
                "Instances",
                "LaunchTemplates",
                "PlacementGroups",
                "SecurityGroups",
                "SpotPriceHistory",
                "Subnets",
            )
        ],
        "*",
        {"StringEquals": {"aws:RequestedRegion": "us-east-1"}},
    ),
    "ReadPrices": ("pricing:GetProducts", "*", None),
    "ReadImageNames": ("ssm:GetParameter", "arn:aws:ssm:us-east-1::parameter/aws/service/*", None),
    "FindCluster": ("eks:DescribeCluster", "arn:aws:eks:us-east-1:111122223333:cluster/demo", None),
    "HearInterruptions": (
        ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"],
        "arn:aws:sqs:us-east-1:111122223333:demo",
        None,
    ),
}


@pytest.mark.parametrize(
    ("policy", "rights"),
    [(SCOPE.nodes_policy(), NODES), (SCOPE.profiles_policy(), PROFILE_RIGHTS), (SCOPE.reading_policy(), READING)],
    ids=["nodes", "profiles", "reading"],
)
def test_each_right_is_what_karpenter_needs_and_no_more(policy: str, rights: dict[str, tuple[Any, ...]]) -> None:
    document = json.loads(policy)
    assert document["Version"] == "2012-10-17"
    found = {one["Sid"]: one for one in document["Statement"]}
    assert list(found) == list(rights)
    for sid, (actions, resources, condition) in rights.items():
        assert found[sid]["Effect"] == "Allow"
        assert (found[sid]["Action"], found[sid]["Resource"], found[sid].get("Condition")) == (
            actions,
            resources,
            condition,
        ), sid
