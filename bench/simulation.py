"""How fast plans are simulated: requests over so many replicas, in seconds of one core and MiB; and a million for the memory.

``python -m bench.simulation``; ``--million`` for the long one.
"""

from __future__ import annotations

import resource
import sys
import time

from agentgpu_iac.plan import Plan
from agentgpu_iac.simulation.simulate import Simulation, simulate
from agentgpu_iac.simulation.traces import Trace, TraceRequest
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
    measure(1_000_000 if "--million" in sys.argv else 72_000)
