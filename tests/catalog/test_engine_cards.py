"""What an engine runs on some cards only: each row turns a model of the catalog away on one card, and not on another."""

from __future__ import annotations

import pytest

from agentgpu_iac.calculators.calculator import SIZE
from agentgpu_iac.catalog.engine_cards import CardLimit, lack_on_card
from agentgpu_iac.catalog.store import load_catalog

CATALOG = load_catalog()


def answered(model: str, accelerator: str, **more: object) -> dict[str, object]:
    question = {"model": model, "accelerator": accelerator, "max-model-len": 4096, **more}
    return SIZE.answer(question, CATALOG).get("rejection", {})


@pytest.mark.parametrize("row", CATALOG.card_limits("vllm"), ids=lambda row: row.id)
def test_every_row_turns_a_model_of_the_catalog_away_on_one_card_and_not_on_another(row: CardLimit) -> None:
    version, dtype = row.last_version or "0.33.0", row.kv_cache_dtype or "auto"
    held = {
        (model.id, card.id): row.holds(version, model, dtype, card.compute_capability)
        for model in CATALOG.models
        for card in CATALOG.accelerators
    }
    turned_away = {model for (model, _), holds in held.items() if holds}
    assert turned_away
    assert all(any(not held[model, card.id] for card in CATALOG.accelerators) for model in turned_away)


@pytest.mark.parametrize(
    ("model", "card", "runs_on"),
    [
        ("openai/gpt-oss-20b", "a100-80gb-sxm", "l40s"),
        ("openai/gpt-oss-20b", "rtx-3090", "h100-sxm"),
        ("deepseek-ai/DeepSeek-V2-Lite-Chat", "a100-80gb-sxm", "l40s"),
        ("google/gemma-3-27b-it", "a100-80gb-sxm", "h100-sxm"),
        ("MiniMaxAI/MiniMax-M3", "a100-80gb-sxm", "h100-sxm"),
    ],
)
def test_an_8_bit_cache_that_a_card_cannot_read_is_refused(model: str, card: str, runs_on: str) -> None:
    """The engine would load the weights and end; 16 bit run on the same card."""
    found = answered(model, card, **{"kv-cache-dtype": "fp8"})
    assert found["constraint"] == "engine-feature"
    assert "8-bit KV cache" in str(found["message"])
    assert answered(model, card).get("constraint") != "engine-feature"
    assert answered(model, runs_on, **{"kv-cache-dtype": "fp8"}).get("constraint") != "engine-feature"


def test_heads_that_a_kernel_of_the_card_reads_keep_their_8_bit_cache() -> None:
    assert "rejection" not in SIZE.answer(
        {"model": "Qwen/Qwen3-8B", "accelerator": "a100-80gb-sxm", "kv-cache-dtype": "fp8"}, CATALOG
    )


def test_pictures_that_are_switched_off_stand_in_no_ones_way() -> None:
    told = answered("google/gemma-3-27b-it", "a100-80gb-sxm", **{"kv-cache-dtype": "fp8", "text-only": True})
    assert told.get("constraint") != "engine-feature"


@pytest.mark.parametrize("model", ["deepseek-ai/DeepSeek-V3.2", "zai-org/GLM-5.1"])
@pytest.mark.parametrize("card", ["a100-80gb-sxm", "l40s"])
def test_sparse_attention_needs_hopper_or_newer(model: str, card: str) -> None:
    found = answered(model, card, count=8)
    assert found["constraint"] == "engine-feature"
    assert "9.0 and newer" in str(found["message"])
    assert answered(model, "h200-sxm", count=8).get("constraint") != "engine-feature"


def test_sparse_attention_came_to_workstation_blackwell_with_a_release() -> None:
    model, card = CATALOG.model("deepseek-ai/DeepSeek-V3.2"), CATALOG.accelerator("rtx-pro-6000-blackwell-server")
    assert lack_on_card(CATALOG.card_limits("vllm"), "vllm", "0.13.0", model, "auto", card)
    assert lack_on_card(CATALOG.card_limits("vllm"), "vllm", "0.33.0", model, "auto", card) is None
