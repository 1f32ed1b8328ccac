"""The component provider on the real engine: its schema, and a program that knows the component by name alone.

The program asks for the component as one in another language does: by its token, through the engine, in another process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from agentgpu_iac import __version__
from agentgpu_iac.pulumi.provider import Components
from tests.cli.running import agentgpu
from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.pulumi.cli import Project
from tests.e2e.pulumi.kubernetes.scenes import drift, expected, left, stack

PROVIDER = Path(sys.executable).with_name("pulumi-resource-agentgpu")
NAME = "foreign"
PROGRAM = """
from pathlib import Path

import pulumi

FOLDER = Path(__file__).parents[1]
ANSWERS = {"agentStack": None, "agentUrls": None, "cost": None}
settings = pulumi.Config("agentgpu")
agents = pulumi.ComponentResource(
    "agentgpu:index:AgentStack",
    "agents",
    {
        "plan": str(FOLDER / settings.require("named")),
        "kubeconfig": settings.require("kubeconfig"),
        "context": settings.require("context"),
        **ANSWERS,
    },
    remote=True,
)
for name in ANSWERS:
    pulumi.export(name, getattr(agents, name))
"""


def test_the_engine_reads_the_schema(project: Callable[[str], Project]) -> None:
    pulumi = project(stack(NAME))
    schema = json.loads(pulumi.run("package", "get-schema", str(PROVIDER)).stdout)
    ours = json.loads(Components().schema or "")
    assert (schema["name"], schema["version"]) == ("agentgpu", __version__)
    assert schema["resources"].keys() == ours["resources"].keys()
    for name, one in schema["resources"].items():
        assert one["inputProperties"].keys() == ours["resources"][name]["inputProperties"].keys()


def test_a_program_makes_the_component_through_the_provider(
    equipped_cluster: ControlPlane, project: Callable[[str], Project]
) -> None:
    spec = stack(NAME)
    objects = expected(spec)
    pulumi = project(spec)
    (pulumi.folder / "stacks" / "__main__.py").write_text(PROGRAM, encoding="utf-8")
    pulumi.run("config", "rm", "agentgpu:spec")
    written = agentgpu("plan", pulumi.folder / "stacks" / "stack.yaml", "-o", pulumi.folder / "plan.json")
    assert written.code == 0, written.err

    pulumi.config("agentgpu:named", "plan.json")
    pulumi.up()
    assert drift(equipped_cluster, objects) == []
    assert pulumi.outputs()["agentStack"]["name"] == NAME
    assert pulumi.outputs()["agentUrls"].keys() == {"support"}
    pulumi.up("--expect-no-changes")
    pulumi.destroy()
    equipped_cluster.until("all is gone", lambda: not left(equipped_cluster, objects))
