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

    def test_other_engines_move_nothing(self):
        assert workload(long_talks(engine="sglang")).paused_cache != "offload"
