"""What the double knows of each type of resource: one class per type, found by its token.

To add a type: a row of ``tests.provisioning.aws_api.CALLS`` says which API call creates it; a class here says its id,
how it is found again, changed and deleted. A type that moto lacks is a ``Journalled``, with the API's own parameter
check. ``forces_new`` are the inputs whose change makes another thing, as the real provider's documentation says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from botocore import xform_name
from botocore.exceptions import ClientError, ParamValidationError
from botocore.validate import ParamValidator

from tests.e2e.pulumi.aws.cloud import ACCOUNT, REGION, Cloud, Refused
from tests.provisioning.aws_api import request, tag_list

Properties = dict[str, Any]
Inputs = Mapping[str, Any]


class Kind:
    """One type of resource, made by one API call."""

    token: ClassVar[str]
    autonamed: ClassVar[str | None] = None
    """The input that gets the logical name and a random suffix where the program sets none."""
    forces_new: ClassVar[frozenset[str]] = frozenset()
    """Inputs that AWS cannot change, as paths of one or two steps."""
    computed: ClassVar[frozenset[str]] = frozenset({"arn"})
    """Outputs that are no inputs, or that AWS fills in: their absence from the inputs is no difference."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """What the real provider sends or keeps where the program says nothing."""

    def create(self, aws: Cloud, logical_name: str, inputs: Inputs) -> str:
        """Make the thing and return its id."""
        service, operation, parameters = request(
            self.token, self.physical_name(logical_name, inputs), self.sent(inputs)
        )
        answer = getattr(aws(service), xform_name(operation))(**parameters)
        ident = self.made(answer, inputs)
        self.finish(aws, ident, inputs)
        return ident

    def physical_name(self, logical_name: str, inputs: Inputs) -> str:
        """What AWS calls it."""
        return str(inputs[self.autonamed]) if self.autonamed else logical_name

    def sent(self, inputs: Inputs) -> Inputs:
        """The inputs that the creating call takes."""
        return {key: value for key, value in inputs.items() if key != self.autonamed}

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        """The id of what a create has made."""
        raise NotImplementedError

    def finish(self, aws: Cloud, ident: str, inputs: Inputs) -> None:
        """Further calls that belong to a create."""

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        """The properties that AWS shows now; None where the thing is gone."""
        raise NotImplementedError

    def imported(self, aws: Cloud, given: str) -> str:
        """The id of what ``pulumi import`` was given, where that is something else than the id."""
        return given

    def update(self, aws: Cloud, ident: str, old: Inputs, new: Inputs) -> None:
        """Change what can be changed; ``old`` and ``new`` are inputs."""
        raise Refused(f"the double cannot update {self.token}: {changed(old, new)}")

    def delete(self, aws: Cloud, ident: str) -> None:
        """Remove the thing."""
        raise NotImplementedError


KINDS: dict[str, Kind] = {}


def kind(token: str) -> Callable[[type[Kind]], type[Kind]]:
    """Enter a class into the table."""

    def enter(cls: type[Kind]) -> type[Kind]:
        cls.token = token
        KINDS[token] = cls()
        return cls

    return enter


def changed(old: Inputs, new: Inputs) -> set[str]:
    """Names of inputs that differ."""
    return {key for key in {*old, *new} if old.get(key) != new.get(key)}


def tags(listed: Any) -> dict[str, str]:
    """Tags as Pulumi has them."""
    return {one["Key"]: one["Value"] for one in listed or ()}


def lowered(value: Any) -> Any:
    """An answer in Pulumi's spelling: members begin with a small letter."""
    if isinstance(value, Mapping):
        return {key[0].lower() + key[1:]: lowered(inner) for key, inner in value.items()}
    return [lowered(inner) for inner in value] if isinstance(value, list) else value


def absent(error: ClientError) -> bool:
    """Whether AWS says that there is no such thing."""
    code = error.response["Error"]["Code"]
    return "NotFound" in code or code in {
        "NoSuchEntity",
        "NoSuchBucket",
        "404",
        "AWS.SimpleQueueService.NonExistentQueue",
    }


def only(found: list[Any]) -> Any:
    """The one that was found, or None."""
    return found[0] if found else None


