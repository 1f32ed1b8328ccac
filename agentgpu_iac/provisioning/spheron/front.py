"""The machines behind the front one: who is told of whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from agentgpu_iac.plan import FrontPlan
from agentgpu_iac.plan.machine_paths import FRONT_FILE, MACHINES_CERTIFICATE_FILE, MACHINES_LIST_FILE
from agentgpu_iac.provisioning.spheron.certificate import MachinesCertificate
from agentgpu_iac.provisioning.spheron.machine import SpheronMachine
from agentgpu_iac.provisioning.spheron.machine_files import MachineFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A machine, by the name that the plan has for it."""

    name: str
    resource: SpheronMachine
    host_key: pulumi.Input[str | None]
    """What it has proven. None: it proves its host key now."""


class MachinesBehind(pulumi.ComponentResource):
    """Tells every other machine who is in front of it, and the front machine then who is behind it."""

    def __init__(
        self,
        plan: FrontPlan,
        front: Named,
        others: Sequence[Named],
        certificate: MachinesCertificate,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("agentgpu:spheron:MachinesBehind", f"{plan.node_pool}-front", None, opts)
        admitted = [
            MachineFiles(
                f"{other.name}-front",
                _files(other, {FRONT_FILE: front.resource.ipAddress.apply(_line)}, "front"),
                pulumi.ResourceOptions(parent=self),
            )
            for other in others
        ]
        MachineFiles(
            f"{front.name}-machines",
            {
                **_files(
                    front,
                    {MACHINES_CERTIFICATE_FILE: certificate.certificate, MACHINES_LIST_FILE: _listed(others)},
                    "machines",
                ),
                "left": {MACHINES_LIST_FILE: ""},
            },
            pulumi.ResourceOptions(parent=self, depends_on=admitted),
        )
        self.register_outputs({})


def _files(machine: Named, files: Mapping[str, pulumi.Input[str]], word: str) -> dict[str, Any]:
    return {**files_for(machine.resource, dict(files), word), "hostKey": machine.host_key}


def files_for(resource: SpheronMachine, files: pulumi.Input[Any], word: str) -> dict[str, Any]:
    """What ``MachineFiles`` must know to put files, a text for each path, on a machine."""
    return {
        "machine": resource.id,
        "machineName": resource.machineName,
        "ssh": resource.sshCommand,
        "files": files,
        "left": {},
        "word": word,
    }


def _listed(machines: Iterable[Named]) -> pulumi.Output[str]:
    lines = [
        pulumi.Output.format("{0} {1}", machine.name, machine.resource.ipAddress.apply(_address))
        for machine in machines
    ]
    return pulumi.Output.all(*lines).apply(lambda known: "".join(f"{line}\n" for line in known))


def _line(address: str | None) -> str:
    return f"{_address(address)}\n"


def _address(address: str | None) -> str:
    """The machine's address. A machine that does not run in time has none; the next ``pulumi up`` waits for it again."""
    if not address and not pulumi.runtime.is_dry_run():
        raise pulumi.RunError("a machine does not run yet, so that no other can be told of it: run pulumi up again")
    return address or ""
