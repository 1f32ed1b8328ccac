"""Network, cluster and roles: what a security review would ask."""

from __future__ import annotations

import ipaddress
import json

import pytest
from moto.iam.aws_managed_policies import aws_managed_policies_data

from agentgpu_iac.errors import BadInput
from agentgpu_iac.provisioning.aws.administrators import administrator_faults
from agentgpu_iac.provisioning.aws.api_endpoint import ApiEndpoint
from agentgpu_iac.provisioning.aws.cluster import NODE_POLICIES
from agentgpu_iac.provisioning.aws.network import VPC_CIDR, ZoneRanges
from agentgpu_iac.provisioning.aws.program import deploy
from agentgpu_iac.provisioning.aws.system_nodes import system_place
from agentgpu_iac.provisioning.aws.zones import Zone
from tests.plans import make_plan, make_system_nodes
from tests.provisioning.recording import SOLD, record
from tests.provisioning.scenes import ADMINISTRATOR, FILES, OPTIONS, SCENES, SETTINGS, scene
from tests.provisioning.sdk_inputs import takes_tags

SUBNET = "aws:ec2/subnet:Subnet"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


def test_every_zone_has_a_public_and_a_private_subnet() -> None:
    subnets = scene("single").of(SUBNET)
    assert sorted(subnet.inputs["availabilityZone"] for subnet in subnets) == sorted([*SOLD, *SOLD])
    assert all(subnet.inputs["mapPublicIpOnLaunch"] is False for subnet in subnets)


def test_address_ranges_fit_the_vpc_and_do_not_overlap() -> None:
    ranges = [ZoneRanges.of(f"us-east-1{letter}") for letter in "abcdefgh"]
    networks = [ipaddress.ip_network(cidr) for one in ranges for cidr in (one.private, one.public)]
    assert all(network.subnet_of(ipaddress.ip_network(VPC_CIDR)) for network in networks)
    assert not any(a.overlaps(b) for i, a in enumerate(networks) for b in networks[i + 1 :])


def test_a_zone_keeps_its_ranges_whatever_other_zones_there_are() -> None:
    by_zone = {
        subnet.inputs["availabilityZone"]: subnet.inputs["cidrBlock"]
        for subnet in scene("single").of(SUBNET)
        if "private" in subnet.name
    }
    assert by_zone["us-east-1d"] == ZoneRanges.of("us-east-1d").private == "10.0.48.0/20"


def test_discovery_tags() -> None:
    private = scene("single").one(SUBNET, "demo-private-us-east-1a").inputs["tags"]
    public = scene("single").one(SUBNET, "demo-public-us-east-1a").inputs["tags"]
    assert private["kubernetes.io/role/internal-elb"] == public["kubernetes.io/role/elb"] == "1"
    assert private["kubernetes.io/cluster/demo"] == public["kubernetes.io/cluster/demo"] == "shared"
    assert private["karpenter.sh/discovery"] == "demo"
    assert "karpenter.sh/discovery" not in public
    tag = scene("single").one("aws:ec2/tag:Tag", "demo-discovery").inputs
    assert tag == {"resourceId": "sg-cluster", "key": "karpenter.sh/discovery", "value": "demo"}


def test_private_subnets_reach_the_world_through_one_nat_gateway_and_s3_directly() -> None:
    recording = scene("single")
    assert len(recording.of("aws:ec2/natGateway:NatGateway")) == 1
    route = recording.one("aws:ec2/route:Route", "demo-private-default").inputs
    assert route["natGatewayId"] == "demo-nat-id"
    assert "gatewayId" not in route
    assert recording.one("aws:ec2/route:Route", "demo-public-default").inputs["gatewayId"] == "demo-id"
    (endpoint,) = recording.of("aws:ec2/vpcEndpoint:VpcEndpoint")
    assert endpoint.inputs["serviceName"] == "com.amazonaws.us-east-1.s3"
    assert endpoint.inputs["routeTableIds"] == ["demo-private-id"]


def test_zones_without_control_planes_are_left_out() -> None:
    (call,) = (args for token, args in scene("single").calls if "getAvailabilityZones" in token)
    assert "use1-az3" in call["excludeZoneIds"]
    assert "state" not in call


def test_the_cluster() -> None:
    inputs = scene("single").one("aws:eks/cluster:Cluster", "demo").inputs
    assert inputs["name"] == "demo"
    assert inputs["version"] == make_plan().node_pools[0].kubernetes_version
    assert inputs["accessConfig"] == {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True}
    assert inputs["bootstrapSelfManagedAddons"] is False
    assert set(inputs["enabledClusterLogTypes"]) >= {"api", "audit", "authenticator"}
    assert inputs["encryptionConfig"]["resources"] == ["secrets"]
    assert inputs["encryptionConfig"]["provider"]["keyArn"].endswith("demo-secrets")
    assert inputs["vpcConfig"] == {
        "subnetIds": [f"demo-private-{zone}-id" for zone in SOLD],
        "endpointPrivateAccess": True,
        "endpointPublicAccess": True,
        "publicAccessCidrs": ["203.0.113.0/24"],
    }
    assert scene("single").one("aws:kms/key:Key", "demo-secrets").inputs["enableKeyRotation"] is True


