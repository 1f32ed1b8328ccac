"""Mélange's formulation (Griggs and others, 2024), over the same machines, prices and step model, with the same solver.

Its workload is a histogram of requests by their size, its unknowns are machines of each type. A bucket of requests is cut into
slices; a slice goes to one type of machine and takes rate / MaxTput of it, the most requests of that size that such a machine
answers in a second within the budgets; the machines of a type hold what their slices take; their number is whole and their
cost the least. Nothing else is in it: no sessions, so nothing that they hold and nothing found in a cache, no percentile of
requests that come together, no bursts (the machines of the peak stand all month), no time to start, one way to buy. Models do
not share machines, so that the program is one for each model. An agent without a pace (in the background, without volume) has no
rate: its sessions ask again as soon as they are answered, and what of them a machine carries stands for MaxTput.

    minimise   sum of usd_j x machines_j
    subject to sum over j of slices_bj = slices,   sum over b of slices_bj x rate_b / (slices x MaxTput_bj) <= machines_j
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.solver import Row, Unsolvable, cheapest
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.sizing import latency
from agentgpu_iac.spec.model import MAX_COUNT
from agentgpu_iac.units import HOURS_PER_MONTH
from bench.simpler import Seen

SLICES = 8
"""Of a bucket, as in the paper's evaluation."""
_EDGES = (25, 100, 250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000)
"""Upper edges of the buckets in input tokens; the paper's go to 32,000."""
_ROUND_TRIP_MS = 20.0
"""The spec's default."""
_MOST_TYPES = 16
"""Types that the program may use: the best of each bucket first, by the cost of its load, then the rest by that of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Requests of about one size, with their agent's budgets."""

    demand: Demand
    input_tokens: float
    output_tokens: float
    per_s: float
    """Requests in a second; or sessions that ask again once they are answered and have paused, where an agent has no pace."""
    by_session: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """A machine with as many replicas as fit, and the requests of each bucket that it answers in a second."""

    usd_per_hour: Decimal
    per_s: tuple[float, ...]
    """0: not within the budgets."""


def buckets(demand: Demand, *, peak: bool) -> list[Bucket]:
    """An agent's requests over a conversation, those of a turn alike: each has all before its turn in its prompt."""
    talk, shape = demand.agent.conversation, demand.shape
    by_session = demand.turns_per_s_peak == 0
    asked = float(demand.peak if peak else demand.concurrent) if by_session else demand.requests_per_s(peak=peak)
    prefix = talk.system_prompt_tokens
    grows = (shape.last_turn_tokens - (talk.reasoning_tokens_per_turn or 0) - prefix) / talk.turns
    answer = shape.output_tokens_per_turn - (talk.reasoning_tokens_per_turn or 0)
    new = (grows - answer) / shape.requests_per_turn
    by_edge: dict[int, list[float]] = {}
    for turn in range(talk.turns):
        tokens = prefix + turn * grows + max(1.0, new)
        edge = next((edge for edge in _EDGES if tokens <= edge), _EDGES[-1])
        by_edge.setdefault(edge, []).append(tokens)
    return [
        Bucket(
            demand=demand,
            input_tokens=sum(found) / len(found),
            output_tokens=shape.output_tokens_per_request,
            per_s=asked * len(found) / talk.turns,
            by_session=by_session,
        )
        for found in by_edge.values()
    ]


def most_per_s(candidate: Candidate, bucket: Bucket) -> float:
    """The most requests of a bucket that a replica answers in a second (or sessions that it carries) within memory and budgets.

    On average, as the paper has it: not at a percentile.
    """
    engine, demand = candidate.speed, bucket.demand
    if engine is None:
        return 0.0
    ends = bucket.input_tokens + bucket.output_tokens
    most = max(1, int(candidate.memory.most_sessions(MAX_COUNT) * candidate.memory.context_tokens / ends))
    request = latency.Request(
        prompt_tokens=bucket.input_tokens,
        context_tokens=bucket.input_tokens + bucket.output_tokens / 2,
        output_tokens=bucket.output_tokens,
    )

    def rate(running: int) -> float:
        found = latency.predict(engine, request, running)
        late = demand.budget_ttft_ms is not None and found.ttft_ms + _ROUND_TRIP_MS > demand.budget_ttft_ms
        slow = demand.budget_tpot_ms is not None and found.tpot_ms > demand.budget_tpot_ms
        if late or slow:
            return 0.0
        per_s = found.output_tokens_per_s / bucket.output_tokens
        return running + per_s * demand.pause_s if bucket.by_session else per_s

    best = rate(most)
    low, high = (most, most + 1) if best else (0, most)
    while high - low > 1:
        middle = (low + high) // 2
        found = rate(middle)
        if found > 0:
            low, best = middle, found
        else:
            high = middle
    return best


