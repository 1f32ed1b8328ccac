"""The bars of the memory model on measured start-ups, in sample and with each model family left out."""

from __future__ import annotations

import pytest

from bench import accuracy_memory as accuracy

STARTS, SKIPPED = accuracy.starts()
IN_SAMPLE = tuple(accuracy.errors(start) for start in STARTS)
LEFT_OUT = tuple(accuracy.left_out(STARTS))


@pytest.mark.parametrize("found", [IN_SAMPLE, LEFT_OUT], ids=["in sample", "left out"])
class TestBars:
    def test_weights(self, found):
        assert accuracy.median(one.weights for one in found) <= 0.015

    def test_kv_gib(self, found):
        assert accuracy.median(one.kv for one in found) <= 0.02
        assert accuracy.quantile((one.kv for one in found), 0.9) <= 0.08

    def test_kv_tokens_of_models_with_one_kind_of_layer(self, found):
        assert accuracy.median(one.tokens for one in found) <= 0.02
        assert accuracy.quantile((one.tokens for one in found), 0.9) <= 0.08

    def test_whether_it_fits(self, found):
        assert [one.start.name for one in found if not one.fits] == []

    def test_the_stated_error_covers_the_rows(self, found):
        assert accuracy.coverage(found) >= 0.85


def test_the_stated_error_is_not_bought_with_wide_bands():
    stated = sorted(one.report.error_ratio for one in IN_SAMPLE)
    assert stated[len(stated) // 2] <= 0.05


def test_no_row_is_left_out_silently():
    assert len(STARTS) + len(SKIPPED) == 96
    assert len(STARTS) >= 45
    assert {one.reason.split(" ")[0] for one in SKIPPED} == {
        "reliability",
        "gpu-memory-utilization",
        "model",
        "accelerator",
    }


def test_shipped_constants_are_what_the_rows_say():
    found = accuracy.fit(STARTS)
    assert accuracy.memory.logits_copies("0.11.0") == pytest.approx(found["_LOGITS_COPIES_BEFORE"], rel=0.01)
    assert accuracy.memory.logits_copies("0.33.0") == pytest.approx(found["_LOGITS_COPIES_SINCE"], rel=0.01)


@pytest.mark.parametrize(
    ("model", "version", "tensor", "activation_gib", "weights_gib"),
    [
        ("openai/gpt-oss-20b", "0.19.0", 1, 2.87, 13.6),
        ("openai/gpt-oss-120b", "0.15.0", 1, 7.38, 64.38),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "0.19.0", 2, 1.21, None),
        ("deepseek-ai/DeepSeek-V2-Lite-Chat", "0.19.0", 1, 1.93, None),
        ("microsoft/phi-4", "0.19.0", 1, 1.52, None),
        ("Qwen/Qwen2.5-72B-Instruct", "0.19.0", 4, 2.29, None),
    ],
)
def test_figures_that_no_constant_was_found_from(model, version, tensor, activation_gib, weights_gib):
    """Further H100 logs of which only the activation peak, or only the weights, were published."""
    catalog = accuracy.load_catalog()
    row = {
        "model": model,
        "gpu": "H100-80GB",
        "tp": tensor,
        "vllm_version": version,
        "reliability": "high",
        "gpu_memory_utilization": 0.95,
        "max_model_len": 8192,
    }
    start = accuracy._joined(row, {}, catalog)
    assert isinstance(start, accuracy.Start)
    report = accuracy.memory.engine_memory(start.config)
    assert report.activation_gib == pytest.approx(activation_gib, rel=0.06)
    if weights_gib is not None:
        assert report.weights_gib == pytest.approx(weights_gib, rel=0.015)