def test_a_private_api_answers_inside_the_network_alone() -> None:
    (cluster,) = scene("private").of("aws:eks/cluster:Cluster")
    assert cluster.inputs["vpcConfig"]["endpointPublicAccess"] is False
    assert cluster.inputs["vpcConfig"]["endpointPrivateAccess"] is True
    assert "publicAccessCidrs" not in cluster.inputs["vpcConfig"]


def test_a_private_api_lets_in_the_ranges_that_are_named() -> None:
    rule = scene("private").one(INGRESS, "demo-api-10.8.0.0-16").inputs
    assert (rule["securityGroupId"], rule["cidrIpv4"]) == ("sg-cluster", "10.8.0.0/16")
    assert (rule["ipProtocol"], rule["fromPort"], rule["toPort"]) == ("tcp", 443, 443)
    assert scene("single").of(INGRESS) == []


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        (ApiEndpoint(), "is public, and no address range says who may reach it"),
        (ApiEndpoint(kind="secret"), "'secret' is no kind of API endpoint (write public-and-private or private)"),
        (ApiEndpoint(kind="private"), "answers nodes alone until an address range is let in"),
        (ApiEndpoint(allowed_cidrs=("192.0.2.1/24",)), "'192.0.2.1/24' is no IPv4 address range"),
        (ApiEndpoint(allowed_cidrs=("192.0.2.1",)), "'192.0.2.1' is no IPv4 address range"),
    ],
)
def test_an_api_endpoint_that_nobody_thought_about_is_refused(endpoint: ApiEndpoint, words: str) -> None:
    (fault,) = endpoint.faults("configuration")
    assert words in str(fault)


def test_everybody_may_be_let_in_by_writing_so() -> None:
    assert list(ApiEndpoint(allowed_cidrs=("0.0.0.0/0",)).faults("configuration")) == []


