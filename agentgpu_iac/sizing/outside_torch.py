"""What an engine takes outside of its tensors: the CUDA context, communication buffers, and captured graphs.

``version`` is that of the vLLM whose overhead is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.catalog.model import Accelerator, Model
from agentgpu_iac.catalog.versions import at_least
from agentgpu_iac.sizing.weights import layer_count

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
_GRAPHS_GIB_PER_LAYER = 0.018
"""Captured CUDA graphs, or the estimate of them: 8 to 80 layers on H100 (0.19) take 0.51 to 1.79 GiB and are estimated
at 0.49 to 1.82; within a quarter on most rows."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphs:
    """Captured CUDA graphs: a pool, and more for each layer of the fullest stage, those of a draft included."""

    layers: float
    """Layers whose graphs are captured; 0: none are."""

    @property
    def pool_gib(self) -> float:
        """What is taken before any layer."""
        return _GRAPHS_GIB if self.layers else 0.0

    @property
    def gib_per_layer(self) -> float:
        """What each layer takes."""
        return _GRAPHS_GIB_PER_LAYER

    @property
    def gib(self) -> float:
        """Both."""
        return self.pool_gib + self.gib_per_layer * self.layers


def cuda_graphs(model: Model, pipeline_parallel: int = 1, *, enforce_eager: bool, draft_layers: int = 0) -> Graphs:
    """Captured CUDA graphs of one accelerator. A draft's are captured too (vLLM's EAGLE proposer does since 0.9)."""
    return Graphs(layers=0.0 if enforce_eager else layer_count(model) / pipeline_parallel + draft_layers)
