"""What raises and lowers the number of machines beside a cluster; see docs/scaling.md."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.plan.scaling import PrometheusAuthPlan, Schedule
from agentgpu_iac.spec.document import Document


class MachineTrigger(Document):
    """One reason for more replicas on machines, in the numbers of KEDA's own trigger for a burst in the cluster.

    The cluster's Prometheus sees the engines of the cluster alone. NGINX gives each engine a part of the load by its weight, so
    what all of them carry is what the cluster's do x (1 + the weights of the machines that serve / ``clusterWeight``).
    """

    name: Literal["requests", "sessions", "kv-cache"]
    """What it looks at, as in ``scaling.triggers``."""
    held: str
    """PromQL: what the engines of the cluster hold, and what is refused there."""
    floor: float
    """What the baseline carries; only what exceeds it asks for replicas."""
    threshold: float
    """What one burst replica takes; of the cache in parts of the baseline's, whose engines alone are seen."""


class MachinePoolScaling(Document):
    """How many machines of one pool are wanted: replicas over those on a machine, rounded up."""

    node_pool: str
    """The pool."""
    workload: str
    """The burst tier on it."""
    agent: str
    """Its deployment."""
    replicas_per_machine: int
    """Engines of the tier on one machine."""
    max_replicas: int
    """The tier's."""
    min_machines: int
    """The pool's least."""
    max_machines: int
    """The pool's most."""
    cluster_weight: int
    """What NGINX weighs the deployment's engines in the cluster by, all together; see ``joined.machines[].routes[].weight``."""
    triggers: tuple[MachineTrigger, ...]
    """Reasons for more replicas; the one that asks for most counts."""
    schedules: tuple[Schedule, ...]
    """Replicas at known hours."""
    stay_s: int
    """How long fewer must have been enough, and the number the same, before machines go: the stabilisation of a burst in the
    cluster, which is a cold start or a conversation at least."""
    drain_s: int
    """How long a machine runs on that NGINX is no longer told of: until the list has come there, and the drain of an engine."""


class MachineScalerPlan(Document):
    """The CronJob that follows the load."""

    image: str
    """Image with the Pulumi project, its CLI and agentgpu."""
    secret: str
    """Secret whose keys are its environment: where Pulumi's state is and how it is opened."""
    pulumi_stack: str
    """The Pulumi stack that holds the machines and nothing else."""
    every_minutes: int
    """Minutes between two looks."""
    cpu_milli: int
    """CPU that it asks for."""
    memory_mib: int
    """Memory that it asks for, and may use: Pulumi's CLI and engine, its Python host and three providers."""
    scratch_mib: int
    """Room for a copy of the project."""
    deadline_s: int
    """Time after which a look is given up: twice a machine's time to start, since an offer that fails is followed by another."""
    logs_in: bool = False
    """Whether somebody may log in to the machines, so that it may bring them their secrets by SSH."""


class MachineScalingPlan(Document):
    """What ``agentgpu scale`` goes by."""

    prometheus_url: str
    """As in the spec."""
    prometheus_auth: PrometheusAuthPlan | None
    """How it proves who it is; null: it need not."""
    step_s: int
    """Between two values of a query over ``stayS``."""
    pools: tuple[MachinePoolScaling, ...]
    """Pools beside the cluster."""
    scaler: MachineScalerPlan | None
    """Null: nothing runs it in the cluster; run ``agentgpu scale`` where you like."""
