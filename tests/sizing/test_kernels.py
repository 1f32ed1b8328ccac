"""What kernels reach: whose table answers for a format, and what joins cards."""

from __future__ import annotations

import json

import pytest

from agentgpu_iac.catalog.huggingface import model_from_config
from agentgpu_iac.catalog.model import DenseTflops
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing import kernels
from agentgpu_iac.sizing.attention import SPARSE_ATTENTION_TOKENS
from agentgpu_iac.sizing.launches import attention_launches_ms, feed_forward_launches_ms, reduces_of
from agentgpu_iac.sizing.layout import Layout
from agentgpu_iac.sizing.rates import kernel_formats, work_of
from agentgpu_iac.sizing.seats import tuned_seats
from agentgpu_iac.sizing.speed import Serving, speed_of
from tests.sizing.rows import make_accelerator, make_model

CATALOG = load_catalog()
MODEL = CATALOG.model("meta-llama/Llama-3.1-8B-Instruct")

LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}


def replica(model, card, *, precision="bf16", tensor=1, **serving):
    return speed_of(
        model,
        card,
        precision=precision,
        kv_dtype="auto",
        tensor_parallel=tensor,
        pipeline_parallel=1,
        max_batched_tokens=8192,
        serving=Serving(**serving),
    )


@pytest.mark.parametrize("card", CATALOG.accelerators, ids=lambda card: card.id)
def test_every_card_of_the_catalog_is_predicted(card):
    """Each has a sourced bandwidth and dense TFLOPS of 16 bit, or of it nothing could be said of latency."""
    built = replica(MODEL, card)
    assert built is not None
    read = 2 * (8.03e9 - 128_256 * 4096) / (card.bandwidth_gb_per_s * 1e6)
    assert read < built.decode_ms(1, 500) < 2 * read + 6


def test_a_large_matrix_is_read_faster_than_a_small_one():
    """A small model on a fast card is launches: it reaches a fraction of the bandwidth that a large one does."""
    small, large = CATALOG.model("Qwen/Qwen3-0.6B"), CATALOG.model("Qwen/Qwen3-32B")

    def reached(model):
        return 1 / (replica(model, CATALOG.accelerator("h100-sxm")).decode_ms(1, 100) / model.params_active)

    assert reached(small) < 0.4 * reached(large)


def test_each_engine_has_its_own_kernels_and_an_engine_without_tables_another_s():
    card = CATALOG.accelerator("b200-sxm")
    of_vllm, of_sglang = (kernels.experts(card, engine, "bf16", 4096) for engine in ("vllm", "sglang"))
    assert of_vllm != of_sglang
    assert kernels.experts(card, "tgi", "bf16", 4096) == of_vllm


def test_what_has_no_kernel_runs_in_the_likest_that_has():
    l40s = CATALOG.accelerator("l40s")
    assert kernels.matrices(l40s, "vllm", "nvfp4").format == "bf16"  # unpacked, and multiplied in 16 bit
    assert kernels.matrices(l40s, "vllm", "int8").format == "int8"  # the build of FP8, at the rate of INT8
    a10g = CATALOG.accelerator("a10g")
    assert kernels.matrices(a10g, "vllm", "fp8").format == "bf16"  # no FP8 units
    assert kernels.experts(CATALOG.accelerator("h100-sxm"), "tensorrt-llm", "mxfp4", 2880).format == "mxfp4"


def test_of_a_card_by_hand_the_middle_of_the_tables_holds():
    card = make_accelerator(vendor_dense_tflops=DenseTflops(bf16=500.0, fp8=1000.0))
    assert kernels.matrices(card, "vllm", "fp8").flops_per_ms == pytest.approx(1000e9 * 0.75)
    assert not kernels.has_own_tables(card)
    assert kernels.has_own_tables(CATALOG.accelerator("l40s"))


def test_all_reduces_by_link_and_width():
    h100, l40s, pro = (CATALOG.accelerator(card) for card in ("h100-sxm", "l40s", "rtx-pro-6000-blackwell-server"))
    assert kernels.all_reduce(h100, "vllm", 8) == (pytest.approx(0.0056, rel=0.02), pytest.approx(260, rel=0.02))
    assert kernels.all_reduce(l40s, "vllm", 4) == (0.014, 9.0)  # between a host with a switch and one without
    assert kernels.all_reduce(pro, "vllm", 8) == (0.027, 14.0)
    assert kernels.all_reduce(l40s, "vllm", 16) == (0.027, 2.5)
    assert kernels.all_reduce(l40s, "vllm", 3) == (0.0058, pytest.approx(19.0 * 2 / 3))
    rates = [kernels.all_reduce(l40s, "vllm", width)[1] for width in (2, 3, 4, 8, 16)]
    assert rates == sorted(rates, reverse=True)


