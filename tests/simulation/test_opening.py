"""Baselines that follow a schedule: when they are there, when their agents are asked, and what they cost."""

from __future__ import annotations

from functools import cache

import pytest

from agentgpu_iac.plan import OpenHoursPlan, Plan, Schedule
from agentgpu_iac.simulation.opening import OfficeClock, Peaks, Windows, within
from agentgpu_iac.simulation.profiles import Point
from agentgpu_iac.simulation.scaler import Scaler
from agentgpu_iac.simulation.simulate import Simulation, simulate
from tests.simulation import fleets

LEAD_S = 600


def hours(
    start: str, end: str, *, zone: str = "UTC", outside: int = 0, node_hours: float | None = 300.0
) -> OpenHoursPlan:
    return OpenHoursPlan(
        open_hours_per_week=20.0,
        node_hours_per_month=node_hours,
        lead_s=LEAD_S,
        replicas_outside=outside,
        windows=(Schedule(start=start, end=end, timezone=zone, replicas=2),),
        polling_interval_s=30,
    )


@cache
def office(start: str = "50 8 * * 1,2,3,4,5", end: str = "0 10 * * 1,2,3,4,5", **fields) -> Plan:
    """Two replicas from nine to ten, asked for ten minutes before."""
    plan = fleets.with_replicas(fleets.small_plan(), 2)
    cold = plan.workloads[0].cold_start_s
    quick = {"total": 200.0, "warm_node_total": 100.0}
    start_s = cold.model_copy(update={**quick, "upper": cold.upper.model_copy(update=quick)})
    return fleets.changed(plan, open_hours=hours(start, end, **fields), cold_start_s=start_s)


def day(plan: Plan, **asked):
    return simulate(plan, Simulation(traffic="office-day", **asked))


def test_replicas_come_before_the_opening_and_go_after_the_end():
    found = day(office(), hours=3)
    (deployment,) = found.deployments
    there = {each.at_s: each.warm_replicas for each in deployment.moments}
    assert all(count == 0 for at_s, count in there.items() if at_s < 3000 + 200)
    assert all(count == 2 for at_s, count in there.items() if 3600 <= at_s <= 7200)
    assert all(count == 0 for at_s, count in there.items() if at_s > 7200 + 300)


def test_who_comes_at_the_opening_is_served():
    (agent,) = day(office(), hours=1.9).agents
    assert agent.answered
    assert (agent.refused, agent.lost) == (0, 0)


def test_nobody_asks_outside_of_the_hours():
    (deployment,) = day(office(), hours=2.5).deployments
    asked = [each.at_s for each in deployment.moments if each.running]
    assert min(asked) + 30 >= 3600
    assert max(asked) <= 7200 + 300


def test_a_late_start_is_seen():
    """A lead that is shorter than the start: the first who come find nobody."""
    found = day(office("58 8 * * 1"), hours=1.2).agents[0]
    late = office("58 8 * * 1")
    slow = {"total": 900.0, "warm_node_total": 800.0}
    cold = late.workloads[0].cold_start_s
    late = fleets.changed(
        late, cold_start_s=cold.model_copy(update={**slow, "upper": cold.upper.model_copy(update=slow)})
    )
    assert day(late, hours=1.2).agents[0].refused > found.refused


@pytest.mark.parametrize(("node_hours", "paid"), [(300.0, 2 * (70 / 60)), (None, 2 * 3.0)])
def test_what_it_costs(node_hours, paid):
    """From the start to the end where its nodes go; all the time where they stay."""
    (deployment,) = day(office(node_hours=node_hours), hours=3).deployments
    assert deployment.gpu_hours == pytest.approx(paid, rel=0.05)


def test_a_replica_that_stays_outside_serves_alone():
    (deployment,) = day(office(outside=1), hours=3).deployments
    assert {each.warm_replicas for each in deployment.moments} == {1, 2}


def test_another_zone_and_another_day():
    assert Windows(hours("50 8 * * 1", "0 10 * * 1")).spans(10) == ((3600.0, 7200.0),)
    assert Windows(hours("50 8 * * 2", "0 10 * * 2")).spans(20) == ((39_600.0, 43_200.0),)
    night = Windows(hours("50 21 * * *", "0 6 * * *"))
    assert night.spans(10) == ()
    clock = OfficeClock(warm_ms=0.0)
    assert [night.wanted(clock.minute(each * 1000.0))[0] for each in (-7201, -7200, 0, 35_999)] == [2, 0, 0, 0]


def test_a_nightly_window_is_told():
    found = day(office("50 21 * * *", "0 6 * * *"), hours=1)
    assert found.agents[0].requests == 0
    assert any("closed from 08:00 to 18:00" in each for each in found.warnings)


