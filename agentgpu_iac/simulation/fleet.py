"""The planned fleet in time: an event for each request sent, taken and answered, and for each change of the fleet.

Between its events a replica is not looked at: ``Steps.next_ms`` says when something may happen there, and its steps up to then
are one sum. All times are in ms.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random
from typing import Any, Final

from agentgpu_iac.errors import Infeasible
from agentgpu_iac.plan import Plan
from agentgpu_iac.simulation.deployment import Deployment, Held
from agentgpu_iac.simulation.machines import Machines
from agentgpu_iac.simulation.measures import AgentMeasures
from agentgpu_iac.simulation.mishaps import Run
from agentgpu_iac.simulation.replica import Call, Replica
from agentgpu_iac.simulation.sessions import Ask, Session
from agentgpu_iac.sizing.stepping import Asked
from agentgpu_iac.units import counted

_RETRY_AFTER_MS: Final = 1_000.0
"""What NGINX asks for as rendered; both SDKs heed it."""
_BACKOFF_MS: Final = 500.0
"""First wait of both SDKs where nothing is asked for; it doubles, and up to a quarter is taken off by chance."""
_MOST_WAITING: Final = 200_000
"""Requests in all queues at which nobody waits for their end."""

Handler = Callable[[Any], None]


class Fleet:
    """All deployments of a plan under what is sent to them."""

    def __init__(
        self,
        plan: Plan,
        deployments: Mapping[str, Deployment],
        measures: Mapping[str, AgentMeasures],
        run: Run,
        *,
        follow: Callable[[Session], None] | None = None,
        progress: Callable[[float], None] | None = None,
        enough: Callable[[Mapping[str, AgentMeasures]], bool] | None = None,
    ) -> None:
        self.now_ms = 0.0
        self._events: list[tuple[float, int, Handler, Any]] = []
        self._number = 0
        self._deployments = deployments
        self._home = {
            agent.name: deployments[agent.deployment] for agent in plan.served_agents if agent.name in measures
        }
        self._measures = measures
        self._warm_ms, self._end_ms = run.warm_ms, run.end_ms
        self._client_tries = run.mishaps.client_tries
        self._reads_streams = run.mishaps.clients_read_streams
        self._chance = Random(f"{run.seed}/clients")
        self._follow = follow
        """Called with a session that is over: who starts the next one."""
        self._progress = progress
        self._enough = enough
        """Asked at each look whether it may end there."""
        self._ends = False
        self._children: Callable[[str, int, int], Session] | None = None
        self._machines = Machines(self, run)
        for each in deployments.values():
            self._machines.open(each)
        self._share_cards()

    def _share_cards(self) -> None:
        """The first replicas of a group's engines lie on one card, then the second ones, and so on."""
        cards: dict[tuple[str | None, int], list[Replica]] = {}
        for deployment in self._deployments.values():
            for place, each in enumerate(deployment.replicas):
                if each.pace is not None:
                    cards.setdefault((each.engine.workload.share_group, place), []).append(each)
        for together in cards.values():
            for each in together:
                each.mates = together if len(together) > 1 else []

    def children(self, draw: Callable[[str, int, int], Session]) -> None:
        """Who draws the sessions of sub-agents."""
        self._children = draw

    def at(self, when_ms: float, handler: Handler, argument: Any) -> None:
        """Something will happen."""
        self._number += 1
        heapq.heappush(self._events, (when_ms, self._number, handler, argument))

    def run(self, arrivals: Iterable[tuple[float, Session]] = ()) -> None:
        """Until the end, and until what was sent by then has ended, or it is told enough; ``arrivals`` are in order of time."""
        coming = iter(arrivals)
        self._arrive(coming)
        events = self._events
        while events and not self._ends:
            when, _, handler, argument = heapq.heappop(events)
            self.now_ms = when
            handler(argument)
        for each in self._deployments.values():
            each.settle_bill(max(self.now_ms if self._ends else self._end_ms, self._warm_ms))

    def _arrive(self, coming: Iterator[tuple[float, Session]]) -> None:
        found = next(coming, None)
        if found is not None:
            self.at(found[0], self._arrived, (found[1], coming))

    def _arrived(self, pair: tuple[Session, Iterator[tuple[float, Session]]]) -> None:
        self.begin(pair[0])
        self._arrive(pair[1])

    # --- requests

    def begin(self, session: Session) -> None:
        """A session asks for the first time."""
        self._home[session.agent].sessions += 1
        self.ask(session)

    def ask(self, session: Session) -> None:
        """A session asks."""
        now_ms = self.now_ms
        if now_ms > self._end_ms:
            self._home[session.agent].sessions -= 1
            return
        if now_ms >= self._warm_ms:
            self._measures[session.agent].requests += 1
        self._send(session, now_ms, 1)

    def _send(self, session: Session, first_sent_ms: float, tries: int) -> None:
        """The router asks one replica after another, as the plan tells it."""
        deployment = self._home[session.agent]
        own = deployment.own(session)
        if own is not None and not own.is_full:
            self._take(deployment, own, session, first_sent_ms, tries)
            return
        left = deployment.most_tries
        for replica in deployment.tries(session):
            if not replica.is_full:
                self._take(deployment, replica, session, first_sent_ms, tries)
                return
            deployment.turned_away += 1
            left -= 1
            if not left:
                break
        route = deployment.route
        if deployment.is_picked and route is not None and route.flow_control is not None:
            held = Held(session=session, since_ms=self.now_ms, first_sent_ms=first_sent_ms, tries=tries)
            deployment.held.append(held)
            self.at(self.now_ms + route.flow_control.queue_s * 1000, self._let_go, (deployment, held))
            return
        self._again((session, first_sent_ms, tries), was_lost=False)

    def _let_go(self, pair: tuple[Deployment, Held]) -> None:
        """A picker has held a request for as long as it may."""
        deployment, held = pair
        if held in deployment.held:
            deployment.held.remove(held)
            self._again((held.session, held.first_sent_ms, held.tries), was_lost=False)

    def _again(self, sent: tuple[Session, float, int], *, was_lost: bool = False, in_stream: bool = False) -> None:
        """A client was turned away, or its answer broke off: it waits and tries again, or gives up.

        What is refused in a stream that has begun is an error to both SDKs, and no reason to try again.
        """
        session, first_sent_ms, tries = sent
        measured = first_sent_ms >= self._warm_ms
        counts = self._measures[session.agent]
        if measured and in_stream:
            counts.refused_in_stream += 1
        if tries >= self._client_tries or (in_stream and not self._reads_streams):
            if measured and was_lost:
                counts.lost += 1
            elif measured:
                counts.refused += 1
            self._leave(session)
            return
        if measured:
            counts.retried += 1
        wait_ms = _BACKOFF_MS * 2 ** (tries - 1)
        if not was_lost and not in_stream and self._home[session.agent].route is not None:
            wait_ms = _RETRY_AFTER_MS
        wait_ms *= 1 - self._chance.random() / 4 if was_lost else 1.0
        self.at(self.now_ms + wait_ms, self._retry, (session, first_sent_ms, tries + 1))

    def _retry(self, sent: tuple[Session, float, int]) -> None:
        self._send(*sent)

    def _take(
        self, deployment: Deployment, replica: Replica, session: Session, first_sent_ms: float, tries: int
    ) -> None:
        call = replica.take(session, self.now_ms, first_sent_ms, tries)
        cached = call.cached_tokens
        deployment.prompt_tokens += call.prompt_tokens + cached
        deployment.cached_tokens += cached
        self._number += 1
        if replica.engine.looks_twice:
            heapq.heappush(self._events, (call.read_ms, self._number, self._read, call))
        else:
            heapq.heappush(self._events, (call.arrives_ms, self._number, self._pushed, call))

    def _read(self, call: Call) -> None:
        """A server has read a request, and looks at its limit once more: what it refuses now stands in a stream that has begun
        with 200, which no router tries again.
        """
        replica = call.replica
        if replica.state == "ended":
            return
        if replica.passes(call):
            self._number += 1
            heapq.heappush(self._events, (call.arrives_ms, self._number, self._pushed, call))
            return
        deployment = self._home[call.session.agent]
        deployment.turned_away += 1
        if replica.state == "leaving":
            self._machines.answered(deployment, replica)
        self._again((call.session, call.first_sent_ms, call.tries), in_stream=True)

    def _pushed(self, call: Call) -> None:
        """A scheduler gets a request."""
        replica = call.replica
        if replica.state == "ended":
            return
        steps, now_ms = replica.steps, self.now_ms
        while steps.now_ms < now_ms and not steps.idle:
            if finished := steps.advance(now_ms):
                self._finished(replica, finished)
        if replica.mates:
            was_idle = steps.idle
            steps.push(call)
            if was_idle:
                self._pace(replica)
        else:
            steps.push(call)
        self._wake_at(replica)

    def _wake_at(self, replica: Replica) -> None:
        """Look after a replica when something may happen there: at once, where nothing else happens now."""
        steps, events, now_ms = replica.steps, self._events, self.now_ms
        wakes_ms = steps.next_ms()
        while wakes_ms <= now_ms and not (events and events[0][0] <= now_ms):
            self._step(replica, wakes_ms)
            wakes_ms = steps.next_ms()
        if wakes_ms != replica.wakes_ms:
            replica.wakes_ms = wakes_ms
            if wakes_ms < math.inf:
                self._number += 1
                when_ms = wakes_ms if wakes_ms > now_ms else now_ms
                heapq.heappush(events, (when_ms, self._number, self._wake, (replica, wakes_ms)))

    def _wake(self, pair: tuple[Replica, float]) -> None:
        """Something may happen at a replica."""
        replica, wakes_ms = pair
        if replica.wakes_ms != wakes_ms or replica.state == "ended":
            return
        self._step(replica, wakes_ms)
        replica.wakes_ms = math.nan
        self._wake_at(replica)

    def _step(self, replica: Replica, wakes_ms: float) -> None:
        steps = replica.steps
        now_ms = steps.now_ms
        finished = steps.advance(wakes_ms if wakes_ms > now_ms else math.nextafter(now_ms, math.inf))
        used = steps.cache_used_tokens
        replica.peak_tokens = max(replica.peak_tokens, used)
        if finished:
            self._finished(replica, finished)
        if replica.mates and steps.idle:
            self._pace(replica)

    def _pace(self, changed: Replica) -> None:
        """An engine on a shared card has begun or ceased to compute: the others' steps take longer, or less long."""
        busy = max(1, sum(not each.steps.idle for each in changed.mates))
        for each in changed.mates:
            if each.pace is None or each.pace.busy == busy:
                continue
            while each is not changed and each.steps.now_ms < self.now_ms and not each.steps.idle:
                self._finished(each, each.steps.advance(self.now_ms))
            each.pace.busy = busy
            each.steps.repaced()
            if each is not changed:
                self._wake_at(each)

    def _finished(self, replica: Replica, finished: list[Asked]) -> None:
        after_ms, events, answered = replica.engine.after_ms, self._events, self._answered
        for call in finished:
            self._number += 1
            heapq.heappush(events, (call.last_ms + after_ms, self._number, answered, call))

    def _answered(self, call: Call) -> None:
        """A caller has its last token."""
        replica, session = call.replica, call.session
        if call not in replica.calls:
            return  # lost on the way
        replica.keep(call)
        ask, deployment = session.asks[session.place], self._home[session.agent]
        if replica.state == "leaving":
            self._machines.answered(deployment, replica)
        engine = replica.engine
        if call.first_sent_ms >= self._warm_ms:
            speed, after_ms = engine.speed, engine.after_ms
            ttft = (call.first_ms + after_ms - call.sent_ms) * speed.measured_ttft_ratio
            rest = (call.last_ms - call.first_ms) * speed.measured_tpot_ratio
            ttft += call.sent_ms - call.first_sent_ms + engine.workload.latency.network_ms
            tpot = rest / (call.output_tokens - 1) if call.output_tokens > 1 else None
            self._measures[session.agent].answer(ask.kind, ttft, tpot, ttft + rest)
        if deployment.held:
            self._hand_on(deployment)
        self._next(session, ask)

    def _hand_on(self, deployment: Deployment) -> None:
        held = deployment.held.popleft()
        self._send(held.session, held.first_sent_ms, held.tries)

    def _next(self, session: Session, ask: Ask) -> None:
        """What follows an answer: sub-agents, a pause, the next request or the end."""
        session.context_tokens += ask.kept_tokens
        for agent, turns, seed in ask.starts:
            if self._children is not None and agent in self._home:
                self.begin(self._children(agent, turns, seed))
        session.place += 1
        if session.place < len(session.asks):
            self.at(self.now_ms + ask.pause_ms, self.ask, session)
        else:
            self._leave(session, ask.pause_ms)

    def _leave(self, session: Session, pause_ms: float | None = None) -> None:
        """A session asks no more: it is held until its user has left, whatever the last answer was."""
        if self._follow is None:
            self._over(session)
        else:
            self.at(self.now_ms + (session.ask.pause_ms if pause_ms is None else pause_ms), self._over, session)

    def _over(self, session: Session) -> None:
        self._home[session.agent].sessions -= 1
        if self._follow is not None:
            self._follow(session)

    # --- the fleet

    def lost(self, calls: Iterable[Call]) -> None:
        """Answers broke off: their callers try again."""
        for call in calls:
            self._again((call.session, call.first_sent_ms, call.tries), was_lost=True)

    def entered(self, deployment: Deployment, replica: Replica) -> None:
        """A picker hands on what it holds."""
        while deployment.held and not replica.is_full:
            self._hand_on(deployment)

    def looked(self, deployment: Deployment) -> None:
        """Prometheus looks, and so do we."""
        running = sum(each.steps.running for each in deployment.routed)
        waiting = sum(each.steps.requests for each in deployment.routed) - running + len(deployment.held)
        if waiting > _MOST_WAITING:
            self._give_up(deployment, waiting)
        if self._progress is not None:
            self._progress(min(1.0, self.now_ms / max(1.0, self._end_ms)))
        if self.now_ms < self._warm_ms:
            return
        self._ends = self._ends or (self._enough is not None and self._enough(self._measures))
        deployment.peak_waiting = max(deployment.peak_waiting, waiting)
        kv = sum(each.cache_ratio for each in deployment.routed) / max(1, len(deployment.routed))
        starting = sum(each.state == "starting" for each in deployment.replicas)
        tiers = (len(deployment.ready("baseline")), len(deployment.ready("burst")), starting)
        seconds = (self.now_ms - self._warm_ms) / 1000
        deployment.series.look(seconds, (float(deployment.sessions), float(running), float(waiting), kv), tiers)

    def _give_up(self, deployment: Deployment, waiting: int) -> None:
        counts = [self._measures[name] for name, home in self._home.items() if home is deployment]
        seconds = max(1.0, (self.now_ms - self._warm_ms) / 1000)
        asked, answered = sum(each.requests for each in counts), sum(each.answered for each in counts)
        message = (
            f"{deployment.name}: {counted(waiting, 'request')} wait, and more come than are answered: "
            f"{asked / seconds:,.1f} a second "
            f"against {answered / seconds:,.1f}; the queue would grow for ever. Plan for more sessions, or send less"
        )
        raise Infeasible(message)
