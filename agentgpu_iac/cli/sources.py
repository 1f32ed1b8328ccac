"""What a command was given: an agent stack, which is planned, or a plan that was saved. Imported when a command runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.cli.waiting import waiting
from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.inputs import read_file, source_of
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.reading import MAX_PLAN_BYTES, plan_in
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.planning.references import unknown_models
from agentgpu_iac.spec.loader import LoadedStack, load, load_bytes, load_text
from agentgpu_iac.spec.yaml_tree import Tree
from agentgpu_iac.units import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A plan, and what it was made from where that happened just now."""

    plan: Plan
    made_from: tuple[LoadedStack, Catalog] | None
    """None: the plan was saved, and neither its spec nor its catalog is at hand."""


def load_both(
    spec: Path, overlay: Path | None, today: datetime | None = None, *, text: str | None = None
) -> tuple[LoadedStack, Catalog]:
    """An agent stack, and the catalog that it is planned with, asked on a day. ``text``: that of the file, if it was read."""
    catalog = load_catalog(overlay, base_directory=spec.parent, asked_on=_day(today))

    def also(tree: Tree, name: str) -> list[Fault]:
        return unknown_models(tree, name, catalog)

    loaded = load(spec, also=also) if text is None else load_text(text, source_of(spec), also=also)
    return loaded, catalog


def source(
    path: Path, overlay: Path | None, *, today: datetime | None = None, overlay_is_for_others: bool = False
) -> Source:
    """The plan of an agent stack, or a saved plan.

    ``today``: the day on which somebody asks, where one is given.
    ``overlay_is_for_others``: another file of the same command may be the one whose catalog it is.
    """
    raw = read_file(path, MAX_PLAN_BYTES)  # once: the path may be a pipe
    saved = plan_in(raw, source_of(path))
    if saved is not None:
        if overlay is not None and not overlay_is_for_others:
            message = f"changes nothing: {path} is a plan, which is made already"
            raise BadInput.one("--catalog", message, hint="leave it out, or name the agent stack")
        if today is not None:
            message = f"changes nothing: {path} is a plan, which is made already"
            raise BadInput.one("--today", message, hint="leave it out, or name the agent stack")
        return Source(plan=saved, made_from=None)
    catalog = load_catalog(overlay, base_directory=path.parent, asked_on=_day(today))
    loaded = load_bytes(raw, source_of(path), also=lambda tree, name: unknown_models(tree, name, catalog))
    return Source(plan=planned(loaded, catalog), made_from=(loaded, catalog))


def planned(loaded: LoadedStack, catalog: Catalog) -> Plan:
    """The plan of an agent stack; whoever waits for it sees how far it is."""
    with waiting("planning") as tell:
        return make_plan(
            loaded, catalog, told=lambda done, of: tell(f"({done:,} of {counted(of, 'deployment')} sized) ...")
        )


def _day(today: datetime | None) -> str:
    return "" if today is None else today.date().isoformat()
