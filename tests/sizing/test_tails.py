"""Percentiles of waits and answers, and how likely a budget is missed."""

from __future__ import annotations

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing import latency, tails
from agentgpu_iac.sizing.speed import Serving, speed_of

CATALOG = load_catalog()
SPEED = speed_of(
    CATALOG.model("meta-llama/Llama-3.1-8B-Instruct"),
    CATALOG.accelerator("h200-sxm"),
    precision="bf16",
    kv_dtype="auto",
    tensor_parallel=1,
    pipeline_parallel=1,
    max_batched_tokens=8192,
    serving=Serving(version="0.33.0"),
)
assert SPEED is not None
CHAT = latency.Request(prompt_tokens=275, context_tokens=1200, output_tokens=150)
DOCUMENTS = latency.Request(prompt_tokens=20_000, context_tokens=20_050, output_tokens=100)


def test_of_a_hundred_prompts_one_in_twenty_answers_meets_sixteen_more():
    assert tails.prompts_in_an_answer(100, 95) == pytest.approx(116.4, abs=0.1)
    assert tails.prompts_in_an_answer(100, 50) == 100
    assert tails.prompts_in_an_answer(0, 99) == 0


@pytest.mark.parametrize("request_", [CHAT, DOCUMENTS])
@pytest.mark.parametrize("sessions", [1, 2, 20, 200])
def test_a_percentile_is_no_mean(request_, sessions):
    mean = latency.predict(SPEED, request_, sessions)
    queues = [tails.queue_ms(SPEED, request_, sessions, percentile) for percentile in (50, 75, 90, 95, 99)]
    paces = [tails.tpot_ms(SPEED, request_, sessions, percentile) for percentile in (50, 75, 90, 95, 99)]
    assert queues == sorted(queues) and paces == sorted(paces)
    assert queues[0] >= mean.queue_ms - 1e-9 and paces[0] == pytest.approx(mean.tpot_ms, rel=1e-6)
    state = latency.steady(SPEED, request_, sessions)
    most = max(tails.wait(state).most_ms, state.wait_ms)
    assert queues[-1] <= SPEED.first_token_ms + SPEED.host_ms_per_request + most + 1e-9


def test_unlike_prompts_make_the_pace_vary_as_fewer_longer_ones_do():
    alike = latency.Request(prompt_tokens=1_000, context_tokens=1500, output_tokens=150)
    unlike = latency.Request(prompt_tokens=1_000, context_tokens=1500, output_tokens=150, prompt_spread=4.0)
    state = latency.steady(SPEED, alike, 20)
    above = [tails.tpot_at(state, each, 95) - tails.tpot_at(state, each, 50) for each in (alike, unlike)]
    assert above[1] == pytest.approx(2 * above[0])  # a quarter of the prompts, each four times as much


def test_a_wait_is_a_gamma_variable_of_its_mean_and_variance():
    """Exponential where the deviation is the mean: 3.0 means at p95, 0.69 at the median, and never more than there is."""
    one = tails.Wait(mean_ms=10.0, variance_ms2=100.0, most_ms=1000.0)
    assert one.at(95) == pytest.approx(30.0, rel=0.02)
    assert one.at(50) == pytest.approx(6.93, rel=0.02)
    assert tails.Wait(mean_ms=10.0, variance_ms2=100.0, most_ms=25.0).at(99) == 25.0
    assert tails.Wait(mean_ms=10.0, variance_ms2=0.01, most_ms=25.0).at(95) == pytest.approx(10.16, abs=0.01)


def test_long_prompts_wait_much_longer_than_on_average():
    mean = latency.predict(SPEED, DOCUMENTS, 3).queue_ms
    assert tails.queue_ms(SPEED, DOCUMENTS, 3, 95) > 3 * mean


@pytest.mark.parametrize(
    ("predicted", "budget", "error", "ratio"),
    [
        (100.0, 138.0, 0.38, 0.1),  # the band's upper end: a tenth is above
        (100.0, 100.0, 0.38, 0.5),
        (96.0, 100.0, 0.38, 0.435),
        (50.0, 100.0, 0.38, 0.003),
        (100.0, 99.0, 0.0, 1.0),
        (99.0, 100.0, 0.0, 0.0),
    ],
)
def test_how_likely_a_miss_is(predicted, budget, error, ratio):
    assert tails.miss_ratio(predicted, budget, error) == pytest.approx(ratio, abs=0.003)
