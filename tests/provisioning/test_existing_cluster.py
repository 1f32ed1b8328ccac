"""A cluster that is there: what goes into it, what of it is never touched, and what is refused before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.nodes import STACK_LABEL
from agentgpu_iac.provisioning.aws.api_endpoint import ApiEndpoint
from agentgpu_iac.provisioning.aws.cluster_settings import ClusterSettings
from agentgpu_iac.provisioning.aws.existing_settings import ExistingSettings
from agentgpu_iac.provisioning.aws.program import check, deploy
from agentgpu_iac.provisioning.aws.settings import Settings
from tests.plans import make_grouped_plan, make_plan, make_tiered_plan
from tests.provisioning.recording import Recording, record
from tests.provisioning.scenes import (
    ALLOWED,
    CHOICES,
    SETTINGS,
    SHARED,
    SHARED_KARPENTER,
    WITHOUT_ROLE,
    bucket_plan,
    handed_over_plan,
    over_existing,
    scene,
    with_pools,
)
from tests.provisioning.there import NODES, OPERATOR, There
from tests.rendered import rendered_once

OVER = [name for name in CHOICES if name.startswith("existing")]
GROUP = "aws:eks/nodeGroup:NodeGroup"
ROLE = "aws:iam/role:Role"
OBJECT = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
OTHERS = {
    "aws:eks/cluster:Cluster",
    "aws:eks/addon:Addon",
    "aws:ec2/vpc:Vpc",
    "aws:ec2/subnet:Subnet",
    "aws:ec2/tag:Tag",
    "aws:ec2/natGateway:NatGateway",
    "aws:kms/key:Key",
    "aws:cloudwatch/logGroup:LogGroup",
}
"""What a cluster's owner made, or would not want a second time."""


def over(settings: Settings = SHARED, plan: Plan | None = None, there: There | None = None, **last: Any) -> Recording:
    planned = over_existing(make_tiered_plan()) if plan is None else plan
    return record(lambda: deploy(planned, rendered_once(planned), settings), there=there, last_outputs=last)


def refusal(
    settings: Settings = SHARED, plan: Plan | None = None, there: There | None = None, **last: Any
) -> tuple[str, ...]:
    """What is said; nothing may have been made."""
    told: list[str] = []
    planned = over_existing(make_tiered_plan()) if plan is None else plan

    def program() -> None:
        with pytest.raises(BadInput) as refused:
            deploy(planned, rendered_once(planned), settings)
        told.extend(str(fault) for fault in refused.value.faults)

    assert record(program, there=there, last_outputs=last).resources == []
    return tuple(told)


