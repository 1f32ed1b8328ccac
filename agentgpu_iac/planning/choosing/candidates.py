"""A candidate: one agent on one accelerator with one parallelism, that serves it.

Nothing here knows prices. A candidate says how many sessions one replica carries within memory and latency, and how
many replicas the baseline and the peak need; what that costs is decided where machines are known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from agentgpu_iac.catalog.model import Accelerator, EngineHostMemory, EngineRelease
from agentgpu_iac.catalog.prefix_cache import PrefixCache
from agentgpu_iac.planning.choosing.asking import Asking
from agentgpu_iac.planning.choosing.known import Itself
from agentgpu_iac.planning.choosing.parallelism import Sizes
from agentgpu_iac.planning.choosing.service import Service, answering, in_time, slowed, with_overrides, within
from agentgpu_iac.planning.choosing.serving import ReplicaService, asking
from agentgpu_iac.planning.demand import Demand, wanted_model_len
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.sizing.groups import Groups
from agentgpu_iac.sizing.pausing import Away
from agentgpu_iac.sizing.replica import MemoryTerms
from agentgpu_iac.sizing.speed import Speed


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An agent on an accelerator, with everything that its replicas need decided."""

    demand: Demand
    accelerator: Accelerator
    sizes: Sizes
    groups: Groups
    """Its attention groups."""
    memory: MemoryTerms
    speed: Speed | None
    max_num_batched_tokens: int
    computed_max_num_batched_tokens: int
    most_sessions: int
    """The most sessions that one replica carries within memory and latency."""
    most_generating: int
    """The most requests that one replica computes at once within every budget, if it carries that many sessions."""
    max_num_seqs: int
    computed_max_num_seqs: int
    baseline_replicas: int
    """Replicas that are always warm: those for normal load, until a machine's cold start asks for more."""
    normal_replicas: int
    """Replicas that carry normal load."""
    computed_baseline_replicas: int
    peak_replicas: int
    computed_burst_replicas: int
    prefix_hit_ratio: float
    prefix_cache: PrefixCache
    service: Service
    computed_service: Service
    """The same without the overrides of latency and throughput."""
    state_page_tokens: int = 0
    """Tokens of a page at whose end recurrent states are kept for the next request; 0 where none are."""
    offload: EngineHostMemory | None = None
    """What the engine's version takes of the host for KV cache that it moves there; None: nothing is known."""
    must_stream: bool = False
    """The stack names the streaming loader, whose buffers the host must then have room for."""
    nodes: int = 1
    """Whole nodes that one replica takes; where more than one, its pipeline stages are spread over them."""
    gbps_between_nodes: float = 0.0
    """Rate at which they hand one another activations, as the latency counts it."""
    away: Away | None = None
    """Where the cache of sessions that pause is, if not on its accelerators."""
    engines: int = 1
    """Busy engines that take turns on its accelerator."""

    @property
    def accelerators_per_replica(self) -> int:
        """TP x PP x attention groups."""
        return self.sizes.accelerators

    @property
    def seats_per_group(self) -> int:
        """Seats of each attention group: what one accelerator holds KV cache for."""
        return self.groups.seats(self.resident_sessions)

    @property
    def resident_sessions(self) -> int:
        """Sessions whose KV cache the accelerators hold: all, or those that a replica may generate for at once and, of those that
        pause, as many as are to find theirs.
        """
        if self.away is None:
            return self.max_num_seqs
        return max(self.service.most_generating, self.away.held(self.max_num_seqs, self.service.generating))

    @property
    def longest_prompt_hit_ratio(self) -> float:
        """Share of earlier context that the largest prompt finds in the cache."""
        return self.prefix_hit_ratio if self.away is None else self.away.longest_prompt_hit_ratio(self.prefix_hit_ratio)

    @property
    def kv_offload_gib(self) -> float:
        """Host memory of a replica for KV cache: as asked for, or that of all its sessions where paused ones are moved there."""
        if self.away is None or self.away.to != "offload":
            return self.demand.agent.kv_offload_gib or 0.0
        terms = self.memory
        held = self.max_num_seqs * terms.kv_own_gib + terms.shared_kv_gib + terms.other_prefix_kv_gib
        return PORTS[self.demand.agent.engine].host_cache_gib(held, self.accelerators_per_replica)

    @property
    def full_speed(self) -> Speed | None:
        """Its speed with the requests that generate at once: steps wait for the fullest attention group."""
        return (
            None if self.speed is None else self.speed.with_fullest_group(self.groups.fullness(self.service.generating))
        )

    @property
    def accelerators_per_pod(self) -> int:
        """Those of one node: a replica has one pod on each of its nodes."""
        return self.accelerators_per_replica // self.nodes

    @property
    def burst_replicas(self) -> int:
        """Replicas that only the peak needs."""
        return self.peak_replicas - self.baseline_replicas


