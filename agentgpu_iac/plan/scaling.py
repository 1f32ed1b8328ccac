"""What raises and lowers a burst tier."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.spec.document import Document


class Trigger(Document):
    """One reason for more burst replicas: what the query gives / threshold, rounded up, is how many."""

    name: Literal["requests", "kv-cache"]
    """What it looks at."""
    query: str
    """PromQL. It gives what exceeds the baseline, so that it is 0 at normal load and also where no burst replica runs."""
    threshold: float
    """What one burst replica takes (``AverageValue``)."""


class Schedule(Document):
    """Burst replicas at known hours."""

    start: str
    """Five cron fields."""
    end: str
    """Five cron fields."""
    timezone: str
    """IANA time zone of both."""
    replicas: int
    """Burst replicas over that time, the tier's most at most."""


class ScalingPlan(Document):
    """What raises and lowers a burst tier; see docs/scaling.md."""

    method: Literal["keda", "hpa"]
    """As in the spec."""
    target_api_version: str
    """API of the workload that is scaled."""
    target_kind: str
    """Its kind."""
    prometheus_url: str
    """As in the spec."""
    baseline_replicas: int
    """Replicas that are always there."""
    seats_per_replica: int
    """Sessions of one replica."""
    utilization_ratio: float
    """Part of the seats in use from which another replica is wanted."""
    min_replicas: int
    """0, or 1 with an HPA, which cannot scale to 0."""
    max_replicas: int
    """The tier's."""
    triggers: tuple[Trigger, ...]
    """Reasons for more replicas; the one that asks for most counts."""
    schedules: tuple[Schedule, ...]
    """Replicas at known hours."""
    polling_interval_s: int
    """Time between two looks."""
    cooldown_s: int
    """How long a burst must be over before the last replica goes."""
    scale_down_stabilization_s: int
    """How long fewer replicas must have been enough before one goes."""
    scale_down_period_s: int
    """One replica goes in this time: the drain of the one before is then over."""
    fallback_failures: int
    """Failed queries in a row after which ``fallbackReplicas`` counts."""
    fallback_replicas: int
    """Replicas that stay, at least, while Prometheus does not answer; more if more are running."""
