"""What ``auto`` means for the cache is one answer, for memory and for speed, on every accelerator."""

from __future__ import annotations

import pytest

from agentgpu_iac.calculators.calculator import PREDICT, SIZE
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing.kv_cache import value_bytes

CATALOG = load_catalog()


@pytest.mark.parametrize("engine", ["vllm", "tensorrt-llm"])
@pytest.mark.parametrize("card", ["h100-sxm", "b200-sxm"])
def test_auto_is_16_bit_for_predict_as_for_size(card, engine):
    """predict took 8 bit for FP8 models on Blackwell and in TensorRT-LLM, where size and the planner count 16."""
    model = {"model": "meta-llama/Llama-3.1-8B-Instruct", "accelerator": card, "precision": "fp8", "engine": engine}
    load = {"input-tokens": 20_000, "output-tokens": 200, "concurrency": 16}
    auto, wide, narrow = (
        PREDICT.answer({**model, **load, "kv-cache-dtype": one}, CATALOG) for one in ("auto", "bf16", "fp8")
    )
    assert auto["tpotMs"] == wide["tpotMs"] > narrow["tpotMs"]
    sizes = [
        SIZE.answer({**model, "kv-cache-dtype": one}, CATALOG)["kvBytesPerToken"] for one in ("auto", "bf16", "fp8")
    ]
    assert sizes == [131_072, 131_072, 65_536]
    asks = any("kv-cache-dtype auto is 16 bit" in one for one in auto["warnings"])
    assert asks is (engine == "tensorrt-llm" or card == "b200-sxm")


def test_a_run_in_32_bit_has_a_cache_of_32():
    assert [value_bytes(one, 4) for one in ("auto", "bf16", "fp8")] == [4, 4, 1]
