"""Frontiers: every point is a plan, stricter is never cheaper, and what is asked wrongly is told."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan.lever import Frontier
from agentgpu_iac.planning.levers.frontier import frontier
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.review.blocks import plain_text
from agentgpu_iac.review.frontier_plot import frontier_svg
from agentgpu_iac.review.levers_view import frontier_view
from tests.planning.scenes import load, make_agent, make_catalog, offerings

CATALOG = make_catalog((*offerings("s1", "small-40", on_demand="1.00"), *offerings("l1", "large-80", on_demand="3.00")))
AGENT = make_agent(
    sessions={"concurrent": 12}, traffic={"burstFactor": 3.0, "rampS": 60.0}, conversation={"maxContextTokens": 8192}
)
STACK = load(AGENT)


def usd(found: Frontier) -> list[Decimal]:
    return [point.usd_per_month for point in found.points if point.usd_per_month is not None]


@pytest.mark.parametrize(
    ("over", "values", "dearer_upwards"),
    [
        ("ttftMs", (40.0, 80.0, 160.0, 500.0, 2000.0), False),
        ("peak", (12.0, 24.0, 36.0, 72.0, 200.0), True),
        ("percentile", (50.0, 90.0, 95.0, 99.0), True),
        ("coldStartS", (10.0, 60.0, 300.0, 1200.0), True),
    ],
)
def test_stricter_is_never_cheaper(over: str, values: tuple[float, ...], dearer_upwards: bool) -> None:
    found = frontier(STACK, CATALOG, over, values=values)
    assert [point.value for point in found.points] == list(values)
    assert usd(found) == sorted(usd(found), reverse=not dearer_upwards)
    planned = [point.planned for point in found.points]
    assert planned == sorted(planned, reverse=dearer_upwards)  # what is too strict has no plan, and nothing beyond it


def test_a_point_is_the_plan_of_its_value() -> None:
    found = frontier(STACK, CATALOG, "peak")
    assert [point.value for point in found.points] == [12.0, 18.0, 27.0, 36.0, 54.0, 72.0]
    own = next(point for point in found.points if point.own)
    made = make_plan(STACK, CATALOG)
    assert (own.value, own.usd_per_month) == (36.0, made.cost.expected_usd_per_month)
    assert own.baseline_usd_per_month == made.cost.baseline_usd_per_month
    last = make_plan(load({**AGENT, "traffic": {"burstFactor": 6.0, "rampS": 60.0}}), CATALOG)
    assert found.points[-1].usd_per_month == last.cost.expected_usd_per_month
    assert found.points[-1].peak_usd_per_hour == last.cost.peak_usd_per_hour
    assert found.write == "agent support: traffic: {burstFactor: 3}, sessions: {peak: 36}"


def test_what_the_rules_forbid_is_a_point_without_a_plan() -> None:
    (point,) = frontier(STACK, CATALOG, "peak", values=[5.0]).points
    assert not point.planned
    assert "peak must be at least concurrent" in point.refusal
    (point,) = frontier(STACK, CATALOG, "percentile", values=[99.9]).points
    assert "percentile" in point.refusal


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"over": "ttft"}, "--over: knows no 'ttft'"),
        ({"over": "peak", "agent": "suport"}, "did you mean 'support'"),
        ({"over": "percentile", "agent": "support"}, "percentile is the whole stack's"),
        ({"over": "peak", "values": [12.5]}, "a whole number of sessions"),
        ({"over": "peak", "values": [float(each) for each in range(1, 60)]}, "59 values are too many"),
    ],
)
def test_what_is_asked_wrongly(wanted: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput) as refusal:
        frontier(STACK, CATALOG, **wanted)
    assert told in str(refusal.value)
    assert len(refusal.value.faults) == 1


def test_whose_field_it_is_must_be_said() -> None:
    two = load(AGENT, make_agent("other", "test/tiny"))
    with pytest.raises(BadInput, match="one of support, other"):
        frontier(two, CATALOG, "ttftMs")
    background = load(make_agent(latencyClass="background"))
    with pytest.raises(BadInput, match="has no ttftMs to begin with"):
        frontier(background, CATALOG, "ttftMs")


def test_the_table_and_the_picture_hold_every_point() -> None:
    found = frontier(STACK, CATALOG, "ttftMs", values=[1.0, 500.0, 501.0])
    text = plain_text(frontier_view(found))
    assert "no plan" in text
    assert "500 (as it is)" in text
    picture = ET.fromstring(frontier_svg(found))
    kinds = [each.tag.rpartition("}")[2] for each in picture.iter()]
    assert (kinds.count("circle"), kinds.count("path")) == (2, 1)
    assert [each.get("fill") for each in picture.iter() if each.tag.endswith("circle")] == ["#1f77b4", "white"]
