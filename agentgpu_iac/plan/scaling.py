"""What raises and lowers a burst tier."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.spec.document import Document


class Trigger(Document):
    """One reason for more burst replicas: what the query gives / threshold, rounded up, is how many."""

    name: Literal["requests", "kv-cache"]
    query: str
    """PromQL. It gives what exceeds the baseline, so that it is 0 at normal load and also where no burst replica runs."""
    threshold: float
    """For one burst replica (AverageValue)."""


class Schedule(Document):
    """Burst replicas at known hours."""

    start: str
    end: str
    timezone: str
    replicas: int


class ScalingPlan(Document):
    """What raises and lowers a burst tier."""

    method: Literal["keda", "hpa"]
    target_api_version: str
    target_kind: str
    prometheus_url: str
    baseline_replicas: int
    seats_per_replica: int
    utilization_ratio: float
    """Part of the seats in use from which another replica is wanted."""
    min_replicas: int
    """0, or 1 with an HPA, which cannot scale to 0."""
    max_replicas: int
    triggers: tuple[Trigger, ...]
    schedules: tuple[Schedule, ...]
    polling_interval_s: int
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
