"""One replica of the fleet: the steps of ``sizing.stepping``, the caches of sessions that pause, and the server's process."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agentgpu_iac.plan import Workload
from agentgpu_iac.simulation.sessions import Session
from agentgpu_iac.simulation.step_lines import SharedLines, StepLines
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.latency import way_ms
from agentgpu_iac.sizing.speed import Speed
from agentgpu_iac.sizing.stepping import Asked, Scheduling, Steps
from agentgpu_iac.units import GIB


class Call(Asked):
    """A request at a replica, and whose it is."""

    __slots__ = ("first_sent_ms", "history_tokens", "own_tokens", "read_ms", "replica", "session", "tries")

    session: Session
    replica: Replica
    first_sent_ms: float
    """When its client sent it for the first time."""
    tries: int
    """Times that its client sent it."""
    history_tokens: int
    """Context that the session had before."""
    own_tokens: int
    """Of it, what lay in the cache for the session alone."""
    read_ms: float
    """When the server's process has read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What every replica of a workload is like, read from the plan."""

    workload: Workload
    speed: Speed
    steps: StepLines
    """The same, for its steps."""
    scheduling: Scheduling
    shared: Mapping[str, int]
    """Agent -> tokens of the prefix that all of its sessions share: held once, and read by the first of them, and again after
    its room was needed while none of them was answered."""
    most_requests: float
    """Requests in flight at which it answers 503; infinite: it never does."""
    looks_twice: bool
    """Whether it looks at that limit once more when a request has passed its server: ``SizingPort.admits_twice``."""
    host_ms: float
    """Of a request in the server's process."""
    before_ms: float
    """Server and tokeniser, before the scheduler has a request."""
    after_ms: float
    """From the end of a step to its token at the caller."""
    reload_ms_per_token: float | None
    """Bringing back a context that was moved to the host; None: it is read again."""


def engine_of(workload: Workload, speed: Speed, shared: Mapping[str, int]) -> Engine:
    """The engine of a workload of the plan; ``shared``: agent -> tokens of the prefix that its sessions share."""
    groups = workload.attention_data_parallel_size
    limit = workload.admission.max_queued_requests
    planned = float(workload.most_generating if workload.generating is None else workload.generating.planned)
    context = float(workload.memory.expected_context_tokens)
    way = way_ms(speed, speed.decode_ms(max(1.0, planned), context))
    latency = workload.latency
    reload = None
    if workload.paused_cache == "offload":
        reload = latency.reload_ms / max(1, workload.memory.context_tokens)
    return Engine(
        workload=workload,
        speed=speed,
        steps=StepLines(speed),
        scheduling=SIZING_PORTS[workload.engine.name].scheduling(
            seats=workload.seats_per_group * groups,
            step_tokens=workload.max_num_batched_tokens * groups,
            cache_tokens=cache_tokens(workload),
            fixed_tokens=fixed_tokens(workload),
        ),
        shared=shared,
        most_requests=math.inf if limit is None else float(limit),
        looks_twice=limit is not None and SIZING_PORTS[workload.engine.name].admits_twice,
        host_ms=speed.host_ms_per_request,
        before_ms=way / 2,
        after_ms=way / 2,
        reload_ms_per_token=reload,
    )


def cache_tokens(workload: Workload) -> float:
    """Tokens that the KV cache of a replica holds, as planned: what sessions fill, and what lies between that and the budget."""
    memory = workload.memory
    per_token = memory.kv_bytes_per_token + memory.draft_kv_bytes_per_token
    if not per_token:
        return math.inf
    held_gib = memory.kv_gib + max(0.0, memory.headroom_gib)
    return held_gib * GIB / per_token * workload.attention_data_parallel_size


def fixed_tokens(workload: Workload) -> float:
    """What a session holds beside the tokens of its context (windows, states, half-empty pages), as tokens."""
    memory = workload.memory
    per_token = memory.kv_bytes_per_token + memory.draft_kv_bytes_per_token
    if not per_token:
        return 0.0
    return memory.kv_per_session_gib * GIB / per_token - memory.context_tokens


