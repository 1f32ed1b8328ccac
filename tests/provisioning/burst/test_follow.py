"""One look and what follows from it, with a Pulumi stack, a seller and a Prometheus that are kept here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import MachinePoolScaling, MachineScalingPlan, MachineTrigger, Plan
from agentgpu_iac.provisioning.burst.deciding import Held
from agentgpu_iac.provisioning.burst.follow import Around, Followed, follow
from agentgpu_iac.provisioning.burst.measuring import PrometheusError
from agentgpu_iac.provisioning.burst.state import StackState, StateMachine, UpFailed
from agentgpu_iac.provisioning.spheron.client import Deployment, Termination
from tests.plans import make_joined_plan

POOL = "demo-burst"
NOW_S = 1_800_000_000.0


@cache
def followed_plan() -> Plan:
    joined = make_joined_plan()
    assert joined.joined is not None
    scaling = MachineScalingPlan(
        prometheus_url="http://prometheus",
        prometheus_auth=None,
        step_s=60,
        pools=(
            MachinePoolScaling(
                node_pool=POOL,
                workload="support-burst",
                agent="support",
                replicas_per_machine=1,
                max_replicas=3,
                min_machines=0,
                max_machines=3,
                cluster_weight=100,
                triggers=(MachineTrigger(name="requests", held="x", floor=10.0, threshold=10.0),),
                schedules=(),
                stay_s=300,
            ),
        ),
        scaler=None,
    )
    return joined.model_copy(update={"joined": joined.joined.model_copy(update={"scaling": scaling})})


@dataclass
class World:
    """Machines as Pulumi and as their seller know them; ``sold`` says how many can be had."""

    load: float | None = 0.0
    sold: int = 9
    known: dict[int, str] = field(default_factory=dict)
    live_ids: set[str] = field(default_factory=set)
    locked: set[str] = field(default_factory=set)
    ups: list[int] = field(default_factory=list)
    told: tuple[int, ...] = ()
    changed_at_s: float | None = None
    number: int = 0

    def state(self) -> StackState:
        machines = tuple(
            StateMachine(id=machine, pool=POOL, index=index, address="192.0.2.1", url="")
            for index, machine in self.known.items()
        )
        return StackState(machines=machines, certificate="a certificate", changed_at_s=self.changed_at_s)

    def up(self, counts: Mapping[str, int], say: Callable[[str], None]) -> None:
        count = counts[POOL]
        self.ups.append(count)
        self.changed_at_s = NOW_S
        self.known = {index: machine for index, machine in self.known.items() if machine in self.live_ids}
        for index in range(count):
            if index not in self.known:
                if len(self.known) >= self.sold:
                    raise UpFailed("no offer on Spheron could be had")
                self.number += 1
                self.known[index] = f"dep-{self.number}"
                self.live_ids.add(self.known[index])
        for index in [index for index in self.known if index >= count]:
            self.live_ids.discard(self.known.pop(index))
        self.told = tuple(sorted(self.known))

    def live(self) -> tuple[Deployment, ...]:
        return tuple(Deployment(id=machine, status="running") for machine in sorted(self.live_ids))

    def can_terminate(self, deployment_id: str) -> Termination:
        return Termination(can_terminate=deployment_id not in self.locked)

    def held(self, pool: MachinePoolScaling, _step_s: int) -> dict[str, Held]:
        if self.load is None:
            raise PrometheusError("Prometheus did not answer")
        return {trigger.name: Held(now=self.load, most=self.load) for trigger in pool.triggers}

    def look(self, at_s: float = NOW_S, **options: Any) -> Followed:
        around = Around(stack=self, seller=self, load=self, serves=lambda *_: False, now_s=at_s, say=lambda _: None)
        return follow(followed_plan(), around, **options)


def test_machines_come_with_the_load_and_go_after_it() -> None:
    world = World(load=25.0)
    assert world.look().changed
    assert world.ups == [2]
    assert not world.look().changed, "they are there"
    world.load = 0.0
    assert not world.look(NOW_S + 299).changed, "their number changed lately"
    assert world.look(NOW_S + 300).changed
    assert world.ups == [2, 0]
    assert not world.live_ids


def test_what_was_taken_back_is_made_anew_and_the_cluster_is_told() -> None:
    world = World(load=25.0)
    world.look()
    world.live_ids.discard(world.known[1])
    assert world.look(NOW_S + 60).changed
    assert world.ups == [2, 2]
    assert world.told == (0, 1)
    assert world.live_ids == set(world.known.values())


def test_where_the_seller_has_no_more_the_cluster_is_told_of_those_that_it_had() -> None:
    world = World(load=99.0, sold=2)
    found = world.look()
    assert found.refused == "no offer on Spheron could be had"
    assert world.ups == [3, 2]
    assert world.told == (0, 1)
    world.sold = 9
    assert world.look(NOW_S + 60).refused is None
    assert world.told == (0, 1, 2)


def test_without_an_answer_of_prometheus_the_machines_stay() -> None:
    world = World(load=25.0)
    world.look()
    world.load = None
    found = world.look(NOW_S + 9_999)
    assert not found.changed
    assert found.unknown == ("Prometheus did not answer",)
    assert world.ups == [2]


def test_a_machine_that_must_run_on_serves_on() -> None:
    world = World(load=35.0)
    world.look()
    world.load, world.locked = 0.0, {world.known[1]}
    assert world.look(NOW_S + 600).decisions[0].machines == 2
    assert world.ups == [3, 2]
    world.locked = set()
    world.look(NOW_S + 1_200)
    assert world.ups == [3, 2, 0]


def test_a_dry_run_changes_nothing() -> None:
    world = World(load=25.0)
    found = world.look(dry_run=True)
    assert (found.decisions[0].machines, found.changed, world.ups) == (2, False, [])


def test_a_plan_without_such_machines_has_nothing_to_follow() -> None:
    joined = followed_plan()
    assert joined.joined is not None
    unscaled = joined.model_copy(update={"joined": joined.joined.model_copy(update={"scaling": None})})
    for plan, words in (
        (joined.model_copy(update={"joined": None}), "no machine stands beside its cluster"),
        (unscaled, "nothing raises its bursts"),
    ):
        with pytest.raises(BadInput, match=words):
            follow(
                plan, Around(stack=World(), seller=World(), load=World(), serves=lambda *_: False, now_s=0, say=print)
            )
