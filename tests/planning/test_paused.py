"""What a pause is worth: a paused session's cache is kept, moved to the host or dropped, whichever is cheapest in time."""

from __future__ import annotations

import pytest

from agentgpu_iac.planning.planner import NoPlan
from agentgpu_iac.sizing.pausing import Away, reload_gb_per_s
from tests.planning.scenes import make_agent, make_catalog, offerings, plan, workload

CARD = make_catalog(offerings("l1", "large-80", on_demand="3.00", memory_gib=1024.0))
POOR = make_catalog(offerings("l1", "large-80", on_demand="3.00", memory_gib=32.0))


def long_talks(catalog=CARD, **changes):
    """40 sessions of 41,000 tokens that think for five minutes: memory decides."""
    talk = {"turns": 40, "inputTokensPerTurn": 900, "outputTokensPerTurn": 100, "systemPromptTokens": 1000}
    agent = make_agent(sessions={"concurrent": 40}, conversation={**talk, "thinkTimeS": 300}, ttftMs=4000, **changes)
    return plan(agent, catalog=catalog)


class TestReload:
    def test_rates_by_generation(self):
        assert reload_gb_per_s(4) == 24.8
        assert reload_gb_per_s(5) == reload_gb_per_s(6) == 41.7
        assert reload_gb_per_s(3) == 12.4

    def test_a_busy_link_makes_one_wait(self):
        away = Away(to="offload", resident=4, mean_ms=100.0, longest_ms=200.0)
        assert away.late_ms(0.0) == 200.0
        assert away.late_ms(0.005) == pytest.approx(200 + 3 * 100 * 0.5 / (2 * 0.5))  # busy half of the time
        assert away.keeps_up(0.008)
        assert not away.keeps_up(0.0081)


class TestChosen:
    def test_the_cheapest_that_meets_the_budgets(self):
        found, kept = long_talks(), long_talks(pausedCache="keep")
        one = workload(found)
        assert found.cost.baseline_usd_per_month < kept.cost.baseline_usd_per_month
        assert one.paused_cache in ("offload", "drop")
        assert workload(kept).paused_cache == "keep"
        assert workload(kept).resident_sessions == workload(kept).max_num_seqs

    def test_offload_takes_host_memory_and_says_so(self):
        found = long_talks(pausedCache="offload")
        one = workload(found)
        held_gib = one.max_num_seqs * (one.memory.kv_per_session_gib - one.memory.shared_kv_gib)
        assert one.pod.kv_offload_mib >= held_gib * 1024
        assert one.pod.shm_mib >= one.pod.kv_offload_mib
        assert one.pod.memory_mib >= one.pod.kv_offload_mib
        size = one.engine.args[one.engine.args.index("--kv-offloading-size") + 1]
        assert float(size) * 1024 == pytest.approx(one.pod.kv_offload_mib)
        lines = {line.name: line for line in found.ledger}
        assert "reload" in lines["ttftMs"].formula
        assert "residentSessions" in lines["kvGib"].formula

    def test_the_engine_runs_no_more_than_its_accelerators_hold(self):
        one = workload(long_talks(pausedCache="offload"))
        assert int(one.engine.args[one.engine.args.index("--max-num-seqs") + 1]) == one.resident_sessions
        assert one.generating.planned <= one.generating.most == one.resident_sessions < one.max_num_seqs
        assert one.memory.utilization_ratio <= 0.80

    def test_what_comes_back_is_inside_the_ttft(self):
        kept, moved = workload(long_talks(pausedCache="keep")), workload(long_talks(pausedCache="offload"))
        assert moved.latency.reload_ms > 0 == kept.latency.reload_ms
        history = 1000 + 39 * 1000 - 992
        each_gb = moved.memory.kv_bytes_per_token * history / 1e9
        assert moved.latency.reload_ms == pytest.approx(each_gb / 24.8 * 1000, rel=0.01)
        assert moved.latency.ttft_at_percentile_ms <= 4000

    def test_dropped_caches_are_read_again(self):
        one = workload(long_talks(pausedCache="drop"))
        assert one.routing.prefix_hit_ratio == 0
        assert one.pod.kv_offload_mib == 0
        assert one.latency.prefill_ms > 10 * workload(long_talks(pausedCache="keep")).latency.prefill_ms

    def test_a_host_without_memory_moves_nothing_there(self):
        assert workload(long_talks(POOR)).paused_cache != "offload"
        with pytest.raises(NoPlan):
            long_talks(POOR, pausedCache="offload")

    def test_kept_where_nobody_waits_for_a_first_token(self):
        """Nothing says how long a background agent's next turn may take."""
        talk = {"turns": 40, "inputTokensPerTurn": 900, "outputTokensPerTurn": 100, "thinkTimeS": 300}
        agent = make_agent(sessions={"concurrent": 40}, conversation=talk, latencyClass="background")
        assert workload(plan(agent, catalog=CARD)).paused_cache == "keep"

    def test_sglang_moves_it_in_whole_gigabytes_for_each_accelerator(self):
        one = workload(long_talks(engine="sglang", engineVersion="0.5.23"))
        assert one.paused_cache == "offload"
        assert "--enable-hierarchical-cache" in one.engine.args
        each_gb = int(one.engine.args[one.engine.args.index("--hicache-size") + 1])
        held_gib = one.max_num_seqs * (one.memory.kv_per_session_gib - one.memory.shared_kv_gib)
        assert held_gib * 2**30 <= each_gb * 10**9 <= (held_gib + 2) * 2**30
        assert one.pod.kv_offload_mib * 2**20 == pytest.approx(each_gb * 10**9, rel=1e-4)
        assert one.pod.shm_mib < one.pod.kv_offload_mib < one.pod.memory_mib

    def test_and_not_before_it_was_read(self):
        assert workload(long_talks(engine="sglang", engineVersion="0.5.1")).paused_cache != "offload"


