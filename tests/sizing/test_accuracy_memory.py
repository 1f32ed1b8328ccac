"""The bars of the memory model on measured start-ups, in sample and with each model family left out."""

from __future__ import annotations

import pytest

from bench import accuracy_memory as accuracy

EVERY, SKIPPED = accuracy.starts()
STARTS = tuple(start for start in EVERY if start.reliability == "high")
IN_SAMPLE = tuple(accuracy.errors(start) for start in STARTS)
LEFT_OUT = tuple(accuracy.left_out(STARTS))
BY_SOURCE = tuple(accuracy.left_out(STARTS, lambda start: start.source))
BY_CARD = tuple(accuracy.left_out(STARTS, lambda start: start.config.accelerator.id))


@pytest.mark.parametrize(
    "found", [IN_SAMPLE, LEFT_OUT, BY_SOURCE, BY_CARD], ids=["in sample", "families out", "sources out", "cards out"]
)
class TestBars:
    def test_weights(self, found):
        assert accuracy.median(one.weights for one in found) <= 0.015

    def test_kv_gib_of_known_versions(self, found):
        """What is beyond is a start with a full compile cache, counted as one with an empty one."""
        known = [one for one in found if one.start.is_known and one.kv is not None]
        assert accuracy.median(one.kv for one in known) <= 0.02
        assert sum(map(accuracy.within_bar, known)) >= 0.9 * len(known)
        beyond = [one for one in known if not accuracy.within_bar(one)]
        assert all(one.report.terms.cold_start_gib and one.kv < 0 for one in beyond)

    def test_kv_tokens_of_models_with_one_kind_of_layer(self, found):
        assert accuracy.median(one.tokens for one in found) <= 0.02
        assert accuracy.quantile((one.tokens for one in found), 0.9) <= 0.08

    def test_whether_it_fits(self, found):
        """One start with a full compile cache fits, by 12 %, where an empty one would not have."""
        names = [one.start.name for one in found if not one.fits]
        assert names == ["Qwen/Qwen3.8-27B on A100-80GB PCIe, TP 1, PP 1, version 0.28.0"]

    def test_the_stated_error_covers_the_rows(self, found):
        assert accuracy.coverage(found) >= 0.85


@pytest.mark.parametrize(("batched", "seats"), [(16_384, 128), (32_768, 256)])
def test_a_full_compile_cache_is_told_apart(batched, seats):
    """Qwen3.6-35B-A3B on four A100 (0.27): rows that are above the cold figure are at the warm one."""
    found = [
        one
        for one in IN_SAMPLE
        if one.report.terms.cold_start_gib
        and (one.start.config.max_num_batched_tokens, one.start.config.max_num_seqs) == (batched, seats)
    ]
    assert found
    for one in found:
        measured, cold = one.start.measured("kv_gib"), one.report.kv_cache_gib
        assert min(abs(measured - cold), abs(measured - cold - one.report.terms.cold_start_gib)) <= 0.5


def test_rows_of_less_reliability_are_predicted_too():
    found = [accuracy.errors(start) for start in EVERY if start.reliability == "medium"]
    assert len(found) >= 5
    assert accuracy.median(one.kv for one in found) <= 0.05


def test_the_stated_error_is_not_bought_with_wide_bands():
    stated = sorted(one.report.error_ratio for one in IN_SAMPLE)
    assert stated[len(stated) // 2] <= 0.05


def test_no_row_is_left_out_silently():
    assert len(EVERY) + len(SKIPPED) == 96 + 35
    assert len(EVERY) >= 80
    assert {one.reason.split(" ")[0] for one in SKIPPED} == {
        "the",
        "model",
        "accelerator",
        "engine",
        "another",
        "neither",
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
