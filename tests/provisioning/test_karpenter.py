"""Karpenter: what it may do, what it hears, what it is told, and what stays with node groups."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pulumi
import pytest
import yaml

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan
from agentgpu_iac.provisioning.aws.karpenter import KARPENTER_VERSION
from agentgpu_iac.provisioning.aws.karpenter_policy import ControllerScope
from agentgpu_iac.provisioning.aws.program import deploy
from agentgpu_iac.provisioning.aws.settings import Settings
from tests.plans import make_plan, make_tiered_plan
from tests.provisioning.aws_api import complaints
from tests.provisioning.policies import is_known, size, statements
from tests.provisioning.recording import record
from tests.provisioning.scenes import (
    GROUPED_POOL,
    KARPENTER,
    SETTINGS,
    handed_over_plan,
    held_plan,
    mixed_plan,
    scene,
    shared_plan,
)
from tests.rendered import rendered_once
from tools.install import COMPONENTS, FilesOfModules

ROLE = "aws:iam/role:Role"
POLICY = "aws:iam/rolePolicy:RolePolicy"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
RELEASE = "kubernetes:helm.sh/v3:Release"
NODE_POOL = "kubernetes:karpenter.sh/v1:NodePool"
NODE_CLASS = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
GROUP = "kubernetes:yaml/v2:ConfigGroup"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
QUEUE_ARN = "arn:aws:mock:us-east-1:123456789012:demo-karpenter"

LONGEST = ControllerScope(
    cluster="s" * 40,
    region="ap-southeast-99",
    account="123456789012",
    node_role_arn=f"arn:aws:iam::123456789012:role/KarpenterNodeRole-{'s' * 40}",
    queue_arn=f"arn:aws:sqs:ap-southeast-99:123456789012:{'s' * 40}",
)


def documents(scope: ControllerScope = LONGEST) -> tuple[str, ...]:
    return (scope.nodes_policy(), scope.profiles_policy(), scope.reading_policy())


def allowed() -> list[dict[str, Any]]:
    return [statement for document in documents() for statement in statements(document)]


def test_the_controller_may_do_what_its_version_documents_and_nothing_else() -> None:
    described = (
        "CapacityReservations Images InstanceStatus InstanceTypeOfferings InstanceTypes Instances LaunchTemplates "
        "PlacementGroups SecurityGroups SpotPriceHistory Subnets"
    )
    assert {action for statement in allowed() for action in statement["Action"]} == {
        *(f"ec2:Describe{kind}" for kind in described.split()),
        *("ec2:CreateFleet", "ec2:CreateLaunchTemplate", "ec2:CreateTags", "ec2:DeleteLaunchTemplate"),
        *("ec2:RunInstances", "ec2:TerminateInstances", "eks:DescribeCluster"),
        *("iam:AddRoleToInstanceProfile", "iam:CreateInstanceProfile", "iam:DeleteInstanceProfile"),
        *("iam:GetInstanceProfile", "iam:ListInstanceProfiles", "iam:PassRole"),
        *("iam:RemoveRoleFromInstanceProfile", "iam:TagInstanceProfile"),
        *("pricing:GetProducts", "ssm:GetParameter"),
        *("sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"),
    }


def test_aws_has_every_action() -> None:
    assert [action for one in allowed() for action in one["Action"] if not is_known(action)] == []


def test_only_what_knows_no_narrower_right_is_open_to_everything() -> None:
    open_to_all = [action for one in allowed() if "*" in one["Resource"] for action in one["Action"]]
    assert all(
        re.fullmatch(r"ec2:Describe\w+|pricing:GetProducts|iam:ListInstanceProfiles", one) for one in open_to_all
    )


def test_what_changes_something_is_bound_to_the_cluster() -> None:
    """By the cluster's tag, by the one ARN, or because a launch only makes use of it."""
    reads = re.compile(r"\w+:(Describe|Get|List|Receive)\w+")
    for statement in allowed():
        changing = [action for action in statement["Action"] if not reads.fullmatch(action)]
        tag = f"kubernetes.io/cluster/{LONGEST.cluster}"
        tagged = any(key.endswith(tag) for key in statement.get("Condition", {}).get("StringEquals", {}))
        exact = not any("*" in resource for resource in statement["Resource"])
        used = all(
            re.search(r":(image|snapshot|security-group|subnet|capacity-reservation|placement-group)/", one)
            for one in statement["Resource"]
        )
        assert not changing or tagged or exact or used, statement["Sid"]


def test_ec2_rights_end_at_the_region() -> None:
    for statement in allowed():
        for resource in statement["Resource"]:
            if resource.startswith("arn:aws:ec2:"):
                assert resource.split(":")[3] == LONGEST.region


def test_the_policies_fit_into_one_role_under_the_longest_name() -> None:
    assert sum(size(document) for document in documents()) <= 10_240


