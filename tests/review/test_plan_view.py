"""The plan on one screen says what the plan's data says, and nothing else."""

from __future__ import annotations

import re
import shlex
from decimal import Decimal
from pathlib import Path

import pytest

from agentgpu_iac.plan import Override, Plan, Warning
from agentgpu_iac.plan.buying import place_words
from agentgpu_iac.plan.cards import cards_of
from agentgpu_iac.rendering.readme import readme
from agentgpu_iac.review.blocks import Block, Commands, Heading, Listing, Paragraph, Table
from agentgpu_iac.review.plan_view import bar, plan_view, sentence
from agentgpu_iac.units import figure
from tests.examples import EXAMPLES
from tests.plans import make_plan, make_tiered_plan, make_workload
from tests.review.arithmetic import first_number
from tests.review.stacks import example, stack

PATHS = {path.stem: path for path in EXAMPLES}
BURST = ("model: Qwen/Qwen3-8B", "sessions: {concurrent: 20}", "traffic: {burstFactor: 40, rampS: 3600}")
every_plan = pytest.mark.parametrize("plan", [*PATHS, "burst"], indirect=True)


@pytest.fixture
def plan(request: pytest.FixtureRequest) -> Plan:
    """An example's plan, or one with a burst; each is made once."""
    return stack(*BURST).plan if request.param == "burst" else example(PATHS[request.param]).plan


def sections(blocks: tuple[Block, ...]) -> dict[str, list[Block]]:
    """Blocks by the heading above them."""
    found: dict[str, list[Block]] = {"": []}
    for block in blocks:
        if isinstance(block, Heading):
            found[block.text] = []
        else:
            found[list(found)[-1]].append(block)
    return found


def table_of(blocks: list[Block]) -> list[dict[str, str]]:
    (table,) = (block for block in blocks if isinstance(block, Table))
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def numbers(text: str) -> list[float]:
    return [float(each.replace(",", "")) for each in re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)]


@every_plan
def test_the_first_lines_are_the_headline_and_the_pattern(plan: Plan) -> None:
    first, second = sections(plan_view(plan, "s.yaml"))[""]
    assert isinstance(first, Paragraph) and isinstance(second, Paragraph)
    assert first.text == f"{plan.stack}: {plan.headline}"
    assert second.text == f"Pattern: {plan.pattern}. Architecture: {plan.architecture}. Target: {plan.target}."


@every_plan
def test_the_agents(plan: Plan) -> None:
    rows = table_of(sections(plan_view(plan, "s.yaml"))["Agents"])
    first = "TTFT or answer p95 ms" if any(one.pooling for one in plan.workloads) else "TTFT p95 ms"
    assert len(rows) == len(plan.workloads)
    on = cards_of(plan.workloads, plan.node_pools)
    for row, one in zip(rows, plan.workloads, strict=True):
        assert (row["agent"], row["tier"], row["seqs"]) == (one.agent, one.tier, str(one.max_num_seqs))
        assert row["model"] == f"{one.model} {one.precision}"
        assert row["accelerator"].startswith(f"{one.accelerators_per_replica} x {one.accelerator}")
        assert (one.share_group or "shared") in row["accelerator"] or one.share_group is None
        assert numbers(row["TP x PP"]) == [one.tensor_parallel_size, one.pipeline_parallel_size]
        assert numbers(row["VRAM need / have"]) == pytest.approx(
            [one.memory.total_gib, one.memory.capacity_gib], abs=0.051
        )
        assert row[""].count("#") == pytest.approx(on[one.name].used_ratio * 10, abs=0.5)
        assert set(numbers(row["replicas"].replace("-", " "))) == {one.replicas.min, one.replicas.max}
        times = one.latency
        figures = [
            (row[first], times.ttft_at_percentile_ms, times.budget_ttft_ms, times.ttft_error_ratio),
            (row["TPOT p95 ms"], times.tpot_at_percentile_ms, times.budget_tpot_ms, times.tpot_error_ratio),
        ]
        if one.pooling is not None:
            assert row["TPOT p95 ms"] == "answers whole"
            whole = (row[first], times.e2e_at_percentile_ms, times.budget_e2e_ms, times.e2e_error_ratio)
            figures = [whole]
        for said, value, budget, error in figures:
            known = [value, budget, None if error is None else error * 100]
            assert numbers(said) == pytest.approx([each for each in known if each is not None], abs=0.51)


