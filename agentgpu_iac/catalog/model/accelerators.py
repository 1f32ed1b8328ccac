"""Accelerators: what a GPU type holds, moves and computes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentgpu_iac.catalog.model.kernels import Kernels
from agentgpu_iac.catalog.model.scalars import Float, Integer, Sources
from agentgpu_iac.spec.document import Document


class DenseTflops(Document):
    """Dense (not sparse) matrix throughput in TFLOPS by number format; unset where no source was found."""

    bf16: Float | None = None
    """16-bit floats (bf16 and fp16 run alike)."""
    fp8: Float | None = None
    """8-bit floats."""
    int8: Float | None = None
    """8-bit integers (TOPS)."""
    fp4: Float | None = None
    """4-bit floats (nvfp4, mxfp4)."""


class Accelerator(Document):
    """A GPU type."""

    id: str
    """Name in lower case with hyphens, for example ``h100-sxm``."""
    name: str
    """Name as sold."""
    memory_gb: Float
    """Memory on the label, in GB."""
    driver_memory_mib: Integer | None = None
    """Memory as the driver reports it."""
    cuda_memory_gib: Float | None = None
    """Memory as CUDA sees it, measured."""
    bandwidth_gb_per_s: Float
    """Memory bandwidth, vendor's figure."""
    vendor_dense_tflops: DenseTflops = DenseTflops()
    """Dense throughput, vendor's figure."""
    measured_dense_tflops: DenseTflops = DenseTflops()
    """Dense matrix-multiply throughput, measured."""
    nvlink_gb_per_s: Float | None = None
    """NVLink bandwidth of one accelerator, both directions; 0: none; unset: only with a bridge, or unknown."""
    pcie_generation: Integer
    """PCIe generation."""
    host_architecture: Literal["x86_64", "arm64"] | None = None
    """Architecture of the processor that it is one part with; unset: it is put into machines of any."""
    compute_capability: str
    """CUDA compute capability, or the gfx name of an AMD part."""
    tdp_w: Integer | None = None
    """Board power."""
    product_label: str | None = None
    """Value of the node label nvidia.com/gpu.product."""
    karpenter_name: str | None = None
    """Value of karpenter.k8s.aws/instance-gpu-name."""
    ec2_memory_mib: Integer | None = None
    """Memory as the EC2 API reports it."""
    kernels: Annotated[tuple[Kernels, ...], Field(exclude=True)] = ()
    """What engines reach on it, or on the card nearest in kind: filled in when the catalog is made."""
    sources: Sources
    """Where the figures are from."""
    note: str | None = None
    """What a reader should know about them."""
