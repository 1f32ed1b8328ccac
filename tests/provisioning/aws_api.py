"""Would AWS accept it? Turns recorded inputs into the calls that create the resources, and checks those calls
against the AWS service models: types and required members as botocore does, and beyond it enums, lengths and patterns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator

if TYPE_CHECKING:
    from tests.provisioning.recording import Recorded

SUFFIX = "-0123abc"
"""As long as the random suffix that Pulumi adds to a logical name."""

Inputs = Mapping[str, Any]


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tagged(resource_type: str) -> Callable[[Inputs], dict[str, Any]]:
    """EC2 spells the tags of a new resource as one tag specification."""
    return lambda inputs: {"TagSpecifications": [{"ResourceType": resource_type, "Tags": tag_list(inputs["tags"])}]}


def listed_tags(inputs: Inputs) -> dict[str, Any]:
    return {"Tags": tag_list(inputs["tags"])}


@dataclass(frozen=True, kw_only=True)
class ApiCall:
    """The API call that creates one type of resource."""

    service: str
    operation: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Inputs whose API member is called something else than the input with a capital letter."""
    own_name: str | None = None
    """The member that receives the physical name where Pulumi makes it from the logical one."""
    made: Mapping[str, Callable[[Inputs], dict[str, Any]]] = field(default_factory=dict)
    """Inputs that become members of another form."""
    elsewhere: frozenset[str] = frozenset()
    """Inputs that another API call takes later."""


_TEMPLATE_EXTRAS = ("placement", "instanceType", "instanceMarketOptions", "capacityReservationSpecification")


def launch_template_data(inputs: Inputs) -> dict[str, Any]:
    specifications = [{**one, "tags": tag_list(one["tags"])} for one in inputs["tagSpecifications"]]
    data = {
        key: inputs[key]
        for key in ("userData", "blockDeviceMappings", "metadataOptions", *_TEMPLATE_EXTRAS)
        if inputs.get(key) is not None
    }
    interfaces = [
        {("groups" if key == "securityGroups" else key): value for key, value in one.items()}
        for one in inputs.get("networkInterfaces") or ()
    ]
    if interfaces:
        data["networkInterfaces"] = interfaces
    return {"LaunchTemplateData": {**data, "tagSpecifications": specifications}}


def egress_permission(inputs: Inputs) -> dict[str, Any]:
    pair = {"GroupId": inputs["referencedSecurityGroupId"], "Description": inputs["description"]}
    return {"IpPermissions": [{"IpProtocol": inputs["ipProtocol"], "UserIdGroupPairs": [pair]}]}


def ingress_permission(inputs: Inputs) -> dict[str, Any]:
    ranges = [{"CidrIp": inputs["cidrIpv4"], "Description": inputs["description"]}]
    ports = {"FromPort": inputs["fromPort"], "ToPort": inputs["toPort"]}
    return {"IpPermissions": [{"IpProtocol": inputs["ipProtocol"], **ports, "IpRanges": ranges}]}


def budget(inputs: Inputs) -> dict[str, Any]:
    """The provider adds the account and, from the logical one, the name."""
    return {
        "AccountId": "123456789012",
        "Budget": {
            "BudgetName": "demo",
            "BudgetType": inputs["budgetType"],
            "TimeUnit": inputs["timeUnit"],
            "BudgetLimit": {"Amount": inputs["limitAmount"], "Unit": inputs["limitUnit"]},
            "CostFilters": {one["name"]: one["values"] for one in inputs["costFilters"]},
        },
        "NotificationsWithSubscribers": [
            {
                "Notification": {key: value for key, value in one.items() if key != "subscriberEmailAddresses"},
                "Subscribers": [
                    {"SubscriptionType": "EMAIL", "Address": email} for email in one["subscriberEmailAddresses"]
                ],
            }
            for one in inputs["notifications"]
        ],
        "ResourceTags": tag_list(inputs["tags"]),
    }


def queue_attributes(inputs: Inputs) -> dict[str, Any]:
    attributes = {
        "MessageRetentionPeriod": f"{inputs['messageRetentionSeconds']:.0f}",
        "SqsManagedSseEnabled": str(inputs["sqsManagedSseEnabled"]).lower(),
    }
    return {"Attributes": attributes}


def public_access(inputs: Inputs) -> dict[str, Any]:
    return {"PublicAccessBlockConfiguration": {key: value for key, value in inputs.items() if key != "bucket"}}


