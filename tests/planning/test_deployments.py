"""Agents of one model on one deployment: who may share, what they ask for together, and that it never costs more."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.endpoints import endpoints
from agentgpu_iac.planning.choosing.requests import largest_prompt, mean_request
from agentgpu_iac.planning.demand import Demand, demand, wanted_model_len
from agentgpu_iac.planning.deployments import deployments, together, with_context_for, without_shared_prefix
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.review.explain import explain
from tests.planning.scenes import CATALOG, load, make_agent, plan

MODEL = CATALOG.model("test/dense")
TEAM = ("planner", "coder", "critic")


def agent(name: str, sessions: int = 4, **fields: Any) -> dict[str, Any]:
    return make_agent(name, **{"isolation": "shared", "sessions": {"concurrent": sessions}, **fields})


def demands(*agents: dict[str, Any]) -> tuple[Demand, ...]:
    return tuple(demand(each, MODEL) for each in load(*agents).stack.spec.agents)


def shared(*agents: dict[str, Any]) -> list[tuple[str, ...]]:
    """Whom each deployment of several serves."""
    return [
        tuple(member.name for member in found.demand.members)
        for found in deployments(demands(*agents))
        if found.demand.members
    ]


class TestWhoMayShare:
    def test_agents_of_one_model(self):
        assert shared(agent("planner"), agent("coder")) == [("planner", "coder")]

    def test_each_is_considered_alone_too_and_first(self):
        found = deployments(demands(agent("planner"), agent("coder")))
        assert [each.agents for each in found] == [(0,), (1,), (0, 1)]

    def test_dedicated_stays_alone(self):
        assert shared(agent("planner"), agent("coder", isolation="dedicated")) == []
        three = shared(agent("planner"), agent("coder", isolation="dedicated"), agent("critic"))
        assert three == [("planner", "critic")]

    @pytest.mark.parametrize(
        "differs",
        [
            {"modelRevision": "v2"},
            {"engine": "sglang"},
            {"engineVersion": "0.22.0"},
            {"precision": "fp8"},
            {"kvCacheDtype": "fp8"},
            {"toolCallParser": "none"},
            {"reasoningParser": "none"},
            {"textOnly": True},
            {"trustRemoteCode": True},
            {"kvOffloadGib": 4},
            {"speculative": {"method": "ngram"}},
            {"overrides": {"maxModelLen": 4096}},
            {"overrides": {"maxNumSeqs": 4}},
            {"overrides": {"requiredOutputTokensPerS": 10}},
        ],
    )
    def test_not_where_the_engine_would_be_started_otherwise(self, differs):
        assert shared(agent("planner"), agent("coder", **differs)) == []

    def test_what_is_set_by_hand_of_the_engine_may_be_the_same(self):
        by_hand = {"overrides": {"maxModelLen": 4096}}
        assert shared(agent("planner", **by_hand), agent("coder", **by_hand)) == [("planner", "coder")]

    def test_not_what_is_set_by_hand_of_an_agent(self):
        by_hand = {"overrides": {"baselineReplicas": 2}}
        assert shared(agent("planner", **by_hand), agent("coder", **by_hand)) == []

    def test_an_agent_and_its_fallback_are_never_down_together(self):
        assert shared(agent("planner", fallback="coder"), agent("coder")) == []
        assert shared(agent("planner", fallback="coder"), agent("coder"), agent("critic")) == [("planner", "critic")]

    def test_two_adapters_of_one_name_are_kept_apart(self):
        first, second = ([{"name": "style", "source": f"acme/{each}"}] for each in ("one", "two"))
        assert shared(agent("planner", loraAdapters=first), agent("coder", loraAdapters=second)) == []
        assert shared(agent("planner", loraAdapters=first), agent("coder", loraAdapters=first)) == [
            ("planner", "coder")
        ]

    def test_classes_are_considered_by_themselves_too(self):
        found = shared(
            agent("a"), agent("b"), agent("c", latencyClass="voice"), agent("d", latencyClass="voice"),
            agent("e", latencyClass="background"), agent("f", latencyClass="background"),
        )  # fmt: skip
        assert found == [tuple("abcdef"), tuple("abcd"), ("c", "d"), ("a", "b"), ("e", "f")]


class TestNames:
    def test_by_the_model(self):
        (found,) = (each.demand for each in deployments(demands(agent("a"), agent("b"))) if each.demand.members)
        assert found.name == MODEL.id.rsplit("/", 1)[-1].lower()

    def test_of_nobody_else(self):
        taken = MODEL.id.rsplit("/", 1)[-1].lower()
        names = [each.demand.name for each in deployments(demands(agent(taken), agent("b")))]
        assert names == [taken, "b", f"{taken}-2"]


class TestTogether:
    def test_equal_agents_are_one_agent_with_the_same_sessions(self):
        whole, parts = demands(agent("coder", 16))[0], demands(agent("a", 4), agent("b", 8), agent("c", 4))
        found = together("coder", parts)
        same = ("shape", "concurrent", "peak", "context_tokens", "budget_ttft_ms", "budget_tpot_ms", "user_facing")
        assert all(getattr(found, field) == getattr(whole, field) for field in same)
        assert found.output_tokens_per_s(peak=True) == pytest.approx(whole.output_tokens_per_s(peak=True))
        assert found.prefill_tokens_per_s(0.5, peak=False) == pytest.approx(whole.prefill_tokens_per_s(0.5, peak=False))

    def test_the_strictest_budget_holds(self):
        found = together(
            "x", demands(agent("a"), agent("b", ttftMs=300), agent("c", latencyClass="background", e2eMs=9000))
        )
        assert (found.budget_ttft_ms, found.budget_tpot_ms, found.budget_e2e_ms) == (300, 50, 9000)
        assert found.user_facing

    def test_contexts_are_their_own(self):
        long = {"conversation": {"maxContextTokens": 9_000}}
        parts = demands(agent("a", 3, conversation={"maxContextTokens": 1_000}), agent("b", 1, **long))
        found = together("x", parts)
        assert found.context_tokens == (3 * 1_000 + 9_000) / 4
        assert found.longest_context_tokens == 9_000
        assert wanted_model_len(found) == wanted_model_len(parts[1])

    def test_each_agent_s_own_prefix_is_held_once(self):
        parts = demands(
            agent("a", 3, conversation={"systemPromptTokens": 1_600}),
            agent("b", 1, conversation={"systemPromptTokens": 160}),
        )
        found = together("x", parts)
        assert [part.shared_kv_tokens for part in parts] == [1_600, 160]
        assert found.shared_kv_tokens == 1_232  # 16 tokens a block; the mean is 1,240
        assert found.shared_kv_tokens + found.other_prefix_kv_tokens == 1_600 + 160
        assert without_shared_prefix(found).shared_kv_tokens == 0

    def test_chance_deals_long_sessions_out(self):
        long = {"conversation": {"maxContextTokens": 9_000}}
        found = together("x", demands(agent("a", 3, conversation={"maxContextTokens": 1_000}), agent("b", 1, **long)))
        few, many = (with_context_for(found, seats).context_tokens for seats in (1, 400))
        assert few == 9_000  # one seat may hold the longest
        assert many == pytest.approx(3_000 + 2.326 * 3464.1 / 20, abs=1)

    def test_a_mean_request_is_weighed_by_how_often_it_comes(self):
        short = {"conversation": {"outputTokensPerTurn": 100, "thinkTimeS": 0}}
        long = {"conversation": {"outputTokensPerTurn": 300, "thinkTimeS": 0}}
        found = together("x", demands(agent("a", 1, **short), agent("b", 1, **long)))
        assert found.shape.output_tokens_per_request == pytest.approx(150)  # three of 100 while one of 300 lasts

    def test_as_many_generate_on_average_as_of_each_by_itself(self):
        quick = {"conversation": {"outputTokensPerTurn": 100, "thinkTimeS": 0}}
        slow = {"conversation": {"outputTokensPerTurn": 200, "thinkTimeS": 600}}
        parts = demands(agent("a", 4, **quick), agent("b", 4, **slow))
        found = together("x", parts)

        def generating(one: Demand) -> float:
            answer_s = one.shape.output_tokens_per_request * 0.05
            return one.peak * answer_s / (answer_s + one.pause_s)

        assert generating(found) == pytest.approx(sum(map(generating, parts)))

    def test_unlike_prompts_vary_more(self):
        short, long = (
            {"conversation": {"inputTokensPerTurn": tokens, "turns": 1, "systemPromptTokens": 0}}
            for tokens in (600, 6_400)
        )
        alike, unlike = (
            demands(agent("a", **short), agent("b", **short)),
            demands(agent("a", **short), agent("b", **long)),
        )
        assert mean_request(together("x", alike), 1.0).prompt_spread == 1
        found = mean_request(together("x", unlike), 1.0)
        assert found.prompt_tokens == pytest.approx((600 + 6_400) / 2)
        assert found.prompt_spread == pytest.approx((600**2 + 6_400**2) / 2 / 3_500**2)

    def test_the_longest_prompt_of_any_must_be_in_time(self):
        parts = demands(agent("a"), agent("b", conversation={"inputTokensPerTurn": 6_000}))
        assert largest_prompt(together("x", parts), 1.0) == largest_prompt(parts[1], 1.0)

    def test_the_way_up_is_that_of_those_who_climb(self):
        fast, slow = ({"traffic": {"burstFactor": 2, "rampS": ramp}} for ramp in (0, 100))
        found = together("x", demands(agent("a", 4, **fast), agent("b", 12, **slow)))
        assert found.climbed(50) == pytest.approx((4 * 1 + 12 * 0.5) / 16)


def cost(found: Plan) -> Decimal:
    return found.cost.expected_usd_per_month


@pytest.fixture(scope="module")
def team() -> Plan:
    return plan(*(agent(name) for name in TEAM), capacity={"shareAccelerators": "never"})


@pytest.fixture(scope="module")
def apart() -> Plan:
    agents = (agent(name, isolation="dedicated") for name in TEAM)
    return plan(*agents, capacity={"shareAccelerators": "never"})


class TestPlanned:
    def test_costs_what_one_agent_with_the_same_sessions_does(self, team):
        assert cost(team) == cost(plan(agent("coder", 12), capacity={"shareAccelerators": "never"}))

    def test_is_cheaper_than_apart(self, team, apart):
        assert cost(team) < cost(apart)
        assert {workload.agent for workload in apart.workloads} == set(TEAM)
        assert not apart.sharing

    def test_one_engine_has_all_their_names(self, team):
        (workload,) = team.workloads
        args = workload.engine.args
        at = args.index("--served-model-name")
        assert args[at + 1 : at + 4] == TEAM == workload.agents
        assert [each.served_model_name for each in team.agents] == list(TEAM)

    def test_the_cost_is_shared_by_load(self, team):
        parts = [each.usd_per_month for each in team.cost.by_agent]
        assert abs(sum(parts) - cost(team)) <= Decimal("0.02")
        assert [each.agent for each in team.cost.by_agent] == list(TEAM)
        assert [each.load_ratio for each in team.agents] == pytest.approx([1 / 3] * 3, abs=1e-6)

    def test_says_why(self, team):
        (why,) = team.sharing
        assert why.agents == TEAM
        assert why.deployments == (team.workloads[0].agent,)
        assert why.together_usd_per_month < why.apart_usd_per_month

    def test_each_has_its_part_of_the_room_in_the_queue(self):
        found = plan(agent("planner", 6), agent("coder", 2), network={"router": "nginx"})
        (workload,) = found.workloads
        room = workload.replicas.max * workload.admission.max_queued_requests
        assert [(route.agent, route.leads_to, route.port) for route in found.router.routes] == [
            ("planner", workload.agent, 10_000),
            ("coder", workload.agent, 10_001),
        ]
        assert [route.max_connections for route in found.router.routes] == [-(-room * 6 // 8), -(-room * 2 // 8)]

    def test_a_known_peak_of_an_agent_is_its_deployment_s(self):
        burst = {"traffic": {"burstFactor": 10, "rampS": 3600}}
        peak = {"agent": "coder", "start": "0 8 * * *", "end": "0 9 * * *", "timezone": "UTC", "replicas": 1}
        found = plan(
            agent("planner", 20, **burst),
            agent("coder", 20, **burst),
            scaling={"schedule": [peak]},
            capacity={"shareAccelerators": "never"},
        )
        (scaled,) = (each.scaling for each in found.workloads if each.tier == "burst")
        assert [each.start for each in scaled.schedules] == ["0 8 * * *"]
        assert not [each for each in found.warnings if each.code == "schedule-ignored"]

    def test_a_plan_of_before_reads_as_one_deployment_for_each_agent(self, apart):
        before = apart.model_copy(update={"agents": (), "sharing": ()})
        assert [agent.name for agent in before.served_agents] == list(TEAM)
        assert endpoints(before) == endpoints(apart)

    def test_an_agent_is_explained_by_its_deployment(self, team):
        (workload,) = team.workloads
        assert explain(team, "plan", "coder") == explain(team, "plan", workload.agent) == explain(team, "plan")
        with pytest.raises(BadInput, match="no agent 'nobody'"):
            explain(team, "plan", "nobody")

    def test_the_pattern_is_that_of_several_agents(self, team):
        assert team.pattern == "multi-agent-orchestration"

    def test_says_in_what_agents_of_one_model_differ(self):
        found = plan(agent("planner"), agent("coder", kvCacheDtype="fp8"), agent("critic", isolation="dedicated"))
        (why,) = found.sharing
        assert (why.agents, why.differ_in) == (("planner", "coder"), ("kvCacheDtype",))
        assert why.deployments == ("planner", "coder")
        assert why.together_usd_per_month is None

    def test_adapters_stand_side_by_side(self):
        adapters = [[{"name": f"style-{name}", "source": f"acme/{name}"}] for name in ("a", "b")]
        found = plan(agent("a", loraAdapters=adapters[0]), agent("b", loraAdapters=adapters[1]))
        (workload,) = found.workloads
        modules = [word for word in workload.engine.args if word.startswith("style-")]
        assert [word.partition("=")[0] for word in modules] == ["style-a", "style-b"]
        assert [each.adapters for each in found.agents] == [("style-a",), ("style-b",)]

    def test_stays_apart_where_the_strictest_budget_would_cost_more(self):
        long = {"inputTokensPerTurn": 60_000, "turns": 1, "thinkTimeS": 0}
        found = plan(
            agent("voice", 1, latencyClass="voice"),
            agent("digest", 1, latencyClass="background", conversation=long),
        )
        assert [workload.agents for workload in found.workloads if workload.tier == "baseline"] == [
            ("voice",),
            ("digest",),
        ]
        assert found.sharing[0].deployments == ("voice", "digest")


def test_whoever_asks_hears_how_many_deployments_are_sized() -> None:
    heard: list[tuple[int, int]] = []
    make_plan(load(agent("a"), agent("b")), CATALOG, told=lambda done, of: heard.append((done, of)))
    assert heard == [(0, 3), (1, 3), (2, 3)], "both agents alone, and the two together"
