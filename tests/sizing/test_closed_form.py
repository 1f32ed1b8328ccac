"""The closed form that planning asks, held against stepping the replica: random shapes and loads, means and percentiles."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing import arrivals, latency, tails
from agentgpu_iac.sizing.arrivals import Host, Lengths, Load
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.speed import Serving, Speed, speed_of
from agentgpu_iac.spec.vocabulary import Engine, Precision

CATALOG = load_catalog()
Shape = tuple[str, str, Engine, int, Precision, int, int]
SHAPES: tuple[Shape, ...] = (
    ("meta-llama/Llama-3.1-8B-Instruct", "h100-sxm", "vllm", 1, "bf16", 8192, 1),
    ("meta-llama/Llama-3.1-8B-Instruct", "l40s", "vllm", 1, "bf16", 2048, 1),
    ("meta-llama/Llama-3.1-70B-Instruct", "h100-sxm", "vllm", 4, "bf16", 8192, 1),
    ("openai/gpt-oss-120b", "b200-sxm", "vllm", 1, "mxfp4", 16384, 1),
    ("Qwen/Qwen3-14B", "h100-sxm", "sglang", 1, "bf16", 8192, 1),
    ("Qwen/Qwen3-32B", "h200-sxm", "tensorrt-llm", 1, "bf16", 8192, 1),
)
PIPELINES: tuple[Shape, ...] = (
    ("meta-llama/Llama-3.1-70B-Instruct", "h100-sxm", "vllm", 1, "bf16", 8192, 4),
    ("meta-llama/Llama-3.1-8B-Instruct", "l40s", "vllm", 1, "bf16", 2048, 2),
)
STATED = {  # median, 80th percentile of |ln(closed form / stepped)|
    "ttft": (0.10, 0.40),
    "tpot": (0.08, 0.25),
    "tpot p95": (0.10, 0.25),
    "ttft p95, by themselves": (0.15, 0.40),
}


def speed(shape: Shape) -> Speed:
    model, card, engine, tensor, precision, batched, stages = shape
    built = speed_of(
        CATALOG.model(model),
        CATALOG.accelerator(card),
        precision=precision,
        kv_dtype="auto",
        tensor_parallel=tensor,
        pipeline_parallel=stages,
        max_batched_tokens=batched,
        serving=Serving(engine=engine),
    )
    assert built is not None
    return built


@pytest.fixture(scope="module", params=[SHAPES, PIPELINES], ids=["one stage", "pipelines"])
def errors(request) -> dict[str, list[float]]:
    return _errors(request.param)


def _errors(shapes: tuple[Shape, ...]) -> dict[str, list[float]]:
    """Of loads drawn at random, from far below to beyond what prompts alone fill."""
    draw = random.Random(11)
    built = [(speed(shape), SIZING_PORTS[shape[2]]) for shape in shapes]
    found: dict[str, list[float]] = {name: [] for name in STATED}
    for number in range(6 * len(shapes)):
        engine, port = built[number % len(built)]
        prompt = round(10 ** draw.uniform(1.3, 4.0))
        end, output = prompt * draw.choice([1, 1, 2, 4]), round(10 ** draw.uniform(1, 2.7))
        slots = round(10 ** draw.uniform(0, 1.8))
        request = latency.Request(prompt_tokens=prompt, context_tokens=end + output / 2, output_tokens=output)
        state = latency.steady(engine, request, slots)
        rules = port.scheduling(seats=100_000, step_tokens=engine.max_batched_tokens, cache_tokens=math.inf)
        host = Host(request_ms=engine.first_token_ms + engine.host_ms_per_request, serial_ms=0.0)
        longest = Lengths(
            prompt_tokens=prompt * 4 / 3, output_tokens=output * 4 / 3, cached_tokens=(end - prompt) * 4 / 3, low=0.5
        )
        loop = arrivals.run(engine, rules, host, longest, Load(arrivals="closed", requests=4 * slots, slots=slots))
        found["ttft"].append(state.ttft_ms / arrivals.mean(loop.ttft_ms))
        found["tpot"].append(state.tpot_ms / arrivals.mean(loop.tpot_ms))
        found["tpot p95"].append(tails.tpot_at(state, request, 95) / arrivals.percentile(loop.tpot_ms, 95))
        if state.prompts_per_ms * state.served_ms < 0.8:
            lengths = Lengths(prompt_tokens=prompt, output_tokens=output, cached_tokens=end - prompt)
            rate = 1000 * slots / state.cycle_ms
            users = arrivals.run(
                engine, rules, host, lengths, Load(arrivals="poisson", requests=300, requests_per_s=rate)
            )
            late = tails.queue_at(state, 95) + state.reading.reading_ms
            found["ttft p95, by themselves"].append(late / arrivals.percentile(users.ttft_ms, 95))
    return found


@pytest.mark.parametrize("name", STATED)
def test_the_closed_form_is_as_near_as_it_says(errors, name):
    ratios = sorted(abs(math.log(ratio)) for ratio in errors[name])
    median, most = STATED[name]
    assert arrivals.percentile(ratios, 50) <= median
    assert arrivals.percentile(ratios, 80) <= most


@pytest.mark.parametrize("name", STATED)
def test_and_leans_to_no_side(errors, name):
    assert abs(arrivals.mean([math.log(ratio) for ratio in errors[name]])) < 0.25


def test_a_replica_full_of_prompts_takes_them_in_turn():
    """64 sessions with 8,192 tokens each and short answers: the cycle is all prompts, one after another."""
    engine = speed(SHAPES[0])
    request = latency.Request(prompt_tokens=8000, context_tokens=8010, output_tokens=20)
    state = latency.steady(engine, request, 64)
    assert state.cycle_ms == pytest.approx(64 * state.served_ms, rel=0.05)
    assert state.ttft_ms + 19 * state.tpot_ms == pytest.approx(state.cycle_ms, rel=0.05)


def test_alone_there_is_nothing_to_wait_for():
    state = latency.steady(
        speed(SHAPES[0]), latency.Request(prompt_tokens=800, context_tokens=900, output_tokens=100), 1
    )
    assert state.wait_ms == 0.0
    assert state.step_ms == state.decode_ms
    assert tails.wait(state).at(99) == 0.0


@pytest.mark.parametrize(("prompt", "output"), [(1, 1), (40, 4), (40, 16)])
def test_short_answers_in_company_settle(prompt: int, output: int) -> None:
    """The first prompt in a step takes most of the time: the step that fits was sought by a rule that swung about it."""
    engine = speed(SHAPES[3])
    request = latency.Request(prompt_tokens=prompt, context_tokens=30_000, output_tokens=output)
    found = [latency.steady(engine, request, slots) for slots in range(2, 80)]
    for few, more in itertools.pairwise(found):
        assert few.ttft_ms < more.ttft_ms
        assert few.tpot_ms < more.tpot_ms
    for state in found:
        every_prompt_ms = state.reading.added_ms + state.further_ms * (state.others - 1)
        assert state.step_ms <= state.decode_ms + every_prompt_ms
