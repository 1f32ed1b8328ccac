"""A stack's life on the real engine, in order: preview, up, changes, drift, destroy. Looked at in AWS, not in our records.

The tests of this module share one stack, and each begins where the one before has ended.
"""

from __future__ import annotations

import base64
from typing import Any

from tests.e2e.pulumi.aws.account import OFFICE, Account
from tests.e2e.pulumi.aws.cloud import REGION
from tests.e2e.pulumi.aws.conftest import SPEC
from tests.e2e.pulumi.aws.kinds import ROLLOUTS
from tests.e2e.pulumi.cli import PASSPHRASE

NODE_GROUP = "agentgpu:aws:AcceleratorNodePool$aws:eks/nodeGroup:NodeGroup"
OBJECT = "agentgpu:kubernetes:Serving$kubernetes:yaml/v2:ConfigGroup$kubernetes"
TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}
ON_DEMAND, PREFERRED, FALLBACK = (
    "desk-baseline-g6-xlarge-od-",
    "desk-baseline-g6-xlarge-spot-preferred-",
    "desk-baseline-g6-xlarge-spot-fallback-",
)


def short(urns: list[str]) -> set[str]:
    """URNs without what they all begin with."""
    return {urn.split("::", 2)[2] for urn in urns}


def template_of(stack: Account, group: dict[str, Any]) -> dict[str, Any]:
    """What a node group's launch template says, in the version that the group names."""
    answer = stack.aws("ec2").describe_launch_template_versions(
        LaunchTemplateId=group["launchTemplate"]["id"], Versions=[group["launchTemplate"]["version"]]
    )
    data: dict[str, Any] = answer["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    return data


def test_a_plan_for_another_region_is_refused_before_anything_is_made(stack: Account) -> None:
    stack.project.config("aws:region", "eu-west-1")
    said = stack.project.up(expect=None)
    assert said.code != 0
    assert f"pulumi config set aws:region {REGION}" in said.text
    assert stack.what_is_there() == {}
    stack.project.config("aws:region", REGION)


def test_a_first_preview_makes_nothing(stack: Account) -> None:
    planned = stack.project.planned()
    assert set(planned) == {"create"}
    assert any(urn.endswith("aws:eks/cluster:Cluster::desk") for urn in planned["create"])
    assert stack.what_is_there() == {}


def test_the_first_up_makes_the_planned_node_groups(stack: Account) -> None:
    stack.project.up()
    groups = {prefix: stack.node_group(prefix) for prefix in (ON_DEMAND, PREFERRED, FALLBACK)}
    bought = {
        prefix: (group["capacityType"], group["scalingConfig"]["minSize"], group["scalingConfig"]["maxSize"])
        for prefix, group in groups.items()
    }
    assert bought == {ON_DEMAND: ("ON_DEMAND", 2, 2), PREFERRED: ("SPOT", 1, 1), FALLBACK: ("ON_DEMAND", 0, 1)}
    for prefix, group in groups.items():
        assert group["taints"] == [TAINT]
        assert group["instanceTypes"] == ["g6.xlarge", "g6.2xlarge", "g6.4xlarge"]
        assert group["amiType"] == "AL2023_x86_64_NVIDIA"
        assert group["releaseVersion"] == "1.34.2-20260101"
        assert prefix.startswith(group["labels"]["agentgpu.dev/node-pool"])
    system = stack.node_group("desk-system-")
    assert system["taints"] == []
    assert "m6i.large" in system["instanceTypes"]
    assert all(kind.endswith(".large") for kind in system["instanceTypes"]), "as large as what stands there asks for"


def test_nodes_start_guarded_and_encrypted_with_their_disks_joined(stack: Account) -> None:
    data = template_of(stack, stack.node_group(ON_DEMAND))
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    (root,) = data["BlockDeviceMappings"]
    assert root["Ebs"]["Encrypted"] is True
    assert "strategy: RAID0" in base64.b64decode(data["UserData"]).decode()
    on_instances = {
        one["Key"]: one["Value"]
        for specification in data["TagSpecifications"]
        if specification["ResourceType"] == "instance"
        for one in specification["Tags"]
    }
    assert on_instances["agentgpu.dev/stack"] == "desk"


def test_the_cluster_stands_in_private_subnets_and_answers_the_office(stack: Account) -> None:
    cluster = stack.aws("eks").describe_cluster(name="desk")["cluster"]
    network = cluster["resourcesVpcConfig"]
    subnets = stack.aws("ec2").describe_subnets(SubnetIds=network["subnetIds"])["Subnets"]
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in subnets)
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == len(subnets) >= 2
    assert network["publicAccessCidrs"] == [OFFICE]
    (encryption,) = cluster["encryptionConfig"]
    assert encryption["resources"] == ["secrets"]


