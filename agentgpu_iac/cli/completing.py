"""What a shell offers when Tab is pressed: models and cards of the catalog, agents of the stack that stands before them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from agentgpu_iac.errors import AgentGpuError


def _beginning(incomplete: str, words: Iterable[str]) -> list[str]:
    folded = incomplete.casefold()
    return [word for word in words if word.casefold().startswith(folded)]


def models(incomplete: str) -> list[str]:
    """Models of the packaged catalog."""
    from agentgpu_iac.catalog.store import load_catalog

    return _beginning(incomplete, (row.id for row in load_catalog().models))


def accelerators(incomplete: str) -> list[str]:
    """Cards of the packaged catalog."""
    from agentgpu_iac.catalog.store import load_catalog

    return _beginning(incomplete, (row.id for row in load_catalog().accelerators))


def rows(incomplete: str) -> list[str]:
    """Whatever ``catalog show`` shows."""
    from agentgpu_iac.catalog.store import load_catalog

    catalog = load_catalog()
    machines = dict.fromkeys(offering.instance_type.name for offering in catalog.offerings)
    return [
        *accelerators(incomplete),
        *models(incomplete),
        *_beginning(incomplete, machines),
        *_beginning(incomplete, (row.id for row in catalog.providers)),
    ]


def agents(context: typer.Context, incomplete: str) -> list[str]:
    """Agents of the stack that the command line names; none where it cannot be read."""
    from agentgpu_iac.cli.app import DEFAULT_SPEC
    from agentgpu_iac.inputs import STANDARD_INPUT, read_file, source_of
    from agentgpu_iac.plan.reading import MAX_PLAN_BYTES, plan_in
    from agentgpu_iac.spec.loader import load_bytes

    path = Path(context.params.get("spec") or DEFAULT_SPEC)
    if path == STANDARD_INPUT:
        return []
    try:
        raw = read_file(path, MAX_PLAN_BYTES)
        saved = plan_in(raw, source_of(path))
        if saved is not None:
            return _beginning(incomplete, (agent.name for agent in saved.served_agents))
        return _beginning(incomplete, (agent.name for agent in load_bytes(raw, source_of(path)).stack.spec.agents))
    except AgentGpuError:  # a shell that completes has no place for a message
        return []
