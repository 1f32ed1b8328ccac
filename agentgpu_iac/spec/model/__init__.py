"""The agent stack: what a team writes down. Small specs stay small; every default is a stated assumption.

The field docstrings below are the reference: they become the descriptions in the exported JSON Schema, which
editors show while one types. Defaults that stand for an assumption about traffic say so.
"""

from agentgpu_iac.spec.model.agent import (
    Agent,
    Conversation,
    LoraAdapter,
    Overrides,
    Quantile,
    Sessions,
    Speculative,
    ToolCalls,
    Traffic,
)
from agentgpu_iac.spec.model.capacity import (
    AcceleratorChoice,
    AccountQuota,
    Capacity,
    MaintenanceWindow,
    ModelCache,
    Observed,
)
from agentgpu_iac.spec.model.cluster import ClusterObjects, GitOps, Hosts, KubernetesVersion, Pins
from agentgpu_iac.spec.model.commitments import Commitment, SavingsRate
from agentgpu_iac.spec.model.fan_out import FanOut
from agentgpu_iac.spec.model.fields import (
    ADDRESS_RANGE,
    MAX_COUNT,
    AddressRange,
    Count,
    CronSpec,
    DnsName,
    Labels,
    Name,
    NonNegative,
    ParserName,
    Positive,
    PositiveCount,
    Ratio,
    Text,
    TimeZone,
    Url,
)
from agentgpu_iac.spec.model.requests import Caller, Requests
from agentgpu_iac.spec.model.safety import ExternalSecrets, Policy, Security
from agentgpu_iac.spec.model.schedule import AgentSchedule, OpenWindow, Work
from agentgpu_iac.spec.model.serving import (
    GatewayRef,
    Latency,
    MachineScaler,
    Network,
    Observability,
    PrometheusAuth,
    Scaling,
    ScheduledScale,
)
from agentgpu_iac.spec.model.stack import AgentStack, Metadata, StackSpec
from agentgpu_iac.spec.model.tenancy import ModelProxy, PaidFallback, Team

__all__ = (
    "ADDRESS_RANGE",
    "MAX_COUNT",
    "AcceleratorChoice",
    "AccountQuota",
    "AddressRange",
    "Agent",
    "AgentSchedule",
    "AgentStack",
    "Caller",
    "Capacity",
    "ClusterObjects",
    "Commitment",
    "Conversation",
    "Count",
    "CronSpec",
    "DnsName",
    "ExternalSecrets",
    "FanOut",
    "GatewayRef",
    "GitOps",
    "Hosts",
    "KubernetesVersion",
    "Labels",
    "Latency",
    "LoraAdapter",
    "MachineScaler",
    "MaintenanceWindow",
    "Metadata",
    "ModelCache",
    "ModelProxy",
    "Name",
    "Network",
    "NonNegative",
    "Observability",
    "Observed",
    "OpenWindow",
    "Overrides",
    "PaidFallback",
    "ParserName",
    "Pins",
    "Policy",
    "Positive",
    "PositiveCount",
    "PrometheusAuth",
    "Quantile",
    "Ratio",
    "Requests",
    "SavingsRate",
    "Scaling",
    "ScheduledScale",
    "Security",
    "Sessions",
    "Speculative",
    "StackSpec",
    "Team",
    "Text",
    "TimeZone",
    "ToolCalls",
    "Traffic",
    "Url",
    "Work",
)