def account_arn(service: str, rest: str) -> str:
    """An ARN of this account."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


# --- EC2: what has an id of its own and is found by it -------------------------------------------------------------


class Ec2(Kind):
    """A thing of EC2 whose tags change by themselves and whose other inputs mostly do not."""

    word: ClassVar[str]
    """As in describe_<word>s and delete_<word>."""
    member: ClassVar[str]
    """As in <member>Id, and <member>s in answers."""

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return str(answer[self.member][f"{self.member}Id"])

    def described(self, aws: Cloud, ident: str) -> Any:
        return only(getattr(aws("ec2"), f"describe_{self.word}s")(**{f"{self.member}Ids": [ident]})[f"{self.member}s"])

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        found = self.described(aws, ident)
        return None if found is None else {**self.shown(aws, found), "tags": tags(found.get("Tags"))}

    def shown(self, aws: Cloud, found: Inputs) -> Properties:
        raise NotImplementedError

    def update(self, aws: Cloud, ident: str, old: Inputs, new: Inputs) -> None:
        if changed(old, new) - {"tags"}:
            super().update(aws, ident, old, new)
        retag(aws, ident, old, new)

    def delete(self, aws: Cloud, ident: str) -> None:
        getattr(aws("ec2"), f"delete_{self.word}")(**{f"{self.member}Id": ident})


def retag(aws: Cloud, ident: str, old: Inputs, new: Inputs) -> None:
    """Change the tags of a thing of EC2."""
    before, after = old.get("tags") or {}, new.get("tags") or {}
    if gone := [{"Key": key} for key in before if key not in after]:
        aws("ec2").delete_tags(Resources=[ident], Tags=gone)
    if fresh := {key: value for key, value in after.items() if before.get(key) != value}:
        aws("ec2").create_tags(Resources=[ident], Tags=tag_list(fresh))


@kind("aws:ec2/vpc:Vpc")
class Vpc(Ec2):
    word, member = "vpc", "Vpc"
    forces_new = frozenset({"cidrBlock"})
    computed = frozenset({"arn", "mainRouteTableId", "defaultSecurityGroupId"})

    def finish(self, aws: Cloud, ident: str, inputs: Inputs) -> None:
        for member in ("enableDnsSupport", "enableDnsHostnames"):
            if member in inputs:
                attribute = member[0].upper() + member[1:]
                aws("ec2").modify_vpc_attribute(VpcId=ident, **{attribute: {"Value": inputs[member]}})

    def shown(self, aws: Cloud, found: Inputs) -> Properties:
        ident = found["VpcId"]
        dns = {
            member: aws("ec2").describe_vpc_attribute(VpcId=ident, Attribute=member)[member[0].upper() + member[1:]]
            for member in ("enableDnsSupport", "enableDnsHostnames")
        }
        return {
            "cidrBlock": found["CidrBlock"],
            "arn": account_arn("ec2", f"vpc/{ident}"),
            **{member: answer["Value"] for member, answer in dns.items()},
        }


@kind("aws:ec2/subnet:Subnet")
class Subnet(Ec2):
    word, member = "subnet", "Subnet"
    forces_new = frozenset({"vpcId", "cidrBlock", "availabilityZone"})

    def finish(self, aws: Cloud, ident: str, inputs: Inputs) -> None:
        if "mapPublicIpOnLaunch" in inputs:
            aws("ec2").modify_subnet_attribute(
                SubnetId=ident, MapPublicIpOnLaunch={"Value": inputs["mapPublicIpOnLaunch"]}
            )

    def shown(self, aws: Cloud, found: Inputs) -> Properties:
        return {
            "vpcId": found["VpcId"],
            "cidrBlock": found["CidrBlock"],
            "availabilityZone": found["AvailabilityZone"],
            "mapPublicIpOnLaunch": found["MapPublicIpOnLaunch"],
            "arn": account_arn("ec2", f"subnet/{found['SubnetId']}"),
        }

    def delete(self, aws: Cloud, ident: str) -> None:
        for gateway in aws("ec2").describe_nat_gateways(Filters=[{"Name": "subnet-id", "Values": [ident]}])[
            "NatGateways"
        ]:
            if gateway["State"] != "deleted":
                raise Refused(f"DependencyViolation: {ident} holds {gateway['NatGatewayId']}")
        for cluster in aws("eks").list_clusters()["clusters"]:
            if ident in aws("eks").describe_cluster(name=cluster)["cluster"]["resourcesVpcConfig"]["subnetIds"]:
                raise Refused(f"DependencyViolation: {ident} holds interfaces of cluster {cluster}")
        super().delete(aws, ident)


@kind("aws:ec2/internetGateway:InternetGateway")
class InternetGateway(Ec2):
    word, member = "internet_gateway", "InternetGateway"
    computed = frozenset({"arn", "ownerId"})

    def finish(self, aws: Cloud, ident: str, inputs: Inputs) -> None:
        if "vpcId" in inputs:
            aws("ec2").attach_internet_gateway(InternetGatewayId=ident, VpcId=inputs["vpcId"])

    def shown(self, aws: Cloud, found: Inputs) -> Properties:
        attached = found["Attachments"][-1:]
        its_network = {"vpcId": attached[0]["VpcId"]} if attached else {}
        return {**its_network, "arn": account_arn("ec2", f"internet-gateway/{found['InternetGatewayId']}")}

    def delete(self, aws: Cloud, ident: str) -> None:
        for one in self.described(aws, ident)["Attachments"]:
            vpc = one["VpcId"]
            for gateway in aws("ec2").describe_nat_gateways(Filters=[{"Name": "vpc-id", "Values": [vpc]}])[
                "NatGateways"
            ]:
                if gateway["State"] != "deleted":
                    raise Refused(f"DependencyViolation: {vpc} has mapped public addresses ({gateway['NatGatewayId']})")
            aws("ec2").detach_internet_gateway(InternetGatewayId=ident, VpcId=vpc)
        super().delete(aws, ident)


@kind("aws:ec2/eip:Eip")
class Eip(Ec2):
    member = "Allocation"
    forces_new = frozenset({"domain"})
    computed = frozenset({"arn", "publicIp", "allocationId"})

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return str(answer["AllocationId"])

    def described(self, aws: Cloud, ident: str) -> Any:
        return only(aws("ec2").describe_addresses(AllocationIds=[ident])["Addresses"])

    def shown(self, aws: Cloud, found: Inputs) -> Properties:
        ident = found["AllocationId"]
        return {"domain": found["Domain"], "publicIp": found["PublicIp"], "allocationId": ident}

    def delete(self, aws: Cloud, ident: str) -> None:
        for gateway in aws("ec2").describe_nat_gateways()["NatGateways"]:
            held = {address.get("AllocationId") for address in gateway["NatGatewayAddresses"]}
            if gateway["State"] != "deleted" and ident in held:
                raise Refused(f"InvalidIPAddress.InUse: {ident} belongs to {gateway['NatGatewayId']}")
        aws("ec2").release_address(AllocationId=ident)


@kind("aws:ec2/natGateway:NatGateway")
class NatGateway(Ec2):
    word, member = "nat_gateway", "NatGateway"
    forces_new = frozenset({"allocationId", "subnetId", "connectivityType"})
    computed = frozenset({"publicIp", "privateIp"})

    def create(self, aws: Cloud, logical_name: str, inputs: Inputs) -> str:
        vpc = only(aws("ec2").describe_subnets(SubnetIds=[inputs["subnetId"]])["Subnets"])["VpcId"]
        attached = aws("ec2").describe_internet_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [vpc]}])
        if not attached["InternetGateways"]:
            raise Refused(f"Gateway.NotAttached: {vpc} has no internet gateway")
        return super().create(aws, logical_name, inputs)

    def described(self, aws: Cloud, ident: str) -> Any:
        found = super().described(aws, ident)
        return found if found and found["State"] != "deleted" else None

    def shown(self, aws: Cloud, found: Inputs) -> Properties:
        address = only(found["NatGatewayAddresses"]) or {}
        return {"subnetId": found["SubnetId"], "allocationId": address.get("AllocationId")}


@kind("aws:ec2/routeTable:RouteTable")
class RouteTable(Ec2):
    word, member = "route_table", "RouteTable"
    forces_new = frozenset({"vpcId"})
    computed = frozenset({"arn", "ownerId", "routes"})

    def shown(self, aws: Cloud, found: Inputs) -> Properties:
        return {"vpcId": found["VpcId"]}


@kind("aws:ec2/vpcEndpoint:VpcEndpoint")
class VpcEndpoint(Ec2):
    word, member = "vpc_endpoint", "VpcEndpoint"
    forces_new = frozenset({"vpcId", "serviceName", "vpcEndpointType"})
    computed = frozenset({"arn", "state", "policy", "prefixListId", "ownerId", "privateDnsEnabled"})

    def shown(self, aws: Cloud, found: Inputs) -> Properties:
        shown = {
            "vpcId": found["VpcId"],
            "serviceName": found["ServiceName"],
            "vpcEndpointType": found["VpcEndpointType"],
            "routeTableIds": found.get("RouteTableIds"),
            "subnetIds": found.get("SubnetIds"),
            "securityGroupIds": [group["GroupId"] for group in found.get("Groups") or ()],
            "privateDnsEnabled": found.get("PrivateDnsEnabled") or None,
        }
        return {key: value for key, value in shown.items() if value}

    def described(self, aws: Cloud, ident: str) -> Any:
        found = super().described(aws, ident)
        return found if found and found.get("State", "").lower() != "deleted" else None

    def delete(self, aws: Cloud, ident: str) -> None:
        aws("ec2").delete_vpc_endpoints(VpcEndpointIds=[ident])


@kind("aws:ec2/securityGroup:SecurityGroup")
class SecurityGroup(Ec2):
    word, member = "security_group", "Group"
    autonamed = "name"
    forces_new = frozenset({"vpcId", "name", "description"})
    computed = frozenset({"arn", "ownerId"})

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return str(answer["GroupId"])

    def described(self, aws: Cloud, ident: str) -> Any:
        return only(aws("ec2").describe_security_groups(GroupIds=[ident])["SecurityGroups"])

    def shown(self, aws: Cloud, found: Inputs) -> Properties:
        return {"vpcId": found["VpcId"], "name": found["GroupName"], "description": found["Description"]}


class SecurityGroupRule(Kind):
    """One rule of a group."""

    egress: ClassVar[bool]
    forces_new = frozenset({"securityGroupId"})
    computed = frozenset({"arn", "securityGroupRuleId"})

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return str(only(answer["SecurityGroupRules"])["SecurityGroupRuleId"])

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        found = only(aws("ec2").describe_security_group_rules(SecurityGroupRuleIds=[ident])["SecurityGroupRules"])
        if found is None:
            return None
        shown = {
            "securityGroupId": found["GroupId"],
            "ipProtocol": found["IpProtocol"],
            "cidrIpv4": found.get("CidrIpv4"),
            "description": found.get("Description"),
            "securityGroupRuleId": ident,
        }
        return {key: value for key, value in shown.items() if value is not None}

    def delete(self, aws: Cloud, ident: str) -> None:
        found = only(aws("ec2").describe_security_group_rules(SecurityGroupRuleIds=[ident])["SecurityGroupRules"])
        revoke = aws("ec2").revoke_security_group_egress if self.egress else aws("ec2").revoke_security_group_ingress
        revoke(GroupId=found["GroupId"], SecurityGroupRuleIds=[ident])


@kind("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
class EgressRule(SecurityGroupRule):
    egress = True


@kind("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
class IngressRule(SecurityGroupRule):
    egress = False


@kind("aws:ec2/routeTableAssociation:RouteTableAssociation")
class RouteTableAssociation(Kind):
    forces_new = frozenset({"subnetId"})

    def create(self, aws: Cloud, logical_name: str, inputs: Inputs) -> str:
        filters = [{"Name": "association.subnet-id", "Values": [inputs["subnetId"]]}]
        if aws("ec2").describe_route_tables(Filters=filters)["RouteTables"]:
            raise Refused(f"Resource.AlreadyAssociated: {inputs['subnetId']} has a route table")
        return super().create(aws, logical_name, inputs)

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return str(answer["AssociationId"])

    def imported(self, aws: Cloud, given: str) -> str:
        subnet, separator, table_id = given.partition("/")
        if not separator:
            return given
        table = only(aws("ec2").describe_route_tables(RouteTableIds=[table_id])["RouteTables"])
        (found,) = (one for one in table["Associations"] if one.get("SubnetId") == subnet)
        return str(found["RouteTableAssociationId"])

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        filters = [{"Name": "association.route-table-association-id", "Values": [ident]}]
        for table in aws("ec2").describe_route_tables(Filters=filters)["RouteTables"]:
            for one in table["Associations"]:
                if one["RouteTableAssociationId"] == ident:
                    return {"routeTableId": table["RouteTableId"], "subnetId": one["SubnetId"]}
        return None

    def delete(self, aws: Cloud, ident: str) -> None:
        aws("ec2").disassociate_route_table(AssociationId=ident)


@kind("aws:ec2/route:Route")
class Route(Kind):
    """Its id says the table and the destination, as the import syntax of the real provider does."""

    forces_new = frozenset({"routeTableId", "destinationCidrBlock"})
    computed = frozenset({"origin", "state", "networkInterfaceId"})

    def create(self, aws: Cloud, logical_name: str, inputs: Inputs) -> str:
        if self.find(aws, self.made({}, inputs)):
            raise Refused(f"RouteAlreadyExists: {inputs['destinationCidrBlock']} in {inputs['routeTableId']}")
        return super().create(aws, logical_name, inputs)

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return f"{inputs['routeTableId']}_{inputs['destinationCidrBlock']}"

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        table_id, destination = ident.split("_")
        table = only(aws("ec2").describe_route_tables(RouteTableIds=[table_id])["RouteTables"])
        for route in table["Routes"] if table else ():
            if route.get("DestinationCidrBlock") == destination:
                shown = {"gatewayId": route.get("GatewayId"), "natGatewayId": route.get("NatGatewayId")}
                ends = {key: value for key, value in shown.items() if value}
                return {"routeTableId": table_id, "destinationCidrBlock": destination, **ends}
        return None

    def delete(self, aws: Cloud, ident: str) -> None:
        table_id, destination = ident.split("_")
        aws("ec2").delete_route(RouteTableId=table_id, DestinationCidrBlock=destination)


@kind("aws:ec2/tag:Tag")
class Tag(Kind):
    forces_new = frozenset({"resourceId", "key"})

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return f"{inputs['resourceId']},{inputs['key']}"

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        resource, key = ident.split(",")
        filters = [{"Name": "resource-id", "Values": [resource]}, {"Name": "key", "Values": [key]}]
        found = only(aws("ec2").describe_tags(Filters=filters)["Tags"])
        return found and {"resourceId": resource, "key": key, "value": found["Value"]}

    def delete(self, aws: Cloud, ident: str) -> None:
        resource, key = ident.split(",")
        aws("ec2").delete_tags(Resources=[resource], Tags=[{"Key": key}])


@kind("aws:ec2/launchTemplate:LaunchTemplate")
class LaunchTemplate(Ec2):
    """A change is a new version; ``latestVersion`` and ``defaultVersion`` move on."""

    word, member = "launch_template", "LaunchTemplate"
    autonamed = "name"
    forces_new = frozenset({"name"})
    computed = frozenset({"arn", "latestVersion", "defaultVersion"})

    def shown(self, aws: Cloud, found: Inputs) -> Properties:
        ident = found["LaunchTemplateId"]
        latest = str(found["LatestVersionNumber"])
        answer = aws("ec2").describe_launch_template_versions(LaunchTemplateId=ident, Versions=[latest])
        data = only(answer["LaunchTemplateVersions"])["LaunchTemplateData"]
        return {
            "name": found["LaunchTemplateName"],
            "latestVersion": found["LatestVersionNumber"],
            "defaultVersion": found["DefaultVersionNumber"],
            "arn": account_arn("ec2", f"launch-template/{ident}"),
            **template_inputs(data),
        }

    def update(self, aws: Cloud, ident: str, old: Inputs, new: Inputs) -> None:
        retag(aws, ident, old, new)
        if changed(old, new) - {"tags", "updateDefaultVersion"}:
            _, _, parameters = request(self.token, new["name"], self.sent(new))
            answer = aws("ec2").create_launch_template_version(
                LaunchTemplateId=ident, LaunchTemplateData=parameters["LaunchTemplateData"]
            )
            if new.get("updateDefaultVersion"):
                number = str(answer["LaunchTemplateVersion"]["VersionNumber"])
                aws("ec2").modify_launch_template(LaunchTemplateId=ident, DefaultVersion=number)


def template_inputs(data: Inputs) -> Properties:
    """The data of a launch template as the provider's inputs; some booleans are words there.

    moto keeps the tags of the template itself among those of what it starts; AWS does not.
    """
    shown = lowered(data)
    shown["tagSpecifications"] = [
        one for one in shown.get("tagSpecifications", ()) if one["resourceType"] != "launch-template"
    ]
    for mapping in shown.get("blockDeviceMappings", ()):
        for word in ("encrypted", "deleteOnTermination"):
            if word in mapping.get("ebs", {}):
                mapping["ebs"][word] = str(mapping["ebs"][word]).lower()
    for interface in shown.get("networkInterfaces", ()):
        if "groups" in interface:
            interface["securityGroups"] = interface.pop("groups")
        if "deleteOnTermination" in interface:
            interface["deleteOnTermination"] = str(interface["deleteOnTermination"]).lower()
    for specification in shown["tagSpecifications"]:
        specification["tags"] = {one["key"]: one["value"] for one in specification["tags"]}
    return {key: value for key, value in shown.items() if value}


# --- IAM, KMS, CloudWatch ------------------------------------------------------------------------------------------


@kind("aws:iam/role:Role")
class Role(Kind):
    autonamed = "name"
    forces_new = frozenset({"name"})
    computed = frozenset({"arn", "uniqueId", "createDate", "managedPolicyArns"})

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return str(answer["Role"]["RoleName"])

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        found = aws("iam").get_role(RoleName=ident)["Role"]
        return {
            "name": ident,
            "arn": found["Arn"],
            "assumeRolePolicy": json.dumps(found["AssumeRolePolicyDocument"], sort_keys=True),
            "tags": tags(found.get("Tags")),
        }

    def update(self, aws: Cloud, ident: str, old: Inputs, new: Inputs) -> None:
        if changed(old, new) - {"assumeRolePolicy", "tags"}:
            super().update(aws, ident, old, new)
        aws("iam").update_assume_role_policy(RoleName=ident, PolicyDocument=new["assumeRolePolicy"])
        aws("iam").tag_role(RoleName=ident, Tags=tag_list(new.get("tags") or {}))

    def delete(self, aws: Cloud, ident: str) -> None:
        aws("iam").delete_role(RoleName=ident)


@kind("aws:iam/rolePolicy:RolePolicy")
class RolePolicy(Kind):
    autonamed = "name"
    forces_new = frozenset({"name", "role"})
    computed = frozenset()

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return f"{inputs['role']}:{inputs['name']}"

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        role, name = ident.split(":")
        found = aws("iam").get_role_policy(RoleName=role, PolicyName=name)
        return {"role": role, "name": name, "policy": json.dumps(found["PolicyDocument"], sort_keys=True)}

    def update(self, aws: Cloud, ident: str, old: Inputs, new: Inputs) -> None:
        role, name = ident.split(":")
        aws("iam").put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=new["policy"])

    def delete(self, aws: Cloud, ident: str) -> None:
        role, name = ident.split(":")
        aws("iam").delete_role_policy(RoleName=role, PolicyName=name)


@kind("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
class RolePolicyAttachment(Kind):
    forces_new = frozenset({"role", "policyArn"})
    computed = frozenset()

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return f"{inputs['role']}/{inputs['policyArn']}"

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        role, policy = ident.split("/", 1)
        attached = aws("iam").list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        there = policy in {one["PolicyArn"] for one in attached}
        return {"role": role, "policyArn": policy} if there else None

    def delete(self, aws: Cloud, ident: str) -> None:
        role, policy = ident.split("/", 1)
        aws("iam").detach_role_policy(RoleName=role, PolicyArn=policy)


@kind("aws:kms/key:Key")
class Key(Kind):
    """Deletion is a waiting period at AWS; moto keeps such a key in the state PendingDeletion."""

    computed = frozenset({"arn", "keyId"})

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return str(answer["KeyMetadata"]["KeyId"])

    def finish(self, aws: Cloud, ident: str, inputs: Inputs) -> None:
        if inputs.get("enableKeyRotation"):
            aws("kms").enable_key_rotation(KeyId=ident)

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        found = aws("kms").describe_key(KeyId=ident)["KeyMetadata"]
        if found["KeyState"] == "PendingDeletion":
            return None
        listed = aws("kms").list_resource_tags(KeyId=ident)["Tags"]
        return {
            "arn": found["Arn"],
            "keyId": ident,
            "description": found["Description"],
            "enableKeyRotation": aws("kms").get_key_rotation_status(KeyId=ident)["KeyRotationEnabled"],
            "tags": {one["TagKey"]: one["TagValue"] for one in listed},
        }

    def delete(self, aws: Cloud, ident: str) -> None:
        aws("kms").schedule_key_deletion(KeyId=ident, PendingWindowInDays=7)


@kind("aws:cloudwatch/logGroup:LogGroup")
class LogGroup(Kind):
    autonamed = "name"
    forces_new = frozenset({"name"})

    def sent(self, inputs: Inputs) -> Inputs:
        return inputs

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return str(inputs["name"])

    def finish(self, aws: Cloud, ident: str, inputs: Inputs) -> None:
        if "retentionInDays" in inputs:
            aws("logs").put_retention_policy(logGroupName=ident, retentionInDays=int(inputs["retentionInDays"]))

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        groups = aws("logs").describe_log_groups(logGroupNamePrefix=ident)["logGroups"]
        found = only([group for group in groups if group["logGroupName"] == ident])
        if found is None:
            return None
        listed = aws("logs").list_tags_log_group(logGroupName=ident)["tags"]
        kept = {"retentionInDays": found["retentionInDays"]} if "retentionInDays" in found else {}
        return {"name": ident, "arn": found["arn"], "tags": listed, **kept}

    def update(self, aws: Cloud, ident: str, old: Inputs, new: Inputs) -> None:
        if changed(old, new) - {"retentionInDays", "tags"}:
            super().update(aws, ident, old, new)
        self.finish(aws, ident, new)
        aws("logs").tag_log_group(logGroupName=ident, tags=new.get("tags") or {})

    def delete(self, aws: Cloud, ident: str) -> None:
        aws("logs").delete_log_group(logGroupName=ident)


@kind("aws:budgets/budget:Budget")
class Budget(Kind):
    """Its name goes inside the budget; the id names the account too."""

    autonamed = "name"
    forces_new = frozenset({"name", "accountId"})
    computed = frozenset({"arn", "accountId", "timePeriodStart", "timePeriodEnd"})

    def create(self, aws: Cloud, logical_name: str, inputs: Inputs) -> str:
        _, _, parameters = request(self.token, logical_name, self.sent(inputs))
        aws("budgets").create_budget(**_renamed_budget(parameters, inputs["name"]))
        return f"{ACCOUNT}:{inputs['name']}"

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        account, name = ident.split(":")
        found = aws("budgets").describe_budget(AccountId=account, BudgetName=name)["Budget"]
        return {
            "name": name,
            "budgetType": found["BudgetType"],
            "timeUnit": found["TimeUnit"],
            "limitUnit": found["BudgetLimit"]["Unit"],
        }

    def update(self, aws: Cloud, ident: str, old: Inputs, new: Inputs) -> None:
        self.delete(aws, ident)
        self.create(aws, new["name"], new)

    def delete(self, aws: Cloud, ident: str) -> None:
        account, name = ident.split(":")
        aws("budgets").delete_budget(AccountId=account, BudgetName=name)


def _renamed_budget(parameters: Properties, name: str) -> Properties:
    return {**parameters, "Budget": {**parameters["Budget"], "BudgetName": name}}


# --- EKS -----------------------------------------------------------------------------------------------------------


@kind("aws:eks/cluster:Cluster")
class Cluster(Kind):
    """Makes the cluster's security group as EKS does, and removes it with the cluster."""

    autonamed = "name"
    forces_new = frozenset(
        {
            "name",
            "roleArn",
            "encryptionConfig",
            "bootstrapSelfManagedAddons",
            "accessConfig.bootstrapClusterCreatorAdminPermissions",
        }
    )
    computed = frozenset(
        {"arn", "endpoint", "certificateAuthority", "status", "platformVersion", "identities", "clusterId", "createdAt"}
    )

    def sent(self, inputs: Inputs) -> Inputs:
        return inputs

    def create(self, aws: Cloud, logical_name: str, inputs: Inputs) -> str:
        answer = aws("ec2").describe_subnets(SubnetIds=list(inputs["vpcConfig"]["subnetIds"]))["Subnets"]
        zones = {subnet["AvailabilityZone"] for subnet in answer}
        if len(zones) < 2:
            raise Refused(f"InvalidParameterException: subnets must lie in two zones at least, not in {zones}")
        ident = super().create(aws, logical_name, inputs)
        aws("ec2").create_security_group(
            GroupName=_group_name(ident), Description="EKS created security group", VpcId=only(answer)["VpcId"]
        )
        return ident

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return str(answer["cluster"]["name"])

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        found = aws("eks").describe_cluster(name=ident)["cluster"]
        logs = only([one for one in found["logging"]["clusterLogging"] if one["enabled"]])
        access = {} if "accessConfig" not in found else {"accessConfig": found["accessConfig"]}
        return {
            "name": ident,
            "arn": found["arn"],
            "version": found["version"],
            "roleArn": found["roleArn"],
            "endpoint": found["endpoint"],
            "certificateAuthority": found["certificateAuthority"],
            "status": found["status"],
            "vpcConfig": {**found["resourcesVpcConfig"], "clusterSecurityGroupId": _cluster_group(aws, ident)},
            "encryptionConfig": only(found["encryptionConfig"]),
            "enabledClusterLogTypes": logs["types"] if logs else [],
            "tags": found["tags"],
            **access,
        }

    def update(self, aws: Cloud, ident: str, old: Inputs, new: Inputs) -> None:
        # What moto does not show, an import cannot know: the next update then sends it again.
        if unknown := changed(old, new) - {"vpcConfig", "tags", "enabledClusterLogTypes", *_HIDDEN_BY_MOTO}:
            raise Refused(f"the double cannot update {unknown} of a cluster")
        network = {key: value for key, value in new["vpcConfig"].items() if key != "clusterSecurityGroupId"}
        aws("eks").update_cluster_config(name=ident, resourcesVpcConfig=network)

    def delete(self, aws: Cloud, ident: str) -> None:
        for token, entries in ((token, aws.journal.entries(token)) for token in KINDS):
            # What EKS removes with the cluster by itself must have gone before, or the order was wrong.
            if left := [one for one in entries if one.startswith(f"{ident}:")]:
                raise Refused(f"the cluster {ident} still has {token} {left}")
        group = _cluster_group(aws, ident)
        aws("eks").delete_cluster(name=ident)
        aws("ec2").delete_security_group(GroupId=group)


