"""Large stacks: agents that are surely served together are left out at first, and the plan is the one with all of them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from agentgpu_iac.plan import Plan
from agentgpu_iac.planning import trying
from agentgpu_iac.planning.choosing import apart
from tests.planning.scenes import make_agent, plan

MODELS = ("test/dense", "test/tiny")


def team(seed: int) -> list[dict[str, Any]]:
    """Agents of two models with sessions of their own, some alike; one may be by itself."""
    draw = random.Random(f"apart {seed}")
    return [
        make_agent(
            f"a{number}",
            model=draw.choice(MODELS[: draw.choice((1, 2))]),
            isolation=draw.choice(("shared", "shared", "shared", "dedicated")),
            latencyClass=draw.choice(("chat", "chat", "background")) if seed % 3 == 0 else "chat",
            ttftMs=draw.choice((500, 2000)),
            sessions={"concurrent": draw.choice((1, 2, 4, 8, 40))},
            traffic={"burstFactor": draw.choice((1, 1, 3))},
        )
        for number in range(draw.randint(2, 7))
    ]


def told(found: Plan) -> Any:
    """What is bought and told of it, but for what is looked for in small stacks alone."""
    kept = found.model_dump(mode="json", include={"workloads", "node_pools", "agents", "sharing", "rejections"})
    return kept, found.cost.expected_usd_per_month, found.cost.optimality_gap_ratio


@pytest.mark.broad(every=4)
@pytest.mark.parametrize("seed", range(12))
def test_the_plan_is_the_one_with_everybody_tried_in_full(seed, monkeypatch):
    agents = team(seed)
    in_full = told(plan(*agents))
    monkeypatch.setattr(trying, "MOST_TRIED_IN_FULL", 0)
    assert told(plan(*agents)) == in_full


def test_the_bound_leaves_somebody_out_and_lets_others_in(monkeypatch):
    """Otherwise the law above says nothing."""
    monkeypatch.setattr(trying, "MOST_TRIED_IN_FULL", 0)
    seen: list[tuple[int, int]] = []
    whole = apart.possibly_apart

    def counted(alone_usd, *rest):
        found = whole(alone_usd, *rest)
        seen.append((len(alone_usd), len(found)))
        return found

    monkeypatch.setattr(apart, "possibly_apart", counted)
    for seed in range(12):
        plan(*team(seed))
    assert any(withheld > doubtful for withheld, doubtful in seen)
    assert any(doubtful for _, doubtful in seen)


def test_agents_that_differ_in_their_names_alone_are_tried_once(monkeypatch):
    monkeypatch.setattr(trying, "MOST_TRIED_IN_FULL", 0)
    asked: list[int] = []
    whole = apart.cheapest_alone
    monkeypatch.setattr(
        apart, "cheapest_alone", lambda position, *rest: asked.append(position) or whole(position, *rest)
    )
    plan(
        *(make_agent(f"a{number}", isolation="shared", sessions={"concurrent": 4 + number % 2}) for number in range(6))
    )
    assert asked == [0, 1]
