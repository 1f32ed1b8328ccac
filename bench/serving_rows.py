"""The measured serving runs, read as questions to the latency model: one case for each row of ``data/serving.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from recipes import UNKNOWN, Recipe, recipe_of, service_of

from agentgpu_iac.catalog.model import Accelerator, Model
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.sizing.latency import Request
from agentgpu_iac.sizing.layout import Layout, layout
from agentgpu_iac.sizing.seats import recipe_kv_dtype, tuned_seats
from agentgpu_iac.spec.vocabulary import Engine, KvCacheDtype, Precision

DATA = Path(__file__).parent / "data" / "serving.csv"

_ENGINES: dict[str, Engine] = {"vllm": "vllm", "trtllm": "tensorrt-llm", "sglang": "sglang"}
_PRECISIONS: dict[str, Precision] = {
    "fp8": "fp8",
    "fp8_block": "fp8",
    "nvfp4": "nvfp4",
    "fp4": "nvfp4",
    "bf16": "bf16",
    "bfloat16": "bf16",
    "int4_wo": "int4",
}
_SAME_SHAPE: dict[str, tuple[str, Precision | None]] = {
    "Qwen/Qwen3-235B-A22B-FP8": ("Qwen/Qwen3-235B-A22B-Instruct-2507", "fp8"),
    "meta-llama/Llama-3.1-70B": ("meta-llama/Llama-3.1-70B-Instruct", None),
    "nvidia/Llama-3.1-8B-Instruct-FP8": ("meta-llama/Llama-3.1-8B-Instruct", "fp8"),
    "nvidia/DeepSeek-R1-NVFP4": ("deepseek-ai/DeepSeek-R1", "nvfp4"),
    "nvidia/DeepSeek-V3.1-NVFP4": ("deepseek-ai/DeepSeek-V3.1", "nvfp4"),
    "nvidia/Qwen3-32B-NVFP4": ("Qwen/Qwen3-32B", "nvfp4"),
    "zhipuai/GLM-5": ("zai-org/GLM-5", None),
}
"""Quantised or renamed checkpoints of a catalog model with the same shapes."""


_GRIDS = {("1024", "1024"), ("1024", "8192"), ("8192", "1024")}
"""Lengths of InferenceMAX: 48 of the 62 rows that claim another client at these repeat rows of it, rounded."""
_LOCK_STEP_TOKENS = 2048
"""--max-num-tokens of TensorRT-LLM that its own benchmark tunes for most shapes (``bench/build/tuning.py``: at least 2,048 for
the overlap of prompts and decoding). The rows in lock step do not say theirs."""
_ROUNDS = 10
"""Requests a slot where a row does not say."""
_SPREAD_LOW = 0.8
"""InferenceMAX spreads lengths from this share."""

_SAME_RUNS = {"deepseek-ai/DeepSeek-V3": "deepseek-ai/DeepSeek-R1"}
"""Of the DeepSeek-V3 points 97 are DeepSeek-R1 points again, figure for figure: they are left out together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a row's client asked: slots that all start at once."""

    client: str
    rounds: int
    """Requests of each slot."""
    length_low: float
    """Lengths are spread evenly from this share of the row's to the whole."""
    step_tokens: int | None
    """Most tokens of a step, where it is known."""


