"""Node groups and launch templates are the plan's node pools, number by number."""

from __future__ import annotations

import base64
import email
from email.message import Message

import pytest
import yaml

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import NodePool
from agentgpu_iac.plan.nodes import ENGINE_UID
from agentgpu_iac.provisioning.aws.capacity import node_group_shapes
from agentgpu_iac.provisioning.aws.program import deploy
from agentgpu_iac.provisioning.aws.zones import Zone, zones_for
from tests.plans import make_plan, make_pool, make_tiered_plan, make_workload
from tests.provisioning.recording import Recorded, Recording, record
from tests.provisioning.scenes import FILES, SCENES, SETTINGS, rootless_plan, scene, shared_plan

NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
BASELINE = "demo-baseline-g6e-xlarge"
SPOT, FALLBACK = "demo-burst-g6e-xlarge-preferred", "demo-burst-g6e-xlarge-fallback"


def accelerator_groups(recording: Recording) -> dict[str, Recorded]:
    return {group.name: group for group in recording.of(NODE_GROUP) if group.name != "demo-system"}


def sizes(group: Recorded) -> tuple[float, float, float]:
    scaling = group.inputs["scalingConfig"]
    return scaling["minSize"], scaling["desiredSize"], scaling["maxSize"]


def user_data(template: Recorded) -> Message:
    return email.message_from_string(base64.b64decode(template.inputs["userData"]).decode())


def parts(template: Recorded) -> dict[str, str]:
    message = user_data(template)
    assert message.is_multipart()
    assert message.defects == []
    return {part.get_content_type(): str(part.get_payload()) for part in message.get_payload()}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("single", {BASELINE: ("ON_DEMAND", (1, 1, 1))}),
        (
            "tiered",
            {
                BASELINE: ("ON_DEMAND", (1, 1, 1)),
                SPOT: ("SPOT", (0, 0, 3)),
                FALLBACK: ("ON_DEMAND", (0, 0, 3)),
            },
        ),
        ("shared", {"demo-shared": ("ON_DEMAND", (2, 2, 2))}),
    ],
)
def test_groups_capacity_and_sizes(name: str, expected: dict[str, tuple[str, tuple[int, int, int]]]) -> None:
    found = {
        group.name: (group.inputs["capacityType"], sizes(group)) for group in accelerator_groups(scene(name)).values()
    }
    assert found == expected


