"""What raises and lowers a burst tier."""

from __future__ import annotations

from typing import Final, Literal

from agentgpu_iac.spec.document import Document

API_VERSIONS: Final = {"Deployment": "apps/v1", "LeaderWorkerSet": "leaderworkerset.x-k8s.io/v1"}
"""API of each kind of workload."""

PROMETHEUS_VARIABLES: Final = {
    "bearerToken": "AGENTGPU_PROMETHEUS_TOKEN",
    "username": "AGENTGPU_PROMETHEUS_USERNAME",
    "password": "AGENTGPU_PROMETHEUS_PASSWORD",
    "customAuthHeader": "AGENTGPU_PROMETHEUS_HEADER",
    "customAuthValue": "AGENTGPU_PROMETHEUS_VALUE",
}
"""The variable by which ``agentgpu scale`` is told what KEDA reads from a Secret, by KEDA's name of the parameter."""


class PacePlan(Document):
    """How the sessions of a full replica ask: an engine sees requests, and what is bought are sessions."""

    request_s: float
    """Time that a mean request holds a seat, while the sessions of all seats ask at their pace."""
    pause_s: float
    """From the end of a request to the session's next one: thinking and tools, on average."""
    sessions_per_request: float
    """Sessions behind each request that is generated: (requestS + pauseS) / requestS."""
    conversation_s: float
    """How long a conversation lasts, and so how long its session holds its seat."""
    normal_sessions: float
    """Sessions at normal load: those of the spec, or those that its daily volume makes at this pace."""
    peak_sessions: float
    """The same at the peak."""


class Trigger(Document):
    """One reason for more burst replicas: what the query gives / threshold, rounded up, is how many."""

    name: Literal["requests", "sessions", "kv-cache"]
    """What it looks at: requests that are asked for now, the refused ones too; sessions that stand behind them; or the
    cache."""
    query: str
    """PromQL. It gives what exceeds the baseline, so that it is 0 at normal load and also where no burst replica runs."""
    floor: float = 0.0
    """What the query takes off: the baseline's part. 0 in plans of before."""
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


class SecretParameter(Document):
    """One parameter of a KEDA trigger that is read from a Secret; its value is never known here."""

    parameter: str
    """As KEDA calls it."""
    secret: str
    """Name of the Secret."""
    key: str
    """Key in the Secret."""


class PrometheusAuthPlan(Document):
    """How KEDA proves to Prometheus who it is."""

    mode: Literal["bearer", "basic", "custom"] | None
    """KEDA's ``authModes``; null: it signs with its own AWS identity."""
    parameters: tuple[SecretParameter, ...]
    """What is read from the Secret."""
    aws_region: str | None
    """Region that is signed for; null: nothing is signed."""


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
    prometheus_auth: PrometheusAuthPlan | None = None
    """How KEDA proves who it is; null: it need not."""
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
    averaged_s: int = 0
    """Time over which the sessions' requests are averaged; 0: they are as many as the requests of the moment."""
    counts_refused: Literal["counter", "at-limit", "queue", "none"] = "none"
    """How requests enter the count that no replica takes: by the engines' counter of refusals; as a whole burst, where an
    engine has a limit and no counter and all replicas are at it; by the picker's queue; or not, as nothing is refused."""
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