class TestNeverReplaced:
    @pytest.mark.parametrize("name", OVER)
    def test_nothing_of_it_is_a_resource_of_ours(self, name: str) -> None:
        recording = scene(name)
        assert {one.token for one in recording.resources} & OTHERS == set()
        assert [one.name for one in recording.of("agentgpu:aws:ExistingCluster")] == ["demo"]

    @pytest.mark.parametrize("name", OVER)
    def test_all_that_is_made_names_the_cluster_and_carries_the_stacks_tag(self, name: str) -> None:
        for one in (one for one in scene(name).resources if one.is_aws):
            assert one.inputs.get("clusterName", "shared") == "shared", one
        for one in scene(name).of(GROUP):
            assert one.inputs["tags"][STACK_LABEL] == "demo"

    def test_a_role_that_is_named_is_used_and_none_is_made(self) -> None:
        recording = scene("existing cluster")
        assert recording.of(ROLE) == []
        assert {one.inputs["nodeRoleArn"] for one in recording.of(GROUP)} == {NODES}

    def test_a_role_that_is_made_may_give_addresses_to_pods(self) -> None:
        """The VPC CNI of such a cluster may act as its nodes do."""
        recording = scene("existing cluster and a role")
        assert [one.name for one in recording.of(ROLE)] == ["demo-nodes"]
        attached = {
            one.inputs["policyArn"].rpartition("/")[2]
            for one in recording.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        }
        assert attached == {
            "AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonEKS_CNI_Policy"
        }  # fmt: skip

    def test_nodes_over_which_a_replica_goes_reach_each_other(self) -> None:
        (rule,) = scene("existing cluster and a role").of("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
        assert rule.inputs["securityGroupId"] == rule.inputs["referencedSecurityGroupId"] == "sg-shared"

    def test_nodes_stand_in_the_named_subnets_of_its_network(self) -> None:
        for one in scene("existing cluster").of(GROUP):
            assert one.inputs["subnetIds"] == ["subnet-a", "subnet-b"]

    def test_one_zone_is_enough_for_nodes(self) -> None:
        for one in over(replace(SHARED, private_subnet_ids=("subnet-a",))).of(GROUP):
            assert one.inputs["subnetIds"] == ["subnet-a"]

    def test_outputs_tell_of_it_and_of_what_it_must_have(self) -> None:
        outputs = scene("existing cluster").outputs
        assert outputs["clusterName"] == "shared"
        assert "https://shared.invalid" in outputs["kubeconfig"]
        assert "kubeconfig" in scene("existing cluster").secret_outputs
        assert outputs["kubernetes"] == {"version": "1.34", "addons": {}, "cluster": "existing"}
        assert outputs["cost"]["excludes"].startswith("your cluster with its own nodes, ")
        assert "NAT gateway" not in outputs["cost"]["excludes"]

    def test_what_needs_no_accelerator_needs_room_there(self) -> None:
        (room,) = (text for text in scene("existing karpenter").outputs["prerequisites"] if "room for" in text)
        assert "karpenter (500 m of CPU" in room


class TestKarpenterThatRuns:
    def test_it_is_told_of_the_stack_and_nothing_else_is_made_for_it(self) -> None:
        recording = scene("existing karpenter")
        assert [one.token for one in recording.resources if one.is_aws] == []
        assert recording.of("kubernetes:helm.sh/v3:Release") == []
        assert recording.of(OBJECT)
        assert recording.of("kubernetes:karpenter.sh/v1:NodePool")

    @pytest.mark.parametrize(
        ("name", "role"),
        [("existing karpenter", "KarpenterNodes"), ("existing cluster and karpenter", "KarpenterNodeRole-demo")],
    )
    def test_node_classes_find_the_clusters_own_places(self, name: str, role: str) -> None:
        for one in scene(name).of(OBJECT):
            spec = one.inputs["spec"]
            assert spec["role"] == role
            assert spec["subnetSelectorTerms"] == [{"id": "subnet-a"}, {"id": "subnet-b"}]
            assert spec["securityGroupSelectorTerms"] == [{"id": "sg-shared"}]
            assert spec["userData"]

    def test_one_that_is_installed_may_act_in_this_cluster_alone(self) -> None:
        recording = scene("existing cluster and karpenter")
        policies = [one.inputs["policy"] for one in recording.of("aws:iam/rolePolicy:RolePolicy")]
        assert any("kubernetes.io/cluster/shared" in text for text in policies)
        assert not any("kubernetes.io/cluster/demo" in text for text in policies)
        (release,) = recording.of("kubernetes:helm.sh/v3:Release")
        assert release.inputs["values"]["settings"]["clusterName"] == "shared"

    @pytest.mark.parametrize(
        ("version", "pool", "told"),
        [
            ("0.37.6", {}, "Karpenter 0.37.6 does not know the API karpenter.sh/v1, which takes 1.0"),
            (
                "1.2.1",
                {"capacity_types": ("reserved", "on-demand")},
                "Karpenter 1.2.1 does not know reservations (EC2NodeClass capacityReservationSelectorTerms), which takes 1.3",
            ),
            ("newest", {}, "'newest' is no version"),
        ],
    )
    def test_one_that_is_too_old_is_refused(self, version: str, pool: Mapping[str, Any], told: str) -> None:
        settings = replace(SHARED_KARPENTER, existing=replace(SHARED_KARPENTER.existing, karpenter_version=version))
        (said,) = refusal(settings, over_existing(with_pools(make_tiered_plan(), **pool)))
        assert told in said

    def test_one_that_is_new_enough_is_taken(self) -> None:
        for version in ("1.0.0", "v1.0", "1.20.3"):
            existing = replace(SHARED_KARPENTER.existing, karpenter_version=version)
            assert over(replace(SHARED_KARPENTER, existing=existing)).of(OBJECT)

    def test_interfaces_for_efa_take_a_newer_one(self) -> None:
        settings = replace(SHARED_KARPENTER, existing=replace(SHARED_KARPENTER.existing, karpenter_version="1.10.0"))
        (said,) = refusal(settings, over_existing(with_pools(make_grouped_plan(), autoscaler="karpenter")))
        assert "networkInterfaces), which takes 1.11" in said


def existing(**changes: Any) -> Settings:
    return replace(SHARED, existing=replace(SHARED.existing, **changes))


@pytest.mark.broad(every=5)
@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (existing(cluster=None), "agentgpu:cluster: the plan is for a cluster that is there (cluster: existing)"),
        (replace(SHARED, private_subnet_ids=()), "agentgpu:privateSubnetIds: nothing says in which"),
        (replace(SHARED, api_endpoint=ALLOWED), "agentgpu:apiAllowedCidrs: is for a cluster that is made"),
        (replace(SHARED, api_endpoint=ApiEndpoint(kind="private")), "agentgpu:apiEndpoint: is for a cluster"),
        (replace(SHARED, tag_subnets=True), "agentgpu:tagSubnets: is for a cluster that is made"),
        (replace(SHARED, interface_endpoints=True), "agentgpu:interfaceEndpoints: is for a cluster"),
        (replace(SHARED, admin_role_arns=(OPERATOR,)), "agentgpu:adminRoleArns: is for a cluster"),
        (replace(SHARED, cluster=ClusterSettings(protect=True)), "agentgpu:protect: is for a cluster"),
        (replace(SHARED, cluster=ClusterSettings(deletion_protection=True)), "agentgpu:deletionProtection: is for"),
        (replace(SHARED, cluster=ClusterSettings(kubernetes_support="standard")), "agentgpu:kubernetesSupport: is"),
        (replace(SHARED, cluster=ClusterSettings(vpc_cidr="10.1.0.0/16")), "agentgpu:vpcCidr: is for a cluster"),
        (existing(node_role_arn="nodes"), "agentgpu:nodeRoleArn: 'nodes' is not the ARN of an IAM role"),
        (existing(karpenter_version="1.14.1"), "agentgpu:karpenterVersion: Karpenter is there, but node groups are"),
        (existing(karpenter_node_role="K"), "agentgpu:karpenterNodeRole: Karpenter is there, but node groups are"),
        (
            replace(SHARED_KARPENTER, existing=replace(SHARED_KARPENTER.existing, karpenter_node_role=None)),
            "agentgpu:karpenterNodeRole: nothing says which role its nodes get",
        ),
        (
            replace(SHARED_KARPENTER, existing=replace(SHARED_KARPENTER.existing, karpenter_node_role=NODES)),
            "is not the name of a role",
        ),
        (
            replace(SHARED_KARPENTER, karpenter_chart="charts/karpenter"),
            "agentgpu:karpenterChart: Karpenter 1.14.1 runs in the cluster, and a second one would make nodes beside it",
        ),
        (
            replace(
                SHARED_KARPENTER,
                karpenter_chart="charts/karpenter",
                existing=replace(SHARED_KARPENTER.existing, karpenter_version=None),
            ),
            "agentgpu:karpenterVersion: a role of Karpenter's nodes is named, but not the Karpenter",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: Settings, told: str) -> None:
    (said,) = refusal(settings)
    assert told in said


def test_a_gitops_tool_cannot_tell_karpenter_of_the_clusters_places() -> None:
    settings = replace(SHARED, nodes="karpenter", karpenter_chart="charts/karpenter")
    (said,) = refusal(settings, over_existing(handed_over_plan("karpenter")))
    assert "agentgpu:nodes: what a GitOps tool applies finds subnets by the tags of a cluster that we make" in said


@pytest.mark.parametrize("key", ["cluster", "node_role_arn", "karpenter_version", "karpenter_node_role"])
def test_a_plan_for_a_new_cluster_takes_nothing_that_is_there(key: str) -> None:
    values = {"cluster": "shared", "node_role_arn": NODES, "karpenter_version": "1.14.1", "karpenter_node_role": "K"}
    settings = replace(SETTINGS, existing=ExistingSettings(**{key: values[key]}))
    with pytest.raises(BadInput, match="write cluster: existing in the spec, or remove it"):
        record(lambda: check(make_plan(), settings))


@pytest.mark.broad(every=3)
@pytest.mark.parametrize(
    ("there", "told"),
    [
        (
            There(named="other"),
            "there is no EKS cluster 'shared' in us-east-1 (aws eks list-clusters --region us-east-1",
        ),
        (
            There(denied=frozenset({"cluster"})),
            "could not be looked up: AccessDeniedException: not authorized (it takes credentials that may",
        ),
        (There(status="DELETING"), "the cluster 'shared' is DELETING, not ACTIVE"),
        (There(tags={STACK_LABEL: "demo"}), "the cluster 'shared' was made for the agents 'demo'"),
        (
            There(version="1.33"),
            "is for Kubernetes 1.34, but the cluster runs 1.33, and nodes may not be newer than it",
        ),
        (There(version="1.38"), "but the cluster runs 1.38, and nodes may be 3 minor versions older at most"),
        (
            There(mode="CONFIG_MAP"),
            "(aws eks update-cluster-config --region us-east-1 --name shared --access-config authenticationMode=API_AND_CON",
        ),
        (
            There(mode="API", entries=frozenset()),
            f"does not let {OPERATOR} in, as whom Pulumi acts (aws eks create-access-entry",
        ),
        (There(roles={}), "agentgpu:nodeRoleArn: there is no role 'Nodes'"),
        (There(roles={"Nodes": {}}), "the role 'Nodes' does not trust ec2.amazonaws.com, so no machine gets it"),
    ],
)
def test_a_cluster_that_cannot_carry_the_plan_is_refused(there: There, told: str) -> None:
    (said,) = refusal(there=there)
    assert told in said
    assert "\n" not in said


def test_a_role_that_pods_get_is_none_of_nodes() -> None:
    (said,) = refusal(existing(node_role_arn=NODES.replace("platform/Nodes", "Pods")))
    assert "the role 'Pods' does not trust ec2.amazonaws.com" in said


def test_a_role_of_another_account_is_refused() -> None:
    (said,) = refusal(existing(node_role_arn=NODES.replace("123456789012", "999999999999")))
    assert "the role is in the account 999999999999, the cluster in 123456789012" in said


@pytest.mark.parametrize(
    ("plan", "settings", "addon"),
    [
        (over_existing(bucket_plan()), SHARED, "eks-pod-identity-agent; without it no pod may read the bucket"),
        (
            over_existing(make_tiered_plan()),
            replace(WITHOUT_ROLE, nodes="karpenter", karpenter_chart="charts/karpenter"),
            "eks-pod-identity-agent; without it Karpenter may make no node",
        ),
        (
            over_existing(make_plan(watching=make_plan().watching.model_copy(update={"node_health": "eks-agent"}))),
            SHARED,
            "eks-node-monitoring-agent; without it nobody says of a node that it is ill",
        ),
    ],
)
def test_an_add_on_that_the_plan_leans_on_must_be_there(plan: Plan, settings: Settings, addon: str) -> None:
    (said,) = refusal(settings, plan, There(addons=frozenset()))
    assert addon in said
    assert "aws eks create-addon --region us-east-1 --cluster-name shared" in said


def test_what_may_not_be_asked_stops_nothing() -> None:
    there = There(mode="API", denied=frozenset({"addon", "caller", "role"}))
    assert over(plan=over_existing(bucket_plan()), there=there).of(GROUP)
    assert over(there=There(mode="API", denied=frozenset({"entry"}))).of(GROUP)


def test_subnets_where_nobody_sells_the_machine_are_refused_with_those_where_someone_does() -> None:
    (said,) = refusal(replace(SHARED, private_subnet_ids=("subnet-b",)), over_existing(make_grouped_plan()))
    assert "the subnets lie in us-east-1b, where nobody sells p5.48xlarge (name a subnet in us-east-1a too)" in said


def test_subnets_of_another_network_are_refused() -> None:
    (said,) = refusal(replace(SHARED, private_subnet_ids=("subnet-far",)))
    assert "subnet-far belongs to vpc-2, not to vpc-1" in said
    (said,) = refusal(replace(SHARED, vpc_id="vpc-9"))
    assert "the cluster 'shared' is in vpc-1, not in vpc-9" in said


class TestAnotherCluster:
    OWN: Mapping[str, Any] = {"clusterName": "demo", "kubernetes": {"version": "1.34", "addons": {}}}
    THERE: Mapping[str, Any] = {"clusterName": "shared", "kubernetes": {"version": "1.34", "cluster": "existing"}}

    def test_a_cluster_of_its_own_is_not_left_for_one_that_is_there(self) -> None:
        (said,) = refusal(**self.OWN)
        assert (
            "this Pulumi stack made the cluster 'demo'; over one that is there it would delete that with all in it"
            in said
        )
        assert "pulumi stack select --create OTHER" in said

    def test_one_that_is_there_is_not_left_for_one_of_its_own(self) -> None:
        (said,) = refusal(SETTINGS, make_tiered_plan(), **self.THERE)
        assert "put its agents into the cluster 'shared', which is there; with one of its own it would take all" in said

    def test_one_that_is_there_is_not_left_for_another(self) -> None:
        (said,) = refusal(existing(cluster="other"), there=There(named="other"), **self.THERE)
        assert "into the cluster 'shared', and would take them away from there for 'other'" in said

    def test_the_same_one_is_taken_again(self) -> None:
        assert over(**self.THERE).of(GROUP)
        assert record(
            lambda: deploy(make_plan(), rendered_once(make_plan()), SETTINGS), last_outputs=dict(self.OWN)
        ).resources
