"""Shapes of models: cache per token, recurrent state, parameters."""

import json
from pathlib import Path

import pytest

from agentgpu_iac.catalog.missing import UnsizableError
from agentgpu_iac.catalog.model import MODULE_KINDS
from agentgpu_iac.catalog.packaged import packaged_rows
from agentgpu_iac.catalog.parameters import active_parameter_count, parameter_count
from agentgpu_iac.catalog.shapes import ASSUMED_VOCAB_SIZE, model
from agentgpu_iac.catalog.store import load_catalog

HERE = Path(__file__).parent
KV_BYTES_PER_TOKEN = json.loads((HERE / "kv_bytes_per_token.json").read_text())
"""Bytes of one more token in a 16-bit cache, as published with the shapes; sliding and recurrent layers add none."""
PARAMETER_COUNTS = json.loads((HERE / "parameter_counts.json").read_text())
"""Parameters counted from the shapes by others."""

CATALOG = load_catalog()
MODELS = {row.id: row for row in CATALOG.models}
FACTS = {row.id: row for row in packaged_rows().models}


def growing_bytes_per_token(row):
    if row.kv_lora_rank is not None:
        elements = row.kv_lora_rank + row.qk_rope_head_dim
    else:
        elements = row.kv_heads * (row.head_dim + (row.value_head_dim or row.head_dim))
    return elements * 2 * row.layers.full


@pytest.mark.parametrize("name", sorted(set(KV_BYTES_PER_TOKEN) & set(MODELS)))
def test_cache_of_a_token(name):
    assert growing_bytes_per_token(MODELS[name]) == KV_BYTES_PER_TOKEN[name]


def test_every_published_cache_is_planned_with():
    assert set(KV_BYTES_PER_TOKEN) <= set(MODELS)
    assert len(KV_BYTES_PER_TOKEN) == 116


def without_towers(facts):
    return facts.model_copy(update={"tower_parameters": None})


@pytest.mark.parametrize("name", sorted(PARAMETER_COUNTS))
def test_parameters_counted_from_the_shape(name):
    want, text = PARAMETER_COUNTS[name], without_towers(FACTS[name])
    assert parameter_count(text) == pytest.approx(want["total"], rel=0.01)
    assert active_parameter_count(text) == pytest.approx(want.get("active", want["total"]), rel=0.01)


def test_how_many_counts_are_compared():
    assert len(PARAMETER_COUNTS) == 83


@pytest.mark.parametrize(
    ("name", "billion", "why"),
    [
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", 79.5, "gated delta net, gated attention"),
        ("Qwen/Qwen3.5-27B", 26.9, "the same, dense"),
        ("nvidia/NVIDIA-Nemotron-Nano-9B-v2", 8.89, "Mamba-2, feed-forward layers of two matrices"),
        ("nvidia/Nemotron-H-56B-Base-8K", 56.3, "the same, wider"),
        ("google/gemma-4-31B-it", 30.8, "sliding layers with KV heads of their own"),
    ],
)
def test_parameters_of_hybrids(name, billion, why):
    assert parameter_count(without_towers(FACTS[name])) / 1e9 == pytest.approx(billion, rel=0.005), why
    assert parameter_count(FACTS[name]) == pytest.approx(MODELS[name].params_total, rel=0.02), why


BESIDE_THE_PARTS = {
    "google/gemma-3n-E4B-it": "embeddings of every layer, which the row does not hold",
}
"""Models whose published count the known parts do not reach, and why."""


@pytest.mark.parametrize("row", CATALOG.models, ids=lambda row: row.id)
def test_the_parts_are_the_whole(row):
    kinds = [part.kind for part in row.modules]
    assert kinds == [kind for kind in MODULE_KINDS if kind in kinds]
    assert row.params_total == sum(part.parameters for part in row.modules)
    stated = FACTS[row.id].params_total
    assert stated * 0.99 < row.params_total < stated * 1.02, "the shape contradicts the published count"
    held = {part.kind: part.precision for part in row.modules}
    assert held["embedding"] in ("bf16", "fp16")
    assert row.native_precision in held.values() or row.native_precision in ("bf16", "fp16")


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_rest_of_a_published_count_is_small(name):
    try:
        parameter_count(FACTS[name])
    except UnsizableError:
        return
    rest = sum(part.parameters for part in MODELS[name].modules if part.kind == "other")
    assert (rest / MODELS[name].params_total > 0.03) == (name in BESIDE_THE_PARTS)