def test_answers_that_come_whole_have_no_column_of_tpot() -> None:
    plan = example(PATHS["retrieval"]).plan
    pooled = tuple(one for one in plan.workloads if one.pooling is not None)
    rows = table_of(sections(plan_view(plan.model_copy(update={"workloads": pooled}), "s.yaml"))["Agents"])
    assert [column for column in rows[0] if "p95" in column] == ["answer p95 ms"]
    agents = tuple(agent for agent in plan.agents if agent.deployment in {tier.agent for tier in pooled})
    page = readme(plan.model_copy(update={"workloads": pooled, "agents": agents}), ()).content.decode()
    assert "| inputs a replica | answer p95 ms |" in page
    assert "| sessions or inputs a replica | TTFT or answer p95 ms |" in readme(plan, ()).content.decode()
    assert "| sessions a replica | TTFT p95 ms |" in readme(make_plan(), ()).content.decode()


@every_plan
def test_the_node_pools(plan: Plan) -> None:
    rows = table_of(sections(plan_view(plan, "s.yaml"))["Node pools"])
    for row, pool in zip(rows, plan.node_pools, strict=True):
        assert (row["pool"], row["tier"]) == (pool.name, pool.tier)
        assert row["bought"].split(" > ") == list(pool.capacity_types)
        assert row["instance type"] == f"{pool.instance_types[0]} ({pool.accelerators_per_node} x {pool.accelerator})"
        assert row["where"] == place_words(pool)
        assert set(numbers(row["nodes"].replace("-", " "))) == {pool.min, pool.max}
        assert Decimal(row["USD/h a node"]) == pytest.approx(pool.usd_per_hour, abs=Decimal("0.00005"))
        assert row["price of"] == (pool.price_date or "undated")


def test_a_price_that_nobody_knows_is_called_that() -> None:
    known = make_plan()
    (item,), (pool,) = known.cost.line_items, known.node_pools
    cost = known.cost.model_copy(update={"line_items": (item.model_copy(update={"price_known": False}),)})
    unknown = known.model_copy(update={"cost": cost, "node_pools": (pool.model_copy(update={"price_known": False}),)})
    shown = sections(plan_view(unknown, "s.yaml"))
    assert table_of(shown["Node pools"])[0]["price of"] == f"unknown, counted as of {pool.price_date}"
    assert table_of(shown["Cost"])[0]["item"].endswith("(price unknown)")


@every_plan
def test_the_costs(plan: Plan) -> None:
    rows = table_of(sections(plan_view(plan, "s.yaml"))["Cost"])
    cost = plan.cost
    said = {row["item"]: first_number(row["USD"]) for row in rows}
    assert said["baseline, a month of 720 h"] == float(cost.baseline_usd_per_month)
    assert said["at the peak, an hour"] == pytest.approx(float(cost.peak_usd_per_hour), abs=0.0051)
    expected = said.get("baseline and the expected burst hours, a month", float(cost.baseline_usd_per_month))
    assert expected == float(cost.expected_usd_per_month)
    for row, item in zip(rows, cost.line_items, strict=False):
        hours = "" if item.hours_per_month == 720 else f", {float(item.hours_per_month):g} h a month"
        assert row["item"] == f"{item.nodes} x {item.instance_type}, {item.capacity_type}, {item.tier}{hours}"
        assert first_number(row["USD"]) == float(item.usd_per_month)
    for alternative in cost.alternatives[:8]:
        (row,) = (
            one
            for one in rows
            if one["item"].startswith("instead, ")
            and f"{alternative.description} ({alternative.note})" in one["item"]
            and (alternative.agent or "") in one["item"]
        )
        assert row["USD"] == f"{alternative.delta_usd_per_month:+,.2f} a month"


