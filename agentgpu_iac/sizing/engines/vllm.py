"""vLLM: its own defaults, and the accounting that start-up logs were compared with."""

from __future__ import annotations

from agentgpu_iac.catalog.model import Accelerator
from agentgpu_iac.sizing.engines.port import SizingPort
from agentgpu_iac.sizing.outside_torch import is_v0

_LONGEST_PROMPT_IN_ONE_STEP = 32_768
"""Engine V0 cut prompts by itself above this --max-model-len."""


def default_max_num_seqs(accelerator: Accelerator, version: str = "") -> int:
    """The engine's own --max-num-seqs when unset: 1024 from 70 GiB up except on A100, else 256; 256 in engine V0."""
    large = accelerator.memory_gb >= 75 and not accelerator.id.startswith("a100")
    return 1024 if large and not is_v0(version) else 256


def default_max_num_batched_tokens(
    accelerator: Accelerator, version: str = "", max_model_len: int | None = None
) -> int:
    """The engine's own --max-num-batched-tokens when unset: 16384 from 160 GiB, 8192 from 70 GiB (not A100), else 2048.

    Engine V0 prefills whole prompts, so at least max-model-len; it cuts them into 2048 by itself above 32,768.
    """
    if is_v0(version):
        return 2048 if max_model_len is None or cuts_prompts(max_model_len) else max(2048, max_model_len)
    if accelerator.memory_gb >= 175:
        return 16384
    return 8192 if default_max_num_seqs(accelerator) == 1024 else 2048


def cuts_prompts(max_model_len: int) -> bool:
    """Whether engine V0 cuts prompts at this length."""
    return max_model_len > _LONGEST_PROMPT_IN_ONE_STEP


def lora_slots(ranks: tuple[int, ...], accepted: tuple[int, ...]) -> tuple[int, ...]:
    """--max-loras slots of --max-lora-rank each: as many as adapters, all made for the widest."""
    if not ranks:
        return ()
    widest = max(ranks)
    return (next((rank for rank in sorted(accepted) if rank >= widest), widest),) * len(ranks)


VLLM = SizingPort(
    engine="vllm",
    share_flag="--gpu-memory-utilization",
    logs_compared=True,
    starts_measured=True,
    graphs_follow_release=True,
    lora_slots=lora_slots,
    deals_all_experts_out=True,  # 0.33.0: FusedMoEParallelConfig.make takes TP x DP for it, whatever the sizes
    deals_experts_unevenly=True,  # 0.33.0: determine_expert_map gives the first ranks one expert more
)
