"""What is left out of the search, since nothing can be gained from it, changes no plan: each with and without."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest

from agentgpu_iac.plan import Plan
from agentgpu_iac.planning import planner
from agentgpu_iac.planning.choosing import serving
from agentgpu_iac.planning.choosing.candidates import Candidate, shared
from agentgpu_iac.planning.choosing.evaluation import Evaluator
from agentgpu_iac.planning.choosing.fronts import Front
from agentgpu_iac.planning.choosing.known import Known
from agentgpu_iac.planning.choosing.on_offer import offers, where_cheapest
from agentgpu_iac.planning.choosing.service import in_time
from tests.planning.scenes import CATALOG, load, make_agent, make_catalog, offerings, plan

PLACES = make_catalog(
    offerings("m1", "large-80", on_demand="3.00", spot="1.20", region="east")
    + offerings("m1", "large-80", on_demand="3.00", spot="1.10", region="west")
    + offerings("m1", "large-80", on_demand="2.90", spot="1.50", region="north")
    + offerings("m1", "large-80", on_demand="3.10", spot="1.50", region="south")
    + offerings("m4", "large-80", 4, on_demand="11.00", region="west")
    + offerings("m4", "large-80", 4, on_demand="11.00", region="east")
)


def bought(found: Plan) -> object:
    """All but the rejections, of which there is one for each place."""
    return found.cost, found.node_pools, found.workloads


def agents(seed: int) -> list[dict[str, object]]:
    peaks, pauses = itertools.cycle((1, 4, 9)), itertools.cycle((0.0, 20.0, 300.0))
    return [
        make_agent(
            f"agent-{number}",
            model=("test/dense", "test/tiny")[(number + seed) % 2],
            sessions={"concurrent": 7 + 11 * seed, "peak": (7 + 11 * seed) * next(peaks)},
            conversation={"turns": 30, "inputTokensPerTurn": 700, "thinkTimeS": next(pauses)},
            latencyClass="background" if number == 2 else "chat",
            ttftMs=4000,
        )
        for number in range(1 + seed % 3)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_places_that_another_one_undercuts(monkeypatch, seed):
    found = plan(*agents(seed), catalog=PLACES, target="kubernetes")
    monkeypatch.setattr(planner, "place_matters", lambda _spec: True)
    assert bought(plan(*agents(seed), catalog=PLACES, target="kubernetes")) == bought(found)


def test_a_place_stays_that_is_cheapest_for_somebody():
    spec = load(make_agent(), target="kubernetes").stack.spec
    kept = {(machine.instance.name, machine.region) for machine in where_cheapest(offers(spec, PLACES).machines)}
    assert kept == {("m1", "north"), ("m1", "west"), ("m4", "east")}


@pytest.mark.parametrize(
    "capacity",
    [
        {"survive": "zone", "zones": 2},
        {"maxSharePerPool": 0.5},
        {"quotas": [{"code": "L-DB2E81BA", "vcpus": 64}]},
    ],
)
def test_all_places_stay_where_they_are_not_alike(capacity):
    assert planner.place_matters(load(make_agent(), capacity=capacity).stack.spec)


@pytest.mark.parametrize("seed", range(4))
def test_stages_that_memory_does_not_ask_for(monkeypatch, seed):
    found = plan(*agents(seed), catalog=PLACES, target="kubernetes")
    monkeypatch.setattr(Evaluator, "_need_no_stages", lambda *_: False)
    assert bought(plan(*agents(seed), catalog=PLACES, target="kubernetes")) == bought(found)


@pytest.mark.parametrize("seed", range(4))
def test_ways_of_a_paused_cache_under_the_best_bound(monkeypatch, seed):
    found = plan(*agents(seed), catalog=PLACES, target="kubernetes")
    monkeypatch.setattr(
        Evaluator, "_at_least", lambda _self, _kept, ways: ((1, 1, place, way) for place, way in enumerate(ways))
    )
    assert bought(plan(*agents(seed), catalog=PLACES, target="kubernetes")) == bought(found)


@pytest.mark.parametrize("seed", range(4))
def test_all_that_a_number_of_requests_takes_but_what_budgets_ask(monkeypatch, seed):
    found = plan(*agents(seed), catalog=PLACES, target="kubernetes")
    monkeypatch.setattr(serving, "_is_told", lambda _demand: True)
    assert bought(plan(*agents(seed), catalog=PLACES, target="kubernetes")) == bought(found)


@pytest.mark.parametrize("seed", range(4))
def test_more_engines_on_an_accelerator_where_two_are_too_many(monkeypatch, seed):
    asked: list[Candidate] = []
    tolerated = planner.tolerated_engines

    def noted(candidate: Candidate, *further: float) -> int:
        asked.append(candidate)
        return tolerated(candidate, *further)

    monkeypatch.setattr(planner, "tolerated_engines", noted)
    quick = [agent | {"sessions": {"concurrent": 1 + seed}} for agent in agents(2 - seed % 2)]
    plan(*quick, catalog=CATALOG, target="kubernetes")
    for candidate in asked:
        kept = [in_time(shared(candidate, engines, 0.0).service, candidate.demand) for engines in (1, 2, 3, 4)]
        assert kept == sorted(kept, reverse=True)
    assert asked


def test_an_answer_is_known_by_the_things_themselves():
    asked: list[tuple[list[int], int]] = []

    def total(numbers: list[int], *, over: int) -> int:
        asked.append((numbers, over))
        return sum(number for number in numbers if number > over)

    known, numbers = Known(), [1, 2, 3]
    assert [known.of(total, numbers, over=1), known.of(total, numbers, over=1)] == [5, 5]
    assert known.of(total, list(numbers), over=1) == 5
    assert known.of(total, numbers, over=2) == 3
    assert len(asked) == 3


def test_a_front_takes_what_costs_less_in_something():
    front = Front()
    costs = [(2, 5), (3, 4), (2, 5), (3, 5), (1, 9), (3, 4)]
    taken = [front.takes((Decimal(first), Decimal(second))) for first, second in costs]
    assert taken == [True, True, False, False, True, False]