@every_plan
def test_every_warning_is_said(plan: Plan) -> None:
    (said,) = sections(plan_view(plan, "s.yaml"))["Warnings"]
    assert isinstance(said, Listing)
    assert len(said.items) == len(plan.warnings)
    for item, warning in zip(said.items, plan.warnings, strict=True):
        assert item.startswith(f"[{warning.code}] ")
        assert item.endswith(warning.message)
        assert (f"{warning.agent}: " in item) == (warning.agent is not None)


def test_sections_without_content_are_left_out() -> None:
    assert list(sections(plan_view(make_plan(), "s.yaml"))) == ["", "Agents", "Node pools", "Cost", "Next"]


def test_a_burst_tier_shows_its_range_and_its_capacity_types() -> None:
    shown = sections(plan_view(make_tiered_plan(), "s.yaml"))
    assert [row["replicas"] for row in table_of(shown["Agents"])] == ["1", "0-3"]
    assert table_of(shown["Node pools"])[1]["bought"] == "spot > on-demand"
    assert table_of(shown["Node pools"])[1]["nodes"] == "0-3"


def test_latency_that_is_not_known_is_said_to_be_so() -> None:
    nothing = {
        "ttft_at_percentile_ms": None,
        "tpot_at_percentile_ms": None,
        "ttft_error_ratio": None,
        "tpot_error_ratio": None,
    }
    one = make_workload()
    unknown = make_workload(latency=one.latency.model_copy(update=nothing))
    row = table_of(sections(plan_view(make_plan(workloads=(unknown,)), "s.yaml"))["Agents"])[0]
    assert row["TTFT p95 ms"] == row["TPOT p95 ms"] == "not predicted"


def test_figures_set_by_hand_stand_beside_the_computed_ones() -> None:
    overrides = (
        Override(agent="a", field="kvBytesPerToken", computed=81920.0, value=1638400.0),
        Override(agent="a", field="tensorParallelSize", computed=None, value=2.0),
    )
    (said,) = sections(plan_view(make_plan(overrides=overrides), "s.yaml"))["Set by hand"]
    assert isinstance(said, Listing)
    assert said.items == (
        "a: kvBytesPerToken = 1,638,400 (computed: 81,920)",
        "a: tensorParallelSize = 2 (computed: searched for)",
    )
    assert overrides[0].beside == "computed: 81,920"


def test_the_next_commands_can_be_pasted() -> None:
    (commands,) = sections(plan_view(make_plan(), "my stacks/it's.yaml"))["Next"]
    assert isinstance(commands, Commands)
    assert [shlex.split(line) for line in commands.lines] == [
        ["agentgpu", "explain", "my stacks/it's.yaml", "support"],
        ["agentgpu", "render", "my stacks/it's.yaml", "-o", "build/demo"],
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (1638400, "1,638,400"),
        (13.7538, "13.7538"),
        (197.581863826, "197.5819"),
        (0.5, "0.5"),
        (1e9, "1,000,000,000"),
    ],
)
def test_figures(value: float, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("ratio", "cells"),
    [(0, ".........."), (0.396, "####......"), (0.8, "########.."), (1.7, "##########"), (-1, "..........")],
)
def test_bars(ratio: float, cells: str) -> None:
    assert bar(ratio) == cells


def test_sentences() -> None:
    assert sentence(Warning(code="unpinned", agent=None, message="pin it")) == "[unpinned] pin it"
    assert sentence(Warning(code="unpinned", agent="a", message="pin it")) == "[unpinned] a: pin it"


def test_the_examples_are_all_here() -> None:
    assert {path.stem for path in EXAMPLES} >= {"customer-service", "trio", "five-agents", "tiered"}
    assert all(isinstance(path, Path) and path.is_file() for path in EXAMPLES)