def test_the_roles_are_the_ones_that_others_name() -> None:
    recording = scene("karpenter")
    nodes = recording.one(ROLE, "demo-karpenter-nodes")
    assert {one.inputs["spec"]["role"] for one in recording.of(NODE_CLASS)} == {nodes.inputs["name"]}
    (entry,) = recording.of("aws:eks/accessEntry:AccessEntry")
    assert entry.inputs["type"] == "EC2_LINUX"
    assert entry.inputs["principalArn"].endswith(":demo-karpenter-nodes")
    assert "ec2.amazonaws.com" in nodes.inputs["assumeRolePolicy"]
    attached = {
        one.inputs["policyArn"].rpartition("/")[2]
        for one in recording.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        if one.name.startswith("demo-karpenter-nodes")
    }
    assert attached == {"AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"}
    (association,) = recording.of(ASSOCIATION)
    (release,) = recording.of(RELEASE)
    assert association.inputs["namespace"] == release.inputs["namespace"] == "kube-system"
    assert association.inputs["serviceAccount"] == release.inputs["values"]["serviceAccount"]["name"]
    assert association.inputs["roleArn"].endswith(":demo-karpenter")
    passed = statements(recording.one(POLICY, "demo-karpenter-profiles").inputs["policy"])[0]
    assert passed["Resource"] == [entry.inputs["principalArn"]]


