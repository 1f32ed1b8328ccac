"""The plan on one screen: within its width, in few lines, with nothing that matters left out."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import get_args

import pytest

from agentgpu_iac.cli.output import COLOURS
from agentgpu_iac.plan import Plan, Warning
from agentgpu_iac.plan.codes import WarningCode
from agentgpu_iac.plan.cost import AgentCost
from agentgpu_iac.plan.meanings import RANK_ORDER
from agentgpu_iac.review.blocks import MARKS, Block, Heading, Line, Listing, Table, laid_out
from agentgpu_iac.review.plan_page import plan_page
from agentgpu_iac.review.warning_groups import grouped
from agentgpu_iac.spec.loader import load
from tests.examples import EXAMPLES
from tests.plans import make_plan, make_tiered_plan, make_workload
from tests.review.screens import FOUR_AGENTS, WIDTHS, lines_of
from tests.review.stacks import example

PATHS = {path.stem: path for path in EXAMPLES}


def plan_of(name: str) -> Plan:
    """An example's plan, made once."""
    return example(PATHS[name]).plan


def lines(plan: Plan, width: int) -> list[str]:
    return lines_of(plan_page(plan, "s.yaml"), width)


def styles(screen: tuple[Line, ...], text: str) -> set[str]:
    return {span.style for line in screen for span in line if text in span.text}


def screen(plan: Plan) -> tuple[Line, ...]:
    return tuple(laid_out(plan_page(plan, "s.yaml"), 120))


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PATHS)
def test_no_line_is_longer_than_the_screen(name: str, width: int) -> None:
    assert max(map(len, lines(plan_of(name), width))) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [name for name, path in PATHS.items() if len(load(path).stack.spec.agents) <= 4])
def test_four_agents_fit_one_screen(name: str, width: int) -> None:
    assert len(lines(plan_of(name), width)) <= FOUR_AGENTS


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PATHS)
def test_each_workload_has_one_row_whatever_the_width(name: str, width: int) -> None:
    """Once a table that had no room became a record of lines below each other."""
    shown, plan = lines(plan_of(name), width), plan_of(name)
    head = next(at for at, line in enumerate(shown) if line.startswith("agent "))
    for workload, row in zip(plan.workloads, shown[head + 1 :], strict=False):
        assert row.split()[0].rstrip("…") == workload.agent[: len(row.split()[0].rstrip("…"))]
        assert re.search(r" [#.]{10} ", row)
    assert {"agent", "model", "VRAM", "replicas"} <= set(shown[head].split())


def test_each_fact_is_a_line_of_its_own() -> None:
    plan = plan_of("multi-agent")
    assert len(plan.facts) >= 4
    shown = lines(plan, 120)
    assert all(f" • {fact}" in shown for fact in plan.facts)
    assert plan.headline == " ".join(plan.facts)


def with_times(ttft_ms: float, budget_ms: float) -> Plan:
    one = make_workload()
    latency = one.latency.model_copy(update={"ttft_at_percentile_ms": ttft_ms, "budget_ttft_ms": budget_ms})
    return make_plan(workloads=(make_workload(latency=latency),))


@pytest.mark.parametrize(
    ("ttft_ms", "style", "mark"),
    [(180.0, "", ""), (181.0, "tight", " !"), (200.0, "tight", " !"), (201.0, "over", " !!")],
)
def test_a_figure_near_its_budget_is_amber_and_over_it_red(ttft_ms: float, style: str, mark: str) -> None:
    """Once nothing told 192 of 200 ms from 75 of 200."""
    shown = screen(with_times(ttft_ms, 200.0))
    assert styles(shown, f"{ttft_ms:.0f}/200{mark}") == {style}
    assert any("! over 90 %" in span.text for line in shown for span in line) is bool(mark)


def test_memory_is_held_against_what_may_be_used() -> None:
    one = make_workload()
    full = one.memory.model_copy(update={"utilization_ratio": 0.75, "reserve_ratio": 0.2})
    shown = screen(make_plan(workloads=(make_workload(memory=full),)))
    assert styles(shown, "########.. !") == {"tight"}


def test_no_bar_is_broken_on_a_narrow_screen() -> None:
    """Once ten signs went on in a second line, where no column of less worth was left to go."""
    for width in (40, 50, 60, 70):
        bars = [line for line in lines(plan_of("multi-agent"), width) if re.search("[#.]{4}", line)]
        assert all(re.search(r" [#.]{10}( |$)", line) for line in bars)


