"""A pod's part of its node's host: CPU and memory in proportion to the accelerators, and the one sum of what it takes there.

    need = engine + /dev/shm of the ranks + KV cache moved to the host + what that leaves alone + streaming buffers

Pages of weights that are read from the cache count for the pod too, and are given back under pressure: they need no room.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.plan import Rejection
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.known import Itself
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.rejections import candidate_rejection
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.sizing.weights import embedding_parameters, layer_count, read_bytes
from agentgpu_iac.units import MIB, rounded

_CPU_SHARE = 0.9
"""Part of a node's allocatable CPU for engines; the rest is for daemons and the cache filler."""
_DEFAULT_CPU_MILLI_PER_ACCELERATOR = 4_000
"""Where a provider publishes none: a request that the smallest machine on offer can hold."""
MEMORY_SHARE = 0.85
"""Part of a node's allocatable memory for engines; the rest is for daemons and the cache filler."""
_DEFAULT_MEMORY_MIB_PER_ACCELERATOR = 16_384
"""Where a provider publishes none: a request that the smallest machine on offer can hold."""
ENGINE_MIB_PER_ACCELERATOR = 8_192
"""What an engine needs of the host beside what stands in lines of its own: its processes, CUDA's context, pinned buffers and
queues. A judgement near the one figure found: 35.0 GiB of anonymous memory with four ranks on a node (vLLM 0.26.0,
vllm-project/vllm issue 53042)."""
_SHM_MIB_PER_ACCELERATOR = 1024
"""Of /dev/shm for one rank: NCCL's segments, and the queues between vLLM's processes, which are 160 MiB for all ranks and 240
for each where several answer (0.33.0: distributed/device_communicators/shm_broadcast.py)."""
_MAX_SHM_MIB = 16_384
_STREAMER_MIB = 38_147
"""What the Run:ai streamer reads ahead in each process that loads, unless it is told otherwise: 40 GB
(runai-model-streamer 0.17.0: file_streamer/requests_iterator.py)."""
_LEAST_STREAMER_MIB = 2_048
"""The least that it is given, so that its sixteen readers have blocks to fill (a judgement); never less than the largest
tensor, below which it refuses to start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMemory:
    """Host memory of one pod in MiB, term by term."""

    accelerators: int
    engine_mib: int
    ranks_shm_mib: int
    """What its ranks have of /dev/shm."""
    kv_asked_mib: int
    """KV cache that its node keeps, as it was asked for."""
    kv_ratio: float
    """Memory that it takes / what was asked for."""
    kv_in_shm: bool
    """Whether it is a file in /dev/shm."""
    kv_reserve_mib: int
    """What must be free beside it."""
    streamer_mib: int
    """Buffers of the streaming loader, of all ranks."""

    @property
    def kv_mib(self) -> int:
        """Memory that the moved KV cache takes."""
        return ceil(self.kv_asked_mib * self.kv_ratio)

    @property
    def shm_mib(self) -> int:
        """Size of /dev/shm: the ranks' part, and the file whose room is checked before the engine starts."""
        return self.ranks_shm_mib + (self.kv_mib if self.kv_in_shm else 0)

    @property
    def need_mib(self) -> int:
        """Everything that cannot be given back."""
        return self.engine_mib + self.ranks_shm_mib + self.kv_mib + self.kv_reserve_mib + self.streamer_mib


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


