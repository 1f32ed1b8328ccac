"""``pulumi``: a spec or a saved plan in a Pulumi project of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from agentgpu_iac.cli.app import DEFAULT_SPEC, OverlayOption, SourceArgument
from agentgpu_iac.cli.files import write_whole
from agentgpu_iac.cli.saying import say, say_sentences, tell
from agentgpu_iac.cli.stacks import new_files
from agentgpu_iac.errors import BadInput
from agentgpu_iac.units import counted

_SOURCES = ("agentgpu:spec", "agentgpu:plan", "agentgpu:catalog")
"""Settings that name files, and that the new project names anew."""


def eject(
    spec: SourceArgument = DEFAULT_SPEC,
    directory: Annotated[
        Path, typer.Option("--output-dir", "-o", help="Folder of the project; it is made.", metavar="DIR")
    ] = Path(),
    stack: Annotated[str, typer.Option(help="Name of the Pulumi stack.")] = "dev",
    project: Annotated[
        str | None, typer.Option(help="Name of the Pulumi project; left out, the agent stack's.")
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(help="Configuration of a Pulumi stack that there is already, to go on with.")
    ] = None,
    catalog: OverlayOption = None,
) -> None:
    """Put a spec or a saved plan into a Pulumi project of its own: program, settings, locked requirements, CI workflow.

    A Pulumi stack that the tool's checkout deployed goes on there, with --project agentgpu, --stack and --settings: what it
    made is moved into the new program, and nothing is made anew.
    """
    from agentgpu_iac import __version__
    from agentgpu_iac.catalog.store import load_catalog
    from agentgpu_iac.cli.sources import planned
    from agentgpu_iac.inputs import MOST_TEXT_BYTES, read_file, source_of, text_of
    from agentgpu_iac.plan.reading import MAX_PLAN_BYTES, plan_in
    from agentgpu_iac.spec.loader import load_bytes
    from agentgpu_iac.spec.pulumi_project import PULUMI_SETUPS, PulumiProject

    raw = read_file(spec, MAX_PLAN_BYTES)
    saved = plan_in(raw, source_of(spec))
    is_plan = saved is not None
    if saved is not None:
        plan = saved
    else:
        loaded = load_bytes(raw, source_of(spec))
        plan = planned(loaded, load_catalog(catalog, base_directory=directory))
    if PULUMI_SETUPS.get(plan.target) is None:
        hint = "use the files that agentgpu render writes"
        raise BadInput.one(str(spec), f"there is no Pulumi program for {plan.target!r}", path="spec.target", hint=hint)
    file = directory / (spec.name if spec.name != "-" else "plan.json" if is_plan else DEFAULT_SPEC.name)
    named = {"agentgpu:plan" if is_plan else "agentgpu:spec": file.name}
    rows = None if catalog is None else directory / catalog.name
    if rows is not None:
        named["agentgpu:catalog"] = rows.name
    text = None
    if settings is not None:
        text = _settings(text_of(read_file(settings, MOST_TEXT_BYTES), str(settings)), str(settings), named)
    others = PulumiProject(
        name=plan.stack,
        target=plan.target,
        file=file.name,
        is_plan=is_plan,
        project=project or plan.stack,
        stack=stack,
        version=__version__,
        region=next((pool.region for pool in plan.in_cluster.node_pools), ""),
        settings=text,
    ).files()
    files = {directory / name: content for name, content in others.items()}
    if not _is_there(spec, file):
        files = {file: text_of(raw, str(spec)), **files}
    if catalog is not None and rows is not None and not _is_there(catalog, rows):
        files[rows] = text_of(read_file(catalog, MOST_TEXT_BYTES), str(catalog))
    new_files(files, of=directory)
    say_sentences(f"Wrote a Pulumi project around {file} in {directory}. Next: {directory / 'README.md'}")


def adopt(
    preview: Annotated[
        Path, typer.Argument(help="What pulumi preview --json said, or - for standard input.", metavar="PREVIEW")
    ],
    output_file: Annotated[
        Path, typer.Option("--output-file", "-o", help="File that pulumi import --file reads.", metavar="FILE")
    ] = Path("import.json"),
    ident: Annotated[
        list[str] | None,
        typer.Option("--id", help="Id of something that has another name, as NAME=ID or TYPE::NAME=ID.", metavar="ID"),
    ] = None,
    ask: Annotated[
        bool, typer.Option("--ask/--no-ask", help="Whether the aws command is asked what is there; else listed.")
    ] = True,
) -> None:
    """Find what a Pulumi stack would make and what is there already, and write the file by which pulumi import takes it over.

    For a cluster that was made by hand, or of which the state was lost. What is imported is the stack's own from then on:
    pulumi destroy deletes it. Without it, use cluster: existing.
    """
    from agentgpu_iac.inputs import MOST_TEXT_BYTES, json_of, read_file, source_of
    from agentgpu_iac.operations.aws_command import asking
    from agentgpu_iac.provisioning.aws.adopting import import_file, named_ids, read_preview

    source = source_of(preview)
    wanted = read_preview(json_of(read_file(preview, MOST_TEXT_BYTES), source), source)
    ids = named_ids(wanted, ident or (), "--id")
    open_ones = [thing for thing in wanted.wanted if thing.place not in ids]
    if not ask:
        for thing in open_ones:
            say(f"{thing.place}\n  {thing.look_up or 'hangs on ids that are not known before others are imported'}")
    else:
        look = asking(wanted.settings)
        for thing in open_ones:
            found = thing.ids(look(thing.look_up)) if thing.look_up is not None else ()
            if len(found) == 1:
                ids[thing.place] = found[0]
            elif found:
                tell(f"{thing.place} may be any of {', '.join(found)}: say which with --id '{thing.place}=ID'")
    if not ids:
        tell(f"Nothing of {counted(len(wanted.wanted), 'thing')} is known to be there: nothing to import.")
        return
    write_whole(output_file, json.dumps(import_file(wanted, ids), indent=2) + "\n")
    tell(
        f"Wrote {len(ids)} of {counted(len(wanted.wanted), 'thing')} to {output_file}. Next: pulumi import --file {output_file} "
        "--protect=false --generate-code=false, then pulumi preview, which must replace none of them, and this command once "
        "more: what hangs on their ids shows only then."
    )


def policies(
    directory: Annotated[
        Path, typer.Option("--output-dir", "-o", help="Folder of the pack; it is made.", metavar="DIR")
    ] = Path("policies"),
) -> None:
    """Write our refusals as a policy pack, for platform teams that enforce them on other Pulumi programs too."""
    from agentgpu_iac import __version__
    from agentgpu_iac.policy_pack.folder import pack_files

    new_files({directory / name: content for name, content in pack_files(__version__).items()}, of=directory)
    say_sentences(f"Wrote a policy pack in {directory}. Next: pulumi preview --policy-pack {directory}")


def _is_there(source: Path, target: Path) -> bool:
    """Whether a file stands already where it shall stand."""
    return source.exists() and target.exists() and source.samefile(target)


def _settings(text: str, source: str, named: dict[str, str]) -> str:
    """The configuration of a Pulumi stack, with the files that the project has."""
    from agentgpu_iac.cli.output import yaml_text
    from agentgpu_iac.spec.yaml_tree import compose, data_of

    content = data_of(compose(text, source).root)
    if not isinstance(content, dict) or not isinstance(config := content.get("config") or {}, dict):
        raise BadInput.one(source, "is no configuration of a Pulumi stack", hint="name its Pulumi.STACK.yaml")
    kept = {key: value for key, value in config.items() if key not in _SOURCES}
    return yaml_text({**content, "config": {**kept, **named}})