def test_the_budget_is_said_with_what_is_left_of_it() -> None:
    plan = make_plan()
    cost = plan.cost.baseline_usd_per_month
    policy = plan.policy.model_copy(update={"budget_usd_per_month": cost / Decimal("0.95")})
    shown = screen(plan.model_copy(update={"policy": policy}))
    assert styles(shown, "95% is used. !") == {"tight"}


def warned(*codes: tuple[WarningCode, str | None]) -> Plan:
    return make_plan(
        warnings=tuple(Warning(code=code, agent=agent, message=f"{code} of {agent}") for code, agent in codes)
    )


def warning_lines(blocks: tuple[Block, ...]) -> tuple[str, ...]:
    at = next(at for at, block in enumerate(blocks) if isinstance(block, Heading) and "Warnings" in block.text)
    listing = blocks[at + 1]
    assert isinstance(listing, Listing)
    return listing.items


def test_seven_warnings_of_one_kind_are_one_line() -> None:
    plan = warned(*(("unpinned", f"a{number}") for number in range(7)))
    (line,) = warning_lines(plan_page(plan, "s.yaml"))
    assert line.startswith("safety-and-cost: [unpinned x7] an image, AMI or model revision is not exact (a0, a1, ")


def test_the_worst_warnings_come_first_and_none_of_them_is_left_out() -> None:
    plan = warned(
        ("storage", "a"),
        ("uncalibrated", "a"),
        ("engine-suggestion", "a"),
        ("latency-risk", "a"),
        ("without-effect", "a"),
        ("unpinned", None),
        ("cache-miss", "a"),
    )
    said = warning_lines(plan_page(plan, "s.yaml"))
    assert said[:2] == ("serving: [latency-risk] a: latency-risk of a", "serving: [cache-miss] a: cache-miss of a")
    assert said[2] == "safety-and-cost: [unpinned] unpinned of None"
    assert not any(line.startswith("!") for line in said), "a mark is of a figure beside its budget"
    assert said[-1] == "and engine-suggestion, without-effect"
    assert [group.rank for group in grouped(plan)] == ["serving", "serving", "safety-and-cost", *["to-know"] * 4]


def test_no_warning_has_a_colour_or_a_mark_of_a_budget() -> None:
    """Once red was both over a budget and a warning that agents may not answer, and amber both tight and money."""
    plan = warned(*((code, "a") for code in get_args(WarningCode)))
    shown = screen(plan)
    said = [span for line in shown for span in line if re.match(f"({'|'.join(RANK_ORDER)}): ", span.text)]
    assert {span.text.partition(":")[0] for span in said} == set(RANK_ORDER)
    assert {span.style for span in said}.isdisjoint({*MARKS, "good"})
    assert not any(span.text.rstrip().endswith(" !") or "!!" in span.text for span in said)
    by_rank = {span.text.partition(":")[0]: span.style for span in said}
    assert len(set(by_rank.values())) == len(RANK_ORDER), "each rank looks otherwise"


def test_only_what_is_held_against_a_budget_has_a_colour() -> None:
    """Cyan is of commands."""
    assert {style for style, look in COLOURS.items() if look.get("fg") not in (None, "cyan")} == {*MARKS, "good"}


def test_many_agents_are_told_by_those_that_cost_most() -> None:
    costs = tuple(
        AgentCost(agent=f"a{n}", usd_per_month=Decimal(n), asked_per_month=None, usd_per_1000=None) for n in range(9)
    )
    plan = make_plan()
    plan = plan.model_copy(update={"cost": plan.cost.model_copy(update={"by_agent": costs})})
    text = "\n".join(lines(plan, 120))
    assert "By agent, USD a month: a8 8.00, a7 7.00, a6 6.00, a5 5.00, a4 4.00, a3 3.00 and 3 more." in text


def test_a_burst_tier_has_a_column_and_others_have_none() -> None:
    tables = [
        next(block for block in plan_page(plan, "s.yaml") if isinstance(block, Table))
        for plan in (make_tiered_plan(), make_plan())
    ]
    assert ["tier" in table.columns for table in tables] == [True, False]


def test_what_came_by_standard_input_has_no_next_command() -> None:
    assert "Next" in lines(make_plan(), 80)
    assert not any(isinstance(block, Heading) and block.text == "Next" for block in plan_page(make_plan(), "-"))
