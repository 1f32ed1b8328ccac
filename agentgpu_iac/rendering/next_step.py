"""What to do with files that were just written."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.plan.machine_paths import CLOUD_INIT, MACHINE_FOLDER, SETUP_FILE, pool_folder
from agentgpu_iac.rendering.skyserve import start_command
from agentgpu_iac.targets import TARGETS


def next_step(plan: Plan, files: Iterable[RenderedFile], directory: str) -> str:
    """The next command, by the target of the plan."""
    if TARGETS[plan.target].can.makes_machines:
        return f"pulumi up makes the machines, each from the {CLOUD_INIT} of its pool"
    if plan.in_cluster.hosts:
        places = " or ".join(shlex.quote(f"{directory}/{pool_folder(host.node_pool)}") for host in plan.hosts)
        return f"copy {places} to {MACHINE_FOLDER} of its machine, then: sudo bash {SETUP_FILE}"
    if plan.sky_services:
        return " and ".join(start_command(service, f"{directory}/") for service in plan.sky_services)
    overlays = sorted({file.path.split("/")[1] for file in files if file.path.startswith("overlays/")})
    others = f" (or overlays/{', overlays/'.join(overlays[1:])})" if overlays[1:] else ""
    return f"kubectl apply -k {shlex.quote(f'{directory}/overlays/{overlays[0]}')}{others}"
