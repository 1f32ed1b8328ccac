"""How long is waited before something is given up: each bound where it is the one that holds."""

from __future__ import annotations

import math

import pytest

from tests.planning.scenes import make_agent, make_catalog, offerings, only, plan, workload


def test_a_probe_waits_for_a_start_at_worst():
    """It kills a start that is slower, which begins anew: half of all starts are slower than the likely one."""
    found = workload(plan(make_agent(model="test/big"), accelerators=only("large-80"), target="kubernetes"))
    start = found.cold_start_s
    assert start.upper.warm_node_total > start.warm_node_total > 60
    assert found.probes.startup_period_s == 10
    assert found.probes.startup_s == 10 * math.ceil(max(600, start.upper.warm_node_total) / 10)


def test_a_short_start_has_ten_minutes():
    found = workload(plan(make_agent(model="test/tiny", overrides={"coldStartS": 1.0})))
    assert found.probes.startup_s == 600


def test_a_rollout_is_given_up_after_a_new_node_and_a_whole_start():
    found = workload(plan(make_agent(model="test/big"), accelerators=only("large-80")))
    assert found.rollout.progress_deadline_s == math.ceil(found.cold_start_s.upper.total) + found.probes.startup_s


class TestOneBoundForAllThatWaits:
    """Nothing that kills or gives up waits less than the start at worst."""

    @pytest.mark.parametrize("target", ["eks", "kubernetes", "compose"])
    def test_the_law(self, target):
        found = plan(make_agent(), target=target, accelerators=only("large-80"), network={"router": "nginx"})
        for each in found.workloads:
            late = each.cold_start_s.upper
            phases = [name for name in type(late).model_fields if not name.endswith("total")]
            assert all(getattr(late, name) >= getattr(each.cold_start_s, name) for name in phases)
            assert late.total >= late.alone_total > each.cold_start_s.total
            assert each.probes.startup_s >= late.warm_node_total
            assert each.rollout.progress_deadline_s >= late.total + each.probes.startup_s
            pool = next(pool for pool in found.node_pools if pool.name == each.node_pool)
            assert pool.termination_grace_s >= each.rollout.progress_deadline_s + each.drain.grace_period_s
            assert each.cold_start_s.error_ratio == pytest.approx(late.total / each.cold_start_s.total - 1, abs=0.01)
        waits = [alert.for_s for alert in found.watching.alerts if alert.name == "AgentReplicasBelowPlan"]
        assert all(seconds >= each.cold_start_s.upper.total for seconds in waits)


@pytest.mark.parametrize(
    ("tokens", "seconds"),
    [
        (700, 60),  # NGINX's own default: proxies on the way close silent connections no sooner
        (10_000, 500),
        (131_072, 3_600),
    ],
)
def test_an_engine_may_be_silent_for_its_longest_answer(tokens: int, seconds: int):
    """50 ms a token over the longest sequence that the engine takes; at least a minute, at most an hour."""
    agent = make_agent(
        conversation={"turns": 1, "systemPromptTokens": 100, "inputTokensPerTurn": 100, "outputTokensPerTurn": 100},
        overrides={"maxModelLen": tokens},
    )
    found = plan(agent, accelerators=only("large-80"), network={"router": "nginx"})
    assert found.router is not None
    (route,) = found.router.routes
    assert workload(found).max_model_len == tokens
    assert route.answer_timeout_s == seconds


@pytest.mark.parametrize(("sessions", "open_files"), [(4, 65_536), (20_000, 4 * 80_896)])
def test_a_machine_opens_four_files_for_each_connection_of_its_router(sessions: int, open_files: int):
    """Two sockets on each of a request's two sides; the kernel's usual 65,536 at least."""
    one_turn = {"turns": 1, "outputTokensPerTurn": 20, "inputTokensPerTurn": 20, "systemPromptTokens": 0}
    found = plan(
        make_agent(
            model="test/tiny", latencyClass="background", sessions={"concurrent": sessions}, conversation=one_turn
        ),
        target="compose",
        catalog=make_catalog(offerings("l1", "large-80", on_demand="3.00")),
        capacity={"shareAccelerators": "never"},
    )
    assert found.hosts[0].open_files == open_files


def test_a_cold_start_set_by_hand_stands_beside_the_computed_one():
    found = plan(make_agent(overrides={"coldStartS": 123.0}))
    (override,) = found.overrides
    assert (override.field, override.value) == ("coldStartS", 123.0)
    computed = workload(plan(make_agent())).cold_start_s
    assert override.computed == pytest.approx(computed.total, abs=0.2)
