"""What plans do under traffic: each example stack and the mission's two, as planned and as proven; and traces nobody planned for.

    python -m bench.outcomes            every stack of ``stacks`` (about half an hour on one core)
    python -m bench.outcomes NAME ...   those
    python -m bench.outcomes --traces FOLDER   the traces of a folder, on a fleet with a burst tier on spot

Rows are Markdown, as ``docs/simulation.md`` has them.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.planning.proving import Question, proven
from agentgpu_iac.simulation.mishaps import NOTHING, Mishaps
from agentgpu_iac.simulation.profiles import Traffic
from agentgpu_iac.simulation.simulate import Simulation, simulate
from agentgpu_iac.simulation.traces import read_trace
from agentgpu_iac.spec.loader import LoadedStack, load, load_text

STACKS = Path(__file__).resolve().parents[1] / "stacks"
FLASH_HOURS = 0.1
"""A minute of nobody, and five of the whole peak."""
LARGE = {"high-concurrency"}
"""Stacks whose hour is millions of requests: a flash alone is simulated."""

BURSTING = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: traces}
spec:
  target: eks
  agents:
    - name: coder
      model: Qwen/Qwen3-8B
      latencyClass: chat
      ttftMs: 2000
      sessions: {concurrent: 60, peak: 300}
      traffic: {rampS: 900}
      conversation: {turns: 8, inputTokensPerTurn: 1500, outputTokensPerTurn: 60, systemPromptTokens: 500}
"""


def shown(plan: Plan, traffic: Traffic, hours: float | None, seed: int = 1) -> str:
    """Cells of one simulation: the worst agent's figures."""
    found = simulate(plan, Simulation(traffic=traffic, hours=hours, seed=seed))
    cells = []
    for each in found.agents:
        figures, inside = each.turns[0].ttft_ms, 1.0 if each.inside_ttft_ratio is None else each.inside_ttft_ratio
        refused = f", {each.refused:,} of {each.requests:,} refused" if each.refused else ""
        cells.append(
            f"{each.agent}: p95 {figures.p95 or 0:,.0f} ms ({each.planned_ttft_ms or 0:,.0f} planned, budget "
            f"{each.budget_ttft_ms or 0:,.0f}) {'holds' if inside >= 0.95 else 'breaks'}, p99 {figures.p99 or 0:,.0f} "
            f"{'holds' if inside >= 0.99 else 'breaks'}, inside {inside:.3%}{refused}"
        )
    return "; ".join(cells)


def stack(path: Path) -> None:
    """One stack as planned and as proven."""
    loaded, catalog, name = load(path), load_catalog(), path.stem
    plan = make_plan(loaded, catalog)
    if name not in LARGE:
        print(f"| {name} | bursty | {shown(plan, 'bursty', None)} |", flush=True)
    print(f"| {name} | flash | {shown(plan, 'flash', FLASH_HOURS)} |", flush=True)
    for traffic in ("bursty", "flash") if name not in LARGE else ("flash",):
        prove(name, loaded, traffic)


def prove(name: str, loaded: LoadedStack, traffic: Traffic) -> None:
    """What proving changes, and what it costs."""
    began = time.process_time()
    hours = FLASH_HOURS if traffic == "flash" else None
    seeds = (1, 2) if name in LARGE else (1, 2, 3)
    found = proven(loaded, load_catalog(), Question(traffic=traffic, hours=hours, seeds=seeds))
    first = found.proof[0]
    held = ", ".join(
        f"{each.agent} {'holds' if each.holds else 'breaks'} ({each.low_ratio or 0:.2%} of {each.wanted_ratio:.0%})"
        for each in found.proof
        if each.low_ratio is not None
    )
    print(
        f"| {name} | {traffic} proven | {held}; written: {first.written or 'nothing'}; warm part USD "
        f"{first.usd_per_month_before:,.0f} -> {found.cost.baseline_usd_per_month:,.0f} a month, an hour "
        f"{first.usd_per_hour_before:,.2f} -> {first.usd_per_hour:,.2f}; {first.plans} plans, "
        f"{time.process_time() - began:.0f} s |",
        flush=True,
    )


def traces(folder: Path) -> None:
    """Traces that no plan was made from: the share inside, the cost against static peak capacity, what was lost."""
    plan = make_plan(load_text(BURSTING, "traces"), load_catalog())
    for each in plan.workloads:
        print(f"| fleet | {each.tier} | {each.replicas.max} x {each.node_pool} USD {each.replica_usd_per_hour} |")
    for path in (folder / "azure_code_2023.csv", folder / "servegen" / "m-small", folder / "servegen" / "deepseek-r1"):
        trace = read_trace(path)
        for reclaims in (0.0, 2.0):
            mishaps = Mishaps(reclaims_per_hour=reclaims) if reclaims else NOTHING
            hours = min(4.0, trace.span_s / 3600)
            found = simulate(plan, Simulation(trace=trace, hours=hours, mishaps=mishaps))
            (agent,), (taken,) = found.agents, found.deployments
            lost = f"{agent.refused} refused, {agent.lost} lost, {taken.reclaimed} reclaimed"
            cost = f"USD {taken.usd:,.2f} of {taken.static_peak_usd:,.2f} ({taken.usd / taken.static_peak_usd:.0%})"
            print(
                f"| {path.name} | {reclaims:g} reclaims/h | {agent.requests:,} requests, {agent.inside_ttft_ratio or 0:.3%} "
                f"inside the TTFT budget, {lost} | {cost} | at most {taken.most_burst_replicas} burst replicas |",
                flush=True,
            )


if __name__ == "__main__":
    if "--traces" in sys.argv:
        traces(Path(sys.argv[sys.argv.index("--traces") + 1]))
    else:
        every = [STACKS / "customer-service.yaml", *sorted((STACKS / "examples").glob("*.yaml"))]
        for each in every:
            if not sys.argv[1:] or each.stem in sys.argv[1:]:
                stack(each)
