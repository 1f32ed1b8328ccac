"""What preview and up say of the cost, and what the stack output holds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pulumi
import pytest

from agentgpu_iac.plan import Cost, LineItem, Plan
from agentgpu_iac.provisioning.cost_report import OUTPUT, cost_changes, cost_figures, cost_table, report_cost
from tests.plans import make_plan
from tests.provisioning.recording import Recording, record


def priced(*items: LineItem, month: str = "1339.92") -> Plan:
    """A plan of these lines."""
    cost = make_plan().cost
    changes: dict[str, Any] = {"line_items": items, "baseline_usd_per_month": Decimal(month)}
    return make_plan(cost=Cost(**{**dict(cost), **changes}))


BASELINE = make_plan().cost.line_items[0]
BURST = BASELINE.model_copy(
    update={
        "node_pool": "demo-burst",
        "tier": "burst",
        "capacity_type": "spot",
        "nodes": 3,
        "usd_per_hour": Decimal("0.951600"),
        "usd_per_month": Decimal("205.55"),
        "price_date": "",
    }
)


def test_the_table_has_a_line_for_each_pool_and_the_sums() -> None:
    plan = priced(BASELINE, BURST)
    assert list(cost_table(cost_figures(plan, "the sky"))) == [
        "cost: USD 1,339.92 a month for the baseline, USD 1.861 an hour at the peak",
        "  node pool                    tier      bought     nodes  USD/h each  USD/month",
        "  demo-baseline-g6e-xlarge     baseline  on-demand      1       1.861   1,339.92",
        "  demo-burst                   burst     spot           3      0.9516     205.55",
        "  baseline and expected burst                                           1,339.92",
        "  A burst tier counts for its expected hours. Prices of 2026-07-20, undated.",
        "  Not counted: the sky.",
    ]


def test_a_price_that_nobody_knows_is_marked() -> None:
    figures = cost_figures(priced(BASELINE.model_copy(update={"price_known": False})), "the sky")
    (line,) = figures["lines"].values()
    assert line["priceKnown"] is False
    table = list(cost_table(figures))
    assert table[2].endswith("1      1.861*  1,339.92*")
    assert "  * nobody knows this price; the dearest known price of the accelerator is counted" in table


def test_changes_are_told_figure_by_figure() -> None:
    last = cost_figures(priced(BASELINE, BURST), "the sky")
    twice = BASELINE.model_copy(update={"nodes": 2, "usd_per_month": Decimal("2679.84")})
    other = BURST.model_copy(update={"node_pool": "demo-burst-l4"})
    now = cost_figures(priced(twice, other, month="1200"), "the sky")
    assert list(cost_changes(last, now)) == [
        "  Changed since the last deployment:",
        "    baseline, USD/month: 1,339.92 -> 1,200.00 (-139.92)",
        "    demo-burst-l4 spot: new",
        "    demo-burst spot: gone",
        "    demo-baseline-g6e-xlarge on-demand: nodes 1 -> 2",
        "    demo-baseline-g6e-xlarge on-demand: USD/month 1,339.92 -> 2,679.84 (+1,339.92)",
    ]


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ({}, "No earlier deployment of this Pulumi stack told its cost"),
        ({OUTPUT: "1339.92"}, "No earlier deployment of this Pulumi stack told its cost"),
        ({OUTPUT: {"baselineUsdPerMonth": "1000.00"}}, "baseline, USD/month: 1,000.00 -> 1,339.92 (+339.92)"),
        ({OUTPUT: cost_figures(make_plan(), "the sky")}, "The same as at the last deployment."),
    ],
    ids=["first", "of another kind", "of another version", "same"],
)
def test_the_comparison_is_with_the_stacks_own_last_outputs(
    monkeypatch: pytest.MonkeyPatch, last: dict[str, Any], words: str
) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", said.append)
    recording = record(lambda: pulumi.export(OUTPUT, report_cost(make_plan(), excludes="the sky")), last_outputs=last)
    (text,) = said
    assert words in text
    assert recording.calls == [("pulumi:pulumi:readStackOutputs", {"name": "organization/agentgpu/test"})]
    assert recording.outputs[OUTPUT]["baselineUsdPerMonth"] == "1339.92"


def test_a_comparison_that_fails_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", said.append)

    def refuse(*_: object) -> None:
        raise Exception("no such stack")

    monkeypatch.setattr(pulumi.runtime, "invoke", refuse)
    recording: Recording = record(lambda: pulumi.export(OUTPUT, report_cost(make_plan(), excludes="the sky")))
    assert said[0].endswith("\n  The last deployment could not be read: no such stack")
    assert recording.outputs[OUTPUT]["lines"]
