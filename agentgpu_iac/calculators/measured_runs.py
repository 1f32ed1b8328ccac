"""A measured run held against our prediction: a vLLM start-up log, or the result file of ``vllm bench serve``.

What is read, what was predicted for the same set-up, and the calibration row that makes the planner use the
difference. Nothing is guessed: a figure that the file does not hold must be given as an option.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentgpu_iac.calculators.calculator import PREDICT, SIZE
from agentgpu_iac.catalog.model import Calibration
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.inputs import NotJsonError, json_of
from agentgpu_iac.units import rounded


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One figure, predicted and measured."""

    name: str
    unit: str
    predicted: float
    measured: float

    @property
    def error_ratio(self) -> float:
        """How far the prediction is off, relative to the measurement."""
        return self.predicted / self.measured - 1 if self.measured else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationReport:
    """Predicted against real, and the overlay row that follows."""

    compared: tuple[Compared, ...]
    calibration: Calibration
    warnings: tuple[str, ...]


_MOST_MEASURED = 10**15
_NUMBER = r"([0-9][0-9,]*(?:\.[0-9]+)?)"
_LOG_FIGURES: Mapping[str, str] = {
    "weights": rf"[Mm]odel (?:loading took|weights take) {_NUMBER} ?Gi?B",
    "kv_cache": rf"[Aa]vailable KV cache memory: {_NUMBER} Gi?B",
    "kv_tokens": rf"GPU KV cache size: {_NUMBER} tokens",
}
_LOG_SETTINGS: Mapping[str, str] = {
    "engine-version": r"vLLM(?: API server)? (?:version|engine \(v)\s*([0-9][0-9.]*)",
    "model": r"(?:\bmodel=|'model': ?)'([^']+)'",
    "tp": r"(?:tensor_parallel_size['\"]?[=:] ?)(\d+)",
    "pp": r"(?:pipeline_parallel_size['\"]?[=:] ?)(\d+)",
    "attention-dp": r"(?:data_parallel_size['\"]?[=:] ?)(\d+)",
    "max-model-len": r"(?:max_seq_len=|max_model_len['\"]?[=:] ?)(\d+)",
    "gpu-memory-utilization": r"gpu_memory_utilization['\"]?[=:] ?([0-9.]+)",
    "max-num-seqs": r"max_num_seqs['\"]?[=:] ?(\d+)",
    "max-num-batched-tokens": r"max_num_batched_tokens['\"]?[=:] ?(\d+)",
}
_WHOLE = frozenset({"tp", "pp", "attention-dp", "max-model-len", "max-num-seqs", "max-num-batched-tokens"})


def calibrate(text: str, source: str, options: Mapping[str, Any], catalog: Catalog) -> CalibrationReport:
    """Hold a measured file against the prediction for the same set-up.

    Args:
        text: Content of a vLLM start-up log, or of a ``vllm bench serve`` result (JSON).
        source: Name of the file, kept in the calibration row.
        options: What the file does not say, and what should be said otherwise, as long options of ``size`` or
            ``predict``; ``accelerator`` is always among them.
        catalog: Where the model and the accelerator are looked up.

    Raises:
        BadInput: the file is neither, lacks a figure, or the case does not fit at all as predicted.
    """
    try:
        result = json_of(text, source)
    except NotJsonError:
        return _from_log(text, source, options, catalog)
    if not isinstance(result, dict):
        raise BadInput.one(source, "is JSON, but no result of vllm bench serve")
    return _from_benchmark(result, source, options, catalog)


def _from_log(text: str, source: str, options: Mapping[str, Any], catalog: Catalog) -> CalibrationReport:
    figures = {name: _figures(pattern, text) for name, pattern in _LOG_FIGURES.items()}
    kv_gib = figures["kv_cache"]
    if not figures["weights"] or not kv_gib:
        raise BadInput.one(
            source,
            "holds no start-up report of vLLM: the lines on model loading and available KV cache memory are needed",
        )
    question = {**_settings(text), **options}
    answer = _answered(SIZE.answer(question, catalog, source), source)
    weights = figures["weights"][0]
    compared = [
        Compared(name="weights", unit="GiB", predicted=answer["weightsGib"], measured=weights),
        Compared(name="KV cache", unit="GiB", predicted=answer["kvCacheGib"], measured=kv_gib[0]),
    ]
    if figures["kv_tokens"]:
        tokens = figures["kv_tokens"][0]
        compared.append(Compared(name="KV cache", unit="tokens", predicted=answer["kvCacheTokens"], measured=tokens))
    predicted_overhead = answer["activationGib"] + answer["nonTorchGib"] + answer["cudaGraphGib"]
    off_by = (answer["kvCacheGib"] + answer["weightsGib"]) - (kv_gib[0] + weights)
    overhead = max(0.0, predicted_overhead + off_by)
    compared.append(
        Compared(name="overhead", unit="GiB", predicted=rounded(predicted_overhead), measured=rounded(overhead))
    )
    row = Calibration(
        accelerator=str(question["accelerator"]).lower(),
        model=str(question["model"]),
        overhead_ratio=rounded(overhead / predicted_overhead) or None,
        source=source,
    )
    return CalibrationReport(compared=tuple(compared), calibration=row, warnings=tuple(answer["warnings"]))