def test_sparse_attention_reads_a_selection_of_long_prompts():
    """Each prompt token attends to 2,048 others and is scored against all, by an indexer that every rank has whole."""
    model, card = CATALOG.model("deepseek-ai/DeepSeek-V3.2"), CATALOG.accelerator("h200-sxm")
    plain = model.model_copy(update={"architecture": "deepseek_v3"})
    split, whole = (replica(each, card, precision="fp8", tensor=8) for each in (model, plain))
    assert split.prompt_arithmetic_ms(128_000, 128_000) < whole.prompt_arithmetic_ms(128_000, 128_000)
    groups = {"attention_dp": 8, "expert_parallel": 8}
    sparse, full = (replica(each, card, precision="fp8", **groups) for each in (model, plain))
    assert sparse.attention_ms_per_token_pair < full.attention_ms_per_token_pair / 8
    assert sparse.prompt_arithmetic_ms(128_000, 128_000) < 0.5 * full.prompt_arithmetic_ms(128_000, 128_000)
    assert sparse.kv_ms(100_000) < 0.2 * full.kv_ms(100_000)
    assert SPARSE_ATTENTION_TOKENS == 2048


def test_without_graphs_the_host_is_waited_for_where_it_is_slower():
    card = CATALOG.accelerator("h100-sxm")
    small, large = (CATALOG.model(name) for name in ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-32B"))
    for model, slower in ((small, True), (large, False)):
        graphs, eager = replica(model, card), replica(model, card, enforce_eager=True)
        assert (eager.decode_ms(1, 100) > 2 * graphs.decode_ms(1, 100)) is slower
        assert eager.decode_ms(1, 100) == max(graphs.decode_ms(1, 100), eager.eager_launch_ms)


def test_windows_are_work_for_prompts():
    sliding = make_model(layers=make_model().layers.model_copy(update={"full": 16, "sliding": 16}), sliding_window=4096)
    half = make_model(layers=make_model().layers.model_copy(update={"full": 16}))
    card = make_accelerator()
    assert replica(sliding, card).prompt_ms_per_token > replica(half, card).prompt_ms_per_token


def test_a_pipeline_holds_as_many_requests_as_its_stages():
    card = make_accelerator()

    def seats(stages):
        spread = Layout(accelerators=1, attention_groups=1, expert_groups=1, stages=stages)
        return tuned_seats(
            make_model(),
            card,
            spread,
            precision="bf16",
            kv_dtype="auto",
            engine="vllm",
            prompt_tokens=1000.0,
            output_tokens=1000.0,
        )

    weights, whole = 2 * 8.03e9 / 2**30, 0.93 * 80 - 4
    assert seats(4) == pytest.approx((whole - weights / 4) * 4 * 2**30 / (1500 * 131_072))
    assert seats(4) > 4 * seats(1)


def test_a_quantising_that_is_part_of_the_norm_before_is_not_launched_again():
    """vLLM's compiled FP8 matrices are launched as 16-bit ones; its block-scaled ones, and SGLang's, quantise apart."""
    card, model = CATALOG.accelerator("b200-sxm"), CATALOG.model("meta-llama/Llama-3.3-70B-Instruct")
    table = kernels.matrices(card, "vllm", "fp8")
    fused = kernels.without_quantising(card, "vllm", table)
    assert fused.launch_ms == kernels.matrices(card, "vllm", "bf16").launch_ms < table.launch_ms
    assert (fused.bytes_per_ms, fused.flops_per_ms) == (table.bytes_per_ms, table.flops_per_ms)
    launched = {
        (engine, each): replica(model, card, precision=each, tensor=4, engine=engine).launches_ms
        for engine in ("vllm", "tensorrt-llm", "sglang")
        for each in ("bf16", "fp8", "nvfp4")
    }
    assert launched["vllm", "fp8"] == pytest.approx(launched["vllm", "bf16"])
    assert launched["tensorrt-llm", "nvfp4"] == pytest.approx(launched["tensorrt-llm", "bf16"])
    assert launched["vllm", "nvfp4"] > launched["vllm", "bf16"]
    assert launched["sglang", "fp8"] > launched["sglang", "bf16"]


def test_experts_of_one_format_have_the_kernels_that_the_engine_takes_or_is_told_to():
    """vLLM takes OpenAI's Triton kernels for MXFP4 on Hopper; Marlin, if asked for, reads prompts at half their rate."""
    card, model = CATALOG.accelerator("h200-sxm"), CATALOG.model("openai/gpt-oss-120b")
    own, told, unknown = (
        kernels.experts(card, "vllm", "mxfp4", model.hidden_size, name) for name in ("", "marlin", "no such kernels")
    )
    assert own == unknown == kernels.experts(card, "vllm", "mxfp4", model.hidden_size, "triton")
    assert 1.5 < own.flops_per_ms / told.flops_per_ms < 2.5
    by_default, by_marlin = (replica(model, card, precision="mxfp4", expert_kernel=name) for name in ("", "marlin"))
    assert by_marlin.prefill_ms(8000, 8000) > 1.2 * by_default.prefill_ms(8000, 8000)


def test_tables_of_two_kernels_are_not_one():
    """SGLang's FP8 experts on Blackwell were fitted to FlashInfer's and Triton's rows together."""
    for card in ("b200-sxm", "b300-sxm", "gb200"):
        table = next(each for each in CATALOG.accelerator(card).kernels if each.engine == "sglang")
        assert [each.kernel for each in table.experts if each.format == "fp8-block"] == ["flashinfer", "triton"]


def test_what_no_checkpoint_quantises_is_launched_as_16_bit_matrices_are():
    """Routers, and both halves of a latent that attention absorbs: DeepSeek-V3's were counted as quantised ones."""
    model = CATALOG.model("deepseek-ai/DeepSeek-R1")
    dense, plain = (kernels.matrices(CATALOG.accelerator("b200-sxm"), "sglang", each) for each in ("fp8-block", "bf16"))
    assert plain.launch_ms < dense.launch_ms
    mixers = attention_launches_ms(model, dense, plain, 0.0, sparse=False)
    assert mixers == pytest.approx(61 * (3 * dense.launch_ms + 2 * plain.launch_ms))


def test_shared_experts_run_beside_the_routed_ones():
    model = CATALOG.model("deepseek-ai/DeepSeek-R1")
    card = CATALOG.accelerator("h200-sxm")
    dense = kernels.matrices(card, "sglang", "bf16")
    routed = kernels.experts(card, "sglang", "fp8-block", model.hidden_size)
    assert routed.launch_ms > 2 * dense.launch_ms
    alone = model.model_copy(update={"shared_experts": None})
    both, without = (feed_forward_launches_ms(each, dense, dense, routed) for each in (model, alone))
    assert both == without == pytest.approx(61 * (dense.launch_ms + routed.launch_ms))


def test_a_norm_over_all_heads_waits_for_all_that_share_them():
    """MiniMax-M2 norms queries and keys over all heads: a third all-reduce in each layer."""
    model = CATALOG.model("MiniMaxAI/MiniMax-M2.5")
    other = model.model_copy(update={"architecture": "qwen3_moe"})
    for shared, counts in ((4, (186, 124)), (1, (0, 0))):
        spread = Layout(accelerators=shared, attention_groups=1, expert_groups=1)
        assert tuple(reduces_of(each, spread).count for each in (model, other)) == counts


def test_the_state_of_a_recurrent_layer_is_read_and_written():
    model = CATALOG.model("Qwen/Qwen3.5-397B-A17B")
    work = work_of(model, "bf16", "auto", 1)
    assert work.state_bytes == pytest.approx(work.kv_bytes_per_session)
    built = replica(model, CATALOG.accelerator("h200-sxm"), tensor=8)
    share = next(
        row.bandwidth_share
        for table in CATALOG.accelerator("h200-sxm").kernels
        if table.engine == "vllm"
        for row in table.decode_attention
        if row.kv_bytes == 2
    )
    assert built.kv_ms_per_session == pytest.approx(2 * work.state_bytes / 8 / (4.8e9 * share), rel=0.01)


def test_a_short_prompt_runs_in_graphs_where_the_engine_captures_steps_of_its_size():
    """vLLM captures pieces of steps up to 512 tokens: a short turn waits for few launches."""
    card = CATALOG.accelerator("h100-sxm")
    model = CATALOG.model("Qwen/Qwen3-30B-A3B-Instruct-2507")
    default, wide, eager = (
        replica(model, card, **told) for told in ({}, {"captured_tokens": 2048}, {"enforce_eager": True})
    )
    assert default.prefill_ms(500, 500) < 0.8 * eager.prefill_ms(500, 500)
    assert default.prefill_ms(513, 513) == eager.prefill_ms(513, 513) > wide.prefill_ms(513, 513)
    assert default.step_ms(12, 500, 500, 125_000) < default.step_ms(13, 500, 500, 125_000) - 10
    assert replica(model, card, engine="tensorrt-llm").captured_tokens == 0


@pytest.mark.parametrize(
    ("quantisation", "dense"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8-block"),
        ({"quant_method": "fp8", "activation_scheme": "dynamic"}, "fp8"),
        (None, "fp8"),
    ],
    ids=["blocks", "channels", "made at load"],
)
def test_fp8_runs_in_the_kernels_of_what_the_file_scales(quantisation, dense):
    """Qwen3-32B-FP8 is dense and scaled in blocks; an engine that makes FP8 itself scales by tensor."""
    model = MODEL
    if quantisation is not None:
        model = model_from_config(json.dumps({**LLAMA, "quantization_config": quantisation}), "config.json")
    assert kernel_formats(model, "fp8", weight_only=False)[0] == dense


def test_experts_of_a_file_without_blocks_are_not_in_blocks():
    """Mistral's FP8 is by tensor; a mixture without a file is taken as its maker publishes it."""
    by_tensor, assumed = (
        CATALOG.model(name) for name in ("mistralai/Mistral-Small-4-119B-2603", "Qwen/Qwen3.6-35B-A3B")
    )
    assert kernel_formats(by_tensor, "fp8", weight_only=False) == ("fp8", "fp8")
    assert kernel_formats(assumed, "fp8", weight_only=False) == ("fp8-block", "fp8-block")
