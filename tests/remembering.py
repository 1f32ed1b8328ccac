"""What a process has evaluated is known to its later tests: most plans of tests ask the same of the same cards.

Which candidates serve follows from the demand, the rules and the card alone, and takes most of the time of a plan. So the
tests of some rooms plan with evaluators that remember; all else of each plan is made anew. ``make laws`` evaluates anew
throughout, as does who names evaluators of his own. ``tests/planning/test_remembering.py`` holds that nobody sees a difference.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgpu_iac.catalog.model import Accelerator
from agentgpu_iac.plan import Rejection
from agentgpu_iac.planning import planner
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.evaluation import Evaluator
from agentgpu_iac.planning.choosing.remembering import Evaluators
from agentgpu_iac.planning.choosing.rules import Rules
from agentgpu_iac.planning.demand import Demand

TESTS = Path(__file__).parent
ROOMS = frozenset({"cli", "field", "mission", "operations", "plan", "provisioning", "rendering", "review"})
"""Their tests change no code that evaluates."""
ROOMS_OF_THE_CORE = frozenset({"planning", "simulation"})
"""Theirs may: one that takes ``monkeypatch`` evaluates anew."""
KEPT = 40
"""Demands of one name that are remembered, the last first: laws ask for ever new ones."""

Answer = tuple[Candidate | Rejection, ...]


class _Remembering(Evaluator):
    """Answers the same question of the same card once. A card is the very object: hand-made ones may bear one name."""

    __slots__ = ("_on_one", "_over_nodes")

    def __init__(self, demand: Demand, rules: Rules) -> None:
        super().__init__(demand, rules)
        self._on_one: dict[tuple[int, int], tuple[Accelerator, Answer]] = {}
        self._over_nodes: dict[tuple[int, int, float], tuple[Accelerator, Answer]] = {}

    def evaluate(self, accelerator: Accelerator, most_per_replica: int) -> list[Candidate | Rejection]:
        key = (id(accelerator), most_per_replica)
        if key not in self._on_one:
            self._on_one[key] = accelerator, tuple(super().evaluate(accelerator, most_per_replica))
        return list(self._on_one[key][1])

    def evaluate_over_nodes(
        self, accelerator: Accelerator, accelerators_per_node: int, gbps_between_nodes: float
    ) -> list[Candidate | Rejection]:
        key = (id(accelerator), accelerators_per_node, gbps_between_nodes)
        if key not in self._over_nodes:
            found = super().evaluate_over_nodes(accelerator, accelerators_per_node, gbps_between_nodes)
            self._over_nodes[key] = accelerator, tuple(found)
        return list(self._over_nodes[key][1])


class Remembered(Evaluators):
    """The evaluators of what was asked last, over all catalogs."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, list[tuple[Demand, Rules, _Remembering]]] = {}

    def of(self, demand: Demand, rules: Rules) -> Evaluator:
        last = self._last.setdefault(demand.name, [])
        for its_demand, its_rules, evaluator in last:
            if its_demand == demand and its_rules == rules:
                return evaluator
        made = _Remembering(demand, rules)
        last.insert(0, (demand, rules, made))
        del last[KEPT:]
        return made


_KNOWN = Remembered()


def may_remember(item: pytest.Item) -> bool:
    """Whether a test may plan with what earlier ones evaluated."""
    if not item.path.is_relative_to(TESTS):
        return False
    room = item.path.relative_to(TESTS).parts[0]
    if room in ROOMS:
        return True
    return room in ROOMS_OF_THE_CORE and "monkeypatch" not in getattr(item, "fixturenames", ())


def plan_with(*, memory: bool) -> None:
    """From now on whoever plans without evaluators of his own remembers, or evaluates anew."""
    planner.Evaluators = (lambda: _KNOWN) if memory else Evaluators  # type: ignore[assignment,misc]
