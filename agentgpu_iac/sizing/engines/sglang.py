"""SGLang: a static share for weights and KV cache, the rest of the card for everything else."""

from __future__ import annotations

from agentgpu_iac.catalog.model import Accelerator, EngineRelease
from agentgpu_iac.sizing.capacity import capacity
from agentgpu_iac.sizing.engines.port import SizingPort
from agentgpu_iac.sizing.engines.vllm import default_max_num_batched_tokens

_LARGEST_CHUNK = 8192
"""Prefill chunk that SGLang takes on large cards where vLLM batches more."""
_CHUNKS = ((35, 2048), (160, 8192))
"""--chunked-prefill-size on cards below so many GiB (``server_args.py``)."""
_CHUNK_ABOVE = 16384
_SEATS = 4096
"""max_running_requests ends there; what binds is the cache (``model_runner.py``)."""
_RESERVE_GIB = 1.6
_RESERVE_GIB_PER_TOKEN = 1.5 / 1024
"""The default of --mem-fraction-static keeps free 1.5 MiB for each token of a prefill chunk (sglang #29615) and a
base for graphs, which is set so that H100 has the 0.828 of sglang #29092: the only measured figure."""


def _default_seats(_: Accelerator) -> int:
    return _SEATS


def _default_step_tokens(accelerator: Accelerator, _: str) -> int:
    gib = capacity(accelerator).capacity_gib
    return next((tokens for below_gib, tokens in _CHUNKS if gib < below_gib), _CHUNK_ABOVE)


def _default_share(accelerator: Accelerator, _: EngineRelease) -> float:
    chunk = min(default_max_num_batched_tokens(accelerator), _LARGEST_CHUNK)
    reserve = _RESERVE_GIB + _RESERVE_GIB_PER_TOKEN * chunk
    return round(1 - reserve / capacity(accelerator).capacity_gib, 3)


def lora_slots(ranks: tuple[int, ...], _: tuple[int, ...]) -> tuple[int, ...]:
    """--max-loras-per-batch slots of --max-lora-rank each: one for every adapter and one for requests without."""
    return (max(ranks),) * (len(ranks) + 1) if ranks else ()


SGLANG = SizingPort(
    engine="sglang",
    share_flag="--mem-fraction-static",
    support="sglang: static share x card - weights; its default share was compared on one card only",
    default_share=_default_share,
    overhead_beside_budget=True,
    share_grows_with_need=True,
    lora_slots=lora_slots,
    tuned_share=0.92,
    tuned_overhead_gib=0.0,
    keeps_room_for_output=True,
    prompts_apart=True,
    default_seats=_default_seats,
    default_step_tokens=_default_step_tokens,
)
