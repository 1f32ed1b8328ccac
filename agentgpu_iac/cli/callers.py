"""``endpoints`` and ``pin``: how programs reach the agents, and exact versions written into a spec."""

from __future__ import annotations

import difflib
import os
from enum import StrEnum
from typing import Annotated

import typer

from agentgpu_iac.cli.app import DEFAULT_SPEC, OverlayOption, SourceArgument, SpecArgument
from agentgpu_iac.cli.files import write_whole
from agentgpu_iac.cli.saying import say, say_sentences, tell
from agentgpu_iac.errors import BadInput
from agentgpu_iac.inputs import STANDARD_INPUT, read_file
from agentgpu_iac.units import counted


class EndpointFormat(StrEnum):
    """How endpoints are printed."""

    ENV = "env"
    JSON = "json"
    LANGGRAPH = "langgraph"


def endpoints(
    spec: SourceArgument = DEFAULT_SPEC,
    catalog: OverlayOption = None,
    format: Annotated[
        EndpointFormat, typer.Option("--format", "-f", help="Variables, JSON, or a Python module for LangGraph.")
    ] = EndpointFormat.JSON,
    address: Annotated[
        str | None, typer.Option(help="Address of the machine or load balancer, where only what runs can tell it.")
    ] = None,
) -> None:
    """Say how programs reach the agents: URL, model name, session header, key by name, context limit."""
    from agentgpu_iac.cli import output
    from agentgpu_iac.cli.sources import source
    from agentgpu_iac.plan.endpoints import ADDRESS, as_json, variables
    from agentgpu_iac.plan.endpoints import endpoints as of_plan
    from agentgpu_iac.rendering.langgraph import module

    plan = source(spec, catalog).plan
    found = of_plan(plan)
    if address is not None:
        found = tuple(
            each.model_copy(update={"base_url": each.base_url.replace(ADDRESS, address), "address_from": ""})
            for each in found
        )
    if format is EndpointFormat.JSON:
        output.write_json({each.agent: as_json(each) for each in found})
    elif format is EndpointFormat.ENV:
        for each in found:
            if each.address_from:
                say(f"# {ADDRESS} of {each.agent}: {each.address_from}; or --address")
            if each.caller_label:
                say(f"# pods that call it carry the label {each.caller_label}")
            for name, value in variables(each):
                say(f"{name}={value}")
    else:
        say(module(plan.stack, found), nl=False)


def pin(
    spec: SpecArgument = DEFAULT_SPEC,
    catalog: OverlayOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the difference and write nothing.")] = False,
    registry: Annotated[
        list[str] | None, typer.Option(help="Ask this mirror of a registry, HOST=URL; may be given several times.")
    ] = None,
    hub: Annotated[str | None, typer.Option(help="Ask this model hub instead of huggingface.co.")] = None,
) -> None:
    """Write exact versions into the spec: digests of images, the nodes' image, commits of models. Needs the network.

    All or nothing. What is pinned already stays; comments and layout stay as they are. Of standard input the pinned text is
    printed.
    """
    from agentgpu_iac.cli.sources import load_both, planned
    from agentgpu_iac.operations.pinning import HUB, Places, hub_token, pinned
    from agentgpu_iac.spec.editing import with_values
    from agentgpu_iac.spec.loader import MAX_BYTES

    text = read_file(spec, MAX_BYTES).decode("utf-8") if spec == STANDARD_INPUT else None
    loaded, facts = load_both(spec, catalog, text=text)
    places = Places(
        hub=hub or os.environ.get("HF_ENDPOINT") or HUB, registries=_mirrors(registry or []), token=hub_token()
    )
    found = pinned(planned(loaded, facts), loaded, places)
    before = read_file(spec, MAX_BYTES).decode("utf-8") if text is None else text
    mark = "\ufeff" if before.startswith("\ufeff") else ""
    after = mark + with_values(before.removeprefix("\ufeff"), loaded, found.values) if found.values else before
    for reason in found.left:
        tell(f"not pinned: {reason}")
    if dry_run:
        lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), str(spec), str(spec))
        say("".join(lines), nl=False)
        return
    if spec == STANDARD_INPUT:
        say(after, nl=False)
        return
    if after != before:
        write_whole(spec, after)
    done = f"{counted(len(found.values), 'version')} pinned" if found.values else "nothing to pin"
    say_sentences(f"{spec}: {done}.")


def _mirrors(words: list[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    wrong = [host for host, _, url in pairs if not host or not url.startswith(("http://", "https://"))]
    if wrong:
        raise BadInput.one("--registry", "is HOST=URL", hint="docker.io=https://mirror.example.com")
    return {host: url for host, _, url in pairs}