def ranks_shm_mib(accelerators: int, pod_memory_mib: int) -> int:
    """What the ranks of a pod have of /dev/shm: no more than a quarter of its memory."""
    return min(_MAX_SHM_MIB, _SHM_MIB_PER_ACCELERATOR * accelerators, pod_memory_mib // 4)


def host_memory(candidate: Candidate, pod_memory_mib: int | None = None, streamer_mib: int = 0) -> HostMemory:
    """What a pod of the replica takes of its host; without a size of the pod, as much as it would be given.

    A file in /dev/shm has its whole size on each node of a replica, whose ranks fill their own part of it: the room is
    checked for the whole. Memory of the ranks' own is divided.
    """
    accelerators, offload = candidate.accelerators_per_pod, candidate.offload
    asked_mib = ceil(candidate.kv_offload_gib * 1024)
    in_shm = offload is not None and offload.kv_offload_in == "shm"
    shm_mib = min(_MAX_SHM_MIB, _SHM_MIB_PER_ACCELERATOR * accelerators)
    return HostMemory(
        accelerators=accelerators,
        engine_mib=ENGINE_MIB_PER_ACCELERATOR * accelerators,
        ranks_shm_mib=shm_mib if pod_memory_mib is None else ranks_shm_mib(accelerators, pod_memory_mib),
        kv_asked_mib=asked_mib if in_shm else ceil(asked_mib / candidate.nodes),
        kv_ratio=1.0 if offload is None else offload.kv_offload_ratio,
        kv_in_shm=in_shm and asked_mib > 0,
        kv_reserve_mib=offload.kv_offload_reserve_mib if offload is not None and asked_mib else 0,
        streamer_mib=streamer_mib,
    )


def streamer_mib(candidate: Candidate, machine: Machine, loaded_gib: float, engines: int = 1) -> int | None:
    """Buffers that each rank's streaming loader is allowed; None where the pod has no room for the least of them.

    As much as it would take by itself, never more than there is to read, as far as the pod has room beside everything
    else.
    """
    pod_mib = memory_mib(machine, candidate.accelerators_per_pod, engines)
    room_mib = pod_mib - host_memory(candidate, pod_mib).need_mib
    each_mib = min(_STREAMER_MIB, max(ceil(loaded_gib * 1024), least_streamer_mib(candidate)))
    allowed_mib = min(each_mib, room_mib // candidate.accelerators_per_pod)
    return allowed_mib if allowed_mib >= least_streamer_mib(candidate) else None


def least_streamer_mib(candidate: Candidate) -> int:
    """The least buffer of one rank: its largest tensor must fit, which may hold the experts of a whole layer."""
    return _least_streamer_mib(Itself(candidate.demand.model))


@lru_cache(maxsize=256)
def _least_streamer_mib(itself: Itself[Model]) -> int:
    model = itself.thing
    embedding_bytes = embedding_parameters(model) * 2
    experts_bytes = read_bytes(model, model.modules)[0] / max(1, layer_count(model)) * 2 / 3
    return max(_LEAST_STREAMER_MIB, ceil(max(embedding_bytes, experts_bytes) / MIB))


def fits(candidate: Candidate, machine: Machine, engines: int = 1) -> bool:
    """Whether the host holds what the replica wants to keep there."""
    return need_mib(candidate) <= memory_mib(machine, candidate.accelerators_per_pod, engines)


def need_mib(candidate: Candidate) -> int:
    """Host memory that a pod needs; 0 where it asks for nothing beyond an engine, as its part then is enough."""
    streams_mib = least_streamer_mib(candidate) * candidate.accelerators_per_pod if candidate.must_stream else 0
    if not candidate.kv_offload_gib and not streams_mib:
        return 0
    return host_memory(candidate, streamer_mib=streams_mib).need_mib


def machine_mib(candidate: Candidate, machine: Machine, engines: int = 1) -> int:
    """Memory of a machine on which a pod's part is what it needs; what its engines alone need, at least."""
    part = machine.accelerators_taken(candidate.accelerators_per_pod) / machine.accelerators / engines
    of_engines = ENGINE_MIB_PER_ACCELERATOR * machine.accelerators
    return max(of_engines, ceil(need_mib(candidate) / MEMORY_SHARE / part))


def rejection(candidate: Candidate, machine: Machine) -> Rejection:
    """The machine's host does not hold what the replica wants to keep there."""
    need, limit = need_mib(candidate) / 1024, memory_mib(machine, candidate.accelerators_per_pod) / 1024
    kept = host_memory(candidate).kv_mib / 1024
    what = f"{kept:g} GiB of KV cache in host memory and {need - kept:g}" if kept else f"{need:g} GiB"
    message = (
        f"{what} for the engine{' and its streaming loader' if candidate.must_stream else ''}; a pod's part of "
        f"{machine.instance.name} is {limit:.1f} GiB"
    )
    return candidate_rejection(
        candidate, machine, "host-memory", message, need=rounded(need), limit=rounded(limit), unit="GiB"
    )


def lines(host: HostMemory, pod_memory_mib: int) -> Iterator[Line]:
    """The sum, term by term, and what it is held against."""
    yield _line(
        "kvOffloadMib",
        "KV cache moved to the host x memory taken at the worst / asked for",
        f"{host.kv_asked_mib} x {host.kv_ratio:g}",
        host.kv_mib,
        "a file in /dev/shm, checked before the start" if host.kv_in_shm else "memory of the ranks' own",
    )
    yield _line(
        "shmMib",
        "the ranks' part + the file of the moved KV cache",
        f"{host.ranks_shm_mib} + {host.kv_mib if host.kv_in_shm else 0}",
        host.shm_mib,
        "NCCL and the engine's queues, 1 GiB a rank, a quarter of the pod at most",
    )
    yield _line(
        "hostNeedMib",
        "engine + /dev/shm of the ranks + moved KV cache + what that leaves alone + streaming buffers",
        f"{host.engine_mib} + {host.ranks_shm_mib} + {host.kv_mib} + {host.kv_reserve_mib} + {host.streamer_mib}",
        host.need_mib,
        f"held against the pod's {pod_memory_mib:,} MiB where more than an engine is kept there",
    )


def _line(name: str, formula: str, inputs: str, value: int, source: str) -> Line:
    return Line(
        name=name, formula=formula, inputs=inputs, value=value, result=f"{value:,} MiB", unit="MiB", source=source
    )
