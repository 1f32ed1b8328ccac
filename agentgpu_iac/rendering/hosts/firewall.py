"""Who may reach one machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import ClassVar

from agentgpu_iac.plan import HostPlan, RoutePlan
from agentgpu_iac.plan.machine_paths import FIREWALL_FILE, FIREWALL_RULES_FOLDER
from agentgpu_iac.rendering.address_ranges import LINK_LOCAL, NOWHERE, PRIVATE, of_family
from agentgpu_iac.rendering.context import Context
from agentgpu_iac.rendering.hosts.grafana import GRAFANA_UID
from agentgpu_iac.rendering.hosts.machine import BRIDGE, NOBODY_UID, OUTWARD_BRIDGE, Machine
from agentgpu_iac.rendering.router import ROUTER_UID, route_port
from agentgpu_iac.spec.model import AddressRange

FRONT_RULE = "front.nft"


def _within(inner: AddressRange, outer: AddressRange) -> bool:
    within, around = ip_network(inner), ip_network(outer)
    return within.version == around.version and around.supernet_of(within)  # type: ignore[arg-type]


_SSH = 22
_CLOSED = (*NOWHERE, *PRIVATE, *(each for each in LINK_LOCAL if not any(_within(each, other) for other in PRIVATE)))
"""nft takes no range twice in one set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallContext(Context):
    """Who may reach the machine."""

    template: ClassVar[str] = "firewall.nft.j2"
    path: str
    bridge: str
    outward_bridge: str
    closed: str
    """Where what goes out may not go, of IPv4."""
    closed6: str
    metadata: str
    """Where clouds answer for the machine itself, of IPv4."""
    metadata6: str
    users: str
    """Users of the containers that stand in the machine's own network."""
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontRuleContext(Context):
    """The rule by which the machine in front comes in."""

    template: ClassVar[str] = "front.nft.j2"
    ports: str


def firewall_context(machine: Machine) -> FirewallContext:
    """The rules of the machine."""
    host = machine.host
    ports = _ports(machine.caller_routes)
    return FirewallContext(
        path=FIREWALL_FILE,
        bridge=BRIDGE,
        outward_bridge=OUTWARD_BRIDGE,
        closed=_set(of_family(_CLOSED, 4)),
        closed6=_set(of_family(_CLOSED, 6)),
        metadata=_set(of_family(LINK_LOCAL, 4)),
        metadata6=_set(of_family(LINK_LOCAL, 6)),
        users=_set(sorted({ROUTER_UID, GRAFANA_UID, NOBODY_UID})),
        rules=(
            *(f"{_source(source)} tcp dport {_SSH} accept" for source in host.admin_ranges),
            *(f"{_source(source)} tcp dport {ports} accept" for source in host.caller_ranges),
            f'include "{FIREWALL_RULES_FOLDER}/*.nft"',
        ),
    )


def _set(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _ports(routes: tuple[RoutePlan, ...]) -> str:
    return f"{{ {', '.join(str(route_port(route)) for route in routes)} }}"


def front_rule(host: HostPlan) -> FrontRuleContext:
    """What a machine adds to its firewall once it knows the machine in front."""
    return FrontRuleContext(ports=_ports(host.routes))


def _source(address_range: AddressRange) -> str:
    return f"ip6 saddr {address_range}" if ":" in address_range else f"ip saddr {address_range}"