def test_a_second_up_changes_nothing(stack: Account) -> None:
    before = stack.what_is_there()
    assert stack.project.planned() == {}
    assert "created" not in stack.project.up().stdout
    assert stack.what_is_there() == before


def test_the_state_holds_the_kubeconfig_as_ciphertext(stack: Account) -> None:
    kubeconfig = stack.project.outputs()["kubeconfig"]
    assert "client.authentication.k8s.io" in kubeconfig
    stored = stack.project.stored()
    assert b"client.authentication.k8s.io" not in stored
    assert b"get-token" not in stored
    assert PASSPHRASE.encode() not in stored
    assert b"ciphertext" in stored


def test_one_more_replica_is_one_more_node_and_what_counts_replicas(stack: Account) -> None:
    stack.project.write_spec(SPEC.replace("baselineReplicas: 2", "baselineReplicas: 3"))
    planned = stack.project.planned()
    assert set(planned) == {"update"}
    assert short(planned["update"]) == {
        f"{NODE_GROUP}::{ON_DEMAND.removesuffix('-')}",
        f"{OBJECT}:apps/v1:Deployment::desk:desk/support",
        # The router knows its servers, the quota its pods, the dashboard its lines, and fillers share the hub's limits:
        f"{OBJECT}:apps/v1:DaemonSet::desk:desk/model-cache-desk-baseline-g6-xlarge-od",
        f"{OBJECT}:core/v1:ConfigMap::desk:desk/traffic-router",
        f"{OBJECT}:apps/v1:Deployment::desk:desk/traffic-router",
        f"{OBJECT}:core/v1:ResourceQuota::desk:desk/desk",
        f"{OBJECT}:core/v1:ConfigMap::desk:desk/grafana-dashboard-1",
    }
    before = stack.node_groups()
    stack.project.up()
    assert stack.node_group(ON_DEMAND)["scalingConfig"] == {"minSize": 3, "maxSize": 3, "desiredSize": 3}
    others = [group for group in before if not group["nodegroupName"].startswith(ON_DEMAND)]
    assert [group for group in stack.node_groups() if not group["nodegroupName"].startswith(ON_DEMAND)] == others
    assert stack.project.planned() == {}


def test_a_new_ami_rolls_through_the_groups_in_place(stack: Account) -> None:
    stack.project.write_spec(SPEC.replace("al2023@v20260101", "al2023@v20260301"))
    names = sorted(group["nodegroupName"] for group in stack.node_groups())
    planned = stack.project.planned()
    assert set(planned) == {"update"}
    stack.project.up()
    assert sorted(group["nodegroupName"] for group in stack.node_groups()) == names
    rolled = stack.aws.journal.entries(ROLLOUTS)
    assert {ident.split(":")[1] for ident in rolled} == {name for name in names if not name.startswith("desk-system")}
    assert {entry["releaseVersion"] for entry in rolled.values()} == {"1.34.2-20260301"}


def test_an_autoscalers_choice_is_left_alone_and_a_lost_group_comes_back(stack: Account) -> None:
    eks = stack.aws("eks")
    fallback, lost = stack.node_group(FALLBACK), stack.node_group(PREFERRED)
    eks.update_nodegroup_config(
        clusterName="desk",
        nodegroupName=fallback["nodegroupName"],
        scalingConfig={**fallback["scalingConfig"], "desiredSize": 1},
    )
    eks.delete_nodegroup(clusterName="desk", nodegroupName=lost["nodegroupName"])
    stack.project.refresh()
    planned = stack.project.planned()
    assert set(planned) == {"create"}
    assert short(planned["create"]) == {f"{NODE_GROUP}::{PREFERRED.removesuffix('-')}"}
    stack.project.up()
    assert stack.node_group(FALLBACK)["scalingConfig"]["desiredSize"] == 1
    assert stack.node_group(PREFERRED)["capacityType"] == "SPOT"
    assert stack.project.planned() == {}


def test_another_accelerator_comes_before_the_old_one_goes_and_the_cluster_stays(stack: Account) -> None:
    stack.project.write_spec(SPEC.replace("allow: [l4]", "allow: [l40s]"))
    steps = [(step["op"], step["urn"]) for step in stack.project.preview()["steps"] if step["op"] != "same"]
    made = [number for number, (op, urn) in enumerate(steps) if op == "create" and "nodeGroup" in urn]
    gone = [number for number, (op, urn) in enumerate(steps) if op == "delete" and "nodeGroup" in urn]
    assert made
    assert gone
    assert max(made) < min(gone)
    assert not [urn for _, urn in steps if "Network$" in urn or "eks/cluster:Cluster" in urn]


def test_destroy_leaves_nothing(stack: Account) -> None:
    stack.project.write_spec(SPEC)
    stack.project.destroy()
    assert stack.what_is_there() == {}
    assert stack.project.resources() == []
