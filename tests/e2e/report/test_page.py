"""The report in a real Chromium: it says nothing, asks for nothing, shows the plan's figures, and anyone can read it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.reading import load_plan
from agentgpu_iac.review.commonmark import visible
from agentgpu_iac.review.report.page import report_page
from tests.review.pages import rich_plan
from tools.install import path as tool

GOLDEN = Path(__file__).parents[2] / "outcomes" / "golden"
HOSTILE = {
    "stack": "<script>alert(1)</script>\u202etxt",
    "agent": '"><img src=x onerror=alert(2)>',
    "role": "</style></title><svg/onload=alert(3)><a href=javascript:alert(4)>x</a>",
    "model": "'}}{{7*7}}]]>--><iframe src=https://example.com></iframe>",
}
PLANS = {
    "five": lambda: load_plan(GOLDEN / "five-agents" / "eks" / "plan.json"),
    "shared": lambda: load_plan(GOLDEN / "retrieval" / "eks" / "plan.json"),
    "rich": rich_plan,
    "hostile": lambda: rich_plan(**HOSTILE),
}


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    return {name: make() for name, make in PLANS.items()}


@pytest.fixture(scope="module")
def seen(plans: dict[str, Plan], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the browser saw of each page."""
    folder = tmp_path_factory.mktemp("pages")
    for name, plan in plans.items():
        (folder / f"{name}.html").write_text(report_page(plan), encoding="utf-8")
    done = subprocess.run(
        [
            tool("browser-python"),
            Path(__file__).with_name("look.py"),
            tool("chromium"),
            tool("chromium-root"),
            *(folder / f"{name}.html" for name in plans),
        ],
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(plans, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("name", PLANS)
def test_the_console_is_silent_and_nothing_is_asked_for(seen: dict[str, Any], name: str) -> None:
    views = seen[name]["views"]
    assert len(views) == (4 if name == "five" else 2)
    for view in views:
        assert view["said"] == []
        assert len([url for url in view["requests"] if not url.startswith("data:")]) == 1
    assert set(seen[name]["asked"]) == {"/plan.html"}


@pytest.mark.parametrize("name", PLANS)
def test_axe_finds_nothing_on_a_desk_in_light_or_a_phone_in_dark_folded_or_open(
    seen: dict[str, Any], name: str
) -> None:
    views = [view for view in seen[name]["views"] if "closed" in view]
    assert [(view["width"], view["scheme"]) for view in views] == [(1280, "light"), (375, "dark")]
    for view in views:
        assert view["closed"] == []
        assert view["open"] == []


@pytest.mark.parametrize("name", PLANS)
def test_no_page_scrolls_sideways_and_no_word_of_a_figure_is_cut(seen: dict[str, Any], name: str) -> None:
    for view in seen[name]["views"]:
        assert view["scroll"] <= view["width"]
        assert view["open-scroll"] <= view["width"]
        assert view["wide"] == []
        assert view["cut"] == []


def test_light_and_dark_are_two_pages(seen: dict[str, Any]) -> None:
    colours = {view["scheme"]: view["background"] for view in seen["five"]["views"]}
    assert colours == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}


def test_tables_show_the_plans_figures(seen: dict[str, Any], plans: dict[str, Plan]) -> None:
    for name in ("five", "shared"):
        plan, tables = plans[name], seen[name]["tables"]
        assert [row[0] for row in tables["Deployments"]] == [workload.name for workload in plan.workloads]
        assert [row[6] for row in tables["Deployments"]] == [f"{each.memory.total_gib:,.2f}" for each in plan.workloads]
        sums = dict(tables["Sums in USD"])
        assert sums["baseline, a month of 720 h"] == f"{plan.cost.baseline_usd_per_month:,.2f}"
        assert sums["at the peak, an hour"] == f"{plan.cost.peak_usd_per_hour:,.2f}"


def test_bars_are_as_long_as_the_plans_figures(seen: dict[str, Any], plans: dict[str, Plan]) -> None:
    """In pixels of the drawing, as Chromium lays them out."""
    plan = plans["five"]
    (figure,) = [each for each in seen["five"]["shapes"] if each["title"] == "Memory of one card"]
    widths: dict[str, float] = {}
    for shape in figure["drawn"]:
        owner, _, what = shape["tip"].partition(": ")
        if "that the engine takes" not in what and "the need stays below" not in what:
            widths[owner] = widths.get(owner, 0.0) + shape["width"]
    whole = {
        name: width / workload.memory.utilization_ratio
        for workload in plan.workloads
        for name, width in widths.items()
        if name == workload.name
    }
    assert len(whole) == len(plan.workloads)
    assert max(whole.values()) - min(whole.values()) < 0.5
    costs = next(each for each in seen["five"]["shapes"] if each["title"] == "Cost by agent")["drawn"]
    dearest, *_, cheapest = sorted(plan.cost.by_agent, key=lambda each: -each.usd_per_month)
    by_agent = {shape["tip"].partition(": ")[0]: shape["width"] for shape in costs}
    assert by_agent[cheapest.agent] / by_agent[dearest.agent] == pytest.approx(
        float(cheapest.usd_per_month / dearest.usd_per_month), abs=0.005
    )


def test_colours_are_there(seen: dict[str, Any]) -> None:
    """A colour that the style sheet does not know would be black, or none."""
    for figure in seen["five"]["shapes"]:
        assert figure["drawn"]
        assert not {shape["fill"] for shape in figure["drawn"]} & {"rgb(0, 0, 0)"}


@pytest.mark.parametrize("name", PLANS)
def test_the_tab_key_stops_at_everything_that_can_be_used_and_shows_where(seen: dict[str, Any], name: str) -> None:
    stops = seen[name]["stops"]
    assert stops[0]["text"] == "Skip to the plan"
    assert all(stop["seen"] and stop["outline"] for stop in stops), [stop for stop in stops if not stop["outline"]]
    kinds = {stop["tag"] for stop in stops}
    assert {"A", "SUMMARY"} <= kinds
    folded = seen[name]["print"]["all"]
    assert sum(stop["tag"] == "SUMMARY" for stop in stops) == folded
    assert seen[name]["key"] is True


def test_a_number_leads_to_its_open_sum(seen: dict[str, Any]) -> None:
    jump = seen["rich"]["jump"]
    assert jump["visible"]
    assert jump["in-sight"]
    assert jump["text"].split("\n")[:2] == ["totalGib", "23.26 GiB"]


@pytest.mark.parametrize("name", PLANS)
def test_on_paper_nothing_stays_folded(seen: dict[str, Any], name: str) -> None:
    printed = seen[name]["print"]
    assert printed["all"]
    assert printed["folded"] == 0


def test_a_screen_reader_hears_what_each_figure_shows(seen: dict[str, Any]) -> None:
    outline = seen["five"]["outline"]
    assert 'heading "At a glance" [level=2]' in outline
    assert 'img "Memory of one card Cards are filled in 5 ways' in outline
    assert "Memory of one card: the figures" in outline


def test_hostile_names_are_read_as_they_are_written(seen: dict[str, Any], plans: dict[str, Plan]) -> None:
    found, plan = seen["hostile"], plans["hostile"]
    assert found["title"] == f"{visible(plan.stack)}: GPU plan"
    assert found["heading"] == visible(plan.stack)
    (row,) = found["tables"]["Agents as asked for, with their budgets"]
    assert row[:3] == [visible(HOSTILE[name]) for name in ("agent", "role", "model")]
