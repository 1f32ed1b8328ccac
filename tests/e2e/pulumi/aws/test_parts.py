"""The parts alone, on the real engine and AWS provider: a program that knows them by name makes what its own would make.

The program asks for each as one in another language does: by its token, through the component provider, with outputs of one as
arguments of the next.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cli.running import agentgpu
from tests.e2e.pulumi.aws.front.server import Front
from tests.e2e.pulumi.aws.real import RealAccount, real_account
from tests.e2e.pulumi.aws.test_choices import BUCKET, SPEC

PROGRAM = """
import json
from pathlib import Path

import pulumi

PLAN = str(Path(__file__).parents[1] / "plan.json")
POOL = json.loads(Path(PLAN).read_text())["nodePools"][0]["name"]
ZONES = ["us-east-1a", "us-east-1b"]
settings = pulumi.Config("agentgpu")


def part(kind, name, inputs, *answers):
    inputs = {"plan": PLAN, **inputs, **dict.fromkeys(answers)}
    return pulumi.ComponentResource(f"agentgpu:index:{kind}", name, inputs, remote=True)


network = part("Network", "desk", {"zones": ZONES}, "vpcId", "privateSubnetIds")
by_zone = {zone: network.privateSubnetIds[zone] for zone in ZONES}
subnets = network.privateSubnetIds if settings.get("part") == "whole" else by_zone
cluster = part(
    "Cluster",
    "desk",
    {"subnetIds": subnets, "apiAllowedCidrs": settings.require_object("apiAllowedCidrs")},
    "clusterName", "kubeconfig", "nodeRoleArn", "securityGroupId",
)
pool = part(
    "GpuNodePool",
    POOL,
    {
        "pool": POOL,
        "subnetIds": subnets,
        "clusterName": cluster.clusterName,
        "nodeRoleArn": cluster.nodeRoleArn,
        "clusterSecurityGroupId": cluster.securityGroupId,
    },
    "nodeGroupArns",
)
part("ModelCacheBucket", "models", {"clusterName": cluster.clusterName, "create": True, "deleteWithStack": True})
pulumi.export("kubeconfig", cluster.kubeconfig)
pulumi.export("nodeGroupArns", pool.nodeGroupArns)
"""


@pytest.fixture(scope="module")
def parts(front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAccount]:
    """An empty account, and the program with its saved plan."""
    with real_account(tmp_path_factory.mktemp("parts"), front, SPEC) as made:
        folder = made.project.folder
        (folder / "stacks" / "__main__.py").write_text(PROGRAM, encoding="utf-8")
        made.project.run("config", "rm", "agentgpu:spec")
        written = agentgpu("plan", folder / "stacks" / "stack.yaml", "-o", folder / "plan.json")
        assert written.code == 0, written.err
        yield made


def test_zones_that_nobody_knows_yet_are_refused_in_a_sentence(parts: RealAccount) -> None:
    parts.project.config("agentgpu:part", "whole")
    refused = parts.project.run("preview", expect=None)
    parts.project.run("config", "rm", "agentgpu:part")
    assert refused.code != 0
    assert (
        "Cluster resource 'desk' has a problem: arguments of the component: subnetIds: must name its zones"
        in refused.text
    )
    assert parts.what_is_there() == {}


def test_network_cluster_nodes_and_bucket_are_made_one_after_the_other(parts: RealAccount) -> None:
    parts.project.up()
    plan = json.loads((parts.project.folder / "plan.json").read_text(encoding="utf-8"))
    (system, pool) = sorted(parts.node_groups(), key=lambda group: "system" not in group["nodegroupName"])
    assert pool["nodegroupName"].startswith(plan["nodePools"][0]["name"])
    assert pool["nodeRole"] == system["nodeRole"]
    assert len(pool["subnets"]) == len(system["subnets"]) == 2
    outputs = parts.project.outputs()
    assert outputs["nodeGroupArns"] == [pool["nodegroupArn"]]
    assert parts.what_is_there()["buckets"] == [BUCKET]
    assert ("desk", "model-cache") in parts.pod_roles()
    assert "client.authentication.k8s.io" in outputs["kubeconfig"]
    assert b"client.authentication.k8s.io" not in parts.project.stored(), "it is a secret"
    parts.project.up("--expect-no-changes")


def test_destroy_leaves_nothing(parts: RealAccount) -> None:
    parts.project.destroy()
    assert parts.what_is_there() == {}
