"""Held and generating: pauses, bursts and shared prefixes change what is bought, and by how much is told."""

from __future__ import annotations

import pytest

from agentgpu_iac.planning.planner import NoPlan
from agentgpu_iac.spec.loader import BadInput
from tests.planning.scenes import load, make_agent, make_catalog, offerings, only, plan, workload

ONE_CARD = make_catalog(offerings("s1", "small-40", on_demand="1.00"))
PAUSES = (0, 1, 10, 60, 600)


def talking(**conversation):
    """60 chat sessions that answer at length: compute decides, not memory."""
    talk = {"outputTokensPerTurn": 400, **conversation}
    return make_agent(sessions={"concurrent": 60}, conversation=talk, tpotMs=30)


def cost(found):
    return found.cost.baseline_usd_per_month


@pytest.fixture(scope="module")
def by_pause():
    return {pause: plan(talking(thinkTimeS=pause), catalog=ONE_CARD) for pause in PAUSES}


class TestPauses:
    def test_0_10_and_600_seconds_are_three_plans(self, by_pause):
        three = [workload(by_pause[pause]) for pause in (0, 10, 600)]
        assert len({(one.replicas.min, one.max_num_seqs, one.generating.peak.generating) for one in three}) == 3
        assert three[0].generating.planned == three[0].max_num_seqs
        assert three[2].generating.planned < three[2].max_num_seqs
        assert cost(by_pause[0]) > cost(by_pause[10]) >= cost(by_pause[600])

    def test_a_longer_pause_is_never_dearer(self, by_pause):
        costs = [cost(by_pause[pause]) for pause in PAUSES]
        assert costs == sorted(costs, reverse=True)

    def test_nor_is_a_slower_tool(self):
        costs = [
            cost(plan(talking(thinkTimeS=0, toolCalls={"perTurn": 2, "seconds": seconds}), catalog=ONE_CARD))
            for seconds in (0, 5, 50)
        ]
        assert costs == sorted(costs, reverse=True)
        assert costs[0] > costs[-1]

    def test_every_session_has_a_seat_however_long_it_thinks(self, by_pause):
        for found in by_pause.values():
            one = workload(found)
            assert one.max_num_seqs * one.replicas.min >= 60
            assert one.generating.peak.held_sessions <= one.max_num_seqs

    def test_the_plan_says_how_busy_its_cards_are(self, by_pause):
        busy = [workload(by_pause[pause]).generating.normal.rate_ratio for pause in (0, 600)]
        assert busy[0] == pytest.approx(1.0)
        assert busy[1] < 0.2
        assert workload(by_pause[600]).generating.normal.busy_ratio < 1

    def test_and_lets_in_what_its_budgets_allow(self, by_pause):
        one = workload(by_pause[10])
        assert one.generating.planned <= one.generating.most <= one.max_num_seqs
        assert one.admission.max_queued_requests >= one.generating.most

    def test_its_sums_stand_in_the_ledger(self, by_pause):
        found = by_pause[10]
        lines = {line.name: line for line in found.ledger}
        one = workload(found).generating
        assert lines["generating"].value == one.planned
        assert lines["generatingPeak"].value == one.peak.generating
        assert lines["generatingNormal"].value == one.normal.generating

    def test_a_higher_quantile_is_never_cheaper(self):
        costs = [cost(plan(talking(), catalog=ONE_CARD, capacity={"quantile": quantile})) for quantile in (0.9, 0.9999)]
        assert costs[0] < costs[1]


class TestVolume:
    def test_a_daily_volume_leaves_less_pause_than_is_stated(self):
        """20 sessions that think for ten minutes hold no 100,000 conversations a day: they ask as the volume says."""
        agent = make_agent(
            sessions={"concurrent": 20}, conversation={"thinkTimeS": 600}, traffic={"conversationsPerDay": 100_000}
        )
        load_ = workload(plan(agent, catalog=ONE_CARD)).generating.normal
        assert load_.pause_s < 600
        rate = 100_000 * 5 / 86_400
        assert load_.generating_mean <= load_.held_sessions
        assert rate > 5


