"""Other spellings of the same shapes: publishers' own classes, Mistral's own file, and YaRN added to a published config.

Configs are those of public repositories, cut to what is read: EXAONE 3.0 (file id 46001266965), Ling-lite 1.5 (58554451241),
Ling-mini 2.0 (70927169011), Mistral Small 4 (giantswarm/model-manager testdata); the other shapes are those that the
publishers' papers and cards state, as are all counts.
"""

import json
from pathlib import Path

import pytest

from agentgpu_iac.calculators.calculator import SIZE
from agentgpu_iac.catalog.huggingface import model_from_config
from agentgpu_iac.catalog.huggingface.architectures import ALIASES, is_known
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.planning.planner import NoPlan, make_plan
from agentgpu_iac.sizing.kv_cache import kv_bytes_per_token
from agentgpu_iac.spec.loader import load_text

HERE = Path(__file__).parent
MISTRAL = json.loads((HERE.parent / "field" / "configs" / "mistral-small-4-nvfp4.params.json").read_text())
COUNTS = json.loads((HERE / "architecture_counts.json").read_text())
COMMON = {"tie_word_embeddings": False, "torch_dtype": "bfloat16"}
PLAIN = {
    **COMMON,
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "max_position_embeddings": 4096,
    "intermediate_size": 14336,
    "num_key_value_heads": 8,
}
EXAONE = {
    "model_type": "exaone",
    "activation_function": "silu",
    "embed_dropout": 0.0,
    "num_layers": 32,
    "layer_norm_epsilon": 1e-5,
    "vocab_size": 102400,
    **{name: value for name, value in PLAIN.items() if name != "num_hidden_layers"},
}
LING = {
    **COMMON,
    "model_type": "bailing_moe",
    "hidden_size": 2048,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
    "norm_head": False,
    "use_qkv_bias": False,
}
CHATGLM = {
    **COMMON,
    "model_type": "chatglm",
    "add_qkv_bias": True,
    "ffn_hidden_size": 13696,
    "hidden_size": 4096,
    "kv_channels": 128,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "num_attention_heads": 32,
    "num_layers": 40,
    "padded_vocab_size": 151552,
    "post_layer_norm": True,
    "rmsnorm": True,
    "rope_ratio": 500,
    "seq_length": 131072,
}
SPELLED = {
    "EXAONE 3.0": (EXAONE, 7.82, 7.82, (32, 8, 128)),
    "Ling-lite 1.5": (
        LING
        | {
            "num_hidden_layers": 28,
            "intermediate_size": 1408,
            "moe_intermediate_size": 1408,
            "num_experts": 64,
            "num_shared_experts": 2,
            "num_experts_per_tok": 6,
            "first_k_dense_replace": 0,
            "vocab_size": 126464,
        },
        16.8,
        2.75,
        (28, 4, 128),
    ),
    "Ling-mini 2.0": (
        LING
        | {
            "model_type": "bailing_moe_v2",
            "num_hidden_layers": 20,
            "intermediate_size": 5120,
            "moe_intermediate_size": 512,
            "moe_shared_expert_intermediate_size": 512,
            "num_experts": 256,
            "num_shared_experts": 1,
            "num_experts_per_tok": 8,
            "first_k_dense_replace": 1,
            "head_dim": 128,
            "vocab_size": 157184,
            "num_nextn_predict_layers": 0,
        },
        16.26,
        1.43,
        (20, 4, 128),
    ),
    "GLM-4-9B-Chat": (CHATGLM, 9.4, 9.4, (40, 2, 128)),
    "DeepSeekMoE 16B": (
        {
            **COMMON,
            "model_type": "deepseek",
            "hidden_size": 2048,
            "intermediate_size": 10944,
            "max_position_embeddings": 4096,
            "moe_intermediate_size": 1408,
            "moe_layer_freq": 1,
            "n_routed_experts": 64,
            "n_shared_experts": 2,
            "first_k_dense_replace": 1,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "num_experts_per_tok": 6,
            "num_hidden_layers": 28,
            "vocab_size": 102400,
        },
        16.4,
        2.83,
        (28, 16, 128),
    ),
    "InternLM2.5 7B": (
        {
            **PLAIN,
            "model_type": "internlm2",
            "bias": False,
            "max_position_embeddings": 32768,
            "rope_scaling": {"type": "dynamic", "factor": 2.0},
            "vocab_size": 92544,
        },
        7.74,
        7.74,
        (32, 8, 128),
    ),
    "Baichuan 2 7B": (
        {
            **{name: value for name, value in PLAIN.items() if name != "num_key_value_heads"},
            "model_type": "baichuan",
            "intermediate_size": 11008,
            "vocab_size": 125696,
        },
        7.5,
        7.5,
        (32, 32, 128),
    ),
}


def read(config):
    return model_from_config(json.dumps(config), "config.json")


@pytest.mark.parametrize("name", sorted(SPELLED))
def test_publishers_own_classes_are_read(name):
    config, total, active, (layers, kv_heads, head_dim) = SPELLED[name]
    model = read(config)
    assert model.params_total / 1e9 == pytest.approx(total, rel=0.003)
    assert model.params_active / 1e9 == pytest.approx(active, rel=0.01)
    assert (model.layers.full, model.kv_heads, model.head_dim) == (layers, kv_heads, head_dim)
    assert model.unread == ()


