"""``simulate``: the planned fleet under traffic."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from agentgpu_iac.cli import completing
from agentgpu_iac.cli.app import (
    DEFAULT_SPEC,
    OverlayOption,
    SimulationFormat,
    SourceArgument,
    TodayOption,
)
from agentgpu_iac.cli.files import refuse_inputs, write_answer
from agentgpu_iac.cli.proving import check_hours
from agentgpu_iac.cli.saying import say
from agentgpu_iac.cli.waiting import waiting
from agentgpu_iac.errors import EXIT_NO, BadInput, did_you_mean

if TYPE_CHECKING:
    from agentgpu_iac.simulation.outcome import SimulationAnswer

_BAR = "#" * 20
_MOST_PER_S = 1e6


def simulate(
    spec: SourceArgument = DEFAULT_SPEC,
    traffic: Annotated[
        str,
        typer.Option(
            help="bursty, ramp, flash, cron, office-day, or a file: a trace of Azure, BurstGPT, Mooncake or ServeGen."
        ),
    ] = "bursty",
    hours: Annotated[
        float | None, typer.Option(help="Hours that are measured; left out, as many as the traffic has.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all chance: the same seed gives the same bytes.")] = 1,
    agent: Annotated[
        str | None,
        typer.Option(
            help="Agent that a trace's requests are for, where the plan has several.", autocompletion=completing.agents
        ),
    ] = None,
    request_rate: Annotated[
        float | None,
        typer.Option(help="Mean requests a second that a trace is brought to; left out, the agent's at normal load."),
    ] = None,
    reclaims_per_hour: Annotated[
        float, typer.Option(help="How often the machine of each replica on spot is taken back in an hour.")
    ] = 0.0,
    failures_per_hour: Annotated[
        float, typer.Option(help="How often the machine of each replica fails in an hour, with no notice.")
    ] = 0.0,
    refused_capacity: Annotated[
        float, typer.Option(help="Part of the machines asked for that the provider has not; it is asked again.")
    ] = 0.0,
    rollout_at: Annotated[
        float | None, typer.Option(help="Minute at which a new version is rolled out; left out, none is.")
    ] = None,
    client_tries: Annotated[int, typer.Option(help="Times that a client sends a request before it gives up.")] = 3,
    catalog: OverlayOption = None,
    format: Annotated[
        SimulationFormat,
        typer.Option("--format", "-f", help="How to print it; html is one page, which asks for nothing."),
    ] = SimulationFormat.TABLE,
    output_file: Annotated[Path | None, typer.Option("--output", "-o", help="Write it to this file.")] = None,
    today: TodayOption = None,
) -> None:
    """Send traffic to the planned fleet, request by request: what users would see, beside what the plan says.

    Exit code 1 where a budget does not hold at its percentile, or a request is lost.
    """
    from agentgpu_iac.cli.sources import source
    from agentgpu_iac.simulation.mishaps import Mishaps
    from agentgpu_iac.simulation.profiles import Traffic
    from agentgpu_iac.simulation.simulate import MOST_HOURS, Simulation
    from agentgpu_iac.simulation.simulate import simulate as ask
    from agentgpu_iac.simulation.traces import read_trace

    check_hours(hours)
    if request_rate is not None and not (math.isfinite(request_rate) and 0 < request_rate <= _MOST_PER_S):
        raise BadInput.one("--request-rate", f"is no number above 0, {_MOST_PER_S:,.0f} at most")
    mishaps = Mishaps(
        reclaims_per_hour=_between("--reclaims-per-hour", reclaims_per_hour, 0, 1000),
        failures_per_hour=_between("--failures-per-hour", failures_per_hour, 0, 1000),
        refused_ratio=_between("--refused-capacity", refused_capacity, 0, 0.99),
        rollout_at_s=None if rollout_at is None else 60 * _between("--rollout-at", rollout_at, 0, MOST_HOURS * 60),
        client_tries=int(_between("--client-tries", client_tries, 1, 100)),
    )
    scenarios = get_args(Traffic)
    is_file = traffic not in scenarios
    if is_file and not Path(traffic).exists():
        hint = did_you_mean(traffic, scenarios) or f"write {', '.join(scenarios)}, or the path of a trace"
        raise BadInput.one("--traffic", f"{traffic!r} is neither a kind of traffic nor a file", hint=hint)
    if not is_file and (agent is not None or request_rate is not None):
        raise BadInput.one("--agent" if agent is not None else "--request-rate", "is for traces", hint="leave it out")
    if format is SimulationFormat.HTML:
        from agentgpu_iac.review.report.drawing import library

        library()
    refuse_inputs(output_file, spec, catalog, Path(traffic) if is_file else None)
    trace = read_trace(Path(traffic)) if is_file else None
    made = source(spec, catalog, today=today).plan
    asked = Simulation(
        trace=trace,
        trace_agent=agent,
        requests_per_s=request_rate,
        hours=hours,
        seed=seed,
        mishaps=mishaps,
        traffic="bursty" if is_file else traffic,  # type: ignore[arg-type]
    )
    with waiting("simulating") as tell:
        found = ask(made, asked, lambda share: tell(f"{_BAR[: round(share * 20)]:20} {share:.0%}"))
    _print(found, format, output_file)
    if not found.holds:
        raise typer.Exit(EXIT_NO)


def _between(option: str, value: float, least: float, most: float) -> float:
    if not least <= value <= most:
        raise BadInput.one(option, f"is no number from {least:g} to {most:,g}")
    return value


def _print(found: SimulationAnswer, format: SimulationFormat, output_file: Path | None) -> None:
    """On the terminal, or into a file: whole, or not at all."""
    from agentgpu_iac.cli import output
    from agentgpu_iac.review.blocks import plain_text
    from agentgpu_iac.review.simulation_view import simulation_view

    if format is SimulationFormat.HTML:
        from agentgpu_iac.review.report.page import simulation_page

        text = simulation_page(found)
    elif format is SimulationFormat.JSON:
        text = output.json_text(found.model_dump(mode="json", by_alias=True))
    elif output_file is None:
        output.write_blocks(simulation_view(found))
        return
    else:
        text = plain_text(simulation_view(found))
    if output_file is None:
        say(text, nl=False)
        return
    write_answer(output_file, text)
