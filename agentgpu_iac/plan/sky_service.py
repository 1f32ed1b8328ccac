"""Agents as SkyServe services."""

from __future__ import annotations

from agentgpu_iac.plan.model_cache import CachedModel
from agentgpu_iac.spec.document import Document, Money


class SkyPlace(Document):
    """Where SkyPilot may start a replica: one machine with the planned accelerators."""

    cloud: str
    """SkyPilot's name."""
    region: str | None
    """Unset: any region of the cloud."""
    accelerator: str
    """SkyPilot's name."""
    on_demand_usd_per_hour: Money | None
    """Unset: not on offer that way."""
    spot_usd_per_hour: Money | None


class SkySecret(Document):
    """A variable whose value is given to SkyPilot when the service is started. Never a value."""

    variable: str
    secret: str
    """The Secret that the spec names."""
    key: str


class SkyServicePlan(Document):
    """One agent as a SkyServe service. Both of its tiers run the engine of ``workload``."""

    agent: str
    workload: str
    """Name of the workload whose engine its replicas run."""
    name: str
    accelerators: int
    """Of one replica, which is a machine of its own."""
    places: tuple[SkyPlace, ...]
    """The planned one first, then by price."""
    max_usd_per_hour: Money
    """The most that a replica may cost: the planned on-demand price x capacity.priceCapRatio."""
    on_spot: bool
    """Whether replicas beyond ``onDemandReplicas`` are on spot."""
    on_demand_replicas: int
    """Replicas that are never on spot."""
    on_demand_fallback: bool
    """Whether on-demand machines stand in for spot machines that are not ready."""
    min_replicas: int
    max_replicas: int
    requests_per_s_per_replica: float | None
    """From how many on it another replica is wanted; unset: their number is fixed."""
    upscale_delay_s: int
    downscale_delay_s: int
    initial_delay_s: int
    """How long a replica may take to be ready: its cold start with its error."""
    probe_timeout_s: int
    probe_interval_s: int
    failure_threshold_s: int
    """How long a ready replica may fail its probes before it is thrown away."""
    stream_timeout_s: int
    """The longest silence of an engine."""
    disk_gib: int
    memory_gib: int | None
    """Host memory that a replica needs at least; unset: whatever the machine has."""
    models: tuple[CachedModel, ...]
    """What a replica fetches before its engine starts."""
    bucket: str | None
    """Where from; unset: Hugging Face."""
    secrets: tuple[SkySecret, ...]
