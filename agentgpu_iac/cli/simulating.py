"""``simulate``: the planned fleet under traffic."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, get_args

import typer

from agentgpu_iac.cli import completing
from agentgpu_iac.cli.app import DEFAULT_SPEC, Format, FormatOption, OverlayOption, SourceArgument, TodayOption
from agentgpu_iac.cli.waiting import waiting
from agentgpu_iac.errors import EXIT_NO, BadInput, did_you_mean


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
        float, typer.Option(help="How often the spot machine of each burst replica is taken back in an hour.")
    ] = 0.0,
    catalog: OverlayOption = None,
    format: FormatOption = Format.TABLE,
    today: TodayOption = None,
) -> None:
    """Send traffic to the planned fleet, request by request: what users would see, beside what the plan says.

    Exit code 1 where a budget does not hold at its percentile, or a request is lost.
    """
    from agentgpu_iac.cli import output
    from agentgpu_iac.cli.sources import source
    from agentgpu_iac.review.simulation_view import simulation_view
    from agentgpu_iac.simulation.profiles import Traffic
    from agentgpu_iac.simulation.simulate import MOST_HOURS, Simulation
    from agentgpu_iac.simulation.simulate import simulate as ask
    from agentgpu_iac.simulation.traces import read_trace

    _check("--hours", hours, MOST_HOURS)
    _check("--request-rate", request_rate, 1e6)
    if not 0 <= reclaims_per_hour <= 1000:
        raise BadInput.one("--reclaims-per-hour", "is no number from 0 to 1,000")
    scenarios = get_args(Traffic)
    is_file = traffic not in scenarios
    if is_file and not Path(traffic).exists():
        hint = did_you_mean(traffic, scenarios) or f"write {', '.join(scenarios)}, or the path of a trace"
        raise BadInput.one("--traffic", f"{traffic!r} is neither a kind of traffic nor a file", hint=hint)
    if not is_file and (agent is not None or request_rate is not None):
        raise BadInput.one("--agent" if agent is not None else "--request-rate", "is for traces", hint="leave it out")
    trace = read_trace(Path(traffic)) if is_file else None
    made = source(spec, catalog, today=today).plan
    asked = Simulation(
        trace=trace,
        trace_agent=agent,
        requests_per_s=request_rate,
        hours=hours,
        seed=seed,
        reclaims_per_hour=reclaims_per_hour,
        traffic="bursty" if is_file else traffic,  # type: ignore[arg-type]
    )
    with waiting("simulating"):
        found = ask(made, asked)
    if format is Format.JSON:
        output.write_json(found.model_dump(mode="json", by_alias=True))
    else:
        output.write_blocks(simulation_view(found))
    if not found.holds:
        raise typer.Exit(EXIT_NO)


def _check(option: str, value: float | None, most: float) -> None:
    if value is not None and not (math.isfinite(value) and 0 < value <= most):
        raise BadInput.one(option, f"is no number above 0, {most:,g} at most")
