"""What vLLM's profiling run holds by release and runner: logits, pictures, experts; and what a cold start leaves less."""

from __future__ import annotations

from typing import Any

import pytest

from agentgpu_iac.catalog.model import LayerCounts
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing.activation import ExpertRun, feed_forward_gib
from agentgpu_iac.sizing.encoders import encoder_of
from agentgpu_iac.sizing.memory import with_reserve
from agentgpu_iac.sizing.outside_torch import cold_start_gib
from agentgpu_iac.sizing.replica import MemoryTerms, Replica, memory_terms
from agentgpu_iac.sizing.runner import counts_graphs, runs_second, samples_in_16_bit
from tests.sizing.rows import make_model, make_moe

CATALOG = load_catalog()
QWEN = make_model(architecture="qwen3")
HYBRID = make_model(architecture="qwen3_5", layers=LayerCounts(full=8, recurrent=24))


def terms(model: str, card: str, version: str, **changes: Any) -> MemoryTerms:
    fields: dict[str, Any] = dict(
        model=CATALOG.model(model),
        accelerator=CATALOG.accelerator(card),
        accounted_as=version,
        precision="bf16",
        kv_dtype="auto",
        tensor_parallel=1,
        pipeline_parallel=1,
        max_num_batched_tokens=8192,
    )
    return memory_terms(Replica(**{**fields, **changes}), 8192)


@pytest.mark.parametrize(
    ("version", "served"),
    [
        ("0.20.2", ""),
        ("0.22.0", "qwen"),
        ("0.23.0", "qwen llama"),
        ("0.24.0", "qwen quantised llama"),
        ("0.25.0", "qwen quantised llama other"),
        ("0.28.0", "qwen quantised llama other"),
        ("0.29.0", "qwen quantised llama other experts recurrent"),
    ],
)
def test_who_is_served_by_the_second_runner(version: str, served: str) -> None:
    asked = {
        "qwen": (QWEN, "bf16"),
        "quantised": (QWEN, "int4"),
        "llama": (make_model(), "bf16"),
        "other": (make_model(architecture="gemma2"), "bf16"),
        "experts": (make_moe(architecture="mixtral"), "bf16"),
        "recurrent": (HYBRID, "bf16"),
    }
    assert [name for name, case in asked.items() if runs_second(version, *case)] == served.split()


def test_its_estimate_of_graphs_came_later() -> None:
    told = [counts_graphs(version, QWEN, "bf16") for version in ("0.20.0", "0.22.0", "0.28.0", "0.29.0")]
    assert told == [True, False, False, True]
    assert counts_graphs("0.28.0", HYBRID, "bf16")


def test_its_sampler_makes_no_32_bit_logits_before_0_33() -> None:
    """Qwen3-32B on H100, 0.26: 71.26 - 61.03 GiB weights - 8.52 KV cache = 1.71, the layer's end and the context."""
    assert samples_in_16_bit("0.26.0", QWEN, "bf16")
    assert not samples_in_16_bit("0.33.0", QWEN, "bf16")
    found = terms("Qwen/Qwen3-32B", "h100-sxm", "0.26.0")
    assert found.activation_gib(1024) + found.non_torch_gib == pytest.approx(1.71, rel=0.03)
    assert terms("Qwen/Qwen3-32B", "h100-sxm", "0.19.0").activation_gib(1024) > found.activation_gib(1024)


