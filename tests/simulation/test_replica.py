"""A replica of the fleet alone is the one that sizing steps, and the plan holds all of it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from agentgpu_iac.plan import StepTimesPlan
from agentgpu_iac.simulation.simulate import Simulation, simulate
from agentgpu_iac.simulation.step_lines import StepLines
from agentgpu_iac.sizing import arrivals, latency
from agentgpu_iac.sizing.engines import SIZING_PORTS
from tests.simulation import fleets


@pytest.fixture(scope="module")
def speed():
    times = fleets.first(fleets.small_plan()).step_times
    assert times is not None
    return times.speed()


def test_the_plan_holds_every_coefficient(speed):
    assert StepTimesPlan.of(speed).speed() == speed


@pytest.mark.parametrize("requests", [1, 3, 40])
@pytest.mark.parametrize("context", [10.0, 900.0, 30_000.0])
def test_lines_are_the_steps(speed, requests, context):
    assert StepLines(speed).decode_ms(requests, context) == pytest.approx(speed.decode_ms(requests, context), rel=1e-9)


@pytest.mark.parametrize("requests", [0, 1, 40])
@pytest.mark.parametrize(("prompt", "pairs"), [(1.0, 900.0), (900.0, 405_000.0), (8192.0, 4e7)])
@pytest.mark.parametrize("fields", [{}, {"experts": 8, "experts_per_token": 2}, {"attention_groups": 2}, {"stages": 2}])
def test_steps_with_prompts_and_stretches_are_the_same_figures(speed, requests, prompt, pairs, fields):
    """Not about: the short sum that a plain engine takes has every term of the long one."""
    engine = replace(speed, **fields)
    asked = (requests, 700.0, prompt, pairs)
    assert StepLines(engine).step_ms(*asked) == engine.step_ms(*asked)
    stretch = (max(1, requests), 700.0, engine.accepted_tokens, 50)
    assert StepLines(engine).stretch_ms(*stretch) == pytest.approx(engine.stretch_ms(*stretch), rel=1e-6)


def test_it_agrees_with_the_client_of_predict(speed):
    """One burst of requests to an idle replica: the same steps, and the same server before them."""
    plan, size = fleets.with_limit(fleets.small_plan(), None), 12
    workload = fleets.first(plan)
    burst = fleets.trace(*((0.0, 700, 80) for _ in range(size)))
    found = simulate(plan, Simulation(trace=burst, requests_per_s=burst.requests_per_s)).agents[0].turns[0]
    assert workload.generating is not None
    decode_ms = speed.decode_ms(workload.generating.planned, workload.memory.expected_context_tokens)
    outcome = arrivals.run(
        speed,
        SIZING_PORTS["vllm"].scheduling(
            seats=workload.seats_per_group, step_tokens=workload.max_num_batched_tokens, cache_tokens=math.inf
        ),
        arrivals.Host(request_ms=latency.way_ms(speed, decode_ms), serial_ms=speed.host_ms_per_request),
        arrivals.Lengths(prompt_tokens=700, output_tokens=80),
        arrivals.Load(arrivals="burst", requests=size, slots=size),
    )
    assert found.requests == size
    assert found.e2e_ms.mean == pytest.approx(arrivals.mean(outcome.e2e_ms) + workload.latency.network_ms, rel=0.03)
    assert found.tpot_ms.mean == pytest.approx(arrivals.mean(outcome.tpot_ms), rel=0.03)