class TestBursts:
    @staticmethod
    def bursting(ramp_s):
        return make_agent(
            sessions={"concurrent": 4},
            traffic={"burstFactor": 10, "rampS": ramp_s},
            conversation={"thinkTimeS": 120},
            latencyClass="chat",
        )

    def test_who_arrives_asks_at_once(self):
        found = [workload(plan(self.bursting(ramp_s), catalog=ONE_CARD)).generating.peak for ramp_s in (0, 60, 3600)]
        assert found[0].generating >= 0.9 * found[0].held_sessions - 1
        assert found[0].generating > found[1].generating >= found[2].generating


class TestSharedPrefix:
    @staticmethod
    def long_prompted(**conversation):
        return make_agent(
            sessions={"concurrent": 40},
            conversation={"systemPromptTokens": 20_000, **conversation},
            ttftMs=5000,
            tpotMs=200,
        )

    def test_a_prefix_that_all_share_is_held_once(self):
        catalog = make_catalog(offerings("l1", "large-80", on_demand="3.00"))
        shared, own = (
            workload(plan(self.long_prompted(**more), catalog=catalog)) for more in ({}, {"sharedPrefixTokens": 0})
        )
        assert shared.memory.shared_kv_gib == pytest.approx(shared.memory.kv_bytes_per_token * 20_000 / 2**30, abs=1e-5)
        assert own.memory.shared_kv_gib == 0
        assert shared.memory.kv_per_session_gib == own.memory.kv_per_session_gib
        each = shared.memory.kv_per_session_gib - shared.memory.shared_kv_gib
        assert shared.memory.kv_gib == pytest.approx(each * shared.max_num_seqs + shared.memory.shared_kv_gib, abs=1e-3)
        assert shared.replicas.min < own.replicas.min

    def test_what_is_asked_for_each_session_is_reserved_for_each(self):
        stated, told = (
            workload(plan(make_agent(conversation={"maxContextTokens": 4096, **more}), catalog=ONE_CARD)).memory
            for more in ({}, {"sharedPrefixTokens": 480})
        )
        assert stated.shared_kv_gib == 0 < told.shared_kv_gib

    def test_and_read_once(self):
        catalog = make_catalog(offerings("l1", "large-80", on_demand="3.00"))
        shared, own = (
            workload(plan(self.long_prompted(**more), catalog=catalog)) for more in ({}, {"sharedPrefixTokens": 0})
        )
        assert shared.latency.prefill_ms < own.latency.prefill_ms / 10
        assert shared.throughput.required_prefill_tokens_per_s < own.throughput.required_prefill_tokens_per_s

    def test_a_prompt_is_as_long_as_its_shared_part(self):
        said = load(make_agent(conversation={"sharedPrefixTokens": 9_000})).stack.spec.agents[0].conversation
        assert said.system_prompt_tokens == 9_000

    def test_a_shared_part_longer_than_the_prompt_is_a_fault(self):
        with pytest.raises(BadInput) as raised:
            load(make_agent(conversation={"sharedPrefixTokens": 900, "systemPromptTokens": 800}))
        assert "more than the system prompt" in str(raised.value)


def test_seats_by_hand_stay_as_they_are():
    found = workload(plan(make_agent(overrides={"maxNumSeqs": 7}), catalog=ONE_CARD))
    assert found.max_num_seqs == 7
    assert "--max-num-seqs" in found.engine.args
    assert found.engine.args[found.engine.args.index("--max-num-seqs") + 1] == "7"


def test_only_memory_refuses_sessions_that_hardly_ever_ask():
    """10,000 sessions that think for a day: as many replicas as their memory takes, and not one for compute."""
    agent = make_agent(model="test/tiny", sessions={"concurrent": 2_000}, conversation={"thinkTimeS": 86_400})
    try:
        one = workload(plan(agent, catalog=ONE_CARD, accelerators=only("small-40")))
    except NoPlan:
        pytest.fail("they fit")
    assert one.generating.planned <= 2
    assert one.paused_cache != "keep" or one.memory.utilization_ratio > 0.6
