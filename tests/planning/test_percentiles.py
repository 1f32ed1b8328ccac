"""Budgets hold at the percentile that the spec names, with the margin that it asks for, and a near miss has a name."""

from __future__ import annotations

import pytest

from tests.planning.scenes import codes, make_agent, only, plan, workload

CALLERS = {"sessions": {"concurrent": 60}, "conversation": {"inputTokensPerTurn": 3_000, "turns": 3}}


def planned(latency=None, **agent):
    return plan(
        make_agent(**CALLERS, **agent),
        accelerators=only("large-80"),
        **({} if latency is None else {"latency": latency}),
    )


def test_what_is_promised_to_more_takes_more():
    """Each of them at the same budgets."""
    found = [workload(planned({"percentile": percentile}, ttftMs=3_000)) for percentile in (50, 95, 99)]
    assert [each.latency.percentile for each in found] == [50, 95, 99]
    assert found[0].replicas.max <= found[1].replicas.max <= found[2].replicas.max
    for each in found:
        assert each.latency.ttft_ms <= each.latency.ttft_at_percentile_ms <= each.latency.budget_ttft_ms
        assert each.latency.tpot_ms <= each.latency.tpot_at_percentile_ms <= each.latency.budget_tpot_ms
    assert found[1].latency.ttft_at_percentile_ms > found[1].latency.ttft_ms
    assert found[1].latency.tpot_at_percentile_ms > found[1].latency.tpot_ms


@pytest.mark.parametrize(("percentile", "share"), [(50, 0.5), (90, 0.1), (95, 0.05), (99, 0.01)])
def test_alerts_fire_at_the_same_percentile(percentile, share):
    found = planned({"percentile": percentile}, ttftMs=10_000, tpotMs=500)
    slow = {alert.name: alert.threshold for alert in found.watching.alerts if alert.name.endswith("OverBudget")}
    assert set(slow.values()) == {share}
    assert len(slow) == 2


class TestMargin:
    def test_it_fits_the_budgets(self):
        found = workload(planned({"margin": 0.5}, ttftMs=3_000)).latency
        assert 1.5 * found.ttft_at_percentile_ms <= found.budget_ttft_ms
        assert 1.5 * found.tpot_at_percentile_ms <= found.budget_tpot_ms

    def test_none_is_named_with_its_likelihood(self):
        """The very case of 96 % of a budget."""
        seats = {"maxNumSeqs": 20}
        roomy = workload(planned(ttftMs=20_000, tpotMs=500, overrides=seats)).latency
        found = planned(ttftMs=20_000, tpotMs=roomy.tpot_at_percentile_ms / 0.96, overrides=seats)
        times = workload(found).latency
        (said,) = [each.message for each in found.warnings if each.code == "latency-risk"]
        assert "TPOT p95" in said and "TTFT" not in said
        assert "96% of its budget" in said
        assert f"±{times.tpot_error_ratio:.0%}: a miss is {times.tpot_miss_ratio:.0%} likely" in said
        assert 0.3 < times.tpot_miss_ratio < 0.5

    def test_room_for_the_error_is_not_named(self):
        roomy = planned({"margin": 5.0}, ttftMs=20_000, tpotMs=500)
        assert "latency-risk" not in codes(roomy)
        assert workload(roomy).latency.ttft_miss_ratio < 0.1

    def test_what_was_measured_and_set_by_hand_has_no_error(self):
        found = planned(ttftMs=3_000, overrides={"ttftMs": 2_990.0, "tpotMs": 49.0})
        assert workload(found).latency.ttft_at_percentile_ms == 2_990.0
        assert workload(found).latency.ttft_miss_ratio is None
        assert "latency-risk" not in codes(found)
