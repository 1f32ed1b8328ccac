"""The component: what it reads, what it makes and where, what it tells, and what it refuses before it exists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pulumi
import pytest
import yaml

import agentgpu_iac.pulumi as components
from agentgpu_iac import __version__
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.writing import plan_text
from agentgpu_iac.provisioning.program import deploy
from agentgpu_iac.pulumi import AgentStack, AgentStackArgs
from agentgpu_iac.pulumi.arguments import Answers, camel
from tests.plans import make_plan
from tests.provisioning.recording import Recording, record
from tests.rendered import rendered_once

ROOT = Path(__file__).parents[2]
SECRETS = {"secrets", "spheronApiKey", "sshPrivateKey"}
COMPONENT = "agentgpu:index:AgentStack"


def made_here(plan: Plan) -> Plan:
    made = plan.provenance.model_copy(
        update={"tool_version": __version__, "catalog_version": load_catalog().version, "spec_sha256": "0" * 64}
    )
    return plan.model_copy(update={"provenance": made})


@pytest.fixture(scope="module")
def plan() -> Plan:
    return made_here(make_plan(target="kubernetes"))


@pytest.fixture
def saved(tmp_path: Path, plan: Plan) -> Callable[[Plan], str]:
    def saved(changed: Plan = plan) -> str:
        path = tmp_path / "plan.json"
        path.write_text(plan_text(changed), encoding="utf-8")
        return str(path)

    return saved


def run(args: AgentStackArgs, last_outputs: dict[str, object] | None = None) -> Recording:
    def program() -> None:
        for name, value in AgentStack("agents", args).outputs.items():
            pulumi.export(name, value)

    return record(program, last_outputs=last_outputs)


def refusal(args: AgentStackArgs, last_outputs: dict[str, object] | None = None) -> str:
    told: list[str] = []

    def program() -> None:
        with pytest.raises(pulumi.RunError) as refused:
            AgentStack("agents", args)
        told.append(str(refused.value))

    assert record(program, last_outputs=last_outputs).resources == []
    return told[0]


def test_arguments_are_the_keys_of_the_configuration_but_for_what_is_secret() -> None:
    keys = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
    assert {camel(field.name) for field in fields(AgentStackArgs)} == set(keys) - SECRETS


def test_what_is_said_comes_before_what_is_configured() -> None:
    def program() -> None:
        pulumi.runtime.set_all_config(
            {"agentgpu:burstNodes": "1", "agentgpu:vpcId": "vpc-1", "agentgpu:reserve": "true"}
        )
        config = Answers(AgentStackArgs(burst_nodes=2, api_allowed_cidrs=["10.0.0.0/8"], reserve=False))
        assert config.get_int("burstNodes") == 2
        assert config.get_object("apiAllowedCidrs") == ["10.0.0.0/8"]
        assert config.get_bool("reserve") is False
        assert (config.get("vpcId"), config.get("spec"), config.get_object("adminRoleArns")) == ("vpc-1", None, None)

    record(program)


def test_a_saved_plan_is_applied_within_the_component(saved: Callable[..., str], plan: Plan) -> None:
    recording = run(AgentStackArgs(plan=saved()))
    assert [one.name for one in recording.of(COMPONENT)] == ["agents"]
    assert len(recording.of("agentgpu:kubernetes:Serving")) == 1
    assert recording.outputs["agentStack"] == {
        "name": plan.stack, "target": "kubernetes", "toolVersion": __version__,
        "catalogVersion": load_catalog().version, "specSha256": "0" * 64,
    }  # fmt: skip


def test_the_component_makes_what_a_program_without_it_makes(saved: Callable[..., str], plan: Plan) -> None:
    within = run(AgentStackArgs(plan=saved()))
    alone = record(lambda: deploy(plan, rendered_once(plan), pulumi.Config("agentgpu")))
    made = [(one.token, one.name, one.inputs) for one in within.resources if one.token != COMPONENT]
    assert made == [(one.token, one.name, one.inputs) for one in alone.resources]
    assert within.outputs == alone.outputs


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({}, "agentgpu:plan: is missing, and so is agentgpu:spec (set agentgpu:spec"),
        ({"spec": "a.yaml", "plan": "b.json"}, "agentgpu:plan: names a plan that is made (unset agentgpu:spec)"),
        ({"spec": "nowhere.yaml"}, "nowhere.yaml"),
        ({"plan": "nowhere.json"}, "nowhere.json"),
    ],
)
def test_what_is_not_there_is_told_before_anything_is_made(args: dict[str, str], told: str) -> None:
    sentence = refusal(AgentStackArgs(**args))
    assert told in sentence
    assert "\n" not in sentence


def test_a_plan_for_another_target_is_refused(saved: Callable[..., str]) -> None:
    told = refusal(AgentStackArgs(plan=saved(), target="eks"))
    assert "agentgpu:target: says 'eks', but the plan is for 'kubernetes'" in told


def test_a_plan_of_another_version_is_refused(saved: Callable[..., str], plan: Plan) -> None:
    old = plan.model_copy(update={"provenance": plan.provenance.model_copy(update={"tool_version": "0.0.9"})})
    told = refusal(AgentStackArgs(plan=saved(old)))
    assert f"was made by agentgpu 0.0.9, and this is {__version__}" in told
    assert "\n" not in told


def test_a_plan_of_other_facts_than_those_that_are_named_is_refused(
    saved: Callable[..., str], plan: Plan, tmp_path: Path
) -> None:
    rows = tmp_path / "mine.yaml"
    rows.write_text("apiVersion: agentgpu.dev/v1alpha1\nkind: CatalogOverlay\n", encoding="utf-8")
    other = plan.model_copy(update={"provenance": plan.provenance.model_copy(update={"catalog_version": "0" * 12})})
    assert "was made with the catalog 000000000000, and with mine.yaml it is" in refusal(
        AgentStackArgs(plan=saved(other), catalog=str(rows))
    )
    assert run(AgentStackArgs(plan=saved(other))).of(COMPONENT)  # without the rows it is a warning


@pytest.mark.parametrize(
    ("held", "told"),
    [
        ({"name": "other", "target": "kubernetes"}, "this Pulumi stack holds the agents of 'other'"),
        ({"target": "eks"}, "this Pulumi stack holds a deployment for 'eks'"),
    ],
)
def test_a_pulumi_stack_of_something_else_is_left_alone(
    saved: Callable[..., str], plan: Plan, held: dict[str, str], told: str
) -> None:
    last = {"agentStack": {"name": plan.stack, "target": "kubernetes"} | held}
    assert told in refusal(AgentStackArgs(plan=saved()), last)
    same = {"agentStack": {"name": plan.stack, "target": "kubernetes"}}
    assert run(AgentStackArgs(plan=saved()), same).of(COMPONENT)


def test_the_public_components() -> None:
    """A name that is added here is kept; one that is taken away breaks programs."""
    assert set(components.__all__) == {
        "AgentStack", "AgentStackArgs", "ApiEndpoint", "Cluster", "ClusterArgs", "GpuNodePool", "GpuNodePoolArgs", "Karpenter",
        "KarpenterArgs", "ModelCacheBucket", "ModelCacheBucketArgs", "Network", "NetworkArgs", "Serving", "ServingArgs",
        "SpheronMachines", "SpheronMachinesArgs",
    }  # fmt: skip
    for name in components.__all__:
        found = getattr(components, name)
        assert found.__doc__
        if not name.endswith("Args") and name != "ApiEndpoint":
            assert issubclass(found, pulumi.ComponentResource)
