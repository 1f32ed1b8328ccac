"""What a repository of a user's refuses, and what it takes over from a program of before: more than CI has time for."""

from __future__ import annotations

import json

from tests.e2e.pulumi.cli import Repository
from tests.e2e.pulumi.project.conftest import NAME
from tests.e2e.pulumi.project.running import agentgpu, refused


def test_a_plan_that_is_not_for_here_is_one_sentence_and_makes_nothing(repository: Repository) -> None:
    repository.up()
    agentgpu(repository, "plan", "agentstack.yaml", "-o", "plan.json")
    repository.run("config", "set", "agentgpu:plan", "plan.json")
    refused(repository, "agentgpu:plan: names a plan that is made (unset agentgpu:spec)")
    repository.run("config", "rm", "agentgpu:spec")
    plan = json.loads((repository.folder / "plan.json").read_text(encoding="utf-8"))
    for change, sentence in (
        ({"stack": "other"}, f"is for 'other', but this Pulumi stack holds the agents of '{NAME}'"),
        ({"target": "eks"}, "agentgpu:target: says 'kubernetes', but the plan is for 'eks'"),
    ):
        (repository.folder / "plan.json").write_text(json.dumps(plan | change), encoding="utf-8")
        refused(repository, sentence)
    (repository.folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    repository.run("config", "set", "agentgpu:context", "another")
    refused(repository, "there is no context 'another'")
    repository.run("config", "set", "agentgpu:context", "test")
    repository.destroy()


def made(repository: Repository) -> dict[tuple[str, str], str]:
    """When each object was made, by its type and id: objects of several types have one id, their namespace and name."""
    return {(each["type"], each["id"]): each["created"] for each in repository.resources() if "id" in each}


def test_a_stack_of_the_checkout_goes_on_in_a_repository(repository: Repository) -> None:
    """What stood at the root is moved into the component: nothing is made anew, and nothing goes."""
    program = repository.folder / "__main__.py"
    today = program.read_text(encoding="utf-8")
    program.write_text(BEFORE, encoding="utf-8")
    repository.up()
    before = made(repository)
    program.write_text(today, encoding="utf-8")
    planned = repository.planned()
    assert not {"delete", "replace", "create-replacement", "delete-replaced", "update"} & {
        op for op, urns in planned.items() for urn in urns if "pulumi:pulumi:Stack" not in urn
    }
    assert planned.get("create", []) == ["urn:pulumi:dev::desk::agentgpu:index:AgentStack::agents"]
    repository.up()
    assert made(repository) == before
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
