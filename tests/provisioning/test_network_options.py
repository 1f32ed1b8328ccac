"""A network that was there before, and private ways to AWS in a new one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber

from agentgpu_iac.errors import BadInput
from agentgpu_iac.provisioning.aws import interface_endpoints
from agentgpu_iac.provisioning.aws.existing_network import existing_network_faults
from agentgpu_iac.provisioning.aws.program import deploy
from agentgpu_iac.provisioning.aws.settings import Settings
from tests.plans import make_grouped_plan, make_plan
from tests.provisioning.recording import REGION, SOLD, record
from tests.provisioning.scenes import FILES, OPTIONS, SETTINGS, scene

ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
TAG = "aws:ec2/tag:Tag"


def services(recording_name: str) -> set[str]:
    return {
        one.inputs["serviceName"].removeprefix("com.amazonaws.us-east-1.")
        for one in scene(recording_name).of(ENDPOINT)
        if one.inputs["vpcEndpointType"] == "Interface"
    }


class TestInterfaceEndpoints:
    def test_there_are_none_unless_asked_for(self) -> None:
        assert services("single") == set()

    def test_a_private_api_has_those_for_joining_too(self) -> None:
        assert services("private") == {"ecr.api", "ecr.dkr", "sts", "ec2", "eks", "eks-auth"}

    def test_beside_a_public_api_images_suffice(self) -> None:
        recording = record(lambda: deploy(make_plan(), FILES, replace(SETTINGS, interface_endpoints=True)))
        assert len([one for one in recording.of(ENDPOINT) if one.inputs["vpcEndpointType"] == "Interface"]) == 3

    def test_they_answer_under_the_usual_names_in_every_zone(self) -> None:
        for one in scene("private").of(ENDPOINT):
            if one.inputs["vpcEndpointType"] == "Interface":
                assert one.inputs["privateDnsEnabled"] is True
                assert one.inputs["subnetIds"] == [f"demo-private-{zone}-id" for zone in SOLD]
                assert one.inputs["securityGroupIds"] == ["demo-endpoints-id"]

    def test_a_service_stands_in_the_zones_that_it_has(self) -> None:
        """AWS refuses an endpoint in any other; without a zone there is none, which is told."""
        settings = replace(SETTINGS, interface_endpoints=True)
        first = next(iter(SOLD))
        zones = {"sts": frozenset({first, "us-east-1f"}), "ecr.api": frozenset({"us-east-1f"})}
        recording = record(lambda: deploy(make_plan(), FILES, settings), endpoint_zones=zones)
        made = {
            each.inputs["serviceName"].removeprefix("com.amazonaws.us-east-1."): each.inputs["subnetIds"]
            for each in recording.of(ENDPOINT)
            if each.inputs["vpcEndpointType"] == "Interface"
        }
        assert made == {
            "ecr.dkr": [f"demo-private-{zone}-id" for zone in SOLD],
            "sts": [f"demo-private-{first}-id"],
        }

    def test_ec2_is_asked_as_its_own_model_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        client = botocore.session.Session().create_client(
            "ec2", region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing"
        )

        class Session:
            def create_client(self, *_: object, **__: object) -> Any:
                return client

        monkeypatch.setattr(interface_endpoints, "session", Session)
        name = f"com.amazonaws.{REGION}.sts"
        with Stubber(client) as answers:
            detail = {"ServiceName": name, "AvailabilityZones": ["us-east-1a", "us-east-1c"]}
            answers.add_response(
                "describe_vpc_endpoint_services", {"ServiceDetails": [detail]}, {"ServiceNames": [name]}
            )
            answers.add_client_error("describe_vpc_endpoint_services", "UnauthorizedOperation", http_status_code=403)
            found = interface_endpoints.zones_of_services(("sts",), REGION)
            assert found == {"sts": {"us-east-1a", "us-east-1c"}}
            assert interface_endpoints.zones_of_services(("sts",), REGION) == {}

    def test_the_network_alone_may_call_them(self) -> None:
        rule = scene("private").one("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "demo-endpoints")
        assert (rule.inputs["cidrIpv4"], rule.inputs["fromPort"], rule.inputs["toPort"]) == ("10.0.0.0/16", 443, 443)


class TestExistingNetwork:
    def test_nothing_is_made_in_it(self) -> None:
        made = {one.token for one in scene("existing").resources if one.token.startswith("aws:ec2/")}
        assert made == {TAG, "aws:ec2/launchTemplate:LaunchTemplate"}

    def test_cluster_and_nodes_stand_in_its_subnets(self) -> None:
        recording = scene("existing")
        (cluster,) = recording.of("aws:eks/cluster:Cluster")
        assert cluster.inputs["vpcConfig"]["subnetIds"] == ["subnet-a", "subnet-b"]
        for group in recording.of("aws:eks/nodeGroup:NodeGroup"):
            assert group.inputs["subnetIds"] == ["subnet-a", "subnet-b"]

    def test_a_scarce_type_stands_in_the_subnets_whose_zone_sells_it(self) -> None:
        settings = OPTIONS["existing"][1]
        recording = record(lambda: deploy(make_grouped_plan(), FILES, settings))
        (group,) = (one for one in recording.of("aws:eks/nodeGroup:NodeGroup") if one.name != "demo-system")
        assert group.inputs["subnetIds"] == ["subnet-a"]

    def test_subnets_are_tagged_where_asked_and_left_alone_otherwise(self) -> None:
        tags = {one.inputs["resourceId"]: one.inputs["key"] for one in scene("existing").of(TAG)}
        assert tags == dict.fromkeys(("subnet-a", "subnet-b", "sg-cluster"), "karpenter.sh/discovery")
        untagged = replace(OPTIONS["existing"][1], tag_subnets=False)
        recording = record(lambda: deploy(make_plan(), FILES, untagged))
        assert [one.inputs["resourceId"] for one in recording.of(TAG)] == ["sg-cluster"]

    @pytest.mark.parametrize(
        ("subnets", "message"),
        [
            (("subnet-a", "subnet-far"), "subnet-far belongs to vpc-2, not to vpc-1"),
            (("subnet-b", "subnet-b2"), "subnet-b and subnet-b2 both lie in us-east-1b"),
            (("subnet-a", "subnet-e"), "no control plane in us-east-1e, where subnet-e lies"),
            (("subnet-a",), "needs subnets in 2 zones at least"),
        ],
    )
    def test_subnets_that_eks_would_refuse_are_bad_input(self, subnets: tuple[str, ...], message: str) -> None:
        settings = replace(SETTINGS, vpc_id="vpc-1", private_subnet_ids=subnets)

        def program() -> None:
            with pytest.raises(BadInput, match=message):
                deploy(make_plan(), FILES, settings)

        assert record(program).resources == []

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            (Settings(vpc_id="vpc-1"), "no subnet of vpc-1 is named"),
            (Settings(private_subnet_ids=("subnet-a",)), "subnets are named, but not their VPC"),
            (Settings(tag_subnets=True), "only subnets of an existing network"),
            (
                Settings(vpc_id="vpc-1", private_subnet_ids=("subnet-a",), interface_endpoints=True),
                "nothing is made in an existing network",
            ),
        ],
    )
    def test_settings_that_contradict_one_another_are_bad_input(self, settings: Settings, message: str) -> None:
        (fault,) = existing_network_faults(
            vpc_id=settings.vpc_id,
            subnet_ids=settings.private_subnet_ids,
            tagged=settings.tag_subnets,
            endpoints=settings.interface_endpoints,
            source="configuration",
        )
        assert message in str(fault)
