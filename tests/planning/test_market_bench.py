"""The pieces of ``bench/market.py``, on stacks of two agents over a catalog made by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from agentgpu_iac.planning import planner, settling
from agentgpu_iac.spec.loader import load_text
from bench import before, market
from bench.melange import SLICES, Bucket, Type, buckets, fewest_usd_per_hour
from bench.simpler import planned
from bench.stacks import team
from tests.planning import scenes

pytestmark = pytest.mark.usefixtures("monkeypatch")  # the bench looks into the planner, which must plan anew


def spec(*agents: dict[str, Any]) -> str:
    """A stack's text; its agents may share engines."""
    return json.dumps(
        {
            "apiVersion": "agentgpu.dev/v1alpha1",
            "kind": "AgentStack",
            "metadata": {"name": "demo"},
            "spec": {"target": "eks", "agents": list(agents)},
        }
    )


ONE_MODEL = spec(
    {"name": "planner", "model": "test/dense", "sessions": {"concurrent": 4}},
    {"name": "critic", "model": "test/dense", "sessions": {"concurrent": 4}},
)
BURSTS = spec(
    {"name": "tiny", "model": "test/tiny", "sessions": {"concurrent": 2}},
    {
        "name": "dense",
        "model": "test/dense",
        "sessions": {"concurrent": 8},
        "traffic": {"burstFactor": 10, "rampS": 900},
    },
)


@pytest.fixture(scope="module")
def rows() -> list[market.Row]:
    return [
        market.compared(name, text, scenes.CATALOG) for name, text in (("one-model", ONE_MODEL), ("bursts", BURSTS))
    ]


def test_no_way_with_fewer_options_is_cheaper(rows: list[market.Row]) -> None:
    for row in rows:
        answers = {way: usd for way, (usd, _) in row["others"].items() if way in market.FEWER}
        assert None not in answers.values()
        assert all(usd >= row["usd"] - 0.01 for usd in answers.values())
        assert row["usd"] == pytest.approx(row["plan_usd"], abs=0.01)


def test_agents_of_one_model_cost_twice_as_much_apart(rows: list[market.Row]) -> None:
    assert rows[0]["shares"]
    assert rows[0]["others"]["one option an agent"][0] == pytest.approx(2 * rows[0]["usd"])


def test_the_planner_is_left_as_it_was(rows: list[market.Row]) -> None:
    assert (planner.settle, settling.place) == (settling.settle, settling.place)
    assert settling.place.__module__ == "agentgpu_iac.planning.choosing.placement"


def test_what_a_second_replica_would_cost_is_not_the_plan() -> None:
    plan, seen, _ = planned(ONE_MODEL, scenes.CATALOG)
    assert [float(each.found.usd) for each in seen] == [float(plan.cost.expected_usd_per_month)]


def test_slices_fill_what_whole_machines_leave() -> None:
    _, (seen,), _ = planned(ONE_MODEL, scenes.CATALOG)
    many, few = (
        Bucket(demand=seen.demands[0], input_tokens=100, output_tokens=100, per_s=per_s) for per_s in (8.0, 1.0)
    )
    small, large = (
        Type(usd_per_hour=Decimal(1), per_s=(2.0, 0.0)),
        Type(usd_per_hour=Decimal(3), per_s=(8.0, 4.0)),
    )
    # a large one holds a quarter of the few and six of the eight slices of the many, a small one the other two
    assert SLICES == 8
    assert fewest_usd_per_hour((small, large), (many, few)) == 4
    assert fewest_usd_per_hour((large,), (many, few)) == 6
    assert fewest_usd_per_hour((small,), (many, few)) is None


def test_buckets_hold_the_requests_of_the_peak() -> None:
    _, (seen,), _ = planned(BURSTS, scenes.CATALOG)
    demand = seen.demands[1]
    peak = sum(bucket.per_s for bucket in buckets(demand, peak=True))
    assert peak == pytest.approx(demand.requests_per_s(peak=True))
    assert peak == pytest.approx(10 * sum(bucket.per_s for bucket in buckets(demand, peak=False)))


def test_the_page_names_a_plan_that_became_dearer(rows: list[market.Row]) -> None:
    named = [{**row, "seed": str(seed), "spec": before.digest(team(seed))} for seed, row in enumerate(rows)]
    recorded = {
        "planner": "0000000 2026-01-01",
        "rows": [
            {"seed": 0, "spec": named[0]["spec"], "usd": "1.00", "serves": ["a"], "buys": ["b"]},
            {"seed": 1, "spec": named[1]["spec"], "refused": "nothing fits"},
        ],
    }
    page = market.page(named, recorded, [])
    assert "Team 0 is dearer today" in page
    assert "It refuses 1 of them, today's 0." in page
    assert all(f"| {way} |" in page for way in market.WAYS)


def test_what_was_recorded_is_of_these_teams() -> None:
    recorded = json.loads(before.RECORDED.read_text(encoding="utf-8"))["rows"]
    assert [(row["seed"], row["spec"]) for row in recorded] == [
        (seed, before.digest(team(seed))) for seed in range(market.STACKS)
    ]


def test_teams_are_valid_and_the_planner_of_before_is_asked_without_schedules() -> None:
    with_windows = [seed for seed in range(market.STACKS) if "schedule:" in team(seed)]
    assert with_windows
    for seed in {*range(5), *with_windows[:2]}:
        load_text(team(seed), "team.yaml")
        assert "schedule:" not in before.known_there(team(seed))
