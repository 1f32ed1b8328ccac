"""Who may reach one machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import HostPlan, RoutePlan
from agentgpu_iac.plan.machine_paths import FIREWALL_FILE, FIREWALL_RULES_FOLDER
from agentgpu_iac.rendering.context import Context
from agentgpu_iac.rendering.hosts.machine import BRIDGE, Machine
from agentgpu_iac.rendering.router import route_port
from agentgpu_iac.spec.model import AddressRange

FRONT_RULE = "front.nft"

_SSH = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallContext(Context):
    """Who may reach the machine."""

    template: ClassVar[str] = "firewall.nft.j2"
    path: str
    bridge: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontRuleContext(Context):
    """The rule by which the machine in front comes in."""

    template: ClassVar[str] = "front.nft.j2"
    ports: str


def firewall_context(machine: Machine) -> FirewallContext:
    """The rules of the machine."""
    host = machine.host
    ports = _ports(machine.routes)
    return FirewallContext(
        path=FIREWALL_FILE,
        bridge=BRIDGE,
        rules=(
            *(f"{_source(source)} tcp dport {_SSH} accept" for source in host.admin_ranges),
            *(f"{_source(source)} tcp dport {ports} accept" for source in host.caller_ranges),
            f'include "{FIREWALL_RULES_FOLDER}/*.nft"',
        ),
    )


def _ports(routes: tuple[RoutePlan, ...]) -> str:
    return f"{{ {', '.join(str(route_port(route)) for route in routes)} }}"


def front_rule(host: HostPlan) -> FrontRuleContext:
    """What a machine adds to its firewall once it knows the machine in front."""
    return FrontRuleContext(ports=_ports(host.routes))


def _source(address_range: AddressRange) -> str:
    return f"ip6 saddr {address_range}" if ":" in address_range else f"ip saddr {address_range}"
