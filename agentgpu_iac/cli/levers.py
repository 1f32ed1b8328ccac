"""``levers`` and ``frontier``: what changes of a stack would cost or save, each of them planned."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from agentgpu_iac.cli import completing
from agentgpu_iac.cli.app import DEFAULT_SPEC, Format, FormatOption, OverlayOption, SpecArgument, TodayOption
from agentgpu_iac.cli.files import refuse_inputs, write_answer
from agentgpu_iac.cli.waiting import waiting
from agentgpu_iac.errors import EXIT_NO, BadInput


def levers(
    spec: SpecArgument = DEFAULT_SPEC,
    agent: Annotated[
        str | None,
        typer.Option(
            help="Agent whose own fields are changed; left out, those that cause most of the cost.",
            autocompletion=completing.agents,
        ),
    ] = None,
    catalog: OverlayOption = None,
    format: FormatOption = Format.TABLE,
    today: TodayOption = None,
) -> None:
    """Plan a fixed set of changes: what drives the price, what each would save or cost, what brings it within its budget."""
    from agentgpu_iac.cli import output
    from agentgpu_iac.cli.sources import load_both
    from agentgpu_iac.planning.levers.levers import levers as ask
    from agentgpu_iac.review.levers_view import levers_view

    asked = load_both(spec, catalog, today)
    with waiting("planning each change"):
        found = ask(*asked, agent)
    if format is Format.JSON:
        output.write_json(found.model_dump(mode="json", by_alias=True))
    else:
        output.write_blocks(levers_view(found))
    if not found.feasible:
        raise typer.Exit(EXIT_NO)


def frontier(
    over: Annotated[str, typer.Option(help="Field: ttftMs, peak, percentile or coldStartS.")],
    spec: SpecArgument = DEFAULT_SPEC,
    agent: Annotated[
        str | None,
        typer.Option(help="Agent whose field it is, where the stack has several.", autocompletion=completing.agents),
    ] = None,
    values: Annotated[
        str | None, typer.Option(help="Values to try, with commas between; left out, some around the spec's own.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture to this file, which must end in .svg.")] = None,
    catalog: OverlayOption = None,
    format: FormatOption = Format.TABLE,
    today: TodayOption = None,
) -> None:
    """Plan a stack for each of several values of one field: what a stricter or a looser one costs."""
    from agentgpu_iac.cli import output
    from agentgpu_iac.cli.sources import load_both
    from agentgpu_iac.planning.levers.frontier import frontier as ask
    from agentgpu_iac.review.frontier_plot import frontier_svg
    from agentgpu_iac.review.levers_view import frontier_view

    if plot is not None and plot.suffix.casefold() != ".svg":
        raise BadInput.one("--plot", f"writes SVG alone, and {plot} does not end in .svg")
    refuse_inputs(plot, spec, catalog)
    wanted = _numbers(values)
    asked = load_both(spec, catalog, today)
    with waiting("planning each value"):
        found = ask(*asked, over, agent, wanted)
    if plot is not None:
        write_answer(plot, frontier_svg(found))
    if format is Format.JSON:
        output.write_json(found.model_dump(mode="json", by_alias=True))
    else:
        output.write_blocks(frontier_view(found))
    if not any(point.planned for point in found.points):
        raise typer.Exit(EXIT_NO)


def _numbers(text: str | None) -> tuple[float, ...]:
    """Numbers with commas between."""
    if text is None:
        return ()
    found = []
    for part in text.split(","):
        try:
            found.append(float(part))
        except ValueError:
            raise BadInput.one(
                "--values", f"{part.strip()!r} is no number", hint="such as --values 200,500,1000"
            ) from None
    if any(not math.isfinite(value) or value <= 0 for value in found):
        raise BadInput.one("--values", "holds a number that is not above 0")
    return tuple(found)
