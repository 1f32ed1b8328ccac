"""The way from the cluster's NGINX to machines beside the cluster.

To the balancing each agent on each machine is one more engine on the loopback, as on a machine in front of others: sessions
come back, parts are by engines, and who doesn't answer is passed over. Behind that port the request goes out by TLS, to a name
that the machines' own certificate holds. A machine to which no connection came about isn't tried for a while: a refusal by
nobody stands in for it, which costs no time.

Which machines run is no part of the files: a ConfigMap says so, and a script beside NGINX has it read the list anew.
"""

from __future__ import annotations

from dataclasses import replace

from agentgpu_iac.plan import JoinedPlan, MachineRoute, Plan
from agentgpu_iac.rendering.context import Pairs
from agentgpu_iac.rendering.templates import filled, verbatim
from agentgpu_iac.rendering.ways import (
    LOOPBACK,
    MACHINES_LIST,
    STREAM,
    MachinesListContext,
    StreamContext,
    engines_behind,
    stream_to,
    upstream_file,
)

SCRIPT = "machines.sh"
GIVEN_FOLDER = "/etc/nginx/machines"
"""Where the ConfigMap with the list is mounted, once there is one."""
MADE_FOLDER = "/run/router/machines"
"""What the script makes of it. Both stand in the script too; a test holds them together."""

_UPSTREAMS = "upstreams.conf"
_NOBODY = f"{LOOPBACK}:9"
"""The port of discard, where nobody listens in the pod: the kernel refuses at once."""


def joined_files(plan: Plan) -> Pairs:
    """What stands beside NGINX's configuration; nothing where no machine is beside the cluster."""
    joined = plan.joined
    if joined is None:
        return ()
    return (
        (STREAM, filled(_stream(joined))),
        (MACHINES_LIST, filled(_machines_list(joined))),
        (SCRIPT, verbatim(SCRIPT)),
    )


def parts(plan: Plan) -> tuple[str, ...]:
    """Files of NGINX's configuration that are there while a machine is."""
    return () if plan.joined is None else (f"{MADE_FOLDER}/{STREAM}*",)


def more_engines(plan: Plan, agent: str) -> tuple[str, ...]:
    """Files that name more engines of an agent while machines run that have some."""
    joined = plan.joined
    if joined is None or all(route.agent != agent for machine in joined.machines for route in machine.routes):
        return ()
    return (f"{MADE_FOLDER}/{upstream_file(agent)}*",)


def _stream(joined: JoinedPlan) -> StreamContext:
    return replace(stream_to(joined, joined.machines, MADE_FOLDER), upstreams=(f"{MADE_FOLDER}/{_UPSTREAMS}",))


def _machines_list(joined: JoinedPlan) -> MachinesListContext:
    return MachinesListContext(
        lines=tuple(
            line
            for machine in joined.machines
            for way in machine.routes
            for name in (f"machine_{way.port}",)
            for line in (
                (machine.name, upstream_file(way.agent), engines_behind(way, way.weight)),
                (machine.name, "addresses.map", f"{way.port} {name};"),
                (
                    machine.name,
                    _UPSTREAMS,
                    f"upstream {name} {{ zone {name} 64k; {_server(joined, way)} server {_NOBODY} max_fails=0 backup; }}",
                ),
            )
        )
    )


def _server(joined: JoinedPlan, way: MachineRoute) -> str:
    return f"server ADDRESS:{way.target_port} max_fails=1 fail_timeout={joined.away_s}s;"
