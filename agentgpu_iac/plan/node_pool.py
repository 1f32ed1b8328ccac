"""Nodes of one kind that workloads of one tier run on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentgpu_iac.catalog.marketplace import SpheronInstanceType
from agentgpu_iac.plan.model_cache import CachedModel, FillerPlan
from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.vocabulary import CapacityType, Tier


class MarketWay(Document):
    """One way to buy a node on a marketplace."""

    instance_type: SpheronInstanceType
    """What the marketplace calls it."""
    capacity_type: CapacityType
    """The way of the plan that it is."""
    usd_per_hour: Money
    """Planned price of one node."""
    price_cap_usd_per_hour: Money
    """The most that a node may cost when it is made: ``usdPerHour`` x ``capacity.priceCapRatio``. A dearer offer is
    passed over."""


class MarketPlan(Document):
    """What an offer on a marketplace must be to become a node of the pool."""

    ways: tuple[MarketWay, ...]
    """Ways to buy it, in order of preference."""
    accelerators: tuple[str, ...]
    """The planned one, then up to three others that carry the same engines with the same arguments and as many sessions,
    cheapest first."""
    regions: tuple[str, ...]
    """``regions`` of the spec; empty: any."""
    gpu_memory_gb: float
    """Memory of one accelerator, as it is on the label."""
    vcpus: int
    """As many as the largest engine is given: a container with more than its machine has does not start."""
    host_memory_gib: int
    """Host memory: 8 GiB for each accelerator, or what KV cache moved there needs."""
    disk_gib: int
    """60 GiB for the system and the engine's image, and 1.2 times the pool's models."""
    start_timeout_s: int
    """How long a machine may take until it runs (an assumption: 1,800 s)."""


class NodeTypePlan(Document):
    """An instance type that a pool's nodes may be."""

    instance_type: str
    """The provider's name."""
    vcpus: int
    """Its virtual CPUs, which quotas count; 0: not known."""
    usd_per_hour: Money
    """The most that one costs in the pool's ways to buy it."""


class ClosedHours(Document):
    """Hours of the week in which no node may be renewed."""

    schedule: str
    """When they begin: five cron fields in UTC."""
    minutes: int
    """How long they last."""


class StartupTaintPlan(Document):
    """The container beside the filler that takes the startup taint off a node once its model cache is filled."""

    cpu_milli: int
    """CPU that it requests."""
    memory_mib: int
    """Memory that it requests, and its limit."""


