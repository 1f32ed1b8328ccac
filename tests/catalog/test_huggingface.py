"""Reading a Hugging Face config.json."""

import json

import pytest

from agentgpu_iac.catalog.huggingface import model_from_config
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput

CATALOG = load_catalog()

DENSE = {
    "model_type": "qwen3",
    "num_hidden_layers": 40,
    "hidden_size": 5120,
    "num_attention_heads": 40,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "intermediate_size": 17408,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
MIXTURE = DENSE | {
    "model_type": "qwen3_moe",
    "num_hidden_layers": 48,
    "hidden_size": 2048,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "max_position_embeddings": 262144,
}
LATENT = {
    "model_type": "deepseek_v3",
    "num_hidden_layers": 61,
    "hidden_size": 7168,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
    "vocab_size": 129280,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 256,
    "num_experts_per_tok": 8,
    "n_shared_experts": 1,
    "first_k_dense_replace": 3,
    "max_position_embeddings": 163840,
    "torch_dtype": "bfloat16",
    "quantization_config": {"quant_method": "fp8"},
}
SLIDING = {
    "model_type": "gpt_oss",
    "num_hidden_layers": 24,
    "hidden_size": 2880,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "vocab_size": 201088,
    "intermediate_size": 2880,
    "num_local_experts": 32,
    "num_experts_per_tok": 4,
    "layer_types": ["sliding_attention", "full_attention"] * 12,
    "sliding_window": 128,
    "max_position_embeddings": 131072,
    "quantization_config": {"quant_method": "mxfp4"},
}
LINEAR = DENSE | {
    "model_type": "qwen3_next",
    "num_hidden_layers": 48,
    "hidden_size": 2048,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "head_dim": 256,
    "intermediate_size": 5120,
    "moe_intermediate_size": 512,
    "shared_expert_intermediate_size": 512,
    "num_experts": 512,
    "num_experts_per_tok": 10,
    "full_attention_interval": 4,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
    "max_position_embeddings": 262144,
}
MAMBA = {
    "model_type": "nemotron_h",
    "num_hidden_layers": 56,
    "hidden_size": 4480,
    "num_attention_heads": 40,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 131072,
    "intermediate_size": 15680,
    "max_position_embeddings": 131072,
    "hybrid_override_pattern": "M-M-M-MM-M-M-M*-M-M-M*-M-M-M-M*-M-M-M-M*-M-MM-M-M-M-M-M-",
    "mamba_num_heads": 128,
    "mamba_head_dim": 80,
    "ssm_state_size": 128,
    "n_groups": 8,
    "conv_kernel": 4,
    "torch_dtype": "bfloat16",
}
GEMMA_3 = {
    "model_type": "gemma3",
    "dtype": "bfloat16",
    "vision_config": {"hidden_size": 1152},
    "text_config": {
        "model_type": "gemma3_text",
        "num_hidden_layers": 62,
        "hidden_size": 5376,
        "num_attention_heads": 32,
        "num_key_value_heads": 16,
        "head_dim": 128,
        "intermediate_size": 21504,
        "vocab_size": 262208,
        "sliding_window": 1024,
        "sliding_window_pattern": 6,
        "max_position_embeddings": 131072,
    },
}


def read(config, reference="./config.json"):
    return model_from_config(json.dumps(config), reference)


def faults_of(config):
    with pytest.raises(BadInput) as caught:
        read(config)
    return {fault.path: fault.message for fault in caught.value.faults}


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (DENSE, "Qwen/Qwen3-14B"),
        (MIXTURE, "Qwen/Qwen3-30B-A3B-Instruct-2507"),
        (LATENT, "deepseek-ai/DeepSeek-V3"),
        (SLIDING, "openai/gpt-oss-20b"),
        (LINEAR, "Qwen/Qwen3-Next-80B-A3B-Instruct"),
        (MAMBA, "nvidia/NVIDIA-Nemotron-Nano-9B-v2"),
        (GEMMA_3, "google/gemma-3-27b-it"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_shape_is_that_of_the_catalog(config, name):
    mine, known = read(config), CATALOG.model(name)
    for field in (
        "layers",
        "hidden_size",
        "attention_heads",
        "kv_heads",
        "head_dim",
        "value_head_dim",
        "kv_lora_rank",
        "qk_rope_head_dim",
        "sliding_window",
        "recurrent",
        "vocab_size",
        "max_context_tokens",
        "moe_intermediate_size",
        "experts",
        "experts_per_token",
        "tied_embeddings",
        "native_precision",
    ):
        assert getattr(mine, field) == getattr(known, field), field
    assert mine.params_total == pytest.approx(known.params_total, rel=0.02)
    assert (mine.id, mine.sources, mine.family) == ("./config.json", ("./config.json",), "local")


def test_active_parameters_of_a_mixture():
    assert read(LATENT).params_active == pytest.approx(37.55e9, rel=0.01)


def test_gemma_4_has_full_layers_of_their_own_shape():
    config = GEMMA_3["text_config"] | {
        "model_type": "gemma4_text",
        "num_hidden_layers": 60,
        "head_dim": 256,
        "global_head_dim": 512,
        "num_global_key_value_heads": 4,
        "hidden_size_per_layer_input": 0,
        "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 10,
        "vocab_size": 262144,
        "dtype": "bfloat16",
    }
    mine, known = read(config), CATALOG.model("google/gemma-4-31B-it")
    for field in ("layers", "kv_heads", "head_dim", "sliding_kv_heads", "sliding_head_dim"):
        assert getattr(mine, field) == getattr(known, field), field
    tower = sum(part.parameters for part in known.modules if part.kind == "tower")
    assert mine.params_total == pytest.approx(known.params_total - tower, rel=0.01)


def test_kimi_linear():
    config = LATENT | {
        "model_type": "kimi_linear",
        "num_hidden_layers": 8,
        "linear_attn_config": {
            "full_attn_layers": [4, 8],
            "kda_layers": [1, 2, 3, 5, 6, 7],
            "head_dim": 128,
            "num_heads": 96,
            "short_conv_kernel_size": 4,
        },
    }
    mine = read(config)
    assert (mine.layers.full, mine.layers.recurrent) == (2, 6)
    assert mine.recurrent == CATALOG.model("moonshotai/Kimi-K3").recurrent


def test_granite_spreads_its_state_over_the_heads():
    config = DENSE | {
        "model_type": "granitemoehybrid",
        "hidden_size": 4096,
        "num_hidden_layers": 10,
        "num_attention_heads": 32,
        "layers_block_type": ["mamba"] * 9 + ["attention"],
        "mamba_n_heads": 128,
        "mamba_d_head": "auto",
        "mamba_expand": 2,
        "mamba_d_state": 128,
        "mamba_n_groups": 1,
        "mamba_d_conv": 4,
    }
    state = read(config).recurrent
    assert state is not None
    assert state.state_elements == 128 * 64 * 128
    assert state.convolution_elements == 3 * (128 * 64 + 2 * 128)


def test_mimo_marks_its_sliding_layers():
    config = DENSE | {
        "num_hidden_layers": 4,
        "hybrid_layer_pattern": [0, 1, 1, 1],
        "sliding_window": 128,
        "swa_num_key_value_heads": 16,
        "v_head_dim": 96,
    }
    mine = read(config)
    assert (mine.layers.full, mine.layers.sliding, mine.sliding_kv_heads, mine.value_head_dim) == (1, 3, 16, 96)


@pytest.mark.parametrize(
    ("fields", "full", "sliding"),
    [
        ({"sliding_window": 4096, "model_type": "mistral"}, 0, 40),
        ({"sliding_window": 4096}, 40, 0),
        ({"sliding_window": 4096, "use_sliding_window": False}, 40, 0),
        ({"sliding_window": 4096, "use_sliding_window": True, "max_window_layers": 28}, 28, 12),
        ({"sliding_window": 40960}, 40, 0),
        ({"sliding_window": None}, 40, 0),
        ({"sliding_window": 4096, "model_type": "gemma2"}, 20, 20),
        ({"sliding_window": 4096, "sliding_window_pattern": 4, "model_type": "cohere2"}, 10, 30),
    ],
)
def test_which_layers_slide(fields, full, sliding):
    layers = read(DENSE | fields).layers
    assert (layers.full, layers.sliding) == (full, sliding)


@pytest.mark.parametrize(
    ("fields", "precision"),
    [
        ({"torch_dtype": "float16"}, "fp16"),
        ({"torch_dtype": "float32"}, "bf16"),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, "int4"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 8}}, "int8"),
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, "int4"),
        ({"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}, "nvfp4"),
        (
            {
                "quantization_config": {
                    "quant_method": "compressed-tensors",
                    "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"type": "float", "num_bits": 8}}},
                }
            },
            "fp8",
        ),
    ],
)
def test_precision(fields, precision):
    assert read(DENSE | fields).native_precision == precision


