"""The placement against brute force, shared machines, and shared accelerators."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.placement import place
from agentgpu_iac.planning.choosing.pricing import Machine, Way
from agentgpu_iac.planning.choosing.sharing import MAX_ENGINES_PER_ACCELERATOR
from agentgpu_iac.planning.choosing.tiers import Purchase
from agentgpu_iac.sizing.engines import SIZING_PORTS
from tests.planning.scenes import codes, make_agent, make_catalog, offerings, plan, workload
from tests.thoroughness import examples


@dataclass(frozen=True)
class Replicas:
    """As much of a candidate as the placement looks at."""

    baseline_replicas: int
    burst_replicas: int
    accelerators_per_replica: int
    nodes: int = 1


def machine(name: str, count: int, price: str) -> Machine:
    rows = offerings(name, "small-40", count, on_demand=price, spot=str(Decimal(price) / 4))
    ways = tuple(
        Way(
            capacity_type=row.capacity_type,
            usd_per_hour=row.usd_per_hour or Decimal(0),
            price_known=True,
            price_date=row.price_date,
            price_source=row.price_source,
        )
        for row in rows
    )
    return Machine(
        instance=rows[0].instance_type, accelerator="small-40", accelerators=count, region="us-east-1", ways=ways
    )


def bought(price: Decimal, *ways: str) -> Purchase:
    return Purchase(
        capacity_types=ways,  # type: ignore[arg-type]
        usd_per_hour=price,
        fallback_usd_per_hour=None,
    )


def option(
    position: int,
    where: Machine,
    baseline: int,
    burst: int = 0,
    size: int = 1,
    *,
    spot: bool = False,
    baseline_on_spot: bool = False,
) -> Option:
    on_demand, on_spot = where.usd_per_hour("on-demand"), where.usd_per_hour("spot")
    assert on_demand is not None
    assert on_spot is not None
    return Option(
        deployments=(position,),
        candidates=(Replicas(baseline, burst, size),),  # type: ignore[arg-type]
        machine=where,
        baseline=bought(on_spot, "spot", "on-demand") if baseline_on_spot else bought(on_demand, "on-demand"),
        burst=(bought(on_spot, "spot", "on-demand") if spot else bought(on_demand, "on-demand")) if burst else None,
    )


def group(members: tuple[Option, ...]) -> Option:
    return Option(
        deployments=tuple(one.deployments[0] for one in members),
        candidates=tuple(one.candidates[0] for one in members),
        machine=members[0].machine,
        baseline=members[0].baseline,
        burst=None,
    )


def cost(chosen: tuple[Option, ...], burst_hours: Decimal) -> Decimal:
    """What a choice costs when machines of one pool are filled together."""
    taken: defaultdict[Any, int] = defaultdict(int)
    prices: dict[Any, tuple[Decimal, int]] = {}
    for number, one in enumerate(chosen):
        for tier, purchase, hours in (("baseline", one.baseline, Decimal(720)), ("burst", one.burst, burst_hours)):
            if purchase is None or not one.accelerators(tier):  # type: ignore[arg-type]
                continue
            key = (one.machine.id, tier, purchase.capacity_types, number if one.is_shared else None)
            taken[key] += one.accelerators(tier)  # type: ignore[arg-type]
            prices[key] = (purchase.usd_per_hour * hours, one.machine.accelerators)
    return sum((prices[key][0] * math.ceil(taken[key] / prices[key][1]) for key in taken), Decimal(0))


def brute_force(
    by_agent: list[list[Option]], groups: list[Option], priced: Callable[[tuple[Option, ...]], Decimal]
) -> Decimal:
    """The least cost over every way to cover each agent exactly once."""
    best = None
    for count in range(len(groups) + 1):
        for together in itertools.combinations(groups, count):
            covered = [agent for one in together for agent in one.deployments]
            if len(covered) != len(set(covered)):
                continue
            alone = [options for agent, options in enumerate(by_agent) if agent not in covered]
            for chosen in itertools.product(*alone):
                found = priced((*together, *chosen))
                best = found if best is None else min(best, found)
    assert best is not None
    return best


MACHINES = (
    machine("one-a", 1, "1.00"),
    machine("one-b", 1, "1.60"),
    machine("four", 4, "3.10"),
    machine("eight", 8, "6.00"),
)


@st.composite
def problems(draw):
    """Two to four agents, each with one or two options on some machines; sometimes a group of the first two."""
    agents = draw(st.integers(2, 4))
    by_agent: list[list[Option]] = []
    for position in range(agents):
        options: list[Option] = []
        for where in draw(st.lists(st.sampled_from(MACHINES), min_size=1, max_size=3, unique_by=lambda one: one.id)):
            for _ in range(draw(st.integers(1, 2))):
                size = draw(st.sampled_from([one for one in (1, 2, 3, 4) if one <= where.accelerators]))
                baseline, burst = draw(st.integers(1, 5)), draw(st.integers(0, 4))
                ways = {"spot": draw(st.booleans()), "baseline_on_spot": draw(st.booleans())}
                options.append(option(position, where, baseline, burst, size, **ways))
        by_agent.append(options)
    single = option(0, MACHINES[1], 1), option(1, MACHINES[1], 1)
    groups = [group(single)] if draw(st.booleans()) else []
    return by_agent, groups, Decimal(draw(st.sampled_from([0, 72, 720])))


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(200))
@given(problems())
def test_against_brute_force(problem):
    by_agent, groups, burst_hours = problem
    found = place(by_agent, groups, True, Terms(burst_hours=burst_hours))
    covered = sorted(agent for one in found.options for agent in one.deployments)
    assert covered == list(range(len(by_agent)))
    assert found.gap_ratio == 0.0
    least = brute_force(by_agent, groups, lambda chosen: cost(chosen, burst_hours))
    assert cost(found.options, burst_hours) <= least + least / 1_000_000 + Decimal("0.001")


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(40))
@given(problems())
def test_the_order_of_the_options_does_not_matter(problem):
    by_agent, groups, burst_hours = problem
    found = place(by_agent, groups, True, Terms(burst_hours=burst_hours))
    other = place([list(reversed(options)) for options in by_agent], groups, True, Terms(burst_hours=burst_hours))
    assert cost(found.options, burst_hours) == cost(other.options, burst_hours)


@dataclass(frozen=True)
class Asks:
    user_facing: bool


@dataclass(frozen=True)
class Facing(Replicas):
    """As much as the placement looks at where nodes may be reserved."""

    normal_replicas: int = 1
    demand: Asks = Asks(user_facing=True)


RESERVABLE = tuple(
    dataclasses.replace(
        where,
        ways=(*where.ways, dataclasses.replace(where.ways[0], capacity_type="reserved", usd_per_hour=Decimal(price))),
    )
    for where, price in ((MACHINES[1], "0.50"), (MACHINES[2], "1.70"))
)
"""One accelerator at less than half the price, and four at little more."""


def reserved_cost(chosen: tuple[Option, ...], terms: Terms) -> Decimal:
    """What a choice costs when reserved nodes carry what they may of each pool: by the rule, not by the solver."""
    saved = Decimal(0)
    pools: defaultdict[Any, list[Option]] = defaultdict(list)
    for number, one in enumerate(chosen):
        reserved = one.machine.usd_per_hour("reserved")
        if reserved is None or one.baseline.capacity_types != ("on-demand",) or one.baseline.usd_per_hour <= reserved:
            continue
        fills = one.accelerators("baseline") % one.machine.accelerators == 0
        apart = one.is_shared or (terms.fillers_apart and fills)
        pools[one.machine.id, number if apart else None].append(one)
    for members in pools.values():
        where = members[0].machine
        candidates = [candidate for one in members for candidate in one.candidates]
        if not all(candidate.demand.user_facing for candidate in candidates):
            continue
        slots = sum(one.normal_replicas * where.accelerators_taken(one.accelerators_per_replica) for one in candidates)
        at_normal_load = math.ceil(slots / (where.accelerators * members[0].engines_per_accelerator))
        nodes = math.floor(at_normal_load * terms.reserved_ratio + 1e-9)
        reserved = where.usd_per_hour("reserved")
        assert reserved is not None
        saved += (members[0].baseline.usd_per_hour - reserved) * nodes * 720
    return cost(chosen, terms.burst_hours) - saved


@st.composite
def reservable_problems(draw):
    """Two or three agents, one of them perhaps in the background, and machines of which some are sold reserved."""
    agents = draw(st.integers(2, 3))
    by_agent: list[list[Option]] = []
    machines = (*RESERVABLE, MACHINES[0], MACHINES[3])
    for position in range(agents):
        user_facing = draw(st.sampled_from([True, True, False]))
        options: list[Option] = []
        for where in draw(st.lists(st.sampled_from(machines), min_size=1, max_size=3, unique_by=lambda one: one.id)):
            for _ in range(draw(st.integers(1, 2))):
                size = draw(st.sampled_from([one for one in (1, 2, 4) if one <= where.accelerators]))
                baseline, burst = draw(st.integers(1, 5)), draw(st.integers(0, 3))
                normal = draw(st.integers(1, baseline))
                found = option(position, where, baseline, burst, size, baseline_on_spot=draw(st.booleans()))
                if user_facing or draw(st.booleans()):
                    found = option(position, where, baseline, burst, size)
                facing = Facing(baseline, burst, size, normal_replicas=normal, demand=Asks(user_facing))
                options.append(dataclasses.replace(found, candidates=(facing,)))
        by_agent.append(options)
    groups: list[Option] = []
    if draw(st.booleans()):
        facing = [Facing(1, 0, 1, demand=options[0].candidates[0].demand) for options in by_agent[:2]]
        pair = (option(position, RESERVABLE[0], 1) for position in range(2))
        groups = [
            group(tuple(dataclasses.replace(one, candidates=(each,)) for one, each in zip(pair, facing, strict=True)))
        ]
    terms = Terms(
        burst_hours=Decimal(draw(st.sampled_from([0, 72]))),
        reserved_ratio=draw(st.sampled_from([0.3, 0.5, 2 / 3, 1.0])),
        fillers_apart=draw(st.booleans()),
    )
    return by_agent, groups, terms


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(300))
@given(reservable_problems())
def test_reservations_against_brute_force(problem):
    by_agent, groups, terms = problem
    found = place(by_agent, groups, True, terms)
    assert found.gap_ratio == 0.0
    least = brute_force(by_agent, groups, lambda chosen: reserved_cost(chosen, terms))
    assert abs(reserved_cost(found.options, terms) - least) < Decimal("0.01")


class TestTies:
    def test_machines_of_one_price_are_told_apart_by_name(self):
        rows = [offerings(name, "small-40", on_demand="1.00") for name in ("s-b", "s-a", "s-c")]
        for order in itertools.permutations(rows):
            found = plan(catalog=make_catalog(tuple(itertools.chain(*order))))
            assert found.node_pools[0].instance_types == ("s-a", "s-b", "s-c")

    def test_fewer_accelerators_win_at_one_price(self):
        rows = (*offerings("s2", "small-40", 2, on_demand="1.00"), *offerings("s1", "small-40", on_demand="1.00"))
        assert plan(catalog=make_catalog(rows)).node_pools[0].instance_types == ("s1",)

    def test_equal_agents_on_equal_nodes(self):
        rows = (
            *offerings("s8-b", "small-40", 8, on_demand="4.00"),
            *offerings("s8-a", "small-40", 8, on_demand="4.00"),
        )
        agents = [make_agent(f"agent-{one}") for one in range(3)]
        found = plan(*agents, catalog=make_catalog(rows), capacity={"shareAccelerators": "never"})
        assert [pool.instance_types for pool in found.node_pools] == [("s8-a", "s8-b")]


class TestSharedMachines:
    AGENTS = tuple(make_agent(f"agent-{one}", "test/dense", overrides={"baselineReplicas": 3}) for one in range(2))

    def test_two_agents_share_a_node_of_eight_when_that_is_cheaper(self):
        rows = (*offerings("s1", "small-40", on_demand="1.00"), *offerings("s8", "small-40", 8, on_demand="5.50"))
        found = plan(*self.AGENTS, catalog=make_catalog(rows))
        (pool,) = found.node_pools
        assert (pool.instance_types, pool.max) == (("s8",), 1)
        assert {one.node_pool for one in found.workloads} == {pool.name}
        assert found.cost.baseline_usd_per_month == Decimal("3960.00")

    def test_and_not_when_it_is_dearer(self):
        rows = (*offerings("s1", "small-40", on_demand="1.00"), *offerings("s8", "small-40", 8, on_demand="6.50"))
        found = plan(*self.AGENTS, catalog=make_catalog(rows))
        (pool,) = found.node_pools
        assert (pool.instance_types, pool.max) == (("s1",), 6)

    def test_a_node_that_no_agent_would_take_alone(self):
        rows = (*offerings("s1", "small-40", on_demand="1.00"), *offerings("s8", "small-40", 8, on_demand="5.50"))
        alone = plan(self.AGENTS[0], catalog=make_catalog(rows))
        assert alone.node_pools[0].instance_types == ("s1",)

    def test_spare_accelerators_let_a_rollout_surge(self):
        rows = offerings("s8", "small-40", 8, on_demand="5.50")
        found = plan(*self.AGENTS, catalog=make_catalog(rows))
        assert {(one.rollout.max_surge, one.rollout.max_unavailable) for one in found.workloads} == {(1, 0)}

    def test_replicas_of_three_fill_a_node_of_eight_by_two(self):
        agent = make_agent(
            model="test/big",
            latencyClass="background",
            overrides={"tensorParallelSize": 1, "pipelineParallelSize": 3, "baselineReplicas": 3},
        )
        found = plan(agent, catalog=make_catalog(offerings("l8", "large-80", 8, on_demand="22.00")))
        assert workload(found).accelerators_per_replica == 3
        assert found.node_pools[0].max == 2


CARD = make_catalog(offerings("l1", "large-80", on_demand="3.00"))
THREE = tuple(
    make_agent(
        f"agent-{one}",
        "test/tiny",
        sessions={"concurrent": 2},
        ttftMs=2000.0,
        tpotMs=200.0,
        conversation={"thinkTimeS": 0},
    )
    for one in range(3)
)


class TestSharedAccelerators:
    def test_three_small_agents_on_one_card(self):
        found = plan(*THREE, catalog=CARD)
        (pool,) = found.node_pools
        assert (pool.min, pool.max, pool.sharing, pool.slots_per_accelerator, pool.fixed_size) == (
            1,
            1,
            "time-slicing",
            3,
            True,
        )
        assert {one.share_group for one in found.workloads} == {"demo-share-1"}
        assert found.cost.baseline_usd_per_month == Decimal("2160.00")
        assert "fixed-size-pool" in codes(found)
        assert found.pattern == "multi-agent-orchestration"

    def test_each_has_a_fixed_kv_budget_and_no_burst_tier(self):
        found = plan(*THREE, catalog=CARD)
        for one in found.workloads:
            assert one.tier == "baseline"
            assert one.replicas.min == one.replicas.max == 1
            assert one.kv_cache_memory_bytes is not None
            block = 16 * one.memory.kv_bytes_per_token
            usable = one.kv_cache_memory_bytes // block - 1  # the engine keeps one for itself
            assert usable >= one.max_num_seqs * -(-one.memory.context_tokens // 16)
            at = one.engine.args.index("--kv-cache-memory-bytes")
            assert one.engine.args[at + 1] == str(one.kv_cache_memory_bytes)
        total = sum(one.memory.total_gib for one in found.workloads)
        assert total <= 0.80 * 80.0

    @pytest.mark.parametrize("engines", [("vllm", "vllm", "vllm"), ("vllm", "sglang"), ("sglang", "sglang")])
    def test_what_nobody_was_promised_is_handed_out_by_the_planned_figures(self, engines):
        """The engines together take the smallest of their default shares, each at least what it was planned with."""
        agents = (
            {**agent, "engine": engine, "sessions": {"concurrent": 2 + number}}
            for number, (agent, engine) in enumerate(zip(THREE, engines, strict=False))
        )
        found = plan(*agents, catalog=CARD).workloads
        assert len({one.share_group for one in found}) == 1
        assert found[0].share_group is not None
        block_gib = max(16 * one.memory.kv_bytes_per_token for one in found) / 2**30
        taken_gib = sum(one.memory.engine_budget_gib for one in found)
        card_gib, printed = found[0].memory.capacity_gib, 0.00005 * len(found)
        share = min(
            SIZING_PORTS[one.engine.name].default_share(
                CARD.accelerator("large-80"), CARD.release(one.engine.name, one.engine.version)
            )
            for one in found
        )
        assert taken_gib <= share * card_gib + printed
        assert taken_gib >= share * card_gib - block_gib - printed
        for one in found:
            held_gib = one.kv_cache_memory_bytes / 2**30
            assert held_gib >= one.memory.kv_gib
            assert one.memory.headroom_gib == pytest.approx(held_gib - one.memory.kv_gib, abs=2e-4)
        kept = sorted(found, key=lambda one: one.memory.kv_gib)
        assert kept[0].kv_cache_memory_bytes < kept[-1].kv_cache_memory_bytes

    def test_each_asks_for_no_more_free_memory_than_the_others_leave(self):
        found = plan(*THREE, catalog=CARD)
        shares = []
        for one in found.workloads:
            args = one.engine.args
            assert "--gpu-memory-utilization" in args
            shares.append(float(args[args.index("--gpu-memory-utilization") + 1]))
        assert sum(shares) <= 1.0

    def test_times_are_those_of_all_engines_busy(self):
        alone, together = plan(THREE[0], catalog=CARD), plan(*THREE, catalog=CARD)
        one, shared = workload(alone, "agent-0"), workload(together, "agent-0")
        assert shared.latency.tpot_ms == pytest.approx(3 * one.latency.tpot_ms, rel=0.01)
        assert shared.throughput.output_tokens_per_s == pytest.approx(one.throughput.output_tokens_per_s / 3, rel=0.01)

    def test_only_as_many_as_latency_tolerates(self):
        """A TPOT budget of 2.5 times the single engine's: pairs, never three."""
        single = workload(plan(THREE[0], catalog=CARD), "agent-0").latency.tpot_ms
        strict = tuple({**agent, "tpotMs": round(2.5 * single, 2)} for agent in THREE)
        found = plan(*strict, catalog=CARD)
        sizes = sorted(pool.slots_per_accelerator for pool in found.node_pools)
        assert sizes == [1, 2]
        for one in found.workloads:
            assert one.latency.tpot_ms <= one.latency.budget_tpot_ms

    def test_never_more_than_the_memory_holds(self):
        """Three agents of 8B need 17 GiB each, so that even two are more than 80 % of a card of 40 GiB."""
        agents = tuple({**agent, "model": "test/dense", "tpotMs": 500.0, "ttftMs": 5000.0} for agent in THREE)
        card = make_catalog(offerings("s1", "small-40", on_demand="1.00"))
        found = plan(*agents, catalog=card)
        filled: defaultdict[str, float] = defaultdict(float)
        for one in found.workloads:
            filled[one.share_group or one.name] += one.memory.total_gib
        assert all(total <= 32.0 for total in filled.values())
        assert all(one.share_group is None for one in found.workloads)
        assert found.node_pools[0].max == 3

    def test_not_when_told_never(self):
        found = plan(*THREE, catalog=CARD, capacity={"shareAccelerators": "never"})
        assert all(one.share_group is None and one.kv_cache_memory_bytes is None for one in found.workloads)
        assert sum(pool.max for pool in found.node_pools) == 3
        assert found.cost.baseline_usd_per_month == Decimal("6480.00")

    def test_not_on_machines_with_several_accelerators(self):
        found = plan(*THREE, catalog=make_catalog(offerings("l8", "large-80", 8, on_demand="22.00")))
        assert all(one.share_group is None for one in found.workloads)

    def test_not_with_an_agent_that_bursts(self):
        bursting = make_agent(
            "agent-0",
            "test/tiny",
            sessions={"concurrent": 2, "peak": 40},
            overrides={"maxNumSeqs": 4},
            traffic={"rampS": 5000.0},
        )
        found = plan(bursting, *THREE[1:], catalog=CARD)
        assert all(one.share_group is None for one in found.workloads if one.agent == "agent-0")
        assert {one.agent for one in found.workloads if one.share_group} == {"agent-1", "agent-2"}

    def test_not_when_a_smaller_card_each_is_cheaper(self):
        rows = (*offerings("l1", "large-80", on_demand="3.00"), *offerings("s1", "small-40", on_demand="0.20"))
        found = plan(*THREE, catalog=make_catalog(rows), capacity={"spot": "never"})
        assert found.cost.baseline_usd_per_month <= Decimal("432.00")

    def test_more_than_fourteen_agents(self):
        agents = tuple({**THREE[0], "name": f"agent-{one:02}"} for one in range(17))
        found = plan(*agents, catalog=CARD)
        assert "sharing-not-exhaustive" in codes(found)
        assert sum(pool.max for pool in found.node_pools) == math.ceil(17 / MAX_ENGINES_PER_ACCELERATOR)
        filled: defaultdict[str, list[float]] = defaultdict(list)
        for one in found.workloads:
            filled[one.share_group or one.name].append(one.memory.total_gib)
        assert all(len(each) <= MAX_ENGINES_PER_ACCELERATOR and sum(each) <= 64.0 for each in filled.values())
        assert "sharing-not-exhaustive" not in codes(plan(*agents[:8], catalog=CARD))


