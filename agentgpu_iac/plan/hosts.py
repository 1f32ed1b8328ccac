"""What virtual machines run, where there is no cluster."""

from __future__ import annotations

from agentgpu_iac.plan.router import RoutePlan
from agentgpu_iac.spec.document import Document


class HostEngine(Document):
    """One engine process on a virtual machine."""

    name: str
    workload: str
    """Name of the workload that it is a replica of."""
    port: int
    """Its port on the loopback."""
    accelerators: tuple[int, ...]
    """Indices of the machine's accelerators that it uses; engines of a share group use the same."""


class HostService(Document):
    """Software that runs beside the engines on a virtual machine."""

    version: str
    image: str
    """Image by digest where the spec pins one, else by tag."""
    port: int
    """Its port on the loopback."""


class HostSecret(Document):
    """A variable of the machine's file of secrets. Never a value."""

    variable: str
    secret: str
    """The Secret that the spec names."""
    key: str
    purpose: str


class KernelSetting(Document):
    """One sysctl of a virtual machine."""

    name: str
    value: str
    reason: str


class HostPlan(Document):
    """What each machine of one node pool runs, where there is no cluster. All machines of a pool are alike."""

    node_pool: str
    engines: tuple[HostEngine, ...]
    routes: tuple[RoutePlan, ...]
    """The agents on the machine, as far as its own engines carry them."""
    listen: tuple[str, ...]
    """Addresses on which NGINX listens for callers."""
    listen_queue: int
    """Callers that wait to be accepted: NGINX's backlog and the kernel's limit of it."""
    tls: bool
    """Whether callers speak TLS: wherever others than the machine itself may call."""
    caller_ranges: tuple[str, ...]
    admin_ranges: tuple[str, ...]
    health_port: int
    status_port: int
    """NGINX's own ports, on the loopback."""
    prometheus: HostService | None
    """None where the spec wants no monitors."""
    dcgm_exporter: HostService | None
    ollama: HostService | None
    """For development on a machine without these accelerators; None where the machine is bought for the plan."""
    metrics_retention_days: int
    disks_are_joined: bool
    """Whether blank NVMe disks become the volume of the model cache."""
    secrets: tuple[HostSecret, ...]
    kernel_settings: tuple[KernelSetting, ...]
    open_files: int
    """Limit of open files of each container."""


class MachineRoute(Document):
    """The way from the front machine to one agent on another machine."""

    agent: str
    port: int
    """On the front machine's loopback; what comes there goes to the other machine by TLS."""
    target_port: int
    """The agent's, on the other machine's NGINX."""
    engines: int
    """Engines of the agent there, and so its part of the sessions."""


class OtherMachine(Document):
    """A machine that the front machine's NGINX sends requests to while it runs."""

    name: str
    node_pool: str
    index: int
    """Its number in the pool, from 0."""
    routes: tuple[MachineRoute, ...]


class FrontPlan(Document):
    """The machine whose NGINX is in front of all machines: the first one of a baseline pool."""

    node_pool: str
    server_name: str
    """The name in the certificate that all machines share."""
    routes: tuple[RoutePlan, ...]
    """All agents, with the limits of all machines."""
    others: tuple[OtherMachine, ...]
    """Every machine that may run beside it."""
    worker_connections: int
    """Connections of one worker process of its NGINX: what goes to other machines counts twice."""
    connect_timeout_ms: int
    idle_timeout_s: int
    """Silence after which the way to another machine is closed: longer than any answer takes."""
