"""Agents that every cheapest placement serves together: known before each of them was tried on every accelerator.

Most of a plan's time goes into what serves one agent by itself, and in a large team of one model nearly nobody ends so. Where
one deployment alone serves an agent with others, the agent is by itself only if all of those others are too. So the placement is
made without them first, at U a month. Any placement costs at least the sum over its deployments of their part of the machines
they are on, or of one accelerator that several engines share: its memory is divided by what each needs. Hence with l(a) as the
least part of agent a in any deployment, and s(a) that of a by itself, a placement in which the agents of such a deployment D are
by themselves costs at least

    sum over a in D of s(a)  +  sum over the other agents of l(a)

and where this is over U, none of them is by itself in a cheapest placement, whatever else is chosen: leaving them out changes no
plan, and the gap is over all of them. Where it is not, they are tried in full and everything is placed anew (``planner``).

What an agent would cost by itself is told all the same (``plan.sharing``), so it is tried on one accelerator after the other,
the cheapest first, and not on those of which the least part that it can take costs more than what was found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.planning.choosing.candidates import tolerated_engines
from agentgpu_iac.planning.choosing.fitting import AgentFits, Fit, fits, fits_on, prepared
from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.mixes import Parts
from agentgpu_iac.planning.choosing.on_offer import Offers
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.options import AgentOptions, on_sale
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.program import EQUAL_USD
from agentgpu_iac.planning.choosing.remembering import Evaluators
from agentgpu_iac.planning.choosing.sharing import MAX_ENGINES_PER_ACCELERATOR, part_of_accelerator
from agentgpu_iac.planning.choosing.tiers import is_spot_eligible
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.deployments import Deployment
from agentgpu_iac.spec.model import Capacity, StackSpec
from agentgpu_iac.units import HOURS_PER_MONTH, gib


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """What serves one agent by itself, as far as it was tried."""

    fits: AgentFits
    on_sale: AgentOptions
    """With its cheapest option, if it has any."""
    least_usd: Decimal
    """The least that it costs in a month in any company but that of the one deployment: also where it was not tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What agents are tried on, and by which prices."""

    spec: StackSpec
    catalog: Catalog
    on_offer: Offers
    terms: Terms
    evaluators: Evaluators


def withheld(considered: Sequence[Deployment], spec: StackSpec, terms: Terms) -> dict[int, int]:
    """By agent that may be left out at first, the deployment that serves it with others: the only one that does.

    None where something is limited or covered, since what is dearer may then be what is left; and none of agents whose machines
    come and go with a window, or whose stated memory is looked for on all accelerators together.
    """
    limited = terms.limits or spec.capacity.budget_usd_per_month is not None
    if limited or terms.commitments or terms.reserved_ratio:
        return {}
    together: dict[int, list[int]] = {}
    for position, each in enumerate(considered):
        for agent in each.agents if len(each.agents) > 1 else ():
            together.setdefault(agent, []).append(position)
    alone = {
        position
        for position, each in enumerate(considered)
        if len(each.agents) > 1
        and all(len(together[agent]) == 1 and _is_plain(considered[agent].demand) for agent in each.agents)
    }
    return {agent: deployments[0] for agent, deployments in sorted(together.items()) if deployments[0] in alone}


def _is_plain(demand: Demand) -> bool:
    agent = demand.agent
    stated = agent.conversation.max_context_tokens or agent.overrides.context_tokens
    return demand.opening is None and demand.load is None and not stated and agent.overrides.weights_gib is None


def cheapest_alone(position: int, demand: Demand, beside: AgentFits, trial: Trial) -> Alone:
    """What serves an agent by itself for the least, and a bound of what it costs in any company.

    ``beside`` is what came of the deployment that serves it with others: its engine is started alike, with the same weights.
    """
    spec, catalog, on_offer = trial.spec, trial.catalog, trial.on_offer
    tried: dict[str, tuple[AgentFits, AgentOptions]] = {}
    best, least = _NEVER, _NEVER
    weights_gib = _least_weights_gib(beside)
    asked = prepared(position, demand, spec, catalog, trial.evaluators)
    for accelerator, machines in _cheapest_first(on_offer.machines, demand, spec.capacity):
        if isinstance(asked, AgentFits):
            break
        part = min(1.0, weights_gib / catalog.accelerator(accelerator).memory_gb)
        if all(_untried_usd(machine, demand, spec.capacity, part) >= best for machine in machines):
            continue
        here = fits_on(position, asked, spec, catalog, replace(on_offer, machines=machines))
        sold = on_sale(here, spec, catalog, {})
        tried[accelerator] = here, sold
        least = min(least, least_usd(sold, spec, trial.terms))
        best = min((best, *(option.usd_per_month_alone(trial.terms) for option in sold.options)))
    if best == _NEVER:
        whole = fits(position, demand, spec, catalog, on_offer, trial.evaluators)
        return Alone(fits=whole, on_sale=on_sale(whole, spec, catalog, {}), least_usd=least)
    (first, its), *_ = in_order = [tried[accelerator] for accelerator in sorted(tried)]
    return Alone(
        fits=replace(first, on=tuple(on for each, _ in in_order for on in each.on)),
        on_sale=replace(
            its,
            options=tuple(option for _, sold in in_order for option in sold.options),
            parts=Parts(position=position),
        ),
        least_usd=min(least, best),
    )


def least_usd(sold: AgentOptions, spec: StackSpec, terms: Terms) -> Decimal:
    """The least part of machines that a deployment takes in a month, with whomever it shares them; infinite if nothing serves it.

    An engine beside others on an accelerator takes what it needs of the memory; of a mix the baseline alone is counted.
    """

    def tolerated(option: Option) -> int:
        return tolerated_engines(option.candidates[0], MAX_ENGINES_PER_ACCELERATOR, spec.network.round_trip_ms)

    alike = (option.least_usd_per_month(terms) * part_of_accelerator(option, tolerated) for option in sold.options)
    mixed = (
        part.purchase.usd_per_hour
        * part.machine.accelerators_taken(part.candidate.accelerators_per_replica)
        * part.candidate.baseline_replicas
        * HOURS_PER_MONTH
        / part.machine.accelerators
        for part in sold.parts.baselines
    )
    return min((_NEVER, *alike, *mixed))


def possibly_apart(
    alone_usd: Mapping[int, Decimal],
    considered: Sequence[Deployment],
    on_sale: Sequence[AgentOptions],
    usd: Decimal,
    spec: StackSpec,
    terms: Terms,
) -> frozenset[int]:
    """Of the agents that were left out, those who may be by themselves in a placement that costs no more than ``usd`` a month.

    ``alone_usd`` is the least that each of them costs by itself; ``on_sale`` are the options of all deployments.
    """
    if not alone_usd:
        return frozenset()
    parts: dict[int, Decimal] = {}
    for position, each in enumerate(considered):
        part = (
            alone_usd[position]
            if position in alone_usd
            else least_usd(on_sale[position], spec, terms) / len(each.agents)
        )
        for agent in each.agents:
            parts[agent] = min(part, parts.get(agent, part))
    room = usd - terms.fixed_usd - sum(parts.values()) + EQUAL_USD
    together = [each.agents for each in considered if len(each.agents) > 1 and alone_usd.keys() >= set(each.agents)]
    return frozenset(
        agent
        for agents in together
        if sum((alone_usd[each] - parts[each] for each in agents), Decimal(0)) <= room
        for agent in agents
    )


_NEVER = Decimal("Infinity")


def _cheapest_first(
    machines: Iterable[Machine], demand: Demand, capacity: Capacity
) -> list[tuple[str, tuple[Machine, ...]]]:
    """Accelerators with their machines: first those of which one machine costs least."""
    grouped: dict[str, list[Machine]] = {}
    for machine in machines:
        grouped.setdefault(machine.accelerator, []).append(machine)

    def place(accelerator: str) -> tuple[Decimal, str]:
        return min(_usd_per_month(machine, demand, capacity) for machine in grouped[accelerator]), accelerator

    return [(accelerator, tuple(grouped[accelerator])) for accelerator in sorted(grouped, key=place)]


def _usd_per_month(machine: Machine, demand: Demand, capacity: Capacity) -> Decimal:
    """What a warm machine costs at least, bought in a way in which an agent's baseline may be; infinite if in none."""
    on_spot = is_spot_eligible(demand, capacity)
    ways = ("on-demand", "spot") if on_spot else ("on-demand",)
    hourly = (way.usd_per_hour for way in machine.ways if way.capacity_type in ways)
    return min(hourly, default=_NEVER) * HOURS_PER_MONTH


def _untried_usd(machine: Machine, demand: Demand, capacity: Capacity, part_of_memory: float) -> Decimal:
    """What an engine costs there at least: one accelerator, or where engines may share it, as much of it as the weights take."""
    usd = _usd_per_month(machine, demand, capacity) / machine.accelerators
    return usd * Decimal(str(part_of_memory)) if machine.accelerators == 1 else usd


def _least_weights_gib(found: AgentFits) -> float:
    """The least that the weights take of accelerators in all, of those on which the engine is known to fit; 0 if none.

    Of a replica over several accelerators what they share out is counted: what each has whole is there once at least.
    """
    on_each = (
        [each.candidate.memory.weights.divided_bytes for each in on.results if isinstance(each, Fit)] for on in found.on
    )
    return gib(min((max(each) for each in on_each if each), default=0.0))
