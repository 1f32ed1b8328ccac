"""The facts that plans rest on, as types. Each row names its source; a fact without one is not in the catalog.

Most types are rows of the data files. Two are made from rows: ``Offering``, an instance type in a region, bought one way,
at a price, on a date; and ``Model``, the facts of a model that suffice to size it. ``Exclusion`` says which rows were left
out.
"""

from agentgpu_iac.catalog.model.accelerators import Accelerator, DenseTflops
from agentgpu_iac.catalog.model.charges import Charge, ChargeId
from agentgpu_iac.catalog.model.endpoint_prices import EndpointPrice
from agentgpu_iac.catalog.model.engines import (
    Calibration,
    EngineHostMemory,
    EngineLimit,
    EngineMetrics,
    EngineParsers,
    EngineRelease,
    ParserNames,
)
from agentgpu_iac.catalog.model.gates import Gate
from agentgpu_iac.catalog.model.kernels import (
    AllReduce,
    DecodeAttention,
    ExpertKernel,
    KernelFormat,
    Kernels,
    MatrixKernel,
    PromptAttention,
)
from agentgpu_iac.catalog.model.kubernetes import KubernetesRelease
from agentgpu_iac.catalog.model.machines import GpuAlias, InstanceType
from agentgpu_iac.catalog.model.models import (
    AttentionIndex,
    ExtraWeights,
    FirstMamba,
    LayerCounts,
    LinearAttention,
    Mamba,
    Model,
    ModelFacts,
    RecurrentShape,
    ShortConvolution,
    Tower,
)
from agentgpu_iac.catalog.model.modules import MODULE_KINDS, CacheMethod, CheckpointCache, Module, ModuleKind
from agentgpu_iac.catalog.model.pooling import Pooling
from agentgpu_iac.catalog.model.quantised import QuantisationMethod, Repack
from agentgpu_iac.catalog.model.quotas import VcpuQuota
from agentgpu_iac.catalog.model.selling import Exclusion, LocalZone, Offering, Price, Provider, SkyPilotName
from agentgpu_iac.catalog.model.services import RouterRelease, RouterSoftware, ServiceRelease, ServiceSoftware
from agentgpu_iac.catalog.model.shortcuts import Phase, Shortcut, ShortcutId
from agentgpu_iac.catalog.model.system import ClusterPart, ClusterPod, SystemMachine
from agentgpu_iac.catalog.model.thinking import EngineOption, Option, Thinking, Thinks, Word
from agentgpu_iac.catalog.model.token_prices import TokenPrice
from agentgpu_iac.catalog.model.volumes import VolumeId, VolumeType

__all__ = (
    "MODULE_KINDS",
    "Accelerator",
    "AllReduce",
    "AttentionIndex",
    "CacheMethod",
    "Calibration",
    "Charge",
    "ChargeId",
    "CheckpointCache",
    "ClusterPart",
    "ClusterPod",
    "DecodeAttention",
    "DenseTflops",
    "EndpointPrice",
    "EngineHostMemory",
    "EngineLimit",
    "EngineMetrics",
    "EngineOption",
    "EngineParsers",
    "EngineRelease",
    "Exclusion",
    "ExpertKernel",
    "ExtraWeights",
    "FirstMamba",
    "Gate",
    "GpuAlias",
    "InstanceType",
    "KernelFormat",
    "Kernels",
    "KubernetesRelease",
    "LayerCounts",
    "LinearAttention",
    "LocalZone",
    "Mamba",
    "MatrixKernel",
    "Model",
    "ModelFacts",
    "Module",
    "ModuleKind",
    "Offering",
    "Option",
    "ParserNames",
    "Phase",
    "Pooling",
    "Price",
    "PromptAttention",
    "Provider",
    "QuantisationMethod",
    "RecurrentShape",
    "Repack",
    "RouterRelease",
    "RouterSoftware",
    "ServiceRelease",
    "ServiceSoftware",
    "ShortConvolution",
    "Shortcut",
    "ShortcutId",
    "SkyPilotName",
    "SystemMachine",
    "Thinking",
    "Thinks",
    "TokenPrice",
    "Tower",
    "VcpuQuota",
    "VolumeId",
    "VolumeType",
    "Word",
)
