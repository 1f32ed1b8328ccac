"""Drains: long enough for the longest of a hundred answers, on everything that an answer passes."""

from __future__ import annotations

import math

import pytest

from agentgpu_iac.planning.choosing import leaving
from agentgpu_iac.planning.demand import demand
from agentgpu_iac.planning.running.routing import answer_timeout_s
from tests.planning.scenes import DENSE, load, make_agent, make_catalog, offerings, only, plan, workload


def answering(tokens: int, **conversation):
    given = {"turns": 1, "outputTokensPerTurn": tokens, **conversation}
    return demand(load(make_agent(conversation=given)).stack.spec.agents[0], DENSE)


class TestTheLongestAnswer:
    def test_ninety_nine_in_a_hundred_end_by_themselves(self):
        """600 tokens on average: a geometric length is above 2,763 in one of a hundred."""
        asked = answering(600, maxContextTokens=DENSE.max_context_tokens)
        tokens = leaving.longest_answer_tokens(asked)
        assert (1 - 1 / 600) ** tokens == pytest.approx(0.01, rel=0.01)
        assert leaving.drain(asked, 20.0).shutdown_timeout_s == math.ceil(600 * math.log(100) * 0.05) == 139

    def test_no_longer_than_the_context_has_room(self):
        asked = answering(600, maxContextTokens=1_500)
        assert leaving.longest_answer_tokens(asked) == 1_500 - asked.shape.first_prompt_tokens
        full = answering(600, systemPromptTokens=4_000)
        assert leaving.longest_answer_tokens(full) >= 600

    def test_reasoning_is_waited_for_as_well(self):
        plain, thinking = answering(300), answering(300, reasoningTokensPerTurn=2_000)
        assert leaving.longest_answer_tokens(thinking) > 2 * leaving.longest_answer_tokens(plain)

    def test_one_request_and_not_the_turn(self):
        calls = {"perTurn": 3.0, "seconds": 2.0, "resultTokens": 300}
        assert leaving.longest_answer_tokens(answering(1_200, toolCalls=calls)) == pytest.approx(300 * math.log(100))


class TestDrain:
    @pytest.mark.parametrize(
        ("tokens", "tpot_ms", "ttft_ms", "seconds"),
        [
            (20, 20.0, None, 45),  # never under 45 s
            (600, None, None, 139),
            (600, 50.0, None, 139),  # 50 ms a token at least
            (600, 80.0, None, 222),
            (600, 50.0, 2_000.0, 141),
            (16_000, 1e6, None, 3_600),
        ],
    )
    def test_off_spot(self, tokens, tpot_ms, ttft_ms, seconds):
        asked = answering(tokens, maxContextTokens=DENSE.max_context_tokens)
        found = leaving.drain(asked, tpot_ms, ttft_ms)
        assert (found.pre_stop_s, found.shutdown_timeout_s, found.grace_period_s) == (15, seconds, 15 + seconds + 15)
        assert found.answer_s == seconds
        waits_before = leaving.drain(asked, tpot_ms, ttft_ms, engine_waits=False)
        assert (waits_before.pre_stop_s, waits_before.shutdown_timeout_s) == (15 + seconds, 0)
        assert waits_before.grace_period_s == found.grace_period_s

    @pytest.mark.parametrize(
        ("notice_s", "expected"),
        [(120, (15, 85, 115)), (30, (8, 9, 25)), (5, (1, 1, 3)), (0, (15, 139, 169))],
    )
    @pytest.mark.parametrize("engine_waits", [True, False])
    def test_on_spot_what_the_notice_leaves(self, notice_s, expected, engine_waits):
        whole = leaving.drain(
            answering(600, maxContextTokens=DENSE.max_context_tokens), 20.0, engine_waits=engine_waits
        )
        found = leaving.on_spot(whole, notice_s)
        pre_stop, shutdown, grace = expected
        waits = (pre_stop, shutdown) if engine_waits else (pre_stop + shutdown, 0)
        assert (found.pre_stop_s, found.shutdown_timeout_s, found.grace_period_s) == (*waits, grace)
        assert (found.answer_s, found.notice_s) == (139, notice_s)
        assert not notice_s or found.grace_period_s <= max(3, notice_s - leaving.NOTICE_DETECTION_S)

    def test_a_notice_with_room_changes_nothing_but_itself(self):
        whole = leaving.drain(answering(20), 20.0)
        assert leaving.on_spot(whole, 120) == whole.model_copy(update={"notice_s": 120})


@pytest.fixture(scope="module", params=[150, 600, 6_000])
def planned(request):
    def agent(name, tokens):
        return make_agent(
            name=name,
            latencyClass="background",
            sessions={"concurrent": 400},
            conversation={"turns": 1, "outputTokensPerTurn": tokens, "inputTokensPerTurn": 200},
        )

    return plan(
        agent("talker", request.param),
        agent("brief", 20),
        accelerators=only("large-80"),
        network={"router": "nginx"},
        catalog=make_catalog(offerings("l1", "large-80", on_demand="3.00", spot="1.00")),
    )


class TestNothingOnThePathEndsBefore:
    """The engine, its pod, its node, the router and each of the router's timeouts."""

    def test_the_law(self, planned):
        assert planned.router is not None
        drain = planned.router.drain
        for each in planned.workloads:
            assert each.drain.answer_s >= leaving.LEAST_SHUTDOWN_S
            assert drain.shutdown_timeout_s >= each.drain.answer_s
            assert each.drain.grace_period_s >= each.drain.pre_stop_s + each.drain.shutdown_timeout_s
            assert answer_timeout_s(each) >= each.drain.answer_s
            pool = next(pool for pool in planned.node_pools if pool.name == each.node_pool)
            assert pool.termination_grace_s >= each.drain.grace_period_s + each.rollout.progress_deadline_s
        assert drain.grace_period_s > drain.pre_stop_s + drain.shutdown_timeout_s
        for route in planned.router.routes:
            assert route.answer_timeout_s >= max(
                each.drain.answer_s for each in planned.workloads if each.agent == route.agent
            )

    def test_engines_on_spot_do_not_shorten_the_router(self, planned):
        on_spot = [each for each in planned.workloads if each.drain.notice_s]
        assert on_spot
        assert planned.router.drain.shutdown_timeout_s >= max(each.drain.shutdown_timeout_s for each in on_spot)
        assert all(each.drain.grace_period_s <= each.drain.notice_s - 5 for each in on_spot)


class TestTheNode:
    def test_its_pods_leave_one_after_another(self):
        found = plan(make_agent(), accelerators=only("large-80"))
        each = workload(found)
        alone = leaving.node_s([each], 1)
        assert alone == each.rollout.progress_deadline_s + each.drain.grace_period_s
        assert leaving.node_s([each], 3) == alone + 2 * (each.probes.startup_s + each.drain.grace_period_s)
        assert leaving.node_s([], 1) == 0
