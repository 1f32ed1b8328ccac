"""How one pipeline stage spreads over its accelerators."""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.catalog.model import Accelerator

_NVLINK_DOMAIN = {"gb200": 72, "gb300": 72}
_GPUS_OF_A_MACHINE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a replica spreads over accelerators: one stage of its pipeline, and how many there are."""

    accelerators: int
    """Accelerators of the stage: routed experts are spread over all of them."""
    attention_groups: int
    """Groups with a copy of the other weights each, and with their own requests (attention data parallelism)."""
    expert_groups: int
    """Groups of whole experts (expert parallelism); 1: every expert is split."""
    stages: int = 1
    """Stages of the pipeline, each on as many accelerators, with its part of the layers and of every request's cache."""

    @property
    def tensor_parallel(self) -> int:
        """Accelerators that share the heads of one request."""
        return self.accelerators // self.attention_groups


def layout(accelerator: Accelerator, tensor_parallel: int, attention_dp: int = 1, expert_parallel: int = 1) -> Layout:
    """Read the sizes as the engines mean them.

    Attention data parallelism runs inside the tensor-parallel group in SGLang and TensorRT-LLM (TP 8, DP 8: eight
    accelerators); beside it otherwise (TP 1, DP 4: four). A width beyond the NVLink domain that expert parallelism
    divides is TP x EP in one figure, as published tables have it (TP 64, EP 8 on an eight-way machine: eight).
    """
    domain = _NVLINK_DOMAIN.get(accelerator.id, _GPUS_OF_A_MACHINE)
    if tensor_parallel > domain and tensor_parallel % expert_parallel == 0 and expert_parallel > 1:
        tensor_parallel //= min(expert_parallel, tensor_parallel // expert_parallel)
    inside = 1 < attention_dp <= tensor_parallel and tensor_parallel % attention_dp == 0
    accelerators = tensor_parallel if inside else tensor_parallel * attention_dp
    return Layout(
        accelerators=accelerators,
        attention_groups=attention_dp,
        expert_groups=min(expert_parallel, accelerators),
    )
