"""The placement over the whole market: time, gap and cost, against simpler ways to choose, on the same options.

Run with ``python -m bench.market`` (part of ``make bench``); after it the most agents, and how many generated stacks. One row
for each size, then what others cost as parts of what the planner asks: one machine for both tiers, one card type for all
agents, every agent's cheapest by itself, and Mélange's formulation (Griggs and others, 2024) with the same solver: peak
replicas of each agent on one machine type, on demand all month, whole machines of a type for all agents together.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.errors import Infeasible
from agentgpu_iac.planning import settling
from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.placement import Option, place
from agentgpu_iac.planning.choosing.program import Column, Rules, Take, choose
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.spec.loader import load_text
from agentgpu_iac.units import HOURS_PER_MONTH
from bench.bench import stack
from bench.stacks import generated

SIZES = (1, 10, 100, 1000)


@dataclass(slots=True)
class Seen:
    """What the last placement of a plan was asked."""

    seconds: float = 0.0
    options: list[Sequence[Option]] = field(default_factory=list)
    """Of each deployment: first each agent by itself, then those that serve several."""
    served: Sequence[tuple[int, ...]] = ()
    terms: Terms | None = None

    @property
    def apart(self) -> list[Sequence[Option]]:
        """Those of each agent by itself."""
        return [options for options, agents in zip(self.options, self.served, strict=True) if len(agents) == 1]


def planned(text: str, catalog: Catalog) -> tuple[Any, Seen, float]:
    """The plan, what its placement saw, and CPU seconds in all."""
    seen, place, mixes = Seen(), settling.place, settling.mixed_options

    def timed_place(options: Any, groups: Any, complete: bool, terms: Terms, served: Any = ()) -> Any:
        before = time.process_time()
        found = place(options, groups, complete, terms, served)
        seen.seconds += time.process_time() - before
        seen.options, seen.terms, seen.served = list(options), terms, served
        return found

    def timed_mixes(*args: Any) -> Any:
        before = time.process_time()
        found = mixes(*args)
        seen.seconds += time.process_time() - before
        return found

    settling.place, settling.mixed_options = timed_place, timed_mixes
    try:
        before = time.process_time()
        plan = make_plan(load_text(text, "bench.yaml"), catalog)
        return plan, seen, time.process_time() - before
    finally:
        settling.place, settling.mixed_options = place, mixes


def greedy(seen: Seen) -> Decimal:
    """Every agent's cheapest by itself, on machines of its own."""
    terms = seen.terms
    assert terms is not None
    return sum((min(each.usd_per_month_alone(terms) for each in options) for options in seen.apart), Decimal(0))


def one_card(seen: Seen) -> Decimal | None:
    """The cheapest card that can carry every agent, each by itself."""
    terms = seen.terms
    assert terms is not None
    cards: dict[str, list[Decimal | None]] = {}
    for position, options in enumerate(seen.apart):
        for each in options:
            if each.elsewhere is None:
                best = cards.setdefault(each.machine.accelerator, [None] * len(seen.apart))
                usd, known = each.usd_per_month_alone(terms), best[position]
                best[position] = usd if known is None else min(known, usd)
    sums = [sum(each for each in best if each is not None) for best in cards.values() if None not in best]
    return min((Decimal(usd) for usd in sums), default=None)


def one_machine(seen: Seen) -> Decimal:
    """The same program with one machine for both tiers of each agent."""
    terms = seen.terms
    assert terms is not None
    alone = [[each for each in options if each.elsewhere is None] for options in seen.options]
    return place(alone, (), True, terms, seen.served).usd


def melange(seen: Seen) -> Decimal:
    """Mélange's formulation with the same solver."""
    columns: list[Column] = []
    for position, options in enumerate(seen.apart):
        cheapest: dict[tuple[Any, ...], Column] = {}
        for option in options:
            price, candidate = option.machine.usd_per_hour("on-demand"), option.candidates[0]
            if price is None or option.elsewhere is not None or option.is_shared:
                continue
            take = Take(
                pool=option.machine.id,
                replicas=candidate.peak_replicas,
                slots_each=option.machine.accelerators_taken(candidate.accelerators_per_replica),
                per_node=option.machine.accelerators,
                node_usd=price * HOURS_PER_MONTH,
            )
            usd = take.node_usd * take.slots / take.per_node
            column = Column(agents=(position,), direct_usd=Decimal(0), takes=(take,), least_usd=usd)
            known = cheapest.get(option.machine.id)
            if known is None or usd < known.least_usd:
                cheapest[option.machine.id] = column
        columns.extend(sorted(cheapest.values(), key=lambda column: column.least_usd)[:40])
    return choose(columns, range(len(columns)), Rules(agents=len(seen.apart)), None).usd


def compared(count: int, catalog: Catalog) -> None:
    """Costs on generated stacks as parts of what the planner asks."""
    ratios: dict[str, list[float]] = {"one machine for both tiers": [], "one card": [], "greedy": [], "Mélange": []}
    refused = mixed = 0
    for seed in range(count):
        try:
            plan, seen, _ = planned(generated(seed), catalog)
        except Infeasible:
            refused += 1
            continue
        usd = float(plan.cost.expected_usd_per_month)
        cards: dict[str, set[str]] = {}
        for workload in plan.workloads:
            cards.setdefault(workload.agent, set()).add(workload.accelerator)
        mixed += any(len(of_agent) > 1 for of_agent in cards.values())
        for name, other in zip(ratios, (one_machine(seen), one_card(seen), greedy(seen), melange(seen)), strict=True):
            if other is not None and usd:
                ratios[name].append(float(other) / usd)
    print(f"{count} generated stacks: {refused} refused, {mixed} with a burst on another card")
    for name, found in ratios.items():
        print(
            f"{name}: {len(found)} stacks, median {statistics.median(found):.3f}, most {max(found):.2f}, "
            f"least {min(found):.4f} of the planner's cost"
        )


def growth(sizes: Sequence[int], catalog: Catalog) -> None:
    """CPU seconds of a plan and of its placement, and the gap, for more and more agents."""
    print("agents   plan s  placement s  gap %   USD a month")
    for size in sizes:
        plan, seen, seconds = planned(stack(size), catalog)
        cost = plan.cost
        gap = 100 * cost.optimality_gap_ratio
        print(
            f"{size:6d}  {seconds:7.2f}  {seen.seconds:11.2f}  {gap:5.3f}  {cost.expected_usd_per_month:12,.2f}",
            flush=True,
        )


def main(most: int = SIZES[-1], stacks: int = 100) -> None:
    """Both tables."""
    catalog = load_catalog()
    growth([size for size in SIZES if size <= most], catalog)
    compared(stacks, catalog)


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:3]))
