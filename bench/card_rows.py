"""Measured points on cards that no constant was fitted on: one question of ``data/serving-more.csv`` for each."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from agentgpu_iac.catalog.model import Accelerator, Model
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.spec.vocabulary import Engine, Precision

DATA = Path(__file__).parent / "data" / "serving-more.csv"

FITTED = frozenset({"h100-sxm", "h200-sxm", "b200-sxm", "b300-sxm", "gb200"})
"""Cards of the rows that constants are fitted on."""
CLOSED = ("one request at a time", "closed loop", "rounds of C requests")
"""Beginnings of the protocols whose TPOT at few requests is one of the engine, not of a queue."""
FEW_REQUESTS = 8
"""Closed loops of up to this many requests."""

_SYSTEMS = {
    "a100_sxm": "a100-80gb-sxm",
    "a100_40gb_sxm": "a100-40gb-sxm",
    "rtx_pro_6000_server": "rtx-pro-6000-blackwell-server",
}
_ENGINES: dict[str, Engine] = {"vllm": "vllm", "trtllm": "tensorrt-llm", "sglang": "sglang"}
_PRECISIONS: dict[str, Precision] = {
    "bf16": "bf16",
    "fp8": "fp8",
    "int8": "int8",
    "w8a16": "int8",
    "int4": "int4",
    "nvfp4": "nvfp4",
}
_SAME_SHAPE = {
    "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": "meta-llama/Llama-3.1-8B-Instruct",
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B": "Qwen/Qwen2.5-32B-Instruct",
    "QuantTrio/Qwen3-Coder-30B-A3B-Instruct-AWQ": "Qwen/Qwen3-30B-A3B-Instruct-2507",
    "QuantTrio/Qwen3-Coder-480B-A35B-Instruct-AWQ": "Qwen/Qwen3-Coder-480B-A35B-Instruct",
    "zai-org/GLM-4.6-FP8": "zai-org/GLM-4.6",
}
"""Repacks and tunes of a catalog model with the same shapes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardCase:
    """One measured point at few requests."""

    line: int
    model: Model
    accelerator: Accelerator
    engine: Engine
    version: str | None
    precision: Precision
    weight_only: bool
    tensor_parallel: int
    requests: float
    prompt_tokens: float
    output_tokens: float
    ttft_ms: float | None
    tpot_ms: float
    doubt: str
    """Why the row may be of another thing than the step of an engine; empty: it is."""

    @property
    def group(self) -> tuple[str, str]:
        """Card, and kind of model."""
        return self.accelerator.id, "MoE" if self.model.experts else "dense"


def read_card_cases(catalog: Catalog, path: Path = DATA) -> tuple[tuple[CardCase, ...], tuple[str, ...]]:
    """The points, and a sentence for each kind of row at few requests that is no point."""
    cases, skipped = [], []
    with path.open(newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            found = _case(catalog, line, row)
            if isinstance(found, CardCase):
                cases.append(found)
            elif found:
                skipped.append(found)
    return tuple(cases), tuple(dict.fromkeys(skipped))


def _case(catalog: Catalog, line: int, row: dict[str, str]) -> CardCase | str:
    system = _SYSTEMS.get(row["system"], row["system"].replace("_", "-"))
    requests = float(row["batch_size"] or 0) / float(row["replicas"] or 1)
    if system in FITTED or not row["protocol"].startswith(CLOSED) or not 0 < requests <= FEW_REQUESTS:
        return ""
    if row["backend"] not in _ENGINES:
        return f"{row['backend']}: an engine that is not planned for"
    known = {card.id for card in catalog.accelerators}
    name = _SAME_SHAPE.get(row["model_path"], row["model_path"])
    if system not in known or name not in {model.id for model in catalog.models}:
        return f"{row['model_path']} on {system}: not in the catalog"
    model, accelerator = catalog.model(name), catalog.accelerator(system)
    precision = model.native_precision if model.native_precision == "mxfp4" else _PRECISIONS.get(row["precision"])
    if precision is None:
        return f"{row['precision']}: a format that is not planned for"
    tpot, ttft = row["silicon_tpot_ms"], row["silicon_ttft_ms"]
    prompt, output = float(row["isl"]), float(row["osl"])
    if not tpot:
        return f"{row['source']}: no TPOT"
    return CardCase(
        line=line,
        model=model,
        accelerator=accelerator,
        engine=_ENGINES[row["backend"]],
        version=row["backend_version"] or None,
        precision=precision,
        weight_only=row["precision"] == "w8a16" or (precision == "fp8" and accelerator.compute_capability < "8.9"),
        tensor_parallel=int(row["tp_size"]),
        requests=requests,
        prompt_tokens=prompt,
        output_tokens=output,
        ttft_ms=float(ttft) if ttft and requests == 1 else None,
        tpot_ms=float(tpot),
        doubt=_doubt(row),
    )


def _doubt(row: dict[str, str]) -> str:
    if row["backend"] == "vllm" and row["backend_version"].startswith(("0.2.", "0.4.", "0.5.", "0.6.", "0.7.")):
        return "engine V0, which no vLLM since 0.8 starts by default"
    if "speculative" in row["note"]:
        return "speculative decoding"
    if "saturated" in row["note"]:
        return "the host was saturated"
    return ""
