"""How far the predicted memory report is from start-up logs: in sample, and with each model family left out.

Run with ``python -m bench.accuracy_memory``. Rows are in ``bench/data/kv_memory.json``; what a row does not say (seats,
batched tokens, length) is the engine's own default. Rows that are not scored are listed with the reason.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.catalog.versions import at_least, before
from agentgpu_iac.errors import BadInput
from agentgpu_iac.sizing import activation, memory, outside_torch
from agentgpu_iac.sizing.draft import Draft
from agentgpu_iac.sizing.kv_cache import V1_FIRST_VERSION
from agentgpu_iac.spec.vocabulary import Precision
from agentgpu_iac.units import GIB

DATA = Path(__file__).with_name("data")

ACCELERATORS = {
    "H100-80GB": "h100-sxm",
    "H200": "h200-sxm",
    "A100-80GB": "a100-80gb-sxm",
    "A100-80GB PCIe": "a100-80gb-pcie",
    "A100-40GB (p4d)": "a100-40gb-sxm",
    "L40S": "l40s",
    "RTX 4090": "rtx-4090",
    "RTX 3090": "rtx-3090",
    "RTX A6000 48GB": "rtx-a6000",
    "RTX 5090": "rtx-5090",
    "RTX PRO 6000 Blackwell 96GB": "rtx-pro-6000-blackwell-server",
    "RTX PRO 6000 Blackwell (budget capped)": "rtx-pro-6000-blackwell-server",
    "24GB class (22.06 GiB: A10G/L4/A10)": "a10g",
    "48GB class (44.39 GiB: L40S/A40)": "l40s",
}
"""The card of a row as the catalog names it; classes stand for the card whose memory CUDA sees in the log."""

QUANTISATIONS: dict[str, Precision] = {
    "fp8": "fp8",
    "awq": "int4",
    "gptq": "int4",
    "mxfp4": "mxfp4",
    "modelopt nvfp4": "nvfp4",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One measured start-up, joined with the catalog."""

    name: str
    family: str
    version: str
    source: str
    reliability: str
    """high, medium or low, as the row says."""
    config: memory.EngineConfig
    row: dict[str, Any]

    @property
    def is_known(self) -> bool:
        """Whether the log says which version it is of."""
        return self.version != "unknown"

    def measured(self, field: str) -> float | None:
        """A figure of the log, if it is there."""
        value = self.row.get(field)
        return None if value is None else float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A row that is not scored."""

    name: str
    reason: str


def starts(catalog: Catalog | None = None) -> tuple[tuple[Start, ...], tuple[Skip, ...]]:
    """All rows, joined or skipped with a reason."""
    catalog = catalog or load_catalog()
    aliases = json.loads((DATA / "aliases.json").read_text(encoding="utf-8"))["aliases"]
    rows = json.loads((DATA / "kv_memory.json").read_text(encoding="utf-8"))
    rows += json.loads((DATA / "memory-more.json").read_text(encoding="utf-8"))["memory"]
    joined = [_joined(row, aliases, catalog) for row in rows]
    return (
        tuple(one for one in joined if isinstance(one, Start)),
        tuple(one for one in joined if isinstance(one, Skip)),
    )


def _joined(row: dict[str, Any], aliases: dict[str, Any], catalog: Catalog) -> Start | Skip:
    version = row.get("vllm_version") or "unknown"
    name = f"{row['model']} on {row['gpu']}, TP {row.get('tp')}, PP {row.get('pp') or 1}, version {version}"
    passed_over = _not_compared(row, version)
    if passed_over is not None:
        return Skip(name=name, reason=passed_over)
    alias = aliases.get(row["model"], {"model": row["model"], "precision": None})
    try:
        model = catalog.model(alias["model"])
    except BadInput:
        return Skip(name=name, reason="model neither in the catalog nor an alias of one")
    accelerator_id = row.get("accelerator") or ACCELERATORS.get(row["gpu"])
    if accelerator_id not in {known.id for known in catalog.accelerators}:
        return Skip(name=name, reason="accelerator not in the catalog")
    precision = (
        alias["precision"]
        or row.get("precision")
        or QUANTISATIONS.get(row.get("quantization") or "")
        or model.native_precision
    )
    accelerator = catalog.accelerator(accelerator_id)
    release = catalog.release("vllm", row.get("vllm_version"))
    length = row.get("max_model_len") or model.max_context_tokens
    config = memory.EngineConfig(
        model=model,
        accelerator=accelerator,
        release=release,
        precision=precision,
        kv_dtype="fp8" if "fp8" in (row.get("kv_cache_dtype") or "") else "auto",
        tensor_parallel=row["tp"],
        pipeline_parallel=row.get("pp") or 1,
        max_model_len=length,
        max_num_seqs=row.get("max_num_seqs") or memory.default_max_num_seqs(accelerator),
        max_num_batched_tokens=row.get("max_num_batched_tokens")
        or memory.default_max_num_batched_tokens(accelerator, release.version),
        gpu_memory_utilization=row.get("gpu_memory_utilization") or release.gpu_memory_utilization,
        enforce_eager=bool(row.get("enforce_eager")),
        version_is_known=row.get("vllm_version") is not None,
        dtype_bytes=4 if row.get("dtype") == "float32" else 2,
        expert_parallel=row["tp"] if "--enable-expert-parallel" in (row.get("notes") or "") else 1,
        prefix_cached="prefix caching off" not in (row.get("inferred") or []),
        draft=_draft(row),
    )
    return Start(
        name=name,
        family=family(model.architecture),
        version=version,
        source=source_of(row),
        reliability=row["reliability"] if row.get("gpu_memory_utilization") else "medium",
        config=config,
        row=row,
    )


def _draft(row: dict[str, Any]) -> Draft | None:
    """The model's own layer for multi-token prediction, where a row says how many tokens it proposes."""
    method, _, tokens = (row.get("speculative") or "").partition(" k=")
    return Draft(tokens=int(tokens), layers=1) if method == "mtp" and tokens else None


