"""What would shorten a start: which ways there are, what each buys, and how short a start must be to buy anything."""

from __future__ import annotations

import dataclasses
import functools
from decimal import Decimal
from typing import Any

import pytest

from agentgpu_iac import plan as p
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.review.explain import explain_view
from agentgpu_iac.sizing import starting
from tests.planning.scenes import CATALOG, make_agent, plan

SHORTCUTS = load_catalog().shortcuts
WITH_SHORTCUTS = dataclasses.replace(CATALOG, shortcuts=SHORTCUTS)
BURST: dict[str, Any] = {"sessions": {"concurrent": 20}, "latencyClass": "chat", "conversation": {"thinkTimeS": 0}}
"""Nobody pauses: as many requests as sessions, and several replicas for forty times of them."""


@functools.cache
def absorbed(ramp_s: float = 60.0, target: str = "eks", **capacity: Any) -> p.Plan:
    agent = make_agent(**BURST, traffic={"burstFactor": 40, "rampS": ramp_s})
    return plan(agent, catalog=WITH_SHORTCUTS, target=target, **({"capacity": capacity} if capacity else {}))


def by_name(found: p.Plan) -> dict[str, p.StartChoice]:
    return {choice.choice: choice for choice in found.start_choices}


def test_every_row_is_a_choice_and_one_that_is_taken_changes_nothing() -> None:
    found = absorbed()
    choices, (baseline, *_) = by_name(found), found.workloads
    assert set(choices) == {row.id for row in SHORTCUTS}
    assert baseline.replicas.min > 1
    taken = choices["parallel-pull"]
    assert (taken.status, taken.delta_usd_per_month) == ("taken", 0)
    assert taken.warm_replicas == baseline.replicas.min
    assert taken.cold_start_s == pytest.approx(baseline.cold_start_s.upper.alone_total, abs=0.1)


def test_what_the_plan_can_do_is_offered_with_its_setting_and_else_says_why_not() -> None:
    slow = by_name(absorbed(imagePull="default"))["parallel-pull"]
    assert (slow.status, slow.setting) == ("offered", "capacity: {imagePull: parallel}")
    assert all(choice.why_not for choice in absorbed().start_choices if choice.status == "not-here")
    elsewhere = by_name(absorbed(target="kubernetes"))
    assert elsewhere["stream"].status == elsewhere["parallel-pull"].status == "not-here"
    assert "not set up here" in elsewhere["stream"].why_not


def test_a_choice_that_keeps_the_nodes_saves_none() -> None:
    for name in ("sleep-mode", "warm-nodes"):
        choice = by_name(absorbed())[name]
        assert (choice.status, choice.delta_usd_per_month) == ("not-here", 0)


@pytest.mark.parametrize("ramp_s", [60.0, 300.0, 900.0])
def test_a_shorter_start_needs_no_more_warm_replicas_and_a_target_needs_just_so_many(ramp_s: float) -> None:
    found = absorbed(ramp_s)
    planned = found.workloads[0].replicas.min
    starts = sorted((choice.cold_start_s, choice.warm_replicas) for choice in found.start_choices)
    assert [warm for _, warm in starts] == sorted(warm for _, warm in starts)
    for target in found.start_targets:
        assert target.warm_replicas < planned
        assert target.delta_usd_per_month < 0
    fewer = [choice for choice in found.start_choices if choice.warm_replicas < planned]
    assert all(choice.delta_usd_per_month < 0 for choice in fewer)
    for choice in fewer:
        (enough,) = (each for each in found.start_targets if each.warm_replicas == choice.warm_replicas)
        assert choice.cold_start_s <= enough.cold_start_s + 0.1
        assert choice.usd_per_month == enough.usd_per_month


def test_the_planner_itself_needs_just_so_many_at_a_target_and_more_beyond() -> None:
    """The same agent, its start set by hand."""
    found = absorbed(900.0)
    machine = found.pool(found.workloads[0].node_pool).accelerator

    def warm(cold_start_s: float) -> int:
        agent = make_agent(**BURST, traffic={"burstFactor": 40, "rampS": 900.0}, overrides={"coldStartS": cold_start_s})
        planned = plan(agent, catalog=WITH_SHORTCUTS, accelerators={"allow": [machine]})
        return planned.workloads[0].replicas.min

    assert found.start_targets
    for target in found.start_targets:
        assert warm(target.cold_start_s) == target.warm_replicas
        assert warm(target.cold_start_s + 2) == target.warm_replicas + 1


def test_nothing_is_told_where_the_start_decides_nothing() -> None:
    for found in (
        plan(make_agent(**BURST), catalog=WITH_SHORTCUTS),
        absorbed(fastBurst="turn-away"),
        plan(make_agent(**BURST, traffic={"burstFactor": 40}, overrides={"coldStartS": 400}), catalog=WITH_SHORTCUTS),
    ):
        assert (found.start_choices, found.start_targets) == ((), ())


def test_explain_prints_every_choice_and_target() -> None:
    found = absorbed(900.0)
    text = str(explain_view(found, "stack.yaml", "support"))
    for choice in found.start_choices:
        assert choice.title in text
    for target in found.start_targets:
        assert f"USD {target.usd_per_month:,.2f} a month" in text


def test_phases_that_are_spared_are_gone_and_the_rest_stays() -> None:
    likely = starting.ColdStart(
        node=53, driver=36, image=40, cache_fill=90, imports=79, weights=20, compile=30, warm_up=39, first_answer=12
    )
    start = starting.Bounded(likely=likely, upper=dataclasses.replace(likely, weights=40, image=130))
    spared = starting.shortened(start, ("imports", "weights", "compile", "warm_up"), 18.0, 36.0)
    assert spared.likely.total == pytest.approx(likely.total - 79 - 20 - 30 - 39 + 18)
    assert spared.upper.image == 130
    assert spared.upper_total > spared.likely.total + 18 - 0.1
    assert starting.shortened(start, (), 5.0, 5.0) is start


def test_the_example_of_a_fortyfold_burst() -> None:
    """Three warm replicas at a start of minutes, one where it took a quarter of a minute."""
    found = absorbed()
    first = found.start_targets[0]
    assert first.cold_start_s < found.workloads[0].cold_start_s.upper.alone_total
    assert Decimal(0) < first.usd_per_month < found.cost.baseline_usd_per_month