def test_every_missing_field_is_named():
    assert faults_of({}) == {
        "model_type": "is missing: it says what the other fields mean",
        "num_hidden_layers": "is missing",
        "hidden_size": "is missing",
        "num_attention_heads": "is missing",
        "intermediate_size": "is missing",
        "vocab_size": "is missing",
        "max_position_embeddings": "is missing",
    }


def test_a_config_without_a_number_format_is_one_of_16_bit_and_says_so():
    model = read({name: value for name, value in DENSE.items() if name != "torch_dtype"})
    assert model.native_precision == "bf16"
    assert any("names no number format" in sentence for sentence in model.unread)


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"hidden_size": "5120"}, "hidden_size", "must be a positive whole number"),
        ({"num_hidden_layers": -1}, "num_hidden_layers", "must be a positive whole number"),
        ({"num_hidden_layers": True}, "num_hidden_layers", "must be a positive whole number"),
        ({"layer_types": ["full_attention"] * 39}, "num_hidden_layers", "what is described is 39 layers"),
        ({"layer_types": ["hyena"] * 40}, "layer_types", "'hyena'"),
        ({"compress_ratios": [4, 128]}, "compress_ratios", "a plan would be a guess"),
        ({"model_type": "nemotron-nas", "block_configs": [{"ffn": {}}] * 40}, "block_configs", "the KV heads differ"),
        ({"torch_dtype": "float8"}, "torch_dtype", "'float8' is unknown"),
        ({"quantization_config": {"quant_method": "aqlm"}}, "quantization_config.quant_method", "vLLM dropped it"),
        ({"layer_types": ["linear_attention"] * 40}, "mamba_num_heads", "is missing"),
        ({"kv_lora_rank": 512}, "qk_rope_head_dim", "is missing"),
        ({"num_experts": 8}, "num_experts_per_tok", "is missing"),
        ({"layer_types": ["sliding_attention"] * 40, "model_type": "llama"}, "sliding_window", "is missing"),
        ({"num_key_value_heads": 7}, "num_key_value_heads", "does not divide"),
        ({"num_experts": 4, "num_experts_per_tok": 8}, "num_experts_per_tok", "more than"),
    ],
)
def test_what_cannot_be_accounted_for(fields, path, message):
    assert message in faults_of(DENSE | fields)[path]


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000])
def test_other_files(text):
    with pytest.raises(BadInput, match=r"config\.json"):
        model_from_config(text, "config.json")
