"""The host memory of a pod, term by term, from the sum that the decision was made with."""

from __future__ import annotations

from agentgpu_iac.plan import Workload
from agentgpu_iac.planning.choosing import host_memory
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.sizing.ledger import Line

SECTION = "Host memory of a pod"


def lines(candidate: Candidate, baseline: Workload) -> tuple[Line, ...]:
    """The sum, where the pod keeps more there than an engine."""
    pod = baseline.pod
    if not pod.kv_offload_mib and not pod.streamer_mib:
        return ()
    host = host_memory.host_memory(candidate, pod.memory_mib, pod.streamer_mib)
    return tuple(host_memory.lines(host, pod.memory_mib))
