"""What an engine's kernels take on an accelerator: launches in ms, bytes and operations per ms.

Shares of the data sheet are facts of the catalog (``kernels.json``: tables measured on nine cards with three engines). Where a
format has no kernel of its own in them, the kernel that does its arithmetic stands in: weights that are unpacked are
read and multiplied as 16-bit ones are (Marlin reads 4-bit weights 3.87 times as fast as 16-bit ones at a batch of up to
16, of 4 by their bytes: Frantar et al. 2024, arXiv:2408.11743).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from agentgpu_iac.catalog.model import (
    Accelerator,
    DecodeAttention,
    ExpertKernel,
    KernelFormat,
    Kernels,
    MatrixKernel,
    PromptAttention,
)
from agentgpu_iac.sizing.calibration import family_of
from agentgpu_iac.spec.vocabulary import Engine

_Kernel = TypeVar("_Kernel")
_MatrixKernel = TypeVar("_MatrixKernel", bound=MatrixKernel)

_MATRIX = MatrixKernel(format="bf16", launch_us=3.0, bandwidth_share=0.8, tflops_share=0.75)
_EXPERTS = ExpertKernel(
    format="bf16", launch_us=15.0, launch_us_per_thousand_wide=3.0, bandwidth_share=0.85, tflops_share=0.4, passes=8.0
)
_PROMPT_ATTENTION = PromptAttention(kv_bytes=2, tflops_share=0.65, half_tokens=1200.0)
_DECODE_ATTENTION = DecodeAttention(kv_bytes=2, launch_us=12.0, bandwidth_share=0.75)
"""Middle of the tables: for accelerators that no catalog knows (rows by hand)."""

_STANDS_IN: dict[KernelFormat, tuple[KernelFormat, ...]] = {
    "bf16": ("bf16",),
    "fp8": ("fp8", "fp8-block", "bf16"),
    "fp8-block": ("fp8-block", "fp8", "bf16"),
    "int8": ("int8", "fp8", "bf16"),
    "int4": ("int4", "mxfp4", "bf16"),
    "mxfp4": ("mxfp4", "int4", "bf16"),
    "nvfp4": ("nvfp4", "mxfp4", "int4", "bf16"),
}
"""Formats whose kernels stand in for one another, the likest first."""
_EIGHT_BIT: frozenset[KernelFormat] = frozenset({"fp8", "fp8-block", "int8"})
"""Formats whose kernels are of one build: one stands in for another at the other's rate."""

PCIE_ALL_REDUCE_MS = {2: 0.0058, 4: 0.014, 8: 0.027}
"""A small all-reduce inside a graph over PCIe: aiconfigurator-core 0.12, L40S and RTX PRO 6000 alike."""
PCIE_GB_PER_S = {2: 19.0, 4: 9.0, 8: 5.0}
"""Large all-reduces over PCIe 4.0: between an L40S host without a switch (20, 2.5 to 3.4, 0.8 to 1.1) and one whose cards
reach each other (18, 14, 12), both in aiconfigurator-core 0.12. Hosts differ by more than cards do: the band holds both."""
PCIE_5_GB_PER_S = {2: 38.0, 4: 18.0, 8: 14.0}
"""The same over PCIe 5.0: RTX PRO 6000 Server, eight cards in one host."""
_NVLINK_MS = 0.005
_NVLINK_SHARE = {2: 0.36, 4: 0.26, 8: 0.25}
"""NVLink: a small all-reduce in a graph, and bytes of a large one over the data sheet's bandwidth: the middle of A100, H100,
H200 and B200 (0.31 to 0.37, 0.23 to 0.26, 0.21 to 0.30)."""
_PCIE_5 = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Achieved:
    """What a kernel reaches on one accelerator."""

    format: KernelFormat
    """Whose kernel it is: the one asked for, or the one that stands in."""
    launch_ms: float
    bytes_per_ms: float
    flops_per_ms: float
    passes: float = 0.0
    """Experts: times that each expert of a token moves a vector of the hidden size."""


def has_own_tables(accelerator: Accelerator) -> bool:
    """Whether the kernel tables are of this very card, not of the one nearest in kind."""
    return any(table.accelerator == accelerator.id for table in accelerator.kernels)


def tflops(accelerator: Accelerator, kernel_format: KernelFormat) -> float | None:
    """Dense TFLOPS of the arithmetic behind a format: the vendor's figure, else a measured one, else none."""
    field = {"fp8": "fp8", "fp8-block": "fp8", "int8": "int8", "nvfp4": "fp4"}.get(kernel_format, "bf16")
    for table in (accelerator.vendor_dense_tflops, accelerator.measured_dense_tflops):
        value: float | None = getattr(table, field)
        if value:
            return value
    return None


def matrices(accelerator: Accelerator, engine: Engine, kernel_format: KernelFormat) -> Achieved | None:
    """Multiplying with one matrix of a format; None where no TFLOPS figure of the accelerator has a source."""
    kernel = _stand_in(accelerator, engine, kernel_format, lambda table: table.matrices, _MATRIX)
    return None if kernel is None else _reached(accelerator, kernel, kernel.launch_us)


