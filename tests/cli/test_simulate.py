"""``agentgpu simulate``."""

from __future__ import annotations

import pytest

from agentgpu_iac.plan.writing import plan_text
from tests.cli.running import agentgpu
from tests.simulation import fleets


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    path = tmp_path_factory.mktemp("simulate") / "plan.json"
    path.write_text(plan_text(fleets.small_plan()))
    return path


def test_a_saved_plan_as_a_table_and_as_data(plan):
    asked = ("simulate", plan, "--hours", "0.05", "--seed", "4")
    table, data = agentgpu(*asked), agentgpu(*asked, "--json")
    assert (table.code, data.code) == (0, 0), table.err + data.err
    assert "holds every budget" in table.out
    assert data.data["agents"][0]["requests"] == data.data["agents"][0]["answered"] > 0
    assert agentgpu(*asked, "--json").out == data.out


def test_a_budget_that_does_not_hold_is_an_answer_of_no(plan, tmp_path):
    trace = tmp_path / "trace.csv"
    rows = "".join(f"2026-01-01 00:00:{number % 60:02d}.{number % 10},1500,300\n" for number in range(60))
    trace.write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}")
    answer = agentgpu("simulate", plan, "--traffic", trace, "--request-rate", "60", "--hours", "0.01", "--json")
    assert answer.code == 1, answer.err
    assert answer.data["holds"] is False


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--traffic", "flas"), "did you mean 'flash'"),
        (("--hours", "0"), "--hours"),
        (("--hours", "nan"), "--hours"),
        (("--request-rate", "5"), "is for traces"),
        (("--reclaims-per-hour", "-1"), "--reclaims-per-hour"),
        (("--refused-capacity", "1"), "--refused-capacity"),
        (("--client-tries", "0"), "from 1 to 100"),
        (("--rollout-at", "nan"), "--rollout-at"),
    ],
)
def test_what_cannot_be_asked(plan, options, said):
    answer = agentgpu("simulate", plan, *options)
    assert (answer.code, said in answer.err) == (2, True), answer.err


def test_a_trace_with_a_fault_or_too_much_of_it(plan, tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2026-01-01 00:00:00,15,3\n2026-01-02 00:00:00,-15,3\n")
    answer = agentgpu("simulate", plan, "--traffic", trace)
    assert answer.code == 2
    assert f"{trace}:3:1: ContextTokens: is -15; write 0 to 10,000,000 tokens" in answer.err
    trace.write_text(trace.read_text().replace("-15", "15"))
    answer = agentgpu("simulate", plan, "--traffic", trace, "--request-rate", "1e6")
    assert answer.code == 2
    assert "10,000,000 are the most that is simulated" in answer.err


def test_a_plan_of_before_is_told_to_be_made_again(tmp_path):
    old = tmp_path / "old.json"
    old.write_text(plan_text(fleets.changed(fleets.small_plan(), step_times=None)))
    answer = agentgpu("simulate", old)
    assert (answer.code, "plan again" in answer.err) == (1, True), answer.err


def test_a_page_of_it_asks_for_nothing_and_runs_nothing(plan, tmp_path):
    page = tmp_path / "page.html"
    answer = agentgpu("simulate", plan, "--hours", "0.1", "--format", "html", "-o", page)
    assert answer.code == 0, answer.err
    text = page.read_text()
    assert text.count("<svg") == 3
    assert "prefers-color-scheme: dark" in text
    for word in ("<script", "http://", "https://", "url("):
        assert word not in text, word
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]
