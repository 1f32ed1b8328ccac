"""What breaks the policy is refused by the real CLI: one message, a failed command, and nothing made or even asked for."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.cluster.trees import tree_of_text
from tests.e2e.pulumi.cli import Project, Said
from tests.e2e.pulumi.kubernetes.scenes import stack

PLANNED_ELSEWHERE = """
from pathlib import Path

import pulumi

from agentgpu_iac.errors import AgentGpuError
from agentgpu_iac.planning.plan import Plan
from agentgpu_iac.provisioning.program import deploy
from agentgpu_iac.rendering.render import render

plan = Plan.model_validate_json((Path(__file__).parent / "plan.json").read_text())
try:
    deploy(plan, render(plan), pulumi.Config("agentgpu"))
except AgentGpuError as error:
    raise pulumi.RunError(str(error)) from None
"""
"""A program that carries out a plan from a file, as someone does who reviews plans before they are applied."""


def refused(pulumi: Project) -> Said:
    """What preview and up say, which both fail before anything is made."""
    for words in (("preview",), ("up", "--yes", "--skip-preview")):
        said = pulumi.run(*words, expect=None)
        assert said.code not in {0, None}
        assert "Traceback" not in said.text
        assert {each["type"] for each in pulumi.resources()} <= {"pulumi:pulumi:Stack"}
    return said


def test_a_budget_that_no_plan_meets(tmp_path: Path) -> None:
    pulumi = Project(tmp_path, stack("dear", extra="capacity: {budgetUsdPerMonth: 10}"))
    said = refused(pulumi)
    assert said.text.count("over the budget of USD 10.00 (capacity.budgetUsdPerMonth)") == 1


@pytest.mark.parametrize("target", ["kubernetes", "eks"])
def test_a_plan_edited_by_hand_is_told_all_its_faults(tmp_path: Path, target: str) -> None:
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
    (pulumi.folder / "stacks" / "__main__.py").write_text(PLANNED_ELSEWHERE, encoding="utf-8")
    (pulumi.folder / "stacks" / "plan.json").write_text(edited.model_dump_json(by_alias=True), encoding="utf-8")

    said = refused(pulumi)
    assert "people wait for support, and spot nodes under a baseline may go at any time" in said.text
    assert "nobody knows what g7e.2xlarge of aws costs here" in said.text
    assert "over the budget of USD 10.00" in said.text
    assert "plugin" not in said.text
