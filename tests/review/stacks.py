"""Agent stacks to explain, show and compare: the examples of the repository, and small ones written here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.plan import LedgerEntry, Plan
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.review.explain import explain
from agentgpu_iac.spec.loader import LoadedStack, load, load_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A stack and everything that was made from it."""

    loaded: LoadedStack
    catalog: Catalog
    plan: Plan

    def steps(self, agent: str | None = None) -> tuple[LedgerEntry, ...]:
        """What ``explain`` says."""
        return explain(self.plan, self.loaded.source, agent)


@cache
def example(path: Path) -> Planned:
    """One of the examples, planned once."""
    return _planned(load(path))


@cache
def apart(path: Path) -> Planned:
    """One of the examples with a deployment for each agent."""
    return _planned(
        load_text(path.read_text().replace("      model:", "      isolation: dedicated\n      model:"), path.name)
    )


def with_other_words(path: Path, changes: tuple[tuple[str, str], ...]) -> str:
    """The text of one of the examples with other words in the place of some; each of these is there."""
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


@cache
def changed_text(path: Path, changes: tuple[tuple[str, str], ...]) -> Planned:
    """That text, planned once."""
    return _planned(load_text(with_other_words(path, changes), path.name))


@cache
def stack(*lines: str, name: str = "demo") -> Planned:
    """A stack of one agent with these further lines about it."""
    text = f"apiVersion: agentgpu.dev/v1alpha1\nkind: AgentStack\nmetadata: {{name: {name}}}\nspec:\n"
    text += "  modelCache: {tokenSecret: hf-token}\n  agents:\n"
    text += "    - name: support\n" + "".join(f"      {line}\n" for line in lines)
    return _planned(load_text(text, "stack.yaml"))


def _planned(loaded: LoadedStack) -> Planned:
    catalog = load_catalog()
    return Planned(loaded=loaded, catalog=catalog, plan=make_plan(loaded, catalog))
