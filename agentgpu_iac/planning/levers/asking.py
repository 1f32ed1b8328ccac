"""A planner that is asked many times about one stack: with other values at some places, and whatever was evaluated kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput, Infeasible
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.choosing.remembering import Evaluators
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.spec.loader import LoadedStack, changed
from agentgpu_iac.spec.yaml_tree import Data, Steps

BUDGET: Steps = ("spec", "capacity", "budgetUsdPerMonth")


@dataclass(slots=True, kw_only=True)
class Asked:
    """One stack, and the plans that were made of it so far."""

    loaded: LoadedStack
    catalog: Catalog
    evaluators: Evaluators = field(default_factory=Evaluators)
    plans: int = 0
    """How many were made or refused."""

    def plan(self, values: Mapping[Steps, Data], *, within_budget: bool = True) -> Plan | str:
        """The plan with those values, or why there is none; without ``within_budget`` whatever it costs.

        None of the messages names a place in a file: the values stand in none.
        """
        if not within_budget:
            values = {**values, BUDGET: None}
        self.plans += 1
        try:
            loaded = changed(self.loaded, values) if values else self.loaded
            return make_plan(loaded, self.catalog, self.evaluators)
        except BadInput as refusal:
            return "; ".join(f"{fault.path}: {fault.message}" for fault in refusal.faults)
        except Infeasible as refusal:
            return _first_lines(str(refusal))


_MOST_LINES = 2


def _first_lines(message: str) -> str:
    """A refusal as one sentence: who fits nowhere, and the nearest miss."""
    lines = [line.strip() for line in message.splitlines()]
    return " ".join(lines[:_MOST_LINES])


def nodes_of(plan: Plan) -> str:
    """The nodes of a plan in words: how many of which machine, bought how, tier by tier."""
    counts: dict[tuple[str, str, str], int] = {}
    for item in plan.cost.line_items:
        key = (item.tier, item.instance_type, item.capacity_type)
        counts[key] = counts.get(key, 0) + item.nodes
    return ", ".join(
        f"{count} x {machine} {way}{' in the burst' if tier == 'burst' else ''}"
        for (tier, machine, way), count in counts.items()
    )
