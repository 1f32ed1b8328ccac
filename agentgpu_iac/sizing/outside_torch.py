"""What an engine takes outside of its tensors: the CUDA context, communication buffers, and captured graphs.

``version`` is that of the vLLM whose overhead is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.catalog.model import Accelerator, Model
from agentgpu_iac.catalog.versions import at_least
from agentgpu_iac.units import GIB, MIB

_SYMMETRIC_BUFFERS_VERSION = "0.18"
"""First version with the larger context and, over NVLink, symmetric all-reduce buffers."""
_CONTEXT_GIB = {True: 0.25, False: 0.13}
"""CUDA context and libraries, by whether the version is 0.18 or newer: 0.24 to 0.27 and 0.13 to 0.14 logged."""
_STAGE_CONTEXT_GIB = 0.07
"""The same in a pipeline stage: 0.05 to 0.08 logged."""
_NVLINK_GIB = 1.76
_NVLINK_GIB_PER_RANK = 0.035
"""All-reduce buffers over NVLink since 0.18: 2.06 to 2.10 GiB in all at TP 2, 2.13 to 2.21 at TP 4 (0.19 on H100)."""
_NVLINK_OLDER_GIB_PER_RANK = 0.24
"""The same before: 0.55 GiB in all at TP 2 (H100), 2.10 at TP 8 (A100)."""
_PCIE_GIB = {True: 0.50, False: 0.12}
"""All-reduce buffers over PCIe, by whether the version is 0.18 or newer: 0.75 in all (two RTX 5090, 0.26), 0.21 to 0.25
(eight L40S, 0.10; two RTX 4090, 0.7)."""

_GRAPHS_GIB = 0.25
_GRAPHS_MIB_PER_LAYER = 0.18
"""Captured CUDA graphs: a pool, and for each layer and each size that is captured. 8 to 80 layers on H100 (0.19, 102 captures)
take 0.51 to 1.79 GiB and are estimated at 0.49 to 1.82; within a quarter on most rows."""
_GRAPHS_MIB_PER_LAYER_OVER_NCCL = 0.48
"""More for each where all-reduces are captured as NCCL's (``has_own_all_reduce``): .34 with Qwen3-235B on eight L40S (3.45 GiB),
.51 with gpt-oss-120b over four A100 (1.88), .54 with Qwen3.6-35B on four A100 (.75, 1.88 and 2.79 GiB at 24, 128 and 256
seats)."""
_MOST_WITH_OWN_ALL_REDUCE_OVER_PCIE = 2
"""vLLM's own all-reduce is for two cards over PCIe, for more only with NVLink (custom_all_reduce.py of the wheels of 0.10.2 to
0.33.0)."""

_LARGEST_CAPTURE = 512
_LARGEST_CAPTURE_OF_BLACKWELL = 1024
_LARGER_CAPTURE_SINCE = "0.33"
_BY_SEATS_SINCE = "0.10.2"
"""First wheel read that captures sizes up to twice the seats; 0.9.2 goes to 512 whatever they are."""
_COARSER_SINCE = "0.12"
"""First wheel read with steps of 16 from 256 up; of 8 before."""
_FULL_TOO_SINCE = "0.11"
"""First wheel read that captures whole decode steps beside the pieces, up to the seats."""

_COLD_SINCE = "0.27"
"""First wheel read that counts what the card has less after the profiling run, not what torch held at most
(``total_consumed``): what compiling and tuning leaves behind is then out of the KV cache."""
_COLD_GIB = 1.13
_COLD_TUNED_GIB = 2.15
"""What a start with an empty compile cache has less than one with a full one, by whether kernels are tuned for experts or
recurrent layers: Qwen3-8B on RTX 5070 Ti (0.31, 4.34 and 5.47 GiB); Qwen3.6-35B on A100 (0.27, five pairs, 2.12 to 2.18,
also without graphs). Two models, so no more than two figures."""


def context_gib(version: str, tensor_parallel: int, pipeline_parallel: int = 1) -> float:
    """CUDA context and libraries, in GiB."""
    if tensor_parallel == 1 and pipeline_parallel > 1:
        return _STAGE_CONTEXT_GIB
    return _CONTEXT_GIB[_has_symmetric_buffers(version)]


def communication_gib(accelerator: Accelerator, version: str, tensor_parallel: int) -> float:
    """NCCL and all-reduce buffers, in GiB; none without tensor parallelism."""
    newer = _has_symmetric_buffers(version)
    if tensor_parallel == 1:
        return 0.0
    if not accelerator.nvlink_gb_per_s:
        return _PCIE_GIB[newer]
    if newer:
        return _NVLINK_GIB + _NVLINK_GIB_PER_RANK * tensor_parallel
    return _NVLINK_OLDER_GIB_PER_RANK * tensor_parallel


def non_torch_gib(accelerator: Accelerator, version: str, tensor_parallel: int, pipeline_parallel: int = 1) -> float:
    """Both, in GiB."""
    return context_gib(version, tensor_parallel, pipeline_parallel) + communication_gib(
        accelerator, version, tensor_parallel
    )


def _has_symmetric_buffers(version: str) -> bool:
    return at_least(version, _SYMMETRIC_BUFFERS_VERSION)


def cold_start_gib(model: Model, version: str) -> float:
    """What a start with an empty compile cache takes more of each accelerator, in GiB."""
    if not at_least(version, _COLD_SINCE):
        return 0.0
    return _COLD_TUNED_GIB if model.experts or model.layers.recurrent else _COLD_GIB


def has_own_all_reduce(accelerator: Accelerator, tensor_parallel: int) -> bool:
    """Whether vLLM reduces over a tensor-parallel group by itself, and not by NCCL."""
    return bool(accelerator.nvlink_gb_per_s) or tensor_parallel <= _MOST_WITH_OWN_ALL_REDUCE_OVER_PCIE


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphs:
    """Captured CUDA graphs: a pool, and more for each layer of the fullest stage, those of a draft included, and each size."""

    layers: float
    """Layers whose graphs are captured; 0: none are."""
    captures: int
    """Sizes that are captured, whole steps and pieces."""
    mib_per_layer: float
    """What one layer takes in one of them."""

    @property
    def pool_gib(self) -> float:
        """What is taken before any layer."""
        return _GRAPHS_GIB if self.layers else 0.0

    @property
    def gib(self) -> float:
        """Both."""
        return self.pool_gib + self.captures * self.layers * self.mib_per_layer * MIB / GIB


def captures(
    version: str, seats: int, max_num_batched_tokens: int, *, rows_per_step: int = 1, compute_capability: str = ""
) -> int:
    """How many sizes an engine with that many seats captures: pieces of steps, and since 0.11 whole decode steps."""
    large = at_least(version, _LARGER_CAPTURE_SINCE) and compute_capability.startswith("10.")
    most = _LARGEST_CAPTURE_OF_BLACKWELL if large else _LARGEST_CAPTURE
    if at_least(version, _BY_SEATS_SINCE):
        most = min(2 * seats * rows_per_step, most)
    pieces = _sizes(min(most, max_num_batched_tokens), version)
    if not at_least(version, _FULL_TOO_SINCE):
        return pieces
    return pieces + _sizes(min(most, max_num_batched_tokens, seats * rows_per_step), version)


def _sizes(most: int, version: str) -> int:
    """1, 2, 4, then multiples of 8 up to ``most``; of 16 from 256 up in newer versions."""
    small = sum(size <= most for size in (1, 2, 4))
    if not at_least(version, _COARSER_SINCE) or most < 256:
        return small + most // 8
    return small + 31 + (most - 256) // 16 + 1


def cuda_graphs(layers: float, captured: int, *, own_all_reduce: bool) -> Graphs:
    """Captured CUDA graphs of one accelerator. A draft's are captured too (vLLM's EAGLE proposer does since 0.9)."""
    nccl = 0.0 if own_all_reduce else _GRAPHS_MIB_PER_LAYER_OVER_NCCL
    return Graphs(layers=layers, captures=captured, mib_per_layer=_GRAPHS_MIB_PER_LAYER + nccl)
