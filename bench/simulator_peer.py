"""Side by side with another simulator: Vidur and ours on the same replicas, step times and arrivals.

    python -m bench.simulator_peer [--minutes 60] [--replicas 8] [--per-second 20] [--output-tokens 150]

Vidur lives in ``.tools/vidur`` (made on first use from ``requirements/vidur.txt``). Each simulates Llama 3.1 8B on one H100 a
replica, requests of fixed lengths by a Poisson process and taken by turns, chunked prefill (its Sarathi scheduler), no shared
prefixes. Steps take the same on both sides, and so does nothing else: what the server, the network and the way of the first token
take is nothing here. Both run as processes of their own, one after the other; what is compared is the CPU time of the simulation
alone, and what callers wait for.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.simulation.replica import engine_of
from agentgpu_iac.simulation.simulate import Simulation, simulate
from agentgpu_iac.simulation.traces import Trace, TraceRequest
from agentgpu_iac.spec.loader import load_text
from bench.peer_home import ROOT, python_of

LOCK = ROOT / "requirements" / "vidur.txt"
RUNNER = Path(__file__).with_name("simulator_peer_runner.py")
SEED = 2026
PROMPT_TOKENS = 800
FAR_TOKENS = 65_536.0
STACK = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: peer}
spec:
  target: eks
  modelCache: {tokenSecret: hf-token}
  accelerators: {allow: [h100-sxm]}
  agents:
    - name: chat
      model: meta-llama/Llama-3.1-8B-Instruct
      sessions: {concurrent: 200}
      overrides: {maxNumSeqs: 128, maxNumBatchedTokens: 2048}
"""


def fleet(replicas: int) -> Plan:
    """So many replicas without limits that are asked by turns; all that is not a step takes no time."""
    plan = make_plan(load_text(STACK, "peer"), load_catalog())
    warm = plan.workloads[0]
    assert warm.step_times is not None
    alone = warm.step_times.model_copy(
        update={"host_ms_per_request": 0.0, "first_token_ms": 0.0, "first_token_steps": 0.0}
    )
    changed = warm.model_copy(
        update={
            "replicas": warm.replicas.model_copy(update={"min": replicas, "max": replicas}),
            "step_times": alone,
            "routing": warm.routing.model_copy(update={"policy": "round-robin"}),
            "admission": warm.admission.model_copy(update={"max_queued_requests": None}),
            "latency": warm.latency.model_copy(update={"network_ms": 0.0}),
        }
    )
    return plan.model_copy(update={"workloads": (changed,)})


def arrivals(per_s: float, seconds: float) -> list[float]:
    """A Poisson process; the same in every release of Python."""
    chance, now_s = Random(SEED), 0.0
    found: list[float] = []
    while True:
        now_s -= math.log(1 - chance.random()) / per_s
        if now_s >= seconds:
            return found
        found.append(now_s)


def scene(plan: Plan, times_s: Sequence[float], output_tokens: int) -> dict[str, Any]:
    """The same replicas and requests for the peer."""
    (warm,) = plan.workloads
    assert warm.step_times is not None
    speed = warm.step_times.speed()
    engine = engine_of(warm, speed, {})
    lines = [(0.0, 0.0)]
    for running in range(1, engine.scheduling.seats + 1):
        base = speed.decode_ms(running, 0.0)
        lines.append((base, (speed.decode_ms(running, FAR_TOKENS) - base) / FAR_TOKENS))
    return {
        "replicas": warm.replicas.max,
        "seats": engine.scheduling.seats,
        "step_tokens": engine.scheduling.step_tokens,
        "cache_tokens": engine.scheduling.cache_tokens,
        "prompt_tokens": PROMPT_TOKENS,
        "output_tokens": output_tokens,
        "arrivals_s": list(times_s),
        "steps": {
            "decode_lines": lines,
            "weights_ms": speed.dense_weights_ms,
            "ms_per_token": speed.dense_ms_per_token + speed.expert_ms_per_token,
            "ms_per_prompt_token": speed.prompt_ms_per_token,
            "ms_per_pair": speed.attention_ms_per_token_pair,
            "ms_per_context_token": speed.kv_ms_per_token,
            "ms_per_request": speed.kv_ms_per_session + speed.all_reduce_ms_per_token + speed.sequence_ms,
            "launch_ms": speed.prompt_launch_ms,
            "captured_launch_ms": speed.captured_launch_ms,
            "captured_tokens": speed.captured_tokens,
        },
    }


