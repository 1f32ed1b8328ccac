"""Figures that stand in sentences are those of the plan that the sentence speaks of."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.spec.loader import load_text
from tests.pages.blocks import BLOCKS, ROOT, Block

CUSTOMER_SERVICE = (ROOT / "stacks" / "customer-service.yaml").read_text(encoding="utf-8")


def text(page: str) -> str:
    """A page as one line."""
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


def block(page: str, holds: str) -> Block:
    """The one block of a page that holds these words."""
    (found,) = (each for each in BLOCKS if each.page == page and holds in each.text)
    return found


def month(plan: Plan) -> str:
    """What the baseline costs, as pages write it."""
    return f"{plan.cost.baseline_usd_per_month:,.2f}"


@pytest.fixture(scope="module")
def five_agents() -> tuple[Plan, Plan]:
    """The page's five agents, and the same without their hours."""
    spec = block("docs/write-a-spec.md", "name: five-agents").text
    always = "".join(line for line in spec.splitlines(keepends=True) if "schedule:" not in line)
    first, second = (make_plan(load_text(each, "page"), load_catalog()) for each in (spec, always))
    return first, second


def test_the_five_agents_cost_what_is_said(five_agents: tuple[Plan, Plan]) -> None:
    said = text("docs/write-a-spec.md").partition("answers with ")[2].partition("More examples")[0]
    planned, always = five_agents
    assert f"USD {month(planned)} a month" in said
    assert f"it would be {month(always)}" in said
    for pool in planned.node_pools:
        assert f"1 x {pool.instance_types[0]}" in said


def test_a_price_of_your_own_and_what_production_showed(tmp_path: Path) -> None:
    page = "docs/your-own.md"
    overlay = tmp_path / "my-catalog.yaml"
    overlay.write_text(block(page, "kind: CatalogOverlay").text, encoding="utf-8")
    with_own_price = make_plan(load_text(CUSTOMER_SERVICE, "page"), load_catalog(overlay))
    assert (
        f"moves to 1 x {with_own_price.node_pools[0].instance_types[0]} (H100), USD {month(with_own_price)} a month"
        in text(page)
    )
    observed = "  observed: {days: 45, baselineRatio: 0.9, baselineSessions: 5}\n"
    assert observed.strip() in text(page)
    reserved = make_plan(load_text(CUSTOMER_SERVICE.rstrip() + "\n" + observed, "page"), load_catalog())
    assert f"costs USD {month(reserved)} a month on the 3-year all-upfront price" in text(page)
