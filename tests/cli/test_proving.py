"""``agentgpu plan --prove``: its options, how far it is, and what is left when it is stopped."""

from __future__ import annotations

import pytest

from agentgpu_iac.cli.proving import how_far, simulating
from agentgpu_iac.planning.proving import Progressed
from agentgpu_iac.simulation.fleet import Fleet
from tests.cli.running import SMALL, agentgpu


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    path = tmp_path_factory.mktemp("proving") / "stack.yaml"
    path.write_text(SMALL)
    return path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--nines",), "--nines"),
        (("--traffic", "flash"), "--traffic"),
        (("--hours", "1"), "--hours"),
        (("--prove", "--traffic", "flas"), "did you mean 'flash'"),
        (("--prove", "--hours", "0"), "no number above 0"),
        (("--prove", "--hours", "nan"), "no number above 0"),
        (("--prove", "--hours", "1e9"), "168 at most"),
    ],
)
def test_what_cannot_be_asked(spec, options, said):
    answer = agentgpu("plan", spec, *options)
    assert (answer.code, said in answer.err) == (2, True), answer.err


def test_stopped_it_leaves_what_was_there(spec, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Fleet, "run", stopped)
    page = tmp_path / "plan.json"
    page.write_text("of before")
    for command in (("plan", spec, "--prove", "--nines"), ("simulate", spec, "--hours", "0.1")):
        answer = agentgpu(*command, "--json", "-o", page)
        assert (answer.code, answer.out, answer.err) == (130, "", "")
        assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("plan.json", "of before")]


def test_the_first_simulation_says_what_the_others_take():
    assert how_far(Progressed(simulations=0.5, most=75), 6.0) == "(0.5 of 75 simulations at most)"
    said = how_far(Progressed(simulations=1, most=75), 12.0)
    assert said == "(1.0 of 75 simulations at most, 15 min more at most; --hours shortens each)"
    assert how_far(Progressed(simulations=3, most=75), 0.3) == "(3.0 of 75 simulations at most)"
    shown: list[str] = []
    times = iter((100.0, 112.0))
    simulating(shown.append, lambda: next(times))(Progressed(simulations=1, most=75))
    assert shown == [said]
