"""From what was counted to the answer: rounded, in the order of the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from agentgpu_iac.plan import Plan
from agentgpu_iac.simulation.deployment import Deployment
from agentgpu_iac.simulation.measures import AgentMeasures
from agentgpu_iac.simulation.outcome import (
    AgentOutcome,
    DeploymentOutcome,
    Moment,
    Percentiles,
    SimulationAnswer,
    TurnOutcome,
)
from agentgpu_iac.simulation.sessions import CLASSES
from agentgpu_iac.simulation.sketch import Sketch, merged
from agentgpu_iac.units import rounded

_CENT = Decimal("0.01")


def report(
    plan: Plan,
    traffic: str,
    hours: float,
    warm_s: float,
    seed: int,
    *,
    deployments: Mapping[str, Deployment],
    measures: Mapping[str, AgentMeasures],
    warnings: Sequence[str],
) -> SimulationAnswer:
    """The answer."""
    agents = tuple(
        _agent(each, deployments[each.agent.deployment].baseline.latency.percentile) for each in measures.values()
    )
    return SimulationAnswer(
        stack=plan.stack,
        traffic=traffic,
        hours=rounded(hours),
        warm_up_s=rounded(warm_s, 1),
        seed=seed,
        holds=all(_holds(each) for each in agents),
        agents=agents,
        deployments=tuple(_deployment(each, hours) for each in deployments.values()),
        warnings=tuple(warnings),
    )


def _holds(agent: AgentOutcome) -> bool:
    if agent.lost:
        return False
    inside = agent.inside_ttft_ratio
    if inside is not None and inside * 100 < agent.percentile:
        return False
    return not (agent.inside_tpot_ratio is not None and agent.inside_tpot_ratio * 100 < agent.percentile)


def _agent(counts: AgentMeasures, percentile: float) -> AgentOutcome:
    agent = counts.agent
    every = {figure: merged(counts.sketches[kind, figure] for kind in CLASSES) for figure in ("ttft", "tpot", "e2e")}
    turns = [_turn("all", every)]
    for kind in CLASSES:
        of_kind = {figure: counts.sketches[kind, figure] for figure in ("ttft", "tpot", "e2e")}
        if of_kind["ttft"].count:
            turns.append(_turn(kind, of_kind))
    return AgentOutcome(
        agent=agent.name,
        deployment=agent.deployment,
        requests=counts.requests,
        answered=counts.answered,
        refused=counts.refused,
        refused_in_stream=counts.refused_in_stream,
        lost=counts.lost,
        retried=counts.retried,
        budget_ttft_ms=agent.budget_ttft_ms,
        budget_tpot_ms=agent.budget_tpot_ms,
        percentile=percentile,
        inside_ttft_ratio=None if agent.budget_ttft_ms is None else _ratio(counts.inside_ttft, counts.requests),
        inside_tpot_ratio=None if agent.budget_tpot_ms is None else _ratio(counts.inside_tpot, counts.answered),
        planned_ttft_ms=agent.ttft_at_percentile_ms,
        planned_tpot_ms=agent.tpot_at_percentile_ms,
        ttft_at_percentile_ms=_rounded(every["ttft"].at(percentile)),
        tpot_at_percentile_ms=_rounded(every["tpot"].at(percentile)),
        turns=tuple(turns),
    )


def _turn(kind: str, sketches: Mapping[str, Sketch]) -> TurnOutcome:
    return TurnOutcome(
        turn=kind,
        requests=sketches["ttft"].count,
        ttft_ms=_percentiles(sketches["ttft"]),
        tpot_ms=_percentiles(sketches["tpot"]),
        e2e_ms=_percentiles(sketches["e2e"]),
    )


def _percentiles(sketch: Sketch) -> Percentiles:
    return Percentiles(
        mean=_rounded(sketch.mean),
        p50=_rounded(sketch.at(50)),
        p90=_rounded(sketch.at(90)),
        p95=_rounded(sketch.at(95)),
        p99=_rounded(sketch.at(99)),
    )


def _deployment(found: Deployment, hours: float) -> DeploymentOutcome:
    moments = []
    for looks, end, sessions, running, waiting, kv, warm, burst, starting in found.series.parts:
        moments.append(
            Moment(
                at_s=rounded(end, 1),
                sessions=rounded(sessions / looks, 2),
                running=rounded(running / looks, 2),
                waiting=rounded(waiting / looks, 2),
                kv_ratio=rounded(kv / looks),
                warm_replicas=int(warm),
                burst_replicas=int(burst),
                starting_replicas=int(starting),
            )
        )
    return DeploymentOutcome(
        deployment=found.name,
        preempted=found.preempted,
        peak_kv_ratio=rounded(found.peak_cache_ratio),
        peak_waiting=found.peak_waiting,
        cached_ratio=_ratio(found.cached_tokens, found.prompt_tokens) if found.prompt_tokens else None,
        most_burst_replicas=found.most_burst,
        burst_starts=found.burst_starts,
        reclaimed=found.reclaimed,
        failed=found.failed,
        refused_machines=found.refused_machines,
        rolled=found.rolled,
        gpu_hours=rounded(found.gpu_hours(), 3),
        usd=found.usd().quantize(_CENT),
        static_peak_usd=found.static_usd(hours).quantize(_CENT),
        moments=tuple(moments),
    )


def _ratio(part: int, whole: int) -> float:
    return rounded(part / whole, 5) if whole else 1.0


def _rounded(value: float | None) -> float | None:
    return None if value is None else rounded(value, 2)