def test_every_alias_is_of_a_type_that_is_read():
    assert all(is_known(name) for name in ALIASES)


def test_chatglm_without_groups_has_a_kv_head_for_each_head():
    assert read(CHATGLM | {"multi_query_attention": False}).kv_heads == 32


def test_shared_experts_of_a_width_of_their_own_are_as_many_as_are_stated():
    """vLLM 0.32.0, bailing_moe: the width of one, times their number."""
    one, _, _, _ = SPELLED["Ling-mini 2.0"]
    of_two = read(one | {"num_shared_experts": 2})
    shared = [
        sum(part.parameters for part in model.modules if part.kind == "shared_experts") for model in (read(one), of_two)
    ]
    assert shared[1] == 2 * shared[0] > 0


class TestMistralsOwnFile:
    """``params.json``, which engines translate before they read it."""

    def test_it_is_the_same_model_as_in_the_fields_of_a_config(self):
        model = read(MISTRAL)
        same = COUNTS["defaults of mistral4"]["parameters"]
        tower = sum(tower.parameters for tower in model.towers)
        assert model.params_total - tower == pytest.approx(same, rel=0.004)
        assert (model.kv_lora_rank, model.qk_rope_head_dim, model.layers.full) == (256, 64, 36)
        assert model.max_context_tokens == 1_048_576
        assert (model.native_precision, model.unread, model.unclear) == ("nvfp4", (), ())
        assert {part.precision for part in model.modules if part.kind == "attention"} == {"bf16"}

    def test_faults_name_its_fields(self):
        with pytest.raises(BadInput) as caught:
            read(
                {name: value for name, value in MISTRAL.items() if name != "hidden_dim"}
                | {"n_heads": 0, "ngram_table": 7}
            )
        assert {fault.path for fault in caught.value.faults} >= {"n_heads", "ngram_table"}

    def test_experts_alone_are_mixtral_s(self):
        plain = {"dim": 4096, "n_layers": 32, "n_heads": 32, "n_kv_heads": 8, "head_dim": 128, "hidden_dim": 14336}
        model = read({**plain, "vocab_size": 32000, "moe": {"num_experts": 8, "num_experts_per_tok": 2}})
        assert model.params_total / 1e9 == pytest.approx(46.7, rel=0.003)
        assert model.max_context_tokens == 128_000
        dense = read(
            {
                **plain,
                "vocab_size": 32768,
                "max_position_embeddings": 131072,
                "sliding_window": [None, 4096, 4096, 4096],
            }
        )
        assert (dense.layers.full, dense.layers.sliding, dense.sliding_window) == (8, 24, 4096)
        assert read({**plain, "vocab_size": 32768}).layers.sliding == 0

    def test_a_word_for_fp8(self):
        plain = {"dim": 4096, "n_layers": 2, "n_heads": 32, "n_kv_heads": 8, "hidden_dim": 14336, "vocab_size": 32768}
        quantised = read({**plain, "quantization": {"qformat_weight": "fp8_e4m3", "qscheme_act": "TENSOR"}})
        assert quantised.native_precision == "fp8"
        with pytest.raises(BadInput, match="qformat_weight fp3"):
            read({**plain, "quantization": {"qformat_weight": "fp3"}})

    def test_a_folder_that_holds_it_alone_is_a_model(self, tmp_path):
        folder = tmp_path / "mistral"
        folder.mkdir()
        (folder / "params.json").write_text(json.dumps(MISTRAL))
        assert load_catalog(base_directory=tmp_path).model("mistral").kv_lora_rank == 256


YARN = {
    **PLAIN,
    "model_type": "qwen2",
    "vocab_size": 152064,
    "max_position_embeddings": 32768,
    "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
}


