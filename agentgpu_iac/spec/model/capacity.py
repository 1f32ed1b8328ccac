"""What may be bought, what production has shown, and where weights are kept."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.model.commitments import Commitment
from agentgpu_iac.spec.model.fields import LISTED, Count, CronSpec, Name, PositiveCount, Ratio, Text, TimeZone
from agentgpu_iac.spec.vocabulary import Storage


class AcceleratorChoice(Document):
    """Which accelerators may be used."""

    allow: Annotated[tuple[Text, ...], LISTED] = ()
    """Accelerators by id or by name, such as ``H100 SXM``; empty: every one in the catalog."""
    deny: Annotated[tuple[Text, ...], LISTED] = ()
    """Accelerators that are never used, likewise."""


class MaintenanceWindow(Document):
    """When nodes may be renewed."""

    start: CronSpec
    """When it opens, five cron fields: one minute, one hour, any day and month, and the weekdays, for example
    ``0 2 * * 1-5``."""
    hours: Annotated[float, Field(ge=0.5, le=24)]
    """How long it stays open, in steps of a quarter of an hour."""
    timezone: TimeZone = "UTC"
    """Time zone of ``start``: UTC, or one whose clock never changes, such as Etc/GMT-1 (an hour ahead of UTC). Karpenter's
    clock is UTC, so zones with summer time are refused."""


class OwnMachine(Document):
    """Machines of yours, all of one kind."""

    machine: Text
    """What they are like: an instance type of the catalog, or of your overlay, which says what it holds."""
    provider: Text | None = None
    """Whose instance type that is, where several have one of that name."""
    count: PositiveCount
    """How many there are. A plan never uses more."""
    region: Text | None = None
    """Where they stand, in words of yours or of their seller; unset: the stack's one region, or nobody says."""
    usd_per_hour: Annotated[Money, Field(ge=0)] = Decimal(0)
    """What one costs you in an hour; 0 where it is paid for anyway."""


class AccountQuota(Document):
    """vCPUs of some families of machines that your account may run at once in a region."""

    code: Annotated[str, StringConstraints(pattern=r"^L-[0-9A-F]{8}$")]
    """Which quota, as the plan names those that it needs (``vcpuQuotas``): L-417A185B counts running on-demand P instances."""
    vcpus: Count
    """How many it allows; 0: none of these machines may run."""
    region: Text | None = None
    """Where; unset: in each region by itself."""


class SystemNodes(Document):
    """The nodes without accelerators, for the router, the cluster's own pods and operators. What is unset is sized."""

    machine: Text | None = None
    """Instance type, one of those that ``agentgpu catalog list system-machines`` names. Unset: the cheapest that holds what the
    plan puts there."""
    count: Annotated[int, Field(ge=2, le=100)] | None = None
    """How many, two at least: they stand in different zones. Unset: as few as hold it."""