TWO_REGIONS = make_catalog(
    (
        *offerings("s1", "small-40", on_demand="1.00"),
        *offerings("s1", "small-40", on_demand="1.01", spot="0.10", region="us-west-2"),
    )
)
"""The west is a little dearer on-demand, but has spot for the agent that bursts."""
STEADY_AND_BURSTY = (
    make_agent("steady"),
    make_agent(
        "bursty",
        sessions={"concurrent": 4, "peak": 40},
        overrides={"maxNumSeqs": 4},
        traffic={"rampS": 50_000.0},
        conversation={"thinkTimeS": 60.0},
    ),
)


def test_one_cluster_stays_in_one_region():
    found = plan(*STEADY_AND_BURSTY, catalog=TWO_REGIONS, regions=["us-east-1", "us-west-2"])
    assert {pool.region for pool in found.node_pools} == {"us-west-2"}


def test_pools_in_two_regions_have_different_names():
    never = {"shareAccelerators": "never"}
    found = plan(*STEADY_AND_BURSTY, catalog=TWO_REGIONS, target="kubernetes", providers=["aws"], capacity=never)
    regions = {pool.region for pool in found.node_pools}
    if len(regions) < 2:
        raise RuntimeError("the scene no longer has pools in two regions")
    assert len({pool.name for pool in found.node_pools}) == len(found.node_pools)


