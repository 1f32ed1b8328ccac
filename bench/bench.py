"""Time and peak memory of plan and render for 1 to 100 agents and more, and of the start of the command line.

Run with ``make bench``. Figures are CPU seconds of a fresh process for each size, so that nothing is warm; the growth
exponent is the slope between the two largest sizes on logarithmic scales (1 is linear). A thousand agents are planned where a
hundred were within a minute.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SIZES = (1, 10, 30, 100, 1000)
_WITHIN_S = 60.0
GROWTH = Path(__file__).resolve().parents[1] / "build" / "bench" / "growth.jsonl"
MODELS = (
    "meta-llama/Llama-3.1-8B-Instruct",
    "Qwen/Qwen3-14B",
    "Qwen/Qwen2.5-Coder-32B-Instruct",
    "meta-llama/Llama-3.3-70B-Instruct",
    "Qwen/Qwen3-4B",
    "mistralai/Mistral-7B-Instruct-v0.3",
    "openai/gpt-oss-20b",
    "Qwen/Qwen3-30B-A3B-Instruct-2507",
)


def stack(agents: int) -> str:
    """A stack of different agents over the whole catalog."""
    lines = [
        "apiVersion: agentgpu.dev/v1alpha1",
        "kind: AgentStack",
        "metadata: {name: bench}",
        "spec:",
        "  target: kubernetes",
        "  modelCache: {tokenSecret: hf-token}",
        "  agents:",
    ]
    for number in range(agents):
        background = number % 5 == 4
        lines += [
            f"    - name: agent-{number}",
            f"      model: {MODELS[number % len(MODELS)]}",
            f"      latencyClass: {'background' if background else 'chat'}",
            "      ttftMs: 3000" if not background else "      interruptible: true",
            f"      sessions: {{concurrent: {4 + number % 23}}}",
            f"      conversation: {{turns: {2 + number % 7}, inputTokensPerTurn: {100 + number % 11 * 40}}}",
            f"      traffic: {{conversationsPerDay: {1000 + number % 13 * 500}, burstFactor: {1 + number % 4}}}",
        ]
    return "\n".join(lines) + "\n"


def measure(agents: int) -> dict[str, float]:
    """Plan and render in this process; CPU seconds of each step and the peak resident memory."""
    from agentgpu_iac.catalog.store import load_catalog
    from agentgpu_iac.planning.planner import make_plan
    from agentgpu_iac.rendering.render import render
    from agentgpu_iac.spec.loader import load_text

    text = stack(agents)
    marks = [time.process_time()]
    loaded = load_text(text, "bench.yaml")
    marks.append(time.process_time())
    catalog = load_catalog()
    marks.append(time.process_time())
    plan = make_plan(loaded, catalog)
    marks.append(time.process_time())
    files = render(plan)
    marks.append(time.process_time())
    load_s, catalog_s, plan_s, render_s = (after - before for before, after in itertools.pairwise(marks))
    return {
        "agents": agents,
        "load_s": load_s,
        "catalog_s": catalog_s,
        "plan_s": plan_s,
        "render_s": render_s,
        "total_s": marks[-1] - marks[0],
        "usd": float(plan.cost.expected_usd_per_month),
        "gap": plan.cost.optimality_gap_ratio,
        "load": os.getloadavg()[0],
        "files": len(files),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def cpu_seconds(command: list[str]) -> float:
    """CPU seconds of a command, the best of five."""
    best = math.inf
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


def predictions() -> None:
    """Milliseconds of CPU of one ``predict`` for each way of asking, the best of five."""
    from agentgpu_iac.calculators.calculator import PREDICT
    from agentgpu_iac.catalog.store import load_catalog

    catalog = load_catalog()
    asked = {"model": MODELS[0], "accelerator": "h100-sxm", "input-tokens": 1000, "output-tokens": 500}
    for name, load in (
        ("steady state of 64", {"concurrency": 64}),
        ("closed loop of 16", {"concurrency": 16, "arrivals": "closed", "length-spread": 0.8}),
        ("closed loop of 64", {"concurrency": 64, "arrivals": "closed", "length-spread": 0.8}),
        ("closed loop of 256", {"concurrency": 256, "arrivals": "closed", "length-spread": 0.8}),
        ("Poisson, 400 requests", {"request-rate": 4.0, "arrivals": "poisson"}),
        ("burst of 100", {"concurrency": 100, "arrivals": "burst"}),
    ):
        best = math.inf
        for _ in range(5):
            before = time.process_time()
            PREDICT.answer({**asked, **load}, catalog)
            best = min(best, time.process_time() - before)
        print(f"predict, {name}: {1000 * best:.1f} ms of CPU")


def growth_lines(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """A table with one row for each size, and the growth exponents."""
    lines = [
        "agents   load s  catalog s   plan s  render s  total s    files  peak MiB   gap %     USD a month  load average"
    ]
    lines += [
        f"{row['agents']:6d}  {row['load_s']:7.3f}  {row['catalog_s']:9.3f}  {row['plan_s']:7.3f}  {row['render_s']:8.3f}  "
        f"{row['total_s']:7.3f}  {row['files']:7d}  {row['peak_mib']:8.0f}  {100 * row['gap']:6.3f}  {row['usd']:14,.2f}  "
        f"{row['load']:12.1f}"
        for row in rows
    ]
    for fewer, more in list(itertools.pairwise(rows))[-1:]:
        for step in ("plan_s", "render_s", "total_s"):
            exponent = math.log(more[step] / fewer[step]) / math.log(more["agents"] / fewer["agents"])
            lines.append(
                f"growth exponent of {step[:-2]}, {fewer['agents']:,} to {more['agents']:,} agents: {exponent:.2f}"
            )
    return lines


def growth() -> list[dict[str, float]]:
    """One row for each size, each in a process of its own; written for the page of ``bench/market.py``."""
    rows: list[dict[str, float]] = []
    GROWTH.parent.mkdir(parents=True, exist_ok=True)
    for size in SIZES:
        if size > SIZES[-2] and rows[-1]["total_s"] > _WITHIN_S:
            break
        answer = subprocess.run([sys.executable, __file__, str(size)], check=True, capture_output=True, text=True)
        rows.append(json.loads(answer.stdout))
        print(growth_lines(rows[-1:])[1], flush=True)
        GROWTH.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return rows


def main() -> None:
    """Print one row per size, the growth exponents, the time of predictions, and the start-up time."""
    print("\n".join(growth_lines(growth())))
    predictions()
    command = str(Path(sys.executable).with_name("agentgpu"))
    bare = cpu_seconds([sys.executable, "-c", "pass"])
    print(f"agentgpu --help: {cpu_seconds([command, '--help']):.3f} s of CPU (python -c pass: {bare:.3f} s)")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]))))
    else:
        main()
