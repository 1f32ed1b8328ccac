"""Network, cluster and roles: what a security review would ask."""

from __future__ import annotations

import ipaddress
import json

import pytest

from agentgpu_iac.provisioning.aws.network import VPC_CIDR, ZoneRanges
from agentgpu_iac.provisioning.aws.program import Settings, deploy
from tests.plans import make_plan
from tests.provisioning.recording import SOLD, record
from tests.provisioning.scenes import FILES, SCENES, scene

SUBNET = "aws:ec2/subnet:Subnet"


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
        "publicAccessCidrs": ["0.0.0.0/0"],
    }
    assert scene("single").one("aws:kms/key:Key", "demo-secrets").inputs["enableKeyRotation"] is True


def test_the_api_can_be_narrowed() -> None:
    settings = Settings(api_allowed_cidrs=("192.0.2.0/24",))
    recording = record(lambda: deploy(make_plan(), FILES, settings))
    (cluster,) = recording.of("aws:eks/cluster:Cluster")
    assert cluster.inputs["vpcConfig"]["publicAccessCidrs"] == ["192.0.2.0/24"]


def test_the_addons_and_their_order() -> None:
    recording = scene("single")
    addon, group = "aws:eks/addon:Addon", "aws:eks/nodeGroup:NodeGroup"
    assert {one.inputs["addonName"] for one in recording.of(addon)} == {
        "vpc-cni",
        "coredns",
        "kube-proxy",
        "eks-pod-identity-agent",
    }
    system = recording.position(group, "demo-system")
    for needed_by_nodes in ("demo-vpc-cni", "demo-kube-proxy", "demo-eks-pod-identity-agent"):
        assert recording.position(addon, needed_by_nodes) < system
    assert system < recording.position(addon, "demo-coredns")
    assert recording.position(addon, "demo-coredns") < recording.position(group, "demo-baseline-g6e-xlarge")


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
        (
            "demo-nodes",
            "ec2.amazonaws.com",
            {"AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly"},
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


@pytest.mark.parametrize("name", SCENES)
def test_every_node_uses_the_one_node_role(name: str) -> None:
    groups = scene(name).of("aws:eks/nodeGroup:NodeGroup")
    assert {group.inputs["nodeRoleArn"].rsplit(":", 1)[1] for group in groups} == {"demo-nodes"}


def test_pod_networking_gets_its_role_by_pod_identity() -> None:
    addon = scene("single").one("aws:eks/addon:Addon", "demo-vpc-cni").inputs
    (association,) = addon["podIdentityAssociations"]
    assert association["serviceAccount"] == "aws-node"
    assert association["roleArn"].endswith(":demo-cni")


@pytest.mark.parametrize("name", SCENES)
def test_everything_that_can_be_tagged_names_its_stack(name: str) -> None:
    untagged = {
        resource.token
        for resource in scene(name).resources
        if resource.is_aws and resource.inputs.get("tags", {}).get("agentgpu.dev/stack") != "demo"
    }
    assert untagged == {
        "aws:ec2/route:Route",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:ec2/tag:Tag",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    }
