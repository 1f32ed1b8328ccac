"""Baselines on two kinds of machine against brute force: what is left out first never belongs to a cheapest placement."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.mixes import Part, Parts, mixed_options
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.placement import place
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.program import Conflict
from tests.planning.test_mixes_exactly import Asks, candidate, part
from tests.planning.test_mixes_exactly import warm as warm_without_spare
from tests.planning.test_placement import machine
from tests.thoroughness import examples

RENTED = (machine("one-a", 1, "1.00"), machine("one-b", 1, "1.60"), machine("four-a", 4, "3.40"))
SIZES = ((2, 1), (5, 2), (12, 4))


def owned(where: Machine, price: str) -> Machine:
    way = replace(where.ways[0], capacity_type="on-demand", usd_per_hour=Decimal(price))
    return replace(where, ways=(way,), owned=True, among_rented=True)


def warm(baseline: Part, burst: Part, peak: int) -> int:
    """With those that are there for a loss, though they were more than the peak needs."""
    return max(baseline.candidate.normal_replicas + baseline.spare, warm_without_spare(baseline, burst, peak))


@dataclass(frozen=True)
class Choice:
    """What one agent could be served by."""

    first: Part
    rest: Part | None
    burst: Part | None
    here: int
    warm: int
    peak: int

    @property
    def bought(self) -> Iterator[tuple[str, Part, int]]:
        yield "baseline", self.first, self.here
        if self.rest is not None:
            yield "baseline", self.rest, self.warm - self.here
        if self.burst is not None:
            yield "burst", self.burst, self.peak - self.warm


@st.composite
def markets(draw: Any) -> tuple[list[Parts], Terms]:
    """One or two agents, some kinds to rent, and one or two kinds of which there are a few."""
    kinds = draw(st.lists(st.sampled_from(RENTED), min_size=1, max_size=2, unique_by=lambda one: one.id))
    own = draw(st.lists(st.sampled_from(RENTED), min_size=1, max_size=2, unique_by=lambda one: one.id))
    mine = [owned(each, draw(st.sampled_from(["0", "0", "0.30", "2.00"]))) for each in own]
    counts = {each.id: draw(st.integers(1, 3)) for each in mine}
    found: list[Parts] = []
    for position in range(draw(st.integers(1, 2))):
        concurrent = draw(st.integers(1, 7))
        demand = Asks(concurrent, concurrent * draw(st.integers(1, 3)))
        fakes = [candidate(demand, most, size) for most, size in SIZES]
        baselines: list[Part] = []
        bursts: list[Part] = []
        for where in (*mine, *kinds):
            fake = draw(
                st.sampled_from([each for each in fakes if each.accelerators_per_replica <= where.accelerators])
            )
            baselines.append(replace(part(fake, where, "on-demand", 0.0), spare=draw(st.integers(0, 1))))
            way = "on-demand" if where.owned else draw(st.sampled_from(["on-demand", "spot"]))
            bursts.append(part(fake, where, way, draw(st.sampled_from([10.0, 50.0, 90.0]))))
        found.append(
            Parts(position=position, baselines=tuple(baselines), bursts=tuple(bursts), warm=warm, divides=True)
        )
    hours = Decimal(draw(st.sampled_from([36, 72, 360])))
    return found, Terms(burst_hours=hours, owned=counts, rents=draw(st.booleans()))


def everything(parts: Parts, terms: Terms) -> list[Choice]:
    """Every baseline on one kind or two, one of which there are only so many of, beside every burst."""
    found = []
    for first, rest in itertools.product(parts.baselines, (None, *parts.baselines)):
        both = [first] if rest is None else [first, rest]
        if rest is not None and (first.machine.id not in terms.owned or first.machine.id == rest.machine.id):
            continue
        for burst in (None, *parts.bursts):
            carriers = both if burst is None else [*both, burst]
            peak = max(each.candidate.peak_replicas for each in carriers)
            if burst is None:
                needed = [max(warm(each, other, peak) for each in both) for other in parts.bursts]
                if peak > max(needed):
                    continue
                there = peak = max(peak, min(needed))
            else:
                there = max(warm(each, burst, peak) for each in both)
                if there >= peak:
                    continue
            for here in range(1, there) if rest is not None else (there,):
                found.append(Choice(first, rest, burst, here, there, peak))
    return found


def options(parts: Parts, terms: Terms) -> list[Option]:
    """Those on one kind: options that the planner has without mixes."""
    return [
        Option(
            deployments=(parts.position,),
            candidates=(replace(each.first.candidate, baseline_replicas=each.warm, peak_replicas=each.peak),),
            machine=each.first.machine,
            baseline=each.first.purchase,
            burst=None if each.burst is None else each.burst.purchase,
        )
        for each in everything(parts, terms)
        if each.rest is None and (each.burst is None or each.burst.machine.id == each.first.machine.id)
    ]


def cost(chosen: Sequence[Choice], terms: Terms) -> Decimal | None:
    """None where there are not so many machines."""
    taken: defaultdict[tuple[str, Any, Any], int] = defaultdict(int)
    parts: dict[Any, Part] = {}
    for tier, each, count in (one for choice in chosen for one in choice.bought):
        key = (tier, each.machine.id, each.purchase.capacity_types)
        taken[key] += count * each.machine.accelerators_taken(each.candidate.accelerators_per_replica)
        parts[key] = each
    nodes = {key: math.ceil(slots / parts[key].machine.accelerators) for key, slots in taken.items()}
    used: defaultdict[Any, int] = defaultdict(int)
    for key, count in nodes.items():
        used[key[1]] += count
    if any(used[machine_id] > most for machine_id, most in terms.owned.items()):
        return None
    hours = {"baseline": Decimal(720), "burst": terms.burst_hours}
    return sum((parts[key].purchase.usd_per_hour * hours[key[0]] * count for key, count in nodes.items()), Decimal(0))


def paid(option: Option) -> Choice:
    first, *others = [
        (tier, Part(candidate=here.candidates[0], machine=here.machine, purchase=bought))
        for tier, here, bought in option.bought
    ]
    by_tier = dict(others)
    return Choice(
        first=first[1],
        rest=by_tier.get("baseline"),
        burst=by_tier.get("burst"),
        here=option.replicas("baseline"),
        warm=option.candidates[0].baseline_replicas,
        peak=option.candidates[0].peak_replicas,
    )


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(200))
@given(markets())
def test_divided_baselines_against_brute_force(market: tuple[list[Parts], Terms]) -> None:
    parts, terms = market
    if not terms.rents:  # then only those that there are may be used
        parts = [
            replace(
                each,
                baselines=tuple(one for one in each.baselines if one.machine.owned),
                bursts=tuple(one for one in each.bursts if one.machine.owned),
            )
            for each in parts
        ]
    every = [everything(each, terms) for each in parts]
    sums = [usd for chosen in itertools.product(*every) if (usd := cost(chosen, terms)) is not None]
    offered = [[*options(each, terms), *mixed] for each, mixed in zip(parts, mixed_options(parts, terms), strict=True)]
    if not sums:
        with pytest.raises(Conflict):
            place(offered, (), True, terms)
        return
    found = place(offered, (), True, terms)
    assert cost([paid(option) for option in found.options], terms) == min(sums)
    assert abs(found.usd - min(sums)) < Decimal("0.005")