class TestEqualCosts:
    """The smaller replicas are taken: one failure takes less away."""

    TERMS = Terms(burst_hours=Decimal(72))

    @pytest.mark.parametrize("price", ["9.00", "9000.00"])
    def test_of_one_agent(self, price):
        eight = machine("eight", 8, price)
        ways = [option(0, eight, 3, size=2), option(0, eight, 7), option(0, eight, 1, size=4)]
        (chosen,) = place([ways[:2]], [], True, self.TERMS).options
        assert chosen.candidates[0].accelerators_per_replica == 1
        (chosen,) = place([ways[::2]], [], True, self.TERMS).options
        assert chosen.candidates[0].accelerators_per_replica == 2

    @pytest.mark.parametrize("price", ["9.00", "9000.00"])
    def test_of_several_that_share_machines(self, price):
        eight = machine("eight", 8, price)
        by_agent = [[option(number, eight, 2, size=2), option(number, eight, 5)] for number in range(3)]
        chosen = place(by_agent, [], True, self.TERMS).options
        assert [one.candidates[0].accelerators_per_replica for one in chosen] == [1, 1, 1]

    def test_but_never_at_a_higher_cost(self):
        """Five cards each would take three machines of four, four cards two."""
        four = machine("four", 4, "9000.00")
        by_agent = [[option(number, four, 2, size=2), option(number, four, 5)] for number in range(2)]
        chosen = place(by_agent, [], True, self.TERMS).options
        assert [one.candidates[0].accelerators_per_replica for one in chosen] == [2, 2]
