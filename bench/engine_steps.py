"""How long a real engine's steps take, measured by requests alone, and the same as the plan's ``stepTimes``.

A step is a straight line here: launching it, each running request and its context, each prompt token and what it attends to. A
CPU has no graphs and no pieces of them, so a step with prompts is launched as one without. A step of both is the longest wait
of requests that decode while one prompt is read.
"""

from __future__ import annotations

import contextlib
import math
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agentgpu_iac.plan import Plan, StepTimesPlan
from bench.engine_client import Answers, Caller, Client, Turn
from tests.e2e.engine.serving import Engine

DECODED = 24
"""Tokens of each request whose decoding is measured."""
AGAIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the engine."""

    requests: int
    """That get a token."""
    context_tokens: float
    """Their mean."""
    prompt_tokens: int
    """That are read beside."""
    ms: float

    @property
    def terms(self) -> tuple[float, ...]:
        """What each coefficient is multiplied with."""
        prompt = self.prompt_tokens
        return 1.0, self.requests, self.requests * self.context_tokens, prompt, prompt * prompt / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured."""

    steps: tuple[Step, ...]
    alone: tuple[tuple[int, float], ...]
    """(prompt tokens, TTFT in ms of a request that is alone)."""
    server_ms: float
    """CPU time of the server's process for a request of one token."""
    crowding: float
    """Time in which the engine ran or waited for a core, over that in which it ran: what other programs took of it."""


def measured(engine: Engine, seats: int, prompts: Sequence[int], contexts: Sequence[int]) -> Measured:
    """Ask an engine that has nothing else to do."""

    def ask(*callers: tuple[float, int, int]) -> Answers:
        client = Client(f"http://127.0.0.1:{engine.port}", engine.model)
        return client.run(
            [
                Caller(begins_s=begins_s, turns=(Turn(prompt_tokens=prompt, output_tokens=output),))
                for begins_s, prompt, output in callers
            ]
        )

    crowd = Crowd(engine.process.pid)
    ask(*[(0.0, max(prompts), DECODED)] * seats)  # what is made at first use is made
    counts = sorted({1, 2, seats // 2 + 1, seats})
    times: dict[tuple[int, float, int], list[float]] = {}
    for _ in range(AGAIN):
        for context in contexts:
            for many in counts:
                gaps = ask(*[(0.0, context, DECODED)] * many).gaps_ms
                times.setdefault((many, context + DECODED / 2, 0), []).append(statistics.median(gaps))
        for prompt in prompts:
            many = seats - 1
            gaps = ask(*[(0.0, contexts[0], 2 * DECODED)] * many, (0.4, prompt, 1)).gaps_ms
            longest = statistics.median(sorted(gaps)[-many:])
            times.setdefault((many, contexts[0] + DECODED, prompt), []).append(longest)
    steps = tuple(
        Step(requests=many, context_tokens=context, prompt_tokens=prompt, ms=statistics.median(each))
        for (many, context, prompt), each in times.items()
    )
    alone = tuple(
        (prompt, statistics.median(ask((0.0, prompt, 1)).ttft_ms[0] for _ in range(AGAIN))) for prompt in prompts
    )
    before, requests = _cpu_ms(engine.process.pid), 20
    for _ in range(requests):
        ask((0.0, 16, 1))
    server_ms = (_cpu_ms(engine.process.pid) - before) / requests
    return Measured(steps=steps, alone=alone, server_ms=server_ms, crowding=crowd.ratio())


class Crowd:
    """What other programs of this machine take of the cores that an engine wants, from now on."""

    def __init__(self, session: int) -> None:
        self._session = session
        self._before = self._times()

    def ratio(self) -> float:
        """Time in which its threads ran or waited for a core, over that in which they ran."""
        ran, waited = (now - before for now, before in zip(self._times(), self._before, strict=True))
        return 1 + waited / ran

    def _times(self) -> tuple[int, int]:
        ran = waited = 0
        for task in Path("/proc").glob("[0-9]*/task/[0-9]*/schedstat"):
            with contextlib.suppress(OSError):
                process = int(task.parts[2])
                if os.getsid(process) == self._session and process != self._session:
                    each = task.read_text(encoding="ascii").split()
                    ran, waited = ran + int(each[0]), waited + int(each[1])
        return ran, waited


def in_a_crowd(first: Measured, second: Measured, crowding: float) -> Measured:
    """Both, before and after something, as they would have been had other programs taken as much as they did meanwhile."""
    ratios = ((first, crowding / first.crowding), (second, crowding / second.crowding))
    return Measured(
        steps=tuple(
            Step(
                requests=each.requests,
                context_tokens=each.context_tokens,
                prompt_tokens=each.prompt_tokens,
                ms=each.ms * by,
            )
            for found, by in ratios
            for each in found.steps
        ),
        alone=tuple((tokens, each * by) for found, by in ratios for tokens, each in found.alone),
        server_ms=sum(found.server_ms * by for found, by in ratios) / 2,
        crowding=crowding,
    )


def _cpu_ms(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def with_steps(plan: Plan, found: Measured) -> tuple[Plan, float]:
    """The plan with the measured times in the place of its own, and the mean part by which the line misses one of them."""
    workload = plan.workloads[0]
    times = workload.step_times
    assert times is not None
    terms, steps_ms = np.array([each.terms for each in found.steps]), np.array([each.ms for each in found.steps])
    launch_ms, sequence_ms, kv_ms, token_ms, pair_ms = line = _line(terms, steps_ms)
    off = float(np.mean(np.abs(terms @ line / steps_ms - 1)))
    ways = [
        ttft_ms - math.ceil(tokens / times.max_batched_tokens) * launch_ms - tokens * (token_ms + tokens / 2 * pair_ms)
        for tokens, ttft_ms in found.alone
    ]
    nothing = {name: 0.0 for name in type(times).model_fields if "_ms" in name}
    own: dict[str, float] = {
        **nothing,
        "launches_ms": launch_ms,
        "prompt_launch_ms": launch_ms,
        "captured_launch_ms": launch_ms,
        "sequence_ms": sequence_ms,
        "kv_ms_per_token": kv_ms,
        "prompt_ms_per_token": token_ms,
        "own_prompt_ms_per_token": token_ms,
        "attention_ms_per_token_pair": pair_ms,
        "own_attention_ms_per_token_pair": pair_ms,
        "host_ms_per_request": found.server_ms,
        "first_token_ms": max(0.0, statistics.median(ways) - found.server_ms),
        "first_token_steps": 0.0,
        "measured_ttft_ratio": 1.0,
        "measured_tpot_ratio": 1.0,
    }
    fed = StepTimesPlan.model_validate({**times.model_dump(), **own})
    latency = workload.latency.model_copy(update={"network_ms": 0.0})
    changed = workload.model_copy(update={"step_times": fed, "latency": latency})
    return plan.model_copy(update={"workloads": (changed,)}), off


def _line(terms: np.ndarray, values: np.ndarray) -> list[float]:
    """Least squares of relative errors, no coefficient below nothing."""
    kept = list(range(terms.shape[1]))
    while True:
        found, *_ = np.linalg.lstsq(terms[:, kept] / values[:, None], np.ones_like(values), rcond=None)
        if (found >= 0).all():
            whole = dict(zip(kept, map(float, found), strict=True))
            return [whole.get(place, 0.0) for place in range(terms.shape[1])]
        kept.pop(int(np.argmin(found)))
