"""A start-up log and a benchmark held against the prediction, and the planner using the difference."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agentgpu_iac.calculators.calculator import SIZE
from agentgpu_iac.calculators.measured_runs import calibrate
from agentgpu_iac.catalog.model import Calibration
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.review.explain import explain
from agentgpu_iac.review.measured_view import overlay_text
from agentgpu_iac.spec.loader import load_text

CATALOG = load_catalog()

LOG = """\
INFO 11-01 10:00:00 [api_server.py:1800] vLLM API server version 0.19.0
INFO 11-01 10:00:01 [utils.py:300] non-default args: {'model': 'meta-llama/Llama-3.1-8B-Instruct', 'max_model_len': 8192, 'gpu_memory_utilization': 0.95}
INFO 11-01 10:00:05 [core.py:80] Initializing a V1 LLM engine (v0.19.0) with config: model='meta-llama/Llama-3.1-8B-Instruct', max_seq_len=8192, tensor_parallel_size=1, pipeline_parallel_size=1, enforce_eager=False
INFO 11-01 10:00:30 [gpu_model_runner.py:2400] Model loading took 14.99 GiB and 4.2 seconds
INFO 11-01 10:01:00 [gpu_worker.py:300] Available KV cache memory: 58.11 GiB
INFO 11-01 10:01:01 [kv_cache_utils.py:900] GPU KV cache size: 476,032 tokens
"""  # noqa: E501 - the figures of a measured run (Llama-3.1-8B, vLLM 0.19, H100), in the engine's own lines

BENCHMARK = {
    "model_id": "Qwen/Qwen3-14B",
    "completed": 200,
    "total_input_tokens": 204_800,
    "total_output_tokens": 51_200,
    "mean_ttft_ms": 310.5,
    "mean_tpot_ms": 24.8,
    "max_concurrency": 32,
}

SPEC = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: demo}
spec:
  accelerators: {allow: [l40s]}
  agents:
    - {name: a, model: Qwen/Qwen3-14B, sessions: {concurrent: 4}, conversation: {thinkTimeS: 0}}
"""


def test_a_log_of_attention_groups_is_held_against_a_rank_of_theirs() -> None:
    """Each group prints a report of its own; sizes are spelled as vLLM 0.32 logs them."""
    sizes = "'tensor_parallel_size': 2, 'data_parallel_size': 4, 'enable_expert_parallel': True, 'data_parallel_size_local': 4, "
    log = LOG.replace("'model': 'meta", f"{sizes}'model': 'meta").replace(
        "tensor_parallel_size=1", "tensor_parallel_size=2"
    )
    log = log.replace("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-235B-A22B-Instruct-2507").replace("14.99", "64.1")
    report = calibrate(log, "vllm.log", {"accelerator": "h200-sxm"}, CATALOG)
    question = {"model": "Qwen/Qwen3-235B-A22B-Instruct-2507", "accelerator": "h200-sxm", "max-model-len": 8192}
    expected = SIZE.answer(
        {**question, "tp": 2, "attention-dp": 4, "ep": 8, "count": 8, "engine-version": "0.19.0"}, CATALOG
    )
    assert report.compared[0].predicted == expected["weightsGib"]
    assert report.compared[0].predicted > SIZE.answer({**question, "tp": 8}, CATALOG)["weightsGib"]


def test_a_log_is_read_with_its_settings() -> None:
    report = calibrate(LOG, "vllm.log", {"accelerator": "h100-sxm"}, CATALOG)
    by_name = {(one.name, one.unit): one for one in report.compared}
    assert by_name["weights", "GiB"].measured == 14.99
    assert by_name["KV cache", "GiB"].measured == 58.11
    assert by_name["KV cache", "tokens"].measured == 476_032
    assert abs(by_name["KV cache", "GiB"].error_ratio) < 0.02
    assert report.calibration.model == "meta-llama/Llama-3.1-8B-Instruct"
    overhead = by_name["overhead", "GiB"]
    assert report.calibration.overhead_ratio == pytest.approx(overhead.measured / overhead.predicted, abs=1e-4)
    assert report.warnings == ()


def test_a_log_says_whether_the_compile_cache_was_full() -> None:
    """vLLM 0.27 and newer have more KV cache then, which is no fault of the overhead."""
    newer = LOG.replace("0.19.0", "0.31.0")
    line = "INFO 11-01 10:00:40 [backends.py:290] Directly load the compiled graph(s) for compile range (1, 8192)\n"
    cold, warm = (calibrate(text, "vllm.log", {"accelerator": "h100-sxm"}, CATALOG) for text in (newer, newer + line))
    assert warm.compared[1].predicted - cold.compared[1].predicted == pytest.approx(1.13, abs=1e-3)


def test_a_log_says_whether_prefixes_were_kept() -> None:
    hybrid = LOG.replace("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3.5-9B").replace("0.19.0", "0.22.0")
    with_it, without = (
        calibrate(f"{hybrid} enable_prefix_caching={said}\n", "vllm.log", {"accelerator": "h100-sxm"}, CATALOG)
        for said in (True, False)
    )
    tokens = {(one.name, one.unit): one.predicted for one in with_it.compared}["KV cache", "tokens"]
    assert {(one.name, one.unit): one.predicted for one in without.compared}["KV cache", "tokens"] > tokens


