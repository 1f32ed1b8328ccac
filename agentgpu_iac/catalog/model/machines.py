"""Machines that providers sell, and what they call the GPUs in them."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.catalog.model.scalars import Float, Integer, Sources
from agentgpu_iac.spec.document import Document


class InstanceType(Document):
    """A machine that a provider sells, with the GPU named as that provider names it."""

    provider: str
    """Provider id, for example ``aws``."""
    name: str
    """The provider's name for the machine."""
    gpu: str
    """The provider's name for its GPU."""
    gpu_count: Float
    """GPUs in the machine; a fraction for a part of one."""
    gpu_memory_mib: Integer | None = None
    """Memory of one GPU as the provider's API reports it."""
    vcpu: Integer | None = None
    """Virtual CPUs."""
    memory_gib: Float | None = None
    """Host memory."""
    nvme_count: Integer = 0
    """Local NVMe disks."""
    nvme_total_gb: Integer = 0
    """Local NVMe, all disks together."""
    network_baseline_gbps: Float | None = None
    """Network rate that is always there."""
    network_peak_gbps: Float | None = None
    """Network rate in a burst."""
    efa_interfaces: Integer = 0
    """EFA interfaces, at most one on a network card."""
    first_efa_card: Integer = 0
    """The first network card that takes an EFA interface; those before it carry IP alone."""
    ebs_baseline_mbps: Float | None = None
    """EBS throughput that is always there, in MB/s."""
    ebs_max_mbps: Float | None = None
    """EBS throughput in a burst, in MB/s."""
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    """CPU architecture."""
    karpenter_gpu_name: str | None = None
    """karpenter.k8s.aws/instance-gpu-name of the type."""
    allocatable_cpu_milli: Integer | None = None
    """CPU that pods can have, in millicores."""
    allocatable_memory_mib: Integer | None = None
    """Host memory that pods can have."""
    schedulable_gpus: Integer | None = None
    """nvidia.com/gpu that Kubernetes sees on a node of this type."""
    interruption_band: tuple[tuple[str, str], ...] = ()
    """(region, share of spot instances interrupted in a month)."""
    sources: Sources
    """Where the figures are from."""
    note: str | None = None
    """What a reader should know about them."""


class GpuAlias(Document):
    """Which accelerator a provider means by the name that it gives a GPU."""

    provider: str
    """Provider id; ``*``: every provider."""
    gpu: str
    """The GPU as instance types of that provider name it."""
    instance_type: str | None = None
    """Set where the name means something else in this one instance type."""
    accelerators: tuple[str, ...]
    """Ids of the accelerators that it may be. The memory of the instance type tells several apart, or nothing does."""
    note: str | None = None
    """Why it is so; the reason of the exclusion where no single accelerator is left."""
