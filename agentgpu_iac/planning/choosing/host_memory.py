"""A pod's part of its node's host: CPU and memory in proportion to the accelerators, and whether what it keeps there fits."""

from __future__ import annotations

from math import ceil

from agentgpu_iac.plan import Rejection
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.rejections import candidate_rejection
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.units import rounded

_CPU_SHARE = 0.9
"""Part of a node's allocatable CPU for engines; the rest is for daemons and the cache filler."""
_DEFAULT_CPU_MILLI_PER_ACCELERATOR = 4_000
"""Where a provider publishes none: a request that the smallest machine on offer can hold."""
MEMORY_SHARE = 0.85
"""Part of a node's allocatable memory for engines; the rest is for daemons and the cache filler."""
_DEFAULT_MEMORY_MIB_PER_ACCELERATOR = 16_384
"""Where a provider publishes none: a request that the smallest machine on offer can hold."""
ENGINE_MIB_PER_ACCELERATOR = 8_192
"""What an engine needs of the host besides KV cache moved there: a judgement, no measurement. Its processes, pinned
buffers and /dev/shm are in it; pages of weights read from the cache are given back under pressure."""
_SHM_MIB_PER_ACCELERATOR = 1024
_MAX_SHM_MIB = 16_384


def memory_mib(machine: Machine, accelerators: int, engines: int = 1) -> int:
    """Host memory of one pod, when ``engines`` share its accelerators."""
    instance, taken = machine.instance, machine.accelerators_taken(accelerators)
    part = taken / machine.accelerators / engines
    ram = instance.allocatable_memory_mib or int((instance.memory_gib or 0) * 1024)
    return int(ram * MEMORY_SHARE * part) // 256 * 256 if ram else _DEFAULT_MEMORY_MIB_PER_ACCELERATOR * taken


def cpu_milli(machine: Machine, accelerators: int, engines: int = 1) -> int:
    """CPU of one pod, when ``engines`` share its accelerators."""
    instance, taken = machine.instance, machine.accelerators_taken(accelerators)
    part = taken / machine.accelerators / engines
    cpu = instance.allocatable_cpu_milli or (instance.vcpu or 0) * 1000
    return int(cpu * _CPU_SHARE * part) // 100 * 100 if cpu else _DEFAULT_CPU_MILLI_PER_ACCELERATOR * taken


def shm_mib(accelerators: int, pod_memory_mib: int) -> int:
    """Size of /dev/shm: it is part of the pod's memory."""
    return min(_MAX_SHM_MIB, _SHM_MIB_PER_ACCELERATOR * accelerators, pod_memory_mib // 4)


def kv_offload_mib(candidate: Candidate) -> int:
    """KV cache that one pod of the replica may keep in host memory: on each of its nodes an equal part."""
    return ceil((candidate.demand.agent.kv_offload_gib or 0.0) * 1024 / candidate.nodes)


def fits(candidate: Candidate, machine: Machine, engines: int = 1) -> bool:
    """Whether the host holds what the replica wants to keep there."""
    return need_mib(candidate) <= memory_mib(machine, candidate.accelerators_per_pod, engines)


def need_mib(candidate: Candidate) -> int:
    """Host memory that a pod needs; 0 where it keeps no KV cache there, as its part then is enough."""
    offload = kv_offload_mib(candidate)
    if not offload:
        return 0
    reserve = PORTS[candidate.demand.agent.engine].offload_reserve_mib
    return offload + ENGINE_MIB_PER_ACCELERATOR * candidate.accelerators_per_pod + reserve


def rejection(candidate: Candidate, machine: Machine) -> Rejection:
    """The machine does not hold the KV cache that is to be moved to its host memory."""
    need, limit = need_mib(candidate) / 1024, memory_mib(machine, candidate.accelerators_per_pod) / 1024
    kept = kv_offload_mib(candidate) / 1024
    message = (
        f"{kept:g} GiB of KV cache in host memory and {need - kept:g} for the engine; a pod's part of "
        f"{machine.instance.name} is {limit:.1f} GiB"
    )
    return candidate_rejection(
        candidate, machine, "host-memory", message, need=rounded(need), limit=rounded(limit), unit="GiB"
    )
