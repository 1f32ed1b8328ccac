"""``levers`` and ``frontier`` on the command line: formats, exit codes, and what is refused."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import jsonschema
import pytest

from agentgpu_iac.plan.schema import answer_schema
from agentgpu_iac.planning.levers import levers as asking
from tests.cli.running import SMALL, agentgpu

OVER = SMALL.replace("spec:\n", "spec:\n  capacity: {budgetUsdPerMonth: 600}\n")


def few(*_: object) -> list[object]:
    return []


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "stack.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def test_what_is_printed(small: Path) -> None:
    with patch.object(asking, "of_stack", few), patch.object(asking, "of_deployment", few):
        data = agentgpu("levers", small, "--format", "json").data
        text = agentgpu("levers", small)
    jsonschema.validate(data, answer_schema("levers"))
    assert (data["stack"], data["feasible"], data["waysOut"]) == ("demo", True, [])
    assert {each["lever"] for each in data["levers"]} == {"ttft"}
    assert data["levers"][0]["write"] == "agent support: ttftMs: 1000"
    assert text.code == 0
    assert "What drives the price" in text.out


def test_an_unknown_agent(small: Path) -> None:
    answer = agentgpu("levers", small, "--agent", "suport")
    assert answer.code == 2
    assert "did you mean 'support'?" in answer.err


def test_a_plan_over_its_budget_names_the_ways_out(tmp_path: Path) -> None:
    path = tmp_path / "stack.yaml"
    path.write_text(OVER, encoding="utf-8")
    with patch.object(asking, "of_agent", few), patch.object(asking, "of_stack", few):
        answer = agentgpu("plan", path, "--format", "json")
    assert answer.code == 1
    assert answer.data["feasible"] is False
    ways = answer.data["waysOut"]
    assert "agent support: precision: int4" in {way["write"] for way in ways}
    assert all(way["withinBudget"] for way in ways)
    assert "agentgpu levers" in answer.err


def test_a_plan_over_its_budget_without_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "stack.yaml"
    path.write_text(OVER, encoding="utf-8")
    with (
        patch.object(asking, "of_agent", few),
        patch.object(asking, "of_stack", few),
        patch.object(asking, "of_deployment", few),
    ):
        answer = agentgpu("plan", path)
    assert "Ways out" in answer.out
    assert "None of 0 changes makes a plan possible" in answer.out


def test_a_frontier(small: Path, tmp_path: Path) -> None:
    picture = tmp_path / "ttft.svg"
    asked = ("frontier", small, "--over", "ttftMs", "--values", "500, 1000")
    answer = agentgpu(*asked, "--plot", picture, "--format", "json")
    assert answer.code == 0
    jsonschema.validate(answer.data, answer_schema("frontier"))
    assert [(point["value"], point["own"], point["planned"]) for point in answer.data["points"]] == [
        (500.0, True, True),
        (1000.0, False, True),
    ]
    assert picture.read_text(encoding="utf-8").startswith("<svg")
    assert "(as it is)" in agentgpu(*asked).out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--over", "ttftMs", "--plot", "a.png"), "--plot: writes SVG alone, and a.png does not end in .svg"),
        (("--over", "ttftMs", "--values", "1,b"), "--values: 'b' is no number (such as --values 200,500,1000)"),
        (("--over", "ttftMs", "--values", "-1"), "--values: holds a number that is not above 0"),
        (("--over", "speed"), "--over: knows no 'speed' (one of ttftMs, peak, percentile, coldStartS)"),
    ],
)
def test_a_frontier_that_is_asked_for_wrongly(small: Path, options: tuple[str, ...], told: str) -> None:
    answer = agentgpu("frontier", small, *options)
    assert (answer.code, answer.err) == (2, told + "\n")


def test_a_frontier_without_any_plan(small: Path) -> None:
    answer = agentgpu("frontier", small, "--over", "ttftMs", "--values", "1")
    assert answer.code == 1
    assert "no plan" in answer.out
