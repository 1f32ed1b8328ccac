"""A simulation as people read it: what users saw beside what the plan says, what became of requests, and the fleet over time."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.review.blocks import Block, Heading, Listing, Paragraph, Table, Tone, tone_of
from agentgpu_iac.simulation.outcome import AgentOutcome, DeploymentOutcome, Moment, Percentiles, SimulationAnswer
from agentgpu_iac.units import counted

_MOMENTS = 12
"""Lines of the table over time."""


def simulation_view(found: SimulationAnswer) -> tuple[Block, ...]:
    """The answer in blocks."""
    return tuple(_blocks(found))


def _blocks(found: SimulationAnswer) -> Iterator[Block]:
    yield Paragraph(text=simulation_headline(found), tone="good" if found.holds else "over")
    yield Heading(text="Promised and simulated")
    yield _promises(found.agents)
    for agent in found.agents:
        if agent.refused_in_stream:
            yield Paragraph(text=_in_stream(agent))
    yield Heading(text="What users saw, in ms")
    yield Table(
        columns=("agent", "turn", "requests", "figure", "p50", "p90", "p95", "p99"),
        rows=tuple(
            (agent.agent, turn.turn, f"{turn.requests:,}", name, *_cells(figures))
            for agent in found.agents
            for turn in agent.turns
            for name, figures in (("TTFT", turn.ttft_ms), ("TPOT", turn.tpot_ms), ("answer", turn.e2e_ms))
            if turn.turn == "all" or name == "TTFT"
        ),
        right=frozenset({2, 4, 5, 6, 7}),
    )
    yield Heading(text="What it took")
    yield Table(
        columns=(
            "deployment",
            "GPU hours",
            "USD",
            "all of the peak, always",
            "burst",
            "KV cache",
            "queue",
            "preempted",
        ),
        rows=tuple(_taken(each) for each in found.deployments),
        right=frozenset(range(1, 8)),
        drop=(7, 6),
    )
    for each in found.deployments:
        yield Heading(text=f"{each.deployment} over time")
        yield _over_time(each)
    if found.warnings:
        yield Heading(text="Not simulated")
        yield Listing(items=found.warnings)


def simulation_headline(found: SimulationAnswer) -> str:
    """Whether it holds, and what was sent."""
    verdict = "holds every budget" if found.holds else "does not hold every budget"
    requests = sum(agent.requests for agent in found.agents)
    return f"{found.stack} {verdict}: {counted(requests, 'request')} in {found.hours:g} h, {found.traffic}, seed {found.seed}."


def _promises(agents: tuple[AgentOutcome, ...]) -> Table:
    rows: list[tuple[str, ...]] = []
    tones: list[tuple[int, int, Tone]] = []
    for number, each in enumerate(agents):
        rows.append(
            (
                each.agent,
                f"p{each.percentile:g}",
                _against(each.planned_ttft_ms, each.ttft_at_percentile_ms, each.budget_ttft_ms),
                _share(each.inside_ttft_ratio),
                _against(each.planned_tpot_ms, each.tpot_at_percentile_ms, each.budget_tpot_ms),
                _share(each.inside_tpot_ratio),
                f"{each.refused:,}",
                f"{each.retried:,}",
                f"{each.lost:,}",
            )
        )
        for column, ratio in ((3, each.inside_ttft_ratio), (5, each.inside_tpot_ratio)):
            if ratio is not None:
                tones.append((number, column, "over" if ratio * 100 < each.percentile else tone_of(0.0)))
    return Table(
        columns=(
            "agent",
            "at",
            "TTFT planned, simulated, budget",
            "inside",
            "TPOT planned, simulated, budget",
            "inside",
            "refused",
            "retried",
            "lost",
        ),
        rows=tuple(rows),
        right=frozenset({3, 5, 6, 7, 8}),
        tones=tuple(tones),
    )


def _in_stream(agent: AgentOutcome) -> str:
    return (
        f"{agent.agent}: {agent.refused_in_stream:,} were refused in a stream that had begun with 200: no router and no SDK "
        "tries them again. A client that reads the event (code 503) may."
    )


def _against(planned: float | None, found: float | None, budget: float | None) -> str:
    return ", ".join("-" if each is None else f"{each:,.4g}" for each in (planned, found, budget))


def _share(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2%}"


def _cells(figures: Percentiles) -> tuple[str, ...]:
    values = (figures.p50, figures.p90, figures.p95, figures.p99)
    return tuple("-" if each is None else f"{each:,.4g}" for each in values)


def _taken(each: DeploymentOutcome) -> tuple[str, ...]:
    return (
        each.deployment,
        f"{each.gpu_hours:,.2f}",
        f"{each.usd:,.2f}",
        f"{each.static_peak_usd:,.2f}",
        f"{each.most_burst_replicas} at most, {each.burst_starts} started",
        f"{each.peak_kv_ratio:.0%}",
        f"{each.peak_waiting:,}",
        f"{each.preempted:,}",
    )


def _over_time(each: DeploymentOutcome) -> Table:
    return Table(
        columns=("minute", "sessions", "running", "waiting", "KV cache", "warm", "burst", "starting"),
        rows=tuple(
            (
                f"{moment.at_s / 60:,.0f}",
                f"{moment.sessions:,.0f}",
                f"{moment.running:,.1f}",
                f"{moment.waiting:,.1f}",
                f"{moment.kv_ratio:.0%}",
                str(moment.warm_replicas),
                str(moment.burst_replicas),
                str(moment.starting_replicas),
            )
            for moment in _some(each.moments)
        ),
        right=frozenset(range(8)),
    )


def _some(moments: tuple[Moment, ...]) -> tuple[Moment, ...]:
    """Evenly chosen, the last one among them."""
    step = max(1, -(-len(moments) // _MOMENTS))
    return moments[::-1][::step][::-1]
