"""How full a card is stands at one place, and whoever tells it tells the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.cards import cards, cards_of
from agentgpu_iac.review.plan_page import plan_page
from agentgpu_iac.review.policies import Policies, Policy, violations
from agentgpu_iac.review.report.view import report
from tests.examples import EXAMPLES
from tests.plans import make_plan, make_workload
from tests.review.screens import lines_of
from tests.review.stacks import example

PACKAGE = Path(__file__).parents[2] / "agentgpu_iac"
ONE = make_workload().memory.utilization_ratio


def sharing(reserve_ratio: float | None = None) -> Plan:
    """Two agents on one card."""
    memory = make_workload().memory.model_copy(update={"utilization_ratio": 0.375, "reserve_ratio": reserve_ratio})
    return make_plan(
        workloads=tuple(make_workload(name=name, agent=name, share_group="g", memory=memory) for name in ("a", "b"))
    )


def test_engines_that_share_a_card_fill_it_together() -> None:
    plan = sharing(0.2)
    (card,) = cards(plan.workloads, plan.node_pools)
    assert [each.name for each in card.engines] == ["a", "b"]
    assert card.used_ratio == pytest.approx(0.75)
    assert card.line_ratio == pytest.approx(0.8)
    assert card.fullness_ratio == pytest.approx(0.9375)
    assert cards_of(plan.workloads, plan.node_pools) == {"a": card, "b": card}


def test_several_engines_of_one_agent_on_a_card() -> None:
    plan = make_plan()
    pool = plan.node_pools[0].model_copy(update={"slots_per_accelerator": 3})
    (card,) = cards(plan.workloads, (pool,))
    assert card.used_ratio == pytest.approx(3 * ONE)


def test_a_plan_of_before_has_no_line() -> None:
    plan = sharing()
    (card,) = cards(plan.workloads, plan.node_pools)
    assert (card.line_ratio, card.fullness_ratio) == (None, card.used_ratio)


def test_a_shared_card_is_as_full_on_the_page_as_for_a_policy() -> None:
    """Once a policy asked each agent by itself: two halves of a full card were each half empty."""
    plan = sharing(0.2)
    shown = lines_of(plan_page(plan, "s.yaml"), 120)
    assert sum("########.. !" in line for line in shown) == 2
    policy = Policy(name="room", min_memory_headroom_ratio=0.3)
    held = Policies(api_version="agentgpu.dev/v1alpha1", kind="Policies", policies=(policy,))
    assert [each.value for each in violations(held, plan, day="2026-11-27")] == ["25%", "25%"]


@pytest.mark.broad(every=4)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_facts_and_report_say_the_same(path: Path) -> None:
    plan = example(path).plan
    fullest = max(card.used_ratio for card in cards(plan.workloads, plan.node_pools))
    assert f"At least {1 - fullest:.0%} of each accelerator is free." in plan.facts
    assert f" needs {fullest:.0%} of " in report(plan).parts[0].figures[0].summary


def test_nobody_else_works_it_out() -> None:
    """A need over a capacity is one engine's; what lies on a card is asked of ``plan.cards``."""
    rooms = (PACKAGE / "review", PACKAGE / "planning" / "advice", PACKAGE / "rendering", PACKAGE / "cli")
    found = [
        (path.name, line.strip())
        for room in rooms
        for path in room.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"memory\.utilization_ratio|total_gib / .*capacity_gib", line)
    ]
    assert [name for name, _ in found] == ["memory.py"], found