def test_a_traffic_without_a_clock_says_so():
    found = simulate(office(), Simulation(hours=0.05))
    assert any("no clock" in each for each in found.warnings)
    assert {each.warm_replicas for each in found.deployments[0].moments} == {2}


def test_two_mornings_have_what_was_asked_for_in_the_night():
    found = day(office("50 7 * * 1,2,3,4,5", "0 9 * * 1,2,3,4,5"), hours=11).deployments[0]
    there = [each.warm_replicas for each in found.moments if each.at_s > 36_000 + 60]
    assert there
    assert there[0] == 2


def test_sessions_are_cut_to_the_hours():
    points = (Point(0, 2), Point(100, 12), Point(200, 2))
    assert within(points, ((50, 150),)) == (
        Point(0, 0),
        Point(50, 0),
        Point(50, 7.0),
        Point(100, 12),
        Point(150, 7.0),
        Point(150, 0),
    )
    assert within(points, ()) == (Point(0, 0),)


@cache
def peaks(start: str, end: str, zone: str = "UTC") -> Plan:
    """A burst tier of which two replicas are wanted in some hours."""
    plan = fleets.burst_plan()
    burst = plan.workloads[1]
    assert burst.scaling is not None
    scheduled = burst.scaling.model_copy(
        update={"schedules": (Schedule(start=start, end=end, timezone=zone, replicas=2),)}
    )
    return plan.model_copy(update={"workloads": (plan.workloads[0], burst.model_copy(update={"scaling": scheduled}))})


def burst_replicas(plan: Plan, hours: float) -> dict[float, int]:
    (deployment,) = day(plan, hours=hours).deployments
    return {each.at_s: each.burst_replicas for each in deployment.moments}


@pytest.fixture
def quiet(monkeypatch):
    """Nobody needs a burst replica but the clock."""
    monkeypatch.setattr(Scaler, "_value", lambda *_: 0.0)


@pytest.mark.broad(every=0)
@pytest.mark.usefixtures("quiet")
def test_burst_replicas_come_at_known_hours_and_go_after_them():
    plan = peaks("0 9 * * 1-5", "0 10 * * 1-5")
    scaling = plan.workloads[1].scaling
    longest_s = 2 * plan.workloads[1].cold_start_s.upper.total
    gone_s = 7200 + scaling.cooldown_s + scaling.scale_down_stabilization_s + 4 * scaling.scale_down_period_s
    there = burst_replicas(plan, 10)
    assert {count for at_s, count in there.items() if at_s <= 3600} == {0}
    assert {count for at_s, count in there.items() if 3600 + longest_s <= at_s <= 7200} == {2}
    assert {count for at_s, count in there.items() if at_s >= gone_s + 900} == {0}


@pytest.mark.broad(every=0)
@pytest.mark.usefixtures("quiet")
def test_burst_replicas_of_a_window_of_the_night_are_there_in_the_morning():
    there = burst_replicas(peaks("0 6 * * *", "0 9 * * *"), 11)
    mornings = {0: [], 36_000: []}
    for at_s, count in there.items():
        for begins_s, seen in mornings.items():
            if begins_s + 60 <= at_s <= begins_s + 1800:
                seen.append(count)
    assert all(set(seen) == {2} for seen in mornings.values())


def test_a_schedule_of_dates_or_traffic_without_a_clock_brings_nobody_and_says_so():
    dated = day(peaks("0 9 1 * *", "0 10 1 * *"), hours=0.05)
    assert any("has no date" in each for each in dated.warnings)
    ramp = simulate(peaks("0 9 * * 1-5", "0 10 * * 1-5"), Simulation(hours=0.05))
    assert any("no burst replicas come by their schedule" in each for each in ramp.warnings)


def test_cron_fields_are_read_as_keda_reads_them():
    two = (
        Schedule(start="*/30 9-10 * * mon-fri", end="45 9,10 * * 1-5", timezone="UTC", replicas=2),
        Schedule(start="0 8 * * 1", end="0 9 * * 1", timezone="Asia/Tokyo", replicas=5),
    )
    found = Peaks(two, None)
    clock = OfficeClock(warm_ms=0.0)
    asked = {at: found.wanted(clock.minute(at * 60_000.0)) for at in (59, 60, 104, 106, 121, 164, 166)}
    assert asked == {
        59: (0, 0.0),
        60: (2, 0.0),
        104: (2, 14.0),
        106: (0, 0.0),
        121: (2, 1.0),
        164: (2, 14.0),
        166: (0, 0.0),
    }
    assert Peaks(two, "Asia/Tokyo").wanted(clock.minute(0.0)) == (5, 0.0)
