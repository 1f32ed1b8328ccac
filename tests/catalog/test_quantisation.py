"""How a checkpoint is quantised, read from its files and laid over the parts of a model."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from agentgpu_iac.catalog.model import LayerCounts, ModelFacts, Module
from agentgpu_iac.catalog.quantisation import quantised, scheme_of
from agentgpu_iac.catalog.quantisation.linears import Layer, linears_of
from agentgpu_iac.catalog.quantisation.modules import Quantised

HIDDEN, WIDTH, VOCABULARY, EXPERTS = 1024, 512, 4096, 8
LAYERS = 4
"""Of attention; the first has a dense feed-forward, the others experts."""

DENSE = ModelFacts(
    id="toy",
    family="toy",
    architecture="llama",
    layers=LayerCounts(full=LAYERS),
    hidden_size=HIDDEN,
    attention_heads=8,
    kv_heads=8,
    head_dim=128,
    vocab_size=VOCABULARY,
    intermediate_size=2 * HIDDEN,
    tied_embeddings=False,
    sources=("made up",),
)
MIXTURE = DENSE.model_copy(
    update={
        "architecture": "qwen3_moe",
        "experts": EXPERTS,
        "experts_per_token": 2,
        "moe_intermediate_size": WIDTH,
        "shared_experts": 1,
        "dense_layers": 1,
        "tower_parameters": 1_000_000,
    }
)
ATTENTION = 4 * HIDDEN * HIDDEN * LAYERS
FEED_FORWARD = 3 * HIDDEN * 2 * HIDDEN

LINEAR = {"targets": ["Linear"]}
W4 = {"num_bits": 4, "type": "int", "group_size": 128, "symmetric": True}
W8 = {"num_bits": 8, "type": "int", "symmetric": True}
F8 = {"num_bits": 8, "type": "float"}
F4 = {"num_bits": 4, "type": "float", "group_size": 16}


def read(
    section: dict[str, Any], facts: ModelFacts = MIXTURE, beside: dict[str, Any] | None = None, **config: Any
) -> tuple[Quantised | None, list[tuple[str, str]]]:
    """What comes of a quantisation of a toy model, and its faults."""
    faults: list[tuple[str, str]] = []
    scheme = scheme_of({"quantization_config": section, **config} if section else config, beside, faults)
    if scheme is None:
        return None, faults
    layers = tuple(
        Layer(mixer="full", feed_forward="experts" if facts.experts and index else "dense") for index in range(LAYERS)
    )
    linears = linears_of(facts, layers)
    counts: defaultdict[Any, int] = defaultdict(int)
    for linear in linears:
        counts[linear.kind] += linear.parameters
    modules = tuple(Module(kind=kind, parameters=count, precision="bf16") for kind, count in counts.items())
    return quantised(scheme, modules, linears, faults), faults


def bits(section: dict[str, Any], facts: ModelFacts = MIXTURE, **config: Any) -> dict[str, float]:
    """Bits of a weight of each part, on average."""
    found, faults = read(section, facts, **config)
    assert not faults
    assert found is not None
    stored: defaultdict[str, float] = defaultdict(float)
    total: defaultdict[str, int] = defaultdict(int)
    for module in found.modules:
        stored[module.kind] += module.parameters * module.bits
        total[module.kind] += module.parameters
    return {kind: stored[kind] / total[kind] for kind in total}


def compressed(form: str, weights: dict[str, Any], **fields: Any) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": weights}
    return {"quant_method": "compressed-tensors", "format": form, "config_groups": {"group_0": group}, **fields}


class TestMethods:
    """Each method stores the linear layers in its own bits, scales and zero points included."""

    @pytest.mark.parametrize(
        ("section", "expected"),
        [
            ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}, 4 + 20 / 128),
            ({"quant_method": "awq", "w_bit": 4, "q_group_size": 64, "zero_point": False}, 4 + 16 / 64),
            ({"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True}, 4 + 16 / 128),
            ({"quant_method": "gptq", "bits": 8, "group_size": -1, "sym": True}, 8),
            ({"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": False}, 4 + 20 / 32),
            ({"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": True}, 4 + 16 / 128),
            ({"quant_method": "auto-round", "bits": 4, "group_size": 32, "data_type": "mx_fp"}, 4.25),
            ({"quant_method": "auto-round", "bits": 4, "group_size": 16, "data_type": "nv_fp"}, 4.5),
            ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4.5),
            ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 8),
            ({"quant_method": "bitsandbytes", "_load_in_4bit": True, "bnb_4bit_use_double_quant": True}, 4.127),
            ({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}}, 4.5),
            ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 8 + 32 / 128**2),
            ({"quant_method": "fp8", "activation_scheme": "static"}, 8),
            ({"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["lm_head"]}, 8),
            ({"quant_method": "mxfp8"}, 8.25),
            ({"quant_method": "fp_quant", "forward_dtype": "nvfp4"}, 4.5),
            ({"quant_method": "w8a8_int8"}, 8),
            ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4", "group_size": 32}}}, 4.25),
            ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}}}, 8),
            ({"quant_method": "torchao", "quant_type": {"default": {"_type": "Float8WeightOnlyConfig"}}}, 8),
            (
                {
                    "quant_method": "torchao",
                    "quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 64}}},
                },
                4 + 16 / 64,
            ),
            ({"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["lm_head"]}, 8),
            ({"quant_method": "modelopt", "quant_algo": "nvfp4", "exclude_modules": ["lm_head"]}, 4.5),
            ({"quant_algo": "W4A16_AWQ", "quant_method": "modelopt", "group_size": 64, "ignore": ["lm_head"]}, 4.25),
            ({"quant_method": "modelopt", "quantization": {"quant_algo": "MXFP8"}}, 8.25),
            (compressed("pack-quantized", W4), 4 + 16 / 128),
            (compressed("pack-quantized", {**W4, "symmetric": False, "group_size": 32}), 4 + 20 / 32),
            (compressed("int-quantized", W8), 8),
            (compressed("float-quantized", F8), 8),
            (compressed("naive-quantized", F8), 8),
            (compressed("nvfp4-pack-quantized", F4), 4.5),
            (compressed("mxfp4-pack-quantized", {**F4, "group_size": 32}), 4.25),
            (compressed("mxfp8-quantized", {**F8, "group_size": 32}), 8.25),
            (compressed("marlin-24", W4), 3 + 16 / 128),
        ],
    )
    def test_the_bits_of_linear_layers(self, section, expected):
        found = bits(section)
        for kind in ("attention", "feed_forward", "shared_experts", "routed_experts"):
            assert found[kind] == pytest.approx(expected, abs=0.001), kind

    @pytest.mark.parametrize("kind", ["embedding", "router", "tower"])
    @pytest.mark.parametrize(
        "section",
        [
            {"quant_method": "awq", "bits": 4, "group_size": 128},
            {"quant_method": "modelopt", "quant_algo": "NVFP4"},
            {"quant_method": "fp8"},
            compressed("nvfp4-pack-quantized", F4),
        ],
    )
    def test_embeddings_routers_and_towers_stay(self, section, kind):
        assert bits(section)[kind] == 16

    @pytest.mark.parametrize(
        ("section", "expected"),
        [
            ({"quant_method": "awq", "bits": 4, "group_size": 128}, 16),
            ({"quant_method": "gptq", "bits": 4, "group_size": 128, "lm_head": True}, 4.125),
            ({"quant_method": "fp8"}, 16),
            ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, 4.5),
            (compressed("float-quantized", F8), 8),
            (compressed("float-quantized", F8, ignore=["lm_head"]), 16),
            (compressed("float-quantized", F8, ignore=["re:.*lm_head"]), 16),
        ],
    )
    def test_the_output_head_is_a_class_of_its_own(self, section, expected):
        assert bits(section)["output_head"] == expected

    def test_mxfp4_is_of_experts_alone(self):
        found = bits({"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]})
        assert found["routed_experts"] == 4.25
        assert {found[kind] for kind in ("attention", "feed_forward", "shared_experts", "output_head")} == {16}

    def test_experts_in_fp4_beside_linear_layers_in_fp8(self):
        found = bits({"quant_method": "fp8", "weight_block_size": [128, 128]}, expert_dtype="fp4")
        assert found["routed_experts"] == 4.25
        assert found["attention"] == pytest.approx(8, abs=0.01)
        nvfp4 = bits({"quant_method": "fp8", "moe_quant_algo": "NVFP4", "group_size": 16}, expert_dtype="fp4")
        assert nvfp4["routed_experts"] == 4.5

    @pytest.mark.parametrize("method", ["exl3", "gguf", "aqlm", "quip", "vptq"])
    def test_what_no_engine_runs_is_refused_with_the_reason(self, method):
        found, faults = read({"quant_method": method})
        assert found is None
        (fault,) = faults
        assert fault[0] == "quantization_config.quant_method"
        assert "is not read: " in fault[1]

    def test_an_unknown_method_names_those_that_are_read(self):
        found, ((path, message),) = read({"quant_method": "of-next-year"})
        assert found is None
        assert path == "quantization_config.quant_method"
        assert "'of-next-year' is unknown" in message
        assert "compressed-tensors" in message


class TestPatterns:
    """A name, a part of one, a glob or an expression leaves the matrices that it names."""

    @pytest.mark.parametrize(
        ("pattern", "kept"),
        [
            ("self_attn", {"attention"}),
            ("model.layers.*.self_attn", {"attention"}),
            ("re:.*self_attn.*", {"attention"}),
            ("*.self_attn.*", {"attention"}),
            ("re:model\\.language_model\\.layers\\.\\d+\\.self_attn\\..*", {"attention"}),
            ("mlp.shared_experts", {"shared_experts"}),
            ("re:.*shared_expert.*", {"shared_experts"}),
            ("mlp.experts", {"routed_experts"}),
            ("re:.*mlp\\.experts\\..*(gate|up|down)_proj$", {"routed_experts"}),
            ("re:.*mlp\\.(gate|up|gate_up|down)_proj.*", {"feed_forward"}),
            ("block_sparse_moe.experts.0.w1", set()),
            ("mlp.gate", set()),
            ("re:.*mlp.gate$", set()),
            ("vision_tower", set()),
        ],
    )
    def test_of_all_layers(self, pattern, kept):
        found = bits(compressed("float-quantized", F8, ignore=[pattern]))
        assert {
            kind for kind in ("attention", "feed_forward", "shared_experts", "routed_experts") if found[kind] == 16
        } == kept

    @pytest.mark.parametrize(
        "pattern",
        [
            "model.layers.0.self_attn",
            "model.layers.0.self_attn*",
            "model.language_model.layers.0*",
            "language_model.model.layers.0.*",
            "model.layers.0.self*",
            "re:.*layers\\.0\\.self_attn\\..*",
            "re:model.layers.[0].self_attn.*",
        ],
    )
    def test_of_one_layer_in_four(self, pattern):
        found = bits({"quant_method": "modelopt", "quant_algo": "FP8", "ignore": [pattern]})
        assert found["attention"] == pytest.approx((16 + 3 * 8) / 4)

    def test_a_layer_is_no_beginning_of_another(self):
        ignore = [f"model.layers.{index}*" for index in (1, 2)]
        found = bits({"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ignore})
        assert found["attention"] == pytest.approx(12)

    def test_one_projection(self):
        found = bits(compressed("float-quantized", F8, ignore=["re:.*o_proj"]))
        assert found["attention"] == pytest.approx(10)

    def test_what_names_nothing_is_said_with_the_bytes_at_stake(self):
        found, _ = read(compressed("float-quantized", F8, ignore=["lm_head", "re:.*hyper_connection.*"]))
        assert found is not None
        (sentence,) = found.warnings
        assert "re:.*hyper_connection.*" in sentence
        saved = sum(module.parameters * (16 - module.bits) / 8 for module in found.modules)
        assert f"up to {saved / 2**30:.1f} GiB" in sentence

    @pytest.mark.parametrize(
        "pattern",
        [
            "model.layers.0.input_layernorm",
            "re:.*norm.*",
            "mtp*",
            "model.layers.4.mlp.gate",
            "model.visual*",
            "re:^mtp.*",
            "model.layers.1.linear_attn.conv1d",
        ],
    )
    def test_norms_towers_and_draft_layers_are_not(self, pattern):
        found, _ = read(compressed("float-quantized", F8, ignore=[pattern]))
        assert found is not None
        assert not found.warnings

    @pytest.mark.parametrize(("experts", "is_said"), [((0, 7), False), ((7,), True)])
    def test_the_first_expert_stands_for_all_and_one_apart_is_said(self, experts, is_said):
        ignore = [f"model.layers.1.mlp.experts.{number}.up_proj" for number in experts]
        found, _ = read(compressed("float-quantized", F8, ignore=ignore))
        assert found is not None
        assert bool(found.warnings) is is_said

    @pytest.mark.parametrize(
        "pattern", ["re:(a+)+$", "re:.*a.*b.*c.*d.*e.*", "re:(", "x" * 1001, *[["re:a" + str(at) for at in range(400)]]]
    )
    def test_a_hostile_pattern_is_one_fault(self, pattern):
        ignore = pattern if isinstance(pattern, list) else [pattern]
        _, faults = read(compressed("float-quantized", F8, ignore=ignore))
        assert [path for path, _ in faults] == ["quantization_config"]


class TestMixedPrecision:
    """A module has the bits of its own group."""

    def test_groups_by_name_before_groups_by_class(self):
        section = {
            "quant_method": "compressed-tensors",
            "format": "mixed-precision",
            "config_groups": {
                "group_0": {"targets": ["Linear"], "weights": F4, "format": "nvfp4-pack-quantized"},
                "group_1": {"targets": ["re:.*self_attn.*"], "weights": F8, "format": "float-quantized"},
            },
            "ignore": ["lm_head", "re:.*down_proj"],
        }
        found = bits(section, DENSE)
        assert found["attention"] == 8
        assert found["feed_forward"] == pytest.approx((2 * 4.5 + 16) / 3)

    @pytest.mark.parametrize("named", ["quantized_layers", "config_groups"])
    def test_modelopt_names_each_module(self, named):
        layers = {
            f"model.layers.{index}.mlp.{part}_proj": "NVFP4" for index in range(4) for part in ("gate", "up", "down")
        }
        layers |= {f"model.layers.{index}.self_attn.q_proj": "FP8" for index in range(4)}
        section: dict[str, Any] = {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}
        if named == "quantized_layers":
            section[named] = {name: {"quant_algo": algorithm} for name, algorithm in layers.items()}
        else:
            section[named] = {
                algorithm: {
                    "weights": F4 if algorithm == "NVFP4" else F8,
                    "targets": [name for name, own in layers.items() if own == algorithm],
                }
                for algorithm in ("NVFP4", "FP8")
            }
        found = bits(section, DENSE)
        assert found["feed_forward"] == 4.5
        assert found["attention"] == pytest.approx((8 + 3 * 16) / 4)
        assert found["output_head"] == 16

    def test_the_precision_of_most_weights_stands_for_the_model(self):
        section = {
            "quant_method": "modelopt",
            "quant_algo": "MIXED_PRECISION",
            "quantized_layers": {
                **{f"model.layers.{index}.mlp.up_proj": {"quant_algo": "NVFP4"} for index in range(4)},
                "model.layers.0.self_attn.q_proj": {"quant_algo": "FP8"},
            },
        }
        found, _ = read(section, DENSE)
        assert found is not None
        assert found.native == "nvfp4"
        assert sum(module.parameters for module in found.modules if module.kind == "attention") == ATTENTION

    def test_settings_by_module(self):
        gptq = {
            "quant_method": "gptq",
            "bits": 4,
            "group_size": 128,
            "sym": True,
            "dynamic": {"-:.*self_attn.*": {}, "+:.*down_proj.*": {"bits": 8, "group_size": -1}},
        }
        found = bits(gptq, DENSE)
        assert found["attention"] == 16
        assert found["feed_forward"] == pytest.approx((2 * 4.125 + 8) / 3)
        extra = {"model.layers.0.mlp.up_proj": {"bits": 16}, ".*self_attn.*": {"bits": 8, "group_size": -1}}
        rounded = {"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": True, "extra_config": extra}
        found = bits(rounded, DENSE)
        assert found["attention"] == 8
        assert found["feed_forward"] == pytest.approx((11 * 4.125 + 16) / 12)

    def test_blocks_to_quantise_leave_the_rest(self):
        section = {
            "quant_method": "auto-round",
            "bits": 4,
            "group_size": 128,
            "block_name_to_quantize": "model.layers.1,model.layers.2",
        }
        assert bits(section, DENSE)["attention"] == pytest.approx((2 * 4.125 + 2 * 16) / 4)


class TestCache:
    """The number format that a checkpoint asks of the KV cache."""

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"kv_cache_scheme": {"num_bits": 8, "type": "float", "dynamic": False}}, "fp8"),
            ({"kv_cache_scheme": "FP8"}, "fp8"),
            ({"kv_cache_quant_algo": "FP8"}, "fp8"),
            ({"kv_cache_scheme": {"num_bits": 4, "type": "float"}}, "nvfp4"),
            ({"kv_cache_scheme": None}, None),
            ({"kv_cache_quant_algo": None}, None),
            ({}, None),
        ],
    )
    @pytest.mark.parametrize(
        "section", [{"quant_method": "modelopt", "quant_algo": "FP8"}, compressed("float-quantized", F8)]
    )
    def test_is_read(self, section, fields, expected):
        faults: list[tuple[str, str]] = []
        scheme = scheme_of({"quantization_config": {**section, **fields}}, None, faults)
        assert not faults
        assert scheme is not None
        assert (scheme.cache.precision if scheme.cache else None) == expected

    def test_quark_keeps_it_among_the_layers(self):
        section = {
            "quant_method": "quark",
            "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}},
            "layer_quant_config": {
                "*v_proj": {"weight": {"dtype": "fp8_e4m3"}, "output_tensors": {"dtype": "fp8_e4m3"}}
            },
            "export": {"kv_cache_group": ["*v_proj"]},
        }
        scheme = scheme_of({"quantization_config": section}, None, [])
        assert scheme is not None
        assert scheme.cache is not None
        assert (scheme.cache.precision, scheme.cache.method) == ("fp8", "quark")

    def test_another_is_a_fault(self):
        _, ((path, message),) = read(compressed("int-quantized", W8, kv_cache_scheme={"num_bits": 8, "type": "int"}))
        assert path == "quantization_config.kv_cache_scheme"
        assert "'int' in 8 bits" in message


class TestPlaces:
    """Where the files say it."""

    def test_in_the_text_model(self):
        found, faults = read({}, text_config={"quantization_config": {"quant_method": "fp8"}})
        assert not faults
        assert found is not None
        assert found.native == "fp8"

    def test_in_the_older_section(self):
        found, _ = read({}, compression_config=compressed("float-quantized", F8))
        assert found is not None

    def test_in_the_file_beside(self):
        beside = {"quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}}
        found, faults = read({}, beside=beside)
        assert not faults
        assert found is not None
        assert found.native == "fp8"

    def test_nowhere(self):
        assert read({}) == (None, [])

    def test_the_config_itself_counts_before_the_file_beside(self):
        beside = {"quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"}}
        section = {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head", "self_attn"]}
        faults: list[tuple[str, str]] = []
        scheme = scheme_of({"quantization_config": section}, beside, faults)
        assert not faults
        assert scheme is not None
        assert scheme.cache is None


class TestContradictions:
    """One message, which names the file and the field."""

    @pytest.mark.parametrize(
        ("section", "path", "words"),
        [
            (
                compressed("nvfp4-pack-quantized", F8),
                "config_groups.group_0.weights.num_bits",
                "contradicts the format",
            ),
            (compressed("float-quantized", W8), "config_groups.group_0.weights.num_bits", "contradicts the format"),
            (compressed("int-quantized", W4), "config_groups.group_0.weights.num_bits", "contradicts the format"),
            (compressed("of-next-year", W4), "config_groups.group_0.format", "is unknown"),
            ({"quant_method": "awq", "bits": 4, "w_bit": 8, "group_size": 128}, "bits", "contradicts itself"),
            ({"quant_method": "awq", "bits": 16, "group_size": 128}, "bits", "is 16"),
            ({"quant_method": "gptq", "bits": 4, "group_size": 0}, "group_size", "is 0"),
            ({"quant_method": "gptq", "group_size": 128}, "bits", "is missing"),
            (
                {"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": True},
                "load_in_4bit",
                "contradicts",
            ),
            ({"quant_method": "fp8", "weight_block_size": [128]}, "weight_block_size", "two positive whole numbers"),
            ({"quant_method": "fp8", "ignored_layers": [1]}, "ignored_layers", "a list of names"),
            ({"quant_method": "modelopt", "quant_algo": "FP3"}, "quant_algo", "is unknown"),
            ({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}, "quantized_layers", "is missing or empty"),
            ({"quant_method": "compressed-tensors"}, "config_groups", "is missing"),
            (
                {
                    "quant_method": "modelopt",
                    "quant_algo": "FP8",
                    "config_groups": {"group_0": {"targets": ["Linear"], "weights": F4}},
                },
                "config_groups.group_0.weights.num_bits",
                "and quant_algo is FP8",
            ),
        ],
    )
    def test_in_one_section(self, section, path, words):
        _, faults = read(section)
        assert [where for where, _ in faults] == [f"quantization_config.{path}"]
        assert words in faults[0][1]

    @pytest.mark.parametrize(
        ("name", "here", "there"),
        [("quant_algo", "FP8", "NVFP4"), ("group_size", 16, 32)],
    )
    def test_between_the_two_files(self, name, here, there):
        section = {"quant_method": "modelopt", "quant_algo": "NVFP4", name: here}
        _, faults = read(section, beside={"quantization": {"quant_algo": "NVFP4", name: there}})
        assert [where for where, _ in faults] == [f"hf_quant_config.json: quantization.{name}"]
        assert str(there) in faults[0][1]
        assert str(here) in faults[0][1]

    def test_groups_that_do_not_divide_a_row(self):
        _, faults = read({"quant_method": "gptq", "bits": 4, "group_size": 96}, DENSE)
        assert {path for path, _ in faults} == {"quantization_config"}
        assert any("groups of 96 weights do not divide the 1,024 inputs of q_proj" in message for _, message in faults)

    def test_no_object(self):
        _, faults = read({}, quantization_config=[1])
        assert faults == [("quantization_config", "must be an object")]
