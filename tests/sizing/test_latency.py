"""The roofline: what makes a replica slower, what makes it faster, and how sure it is."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.catalog.model import DenseTflops
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing import latency
from agentgpu_iac.sizing.latency import Request
from agentgpu_iac.sizing.memory import embedding_parameters, expert_parameters, weight_bytes
from tests.sizing.rows import make_accelerator, make_model, make_moe

CATALOG = load_catalog()
LAWS = settings(derandomize=True, deadline=None, database=None, max_examples=100)
CHAT = Request(prompt_tokens=500.0, context_tokens=2000.0, output_tokens=150.0)


def engine(model=None, accelerator=None, *, tensor=1, pipeline=1, batched=8192, precision="bf16", kv="auto"):
    built = latency.speed(
        model or make_model(),
        accelerator or make_accelerator(),
        precision=precision,
        kv_dtype=kv,
        tensor_parallel=tensor,
        pipeline_parallel=pipeline,
        max_batched_tokens=batched,
    )
    assert built is not None
    return built


ENGINES = {
    "dense": engine(),
    "moe": engine(make_moe()),
    "tensor-parallel": engine(accelerator=make_accelerator(nvlink_gb_per_s=900.0), tensor=4),
    "pipeline-parallel": engine(pipeline=3),
    "small-chunks": engine(batched=512),
    "slow-card": engine(accelerator=make_accelerator(bandwidth_gb_per_s=300.0)),
}
any_engine = st.sampled_from(sorted(ENGINES)).map(ENGINES.__getitem__)
any_request = st.builds(
    Request,
    prompt_tokens=st.floats(1, 30_000),
    context_tokens=st.floats(30_000, 60_000),
    output_tokens=st.floats(1, 4000),
)


class TestByHand:
    def test_one_token_of_one_session_reads_all_weights(self):
        """16.06 GB at 70 % of 2,000 GB/s, the input embedding apart; 0.13 MB of cache per token of context; 3 ms a step."""
        one = engine()
        model = make_model()
        weights = (weight_bytes(model, "bf16") - embedding_parameters(model)) / (2000e6 * 0.70)
        cache = 2000 * 131_072 / (2000e6 * 0.70)
        assert one.decode_ms(1, 2000) == pytest.approx(weights + cache + 3.0)
        assert one.decode_ms(1, 2000) == pytest.approx(13.9, abs=0.2)

    def test_a_prompt_is_arithmetic(self):
        """2 x 8.03e9 operations a token at 65 % of 500 TFLOPS, attention besides, and one step of 3 ms."""
        tokens = 4000
        linear = tokens * 2 * 8.03e9 / (500e9 * 0.65)
        attention = tokens * tokens / 2 * 4 * 32 * 32 * 128 / (500e9 * 0.65)
        assert engine().prefill_ms(tokens, tokens) == pytest.approx(linear + attention + 3.0)

    def test_nothing_to_read_takes_no_time(self):
        assert engine().prefill_ms(0, 5000) == 0.0

    def test_ttft_is_queue_prefill_and_first_step(self):
        one = latency.predict(engine(), CHAT, 8, seats=4)
        assert one.seat_ms > 0
        assert one.ttft_ms == pytest.approx(one.queue_ms + one.seat_ms + one.prefill_ms + one.first_step_ms)
        alone = latency.predict(engine(), CHAT, 1)
        assert alone.seat_ms == 0.0
        assert alone.tpot_ms == pytest.approx(alone.first_step_ms)

    def test_throughput_is_sessions_over_the_time_that_a_seat_is_busy(self):
        """The queue is left out: the time per token has the others' prompts in it already."""
        one = latency.predict(engine(), CHAT, 8)
        seconds = (one.prefill_ms + one.first_step_ms + 149 * one.tpot_ms) / 1000
        assert one.queue_ms > 0
        assert one.output_tokens_per_s == pytest.approx(8 * 150 / seconds)
        assert one.prefill_tokens_per_s == pytest.approx(8 * 500 / seconds)