def steps_of(median, late, **changes):
    """60 sessions that call eight tools a turn."""
    times = [{"percent": 50, "seconds": median}, {"percent": 95, "seconds": late}]
    calls = {"perTurn": 8, "resultTokens": 500, "quantiles": times}
    talk = {"turns": 10, "inputTokensPerTurn": 500, "outputTokensPerTurn": 100, "systemPromptTokens": 1000}
    agent = make_agent(
        sessions={"concurrent": 60}, conversation={**talk, "thinkTimeS": 5, "toolCalls": calls}, ttftMs=4000, **changes
    )
    return plan(agent, catalog=CARD)


class TestDistribution:
    def test_a_heavy_tail_lets_more_find_their_cache_on_fewer_cards(self):
        """Tools of 20 s, always or on average: most of those that take 1.5 s as a rule come back to a cache that is there."""
        steady, heavy = (steps_of(*times, pausedCache="drop") for times in ((20, 21), (1.5, 60)))
        assert heavy.cost.baseline_usd_per_month < steady.cost.baseline_usd_per_month
        one = workload(heavy)
        assert one.paused_found_ratio == one.routing.prefix_hit_ratio > 0

    def test_who_finds_it_needs_room_beside_those_that_generate(self):
        one = workload(steps_of(1.5, 60))
        assert one.paused_cache == "offload"
        assert one.paused_found_ratio > 0
        assert one.resident_sessions > one.generating.planned
        flag = "--max-num-seqs"
        assert int(one.engine.args[one.engine.args.index(flag) + 1]) == one.resident_sessions
        assert one.memory.kv_gib == pytest.approx(
            one.resident_sessions * (one.memory.kv_per_session_gib - one.memory.shared_kv_gib)
            + one.memory.shared_kv_gib,
            rel=0.01,
        )

    @pytest.mark.parametrize("times", [(20, 21), (1.5, 60), (0.1, 900)])
    def test_moving_or_dropping_is_never_dearer_than_keeping(self, times):
        found, kept = steps_of(*times), steps_of(*times, pausedCache="keep")
        assert found.cost.baseline_usd_per_month <= kept.cost.baseline_usd_per_month

    def test_a_slower_tool_is_never_dearer(self):
        costs = [steps_of(times, 3 * times).cost.baseline_usd_per_month for times in (1, 5, 25, 125)]
        assert costs == sorted(costs, reverse=True)

    def test_prompts_alone_come_back_from_the_host_since_vllm_leaves_answers_out(self):
        """The last answer is read again, since 0.23; releases before it moved that too."""
        before, after = (
            workload(long_talks(pausedCache="offload", engineVersion=version)) for version in ("0.22.0", "0.33.0")
        )
        assert before.routing.prefix_hit_ratio == 1
        assert after.routing.prefix_hit_ratio == pytest.approx(1 - 100 / (0.5 * 39 * 1000), rel=1e-3)
        assert after.latency.prefill_ms > before.latency.prefill_ms
