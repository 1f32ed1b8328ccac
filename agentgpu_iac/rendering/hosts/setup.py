"""What sets a machine up: kernel settings, what the setup script must know, and the units that run it all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import HostPlan
from agentgpu_iac.plan.nodes import ENGINE_UID
from agentgpu_iac.rendering.context import Context
from agentgpu_iac.rendering.hosts.machine import Machine
from agentgpu_iac.rendering.router import ROUTER_UID

SYSCTL = "sysctl.conf"

ENVIRONMENT = "machine.env"

UNITS = (
    "agentgpu.service",
    "agentgpu-disks.service",
    "agentgpu-firewall.service",
    "agentgpu-health.service",
    "agentgpu-health.timer",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SysctlContext(Context):
    """Kernel settings, each with its reason."""

    template: ClassVar[str] = "sysctl.conf.j2"
    settings: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineContext(Context):
    """What the setup script needs to know."""

    template: ClassVar[str] = "machine.env.j2"
    cache_folder: str
    engine_uid: int
    router_uid: int
    tls: str
    admins: str
    """Address ranges that may log in, with blanks between them."""
    disks: str
    secrets: str


def sysctl(host: HostPlan) -> SysctlContext:
    """The kernel settings of the machine."""
    return SysctlContext(
        settings=tuple((setting.name, setting.value, setting.reason) for setting in host.kernel_settings)
    )


def environment(machine: Machine) -> MachineContext:
    """What the setup script must know of the machine."""
    host = machine.host
    return MachineContext(
        cache_folder=machine.pool.cache_path,
        engine_uid=ENGINE_UID,
        router_uid=ROUTER_UID,
        tls="yes" if host.tls else "no",
        admins=" ".join(host.admin_ranges),
        disks="yes" if host.disks_are_joined else "no",
        secrets=" ".join(secret.variable for secret in host.secrets),
    )