def test_an_option_wins_over_the_log() -> None:
    smaller = calibrate(LOG, "vllm.log", {"accelerator": "h100-sxm", "gpu-memory-utilization": 0.90}, CATALOG)
    default = calibrate(LOG, "vllm.log", {"accelerator": "h100-sxm"}, CATALOG)
    assert smaller.compared[1].predicted < default.compared[1].predicted


def test_a_benchmark_gives_ratios() -> None:
    report = calibrate(json.dumps(BENCHMARK), "bench.json", {"accelerator": "l40s"}, CATALOG)
    ttft, tpot = report.compared
    assert report.calibration.ttft_ratio == pytest.approx(310.5 / ttft.predicted, rel=1e-3)
    assert report.calibration.tpot_ratio == pytest.approx(24.8 / tpot.predicted, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing of interest", "no start-up report"),
        ("[1, 2]", "no result of vllm bench serve"),
        (json.dumps({**BENCHMARK, "mean_tpot_ms": 0}), "mean_tpot_ms missing"),
        (json.dumps({**BENCHMARK, "mean_ttft_ms": 1e-4}), "a TTFT of 0.0001 ms cannot be: "),
        (json.dumps({**BENCHMARK, "model_id": "no/such"}), "no/such"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        calibrate(text, "run", {"accelerator": "l40s"}, CATALOG)


def test_the_planner_uses_the_overlay(tmp_path) -> None:
    report = calibrate(json.dumps(BENCHMARK), "bench.json", {"accelerator": "l40s"}, CATALOG)
    overlay = tmp_path / "own.yaml"
    overlay.write_text(overlay_text(report))
    own = load_catalog(overlay)
    assert own.calibrations == (report.calibration,)
    before = make_plan(load_text(SPEC, "s"), CATALOG).workloads[0]
    plan = make_plan(load_text(SPEC, "s"), own)
    after = plan.workloads[0]
    assert before.latency.tpot_ms is not None
    assert after.latency.tpot_ms is not None
    if (before.max_num_seqs, before.tensor_parallel_size) == (after.max_num_seqs, after.tensor_parallel_size):
        ratio = report.calibration.tpot_ratio or 1
        assert after.latency.tpot_ms == pytest.approx(before.latency.tpot_ms * ratio, rel=0.01)
    assert "calibrated-by-you" in {one.code for one in plan.warnings}


def test_a_measured_overhead_scales_the_computed_one(tmp_path) -> None:
    overlay = tmp_path / "own.yaml"
    overlay.write_text(
        "apiVersion: agentgpu.dev/v1alpha1\nkind: CatalogOverlay\n"
        "calibrations:\n  - {accelerator: l40s, overheadRatio: 1.5, source: my log}\n"
    )
    plan = make_plan(load_text(SPEC, "s"), load_catalog(overlay))
    found = plan.workloads[0].memory
    parts_gib = found.activation_gib + found.non_torch_gib + found.cuda_graph_gib
    assert found.overhead_gib == pytest.approx(1.5 * parts_gib, abs=1e-3)
    (warning,) = (one.message for one in plan.warnings if one.code == "calibrated-by-you")
    assert "overhead x 1.5, TTFT x 1, TPOT x 1" in warning


def test_sessions_make_room_for_a_greater_overhead() -> None:
    loaded = load_text(SPEC.replace("concurrent: 4", "concurrent: 400"), "s")
    own = replace(CATALOG, calibrations=(Calibration(accelerator="l40s", overhead_ratio=4.0, source="my log"),))
    plain, measured = (make_plan(loaded, catalog).workloads[0] for catalog in (CATALOG, own))
    assert measured.memory.overhead_gib > 3 * plain.memory.overhead_gib
    assert measured.memory.utilization_ratio <= 0.80
    (step,) = (one for one in explain(make_plan(loaded, own), loaded.source) if one.name == "overheadGib")
    assert step.inputs.endswith(") x 4.0")
    assert "my log" in step.source


def test_a_calibration_of_an_unknown_accelerator_is_a_fault(tmp_path) -> None:
    overlay = tmp_path / "own.yaml"
    overlay.write_text(
        "apiVersion: agentgpu.dev/v1alpha1\nkind: CatalogOverlay\n"
        "calibrations:\n  - {accelerator: l40, overheadRatio: 1.5, source: my log}\n"
    )
    with pytest.raises(BadInput, match="there is no accelerator 'l40'"):
        load_catalog(overlay)


@pytest.mark.parametrize("name", ["completed", "total_input_tokens", "mean_ttft_ms"])
def test_a_figure_next_to_nothing_is_no_figure(name: str) -> None:
    text = json.dumps({**BENCHMARK, name: 5e-324})
    with pytest.raises(BadInput, match=f"is no result of vllm bench serve: {name} missing, or no figure above 0"):
        calibrate(text, "bench.json", {"accelerator": "l40s"}, CATALOG)
