"""A real vLLM and its simulation under the very same arrivals: what callers wait for, and how often they are turned away.

    python -m bench.engine                  direct scenes, and one behind a real NGINX (20 minutes, on two idle cores)
    python -m bench.engine --runs 1 NAME ...  those scenes, once

The engine is the CPU build that ``tests/e2e/engine`` uses, with a tiny model, and started with the arguments that a plan renders;
its prefix cache is off unless a scene says so. Its step times are measured alone, by requests, and stand in the plan's
``stepTimes`` when it is simulated: so what is compared is the simulator's queue, batch and admission, not the step model. It
computes on one core, the last; its server and the callers have the others.

A queue near its limit is a lottery: with steps 1 % shorter or longer the same callers wait a fifth less or more at the median of
a scene. So each scene is played several times, with other callers each time, and each of these is simulated with steps as they
were measured and a little shorter and longer. All requests together are compared; the least and most of one simulation stand
beside.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import httpx
import numpy as np

from agentgpu_iac.plan import Plan
from bench.engine_client import (
    Answers,
    Caller,
    Client,
    Simulated,
    Turn,
    at,
    bursts,
    simulated,
    together,
    together_simulated,
)
from bench.engine_steps import Crowd, Measured, in_a_crowd, measured, with_steps
from tests.e2e.engine.pods import EnginePod, engine_pods
from tests.e2e.engine.serving import KV_CACHE_GIB, Engine
from tests.e2e.engine.tiny import tiny_plan
from tests.e2e.ports import HOST
from tests.e2e.traffic.cluster_dns import ClusterDns
from tests.e2e.traffic.nginx import Nginx
from tests.rendering.trees import of_kind
from tools.install import path as tool

SEATS, WAITING, STEP_TOKENS = 6, 6, 512
STACK = f"""\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: tiny}}
spec:
  capacity: {{shareAccelerators: never}}
  agents:
    - name: tiny
      model: FOLDER/tiny/config.json
      sessions: {{concurrent: {SEATS}}}
      conversation: {{maxContextTokens: 8192, inputTokensPerTurn: 300, outputTokensPerTurn: 40}}
      overrides: {{baselineReplicas: 2, maxNumSeqs: {SEATS}, maxWaitingRequests: {WAITING}, maxNumBatchedTokens: {STEP_TOKENS}}}
"""
PROMPTS = (128, 300, 480)
CONTEXTS = (64, 400)
NEARLY = (0.98, 0.99, 1.0, 1.01, 1.02)
"""Times that steps are taken as long as measured: within what two measurements of them differ by."""
AROUND = (0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2)
"""The same, to find how long they were in a scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What callers do."""

    callers: Callable[[float, int], list[Caller]]
    """By the requests a second that the engine can answer, and the number of the run."""
    tries: int
    has_router: bool = False
    """A real NGINX stands before the engine, as rendered."""


def open_load(per_s: float, run: int) -> list[Caller]:
    """Programs that do not wait for answers: half of what the engine can do, and every 15 s twice as much for 3 s."""
    chance = Random(f"open/{run}")
    times = bursts(chance, seconds=60.0, calm_per_s=0.5 * per_s, burst_per_s=2.0 * per_s, every_s=15.0, for_s=3.0)
    return [Caller(begins_s=each, turns=(_turn(chance),)) for each in times]


def closed_load(per_s: float, run: int) -> list[Caller]:
    """Users who think between their requests; three of them for each seat."""
    chance = Random(f"closed/{run}")
    users = 3 * SEATS
    think_s = 0.8 * users / per_s - 1.5
    return [
        Caller(
            begins_s=10 * chance.random(),
            turns=tuple(replace(_turn(chance), pause_s=think_s * _exponential(chance)) for _ in range(10)),
        )
        for _ in range(users)
    ]


def _turn(chance: Random) -> Turn:
    return Turn(
        prompt_tokens=min(1200, 50 + round(250 * _exponential(chance))),
        output_tokens=min(120, 10 + round(30 * _exponential(chance))),
    )


def _exponential(chance: Random) -> float:
    """Of mean 1; the same in every release of Python."""
    return -math.log(1 - chance.random())


SCENES: Mapping[str, Scene] = {
    "open": Scene(callers=open_load, tries=1),
    "closed": Scene(callers=closed_load, tries=3),
    "closed-behind-nginx": Scene(callers=closed_load, tries=3, has_router=True),
}


def pod_on_one_core(pod: EnginePod) -> EnginePod:
    """The pod, whose engine computes on this machine's last core, and reads every prompt whole."""
    container = copy.deepcopy(pod.container)
    container["args"][container["args"].index("--dtype") + 1] = "float32"
    container["args"].append("--no-enable-prefix-caching")
    last = sorted(os.sched_getaffinity(0))[-1]
    container.setdefault("env", []).append({"name": "VLLM_CPU_OMP_THREADS_BIND", "value": str(last)})
    return replace(pod, container=container)


