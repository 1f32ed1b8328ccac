"""vLLM: its own defaults, and the accounting that start-up logs were compared with."""

from __future__ import annotations

from agentgpu_iac.catalog.model import Accelerator, Model
from agentgpu_iac.catalog.versions import at_least, before
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


_TOWERS_LEFT_OUT_SINCE = "0.17"
"""First wheel read whose classes all mark their towers (``_mark_tower_model``), which are not made where the limit of every
kind that they read is 0; 0.15.0 lacks Kimi K2.5's, 0.13.0 has it by class. Where it is loaded, it is not profiled (0.10.2)."""
_TOWERS_LEFT_OUT_EARLIER = {
    "qwen2_vl": "0.10.2",
    "qwen2_5_vl": "0.10.2",
    "mistral3": "0.10.2",
    "llama4": "0.10.2",
    "llava": "0.10.2",
    "qwen3_vl": "0.11",
    "qwen3_vl_moe": "0.11",
}
"""By model type: classes whose constructor asks for the limits itself (wheels of 0.9.2, 0.10.2, 0.11.0 and 0.13.0)."""


def leaves_towers_out(model: Model, version: str) -> bool:
    """Whether a model is loaded without its towers where --limit-mm-per-prompt or --language-model-only rules them out."""
    family = model.architecture.removesuffix("_text")
    return at_least(version, _TOWERS_LEFT_OUT_EARLIER.get(family, _TOWERS_LEFT_OUT_SINCE))


_REFINES_BLOCKS_SINCE = "0.29"
"""Read in 0.32.0: refine_fp8_moe_block_shape (fused_moe/oracle/fp8.py). 0.28 and older lack it (issues 25292, 54178); what lies
between was not read, and is taken to have it."""

VLLM = SizingPort(
    engine="vllm",
    share_flag="--gpu-memory-utilization",
    logs_compared=True,
    starts_measured=True,
    graphs_follow_release=True,
    lora_slots=lora_slots,
    default_seats=default_max_num_seqs,
    leaves_towers_out=leaves_towers_out,
    admits_twice=True,  # 0.32: _preflight (entrypoints/generate/base/serving.py), _add_request (v1/engine/async_llm.py)
    default_step_tokens=default_max_num_batched_tokens,
    captured_prompt_tokens=512,  # max_cudagraph_capture_size, pieces of steps (``config/vllm.py``)
    fused_formats=frozenset({"fp8"}),  # compiled: Inductor joins the quantising of a tensor with what is before it
    deals_all_experts_out=True,  # 0.33.0: FusedMoEParallelConfig.make takes TP x DP for it, whatever the sizes
    keeps_states_by_pages=True,
    keeps_states_as_the_model=True,
    takes_stated_length_since="0.30",  # pull request 56446; config/model.py in the wheels of 0.29.0, 0.30.0 and 0.31.0
    starts_at_original_length=True,
    starts_with_whole_pages_until="0.20.2",  # pull request 36734 is of 0.17.1; 0.23 has no such check
    quantises_by_layers_since="0.14",  # pull request 31914, merged in January 2026
    slices_whole_blocks=True,
    refines_blocks_since=_REFINES_BLOCKS_SINCE,
    deals_experts_unevenly=True,  # 0.33.0: determine_expert_map gives the first ranks one expert more
)
