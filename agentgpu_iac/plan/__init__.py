"""The plan: the one answer from which manifests, Pulumi programs, reviews and simulations are made.

It is frozen, versioned and deterministic: the same spec and catalog give the same bytes. Whatever is decided
once and used twice travels here, so that no template and no Pulumi program decides anything. Fields are added
as the project grows; none is renamed.
"""

from agentgpu_iac.plan.account import VcpuNeed
from agentgpu_iac.plan.agent import AgentPlan, SharingPlan, TalkPlan
from agentgpu_iac.plan.cluster import (
    ClusterObjectsPlan,
    GitOpsPlan,
    NamedSecret,
    PolicyPlan,
    PriorityClassPlan,
    QuotaPlan,
    SecretStorePlan,
    SecurityPlan,
)
from agentgpu_iac.plan.codes import AlertUnit, Constraint, DriverConstraint, RejectionUnit, WarningCode
from agentgpu_iac.plan.cost import (
    AgentCost,
    Alternative,
    BesideItem,
    BreakEven,
    CallCost,
    CommitmentCost,
    Cost,
    CoveredNodes,
    EndpointCost,
    LineItem,
    PriceAge,
)
from agentgpu_iac.plan.document import PLAN_VERSION, Architecture, Pattern, Plan, Provenance
from agentgpu_iac.plan.driver import Driver
from agentgpu_iac.plan.engine import EngineFile, EnginePlan, EnvironmentVariable, SecretVariable, ServingEngine
from agentgpu_iac.plan.files import RenderedFile
from agentgpu_iac.plan.findings import Rejection, Warning
from agentgpu_iac.plan.generating import GeneratingPlan, SessionLoad
from agentgpu_iac.plan.hosts import (
    FrontPlan,
    HostEngine,
    HostPlan,
    HostSecret,
    HostService,
    JoinedPlan,
    KernelSetting,
    MachineRoute,
    OtherMachine,
    TuningSetting,
)
from agentgpu_iac.plan.ledger import Assumption, LedgerEntry, Written
from agentgpu_iac.plan.machine_scaling import (
    MachinePoolScaling,
    MachineScalerPlan,
    MachineScalingPlan,
    MachineTrigger,
)
from agentgpu_iac.plan.model_cache import (
    CachedModel,
    CachedRepository,
    FillerPlan,
    ModelCachePlan,
    StorageChoice,
    token_variables,
)
from agentgpu_iac.plan.node_pool import ClosedHours, MarketPlan, MarketWay, NodePool, NodeTypePlan, StartupTaintPlan
from agentgpu_iac.plan.open_hours import OpenHoursPlan, WorkPlan
from agentgpu_iac.plan.pooling import PoolingPlan
from agentgpu_iac.plan.proof import NinePlan, ProofCourse, ProofPlan, ProofWaits
from agentgpu_iac.plan.proxy import HostProxyPlan, PaidRoute, ProxyPlan, ProxyRoute, TeamPlan
from agentgpu_iac.plan.replica import (
    AdmissionPlan,
    ColdStartPlan,
    ColdStartUpper,
    DrainPlan,
    LatencyPlan,
    MemoryPlan,
    Override,
    PodPlan,
    ProbePlan,
    ReplicaRange,
    RolloutOutages,
    RolloutPlan,
    RolloutSteps,
    ThroughputPlan,
)
from agentgpu_iac.plan.router import (
    ExporterPlan,
    FlowControlPlan,
    GatewayPlan,
    RoutePlan,
    RouterPlan,
    RoutingPlan,
)
from agentgpu_iac.plan.scaling import (
    PacePlan,
    PrometheusAuthPlan,
    ScalingPlan,
    Schedule,
    SecretParameter,
    Trigger,
)
from agentgpu_iac.plan.sky_service import SkyPlace, SkySecret, SkyServicePlan
from agentgpu_iac.plan.start_choice import StartChoice, StartTarget
from agentgpu_iac.plan.step_times import StageTimes, StepTimesPlan
from agentgpu_iac.plan.system_nodes import ExistingClusterPlan, SystemNodesPlan, SystemPod
from agentgpu_iac.plan.thinking import ThinkingMode, ThinkingPlan, ThinkingReason
from agentgpu_iac.plan.vocabulary import PriorityLevel, Topology, WeightLoader
from agentgpu_iac.plan.watching import ALERTS, AlertName, AlertPlan, MetricsPlan, WatchingPlan
from agentgpu_iac.plan.workload import Workload, tiers_by_agent

