"""The ways from an NGINX in front to machines behind it, as NGINX and whoever tells it of machines read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import FrontPlan, JoinedPlan, MachineRoute, OtherMachine
from agentgpu_iac.rendering.context import Context

LOOPBACK = "127.0.0.1"

STREAM = "stream.conf"

MACHINES_LIST = "machines.list"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamContext(Context):
    """The way from an NGINX in front to other machines."""

    template: ClassVar[str] = "stream.conf.j2"
    folder: str
    listen: str
    connect_timeout_ms: int
    idle_timeout_s: int
    server_name: str
    upstreams: tuple[str, ...] = ()
    """Files with more servers than one for a way, of which one stands for the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinesListContext(Context):
    """What each other machine adds to the configuration of an NGINX in front."""

    template: ClassVar[str] = "machines.list.j2"
    lines: tuple[tuple[str, str, str], ...]


def upstream_file(agent: str) -> str:
    """The file with an agent's engines on other machines."""
    return f"upstream-{agent}.conf"


def stream_to(machines: FrontPlan | JoinedPlan, others: Sequence[OtherMachine], folder: str) -> StreamContext:
    """The way from an NGINX in front to each engine's port of other machines; what it is told of them stands in a folder."""
    ports = [route.port for other in others for route in other.routes]
    return StreamContext(
        folder=folder,
        listen=f"{LOOPBACK}:{min(ports)}-{max(ports)}",
        connect_timeout_ms=machines.connect_timeout_ms,
        idle_timeout_s=machines.idle_timeout_s,
        server_name=machines.server_name,
    )


def engines_behind(way: MachineRoute, weight: int | None) -> str:
    """An agent's engines on another machine, as one server of its upstream."""
    return f"server {LOOPBACK}:{way.port} weight={weight} max_fails=0;"
