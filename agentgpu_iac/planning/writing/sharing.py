"""Which agents could have their replicas in common, what was chosen for them, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from agentgpu_iac.plan import SharingPlan
from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.deployments import Deployment, unlike
from agentgpu_iac.planning.settling import Settled

_CENT = Decimal("0.01")


def sharing(
    considered: Sequence[Deployment], settled: Settled, terms: Terms, order: Sequence[str]
) -> tuple[SharingPlan, ...]:
    """One for each set of agents that could share, then for each model whose agents differ in what keeps them apart."""
    alike = (_group(group, considered, settled, terms, order) for group in _groups(considered))
    return (*alike, *_apart(considered[: len(order)], settled, terms))


def _apart(alone: Sequence[Deployment], settled: Settled, terms: Terms) -> Iterator[SharingPlan]:
    positions = {each.demand.name: position for position, each in enumerate(alone)}
    chosen = {
        served.name: member.candidate.demand.name
        for member in settled.placed
        for served in member.candidate.demand.served
    }
    for agents, fields in unlike([each.demand for each in alone]):
        least = [_least(settled.options[positions[agent]], terms) or Decimal(0) for agent in agents]
        yield SharingPlan(
            model=alone[positions[agents[0]]].demand.model.id,
            agents=agents,
            deployments=tuple(dict.fromkeys(chosen[agent] for agent in agents)),
            differ_in=fields,
            together_usd_per_month=None,
            apart_usd_per_month=sum(least, Decimal(0)).quantize(_CENT),
            reason=f"their engines would be started otherwise: they differ in {', '.join(fields)}",
        )


def _groups(considered: Sequence[Deployment]) -> Iterator[tuple[int, ...]]:
    """The agents that could share, once for each set that no other holds."""
    sets = [set(each.agents) for each in considered if len(each.agents) > 1]
    while sets:
        whole = sets.pop(0)
        while joined := [each for each in sets if each & whole]:
            sets = [each for each in sets if not each & whole]
            whole = whole.union(*joined)
        yield tuple(sorted(whole))


def _group(
    group: tuple[int, ...], considered: Sequence[Deployment], settled: Settled, terms: Terms, order: Sequence[str]
) -> SharingPlan:
    together = next((position for position, each in enumerate(considered) if each.agents == group), None)
    shared = None if together is None else _least(settled.options[together], terms)
    shared = None if shared is None else shared.quantize(_CENT)
    apart = sum((_least(settled.options[position], terms) or Decimal(0) for position in group), Decimal(0)).quantize(
        _CENT
    )
    members = set(group)
    chosen = tuple(
        member.candidate.demand.name for member in settled.placed if set(considered[member.position].agents) <= members
    )
    return SharingPlan(
        model=considered[group[0]].demand.model.id,
        agents=tuple(order[position] for position in group),
        deployments=chosen,
        together_usd_per_month=shared,
        apart_usd_per_month=apart,
        reason=_reason(len(chosen), len(group), together is not None, shared, apart),
    )


def _reason(chosen: int, agents: int, may: bool, together: Decimal | None, apart: Decimal) -> str:
    costs = f"on nodes of their own USD {apart:,.2f} a month apart"
    if together is not None:
        costs += f" and {together:,.2f} together"
    if chosen == 1:
        return f"one deployment serves all of them within the strictest budget; {costs}"
    if not may:
        return f"an agent and its fallback, or two adapters of one name, are kept apart; {costs}"
    if together is None:
        return f"nothing on offer serves all of them within the strictest budget; {costs}"
    if chosen == agents and together > apart:
        return f"the strictest budget for all would cost more than apart; {costs}"
    if chosen == agents:
        return f"apart they cost no more, with the nodes that they share with others; {costs}"
    return f"some of them together cost least, with the nodes that they share with others; {costs}"


def _least(options: Sequence[Option], terms: Terms) -> Decimal | None:
    """The least of what there are enough machines for; of all where there are of none."""
    there = [option for option in options if option.are_there(terms)] or options
    return min((option.usd_per_month_alone(terms) for option in there), default=None)
