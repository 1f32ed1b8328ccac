"""A diff leaves nothing out: what it does not compare is named, with its reason."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentgpu_iac import plan as p
from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.planner import NoPlan
from agentgpu_iac.rendering.helm_values import helm_values
from agentgpu_iac.rendering.render import render
from agentgpu_iac.review.comparing import KEYS, NOT_COMPARED
from agentgpu_iac.review.diff import PlanDiff, diff
from agentgpu_iac.spec.document import Document, camel
from tests.planning.scenes import plan as planned
from tests.planning.stacks import rules, stacks
from tests.plans import make_machines_plan, make_plan, make_routed_plan, make_watched_plan
from tests.thoroughness import examples

Steps = tuple[str, ...]


def annotation(document: type[Document], name: str) -> Any:
    """The type of a field, without what pydantic adds to it."""
    return document.model_fields[name].annotation


def choices(kind: Any) -> tuple[Any, ...]:
    """What a field may hold: the parts of a union, None left out."""
    if get_origin(kind) in (Union, types.UnionType):
        return tuple(one for one in get_args(kind) if one is not type(None))
    return (kind,)


def sample(kind: Any, *, other: bool = False) -> Any:
    """A value of a type, and another one."""
    nullable, kind = type(None) in get_args(kind), choices(kind)[0]
    origin = get_origin(kind)
    if other and nullable and origin is Literal and len(get_args(kind)) == 1:
        return None
    if origin is typing.Annotated:
        return sample(get_args(kind)[0], other=other)
    if origin is Literal:
        return get_args(kind)[-1 if other else 0]
    if origin is tuple:
        return (sample(get_args(kind)[0], other=other),)
    if origin is dict:
        return {"release": "b" if other else "a"}
    if isinstance(kind, type) and issubclass(kind, Document):
        return full(kind)
    return {str: ("a", "b"), int: (1, 2), float: (1.0, 2.0), bool: (False, True), Decimal: (Decimal(1), Decimal(2))}[
        kind
    ][other]


def full(document: type[Document]) -> Any:
    """A document with every optional part, and one item in every list."""
    return document(**{name: sample(annotation(document, name)) for name in document.model_fields})


def part_of(kind: Any) -> tuple[type[Document] | None, bool]:
    """The document that a field holds, and whether in a list."""
    kind = choices(kind)[0]
    if get_origin(kind) is tuple:
        return part_of(get_args(kind)[0])[0], True
    return (kind if isinstance(kind, type) and issubclass(kind, Document) else None), False


def leaves(document: type[Document], steps: Steps = ()) -> Iterator[Steps]:
    for name in document.model_fields:
        part, _ = part_of(annotation(document, name))
        if part is None:
            yield (*steps, name)
        else:
            yield from leaves(part, (*steps, name))


def changed(document: Any, steps: Steps) -> Any:
    """The document with another value in one leaf."""
    name, *rest = steps
    value = getattr(document, name)
    if not rest:
        new = sample(annotation(type(document), name), other=True)
    elif isinstance(value, tuple):
        new = (changed(value[0], tuple(rest)),)
    else:
        new = changed(value, tuple(rest))
    return document.model_copy(update={name: new})


def path(steps: Steps) -> str:
    return ".".join(map(camel, steps))


def is_excepted(steps: Steps) -> bool:
    return any(path(steps[: length + 1]) in NOT_COMPARED for length in range(len(steps)))


def says_nothing(found: PlanDiff) -> bool:
    return found.is_empty and not found.new_warnings and not found.gone_warnings


FULL: Plan = full(Plan)
LEAVES = [*leaves(Plan)]
MONEY_AHEAD = {"cost.baselineUsdPerMonth", "cost.peakUsdPerHour", "cost.expectedUsdPerMonth"}


@pytest.mark.broad(every=7)
@pytest.mark.parametrize("steps", [one for one in LEAVES if not is_excepted(one)], ids=path)
def test_every_field_of_a_plan_is_compared(steps: Steps) -> None:
    after = changed(FULL, steps)
    assert after != FULL
    assert not diff(FULL, after).is_empty


def test_the_exceptions_are_fields_of_the_plan_and_nothing_that_is_bought_or_made() -> None:
    places = {path(steps[: length + 1]) for steps in LEAVES for length in range(len(steps))}
    assert set(NOT_COMPARED) <= places
    assert all(NOT_COMPARED.values())
    for steps in LEAVES:
        if path(steps) in MONEY_AHEAD or path(steps).startswith("warnings."):
            assert not says_nothing(diff(FULL, changed(FULL, steps))), path(steps)


def test_every_item_of_a_list_has_what_names_it() -> None:
    def items(document: type[Document]) -> Iterator[type[Document]]:
        for name in document.model_fields:
            part, many = part_of(annotation(document, name))
            if part is not None:
                yield from (part,) if many else ()
                yield from items(part)

    excepted = {p.LedgerEntry, p.Alternative, p.Rejection, p.StorageChoice, p.Warning}
    assert set(items(Plan)) - excepted == set(KEYS)


@pytest.mark.parametrize("field", ["caller_ranges", "admin_ranges"])
def test_who_may_reach_a_machine_is_compared(field: str) -> None:
    before = make_machines_plan(target="spheron")
    hosts = (before.hosts[0].model_copy(update={field: ("0.0.0.0/0",)}), *before.hosts[1:])
    found = diff(before, before.model_copy(update={"hosts": hosts}))
    assert [(one.where, one.field, one.after) for one in found.changes] == [
        ("machines of demo-baseline", camel(field), "0.0.0.0/0")
    ]


def test_the_router_its_session_header_and_its_routes_are_compared() -> None:
    before = make_routed_plan()
    assert before.router is not None
    routes = (before.router.routes[1], before.router.routes[0].model_copy(update={"max_tries": 3}))
    after = make_routed_plan(image="nginx@sha256:1", session_header="x-chat", routes=routes)
    assert {(one.where, one.field, one.before, one.after) for one in diff(before, after).changes} == {
        ("stack", "router.image", before.router.image, "nginx@sha256:1"),
        ("stack", "router.sessionHeader", "x-session-id", "x-chat"),
        ("stack", "router.routes[support].maxTries", "2", "3"),
        ("stack", "router.routes", "support, batch", "batch, support"),
    }


def test_alerts_and_the_dashboard_are_compared() -> None:
    found = diff(make_watched_plan(), make_watched_plan(alerts=False, dashboard=False))
    fields = {(one.field, one.before, one.after) for one in found.changes}
    assert ("watching.dashboard", "true", "false") in fields
    assert ("watching.alerts[AgentKvCacheFull support]", "present", None) in fields


def test_what_only_looks_alike_is_told_apart() -> None:
    engine = make_plan().workloads[0].engine
    plans = []
    for words in (("--a b",), ("--a", "b")):
        workload = make_plan().workloads[0].model_copy(update={"engine": engine.model_copy(update={"args": words})})
        plans.append(make_plan(workloads=(workload,)))
    (change,) = diff(*plans).changes
    assert (change.before, change.after) == ('["--a b"]', '["--a", "b"]')


def test_items_of_one_name_are_numbered() -> None:
    plan = make_routed_plan()
    assert plan.router is not None
    twice = (plan.router.routes[0], plan.router.routes[0])
    (change,) = diff(make_routed_plan(routes=twice[:1]), make_routed_plan(routes=twice)).changes
    assert (change.field, change.after) == ("router.routes[support #2]", "present")


surroundings = st.fixed_dictionaries(
    {"target": st.sampled_from(["eks", "kubernetes", "compose"])},
    optional={
        "observability": st.fixed_dictionaries(
            {"alerts": st.booleans(), "dashboard": st.booleans(), "labels": st.sampled_from([{}, {"release": "a"}])}
        ),
        "security": st.fixed_dictionaries(
            {"networkPolicies": st.booleans(), "resourceQuota": st.booleans()},
            optional={"apiKeySecret": st.sampled_from(["keys", "others"])},
        ),
        "hosts": st.fixed_dictionaries(
            {name: st.sampled_from([[], ["10.0.0.0/24"], ["0.0.0.0/0"]]) for name in ("callerRanges", "adminRanges")}
        ),
        "clusterObjects": st.fixed_dictionaries({"priorityClasses": st.booleans(), "disruptionBudgets": st.booleans()}),
        "pins": st.fixed_dictionaries({"kubernetesVersion": st.sampled_from(["1.34", "1.35"])}),
    },
)
"""What stands around the agents: each part of it is in the files and in no workload."""


def made(stack: list[dict[str, Any]], spec: dict[str, Any]) -> Plan | None:
    try:
        return planned(*stack, **spec)
    except (NoPlan, BadInput):  # nothing serves, or a part means nothing for the target
        return None


def tree(plan: Plan) -> dict[str, bytes]:
    return {file.path: file.content for file in (*render(plan), *helm_values(plan))}


def compared(plan: Plan) -> dict[str, Any]:
    """What a plan decides: its JSON without the exceptions."""
    document = plan.model_dump(mode="json", by_alias=True)
    for place in NOT_COMPARED:
        *above, last = place.split(".")
        parts = [document]
        for step in above:
            below = [part[step] for part in parts]
            parts = [one for part in below for one in (part if isinstance(part, list) else [part])]
        if place not in MONEY_AHEAD:
            for part in parts:
                del part[last]
    return document


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(25))
@given(stacks(most=2), rules, surroundings, stacks(most=2), surroundings, st.booleans())
def test_two_stacks_whose_files_or_plans_differ_have_a_difference(
    stack, spec, around, other, other_around, same
) -> None:
    before = made(stack, {**spec, **around})
    after = made(stack if same else other, {**spec, **other_around})
    assume(before is not None and after is not None)
    differ = tree(before) != tree(after) or compared(before) != compared(after)
    assert differ is not diff(before, after).is_empty


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (
            ("serve", "--port", "8000", "--seqs", "5", "--lora", "a=1", "b=2", "--eager"),
            ("serve", "--port", "8000", "--seqs", "6", "--lora", "a=1", "--prefix"),
            [
                ("engine.args[--seqs]", "5", "6"),
                ("engine.args[--lora]", "a=1 b=2", "a=1"),
                ("engine.args[--eager]", "present", None),
                ("engine.args[--prefix]", None, "present"),
            ],
        ),
        (("--a", "1", "--b", "2"), ("--b", "2", "--a", "1"), [("engine.args", "--a 1 --b 2", "--b 2 --a 1")]),
        (("--a", "1", "--a", "2"), ("--a", "1"), [("engine.args", "--a 1 --a 2", "--a 1")]),
        (("--a", "1 2"), ("--a", "1", "2"), [("engine.args", '["--a", "1 2"]', '["--a", "1", "2"]')]),
    ],
    ids=["options", "order", "twice", "words"],
)
def test_a_command_line_is_told_option_by_option(
    before: tuple[str, ...], after: tuple[str, ...], told: list[tuple[str, str | None, str | None]]
) -> None:
    plan = make_plan()
    (first, *rest) = plan.workloads
    sides = [
        plan.model_copy(
            update={
                "workloads": (
                    first.model_copy(update={"engine": first.engine.model_copy(update={"args": args})}),
                    *rest,
                )
            }
        )
        for args in (before, after)
    ]
    assert [(each.field, each.before, each.after) for each in diff(*sides).changes] == told
