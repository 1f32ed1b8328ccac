"""How fast plans are simulated: requests over so many replicas, in seconds of one core and MiB; and a million for the memory.

``python -m bench.simulation``; ``--million`` for the long one. The baseline in the same run is one replica whose every step is an
event, as simulators of engines have it, beside the same replica from event to event: the ratio is what skipping saves.
"""

from __future__ import annotations

import math
import resource
import sys
import time

from agentgpu_iac.plan import Plan
from agentgpu_iac.simulation.replica import engine_of
from agentgpu_iac.simulation.simulate import Simulation, simulate
from agentgpu_iac.simulation.traces import Trace, TraceRequest
from agentgpu_iac.sizing.stepping import Asked, Steps
from tests.planning import scenes

REPLICAS = 50
PER_SECOND = 20.0


def fleet(replicas: int) -> Plan:
    """A plan of the hand-made catalog with so many replicas."""
    made = scenes.plan(scenes.make_agent(sessions={"concurrent": 50}))
    warm = made.workloads[0]
    wide = warm.model_copy(update={"replicas": warm.replicas.model_copy(update={"min": replicas, "max": replicas})})
    return made.model_copy(update={"workloads": (wide,)})


def steady(requests: int) -> Trace:
    """Requests of chat, evenly spread."""
    return Trace(
        source="steady",
        layout="made",
        requests=tuple(TraceRequest(number / PER_SECOND, 800, 150, number, 0) for number in range(requests)),
    )


def one_replica(requests: int, *, skips: bool) -> float:
    """Seconds of one core for so many requests at one replica: from event to event, or step by step."""
    warm = fleet(1).workloads[0]
    assert warm.step_times is not None
    engine = engine_of(warm, warm.step_times.speed(), {})
    steps = Steps(engine.steps, engine.scheduling)
    finished = 0
    start = time.process_time()
    for number in range(requests):
        asked = Asked(arrives_ms=number * 1000.0, prompt_tokens=800, output_tokens=150)
        while steps.now_ms < asked.arrives_ms and not steps.idle:
            finished += len(steps.advance(asked.arrives_ms if skips else math.nextafter(steps.now_ms, math.inf)))
        steps.push(asked)
    while not steps.idle:
        finished += len(steps.advance())
    assert finished == requests
    return time.process_time() - start


def compare(requests: int) -> None:
    """Both in turn, and their ratio: the least of three each."""
    skipped, stepped = (min(one_replica(requests, skips=skips) for _ in range(3)) for skips in (True, False))
    print(
        f"one replica, {requests:,} requests: {1e6 * skipped / requests:.0f} us each from event to event, "
        f"{1e6 * stepped / requests:.0f} us step by step: ratio {stepped / skipped:.1f}"
    )


def measure(requests: int) -> None:
    """Simulate so many, and print what it took."""
    plan, trace = fleet(REPLICAS), steady(requests)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.process_time()
    found = simulate(plan, Simulation(trace=trace, requests_per_s=PER_SECOND))
    took_s = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answered = found.agents[0].answered
    print(
        f"{answered:,} requests, {REPLICAS} replicas: {took_s:.2f} s of one core, {1e6 * took_s / answered:.0f} us each"
    )
    print(f"{peak:.0f} MiB at most, {before:.0f} before with the trace")


if __name__ == "__main__":
    compare(500)
    measure(1_000_000 if "--million" in sys.argv else 72_000)
