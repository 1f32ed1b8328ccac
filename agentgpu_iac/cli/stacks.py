"""``init``, ``validate`` and ``schema``: agent stacks before they are planned, and how files are spelt."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agentgpu_iac.cli.app import DEFAULT_SPEC, Format, FormatOption, OverlayOption, SpecArgument, writing
from agentgpu_iac.errors import BadInput


class SchemaFormat(StrEnum):
    """How the fields of a file are printed."""

    JSON = "json"
    MARKDOWN = "markdown"


class SchemaOf(StrEnum):
    """What has a schema."""

    STACK = "stack"
    PLAN = "plan"
    LEVERS = "levers"
    FRONTIER = "frontier"


def init(
    path: Annotated[Path, typer.Argument(help="File to write.", metavar="FILE")] = Path("agentstack.yaml"),
    name: Annotated[str, typer.Option(help="Name of the stack.")] = "my-agents",
    model: Annotated[str, typer.Option(help="Model of the first agent.")] = "Qwen/Qwen3-14B",
) -> None:
    """Write a small agent stack to start from."""
    from agentgpu_iac.catalog.store import load_catalog
    from agentgpu_iac.spec.loader import load_text
    from agentgpu_iac.spec.starter import starter

    load_catalog(base_directory=path.parent).model(model)
    text = starter(name, model)
    load_text(text, str(path))
    if path.exists():
        raise BadInput.one(str(path), "the file exists already", hint="name another one")
    with writing(path), path.open("x", encoding="utf-8") as file:
        file.write(text)
    typer.echo(f"Wrote {path}. Next: agentgpu plan {shlex.quote(str(path))}")


def validate(
    spec: SpecArgument = DEFAULT_SPEC, catalog: OverlayOption = None, format: FormatOption = Format.TABLE
) -> None:
    """Check an agent stack and report every fault at once."""
    from agentgpu_iac.cli import output
    from agentgpu_iac.cli.sources import load_both
    from agentgpu_iac.planning.references import resolve_models

    try:
        loaded, facts = load_both(spec, catalog)
        models = resolve_models(loaded, facts)
    except BadInput as refusal:
        if format is Format.JSON:
            output.write_json({"valid": False, "faults": [asdict(fault) for fault in refusal.faults]})
        raise
    if format is Format.JSON:
        output.write_json({"valid": True, "stack": loaded.stack.metadata.name, "agents": len(models)})
    else:
        count = len(models)
        typer.echo(
            f"{spec}: {loaded.stack.metadata.name} is a valid agent stack of {count} agent{'s' if count > 1 else ''}."
        )


def schema(
    document: Annotated[
        SchemaOf,
        typer.Argument(
            help="Whose fields: the agent stack's, the plan's, or those of what levers and frontier answer."
        ),
    ] = SchemaOf.STACK,
    format: Annotated[
        SchemaFormat, typer.Option("--format", "-f", help="json: a JSON Schema. markdown: every field as a page.")
    ] = SchemaFormat.JSON,
) -> None:
    """Print the JSON Schema of an agent stack, of a plan or of another answer, or its fields as a page."""
    from agentgpu_iac.plan.reference import answer_reference_text, plan_reference_text
    from agentgpu_iac.plan.schema import answer_schema, plan_schema
    from agentgpu_iac.spec.reference import reference_text
    from agentgpu_iac.spec.schema import json_schema, schema_text

    if document is SchemaOf.STACK:
        made = schema_text(json_schema()) if format is SchemaFormat.JSON else reference_text()
    elif document is SchemaOf.PLAN:
        made = schema_text(plan_schema()) if format is SchemaFormat.JSON else plan_reference_text()
    else:
        name = document.value
        made = schema_text(answer_schema(name)) if format is SchemaFormat.JSON else answer_reference_text(name)
    typer.echo(made, nl=False)
