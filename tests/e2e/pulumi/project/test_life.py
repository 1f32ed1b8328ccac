"""``agentgpu init --pulumi`` in an empty folder, from the wheel: the real engine applies the spec, and then the saved plan."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from agentgpu_iac import __version__
from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.pulumi.cli import Repository
from tests.e2e.pulumi.kubernetes.scenes import drift, expected, left
from tests.e2e.pulumi.project.conftest import NAME

ENGINE_REFUSED = 1
"""The engine's own code for a program that ends with an error."""


def agentgpu(repository: Repository, *words: str) -> None:
    """Run our command as the repository's environment has it."""
    command = repository.folder / ".venv" / "bin" / "agentgpu"
    subprocess.run([command, *words], cwd=repository.folder, env=repository.environment, check=True)


def refused(repository: Repository, *sentences: str) -> None:
    """An up that says one sentence, ends with the engine's code, and makes nothing."""
    before = repository.resources()
    said = repository.up(expect=None)
    told = said.text.partition("Diagnostics:")[2]
    assert said.code == ENGINE_REFUSED
    assert "Traceback" not in said.text
    for sentence in sentences:
        assert told.count(sentence) == 1, told
    assert {each["urn"] for each in repository.resources()} <= {
        *(each["urn"] for each in before),
        "urn:pulumi:dev::desk::pulumi:pulumi:Stack::desk-dev",
    }


def test_a_repository_from_its_spec_to_a_reviewed_plan_and_to_nothing(
    repository: Repository, equipped_cluster: ControlPlane
) -> None:
    spec = (repository.folder / "agentstack.yaml").read_text(encoding="utf-8")
    objects = expected(spec)
    repository.up()
    assert drift(equipped_cluster, objects) == []
    outputs = repository.outputs()
    assert set(outputs) == {"agentUrls", "cost", "prerequisites", "notApplied", "agentStack"}
    assert outputs["agentStack"] | {"specSha256": "", "catalogVersion": ""} == {
        "name": NAME, "target": "kubernetes", "toolVersion": __version__, "specSha256": "", "catalogVersion": "",
    }  # fmt: skip
    (component,) = (each for each in repository.resources() if each["type"] == "agentgpu:index:AgentStack")
    assert component["outputs"]["agentUrls"] == outputs["agentUrls"]

    agentgpu(repository, "plan", "agentstack.yaml", "-o", "plan.json")
    repository.run("config", "set", "agentgpu:plan", "plan.json")
    refused(repository, "agentgpu:plan: names a plan that is made (unset agentgpu:spec)")
    repository.run("config", "rm", "agentgpu:spec")
    repository.up("--expect-no-changes")

    plan = json.loads((repository.folder / "plan.json").read_text(encoding="utf-8"))
    for change, sentence in (
        ({"stack": "other"}, f"is for 'other', but this Pulumi stack holds the agents of '{NAME}'"),
        ({"provenance": {**plan["provenance"], "toolVersion": "0.0.9"}}, "was made by agentgpu 0.0.9, and this is"),
        ({"target": "eks"}, "agentgpu:target: says 'kubernetes', but the plan is for 'eks'"),
    ):
        (repository.folder / "plan.json").write_text(json.dumps(plan | change), encoding="utf-8")
        refused(repository, sentence)
    (repository.folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    repository.run("config", "set", "agentgpu:context", "another")
    refused(repository, "there is no context 'another'")
    repository.run("config", "set", "agentgpu:context", "test")

    repository.destroy()
    assert repository.resources() == []
    equipped_cluster.until("all is gone", lambda: not left(equipped_cluster, objects))


def test_a_stack_of_the_checkout_goes_on_in_a_repository(
    repository: Repository, equipped_cluster: ControlPlane, tmp_path: Path
) -> None:
    """What stood at the root is moved into the component: nothing is made anew, and nothing goes."""
    program = repository.folder / "__main__.py"
    today = program.read_text(encoding="utf-8")
    program.write_text(BEFORE, encoding="utf-8")
    repository.up()
    before = {each["id"]: each for each in repository.resources() if "id" in each}
    program.write_text(today, encoding="utf-8")
    planned = repository.planned()
    assert not {"delete", "replace", "create-replacement", "delete-replaced", "update"} & {
        op for op, urns in planned.items() for urn in urns if "pulumi:pulumi:Stack" not in urn
    }
    assert planned.get("create", []) == ["urn:pulumi:dev::desk::agentgpu:index:AgentStack::agents"]
    repository.up()
    after = {each["id"]: each for each in repository.resources() if "id" in each}
    assert before.keys() == after.keys()
    assert {each["created"] for each in before.values()} == {each["created"] for each in after.values()}
    repository.destroy()


BEFORE = """
from pathlib import Path

import pulumi

import agentgpu_iac as agentgpu

spec = Path(__file__).parent / "agentstack.yaml"
plan = agentgpu.make_plan(agentgpu.load_stack(spec), agentgpu.load_catalog())
agentgpu.deploy(plan, agentgpu.render(plan), pulumi.Config("agentgpu"))
"""
"""A program of before: everything at the root."""
