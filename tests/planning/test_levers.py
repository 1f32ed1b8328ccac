"""Levers: what is said of a change is what the planner says of a spec that holds it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
import yaml

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.lever import Lever, Levers
from agentgpu_iac.planning.choosing.remembering import Evaluators
from agentgpu_iac.planning.levers.levers import levers
from agentgpu_iac.planning.planner import NoPlan, OverBudget, make_plan
from agentgpu_iac.review.blocks import plain_text
from agentgpu_iac.review.levers_view import levers_view
from agentgpu_iac.spec.loader import LoadedStack, changed, load_text
from tests.planning.scenes import load, make_agent, make_catalog, offerings

TALK = {"maxContextTokens": 8192}
SUPPORT = make_agent(
    sessions={"concurrent": 6}, traffic={"burstFactor": 3.0, "rampS": 30.0}, conversation=TALK, isolation="shared"
)
CRITIC = make_agent("critic", sessions={"concurrent": 3}, conversation=TALK, isolation="shared")
BUDGET = 1000.0
"""Less than the stack costs, and more than with some of the changes."""
CATALOG = make_catalog(
    (
        *offerings("s1", "small-40", on_demand="1.00", spot="0.40", reserved="0.60"),
        *offerings("l1", "large-80", on_demand="3.00", spot="1.20", reserved="1.80"),
    )
)


@pytest.fixture(scope="module")
def stack() -> LoadedStack:
    return load(SUPPORT, CRITIC)


@pytest.fixture(scope="module")
def found() -> Levers:
    return levers(load(SUPPORT, CRITIC, capacity={"budgetUsdPerMonth": BUDGET}), CATALOG)


def with_written(loaded: LoadedStack, write: str) -> LoadedStack:
    """The stack with what the sentence says, put there as somebody would who reads it."""
    document = json.loads(json.dumps(changed_document(loaded)))
    for part in write.split("; "):
        owner, _, rest = part.partition(": ") if part.startswith("agent ") else ("", "", part)
        into = document["spec"]
        if owner:
            into = next(each for each in into["agents"] if each["name"] == owner.removeprefix("agent "))
        merge(into, yaml.safe_load(f"{{{rest}}}"))
    return load_text(json.dumps(document, indent=1), "written.yaml")


def changed_document(loaded: LoadedStack) -> Any:
    return loaded.stack.model_dump(mode="json", by_alias=True, exclude_unset=True)


def merge(into: dict[str, Any], values: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def lever(found: Levers, name: str, agent: str | None = None, **fields: Any) -> Lever:
    return next(
        each
        for each in found.levers
        if (each.lever, each.agent) == (name, agent) and all(getattr(each, k) == v for k, v in fields.items())
    )


@pytest.mark.broad(every=0)
def test_each_figure_is_that_of_a_plan_of_what_is_written(stack: LoadedStack, found: Levers) -> None:
    assert {each.lever for each in found.levers} >= {
        "precision", "kv-cache-dtype", "ttft", "percentile", "peak", "paused-cache", "isolation", "memory-reserve",
        "fast-burst", "survive", "reserved", "card", "cold-start", "share-accelerators", "quantile",
    }  # fmt: skip
    for each in found.levers:
        try:
            planned: Plan | None = make_plan(with_written(stack, each.write), CATALOG)
        except (NoPlan, BadInput):
            planned = None
        assert each.planned == (planned is not None), each.write
        if planned is not None:
            assert each.usd_per_month == planned.cost.expected_usd_per_month, each.write
            assert each.delta_usd_per_month == planned.cost.expected_usd_per_month - (found.usd_per_month or 0)


def test_the_same_for_what_looser_limits_save(stack: LoadedStack, found: Levers) -> None:
    assert found.relaxed
    for each in found.relaxed:
        planned = make_plan(with_written(stack, each.write), CATALOG)
        assert each.usd_per_month == planned.cost.expected_usd_per_month
        assert each.usd_per_month <= (found.usd_per_month or 0)  # looser is never dearer


def test_what_saves_most_comes_first_and_what_has_no_plan_last(found: Levers) -> None:
    planned = [each.delta_usd_per_month for each in found.levers if each.planned]
    assert planned == sorted(planned, key=lambda delta: delta or Decimal(0))
    states = [each.planned for each in found.levers]
    assert states == sorted(states, reverse=True)


def test_stricter_is_never_cheaper(found: Levers) -> None:
    def delta(name: str, agent: str | None, word: str) -> Decimal:
        return next(
            each.delta_usd_per_month or Decimal(0)
            for each in found.levers
            if (each.lever, each.agent) == (name, agent) and word in each.change
        )

    assert delta("ttft", "support", "half the time") >= 0 >= delta("ttft", "support", "twice as long")
    assert delta("percentile", None, "99 %") >= 0 >= delta("percentile", None, "90 %")
    assert delta("peak", "support", "at the peak") <= 0
    assert delta("cold-start", "dense", "half as long") <= 0
    assert delta("survive", None, "to spare") >= 0


def test_a_refusal_is_told(stack: LoadedStack) -> None:
    catalog = make_catalog(offerings("s1", "small-40", on_demand="1.00"))
    found = levers(load(make_agent(conversation=TALK)), catalog)
    refused = lever(found, "card", None, planned=False)
    assert "fits nothing on offer" in refused.refusal
    assert refused.usd_per_month is refused.delta_usd_per_month is None
    assert f"{refused.write}): agent 'support'" in plain_text(levers_view(found))


def test_of_the_agents_that_cause_little_nobody_asks(found: Levers) -> None:
    small = levers(load(SUPPORT, make_agent("tiny", "test/tiny", sessions={"concurrent": 1})), CATALOG, "tiny")
    assert {each.agent for each in small.levers} == {None, "tiny"}
    assert small.not_asked == ("support",)
    with pytest.raises(BadInput, match=r"no agent 'tiney'.*did you mean 'tiny'"):
        levers(load(make_agent("tiny", "test/tiny")), CATALOG, "tiney")


def test_a_broken_budget_names_the_ways_out(found: Levers) -> None:
    stack = load(SUPPORT, CRITIC, capacity={"budgetUsdPerMonth": BUDGET})
    with pytest.raises(OverBudget) as refusal:
        make_plan(stack, CATALOG)
    assert not found.feasible
    assert found.message == str(refusal.value)
    assert found.baseline_usd_per_month == refusal.value.need_usd_per_month > BUDGET
    assert found.ways_out
    for way in found.ways_out:
        assert make_plan(with_written(stack, way.write), CATALOG).cost.baseline_usd_per_month <= BUDGET
    assert found.ways_out == tuple(each for each in found.levers if each.within_budget)
    assert "Ways out" in plain_text(levers_view(found))


def test_changes_are_put_together_where_none_alone_does() -> None:
    """On reserved capacity the two machines cost 864 a month, half the peak needs one for 720, both together 432."""
    catalog = make_catalog(offerings("s1", "small-40", on_demand="1.00", reserved="0.60"))
    stack = load(SUPPORT, capacity={"budgetUsdPerMonth": 431.0})
    found = levers(stack, catalog)
    assert not any(each.within_budget for each in found.levers)
    for way in found.ways_out:
        assert way.lever == "several"
        assert make_plan(with_written(stack, way.write), catalog).cost.baseline_usd_per_month <= 431


def test_what_is_remembered_changes_no_plan(stack: LoadedStack) -> None:
    kept = Evaluators()
    first, again = make_plan(stack, CATALOG, kept), make_plan(stack, CATALOG, kept)
    assert first == again == make_plan(stack, CATALOG, Evaluators())
    stricter = changed(stack, {("spec", "latency", "percentile"): 99.0})
    assert make_plan(stricter, CATALOG, kept) == make_plan(stricter, CATALOG, Evaluators())


def test_of_several_regions_over_the_budget_the_cheapest_is_told() -> None:
    rows = (
        *offerings("s1", "small-40", on_demand="2.00", region="us-east-1"),
        *offerings("s1", "small-40", on_demand="1.00", region="us-west-2"),
    )
    stack = load(make_agent(), regions=["us-east-1", "us-west-2"], capacity={"budgetUsdPerMonth": 10.0})
    with pytest.raises(OverBudget, match=r"the cheapest baseline needs USD 720\.00"):
        make_plan(stack, make_catalog(rows))


class TestDrivers:
    """What a price stands at, on cards where it can be worked out."""

    def test_the_memory_of_one_replica_less(self) -> None:
        found = make_plan(
            load(
                make_agent(
                    latencyClass="background", sessions={"concurrent": 40}, conversation={"maxContextTokens": 32768}
                )
            ),
            make_catalog(offerings("s1", "small-40", on_demand="1.00")),
        )
        (driver,) = found.drivers
        assert (driver.agent, driver.agents, driver.share_ratio) == ("support", ("support",), 1.0)
        assert driver.usd_per_month == found.cost.expected_usd_per_month
        assert driver.constraint in ("kv-memory", "paused-cache")
        assert driver.need is not None and driver.limit is not None and driver.need > driver.limit

    def test_a_budget(self) -> None:
        found = make_plan(
            load(make_agent(sessions={"concurrent": 60}, tpotMs=15.0, conversation={"thinkTimeS": 0.0})),
            make_catalog(offerings("l1", "large-80", on_demand="3.00")),
        )
        (driver,) = [each for each in found.drivers if each.constraint != "card"]
        assert driver.constraint in ("ttft", "tpot")
        assert (driver.unit, driver.limit) == ("ms", {"ttft": 500.0, "tpot": 15.0}[driver.constraint])
        assert (driver.need or 0) > (driver.limit or 0)

    def test_a_cold_start(self) -> None:
        found = make_plan(
            load(
                make_agent(sessions={"concurrent": 20}, traffic={"burstFactor": 20.0, "rampS": 1.0}, conversation=TALK)
            ),
            make_catalog(offerings("s1", "small-40", on_demand="1.00")),
        )
        driver = next(each for each in found.drivers if each.constraint == "cold-start")
        assert driver.unit == "s"
        assert "replicas are warm where normal load needs" in driver.message

    def test_a_cheaper_card_that_is_turned_away(self) -> None:
        found = make_plan(
            load(make_agent("big", "test/big", sessions={"concurrent": 1}, latencyClass="background", precision="fp8")),
            make_catalog(
                (*offerings("s1", "small-40", on_demand="1.00"), *offerings("l4", "large-80", 4, on_demand="9.00"))
            ),
        )
        driver = next(each for each in found.drivers if each.constraint == "card")
        assert driver.refused == "memory"
        assert (driver.need or 0) > (driver.limit or 0)

    def test_nothing(self) -> None:
        found = make_plan(
            load(make_agent(sessions={"concurrent": 1})), make_catalog(offerings("s1", "small-40", on_demand="1.00"))
        )
        assert [each.constraint for each in found.drivers] == ["least"]

    def test_the_dearest_comes_first_and_shares_add_up(self, stack: LoadedStack) -> None:
        found = make_plan(stack, CATALOG)
        money = [each.usd_per_month for each in found.drivers]
        assert money == sorted(money, reverse=True)
        shares = {each.agent: each.share_ratio for each in found.drivers}
        assert sum(shares.values()) == pytest.approx(1.0, abs=1e-3)


def test_a_card_is_left_out_by_whatever_name_it_was_allowed() -> None:
    """Once ``no small-40`` kept it, where the spec called it SMALL-40."""
    named = levers(load(SUPPORT, accelerators={"allow": ["SMALL-40", "LARGE-80"]}), CATALOG)
    assert lever(named, "card", None, change="no small-40").write == "accelerators: {allow: [large-80]}"
