"""How the published runs started their engines: ``data/recipes.csv``, read in the scripts of SemiAnalysisAI/InferenceX.

A row's script is the last one of its model, engine, card and precision that was there on the day of the run; a row without a
day takes the first. What a script leaves out is the engine's own default.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

from agentgpu_iac.spec.vocabulary import KvCacheDtype

DATA = Path(__file__).parent / "data" / "recipes.csv"

_SAME_MODEL = {"deepseek-ai/DeepSeek-V3": "deepseek-ai/DeepSeek-R1"}
_FEW_SLOTS = 16
"""SGLang's scripts look for new requests every 10 steps below so many slots, and every 30 from there on."""

_WARMED_UP_SINCE = "2026-01-21"
_DYNAMO = (
    "several replicas behind Dynamo's frontend and router: aiconfigurator's silicon_sample.csv names the image"
    " nvcr.io/nvidia/ai-dynamo/tensorrtllm-runtime and up to 32 times the row's requests at once"
)
_APART = (
    "prompts and answers are computed by separate machines: InferenceX .github/configs/nvidia-master.yaml has"
    " dsr1-fp8-gb200-dynamo-sglang with disagg: true, and no other run of SGLang on GB200"
)
SERVICES: Mapping[tuple[str, str, str], str] = {
    **{
        (backend, version, system): _DYNAMO
        for backend, version in (("trtllm", "1.2.0rc6.post1"), ("trtllm", "1.3.0rc1"), ("trtllm", "1.3.0rc5"))
        for system in ("b200_sxm", "gb200", "h100_sxm")
    },
    ("sglang", "", "gb200"): _APART,
}
"""(engine, version, card) of rows that are no replica of one engine, with what their source says of them."""


def service_of(row: Mapping[str, str]) -> str:
    """Why a row is no replica of one engine, as its source says; empty: it is one."""
    return SERVICES.get((row["backend"], row["backend_version"], row["system"]), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a script told its engine."""

    step_tokens: int | None
    seats: int | None
    """Most requests that run at once."""
    warmed_up: bool
    """The client sent twice as many requests as slots before it measured: since 2026-01-21 (``utils/bench_serving``)."""
    receive_every: int | None
    """SGLang: steps of decoding after which it looks for new requests; None: not known."""
    kv_dtype: KvCacheDtype | None
    expert_kernel: str
    captured_tokens: int | None
    """vLLM: largest step whose kernels are in graphs, all but attention; 0: none."""
    experts_whole: bool
    """Experts are kept whole whatever the row says: the script's condition always holds."""


UNKNOWN = Recipe(
    step_tokens=None,
    seats=None,
    warmed_up=True,
    receive_every=None,
    kv_dtype=None,
    expert_kernel="",
    captured_tokens=None,
    experts_whole=False,
)


@cache
def _scripts() -> tuple[dict[str, str], ...]:
    with DATA.open(newline="", encoding="utf-8") as file:
        return tuple(csv.DictReader(file))


def recipe_of(row: Mapping[str, str], tensor_parallel: int, slots: int) -> Recipe:
    """The script of a row; all unknown where none was read."""
    model = _SAME_MODEL.get(row["model_path"], row["model_path"])
    found = [
        each
        for each in _scripts()
        if (each["model_path"], each["backend"], each["system"]) == (model, row["backend"], row["system"])
        and each["precision"] in ("", row["precision"])
        and _holds(each["when"], row, tensor_parallel)
    ]
    if not found:
        return UNKNOWN
    day = row["measured_on"][:10]
    script = max((each for each in found if each["since"] <= day), key=lambda each: each["since"], default=found[0])
    return Recipe(
        step_tokens=2 * int(row["isl"]) if script["step_tokens"] == "2 prompts" else _number(script["step_tokens"]),
        seats=_seats(script["seats"], slots),
        warmed_up=not day or day >= _WARMED_UP_SINCE,
        receive_every=_receive_every(script["receive_every"], slots),
        kv_dtype=cast("KvCacheDtype | None", script["kv_dtype"] or None),
        expert_kernel=script["expert_kernel"],
        captured_tokens=_number(script["captured_tokens"]),
        experts_whole=script["expert_parallel"] == "always",
    )


def _holds(when: str, row: Mapping[str, str], tensor_parallel: int) -> bool:
    short = (row["isl"], row["osl"]) == ("1024", "1024")
    said = {"": True, "1024 and 1024": short, "other lengths": not short}
    return said.get(when, when == f"TP {tensor_parallel}")


def _seats(cell: str, slots: int) -> int | None:
    """``128 or slots``: set to the most slots that were asked for, as the script says of it."""
    least, _, more = cell.rpartition(" or ")
    if more == "slots":
        return max(slots, int(least or 0))
    return _number(cell)


def _number(cell: str) -> int | None:
    return int(cell) if cell else None


def _receive_every(cell: str, slots: int) -> int | None:
    if cell == "10 or 30":
        return 10 if slots < _FEW_SLOTS else 30
    return _number(cell)