def test_further_administrators_have_an_access_entry() -> None:
    recording = scene("private")
    (entry,) = recording.of("aws:eks/accessEntry:AccessEntry")
    (policy,) = recording.of("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
    assert entry.inputs["principalArn"] == policy.inputs["principalArn"] == ADMINISTRATOR
    assert entry.inputs["clusterName"] == policy.inputs["clusterName"] == "demo"
    assert policy.inputs["policyArn"].endswith("AmazonEKSClusterAdminPolicy")
    assert policy.inputs["accessScope"] == {"type": "cluster"}
    assert scene("single").of("aws:eks/accessEntry:AccessEntry") == []


@pytest.mark.parametrize(
    ("arns", "words"),
    [
        (("arn:aws:sts::123456789012:assumed-role/Operator/me",), "is not the ARN of an IAM role"),
        (("arn:aws:iam::123456789012:user/me",), "is not the ARN of an IAM role"),
        ((ADMINISTRATOR, ADMINISTRATOR), "stands there twice"),
    ],
)
def test_an_administrator_that_could_not_log_in_is_refused(arns: tuple[str, ...], words: str) -> None:
    (fault,) = administrator_faults(arns, "configuration")
    assert words in str(fault)


def test_the_addons_and_their_order() -> None:
    recording = scene("single")
    addon, group = "aws:eks/addon:Addon", "aws:eks/nodeGroup:NodeGroup"
    assert {one.inputs["addonName"] for one in recording.of(addon)} == {
        "vpc-cni",
        "coredns",
        "kube-proxy",
        "eks-pod-identity-agent",
        "aws-ebs-csi-driver",
    }
    system = recording.position(group, "demo-system")
    for needed_by_nodes in ("demo-vpc-cni", "demo-kube-proxy", "demo-eks-pod-identity-agent"):
        assert recording.position(addon, needed_by_nodes) < system
    assert system < recording.position(addon, "demo-coredns")
    assert system < recording.position(addon, "demo-aws-ebs-csi-driver")
    assert recording.position(addon, "demo-coredns") < recording.position(group, "demo-baseline-g6e-xlarge")


def test_network_policies_are_enforced() -> None:
    addon = scene("single").one("aws:eks/addon:Addon", "demo-vpc-cni").inputs
    assert json.loads(addon["configurationValues"]) == {"enableNetworkPolicy": "true"}


def test_system_nodes_have_no_accelerator_and_no_taint() -> None:
    system = scene("single").one("aws:eks/nodeGroup:NodeGroup", "demo-system").inputs
    assert system["amiType"] == "AL2023_x86_64_STANDARD"
    assert system["capacityType"] == "ON_DEMAND"
    assert "taints" not in system


@pytest.mark.parametrize(
    ("role", "service", "policies"),
    [
        ("demo-control-plane", "eks.amazonaws.com", {"AmazonEKSClusterPolicy"}),
        ("demo-cni", "pods.eks.amazonaws.com", {"AmazonEKS_CNI_Policy"}),
        ("demo-ebs-csi", "pods.eks.amazonaws.com", {"AmazonEBSCSIDriverPolicy"}),
        (
            "demo-nodes",
            "ec2.amazonaws.com",
            {"AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"},
        ),
    ],
)
def test_roles_hold_the_least(role: str, service: str, policies: set[str]) -> None:
    recording = scene("single")
    trust = json.loads(recording.one("aws:iam/role:Role", role).inputs["assumeRolePolicy"])
    assert [statement["Principal"] for statement in trust["Statement"]] == [{"Service": service}]
    attached = {
        one.inputs["policyArn"].rsplit("/", 1)[1]
        for one in recording.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        if one.inputs["role"] == role
    }
    assert attached == policies


def test_a_node_may_ask_what_joining_takes() -> None:
    documents = json.loads(aws_managed_policies_data)
    allowed = {
        action
        for policy in NODE_POLICIES
        for statement in documents[policy]["Document"]["Statement"]
        for action in statement["Action"]
    }
    assert {"ec2:DescribeInstances", "ec2:DescribeInstanceTypes", "eks-auth:AssumeRoleForPodIdentity"} <= allowed
    assert "ecr:BatchGetImage" in allowed


@pytest.mark.broad(every=2)
@pytest.mark.parametrize("name", SCENES)
def test_every_node_uses_the_one_node_role(name: str) -> None:
    groups = scene(name).of("aws:eks/nodeGroup:NodeGroup")
    assert {group.inputs["nodeRoleArn"].rsplit(":", 1)[1] for group in groups} == {"demo-nodes"}


@pytest.mark.parametrize(
    ("name", "account", "role"),
    [("vpc-cni", "aws-node", "demo-cni"), ("aws-ebs-csi-driver", "ebs-csi-controller-sa", "demo-ebs-csi")],
)
def test_addons_that_call_aws_get_their_role_by_pod_identity(name: str, account: str, role: str) -> None:
    addon = scene("single").one("aws:eks/addon:Addon", f"demo-{name}").inputs
    (association,) = addon["podIdentityAssociations"]
    assert association["serviceAccount"] == account
    assert association["roleArn"].endswith(f":{role}")


@pytest.mark.broad(every=3)
@pytest.mark.parametrize("name", [*SCENES, *OPTIONS])
def test_everything_that_can_be_tagged_names_its_stack(name: str) -> None:
    untagged = {
        (resource.token, resource.name)
        for resource in scene(name).resources
        if resource.is_aws
        and takes_tags(resource)
        and resource.inputs.get("tags", {}).get("agentgpu.dev/stack") != "demo"
    }
    assert untagged == set()


def test_volumes_that_are_claimed_later_carry_the_tag_too() -> None:
    addon = scene("single").one("aws:eks/addon:Addon", "demo-aws-ebs-csi-driver").inputs
    configuration = json.loads(addon["configurationValues"])
    assert configuration == {"controller": {"extraVolumeTags": {"agentgpu.dev/stack": "demo"}}}


def test_the_policy_for_the_key_has_a_name_of_its_own_so_that_it_is_never_there_twice() -> None:
    assert scene("single").one("aws:iam/rolePolicy:RolePolicy", "demo-secrets").inputs["name"] == "use-secrets-key"


def test_system_nodes_are_of_the_planned_machine_where_all_zones_sell_it_or_of_one_that_stands_in() -> None:
    """Of the zones of these tests one alone sells m7i.large."""
    system = scene("single").one("aws:eks/nodeGroup:NodeGroup", "demo-system").inputs
    assert system["instanceTypes"] == ["m6i.large"]
    assert system["scalingConfig"] == {"minSize": 2, "maxSize": 3, "desiredSize": 2}
    assert len(system["subnetIds"]) == 3


def zone(name: str, *sold: str) -> Zone:
    return Zone(name=name, instance_types=frozenset(sold))


def test_where_no_machine_is_sold_in_all_zones_the_nodes_stand_where_the_planned_one_is() -> None:
    zones = (zone("a", "m7i.large"), zone("b", "m7i.large"), zone("c", "m6i.large"))
    place = system_place(make_plan(), zones)
    assert (place.instance_types, place.zones) == (("m7i.large",), ("a", "b"))


def test_a_network_whose_zones_sell_none_of_them_is_refused() -> None:
    with pytest.raises(BadInput, match=r"no two of the zones a, b sell m7i.large or m6i.large"):
        system_place(make_plan(), (zone("a", "m7i.large"), zone("b")))


def test_a_plan_of_before_is_refused() -> None:
    with pytest.raises(BadInput, match="does not say which nodes carry the router"):
        record(lambda: deploy(make_plan(system_nodes=None), FILES, SETTINGS))


def test_their_disk_holds_what_routers_put_aside() -> None:
    plan = make_plan(system_nodes=make_system_nodes(root_volume_gib=70))
    recording = record(lambda: deploy(plan, FILES, SETTINGS))
    (template,) = [
        each for each in recording.of("aws:ec2/launchTemplate:LaunchTemplate") if each.name.endswith("-system")
    ]
    assert template.inputs["blockDeviceMappings"][0]["ebs"]["volumeSize"] == 70