@pytest.mark.parametrize(
    ("name", "kind", "billion", "precision"),
    [
        ("deepseek-ai/DeepSeek-V3", "routed_experts", 58 * 256 * 3 * 7168 * 2048 / 1e9, "fp8"),
        ("deepseek-ai/DeepSeek-V3", "feed_forward", 3 * 3 * 7168 * 18432 / 1e9, "fp8"),
        ("deepseek-ai/DeepSeek-V3", "router", 58 * 256 * 7168 / 1e9, "bf16"),
        ("openai/gpt-oss-120b", "routed_experts", 36 * 128 * 3 * 2880 * 2880 / 1e9, "mxfp4"),
        ("openai/gpt-oss-120b", "attention", 36 * 2880 * 64 * (2 * 64 + 2 * 8) / 1e9, "bf16"),
        ("moonshotai/Kimi-K2.5", "shared_experts", 60 * 3 * 7168 * 2048 / 1e9, "bf16"),
        ("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16", "routed_experts", 40 * 512 * 2 * 1024 * 2688 / 1e9, "bf16"),
        ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", "tower", 0.439, "bf16"),
    ],
)
def test_parameters_of_a_part(name, kind, billion, precision):
    part = next(part for part in MODELS[name].modules if part.kind == kind)
    assert part.parameters / 1e9 == pytest.approx(billion, rel=0.005)
    assert part.precision == precision


def test_how_many_models_can_be_sized():
    left_out = [row.id for row in CATALOG.exclusions if row.kind == "model"]
    assert (len(MODELS), len(left_out)) == (146, 21)
    assert set(left_out).isdisjoint(MODELS)


@pytest.mark.parametrize("row", CATALOG.models, ids=lambda row: row.id)
def test_models_hold_together(row):
    layers = row.layers
    assert layers.full + layers.sliding + layers.recurrent > 0
    assert bool(layers.sliding) == (row.sliding_window is not None)
    assert bool(layers.recurrent) == (row.recurrent is not None)
    assert row.kv_heads <= row.attention_heads
    assert row.attention_heads % row.kv_heads == 0
    assert 0 < row.params_active <= row.params_total
    assert min(row.hidden_size, row.head_dim, row.vocab_size, row.max_context_tokens) > 0
    assert bool(row.experts) == bool(row.moe_intermediate_size)
    assert (row.kv_lora_rank is None) == (row.qk_rope_head_dim is None)


def test_state_of_a_gated_delta_net():
    recurrent = MODELS["Qwen/Qwen3-Next-80B-A3B-Instruct"].recurrent
    assert recurrent.state_elements == 32 * 128 * 128
    assert recurrent.convolution_elements == 3 * (2 * 16 * 128 + 32 * 128)


def test_state_of_kimi_delta_attention():
    recurrent = MODELS["moonshotai/Kimi-K3"].recurrent
    assert recurrent.state_elements == 96 * 128 * 128
    assert recurrent.convolution_elements == 3 * 3 * 96 * 128


def test_state_of_mamba_2():
    recurrent = MODELS["nvidia/NVIDIA-Nemotron-Nano-9B-v2"].recurrent
    assert recurrent.state_elements == 128 * 80 * 128
    assert recurrent.convolution_elements == 3 * (128 * 80 + 2 * 8 * 128)


def test_layers_by_kind():
    assert MODELS["openai/gpt-oss-120b"].layers.sliding == 18
    nano = MODELS["nvidia/NVIDIA-Nemotron-Nano-9B-v2"].layers
    assert (nano.full, nano.recurrent, nano.stateless) == (4, 27, 25)
    assert MODELS["Qwen/Qwen3-14B"].layers.full == 40


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("openai/gpt-oss-20b", "mxfp4"),
        ("deepseek-ai/DeepSeek-V3", "fp8"),
        ("moonshotai/Kimi-K2.5", "int4"),
        ("allenai/OLMo-2-1124-7B-Instruct", "bf16"),
        ("meta-llama/Llama-2-7b-chat-hf", "fp16"),
    ],
)
def test_native_precision(name, precision):
    assert MODELS[name].native_precision == precision


def test_an_unknown_vocabulary_is_assumed_and_said():
    row = MODELS["ibm-granite/granite-4.1-8b"]
    assert row.vocab_size == ASSUMED_VOCAB_SIZE
    assert "Vocabulary unknown" in row.note
    assert "Feed-forward width unknown" in row.note
    assert max(row.vocab_size for row in FACTS.values() if row.vocab_size) <= ASSUMED_VOCAB_SIZE * 1.01


def test_parsers_are_those_that_vllm_has():
    assert MODELS["Qwen/Qwen3-14B"].tool_call_parser == "hermes"
    assert MODELS["nvidia/NVIDIA-Nemotron-Nano-9B-v2"].tool_call_parser is None
    assert MODELS["nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16"].reasoning_parser == "nemotron_v3"


@pytest.mark.parametrize("field", ["layers", "hidden_size", "kv_heads", "head_dim", "params_total", "native_precision"])
def test_facts_that_sizing_cannot_do_without(field):
    with pytest.raises(UnsizableError, match="unknown"):
        model(FACTS["Qwen/Qwen3-14B"].model_copy(update={field: None}))