_HIDDEN_BY_MOTO = frozenset(
    {"accessConfig", "bootstrapSelfManagedAddons", "deletionProtection", "encryptionConfig", "upgradePolicy"}
)


def _group_name(cluster: str) -> str:
    return f"eks-cluster-sg-{cluster}"


def _cluster_group(aws: Cloud, cluster: str) -> str:
    filters = [{"Name": "group-name", "Values": [_group_name(cluster)]}]
    return str(only(aws("ec2").describe_security_groups(Filters=filters)["SecurityGroups"])["GroupId"])


@kind("aws:eks/nodeGroup:NodeGroup")
class NodeGroup(Kind):
    autonamed = "nodeGroupName"
    forces_new = frozenset(
        {
            "nodeGroupName",
            "clusterName",
            "nodeRoleArn",
            "subnetIds",
            "amiType",
            "capacityType",
            "instanceTypes",
            "diskSize",
            "launchTemplate.id",
            "launchTemplate.name",
        }
    )
    computed = frozenset({"arn", "status", "resources", "releaseVersion", "version"})

    def create(self, aws: Cloud, logical_name: str, inputs: Inputs) -> str:
        template = inputs.get("launchTemplate")
        if template:
            versions = aws("ec2").describe_launch_template_versions(
                LaunchTemplateId=template["id"], Versions=[template["version"]]
            )
            assert versions["LaunchTemplateVersions"]
        return super().create(aws, logical_name, inputs)

    def made(self, answer: Inputs, inputs: Inputs) -> str:
        return f"{answer['nodegroup']['clusterName']}:{answer['nodegroup']['nodegroupName']}"

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        cluster, name = ident.split(":")
        found = aws("eks").describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]
        template = found.get("launchTemplate")
        shown = {
            "clusterName": cluster,
            "nodeGroupName": name,
            "arn": found["nodegroupArn"],
            "status": found["status"],
            "nodeRoleArn": found["nodeRole"],
            "subnetIds": found["subnets"],
            "amiType": found["amiType"],
            "capacityType": found["capacityType"],
            "instanceTypes": found["instanceTypes"],
            "scalingConfig": found["scalingConfig"],
            "labels": found.get("labels"),
            "taints": found.get("taints"),
            "tags": found["tags"],
            "launchTemplate": template and {key: template[key] for key in ("id", "version") if key in template},
            "version": found["version"],
            "releaseVersion": found["releaseVersion"],
            **aws.journal.entries(ROLLOUTS).get(ident, {}),
        }
        return {key: value for key, value in shown.items() if value}

    def update(self, aws: Cloud, ident: str, old: Inputs, new: Inputs) -> None:
        cluster, name = ident.split(":")
        rolled = {"launchTemplate", "version", "releaseVersion"}
        kept = {"scalingConfig", "labels", "taints", "updateConfig"}
        if unknown := changed(old, new) - rolled - kept - {"tags"}:
            raise Refused(f"the double cannot update {unknown} of a node group")
        if changed(old, new) & kept:
            aws("eks").update_nodegroup_config(
                clusterName=cluster,
                nodegroupName=name,
                scalingConfig={key: int(value) for key, value in new["scalingConfig"].items()},
                **_relabelled(old, new),
                **_retainted(old, new),
            )
        if changed(old, new) & rolled:
            _note_rollout(aws, ident, new)

    def delete(self, aws: Cloud, ident: str) -> None:
        cluster, name = ident.split(":")
        aws("eks").delete_nodegroup(clusterName=cluster, nodegroupName=name)
        if ident in aws.journal.entries(ROLLOUTS):
            aws.journal.remove(ROLLOUTS, ident)


