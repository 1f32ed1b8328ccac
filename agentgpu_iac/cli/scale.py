"""``scale``: as many machines beside a cluster as the load wants."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from agentgpu_iac.cli.app import Format, FormatOption, OverlayOption
from agentgpu_iac.cli.saying import say_sentences, tell
from agentgpu_iac.errors import EXIT_NO, EXIT_OUTSIDE, MissingExtra


def _say(text: str) -> None:
    """What Pulumi says, beside the answer."""
    tell(text.rstrip())


def scale(
    plan: Annotated[
        Path | None,
        typer.Option(
            help="Agent stack or saved plan; that of the Pulumi stack (agentgpu:spec, agentgpu:plan) if left out."
        ),
    ] = None,
    catalog: OverlayOption = None,
    stack: Annotated[
        str,
        typer.Option(help="Pulumi stack of the machines alone (agentgpu:part burst); its name, or org/project/name."),
    ] = "burst",
    project: Annotated[Path, typer.Option(help="Folder of the Pulumi project.")] = Path(),
    prometheus: Annotated[
        str | None, typer.Option(help="Address of Prometheus; the plan's when left out.", metavar="URL")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide, and change nothing.")] = False,
    format: FormatOption = Format.TABLE,
) -> None:
    """Look once at the load, and have Pulumi rent or end machines beside the cluster so that they carry it.

    Exit code 0: as many as are wanted. 1: the seller had not all of them; those that it had serve. 2: bad input.
    3: Prometheus, Pulumi or the seller does not answer; the machines stay as they are.
    """
    from agentgpu_iac.cli import output
    from agentgpu_iac.cli.sources import source

    try:
        from agentgpu_iac.provisioning.burst.follow import follow, scaling_of
        from agentgpu_iac.provisioning.burst.state import BurstStack
        from agentgpu_iac.provisioning.burst.surroundings import surroundings
    except ModuleNotFoundError as error:
        raise MissingExtra("scale", "pulumi", error) from None

    selected = BurstStack(project, stack)
    made = source(plan or selected.source(), catalog or selected.catalog()).plan
    around = surroundings(selected, *scaling_of(made), prometheus=prometheus, environment=os.environ, say=_say)
    found = follow(made, around, dry_run=dry_run)
    if format is Format.JSON:
        output.write_json(
            {
                "pools": [
                    {
                        "nodePool": decision.node_pool,
                        "before": found.before[decision.node_pool],
                        "machines": decision.machines,
                        "why": decision.why,
                    }
                    for decision in found.decisions
                ],
                "changed": found.changed,
                "unknown": list(found.unknown),
                "refused": found.refused,
            }
        )
    else:
        for decision in found.decisions:
            before = found.before[decision.node_pool]
            say_sentences(f"{decision.node_pool}: {before} -> {decision.machines} ({decision.why})")
        for sentence in (*found.unknown, *(() if found.refused is None else (found.refused,))):
            tell(sentence)
    if found.unknown:
        raise typer.Exit(EXIT_OUTSIDE)
    if found.refused is not None:
        raise typer.Exit(EXIT_NO)
