"""``init``, ``validate`` and ``schema``: agent stacks before they are planned, and how files are spelt."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentgpu_iac.cli import app, completing
from agentgpu_iac.cli.app import DEFAULT_SPEC, Format, FormatOption, OverlayOption, SpecArgument
from agentgpu_iac.cli.files import write_new, writing
from agentgpu_iac.cli.saying import say, say_sentences, tell
from agentgpu_iac.errors import BadInput
from agentgpu_iac.units import counted

if TYPE_CHECKING:
    from agentgpu_iac.spec.starter import Setup


class Provisioned(StrEnum):
    """Targets of a Pulumi project."""

    EKS = "eks"
    KUBERNETES = "kubernetes"
    SPHERON = "spheron"


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
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="File to write.", metavar="FILE")] = DEFAULT_SPEC,
    name: Annotated[str, typer.Option(help="Name of the stack.")] = "my-agents",
    model: Annotated[
        str, typer.Option(help="Model of the first agent.", autocompletion=completing.models)
    ] = "Qwen/Qwen3-14B",
    compose: Annotated[
        bool, typer.Option("--compose", help="Set up a repository for one machine with Docker, beside FILE.")
    ] = False,
    gitops: Annotated[
        bool, typer.Option("--gitops", help="Set up a repository that Argo CD or Flux follows, beside FILE.")
    ] = False,
    pulumi: Annotated[
        Path | None,
        typer.Option("--pulumi", help="Set up a Pulumi project in a folder, with FILE in it.", metavar="DIR"),
    ] = None,
    target: Annotated[Provisioned, typer.Option(help="With --pulumi: where the agents run.")] = Provisioned.EKS,
    stack: Annotated[str, typer.Option(help="With --pulumi: name of the Pulumi stack.")] = "dev",
) -> None:
    """Write a small agent stack to start from; on a terminal, ask for what the command line does not say.

    A repository has the schema for editors and a workflow beside it, which checks each pull request.
    """
    from agentgpu_iac import __version__
    from agentgpu_iac.catalog.store import load_catalog
    from agentgpu_iac.errors import DISTRIBUTION
    from agentgpu_iac.planning.naming import model_id
    from agentgpu_iac.spec.loader import load_text
    from agentgpu_iac.spec.starter import REGION, RENDERED, beside, starter

    chosen = [word for word, given in (("--compose", compose), ("--gitops", gitops), ("--pulumi", pulumi)) if given]
    unused = [word for word in ("target", "stack") if pulumi is None and _is_said(context, word)]
    if unused:
        raise BadInput.one(f"--{unused[0]}", "is of a Pulumi project", hint="give --pulumi DIR, or leave it out")
    if chosen[1:]:
        raise BadInput.one(chosen[0], f"and {chosen[1]} are two setups", hint="give one of them")
    setup: Setup = "compose" if compose else "gitops" if gitops else "spec"
    path = path if pulumi is None else pulumi / path
    refuse_taken((path,))
    facts = load_catalog(base_directory=path.parent)

    def names_a_stack(word: str) -> None:
        load_text(starter(word, model, "spec"), "the name")

    def names_a_model(word: str) -> None:
        facts.model(word)

    if app.somebody_answers():
        name = _asked(context, "name", "Name of the stack", name, names_a_stack)
        model = _asked(context, "model", "Model of the first agent", model, names_a_model)
        if setup == "spec" and pulumi is None:
            setup = _asked_setup()
    names_a_model(model)
    model = model_id(model, facts)
    if pulumi is None:
        others = beside(setup, f"{DISTRIBUTION}=={__version__}")
    else:
        from agentgpu_iac.spec.pulumi_project import PULUMI_SETUPS, PulumiProject

        setup = PULUMI_SETUPS[target.value]
        others = PulumiProject(
            name=name,
            target=target.value,
            file=path.name,
            is_plan=False,
            project=name,
            stack=stack,
            version=__version__,
            region=REGION,
        ).files()
    text = starter(name, model, setup)
    load_text(text, str(path))
    new_files({path: text, **{path.parent / each: content for each, content in others.items()}}, of=pulumi)
    if pulumi is not None:
        say_sentences(f"Wrote {path} and a Pulumi project around it in {pulumi}. Next: {pulumi / 'README.md'}")
        return
    files = (path, *(path.parent / each for each in others))
    quoted = shlex.quote(str(path))
    rendered = "" if setup == "spec" else f", then agentgpu render {quoted} -o {path.parent / RENDERED[setup]}"
    say_sentences(f"Wrote {', '.join(map(str, files))}. Next: agentgpu plan {quoted}{rendered}")


def refuse_taken(files: Iterable[Path]) -> None:
    """Raise BadInput where one of the files is there already."""
    if taken := next((each for each in files if each.exists()), None):
        raise BadInput.one(str(taken), "the file exists already", hint="name another one")


def new_files(files: Mapping[Path, str], *, of: Path | None = None) -> None:
    """Write files that are not there yet, or none of them. The folder of the first is there, unless it is ``of`` and made too."""
    refuse_taken(files)
    there = None if of is not None else next(iter(files)).parent
    with ExitStack() as undone:
        for path, content in files.items():
            with writing(path):
                if path.parent != there:
                    path.parent.mkdir(parents=True, exist_ok=True)
            write_new(path, content)
            undone.callback(path.unlink, missing_ok=True)
        undone.pop_all()


def _asked(context: typer.Context, parameter: str, question: str, default: str, check: Callable[[str], object]) -> str:
    """What somebody answers at the terminal, unless the command line says it; asked again while ``check`` refuses it."""
    if _is_said(context, parameter):
        return default
    while True:
        answer = str(typer.prompt(question, default=default, err=True)).strip()
        try:
            check(answer)
        except BadInput as refusal:
            fault = refusal.faults[0]
            tell(f"{fault.message}{f' ({fault.hint})' if fault.hint else ''}")
        else:
            return answer


def _is_said(context: typer.Context, parameter: str) -> bool:
    """Whether the command line says it."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name != "DEFAULT"


def _asked_setup() -> Setup:
    """The third question: what is set up."""
    setups: dict[str, Setup] = {"file": "spec", "compose": "compose", "gitops": "gitops"}
    while True:
        word = str(
            typer.prompt("Write one file, or set up a repository (file, compose, gitops)", default="file", err=True)
        )
        if word.strip().casefold() in setups:
            return setups[word.strip().casefold()]
        tell("It is one of file, compose and gitops.")


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
        count = counted(len(models), "agent")
        say_sentences(f"{spec}: {loaded.stack.metadata.name} is a valid agent stack of {count}.")


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
    say(made, nl=False)