ROLLOUTS = "node group versions"
"""moto has no UpdateNodegroupVersion: the journal keeps what a group was told to roll to."""


def _note_rollout(aws: Cloud, ident: str, new: Inputs) -> None:
    asked = {key: new[key] for key in ("launchTemplate", "version", "releaseVersion") if key in new}
    if ident in aws.journal.entries(ROLLOUTS):
        aws.journal.change(ROLLOUTS, ident, asked)
    else:
        aws.journal.add(ROLLOUTS, ident, asked)


def _relabelled(old: Inputs, new: Inputs) -> Properties:
    before, after = old.get("labels") or {}, new.get("labels") or {}
    if before == after:
        return {}
    gone = [key for key in before if key not in after]
    return {"labels": {"addOrUpdateLabels": after, **({"removeLabels": gone} if gone else {})}}


def _retainted(old: Inputs, new: Inputs) -> Properties:
    before, after = old.get("taints") or [], new.get("taints") or []
    if before == after:
        return {}
    return {"taints": {"addOrUpdateTaints": after, "removeTaints": [one for one in before if one not in after]}}


# --- what moto lacks: the API's own parameter check, and the journal -------------------------------------------------


class Journalled(Kind):
    """Kept in the journal. The id names what may exist once only, or counts up where AWS would make two."""

    answers: ClassVar[Callable[[str, Inputs], Properties] | None] = None

    def create(self, aws: Cloud, logical_name: str, inputs: Inputs) -> str:
        service, operation, parameters = request(
            self.token, self.physical_name(logical_name, inputs), self.sent(inputs)
        )
        shape = aws(service).meta.service_model.operation_model(operation).input_shape
        report = ParamValidator().validate(parameters, shape)
        if report.has_errors():
            raise ParamValidationError(report=report.generate_report())
        self.before(aws, inputs)
        ident = self.ident(aws, inputs)
        aws.journal.add(self.token, ident, {**inputs, **self.outputs(ident, inputs)})
        return ident

    def before(self, aws: Cloud, inputs: Inputs) -> None:
        """What must be there first."""
        if "clusterName" in inputs:
            aws("eks").describe_cluster(name=inputs["clusterName"])

    def ident(self, aws: Cloud, inputs: Inputs) -> str:
        raise NotImplementedError

    def outputs(self, ident: str, inputs: Inputs) -> Properties:
        return {"arn": account_arn("double", ident)}

    def find(self, aws: Cloud, ident: str) -> Properties | None:
        return aws.journal.entries(self.token).get(ident)

    def update(self, aws: Cloud, ident: str, old: Inputs, new: Inputs) -> None:
        aws.journal.change(self.token, ident, {**new, **self.outputs(ident, new)})

    def delete(self, aws: Cloud, ident: str) -> None:
        aws.journal.remove(self.token, ident)