def test_every_notice_reaches_the_queue_and_nobody_else_puts_anything_in() -> None:
    recording = scene("karpenter")
    rules = recording.of("aws:cloudwatch/eventRule:EventRule")
    patterns = {
        (*event["source"], *event["detail-type"]) for event in (json.loads(one.inputs["eventPattern"]) for one in rules)
    }
    assert patterns == {
        ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
        ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
        ("aws.ec2", "EC2 Instance State-change Notification"),
        ("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning"),
        ("aws.health", "AWS Health Event"),
    }
    targets = recording.of("aws:cloudwatch/eventTarget:EventTarget")
    assert sorted(one.inputs["rule"] for one in targets) == sorted(one.name for one in rules)
    assert {one.inputs["arn"] for one in targets} == {QUEUE_ARN}
    put, tls = statements(recording.of("aws:sqs/queuePolicy:QueuePolicy")[0].inputs["policy"])
    assert put["Principal"] == {"Service": "events.amazonaws.com"}
    assert len(put["Condition"]["ArnEquals"]["aws:SourceArn"]) == len(rules)
    assert (tls["Effect"], tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert {*put["Resource"], *tls["Resource"]} == {QUEUE_ARN}


def test_the_controller_is_told_its_cluster_its_queue_and_its_region() -> None:
    recording = scene("karpenter")
    (release,) = recording.of(RELEASE)
    (queue,) = recording.of("aws:sqs/queue:Queue")
    values = release.inputs["values"]
    assert release.inputs["chart"] == KARPENTER.karpenter_chart
    assert values["settings"] == {"clusterName": "demo", "interruptionQueue": queue.inputs["name"]}
    assert values["controller"]["env"] == [{"name": "AWS_REGION", "value": "us-east-1"}]


def test_the_controller_stays_on_the_system_nodes() -> None:
    """The chart keeps it off Karpenter's nodes, and all others but the system nodes are tainted."""
    recording = scene("karpenter and groups")
    (release,) = recording.of(RELEASE)
    assert {"affinity", "tolerations", "nodeSelector"}.isdisjoint(release.inputs["values"])
    tainted = [one.inputs.get("taints") is not None for one in recording.of(NODE_GROUP) if one.name != "demo-system"]
    assert tainted == [True]


def test_the_chart_is_of_the_version_of_the_definitions_that_manifests_are_tried_with() -> None:
    (crds,) = (one for one in COMPONENTS if isinstance(one, FilesOfModules) and one.name == "crds")
    versions = {one.version for one in crds.modules if "karpenter" in one.module}
    assert versions == {f"v{KARPENTER_VERSION}"}
    assert scene("karpenter").of(RELEASE)[0].inputs["version"] == KARPENTER_VERSION


def test_node_pools_and_classes_are_applied_as_rendered_once_karpenter_runs() -> None:
    recording = scene("karpenter")
    rendered = [
        yaml.load(file.content, yaml.CSafeLoader)
        for file in rendered_once(make_tiered_plan())
        if file.path.startswith("karpenter/") and not file.path.endswith("kustomization.yaml")
    ]
    made = [*recording.of(NODE_CLASS), *recording.of(NODE_POOL)]
    assert {(one["kind"], one["metadata"]["name"]): one for one in rendered} == {
        (one.inputs["kind"], one.name): one.inputs for one in made
    }
    order = [one.token for one in recording.resources if one.token in {RELEASE, NODE_CLASS, NODE_POOL, GROUP}]
    assert order == [RELEASE, NODE_CLASS, NODE_CLASS, NODE_POOL, NODE_POOL, GROUP]


def test_destroy_waits_until_the_nodes_of_a_pool_are_gone() -> None:
    timeouts: dict[tuple[str, str], str] = {}

    def keep(args: pulumi.ResourceTransformationArgs) -> None:
        if args.opts.custom_timeouts is not None:
            timeouts[args.type_, args.name] = args.opts.custom_timeouts.delete

    def program() -> None:
        pulumi.runtime.register_stack_transformation(keep)
        deploy(make_tiered_plan(), rendered_once(make_tiered_plan()), KARPENTER)

    recording = record(program)
    for pool in recording.of(NODE_POOL):
        drained_s = int(pool.inputs["spec"]["template"]["spec"]["terminationGracePeriod"].removesuffix("s"))
        assert int(timeouts[NODE_POOL, pool.name].removesuffix("s")) > drained_s
        # Pulumi waits for a deletion only where nothing tells it not to.
        assert "annotations" not in pool.inputs["metadata"]


def test_only_pools_of_fixed_size_stay_node_groups() -> None:
    recording = scene("karpenter and groups")
    assert {one.name for one in recording.of(NODE_GROUP)} == {"demo-system", "demo-shared"}
    assert {one.name for one in recording.of(NODE_POOL)} == {pool.name for pool in mixed_plan().node_pools[1:]}
    assert {one.name for one in scene("karpenter").of(NODE_GROUP)} == {"demo-system"}


def test_the_cluster_autoscaler_is_no_prerequisite_where_karpenter_makes_the_nodes() -> None:
    told = "\n".join(scene("karpenter").outputs["prerequisites"])
    assert "Autoscaler" not in told
    assert "spot.amazonaws.com); without it Karpenter gets no spot node for demo-burst-g6e-xlarge" in told
    assert "karpenter" not in "".join(scene("karpenter").outputs["notApplied"])
    assert "spot.amazonaws.com" not in "\n".join(scene("tiered").outputs["prerequisites"])


def test_your_own_subnets_must_carry_the_tag() -> None:
    own = replace(KARPENTER, vpc_id="vpc-1", private_subnet_ids=("subnet-a", "subnet-b"))
    for settings, is_told in ((own, True), (replace(own, tag_subnets=True), False), (KARPENTER, False)):
        recording = record(
            lambda settings=settings: deploy(make_tiered_plan(), rendered_once(make_tiered_plan()), settings)
        )
        told = "\n".join(recording.outputs["prerequisites"])
        assert ("karpenter.sh/discovery=demo on your subnets" in told) is is_told


def test_karpenter_finds_what_you_hold_by_its_tag() -> None:
    """A Capacity Block needs no name then, and a name would say nothing."""
    plan = held_plan("capacity-block")
    recording = record(lambda: deploy(plan, rendered_once(plan), KARPENTER))
    (node_class,) = recording.of(NODE_CLASS)
    assert node_class.inputs["spec"]["capacityReservationSelectorTerms"] == [
        {"tags": {"karpenter.sh/discovery": "demo"}}
    ]
    assert recording.of("aws:ec2/placementGroup:PlacementGroup") == []
    named = replace(KARPENTER, capacity_reservation_ids={GROUPED_POOL: "cr-b10c"})

    def program() -> None:
        with pytest.raises(BadInput, match="finds what you hold by its tag, not by a name") as caught:
            deploy(plan, rendered_once(plan), named)
        assert len(caught.value.faults) == 1

    assert record(program).resources == []


@pytest.mark.parametrize(
    ("plan", "settings", "message"),
    [
        (
            make_plan(),
            replace(SETTINGS, nodes="fargate"),
            "there is no 'fargate' \\(set it to node-groups or karpenter\\)",
        ),
        (make_plan(), replace(SETTINGS, nodes="karpenter"), "nothing says where its Helm chart is"),
        (shared_plan(), KARPENTER, "Karpenter makes none of this plan's nodes"),
        (handed_over_plan("karpenter"), SETTINGS, "told to apply overlays/karpenter"),
        (handed_over_plan("node-groups"), KARPENTER, "told to apply overlays/node-groups"),
    ],
    ids=["unknown", "no chart", "nothing to make", "tool says karpenter", "tool says node groups"],
)
def test_what_cannot_be_made_as_chosen_is_bad_input(plan: Plan, settings: Settings, message: str) -> None:
    def program() -> None:
        with pytest.raises(BadInput, match=message):
            deploy(plan, rendered_once(plan), settings)

    assert record(program).resources == []


def test_the_longest_stack_name_fits() -> None:
    stack = "s" * 40
    plan = make_tiered_plan().model_copy(update={"stack": stack})
    recording = record(lambda: deploy(plan, rendered_once(plan), KARPENTER))
    assert [text for one in recording.resources if one.is_aws for text in complaints(one)] == []
