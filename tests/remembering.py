"""What a process has evaluated or planned is known to its later tests: most plans of tests ask the same of the same cards.

Which candidates serve follows from the demand, the rules and the card alone, and takes most of the time of a plan. So the
tests of some rooms plan with evaluators that remember, and of a spec that was planned just now they get that plan again.
``make laws`` plans anew throughout, as does who names evaluators of his own. ``tests/planning/test_remembering.py`` holds
that nobody sees a difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.catalog.model import Accelerator
from agentgpu_iac.plan import Plan, Rejection
from agentgpu_iac.planning import planner
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.evaluation import Evaluator
from agentgpu_iac.planning.choosing.remembering import Evaluators
from agentgpu_iac.planning.choosing.rules import Rules
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.planner import NoPlan
from agentgpu_iac.planning.trying import Told
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.model import StackSpec

TESTS = Path(__file__).parent
ROOMS = frozenset({"cli", "field", "mission", "operations", "plan", "provisioning", "rendering", "review"})
"""Their tests change no code that evaluates."""
ROOMS_OF_THE_CORE = frozenset({"planning", "simulation"})
"""Theirs may, or look into the planner: one that takes ``monkeypatch`` plans anew."""
KEPT = 40
"""Demands of one name that are remembered, and plans: laws ask for ever new ones."""

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


class Outcomes:
    """The plans and refusals of the specs that were planned last."""

    def __init__(self) -> None:
        self._last: dict[tuple[object, ...], list[tuple[tuple[object, ...], Outcome]]] = {}

    def of(self, loaded: LoadedStack, spec: StackSpec, *rest: Any) -> Plan:
        """As ``planner._make_plan``, whose arguments it takes: whoever waits hears what was told when it was planned."""
        models, thinking, catalog, evaluators, told = rest
        if not isinstance(evaluators, Remembered):
            return PLAN(loaded, spec, models, thinking, catalog, evaluators, told)
        key = (loaded.sha256, spec.model_dump_json())
        asked = (loaded, spec, models, thinking, catalog)
        known = self._last.pop(key, [])
        outcome = next((its for what, its in known if what == asked), None)
        if outcome is None:
            outcome = _planned(asked, evaluators, told)
            known.append((asked, outcome))
        elif told is not None:
            for step in outcome.told:
                told(*step)
        self._last[key] = known
        if len(self._last) > KEPT:
            del self._last[next(iter(self._last))]
        if isinstance(outcome.found, NoPlan):
            raise outcome.found.with_traceback(None)
        return outcome.found


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a spec, and what whoever waited was told."""

    found: Plan | NoPlan
    told: tuple[tuple[int, int], ...]


def _planned(asked: tuple[Any, ...], evaluators: Evaluators, told: Told | None) -> Outcome:
    steps: list[tuple[int, int]] = []

    def tell(done: int, of: int) -> None:
        steps.append((done, of))
        if told is not None:
            told(done, of)

    try:
        found: Plan | NoPlan = PLAN(*asked, evaluators, tell)
    except NoPlan as refusal:
        found = refusal
    return Outcome(found=found, told=tuple(steps))


PLAN = planner._make_plan
_KNOWN = Remembered()
_OUTCOMES = Outcomes()


def may_remember(item: pytest.Item) -> bool:
    """Whether a test may plan with what earlier ones evaluated."""
    if not item.path.is_relative_to(TESTS):
        return False
    room = item.path.relative_to(TESTS).parts[0]
    if room in ROOMS:
        return True
    return room in ROOMS_OF_THE_CORE and "monkeypatch" not in getattr(item, "fixturenames", ())


def plan_with(*, memory: bool) -> None:
    """From now on whoever plans without evaluators of his own remembers, or plans anew."""
    planner.Evaluators = (lambda: _KNOWN) if memory else Evaluators  # type: ignore[assignment,misc]
    planner._make_plan = _OUTCOMES.of if memory else PLAN
