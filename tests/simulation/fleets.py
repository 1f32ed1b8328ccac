"""Small plans to simulate: one of the hand-made catalog, and what tests change of it."""

from __future__ import annotations

from functools import cache
from typing import Any

from agentgpu_iac.plan import Plan, Workload
from agentgpu_iac.simulation.traces import Trace, TraceRequest
from tests.planning import scenes


@cache
def small_plan() -> Plan:
    """One agent, one warm replica, no burst."""
    return scenes.plan(scenes.make_agent(sessions={"concurrent": 12}))


@cache
def burst_plan() -> Plan:
    """A baseline with a burst tier on spot that KEDA scales."""
    return scenes.plan(
        scenes.make_agent(
            latencyClass="background",
            sessions={"concurrent": 4, "peak": 24},
            traffic={"rampS": 900},
            overrides={"maxNumSeqs": 4},
        )
    )


def changed(plan: Plan, **fields: Any) -> Plan:
    """The same with other fields in every workload."""
    return plan.model_copy(update={"workloads": tuple(each.model_copy(update=fields) for each in plan.workloads)})


def with_replicas(plan: Plan, count: int) -> Plan:
    first = plan.workloads[0]
    return changed(plan, replicas=first.replicas.model_copy(update={"min": count, "max": count}))


def with_limit(plan: Plan, requests: int | None) -> Plan:
    return changed(plan, admission=plan.workloads[0].admission.model_copy(update={"max_queued_requests": requests}))


def with_cache(plan: Plan, tokens: int) -> Plan:
    """A KV cache of so many tokens."""
    memory = plan.workloads[0].memory
    gib = tokens * memory.kv_bytes_per_token / 2**30
    return changed(plan, memory=memory.model_copy(update={"kv_gib": gib, "headroom_gib": 0.0}))


def constant_server(plan: Plan, *, step_ms: float, seats: int) -> Plan:
    """A replica whose every step takes the same, whatever runs: an M/M/c server where lengths are geometric."""
    times = plan.workloads[0].step_times
    assert times is not None
    nothing = {
        name: 0.0
        for name in type(times).model_fields
        if "_ms" in name and name not in ("launches_ms", "prompt_launch_ms", "captured_launch_ms")
    }
    launches = dict.fromkeys(("launches_ms", "prompt_launch_ms", "captured_launch_ms"), step_ms)
    fixed = times.model_copy(update={**nothing, **launches, "experts": 0, "first_token_steps": 0.0})
    return changed(plan, step_times=fixed, max_num_seqs=seats, max_num_seqs_per_group=seats, generating=None)


def sharing_server(plan: Plan, *, token_ms: float) -> Plan:
    """A replica whose steps take as long as they have requests, without a limit of seats: processor sharing. Prompts are free."""
    times = plan.workloads[0].step_times
    assert times is not None
    nothing = {name: 0.0 for name in type(times).model_fields if "_ms" in name}
    only = times.model_copy(update={**nothing, "sequence_ms": token_ms, "experts": 0, "first_token_steps": 0.0})
    wide = changed(plan, step_times=only, max_num_seqs=4096, max_num_seqs_per_group=4096, generating=None)
    return with_limit(with_cache(wide, 10**9), None)


def trace(*requests: tuple[float, int, int]) -> Trace:
    """(time, prompt, output) each."""
    made = tuple(TraceRequest(at, prompt, output, number, 0) for number, (at, prompt, output) in enumerate(requests))
    return Trace(source="made", layout="made", requests=made)


def first(plan: Plan) -> Workload:
    return plan.workloads[0]