def protocol_of(row: Mapping[str, str]) -> Protocol:
    """What the row says, and what its lengths say of its client."""
    client = "inferencemax" if (row["isl"], row["osl"]) in _GRIDS else row["client"]
    step_tokens = _count(row["max_num_batched_tokens"]) or None
    if client != "inferencemax" and row["backend"] == "trtllm":
        step_tokens = _LOCK_STEP_TOKENS
    return Protocol(
        client=client,
        rounds=_count(row["requests_per_slot"]) or _ROUNDS,
        length_low=_SPREAD_LOW if client == "inferencemax" else float(row["length_ratio_low"] or 1),
        step_tokens=step_tokens,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One measured point, and what the model is asked to predict it."""

    line: int
    group: tuple[str, str, str]
    """Model, accelerator and engine."""
    model: Model
    accelerator: Accelerator
    engine: Engine
    version: str
    precision: Precision
    kv_dtype: KvCacheDtype
    tensor_parallel: int
    attention_dp: int
    expert_parallel: int
    spread: Layout
    request: Request
    concurrency: float
    seats: float
    client: str
    rounds: int
    """Requests of each slot; all slots start at once."""
    length_low: float
    """Lengths are spread evenly from this share of those of the request to the whole."""
    step_tokens: int | None
    """Most tokens of a step, where the row says."""
    ttft_holds: str
    """What the TTFT holds besides, by a setting that nothing says: not predictable, and told apart."""
    service: str
    """Why it is no replica of one engine, as its source says; empty: it is one. Others are not judged."""
    recipe: Recipe
    ttft_ms: float
    tpot_ms: float

    @property
    def fold(self) -> tuple[str, str, str]:
        """What is left out together: the group, and groups that repeat its runs."""
        model, accelerator, engine = self.group
        return _SAME_RUNS.get(model, model), accelerator, engine

    @property
    def saturated(self) -> bool:
        """More requests ask than the KV cache holds."""
        return self.concurrency > self.seats


def _count(cell: str) -> int:
    return int(float(cell)) if cell else 0


def _sizes(row: dict[str, str], model: Model) -> tuple[int, int, int]:
    """TP, attention DP and EP of a row.

    The batch is counted for each attention group. Where the attention-DP column is filled, TP x EP of the recipe was
    written into TP when both are wider than one (such rows repeat rows of the right width figure for figure). Where it
    is empty, the experts' groups tell the attention groups. Where TP and attention DP are the same and EP is their product,
    TP was written thrice: such rows repeat rows of TP and EP alone figure for figure. Heads that TP does not divide run
    as attention DP.
    """
    tensor, groups = max(1, _count(row["tp_size"])), _count(row["attention_dp_size"])
    split, expert = max(1, _count(row["moe_tp_size"])), max(1, _count(row["moe_ep_size"]))
    if groups == tensor > 1 and split == 1 and expert == tensor * groups:
        groups, expert = 1, tensor
    elif groups and split == expert > 1 and split * expert == tensor * groups:
        tensor, groups = max(1, expert // groups), min(groups, expert)
    elif row["true_tp"]:
        tensor = _count(row["true_tp"])
    if not groups:
        groups = max(1, split * expert // tensor) if model.experts else 1
    if model.attention_heads % tensor:
        tensor, groups = 1, tensor
    return tensor, groups, expert


def read_cases(catalog: Catalog, path: Path = DATA) -> Iterator[Case]:
    """All rows, none left out."""
    with path.open(newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            yield _case(catalog, line, row)


def judged_cases(catalog: Catalog, path: Path = DATA) -> Iterator[Case]:
    """All rows that are a replica of one engine, as far as their sources say."""
    return (case for case in read_cases(catalog, path) if not case.service)


def _case(catalog: Catalog, line: int, row: dict[str, str]) -> Case:
    name, precision = _SAME_SHAPE.get(row["model_path"], (row["model_path"], None))
    model = catalog.model(name)
    accelerator = catalog.accelerator(row["system"].replace("_", "-"))
    engine = _ENGINES[row["backend"]]
    stated = _PRECISIONS.get(row["gemm_quant_mode"]) or _PRECISIONS.get(row["precision"])
    weights = stated or precision or model.native_precision
    if model.native_precision == "mxfp4":
        weights = "mxfp4"
    tensor, groups, expert = _sizes(row, model)
    prompt, output = float(row["isl"]), float(row["osl"])
    asked = protocol_of(row)
    concurrency = float(row["batch_size"]) * max(1, _count(row["attention_dp_size"]) or groups)
    recipe = UNKNOWN if asked.client != "inferencemax" else recipe_of(row, tensor, round(concurrency))
    if recipe.experts_whole and expert == 1:
        expert = tensor
    spread = layout(accelerator, tensor, groups, expert)
    kv_dtype = recipe.kv_dtype or recipe_kv_dtype(engine, accelerator, weights)
    limit = tuned_seats(
        model,
        accelerator,
        spread,
        precision=weights,
        kv_dtype=kv_dtype,
        engine=engine,
        prompt_tokens=prompt,
        output_tokens=output,
    )
    return Case(
        line=line,
        group=(row["model_path"], accelerator.id, engine),
        model=model,
        accelerator=accelerator,
        engine=engine,
        version=row["backend_version"] or row["engine_version_by_date"],
        precision=weights,
        kv_dtype=kv_dtype,
        tensor_parallel=tensor,
        attention_dp=groups,
        expert_parallel=expert,
        spread=spread,
        request=Request(prompt_tokens=prompt, context_tokens=prompt + output / 2, output_tokens=output),
        concurrency=concurrency,
        seats=limit,
        client=asked.client,
        rounds=asked.rounds,
        length_low=asked.length_low,
        step_tokens=recipe.step_tokens or asked.step_tokens,
        ttft_holds="" if recipe.receive_every and recipe.warmed_up else row["ttft_holds"],
        service=service_of(row),
        recipe=recipe,
        ttft_ms=float(row["silicon_ttft_ms"]),
        tpot_ms=float(row["silicon_tpot_ms"]),
    )