class TestSlower:
    """More of anything never makes an answer faster."""

    @LAWS
    @given(any_engine, any_request, st.integers(1, 500), st.integers(1, 100))
    def test_with_concurrency(self, one, request, sessions, more):
        few, many = latency.predict(one, request, sessions), latency.predict(one, request, sessions + more)
        assert few.ttft_ms <= many.ttft_ms * (1 + 1e-9)
        assert few.tpot_ms <= many.tpot_ms * (1 + 1e-9)

    @LAWS
    @given(any_engine, any_request, st.integers(1, 500), st.floats(1, 50_000))
    def test_with_context(self, one, request, sessions, more):
        longer = dataclasses.replace(request, context_tokens=request.context_tokens + more)
        short, long = latency.predict(one, request, sessions), latency.predict(one, longer, sessions)
        assert short.ttft_ms <= long.ttft_ms * (1 + 1e-9)
        assert short.tpot_ms <= long.tpot_ms * (1 + 1e-9)

    @LAWS
    @given(any_engine, any_request, st.integers(1, 500), st.floats(1, 20_000))
    def test_with_the_prompt(self, one, request, sessions, more):
        longer = dataclasses.replace(
            request, prompt_tokens=request.prompt_tokens + more, context_tokens=request.context_tokens + more
        )
        short, long = latency.predict(one, request, sessions), latency.predict(one, longer, sessions)
        assert short.ttft_ms <= long.ttft_ms * (1 + 1e-9)
        assert short.tpot_ms <= long.tpot_ms * (1 + 1e-9)

    @LAWS
    @given(any_engine, any_request, st.integers(1, 500), st.integers(1, 100))
    def test_but_more_sessions_never_give_fewer_tokens(self, one, request, sessions, more):
        few, many = latency.predict(one, request, sessions), latency.predict(one, request, sessions + more)
        assert few.output_tokens_per_s <= many.output_tokens_per_s * (1 + 1e-9)
        assert few.prefill_tokens_per_s <= many.prefill_tokens_per_s * (1 + 1e-9)

    @LAWS
    @given(any_engine, any_request, st.floats(0.01, 500))
    def test_nothing_is_negative(self, one, request, concurrency):
        found = latency.predict(one, request, concurrency)
        assert all(value >= 0 for value in dataclasses.astuple(found))

    def test_less_than_one_request_waits_for_nobody(self):
        assert latency.predict(engine(), CHAT, 0.25).queue_ms == 0.0


class TestHardware:
    def test_twice_the_bandwidth_halves_what_is_bound_by_it(self):
        slow, fast = engine(), engine(accelerator=make_accelerator(bandwidth_gb_per_s=4000.0))
        for sessions in (1, 8, 32):
            assert slow.decode_ms(sessions, 2000) - 3.0 == pytest.approx(2 * (fast.decode_ms(sessions, 2000) - 3.0))

    def test_twice_the_arithmetic_halves_a_long_prompt(self):
        slow = engine()
        fast = engine(accelerator=make_accelerator(vendor_dense_tflops=DenseTflops(bf16=1000.0)))
        assert slow.prompt_arithmetic_ms(8000, 8000) == pytest.approx(2 * fast.prompt_arithmetic_ms(8000, 8000))

    def test_bandwidth_does_not_speed_up_arithmetic(self):
        slow, fast = engine(), engine(accelerator=make_accelerator(bandwidth_gb_per_s=4000.0))
        assert slow.prefill_ms(8000, 8000) == fast.prefill_ms(8000, 8000)

    def test_tensor_parallelism_divides_the_reading_and_adds_all_reduces(self):
        card = make_accelerator(nvlink_gb_per_s=900.0)
        one, two = engine(accelerator=card), engine(accelerator=card, tensor=2)
        assert two.dense_weights_ms == pytest.approx(one.dense_weights_ms / 2)
        assert two.kv_ms_per_token == pytest.approx(one.kv_ms_per_token / 2)
        assert two.step_ms == pytest.approx(3.0 + 2 * 32 * 0.015)
        pcie = engine(accelerator=make_accelerator(nvlink_gb_per_s=0.0), tensor=2)
        assert pcie.step_ms == pytest.approx(3.0 + 2 * 32 * 0.04)

    def test_pipeline_stages_split_the_batch_and_add_steps(self):
        one, three = engine(), engine(pipeline=3)
        assert three.step_ms == pytest.approx(9.0)
        assert three.dense_weights_ms == one.dense_weights_ms  # every token still passes all layers
        assert three.decode_ms(30, 2000) - 9.0 == pytest.approx(one.decode_ms(10, 2000) - 3.0)
        assert three.decode_ms(1, 2000) > one.decode_ms(1, 2000)

    def test_long_prompts_are_read_in_chunks(self):
        whole, chunks = engine(batched=8192), engine(batched=1024)
        assert chunks.prefill_ms(8192, 8192) == pytest.approx(whole.prefill_ms(8192, 8192) + 7 * 3.0)

    def test_an_fp8_cache_halves_its_reading(self):
        assert engine(kv="fp8").kv_ms_per_token == pytest.approx(engine().kv_ms_per_token / 2)

    def test_quantised_weights_are_read_faster(self):
        assert engine(precision="int4").dense_weights_ms < engine(precision="fp8").dense_weights_ms
        assert engine(precision="fp8").dense_weights_ms < engine().dense_weights_ms


