"""Sub-agents that an agent starts: what they ask follows from its sessions, by hand, and they ask together."""

from __future__ import annotations

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.planning.planner import make_plan
from tests.planning.scenes import load, make_agent, make_catalog, offerings, plan, workload

CARD = make_catalog(offerings("l1", "large-80", on_demand="3.00"))
TURN = {"turns": 1, "inputTokensPerTurn": 100, "outputTokensPerTurn": 40, "systemPromptTokens": 0, "thinkTimeS": 10}


def lead(concurrent=26, **fan):
    """26 sessions, a turn every 10 s + 500 ms + 50 x 50 ms: two turns a second."""
    talk = {"turns": 4, "outputTokensPerTurn": 50, "thinkTimeS": 10}
    return make_agent(
        "lead", sessions={"concurrent": concurrent}, conversation=talk, fanOut=[{"agent": "worker", **fan}]
    )


def worker(**changes):
    return {"name": "worker", "model": "test/tiny", "isolation": "dedicated", "conversation": TURN, **changes}


def planned(*agents, **spec):
    return plan(*agents, catalog=CARD, capacity={"shareAccelerators": "never"}, **spec)


class TestDemand:
    def test_fresh_sub_agents_are_held_for_their_conversation(self):
        """Two turns a second x 3 started: 6 a second, for one turn of 500 ms + 40 x 50 ms each, and no thought after it: 15."""
        found = workload(planned(lead(count=3), worker()), "worker")
        assert found.sessions_concurrent == found.sessions_peak == 15
        assert found.throughput.required_output_tokens_per_s == pytest.approx(6 * 40)

    def test_how_often_counts(self):
        found = workload(planned(lead(count=3, perTurn=0.5), worker()), "worker")
        assert found.throughput.required_output_tokens_per_s == pytest.approx(3 * 40)
        assert found.sessions_concurrent == 8  # 7.5

    def test_those_that_stay_are_held_with_every_session(self):
        found = workload(planned(lead(count=3, freshContext=False), worker()), "worker")
        assert found.sessions_concurrent == 26 * 3
        assert found.throughput.required_output_tokens_per_s == pytest.approx(6 * 40)

    def test_never_more_than_each_session_started_once(self):
        slow = worker(conversation={**TURN, "outputTokensPerTurn": 4000}, ttftMs=5000, tpotMs=200)
        assert workload(planned(lead(concurrent=2, count=3), slow), "worker").sessions_concurrent == 6

    def test_sessions_of_its_own_come_beside_them(self):
        found = workload(planned(lead(count=3), worker(sessions={"concurrent": 5})), "worker")
        assert found.sessions_concurrent == 20

    def test_it_follows_the_peak_and_a_chain(self):
        first = lead(count=3) | {"traffic": {"burstFactor": 2, "rampS": 3600}}
        second = worker(fanOut=[{"agent": "helper", "count": 2}])
        found = planned(first, second, worker() | {"name": "helper"})
        assert (workload(found, "worker").sessions_concurrent, workload(found, "worker").sessions_peak) == (15, 30)
        assert workload(found, "helper").sessions_concurrent == 30  # 12 a second for 2.5 s

    def test_who_starts_them_may_stand_behind_them(self):
        at_once = [
            workload(planned(*order), "worker").sessions_concurrent
            for order in ((lead(count=3), worker()), (worker(), lead(count=3)))
        ]
        assert at_once[0] == at_once[1] == 15

    def test_its_sum_stands_in_the_ledger(self):
        found = planned(lead(count=3), worker())
        line = next(line for line in found.ledger if line.name == "startedSessions")
        assert line.value == pytest.approx(15)
        assert "lead" in line.formula


def test_sub_agents_ask_together():
    many = workload(planned(lead(count=30, perTurn=0.1), worker()), "worker").generating.peak
    one = workload(planned(lead(count=1, perTurn=3.0), worker()), "worker").generating.peak
    assert many.generating > one.generating
    assert many.generating % 30 == 0 or many.generating == many.held_sessions


@pytest.mark.parametrize(
    ("agents", "said"),
    [
        ((lead(), worker() | {"name": "other"}), "no agent of this stack that chats is named"),
        ((lead() | {"fanOut": [{"agent": "lead"}]}, worker()), "its own sub-agent"),
        ((lead(), worker(fanOut=[{"agent": "lead"}])), "nothing says how many there are"),
        ((lead() | {"latencyClass": "background"}, worker()), "is not known"),
    ],
)
def test_what_nobody_can_count_is_a_fault(agents, said):
    with pytest.raises(BadInput) as raised:
        make_plan(load(*agents), CARD)
    assert said in str(raised.value)
