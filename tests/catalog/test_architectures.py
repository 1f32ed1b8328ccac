"""Shapes of every architecture that is read: parameters as the architecture's own code counts them, and nothing unread.

``architecture_counts.json`` holds configs cut to what is read: of public models (copies of config.json in PyPI
aiconfigurator-core 0.12.0) and of classes with their defaults (PyPI transformers 5.24.0). Each count is that of the
model's class in transformers 5.24.0, built without memory: biases, norms and convolutions included. They are those whose
class could be built and that we read; ``refused_counts.json`` holds the others, each with the field that it is refused for.
The counts of the types that came on 2026-11-28 (cwm to youtu) are those of transformers 5.19.0.
Not in either: the defaults of qwen3_5 and qwen3_5_moe, whose text class alone could be built (we count their towers too),
and types whose class could not be built without the network (gemma3n's encoder) or has no causal model.

``published_counts.json`` holds whole configs as their publishers write them (copies in PyPI aiconfigurator-core 0.12.0),
with the count of the model's class in transformers 5.24.0 built from that very file: no field of a real file may be
stumbled over.
"""

import json
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgpu_iac.catalog.huggingface import model_from_config
from agentgpu_iac.catalog.huggingface.architectures import REFUSED, is_known, known_types
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput

COUNTS = json.loads((Path(__file__).parent / "architecture_counts.json").read_text())
PUBLISHED = json.loads((Path(__file__).parent / "published_counts.json").read_text())
REFUSED_COUNTS = json.loads((Path(__file__).parent / "refused_counts.json").read_text())
CONFIGS = Path(__file__).parents[1] / "field" / "configs"
PLAIN = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
}
HYBRID = json.loads((CONFIGS / "br-24.json").read_text())
SHORT = json.loads((CONFIGS / "br-28.json").read_text())


def read(config):
    return model_from_config(json.dumps(config), "config.json")


def faults_of(config):
    with pytest.raises(BadInput) as caught:
        read(config)
    return {fault.path: fault.message for fault in caught.value.faults}


def part(model, kind):
    return sum(module.parameters for module in model.modules if module.kind == kind)


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_parameters_are_those_of_the_architecture_s_own_code(name):
    model = read(COUNTS[name]["config"])
    assert model.params_total == pytest.approx(COUNTS[name]["parameters"], rel=0.004)
    assert 0 < model.params_active <= model.params_total
    assert sum(module.parameters for module in model.modules) == model.params_total


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_whole_configs_are_read_and_come_to_what_their_class_counts(name):
    model = read(PUBLISHED[name]["config"])
    assert model.params_total == pytest.approx(PUBLISHED[name]["parameters"], rel=0.004)


@pytest.mark.parametrize("name", sorted(REFUSED_COUNTS))
def test_what_is_not_counted_is_refused_by_name(name):
    """One that becomes readable moves to the counts, where its figure is held against that of its class."""
    assert REFUSED_COUNTS[name]["refused"] in faults_of(REFUSED_COUNTS[name]["config"])


def test_most_architectures_are_counted_so():
    counted = {
        found
        for case in COUNTS.values()
        for config in (case["config"], case["config"].get("text_config", {}))
        if (found := config.get("model_type"))
    }
    assert len(COUNTS) > 100
    assert len(set(known_types()) & counted) > 75


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_type_that_is_known_and_not_planned_says_why(name):
    found = faults_of(PLAIN | {"model_type": name})
    assert set(found) == {"model_type"}
    assert REFUSED[name] in found["model_type"]
    assert not is_known(name)


