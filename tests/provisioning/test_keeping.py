"""How a cluster is kept: versions that EKS takes it to, the settings of its life, and the one identity that reaches it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan
from agentgpu_iac.provisioning.aws.cluster_settings import ClusterSettings
from agentgpu_iac.provisioning.aws.identity import acting_role
from agentgpu_iac.provisioning.aws.kubeconfig import kubeconfig
from agentgpu_iac.provisioning.aws.program import deploy
from tests.plans import make_plan, make_pool
from tests.provisioning.recording import Recording, record
from tests.provisioning.scenes import FILES, SETTINGS

CLUSTER, ADDON = "aws:eks/cluster:Cluster", "aws:eks/addon:Addon"
NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"


def of_version(version: str) -> Plan:
    return make_plan(node_pools=(make_pool(kubernetes_version=version),))


def deployed(plan: Plan, *, last: dict[str, Any] | None = None, **settings: Any) -> Recording:
    kept = replace(SETTINGS, cluster=ClusterSettings(**settings))
    return record(lambda: deploy(plan, FILES, kept), last_outputs=last)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1.36", "runs Kubernetes 1.34, and EKS goes up one minor version at a time, not to 1.36"),
        ("1.33", "runs Kubernetes 1.34, and EKS never goes back to 1.33"),
    ],
)
def test_a_version_that_eks_does_not_take_the_cluster_to_is_refused(version: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as refused:
        deployed(of_version(version), last={"kubernetes": {"version": "1.34", "addons": {}}})
    if version == "1.36":
        assert 'pins: {kubernetesVersion: "1.35"}' in str(refused.value)


def test_add_ons_go_up_with_the_cluster_and_stay_there() -> None:
    first = deployed(of_version("1.34"))
    assert all("addonVersion" not in each.inputs for each in first.of(ADDON))
    raised = deployed(of_version("1.35"), last={"kubernetes": {"version": "1.34", "addons": {}}})
    told = {each.inputs["addonName"]: each.inputs["addonVersion"] for each in raised.of(ADDON)}
    assert set(told.values()) == {"v1.35.0-eksbuild.1"}
    later = deployed(of_version("1.35"), last={"kubernetes": {"version": "1.35", "addons": told}})
    assert {each.inputs["addonName"]: each.inputs["addonVersion"] for each in later.of(ADDON)} == told


def test_protection_support_and_shells_are_settings() -> None:
    plain = deployed(make_plan())
    cluster = plain.one(CLUSTER, "demo").inputs
    assert cluster["upgradePolicy"] == {"supportType": "EXTENDED"}
    assert "deletionProtection" not in cluster
    kept = deployed(make_plan(), kubernetes_support="standard", deletion_protection=True, session_manager=True)
    cluster = kept.one(CLUSTER, "demo").inputs
    assert cluster["upgradePolicy"] == {"supportType": "STANDARD"}
    assert cluster["deletionProtection"] is True

    def policies(recording: Recording) -> set[str]:
        attached = recording.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        return {each.inputs["policyArn"].rsplit("/", 1)[1] for each in attached}

    assert policies(kept) - policies(plain) == {"AmazonSSMManagedInstanceCore"}


def test_a_network_has_the_range_that_is_set() -> None:
    recording = deployed(make_plan(), vpc_cidr="172.20.0.0/18")
    (vpc,) = recording.of("aws:ec2/vpc:Vpc")
    assert vpc.inputs["cidrBlock"] == "172.20.0.0/18"
    subnets = [each.inputs["cidrBlock"] for each in recording.of("aws:ec2/subnet:Subnet")]
    assert len(set(subnets)) == len(subnets)
    assert all(each.startswith("172.20.") and each.endswith(("/22", "/26")) for each in subnets)


@pytest.mark.parametrize("cidr", ["10.0.0.0/8", "10.0.0.0/24", "8.8.0.0/16", "10.0.0.1/16", "home"])
def test_a_range_that_no_network_can_have_is_refused(cidr: str) -> None:
    with pytest.raises(BadInput, match="agentgpu:vpcCidr"):
        deployed(make_plan(), vpc_cidr=cidr)


def test_a_support_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BadInput, match="agentgpu:kubernetesSupport: there is no 'long'"):
        deployed(make_plan(), kubernetes_support="long")


def test_nodes_that_are_watched_are_replaced_by_eks() -> None:
    plan = make_plan()
    watched = plan.model_copy(update={"watching": plan.watching.model_copy(update={"node_health": "eks-agent"})})
    name = "demo-baseline-g6e-xlarge"
    assert deployed(watched).one(NODE_GROUP, name).inputs["nodeRepairConfig"] == {"enabled": True}
    assert "nodeRepairConfig" not in deployed(plan).one(NODE_GROUP, name).inputs


def login(**identity: str) -> dict[str, Any]:
    text = kubeconfig(cluster="demo", region="us-east-1", endpoint="https://x", certificate_authority="Y", **identity)
    found: dict[str, Any] = json.loads(text)["users"][0]["user"]["exec"]
    return found


def test_the_kubeconfig_asks_as_whoever_made_the_cluster() -> None:
    assert "env" not in login()
    assert "--role-arn" not in login()["args"]
    assert login(profile="platform")["env"] == [{"name": "AWS_PROFILE", "value": "platform"}]
    assert login(role_arn="arn:aws:iam::1:role/Deploy")["args"][-2:] == ["--role-arn", "arn:aws:iam::1:role/Deploy"]


def test_of_several_assumed_roles_the_last_one_acts() -> None:
    for roles, acting in ((None, None), ("[]", None), ('[{"roleArn": "a"}, {"roleArn": "b"}]', "b")):
        pulumi.runtime.set_all_config({} if roles is None else {"aws:assumeRoles": roles})
        assert acting_role() == acting
    pulumi.runtime.set_all_config({})
