"""What breaks the policy is refused by the real CLI: one message, a failed command, and nothing made or even asked for.

No provider is there, so that a program which asked one for anything would fail for want of its plugin.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.cluster.trees import tree_of_text
from tests.e2e.pulumi.cli import Project
from tests.e2e.pulumi.kubernetes.scenes import stack

REVIEWED = """
from pathlib import Path

import pulumi

import agentgpu_iac as agentgpu

try:
    plan = agentgpu.load_plan(Path(__file__).parent / "plan.json")
    agentgpu.deploy(plan, agentgpu.render(plan), pulumi.Config("agentgpu"))
except agentgpu.AgentGpuError as error:
    raise pulumi.RunError(str(error)) from None
"""
"""The program of someone who keeps plans in files, to review them before they are carried out."""

UNPRICED = """
apiVersion: agentgpu.dev/v1alpha1
kind: CatalogOverlay
providers: [{id: lab, name: Our lab, sources: [ours]}]
instanceTypes: [{provider: lab, name: rack, gpu: L40S, gpuCount: 1, vcpu: 16, memoryGib: 128, sources: [ours]}]
gpuAliases: [{provider: lab, gpu: L40S, accelerators: [l40s]}]
prices: [{provider: lab, instanceType: rack, region: any, capacityType: on-demand, usdPerHour: null, source: ours}]
"""


THE_ENGINES_OWN = "pulumi:providers:pulumi"
"""Tells a program what the stack holds already; it is part of the engine, and no plugin."""


def refusal(pulumi: Project) -> str:
    """What up says in the end; a preview fails too, and nothing is made."""
    for words in (("preview",), ("up", "--yes", "--skip-preview")):
        said = pulumi.run(*words, expect=None)
        assert said.code != 0
        assert "Traceback" not in said.text
        assert "plugin" not in said.text
    assert {each["type"] for each in pulumi.resources()} <= {"pulumi:pulumi:Stack", THE_ENGINES_OWN}
    return said.text.partition("Diagnostics:")[2]


def test_a_budget_that_no_plan_meets(tmp_path: Path) -> None:
    pulumi = Project(tmp_path, stack("dear", extra="capacity: {budgetUsdPerMonth: 10}"))
    assert refusal(pulumi).count("over the budget of USD 10.00 (capacity.budgetUsdPerMonth)") == 1


def test_a_machine_whose_price_nobody_knows(tmp_path: Path) -> None:
    pulumi = Project(tmp_path, stack("unpriced").replace("[aws]\n  regions: [us-east-1]", "[lab]"))
    (pulumi.folder / "prices.yaml").write_text(UNPRICED, encoding="utf-8")
    pulumi.config("agentgpu:catalog", "prices.yaml")
    assert refusal(pulumi).count("policy.allowUnpriced: true would count it") == 1


@pytest.mark.parametrize("target", ["kubernetes", "eks"])
def test_all_faults_of_a_plan_edited_by_hand_are_told_at_once(tmp_path: Path, target: str) -> None:
    spec = stack("edited").replace("target: kubernetes", f"target: {target}")
    plan = tree_of_text(spec).plan
    pools = tuple(
        pool.model_copy(update={"capacity_types": ("spot",), "price_known": False}) if pool.tier == "baseline" else pool
        for pool in plan.node_pools
    )
    policy = plan.policy.model_copy(update={"budget_usd_per_month": Decimal("10.00")})
    edited = plan.model_copy(update={"node_pools": pools, "policy": policy})
    pulumi = Project(tmp_path, spec)
    pulumi.config("aws:region", "us-east-1")
    (pulumi.folder / "stacks" / "__main__.py").write_text(REVIEWED, encoding="utf-8")
    (pulumi.folder / "stacks" / "plan.json").write_text(edited.model_dump_json(by_alias=True), encoding="utf-8")

    told = refusal(pulumi)
    assert "people wait for support, and spot nodes under a baseline may go at any time" in told
    machines = " or ".join(next(pool.instance_types for pool in pools if pool.tier == "baseline"))
    assert f"nobody knows what {machines} of aws costs here" in told
    assert "over the budget of USD 10.00" in told
    assert ("the cluster's API endpoint is public" in told) == (target == "eks")