def answers_per_s(plan: Plan) -> float:
    """What a full engine answers of the scenes' requests, by its step times."""
    times = plan.workloads[0].step_times
    assert times is not None
    chance = Random("mean")
    turns = [_turn(chance) for _ in range(4000)]
    prompt = sum(each.prompt_tokens for each in turns) / len(turns)
    output = sum(each.output_tokens for each in turns) / len(turns)
    speed = times.speed()
    decode_ms = speed.decode_ms(SEATS, prompt + output / 2)
    return 1000 / (output * decode_ms / SEATS + prompt * speed.prompt_ms_per_token)


Row = tuple[str, Callable[[Answers], float], Callable[[Simulated], float]]
ROWS: tuple[Row, ...] = (
    ("TTFT p50 ms", lambda real: at(real.ttft_ms, 50), lambda found: found.ttft.at(50) or 0.0),
    ("TTFT p99 ms", lambda real: at(real.ttft_ms, 99), lambda found: found.ttft.at(99) or 0.0),
    ("TPOT p50 ms", lambda real: at(real.tpot_ms, 50), lambda found: found.tpot.at(50) or 0.0),
    ("TPOT p99 ms", lambda real: at(real.tpot_ms, 99), lambda found: found.tpot.at(99) or 0.0),
    ("503", lambda real: real.refusals, lambda found: found.refusals),
    ("of them late", lambda real: real.late_refusals, lambda found: found.late_refusals),
    ("given up", lambda real: real.given_up, lambda found: found.given_up),
    ("answered", lambda real: len(real.ttft_ms), lambda found: found.answered),
)


def print_scene(name: str, real: Sequence[Answers], found: Sequence[Simulated]) -> None:
    """Real and simulated, all runs together, the part by which they differ, and the least and most of one simulation."""
    per_run = len(found) / len(real)
    print(f"{name}: {len(real)} runs, {len(found)} simulations")
    seen, expected = together(real), together_simulated(found)
    for label, of_real, of_found in ROWS:
        counts = isinstance(of_real(seen), int)
        one, other = float(of_real(seen)), of_found(expected) / (per_run if counts else 1)
        runs = " ".join(f"{of_real(each):,.0f}" for each in real)
        singles = [of_found(each) for each in found]
        off = f"{other / one - 1:+.1%}" if one else "-"
        spread = f"runs {runs}; one simulation {min(singles):,.0f} to {max(singles):,.0f}"
        print(f"  {label:12} {one:10,.1f} {other:10,.1f} {off:>8}   {spread}", flush=True)


