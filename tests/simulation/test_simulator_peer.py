"""The scene that the other simulator is given is ours: its arrivals, its sizes, and steps that take what ours do."""

from __future__ import annotations

import math

import pytest

from agentgpu_iac.simulation.replica import engine_of
from bench import simulator_peer


def test_steps_of_the_scene_take_what_ours_do():
    plan = simulator_peer.fleet(2)
    (warm,) = plan.workloads
    assert warm.step_times is not None
    engine = engine_of(warm, warm.step_times.speed(), {})
    scene = simulator_peer.scene(plan, [0.0], 150)
    steps = scene["steps"]
    assert (scene["seats"], scene["step_tokens"], scene["replicas"]) == (128, 2048, 2)
    for requests, context in ((1, 900.0), (128, 850.0)):
        base, slope = steps["decode_lines"][requests]
        assert base + slope * context == pytest.approx(engine.steps.decode_ms(requests, context))
    for requests, context, tokens in ((0, 0.0, 800.0), (60, 870.0, 1600.0), (10, 850.0, 400.0)):
        pairs = tokens * 400
        arithmetic = (
            requests * steps["ms_per_token"] + tokens * steps["ms_per_prompt_token"] + pairs * steps["ms_per_pair"]
        )
        memory = requests * (context * steps["ms_per_context_token"] + steps["ms_per_request"])
        captured = requests + tokens <= steps["captured_tokens"]
        launches = steps["captured_launch_ms"] if captured else steps["launch_ms"]
        expected = engine.steps.step_ms(requests, context, tokens, pairs)
        assert launches + math.hypot(arithmetic, steps["weights_ms"]) + memory == pytest.approx(expected)


def test_our_side_answers_the_scene():
    times = simulator_peer.arrivals(10.0, 20.0)
    assert times == sorted(times)
    assert len(times) == pytest.approx(200, rel=0.25)
    found = simulator_peer.ours(simulator_peer.scene(simulator_peer.fleet(2), times, 150))
    assert found["ttft_ms"] == sorted(found["ttft_ms"])
    assert 0 < found["tpot_ms"][0] < found["ttft_ms"][0]
    assert found["restarts"] == 0


def test_percentiles_are_counted_as_sketches_count_them():
    assert simulator_peer.percentiles([float(each) for each in range(1, 201)]) == [100.0, 190.0, 198.0]
