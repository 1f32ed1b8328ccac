"""The component provider on the real engine: its schema, and a program that knows the component by name alone.

The program asks for the component as one in another language does: by its token, through the engine, in another process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import agentgpu_iac
from agentgpu_iac import __version__
from agentgpu_iac.pulumi.provider import Components
from tests.cli.running import agentgpu
from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.pulumi.cli import Project
from tests.e2e.pulumi.kubernetes.scenes import drift, expected, left, plugins, stack

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
        settings.get("means") or "plan": str(FOLDER / settings.require("named")),
        "target": settings.get("wanted"),
        "kubeconfig": settings.require("kubeconfig"),
        "context": settings.require("context"),
        **ANSWERS,
    },
    remote=True,
)
for name in ANSWERS:
    pulumi.export(name, getattr(agents, name))
"""

SERVING = """
from pathlib import Path

import pulumi

settings = pulumi.Config("agentgpu")
serving = pulumi.ComponentResource(
    "agentgpu:index:Serving",
    "serving",
    {
        "plan": str(Path(__file__).parents[1] / settings.require("named")),
        "kubeconfig": settings.require("kubeconfig"),
        "context": settings.require("context"),
        "notApplied": None,
    },
    remote=True,
)
pulumi.export("notApplied", serving.notApplied)
"""

WRONG = (
    ({"means": "plan", "named": "missing.json"}, "missing.json: cannot be read: No such file or directory"),
    (
        {"named": "plan.json", "wanted": "eks"},
        "configuration of the Pulumi stack: agentgpu:target: says 'eks', but the plan is for 'kubernetes'",
    ),
    ({"means": "spec", "named": "bad.yaml"}, "bad.yaml:3:7: kind: must be 'AgentStack', not 'AgentStak'"),
)
"""Settings, each on top of those before, and what is said of them."""


@pytest.fixture
def foreign(tmp_path: Path) -> Project:
    """A project whose program knows the component by name; no cluster is asked before its plan is read."""
    found = Project(tmp_path, stack(NAME), plugins=plugins())
    (found.folder / "stacks" / "__main__.py").write_text(PROGRAM, encoding="utf-8")
    found.run("config", "rm", "agentgpu:spec")
    for key in ("kubeconfig", "context"):
        found.config(f"agentgpu:{key}", "none")
    return found


def test_the_engine_reads_the_schema(foreign: Project) -> None:
    schema = json.loads(foreign.run("package", "get-schema", str(PROVIDER)).stdout)
    ours = json.loads(Components().schema or "")
    assert (schema["name"], schema["version"]) == ("agentgpu", __version__)
    assert schema["resources"].keys() == ours["resources"].keys()
    for name, one in schema["resources"].items():
        assert one["inputProperties"].keys() == ours["resources"][name]["inputProperties"].keys()


def test_what_is_wrong_with_a_plan_comes_through_the_provider_as_one_sentence(foreign: Project) -> None:
    (foreign.folder / "bad.yaml").write_text(
        stack(NAME).replace("kind: AgentStack", "kind: AgentStak"), encoding="utf-8"
    )
    written = agentgpu("plan", foreign.folder / "stacks" / "stack.yaml", "-o", foreign.folder / "plan.json")
    assert written.code == 0, written.err
    for settings, told in WRONG:
        for key, value in settings.items():
            foreign.config(f"agentgpu:{key}", value)
        refused = foreign.run("preview", expect=None)
        assert refused.code != 0
        (sentence,) = {line for line in refused.stdout.splitlines() if line.startswith("    error: agentgpu:index:")}
        assert f"AgentStack resource 'agents' has a problem: {told}" in sentence.replace(f"{foreign.folder}/", "")
        assert f"{Path(agentgpu_iac.__file__).parent}/" not in refused.text, (
            "the provider failed, not the program that asked"
        )


@pytest.mark.parametrize(
    ("program", "outputs"), [(PROGRAM, {"agentStack", "agentUrls", "cost"}), (SERVING, {"notApplied"})]
)
def test_a_program_makes_the_component_through_the_provider(
    program: str, outputs: set[str], equipped_cluster: ControlPlane, project: Callable[[str], Project]
) -> None:
    """A whole stack, and the part of it that needs a cluster alone. The others are tried in the suite of AWS."""
    spec = stack(NAME)
    objects = expected(spec)
    pulumi = project(spec)
    (pulumi.folder / "stacks" / "__main__.py").write_text(program, encoding="utf-8")
    pulumi.run("config", "rm", "agentgpu:spec")
    written = agentgpu("plan", pulumi.folder / "stacks" / "stack.yaml", "-o", pulumi.folder / "plan.json")
    assert written.code == 0, written.err

    pulumi.config("agentgpu:named", "plan.json")
    pulumi.up()
    assert drift(equipped_cluster, objects) == []
    found = pulumi.outputs()
    assert found.keys() == outputs
    if program is PROGRAM:
        assert found["agentStack"]["name"] == NAME
        assert found["agentUrls"].keys() == {"support"}
    pulumi.up("--expect-no-changes")
    pulumi.destroy()
    equipped_cluster.until("all is gone", lambda: not left(equipped_cluster, objects))
