"""Mixes against brute force: what is left out first never belongs to a cheapest placement."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.mixes import Part, Parts, mixed_options
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.placement import place
from agentgpu_iac.planning.choosing.pricing import Machine
from tests.planning.test_placement import bought, machine
from tests.thoroughness import examples


@dataclass(frozen=True)
class Asks:
    """As much of a demand as a mix looks at."""

    concurrent: int
    peak: int
    ramp_s: float = 100.0
    user_facing: bool = True
    load: None = None

    def climbed(self, after_s: float) -> float:
        return min(1.0, after_s / self.ramp_s)


@dataclass(frozen=True)
class Sizes:
    attention_dp: int = 1
    tensor: int = 1


@dataclass(frozen=True)
class Fake:
    """As much of a candidate as a mix looks at."""

    demand: Asks
    most_sessions: int
    accelerators_per_replica: int
    baseline_replicas: int
    normal_replicas: int
    peak_replicas: int
    sizes: Sizes
    prefix_hit_ratio: float = 1.0
    nodes: int = 1

    @property
    def burst_replicas(self) -> int:
        return self.peak_replicas - self.baseline_replicas


def candidate(demand: Asks, most: int, size: int) -> Fake:
    normal, peak = math.ceil(demand.concurrent / most), math.ceil(demand.peak / most)
    return Fake(demand, most, size, normal, normal, peak, Sizes(tensor=size))


MACHINES = (
    machine("one-a", 1, "1.00"),
    machine("one-b", 1, "1.60"),
    machine("four-a", 4, "3.40"),
    machine("four-b", 4, "5.20"),
    machine("eight", 8, "6.20"),
)


def warm(baseline: Part, burst: Part, peak: int) -> int:
    fake: Any = baseline.candidate
    demand = fake.demand
    early = math.ceil(demand.concurrent + (demand.peak - demand.concurrent) * demand.climbed(burst.cold_s) - 1e-6)
    return min(peak, max(fake.normal_replicas, math.ceil(early / fake.most_sessions)))


def part(fake: Fake, where: Machine, way: str, cold_s: float) -> Part:
    price = where.usd_per_hour(way)  # type: ignore[arg-type]
    assert price is not None
    return Part(candidate=fake, machine=where, purchase=bought(price, way), cold_s=cold_s)  # type: ignore[arg-type]


@st.composite
def markets(draw):
    """One to three agents, each with some candidates on some machines for each tier."""
    found: list[Parts] = []
    for position in range(draw(st.integers(1, 3))):
        concurrent = draw(st.integers(1, 6))
        demand = Asks(concurrent, concurrent * draw(st.integers(2, 4)))
        fakes = [candidate(demand, most, size) for most, size in ((2, 1), (5, 2), (12, 4))]
        tiers: list[list[Part]] = []
        for way in ("on-demand", "spot"):
            parts: list[Part] = []
            for where in draw(
                st.lists(st.sampled_from(MACHINES), min_size=1, max_size=3, unique_by=lambda one: one.id)
            ):
                fake = draw(
                    st.sampled_from([each for each in fakes if each.accelerators_per_replica <= where.accelerators])
                )
                parts.append(part(fake, where, way, draw(st.sampled_from([10.0, 50.0, 90.0]))))
            tiers.append(parts)
        found.append(Parts(position=position, baselines=tuple(tiers[0]), bursts=tuple(tiers[1]), warm=warm))
    return found, Terms(burst_hours=Decimal(draw(st.sampled_from([36, 72, 360]))))


def everything(parts: Parts) -> list[tuple[Part, Part, int, int]]:
    """Every pair with its warm replicas and those of the peak."""
    found = []
    for first, second in itertools.product(parts.baselines, parts.bursts):
        peak = max(first.candidate.peak_replicas, second.candidate.peak_replicas)
        there = warm(first, second, peak)
        if there < peak:
            found.append((first, second, there, peak))
    return found


def on_one_machine(parts: Parts) -> list[Option]:
    """The pairs that are no mix: options that the planner has without them."""
    return [
        Option(
            deployments=(parts.position,),
            candidates=(replace(first.candidate, baseline_replicas=there, peak_replicas=peak),),
            machine=first.machine,
            baseline=first.purchase,
            burst=second.purchase,
        )
        for first, second, there, peak in everything(parts)
        if first.machine.id == second.machine.id and first.candidate.sizes == second.candidate.sizes
    ]


def cost(chosen: Sequence[tuple[Part, Part, int, int]], terms: Terms) -> Decimal:
    taken: defaultdict[Any, int] = defaultdict(int)
    prices: dict[Any, tuple[Decimal, int]] = {}
    for first, second, there, peak in chosen:
        for tier, each, count, hours in (
            ("baseline", first, there, Decimal(720)),
            ("burst", second, peak - there, terms.burst_hours),
        ):
            key = (tier, each.machine.id)
            taken[key] += count * each.machine.accelerators_taken(each.candidate.accelerators_per_replica)
            prices[key] = (each.purchase.usd_per_hour * hours, each.machine.accelerators)
    return sum((prices[key][0] * math.ceil(taken[key] / prices[key][1]) for key in taken), Decimal(0))


def paid(option: Option, terms: Terms) -> tuple[Part, Part, int, int]:
    there = option.at("burst")
    (mine,), (its,) = option.candidates, there.candidates
    first = Part(candidate=mine, machine=option.machine, purchase=option.baseline)
    assert there.burst is not None
    return (
        first,
        Part(candidate=its, machine=there.machine, purchase=there.burst),
        mine.baseline_replicas,
        mine.peak_replicas,
    )


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(200))
@given(markets())
def test_mixes_against_brute_force(market):
    parts, terms = market
    every = [everything(each) for each in parts]
    if not all(every):
        return
    least = min(cost(chosen, terms) for chosen in itertools.product(*every))
    options = [[*on_one_machine(each), *mixed] for each, mixed in zip(parts, mixed_options(parts, terms), strict=True)]
    found = place(options, (), True, terms)
    assert cost([paid(option, terms) for option in found.options], terms) == least
    assert abs(found.usd - least) < Decimal("0.005")
