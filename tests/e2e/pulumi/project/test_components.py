"""The components from a second program, and as a provider that the engine starts for a program in any language."""

from __future__ import annotations

import json

from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.pulumi.cli import Repository
from tests.e2e.pulumi.kubernetes.scenes import drift, expected, left
from tests.e2e.pulumi.project.test_life import agentgpu, refused

OF_ANY_LANGUAGE = """
import pulumi


class AgentStack(pulumi.ComponentResource):
    agent_urls: pulumi.Output[dict] = pulumi.property("agentUrls")
    agent_stack: pulumi.Output[dict] = pulumi.property("agentStack")

    def __init__(self, name, **args):
        outputs = {"agentUrls": None, "agentStack": None, "cost": None}
        super().__init__("agentgpu:index:AgentStack", name, {**args, **outputs}, None, remote=True)


agents = AgentStack("agents", plan="plan.json", target="TARGET")
pulumi.export("url", agents.agent_urls["support"])
pulumi.export("agentStack", agents.agent_stack)
"""
"""What a generated SDK does: it knows the token and the names of the properties, and nothing of ours is imported."""

PARTS = """
import pulumi

import agentgpu_iac as agentgpu
from agentgpu_iac.provisioning.manifests import read_manifests
from agentgpu_iac.pulumi import Serving, ServingArgs

plan = agentgpu.load_plan(__import__("pathlib").Path("plan.json"))
Serving("own", ServingArgs(
    manifests=read_manifests(agentgpu.render(plan), frozenset()), kubeconfig="kubeconfig", context="test",
))
"""


def test_the_schema_is_what_other_languages_get(repository: Repository) -> None:
    provider = repository.folder / ".venv" / "bin" / "pulumi-resource-agentgpu"
    schema = json.loads(repository.run("package", "get-schema", str(provider)).stdout)
    assert schema["name"] == "agentgpu"
    assert {name.rpartition(":")[2] for name in schema["resources"]} == {
        "AgentStack", "Network", "Cluster", "GpuNodePool", "Karpenter", "ModelCacheBucket", "Serving",
    }  # fmt: skip
    whole = schema["resources"]["agentgpu:index:AgentStack"]
    assert {"agentUrls", "cost", "kubeconfig"} < set(whole["properties"])
    assert whole["required"] == ["agentStack"]
    assert all(one["isComponent"] and one["description"] for one in schema["resources"].values())


def test_a_program_in_any_language_has_the_component_from_its_provider(
    repository: Repository, equipped_cluster: ControlPlane
) -> None:
    objects = expected((repository.folder / "agentstack.yaml").read_text(encoding="utf-8"))
    agentgpu(repository, "plan", "agentstack.yaml", "-o", "plan.json")
    repository.run("config", "rm", "agentgpu:spec")
    program = repository.folder / "__main__.py"
    program.write_text(OF_ANY_LANGUAGE.replace("TARGET", "eks"), encoding="utf-8")
    refused(repository, "agentgpu:target: says 'eks', but the plan is for 'kubernetes'")
    program.write_text(OF_ANY_LANGUAGE.replace("TARGET", "kubernetes"), encoding="utf-8")
    repository.up()
    assert drift(equipped_cluster, objects) == []
    outputs = repository.outputs()
    assert outputs["url"] == "http://support.desk.svc.cluster.local:8000/v1"
    assert outputs["agentStack"]["name"] == "desk"
    repository.up("--expect-no-changes")

    repository.destroy()
    equipped_cluster.until("all is gone", lambda: not left(equipped_cluster, objects))

    program.write_text(PARTS, encoding="utf-8")
    repository.up()
    assert drift(equipped_cluster, objects) == []
    assert [one["type"] for one in repository.resources() if one["type"].startswith("agentgpu:")] == [
        "agentgpu:kubernetes:Serving"
    ]
    repository.destroy()
    equipped_cluster.until("all is gone again", lambda: not left(equipped_cluster, objects))