def encryption_rules(inputs: Inputs) -> dict[str, Any]:
    algorithms = [rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"] for rule in inputs["rules"]]
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}} for algorithm in algorithms]
    return {"ServerSideEncryptionConfiguration": {"Rules": rules}}


def lifecycle_rules(inputs: Inputs) -> dict[str, Any]:
    rules = [{("ID" if key == "id" else key): value for key, value in rule.items()} for rule in inputs["rules"]]
    return {"LifecycleConfiguration": {"Rules": rules}}


CALLS = {
    "aws:ec2/vpc:Vpc": ApiCall(
        service="ec2",
        operation="CreateVpc",
        made={"tags": tagged("vpc")},
        elsewhere=frozenset({"enableDnsHostnames", "enableDnsSupport"}),
    ),
    "aws:ec2/subnet:Subnet": ApiCall(
        service="ec2",
        operation="CreateSubnet",
        made={"tags": tagged("subnet")},
        elsewhere=frozenset({"mapPublicIpOnLaunch"}),
    ),
    "aws:ec2/internetGateway:InternetGateway": ApiCall(
        service="ec2",
        operation="CreateInternetGateway",
        made={"tags": tagged("internet-gateway")},
        elsewhere=frozenset({"vpcId"}),
    ),
    "aws:ec2/routeTable:RouteTable": ApiCall(
        service="ec2", operation="CreateRouteTable", made={"tags": tagged("route-table")}
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": ApiCall(service="ec2", operation="AssociateRouteTable"),
    "aws:ec2/route:Route": ApiCall(service="ec2", operation="CreateRoute"),
    "aws:ec2/eip:Eip": ApiCall(service="ec2", operation="AllocateAddress", made={"tags": tagged("elastic-ip")}),
    "aws:ec2/natGateway:NatGateway": ApiCall(
        service="ec2", operation="CreateNatGateway", made={"tags": tagged("natgateway")}
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ApiCall(
        service="ec2", operation="CreateVpcEndpoint", made={"tags": tagged("vpc-endpoint")}
    ),
    "aws:ec2/tag:Tag": ApiCall(
        service="ec2",
        operation="CreateTags",
        made={
            "resourceId": lambda inputs: {"Resources": [inputs["resourceId"]]},
            "key": lambda inputs: {"Tags": [{"Key": inputs["key"], "Value": inputs["value"]}]},
            "value": lambda inputs: {},
        },
    ),
    "aws:ec2/launchTemplate:LaunchTemplate": ApiCall(
        service="ec2",
        operation="CreateLaunchTemplate",
        own_name="LaunchTemplateName",
        made={
            "tagSpecifications": launch_template_data,
            "userData": lambda inputs: {},
            "blockDeviceMappings": lambda inputs: {},
            "metadataOptions": lambda inputs: {},
            "networkInterfaces": lambda inputs: {},
            **{name: lambda inputs: {} for name in _TEMPLATE_EXTRAS},
            "tags": tagged("launch-template"),
        },
        elsewhere=frozenset({"updateDefaultVersion"}),
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": ApiCall(
        service="ec2",
        operation="AuthorizeSecurityGroupEgress",
        renamed={"securityGroupId": "GroupId"},
        made={
            "referencedSecurityGroupId": egress_permission,
            "ipProtocol": lambda inputs: {},
            "description": lambda inputs: {},
            "tags": tagged("security-group-rule"),
        },
    ),
    "aws:ec2/securityGroup:SecurityGroup": ApiCall(
        service="ec2",
        operation="CreateSecurityGroup",
        own_name="GroupName",
        made={"tags": tagged("security-group")},
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": ApiCall(
        service="ec2",
        operation="AuthorizeSecurityGroupIngress",
        renamed={"securityGroupId": "GroupId"},
        made={
            "cidrIpv4": ingress_permission,
            "ipProtocol": lambda inputs: {},
            "fromPort": lambda inputs: {},
            "toPort": lambda inputs: {},
            "description": lambda inputs: {},
            "tags": tagged("security-group-rule"),
        },
    ),
    "aws:ec2/placementGroup:PlacementGroup": ApiCall(
        service="ec2",
        operation="CreatePlacementGroup",
        own_name="GroupName",
        made={"tags": tagged("placement-group")},
    ),
    "aws:ec2/capacityReservation:CapacityReservation": ApiCall(
        service="ec2", operation="CreateCapacityReservation", made={"tags": tagged("capacity-reservation")}
    ),
    "aws:budgets/budget:Budget": ApiCall(
        service="budgets",
        operation="CreateBudget",
        made={
            "budgetType": budget,
            **{
                name: lambda inputs: {}
                for name in ("timeUnit", "limitAmount", "limitUnit", "costFilters", "notifications", "tags")
            },
        },
    ),
    "aws:eks/accessEntry:AccessEntry": ApiCall(service="eks", operation="CreateAccessEntry"),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": ApiCall(
        service="eks", operation="AssociateAccessPolicy"
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": ApiCall(
        service="eks", operation="CreatePodIdentityAssociation"
    ),
    "aws:sqs/queue:Queue": ApiCall(
        service="sqs",
        operation="CreateQueue",
        renamed={"name": "QueueName"},
        made={"messageRetentionSeconds": queue_attributes, "sqsManagedSseEnabled": lambda inputs: {}},
    ),
    "aws:sqs/queuePolicy:QueuePolicy": ApiCall(
        service="sqs",
        operation="SetQueueAttributes",
        made={"policy": lambda inputs: {"Attributes": {"Policy": inputs["policy"]}}},
    ),
    "aws:cloudwatch/eventRule:EventRule": ApiCall(
        service="events", operation="PutRule", own_name="Name", made={"tags": listed_tags}
    ),
    "aws:cloudwatch/eventTarget:EventTarget": ApiCall(
        service="events",
        operation="PutTargets",
        made={
            "arn": lambda inputs: {"Targets": [{"Id": inputs["targetId"], "Arn": inputs["arn"]}]},
            "targetId": lambda inputs: {},
        },
    ),
    "aws:s3/bucket:Bucket": ApiCall(
        service="s3", operation="CreateBucket", elsewhere=frozenset({"tags", "forceDestroy"})
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": ApiCall(
        service="s3",
        operation="PutPublicAccessBlock",
        made={
            "blockPublicAcls": public_access,
            "blockPublicPolicy": lambda inputs: {},
            "ignorePublicAcls": lambda inputs: {},
            "restrictPublicBuckets": lambda inputs: {},
        },
    ),
    "aws:s3/bucketPolicy:BucketPolicy": ApiCall(service="s3", operation="PutBucketPolicy"),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": ApiCall(
        service="s3", operation="PutBucketEncryption", made={"rules": encryption_rules}
    ),
    "aws:s3/bucketVersioning:BucketVersioning": ApiCall(service="s3", operation="PutBucketVersioning"),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": ApiCall(
        service="s3", operation="PutBucketLifecycleConfiguration", made={"rules": lifecycle_rules}
    ),
    "aws:iam/role:Role": ApiCall(
        service="iam",
        operation="CreateRole",
        own_name="RoleName",
        renamed={"assumeRolePolicy": "AssumeRolePolicyDocument", "name": "RoleName"},
        made={"tags": listed_tags},
    ),
    "aws:iam/rolePolicy:RolePolicy": ApiCall(
        service="iam",
        operation="PutRolePolicy",
        own_name="PolicyName",
        renamed={"role": "RoleName", "policy": "PolicyDocument", "name": "PolicyName"},
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ApiCall(
        service="iam", operation="AttachRolePolicy", renamed={"role": "RoleName"}
    ),
    "aws:kms/key:Key": ApiCall(
        service="kms",
        operation="CreateKey",
        made={
            "tags": lambda inputs: {
                "Tags": [{"TagKey": key, "TagValue": value} for key, value in inputs["tags"].items()]
            }
        },
        elsewhere=frozenset({"enableKeyRotation"}),
    ),
    "aws:cloudwatch/logGroup:LogGroup": ApiCall(
        service="logs",
        operation="CreateLogGroup",
        renamed={"name": "logGroupName"},
        elsewhere=frozenset({"retentionInDays"}),
    ),
    "aws:eks/cluster:Cluster": ApiCall(
        service="eks",
        operation="CreateCluster",
        renamed={"vpcConfig": "resourcesVpcConfig"},
        made={
            "enabledClusterLogTypes": lambda inputs: {
                "logging": {"clusterLogging": [{"types": inputs["enabledClusterLogTypes"], "enabled": True}]}
            },
            "encryptionConfig": lambda inputs: {"encryptionConfig": [inputs["encryptionConfig"]]},
        },
    ),
    "aws:eks/addon:Addon": ApiCall(
        service="eks",
        operation="CreateAddon",
        renamed={"resolveConflictsOnCreate": "resolveConflicts"},
        elsewhere=frozenset({"resolveConflictsOnUpdate"}),
    ),
    "aws:eks/nodeGroup:NodeGroup": ApiCall(
        service="eks",
        operation="CreateNodegroup",
        own_name="nodegroupName",
        renamed={"subnetIds": "subnets", "nodeRoleArn": "nodeRole"},
    ),
}


