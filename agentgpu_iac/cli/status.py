"""``status``: a cluster beside its plan."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agentgpu_iac.cli.app import DEFAULT_SPEC, OverlayOption, SourceArgument
from agentgpu_iac.errors import EXIT_NO, EXIT_OUTSIDE


class StatusFormat(StrEnum):
    """How a status is printed."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


def status(
    spec: SourceArgument = DEFAULT_SPEC,
    catalog: OverlayOption = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Kubeconfig of the cluster; $KUBECONFIG or ~/.kube/config when left out.")
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="Context of the kubeconfig; its current one when left out.")
    ] = None,
    overlay: Annotated[
        str | None,
        typer.Option(
            help="Overlay that was applied, karpenter or node-groups; karpenter where the stack has it when left out."
        ),
    ] = None,
    format: Annotated[
        StatusFormat, typer.Option("--format", "-f", help="How to print the answer.")
    ] = StatusFormat.TABLE,
    wait: Annotated[
        bool, typer.Option("--wait", help="Show the progress of each workload until all is as planned, then answer.")
    ] = False,
    timeout: Annotated[str, typer.Option(help="How long --wait waits: 90s, 30m, 1h30m.")] = "30m",
) -> None:
    """Compare a cluster with the plan: what is missing, changed, unhealthy or pending, and why. Only reads.

    Exit code 0: in line with the plan. 1: not in line, or still not when --wait ended. 2: bad input.
    3: the cluster does not answer, or does not let us read what is planned.
    """
    from agentgpu_iac.cli import output
    from agentgpu_iac.cli.sources import source
    from agentgpu_iac.clusters.port import connect
    from agentgpu_iac.operations.planned import planned_objects
    from agentgpu_iac.operations.status_view import status_view
    from agentgpu_iac.operations.waiting import duration_s, reader
    from agentgpu_iac.operations.waiting import wait as wait_until_serving
    from agentgpu_iac.rendering.render import render as render_plan

    timeout_s = duration_s(timeout)
    made = source(spec, catalog).plan
    wanted = planned_objects(render_plan(made), overlay)
    read = reader(connect(kubeconfig, context), made, wanted)
    if wait:
        with output.progress() as show:
            found = wait_until_serving(read, show, timeout_s=timeout_s)
    else:
        found = read()
    if format is StatusFormat.JSON:
        output.write_json(found.model_dump(mode="json", by_alias=True))
    elif format is StatusFormat.MARKDOWN:
        output.write_markdown(status_view(found))
    else:
        output.write_blocks(status_view(found))
    if not found.is_complete:
        raise typer.Exit(EXIT_OUTSIDE)
    if not found.in_line:
        raise typer.Exit(EXIT_NO)
