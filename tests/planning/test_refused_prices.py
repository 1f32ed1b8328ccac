"""Price and latency stand beside each other for every candidate, whether it serves or not."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agentgpu_iac.plan import Plan
from agentgpu_iac.units import HOURS_PER_MONTH
from tests.planning.scenes import make_agent, plan


@pytest.fixture(scope="module")
def found() -> Plan:
    """A model of 70 billion parameters: one card of 80 GiB is too small, of the old ones too slow."""
    return plan(make_agent(model="test/big", ttftMs=900, traffic={"burstFactor": 3, "rampS": 40}))


def test_what_is_turned_away_says_what_one_replica_would_cost(found: Plan) -> None:
    prices = {"s1": Decimal("1.00"), "s8": Decimal("9.00") / 8, "l1": Decimal("3.00"), "l8": Decimal("22.00") / 8}
    priced = [each for each in found.rejections if each.usd_per_month is not None]
    assert {each.constraint for each in priced} & {"memory", "ttft", "tpot"}
    for each in priced:
        count = (each.tensor_parallel_size or 1) * (each.pipeline_parallel_size or 1)
        letter = each.accelerator[0]
        fits = [f"{letter}1"] * (count == 1) + [f"{letter}8"]
        least = min(prices[name] for name in fits) * count * HOURS_PER_MONTH
        assert each.usd_per_month == least.quantize(Decimal("0.01"))


def test_a_way_to_buy_that_is_refused_has_no_price_of_a_candidate(found: Plan) -> None:
    ways = [each for each in found.rejections if each.constraint in ("spot-baseline", "reserved-days", "sharing")]
    assert ways
    assert {each.usd_per_month for each in ways} == {None}


def test_runners_up_have_the_latency_that_their_note_says(found: Plan) -> None:
    others = [each for each in found.cost.alternatives if each.ttft_at_percentile_ms is not None]
    assert others
    for each in others:
        if "TTFT" in each.note:
            assert f"TTFT {each.ttft_at_percentile_ms:.0f} ms, TPOT {each.tpot_at_percentile_ms:.1f} ms" in each.note


def test_the_plan_says_how_fast_the_burst_comes(found: Plan) -> None:
    assert {workload.burst_ramp_s for workload in found.workloads} == {40.0}