def types(
    options: Iterable[Option], asked: Sequence[Bucket], most: Callable[[Candidate, Bucket], float] = most_per_s
) -> list[Type]:
    """Machines on demand, those left out that another undercuts with as much of everything.

    ``most``: what of a bucket a replica carries.
    """
    rates: dict[tuple[object, ...], tuple[float, ...]] = {}
    found: dict[tuple[object, ...], Type] = {}
    for option in options:
        candidate, machine = option.candidates[0], option.machine
        price = machine.usd_per_hour("on-demand")
        if price is None or option.elsewhere is not None or option.is_shared or option.spans_nodes:
            continue
        engine = (candidate.accelerator.id, candidate.sizes)
        if engine not in rates:
            rates[engine] = tuple(most(candidate, bucket) for bucket in asked)
        replicas = machine.accelerators // machine.accelerators_taken(candidate.accelerators_per_replica)
        key = (*engine, replicas)
        if any(rates[engine]) and (key not in found or price < found[key].usd_per_hour):
            found[key] = Type(usd_per_hour=price, per_s=tuple(rate * replicas for rate in rates[engine]))
    kept: list[Type] = []
    for each in sorted(found.values(), key=lambda each: (each.usd_per_hour, [-rate for rate in each.per_s])):
        if not any(_undercuts(other, each) for other in kept):
            kept.append(each)
    return _best(kept, asked)


def _undercuts(other: Type, each: Type) -> bool:
    as_much = all(theirs >= mine for theirs, mine in zip(other.per_s, each.per_s, strict=True))
    return other.usd_per_hour <= each.usd_per_hour and as_much


def _best(found: list[Type], asked: Sequence[Bucket]) -> list[Type]:
    """At most so many: for each bucket the cheapest for its load in part and in whole machines, then by the load of all."""
    if len(found) <= _MOST_TYPES:
        return found
    ranked: list[Type] = []
    for number, bucket in enumerate(asked):
        able = [each for each in found if each.per_s[number] > 0]
        for whole in (False, True):
            if able:
                ranked.append(min(able, key=lambda each: _usd(each, number, bucket, whole=whole)))

    def usd_of_all(each: Type) -> float:
        return sum(_usd(each, number, bucket, whole=False) for number, bucket in enumerate(asked))

    ranked += sorted(found, key=usd_of_all)
    return list(dict.fromkeys(ranked))[:_MOST_TYPES]


def _usd(each: Type, number: int, bucket: Bucket, *, whole: bool) -> float:
    if each.per_s[number] <= 0:
        return 1e9
    machines = bucket.per_s / each.per_s[number]
    return float(each.usd_per_hour) * (math.ceil(machines) if whole else machines)


def fewest_usd_per_hour(machines: Sequence[Type], asked: Sequence[Bucket]) -> Decimal | None:
    """The cheapest machines of one model; None where some bucket is within the budgets on none."""
    buckets_on = [[number for number, each in enumerate(machines) if each.per_s[at] > 0] for at in range(len(asked))]
    if not all(buckets_on):
        return None
    costs = [float(each.usd_per_hour) for each in machines]
    most: list[float] = [
        math.ceil(sum(b.per_s / e.per_s[at] for at, b in enumerate(asked) if e.per_s[at])) for e in machines
    ]
    takes: dict[int, list[tuple[int, float]]] = {number: [(number, -1.0)] for number in range(len(machines))}
    rows: list[Row] = []
    for at, bucket in enumerate(asked):
        slices: list[tuple[int, float]] = []
        for number in buckets_on[at]:
            slices.append((len(costs), 1.0))
            takes[number].append((len(costs), bucket.per_s / (SLICES * machines[number].per_s[at])))
            costs.append(0.0)
            most.append(float(SLICES))
        rows.append(Row(least=SLICES, most=SLICES, weights=tuple(slices)))
    rows += [Row(least=-math.inf, most=0.0, weights=tuple(weights)) for weights in takes.values()]
    try:
        found = cheapest(costs, most, rows)
    except Unsolvable:
        return None
    return sum(
        (each.usd_per_hour * round(count) for each, count in zip(machines, found.values, strict=False)), Decimal(0)
    )


def melange(seen: Seen, *, resized: bool = False) -> Decimal | None:
    """USD a month of the machines of the peak, all month; ``resized``: those of normal load but for the hours of bursts.

    Which is kind to it: it then knows of each burst before it comes. Where a target starts no machines, none is resized.
    """
    peak = _usd_per_hour(seen, peak=True)
    scales = any(option.at("burst").burst is not None for options in seen.apart for option in options)
    if peak is None or not resized or not scales:
        return None if peak is None else peak * HOURS_PER_MONTH
    normal = _usd_per_hour(seen, peak=False)
    if normal is None:
        return None
    return normal * (HOURS_PER_MONTH - seen.terms.burst_hours) + peak * seen.terms.burst_hours


def _usd_per_hour(seen: Seen, *, peak: bool) -> Decimal | None:
    by_model: dict[tuple[str, str], list[int]] = {}
    for position, demand in enumerate(seen.demands):
        by_model.setdefault((demand.model.id, demand.precision), []).append(position)
    total = Decimal(0)
    for positions in by_model.values():
        asked = [bucket for position in positions for bucket in buckets(seen.demands[position], peak=peak)]
        options = [option for position in positions for option in seen.apart[position]]
        usd = fewest_usd_per_hour(types(options, asked), asked)
        if usd is None:
            return None
        total += usd
    return total
