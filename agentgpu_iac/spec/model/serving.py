"""How callers reach the agents, what scales them, and how they are watched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model.fields import (
    LISTED,
    CronSpec,
    DnsName,
    Labels,
    Name,
    NonNegative,
    PositiveCount,
    TimeZone,
    Url,
)

_IMAGE = r"^[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._-]+)*(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]{64})?$"
"""An image's name, with its registry, port, tag and digest where it has them."""


class GatewayRef(Document):
    """A Gateway that someone runs in the cluster."""

    name: DnsName
    """Name of the Gateway."""
    namespace: DnsName
    """Namespace that the Gateway is in."""
    hostname: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)] | None = (
        None
    )
    """Host name of the routes. Unset: any, and agents are called by their Services, past the endpoint picker."""
    scheme: Literal["http", "https"] = "https"
    """How callers speak to that host."""


class Network(Document):
    """Where the callers are."""

    round_trip_ms: NonNegative = 20.0
    """Round trip from the caller to the engine (an assumption: 20 ms, the short end of 10-50 ms each way)."""
    burst_rtt_ms: NonNegative = 100.0
    """Round trip between the cluster and machines of another provider that carry its bursts (an assumption: 100 ms, about what
    light in fibre takes there and back over 10,000 km; ping one of them and write what it takes)."""
    routing: Literal["session-affine", "round-robin"] = "session-affine"
    """session-affine: a session returns to the replica that holds its context."""
    router: Literal["auto", "nginx", "gateway", "none"] = "auto"
    """What spreads requests over an agent's replicas. nginx: NGINX in the namespace; gateway: Gateway API with an
    InferencePool and its endpoint picker; none: the Service alone. auto: nginx for agents with more than one replica at their
    peak or with an API key, none for the others."""
    session_header: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")] = "x-session-id"
    """Request header that names the session, for session-affine routing."""
    gateway: GatewayRef | None = None
    """The Gateway that HTTPRoutes attach to; needed by ``router: gateway``."""
    max_request_mib: Annotated[int, Field(ge=1, le=1024)] = 8
    """Largest request body that the router takes (an assumption: 8 MiB)."""


class ScheduledScale(Document):
    """Burst replicas that are wanted at known hours, before the requests come."""

    agent: Name
    """Agent of this stack."""
    start: CronSpec
    """When the replicas are wanted, five cron fields. Put it a cold start before the peak."""
    end: CronSpec
    """When they may go."""
    timezone: TimeZone = "UTC"
    """IANA time zone of both."""
    replicas: PositiveCount
    """Burst replicas over that time, the agent's burst replicas at most."""


class PrometheusAuth(Document):
    """How KEDA proves to Prometheus who it is. Secrets are named here, never given; you make them in the namespace."""

    method: Literal["bearer", "basic", "header", "aws-sigv4"]
    """bearer: the key ``token`` of the Secret. basic: its keys ``username`` and ``password``. header: a header of your own,
    for example the tenant of Mimir or Thanos, by its keys ``header`` and ``value``. aws-sigv4: KEDA's own AWS identity,
    for Amazon Managed Service for Prometheus."""
    secret: Name | None = None
    """Name of a Secret in the namespace; needed by all methods but aws-sigv4."""
    aws_region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$", max_length=32)] | None = None
    """AWS region of the workspace; needed by aws-sigv4."""


class MachineScaler(Document):
    """What follows the load with machines beside the cluster: a CronJob of ``agentgpu scale``, which runs ``pulumi up``."""

    image: Annotated[str, StringConstraints(pattern=_IMAGE, max_length=500)]
    """Image that holds your Pulumi project, Pulumi's CLI and agentgpu; docs/scaling.md has its five lines."""
    secret: Name
    """Name of a Secret in the namespace whose keys become its environment: ``PULUMI_BACKEND_URL``, what opens it, and
    ``PULUMI_CONFIG_PASSPHRASE`` or none."""
    pulumi_stack: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,2}$", max_length=200)]
    """The Pulumi stack that holds the machines alone (``agentgpu:part: burst``), by its name or ``organization/project/name``."""
    every_minutes: Annotated[int, Field(ge=1, le=30)] = 1
    """Minutes between two looks at the load."""


class Scaling(Document):
    """What raises and lowers the burst tier."""

    method: Literal["keda", "hpa", "none"] = "keda"
    """keda: ScaledObjects that ask Prometheus. hpa: HorizontalPodAutoscalers on metrics that an adapter of yours serves.
    none: nothing; you scale by hand."""
    prometheus_url: Url = "http://prometheus-operated.monitoring.svc.cluster.local:9090"
    """Prometheus that holds the engines' metrics."""
    prometheus_auth: PrometheusAuth | None = None
    """How KEDA proves who it is. Unset: Prometheus asks nobody."""
    utilization_ratio: Annotated[float, Field(ge=0.1, le=1)] = 0.8
    """Part of a replica's seats in use at which another replica is asked for (an assumption: 0.8)."""
    schedule: Annotated[tuple[ScheduledScale, ...], LISTED] = ()
    """Peaks that are known beforehand, and how many replicas are up for each."""
    machines: MachineScaler | None = None
    """What raises and lowers the number of machines beside the cluster. Unset: ``agentgpu scale`` does it wherever you run it."""


class Latency(Document):
    """What the latency budgets promise, and to how many requests."""

    percentile: Annotated[float, Field(ge=50, le=99)] = 95.0
    """Part of the requests, in percent, that the TTFT and TPOT budgets hold for: they are planned and alerted by it."""
    margin: Annotated[float, Field(ge=0, le=5)] | None = None
    """Room that a plan leaves below its budgets: TTFT and TPOT times (1 + margin) must fit them. Unset: none, and where the
    upper half of the stated error does not fit, the plan says how likely a miss is (``latency-risk``)."""


class Observability(Document):
    """How the stack is watched."""

    monitors: Literal["prometheus-operator", "none"] = "prometheus-operator"
    """prometheus-operator: PodMonitors and PrometheusRules, in the operator's kinds."""
    alerts: bool = True
    """Alert rules, for the operator or, on virtual machines, for Prometheus itself."""
    dashboard: bool = True
    """A Grafana dashboard: in a ConfigMap that Grafana's sidecar loads, or in a file of virtual machines."""
    grafana: bool = False
    """Run Grafana on virtual machines, on the loopback, with that dashboard."""
    accelerators: Literal["dcgm-exporter", "none"] = "dcgm-exporter"
    """What counts the accelerators' errors and temperature. dcgm-exporter: alerts ask its series; a cluster must run it
    (values for its chart are rendered), virtual machines do by themselves. none: nothing asks for them."""
    node_health: Literal["eks-agent", "none"] = "none"
    """Who replaces a node whose hardware is ill. eks-agent: EKS' node monitoring agent finds it and Karpenter's node repair
    replaces it after 10 minutes. none: alerts tell, and you do."""
    cluster: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")] | None = None
    """Name that your Prometheus gives the cluster in its external label ``cluster``, where one place (Thanos, Mimir, AMP) holds
    the series of several. Rules and dashboards then choose by it. Unset: they do not ask."""
    labels: Labels = Field(default_factory=dict)
    """Labels by which your Prometheus selects monitors and rules, for example ``release: kube-prometheus-stack``."""
    runbook_base_url: Url | None = None
    """Where your copy of the runbook is; alerts link to ``<base>#<alert>``. Unset: no link, and the first step stands in the
    alert's description as it does anyway."""
