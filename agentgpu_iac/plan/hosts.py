"""What virtual machines run, where there is no cluster."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.plan.machine_scaling import MachineScalingPlan
from agentgpu_iac.plan.proxy import HostProxyPlan
from agentgpu_iac.plan.router import RoutePlan
from agentgpu_iac.spec.document import Document


class HostEngine(Document):
    """One engine process on a virtual machine."""

    name: str
    """Its container is ``engine-<name>``."""
    workload: str
    """Name of the workload that it is a replica of."""
    port: int
    """Its port on the loopback."""
    accelerators: tuple[int, ...]
    """Indices of the machine's accelerators that it uses; engines of a share group use the same."""


class HostService(Document):
    """Software that runs beside the engines on a virtual machine."""

    version: str
    """From ``agentgpu_iac/catalog/data/services.json``."""
    image: str
    """Image by digest where the spec pins one, else by tag."""
    port: int
    """Its port on the loopback."""


class HostSecret(Document):
    """A variable of the machine's file of secrets. Never a value."""

    variable: str
    """Name before the ``=``."""
    secret: str
    """The Secret that the spec names."""
    key: str
    """Key in that Secret."""
    purpose: str
    """What it is for."""


class KernelSetting(Document):
    """One sysctl of a virtual machine."""

    name: str
    """As ``sysctl`` names it."""
    value: str
    """What it is set to."""
    reason: str
    """Why."""


class TuningSetting(Document):
    """One setting of a machine that ``tune.sh`` checks, sets and undoes; machines serve without it."""

    name: str
    """A file of the kernel (``/proc/sys/...``, ``/sys/...``; a ``*`` for each of its kind), or ``persistence-mode``,
    ``fabric-manager`` or ``interrupts``."""
    rule: Literal["is", "chosen", "least", "state"]
    """How what is there is compared: the whole text, the word in brackets, the last number at least as large, or a state that
    the script knows by its name."""
    value: str
    """What it should be."""
    only_numa: bool = False
    """Whether it matters only on machines with several NUMA nodes."""
    reason: str
    """Why."""
    source: str
    """Who says so."""


class HostPlan(Document):
    """What each machine of one node pool runs that is no node of a cluster. All machines of a pool are alike."""

    node_pool: str
    """Its node pool."""
    engines: tuple[HostEngine, ...]
    """The engine processes of a machine."""
    routes: tuple[RoutePlan, ...]
    """The agents on the machine, with the limits and tries of its own engines."""
    listen: tuple[str, ...]
    """Addresses on which NGINX listens for callers: the loopback where ``hosts.callerRanges`` is empty."""
    listen_queue: int
    """Callers that wait to be accepted: NGINX's backlog and the kernel's limit of it."""
    tls: bool
    """Whether callers speak TLS: wherever others than the machine itself may call."""
    caller_ranges: tuple[str, ...]
    """Who may call."""
    admin_ranges: tuple[str, ...]
    """Who may log in by SSH."""
    health_port: int
    """NGINX's ``/healthz``, on the loopback."""
    status_port: int
    """NGINX's own counts, on the loopback."""
    prometheus: HostService | None
    """Null where ``observability.monitors`` is ``none``."""
    dcgm_exporter: HostService | None
    """The accelerators' metrics; null as above."""
    grafana: HostService | None
    """Null unless ``observability.grafana`` is set."""
    ollama: HostService | None
    """The profile ``local``, for development on a machine without these accelerators; null unless the target is
    ``compose``."""
    metrics_retention_days: int
    """How long Prometheus keeps what it has seen."""
    disks_are_joined: bool
    """Whether blank NVMe disks become the volume of the model cache."""
    secrets: tuple[HostSecret, ...]
    """What ``/etc/agentgpu/secrets.env`` must hold."""
    kernel_settings: tuple[KernelSetting, ...]
    """Sysctls, each with its reason."""
    tuning: tuple[TuningSetting, ...] = ()
    """What ``tune.sh`` is about, for whoever wants more of the machine than it needs to serve."""
    open_files: int
    """Limit of open files of each container."""
    proxy: HostProxyPlan | None = None
    """LiteLLM on the machine; null where nothing needs it, and in plans of before."""


class MachineRoute(Document):
    """The way from the front machine to one agent on another machine."""

    agent: str
    """The agent."""
    port: int
    """On the front machine's loopback, from 22000; what comes there goes to the other machine by TLS."""
    target_port: int
    """The agent's port of the other machine's NGINX."""
    engines: int
    """Engines of the agent there, and so its part of the sessions."""
    weight: int | None = None
    """On a machine beside a cluster, what NGINX weighs it by: its engines times the weight of one in the cluster, which is 100
    divided by those that are warm there (CoreDNS' weight of a pod in a Service's SRV records)."""


class OtherMachine(Document):
    """A machine that the front machine's NGINX sends requests to while it runs."""

    name: str
    """Node pool and number."""
    node_pool: str
    """Its pool."""
    index: int
    """Its number in the pool, from 0."""
    routes: tuple[MachineRoute, ...]
    """The agents on it."""


class FrontPlan(Document):
    """The machine whose NGINX is in front of all machines: the first one of the first baseline pool. Only for the target
    ``spheron``, where callers are named and the plan may run more than one machine.
    """

    node_pool: str
    """Its pool. All of the pool's machines have its files; those of the first are told of others."""
    server_name: str
    """The name in the certificate that all machines share."""
    routes: tuple[RoutePlan, ...]
    """All agents, with the limits of all machines."""
    others: tuple[OtherMachine, ...]
    """Every machine that may run beside it, whether it runs now or not."""
    worker_connections: int
    """Connections of one worker process of its NGINX: twice the router's, as what goes to other machines counts twice.
    """
    connect_timeout_ms: int
    """1,000: what a request loses at a machine that is away, before it goes elsewhere."""
    idle_timeout_s: int
    """Silence after which the way to another machine is closed, longer than any answer takes: the longest
    ``answerTimeoutS`` and 60."""


class JoinedPlan(Document):
    """Machines beside the cluster: its NGINX sends requests to those that run, to each by its engines."""

    config_map: str
    """The ConfigMap in the stack's namespace that says which run: its key ``machines`` has a line for each, name and address, and
    ``tls.crt`` the certificate that they show. NGINX reads it anew when it changes; while it isn't there, no machine is asked."""
    server_name: str
    """The name in that certificate."""
    machines: tuple[OtherMachine, ...]
    """Every machine that may run, whether it runs now or not."""
    worker_connections: int
    """Connections of one worker process of the cluster's NGINX: twice the router's, as what goes to machines counts twice."""
    connect_timeout_ms: int
    """1,000: what a request loses at a machine that has just gone, before it goes elsewhere."""
    away_s: int
    """10: time for which a machine to which a connection failed is passed over at once."""
    idle_timeout_s: int
    """Silence after which the way to a machine is closed, longer than any answer takes: the longest ``answerTimeoutS`` and 60."""
    scaling: MachineScalingPlan | None = None
    """What raises and lowers their number; null where ``scaling.method`` is ``none``, or no source names the engines' series."""
