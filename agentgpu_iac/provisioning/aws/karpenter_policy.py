"""What Karpenter's controller may do: the actions that its version 1.14 documents, for one cluster in one region.

Karpenter tags all that it makes with the cluster's name, and so it may change and delete only what carries that tag.
Reading is open where EC2, IAM and the price list know no narrower right. Zonal shifts are left out: the controller is
not told to heed them.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.plan.nodes import KARPENTER_POOL_LABEL
from agentgpu_iac.provisioning.aws.roles import EC2_SERVICE, policy_document

Statement = dict[str, object]

_MADE_AT_LAUNCH = ("fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request")
"""What a launch brings into being; each carries its tags from the start."""

_TAKEN_AT_LAUNCH = ("security-group", "subnet", "capacity-reservation", "placement-group")
"""What a launch only makes use of."""

_DESCRIBED = (
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

_NODE_CLASS_TAG = "karpenter.k8s.aws/ec2nodeclass"
_NODE_CLAIM_TAG = "karpenter.sh/nodeclaim"
_REGION_TAG = "topology.kubernetes.io/region"
_CLUSTER_TAG = "eks:eks-cluster-name"
_ANY = "*"
_REQUESTED, _CARRIED = "aws:RequestTag", "aws:ResourceTag"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerScope:
    """The one cluster that the controller works for."""

    cluster: str
    region: str
    account: str
    node_role_arn: str
    queue_arn: str

    def nodes_policy(self) -> str:
        """Making nodes, and ending those that it made."""
        return policy_document(*self._nodes())

    def profiles_policy(self) -> str:
        """Handing the nodes their role, by instance profiles that it makes."""
        return policy_document(*self._profiles())

    def reading_policy(self) -> str:
        """Finding out what there is, what it costs and what is about to go."""
        return policy_document(*self._reading())

    def _nodes(self) -> tuple[Statement, ...]:
        launch = ["ec2:RunInstances", "ec2:CreateFleet"]
        made = [self._ec2(kind) for kind in _MADE_AT_LAUNCH]
        shared = [self._ec2(kind, account="") for kind in ("image", "snapshot")]
        carried = self._tagged(_CARRIED, KARPENTER_POOL_LABEL)
        requested = self._tagged(_REQUESTED, KARPENTER_POOL_LABEL, {_CLUSTER_TAG: self.cluster})
        at_launch = {"ec2:CreateAction": ["RunInstances", "CreateFleet", "CreateLaunchTemplate"]}
        return (
            _allow("Take", launch, [*shared, *(self._ec2(kind) for kind in _TAKEN_AT_LAUNCH)]),
            _allow("LaunchByOwnTemplates", launch, self._ec2("launch-template"), carried),
            _allow("Launch", [*launch, "ec2:CreateLaunchTemplate"], made, requested),
            _allow(
                "TagAtLaunch",
                "ec2:CreateTags",
                made,
                {**requested, "StringEquals": {**requested["StringEquals"], **at_launch}},
            ),
            _allow(
                "TagLater",
                "ec2:CreateTags",
                self._ec2("instance"),
                {
                    **carried,
                    "StringEqualsIfExists": {f"{_REQUESTED}/{_CLUSTER_TAG}": self.cluster},
                    "ForAllValues:StringEquals": {"aws:TagKeys": [_CLUSTER_TAG, _NODE_CLAIM_TAG, "Name"]},
                },
            ),
            _allow(
                "Delete",
                ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"],
                [self._ec2("instance"), self._ec2("launch-template")],
                carried,
            ),
        )

    def _profiles(self) -> tuple[Statement, ...]:
        profiles = f"arn:aws:iam::{self.account}:instance-profile/*"
        here = {_REGION_TAG: self.region}
        carried = self._tagged(_CARRIED, _NODE_CLASS_TAG, here)
        requested = self._tagged(_REQUESTED, _NODE_CLASS_TAG, {**here, _CLUSTER_TAG: self.cluster})
        use = ["iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile"]
        return (
            _allow(
                "PassNodeRole",
                "iam:PassRole",
                self.node_role_arn,
                {"StringEquals": {"iam:PassedToService": EC2_SERVICE}},
            ),
            _allow("MakeProfiles", "iam:CreateInstanceProfile", profiles, requested),
            _allow(
                "TagProfiles",
                "iam:TagInstanceProfile",
                profiles,
                {operator: {**carried[operator], **requested[operator]} for operator in carried},
            ),
            _allow("UseProfiles", use, profiles, carried),
            _allow("ReadProfiles", "iam:GetInstanceProfile", profiles),
            _allow("ListProfiles", "iam:ListInstanceProfiles", _ANY),
        )

    def _reading(self) -> tuple[Statement, ...]:
        cluster = f"arn:aws:eks:{self.region}:{self.account}:cluster/{self.cluster}"
        return (
            _allow(
                "Describe",
                [f"ec2:Describe{kind}" for kind in _DESCRIBED],
                _ANY,
                {"StringEquals": {"aws:RequestedRegion": self.region}},
            ),
            _allow("ReadPrices", "pricing:GetProducts", _ANY),
            _allow("ReadImageNames", "ssm:GetParameter", f"arn:aws:ssm:{self.region}::parameter/aws/service/*"),
            _allow("FindCluster", "eks:DescribeCluster", cluster),
            _allow(
                "HearInterruptions",
                ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"],
                self.queue_arn,
            ),
        )

    def _ec2(self, kind: str, *, account: str = _ANY) -> str:
        return f"arn:aws:ec2:{self.region}:{account}:{kind}/*"

    def _tagged(self, where: str, maker: str, more: dict[str, str] | None = None) -> dict[str, dict[str, object]]:
        """The condition that something is, or is to be, the cluster's own and made for a NodePool or EC2NodeClass."""
        equal = {f"kubernetes.io/cluster/{self.cluster}": "owned", **(more or {})}
        return {
            "StringEquals": {f"{where}/{key}": value for key, value in equal.items()},
            "StringLike": {f"{where}/{maker}": _ANY},
        }


def _allow(
    sid: str, actions: str | list[str], resources: str | list[str], condition: object | None = None
) -> Statement:
    statement: Statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return statement if condition is None else {**statement, "Condition": condition}
