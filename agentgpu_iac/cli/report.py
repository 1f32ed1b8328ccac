"""``report``: a plan as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentgpu_iac.cli.app import DEFAULT_SPEC, OverlayOption, SourceArgument, TodayOption
from agentgpu_iac.cli.files import refuse_inputs, write_answer
from agentgpu_iac.cli.saying import say


def report(
    spec: SourceArgument = DEFAULT_SPEC,
    output_file: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the page to this file; left out, it is printed.")
    ] = None,
    catalog: OverlayOption = None,
    today: TodayOption = None,
) -> None:
    """Write a plan as one HTML page that asks for nothing: figures, warnings, assumptions, and every sum behind a click."""
    from agentgpu_iac.cli.sources import source
    from agentgpu_iac.review.report.drawing import library
    from agentgpu_iac.review.report.page import report_page

    refuse_inputs(output_file, spec, catalog)
    library()
    page = report_page(source(spec, catalog, today=today).plan)
    if output_file is None:
        say(page, nl=False)
        return
    write_answer(output_file, page)