class TestExperts:
    def test_one_token_reads_only_its_experts(self):
        one = engine(make_moe())
        share = 4 / 64
        expected = one.dense_weights_ms + share * one.expert_weights_ms + one.step_ms + 1000 * one.kv_ms_per_token
        assert one.decode_ms(1, 1000) == pytest.approx(expected)

    def test_many_tokens_read_them_all(self):
        one = engine(make_moe())
        thousand = one.decode_ms(1000, 0)
        assert thousand == pytest.approx(one.dense_weights_ms + one.expert_weights_ms + one.step_ms, rel=1e-6)

    def test_touched_experts_grow_with_the_batch(self):
        one = engine(make_moe())
        steps = [one.decode_ms(batch, 0) for batch in (1, 2, 4, 8, 16, 64)]
        assert steps == sorted(steps)
        two = 1 - (1 - 4 / 64) ** 2
        assert steps[1] - steps[0] == pytest.approx((two - 4 / 64) * one.expert_weights_ms)

    def test_experts_and_the_rest_are_all_weights(self):
        model = make_moe()
        one = engine(model)
        read = (weight_bytes(model, "bf16") - embedding_parameters(model)) / (2000e6 * 0.70)
        assert one.dense_weights_ms + one.expert_weights_ms == pytest.approx(read)
        assert one.expert_weights_ms / read == pytest.approx(expert_parameters(model) / model.params_total)

    def test_arithmetic_counts_active_parameters(self):
        assert engine(make_moe()).compute_ms_per_token == pytest.approx(2 * 3e9 / (500e9 * 0.65))


class TestHowSure:
    def test_an_uncalibrated_card_has_a_wider_band(self):
        sure = latency.predict(engine(accelerator=CATALOG.accelerator("h100-sxm")), CHAT, 4)
        unsure = latency.predict(engine(accelerator=CATALOG.accelerator("l40s")), CHAT, 4)
        assert (sure.ttft_error_ratio, sure.tpot_error_ratio) == (0.9, 0.4)
        assert unsure.ttft_error_ratio == pytest.approx(0.9 * 1.5)
        assert unsure.tpot_error_ratio == pytest.approx(0.4 * 1.5)

    def test_every_calibrated_card_is_in_the_catalog(self):
        assert {row.id for row in CATALOG.accelerators} >= latency.CALIBRATED

    def test_without_any_figure_there_is_no_answer(self):
        card = make_accelerator(vendor_dense_tflops=DenseTflops())
        assert latency.prefill_tflops(card, "bf16") is None
        built = latency.speed(
            make_model(),
            card,
            precision="bf16",
            kv_dtype="auto",
            tensor_parallel=1,
            pipeline_parallel=1,
            max_batched_tokens=8192,
        )
        assert built is None

    @pytest.mark.parametrize(
        ("precision", "expected"),
        [
            ("bf16", 100.0),
            ("fp16", 100.0),
            ("fp8", 200.0),
            ("int8", 300.0),
            ("nvfp4", 400.0),
            ("mxfp4", 200.0),
            ("int4", 100.0),
        ],
    )
    def test_the_units_that_a_precision_uses(self, precision, expected):
        card = make_accelerator(vendor_dense_tflops=DenseTflops(bf16=100.0, fp8=200.0, int8=300.0, fp4=400.0))
        assert latency.prefill_tflops(card, precision) == expected

    def test_a_vendor_s_figure_before_a_measured_one_before_16_bit(self):
        measured = DenseTflops(bf16=80.0, fp8=150.0)
        card = make_accelerator(vendor_dense_tflops=DenseTflops(bf16=100.0), measured_dense_tflops=measured)
        assert latency.prefill_tflops(card, "bf16") == 100.0
        assert latency.prefill_tflops(card, "fp8") == 150.0
        assert latency.prefill_tflops(card, "nvfp4") == 100.0
        only_measured = make_accelerator(vendor_dense_tflops=DenseTflops(), measured_dense_tflops=measured)
        assert latency.prefill_tflops(only_measured, "bf16") == 80.0


def test_a_13b_on_an_h100_pcie_makes_what_the_playbook_says():
    """1,500 to 3,500 tokens/s in FP16 at 10 to 50 sessions (case customer-service-10k); ours is within the TPOT band."""
    one = engine(CATALOG.model("Qwen/Qwen3-14B"), CATALOG.accelerator("h100-pcie"))
    request = Request(prompt_tokens=250.0, context_tokens=900.0, output_tokens=50.0)
    fifty = latency.predict(one, request, 50)
    band = fifty.tpot_error_ratio
    assert 1500 * (1 - band) <= fifty.output_tokens_per_s <= 3500 * (1 + band)