def without_quantising(accelerator: Accelerator, engine: Engine, kernel: Achieved) -> Achieved:
    """The same kernel where what quantises its input is part of the norm or activation before it.

    Tables time the two together; what is left is launched as a 16-bit matrix is.
    """
    plain = matrices(accelerator, engine, "bf16")
    return kernel if plain is None else replace(kernel, launch_ms=min(kernel.launch_ms, plain.launch_ms))


def experts(
    accelerator: Accelerator, engine: Engine, kernel_format: KernelFormat, hidden_size: int, name: str = ""
) -> Achieved | None:
    """One layer of routed experts of a format; None where no TFLOPS figure of the accelerator has a source.

    ``name``: the kernels that the engine was told to take; its own choice where no table has them.
    """

    def chosen(table: Kernels) -> Iterable[ExpertKernel]:
        return sorted(table.experts, key=lambda each: each.kernel != name) if name else table.experts

    kernel = _stand_in(accelerator, engine, kernel_format, chosen, _EXPERTS)
    if kernel is None:
        return None
    launch_us = kernel.launch_us + kernel.launch_us_per_thousand_wide * hidden_size / 1e3
    return replace(_reached(accelerator, kernel, launch_us), passes=kernel.passes)


def _stand_in(
    accelerator: Accelerator,
    engine: Engine,
    kernel_format: KernelFormat,
    kernels: Callable[[Kernels], Iterable[_MatrixKernel]],
    unknown: _MatrixKernel,
) -> _MatrixKernel | None:
    """The kernel of a format or of the likest that the tables and the data sheet have; the middle of all tables else."""
    for candidate in _STANDS_IN[kernel_format]:
        found: _MatrixKernel | None = _of(accelerator, engine, kernels, partial(_has_format, candidate))
        rated = kernel_format if {kernel_format, candidate} <= _EIGHT_BIT else candidate
        if found is not None and tflops(accelerator, rated) is not None:
            stands: _MatrixKernel = found.model_copy(update={"format": rated})
            return stands
    named = next((each for each in _STANDS_IN[kernel_format] if tflops(accelerator, each) is not None), None)
    if named is None:
        return None
    middle: _MatrixKernel = unknown.model_copy(update={"format": named})
    return middle


def _has_format(kernel_format: KernelFormat, kernel: MatrixKernel) -> bool:
    return kernel.format == kernel_format


def _reached(accelerator: Accelerator, kernel: MatrixKernel, launch_us: float) -> Achieved:
    return Achieved(
        format=kernel.format,
        launch_ms=launch_us / 1e3,
        bytes_per_ms=accelerator.bandwidth_gb_per_s * 1e6 * kernel.bandwidth_share,
        flops_per_ms=(tflops(accelerator, kernel.format) or 0.0) * 1e9 * kernel.tflops_share,
    )


def prompt_attention(accelerator: Accelerator, engine: Engine, kv_bytes: float) -> PromptAttention:
    """Attention of prompts, by the width of the cache."""
    return (
        _of(accelerator, engine, lambda table: table.prompt_attention, lambda row: row.kv_bytes == kv_bytes)
        or _of(accelerator, engine, lambda table: table.prompt_attention, lambda _row: True)
        or _PROMPT_ATTENTION
    )


def decode_attention(accelerator: Accelerator, engine: Engine, kv_bytes: float) -> DecodeAttention:
    """Attention of one token of each sequence, by the width of the cache."""
    return (
        _of(accelerator, engine, lambda table: table.decode_attention, lambda row: row.kv_bytes == kv_bytes)
        or _of(accelerator, engine, lambda table: table.decode_attention, lambda _row: True)
        or _DECODE_ATTENTION
    )


def all_reduce(accelerator: Accelerator, engine: Engine, width: int) -> tuple[float, float]:
    """Latency in ms of a small all-reduce inside a graph, and GB/s of a large one, among ``width`` accelerators.

    Cards joined as the measured ones are take their figures; others go by their link: a share of NVLink, or what hosts
    of their PCIe generation reach. Widths between and beyond take those of the next smaller one measured, and over PCIe
    a doubling beyond eight halves the rate.
    """
    step = max(size for size in (2, 4, 8) if size <= max(2, width))
    measured = _of(
        accelerator,
        engine,
        lambda table: table.all_reduces,
        lambda row: row.accelerators == step and _joined_alike(accelerator),
    )
    if measured is not None:
        return measured.launch_us / 1e3, measured.gb_per_s
    if accelerator.nvlink_gb_per_s:
        return _NVLINK_MS, accelerator.nvlink_gb_per_s * _NVLINK_SHARE[step]
    rates = PCIE_5_GB_PER_S if accelerator.pcie_generation >= _PCIE_5 else PCIE_GB_PER_S
    return PCIE_ALL_REDUCE_MS[step], rates[step] * min(1.0, step / width)


def _joined_alike(accelerator: Accelerator) -> bool:
    """NVLink figures are the card's own; over PCIe the host decides, so that no one host's figures stand for a card."""
    return bool(accelerator.nvlink_gb_per_s)


def _of(
    accelerator: Accelerator,
    engine: Engine,
    kernels: Callable[[Kernels], Iterable[_Kernel]],
    wanted: Callable[[_Kernel], bool],
) -> _Kernel | None:
    """The kernel of the engine, else that of another engine on the same card."""
    family = family_of(engine)
    tables = sorted(accelerator.kernels, key=lambda table: (table.engine != family, table.engine))
    return next((row for table in tables for row in kernels(table) if wanted(row)), None)