def _from_benchmark(
    result: Mapping[str, Any], source: str, options: Mapping[str, Any], catalog: Catalog
) -> CalibrationReport:
    needed = ("completed", "total_input_tokens", "total_output_tokens", "mean_ttft_ms", "mean_tpot_ms")
    missing = [name for name in needed if not _is_figure(result.get(name))]
    if missing:
        raise BadInput.one(
            source, f"is no result of vllm bench serve: {', '.join(missing)} missing, or no figure above 0"
        )
    completed = float(result["completed"])
    question: dict[str, Any] = {
        "input-tokens": max(1, round(result["total_input_tokens"] / completed)),
        "output-tokens": max(1, round(result["total_output_tokens"] / completed)),
    }
    if result.get("model_id"):
        question["model"] = result["model_id"]
    if _is_figure(result.get("max_concurrency")):
        question["concurrency"] = float(result["max_concurrency"])
    elif _is_figure(result.get("request_throughput")):
        question["request-rate"] = float(result["request_throughput"])
    question |= options
    answer = _answered(PREDICT.answer(question, catalog, source), source)
    ttft = Compared(name="TTFT", unit="ms", predicted=answer["ttftMs"], measured=float(result["mean_ttft_ms"]))
    tpot = Compared(name="TPOT", unit="ms", predicted=answer["tpotMs"], measured=float(result["mean_tpot_ms"]))
    row = Calibration(
        accelerator=str(question["accelerator"]).lower(),
        model=str(question["model"]),
        ttft_ratio=_ratio(ttft, source),
        tpot_ratio=_ratio(tpot, source),
        source=source,
    )
    return CalibrationReport(compared=(ttft, tpot), calibration=row, warnings=tuple(answer["warnings"]))


def _ratio(compared: Compared, source: str) -> float:
    """What was measured over what was predicted. Raises BadInput for one that no run can have: it rounds to nothing."""
    found = rounded(compared.measured / compared.predicted)
    if not found:
        raise BadInput.one(
            source,
            f"a {compared.name} of {compared.measured:g} ms cannot be: {compared.predicted:g} ms are predicted",
            hint="give times in ms, and the model and accelerator of the run",
        )
    return found


def _is_figure(value: object) -> bool:
    """Whether it is a number that a run can have measured: neither 0 nor an overflow, nor next to either."""
    least, most = 1 / _MOST_MEASURED, _MOST_MEASURED
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least < value < most


def _figures(pattern: str, text: str) -> tuple[float, ...]:
    """The figures of the first line that matches; empty where none does."""
    found = re.search(pattern, text)
    return tuple(float(group.replace(",", "")) for group in found.groups()) if found else ()


def _settings(text: str) -> dict[str, Any]:
    """What the log says about how the engine was started; the last mention of a setting counts."""
    found: dict[str, Any] = {}
    for option, pattern in _LOG_SETTINGS.items():
        mentions = re.findall(pattern, text)
        if mentions:
            value = mentions[-1].rstrip(".")
            found[option] = int(value) if option in _WHOLE else float(value) if option.startswith("gpu") else value
    if re.search(r"enforce_eager['\"]?[=:] ?True", text):
        found["enforce-eager"] = True
    if re.search(r"Directly load (?:AOT compilation|the (?:compiled|\S+) graph)", text):
        found["compile-cache"] = "warm"
    keeps_prefixes = re.findall(r"enable_prefix_caching['\"]?[=:] ?(True|False)", text)
    if keeps_prefixes:
        found["prefix-caching"] = "on" if keeps_prefixes[-1] == "True" else "off"
    groups, tensor = found.get("attention-dp", 1), found.get("tp", 1)
    if groups > 1:  # beside the tensor-parallel size, as vLLM counts them
        found["count"] = groups * tensor * found.get("pp", 1)
    if re.search(r"enable_expert_parallel['\"]?[=:] ?True", text):
        found["ep"] = groups * tensor
    return found


def _answered(answer: dict[str, Any], source: str) -> dict[str, Any]:
    if "rejection" in answer:
        raise BadInput.one(
            source, f"ran, though our prediction says that it does not fit: {answer['rejection']['message']}"
        )
    return answer
