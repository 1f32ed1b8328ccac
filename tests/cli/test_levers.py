"""``levers`` and ``frontier`` on the command line: formats, exit codes, and what is refused."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest

from agentgpu_iac.planning.levers import levers as asking
from tests.cli.running import SMALL, agentgpu

OVER = SMALL.replace("spec:\n", "spec:\n  capacity: {budgetUsdPerMonth: 1000}\n")


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
    path.write_text(OVER.replace("1000", "500"), encoding="utf-8")
    with patch.object(asking, "of_agent", few), patch.object(asking, "of_deployment", few):
        answer = agentgpu("plan", path, "--format", "json")
        text = agentgpu("plan", path)
    assert answer.code == text.code == 1
    assert answer.data["feasible"] is False
    assert all(way["withinBudget"] for way in answer.data["waysOut"])
    assert "Ways out" in text.out
    assert "agentgpu levers" in text.err
