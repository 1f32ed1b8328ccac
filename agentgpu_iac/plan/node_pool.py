"""Nodes of one kind that workloads of one tier run on."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.catalog.marketplace import SpheronInstanceType
from agentgpu_iac.plan.model_cache import CachedModel, FillerPlan
from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.vocabulary import CapacityType, Tier


class MarketWay(Document):
    """One way to buy a node on a marketplace."""

    instance_type: SpheronInstanceType
    """What the marketplace calls it."""
    capacity_type: CapacityType
    usd_per_hour: Money
    """Planned price of one node."""
    price_cap_usd_per_hour: Money
    """The most that one node may cost when it is made: usdPerHour x capacity.priceCapRatio. A dearer offer is passed over."""


class MarketPlan(Document):
    """What an offer on a marketplace must be to become a node of the pool."""

    ways: tuple[MarketWay, ...]
    """In order of preference."""
    accelerators: tuple[str, ...]
    """The planned one, then those that carry the same engines with the same arguments and as many sessions, cheapest first."""
    regions: tuple[str, ...]
    """Empty: any."""
    gpu_memory_gb: float
    """Of one accelerator, as it is on the label."""
    vcpus: int
    """As many as the largest engine is given: a container with more than its machine has does not start."""
    host_memory_gib: int
    disk_gib: int
    """For the system, the engine's image and the pool's models."""
    start_timeout_s: int
    """How long a machine may take until it runs."""


class NodePool(Document):
    """Nodes of one kind that workloads of one tier run on."""

    name: str
    tier: Tier
    capacity_types: tuple[CapacityType, ...]
    """In order of preference; several in one pool are a real fallback, several pools are not."""
    instance_types: tuple[str, ...]
    provider: str
    region: str
    accelerator: str
    accelerators_per_node: int
    min: int
    max: int
    reservation: Literal["none", "on-demand", "capacity-block"] = "none"
    """Held EC2 capacity that its nodes use first."""
    nodes_per_replica: int = 1
    """Whole nodes that one of its replicas takes: they come, and are renewed, together."""
    usd_per_hour: Money
    """One node, bought the preferred way; a held one is counted as if it were not held."""
    fallback_usd_per_hour: Money | None
    """One node, bought the last way in capacityTypes, if that differs."""
    price_known: bool = True
    """False: of some way in capacityTypes nobody knows the price; the dearest known of its accelerators stands for it."""
    price_date: str
    price_source: str
    sharing: Literal["none", "time-slicing"]
    slots_per_accelerator: int
    """Engines on one accelerator; 1 unless sharing."""
    fixed_size: bool
    """No autoscaler may change it: autoscalers do not see device-plugin sharing."""
    autoscaler: Literal["karpenter"] | None
    """What may change the number of its nodes; unset: nothing of ours does."""
    kubernetes_version: str
    ami_alias: str | None
    architecture: Literal["x86_64", "arm64"]
    nvme_gb: int
    efa_interfaces: int
    """EFA interfaces of the type."""
    root_volume_gib: int
    root_volume_mib_per_s: int
    root_volume_iops: int
    cache_capacity_gib: int
    """Size of the model cache volume."""
    cache_path: str
    """Directory on the node."""
    cached_models: tuple[CachedModel, ...]
    filler: FillerPlan | None
    """None where their owner fills all models."""
    market: MarketPlan | None = None
    """Set where the nodes are bought on a marketplace, offer by offer."""