def complaints(resource: Recorded) -> list[str]:
    """Everything that AWS would object to in creating this resource."""
    call = CALLS[resource.token]
    shape = _service(call.service).operation_model(call.operation).input_shape
    assert shape is not None
    parameters, unknown = _parameters(f"{resource.name}{SUFFIX}", resource.inputs, call, shape)
    report = ParamValidator().validate(parameters, shape)
    if report.has_errors():
        return [*unknown, report.generate_report()]
    return [*unknown, *_beyond_types(parameters, shape, resource.name)]


def request(token: str, physical_name: str, inputs: Inputs) -> tuple[str, str, dict[str, Any]]:
    """The service, the operation and the parameters that create a resource; refused where the API knows an input not."""
    call = CALLS[token]
    shape = _service(call.service).operation_model(call.operation).input_shape
    assert shape is not None
    parameters, unknown = _parameters(physical_name, inputs, call, shape)
    if unknown:
        raise ValueError("; ".join(unknown))
    return call.service, call.operation, parameters


@cache
def _service(name: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(name)


def _parameters(physical_name: str, inputs: Inputs, call: ApiCall, shape: Shape) -> tuple[dict[str, Any], list[str]]:
    raw: dict[str, Any] = {call.own_name: physical_name} if call.own_name else {}
    for key, value in inputs.items():
        if key in call.elsewhere:
            continue
        raw.update(call.made[key](inputs) if key in call.made else {call.renamed.get(key, key): value})
    unknown: list[str] = []
    return _shaped(raw, shape, physical_name, unknown), unknown


def _shaped(value: Any, shape: Shape, place: str, unknown: list[str]) -> Any:
    """Spell a value as the API does. Numbers arrive from Pulumi as floats, some booleans as words."""
    match shape.type_name:
        case "structure":
            members = {name[0].lower() + name[1:]: name for name in shape.members}
            result = {}
            for key, inner in value.items():
                name = members.get(key[0].lower() + key[1:])
                if name is None:
                    unknown.append(f"{place}: the API knows no {key}")
                else:
                    result[name] = _shaped(inner, shape.members[name], f"{place}.{name}", unknown)
            return result
        case "list":
            return [_shaped(inner, shape.member, f"{place}[]", unknown) for inner in value]
        case "map":
            return {key: _shaped(inner, shape.value, f"{place}.{key}", unknown) for key, inner in value.items()}
        case "integer" | "long" if isinstance(value, float) and value.is_integer():
            return int(value)
        case "boolean" if isinstance(value, str):
            return {"true": True, "false": False}.get(value, value)
        case _:
            return value


def _beyond_types(value: Any, shape: Shape, place: str) -> Iterator[str]:
    """What botocore leaves to the server: enums, greatest lengths, patterns."""
    match shape.type_name:
        case "structure":
            for name, inner in value.items():
                yield from _beyond_types(inner, shape.members[name], f"{place}.{name}")
        case "list":
            for inner in value:
                yield from _beyond_types(inner, shape.member, f"{place}[]")
        case "map":
            for key, inner in value.items():
                yield from _beyond_types(key, shape.key, f"{place}.{key}")
                yield from _beyond_types(inner, shape.value, f"{place}.{key}")
        case "string":
            enum = getattr(shape, "enum", None)
            if enum and value not in enum:
                yield f"{place}: {value!r} is none of {', '.join(enum)}"
            if len(value) > shape.metadata.get("max", len(value)):
                yield f"{place}: longer than {shape.metadata['max']} characters"
            if (pattern := shape.metadata.get("pattern")) and not re.fullmatch(_python_pattern(pattern), value):
                yield f"{place}: {value!r} does not match {pattern}"
        case _:
            pass


def _python_pattern(pattern: str) -> str:
    """AWS writes patterns for Java and Smithy; Python spells code points and classes differently, and takes neither flags
    nor a beginning in the middle."""
    pattern = pattern.replace("(?i)", "").replace("/^", "/")
    pattern = re.sub(r"\\u\{?([0-9A-Fa-f]{4,6})\}?", lambda found: f"\\U{found[1]:0>8}", pattern)
    return re.sub(r"\\p\{(?:L|Z|N|S|IsAlphabetic)\}", r"\\w\\s", pattern)
