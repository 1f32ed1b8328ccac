"""What an agent asks for: budgets, sessions at the peak, and token rates from volume and from pace."""

from __future__ import annotations

from typing import ClassVar

import pytest

from agentgpu_iac.planning.demand import Demand, demand, peak_sessions, wanted_model_len
from agentgpu_iac.spec.model import Agent
from tests.planning.scenes import DENSE, load, make_agent


def agent(**changes) -> Agent:
    return load(make_agent(**changes)).stack.spec.agents[0]


def found(**changes) -> Demand:
    return demand(agent(**changes), DENSE)


@pytest.mark.parametrize(
    ("latency_class", "ttft", "tpot", "user_facing"),
    [("voice", 200.0, 50.0, True), ("chat", 500.0, 50.0, True), ("background", None, None, False)],
)
def test_budgets_of_the_classes(latency_class, ttft, tpot, user_facing):
    one = found(latencyClass=latency_class)
    assert (one.budget_ttft_ms, one.budget_tpot_ms, one.budget_e2e_ms) == (ttft, tpot, None)
    assert one.user_facing is user_facing


def test_budgets_of_the_agent():
    one = found(latencyClass="voice", ttftMs=300.0, tpotMs=20.0, e2eMs=2000.0)
    assert (one.budget_ttft_ms, one.budget_tpot_ms, one.budget_e2e_ms) == (300.0, 20.0, 2000.0)


class TestPeak:
    def test_concurrent_times_burst_factor(self):
        assert peak_sessions(agent(sessions={"concurrent": 5}, traffic={"burstFactor": 10.0})) == 50
        assert peak_sessions(agent(sessions={"concurrent": 5})) == 5

    def test_rounded_up_but_not_for_binary_noise(self):
        assert peak_sessions(agent(sessions={"concurrent": 3}, traffic={"burstFactor": 1.1})) == 4
        assert peak_sessions(agent(sessions={"concurrent": 10}, traffic={"burstFactor": 1.1})) == 11
        assert peak_sessions(agent(sessions={"concurrent": 100}, traffic={"burstFactor": 1.15})) == 115

    def test_a_stated_peak_wins(self):
        one = agent(sessions={"concurrent": 5, "peak": 7}, traffic={"burstFactor": 10.0})
        assert peak_sessions(one) == 7