def main(words: list[str]) -> None:
    """Start the engine, measure its steps, and play the scenes."""
    parser = argparse.ArgumentParser(prog="python -m bench.engine")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(SCENES)}")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        plan, models = tiny_plan(folder, STACK, {"tiny": (8, 4)})
        (pod,) = engine_pods(plan)
        engine = Engine(pod_on_one_core(pod), models, folder / "pod", tool("vllm").parent)
        try:
            while not engine.is_ready():
                time.sleep(0.2)
            play(plan, engine, asked.names or list(SCENES), asked.runs)
        finally:
            engine.terminate()
            engine.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A scene that was played once, to be simulated."""

    plan: Plan
    callers: Sequence[Caller]
    tries: int
    before: Measured
    after: Measured
    crowding: float
    """What others took of the cores meanwhile."""

    def simulated(self, part: float) -> Simulated:
        """What the callers see of an engine whose steps are so many times as long as measured."""
        fed, _ = with_steps(self.plan, in_a_crowd(self.before, self.after, self.crowding * part))
        return simulated(fed, self.callers, tries=self.tries)

    def drift(self, tpot_ms: float) -> float:
        """How many times as long as measured steps were: so long that half of the answers had this TPOT.

        A machine's speed drifts within minutes, and a queue near its limit multiplies that. TPOT at p50 is an input then, and
        the others are what is compared.
        """
        times = [math.log(self.simulated(part).tpot.at(50) or tpot_ms) for part in AROUND]
        slope, level = np.polyfit(times, [math.log(part) for part in AROUND], 1)
        return math.exp(level + slope * math.log(tpot_ms))


def play(plan: Plan, engine: Engine, names: list[str], runs: int) -> None:
    """Play each scene so many times, and measure the steps before and after each of them."""
    before = measured(engine, SEATS, PROMPTS, CONTEXTS)
    for name in names:
        scene = SCENES[name]
        one = one_engine(plan, has_router=scene.has_router)
        real: list[Answers] = []
        found: list[Simulated] = []
        drifted: list[Simulated] = []
        for run in range(runs):
            callers = scene.callers(answers_per_s(with_steps(one, before)[0]), run)
            with address(plan, engine, has_router=scene.has_router) as url:
                client = Client(url, engine.model, tries=scene.tries)
                crowd = Crowd(engine.process.pid)
                real.append(client.run(callers))
                crowding = crowd.ratio()
            after = measured(engine, SEATS, PROMPTS, CONTEXTS)
            print_steps(before, after, with_steps(one, in_a_crowd(before, after, crowding))[1])
            crowds = " ".join(f"{each - 1:.1%}" for each in (before.crowding, crowding, after.crowding))
            print(
                f"  waiting for a core, before, meanwhile and after: {crowds} of the time that it computes", flush=True
            )
            played = Played(plan=one, callers=callers, tries=scene.tries, before=before, after=after, crowding=crowding)
            drift = played.drift(at(real[-1].tpot_ms, 50))
            print(f"  by its own TPOT, steps were {drift:.3f} times as long as measured", flush=True)
            found += (played.simulated(part) for part in NEARLY)
            drifted += (played.simulated(part * drift) for part in NEARLY)
            before = after
        print_scene(f"{name}, steps as measured", real, found)
        print_scene(f"{name}, steps by its own TPOT at p50", real, drifted)


@contextmanager
def address(plan: Plan, engine: Engine, *, has_router: bool) -> Iterator[str]:
    """Where callers ask: the engine itself, or the NGINX of the plan with this one engine behind it."""
    if not has_router:
        yield f"http://{HOST}:{engine.port}"
        return
    assert plan.router is not None
    (route,) = plan.router.routes
    with ClusterDns() as dns:
        dns.services[f"{engine.model}-engines.{plan.stack}.svc.cluster.local"] = {HOST: engine.port}
        made = {kind: of_kind(plan, kind)["traffic-router"] for kind in ("Deployment", "ConfigMap")}
        with Nginx(made["Deployment"], made["ConfigMap"], dns.port) as nginx:
            nginx.start()
            url = f"http://{HOST}:{nginx.ports[route.port]}"
            asked = {"model": engine.model, "prompt": "hello", "max_tokens": 1}
            while httpx.post(f"{url}/v1/completions", json=asked, trust_env=False).status_code != 200:
                time.sleep(0.2)  # it has not found the engine yet
            yield url


def print_steps(before: Measured, after: Measured, off: float) -> None:
    """What was measured, and how well a line fits it."""
    for each, second in zip(before.steps, after.steps, strict=True):
        print(
            f"  step: {each.requests} requests at {each.context_tokens:.0f} tokens, {each.prompt_tokens} tokens of a prompt: "
            f"{each.ms:.2f} ms before, {second.ms:.2f} after"
        )
    for (tokens, ttft_ms), (_, later_ms) in zip(before.alone, after.alone, strict=True):
        print(f"  alone: {tokens} tokens: {ttft_ms:.2f} ms to the first one before, {later_ms:.2f} after")
    print(f"  server: {before.server_ms:.2f} ms of CPU a request before, {after.server_ms:.2f} after")
    print(f"  the line is off by {off:.1%} at the mean")


def one_engine(plan: Plan, *, has_router: bool) -> Plan:
    """One replica with the KV cache that the engine is given here, and its router where there is one."""
    (workload,) = plan.workloads
    memory = workload.memory.model_copy(update={"kv_gib": float(KV_CACHE_GIB), "headroom_gib": 0.0})
    replicas = workload.replicas.model_copy(update={"min": 1, "max": 1})
    changed = workload.model_copy(update={"memory": memory, "replicas": replicas})
    return plan.model_copy(update={"workloads": (changed,), "router": plan.router if has_router else None})


if __name__ == "__main__":
    main(sys.argv[1:])
