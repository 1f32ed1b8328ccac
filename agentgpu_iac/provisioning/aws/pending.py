"""What an interrupted ``pulumi up`` may have left in AWS: where to look for it, and the file that imports it.

When Pulumi is killed while AWS makes something, its state keeps the intention (a pending operation) and no id. These
functions read the exported state, and say for each such intention which command tells whether the thing exists, and under
which id ``pulumi import`` knows it. Names and tags come from the state: physical names are drawn before the create call.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentgpu_iac.plan.nodes import POOL_LABEL, STACK_LABEL

Inputs = Mapping[str, Any]

KEPT_ONCE = frozenset(
    {
        "aws:cloudwatch/eventTarget:EventTarget",
        "aws:ec2/tag:Tag",
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "aws:s3/bucketVersioning:BucketVersioning",
        "aws:sqs/queuePolicy:QueuePolicy",
    }
)
"""Made twice it is still one: nothing to look for. Where these have names, the program gives them fixed ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingCreate:
    """A resource that AWS was asked to create, whose response was never received."""

    resource_type: str
    name: str
    """Logical name."""
    parent: str
    look_up: str
    """Command that answers with an id or a name if the thing exists, and with nothing or an error if it does not."""
    ident: str | None
    """The id to import it by; None where the look-up answers with it."""


def pending_creates(export: Mapping[str, Any]) -> tuple[PendingCreate, ...]:
    """The interrupted creates in the output of ``pulumi stack export``.

    Kubernetes objects are not among them (they are applied under their own names), nor what may be made twice.
    """
    operations = export["deployment"].get("pending_operations") or ()
    resources = (operation["resource"] for operation in operations if operation["type"] == "creating")
    return tuple(
        _pending(resource)
        for resource in resources
        if resource["type"].startswith("aws:") and resource["type"] not in KEPT_ONCE
    )


def import_file(pending: tuple[PendingCreate, ...]) -> dict[str, Any]:
    """What ``pulumi import --file`` reads, with an empty id wherever the look-up has to tell it."""
    parents = {
        parent: f"parent{number}" for number, parent in enumerate(dict.fromkeys(create.parent for create in pending))
    }
    return {
        "nameTable": {key: parent for parent, key in parents.items()},
        "resources": [
            {
                "type": create.resource_type,
                "name": create.name,
                "parent": parents[create.parent],
                "id": create.ident or "",
            }
            for create in pending
        ],
    }


def _pending(resource: Mapping[str, Any]) -> PendingCreate:
    look_up, ident = where(resource["type"], resource.get("inputs") or {})
    return PendingCreate(
        resource_type=resource["type"],
        name=resource["urn"].rpartition("::")[2],
        parent=resource["parent"],
        look_up=look_up,
        ident=ident,
    )


def where(resource_type: str, inputs: Inputs) -> tuple[str, str | None]:
    """The command that tells whether it is there, and the id to import it by; None where the command answers with it."""
    if resource_type in _NAME_TAGGED:
        return _by_name_tag(_NAME_TAGGED[resource_type], inputs), None
    if resource_type in _LOOK_UPS:
        return _LOOK_UPS[resource_type](inputs)
    return f"# look for {resource_type} in the AWS console", None


_NAME_TAGGED = {
    "aws:ec2/internetGateway:InternetGateway": "internet-gateway",
    "aws:ec2/routeTable:RouteTable": "route-table",
    "aws:ec2/subnet:Subnet": "subnet",
    "aws:ec2/vpc:Vpc": "vpc",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "vpc-endpoint",
}
"""What carries its logical name as the tag ``Name``, by EC2's word for the type."""


def _aws(*words: str) -> str:
    return shlex.join(("aws", *words, "--output", "text"))


def _by_name_tag(kind: str, inputs: Inputs) -> str:
    filters = (
        f"Name=resource-type,Values={kind}",
        "Name=key,Values=Name",
        f"Name=value,Values={inputs['tags']['Name']}",
    )
    return _aws("ec2", "describe-tags", "--filters", *filters, "--query", "Tags[].ResourceId")


