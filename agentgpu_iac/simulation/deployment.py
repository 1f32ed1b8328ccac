"""One deployment of the plan: its replicas of both tiers, who of them takes a request, and what their machines cost."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Final

from agentgpu_iac.plan import NodePool, Plan, RoutePlan, ScalingPlan, Workload
from agentgpu_iac.simulation.measures import Series
from agentgpu_iac.simulation.opening import Peaks, Windows
from agentgpu_iac.simulation.replica import Engine, Replica, engine_of
from agentgpu_iac.simulation.ring import Ring
from agentgpu_iac.simulation.sessions import Session
from agentgpu_iac.sizing.speed import Speed

FOUND_AFTER_MS: Final = 5_000.0
"""From a replica that is ready, or leaves, to a router that knows it (docs/traffic.md: pods are followed within about 5 s)."""
_P95: Final = 1.6448536269514722
"""Normal deviate of one in twenty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A request that a picker holds until a replica has room."""

    session: Session
    since_ms: float
    first_sent_ms: float
    tries: int


class Deployment:
    """Replicas of one deployment, in time."""

    def __init__(self, plan: Plan, tiers: Sequence[Workload], seed: int, *, shared: Mapping[str, int]) -> None:
        self.name = tiers[0].agent
        self.baseline = tiers[0]
        self.burst = next((tier for tier in tiers if tier.tier == "burst" and tier.replicas.max), None)
        self.engines: dict[str, Engine] = {tier.tier_label: engine_of(tier, _speed(tier), shared) for tier in tiers}
        self.pools: dict[str, NodePool] = {tier.tier_label: plan.pool(tier.node_pool) for tier in tiers}
        routes = () if plan.router is None else plan.router.routes
        self.route: RoutePlan | None = next((each for each in routes if each.leads_to == self.name), None)
        self.is_picked = plan.router is not None and plan.router.kind == "gateway" and self.route is not None
        self.is_affine = tiers[0].routing.policy == "session-affine"
        self.chance = Random(f"{seed}/{self.name}/starts")
        self.replicas: list[Replica] = []
        """All that are paid for."""
        self.routed: list[Replica] = []
        """Those that the router sends requests to."""
        self.held: deque[Held] = deque()
        self.sessions = 0
        self.turned_away = 0
        """Requests that no replica took, each try counted: what the engines' counters show."""
        self.series = Series()
        self.preempted = 0
        self.peak_cache_ratio = 0.0
        self.peak_waiting = 0
        self.most_burst = 0
        self.burst_starts = 0
        self.reclaimed = 0
        self.failed = 0
        self.refused_machines = 0
        self.rolled = 0
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.paid_ms: dict[str, float] = {tier.tier_label: 0.0 for tier in tiers}
        hours = self.baseline.open_hours
        self.windows: Windows | None = None if hours is None else Windows(hours)
        """When its baseline runs; None: always."""
        self.keeps_nodes = hours is None or hours.node_hours_per_month is None
        """Whether the nodes of its baseline are there, and paid, outside of its windows too."""
        self.idle_nodes: list[float] = []
        """When each burst node that is empty goes."""
        weights = {} if plan.router is None else plan.router.weight_of
        here = {tier.name: weights[tier.name] for tier in tiers if tier.name in weights}
        self._weights = {name: weight / min(here.values()) for name, weight in here.items()}
        """What the router gives a replica of each workload beside one of the smallest; empty: all get as much."""
        self._ring: Ring | None = None
        self._by_number: dict[int, Replica] = {}
        self._numbers = 0
        self._bill_ms = 0.0
        self.follows_clock = False
        """Whether its baseline comes and goes by the clock in this simulation."""
        self._turn = 0

    def peaks(self, scaling: ScalingPlan) -> Peaks:
        """Its burst replicas at known hours, on the clock by which its baseline goes, if it goes by one."""
        hours = self.baseline.open_hours
        return Peaks(scaling.schedules, None if hours is None else hours.windows[0].timezone)

    def add(self, tier: str, now_ms: float, ready_ms: float) -> Replica:
        """A replica is asked for; it is ready at a time."""
        replica = Replica(self._numbers, self.engines[tier], now_ms, ready_ms)
        self._numbers += 1
        self._by_number[replica.number] = replica
        self.replicas.append(replica)
        return replica

    def has_idle_node(self, tier: str, now_ms: float) -> bool:
        """Whether a burst node still waits empty; those that have gone were paid to their end."""
        for gone in [until for until in self.idle_nodes if until <= now_ms]:
            self.idle_nodes.remove(gone)
            self.paid_ms["burst"] += self._waited_ms(gone, gone)
        return tier == "burst" and bool(self.idle_nodes)

    def start_s(self, tier: str, now_ms: float, *, on_its_node: bool = False) -> float:
        """How long the start of a replica takes now; on an empty node that still waits it is shorter."""
        if self.has_idle_node(tier, now_ms):
            self.paid_ms["burst"] += self._waited_ms(self.idle_nodes.pop(0), now_ms)
            on_its_node = True
        return self.drawn_start_s(tier, on_its_node=on_its_node)

    def drawn_start_s(self, tier: str, *, on_its_node: bool) -> float:
        """The same on a machine that is there or not: lognormal with the plan's likely and cautious figures."""
        start = self.engines[tier].workload.cold_start_s
        likely, upper = start.total, start.upper.total
        if on_its_node:
            likely, upper = start.warm_node_total, start.upper.warm_node_total
        sigma = math.log(max(1.0, upper / likely)) / _P95 if likely else 0.0
        return likely * math.exp(sigma * _normal(self.chance))

    def enter(self, replica: Replica) -> None:
        """The router has found a replica."""
        if replica.state == "starting":
            replica.state = "ready"
            self.routed.append(replica)
            self._ring = None
            self.most_burst = max(self.most_burst, len(self.ready("burst")))

    def leave(self, replica: Replica) -> None:
        """The router sends nothing more to a replica."""
        if replica in self.routed:
            self.routed.remove(replica)
            self._ring = None
        replica.state = "leaving"

    def end(self, replica: Replica, now_ms: float, *, node_stays: bool) -> None:
        """A replica is no more, and its node goes, or waits empty for a while."""
        if replica.state == "ended":
            return
        self.leave(replica)
        replica.state = "ended"
        tier = replica.engine.workload.tier
        self.replicas.remove(replica)
        self._by_number.pop(replica.number)
        if tier != "baseline" or not self.follows_clock or not self.keeps_nodes:
            self.paid_ms[replica.engine.workload.tier_label] += now_ms - replica.claimed_ms
        self._count(replica)
        if node_stays and tier == "burst":
            self.idle_nodes.append(now_ms + self.pools[tier].idle_s * 1000)

    def settle_bill(self, now_ms: float) -> None:
        """Count what runs until now."""
        for replica in self.replicas:
            tier = replica.engine.workload.tier
            if tier != "baseline" or not self.follows_clock or not self.keeps_nodes:
                self.paid_ms[replica.engine.workload.tier_label] += now_ms - replica.claimed_ms
            self._count(replica)
        if self.follows_clock and self.keeps_nodes:
            self.paid_ms["baseline"] = self.baseline.replicas.max * (now_ms - self._bill_ms)
        if self.idle_nodes:
            self.paid_ms["burst"] += sum(self._waited_ms(until, min(now_ms, until)) for until in self.idle_nodes)

    def _waited_ms(self, until_ms: float, now_ms: float) -> float:
        """Time up to now, of what is billed, in which a node waited empty that goes at ``until_ms``."""
        return max(0.0, now_ms - max(self._bill_ms, until_ms - self.pools["burst"].idle_s * 1000))

    def _count(self, replica: Replica) -> None:
        self.preempted += replica.steps.preempted
        self.peak_cache_ratio = max(self.peak_cache_ratio, replica.peak_cache_ratio)

    def start_bill(self, now_ms: float) -> None:
        """Forget what was paid before."""
        self._bill_ms = now_ms
        self.paid_ms = dict.fromkeys(self.paid_ms, 0.0)
        for replica in self.replicas:
            replica.claimed_ms = max(replica.claimed_ms, now_ms)

    def ready(self, tier: str) -> list[Replica]:
        """Replicas of a tier that take requests."""
        return [each for each in self.routed if each.engine.workload.tier == tier]

    def gpu_hours(self) -> float:
        """Accelerators x hours paid for."""
        return sum(self.paid_ms[tier.tier_label] * tier.accelerators_per_replica for tier in self.tiers) / 3_600_000

    def usd(self) -> Decimal:
        """At the plan's prices."""
        hours = {tier.tier_label: Decimal(repr(self.paid_ms[tier.tier_label] / 3_600_000)) for tier in self.tiers}
        return sum((tier.replica_usd_per_hour * hours[tier.tier_label] for tier in self.tiers), Decimal(0))

    def static_usd(self, hours: float) -> Decimal:
        """Had all replicas of the peak run for so long."""
        every = sum((tier.replica_usd_per_hour * tier.replicas.max for tier in self.tiers), Decimal(0))
        return every * Decimal(repr(hours))

    @property
    def tiers(self) -> tuple[Workload, ...]:
        """Its workloads."""
        return tuple(engine.workload for engine in self.engines.values())

    def own(self, session: Session) -> Replica | None:
        """The replica that a session's hash leads to, where it does: the first of ``tries``."""
        if self.is_picked or not self.is_affine or not self.routed:
            return None
        if len(self.routed) == 1:
            return self.routed[0]
        return self._by_number[self._hashed.first(session.key)]

    def tries(self, session: Session) -> Iterator[Replica]:
        """Replicas in the order in which the router asks them; none where all are away."""
        if not self.routed:
            return
        if self.is_picked or not self.is_affine:
            yield from self._in_turn() if not self.is_picked else self._picked(session)
            return
        if len(self.routed) == 1:
            yield self.routed[0]
            return
        for number in self._hashed.replicas(session.key):
            yield self._by_number[number]

    @property
    def _hashed(self) -> Ring:
        if self._ring is None:
            numbers = [each.number for each in self.routed]
            its = {each.number: self._weights.get(each.engine.workload.name, 1.0) for each in self.routed}
            self._ring = Ring(numbers, its if self._weights else None)
        return self._ring

    def _in_turn(self) -> Iterator[Replica]:
        count, turn = len(self.routed), self._turn
        self._turn += 1  # before the first is asked: nobody comes back here once a replica has taken the request
        for step in range(count):
            yield self.routed[(turn + step) % count]

    def _picked(self, session: Session) -> Iterator[Replica]:
        """The picker weighs queues and prefixes: the session's own replica while it has a seat free, else the emptiest."""
        key = _fullness(session.key)
        yield min(self.routed, key=key)

    def drain_ms(self, replica: Replica) -> float:
        """From leaving the router to the end of a replica, at most."""
        drain = replica.engine.workload.drain
        return 1000.0 * (drain.pre_stop_s + drain.shutdown_timeout_s)

    @property
    def most_tries(self) -> int:
        """Replicas that a request may be sent to."""
        return 1 if self.route is None else self.route.max_tries


def _fullness(key: int) -> Callable[[Replica], tuple[float, int]]:
    def of(replica: Replica) -> tuple[float, int]:
        seats = replica.engine.scheduling.seats
        return max(0.0, replica.in_flight / seats - 0.5), (key ^ (replica.number * 2654435761)) & 0xFFFFFFFF

    return of


def _speed(workload: Workload) -> Speed:
    assert workload.step_times is not None  # noqa: S101 - asked before
    return workload.step_times.speed()


def _normal(chance: Random) -> float:
    """A normal deviate (Box and Muller), the same in every release of Python."""
    return math.sqrt(-2 * math.log(1 - chance.random())) * math.cos(2 * math.pi * chance.random())
