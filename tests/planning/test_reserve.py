"""The reserve of memory: what a stack wants free, what the engine leaves anyway, and what the rule alone costs."""

from __future__ import annotations

import pytest

from agentgpu_iac.planning.planner import NoPlan
from tests.planning.scenes import DENSE, make_agent, make_catalog, make_model, offerings, only, plan, workload

TIGHT = make_model("test/tight", 16.8)
"""31.3 GiB of weights: need is a little more than 32 of 40 GiB."""
CATALOG = make_catalog(
    offerings("s1", "small-40", on_demand="1.00") + offerings("l1", "large-80", on_demand="4.00"),
    models=(TIGHT, DENSE),
)
AGENT = make_agent(model="test/tight", ttftMs=5000, tpotMs=200)
"""Memory alone decides: a step reads the weights in some 45 ms on the small card."""


def with_reserve(ratio: float | None, **spec: object):
    capacity = {} if ratio is None else {"memoryReserveRatio": ratio}
    return plan(AGENT, catalog=CATALOG, capacity=capacity, **spec)


@pytest.fixture(scope="module")
def usual():
    return with_reserve(None)


def test_a_fifth_is_left_free_unless_told_otherwise(usual) -> None:
    memory = workload(usual).memory
    assert workload(usual).accelerator == "large-80"
    assert memory.reserve_ratio == 0.2
    assert memory.utilization_ratio <= 0.8


def test_what_the_reserve_alone_turns_away_is_named_with_what_admits_it(usual) -> None:
    refused = next(rejection for rejection in usual.rejections if rejection.accelerator == "small-40")
    assert refused.constraint == "memory"
    assert refused.need is not None
    assert refused.reserve_ratio == pytest.approx(1 - refused.need / 40.0, abs=0.001)
    assert f"capacity.memoryReserveRatio {refused.reserve_ratio:g} would not" in refused.message


def test_and_with_what_it_would_save(usual) -> None:
    saved = next(one for one in usual.cost.alternatives if one.accelerator == "small-40")
    assert saved.usd_per_month == 720
    assert saved.delta_usd_per_month == 720 - usual.cost.baseline_usd_per_month < 0
    ratio = float(saved.note.split("memoryReserveRatio ")[1].split(" ")[0])
    cheaper = with_reserve(ratio)
    assert workload(cheaper).accelerator == "small-40"
    assert cheaper.cost.baseline_usd_per_month == saved.usd_per_month


def test_what_it_would_save_takes_no_more_machines_of_yours_than_there_are() -> None:
    """Two replicas on one machine of one's own would cost nothing, and cannot be: the rented ones are what would do."""
    agent = {**AGENT, "overrides": {"baselineReplicas": 2}}
    for count, wanted in ((1, 2 * 720), (2, 0)):
        capacity = {"inventory": [{"machine": "s1", "count": count}], "beyondInventory": "rent"}
        found = plan(agent, catalog=CATALOG, target="kubernetes", capacity=capacity)
        saved = next(one for one in found.cost.alternatives if one.accelerator == "small-40")
        assert "memoryReserveRatio" in saved.note
        assert saved.usd_per_month == wanted


def test_the_engine_s_own_share_and_the_error_bound_it() -> None:
    """0.92 x 40 GiB is what the engine takes; a cold start, 1 % of weights, 15 % of overhead and 0.1 GiB come off."""
    memory = workload(with_reserve(0.0)).memory
    uncertain = 0.1 + 0.01 * memory.weights_gib + 0.15 * memory.overhead_gib
    assert memory.reserve_ratio == pytest.approx(1 - (0.92 * 40 - memory.cold_start_gib - uncertain) / 40, abs=0.005)
    assert memory.utilization_ratio <= 1 - memory.reserve_ratio + 1e-4
    assert memory.headroom_gib == pytest.approx(
        memory.engine_budget_gib - memory.cold_start_gib - memory.total_gib, abs=1e-3
    )
    assert memory.headroom_gib > 0


def test_more_reserve_needs_larger_accelerators() -> None:
    agent = make_agent(model="test/dense")
    found = [
        workload(plan(agent, catalog=CATALOG, capacity={"memoryReserveRatio": ratio})) for ratio in (0.2, 0.6, 0.7)
    ]
    assert [one.accelerator for one in found] == ["small-40", "large-80", "large-80"]
    assert all(one.memory.utilization_ratio <= 1 - (one.memory.reserve_ratio or 0) for one in found)


def test_without_any_plan_the_message_says_so() -> None:
    with pytest.raises(NoPlan, match=r"over 80 % of 40\.00 = 32\.00 GiB; the reserve alone refuses it"):
        plan(AGENT, catalog=CATALOG, accelerators=only("small-40"))


def test_what_does_not_fit_its_engine_is_nobody_s_reserve() -> None:
    big = make_catalog(offerings("s1", "small-40", on_demand="1.00"), models=(make_model("test/over", 19.5),))
    with pytest.raises(NoPlan) as refused:
        plan(make_agent(model="test/over"), catalog=big)
    assert [rejection.reserve_ratio for rejection in refused.value.rejections if rejection.constraint == "memory"] == [
        None
    ]


def test_engines_together_leave_it_free() -> None:
    agents = [make_agent("a", "test/dense"), make_agent("b", "test/dense")]
    roomy = plan(*agents, catalog=CATALOG, capacity={"memoryReserveRatio": 0.05})
    usual = plan(*agents, catalog=CATALOG)
    assert usual.cost.baseline_usd_per_month >= roomy.cost.baseline_usd_per_month
    for found in (roomy, usual):
        shares = [one for one in found.workloads if one.share_group is not None]
        taken = sum(one.memory.total_gib for one in shares)
        assert all(taken <= (1 - (one.memory.reserve_ratio or 0)) * one.memory.capacity_gib + 1e-3 for one in shares)