def _address(inputs: Inputs) -> tuple[str, str | None]:
    filters = f"Name=tag:Name,Values={inputs['tags']['Name']}"
    return _aws("ec2", "describe-addresses", "--filters", filters, "--query", "Addresses[].AllocationId"), None


def _nat_gateway(inputs: Inputs) -> tuple[str, str | None]:
    """Tags alone do not suffice: deleted gateways are listed for an hour."""
    filters = (f"Name=tag:Name,Values={inputs['tags']['Name']}", "Name=state,Values=pending,available")
    return _aws("ec2", "describe-nat-gateways", "--filter", *filters, "--query", "NatGateways[].NatGatewayId"), None


def _launch_template(inputs: Inputs) -> tuple[str, str | None]:
    query = "LaunchTemplates[].LaunchTemplateId"
    words = ("ec2", "describe-launch-templates", "--launch-template-names", inputs["name"], "--query", query)
    return _aws(*words), None


def _security_group(inputs: Inputs) -> tuple[str, str | None]:
    filters = f"Name=group-name,Values={inputs['name']}"
    query = "SecurityGroups[].GroupId"
    return _aws("ec2", "describe-security-groups", "--filters", filters, "--query", query), None


def _security_group_rule(inputs: Inputs) -> tuple[str, str | None]:
    filters = f"Name=group-id,Values={inputs['securityGroupId']}"
    query = f"SecurityGroupRules[?Description=='{inputs['description']}'].SecurityGroupRuleId"
    return _aws("ec2", "describe-security-group-rules", "--filters", filters, "--query", query), None


def _route_table_association(inputs: Inputs) -> tuple[str, str | None]:
    table, subnet = inputs["routeTableId"], inputs["subnetId"]
    query = f"RouteTables[].Associations[?SubnetId=='{subnet}'].SubnetId[]"
    return _aws("ec2", "describe-route-tables", "--route-table-ids", table, "--query", query), f"{subnet}/{table}"


def _route(inputs: Inputs) -> tuple[str, str | None]:
    table, destination = inputs["routeTableId"], inputs["destinationCidrBlock"]
    query = f"RouteTables[].Routes[?DestinationCidrBlock=='{destination}'].DestinationCidrBlock[]"
    return _aws("ec2", "describe-route-tables", "--route-table-ids", table, "--query", query), f"{table}_{destination}"


def _placement_group(inputs: Inputs) -> tuple[str, str | None]:
    query = "PlacementGroups[].GroupName"
    words = ("ec2", "describe-placement-groups", "--group-names", inputs["name"], "--query", query)
    return _aws(*words), inputs["name"]


def _capacity_reservation(inputs: Inputs) -> tuple[str, str | None]:
    filters = (f"Name=tag:{POOL_LABEL},Values={inputs['tags'][POOL_LABEL]}", "Name=state,Values=active,pending")
    query = "CapacityReservations[].CapacityReservationId"
    return _aws("ec2", "describe-capacity-reservations", "--filters", *filters, "--query", query), None


def _budget(inputs: Inputs) -> tuple[str, str | None]:
    query = f"Budgets[?BudgetName=='{inputs['name']}'].BudgetName"
    return _aws("budgets", "describe-budgets", "--account-id", "ACCOUNT", "--query", query), f"ACCOUNT:{inputs['name']}"


def _role(inputs: Inputs) -> tuple[str, str | None]:
    return _aws("iam", "get-role", "--role-name", inputs["name"], "--query", "Role.RoleName"), inputs["name"]


def _key(inputs: Inputs) -> tuple[str, str | None]:
    words = (
        "--resource-type-filters",
        "kms:key",
        "--tag-filters",
        f"Key={STACK_LABEL},Values={inputs['tags'][STACK_LABEL]}",
    )
    query = "ResourceTagMappingList[].ResourceARN"
    return _aws("resourcegroupstaggingapi", "get-resources", *words, "--query", query), None


def _log_group(inputs: Inputs) -> tuple[str, str | None]:
    query = "logGroups[].logGroupName"
    words = ("logs", "describe-log-groups", "--log-group-name-prefix", inputs["name"], "--query", query)
    return _aws(*words), inputs["name"]


