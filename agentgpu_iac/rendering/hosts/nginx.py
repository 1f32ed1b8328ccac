"""The router of one machine, and the way from the machine in front to the others."""

from __future__ import annotations

from agentgpu_iac.plan import FrontPlan, RoutePlan
from agentgpu_iac.rendering.context import Context
from agentgpu_iac.rendering.hosts.machine import Machine
from agentgpu_iac.rendering.router import Route, nginx, nginx_route, route_port
from agentgpu_iac.rendering.ways import (
    LOOPBACK,
    STREAM,
    MachinesListContext,
    StreamContext,
    engines_behind,
    stream_to,
    upstream_file,
)

CERTIFICATES_INSIDE = "/etc/nginx/tls"

MACHINES_INSIDE = "/etc/nginx/machines"

_NOBODY = "127.0.0.1:9 down"
"""NGINX wants one server at least, also for an agent whose engines are all on other machines."""


def nginx_context(machine: Machine) -> Context:
    """What NGINX does on the machine."""
    host = machine.host
    certificate = (
        f"ssl_certificate {CERTIFICATES_INSIDE}/tls.crt;",
        f"ssl_certificate_key {CERTIFICATES_INSIDE}/tls.key;",
        "ssl_protocols TLSv1.2 TLSv1.3;",
        "ssl_session_cache shared:tls_sessions:10m;",
        "ssl_session_timeout 1h;",
    )
    front = machine.front
    return nginx(
        machine.router,
        worker_connections=None if front is None else front.worker_connections,
        parts=() if front is None else (f"{MACHINES_INSIDE}/{STREAM}*",),
        more_elsewhere=() if front is None else ("http_502",),
        directives=certificate if host.tls else (),
        health_listen=f"{LOOPBACK}:{host.health_port}",
        status_port=host.status_port,
        routes=(
            *(
                nginx_route(
                    route,
                    listen=_listen(machine, route),
                    engines=_engines_of(machine, route) or (_NOBODY,),
                    more_engines=() if front is None else (f"{MACHINES_INSIDE}/{upstream_file(route.agent)}*",),
                )
                for route in machine.routes
            ),
            *_to_proxy(machine),
        ),
    )


def _listen(machine: Machine, route: RoutePlan) -> tuple[str, ...]:
    """For callers; an agent behind the proxy is asked by the machine itself alone."""
    host = machine.host
    if route.agent in machine.behind_proxy:
        return (f"{LOOPBACK}:{route_port(route)} backlog={host.listen_queue}",)
    how = " ssl" if host.tls else ""
    return tuple(f"{address}:{route_port(route)}{how} backlog={host.listen_queue}" for address in host.listen)


def _to_proxy(machine: Machine) -> tuple[Route, ...]:
    host, proxy = machine.host, machine.proxy
    if host.proxy is None or proxy is None:
        return ()
    route = host.proxy.route
    return (nginx_route(route, listen=_listen(machine, route), engines=(f"{LOOPBACK}:{proxy.port}",)),)


def _engines_of(machine: Machine, route: RoutePlan) -> tuple[str, ...]:
    return tuple(
        f"{LOOPBACK}:{engine.port}"
        for engine in machine.host.engines
        if machine.workloads[engine.workload].agent == route.leads_to
    )


def stream(front: FrontPlan) -> StreamContext:
    """The way from the front machine to each engine's port of the others."""
    return stream_to(front, front.others, MACHINES_INSIDE)


def machines_list(front: FrontPlan) -> MachinesListContext:
    """A line for each agent of each other machine: its server, and its address once that is known."""
    ways = [(other.name, route) for other in front.others for route in other.routes]
    return MachinesListContext(
        lines=tuple(
            line
            for name, way in ways
            for line in (
                (name, upstream_file(way.agent), engines_behind(way, way.engines)),
                (name, "addresses.map", f"{way.port} ADDRESS:{way.target_port};"),
            )
        )
    )