@pytest.mark.parametrize("name", SCENES)
def test_groups_take_everything_else_from_their_pool(name: str) -> None:
    plan = SCENES[name]()
    for group in accelerator_groups(scene(name)).values():
        pool = plan.pool(group.inputs["labels"]["agentgpu.dev/node-pool"])
        assert group.inputs["instanceTypes"] == list(pool.instance_types)
        assert group.inputs["version"] == pool.kubernetes_version
        assert group.inputs["amiType"] == "AL2023_x86_64_NVIDIA"
        assert group.inputs["labels"]["agentgpu.dev/tier"] == pool.tier
        assert group.inputs["taints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}]
        assert group.inputs["tags"] == {
            "agentgpu.dev/stack": plan.stack,
            "agentgpu.dev/node-pool": pool.name,
            "agentgpu.dev/tier": pool.tier,
        }
        assert group.inputs["launchTemplate"] == {"id": f"{pool.name}-id", "version": "1"}
        assert "diskSize" not in group.inputs


def test_a_pool_with_a_fallback_shares_template_labels_and_taints() -> None:
    spot, fallback = (accelerator_groups(scene("tiered"))[name] for name in (SPOT, FALLBACK))
    for key in ("labels", "taints", "launchTemplate", "instanceTypes", "subnetIds", "nodeRoleArn"):
        assert spot.inputs[key] == fallback.inputs[key]


def test_two_agents_on_one_pool_make_one_group() -> None:
    recording = record(
        lambda: deploy(make_plan(workloads=(make_workload(), make_workload(agent="b", name="b"))), FILES, SETTINGS)
    )
    assert list(accelerator_groups(recording)) == [BASELINE]
    assert set(recording.outputs["agentUrls"]) == {"support", "b"}


def test_shared_nodes_ask_the_device_plugin_for_their_slots() -> None:
    (shared,) = accelerator_groups(scene("shared")).values()
    assert shared.inputs["labels"]["nvidia.com/device-plugin.config"] == "share-2"
    (alone,) = accelerator_groups(scene("single")).values()
    assert "nvidia.com/device-plugin.config" not in alone.inputs["labels"]


def test_the_pinned_ami_becomes_a_release_version() -> None:
    (group,) = accelerator_groups(scene("single")).values()
    assert group.inputs["releaseVersion"] == "1.34.2-20261105"
    (parameter,) = (args["name"] for token, args in scene("single").calls if token.startswith("aws:ssm"))
    assert parameter == (
        "/aws/service/eks/optimized-ami/1.34/amazon-linux-2023/x86_64/nvidia/"
        "amazon-eks-node-al2023-x86_64-nvidia-1.34-v20261105/release_version"
    )


def test_an_unpinned_ami_is_left_to_eks() -> None:
    (group,) = accelerator_groups(scene("shared")).values()
    assert "releaseVersion" not in group.inputs


@pytest.mark.parametrize("name", SCENES)
def test_templates_take_their_root_volume_from_the_pool(name: str) -> None:
    for pool in SCENES[name]().node_pools:
        (mapping,) = scene(name).one(TEMPLATE, pool.name).inputs["blockDeviceMappings"]
        assert mapping["deviceName"] == "/dev/xvda"
        assert mapping["ebs"] == {
            "volumeType": "gp3",
            "volumeSize": pool.root_volume_gib,
            "throughput": pool.root_volume_mib_per_s,
            "iops": pool.root_volume_iops,
            "encrypted": "true",
            "deleteOnTermination": "true",
        }


@pytest.mark.parametrize("name", SCENES)
def test_no_node_lends_its_credentials_to_pods(name: str) -> None:
    for template in scene(name).of(TEMPLATE):
        assert template.inputs["metadataOptions"] == {
            "httpEndpoint": "enabled",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 1,
        }


def test_instances_and_volumes_carry_the_cost_tags() -> None:
    specifications = scene("single").one(TEMPLATE, BASELINE).inputs["tagSpecifications"]
    assert [one["resourceType"] for one in specifications] == ["instance", "volume"]
    for one in specifications:
        assert one["tags"] == {
            "Name": BASELINE,
            "agentgpu.dev/stack": "demo",
            "agentgpu.dev/node-pool": BASELINE,
            "agentgpu.dev/tier": "baseline",
        }


@pytest.mark.parametrize("name", ["single", "tiered", "shared"])
def test_instance_store_becomes_one_array(name: str) -> None:
    for pool in SCENES[name]().node_pools:
        config = yaml.safe_load(parts(scene(name).one(TEMPLATE, pool.name))["application/node.eks.aws"])
        assert config == {
            "apiVersion": "node.eks.aws/v1alpha1",
            "kind": "NodeConfig",
            "spec": {"instance": {"localStorage": {"strategy": "RAID0"}}},
        }


def test_a_node_without_instance_store_makes_no_array() -> None:
    (pool,) = rootless_plan().node_pools
    assert set(parts(scene("ebs").one(TEMPLATE, pool.name))) == {"text/x-shellscript"}


@pytest.mark.parametrize("name", SCENES)
def test_the_cache_directory_belongs_to_the_engines_before_the_kubelet_starts(name: str) -> None:
    for pool in SCENES[name]().node_pools:
        script = parts(scene(name).one(TEMPLATE, pool.name))["text/x-shellscript"]
        assert script.startswith("#!/bin/bash\n")
        assert f"RequiresMountsFor={pool.cache_path}\n" in script
        assert f"--owner={ENGINE_UID} --group={ENGINE_UID} --mode=2770 {pool.cache_path}\n" in script
        assert "kubelet.service.d/" in script
        # Made directly by the script, the directory would vanish below the array that is mounted afterwards.
        assert not any(
            line.startswith(("mkdir", f"install --directory {pool.cache_path}")) for line in script.split("\n")
        )


def test_only_the_preferred_group_of_a_pool_holds_its_minimum() -> None:
    shapes = node_group_shapes(make_pool(capacity_types=("spot", "on-demand"), min=2, max=5))
    assert [(one.eks_capacity_type, one.min_size, one.desired_size, one.max_size) for one in shapes] == [
        ("SPOT", 2, 2, 5),
        ("ON_DEMAND", 0, 0, 5),
    ]


def test_elastic_groups_keep_the_size_that_an_autoscaler_gave_them() -> None:
    assert [one.elastic for one in node_group_shapes(make_pool(min=1, max=1))] == [False]
    assert [one.elastic for one in node_group_shapes(make_pool(min=1, max=3))] == [True]
    assert [one.elastic for one in node_group_shapes(make_pool(min=1, max=3, fixed_size=True))] == [False]


@pytest.mark.parametrize("capacity_types", [("reserved",), ("reserved", "on-demand")])
def test_reserved_nodes_are_on_demand_nodes_in_one_group(capacity_types: tuple[str, ...]) -> None:
    (shape,) = node_group_shapes(make_pool(capacity_types=capacity_types))
    assert (shape.suffix, shape.eks_capacity_type) == ("", "ON_DEMAND")


def subnets(pool: NodePool) -> list[str]:
    recording = record(lambda: deploy(make_plan(node_pools=(pool,)), FILES, SETTINGS))
    (group,) = accelerator_groups(recording).values()
    return list(group.inputs["subnetIds"])


def test_a_pool_gets_the_zones_that_sell_it() -> None:
    assert subnets(make_pool()) == ["demo-private-us-east-1a-id", "demo-private-us-east-1b-id"]
    scarce = make_pool(instance_types=("p5.48xlarge",))
    assert subnets(scarce) == ["demo-private-us-east-1a-id"]


def test_an_instance_type_sold_in_no_zone_is_bad_input() -> None:
    zones = (Zone(name="us-east-1a", instance_types=frozenset()),)
    with pytest.raises(BadInput, match=r"no availability zone of us-east-1 with EKS sells g6e\.xlarge"):
        zones_for(make_pool(), zones)


def test_a_pool_that_is_spread_has_as_many_zones_as_are_planned() -> None:
    kinds = frozenset({"g6e.xlarge"})
    zones = tuple(Zone(name=f"us-east-1{letter}", instance_types=kinds) for letter in "abc")
    assert zones_for(make_pool(zones=2), zones) == ("us-east-1a", "us-east-1b")
    with pytest.raises(BadInput, match=r"is spread over 2 zones, but its nodes may stand in us-east-1a"):
        zones_for(make_pool(zones=2), zones[:1])
    with pytest.raises(BadInput, match=r"may stand in us-east-1b alone"):
        zones_for(make_pool(zones=2), zones, at="us-east-1b")


def test_long_names_stay_within_what_aws_accepts() -> None:
    long = "a" * 40 + "-burst-" + "b" * 16
    pools = tuple(make_pool(name=long + end, capacity_types=("spot", "on-demand")) for end in "xy")
    recording = record(lambda: deploy(make_plan(node_pools=pools), FILES, SETTINGS))
    names = list(accelerator_groups(recording))
    assert len(set(names)) == 4
    assert max(map(len, names)) <= 55
    assert sorted(name.rsplit("-", 1)[1] for name in names) == ["fallback", "fallback", "preferred", "preferred"]


def test_every_tier_of_the_plan_is_deployed() -> None:
    plan = make_tiered_plan()
    labels = {group.inputs["labels"]["agentgpu.dev/tier"] for group in accelerator_groups(scene("tiered")).values()}
    assert labels == {pool.tier for pool in plan.node_pools}
    assert len(shared_plan().node_pools) == len(accelerator_groups(scene("shared")))


class TestReplicasOverSeveralNodes:
    GROUP = "demo-baseline-groups-p5-48xlarge"

    def test_their_nodes_stand_in_one_zone_and_are_replaced_together(self) -> None:
        (group,) = (one for one in accelerator_groups(scene("grouped")).values())
        assert len(group.inputs["subnetIds"]) == 1
        assert sizes(group) == (2, 2, 2)
        assert group.inputs["updateConfig"] == {"maxUnavailable": 2, "updateStrategy": "MINIMAL"}

    def test_every_network_card_has_an_efa_interface(self) -> None:
        (template,) = (one for one in scene("grouped").of(TEMPLATE) if one.name == self.GROUP)
        interfaces = template.inputs["networkInterfaces"]
        assert [one["networkCardIndex"] for one in interfaces] == list(range(32))
        assert [one["interfaceType"] for one in interfaces] == ["efa", *["efa-only"] * 31]
        assert {tuple(one["securityGroups"]) for one in interfaces} == {("sg-cluster",)}

    def test_efa_may_leave_for_the_group_itself(self) -> None:
        (rule,) = scene("grouped").of("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
        assert rule.inputs["securityGroupId"] == rule.inputs["referencedSecurityGroupId"] == "sg-cluster"

    def test_other_nodes_have_no_efa(self) -> None:
        assert not any(one.inputs.get("networkInterfaces") for one in scene("tiered").of(TEMPLATE))
        assert scene("tiered").of("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule") == []

    def test_they_stand_close_together(self) -> None:
        (group,) = scene("grouped").of("aws:ec2/placementGroup:PlacementGroup")
        (template,) = (one for one in scene("grouped").of(TEMPLATE) if one.name == self.GROUP)
        assert group.inputs["strategy"] == "cluster"
        assert template.inputs["placement"] == {"groupName": self.GROUP}
        assert scene("tiered").of("aws:ec2/placementGroup:PlacementGroup") == []
        assert not any(one.inputs.get("placement") for one in scene("tiered").of(TEMPLATE))
