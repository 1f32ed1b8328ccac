"""``levers`` and ``frontier``: what changes of a stack would cost or save, each of them planned."""

from __future__ import annotations

from typing import Annotated

import typer

from agentgpu_iac.cli.app import Format, FormatOption, OverlayOption, SpecArgument, TodayOption
from agentgpu_iac.errors import EXIT_NO


def levers(
    spec: SpecArgument,
    agent: Annotated[
        str | None,
        typer.Option(help="Agent whose own fields are changed; left out, those that cause most of the cost."),
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

    found = ask(*load_both(spec, catalog, today), agent)
    if format is Format.JSON:
        output.write_json(found.model_dump(mode="json", by_alias=True))
    else:
        output.write_blocks(levers_view(found))
    if not found.feasible:
        raise typer.Exit(EXIT_NO)
