"""TensorRT-LLM: a share of what is free once it is loaded."""

from __future__ import annotations

from agentgpu_iac.catalog.model import Accelerator, EngineRelease
from agentgpu_iac.sizing.engines.port import SizingPort

_FREE_SHARE = 0.9
"""free_gpu_memory_fraction: that share of what is free once the engine is loaded."""


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
    held_output_share=1.0,
)
