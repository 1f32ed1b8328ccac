"""The memory of one accelerator, term by term, from the sum that the decision was made with."""

from __future__ import annotations

from agentgpu_iac.plan import Workload
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.sizing import memory_lines
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.ledger import Line

SECTION = "Memory of one accelerator"


def lines(candidate: Candidate, baseline: Workload) -> tuple[Line, ...]:
    """Each term of the memory sum, the sum, and what it is held against."""
    engine = baseline.engine
    source = (
        "fixed KV budget: the accelerator is shared, and what its engines leave of their default share is handed out by "
        "their planned KV cache"
    )
    if baseline.kv_cache_memory_bytes is None:
        flag = SIZING_PORTS[engine.name].share_flag
        source = f"{flag} {baseline.gpu_memory_utilization:g}, the default of {engine.name} {engine.version}"
    seats = candidate.seats_per_group
    budget_gib = candidate.memory.need_gib(seats) + candidate.memory.cold_start_gib + baseline.memory.headroom_gib
    return memory_lines.memory_lines(
        candidate.memory,
        seats,
        memory_lines.Budget(
            gib=budget_gib, source=source, seats_field=None if candidate.away is None else "residentSessions"
        ),
    )
