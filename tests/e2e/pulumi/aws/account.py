"""An AWS account of its own for a stack: a moto server, the doubles before it, and what an owner of the account sees."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.ports import HOST, free_ports
from tests.e2e.processes import PATIENCE_S, end, start
from tests.e2e.pulumi.aws import kubernetes_provider, provider
from tests.e2e.pulumi.aws.cloud import ACCOUNT, REGION, Cloud
from tests.e2e.pulumi.aws.faults import Faults
from tests.e2e.pulumi.aws.kinds import ROLLOUTS, tags
from tests.e2e.pulumi.aws.plugins import write_plugins
from tests.e2e.pulumi.cli import Project

OFFICE = "203.0.113.0/24"
"""Who may reach the cluster's API."""

_NOT_COUNTED = {"counters", ROLLOUTS}


class Account:
    """One stack's world: the project, the account that it fills, and the faults that a test orders."""

    def __init__(self, folder: Path, endpoint: str, spec: str) -> None:
        self.double = folder / "double"
        self.objects = folder / "objects"
        self.double.mkdir()
        self.objects.mkdir()
        self.aws = Cloud(endpoint, self.double)
        self.faults = Faults(self.double)
        environment = {**self._provider(endpoint), kubernetes_provider.FOLDER_VARIABLE: str(self.objects)}
        self.project = Project(folder, spec, plugins=self._plugins(folder / "plugins"), environment=environment)
        self.project.config("aws:region", REGION)
        self._configure()
        self.project.run("config", "set", "--path", "agentgpu:apiAllowedCidrs[0]", OFFICE)

    def _provider(self, endpoint: str) -> dict[str, str]:
        """How the provider of this world finds it."""
        alone = {"AWS_EC2_METADATA_DISABLED": "true"}  # the program itself asks EKS, and finds no credentials here
        return {provider.ENDPOINT_VARIABLE: endpoint, provider.FOLDER_VARIABLE: str(self.double), **alone}

    def _configure(self) -> None:
        """What the Pulumi stack is told of this world besides: the double acts as nobody."""
        self.project.config("aws:skipCredentialsValidation", "true")

    def _plugins(self, folder: Path) -> Path:
        """Where the provider of this world lies."""
        return write_plugins(folder)

    def node_groups(self) -> list[dict[str, Any]]:
        """The node groups of every cluster, as EKS describes them."""
        eks = self.aws("eks")
        return [
            eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]
            for cluster in eks.list_clusters()["clusters"]
            for name in eks.list_nodegroups(clusterName=cluster)["nodegroups"]
        ]

    def node_group(self, beginning: str) -> dict[str, Any]:
        """The node group whose name begins so."""
        (found,) = (group for group in self.node_groups() if group["nodegroupName"].startswith(beginning))
        return found

    def what_is_there(self) -> dict[str, list[str]]:
        """Every thing in the account that is not there from the start, by kind; names or ``Name`` tags, sorted.

        An orphan or a double of something is one entry too many in here, whoever made it.
        """
        ec2, iam = self.aws("ec2"), self.aws("iam")
        own_vpcs = [vpc for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]]
        ids = {vpc["VpcId"] for vpc in own_vpcs}
        eks = self.aws("eks")
        roles = [role["RoleName"] for role in iam.list_roles()["Roles"]]
        found = {
            "VPCs": _named(own_vpcs),
            "subnets": _named(one for one in ec2.describe_subnets()["Subnets"] if one["VpcId"] in ids),
            "internet gateways": _named(ec2.describe_internet_gateways()["InternetGateways"]),
            "NAT gateways": _named(
                one for one in ec2.describe_nat_gateways()["NatGateways"] if one["State"] != "deleted"
            ),
            "addresses": _named(ec2.describe_addresses()["Addresses"]),
            "route tables": _named(
                table
                for table in ec2.describe_route_tables()["RouteTables"]
                if table["VpcId"] in ids and not any(one["Main"] for one in table["Associations"])
            ),
            "endpoints": _named(
                one for one in ec2.describe_vpc_endpoints()["VpcEndpoints"] if one.get("State") != "deleted"
            ),
            "security groups": sorted(
                group["GroupName"]
                for group in ec2.describe_security_groups()["SecurityGroups"]
                if group["VpcId"] in ids and group["GroupName"] != "default"
            ),
            "launch templates": sorted(
                one["LaunchTemplateName"] for one in ec2.describe_launch_templates()["LaunchTemplates"]
            ),
            "roles": sorted(roles),
            "policies of roles": sorted(
                f"{role} {policy['PolicyArn'].rpartition('/')[2]}"
                for role in roles
                for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
            ),
            "keys": sorted(
                key["KeyId"]
                for key in self.aws("kms").list_keys()["Keys"]
                if self.aws("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] != "PendingDeletion"
            ),
            "log groups": sorted(one["logGroupName"] for one in self.aws("logs").describe_log_groups()["logGroups"]),
            "clusters": sorted(eks.list_clusters()["clusters"]),
            "node groups": sorted(group["nodegroupName"] for group in self.node_groups()),
            "buckets": sorted(bucket["Name"] for bucket in self.aws("s3").list_buckets()["Buckets"]),
            "queues": sorted(self.aws("sqs").list_queues().get("QueueUrls", [])),
            "event rules": sorted(rule["Name"] for rule in self.aws("events").list_rules()["Rules"]),
            "budgets": sorted(
                budget["BudgetName"]
                for budget in self.aws("budgets").describe_budgets(AccountId=ACCOUNT).get("Budgets", [])
            ),
            "objects": sorted(file.name for file in self.objects.iterdir()),
            **{token: sorted(entries) for token, entries in self._journal().items()},
        }
        return {name: things for name, things in found.items() if things}

    def shape(self) -> dict[str, int]:
        """How many there are of each kind: what two stacks of one spec have in common."""
        return {name: len(things) for name, things in self.what_is_there().items()}

    def _journal(self) -> dict[str, dict[str, Any]]:
        return {token: entries for token, entries in self.aws.journal.all().items() if token not in _NOT_COUNTED}


def _named(things: Any) -> list[str]:
    return sorted(tags(one.get("Tags")).get("Name", "(no name)") for one in things)


@contextmanager
def account(folder: Path, spec: str) -> Iterator[Account]:
    """A fresh account, and a project whose stack is not up yet."""
    (port,) = free_ports(1)
    environment = {**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "moto.log").open("wb") as log:
        command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)]
        server = start(command, env=environment, stdout=log, stderr=log)
        try:
            _await_server(port)
            yield Account(folder, f"http://{HOST}:{port}", spec)
        finally:
            end(server)


def _await_server(port: int) -> None:
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return
