"""A pipeline against as many replicas of one stage: what its batches, its bubbles and its hand-overs cost."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing import arrivals, latency, tails
from agentgpu_iac.sizing.arrivals import Host, Lengths, Load
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.latency import Request
from agentgpu_iac.sizing.speed import Serving, Speed, fullest, speed_of
from tests.thoroughness import examples

CATALOG = load_catalog()
LAWS = settings(derandomize=True, deadline=None, database=None, max_examples=examples(400))
SHAPES = {
    "8b": ("meta-llama/Llama-3.1-8B-Instruct", "b200-sxm", "bf16", "vllm"),
    "8b-pcie": ("meta-llama/Llama-3.1-8B-Instruct", "l40s", "bf16", "vllm"),
    "32b": ("Qwen/Qwen3-32B", "h200-sxm", "bf16", "tensorrt-llm"),
    "14b": ("Qwen/Qwen3-14B", "h100-sxm", "bf16", "sglang"),
    "experts": ("openai/gpt-oss-120b", "b200-sxm", "mxfp4", "vllm"),
}
STEP_TOKENS = 8192
STAGES = (2, 3, 4, 8)


def speed(name: str, stages: int) -> Speed:
    model, card, precision, engine = SHAPES[name]
    built = speed_of(
        CATALOG.model(model),
        CATALOG.accelerator(card),
        precision=precision,
        kv_dtype="auto",
        tensor_parallel=1,
        pipeline_parallel=stages,
        max_batched_tokens=STEP_TOKENS,
        serving=Serving(engine=engine),
    )
    assert built is not None
    return built


ENGINES = {(name, stages): speed(name, stages) for name in SHAPES for stages in (1, *STAGES)}
requests_of_one_step = st.builds(
    Request,
    prompt_tokens=st.floats(1, STEP_TOKENS),
    context_tokens=st.floats(STEP_TOKENS, 30_000),
    output_tokens=st.floats(50, 2000),
)
names, several = st.sampled_from(sorted(SHAPES)), st.sampled_from(STAGES)


dense = st.sampled_from(sorted(set(SHAPES) - {"experts"}))
percentiles = st.sampled_from([90.0, 95.0, 99.0])


@LAWS
@given(names, several, requests_of_one_step, st.integers(1, 800), percentiles)
@example("8b-pcie", 2, Request(prompt_tokens=2233.0, context_tokens=8192.0, output_tokens=248.0), 800, 99.0)
def test_a_pipeline_is_never_faster_than_as_many_replicas(name, stages, request, sessions, percentile):
    """Where one card holds the model and the prompt fits into a step. Of longer ones the chunks follow one another through the
    stages, and are read sooner than by one card. Tokens and waits are compared where the loop is not held up by prompts alone,
    since a slower loop then asks for less."""
    one, pipeline = ENGINES[name, 1], ENGINES[name, stages]
    alone = latency.steady(one, request, sessions)
    piped = latency.steady(pipeline, request, sessions * stages)
    assert piped.decode_ms >= alone.decode_ms
    nearly = 0.99  # the closed form settles its steps in three rounds
    assume(alone.step_ms < 1.5 * alone.decode_ms)
    assert piped.cycle_ms >= alone.cycle_ms * nearly
    assert piped.tpot_ms >= alone.tpot_ms * nearly
    assert piped.ttft_ms >= alone.ttft_ms * nearly
    assert tails.tpot_at(piped, request, percentile) >= tails.tpot_at(alone, request, percentile) * nearly
    assert tails.queue_at(piped, percentile) >= tails.queue_at(alone, percentile) * nearly


@LAWS
@given(
    dense, st.sampled_from([1, *STAGES]), requests_of_one_step, st.integers(1, 800), st.integers(1, 200), percentiles
)
@example("8b", 4, Request(prompt_tokens=1493.0, context_tokens=1493.0, output_tokens=77.0), 742, 222, 99.0)
@example("8b", 4, Request(prompt_tokens=12915.0, context_tokens=12915.0, output_tokens=6.0), 7, 1, 99.0)
def test_in_more_company_no_request_waits_less(name, stages, request, sessions, more, percentile):
    """Steps that are all full vary no more, so that they must not vary by much just before. Not of experts: what runs already
    touches those of a short prompt too, which then adds less.
    """
    few, many = (latency.steady(ENGINES[name, stages], request, each) for each in (sessions, sessions + more))
    assert tails.queue_at(many, percentile) >= tails.queue_at(few, percentile) * 0.97  # where mean and tail part


@given(st.lists(st.floats(0, 1000), min_size=2, max_size=8), st.floats(0, 100), st.floats(0, 100))
def test_nothing_between_two_limits_varies_by_more(values, below, above):
    mean = statistics.fmean(values)
    most = latency.most_variance(min(values) - below, mean, max(values) + above)
    assert statistics.pvariance(values, mean) <= most + 1e-6


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("stages", [2, 4])
def test_nor_is_it_when_both_are_stepped(name, stages):
    def tokens_per_s(engine: Speed, slots: int) -> float:
        rules = SIZING_PORTS[SHAPES[name][3]].scheduling(seats=10_000, step_tokens=STEP_TOKENS, cache_tokens=1e12)
        lengths = Lengths(prompt_tokens=400, output_tokens=160, cached_tokens=800, low=0.5)
        load = Load(arrivals="closed", requests=slots * 6, slots=slots)
        return arrivals.run(engine, rules, Host(request_ms=10, serial_ms=0.0), lengths, load).output_tokens_per_s

    one = tokens_per_s(ENGINES[name, 1], 60)
    assert tokens_per_s(ENGINES[name, stages], 60 * stages) <= stages * one


@pytest.mark.broad(every=2)
@pytest.mark.parametrize("batches", [2, 3, 4, 8])
def test_the_fullest_batch_is_as_chance_has_it(batches):
    """Requests dealt out by a fixed generator of numbers; the mean of the fullest over 400 deals."""
    numbers = arrivals.even(7)
    for requests in (4, 40, 400):
        total = 0
        for _ in range(400):
            dealt = [0] * batches
            for _ in range(requests):
                dealt[int(next(numbers) * batches)] += 1
            total += max(dealt)
        assert fullest(requests, batches) == pytest.approx(total / 400, rel=0.12), requests


def test_one_request_goes_through_the_stages_alone():
    one, four = ENGINES["8b", 1], ENGINES["8b", 4]
    assert four.pace_ms(four.decode_ms(1, 1000), 1) == 0.0
    assert one.decode_ms(1, 1000) < four.decode_ms(1, 1000) < one.decode_ms(1, 1000) + 3 * (one.launches_ms + 0.1)


def test_chunks_of_a_long_prompt_follow_one_another_and_are_read_sooner():
    one, four = ENGINES["32b", 1], ENGINES["32b", 4]
    alone, piped = (
        latency.read_prompt(each, 65_536, 65_536, 1, 65_536, decode_ms=each.decode_ms(1, 65_536))
        for each in (one, four)
    )
    assert piped.reading_ms < alone.reading_ms / 2
    assert piped.slots == 1.0