class TestYarnAddedToAPublishedConfig:
    """Model cards tell users to add the scaling; they leave ``max_position_embeddings`` as it was."""

    def asked(self, tmp_path, version, length=131072, config=YARN, engine="vllm"):
        (tmp_path / "config.json").write_text(json.dumps(config))
        question = {"model": "config.json", "accelerator": "h100-sxm", "engine": engine}
        if length:
            question["max-model-len"] = length
        if version:
            question["engine-version"] = version
        return SIZE.answer(question, load_catalog(base_directory=tmp_path))

    @pytest.mark.parametrize("version", ["0.10.2", "0.25.1", "0.29.0"])
    def test_older_releases_take_what_yarn_stretches_to(self, tmp_path, version):
        assert "rejection" not in self.asked(tmp_path, version)
        assert "131,072" in self.asked(tmp_path, version, 131073)["rejection"]["message"]

    @pytest.mark.parametrize("version", ["0.30.0", "0.33.0", None])
    def test_newer_ones_take_what_the_config_states_and_the_refusal_says_what_to_write(self, tmp_path, version):
        refused = self.asked(tmp_path, version)["rejection"]
        assert refused["constraint"] == "context-length"
        assert "32,768" in refused["message"]
        assert "write it there" in refused["message"]
        assert "rejection" not in self.asked(tmp_path, version, config=YARN | {"max_position_embeddings": 131072})

    @pytest.mark.parametrize("version", ["0.29.0", "0.33.0"])
    def test_a_plan_follows_the_release_too(self, tmp_path, version):
        (tmp_path / "config.json").write_text(json.dumps(YARN))
        talk = "conversation: {turns: 5, inputTokensPerTurn: 10000}, ttftMs: 60000, tpotMs: 1000"
        agent = f"{{name: chat, model: config.json, engineVersion: {version}, sessions: {{concurrent: 2}}, {talk}}}"
        head = "apiVersion: agentgpu.dev/v1alpha1\nkind: AgentStack\nmetadata: {name: s}\nspec:\n  target: kubernetes\n"
        loaded = load_text(f"{head}  accelerators: {{allow: [h100-sxm]}}\n  agents:\n    - {agent}\n", "s.yaml")
        catalog = load_catalog(base_directory=tmp_path)
        if version == "0.29.0":
            assert make_plan(loaded, catalog).workloads
            return
        with pytest.raises(NoPlan) as refused:
            make_plan(loaded, catalog)
        assert "write it there" in " ".join(one.message for one in refused.value.rejections)

    def test_longrope_starts_at_its_original_length_where_none_is_asked_for(self, tmp_path):
        """vLLM 0.33.0: 131,072 tokens are taken, and 4,096 unless one asks."""
        rope = {"type": "longrope", "long_factor": [1.1], "short_factor": [1.0]}
        own = {"max_position_embeddings": 131072, "original_max_position_embeddings": 4096, "rope_scaling": rope}
        phi = PLAIN | {"model_type": "phi3", "vocab_size": 32064} | own
        unasked = self.asked(tmp_path, None, None, phi)
        assert unasked["maxConcurrency"] == pytest.approx(self.asked(tmp_path, None, 4096, phi)["maxConcurrency"])
        assert unasked["longestModelLen"] == 131072

    def test_one_that_states_the_stretched_length_says_nothing_of_it(self):
        assert read(YARN | {"max_position_embeddings": 131072}).yarn_context_tokens is None
        assert read(YARN | {"rope_scaling": {"type": "linear", "factor": 4.0}}).yarn_context_tokens is None


def test_compressed_attention_whose_engine_keeps_whole_keys():
    """MiniCPM3: vLLM 0.32.0 builds 62 layers of 15,360 bytes a token, 40 heads of 96 numbers, twice."""
    model = read(COUNTS["defaults of minicpm3"]["config"])
    assert kv_bytes_per_token(model, "auto", 1, 1) == 62 * 15_360
    assert kv_bytes_per_token(read(MISTRAL), "auto", 1, 1) == 36 * (256 + 64) * 2


def test_a_whole_of_an_unknown_type_says_that_its_joints_are_reckoned():
    config = COUNTS["defaults of llava"]["config"]
    assert read(config).unread == ()
    (sentence,) = read(config | {"model_type": "llava_of_tomorrow"}).unread
    assert "'llava_of_tomorrow' is not known" in sentence


def test_the_class_around_the_text_model_says_whether_embeddings_are_one():
    """Qwen2.5-Omni: the thinker has an output head of its own, whatever its text model says."""
    config = COUNTS["defaults of qwen2_5_omni"]["config"]
    assert config["thinker_config"]["text_config"]["tie_word_embeddings"] is True
    assert not read(config).tied_embeddings


HUNYUAN = {
    "torch_dtype": "bfloat16",
    "model_type": "hunyuan_v1_moe",
    "anyres_pooling_size": 2,
    "attention_head_dim": 128,
    "cla_share_factor": 2,
    "class_num": 0,
    "dense_list": [4096, 0],
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 3072,
    "max_position_embeddings": 32768,
    "moe_intermediate_size": [3072] * 32,
    "moe_layer_num_skipped": 0,
    "moe_topk": [8] * 32,
    "norm_type": "rms",
    "num_attention_heads": 32,
    "num_experts": 64,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "num_media_embeds": 257,
    "num_shared_expert": [1] * 32,
    "org_vocab_size": 128167,
    "pool_type": "last",
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {
        "alpha": 1000.0,
        "beta_fast": 32,
        "beta_slow": 1,
        "factor": 1.0,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "type": "dynamic",
    },
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "use_mixed_mlp_moe": True,
    "use_qk_norm": True,
    "use_rotary_pos_emb": True,
    "vit_input_resolution": 224,
    "vit_mapping_type": "resampler",
    "vit_norm_type": "fused",
    "vit_patch": 1,
    "vit_token": 64,
    "vocab_size": 128167,
    "head_dim": 128,
}


def test_fields_of_towers_that_are_not_there_are_no_fault():
    """Hunyuan A13B states sizes of pictures and of a classifier that its class for text does not build: 80.4 B, 13 B active."""
    model = read(HUNYUAN)
    assert model.params_total / 1e9 == pytest.approx(80.4, rel=0.003)
    assert model.params_active / 1e9 == pytest.approx(13, rel=0.03)
    assert model.towers == ()
