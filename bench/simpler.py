"""What a plan's placement was asked, and what simpler ways to choose come to on the very same options.

Each way is the planner's own program over fewer of the options, so that no other prices, sizes or rounding come in:

    ======================  =============================================================================================
    one option an agent     every agent apart, caches of paused sessions kept, both tiers on one kind of machine bought
                            one way: the formulation of before, over today's demand, physics and prices
    one machine             the same machine for both tiers of each deployment
    one card                one card type for all agents: the cheapest of the few that promise most
    greedy                  each agent's cheapest by itself, in order; whole machines are shared where two come to meet there
    ======================  =============================================================================================
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning import planner, settling
from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.placement import Placement, place
from agentgpu_iac.planning.choosing.program import Conflict
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.spec.loader import load_text

_CARDS_TRIED = 3
"""Cards over which the program is solved: those that are cheapest while every agent pays for its own machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the last placement of a plan was asked, in one region where one must hold it all, and what it answered."""

    demands: tuple[Demand, ...]
    """Of each agent."""
    options: tuple[tuple[Option, ...], ...]
    """Of each deployment: first each agent by itself, then those that serve several; mixes among them."""
    groups: tuple[Option, ...]
    complete: bool
    served: tuple[tuple[int, ...], ...]
    terms: Terms
    found: Placement
    seconds: float
    """CPU seconds of mixing and placing."""

    @property
    def apart(self) -> tuple[tuple[Option, ...], ...]:
        """Options of each agent by itself."""
        return self.options[: len(self.demands)]


def planned(text: str, catalog: Catalog) -> tuple[Plan, tuple[Seen, ...], float]:
    """The plan, what its placements saw (one for each region that was tried), and CPU seconds in all."""
    seen: list[Seen] = []
    settle = planner.settle

    def watched(market: Any, groups: Any, terms: Terms, *rest: Any) -> Any:
        if any(fits.second for fits in market.found):  # what a second replica would cost: not the plan
            return settle(market, groups, terms, *rest)
        asked: list[Any] = []
        spent = [0.0]
        place, mixes = settling.place, settling.mixed_options
        settling.place = _timed(place, spent, asked)
        settling.mixed_options = _timed(mixes, spent, None)
        try:
            settled = settle(market, groups, terms, *rest)
        finally:
            settling.place, settling.mixed_options = place, mixes
        options, found = asked[-1]
        agents = max(agent for each in market.served for agent in each) + 1
        seen.append(
            Seen(
                demands=tuple(each.demand for each in market.considered[:agents]),
                options=tuple(options[0]),
                groups=tuple(options[1]),
                complete=options[2],
                served=tuple(options[4]),
                terms=terms,
                found=found,
                seconds=spent[0],
            )
        )
        return settled

    planner.settle = watched
    try:
        before = time.process_time()
        plan = planner.make_plan(load_text(text, "bench.yaml"), catalog)
        return plan, tuple(seen), time.process_time() - before
    finally:
        planner.settle = settle


def _timed(called: Callable[..., Any], spent: list[float], asked: list[Any] | None) -> Callable[..., Any]:
    def timed(*args: Any) -> Any:
        before = time.process_time()
        found = called(*args)
        spent[0] += time.process_time() - before
        if asked is not None:
            asked.append((args, found))
        return found

    return timed


def cheapest(options: Sequence[Sequence[Option]], seen: Seen, *, shared: bool = True) -> Decimal | None:
    """The program over these options of the agents apart, or of all deployments; None where an agent has none."""
    if not all(options[: len(seen.demands)]):
        return None
    groups = [
        group for group in seen.groups if shared and all(position < len(options) for position in group.deployments)
    ]
    try:
        return place(options, groups, seen.complete, seen.terms, seen.served[: len(options)]).usd
    except Conflict:
        return None


def one_option(seen: Seen) -> Decimal | None:
    """Every agent apart, caches kept, both tiers on one kind of machine."""
    return cheapest([[each for each in options if _is_plain(each)] for options in seen.apart], seen)


def _is_plain(option: Option) -> bool:
    return option.elsewhere is None and all(candidate.away is None for candidate in option.candidates)


def one_machine(seen: Seen) -> Decimal | None:
    """One machine for both tiers."""
    return cheapest([[each for each in options if each.elsewhere is None] for options in seen.options], seen)


def greedy(seen: Seen) -> Decimal | None:
    """Each agent's cheapest by itself; those that come to meet on a kind of machine share its nodes."""
    if not all(seen.apart):
        return None
    return cheapest(
        [[min(each, key=lambda option: option.rank(seen.terms))] for each in seen.apart], seen, shared=False
    )


def one_card(seen: Seen) -> Decimal | None:
    """The cheapest card that can carry every agent."""
    terms = seen.terms
    alone: dict[str, list[Decimal | None]] = {}
    for position, options in enumerate(seen.apart):
        for each in options:
            if _cards(each) == {each.machine.accelerator}:
                best = alone.setdefault(each.machine.accelerator, [None] * len(seen.apart))
                usd, known = each.usd_per_month_alone(terms), best[position]
                best[position] = usd if known is None else min(known, usd)
    sums = {card: sum(each for each in best if each is not None) for card, best in alone.items() if None not in best}
    found: list[Decimal] = []
    for card in sorted(sums, key=lambda card: (sums[card], card))[:_CARDS_TRIED]:
        on_it = [[each for each in options if _cards(each) == {card}] for options in seen.options]
        usd = cheapest(on_it, seen, shared=False)
        if usd is not None:
            found.append(usd)
    return min(found, default=None)


def _cards(option: Option) -> set[str]:
    return {option.machine.accelerator, option.at("burst").machine.accelerator}
