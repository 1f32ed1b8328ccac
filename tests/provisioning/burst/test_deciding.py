"""How many machines are wanted: by table, and by laws over any load."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgpu_iac.plan import MachinePoolScaling, MachineTrigger
from agentgpu_iac.provisioning.burst.deciding import Decision, Held, Rented, Seen, decide, to_have_again

LONG_S = 10.0**6


def make_pool(**changes: Any) -> MachinePoolScaling:
    """A baseline that carries 100 requests, and five machines of two replicas that carry 20 each."""
    fields: dict[str, Any] = dict(
        node_pool="demo-burst",
        workload="support-burst",
        agent="support",
        replicas_per_machine=2,
        max_replicas=9,
        min_machines=0,
        max_machines=5,
        cluster_weight=100,
        triggers=(MachineTrigger(name="requests", held="sum(running)", floor=100.0, threshold=20.0),),
        schedules=(),
        stay_s=600,
    )
    return MachinePoolScaling(**{**fields, **changes})


def seen(now: float, most: float | None = None, **changes: Any) -> Seen:
    fields: dict[str, Any] = dict(
        held={"requests": Held(now=now, most=now if most is None else most)},
        scheduled_replicas=0,
        unchanged_s=LONG_S,
        weights={f"demo-burst-{index}": 40 for index in range(5)},
    )
    return Seen(**{**fields, **changes})


def machines(count: int, **changes: Any) -> tuple[Rented, ...]:
    return tuple(Rented(**{"name": f"demo-burst-{index}", "index": index, **changes}) for index in range(count))


def of(load: float, serving: int) -> float:
    """What the engines of the cluster hold of a load: NGINX spreads it by weights."""
    return load * 100 / (100 + 40 * serving)


def decided(pool: MachinePoolScaling, what: Seen, rented: tuple[Rented, ...] = ()) -> int:
    return decide(pool, what, rented).machines


@pytest.mark.parametrize(
    ("now", "most", "there", "changes", "wanted"),
    [
        (0, 0, 0, {}, 0),
        (100, 100, 0, {}, 0),  # what the baseline carries
        (101, 101, 0, {}, 1),  # a replica more, and so a machine
        (140, 140, 0, {}, 1),  # two replicas
        (141, 141, 0, {}, 2),  # three, on two machines
        (9_999, 9_999, 0, {}, 5),  # no more than the plan has
        (of(200, 2), of(200, 2), 2, {}, 3),  # five replicas, whatever runs
        (of(130, 3), of(260, 3), 3, {}, 3),  # it was needed a while ago
        (of(130, 3), of(130, 3), 3, {}, 1),  # it was not
        (of(130, 3), of(130, 3), 3, {"unchanged_s": 599.0}, 3),  # their number changed lately
        (of(170, 3), of(170, 3), 3, {"unchanged_s": 10.0}, 3),
        (of(260, 3), of(260, 3), 3, {"unchanged_s": 10.0}, 4),  # more comes at once
        (0, 0, 0, {"scheduled_replicas": 3}, 2),  # before the requests come
        (0, 0, 2, {"scheduled_replicas": 3}, 2),
        (0, 0, 2, {"held": {}}, 2),  # nobody knows: as many as before
        (0, 0, 0, {"held": {}, "scheduled_replicas": 3}, 0),
    ],
)
def test_the_number_by_table(now: float, most: float, there: int, changes: dict[str, Any], wanted: int) -> None:
    assert decided(make_pool(), seen(now, most, **changes), machines(there)) == wanted


def test_machines_that_start_carry_nothing_yet_and_are_asked_for_once() -> None:
    """They take minutes; counted as serving, each look would see a larger load and rent more."""
    starting = machines(2, serves=False)
    assert decided(make_pool(), seen(180.0), starting) == 2
    assert decided(make_pool(), seen(of(180.0, 2)), machines(2)) == 2


def test_what_the_seller_does_not_let_go_serves_on() -> None:
    kept = (*machines(3), Rented(name="demo-burst-3", index=3, may_end=False))
    found = decide(make_pool(), seen(0.0), kept)
    assert found.machines == 4
    assert "does not let the others go yet" in found.why
    gone = (*machines(3), Rented(name="demo-burst-3", index=3, may_end=False, is_there=False))
    assert decided(make_pool(), seen(0.0), gone) == 0


def test_a_machine_that_was_taken_back_is_wanted_again() -> None:
    taken = (*machines(1), Rented(name="demo-burst-1", index=1, is_there=False, serves=False))
    assert decided(make_pool(), seen(of(180.0, 1)), taken) == 2


def test_the_reason_that_asks_for_most_counts_and_is_named() -> None:
    triggers = (*make_pool().triggers, MachineTrigger(name="sessions", held="x", floor=10.0, threshold=5.0))
    held = {"requests": Held(now=101.0, most=101.0), "sessions": Held(now=30.0, most=30.0)}
    found = decide(make_pool(triggers=triggers), seen(0.0, held=held), ())
    assert found == Decision(
        node_pool="demo-burst",
        machines=2,
        why="sessions: 30.0 are held, the baseline carries 10, one replica 5, so 4 replicas are wanted",
    )


def test_a_reason_that_is_not_known_decides_nothing() -> None:
    triggers = (*make_pool().triggers, MachineTrigger(name="kv-cache", held="x", floor=1.0, threshold=0.5))
    found = decide(make_pool(triggers=triggers), seen(500.0), machines(1))
    assert (found.machines, found.why) == (1, "nothing is known of kv-cache: as many as before")


def test_after_a_refusal_those_without_a_gap_are_kept() -> None:
    assert to_have_again(()) == 0
    assert to_have_again(machines(3)) == 3
    assert to_have_again((machines(3)[0], machines(3)[2])) == 1
    assert to_have_again((machines(1)[0], Rented(name="demo-burst-1", index=1, is_there=False))) == 1


LOADS = st.floats(0, 1_000)
COUNTS = st.integers(0, 5)


@given(LOADS, COUNTS, COUNTS)
def test_the_same_load_wants_the_same_however_many_serve(load: float, some: int, others: int) -> None:
    """From rest: no look sees what the look before it did."""
    pool = make_pool(max_replicas=10)
    wanted = {
        decided(pool, seen(of(load, serving), scheduled_replicas=0), machines(serving)) for serving in (some, others)
    }
    assert len(wanted) == 1


@given(LOADS, LOADS, COUNTS, st.booleans())
def test_more_load_never_wants_fewer(one: float, other: float, there: int, serves: bool) -> None:
    less, more = sorted((one, other))
    rented = machines(there, serves=serves)
    assert decided(make_pool(), seen(less), rented) <= decided(make_pool(), seen(more), rented)


@given(LOADS, LOADS, COUNTS, st.floats(0, 2_000), st.integers(0, 12), st.integers(0, 2))
def test_never_beyond_the_pool_and_none_goes_early(
    now: float, most: float, there: int, unchanged_s: float, scheduled: int, least: int
) -> None:
    pool = make_pool(min_machines=least)
    what = seen(now, max(now, most), unchanged_s=unchanged_s, scheduled_replicas=scheduled)
    wanted = decided(pool, what, machines(there))
    assert least <= wanted <= pool.max_machines
    if unchanged_s < pool.stay_s:
        assert wanted >= there


@given(st.lists(LOADS, min_size=1, max_size=40))
def test_a_load_that_stays_ends_at_the_number_that_carries_it(loads: list[float]) -> None:
    """Whatever came before: looks a minute apart, each machine serving from the look after it was rented."""
    pool, count, unchanged_s = make_pool(max_replicas=10), 0, 0.0
    history: list[float] = []
    for load in (*loads, *[loads[-1]] * 40):
        history = [*history[-9:], of(load, count)]
        wanted = decided(pool, seen(history[-1], max(history), unchanged_s=unchanged_s), machines(count))
        unchanged_s = 0.0 if wanted != count else unchanged_s + 60.0
        count = wanted
    assert count == decided(pool, seen(loads[-1]))
