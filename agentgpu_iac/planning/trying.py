"""What would serve each deployment: tried in full, but for agents of a large stack that are surely served together.

Which those are is known by a bound once everything else is placed (``choosing.apart``); whoever it does not hold for is then
tried in full too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from decimal import Decimal

from agentgpu_iac.planning.choosing import apart
from agentgpu_iac.planning.choosing.fitting import AgentFits, fits
from agentgpu_iac.planning.choosing.known import Known
from agentgpu_iac.planning.choosing.options import AgentOptions, on_sale
from agentgpu_iac.planning.choosing.remembering import Evaluators
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.deployments import Deployment
from agentgpu_iac.planning.settling import Market
from agentgpu_iac.spec.model import StackSpec

Told = Callable[[int, int], None]
"""Told how far planning is: how many deployments are sized, of how many that could be."""


MOST_TRIED_IN_FULL = 24
"""Deployments that are all tried on everything on offer, whoever is chosen: that takes a moment, and shows more of the market."""


def tried(considered: Sequence[Deployment], trial: apart.Trial, told: Told | None) -> Market:
    """What would serve each deployment; in a large stack some are withheld at first."""
    spec, catalog, on_offer = trial.spec, trial.catalog, trial.on_offer
    of = apart.withheld(considered, spec, trial.terms) if len(considered) > MOST_TRIED_IN_FULL else {}
    found: dict[int, AgentFits] = {}
    sold: dict[int, AgentOptions] = {}
    withheld: dict[int, Decimal] = {}
    known = _Alike()
    # Those that serve several come first, as their agents are tried beside them; else one after the other, while what each asks
    # is still remembered.
    for done, position in enumerate(sorted(range(len(considered)), key=lambda each: (each in of, each))):
        if told is not None:
            told(done, len(considered))
        demand, together = considered[position].demand, of.get(position)
        if together is None or not sold[together].options:
            found[position] = fits(position, demand, spec, catalog, on_offer, trial.evaluators)
            sold[position] = on_sale(found[position], spec, catalog, {})
            continue
        alone = known.of(demand)
        if alone is None:
            alone = apart.cheapest_alone(position, demand, found[together], trial)
            known.learn(demand, alone)
        found[position], sold[position], withheld[position] = alone.fits, alone.on_sale, alone.least_usd
    return Market(
        considered=tuple(considered),
        found=tuple(found[position] for position in range(len(considered))),
        on_sale=tuple(sold[position] for position in range(len(considered))),
        on_offer=on_offer,
        terms=trial.terms,
        catalog=catalog,
        known=Known(),
        withheld=withheld,
    )


class _Alike:
    """What agents cost by themselves that differ in their names alone."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], list[tuple[Demand, apart.Alone]]] = {}

    def of(self, demand: Demand) -> apart.Alone | None:
        """What is known of one that asks the same."""
        for other, alone in self._known.get(_kind(demand), ()):
            if other == replace(demand, agent=demand.agent.model_copy(update={"name": other.name})):
                return alone
        return None

    def learn(self, demand: Demand, alone: apart.Alone) -> None:
        """So much of one; of an agent that nothing serves nothing is kept, since a refusal names it."""
        if alone.on_sale.options:
            self._known.setdefault(_kind(demand), []).append((demand, alone))


def _kind(demand: Demand) -> tuple[str, int, int]:
    return demand.model.id, demand.concurrent, demand.peak


def possibly_apart(market: Market, usd: Decimal, spec: StackSpec) -> frozenset[int]:
    """The agents that are withheld and may yet be by themselves in a placement of no more than ``usd`` a month."""
    return apart.possibly_apart(market.withheld, market.considered, market.on_sale, usd, spec, market.terms)


def tried_in_full(market: Market, positions: Collection[int], spec: StackSpec, evaluators: Evaluators) -> Market:
    """The same with those deployments tried on all accelerators, and free to be chosen."""
    found, sold = list(market.found), list(market.on_sale)
    for position in sorted(positions):
        demand = market.considered[position].demand
        found[position] = fits(position, demand, spec, market.catalog, market.on_offer, evaluators)
        sold[position] = on_sale(found[position], spec, market.catalog, {})
    withheld = {position: usd for position, usd in market.withheld.items() if position not in positions}
    return replace(market, found=tuple(found), on_sale=tuple(sold), withheld=withheld)
