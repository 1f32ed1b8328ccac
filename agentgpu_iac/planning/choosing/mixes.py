"""Mixes: an agent's baseline on one candidate and machine, and its burst on another; or the baseline itself on two.

Replicas of one agent stand behind one address, and whatever spreads its sessions over them is taken to spread them evenly:
only NGINX is told how large each is (``running.routing``). So a mix has as many replicas at the peak as the weaker of its
two candidates alone would need, and no replica is asked for more than it carries. The warm ones hold whoever comes before
the burst's own machine has started.

A baseline is divided where there are only so many machines of a kind, or a commitment covers only so many: some of its replicas
stand on those, the rest on one other kind. It has as many in all as the weaker of the two would need, so that it matters to no
session where it is. Where nothing is limited that is never cheaper than all of them on the cheaper kind, but for machines that
others leave half empty. Not considered: more than two kinds in one baseline, a burst on two, and a baseline divided over zones
(``survive: zone``) or one that comes and goes with a schedule.

What could be combined is cut down first, by what no placement can gain from. A part on a machine that several share is
worth its place only if its share of the machine costs some agent less than a part whose price hangs on nobody else; where
none does, all who would be there are served elsewhere at no more, and the whole pool goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.fronts import Front
from agentgpu_iac.planning.choosing.known import Known
from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.reservations import saved_usd_per_hour
from agentgpu_iac.planning.choosing.tiers import Purchase, sessions_before_ready
from agentgpu_iac.planning.choosing.zones import in_zones
from agentgpu_iac.spec.vocabulary import CapacityType, Tier
from agentgpu_iac.units import HOURS_PER_MONTH, ceil_div


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A candidate on a machine, bought for one tier."""

    candidate: Candidate
    """As it would serve alone: its replicas of normal load and of the peak."""
    machine: Machine
    purchase: Purchase
    cold_s: float = 0.0
    """How late a replica of a burst may be that starts there."""
    spare: int = 0
    """Warm replicas of a baseline beyond those of normal load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What one agent's tiers may be made of."""

    position: int
    """Of the agent in the stack."""
    baselines: tuple[Part, ...] = ()
    bursts: tuple[Part, ...] = ()
    warm: Callable[[Part, Part, int], int] = lambda baseline, _burst, _peak: baseline.candidate.baseline_replicas
    """Replicas of such a baseline that must be warm beside such a burst, of so many in all."""
    zones: int = 1
    """Zones over which the warm replicas are spread."""
    burst_zones: Callable[[Part, int], int | None] = lambda _burst, _replicas: 1
    """Zones over which so many replicas of a burst are spread; None where it may not be bought so."""
    any_count: bool = True
    """Whether a session finds its context however many replicas there are."""
    divides: bool = False
    """Whether its warm replicas may be on two kinds of machine."""


def mixed_options(by_agent: Sequence[Parts], terms: Terms, known: Known | None = None) -> list[tuple[Option, ...]]:
    """For each agent the mixes that may be part of a cheapest placement; seats are not settled yet."""
    known = known or Known()
    tiers = [(known.of(_baselines, parts, terms), known.of(_bursts, parts, terms)) for parts in by_agent]
    kept = [frozenset[_PoolId]().union(*(each.worth for each in of_tier)) for of_tier in zip(*tiers, strict=True)]
    found: list[tuple[Option, ...]] = []
    for parts, both in zip(by_agent, tiers, strict=True):
        if terms.keeps_all:  # what is dearer may be all that is left
            found.append(known.of(_all_mixes, parts, *both, terms))
            continue
        mine, more = (known.of(_useful, each, kept=pools & each.shared) for each, pools in zip(both, kept, strict=True))
        found.append(known.of(_best_mixes, parts, mine, more, terms))
    return found


def _all_mixes(parts: Parts, baselines: _Tier, bursts: _Tier, terms: Terms) -> tuple[Option, ...]:
    return tuple(_mixed(parts.position, pair) for pair in _every(parts, baselines.parts, bursts.parts, terms))


def _best_mixes(
    parts: Parts, baselines: Sequence[_Counted], bursts: Sequence[_Counted], terms: Terms
) -> tuple[Option, ...]:
    return tuple(_mixed(parts.position, pair) for pair in _best(_every(parts, baselines, bursts, terms), terms))


