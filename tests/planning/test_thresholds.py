"""Numbers from which something is called otherwise: just below, and at them."""

from __future__ import annotations

import pytest

from agentgpu_iac.planning.planner import NoPlan
from tests.planning.scenes import make_agent, make_catalog, make_model, offerings, plan, workload


@pytest.mark.parametrize(("peak", "pattern"), [(999, "single-agent"), (1_000, "high-concurrency-api")])
def test_a_thousand_sessions_at_the_peak_are_a_high_concurrency_api(peak: int, pattern: str):
    assert plan(make_agent(sessions={"concurrent": 4, "peak": peak})).pattern == pattern


@pytest.mark.parametrize(("others", "pattern"), [(111, "high-concurrency-api"), (112, "multi-agent-orchestration")])
def test_the_agent_with_nine_tenths_of_all_sessions_rules(others: int, pattern: str):
    found = plan(make_agent("api", sessions={"concurrent": 1000}), make_agent("side", sessions={"concurrent": others}))
    assert found.pattern == pattern


@pytest.mark.parametrize(("tokens", "pattern"), [(999, "single-agent"), (1_000, "reasoning-heavy")])
def test_a_thousand_tokens_of_reasoning_are_heavy(tokens: int, pattern: str):
    assert plan(make_agent(conversation={"reasoningTokensPerTurn": tokens})).pattern == pattern


@pytest.mark.parametrize(("tokens", "pattern"), [(32_000, "single-agent"), (32_768, "reasoning-heavy")])
def test_four_gib_of_cache_for_a_session_are_heavy(tokens: int, pattern: str):
    """128 KiB a token: 32,768 tokens are 4 GiB."""
    agent = make_agent(sessions={"concurrent": 1}, conversation={"maxContextTokens": tokens})
    assert plan(agent).pattern == pattern


@pytest.mark.parametrize(
    ("small", "large", "architecture"),
    [
        (10.0, 30.0, "tiered-by-complexity"),
        (10.1, 30.0, "several-nodes"),
        (10.0, 29.9, "several-nodes"),
    ],
)
def test_small_and_large_models_on_cards_of_their_own_are_tiers(small: float, large: float, architecture: str):
    """Up to 10 B parameters is small and from 30 B large, in the words of the playbook."""
    models = (make_model("test/small", small), make_model("test/large", large))
    rows = offerings("s1", "small-40", on_demand="1.00") + offerings("l1", "large-80", on_demand="9.00")
    found = plan(
        make_agent("a", "test/small", latencyClass="background"),
        make_agent("b", "test/large", latencyClass="background"),
        catalog=make_catalog(rows, models=models),
        capacity={"shareAccelerators": "never"},
    )
    assert {one.accelerator for one in found.workloads} == {"small-40", "large-80"}
    assert found.architecture == architecture


def test_a_replica_spans_four_nodes_at_most():
    """A judgement: beyond, one lost node in five takes the whole replica down. 8 x 40 GiB x 0.8 = 256 GiB a node."""
    rows = offerings("s8", "small-40", 8, on_demand="9.00", efa_interfaces=32, network_baseline_gbps=3200.0)

    def nodes(params: float) -> int:
        models = (make_model("test/vast", params, layers={"full": 96}, attention_heads=64),)
        agent = make_agent("vast", "test/vast", latencyClass="background", sessions={"concurrent": 1})
        return workload(plan(agent, catalog=make_catalog(rows, models=models)), "vast").nodes_per_replica

    assert nodes(480) == 4
    with pytest.raises(NoPlan):
        nodes(620)


def test_a_stack_is_refused_from_a_hundred_thousand_replicas():
    rows = offerings("s1", "small-40", on_demand="1.00")

    def replicas(peak: int) -> int:
        agent = make_agent(
            latencyClass="background", sessions={"concurrent": 1, "peak": peak}, overrides={"maxNumSeqs": 1}
        )
        found = plan(agent, catalog=make_catalog(rows), capacity={"spot": "never", "shareAccelerators": "never"})
        return sum(one.replicas.max for one in found.workloads)

    assert replicas(100_000) == 100_000
    with pytest.raises(NoPlan, match="100,001 replicas"):
        replicas(100_001)


def test_prompts_are_batched_by_two_thousand_tokens_at_least():
    found = workload(plan(make_agent(conversation={"inputTokensPerTurn": 20, "systemPromptTokens": 0})))
    assert found.max_num_batched_tokens == 2_048