def ours(asked: dict[str, Any]) -> dict[str, Any]:
    """Our simulation of a scene."""
    times_s = asked["arrivals_s"]
    requests = (
        TraceRequest(at, asked["prompt_tokens"], asked["output_tokens"], number, 0) for number, at in enumerate(times_s)
    )
    trace = Trace(source="poisson", layout="made", requests=tuple(requests))
    plan = fleet(asked["replicas"])
    began_s = time.process_time()
    found = simulate(plan, Simulation(trace=trace, requests_per_s=trace.requests_per_s))
    took_s = time.process_time() - began_s
    (agent,) = found.agents
    assert agent.answered == len(times_s)
    figures = agent.turns[0]
    return {
        "cpu_s": took_s,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "ttft_ms": [figures.ttft_ms.p50, figures.ttft_ms.p95, figures.ttft_ms.p99],
        "tpot_ms": [figures.tpot_ms.p50, figures.tpot_ms.p95, figures.tpot_ms.p99],
        "restarts": found.deployments[0].preempted,
    }


def percentiles(values: Sequence[float]) -> list[float]:
    """p50, p95 and p99, counted as our sketches count."""
    ordered = sorted(values)
    return [ordered[max(1, math.ceil(len(ordered) * each / 100)) - 1] for each in (50, 95, 99)]


def played(command: Sequence[str | Path], asked: str) -> tuple[dict[str, Any], float]:
    """What a side answers, and the CPU seconds of its whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, input=asked, stdout=subprocess.PIPE, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return json.loads(done.stdout), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(asked: dict[str, Any], rounds: int) -> None:
    """Both in turn, so many times, and the least that each took."""
    text, count = json.dumps(asked), len(asked["arrivals_s"])
    sides: dict[str, list[tuple[dict[str, Any], float]]] = {"Vidur": [], "ours": []}
    for _ in range(rounds):
        sides["ours"].append(played([sys.executable, "-m", "bench.simulator_peer", "--ours"], text))
        sides["Vidur"].append(played([python_of("vidur", LOCK), "-W", "ignore", RUNNER], text))
    for each, _ in sides["Vidur"]:
        each["ttft_ms"], each["tpot_ms"] = percentiles(each["ttft_ms"]), percentiles(each["tpot_ms"])
    print(
        f"{count:,} requests of {asked['prompt_tokens']} + {asked['output_tokens']} tokens, {asked['replicas']} replicas"
    )
    least = {}
    for name, found in sides.items():
        best, whole_s = min(found, key=lambda each: each[0]["cpu_s"])
        least[name] = best["cpu_s"]
        figures = "; ".join(
            f"{figure} {', '.join(f'{value:.2f}' for value in best[key])}"
            for figure, key in (("TTFT p50, p95, p99 ms", "ttft_ms"), ("TPOT", "tpot_ms"))
        )
        print(
            f"{name:6} {best['cpu_s']:8.2f} s of CPU, {1e6 * best['cpu_s'] / count:8.0f} us a request, {whole_s:.1f} s with its "
            f"start, {best['peak_mib']:.0f} MiB at most; {figures}; {best['restarts']} restarts"
        )
    print(f"ratio of CPU time, Vidur / ours: {least['Vidur'] / least['ours']:.1f}", flush=True)


def main() -> None:
    """Both sides, or ours alone for one that asks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--replicas", type=int, default=8)
    parser.add_argument("--per-second", type=float, default=20.0)
    parser.add_argument("--output-tokens", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=1, help="how often each side runs, in turn; the least counts")
    parser.add_argument("--ours", action="store_true", help="answer a scene on standard input, as the peer does")
    arguments = parser.parse_args()
    if arguments.ours:
        json.dump(ours(json.load(sys.stdin)), sys.stdout)
        return
    times_s = arrivals(arguments.per_second, arguments.minutes * 60)
    compare(scene(fleet(arguments.replicas), times_s, arguments.output_tokens), arguments.rounds)


if __name__ == "__main__":
    main()