__all__ = (
    "ALERTS",
    "PLAN_VERSION",
    "AdmissionPlan",
    "AgentCost",
    "AgentPlan",
    "AlertName",
    "AlertPlan",
    "AlertUnit",
    "Alternative",
    "Architecture",
    "Assumption",
    "BesideItem",
    "BreakEven",
    "CachedModel",
    "CachedRepository",
    "CallCost",
    "ClosedHours",
    "ClusterObjectsPlan",
    "ColdStartPlan",
    "ColdStartUpper",
    "CommitmentCost",
    "Constraint",
    "Cost",
    "CoveredNodes",
    "DrainPlan",
    "Driver",
    "DriverConstraint",
    "EndpointCost",
    "EngineFile",
    "EnginePlan",
    "EnvironmentVariable",
    "ExistingClusterPlan",
    "ExporterPlan",
    "FillerPlan",
    "FlowControlPlan",
    "FrontPlan",
    "GatewayPlan",
    "GeneratingPlan",
    "GitOpsPlan",
    "HostEngine",
    "HostPlan",
    "HostProxyPlan",
    "HostSecret",
    "HostService",
    "JoinedPlan",
    "KernelSetting",
    "LatencyPlan",
    "LedgerEntry",
    "LineItem",
    "MachinePoolScaling",
    "MachineRoute",
    "MachineScalerPlan",
    "MachineScalingPlan",
    "MachineTrigger",
    "MarketPlan",
    "MarketWay",
    "MemoryPlan",
    "MetricsPlan",
    "ModelCachePlan",
    "NamedSecret",
    "NinePlan",
    "NodePool",
    "NodeTypePlan",
    "OpenHoursPlan",
    "OtherMachine",
    "Override",
    "PacePlan",
    "PaidRoute",
    "Pattern",
    "Plan",
    "PodPlan",
    "PolicyPlan",
    "PoolingPlan",
    "PriceAge",
    "PriorityClassPlan",
    "PriorityLevel",
    "ProbePlan",
    "PrometheusAuthPlan",
    "ProofCourse",
    "ProofPlan",
    "ProofWaits",
    "Provenance",
    "ProxyPlan",
    "ProxyRoute",
    "QuotaPlan",
    "Rejection",
    "RejectionUnit",
    "RenderedFile",
    "ReplicaRange",
    "RolloutOutages",
    "RolloutPlan",
    "RolloutSteps",
    "RoutePlan",
    "RouterPlan",
    "RoutingPlan",
    "ScalingPlan",
    "Schedule",
    "SecretParameter",
    "SecretStorePlan",
    "SecretVariable",
    "SecurityPlan",
    "ServingEngine",
    "SessionLoad",
    "SharingPlan",
    "SkyPlace",
    "SkySecret",
    "SkyServicePlan",
    "StageTimes",
    "StartChoice",
    "StartTarget",
    "StartupTaintPlan",
    "StepTimesPlan",
    "StorageChoice",
    "SystemNodesPlan",
    "SystemPod",
    "TalkPlan",
    "TeamPlan",
    "ThinkingMode",
    "ThinkingPlan",
    "ThinkingReason",
    "ThroughputPlan",
    "Topology",
    "Trigger",
    "TuningSetting",
    "VcpuNeed",
    "Warning",
    "WarningCode",
    "WatchingPlan",
    "WeightLoader",
    "WorkPlan",
    "Workload",
    "Written",
    "tiers_by_agent",
    "token_variables",
)
