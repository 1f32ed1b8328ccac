"""Machines of the inventory are yours wherever they are told of: no seller, no region of one, no way to buy, no quota."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.readme import readme
from agentgpu_iac.review.blocks import plain_text
from agentgpu_iac.review.change_page import diff_page
from agentgpu_iac.review.change_view import diff_comment, diff_view
from agentgpu_iac.review.diff import diff
from agentgpu_iac.review.explain import explain_view
from agentgpu_iac.review.explain_page import TOPICS, agent_page, stack_page, topic_view
from agentgpu_iac.review.plan_page import money_page, plan_page
from agentgpu_iac.review.plan_view import plan_view
from agentgpu_iac.review.policies import Policies, Policy, violations
from agentgpu_iac.review.report.page import report_page
from agentgpu_iac.spec.loader import load_text
from tests.review.pages import parsed

CATALOG = load_catalog()
HEAD = "apiVersion: agentgpu.dev/v1alpha1\nkind: AgentStack\nmetadata: {name: demo}\nspec:\n"
AGENT = "  agents:\n    - {name: support, model: Qwen/Qwen3-8B, thinking: off, sessions: {concurrent: 10, peak: %d}}\n"
CLUSTER = "  target: kubernetes\n  scaling: {method: none}\n"
MACHINE = "  target: compose\n  hosts: {callerRanges: [10.0.0.0/8], adminRanges: [203.0.113.7/32]}\n"
SPECS = {
    "a cluster": f"{CLUSTER}  capacity: {{inventory: [{{machine: g6e.xlarge, count: 6, usdPerHour: 1.10}}]}}\n",
    "a place of yours": f"{CLUSTER}  capacity: {{inventory: [{{machine: g6e.xlarge, count: 6, region: cellar}}]}}\n",
    "two kinds": f"{CLUSTER}  capacity: {{inventory: [{{machine: g6e.xlarge, count: 1}}, {{machine: g5.2xlarge, count: 4}}]}}\n",
    "another seller's": f"{CLUSTER}  capacity: {{inventory: [{{machine: n3-H100x1, count: 6, usdPerHour: 1.10}}]}}\n",
    "one machine": f"{MACHINE}  capacity: {{inventory: [{{machine: g6e.xlarge, count: 1, usdPerHour: 1.10}}]}}\n",
}
REGIONS = {offer.region for offer in CATALOG.offerings} - {"any"}
SELLERS = {word for each in CATALOG.providers for word in (each.id, each.name)}
FOREIGN = re.compile(
    rf"(?i)(?<![\w.-])({'|'.join(map(re.escape, sorted(REGIONS | SELLERS)))}|on-demand|vCPU quotas?|\w+ any|in any)(?![\w-])"
)


@cache
def planned(lines: str, peak: int) -> Plan:
    stack = load_text(HEAD + lines + AGENT % peak, "s.yaml")
    return make_plan(stack, CATALOG)


def told(plan: Plan, other: Plan) -> Mapping[str, str]:
    """Every view of a plan, and of its difference to another of the same machines."""
    found, back = diff(plan, other), diff(other, plan)
    page = parsed(report_page(plan)).css_first("body")
    assert page is not None
    return {
        "plan": plain_text(plan_page(plan, "s.yaml")),
        "plan --all": plain_text(plan_view(plan, "s.yaml")),
        "money": plain_text(money_page(plan)),
        "explain": plain_text(stack_page(plan, "s.yaml")),
        "explain AGENT": plain_text(agent_page(plan, "s.yaml", "support")),
        "explain --all": plain_text(explain_view(plan, "s.yaml")),
        **{f"explain {topic}": plain_text(topic_view(plan, topic)) for topic in TOPICS},
        "report": page.text(separator=" "),
        "diff": plain_text(diff_page(found, "a", "b")) + plain_text(diff_page(back, "b", "a")),
        "diff --all": plain_text(diff_view(found)) + plain_text(diff_view(back)),
        "diff --format markdown": diff_comment(found) + diff_comment(back),
        "the tree's page": readme(plan, ()).content.decode(),
        "facts": plan.headline,
        "warnings": "\n".join(warning.message for warning in plan.warnings),
    }


@pytest.mark.broad(every=2)
@pytest.mark.parametrize("name", SPECS)
def test_no_output_names_a_seller_or_a_region_that_is_not_used(name: str) -> None:
    """Once the page of such a plan had "Machines at aws any", bought on demand."""
    plan, other = (planned(SPECS[name], peak) for peak in (10, 40))
    assert all(pool.owned for pool in plan.node_pools)
    assert not plan.vcpu_quotas
    texts = told(plan, other)
    found = {view: sorted({each.group() for each in FOREIGN.finditer(text)}) for view, text in texts.items()}
    assert not any(found.values()), {view: words for view, words in found.items() if words}
    assert "your own machines" in texts["plan"]
    assert ("cellar" in texts["plan"]) is (name == "a place of yours")


def test_the_law_sees_what_is_bought() -> None:
    plan = planned("  regions: [us-east-1]\n", 10)
    assert {each.group() for each in FOREIGN.finditer(plain_text(plan_page(plan, "s.yaml")))} >= {"aws", "us-east-1"}


def test_a_policy_of_sellers_says_nothing_of_machines_that_nobody_sells() -> None:
    policy = Policy(name="sellers", providers=("hyperstack",))
    held = Policies(api_version="agentgpu.dev/v1alpha1", kind="Policies", policies=(policy,))
    assert violations(held, planned(SPECS["a cluster"], 10), day="2026-11-27") == ()


def test_who_owns_the_machines_is_looked_at_first() -> None:
    bought = planned(
        "  target: kubernetes\n  providers: [aws]\n  regions: [us-east-1]\n  scaling: {method: none}\n", 10
    )
    own = planned(SPECS["a cluster"], 10)
    pool = bought.node_pools[0].model_copy(update={"owned": True})
    found = diff(bought, bought.model_copy(update={"node_pools": (pool, *bought.node_pools[1:])}))
    assert [(each.field, each.before, each.after) for each in found.security] == [("owned", "false", "true")]
    assert "your own machines" in plain_text(plan_page(own, "s.yaml"))


def test_every_view_asks_one_place() -> None:
    """Views that print a pool's seller, region or ways by themselves forget whose the machines are. Two tell only of what is
    bought: quotas, and prices without a date."""
    package = Path(__file__).parents[2] / "agentgpu_iac"
    found = [
        (path.name, line.strip())
        for room in ("review", "rendering", "planning/advice", "planning/writing", "cli")
        for path in (package / room).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\{pool\.(provider|region)\}|join\(pool\.capacity_types\)", line)
    ]
    assert {name for name, _ in found} <= {"account.py", "stack.py"}, found


def test_machines_that_cost_nothing_have_no_sums_of_money() -> None:
    two = AGENT % 10 + "    - {name: coder, model: Qwen/Qwen3-8B, thinking: off, sessions: {concurrent: 10}}\n"
    free, paid = (
        plain_text(plan_page(make_plan(load_text(HEAD + lines + two, "s.yaml"), CATALOG), "s.yaml"))
        for lines in (SPECS["a place of yours"], SPECS["a cluster"])
    )
    assert "By agent, USD a month" in paid
    assert "By agent, USD a month" not in free
    assert "Next choice" not in free
