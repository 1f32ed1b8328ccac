"""What machines do in time: they come when they are asked for, are taken back, fail, and are emptied for a new version."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, Final, Protocol

from agentgpu_iac.plan import baselines
from agentgpu_iac.simulation.deployment import FOUND_AFTER_MS, Deployment
from agentgpu_iac.simulation.mishaps import Run
from agentgpu_iac.simulation.opening import OfficeClock, Peaks
from agentgpu_iac.simulation.replica import Call, Replica
from agentgpu_iac.simulation.scaler import HPA_S, SCRAPE_S, Scaler

_ASKED_AGAIN_MS: Final = 180_000.0
"""After a refusal Karpenter leaves an offering out for three minutes (``UnavailableOfferingsTTL``)."""
_FOUND_DEAD_MS: Final = 350_000.0
"""From a node that is gone to a new pod elsewhere: ``--node-monitor-grace-period`` (50 s) and a pod's default toleration of
``node.kubernetes.io/unreachable`` (300 s)."""
_HOUR_MS: Final = 3_600_000.0


class Clock(Protocol):
    """Who keeps the time, and knows what becomes of requests."""

    now_ms: float

    def at(self, when_ms: float, handler: Callable[[Any], None], argument: Any) -> None:
        """Something will happen."""
        ...

    def lost(self, calls: Iterable[Call]) -> None:
        """Answers broke off."""
        ...

    def entered(self, deployment: Deployment, replica: Replica) -> None:
        """A router has found a replica."""
        ...

    def looked(self, deployment: Deployment) -> None:
        """Prometheus looks."""
        ...


class Machines:
    """The machines of all deployments."""

    def __init__(self, clock: Clock, run: Run) -> None:
        self._clock = clock
        self._mishaps = run.mishaps
        self._warm_ms, self._end_ms = run.warm_ms, run.end_ms
        self._day = run.clock
        self._chance = Random(f"{run.seed}/machines")

    def open(self, deployment: Deployment) -> None:
        """The baseline is there; what scales the rest begins to look."""
        clock = self._clock
        follows = self._day is not None and deployment.windows is not None
        tiers = [] if follows else [(each.tier_label, each.replicas.max) for each in baselines(deployment.tiers)]
        scaling = None if deployment.burst is None else deployment.burst.scaling
        if scaling is not None and scaling.min_replicas:
            tiers.append(("burst", scaling.min_replicas))
        for tier, count in tiers:
            for _ in range(count):
                self._enter((deployment, deployment.add(tier, 0.0, 0.0)))
        if follows:
            self._follow_the_clock(deployment)
        clock.at(self._warm_ms, lambda each: each.start_bill(self._warm_ms), deployment)
        scaler = None if scaling is None else Scaler(deployment, scaling)
        if scaler is not None and scaling is not None and scaling.schedules and self._day is not None:
            scaler.scheduled = self._follow_peaks(deployment, deployment.peaks(scaling), self._day)
        clock.at(0.0, self._scrape, (deployment, scaler))
        if scaler is not None:
            clock.at(HPA_S * 1000, self._scale, (deployment, scaler))
            if scaler.scaling.method == "keda":
                clock.at(scaler.scaling.polling_interval_s * 1000.0, self._poll, (deployment, scaler))
        if self._mishaps.rollout_at_s is not None:
            clock.at(self._warm_ms + self._mishaps.rollout_at_s * 1000, self._roll_out, deployment)

    # --- scaling

    def _scrape(self, pair: tuple[Deployment, Scaler | None]) -> None:
        deployment, scaler = pair
        now_ms = self._clock.now_ms
        if scaler is not None:
            scaler.scrape(now_ms)
        self._clock.looked(deployment)
        if now_ms + SCRAPE_S * 1000 <= self._end_ms:
            self._clock.at(now_ms + SCRAPE_S * 1000, self._scrape, pair)

    def _poll(self, pair: tuple[Deployment, Scaler]) -> None:
        """KEDA brings the first replica."""
        deployment, scaler = pair
        now_ms = self._clock.now_ms
        if not _bursts(deployment) and scaler.wanted() > 0:
            self._resize(deployment, 1)
        if now_ms < self._end_ms:
            self._clock.at(now_ms + scaler.scaling.polling_interval_s * 1000, self._poll, pair)

    def _scale(self, pair: tuple[Deployment, Scaler]) -> None:
        """The HPA brings the others, and takes them away."""
        deployment, scaler = pair
        now_ms = self._clock.now_ms
        current = len(_bursts(deployment))
        if current:
            self._resize(deployment, scaler.replicas(now_ms, current))
        if now_ms < self._end_ms:
            self._clock.at(now_ms + HPA_S * 1000, self._scale, pair)

    def _resize(self, deployment: Deployment, wanted: int) -> None:
        there = _bursts(deployment)
        for _ in range(wanted - len(there)):
            deployment.burst_starts += 1
            self._start(deployment, "burst", self._clock.now_ms)
        # those that are not ready go first, then the youngest (Kubernetes' controller of ReplicaSets)
        order = sorted(there, key=lambda each: (each.state == "ready", -each.ready_ms))
        for replica in order[: max(0, len(there) - wanted)]:
            self._drain(deployment, replica, deployment.drain_ms(replica), node_stays=True)

    # --- by the clock

    def _follow_peaks(self, deployment: Deployment, peaks: Peaks, day: OfficeClock) -> Callable[[], int]:
        """At each new morning, what a window of the night asked for is there or on its way; who says what is asked for now."""

        def morning(deployment: Deployment) -> None:
            wanted, since = peaks.wanted(day.minute(self._clock.now_ms))
            for _ in range(len(_bursts(deployment)), wanted):
                deployment.burst_starts += 1
                self._asked_before(deployment, "burst", since, stays=False)

        morning(deployment)
        for at_ms in day.mornings(self._end_ms):
            self._clock.at(at_ms, morning, deployment)
        return lambda: peaks.wanted(day.minute(self._clock.now_ms))[0]

    def _asked_before(self, deployment: Deployment, tier: str, since_minutes: float, *, stays: bool) -> None:
        """A replica that was asked for so long ago, in hours that nobody simulates; one that stays is there."""
        now_ms = self._clock.now_ms
        asked_ms = now_ms - since_minutes * 60_000
        on_its_node = tier == "baseline" and deployment.keeps_nodes
        start_s = deployment.drawn_start_s(tier, on_its_node=on_its_node)
        ready_ms = now_ms if stays else asked_ms + start_s * 1000 + FOUND_AFTER_MS
        replica = deployment.add(tier, min(now_ms, asked_ms), ready_ms)
        self._clock.at(max(now_ms, ready_ms), self._enter, (deployment, replica))

    def _follow_the_clock(self, deployment: Deployment) -> None:
        """Replicas that stay, and those of a window that is open; from then on KEDA looks, and its HPA, and each new morning."""
        hours, clock = deployment.baseline.open_hours, self._clock
        assert hours is not None  # noqa: S101 - asked before
        assert self._day is not None  # noqa: S101 - the same
        deployment.follows_clock = True
        self._morning(deployment)
        for at_ms in self._day.mornings(self._end_ms):
            clock.at(at_ms, self._morning, deployment)
        clock.at(0.0, self._look_at_clock, (deployment, hours.polling_interval_s * 1000.0, True))
        clock.at(0.0, self._look_at_clock, (deployment, HPA_S * 1000, False))

    def _morning(self, deployment: Deployment) -> None:
        """What was asked for in the night is there, or on its way since then; what a window of the night had is gone."""
        wanted, since = self._wanted(deployment)
        for replica in _of_tier(deployment, "baseline")[wanted:]:
            self._drain(deployment, replica, deployment.drain_ms(replica), node_stays=False)
        for number in range(len(_of_tier(deployment, "baseline")), wanted):
            stays = deployment.windows is not None and number < deployment.windows.outside
            self._asked_before(deployment, "baseline", since, stays=stays)

    def _look_at_clock(self, look: tuple[Deployment, float, bool]) -> None:
        """KEDA brings the first replica and takes the last; its HPA, which a workload without replicas has not, does the rest."""
        deployment, every_ms, is_keda = look
        there, (wanted, _) = _of_tier(deployment, "baseline"), self._wanted(deployment)
        if is_keda and not there and wanted:
            self._start(deployment, "baseline", self._clock.now_ms, on_its_node=deployment.keeps_nodes)
        elif is_keda and not wanted:
            self._leave_by_clock(deployment, there)
        elif not is_keda and there:
            for _ in range(wanted - len(there)):
                self._start(deployment, "baseline", self._clock.now_ms, on_its_node=deployment.keeps_nodes)
            self._leave_by_clock(deployment, there[max(1, wanted) :])
        if self._clock.now_ms + every_ms <= self._end_ms:
            self._clock.at(self._clock.now_ms + every_ms, self._look_at_clock, look)

    def _leave_by_clock(self, deployment: Deployment, replicas: list[Replica]) -> None:
        for replica in replicas:
            self._drain(deployment, replica, deployment.drain_ms(replica), node_stays=False)

    def _wanted(self, deployment: Deployment) -> tuple[int, float]:
        assert deployment.windows is not None  # noqa: S101 - asked before
        assert self._day is not None  # noqa: S101 - the same
        return deployment.windows.wanted(self._day.minute(self._clock.now_ms))

    # --- coming and going

    def _start(self, deployment: Deployment, tier: str, from_ms: float, *, on_its_node: bool = False) -> Replica:
        """A replica is asked for: on a machine that is there, or on one that the provider may not have at once."""
        claimed_ms = from_ms
        if not on_its_node and not deployment.has_idle_node(tier, from_ms):
            while self._mishaps.refused_ratio and self._chance.random() < self._mishaps.refused_ratio:
                deployment.refused_machines += 1
                claimed_ms += _ASKED_AGAIN_MS
        ready_ms = claimed_ms + deployment.start_s(tier, claimed_ms, on_its_node=on_its_node) * 1000
        replica = deployment.add(tier, claimed_ms, ready_ms)
        self._clock.at(ready_ms + FOUND_AFTER_MS, self._enter, (deployment, replica))
        return replica

    def _enter(self, pair: tuple[Deployment, Replica]) -> None:
        deployment, replica = pair
        deployment.enter(replica)
        if replica.state != "ready":
            return
        mishaps = self._mishaps
        is_spot = deployment.pools[replica.engine.workload.tier_label].capacity_types[0] == "spot"
        for per_hour, handler in (
            (mishaps.reclaims_per_hour if is_spot else 0.0, self._reclaimed),
            (mishaps.failures_per_hour, self._failed),
        ):
            if per_hour:
                after_ms = -math.log(1 - self._chance.random()) / per_hour * _HOUR_MS
                self._clock.at(self._clock.now_ms + after_ms, handler, pair)
        self._clock.entered(deployment, replica)
        if replica.follows is not None:
            follows, replica.follows = replica.follows, None
            follows()

    def _reclaimed(self, pair: tuple[Deployment, Replica]) -> None:
        """A spot machine is taken back: the replica drains within the notice, and another is asked for."""
        deployment, replica = pair
        if replica.state != "ready" or self._clock.now_ms > self._end_ms:
            return
        deployment.reclaimed += 1
        notice_ms = 1000.0 * (replica.engine.workload.drain.notice_s or 0)
        self._drain(deployment, replica, min(notice_ms, deployment.drain_ms(replica)), node_stays=False)
        self._start(deployment, replica.engine.workload.tier_label, self._clock.now_ms)

    def _failed(self, pair: tuple[Deployment, Replica]) -> None:
        """A machine is gone at once; another is asked for when Kubernetes has given it up."""
        deployment, replica = pair
        now_ms = self._clock.now_ms
        if replica.state != "ready" or now_ms > self._end_ms:
            return
        deployment.failed += 1
        self._stopped((deployment, replica, False))
        self._start(deployment, replica.engine.workload.tier_label, now_ms + _FOUND_DEAD_MS)

    def _drain(self, deployment: Deployment, replica: Replica, within_ms: float, *, node_stays: bool) -> None:
        if replica.state == "starting":
            deployment.end(replica, max(self._clock.now_ms, replica.claimed_ms), node_stays=node_stays)
            return
        deployment.leave(replica)
        replica.node_stays = node_stays
        if not replica.calls:
            within_ms = min(within_ms, 1000.0 * replica.engine.workload.drain.pre_stop_s)
        self._clock.at(self._clock.now_ms + within_ms, self._stopped, (deployment, replica, node_stays))

    def answered(self, deployment: Deployment, replica: Replica) -> None:
        """A replica that leaves has answered: with the last answer it goes."""
        if not replica.calls:
            self._stopped((deployment, replica, replica.node_stays))

    def _stopped(self, drained: tuple[Deployment, Replica, bool]) -> None:
        """A replica is gone, with what it had not answered."""
        deployment, replica, node_stays = drained
        if replica.state == "ended":
            return
        ends_ms = min(self._clock.now_ms, max(self._end_ms, self._warm_ms))
        deployment.end(replica, max(ends_ms, replica.claimed_ms), node_stays=node_stays)
        broken = sorted(replica.calls, key=lambda each: (each.sent_ms, each.session.key))
        replica.calls.clear()
        self._clock.lost(broken)
        if replica.follows is not None:
            follows, replica.follows = replica.follows, None
            follows()

    # --- a new version

    def _roll_out(self, deployment: Deployment) -> None:
        """One replica after another: the new one before the old one goes where the plan has room for it, else after."""
        self._roll(deployment, [each for each in deployment.routed if each.state == "ready"])

    def _roll(self, deployment: Deployment, old: list[Replica]) -> None:
        while old and old[0].state != "ready":
            old.pop(0)
        if not old:
            return
        leaves = old.pop(0)
        tier = leaves.engine.workload.tier_label
        surges = leaves.engine.workload.rollout.max_surge > 0
        deployment.rolled += 1

        def go() -> None:
            self._drain(deployment, leaves, deployment.drain_ms(leaves), node_stays=not surges)

        def come() -> None:
            new = self._start(deployment, tier, self._clock.now_ms, on_its_node=not surges)
            new.follows = go if surges else lambda: self._roll(deployment, old)

        if surges:
            leaves.follows = lambda: self._roll(deployment, old)
            come()
        else:
            leaves.follows = come
            go()


def _bursts(deployment: Deployment) -> list[Replica]:
    """Burst replicas that run or come."""
    return _of_tier(deployment, "burst")


def _of_tier(deployment: Deployment, tier: str) -> list[Replica]:
    """Replicas of a tier that run or come, the oldest first."""
    there = ("starting", "ready")
    return [each for each in deployment.replicas if each.engine.workload.tier == tier and each.state in there]
