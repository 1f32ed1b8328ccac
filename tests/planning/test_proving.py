"""Plans that are simulated until they hold."""

from __future__ import annotations

import pytest

from agentgpu_iac.planning.proving import Question, proven
from tests.planning import scenes

QUICK = Question(traffic="ramp", hours=0.01, seeds=(1, 2))


@pytest.fixture(scope="module")
def broken():
    """A stack whose measured figures flatter it: one replica is planned for what it cannot carry in time."""
    flattered = scenes.make_agent(
        sessions={"concurrent": 60},
        conversation={"thinkTimeS": 0, "outputTokensPerTurn": 100},
        tpotMs=32,
        overrides={
            "tpotMs": 10,
            "ttftMs": 50,
            "maxNumSeqs": 60,
            "outputTokensPerS": 20000,
            "prefillTokensPerS": 200000,
        },
    )
    return scenes.load(flattered)


def test_a_plan_that_holds_carries_its_proof():
    loaded = scenes.load(scenes.make_agent(sessions={"concurrent": 6}))
    plan = proven(loaded, scenes.CATALOG, QUICK)
    (proof,) = plan.proof
    assert proof.holds
    assert proof.low_ratio is not None
    assert proof.wanted_ratio == 0.95 <= proof.low_ratio <= (proof.inside_ttft_ratio or 0)
    assert proof.warm_replicas == proof.warm_replicas_before == 1
    assert proof.requests > 0


def test_warm_replicas_are_added_until_it_holds(broken):
    plan = proven(broken, scenes.CATALOG, QUICK)
    (proof,) = plan.proof
    assert proof.warm_replicas > proof.warm_replicas_before
    assert plan.workloads[0].replicas.max == proof.warm_replicas
    assert proof.holds


def test_what_the_spec_sets_stays(broken):
    fixed = scenes.load(
        scenes.make_agent(
            sessions={"concurrent": 60},
            conversation={"thinkTimeS": 0, "outputTokensPerTurn": 100},
            tpotMs=32,
            overrides={
                "tpotMs": 10,
                "ttftMs": 50,
                "maxNumSeqs": 60,
                "outputTokensPerS": 20000,
                "prefillTokensPerS": 200000,
                "baselineReplicas": 1,
            },
        )
    )
    (proof,) = proven(fixed, scenes.CATALOG, QUICK).proof
    assert (proof.holds, proof.warm_replicas) == (False, 1)
