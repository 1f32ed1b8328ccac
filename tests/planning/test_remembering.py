"""Tests may plan with what earlier ones evaluated: nobody sees a difference, and nobody does who changes how it is evaluated."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings

from agentgpu_iac.planning import planner
from agentgpu_iac.planning.choosing.evaluation import Evaluator
from agentgpu_iac.planning.choosing.remembering import Evaluators
from agentgpu_iac.planning.planner import NoPlan
from tests.planning.scenes import CATALOG, load, make_agent, make_catalog, offerings, plan
from tests.planning.stacks import rules, stacks
from tests.remembering import ROOMS, ROOMS_OF_THE_CORE, TESTS, Remembered, may_remember, plan_with
from tests.thoroughness import examples

LAST = Remembered()
"""Of all examples together, as of all tests."""


@pytest.fixture
def remembering() -> Iterator[None]:
    plan_with(memory=True)
    yield
    plan_with(memory=False)


@pytest.mark.usefixtures("remembering")
@settings(derandomize=True, deadline=None, database=None, max_examples=examples(80))
@given(stacks(), rules)
def test_a_plan_is_the_same_whatever_was_planned_before(stack: list[dict[str, Any]], spec: dict[str, Any]) -> None:
    found = []
    for evaluators in (LAST, Evaluators(), LAST):
        try:
            found.append(plan(*stack, evaluators=evaluators, **spec).model_dump_json())
        except NoPlan as refusal:
            found.append(str(refusal))
    assert found[0] == found[1] == found[2]


def test_the_same_question_is_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    plain = Evaluator.evaluate

    def counted(self: Evaluator, accelerator: Any, most_per_replica: int) -> Any:
        asked.append(accelerator.id)
        return plain(self, accelerator, most_per_replica)

    monkeypatch.setattr(Evaluator, "evaluate", counted)
    known = Remembered()
    for _ in range(2):
        plan(evaluators=known)
    assert len(asked) == len(set(asked)) > 1
    plan(make_agent(ttftMs=400), evaluators=known)
    assert len(asked) == 2 * len(set(asked)), "another demand is another question"


@pytest.mark.usefixtures("remembering")
def test_who_waits_for_a_plan_that_is_known_is_told_the_same_again() -> None:
    heard: list[list[tuple[int, int]]] = [[], []]
    plans = [
        planner.make_plan(load(make_agent("a"), make_agent("b")), CATALOG, told=lambda *step, to=to: to.append(step))
        for to in heard
    ]
    assert plans[0] is plans[1]
    assert heard[0] == heard[1] != []
    assert planner.make_plan(load(make_agent("a"), make_agent("b")), CATALOG, Evaluators()) == plans[0]
    dearer = make_catalog(offerings("l1", "large-80", on_demand="3.00"))
    assert planner.make_plan(load(make_agent("a"), make_agent("b")), dearer) != plans[0]


@pytest.mark.usefixtures("remembering")
def test_a_refusal_is_known_too() -> None:
    said = []
    for _ in range(2):
        with pytest.raises(NoPlan) as refused:
            plan(make_agent(), capacity={"budgetUsdPerMonth": 1.0})
        said.append(str(refused.value))
    assert said[0] == said[1]


def test_who_changes_code_plans_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planner.Evaluators is Evaluators


def test_others_remember_but_in_the_whole_of_laws(request: pytest.FixtureRequest) -> None:
    assert may_remember(request.node)
    before = planner.Evaluators
    plan_with(memory=True)
    assert isinstance(planner.Evaluators(), Remembered)
    plan_with(memory=False)
    assert planner.Evaluators is Evaluators
    planner.Evaluators = before  # type: ignore[misc]


def test_the_rooms_are_there() -> None:
    rooms = {path.name for path in TESTS.iterdir() if (path / "__init__.py").exists()}
    assert rooms > ROOMS | ROOMS_OF_THE_CORE
    assert not ROOMS & ROOMS_OF_THE_CORE
    assert "outcomes" in rooms - ROOMS - ROOMS_OF_THE_CORE, "make mutants changes constants there"


OF_EVALUATION = (
    "agentgpu_iac.sizing",
    "agentgpu_iac.catalog",
    "agentgpu_iac.planning.choosing",
    "agentgpu_iac.planning.demand",
)
"""Rooms of the package whose code an evaluation runs."""


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_no_test_of_these_rooms_changes_what_evaluates(room: str) -> None:
    """Neither a module of it, nor a name in one."""
    found = []
    for path in sorted((TESTS / room).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "setattr(" not in text and "patch" not in text:
            continue
        tree = ast.parse(text)
        names = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(OF_EVALUATION)
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
                "setattr",
                "patch",
                "object",
            ):
                target = ast.unparse(node.args[0]).strip("'") if node.args else ""
                if target in names or target.startswith(OF_EVALUATION):
                    found.append(f"{path.name}:{node.lineno}: {target}")
    assert found == []