def _cluster(inputs: Inputs) -> tuple[str, str | None]:
    return _aws("eks", "describe-cluster", "--name", inputs["name"], "--query", "cluster.name"), inputs["name"]


def _addon(inputs: Inputs) -> tuple[str, str | None]:
    cluster, addon = inputs["clusterName"], inputs["addonName"]
    words = ("--cluster-name", cluster, "--addon-name", addon, "--query", "addon.addonName")
    return _aws("eks", "describe-addon", *words), f"{cluster}:{addon}"


def _node_group(inputs: Inputs) -> tuple[str, str | None]:
    cluster, group = inputs["clusterName"], inputs["nodeGroupName"]
    words = ("--cluster-name", cluster, "--nodegroup-name", group, "--query", "nodegroup.nodegroupName")
    return _aws("eks", "describe-nodegroup", *words), f"{cluster}:{group}"


def _access_entry(inputs: Inputs) -> tuple[str, str | None]:
    cluster, principal = inputs["clusterName"], inputs["principalArn"]
    words = ("--cluster-name", cluster, "--principal-arn", principal, "--query", "accessEntry.principalArn")
    return _aws("eks", "describe-access-entry", *words), f"{cluster}:{principal}"


def _pod_identity(inputs: Inputs) -> tuple[str, str | None]:
    words = ("--namespace", inputs["namespace"], "--service-account", inputs["serviceAccount"])
    query = "associations[].join(',', [clusterName, associationId])"
    cluster = ("--cluster-name", inputs["clusterName"])
    return _aws("eks", "list-pod-identity-associations", *cluster, *words, "--query", query), None


def _bucket(inputs: Inputs) -> tuple[str, str | None]:
    name = inputs["bucket"]
    return _aws("s3api", "list-buckets", "--query", f"Buckets[?Name=='{name}'].Name"), name


def _queue(inputs: Inputs) -> tuple[str, str | None]:
    return _aws("sqs", "get-queue-url", "--queue-name", inputs["name"], "--query", "QueueUrl"), None


def _event_rule(inputs: Inputs) -> tuple[str, str | None]:
    name = inputs["name"]
    return _aws("events", "list-rules", "--name-prefix", name, "--query", "Rules[].Name"), f"default/{name}"


_LOOK_UPS: dict[str, Callable[[Inputs], tuple[str, str | None]]] = {
    "aws:budgets/budget:Budget": _budget,
    "aws:cloudwatch/eventRule:EventRule": _event_rule,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:ec2/capacityReservation:CapacityReservation": _capacity_reservation,
    "aws:ec2/eip:Eip": _address,
    "aws:ec2/launchTemplate:LaunchTemplate": _launch_template,
    "aws:ec2/natGateway:NatGateway": _nat_gateway,
    "aws:ec2/placementGroup:PlacementGroup": _placement_group,
    "aws:ec2/route:Route": _route,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _route_table_association,
    "aws:ec2/securityGroup:SecurityGroup": _security_group,
    "aws:eks/accessEntry:AccessEntry": _access_entry,
    "aws:eks/addon:Addon": _addon,
    "aws:eks/cluster:Cluster": _cluster,
    "aws:eks/nodeGroup:NodeGroup": _node_group,
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _pod_identity,
    "aws:iam/role:Role": _role,
    "aws:kms/key:Key": _key,
    "aws:s3/bucket:Bucket": _bucket,
    "aws:sqs/queue:Queue": _queue,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _security_group_rule,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _security_group_rule,
}


def instructions(pending: tuple[PendingCreate, ...]) -> Iterator[str]:
    """What to do with each of them, in lines for a person."""
    for create in pending:
        yield f"{create.resource_type} {create.name}"
        yield f"  {create.look_up}"
        if create.resource_type == "aws:kms/key:Key":
            yield "  id: what stands behind key/ in the answer"
        elif create.ident is None:
            yield "  id: the answer"
        else:
            yield f"  id: {create.ident}, if it answers"