def _not_compared(row: dict[str, Any], version: str) -> str | None:
    """Why a row says nothing of what is predicted; None where it does."""
    if row.get("engine") == "sglang":
        return "another engine, whose logs are not compared"
    if row.get("engine") == "V0" or before(version, V1_FIRST_VERSION):
        return "engine V0, which is gone"
    if (
        row.get("kv_gib") is None
        and row.get("weights_gib") is None
        and row.get("activation_gib") is None
        and row.get("source")
    ):
        return "the log says nothing of any part in GiB"
    if row.get("gpu_memory_utilization") is None and version == "unknown":
        return "neither the share of the memory nor the version is known"
    return None


def source_of(row: dict[str, Any]) -> str:
    """Who published a row: the repository, or the number of a public file."""
    words = str(row.get("source") or "unknown").split()
    return " ".join(words[:5]) if words[0] == "public" else words[0].split("@")[0]


def family(architecture: str) -> str:
    """Model family that is left out as a whole."""
    for prefix in ("llama", "qwen3_5", "qwen3_moe", "qwen3", "qwen2", "gemma2", "gemma3", "mistral"):
        if architecture.startswith(prefix):
            return prefix
    return architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Relative errors of one start, signed (predicted over measured - 1); none where the log lacks the figure."""

    start: Start
    report: memory.EngineMemory
    weights: float | None
    kv: float | None
    tokens: float | None
    fits: bool
    """Whether predicted and measured agree about fitting."""


def errors(start: Start) -> Errors:
    """Predict a start and compare."""
    report = memory.engine_memory(start.config)
    kv = start.measured("kv_gib")
    started = kv is not None and kv > 0
    hybrid = memory.is_hybrid(start.config.model)
    return Errors(
        start=start,
        report=report,
        weights=_off(report.weights_gib, start.measured("weights_gib")),
        kv=_off(report.kv_cache_gib, kv) if started else None,
        tokens=None if hybrid or not started else _off(report.kv_cache_tokens, start.measured("kv_tokens")),
        fits=kv is None or (report.max_concurrency >= 1) == (kv >= report.sequence_gib),
    )


def _off(predicted: float, measured: float | None) -> float | None:
    return None if measured is None else predicted / measured - 1


# --- Leaving a family out: the fitted constants are found again from the others -----------------------------------------


@contextmanager
def refitted(rows: Iterable[Start]) -> Iterator[None]:
    """The memory model with its fitted constants found from ``rows`` alone."""
    found = fit(tuple(rows))
    homes = {name: activation if hasattr(activation, name) else outside_torch for name in found}
    before = {name: getattr(homes[name], name) for name in found}
    try:
        for name, value in found.items():
            setattr(homes[name], name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(homes[name], name, value)


def fit(rows: Sequence[Start]) -> dict[str, Any]:
    """The fitted constants: sampler (copies before, since; bytes of a seat), contexts, all-reduce buffers."""
    before, since, seat = _fit_sampler(rows)
    return {
        "_LOGITS_COPIES_BEFORE": before,
        "_LOGITS_COPIES_SINCE": since,
        "_SEAT_BYTES": seat,
        **_fit_contexts(rows),
    }


_REWEIGHTINGS = 30
_SMALLEST_RESIDUAL_GIB = 0.003


def _fit_sampler(rows: Sequence[Start]) -> tuple[float, float, float]:
    """Least absolute deviations over the rows whose log has an activation peak that the sampler sets.

    By least squares, each row weighted with one over its last residual.
    """
    equations = [equation for start in rows if (equation := _sampler_equation(start)) is not None]
    weights = [1.0] * len(equations)
    solution = (0.0, 0.0, 0.0)
    for _ in range(_REWEIGHTINGS):
        system = [[0.0] * 4 for _ in range(3)]
        for weight, (terms, value) in zip(weights, equations, strict=True):
            for i, j in ((i, j) for i in range(3) for j in range(3)):
                system[i][j] += weight * terms[i] * terms[j]
            for i in range(3):
                system[i][3] += weight * terms[i] * value
        try:
            solution = _solved(system)
        except ZeroDivisionError:  # the rows that are left do not tell the constants apart: they stay
            return (activation._LOGITS_COPIES_BEFORE, activation._LOGITS_COPIES_SINCE, float(activation._SEAT_BYTES))
        residuals = [value - sum(map(lambda a, b: a * b, terms, solution)) for terms, value in equations]
        weights = [1 / max(_SMALLEST_RESIDUAL_GIB, abs(residual)) for residual in residuals]
    return (solution[0], solution[1], solution[2] * GIB / _SEATS_SCALE)


_SEATS_SCALE = 1e6
"""Keeps the system well-conditioned: bytes of a seat in units of a kilobyte or so."""


def _sampler_equation(start: Start) -> tuple[tuple[float, float, float], float] | None:
    config, peak = start.config, start.measured("activation_gib")
    if peak is None or start.version == "unknown" or config.pipeline_parallel > 1 or config.dtype_bytes != 2:
        return None
    tokens, tensor, version = config.max_num_batched_tokens, config.tensor_parallel, config.release.version
    if peak < 1.2 * memory.feed_forward_gib(config.model, version, tensor, tokens):
        return None
    logits = config.model.vocab_size * config.max_num_seqs * 4 / GIB
    older = not at_least(version, "0.17")
    terms = (logits if older else 0.0, 0.0 if older else logits, config.max_num_seqs / _SEATS_SCALE)
    return terms, peak - memory.sampler_base_gib(config.model, version, tensor, tokens)


def _solved(system: list[list[float]]) -> tuple[float, float, float]:
    size = len(system)
    for pivot in range(size):
        for other in range(size):
            if other != pivot:
                factor = system[other][pivot] / system[pivot][pivot]
                system[other] = [value - factor * by for value, by in zip(system[other], system[pivot], strict=True)]
    return (system[0][3] / system[0][0], system[1][3] / system[1][1], system[2][3] / system[2][2])


def _fit_contexts(rows: Sequence[Start]) -> dict[str, Any]:
    def logged(condition: Callable[[Start], bool]) -> list[float]:
        return [one for start in rows if condition(start) and (one := start.measured("non_torch_gib")) is not None]

    def median_or(values: list[float], otherwise: float) -> float:
        return statistics.median(values) if values else otherwise

    def newer(start: Start) -> bool:
        return at_least(start.config.release.version, "0.18") and start.version != "unknown"

    def single(start: Start) -> bool:
        return start.config.tensor_parallel * start.config.pipeline_parallel == 1 and start.version != "unknown"

    context = {
        True: median_or(logged(lambda one: single(one) and newer(one)), 0.25),
        False: median_or(logged(lambda one: single(one) and not newer(one) and one.version >= "0.1"), 0.13),
    }
    over_nvlink = [
        one - context[True] - 0.035 * start.config.tensor_parallel
        for start in rows
        if newer(start)
        and start.config.tensor_parallel > 1
        and start.config.accelerator.nvlink_gb_per_s
        and (one := start.measured("non_torch_gib")) is not None
    ]
    return {"_CONTEXT_GIB": context, "_NVLINK_GIB": median_or(over_nvlink, 1.76)}


def left_out(rows: Sequence[Start], key: Callable[[Start], str] = lambda start: start.family) -> Iterator[Errors]:
    """Every start, predicted with constants found without its group, which is its family unless another key says."""
    for name in sorted({key(start) for start in rows}):
        with refitted(start for start in rows if key(start) != name):
            yield from (errors(start) for start in rows if key(start) == name)


# --- Tables ---------------------------------------------------------------------------------------------------------


def quantile(values: Iterable[float | None], share: float) -> float | None:
    """The value that ``share`` of the absolute values do not exceed."""
    known = sorted(abs(value) for value in values if value is not None)
    return known[min(len(known) - 1, int(share * len(known)))] if known else None


def median(values: Iterable[float | None]) -> float | None:
    """Median of the absolute values."""
    known = [abs(value) for value in values if value is not None]
    return statistics.median(known) if known else None


def coverage(found: Iterable[Errors]) -> float:
    """Share of the starts whose KV cache is within the stated error."""
    known = [one for one in found if one.kv is not None]
    return sum(abs(one.kv or 0.0) <= one.report.error_ratio for one in known) / len(known)


def _percent(value: float | None) -> str:
    return "      -" if value is None else f"{value:6.2%} "


def _line(label: str, found: Sequence[Errors]) -> str:
    figures = [
        median(one.weights for one in found),
        quantile((one.weights for one in found), 0.9),
        median(one.kv for one in found),
        quantile((one.kv for one in found), 0.9),
        median(one.tokens for one in found),
        quantile((one.tokens for one in found), 0.9),
    ]
    agree = sum(one.fits for one in found)
    return f"{label:44} {len(found):4} " + " ".join(map(_percent, figures)) + f"  {agree}/{len(found)}"


def tables() -> Iterator[str]:
    """The report, line by line. Rows of medium and low reliability are predicted too, and told apart."""
    every, skipped = starts()
    rows = tuple(start for start in every if start.reliability == "high")
    inside = [errors(start) for start in rows]
    outside = list(left_out(rows))
    known = [one for one in inside if one.start.is_known]
    yield f"{'':44} rows  weights p50/p90   KV GiB p50/p90  tokens p50/p90  fits agree"
    yield _line("in sample", inside)
    yield _line("known versions", known)
    yield _line("known versions, leaving each family out", [one for one in outside if one.start.is_known])
    for label, key in (("source", lambda start: start.source), ("card", lambda start: start.config.accelerator.id)):
        found = [one for one in left_out(rows, key) if one.start.is_known]
        yield _line(f"known versions, leaving each {label} out", found)
    yield (
        f"known versions: the worse of relative error and {BAR_GIB} GiB: "
        f"{sum(within_bar(one) for one in known)} of {len([one for one in known if one.kv is not None])} within 8 % or so much"
    )
    ratios = [one.report.error_ratio for one in inside]
    yield f"stated error covers {coverage(inside):.0%} of rows (median stated {statistics.median(ratios):.1%})"
    for label in ("medium", "low"):
        found = [errors(start) for start in every if start.reliability == label]
        if found:
            yield _line(f"reliability {label}", found)
    groups: tuple[tuple[str, Callable[[Errors], str]], ...] = (
        ("kind", lambda one: kind_of(one.start)),
        ("family", lambda one: one.start.family),
        ("accelerator", lambda one: one.start.config.accelerator.id),
        ("version", lambda one: one.start.version),
        ("source", lambda one: one.start.source),
    )
    for label, key in groups:
        for name in sorted({key(one) for one in inside}):
            yield _line(f"{label} {name}", [one for one in inside if key(one) == name])
    yield "starts that may have been warm (0.27 and newer), counted cold, and as warm:"
    for one in inside:
        if one.report.terms.cold_start_gib and one.start.is_known and one.kv is not None:
            measured = one.start.measured("kv_gib") or 0.0
            warm = one.report.kv_cache_gib + one.report.terms.cold_start_gib
            yield f"  KV {measured:6.2f} GiB, cold {one.report.kv_cache_gib:6.2f}, warm {warm:6.2f}: {one.start.name}"
    yield "worst rows:"
    for one in sorted(inside, key=lambda one: -abs(one.kv or 0.0))[:8]:
        yield f"  KV {_percent(one.kv)} weights {_percent(one.weights)} stated {one.report.error_ratio:.1%}: {one.start.name}"
    yield f"skipped rows: {len(skipped)}"
    for skip in skipped:
        yield f"  {skip.reason}: {skip.name}"


BAR_GIB = 1.3


def within_bar(one: Errors) -> bool:
    """Whether the KV cache is within 8 % or so many GiB of the log's."""
    measured = one.start.measured("kv_gib")
    if one.kv is None or measured is None:
        return False
    return abs(one.kv) <= 0.08 or abs(one.kv) * measured <= BAR_GIB


def kind_of(start: Start) -> str:
    """The kind of a start, by what makes its memory hard to tell."""
    config = start.config
    if not start.is_known:
        return "unknown version"
    if not at_least(start.version, "0.17"):
        return "before 0.17"
    if config.model.layers.recurrent:
        return "recurrent layers"
    if config.model.experts:
        return "experts"
    return "small card" if config.accelerator.memory_gb <= SMALL_CARD_GB else "dense"


SMALL_CARD_GB = 48


if __name__ == "__main__":
    for line in tables():
        print(line)
