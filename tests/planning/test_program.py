"""The program against brute force: joint pools of like machines, limits, ties and what cannot be kept."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.planning.choosing import program
from agentgpu_iac.planning.choosing.program import Column, Conflict, Limit, Rules, Take, choose
from tests.thoroughness import examples

PER_NODE = 8


def take(pool: str, replicas: int, size: int, price: str = "10", **weights: float) -> Take:
    return Take(
        pool=pool, replicas=replicas, slots_each=size, per_node=PER_NODE, node_usd=Decimal(price), weights=weights
    )


def column(agent: int, *takes: Take, direct: str = "0", **weights: float) -> Column:
    least = Decimal(direct) + sum((each.node_usd * each.slots / each.per_node for each in takes), Decimal(0))
    return Column(agents=(agent,), direct_usd=Decimal(direct), takes=takes, least_usd=least, weights=weights)


def partitions(members: list[int]) -> list[list[list[int]]]:
    """Every way to put them into pools."""
    if not members:
        return [[]]
    first, *rest = members
    found = []
    for parts in partitions(rest):
        found.append([[first], *parts])
        found += [[*parts[:at], [first, *parts[at]], *parts[at + 1 :]] for at in range(len(parts))]
    return found


def machines(mates: list[Take]) -> int:
    """The fewest machines that are alike and hold them all."""
    for count in range(1, 100):
        if sum(math.ceil(each.replicas / count) * each.slots_each for each in mates) <= PER_NODE:
            return count
    raise AssertionError("they never fit")


@st.composite
def alike(draw):
    """Two to four agents, each on one of two machines or beside them."""
    columns: list[Column] = []
    agents = draw(st.integers(2, 4))
    for agent in range(agents):
        for pool, price in (("a", "10"), ("b", "7")):
            if draw(st.booleans()):
                size = draw(st.sampled_from([1, 2, 4]))
                columns.append(column(agent, take(pool, draw(st.integers(1, 6)), size, price)))
        columns.append(column(agent, direct=str(draw(st.integers(5, 40)))))
    return agents, columns


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(60))
@given(alike())
def test_joint_pools_of_like_machines_against_brute_force(problem):
    agents, columns = problem
    best = None
    for chosen in itertools.product(*([each for each in columns if each.agents == (a,)] for a in range(agents))):
        usd = sum((each.direct_usd for each in chosen), Decimal(0))
        for pool in ("a", "b"):
            there = [mine for each in chosen for mine in each.takes if mine.pool == pool]
            ways = [
                sum(there[0].node_usd * machines([there[number] for number in mates]) for mates in parts)
                for parts in partitions(list(range(len(there))))
                if there
                and all(
                    sum(there[number].slots_each for number in mates) <= PER_NODE or len(mates) == 1 for mates in parts
                )
            ]
            usd += min(ways, default=Decimal(0))
        best = usd if best is None else min(best, usd)
    found = choose(columns, range(len(columns)), Rules(agents=agents, alike=True), None)
    assert found.usd == best


def test_of_equal_columns_the_first_is_chosen_in_any_order() -> None:
    columns = [column(agent, take(pool, 1, 4), direct="0") for agent in range(3) for pool in ("a", "b", "c")]
    answers = set()
    for order in itertools.islice(itertools.permutations(range(len(columns))), 0, 5040, 630):
        shuffled = [columns[number] for number in order]
        places = sorted(range(len(columns)), key=lambda number, order=order: order[number])
        found = choose(shuffled, places, Rules(agents=3), None)
        answers.add(tuple(sorted(order[number] for number in found.columns)))
    assert len(answers) == 1


def test_a_limit_is_kept_at_the_least_cost() -> None:
    columns = [
        column(agent, direct=usd, owned=weight) for agent in range(3) for usd, weight in (("1", 1.0), ("5", 0.0))
    ]
    rules = Rules(agents=3, limits=(Limit(name="owned", most=2.0),))
    assert choose(columns, range(len(columns)), rules, None).usd == Decimal(7)


def test_a_smallest_set_of_limits_that_cannot_be_kept_is_named() -> None:
    columns = [column(0, direct="1", a=1.0, b=1.0), column(0, direct="1", a=1.0, c=1.0)]
    limits = tuple(Limit(name=name, most=0.0) for name in ("c", "b", "d"))
    with pytest.raises(Conflict) as caught:
        choose(columns, (0, 1), Rules(agents=1, limits=limits), None)
    assert set(caught.value.names) == {"b", "c"}


def test_the_least_of_all_prices_times_a_factor_is_the_same_choice() -> None:
    prices = ("3.5", "4", "2.5", "7")
    answers = set()
    for factor in (1, 3, 1000):
        columns = [
            column(agent, take(f"{number}", 1 + number, 2, str(Decimal(price) * factor)))
            for agent in range(3)
            for number, price in enumerate(prices)
        ]
        answers.add(choose(columns, range(len(columns)), Rules(agents=3), None).columns)
    assert len(answers) == 1


@st.composite
def limited(draw):
    """Two to four agents with machines that they may share, of which there are so many, and costs of their own."""
    agents, columns = draw(st.integers(2, 4)), []
    for agent in range(agents):
        for _ in range(draw(st.integers(1, 8))):
            pool, price, weight = draw(st.sampled_from([("a", "10", 1.0), ("b", "7", 0.0), ("own", "0", 1.0)]))
            there = take(pool, draw(st.integers(1, 6)), draw(st.sampled_from([1, 2, 4])), price, few=weight)
            columns.append(column(agent, there, direct=str(draw(st.integers(0, 30)))))
        columns.append(column(agent, direct=str(draw(st.integers(20, 80)))))
    return agents, columns, draw(st.integers(0, 4))


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(60))
@given(limited(), st.booleans())
def test_what_the_relaxed_program_leaves_out_changes_no_choice(problem, alike):
    """Asked first, it shows which of many columns are in no cheapest choice; here it is asked of few."""
    agents, columns, few = problem
    rules = Rules(agents=agents, alike=alike, limits=(Limit(name="few", most=few),))
    without = choose(columns, range(len(columns)), rules, None)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(program, "_MANY", 0)
        found = choose(columns, range(len(columns)), rules, None)
    assert (found.columns, found.usd, found.joint) == (without.columns, without.usd, without.joint)


def test_what_cannot_be_kept_is_named_among_many_columns_too() -> None:
    columns = [column(0, take("own", 9, 8, "0", few=1.0), direct=str(number)) for number in range(3)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(program, "_MANY", 0)
        with pytest.raises(Conflict, match="few"):
            choose(columns, range(3), Rules(agents=1, limits=(Limit(name="few", most=2),)), None)