def test_an_unknown_type_is_refused():
    assert "'brandnew' is not known" in faults_of(PLAIN | {"model_type": "brandnew"})["model_type"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mamba_d_state", 128),
        ("ple_embed_dim", 2560),
        ("ngram_vocab_size_base", 20_000_000),
        ("vision_config", {"model_type": "strange"}),
        ("audio_config", {"model_type": "strange"}),
        ("routed_expert_scale_size", 3584),
        ("index_cache_dim", 128),
        ("hc_mult", 4),
        ("compress_ratios", [4, 128]),
        ("conv_L_cache", 3),
        ("memory_slots", 64),
        ("num_experts_of_another_kind", 4),
        ("something_new", 7),
        ("something_listed", [1, 2]),
        ("new_attention_kind", "wide"),
        ("use_cla", True),
        ("use_mamba_layers", True),
        ("compress_type", "deep"),
    ],
)
def test_a_field_that_may_carry_weights_or_state_is_never_passed_over(field, value):
    assert field in faults_of(PLAIN | {field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bos_token_id", 1),
        ("attention_dropout", 0.1),
        ("initializer_range", 0.02),
        ("rms_norm_eps", 1e-5),
        ("hidden_act", "silu"),
        ("rope_theta", 1e6),
        ("auto_map", {"AutoConfig": "x.Y"}),
        ("routed_scaling_factor", 2.5),
        ("num_nextn_predict_layers", 1),
        ("vision_config", None),
        ("mamba_d_state", 0),
        ("something_new", False),
    ],
)
def test_fields_without_weights_change_nothing(field, value):
    assert read(PLAIN | {field: value}).modules == read(PLAIN).modules


def test_a_word_that_is_not_known_is_said_with_the_model():
    (sentence,) = read(PLAIN | {"flavour": "vanilla"}).unread
    assert "flavour" in sentence
    assert read(PLAIN).unread == ()


@given(
    middle=st.text(string.ascii_lowercase, min_size=3, max_size=12),
    shape=st.sampled_from(
        (
            "use_{}_norm", "{}_scale", "{}_bias", "{}_rope_{}", "output_{}", "layer_norm_{}", "quant_{}", "image_{}",
            "router_{}", "{}_multiplier", "flash_{}", "index_topk_{}", "{}_init_{}", "train_{}", "rope_{}_table", "{}_act",
        )
    ),
    value=st.one_of(st.integers(2, 10**6), st.lists(st.integers(1, 9), min_size=1, max_size=4)),
)  # fmt: skip
def test_a_count_is_never_harmless_for_the_sound_of_its_name(middle, shape, value):
    """Names that read like those of numerics, tokens or training: what counts something is listed by name, or a fault."""
    name = shape.format(f"zz{middle}", middle)
    assert name in faults_of(PLAIN | {name: value})


@given(name=st.text(string.ascii_lowercase + "_", min_size=3, max_size=20), value=st.integers(1, 10**6))
def test_no_new_number_is_passed_over_in_silence(name, value):
    """Whatever a field is called: it is read, known to be harmless, said, or a fault."""
    plain = read(PLAIN)
    try:
        found = read(PLAIN | {f"zz_{name}_zz": value})
    except BadInput:
        return
    assert found.unread != plain.unread


def test_attention_and_mamba_side_by_side_keep_both_states():
    """Falcon-H1-7B: 44 layers of both, 138 MB of state a session in 32 bit."""
    model = read(HYBRID)
    assert (model.layers.full, model.layers.recurrent, model.layers.stateless) == (44, 44, 0)
    assert model.recurrent.state_elements * 4 * 44 == pytest.approx(138.4e6, rel=0.001)
    assert part(model, "feed_forward") == 44 * 3 * 3072 * 12288


def test_short_convolutions_keep_their_last_inputs():
    model = read(SHORT)
    assert (model.recurrent.state_elements, model.recurrent.convolution_elements) == (0, 2 * 2048)
    assert part(model, "recurrent") == 18 * 4 * 2048 * 2048
    assert model.params_active / 1e9 == pytest.approx(1.56, rel=0.01)


def test_the_first_generation_of_mamba():
    """Jamba's defaults: one layer of attention in eight, experts in every second."""
    model = read(PLAIN | {"model_type": "jamba", "vocab_size": 65536, "max_position_embeddings": 262144})
    assert (model.layers.full, model.layers.recurrent) == (4, 28)
    assert model.recurrent.state_elements == 8192 * 16
    assert part(model, "routed_experts") == 16 * 16 * 3 * 4096 * 14336
    assert part(model, "feed_forward") == 16 * 3 * 4096 * 14336