def counted(aws: Cloud, token: str, prefix: str) -> str:
    """An id that nothing else has: AWS makes two of these when asked twice."""
    taken = len(aws.journal.entries("counters"))
    ident = f"{prefix}-{hashlib.sha256(f'{token} {taken}'.encode()).hexdigest()[:17]}"
    aws.journal.add("counters", ident, {})
    return ident


@kind("aws:eks/addon:Addon")
class Addon(Journalled):
    forces_new = frozenset({"clusterName", "addonName"})
    computed = frozenset({"arn", "createdAt", "modifiedAt", "addonVersion"})

    def ident(self, aws: Cloud, inputs: Inputs) -> str:
        return f"{inputs['clusterName']}:{inputs['addonName']}"


@kind("aws:eks/accessEntry:AccessEntry")
class AccessEntry(Journalled):
    forces_new = frozenset({"clusterName", "principalArn", "type"})
    computed = frozenset({"accessEntryArn", "createdAt", "modifiedAt", "userName", "kubernetesGroups"})

    def ident(self, aws: Cloud, inputs: Inputs) -> str:
        return f"{inputs['clusterName']}:{inputs['principalArn']}"


@kind("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
class AccessPolicyAssociation(Journalled):
    forces_new = frozenset({"clusterName", "principalArn", "policyArn", "accessScope"})
    computed = frozenset({"associatedAt", "modifiedAt"})

    def ident(self, aws: Cloud, inputs: Inputs) -> str:
        return f"{inputs['clusterName']}:{inputs['principalArn']}#{inputs['policyArn']}"


@kind("aws:eks/podIdentityAssociation:PodIdentityAssociation")
class PodIdentityAssociation(Journalled):
    """One for each service account: EKS refuses a second."""

    forces_new = frozenset({"clusterName", "namespace", "serviceAccount"})
    computed = frozenset({"associationArn", "associationId", "externalId"})

    def ident(self, aws: Cloud, inputs: Inputs) -> str:
        return f"{inputs['clusterName']}:{inputs['namespace']}/{inputs['serviceAccount']}"


@kind("aws:ec2/placementGroup:PlacementGroup")
class PlacementGroup(Journalled):
    autonamed = "name"
    forces_new = frozenset({"name", "strategy", "partitionCount", "spreadLevel"})
    computed = frozenset({"arn", "placementGroupId"})

    def ident(self, aws: Cloud, inputs: Inputs) -> str:
        return str(inputs["name"])


@kind("aws:ec2/capacityReservation:CapacityReservation")
class CapacityReservation(Journalled):
    """It is billed from the moment that it is made, and two calls make two."""

    forces_new = frozenset({"instanceType", "instancePlatform", "availabilityZone", "tenancy", "placementGroupArn"})
    computed = frozenset({"arn", "ownerId"})

    def ident(self, aws: Cloud, inputs: Inputs) -> str:
        return counted(aws, self.token, "cr")