class Replica:
    """One replica: what it computes, and what it remembers."""

    __slots__ = (
        "_cached",
        "_cached_tokens",
        "_server_free_ms",
        "_unseen",
        "_users",
        "calls",
        "claimed_ms",
        "engine",
        "follows",
        "mates",
        "node_stays",
        "number",
        "pace",
        "peak_tokens",
        "ready_ms",
        "state",
        "steps",
        "wakes_ms",
    )

    def __init__(self, number: int, engine: Engine, claimed_ms: float, ready_ms: float) -> None:
        self.number = number
        self.engine = engine
        self.claimed_ms = claimed_ms
        """Since when it is paid for."""
        self.ready_ms = ready_ms
        self.node_stays = True
        """Whether its node waits empty when it is gone."""
        self.follows: Callable[[], None] | None = None
        """What a rollout does once it is found, or gone."""
        self.state = "starting"
        self.pace = None if engine.workload.share_group is None else SharedLines(engine.steps)
        """How long steps take where others compute on its card; None: it has it alone."""
        self.mates: list[Replica] = []
        """Those on its card, itself among them; none: it has it alone."""
        self.steps = Steps(self.pace or engine.steps, engine.scheduling)
        self.calls: set[Call] = set()
        """Routed here and not answered yet."""
        self.wakes_ms = math.inf
        """When it is looked after next."""
        self.peak_tokens = 0.0
        """The most tokens of the cache that running requests held at once."""
        self._cached: OrderedDict[int | str, int] = OrderedDict()
        """Session -> tokens of its own context that lie in the cache, and agent -> its prefix where no request has it: what was
        used longest ago first."""
        self._cached_tokens = 0
        self._users: dict[str, int] = {}
        """Agents whose shared prefix lies here -> requests that have it."""
        self._server_free_ms = -math.inf
        self._unseen = 0
        """Requests that its first look let in, and that its second look has not met yet: neither look counts them."""

    @property
    def in_flight(self) -> int:
        """Requests that it was sent and has not answered."""
        return len(self.calls)

    @property
    def is_full(self) -> bool:
        """Whether a look at its limit refuses."""
        return len(self.calls) - self._unseen >= self.engine.most_requests

    def passes(self, call: Call) -> bool:
        """The second look: whether a request that the first one let in is taken on; else what it found is as before."""
        self._unseen -= 1
        if len(self.calls) - 1 - self._unseen < self.engine.most_requests:
            return True
        self.calls.discard(call)
        session, own = call.session, call.own_tokens
        if own:
            self._cached_tokens += own - self._cached.pop(session.key, 0)
            self._cached[session.key] = own
        if self.engine.shared.get(session.agent, 0):
            self._let_go(session.agent, self.engine.shared[session.agent])
        return False

    @property
    def cache_ratio(self) -> float:
        """Part of the KV cache that running requests hold."""
        return self._ratio(self.steps.cache_used_tokens)

    @property
    def peak_cache_ratio(self) -> float:
        """The most that it was."""
        return self._ratio(self.peak_tokens)

    def _ratio(self, tokens: float) -> float:
        return tokens / self.engine.scheduling.cache_tokens

    def take(self, session: Session, now_ms: float, first_sent_ms: float, tries: int) -> Call:
        """Accept what a session asks: find its cache, and hand it to the server's process."""
        engine, ask = self.engine, session.asks[session.place]
        history = session.context_tokens
        prefix = engine.shared.get(session.agent, 0) if engine.shared else 0
        found = self._found(session, prefix) if self._cached else 0
        cached = found = found if found < history else history
        if prefix and self._has(session.agent, prefix):
            cached = max(found, min(prefix, history + ask.new_tokens - 1))
        reload_ms = 0.0
        if engine.reload_ms_per_token is not None and found < history and history:
            reload_ms = engine.reload_ms_per_token * (history - found)
            cached = max(cached, history)
        free_ms = self._server_free_ms
        ready = (now_ms if now_ms > free_ms else free_ms) + engine.host_ms
        self._server_free_ms = ready
        call = Call(
            arrives_ms=ready + engine.before_ms + reload_ms,
            prompt_tokens=history + ask.new_tokens - cached,
            cached_tokens=cached,
            shared_tokens=min(prefix, history + ask.new_tokens),
            output_tokens=ask.output_tokens,
            sent_ms=now_ms,
        )
        call.session, call.replica = session, self
        call.first_sent_ms, call.tries, call.history_tokens = first_sent_ms, tries, history
        call.own_tokens, call.read_ms = max(0, found - prefix), ready
        self.calls.add(call)
        if engine.looks_twice:
            self._unseen += 1
        return call

    def _has(self, agent: str, prefix: int) -> bool:
        """One more request has an agent's prefix, whose room is held from now on; whether it lay here already."""
        users = self._users.get(agent)
        self._users[agent] = (users or 0) + 1
        if not users:
            self.steps.hold(prefix)
            self._cached_tokens -= self._cached.pop(agent, 0)
        return users is not None

    def _found(self, session: Session, prefix: int) -> int:
        """Tokens of a session's context that are still there; they are its request's from now on."""
        if self._cached_tokens > self.engine.scheduling.cache_tokens - self.steps.cache_used_tokens:
            self._evict()
        own = self._cached.pop(session.key, 0)
        self._cached_tokens -= own
        return own + prefix if own and (not prefix or session.agent in self._users) else 0

    def _evict(self) -> None:
        room = self.engine.scheduling.cache_tokens - self.steps.cache_used_tokens
        while self._cached and self._cached_tokens > room:
            whose, tokens = self._cached.popitem(last=False)
            self._cached_tokens -= tokens
            if isinstance(whose, str):
                del self._users[whose]

    def keep(self, call: Call) -> None:
        """A request is answered: what stays of its context can be found again until the room is needed."""
        self.calls.discard(call)
        session, shared = call.session, self.engine.shared
        key = session.key
        own = call.history_tokens + session.asks[session.place].kept_tokens
        prefix = shared.get(session.agent, 0) if shared else 0
        own -= prefix
        if own > 0:
            self._cached_tokens += own - self._cached.pop(key, 0)
            self._cached[key] = own
        if prefix:
            self._let_go(session.agent, prefix)
        if self._cached_tokens > self.engine.scheduling.cache_tokens:
            self._evict()

    def _let_go(self, agent: str, prefix: int) -> None:
        """A request has an agent's prefix no more: with the last one its room is free for others, who take what is older first.

        vLLM and SGLang alike free a request's blocks from its end to its beginning, so a prefix goes after what was built on it.
        """
        self._users[agent] -= 1
        if not self._users[agent]:
            self.steps.hold(-prefix)
            self._cached_tokens += prefix
            self._cached[agent] = prefix