def test_layers_that_share_a_cache_keep_none():
    """Gemma 4 E2B's kind: the last 20 of 35 layers read the cache of earlier ones; a table of embeddings per layer."""
    config = COUNTS["google/gemma-4-26B-A4B"]["config"]["text_config"] | {
        "enable_moe_block": False,
        "num_hidden_layers": 35,
        "layer_types": (["sliding_attention"] * 4 + ["full_attention"]) * 7,
        "hidden_size": 1536,
        "intermediate_size": 6144,
        "num_kv_shared_layers": 20,
        "use_double_wide_mlp": True,
        "hidden_size_per_layer_input": 256,
        "num_attention_heads": 8,
        "num_key_value_heads": 1,
        "num_global_key_value_heads": 1,
        "attention_k_eq_v": False,
        "dtype": "bfloat16",
    }
    model = read(config)
    assert (model.layers.full, model.layers.sliding, model.layers.shared) == (3, 12, 20)
    assert part(model, "table") == 262144 * 35 * 256
    assert model.params_active < model.params_total - part(model, "table") + 1
    alone = read(config | {"num_kv_shared_layers": 0, "use_double_wide_mlp": False})
    assert part(model, "attention") < part(alone, "attention")
    assert part(model, "feed_forward") == part(alone, "feed_forward") + 20 * 3 * 1536 * 6144
    assert "none would keep a cache" in faults_of(config | {"num_kv_shared_layers": 35})["num_kv_shared_layers"]


def test_an_index_of_sparse_attention_is_kept_by_some_layers():
    model = read(COUNTS["nvidia/GLM-5.2-NVFP4"]["config"])
    assert (model.index.layers, model.index.head_dim) == (21, 128)
    sparse = {"use_sparse_attention": True, "sparse_index_dim": 128, "sparse_num_index_heads": 4}
    config = PLAIN | {
        "model_type": "minimax_m3",
        "sparse_attention_config": {**sparse, "sparse_attention_freq": [0] + [1] * 31},
    }
    assert read(config | {"num_local_experts": 4, "num_experts_per_tok": 2}).index.layers == 31


def test_layers_by_their_list_alone():
    """Nemotron 3 Ultra states no number of layers."""
    model = read(json.loads((CONFIGS / "br-32.json").read_text()))
    assert (model.layers.full, model.layers.recurrent, model.layers.stateless) == (12, 48, 48)


def test_layers_that_differ_from_each_other():
    """Nemotron NAS: widths and attention by block."""
    block = {"attention": {"n_heads_in_group": 8, "no_op": False}, "ffn": {"ffn_mult": 5.25, "no_op": False}}
    bare = {"attention": {"no_op": True}, "ffn": {"ffn_mult": 1.0, "no_op": False}}
    config = PLAIN | {
        "model_type": "nemotron-nas",
        "num_hidden_layers": 3,
        "hidden_size": 8192,
        "num_attention_heads": 64,
        "num_key_value_heads": None,
        "intermediate_size": None,
        "block_configs": [block, block, bare],
    }
    model = read(config)
    assert (model.layers.full, model.layers.stateless, model.kv_heads) == (2, 1, 8)
    assert part(model, "feed_forward") == 3 * 8192 * (2 * 28672 + 5632)
    other = {**block, "attention": {"n_heads_in_group": 16}}
    assert "differ from layer to layer" in faults_of(config | {"block_configs": [block, other, bare]})["block_configs"]


def test_a_tower_is_counted_and_described():
    model = read(json.loads((CONFIGS / "br-07.json").read_text()))
    (tower,) = model.towers
    assert (tower.reads, tower.hidden_size, tower.layers, tower.patch_size, tower.patches_per_token) == (
        "pictures",
        1152,
        27,
        16,
        4,
    )
    assert part(model, "tower") == tower.parameters == pytest.approx(0.567e9, rel=0.01)


