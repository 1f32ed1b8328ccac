"""Machines beside the cluster: those of other providers, which carry bursts behind its NGINX and are no nodes of it.

Each has a Docker Compose project and an NGINX of its own, so that a replica there fills its machine: then nobody else is on it,
and any of them may be taken away. What a request loses on the way is counted as time to its first token.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from agentgpu_iac.plan import Rejection
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.rejections import candidate_rejection
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import counted

ROUND_TRIPS: Final = 3
"""Round trips until a first token that begin with a new connection: TCP's handshake, that of TLS 1.3 (RFC 8446, 2), the request.
NGINX keeps idle connections for 4 s, so that requests that follow one another closely take one alone; the cautious count is
planned with."""


def is_joined(machine: Machine, spec: StackSpec) -> bool:
    """Whether such a machine stands beside the cluster."""
    return machine.instance.provider in target_of(spec).joined(spec)


def first_joined(machines: Iterable[Machine], spec: StackSpec) -> Machine | None:
    """The first of these machines that stands beside the cluster; not looked for where none may."""
    if not target_of(spec).joined(spec):
        return None
    return next((machine for machine in machines if is_joined(machine, spec)), None)


def wide_area_ms(machine: Machine, spec: StackSpec) -> float:
    """What the way from the cluster to such a machine and back adds to a first token."""
    return ROUND_TRIPS * spec.network.burst_rtt_ms if is_joined(machine, spec) else 0.0


def round_trip_ms(machine: Machine, spec: StackSpec) -> float:
    """From the caller to an engine on such a machine and back."""
    return spec.network.round_trip_ms + wide_area_ms(machine, spec)


def bar(candidate: Candidate, machine: Machine) -> Rejection | None:
    """Why no replica of the candidate is on such a machine beside the cluster, if none is."""
    need, has = candidate.accelerators_per_replica, machine.accelerators
    if need == has:
        return None
    message = (
        f"a machine beside the cluster is one replica's: one of {counted(need, 'accelerator')} would leave "
        f"{has - need} of the {has} on {machine.instance.name} idle and paid for"
    )
    return candidate_rejection(
        candidate, machine, "whole-machine", message, need=float(need), limit=float(has), unit="accelerators"
    )
