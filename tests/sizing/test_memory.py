"""Weights, KV cache, overhead, and the engine's memory report, against hand computation and measured start-ups."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.catalog.model import EngineRelease, LayerCounts, RecurrentShape
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing import memory
from agentgpu_iac.sizing.activation import ExpertRun, activation_peak
from agentgpu_iac.sizing.draft import Draft
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.outside_torch import captures, cuda_graphs, has_own_all_reduce
from agentgpu_iac.sizing.paging import pool
from agentgpu_iac.sizing.weights import draft_layer_parameters
from agentgpu_iac.units import GIB
from tests.sizing.rows import SOURCES, make_accelerator, make_model, make_moe
from tests.thoroughness import examples

CATALOG = load_catalog()
LLAMA = CATALOG.model("meta-llama/Llama-3.1-8B-Instruct")
ROTARY_TABLE_GIB = 131_072 * 128 * 2 / GIB


def release(version: str, share: float = 0.9, *, graphs_in_budget: bool = False) -> EngineRelease:
    return EngineRelease(
        engine="vllm",
        version=version,
        image=f"vllm/vllm-openai:v{version}",
        image_gb=9.35,
        gpu_memory_utilization=share,
        graphs_in_budget=graphs_in_budget,
        sources=SOURCES,
    )


class TestWeights:
    @pytest.mark.parametrize(
        ("precision", "measured_gib"),
        [("bf16", 14.96), ("fp16", 14.96), ("fp8", 8.49), ("int8", 8.49), ("int4", 5.38)],
    )
    def test_against_measured_checkpoints(self, precision, measured_gib):
        """Llama-3.1-8B: 14.96 GiB on disk, 8.49 in FP8 and w8a8, 5.38 in w4a16 (start-up logs, NOTES of the facts)."""
        assert memory.weights_gib_per_accelerator(LLAMA, precision, 1, 1) == pytest.approx(measured_gib, rel=0.015)

    @pytest.mark.parametrize(("pipeline", "measured_gib"), [(1, 14.99), (2, 7.51), (4, 4.26)])
    def test_the_fullest_pipeline_stage_against_measured_start_ups(self, pipeline, measured_gib):
        """vLLM 0.19 on H100 (llm-d-planner results): the stage with an embedding is the fullest."""
        assert memory.weights_gib_per_accelerator(LLAMA, "bf16", 1, pipeline) == pytest.approx(measured_gib, rel=0.015)

    @pytest.mark.parametrize(("tensor", "measured_gib"), [(1, 14.99), (2, 7.51), (4, 3.77)])
    def test_tensor_parallelism_divides(self, tensor, measured_gib):
        assert memory.weights_gib_per_accelerator(LLAMA, "bf16", tensor, 1) == pytest.approx(measured_gib, rel=0.015)

    def test_a_checkpoint_of_known_size_counts_as_it_is(self):
        model = make_model(checkpoint_bytes=20 * GIB)
        assert memory.weights_gib_per_accelerator(model, "bf16", 1, 1) == 20.0 + ROTARY_TABLE_GIB
        assert memory.weights_gib_per_accelerator(model, "fp16", 1, 1) == pytest.approx(
            8.03e9 * 2 / GIB + ROTARY_TABLE_GIB
        )

    def test_a_checkpoint_published_in_32_bit_is_loaded_in_16(self):
        model = make_model(checkpoint_bytes=int(8.03e9 * 4))
        assert memory.weight_bytes(model, "bf16") == 8.03e9 * 2

    def test_a_draft_layer_in_the_checkpoint_is_not_loaded(self):
        """DeepSeek-R1: 641.3 GiB on disk, of which one layer is for multi-token prediction."""
        model = CATALOG.model("deepseek-ai/DeepSeek-R1-0528")
        assert memory.weight_bytes(model, "fp8") / GIB == pytest.approx(641.3 - 11, abs=2)

    def test_parts_that_every_rank_holds(self):
        """Qwen3-235B in FP8 over eight ranks with four KV heads: 27.72 GiB logged, 27.51 if all were divided."""
        model = CATALOG.model("Qwen/Qwen3-235B-A22B-Instruct-2507")
        assert memory.weights_gib_per_accelerator(model, "fp8", 8, 1) == pytest.approx(27.72, rel=0.002)

    def test_a_draft_layer_for_speculation(self):
        plain = memory.weights_gib_per_accelerator(LLAMA, "bf16", 1, 1)
        with_draft = memory.weights_gib_per_accelerator(LLAMA, "bf16", 1, 1, speculative_layers=1)
        assert with_draft - plain == pytest.approx(memory.draft_layer_parameters(LLAMA) * 2 / GIB, rel=0.01)

    def test_a_run_in_32_bit(self):
        """Llama-3.1-8B started with --dtype float32: 29.98 GiB logged."""
        assert memory.weights_gib_per_accelerator(LLAMA, "bf16", 1, 1, dtype_bytes=4) == pytest.approx(29.98, rel=0.002)

    def test_quantised_weights_keep_their_embeddings_in_16_bit(self):
        embeddings = 2 * 128_256 * 4096
        linear = 8_030_000_000 - embeddings
        expected = {"fp8": linear + 2 * embeddings, "int4": linear * (4 + 20 / 128) / 8 + 2 * embeddings}
        for precision, size in expected.items():
            assert memory.weight_bytes(make_model(), precision) == pytest.approx(size)
        tied = make_model(tied_embeddings=True)
        half = embeddings / 2
        assert memory.weight_bytes(tied, "fp8") == pytest.approx(8_030_000_000 - half + 2 * half)

    def test_mxfp4_quantises_only_the_experts(self):
        model = make_moe()
        experts = 48 * 64 * 3 * 2048 * 1408
        assert memory.expert_parameters(model) == experts
        expected = experts * 4.25 / 8 * (1536 / 1408) + (30_000_000_000 - experts) * 2  # padded to 256
        assert memory.weight_bytes(model, "mxfp4", compute_capability="9.0") == pytest.approx(expected)
        assert memory.weight_bytes(model, "mxfp4") < expected, "as stored"

    @pytest.mark.parametrize(
        ("capability", "tensor", "logged"), [("9.0", 1, 64.38), ("8.0", 1, 65.97), ("8.0", 4, 17.22)]
    )
    def test_a_published_mxfp4_checkpoint(self, capability, tensor, logged):
        """gpt-oss-120b in start-up logs: the Triton kernels of Hopper, Marlin elsewhere, and Marlin on four A100."""
        model = CATALOG.model("openai/gpt-oss-120b")
        weights = memory.weights_gib_per_accelerator(
            model, model.native_precision, tensor, 1, compute_capability=capability
        )
        assert weights == pytest.approx(logged, rel=0.01)

    @pytest.mark.parametrize("precision", ["bf16", "fp8", "int8", "int4", "nvfp4", "mxfp4"])
    @pytest.mark.parametrize("model", [make_model(), make_moe(), make_model(tied_embeddings=True)])
    def test_more_accelerators_never_hold_more_each(self, model, precision):
        one = memory.weights_gib_per_accelerator(model, precision, 1, 1)
        for tensor in (1, 2, 4, 8):
            for pipeline in (1, 2, 3, 4):
                each = memory.weights_gib_per_accelerator(model, precision, tensor, pipeline)
                assert 0 < each <= one
                assert each * tensor * pipeline >= one * 0.999

    def test_fewer_bits_never_weigh_more(self):
        for model in (make_model(), make_moe()):
            sizes = [memory.weight_bytes(model, one) for one in ("bf16", "fp8", "nvfp4", "int4")]
            assert sizes == sorted(sizes, reverse=True)


class TestKvCache:
    """2 (K and V) x KV heads x width x 2 B x layers, unless said otherwise."""

    @pytest.mark.parametrize(
        ("kv_heads", "expected"),
        [(32, 2 * 32 * 128 * 2 * 32), (8, 2 * 8 * 128 * 2 * 32), (1, 2 * 1 * 128 * 2 * 32)],
        ids=["MHA", "GQA", "MQA"],
    )
    def test_attention_of_every_kind(self, kv_heads, expected):
        assert memory.kv_bytes_per_token(make_model(kv_heads=kv_heads), "auto", 1, 1) == expected

    @pytest.mark.parametrize(
        ("reference", "tensor", "kib"),
        [
            ("meta-llama/Llama-3.1-8B-Instruct", 1, 128),
            ("meta-llama/Llama-3.1-70B-Instruct", 2, 160),
            ("meta-llama/Llama-3.1-70B-Instruct", 4, 80),
            ("Qwen/Qwen3-8B", 1, 144),
            ("Qwen/Qwen3-14B", 1, 160),
            ("Qwen/Qwen3-32B", 2, 128),
            ("Qwen/Qwen2.5-7B-Instruct", 1, 56),
            ("microsoft/phi-4", 1, 200),
            ("mistralai/Mixtral-8x7B-Instruct-v0.1", 2, 64),
            ("Qwen/Qwen3-235B-A22B-Instruct-2507", 4, 47),
            ("Qwen/Qwen3-235B-A22B-Instruct-2507", 8, 47),
            ("deepseek-ai/DeepSeek-V2-Lite-Chat", 1, 30.375),
            ("deepseek-ai/DeepSeek-V2-Lite-Chat", 2, 30.375),
            ("moonshotai/Kimi-K2-Instruct", 8, 68.625),
        ],
    )
    def test_against_measured_start_ups(self, reference, tensor, kib):
        """KiB per token and GPU as start-up logs show it (NOTES of the facts, "KV bytes per token")."""
        assert memory.kv_bytes_per_token(CATALOG.model(reference), "auto", tensor, 1) == kib * 1024

    def test_fp8_halves_it(self):
        model = make_model()
        assert memory.kv_bytes_per_token(model, "fp8", 1, 1) * 2 == memory.kv_bytes_per_token(model, "bf16", 1, 1)
        assert memory.kv_bytes_per_token(model, "fp16", 1, 1) == memory.kv_bytes_per_token(model, "auto", 1, 1)

    def test_mla_is_not_split_by_tensor_parallelism(self):
        model = make_model(kv_lora_rank=512, qk_rope_head_dim=64, kv_heads=32)
        for tensor in (1, 2, 4, 8):
            assert memory.kv_bytes_per_token(model, "auto", tensor, 1) == (512 + 64) * 2 * 32

    def test_values_may_be_narrower_than_keys(self):
        model = make_model(value_head_dim=64)
        assert memory.kv_bytes_per_token(model, "auto", 1, 1) == 8 * (128 + 64) * 2 * 32

    def test_kv_heads_are_divided_and_then_replicated(self):
        model = make_model(kv_heads=4)
        each = [memory.kv_bytes_per_token(model, "auto", tensor, 1) for tensor in (1, 2, 4, 8, 16)]
        one_head = 2 * 128 * 2 * 32
        assert each == [4 * one_head, 2 * one_head, one_head, one_head, one_head]

    def test_the_fullest_pipeline_stage(self):
        model = make_model(layers=LayerCounts(full=31))
        assert memory.kv_bytes_per_token(model, "auto", 1, 1) == 31 * 4096
        assert memory.kv_bytes_per_token(model, "auto", 1, 2) == 16 * 4096
        assert memory.kv_bytes_per_token(model, "auto", 1, 3) == 11 * 4096
        assert memory.kv_bytes_per_token(model, "auto", 1, 4) == 8 * 4096

    def test_sliding_windows_are_capped(self):
        model = make_model(layers=LayerCounts(full=8, sliding=24), sliding_window=1024)
        layer_token = 2 * 8 * 128 * 2
        short = memory.kv_bytes_per_session(model, "auto", 1, 1, 512)
        assert short == 512 * 32 * layer_token
        long = memory.kv_bytes_per_session(model, "auto", 1, 1, 100_000)
        assert long == (100_000 * 8 + 1024 * 24) * layer_token

    def test_sliding_layers_may_have_heads_of_their_own(self):
        model = make_model(
            layers=LayerCounts(full=8, sliding=24), sliding_window=1024, sliding_kv_heads=16, sliding_head_dim=64
        )
        expected = 4096 * 8 * (2 * 8 * 128 * 2) + 1024 * 24 * (2 * 16 * 64 * 2)
        assert memory.kv_bytes_per_session(model, "auto", 1, 1, 4096) == expected
        expected_tp4 = 4096 * 8 * (2 * 2 * 128 * 2) + 1024 * 24 * (2 * 4 * 64 * 2)
        assert memory.kv_bytes_per_session(model, "auto", 4, 1, 4096) == expected_tp4

    def test_recurrent_layers_hold_a_fixed_state(self):
        shape = RecurrentShape(state_elements=500_000, convolution_elements=30_000)
        model = make_model(layers=LayerCounts(recurrent=32), recurrent=shape)
        state = 32 * (500_000 * 4 + 30_000 * 2)
        for context in (16, 10_000, 131_072):
            assert memory.kv_bytes_per_session(model, "auto", 1, 1, context) == state
        assert memory.kv_bytes_per_session(model, "auto", 4, 1, 10_000) == state / 4
        assert memory.kv_bytes_per_session(model, "auto", 1, 2, 10_000) == state / 2
        assert memory.kv_bytes_per_session(model, "fp8", 1, 1, 10_000) == state  # the dtype is that of the KV cache

    def test_layers_without_state_hold_nothing(self):
        model = make_model(layers=LayerCounts(full=4, stateless=28))
        assert memory.kv_bytes_per_token(model, "auto", 1, 1) == 4 * 4096
        assert memory.layer_count(model) == 32

    def test_sessions_hold_whole_blocks(self):
        model = make_model()
        sixteen = memory.kv_bytes_per_session(model, "auto", 1, 1, 16)
        assert sixteen == 16 * 131_072
        assert memory.kv_bytes_per_session(model, "auto", 1, 1, 1) == sixteen
        assert memory.kv_bytes_per_session(model, "auto", 1, 1, 17) == 2 * sixteen

    @settings(derandomize=True, deadline=None, database=None, max_examples=examples(200))
    @given(
        full=st.integers(0, 64),
        sliding=st.integers(0, 64),
        window=st.integers(1, 8192),
        kv_heads=st.sampled_from([1, 2, 4, 8, 16, 32]),
        tensor=st.sampled_from([1, 2, 4, 8]),
        pipeline=st.integers(1, 4),
        context=st.integers(1, 200_000),
        more=st.integers(1, 10_000),
    )
    def test_longer_contexts_never_hold_less_and_more_accelerators_never_more_each(
        self, full, sliding, window, kv_heads, tensor, pipeline, context, more
    ):
        model = make_model(layers=LayerCounts(full=full, sliding=sliding), sliding_window=window, kv_heads=kv_heads)
        one = memory.kv_bytes_per_session(model, "auto", tensor, pipeline, context)
        assert one <= memory.kv_bytes_per_session(model, "auto", tensor, pipeline, context + more)
        assert one <= memory.kv_bytes_per_session(model, "auto", 1, 1, context)
        together = one * tensor * pipeline
        assert together >= memory.kv_bytes_per_session(model, "auto", 1, 1, context)


class TestCapacity:
    def test_measured_before_driver_before_nominal(self):
        card = make_accelerator(memory_gb=48.0, cuda_memory_gib=44.4, driver_memory_mib=46_068)
        assert memory.capacity(card) == memory.Capacity(capacity_gib=44.4, basis="measured")
        card = make_accelerator(memory_gb=48.0, cuda_memory_gib=None, driver_memory_mib=46_068)
        assert memory.capacity(card).basis == "driver"
        assert memory.capacity(card).capacity_gib == pytest.approx(46_068 / 1024 - 0.5)
        card = make_accelerator(memory_gb=48.0, cuda_memory_gib=None, driver_memory_mib=None)
        assert memory.capacity(card).basis == "nominal"
        assert memory.capacity(card).capacity_gib == pytest.approx(48 * 0.93)

    @pytest.mark.parametrize("accelerator", CATALOG.accelerators, ids=lambda row: row.id)
    def test_no_card_has_more_than_its_label_says(self, accelerator):
        room = memory.capacity(accelerator).capacity_gib
        assert 0.85 * accelerator.memory_gb <= room <= accelerator.memory_gb

    @pytest.mark.parametrize(
        "accelerator", [row for row in CATALOG.accelerators if row.cuda_memory_gib], ids=lambda row: row.id
    )
    def test_the_estimates_stay_near_measured_figures(self, accelerator):
        guess = accelerator.model_copy(update={"cuda_memory_gib": None})
        assert memory.capacity(guess).capacity_gib == pytest.approx(accelerator.cuda_memory_gib, rel=0.08)


class TestOverhead:
    @pytest.mark.parametrize(
        ("version", "copies"), [("0.11.0", 9.49), ("0.16.9", 9.49), ("0.17.0", 3.62), ("0.33.0", 3.62)]
    )
    def test_logits_of_the_profiling_run(self, version, copies):
        model = make_model(intermediate_size=0)
        each = (copies * 128_256 * 4 + 60_500) / GIB
        states = 2048 * 4096 * 2 / GIB
        assert memory.logits_gib_per_sequence(model, version) == pytest.approx(each)
        for tensor in (1, 8):
            assert activation_peak(model, version, tensor, 2048).gib(256) == pytest.approx(256 * each + states)

    def test_the_feed_forward_end_where_the_vocabulary_is_small(self):
        """CodeLlama-7B, vLLM 0.19 on H100: 0.77 GiB measured."""
        model = make_model(vocab_size=32_016, intermediate_size=11_008, hidden_size=4096)
        found = activation_peak(model, "0.19.0", 1, 8192).gib(1024)
        assert found == pytest.approx(8192 * (3 * 11_008 + 4 * 4096) * 2 / GIB)
        assert found == pytest.approx(0.77, rel=0.05)

    def test_workspaces_of_experts_add_to_the_sampler_in_newer_versions(self):
        model = make_moe()
        workspaces = 8192 * (4 * (2 * 1408 + 1408) + 2048) * 2 / GIB
        states = 8192 * 2048 * 2 / GIB
        assert memory.sampler_base_gib(model, "0.16.0", 1, 8192) == pytest.approx(states)
        assert memory.sampler_base_gib(model, "0.17.0", 1, 8192) == pytest.approx(states + workspaces)
        assert memory.feed_forward_gib(model, "0.16.0", 1, 8192) == pytest.approx(4 * states + workspaces)

    def test_they_stay_while_the_next_layer_attends(self):
        """Qwen3-235B over four H100 (0.20): 157 to 170 KB for each of 8,192 to 65,536 batched tokens, 161 by this formula."""
        model = make_moe()
        mixed = 8192 * (2 * (16 * 128 + 2 * 16 * 128) + 16 * 128) * 2 / GIB
        older, newer = (memory.feed_forward_gib(model, version, 1, 8192) for version in ("0.16.0", "0.17.0"))
        assert newer - older == pytest.approx(mixed)
        large = CATALOG.model("Qwen/Qwen3-235B-A22B-Instruct-2507")
        few, many = (
            memory.feed_forward_gib(large, "0.20.0", 4, batched, experts=ExpertRun(groups=1, split=1, eight_bit=True))
            for batched in (8192, 65_536)
        )
        assert (many - few) * GIB / (65_536 - 8192) == pytest.approx(163e3, rel=0.03)

    def test_a_scan_takes_what_its_states_are_wide(self):
        """Qwen3.6-35B over four A100 (0.27): 1.6 GiB more for 16,384 more batched tokens, picture and embeddings included."""
        hybrid = CATALOG.model("Qwen/Qwen3.6-35B-A3B")
        few, many = (memory.feed_forward_gib(hybrid, "0.27.0", 4, batched) for batched in (16_384, 32_768))
        assert many - few == pytest.approx(1.6, rel=0.05)

    def test_a_pipeline_stage_holds_its_input_too(self):
        """Llama-3.1-8B, first of two and of four stages: 1.05 to 1.10 GiB logged."""
        assert memory.feed_forward_gib(LLAMA, "0.19.0", 1, 8192, stage_input=True) == pytest.approx(1.05, rel=0.05)

    @pytest.mark.parametrize(
        ("version", "tensor", "pipeline", "nvlink", "expected"),
        [
            ("0.11.0", 1, 1, 900.0, 0.13),
            ("0.17.0", 1, 1, 900.0, 0.13),
            ("0.18.0", 1, 1, 0.0, 0.25),
            ("0.33.0", 1, 1, 900.0, 0.25),
            ("0.19.0", 1, 4, 900.0, 0.07),
            ("0.19.0", 2, 1, 900.0, 2.08),
            ("0.19.0", 4, 1, 900.0, 2.15),
            ("0.15.0", 2, 1, 900.0, 0.61),
            ("0.19.0", 2, 1, 0.0, 0.75),
            ("0.19.0", 2, 1, None, 0.75),
            ("0.10.2", 8, 1, 0.0, 0.25),
        ],
    )
    def test_non_torch(self, version, tensor, pipeline, nvlink, expected):
        card = make_accelerator(nvlink_gb_per_s=nvlink)
        assert memory.non_torch_gib(card, version, tensor, pipeline) == pytest.approx(expected)

    @pytest.mark.parametrize(("pipeline", "measured_gib"), [(1, 0.91), (2, 0.65), (4, 0.51)])
    def test_cuda_graphs(self, pipeline, measured_gib):
        found = cuda_graphs(32 / pipeline, captures("0.19.0", 1024, 8192), own_all_reduce=True)
        assert found.gib == pytest.approx(measured_gib, rel=0.25)
        assert cuda_graphs(0.0, 102, own_all_reduce=True).gib == 0.0

    @pytest.mark.parametrize(("seats", "measured_gib"), [(24, 0.75), (128, 1.88), (256, 2.79)])
    def test_graphs_grow_with_seats(self, seats, measured_gib):
        """Qwen3.6-35B-A3B on four A100 over PCIe, 0.27: pieces up to twice the seats, whole steps up to the seats."""
        assert not has_own_all_reduce(make_accelerator(nvlink_gb_per_s=0.0), 4)
        found = cuda_graphs(40, captures("0.27.0", seats, 16_384), own_all_reduce=False)
        assert found.gib == pytest.approx(measured_gib, rel=0.2)

    @pytest.mark.parametrize(
        ("version", "seats", "batched", "expected"),
        [
            ("0.9.2", 8, 8192, 67),
            ("0.10.2", 8, 8192, 3 + 2),
            ("0.10.2", 1024, 8192, 67),
            ("0.11.0", 1024, 8192, 67 + 67),
            ("0.12.0", 1024, 8192, 51 + 51),
            ("0.19.0", 128, 8192, 35 + 19),
            ("0.19.0", 128, 100, 15 + 15),
            ("0.33.0", 24, 8192, 9 + 6),
        ],
    )
    def test_captured_sizes(self, version, seats, batched, expected):
        assert captures(version, seats, batched) == expected

    def test_the_newest_captures_more_on_blackwell_and_for_drafts(self):
        assert captures("0.33.0", 1024, 8192, compute_capability="10.0") == 2 * (34 + 49)
        assert captures("0.33.0", 4, 8192, rows_per_step=4) == captures("0.33.0", 16, 8192)

    def test_a_lora_slot(self):
        """Mistral-7B, rank 16: 13.51 -> 13.58 GiB of weights in the logs."""
        model = make_model(hidden_size=4096, intermediate_size=14_336)
        assert memory.lora_slot_gib(model, 16) == pytest.approx(0.07, abs=0.02)
        assert memory.lora_slot_gib(model, 32) == 2 * memory.lora_slot_gib(model, 16)


def config(**changes) -> memory.EngineConfig:
    fields = dict(
        model=make_model(),
        accelerator=make_accelerator(),
        release=release("0.19.0"),
        precision="bf16",
        kv_dtype="auto",
        tensor_parallel=1,
        pipeline_parallel=1,
        max_model_len=8192,
        max_num_seqs=256,
        max_num_batched_tokens=8192,
        gpu_memory_utilization=0.9,
    )
    return memory.EngineConfig(**{**fields, **changes})


class TestEngineMemory:
    @pytest.mark.parametrize(
        ("version", "in_budget"),
        [("0.11.0", False), ("0.17.0", False), ("0.19.0", False), ("0.20.0", True), ("0.33.0", True)],
    )
    def test_the_identity(self, version, in_budget):
        """budget = weights + activation + non-torch + KV (+ graphs where the version subtracts them)."""
        known = CATALOG.release("vllm", version)
        assert known.graphs_in_budget is in_budget
        share = known.gpu_memory_utilization
        report = memory.engine_memory(config(release=known, gpu_memory_utilization=share))
        taken = report.weights_gib + report.activation_gib + report.non_torch_gib + report.kv_cache_gib
        taken += report.terms.cold_start_gib
        if in_budget:
            taken += report.cuda_graph_gib
        assert report.budget_gib == pytest.approx(80.0 * share)
        assert taken == pytest.approx(report.budget_gib, abs=1e-9)

    def test_eager_mode_gives_the_graphs_back(self):
        newer = release("0.21.0", graphs_in_budget=True)
        plain = memory.engine_memory(config(release=newer))
        eager = memory.engine_memory(config(release=newer, enforce_eager=True))
        assert eager.kv_cache_gib - plain.kv_cache_gib == pytest.approx(plain.cuda_graph_gib)
        assert plain.cuda_graph_gib == pytest.approx(0.25 + 86 * 32 * 0.18 / 1024)
        older = memory.engine_memory(config(enforce_eager=True))
        assert older.kv_cache_gib == memory.engine_memory(config()).kv_cache_gib

    def test_the_kv_cache_does_not_depend_on_the_length_but_concurrency_does(self):
        short, long = (
            memory.engine_memory(config(max_model_len=2048)),
            memory.engine_memory(config(max_model_len=32_768)),
        )
        assert short.kv_cache_gib == long.kv_cache_gib
        assert short.max_concurrency == pytest.approx(16 * long.max_concurrency)
        assert short.kv_cache_tokens == pytest.approx(long.kv_cache_tokens, rel=1e-4)

    def test_tokens_are_of_the_replica(self):
        two = memory.engine_memory(config(tensor_parallel=2))
        assert two.kv_cache_tokens == pytest.approx(two.kv_cache_gib * GIB / (131_072 / 2), rel=1e-4)

    def test_hybrid_models_share_one_pool_of_equal_groups(self):
        """8 full and 24 sliding layers: 4 groups of 8; a request takes whole pages of its window and one step more."""
        model = make_model(layers=LayerCounts(full=8, sliding=24), sliding_window=1024)
        report = memory.engine_memory(config(model=model, max_model_len=65_536))
        pages = int(report.kv_cache_gib * GIB // (8 * 16 * 4096))
        of_a_request = 65_536 // 16 + 3 * (-(-(1023 + 8192) // 16) + 1)
        assert report.max_concurrency == pytest.approx(pages / of_a_request)
        assert report.kv_cache_tokens == pages // 4 * 16
        newer = memory.engine_memory(config(model=model, max_model_len=65_536, release=release("0.21.0")))
        assert newer.kv_cache_tokens == int(newer.max_concurrency * 65_536)

    def test_a_recurrent_state_sets_the_page(self):
        """Qwen3.5-35B-A3B: pages of 1,056 tokens; 451,968 tokens (428 pages) of 34.56 GiB in a log of 0.19."""
        model = CATALOG.model("Qwen/Qwen3.5-35B-A3B")
        asked = config(model=model, max_model_len=2048)
        assert memory.engine_memory(asked).kv_cache_tokens % 1056 == 0
        assert pool(asked.replica.pool_request(2048), 34.56).tokens == 451_968

    def test_a_draft_layer_holds_a_cache_too(self):
        """Llama-3.1-8B with EAGLE: 132 KiB a token, 128 without."""
        report = memory.engine_memory(config(model=LLAMA, draft=Draft(tokens=1, layers=1)))
        assert report.kv_cache_gib * GIB / report.kv_cache_tokens == pytest.approx(132 * 1024, rel=1e-3)

    def test_lora_slots_are_counted_as_weights(self):
        plain, with_slots = memory.engine_memory(config()), memory.engine_memory(config(lora_ranks=(32,) * 4))
        slots = 4 * memory.lora_slot_gib(make_model(), 32)
        assert with_slots.weights_gib - plain.weights_gib == pytest.approx(slots)

    def test_sglang_s_own_share(self):
        """0.828 on H100 with Qwen3-32B (sglang issue 29092)."""
        card = CATALOG.accelerator("h100-sxm")
        assert SIZING_PORTS["sglang"].default_share(card, release("0.33.0")) == pytest.approx(0.828, abs=0.002)

    def test_the_last_stage_is_the_tightest(self):
        """Llama-3.1-8B on two stages: 66.54 GiB on the first, and tokens for the 65.63 of the last."""
        report = memory.engine_memory(config(model=LLAMA, pipeline_parallel=2, max_num_seqs=1024))
        assert report.kv_cache_tokens * 65_536 / GIB < report.kv_cache_gib - 0.5

    @pytest.mark.parametrize("engine", ["sglang", "tensorrt-llm", "tgi", "ollama"])
    def test_other_engines_divide_the_card_their_own_way(self, engine):
        card = make_accelerator()
        share = SIZING_PORTS[engine].default_share(card, release("0.33.0"))
        plain = memory.engine_memory(config())
        report = memory.engine_memory(config(engine=engine, gpu_memory_utilization=share))
        assert 0.8 <= share <= 0.95
        assert report.kv_cache_gib == pytest.approx(plain.kv_cache_gib, rel=0.12)
        assert report.error_ratio > plain.error_ratio
        assert SIZING_PORTS[engine].support.startswith(engine)

    def test_a_model_that_does_not_fit_leaves_less_than_nothing(self):
        report = memory.engine_memory(config(accelerator=make_accelerator(cuda_memory_gib=14.0)))
        assert report.kv_cache_gib < 0
        assert report.kv_cache_tokens == 0
        assert report.max_concurrency == 0.0


LLM_D = (
    "jgchn/llm-d-planner accuracy/results/v0.19.0/results_raw.csv @30ec05f "
    "(llm-d-incubation/llm-d-planner PR #205; parsed vLLM startup logs)"
)
"""H100, max-model-len 8192, gpu-memory-utilization 0.95, default seats and batched tokens; CUDA sees 79.19 GiB."""
VERSIONS = "Capacity Planner Accuracy Report (llm-d planner accuracy_report.md), Part 2 version sensitivity"
LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
MEASURED = [
    # model, version, TP, PP, precision, KV dtype, measured KV GiB, tokens, source
    (LLAMA_8B, "0.19.0", 1, 1, None, "auto", 58.11, 476_016, LLM_D),
    (LLAMA_8B, "0.19.0", 1, 1, None, "fp8", 58.11, 952_032, LLM_D),
    (LLAMA_8B, "0.19.0", 1, 1, "fp8", "auto", 64.61, 529_248, LLM_D),
    (LLAMA_8B, "0.19.0", 2, 1, None, "auto", 63.76, 1_044_688, LLM_D),
    (LLAMA_8B, "0.19.0", 4, 1, None, "auto", 67.44, 2_209_792, LLM_D),
    (LLAMA_8B, "0.19.0", 1, 2, None, "auto", 66.54, 1_075_312, LLM_D),
    (LLAMA_8B, "0.19.0", 1, 4, None, "auto", 69.80, 2_257_264, LLM_D),
    ("Qwen/Qwen2.5-7B-Instruct", "0.19.0", 1, 1, None, "auto", 58.53, 1_096_000, LLM_D),
    ("Qwen/Qwen2.5-7B-Instruct", "0.19.0", 2, 1, None, "auto", 63.84, 2_390_592, LLM_D),
    ("google/gemma-2-2b-it", "0.19.0", 1, 1, None, "auto", 66.47, None, LLM_D),
    ("google/gemma-2-9b-it", "0.19.0", 1, 1, None, "auto", 54.12, None, LLM_D),
    ("google/gemma-3-12b-it", "0.19.0", 1, 1, None, "auto", 47.72, None, LLM_D),
    ("Qwen/Qwen3-14B", "0.16.0", 1, 1, None, "auto", 41.94, 274_842, VERSIONS),
    ("Qwen/Qwen3-14B", "0.17.0", 1, 1, None, "auto", 45.34, 297_124, VERSIONS),
    ("Qwen/Qwen3-14B", "0.18.0", 1, 1, None, "auto", 45.23, 296_387, VERSIONS),
]


class TestMeasuredStartUps:
    @pytest.mark.parametrize(
        ("reference", "version", "tensor", "pipeline", "precision", "kv_dtype", "kv_gib", "tokens", "source"),
        MEASURED,
        ids=[
            f"{row[0].split('/')[1]}-{row[1]}-tp{row[2]}-pp{row[3]}-{row[4] or 'own'}-kv-{row[5]}" for row in MEASURED
        ],
    )
    def test_within_the_stated_error(
        self, reference, version, tensor, pipeline, precision, kv_dtype, kv_gib, tokens, source
    ):
        model = CATALOG.model(reference)
        card = CATALOG.accelerator("h100-sxm")
        report = memory.engine_memory(
            config(
                model=model,
                accelerator=card,
                release=CATALOG.release("vllm", version),
                precision=precision or model.native_precision,
                kv_dtype=kv_dtype,
                tensor_parallel=tensor,
                pipeline_parallel=pipeline,
                max_num_seqs=memory.default_max_num_seqs(card),
                max_num_batched_tokens=memory.default_max_num_batched_tokens(card),
                gpu_memory_utilization=0.95,
            )
        )
        assert report.error_ratio <= memory.KV_ERROR_RATIO
        assert report.kv_cache_gib == pytest.approx(kv_gib, rel=report.error_ratio), source
        if tokens is not None:
            assert report.kv_cache_tokens == pytest.approx(tokens, rel=report.error_ratio), source


@pytest.mark.parametrize(
    ("accelerator", "seats", "batched"),
    [
        ("l4", 256, 2048),
        ("l40s", 256, 2048),
        ("a100-80gb-sxm", 256, 2048),
        ("h100-sxm", 1024, 8192),
        ("h200-sxm", 1024, 8192),
        ("b200-sxm", 1024, 16_384),
    ],
)
def test_the_engine_s_own_defaults(accelerator, seats, batched):
    card = CATALOG.accelerator(accelerator)
    assert memory.default_max_num_seqs(card) == seats
    assert memory.default_max_num_batched_tokens(card) == batched


def test_a_layer_for_speculation_is_one_of_the_model_and_a_projection():
    """8.03 B parameters less two embeddings of 128,256 x 4,096, over 32 layers; and 2 x 4,096 to 4,096."""
    body = 8_030_000_000 - 2 * 128_256 * 4096
    assert draft_layer_parameters(make_model()) == pytest.approx(body / 32 + 2 * 4096**2)