def test_a_tower_that_is_null_is_not_there():
    config = json.loads((CONFIGS / "br-07.json").read_text())
    assert read(config | {"vision_config": None}).towers == ()


def test_experts_of_a_narrower_stream_and_their_gates():
    """Kimi K3: 2.8 T, experts on 3,584 of 7,168."""
    model = read(json.loads((CONFIGS / "br-29.json").read_text()))
    assert part(model, "routed_experts") == 92 * 896 * 3 * 3584 * 3072
    assert any("attn_res_block_size" in sentence for sentence in model.unread)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"num_kv_shared_layers": 32, "model_type": "gemma4_text"}, "num_kv_shared_layers"),
        ({"kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "qk_head_dim": 200}, "qk_head_dim"),
        ({"hidden_size": 10**16}, "hidden_size"),
        ({"linear_attn_config": 3}, "linear_attn_config"),
        ({"num_hidden_layers": 10**12}, "num_hidden_layers"),
        ({"num_hidden_layers": 10**12, "num_experts": 8, "num_experts_per_tok": 2}, "num_hidden_layers"),
        ({"x" * 1000: 1}, "x" * 1000),
        ({"moe_intermediate_size": [768, 512], "num_experts": 8, "num_experts_per_tok": 2}, "moe_intermediate_size"),
        ({"indexer_types": ["full"], "index_head_dim": 128}, "indexer_types"),
        ({"num_hidden_layers": 3, "layer_types": ["full_attention"] * 4}, "num_hidden_layers"),
    ],
)
def test_impossible_shapes_name_the_field(fields, path):
    assert path in faults_of(PLAIN | fields)


def test_all_faults_are_named_at_once():
    found = faults_of(PLAIN | {"hidden_size": "wide", "ple_embed_dim": 3, "num_key_value_heads": 7, "dtype": "float3"})
    assert {"hidden_size", "ple_embed_dim", "num_key_value_heads", "torch_dtype"} <= set(found)


def test_a_hostile_number_of_dense_layers_is_no_work():
    config = PLAIN | {
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "first_k_dense_replace": 10**9,
        "model_type": "qwen3_moe",
    }
    assert part(read(config), "routed_experts") == 0


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(200 * 2**20)
    with pytest.raises(BadInput, match=r"config\.json.*the most that is read"):
        load_catalog(base_directory=tmp_path).model("./config.json")


CUT = json.loads((CONFIGS / "br-67.json").read_text())


class TestTowersThatAConfigLeavesOut:
    """A config cut to its text model is not one of a model without a tower: its class has one, which is counted and said."""

    def test_it_is_that_of_published_models_and_said(self):
        model = read(CUT)
        (tower,) = model.towers
        assert tower.is_assumed
        assert (tower.layers, tower.hidden_size) == (27, 1152)
        assert tower.parameters == read(COUNTS["Qwen/Qwen3-VL-32B-Instruct"]["config"]).towers[0].parameters
        assert any("has no vision_config" in sentence for sentence in model.unread)

    def test_its_width_follows_the_text_model(self):
        small = CUT | {"text_config": CUT["text_config"] | {"hidden_size": 2560, "num_attention_heads": 32}}
        assert [tower.hidden_size for tower in read(small).towers] == [1024]

    def test_a_type_whose_tower_is_optional_has_that_of_its_published_models(self):
        config = COUNTS["google/gemma-4-26B-A4B"]["config"]
        stated = read(config)
        cut = {name: value for name, value in config.items() if name != "vision_config"}
        assert read(cut).towers[0].parameters == stated.towers[0].parameters
        assert read(cut | {"vision_config": None}).towers == ()

    def test_a_stated_tower_is_not_assumed(self):
        assert not any(tower.is_assumed for tower in read(COUNTS["Qwen/Qwen3-VL-32B-Instruct"]["config"]).towers)
