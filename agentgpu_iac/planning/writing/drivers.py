"""What drives the price: for each deployment the limits at which it stands, asked of the very sums that chose it.

With one replica less each would hold more sessions. Whether that breaks the memory, a budget or a rate is asked of the
replica's own memory and service; what keeps more replicas warm than normal load needs, of its start; and why no cheaper
machine does, of the rejections.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from agentgpu_iac.plan import AgentCost, Constraint, Driver, DriverConstraint, Rejection
from agentgpu_iac.planning.choosing.candidates import Candidate, replica_service
from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.rejections import shortfall
from agentgpu_iac.planning.choosing.service import Service, with_margin, within
from agentgpu_iac.planning.choosing.shortcuts import longest_start_s
from agentgpu_iac.planning.choosing.tiers import spare_replicas
from agentgpu_iac.planning.pools import Placed
from agentgpu_iac.planning.running.served import served_names
from agentgpu_iac.planning.writing.start_choices import is_absorbed
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.units import ceil_div, counted, rounded

_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    """Something that a deployment stands at."""

    constraint: DriverConstraint
    message: str
    need: float | None = None
    limit: float | None = None
    unit: str = ""
    refused: Constraint | DriverConstraint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """What holds for all deployments."""

    spec: StackSpec
    terms: Terms
    taken: Mapping[int, Mapping[str, float]]
    """What each deployment takes at least of machines that there are and of quotas, by its position."""

    def taken_by_others(self, position: int) -> dict[str, float]:
        """What all others take at least."""
        found: dict[str, float] = {}
        for other, takes in self.taken.items():
            for name, amount in takes.items() if other != position else ():
                found[name] = found.get(name, 0.0) + amount
        return found

    @property
    def round_trip_ms(self) -> float:
        return self.spec.network.round_trip_ms


def drivers(
    placed: Sequence[Placed],
    options: Sequence[Sequence[Option]],
    costs: Sequence[AgentCost],
    rejections: Sequence[Rejection],
    on_offer: Sequence[Machine],
    terms: Terms,
    spec: StackSpec,
) -> tuple[Driver, ...]:
    """The limits of every deployment, the dearest deployment first; ``options`` are by their positions."""
    taken = {member.position: member.option.least_limited(terms) for member in placed}
    around = _Around(spec=spec, terms=terms, taken=taken)
    by_agent = {cost.agent: cost.usd_per_month for cost in costs}
    total = sum(by_agent.values(), Decimal(0))
    found: list[tuple[Decimal, Driver]] = []
    for member in placed:
        demand = member.candidate.demand
        names = served_names(demand)
        usd = sum((by_agent[name] for name in names), Decimal(0)).quantize(_CENT)
        found += [
            (
                usd,
                Driver(
                    agent=demand.name,
                    agents=names,
                    usd_per_month=usd,
                    share_ratio=rounded(float(usd / total), 4) if total else 0.0,
                    constraint=each.constraint,
                    refused=each.refused,
                    need=None if each.need is None else rounded(each.need),
                    limit=None if each.limit is None else rounded(each.limit),
                    unit=each.unit,
                    message=each.message,
                ),
            )
            for each in _limits(member, options[member.position], rejections, on_offer, around)
        ]
    return tuple(driver for _, driver in sorted(found, key=lambda each: (-each[0], each[1].agent)))


def _limits(
    member: Placed,
    options: Sequence[Option],
    rejections: Sequence[Rejection],
    on_offer: Sequence[Machine],
    around: _Around,
) -> tuple[_Limit, ...]:
    candidate = member.candidate
    found = [
        *_by_hand(candidate),
        *_one_replica_less(candidate, around.round_trip_ms),
        *_warm(member, around.spec),
        *_next_card(member, options, rejections, on_offer, around),
    ]
    if found:
        return tuple(found)
    message = (
        f"one replica of {candidate.demand.model.id} on {member.option.machine.instance.name} is the least there is, and no "
        "limit with a figure keeps it from a cheaper one"
    )
    return (_Limit(constraint="least", message=message),)


def _by_hand(candidate: Candidate) -> Iterator[_Limit]:
    computed = candidate.computed_baseline_replicas + candidate.computed_burst_replicas
    overrides = candidate.demand.agent.overrides
    if overrides.baseline_replicas is None and overrides.burst_replicas is None:
        return
    if candidate.peak_replicas > computed or candidate.baseline_replicas > candidate.computed_baseline_replicas:
        yield _Limit(
            constraint="by-hand",
            need=candidate.peak_replicas,
            limit=computed,
            unit="replicas",
            message=f"{counted(candidate.peak_replicas, 'replica')} at the peak are set by hand; {computed} would do",
        )


def _one_replica_less(candidate: Candidate, round_trip_ms: float) -> Iterator[_Limit]:
    """What breaks first where the peak is carried by one replica less."""
    demand, fewer = candidate.demand, candidate.peak_replicas - 1
    if not fewer:
        return
    if demand.load is not None:
        yield from _rate(candidate, candidate.service, fewer)
        return
    each = ceil_div(demand.peak, fewer)
    service = replica_service(candidate, round_trip_ms)
    seats = candidate.groups.seats(each)
    terms = candidate.memory
    with_one_less = f"with {counted(fewer, 'replica')} at the peak, of {counted(each, 'session')} each,"
    if candidate.away is None and terms.need_gib(seats) > terms.limit_gib:
        need, limit = terms.need_gib(seats), terms.limit_gib
        yield _Limit(
            constraint="kv-memory",
            need=need,
            limit=limit,
            unit="GiB",
            message=f"{with_one_less} an accelerator would hold {need:,.1f} GiB, over the {limit:,.1f} GiB that may be in use",
        )
        return
    requests = service.asking.planned(each)
    late = _late(service.computing(requests), candidate)
    if late is not None:
        constraint, need, limit = late
        yield _Limit(
            constraint=constraint,
            need=need,
            limit=limit,
            unit="ms",
            message=f"{with_one_less} {constraint.upper()} would be {need:,.0f} ms, over the budget of {limit:,.0f} ms",
        )
        return
    if candidate.away is not None and requests > candidate.away.resident:
        yield _Limit(
            constraint="paused-cache",
            need=requests,
            limit=candidate.away.resident,
            unit="requests",
            message=f"{with_one_less} {counted(requests, 'request')} would generate at once, and the accelerators "
            "hold the context of "
            f"{candidate.away.resident:,}",
        )
        return
    yield from _rate(candidate, service.holding(each), fewer)


def _late(service: Service, candidate: Candidate) -> tuple[DriverConstraint, float, float] | None:
    """The first budget that is missed, what would be, and the budget."""
    demand = candidate.demand
    checks: tuple[tuple[DriverConstraint, float | None, float | None], ...] = (
        ("ttft", with_margin(service.ttft_at_ms, demand), demand.budget_ttft_ms),
        ("tpot", with_margin(service.tpot_at_ms, demand), demand.budget_tpot_ms),
        ("e2e", service.e2e_ms, demand.budget_e2e_ms),
    )
    return next(
        ((name, need, limit) for name, need, limit in checks if need and limit and not within(need, limit)), None
    )


def _rate(candidate: Candidate, service: Service, fewer: int) -> Iterator[_Limit]:
    """Tokens in a second that so many replicas would not carry."""
    demand = candidate.demand
    hit = 0.0 if demand.load is not None else candidate.prefix_hit_ratio
    checks: tuple[tuple[DriverConstraint, str, float, float | None], ...] = (
        ("output-rate", "generate", demand.output_tokens_per_s(peak=True), service.output_tokens_per_s),
        ("prompt-rate", "read", demand.prefill_tokens_per_s(hit, peak=True), service.prefill_tokens_per_s),
    )
    for name, verb, need, each in checks:
        if each and need > each * fewer:
            yield _Limit(
                constraint=name,
                need=need,
                limit=each * fewer,
                unit="tokens/s",
                message=f"the peak asks to {verb} {need:,.0f} tokens/s; {counted(fewer, 'replica')} would do "
                f"{each * fewer:,.0f}",
            )
            return


def _warm(member: Placed, spec: StackSpec) -> Iterator[_Limit]:
    """What keeps more replicas warm than normal load needs."""
    candidate = member.candidate
    warm, normal = candidate.baseline_replicas, candidate.normal_replicas
    spare = spare_replicas(candidate, member.option.machine, spec.capacity)
    if is_absorbed(member, spec) and warm > normal + spare:
        longest_s = longest_start_s(candidate, warm - 1)
        yield _Limit(
            constraint="cold-start",
            need=None,
            limit=longest_s,
            unit="s",
            message=f"{counted(warm, 'replica')} are warm where normal load needs {normal}, for whoever comes before "
            "another one has "
            f"started; {warm - 1} would do if that took {longest_s:,.0f} s",
        )
    elif spare:
        yield _Limit(
            constraint="survive",
            need=warm,
            limit=normal,
            unit="replicas",
            message=f"{counted(warm, 'replica')} are warm where normal load needs {normal}: capacity.survive is "
            f"{spec.capacity.survive}",
        )


def _next_card(
    member: Placed,
    options: Sequence[Option],
    rejections: Sequence[Rejection],
    on_offer: Sequence[Machine],
    around: _Around,
) -> Iterator[_Limit]:
    """Why no cheaper machine does: of which there are too few, what makes the cheapest of the others take more replicas, and the
    nearest miss of the rest. Of a baseline on two kinds the dearer one is meant.
    """
    candidate = member.candidate
    parts = [here for tier, here, _ in member.option.bought if tier == "baseline"]
    option = max(parts, key=_usd_per_replica)
    bought, here = option.baseline.price_of, _usd_per_replica(option).quantize(_CENT)
    others = around.taken_by_others(member.position)
    cheaper = [
        each
        for each in options
        if each.elsewhere is None
        and each.rest is None
        and each.baseline.price_of == bought
        and each.baseline.usd_per_hour * each.candidates[0].nodes < here
        and each.machine.id != option.machine.id
    ]
    short = [each for each in cheaper if each.too_few(around.terms, others) is not None]
    if short:
        yield _too_few(min(short, key=lambda each: each.rank(around.terms)), here, others, around.terms)
    enough = [each for each in cheaper if each.too_few(around.terms, others) is None]
    if enough:
        other = min(enough, key=lambda each: each.rank(around.terms))
        more, its = other.candidates[0], other.baseline.usd_per_hour * other.candidates[0].nodes
        for limit in _one_replica_less(more, around.round_trip_ms):
            yield replace(
                limit,
                constraint="card",
                refused=limit.constraint,
                message=f"{other.machine.instance.name}, USD {its:,.2f} an hour where its part of the planned machine costs "
                f"{here:,.2f}, would take {counted(more.peak_replicas, 'replica')} of {more.accelerators_per_replica} "
                f"{more.accelerator.name}: {limit.message}",
            )
    prices: dict[str, Decimal] = {}
    for sold in on_offer:
        price = sold.usd_per_hour(bought)
        if price is not None and price < prices.get(sold.accelerator, here):
            prices[sold.accelerator] = price
    serve = {each.candidates[0].accelerator.id for each in options}
    missed = [
        each
        for each in rejections
        if each.agent == candidate.demand.name
        and each.accelerator in prices
        and each.accelerator not in serve
        and each.need is not None
        and each.limit is not None
        and each.need > each.limit
    ]
    if missed:
        nearest = min(missed, key=shortfall)
        yield _Limit(
            constraint="card",
            refused=nearest.constraint,
            need=nearest.need,
            limit=nearest.limit,
            unit=nearest.unit,
            message=f"{nearest.accelerator}, from USD {prices[nearest.accelerator]:,.2f} an hour where the planned machine costs "
            f"{here:,.2f}, is turned away: {nearest.message}",
        )


def _usd_per_replica(option: Option) -> Decimal:
    """What a replica's part of its machine costs in an hour."""
    machine = option.machine
    taken = machine.accelerators_taken(option.candidates[0].accelerators_per_replica)
    return option.baseline.usd_per_hour * taken / machine.accelerators


def _too_few(other: Option, here: Decimal, others: Mapping[str, float], terms: Terms) -> _Limit:
    """A cheaper machine of which there are too few, or for which a quota is too small."""
    found = other.too_few(terms, others)
    assert found is not None  # noqa: S101 - asked before
    limit, need = found
    is_owned = limit.name in terms.owned_names
    its = other.baseline.usd_per_hour * other.candidates[0].nodes
    named = f"{limit.name} of yours (capacity.inventory)" if is_owned else limit.name
    beside = f", and others take {others[limit.name]:,.4g}" if others.get(limit.name) else ""
    return _Limit(
        constraint="card",
        refused="inventory" if is_owned else "quota",
        need=need,
        limit=limit.most,
        unit="machines" if is_owned else "vCPUs",
        message=f"{other.machine.instance.name}, USD {its:,.2f} an hour where its part of the planned machine costs {here:,.2f}, "
        f"would take {need:,.0f}{beside}: {named} {'is' if limit.most == 1 else 'are'} too few",
    )
