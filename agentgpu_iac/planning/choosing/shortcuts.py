"""What would shorten a start: which of the known ways this agent on this machine can take, and how long it would start then.

Some ways are computed with the machine, as the plan would count them; of the others a row of ``shortcuts.json`` says which
phases they spare, and what stands in their place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from agentgpu_iac.catalog.model import EngineRelease, Shortcut
from agentgpu_iac.planning.choosing import caching, streaming
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.tiers import replicas_before_ready, warm_replicas
from agentgpu_iac.sizing import loading, starting
from agentgpu_iac.spec.model import Capacity, StackSpec
from agentgpu_iac.targets import target_of

_SOME_BUCKET = "s3://models"
"""Stands for the bucket that the spec does not name; how fast it is hangs on the machine alone."""
_HALVINGS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A replica of a candidate that starts on a new node of a kind, whose cache is filled with so many GiB."""

    candidate: Candidate
    machine: Machine
    release: EngineRelease
    spec: StackSpec
    node_models_gib: float

    def bounded(self, spec: StackSpec | None = None, node_models_gib: float | None = None) -> starting.Bounded:
        """How long it takes, as planned or by another spec."""
        gib = self.node_models_gib if node_models_gib is None else node_models_gib
        return caching.cold_start(self.candidate, self.machine, self.release, spec or self.spec, node_models_gib=gib)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to start sooner, for one agent."""

    status: Literal["taken", "offered", "not-here"]
    why_not: str
    start: starting.Bounded
    """With it; the start as planned where it is taken."""


def way(row: Shortcut, start: Start) -> Way:
    """What a way would do for an agent, and whether it can be taken."""
    computed = _COMPUTED.get(row.id)
    if computed is not None:
        return computed(start)
    likely_s = row.takes_s or 0.0
    spared = starting.shortened(start.bounded(), row.spares, likely_s, max(likely_s, row.at_worst_s or 0.0))
    return Way(status="not-here", why_not=row.why_not, start=spared)


def warm_for(candidate: Candidate, cold_start_s: float, capacity: Capacity, spare: int = 0) -> int:
    """Replicas that must be warm where another one takes so long."""
    unhurried = replace(candidate, baseline_replicas=min(candidate.normal_replicas, candidate.peak_replicas))
    return warm_replicas(unhurried, cold_start_s, capacity, spare=spare)


def longest_start_s(candidate: Candidate, warm: int) -> float:
    """The longest start before whose end no more callers come than so many warm replicas have seats for, and answer in time.

    The load climbs evenly over the ramp, as ``tiers.sessions_before_ready`` has it.
    """
    demand, each = candidate.demand, candidate.service.prefill_tokens_per_s
    normal, peak, carried = float(demand.concurrent), float(demand.peak), float(warm * candidate.most_sessions)
    if demand.load is not None and each:  # nobody keeps a seat: by rate
        normal, peak = (demand.prefill_tokens_per_s(candidate.prefix_hit_ratio, peak=at) for at in (False, True))
        carried = warm * each
    seated_s = max(0.0, demand.ramp_s * (carried - normal) / (peak - normal))
    if demand.load is not None or warm >= replicas_before_ready(candidate, seated_s):
        return seated_s
    low, high = 0.0, seated_s
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if warm >= replicas_before_ready(candidate, middle):
            low = middle
        else:
            high = middle
    return low


def _pull(start: Start) -> Way:
    spec = start.spec
    if caching.image_pull(start.machine, spec) == "parallel":
        return Way(status="taken", why_not="", start=start.bounded())
    wanted = spec.model_copy(update={"capacity": spec.capacity.model_copy(update={"image_pull": "parallel"})})
    if caching.image_pull(start.machine, wanted) == "parallel":
        return Way(status="offered", why_not="capacity.imagePull is default", start=start.bounded(wanted))
    why = "the disk of the nodes is too slow for it, or their pinned image does not know it"
    if not target_of(spec).makes_nodes_of(start.machine.instance.provider):
        why = "how nodes pull is set where they are made, and that is not here"
    return Way(status="not-here", why_not=why, start=start.bounded())


def _stream(start: Start) -> Way:
    spec, candidate, machine = start.spec, start.candidate, start.machine
    if caching.streams(candidate, machine, start.release, spec):
        return Way(status="taken", why_not="", start=start.bounded())
    cache = spec.model_cache.model_copy(
        update={"source": "s3", "bucket": spec.model_cache.bucket or _SOME_BUCKET, "stream": "auto"}
    )
    wanted = spec.model_copy(update={"model_cache": cache})
    why = _why_not_streamed(start, wanted)
    if why:
        return Way(status="not-here", why_not=why, start=start.bounded())
    own_gib = caching.models_gib(caching.cached_models([candidate], spec))
    left_gib = max(0.0, start.node_models_gib - own_gib)
    missing = "modelCache.stream is off" if spec.model_cache.source == "s3" else "the models lie in no bucket of yours"
    return Way(status="offered", why_not=missing, start=start.bounded(wanted, left_gib))


def _why_not_streamed(start: Start, wanted: StackSpec) -> str:
    if not target_of(wanted).can.opens_buckets_to_pods:
        return "the identity by which pods read a bucket is not set up here"
    barred = streaming.bar(start.candidate.demand.agent, start.release)
    if barred is not None:
        return barred
    if wanted.model_cache.loader not in ("auto", "runai-streamer"):
        return f"modelCache.loader names {wanted.model_cache.loader}, which reads local files"
    if loading.expected_network_gbps(start.machine.instance) is None:
        return "how fast the machine's network is was not found"
    if not caching.streams(start.candidate, start.machine, start.release, wanted):
        return "the node's cache is filled and read as fast, or the host has no room for the streamer's buffers"
    return ""


_COMPUTED: dict[str, Callable[[Start], Way]] = {"parallel-pull": _pull, "stream": _stream}
