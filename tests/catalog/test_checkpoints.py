"""Published checkpoints, by their own files: bits of each part, bytes against public indexes and logs, refusals by version.

The files are cut to what is read: of names that differ by the number of the expert alone the first is kept.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from agentgpu_iac.calculators.calculator import SIZE
from agentgpu_iac.catalog.checkpoint import cache_dtype, lack_of_method
from agentgpu_iac.catalog.model import CheckpointCache, Model
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing.kv_cache import kv_bytes_per_token
from agentgpu_iac.sizing.weights import (
    is_assumed,
    part_bytes,
    parts,
    possible_parts,
    read_bytes,
    stored_bits,
    weight_bytes,
    weights_gib_per_accelerator,
    weights_spread,
)
from agentgpu_iac.units import GIB

CATALOG = load_catalog(base_directory=Path(__file__).parent / "checkpoints")
FIELD = load_catalog(base_directory=Path(__file__).parents[1] / "field" / "configs")


def read(name: str) -> Model:
    return CATALOG.model(f"{name}/config.json")


def bits(model: Model) -> dict[str, float]:
    """Bits of a weight of each part, on average."""
    stored: defaultdict[str, float] = defaultdict(float)
    count: defaultdict[str, int] = defaultdict(int)
    for part in model.modules:
        stored[part.kind] += part.parameters * stored_bits(part)
        count[part.kind] += part.parameters
    return {kind: stored[kind] / count[kind] for kind in count}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # The output projection is 63 % of this attention, and the one matrix of it that is quantised.
        ("deepseek-v3.1-nvfp4", {"attention": 16 - 0.6277 * 11.5, "shared_experts": 4.5, "routed_experts": 4.5}),
        ("gemma-4-26b-nvfp4", {"attention": 16, "shared_experts": 16, "routed_experts": 4.5, "tower": 16}),
        ("glm-5.2-nvfp4", {"attention": 16, "shared_experts": 16, "feed_forward": 16, "routed_experts": 4.5}),
        ("gpt-oss-120b", {"attention": 16, "routed_experts": 4.25, "output_head": 16}),
        ("kimi-k2.5-int4", {"attention": 16, "feed_forward": 16, "shared_experts": 16, "routed_experts": 4.5}),
        ("kimi-k2.6-nvfp4", {"attention": 16, "feed_forward": 16, "shared_experts": 16, "routed_experts": 4.5}),
        ("llama-3.3-70b-fp8-dynamic", {"attention": 8, "feed_forward": 8, "output_head": 16}),
        ("minimax-m2.7-fp8", {"attention": 8.002, "routed_experts": 8.002, "router": 16, "output_head": 16}),
        ("minimax-m2.7-nvfp4", {"attention": 16, "routed_experts": 4.5, "router": 16}),
        # 6 of the 23 recurrent layers stay.
        ("nemotron-3-nano-nvfp4", {"attention": 16, "recurrent": (6 * 16 + 17 * 4.5) / 23, "routed_experts": 4.5}),
        ("nemotron-3.5-lightning-nvfp4", {"attention": 16, "recurrent": 8, "routed_experts": 4.5, "output_head": 4.5}),
        ("qwen2.5-7b-awq", {"attention": 4 + 20 / 128, "feed_forward": 4 + 20 / 128, "output_head": 16}),
        ("qwen3-235b-fp8", {"attention": 8.002, "routed_experts": 8.002, "router": 16, "output_head": 16}),
        ("qwen3-235b-nvfp4", {"attention": 4.5, "routed_experts": 4.5, "router": 16, "output_head": 16}),
        ("qwen3-32b-fp8-static", {"attention": 8, "feed_forward": 8, "output_head": 16}),
        ("qwen3.5-122b-nvfp4", {"attention": 16, "recurrent": 16, "shared_experts": 16, "routed_experts": 4.5}),
        ("qwen3.6-27b-nvfp4-all", {"attention": 4.5, "recurrent": 4.5, "feed_forward": 4.5, "output_head": 16}),
        ("qwen3.6-35b-nvfp4", {"attention": 8, "shared_experts": 4.5, "routed_experts": 4.5, "output_head": 4.5}),
    ],
)
def test_each_part_has_its_bits(name, expected):
    model = read(name)
    found = bits(model)
    assert {kind: found[kind] for kind in expected} == pytest.approx(expected, abs=0.01)
    assert found["embedding"] == 16
    assert not model.unclear


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("gpt-oss-120b", 65_248_815_744),  # sizes of the repositories' weight files: models.json
        ("gpt-oss-20b", 13_761_264_768),
        ("kimi-k2.5-int4", 595_196_567_880),
        ("minimax-m2.7-fp8", 230_145_822_556),
    ],
)
def test_bytes_on_disk(name, stored):
    model = read(name)
    assert weight_bytes(model, model.native_precision) == pytest.approx(stored, rel=0.002)


@pytest.mark.parametrize(
    ("name", "tensor", "capability", "logged_gib"),
    [
        ("gpt-oss-120b", 1, "9.0", 64.38),  # bench/data/kv_memory.json
        ("gpt-oss-120b", 1, "8.0", 65.97),
        ("gpt-oss-120b", 4, "8.0", 17.22),
        ("kimi-k2.5-int4", 8, "9.0", 72.02),
        ("glm-5.2-nvfp4", 4, "10.0", 106.69),
        ("llama-3.3-70b-fp8-dynamic", 1, "9.0", 67.72),
        ("llama-3.3-70b-fp8-dynamic", 2, "9.0", 33.88),
        ("llama-3.3-70b-fp8-dynamic", 4, "9.0", 16.96),
        ("qwen2.5-7b-awq", 1, "8.9", 5.29),
        ("qwen3-235b-fp8", 8, "8.9", 27.72),
        ("qwen3-235b-fp8", 4, "9.0", 55.22),
    ],
)
def test_weights_in_start_up_logs(name, tensor, capability, logged_gib):
    model = read(name)
    found = weights_gib_per_accelerator(model, model.native_precision, tensor, 1, compute_capability=capability)
    assert found == pytest.approx(logged_gib, rel=0.02)


def test_a_partly_quantised_model_is_read_partly_quantised():
    """vllm-project/vllm issue 40291: 29.3 GiB of text weights, 30.4 with the tower, which the config beside leaves out."""
    model = FIELD.model("br-10.json")
    assert weight_bytes(model, "nvfp4") / GIB == pytest.approx(30.4, rel=0.01)
    experts, rest = read_bytes(model, parts(model, "nvfp4"))
    assert experts == 0
    tower = 2 * sum(each.parameters for each in model.towers)
    assert rest == pytest.approx(weight_bytes(model, "nvfp4") - tower), "tied embeddings are read as the output head"


class TestCache:
    """The number format of the KV cache under ``auto``."""

    @pytest.mark.parametrize(
        ("engine", "version", "method", "heeded"),
        [
            ("vllm", "0.13.0", "modelopt", False),
            ("vllm", "0.14.0", "modelopt", True),
            ("vllm", "0.14.0", "compressed-tensors", False),
            ("vllm", "0.15.0", "compressed-tensors", True),
            ("vllm", "0.33.0", "quark", False),
            ("sglang", "0.5.1", "modelopt", False),
            ("sglang", "0.5.23", "modelopt", True),
            ("sglang", "0.5.18", "compressed-tensors", False),
            ("sglang", "0.5.19", "compressed-tensors", True),
        ],
    )
    def test_versions_heed_it_from_some_release_on(self, engine, version, method, heeded):
        model = read("qwen3-32b-fp8-static").model_copy(
            update={"checkpoint_cache": CheckpointCache(precision="fp8", method=method)}
        )
        found = cache_dtype("auto", model, "fp8", lambda option: CATALOG.engine_can(engine, version, option))
        assert found == ("fp8" if heeded else "auto")

    def test_what_is_asked_for_counts_before_what_the_checkpoint_asks(self):
        model = read("qwen3-32b-fp8-static")
        assert cache_dtype("bf16", model, "fp8", lambda _: True) == "bf16"
        assert cache_dtype("auto", model, "bf16", lambda _: True) == "auto", "of another checkpoint"

    def test_compressed_attention_of_vllm_looks_at_modelopt_alone(self):
        latent = read("kimi-k2.6-nvfp4")
        asks = latent.model_copy(
            update={"checkpoint_cache": CheckpointCache(precision="fp8", method="compressed-tensors")}
        )
        found = [
            cache_dtype("auto", model, "nvfp4", lambda option: CATALOG.engine_can("vllm", "0.33.0", option))
            for model in (latent, asks)
        ]
        assert found == ["fp8", "auto"]

    @pytest.mark.parametrize(("version", "width"), [("0.33.0", 1), ("0.12.0", 2)])
    def test_size_counts_it(self, version, width):
        question = {"model": "qwen3-32b-fp8-static/config.json", "accelerator": "h100-sxm", "max-model-len": 8192}
        answer = SIZE.answer({**question, "engine-version": version}, CATALOG)
        assert answer["kvBytesPerToken"] == 64 * 2 * 8 * 128 * width
        assert any("keeps its KV cache in fp8" in one for one in answer["warnings"]) is (width == 1)
        assert kv_bytes_per_token(read("qwen3-32b-fp8-static"), "bf16", 1, 1) == 64 * 2 * 8 * 128 * 2


class TestVersions:
    """Which releases run which method."""

    @pytest.mark.parametrize(
        ("engine", "version", "method", "words"),
        [
            ("vllm", "0.33.0", "bitsandbytes", "any more; 0.27.0 and older do"),
            ("vllm", "0.33.0", "hqq", "any more; 0.13.0 and older do"),
            ("vllm", "0.16.0", "modelopt-mixed", "0.17.0 and newer do"),
            ("vllm", "0.19.0", "fp8-fp4-experts", "0.20.0 and newer do"),
            ("vllm", "0.22.0", "compressed-tensors-24", "any more; 0.20.0 and older do"),
            ("vllm", "0.33.0", "w4afp8", "no release read does"),
            ("sglang", "0.5.23", "hqq", "no release read does"),
            ("sglang", "0.5.9", "modelopt-mixed", "0.5.10 and newer do"),
            ("sglang", "0.5.23", "fbgemm_fp8", "any more; 0.5.15 and older do"),
        ],
    )
    def test_the_others_are_refused_with_those_that_do(self, engine, version, method, words):
        model = read("qwen3-32b-fp8-static").model_copy(update={"quantisation": method})
        lack = lack_of_method(CATALOG.quantisation_methods, engine, version, model, "fp8")
        assert lack is not None
        assert words in lack.message

    @pytest.mark.parametrize(
        ("engine", "version", "method"),
        [
            ("vllm", "0.27.0", "bitsandbytes"),
            ("vllm", "0.27.1", "bitsandbytes"),  # between two releases that were read: not known
            ("vllm", "0.17.0", "modelopt-mixed"),
            ("tensorrt-llm", "1.2", "awq"),  # none of its releases was read
            ("sglang", "0.5.23", "bitsandbytes"),
        ],
    )
    def test_no_more_is_refused_than_is_known(self, engine, version, method):
        model = read("qwen3-32b-fp8-static").model_copy(update={"quantisation": method})
        assert lack_of_method(CATALOG.quantisation_methods, engine, version, model, "fp8") is None

    def test_another_precision_is_another_checkpoint(self):
        model = read("qwen3-32b-fp8-static").model_copy(update={"quantisation": "hqq"})
        assert lack_of_method(CATALOG.quantisation_methods, "vllm", "0.33.0", model, "bf16") is None

    def test_size_refuses_them(self):
        question = {"model": "br-33.json", "accelerator": "b200-sxm", "engine-version": "0.16.0", "max-model-len": 8192}
        answer = SIZE.answer(question, FIELD)
        assert answer["rejection"]["constraint"] == "engine-version"


class TestRepacks:
    """A precision without a checkpoint is planned as the known ones of its family are."""

    @pytest.mark.parametrize(
        ("model", "precision", "name", "kept"),
        [
            ("Qwen/Qwen3.6-27B", "nvfp4", "nvidia/Qwen3.6-27B-NVFP4", {"attention": "fp8", "recurrent": "fp8"}),
            ("Qwen/Qwen3.5-122B-A10B", "nvfp4", "nvidia/Qwen3.5-397B-A17B-NVFP4", {"recurrent": "bf16"}),
            ("google/gemma-4-31B-it", "nvfp4", "nvidia/Gemma-4-31B-IT-NVFP4", {"attention": "bf16"}),
            ("zai-org/GLM-5", "nvfp4", "nvidia/GLM-5.2-NVFP4", {"shared_experts": "bf16"}),
            ("Qwen/Qwen3-14B", "nvfp4", "nvidia/Llama-3.1-70B-Instruct-NVFP4", {"attention": "nvfp4"}),
        ],
    )
    def test_of_the_nearest_family(self, model, precision, name, kept):
        row = CATALOG.model(model)
        (planned,) = (each for each in row.repacks if each.precision == precision and each.is_planned)
        assert planned.name == name
        found = {part.kind: part.precision for part in parts(row, precision)}
        assert {kind: found[kind] for kind in kept} == kept

    def test_the_band_holds_the_others(self):
        """Qwen3.6-27B in NVFP4: 18.3 GiB where all is quantised, 25.8 where the recurrent layers are not."""
        model = CATALOG.model("Qwen/Qwen3.6-27B")
        sizes = [sum(part_bytes(model, part) for part in each) / GIB for each in possible_parts(model, "nvfp4")]
        assert sizes[0] * (1 + weights_spread(model, "nvfp4")) == pytest.approx(max(sizes))
        assert min(sizes) < sizes[0] < max(sizes)

    def test_an_unknown_family_has_the_widest(self):
        model = CATALOG.model("Qwen/Qwen3.6-27B").model_copy(update={"repacks": ()})
        planned, heaviest = possible_parts(model, "nvfp4")
        kept = {part.kind for part in heaviest if part.precision == "bf16"}
        assert {"attention", "recurrent"} <= kept
        assert {part.precision for part in planned if part.kind in ("attention", "recurrent")} == {"nvfp4"}

    @pytest.mark.parametrize(("model", "precision"), [("Qwen/Qwen3-14B", "bf16"), ("Qwen/Qwen3-14B", "fp8")])
    def test_the_models_own_and_what_engines_make_at_load_is_not_assumed(self, model, precision):
        row = CATALOG.model(model)
        assert not is_assumed(row, precision)
        assert weights_spread(row, precision) == 0

    def test_the_answer_says_what_was_taken_and_what_others_weigh(self):
        question = {"model": "Qwen/Qwen3.6-27B", "accelerator": "b200-sxm", "max-model-len": 8192, "max-num-seqs": 16}
        assumed, own = (SIZE.answer({**question, **more}, CATALOG) for more in ({"precision": "nvfp4"}, {}))
        (sentence,) = (one for one in assumed["warnings"] if "checkpoints of it differ" in one)
        assert "nvidia/Qwen3.6-27B-NVFP4" in sentence
        assert "18.4 to 25.8 GiB" in sentence
        assert assumed["errorRatio"] > own["errorRatio"]