def max_model_len(candidate: Candidate, release: EngineRelease, budget_gib: float) -> tuple[int, int]:
    """(chosen, computed) --max-model-len: what is wanted, as far as one such sequence fits the engine's KV budget.

    The engine refuses to start when a single sequence of that length does not fit.
    """
    demand = candidate.demand
    wanted = wanted_model_len(demand)
    terms = candidate.memory
    in_budget = release.graphs_in_budget and terms.counts_graphs
    seats = candidate.seats_per_group
    graphs_outside = 0.0 if in_budget else terms.cuda_graph_gib(seats)
    room = budget_gib - terms.cold_start_gib - terms.loaded_gib - terms.overhead_gib(seats) + graphs_outside
    if demand.model.keeps_kv:
        wanted = max(min(wanted, demand.longest_context_tokens), terms.longest_model_len(room, wanted))
    return demand.agent.overrides.max_model_len or wanted, wanted


def shared(candidate: Candidate, engines: int, round_trip_ms: float) -> Candidate:
    """The same candidate when ``engines`` busy engines take turns on its accelerator.

    Time-slicing gives each of N busy engines 1/N of the accelerator: every time of the engine is multiplied and
    every rate divided by N. That is the worst case; idle neighbours cost nothing. The network is not shared, and
    what was measured and set by hand stays as it is.
    """
    service = with_overrides(
        _beside(candidate, engines, round_trip_ms, candidate.peak_replicas, by_hand=True), candidate.demand
    )
    computed = _beside(candidate, engines, round_trip_ms, candidate.peak_replicas)
    return replace(candidate, engines=engines, service=service, computed_service=computed)


def replica_service(
    candidate: Candidate, round_trip_ms: float, *, engines: int | None = None, by_hand: bool = True
) -> ReplicaService:
    """One replica before its sessions, ``engines`` of them taking turns: as many as are chosen if unset."""
    return ReplicaService(
        candidate.demand,
        candidate.speed,
        candidate.prefix_hit_ratio,
        candidate.groups,
        round_trip_ms,
        by_hand=by_hand,
        engines=candidate.engines if engines is None else engines,
        away=candidate.away,
    )


def asking_of(candidate: Candidate) -> Asking:
    """The sessions before one replica."""
    away = candidate.away
    return asking(
        Itself(candidate.demand),
        candidate.speed,
        candidate.prefix_hit_ratio,
        candidate.groups,
        engines=candidate.engines,
        reload_ms=0.0 if away is None else away.waits_ms,
    )


def _beside(
    candidate: Candidate, engines: int, round_trip_ms: float, replicas: int, *, by_hand: bool = False
) -> Service:
    """What is left of the service when ``engines`` busy engines take turns on its accelerator.

    Slower answers leave more requests to be computed at once. An engine that generates nothing then has more inputs ahead of
    each: the fewest with which its rate, shared, still carries the load.
    """
    demand = candidate.demand
    if demand.load is None:
        beside = replica_service(candidate, round_trip_ms, engines=engines, by_hand=by_hand)
        return beside.holding(candidate.max_num_seqs)
    if candidate.speed is None:
        return slowed(candidate.computed_service, engines, round_trip_ms)
    needed = demand.prefill_tokens_per_s(0.0, peak=True) / replicas
    low, high = candidate.computed_service.sessions, max(candidate.most_sessions, candidate.computed_service.sessions)

    def with_ahead(ahead: int) -> Service:
        whole = answering(candidate.speed, demand, load, ahead, round_trip_ms)
        return slowed(whole, engines, round_trip_ms)

    load = demand.load
    while low < high:
        middle = (low + high) // 2
        if within(needed, with_ahead(middle).prefill_tokens_per_s):
            high = middle
        else:
            low = middle + 1
    return with_ahead(low)


def tolerated_engines(candidate: Candidate, most: int, round_trip_ms: float, replicas: int = 1) -> int:
    """How many busy engines may share the accelerator before this agent misses a budget, or its replicas their token rate."""
    return _tolerated(Itself(candidate), most, round_trip_ms, replicas)  # which is asked in each region


@lru_cache(maxsize=4096)
def _tolerated(itself: Itself[Candidate], most: int, round_trip_ms: float, replicas: int) -> int:
    candidate = itself.thing
    demand = candidate.demand
    output_tokens_per_s = demand.output_tokens_per_s(peak=True) / replicas
    prefill_tokens_per_s = demand.prefill_tokens_per_s(candidate.prefix_hit_ratio, peak=True) / replicas

    def bears(engines: int) -> bool:
        service = with_overrides(_beside(candidate, engines, round_trip_ms, replicas, by_hand=True), demand)
        enough = within(output_tokens_per_s, service.output_tokens_per_s) and within(
            prefill_tokens_per_s, service.prefill_tokens_per_s
        )
        return in_time(service, demand) and enough

    return next((engines for engines in range(most, 1, -1) if bears(engines)), 1) if most > 1 and bears(2) else 1