class TestRates:
    TURN: ClassVar = {
        "turns": 4,
        "inputTokensPerTurn": 100,
        "outputTokensPerTurn": 50,
        "systemPromptTokens": 1000,
        "sharedPrefixTokens": 0,
    }

    def test_the_pace_of_the_sessions(self):
        """10 s of thought and an answer just within its budgets: 500 ms + 50 x 50 ms, so 13 s a turn."""
        one = found(sessions={"concurrent": 26, "peak": 52}, conversation=self.TURN)
        assert one.turns_per_s == pytest.approx(26 / 13)
        assert one.turns_per_s_peak == pytest.approx(52 / 13)
        assert one.output_tokens_per_s(peak=False) == pytest.approx(2 * 50)
        assert one.output_tokens_per_s(peak=True) == pytest.approx(4 * 50)
        # all hits: 100 of input in each turn, and the system prompt once in four
        assert one.prefill_tokens_per_s(1.0, peak=False) == pytest.approx(2 * (100 + 250))

    def test_tool_calls_slow_the_pace_and_add_requests(self):
        tools = {**self.TURN, "toolCalls": {"perTurn": 2.0, "seconds": 5.0, "resultTokens": 200}}
        one = found(sessions={"concurrent": 24}, conversation=tools)
        seconds = 10 + 2 * 5 + 3 * 0.5 + 50 * 0.05
        assert one.turns_per_s == pytest.approx(24 / seconds)
        assert one.requests_per_s(peak=False) == pytest.approx(3 * 24 / seconds)
        assert one.output_tokens_per_s(peak=False) == pytest.approx(50 * 24 / seconds)

    def test_reasoning_is_generated_too(self):
        thinking = {**self.TURN, "reasoningTokensPerTurn": 450}
        one = found(sessions={"concurrent": 10}, conversation=thinking)
        seconds = 10 + 0.5 + 500 * 0.05
        assert one.output_tokens_per_s(peak=False) == pytest.approx(500 * 10 / seconds)

    def test_the_volume_of_the_day(self):
        """86,400 conversations of 4 turns in 24 h are 4 turns a second; the burst factor multiplies the peak."""
        one = found(
            sessions={"concurrent": 1},
            conversation=self.TURN,
            traffic={"conversationsPerDay": 86_400, "burstFactor": 10.0},
        )
        assert one.turns_per_s == pytest.approx(4)
        assert one.turns_per_s_peak == pytest.approx(40)
        assert one.output_tokens_per_s(peak=True) == pytest.approx(2000)

    def test_a_volume_may_fill_more_seats_than_the_sessions(self):
        """Its throughput decides how many; the sessions that are stated stay what they are."""
        assert found(sessions={"concurrent": 3, "peak": 7}).most_seats == 7
        busy = found(sessions={"concurrent": 3, "peak": 7}, traffic={"conversationsPerDay": 86_400})
        assert (busy.concurrent, busy.peak, busy.most_seats) == (3, 7, 256)
        assert found(sessions={"concurrent": 999}, traffic={"conversationsPerDay": 1}).most_seats == 999

    def test_the_larger_of_both_counts(self):
        small = found(sessions={"concurrent": 26}, conversation=self.TURN, traffic={"conversationsPerDay": 10})
        assert small.turns_per_s == pytest.approx(2)
        mixed = found(
            sessions={"concurrent": 26, "peak": 26},
            conversation=self.TURN,
            traffic={"conversationsPerDay": 4320, "burstFactor": 100.0},
        )
        assert mixed.turns_per_s == pytest.approx(2)  # pace
        assert mixed.turns_per_s_peak == pytest.approx(20)  # 0.2 x 100, from the volume

    def test_a_background_agent_has_no_pace(self):
        one = found(latencyClass="background", sessions={"concurrent": 1000}, conversation=self.TURN)
        assert one.turns_per_s == one.turns_per_s_peak == 0
        assert one.output_tokens_per_s(peak=True) == 0
        busy = found(latencyClass="background", conversation=self.TURN, traffic={"conversationsPerDay": 86_400})
        assert busy.turns_per_s == pytest.approx(4)

    def test_a_background_agent_with_budgets_has_one(self):
        one = found(
            latencyClass="background",
            ttftMs=500.0,
            tpotMs=50.0,
            sessions={"concurrent": 26},
            conversation=self.TURN,
        )
        assert one.turns_per_s == pytest.approx(2)

    def test_the_customer_service_case(self):
        """10,000 conversations x 5 turns, 10x burst: about 290 output tokens/s and 50 turns a 86.4 s at the peak."""
        one = found(
            sessions={"concurrent": 5},
            conversation={"turns": 5, "inputTokensPerTurn": 150, "outputTokensPerTurn": 50, "thinkTimeS": 3600.0},
            traffic={"conversationsPerDay": 10_000, "burstFactor": 10.0},
        )
        assert one.output_tokens_per_s(peak=True) == pytest.approx(10_000 * 5 * 50 * 10 / 86_400)
        assert one.peak == 50

    def test_rates_set_by_hand(self):
        overrides = {"requiredOutputTokensPerS": 900.0, "requiredPrefillTokensPerS": 600.0}
        one = found(sessions={"concurrent": 10, "peak": 30}, overrides=overrides)
        assert one.output_tokens_per_s(peak=True) == 900.0
        assert one.output_tokens_per_s(peak=False) == pytest.approx(300.0)
        for hit in (0.0, 1.0):
            assert one.prefill_tokens_per_s(hit, peak=True) == 600.0
            assert one.prefill_tokens_per_s(hit, peak=False) == pytest.approx(200.0)
        assert found(overrides={"requiredOutputTokensPerS": 0.0}).output_tokens_per_s(peak=True) == 0


class TestContext:
    def test_the_last_turn(self):
        assert found().context_tokens == 500 + 5 * (150 + 150)

    def test_a_stated_context_is_reserved_whole(self):
        one = found(conversation={"maxContextTokens": 8192})
        assert one.context_tokens == one.computed_context_tokens == 8192
        assert wanted_model_len(one) == 8192

    def test_set_by_hand(self):
        one = found(overrides={"contextTokens": 3000})
        assert (one.context_tokens, one.computed_context_tokens) == (3000, 2000)

    def test_the_engine_gets_room_for_a_longer_talk(self):
        assert wanted_model_len(found()) == 4096  # twice 2,000, in whole 1,024
        assert wanted_model_len(demand(agent(), DENSE.model_copy(update={"max_context_tokens": 3000}))) == 3000

    def test_precision_is_the_checkpoint_s_own_unless_asked_for(self):
        assert found().precision == "bf16"
        assert found(precision="fp8").precision == "fp8"
