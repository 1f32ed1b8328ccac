"""TensorRT-LLM: a share of what is free once it is loaded."""

from __future__ import annotations

from agentgpu_iac.catalog.model import Accelerator, EngineRelease
from agentgpu_iac.sizing.engines.port import SizingPort

_FREE_SHARE = 0.9
"""free_gpu_memory_fraction: that share of what is free once the engine is loaded."""
_SEATS = 2048
"""max_batch_size (``builder.py``, ``llm_args.py``)."""
_STEP_TOKENS = 8192
"""max_num_tokens, likewise."""


def _default_seats(_: Accelerator) -> int:
    return _SEATS


def _default_step_tokens(_: Accelerator, __: str) -> int:
    return _STEP_TOKENS


def _default_share(_: Accelerator, __: EngineRelease) -> float:
    return _FREE_SHARE


TENSORRT_LLM = SizingPort(
    engine="tensorrt-llm",
    share_flag="--free_gpu_memory_fraction",
    support="tensorrt-llm: 90 % of what is free after load, overhead as vLLM's; no start-up log was compared",
    default_share=_default_share,
    share_is_of_free=True,
    checkpoints_ask_for_8_bit_cache=True,
    tuned_share=0.90,
    keeps_room_for_output=True,
    whole_prompts=True,
    fused_formats=frozenset({"fp8", "nvfp4"}),  # AllReduceFusionOp: RESIDUAL_RMS_NORM_QUANT_FP8 and _NVFP4
    default_seats=_default_seats,
    default_step_tokens=_default_step_tokens,
)
