"""Frontiers: what a stack costs over the values of one field, every point of it planned."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, get_args

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput, did_you_mean
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.lever import Frontier, FrontierPoint, Over
from agentgpu_iac.planning.demand import budgets_ms
from agentgpu_iac.planning.levers.asking import Asked, nodes_of
from agentgpu_iac.planning.levers.changes import peak_of, peak_values, place, written
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.yaml_tree import Data, Steps
from agentgpu_iac.units import counted, rounded

MOST_VALUES = 50
_UNITS: Final[Mapping[Over, str]] = {"ttftMs": "ms", "peak": "sessions", "percentile": "%", "coldStartS": "s"}
_PERCENTILES = (50.0, 75.0, 90.0, 95.0, 98.0, 99.0)
_FACTORS: Final[Mapping[Over, tuple[float, ...]]] = {
    "ttftMs": (0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 4),
    "peak": (0.25, 0.5, 0.75, 1, 1.5, 2),
    "coldStartS": (0.1, 0.25, 0.5, 1, 1.5, 2),
}
"""Values that are tried unasked: these times the spec's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """The field whose values are tried."""

    over: Over
    position: int | None
    """Of the agent; None: the stack's."""
    own: float | None
    """What the spec has, or what is planned where it has none; None: neither."""
    positions: tuple[int, ...] = ()
    """Of all agents that have it with that one, since they share an engine."""

    def values(self, spec: StackSpec, value: float) -> dict[Steps, Data]:
        """What a value is written as."""
        if self.position is None:
            return {("spec", "latency", "percentile"): value}
        if self.over == "ttftMs":
            return {place(self.position, "ttftMs"): value}
        if self.over == "coldStartS":
            return {place(at, "overrides", "coldStartS"): value for at in self.positions}
        return peak_values(self.position, spec.agents[self.position], int(value))


def frontier(
    loaded: LoadedStack, catalog: Catalog, over: str, agent: str | None = None, values: Sequence[float] = ()
) -> Frontier:
    """What the stack costs over the values of a field; whatever its budget.

    Args:
        loaded: The stack.
        catalog: What it is planned with.
        over: The field: ``ttftMs``, ``peak``, ``percentile`` or ``coldStartS``.
        agent: Whose field it is; unset where the stack has one agent.
        values: What is tried; empty: around the spec's own.

    Raises:
        BadInput: there is no such field or agent, or a value is none of it.
    """
    known: tuple[Over, ...] = get_args(Over)
    named = next((each for each in known if each == over), None)
    if named is None:
        raise BadInput.one(
            "--over", f"knows no {over!r}", hint=did_you_mean(over, known) or f"one of {', '.join(known)}"
        )
    spec, asked = loaded.stack.spec, Asked(loaded=loaded, catalog=catalog)
    field = _field(asked, named, _position(loaded, named, agent))
    tried = _tried(field, spec, values)
    points = []
    for value in tried:
        made = asked.plan(field.values(spec, value), within_budget=False)
        points.append(_point(value, made, own=value == field.own))
    at = tried[len(tried) // 2] if field.own is None else field.own
    return Frontier(
        stack=loaded.stack.metadata.name,
        over=named,
        agent=None if field.position is None else spec.agents[field.position].name,
        unit=_UNITS[named],
        write=written(field.values(spec, at), spec),
        points=tuple(points),
    )


def _position(loaded: LoadedStack, over: Over, agent: str | None) -> int | None:
    """Of the agent whose field it is."""
    names = [each.name for each in loaded.stack.spec.agents]
    if over == "percentile":
        if agent is not None:
            raise BadInput.one("--agent", "percentile is the whole stack's (latency.percentile)", hint="leave it out")
        return None
    if agent is None:
        if len(names) > 1:
            raise BadInput.one(
                "--agent", f"says whose {over} it is where there are several", hint=f"one of {_few(names)}"
            )
        return 0
    if agent not in names:
        raise BadInput.one("--agent", f"no agent {agent!r} in {loaded.source}", hint=did_you_mean(agent, names))
    return names.index(agent)


def _few(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _field(asked: Asked, over: Over, position: int | None) -> _Field:
    spec = asked.loaded.stack.spec
    if position is None:
        return _Field(over=over, position=None, own=spec.latency.percentile)
    agent = spec.agents[position]
    if agent.requests is not None and over != "coldStartS":
        instead = "e2eMs" if over == "ttftMs" else "traffic.burstFactor"
        raise BadInput.one(
            "--over", f"{agent.name} holds no sessions and has no {over}", hint=f"its field is {instead}"
        )
    if over == "ttftMs":
        return _Field(over=over, position=position, own=budgets_ms(agent)[0])
    if over == "peak":
        return _Field(over=over, position=position, own=float(peak_of(agent)))
    made = asked.plan({}, within_budget=False)
    own = agent.overrides.cold_start_s
    positions: tuple[int, ...] = (position,)
    if isinstance(made, Plan):
        tier = next(each for each in reversed(made.workloads) if agent.name in each.served)
        own = own or tier.cold_start_s.upper.total
        positions = tuple(at for at, each in enumerate(spec.agents) if each.name in tier.served)
    return _Field(over=over, position=position, own=own, positions=positions)


def _tried(field: _Field, spec: StackSpec, values: Iterable[float]) -> tuple[float, ...]:
    """The values, the least first, each once."""
    asked = sorted(set(values))
    if len(asked) > MOST_VALUES:
        raise BadInput.one(
            "--values", f"{counted(len(asked), 'value')} are too many: each takes a plan", hint=f"at most {MOST_VALUES}"
        )
    if asked and field.over == "peak" and any(not value.is_integer() for value in asked):
        raise BadInput.one("--values", "a peak is a whole number of sessions")
    if asked:
        return tuple(asked)
    if field.own is None:
        raise BadInput.one(
            "--values",
            f"the spec has no {field.over} to begin with",
            hint="say which to try, such as --values 200,500,1000",
        )
    if field.over == "percentile":
        return tuple(sorted({*_PERCENTILES, field.own}))
    found = {field.own, *(rounded(field.own * factor, 1) for factor in _FACTORS[field.over])}
    if field.over == "peak" and field.position is not None:
        least = spec.agents[field.position].sessions.concurrent
        found = {field.own, *(float(max(least, math.ceil(value))) for value in found)}
    return tuple(sorted(found))


def _point(value: float, made: Plan | str, *, own: bool) -> FrontierPoint:
    cost = None if isinstance(made, str) else made.cost
    return FrontierPoint(
        value=value,
        own=own,
        planned=cost is not None,
        baseline_usd_per_month=None if cost is None else cost.baseline_usd_per_month,
        usd_per_month=None if cost is None else cost.expected_usd_per_month,
        peak_usd_per_hour=None if cost is None else cost.peak_usd_per_hour,
        nodes="" if isinstance(made, str) else nodes_of(made),
        refusal=made if isinstance(made, str) else "",
    )