def _baselines(parts: Parts, terms: Terms) -> _Tier:
    return _tier(_counted(parts.baselines, "baseline", terms, _warm_for_slowest(parts)))


def _bursts(parts: Parts, terms: Terms) -> _Tier:
    return _tier(_counted(parts.bursts, "burst", terms))


_PoolId = tuple[str | CapacityType, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """A part with what is compared: all that is asked of it more than once."""

    part: Part
    pool: _PoolId
    """What it shares with others who are there."""
    slots: int
    """Accelerators that a replica takes of its machine, in even slots."""
    shares: bool
    """Whether a replica leaves room on its machines for somebody else, or may be covered by a commitment that others use too."""
    certain_usd: Decimal
    """The most that a replica costs in a month, alone on its machines."""
    least_usd: Decimal
    """The least: its share of the machine, reserved where that may be."""
    kind: tuple[object, ...]
    """What one router must find alike in all replicas: attention groups, and contexts kept as well."""
    most_vcpus: Mapping[str, float]
    """The most that a replica takes of each thing that is counted, alone on its machines: of a quota, of machines there are."""
    least_vcpus: Mapping[str, float]
    """The least: its share of the machine."""
    wants: tuple[float, ...]
    """What makes a mix with it take more replicas of either tier: no mix is dearer with a part that wants no more of each."""


def _warm_for_slowest(parts: Parts) -> Callable[[Part], float]:
    """How many of a baseline's replicas are warm beside the burst that starts last."""
    slowest = max(parts.bursts, key=lambda part: part.cold_s, default=None)
    known: dict[int, float] = {}

    def warm(part: Part) -> float:
        if slowest is None:
            return 0.0
        if id(part.candidate) not in known:
            known[id(part.candidate)] = parts.warm(part, slowest, part.candidate.peak_replicas)
        return known[id(part.candidate)]

    return warm


def _counted(
    parts: Iterable[Part], tier: Tier, terms: Terms, warm: Callable[[Part], float] = lambda _: 0.0
) -> list[_Counted]:
    """``warm``: how many of a baseline's replicas are kept so beside a slow burst."""
    hours = Decimal(HOURS_PER_MONTH) if tier == "baseline" else terms.burst_hours
    found: list[_Counted] = []
    for part in _where_cheapest(parts, tier, terms):
        candidate, machine, hourly = part.candidate, part.machine, part.purchase.usd_per_hour
        slots = machine.accelerators_taken(candidate.accelerators_per_replica)
        vcpus = terms.counted(machine, part.purchase)
        least = terms.least_usd_per_hour(machine, part.purchase, tier)
        if tier == "baseline" and terms.reserved_ratio > 0 and candidate.demand.user_facing:
            least = min(least, hourly - saved_usd_per_hour(machine, part.purchase))
        on_spot = float("spot" in part.purchase.capacity_types)
        wants: tuple[float, ...] = (candidate.peak_replicas, _early(part), on_spot)
        if tier == "baseline":
            normal = candidate.normal_replicas + part.spare
            wants = (candidate.peak_replicas, normal, -_holds(candidate), warm(part))
        found.append(
            _Counted(
                part=part,
                pool=(*machine.id, *part.purchase.capacity_types),
                slots=slots,
                shares=slots % machine.accelerators != 0 or terms.is_committed(machine, part.purchase, tier),
                certain_usd=hourly * ceil_div(slots, machine.accelerators) * hours,
                least_usd=least * slots * hours / machine.accelerators,
                most_vcpus={name: each * ceil_div(slots, machine.accelerators) for name, each in vcpus.items()},
                least_vcpus={name: each * slots / machine.accelerators for name, each in vcpus.items()},
                kind=(candidate.sizes.attention_dp, candidate.prefix_hit_ratio),
                wants=wants,
            )
        )
    return found


def _where_cheapest(parts: Iterable[Part], tier: Tier, terms: Terms) -> Iterable[Part]:
    """Of a kind of machine that is sold in several places the cheapest: whoever is elsewhere could be there for no more."""
    best: dict[tuple[object, ...], Part] = {}
    for part in parts:
        instance = part.machine.instance
        place = part.machine.id[2] if terms.depends_on_place(part.machine, part.purchase, tier) else ""
        key = (id(part.candidate), instance.provider, instance.name, part.purchase.capacity_types, place)
        known = best.get(key)
        if known is None or _place_and_price(part) < _place_and_price(known):
            best[key] = part
    return best.values()


def _place_and_price(part: Part) -> tuple[Decimal, Decimal, str]:
    reserved = part.machine.usd_per_hour("reserved")
    return part.purchase.usd_per_hour, part.purchase.usd_per_hour if reserved is None else reserved, part.machine.region


def _early(part: Part) -> float:
    """How many come before a replica is ready that starts there: of sessions, or of the climb where nobody keeps a seat."""
    demand = part.candidate.demand
    if demand.load is not None:
        return demand.climbed(part.cold_s)
    return sessions_before_ready(demand, part.cold_s)


def _holds(candidate: Candidate) -> float:
    """What a warm replica holds of those who come early."""
    if candidate.demand.load is not None:
        return candidate.service.prefill_tokens_per_s or 0.0
    return candidate.most_sessions


def _serves_as_well(other: _Counted, part: _Counted) -> bool:
    """Whether the other takes its place in any mix without more replicas of either tier, or more of a quota."""
    if not _serves_there_as_well(other, part):
        return False
    return not other.most_vcpus or all(
        most <= part.least_vcpus.get(name, 0.0) for name, most in other.most_vcpus.items()
    )


def _serves_there_as_well(other: _Counted, part: _Counted) -> bool:
    """The same in one pool, where what is taken of a quota goes with the accelerators."""
    for theirs, mine in zip(other.wants, part.wants, strict=True):
        if theirs > mine:
            return False
    return other.kind == part.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tier:
    """The parts of one tier of an agent."""

    parts: tuple[_Counted, ...]
    front: tuple[_Counted, ...]
    """Those that no other one undercuts at what a replica costs at most."""
    shared: frozenset[_PoolId]
    """Pools where some part shares with others."""
    worth: frozenset[_PoolId]
    """Of those the ones where nothing makes some part needless."""


def _tier(parts: Sequence[_Counted]) -> _Tier:
    front, worth = _front(parts), set[_PoolId]()
    for part in parts:
        if part.shares and part.pool not in worth and not any(_makes_needless(other, part) for other in front):
            worth.add(part.pool)
    shared = frozenset(part.pool for part in parts if part.shares)
    return _Tier(parts=tuple(parts), front=tuple(front), shared=shared, worth=frozenset(worth))


def _useful(tier: _Tier, *, kept: frozenset[_PoolId]) -> list[_Counted]:
    """The parts of a tier that nothing makes needless, where those pools are kept since some agent gains from them."""
    shared = [part for part in tier.parts if part.shares and part.pool in kept]
    in_front = [part for part in tier.front if not (part.shares and part.pool in kept)]
    return [*in_front, *_fewest(shared)]


def _front(parts: Sequence[_Counted]) -> list[_Counted]:
    """Parts that no other one undercuts at what a replica costs at most, cheapest first."""
    front: list[_Counted] = []
    for part in sorted(parts, key=lambda part: (part.certain_usd, part.slots, part.pool)):
        if not any(_serves_as_well(other, part) for other in front):
            front.append(part)
    return front


def _makes_needless(other: _Counted, part: _Counted) -> bool:
    return other is not part and other.certain_usd <= part.least_usd and _serves_as_well(other, part)


def _fewest(parts: Sequence[_Counted]) -> list[_Counted]:
    """Of the parts in one pool those that no other one there undercuts."""
    kept: dict[_PoolId, list[_Counted]] = {}
    for part in sorted(parts, key=lambda part: (part.pool, part.slots)):
        there = kept.setdefault(part.pool, [])
        if not any(other.slots <= part.slots and _serves_there_as_well(other, part) for other in there):
            there.append(part)
    return [part for there in kept.values() for part in there]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    baseline: _Counted
    burst: _Counted | None
    """None: all replicas are warm."""
    warm: int
    peak: int
    zones: tuple[int, ...] = (1, 1)
    """Over which each of its tiers is spread."""
    rest: _Counted | None = None
    """What carries the rest of a divided baseline."""
    here: int = 0
    """Replicas that the first part of a divided baseline has."""

    @property
    def tiers(self) -> tuple[tuple[Tier, _Counted, int], ...]:
        """(tier, part, replicas)."""
        found: list[tuple[Tier, _Counted, int]] = [("baseline", self.baseline, self.here or self.warm)]
        if self.rest is not None:
            found.append(("baseline", self.rest, self.warm - self.here))
        if self.burst is not None:
            found.append(("burst", self.burst, self.peak - self.warm))
        return tuple(found)


_NOTHING = Decimal(0)
_MOST_DIVISIONS = 32
"""Of one baseline over the same two kinds that are looked at: all up to so many, of more the even steps and the last."""


def _every(parts: Parts, baselines: Sequence[_Counted], bursts: Sequence[_Counted], terms: Terms) -> Iterator[_Pair]:
    yield from _pairs(parts, baselines, bursts)
    if parts.divides and parts.zones == 1:
        yield from _divided(parts, baselines, bursts, terms)


def _divided(parts: Parts, baselines: Sequence[_Counted], bursts: Sequence[_Counted], terms: Terms) -> Iterator[_Pair]:
    """Baselines with a part on machines that there are, or that a commitment may cover, and the rest on another kind, beside
    each burst.
    """
    there_are = [_room(counted, terms.owned.get(counted.part.machine.id)) for counted in baselines]
    covered = [_room(each, terms.covered_nodes(each.part.machine, each.part.purchase)) for each in baselines]
    warm_of = _known_warm(parts)
    for first, mine in enumerate(baselines):
        few = covered[first] if there_are[first] is None else there_are[first]
        if few is None:
            continue
        for second, rest in enumerate(baselines):
            other = there_are[second]
            if mine.part.machine.id == rest.part.machine.id or mine.kind != rest.kind:
                continue
            if other is not None and there_are[first] is not None and second < first:  # looked at from the other side
                continue
            for burst, warm, peak, zones in _beside_both(parts, mine, rest, bursts, warm_of):
                for here in _divisions(min(few, warm - 1), 1 if other is None else warm - other):
                    yield _Pair(
                        baseline=mine, rest=rest, burst=burst, warm=warm, here=here, peak=peak, zones=(1, 1, zones)
                    )


def _room(counted: _Counted, nodes: int | None) -> int | None:
    """Replicas that so many nodes have room for; None where there is no such end."""
    return None if nodes is None else nodes * (counted.part.machine.accelerators // counted.slots)


def _divisions(most: int, least: int) -> Iterable[int]:
    """How many replicas the first part may have."""
    first = max(1, least)
    if most - first < _MOST_DIVISIONS:
        return range(first, most + 1)
    return sorted({*range(first, most + 1, ceil_div(most - first, _MOST_DIVISIONS)), most})


def _beside_both(
    parts: Parts, mine: _Counted, rest: _Counted, bursts: Sequence[_Counted], warm: _Warm
) -> Iterator[tuple[_Counted | None, int, int, int]]:
    """Each burst beside a baseline of two kinds, or none, with the replicas that are warm, those of the peak, and its zones."""
    alone = {each.part.candidate.peak_replicas for each in (mine, rest)}
    peak = max(alone)
    if parts.any_count or len(alone) == 1:
        needed = [max(warm(mine, burst, peak), warm(rest, burst, peak)) for burst in bursts or (mine,)]
        if max(needed) >= peak:
            yield None, max(peak, min(needed)), max(peak, min(needed)), 1
    for burst in bursts:
        peaks = alone | {burst.part.candidate.peak_replicas}
        if burst.kind != mine.kind or (not parts.any_count and len(peaks) > 1):
            continue
        peak = max(peaks)
        there = max(warm(mine, burst, peak), warm(rest, burst, peak))
        zones = parts.burst_zones(burst.part, peak - there) if peak > there else None
        if zones is not None:
            yield burst, there, peak, zones


_Warm = Callable[[_Counted, _Counted, int], int]
"""Replicas of such a baseline that are warm beside such a burst, of so many in all."""


def _known_warm(parts: Parts) -> _Warm:
    """By what it depends on, of which many pairs have the same."""
    known: dict[tuple[object, ...], int] = {}

    def warm(baseline: _Counted, burst: _Counted, peak: int) -> int:
        mine, its = baseline.part, burst.part
        key = (id(mine.candidate), mine.spare, its.cold_s, "spot" in its.purchase.capacity_types, peak)
        if key not in known:
            known[key] = parts.warm(mine, its, peak)
        return known[key]

    return warm


def _pairs(parts: Parts, baselines: Sequence[_Counted], bursts: Sequence[_Counted]) -> Iterator[_Pair]:
    for baseline in baselines:
        mine = baseline.part
        warm_of: dict[tuple[float, bool, int], int] = {}
        for burst in bursts:
            its = burst.part
            peaks = (mine.candidate.peak_replicas, its.candidate.peak_replicas)
            same = mine.candidate.sizes == its.candidate.sizes and mine.machine.id == its.machine.id
            if same or baseline.kind != burst.kind or (not parts.any_count and peaks[0] != peaks[1]):
                continue
            peak = max(peaks)
            key = (burst.wants[1], "spot" in its.purchase.capacity_types, peak)
            if key not in warm_of:
                warm_of[key] = parts.warm(mine, its, peak)
            more = peak - warm_of[key]
            zones = parts.burst_zones(its, more) if more > 0 else None
            if zones is not None:
                yield _Pair(baseline=baseline, burst=burst, warm=warm_of[key], peak=peak, zones=(parts.zones, zones))


def _best(pairs: Iterable[_Pair], terms: Terms) -> list[_Pair]:
    """Pairs that no other one undercuts, neither in what it takes of the same pools nor in what it costs beside them.

    Where the baseline has a budget, each tier by itself.
    """
    by_pools: dict[tuple[tuple[Tier, int, _PoolId], ...], list[tuple[tuple[Decimal | float, ...], _Pair]]] = {}
    names = terms.counted_names
    for pair in pairs:
        paid = {"baseline": _NOTHING, "burst": _NOTHING}
        shared: list[tuple[Tier, int, _PoolId]] = []
        slots: list[int] = []
        counted = dict.fromkeys(names, 0.0)
        for (tier, part, count), zones in zip(pair.tiers, pair.zones, strict=False):
            if part.shares:
                shared.append((tier, zones, part.pool))
                slots += [part.slots * each for each in in_zones(count, zones)]
                continue
            paid[tier] += part.certain_usd * count
            for name, most in part.most_vcpus.items():
                counted[name] += most * count
        usd = (sum(paid.values(), _NOTHING),) if terms.budget_usd is None else tuple(paid.values())
        by_pools.setdefault(tuple(shared), []).append(((*usd, *counted.values(), *slots), pair))
    kept: list[_Pair] = []
    for found in by_pools.values():
        front = Front()
        ordered = sorted(found, key=lambda each: (each[0], _names(each[1])))
        kept += [pair for takes, pair in ordered if front.takes(takes)]
    return kept


def _names(pair: _Pair) -> tuple[object, ...]:
    return tuple((part.slots, part.pool) for _, part, _ in pair.tiers)


def _mixed(position: int, pair: _Pair) -> Option:
    def counted(candidate: Candidate) -> Candidate:
        return replace(candidate, baseline_replicas=pair.warm, peak_replicas=pair.peak)

    baseline, rest, there = pair.baseline.part, None, None
    if pair.burst is not None:
        burst = pair.burst.part
        there = Option(
            deployments=(position,),
            candidates=(counted(burst.candidate),),
            machine=burst.machine,
            baseline=burst.purchase,
            burst=burst.purchase,
            burst_zones=pair.zones[-1],
        )
    if pair.rest is not None:
        rest = Option(
            deployments=(position,),
            candidates=(counted(pair.rest.part.candidate),),
            machine=pair.rest.part.machine,
            baseline=pair.rest.part.purchase,
            burst=None,
            here=pair.warm - pair.here,
        )
    return Option(
        deployments=(position,),
        candidates=(counted(baseline.candidate),),
        machine=baseline.machine,
        baseline=baseline.purchase,
        burst=None,
        elsewhere=there,
        rest=rest,
        here=None if pair.rest is None else pair.here,
        zones=pair.zones[0],
    )
