"""vLLM: its own defaults, and the accounting that start-up logs were compared with."""

from __future__ import annotations

from agentgpu_iac.catalog.model import Accelerator
from agentgpu_iac.catalog.versions import before
from agentgpu_iac.sizing.engines.port import SizingPort

_LARGEST_BATCH_SINCE = "0.28"
"""First wheel read that takes 16,384 batched tokens from 160 GiB up; 0.26.0 takes 8,192 there too."""


def default_max_num_seqs(accelerator: Accelerator) -> int:
    """The engine's own --max-num-seqs when unset: 1024 from 70 GiB up except on A100, else 256."""
    large = accelerator.memory_gb >= 75 and not accelerator.id.startswith("a100")
    return 1024 if large else 256


def default_max_num_batched_tokens(accelerator: Accelerator, version: str = "") -> int:
    """The engine's own --max-num-batched-tokens when unset: 16384 from 160 GiB, 8192 from 70 GiB (not A100), else 2048."""
    if accelerator.memory_gb >= 175 and not before(version, _LARGEST_BATCH_SINCE):
        return 16384
    return 8192 if default_max_num_seqs(accelerator) == 1024 else 2048


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
    default_seats=default_max_num_seqs,
    default_step_tokens=default_max_num_batched_tokens,
    fused_formats=frozenset({"fp8"}),  # compiled: Inductor joins the quantising of a tensor with what is before it
    deals_all_experts_out=True,  # 0.33.0: FusedMoEParallelConfig.make takes TP x DP for it, whatever the sizes
    deals_experts_unevenly=True,  # 0.33.0: determine_expert_map gives the first ranks one expert more
)