class Capacity(Document):
    """How capacity may be bought, and how nodes are renewed."""

    spot: Literal["auto", "never"] = "auto"
    """auto: spot where it is safe (background or interruptible agents; bursts that can drain in time)."""
    on_demand_floor_ratio: Ratio = 0.0
    """Share of an agent's replicas of the peak that stay on-demand where its burst may be on spot: either that many are warm and
    on-demand, or the whole burst is on-demand, whichever is cheaper. Over 0 no baseline is on spot either: that of a background
    or interruptible agent is then on-demand as a whole, however small the share. A baseline that is set by hand
    (``overrides.baselineReplicas``) is taken as it is."""
    burst_without_notice: Literal["reject", "accept"] = "reject"
    """accept: user-facing bursts may run on spot of a provider that documents no interruption notice."""
    fast_burst: Literal["absorb", "turn-away"] = "absorb"
    """absorb: user-facing sessions that arrive before burst replicas can be ready are carried by warm replicas.
    turn-away: only normal load is kept warm, and admission control answers 503 until the burst tier is up."""
    budget_usd_per_month: Annotated[Money, Field(gt=0)] | None = None
    """The most that the baseline may cost in a month of 720 h."""
    burst_hours_per_month: Annotated[float, Field(ge=0, le=720)] = 72.0
    """Hours a month that the burst tier is expected to run, to weigh its price against the baseline's
    (an assumption: 72 h, a tenth of the month)."""
    reservation: Literal["none", "on-demand", "capacity-block"] = "none"
    """What EC2 capacity you hold, tagged for the stack: nodes use it first. on-demand: capacity reservations (ODCRs);
    capacity-block: EC2 Capacity Blocks, which end on their date. Planning buys none; ``agentgpu:reserve`` reserves
    on-demand capacity."""
    price_cap_ratio: Annotated[float, Field(ge=1, le=10)] | None = None
    """The most that a machine may cost when it is created, as a multiple of the planned price. On a market it is what you
    bid, and a dearer offer is passed over; on EKS other instance types with as many of the same accelerators stand in up
    to it. Unset: 1.25 on a market, whose prices move; 2 on EKS, with which list prices leave three sizes in most families
    (assumptions)."""
    rollout: Literal["surge-node", "in-place"] | None = None
    """How a new version replaces the old one where no accelerator is free. surge-node: on a node that is there for the
    rollout alone. in-place: the old replica goes first. Unset: surge-node for user-facing agents where an autoscaler makes
    the nodes and a replica stands on one, else in-place."""
    node_updates: Literal["minimal", "surge"] = "minimal"
    """How EKS renews the nodes of managed node groups. minimal: the old ones go first, and a lone replica is away for a cold
    start. surge: up to two more nodes in each zone of the pool are started before, which must be to be had and are paid while
    the update lasts."""
    maintenance_window: MaintenanceWindow | None = None
    """When Karpenter may renew nodes (drift: a new AMI, a changed NodePool). Unset: at any time."""
    image_pull: Literal["parallel", "default"] = "parallel"
    """How images come to nodes whose user data is ours (Amazon Linux 2023 on EKS). parallel: layers are fetched and unpacked
    side by side (nodeadm's gate FastImagePull, which AWS calls experimental), wherever the disk takes 600 MiB/s. default:
    containerd as it is."""
    quantile: Annotated[float, Field(ge=0.9, le=0.9999)] = 0.99
    """Share of the time for which no replica generates more requests at once than it is planned with. Sessions that think or
    wait for a tool hold memory and ask for nothing: how many ask at once varies, and the plan is made for this quantile."""
    max_price_age_days: Annotated[int, Field(ge=1, le=3650)] = 90
    """Prices older than this, in days, are warned of, with their age beside the cost. They are counted all the same:
    ``agentgpu catalog update`` asks for those of today."""
    memory_reserve_ratio: Annotated[float, Field(ge=0, le=0.8)] = 0.20
    """Share of an accelerator's memory that the need of its engines leaves free in steady state, for what is not foreseen: a
    load above the planned one, an error of the sum, a start with a cold cache. Less admits smaller accelerators; never
    less is left than what the engine's own share of the memory leaves, with the error of our sum."""
    survive: Literal["nothing", "replica", "node", "zone"] = "nothing"
    """What may be lost while the warm replicas of a user-facing agent still carry its normal load. replica: one is warm beyond
    those; node: as many as a node may hold of them; zone: as many in each of ``zones`` zones that the others carry it. The
    burst is left out, and so are replicas that are set by hand (``overrides.baselineReplicas``) or that a schedule keeps outside
    of its windows."""
    zones: Annotated[int, Field(ge=2, le=6)] = 2
    """Zones over which ``survive: zone`` spreads the warm replicas, and the most over which a burst on spot goes
    (``maxSharePerPool``)."""
    max_share_per_pool: Annotated[float, Field(gt=0, le=1)] | None = None
    """The largest share of the replicas of an agent's burst, all of the peak, that may be in one zone while it is on spot. A pool
    of spot is one instance type in one zone, so no pool has more, whichever types are there: those that stand in for the
    planned one (``priceCapRatio``) count as if they were the same. Such a burst is spread over as many zones as that takes,
    and bought on demand where ``zones`` are too few. A baseline on spot (background or interruptible agents) is not spread."""
    machines_from: Annotated[tuple[Text, ...], LISTED] = ()
    """Providers whose machines may carry bursts beside the cluster: they run Docker Compose, and the cluster's NGINX sends
    requests to them by TLS. Needed for ``target: kubernetes``, where machines of any provider are nodes otherwise; for ``eks``
    those among ``providers`` that sell it no nodes are meant without a word."""
    inventory: Annotated[tuple[OwnMachine, ...], LISTED] = ()
    """The machines that there are. The plan then uses these, and no more of them than you have; others only where
    ``beyondInventory`` says so."""
    beyond_inventory: Literal["refuse", "rent"] | None = None
    """What becomes of what the machines of the inventory do not carry. rent: it is planned on rented ones, and the warm replicas
    of one agent may be on machines of yours and on one kind of rented ones. refuse, and unset: there is no plan."""
    quotas: Annotated[tuple[AccountQuota, ...], LISTED] = ()
    """What the account may run at once. The plan then keeps within it, with all nodes of the peak as planned; unset: it says what
    it needs (``vcpuQuotas``)."""
    commitments: Annotated[tuple[Commitment, ...], LISTED] = ()
    """What is committed, or may be: reserved instances, savings plans and capacity blocks. Such nodes are counted at what the
    commitment costs, and what nothing uses of it is counted too."""
    system_nodes: SystemNodes = SystemNodes()
    """The nodes without accelerators of a cluster that is made for the stack."""
    share_accelerators: Literal["auto", "never"] = "auto"
    """auto: several small models may stay resident on one accelerator where that is cheaper and safe."""


class Observed(Document):
    """What production has shown so far. Reserved capacity is bought on this, never on a forecast."""

    days: Count = 0
    """Days of production traffic measured."""
    baseline_ratio: Ratio = 0.0
    """Lowest daily load divided by the mean daily load over those days: 1 is perfectly stable."""
    baseline_sessions: Count = 0
    """Sessions that were held at any time over those days, summed over the stack's user-facing agents."""


class ModelCache(Document):
    """Where weights are kept close to the accelerators."""

    storage: Storage = "nvme"
    """nvme: the node's instance store as RAID0. ebs-gp3: the node's root volume."""
    source: Literal["huggingface", "s3"] = "huggingface"
    """Where a node's cache is filled from."""
    bucket: (
        Annotated[str, StringConstraints(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*$")] | None
    ) = None
    """For s3: bucket and prefix that hold one directory per model, for example s3://acme-models/agents. A directory is named
    as the plan's cachedModels name it."""
    loader: Literal["auto", "safetensors", "fastsafetensors", "runai-streamer"] = "auto"
    """How the engine reads weights from the cache. auto: the engine's default, or a streaming loader where it is faster."""
    stream: Literal["never", "auto", "always"] = "never"
    """For s3 on EKS: whether engines stream their weights from the bucket to the accelerators at each start, and nothing is
    copied to the node. auto: where the first start on a fresh node is planned faster so; a restart on the same node streams
    again. always: all of them, or the plan says why not."""
    token_secret: Name | None = None
    """Name of a Kubernetes Secret in the namespace whose key ``token`` is a Hugging Face token. Never the token."""
