"""Agents as SkyServe services."""

from __future__ import annotations

from agentgpu_iac.plan.model_cache import CachedModel
from agentgpu_iac.spec.document import Document, Money


class SkyPlace(Document):
    """Where SkyPilot may start a replica: one machine with the planned accelerators."""

    cloud: str
    """SkyPilot's name."""
    region: str | None
    """null: any region of the cloud."""
    accelerator: str
    """SkyPilot's name."""
    on_demand_usd_per_hour: Money | None
    """null: not on offer that way."""
    spot_usd_per_hour: Money | None
    """The same on spot."""


class SkySecret(Document):
    """A variable whose value is given to SkyPilot when the service is started. Never a value."""

    variable: str
    """Its name."""
    secret: str
    """The Secret that the spec names."""
    key: str
    """Key in the Secret."""


class SkyServicePlan(Document):
    """One agent as a SkyServe service; see docs/deploy-skyserve.md. Both of its tiers run the engine of ``workload``."""

    agent: str
    """Agent of the spec."""
    workload: str
    """Name of the workload whose engine its replicas run."""
    name: str
    """Name of the service."""
    accelerators: int
    """Of one replica, which is a machine of its own."""
    places: tuple[SkyPlace, ...]
    """Where a replica may start: the planned place first, then by price."""
    max_usd_per_hour: Money
    """The most that a replica may cost: the planned on-demand price x ``capacity.priceCapRatio``."""
    on_spot: bool
    """Whether replicas beyond ``onDemandReplicas`` are on spot."""
    on_demand_replicas: int
    """Replicas that are never on spot."""
    on_demand_fallback: bool
    """Whether on-demand machines stand in for spot machines that are not ready."""
    min_replicas: int
    """The baseline."""
    max_replicas: int
    """Both tiers together."""
    requests_per_s_per_replica: float | None
    """From how many requests a second on it another replica is wanted; null: their number is fixed."""
    upscale_delay_s: int
    """How long more replicas must have been wanted."""
    downscale_delay_s: int
    """How long fewer must have been enough."""
    initial_delay_s: int
    """How long a replica may take to be ready: its cold start with its error."""
    probe_timeout_s: int
    """Of one readiness probe."""
    probe_interval_s: int
    """Between two of them."""
    failure_threshold_s: int
    """How long a ready replica may fail its probes before it is thrown away."""
    stream_timeout_s: int
    """The longest silence of an engine."""
    disk_gib: int
    """Disk of a replica's machine."""
    memory_gib: int | None
    """Host memory that a replica needs at least; null: whatever the machine has."""
    models: tuple[CachedModel, ...]
    """What a replica fetches before its engine starts."""
    bucket: str | None
    """Where from; null: Hugging Face."""
    secrets: tuple[SkySecret, ...]
    """Variables whose values are given to SkyPilot when the service is started."""
