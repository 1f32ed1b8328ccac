"""How long is waited before something is given up: each bound where it is the one that holds."""

from __future__ import annotations

import math

import pytest

from tests.planning.scenes import make_agent, only, plan, workload


def test_a_start_may_take_twice_what_is_predicted():
    """The probe kills a start that is slower, which begins anew: half of all starts are slower than predicted."""
    found = workload(plan(make_agent(model="test/big"), accelerators=only("large-80")))
    probes, predicted_s = found.probes, found.cold_start_s.warm_node_total
    patience_s = probes.startup_period_s * probes.startup_failure_threshold
    assert predicted_s > 60
    assert probes.startup_period_s == 10
    assert patience_s == 10 * math.ceil(2 * predicted_s / 10)


def test_off_eks_a_start_may_take_as_long_as_its_error_says():
    found = workload(plan(make_agent(model="test/big"), target="kubernetes", accelerators=only("large-80")))
    probes, predicted_s = found.probes, found.cold_start_s.warm_node_total
    assert found.cold_start_s.error_ratio == 2.5
    assert probes.startup_period_s * probes.startup_failure_threshold == 10 * math.ceil(3.5 * predicted_s / 10)


def test_a_short_start_has_two_minutes():
    found = workload(plan(make_agent(model="test/tiny", overrides={"coldStartS": 1.0})))
    assert found.probes.startup_period_s * found.probes.startup_failure_threshold >= 120


def test_a_rollout_is_given_up_after_a_new_node_and_a_whole_start():
    found = workload(plan(make_agent(model="test/big"), accelerators=only("large-80")))
    start_s = found.probes.startup_period_s * found.probes.startup_failure_threshold
    assert found.rollout.progress_deadline_s == max(600, math.ceil(found.cold_start_s.total) + start_s)


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