class TestPictures:
    def test_one_of_the_largest_at_least(self) -> None:
        """Qwen3.5-35B on A100 (0.19): 1.96 to 2.00 GiB of overhead on three rows."""
        found = terms("Qwen/Qwen3.5-35B-A3B", "a100-80gb-pcie", "0.19.0", max_num_batched_tokens=2048)
        assert found.activation_gib(256) + found.non_torch_gib == pytest.approx(1.98, rel=0.05)

    def test_as_many_as_the_batch_holds(self) -> None:
        """Qwen3.6-35B on four A100 (0.27, eager, a full compile cache): 4.00 GiB with 32,768 batched tokens."""
        found = terms(
            "Qwen/Qwen3.6-35B-A3B", "a100-40gb-pcie", "0.27.0", tensor_parallel=4, max_num_batched_tokens=32_768
        )
        assert found.activation_gib(256) + found.non_torch_gib == pytest.approx(4.0, rel=0.1)
        one, two = (
            terms("Qwen/Qwen3.6-35B-A3B", "a100-40gb-pcie", "0.27.0", tensor_parallel=4, max_num_batched_tokens=batched)
            for batched in (16_384, 32_768)
        )
        assert two.activation_gib(2) == pytest.approx(2 * one.activation_gib(2))

    def test_their_embeddings_are_held_for_the_whole_budget_by_old_releases(self) -> None:
        encoder = encoder_of(
            make_model(architecture="qwen3_vl_moe", hidden_size=2048, experts=128, experts_per_token=8)
        )
        assert encoder is not None
        assert encoder.held_tokens("0.11.0", 2048) == 153_600 * 4
        assert encoder.held_tokens("0.12.0", 2048) == encoder.held_tokens("0.10.2", 2048) == 16_384 * 4

    @pytest.mark.parametrize(
        ("changes", "width"),
        [
            ({"architecture": "llama"}, None),
            ({"architecture": "gemma3_text", "hidden_size": 1152}, None),
            ({"architecture": "gemma3_text", "hidden_size": 5376}, 1152),
            ({"architecture": "qwen3_vl", "hidden_size": 2560}, 1024),
            ({"architecture": "qwen3_5", "hidden_size": 1024}, 768),
            ({"architecture": "qwen3_5_moe", "hidden_size": 2048, "experts": 256, "experts_per_token": 8}, 1152),
        ],
    )
    def test_whose_tower(self, changes: dict[str, Any], width: int | None) -> None:
        encoder = encoder_of(make_model(**changes))
        assert (None if encoder is None else encoder.hidden_size) == width

    def test_an_engine_that_is_told_not_to_read_them_holds_none(self) -> None:
        plain = terms("Qwen/Qwen3.5-35B-A3B", "a100-80gb-pcie", "0.19.0", reads_pictures=False)
        reads = terms("Qwen/Qwen3.5-35B-A3B", "a100-80gb-pcie", "0.19.0")
        assert plain.activation_gib(1) == pytest.approx(1.34, rel=0.01)
        assert reads.activation_gib(1) == pytest.approx(1.75 + 16_384 * 2048 * 2 / 2**30, rel=0.01)

    def test_ranks_share_a_tower_that_the_engine_divides(self) -> None:
        """Qwen3.8-27B in FP8 on two RTX 5090 (0.27, club-3090 issue 1087): 1.59 GiB of peak activation; 1.91 undivided."""
        one, two = (
            terms("Qwen/Qwen3.8-27B", "rtx-5090", "0.27.0", precision="fp8", tensor_parallel=ranks).activation_gib(2)
            for ranks in (1, 2)
        )
        assert one == pytest.approx(1.91, rel=0.01)
        assert two == pytest.approx(1.59, rel=0.15)

    def test_ranks_do_not_share_the_tower_of_transformers(self) -> None:
        encoder = encoder_of(make_model(architecture="gemma4", hidden_size=5376))
        assert encoder is not None
        assert encoder.profiled_bytes(8192, 8) == encoder.profiled_bytes(8192)


class TestExperts:
    NAME = "Qwen/Qwen3-235B-A22B-Instruct-2507"

    @pytest.mark.parametrize(("batched", "beside_weights_and_cache_gib"), [(65_536, 13.48), (32_768, 8.64)])
    def test_whole_experts_on_each_rank(self, batched: int, beside_weights_and_cache_gib: float) -> None:
        """Four H100 with expert parallelism, 0.20, FP8: 128 seats."""
        found = terms(
            self.NAME,
            "h100-sxm",
            "0.20.0",
            tensor_parallel=4,
            expert_parallel=4,
            precision="fp8",
            max_num_batched_tokens=batched,
        )
        assert found.overhead_gib(128) == pytest.approx(beside_weights_and_cache_gib, abs=1.3)

    def test_a_rank_of_whole_experts_holds_more(self) -> None:
        split, whole = (
            terms(self.NAME, "h100-sxm", "0.20.0", tensor_parallel=4, expert_parallel=dealt, precision="fp8")
            for dealt in (1, 4)
        )
        assert whole.activation_gib(1) > 1.1 * split.activation_gib(1)

    def test_8_bit_kernels_hold_what_they_read_twice(self) -> None:
        plain, eight = (
            terms(self.NAME, "h100-sxm", "0.20.0", tensor_parallel=8, precision=how) for how in ("bf16", "fp8")
        )
        model = CATALOG.model(self.NAME)
        more = 8192 * (model.hidden_size + 8 * (model.moe_intermediate_size or 0) / 8) / 2**30
        assert eight.activation.feed_forward_gib - plain.activation.feed_forward_gib == pytest.approx(more)


def test_latent_attention_has_room_for_the_context_of_64k_tokens_in_the_heads_of_a_rank() -> None:
    """vLLM profiles with what ``kv_b_proj`` makes of its whole workspace: 65,536 rows x 128 heads x (128 + 128) x 2 B."""
    whole, eighth = (
        feed_forward_gib(
            CATALOG.model("deepseek-ai/DeepSeek-V3"), "0.33.0", ranks, 2048, experts=ExpertRun(groups=1, split=8)
        )
        for ranks in (1, 8)
    )
    assert 0.875 * 4.0 <= whole - eighth < 4.0


class TestColdStarts:
    def test_by_release_and_kind(self) -> None:
        assert [cold_start_gib(make_model(), version) for version in ("0.26.0", "0.27.0", "0.33.0")] == [
            0.0,
            1.13,
            1.13,
        ]
        assert cold_start_gib(make_moe(), "0.27.0") == cold_start_gib(HYBRID, "0.33.0") == 2.15

    def test_the_planned_case_is_a_cold_one(self) -> None:
        cold, warm = (terms("Qwen/Qwen3-8B", "l4", "0.33.0", cold_start=cold) for cold in (True, False))
        assert cold.need_gib(8) == warm.need_gib(8)
        release = CATALOG.release("vllm", "0.33.0")
        least = [with_reserve(one, 0.0, "vllm", release).reserve_ratio for one in (cold, warm)]
        assert (least[0] - least[1]) * cold.capacity.capacity_gib == pytest.approx(1.13, abs=0.05)