class NodePool(Document):
    """Nodes of one kind that workloads of one tier run on."""

    name: str
    """Unique in the plan; nodes carry it as the label ``agentgpu.dev/node-pool``."""
    tier: Tier
    """Tier of its workloads."""
    capacity_types: Annotated[tuple[CapacityType, ...], Field(min_length=1)]
    """In order of preference; several in one pool are a real fallback, several pools are not."""
    instance_types: Annotated[tuple[str, ...], Field(min_length=1)]
    """The provider's names: the planned one first, then those that may stand in for it, cheapest first."""
    types: tuple[NodeTypePlan, ...] = ()
    """The same with their sizes and prices."""
    dearest_usd_per_hour: Money | None = None
    """The most that one node may cost: the dearest of ``types``, bought the dearest way; null: no other than planned."""
    provider: str
    """Provider id; of your own machines (``owned``), whose instance type they are like."""
    region: str
    """Region; ``any`` where the price names none."""
    accelerator: str
    """Accelerator id."""
    accelerators_per_node: int
    """Whole accelerators of one node."""
    min: int
    """Nodes that are always there; 0 for a burst pool, and what ``schedule.replicasOutside`` leaves of one that follows a
    schedule."""
    max: int
    """Nodes at the peak."""
    open_hours_per_month: float | None = None
    """Hours of a month of 720 h in which its nodes beyond ``min`` are there for the windows of its deployment, a start before
    and a drain after each; null: it follows no schedule."""
    surge_nodes: int = 0
    """Nodes beyond ``max`` that rollouts may add for a while, where an autoscaler makes them."""
    idle_s: int = 3600
    """How long an empty node stays before an autoscaler takes it away."""
    closed_hours: tuple[ClosedHours, ...] = ()
    """Hours outside ``capacity.maintenanceWindow``; empty: nodes may be renewed at any time."""
    reservation: Literal["none", "on-demand", "capacity-block"] = "none"
    """Held EC2 capacity that its nodes use first (``capacity.reservation``)."""
    zones: int = 1
    """Zones over which its replicas are spread evenly, so that the loss of one takes no more than its part; 1: wherever there is
    room."""
    node_updates: Literal["minimal", "surge"] = "minimal"
    """How EKS renews nodes of a managed node group: minimal takes the old ones away first, surge starts up to two more in each
    of its zones before (``capacity.nodeUpdates``). Karpenter goes by its own rules."""
    nodes_per_replica: int = 1
    """Whole nodes that one of its replicas takes: they come, and are renewed, together."""
    usd_per_hour: Money
    """One node, bought the preferred way; a held one is counted as if it were not held."""
    fallback_usd_per_hour: Money | None
    """One node, bought the last way in capacityTypes, if that differs."""
    price_known: bool = True
    """false: of some way in ``capacityTypes`` nobody knows the price; the dearest known of its accelerators stands for
    it."""
    price_date: str
    """When the price was read; empty: its source has no date."""
    price_source: str
    """Where it is from."""
    sharing: Literal["none", "time-slicing"]
    """``time-slicing``: several engines on one accelerator."""
    slots_per_accelerator: int
    """Engines on one accelerator; 1 unless sharing."""
    fixed_size: bool
    """No autoscaler may change it: autoscalers do not see device-plugin sharing."""
    autoscaler: Literal["karpenter"] | None
    """``karpenter``: what may change the number of nodes. null: nothing of ours does."""
    kubernetes_version: str
    """``pins.kubernetesVersion``."""
    ami_alias: str | None
    """``pins.amiAlias``; null: unpinned."""
    architecture: Literal["x86_64", "arm64"]
    """CPU architecture."""
    nvme_gb: int
    """Instance store of one node."""
    efa_interfaces: int
    """EFA interfaces of the type."""
    first_efa_card: int = 0
    """The first of its network cards that takes one."""
    root_volume_gib: int
    """gp3 root volume; larger where it holds the model cache."""
    root_volume_mib_per_s: int
    """Its throughput."""
    root_volume_iops: int
    """Its IOPS."""
    cache_capacity_gib: int
    """Size of the model cache volume."""
    cache_path: str
    """Directory on the node."""
    cached_models: tuple[CachedModel, ...]
    """What its nodes keep."""
    filler: FillerPlan | None
    """The pod that fills them; null where their owner does."""
    termination_grace_s: int = 3_600
    """Seconds after which a node that drains is taken away regardless of what its pods say: its pods leave one after another,
    each when its replacement serves. That may take ``rollout.progressDeadlineS`` for the first, the startup probe's patience
    for the others, and the grace period of each."""
    image_pull: Literal["default", "parallel", "cached"] = "default"
    """How images come to its nodes: ``parallel`` is nodeadm's gate FastImagePull (``capacity.imagePull``)."""
    startup_taint: StartupTaintPlan | None = None
    """Set where new nodes carry a startup taint until their cache is filled, so that Karpenter drains an old node only when
    the one in its place can serve: baseline nodes that it makes, with a filler. (A node that waits for its taint is never
    idle in Karpenter's eyes, so burst nodes have none: a fill that hangs would keep an empty one.)"""
    beside_cluster: bool = False
    """Whether its machines are no nodes of the cluster: they run Docker Compose behind the cluster's NGINX."""
    owned: bool = False
    """Whether its machines are yours already (``capacity.inventory``): ``region`` is then where you say that they stand, or
    ``any``, and no quota of a seller counts them."""
    market: MarketPlan | None = None
    """What to look for where nodes are bought on a marketplace, offer by offer (Spheron)."""
