"""Text Generation Inference: its warm-up takes what it needs, the KV cache gets the rest of a share."""

from __future__ import annotations

from agentgpu_iac.catalog.model import Accelerator, EngineRelease
from agentgpu_iac.sizing.engines.port import SizingPort
from agentgpu_iac.sizing.engines.vllm import default_max_num_batched_tokens, default_max_num_seqs

_SHARE = 0.90
"""The KV cache gets what the warm-up leaves of this share of the card (TGI_WIGGLE_ROOM, 3.3.7)."""


def _default_share(_: Accelerator, __: EngineRelease) -> float:
    return _SHARE


TGI = SizingPort(
    engine="tgi",
    share_flag="share of the card",
    support="tgi: 90 % of the card less what its warm-up takes, overhead as vLLM's; no start-up log was compared",
    default_share=_default_share,
    default_seats=default_max_num_seqs,
    default_step_tokens=default_max_num_batched_tokens,
)
