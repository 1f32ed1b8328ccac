"""The bench beside a real engine: its measured steps become the plan's, and its callers are the simulator's."""

from __future__ import annotations

import math
from random import Random

import pytest

from bench.engine_client import Answers, Caller, Turn, at, bursts, simulated, together, together_simulated
from bench.engine_steps import Measured, Step, in_a_crowd, with_steps
from tests.simulation import fleets

LAUNCH, SEQUENCE, KV, TOKEN, PAIR, WAY, SERVER = 10.0, 2.0, 0.005, 0.6, 0.0004, 30.0, 6.0
"""Of a made-up engine, in ms."""


def made_step(requests: int, context: float, prompt: int) -> Step:
    ms = LAUNCH + requests * SEQUENCE + requests * context * KV + prompt * TOKEN + prompt * prompt / 2 * PAIR
    return Step(requests=requests, context_tokens=context, prompt_tokens=prompt, ms=ms)


def made(crowding: float = 1.0) -> Measured:
    steps = [made_step(requests, context, 0) for requests in (1, 3, 6) for context in (70.0, 400.0)]
    steps += [made_step(5, 90.0, prompt) for prompt in (100, 300, 480)]
    alone = tuple((prompt, WAY + SERVER + made_step(0, 0.0, prompt).ms) for prompt in (100, 300, 480))
    return Measured(steps=tuple(steps), alone=alone, server_ms=SERVER, crowding=crowding)


def test_measured_steps_become_the_plans():
    fed, off = with_steps(fleets.small_plan(), made())
    assert off == pytest.approx(0, abs=1e-6)
    times = fed.workloads[0].step_times
    assert times is not None
    speed = times.speed()
    assert speed.decode_ms(4, 250.0) == pytest.approx(made_step(4, 250.0, 0).ms)
    assert speed.step_ms(4, 250.0, 200.0, 200.0 * 100) == pytest.approx(made_step(4, 250.0, 200).ms)
    assert (speed.first_token_ms, speed.host_ms_per_request) == pytest.approx((WAY, SERVER))


def test_what_others_take_of_the_cores_makes_steps_longer():
    quiet, crowded = made(1.0), made(1.25)
    both = in_a_crowd(quiet, crowded, 1.5)
    count = len(quiet.steps)
    assert both.steps[0].ms == pytest.approx(quiet.steps[0].ms * 1.5)
    assert both.steps[count].ms == pytest.approx(crowded.steps[0].ms * 1.5 / 1.25)


def test_arrivals_come_in_bursts_and_not_after_the_end():
    found = bursts(Random("test"), seconds=600.0, calm_per_s=1.0, burst_per_s=10.0, every_s=20.0, for_s=5.0)
    assert found == sorted(found)
    assert found[-1] < 600
    inside = sum(each % 20 >= 15 for each in found)
    assert inside == pytest.approx(30 * 50, rel=0.1)
    assert len(found) - inside == pytest.approx(30 * 15, rel=0.15)


def test_a_caller_waits_for_an_answer_and_a_full_engine_turns_away():
    plan, _ = with_steps(fleets.with_limit(fleets.small_plan(), 2), made())
    turn = Turn(prompt_tokens=100, output_tokens=11, pause_s=1.0)
    alone = simulated(plan, [Caller(begins_s=0.0, turns=(turn, turn))])
    assert (alone.answered, alone.refusals) == (2, 0)
    assert alone.ttft.at(50) == pytest.approx(WAY + SERVER + made_step(0, 0.0, 100).ms, rel=0.01)
    assert alone.tpot.at(50) == pytest.approx(made_step(1, 106.0, 0).ms, rel=0.02)
    crowd = [Caller(begins_s=0.0, turns=(turn,)) for _ in range(5)]
    assert simulated(plan, crowd).refusals == 3
    patient = simulated(plan, crowd, tries=3)
    assert patient.answered + patient.given_up == 5
    assert patient.refusals > 3


def test_several_runs_are_taken_together():
    plan, _ = with_steps(fleets.with_limit(fleets.small_plan(), 2), made())
    turn = Turn(prompt_tokens=100, output_tokens=11, pause_s=1.0)
    crowd = [Caller(begins_s=0.0, turns=(turn,)) for _ in range(5)]
    one, other = simulated(plan, crowd), simulated(plan, crowd[:1])
    both = together_simulated((one, other))
    assert (both.answered, both.refusals, both.given_up) == (one.answered + 1, one.refusals, one.given_up)
    assert both.ttft.count == both.answered
    seen = together((Answers(ttft_ms=[1.0], refusals=2), Answers(ttft_ms=[3.0], tpot_ms=[4.0], late_refusals=1)))
    assert (seen.ttft_ms, seen.tpot_ms, seen.refusals, seen.late_refusals) == ([1.0, 3.0], [4.0], 2, 1)


def test_percentiles_are_those_that_the_simulator_counts():
    values = [float(each) for each in range(1, 201)]
    assert (at(values, 50), at(values, 99), at([3.0], 99)) == (100.0, 198.0, 3.0)
    assert math.isclose(at(values, 100), 200.0)
