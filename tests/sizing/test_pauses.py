"""How long sessions pause: what share finds its cache after a pause, and how many must be held for that."""

from __future__ import annotations

import heapq
import math
import random
from collections import OrderedDict
from statistics import NormalDist, fmean

import pytest

from agentgpu_iac.sizing.pauses import pauses, tool_points, tool_s, user_s
from agentgpu_iac.spec.model import Conversation, Quantile, ToolCalls

NORMAL = NormalDist()


def alone(**conversation):
    return pauses(((Conversation(**conversation), 1.0),))


def users(*quantiles: tuple[float, float]):
    return Conversation(think_time_quantiles=tuple(Quantile(percent=p, seconds=s) for p, s in quantiles))


class TestShape:
    def test_the_mean_is_the_stated_one(self):
        assert fmean(tool_points(ToolCalls(seconds=7.0))) == pytest.approx(7.0)
        assert tool_s(ToolCalls(seconds=7.0)) == user_s(Conversation(think_time_s=7.0)) == 7.0

    def test_most_tools_answer_in_less_than_half_of_it(self):
        points = tool_points(ToolCalls(seconds=5.0))
        assert points[len(points) // 2] == pytest.approx(2.0, rel=0.05)  # aiperf: 2 s and 5 s
        assert points[-1] > 20 * points[len(points) // 2]

    def test_two_quantiles_are_a_lognormal(self):
        sigma = math.log(40 / 4) / NORMAL.inv_cdf(0.95)
        mean = user_s(users((50, 4), (95, 40)))
        assert mean == pytest.approx(4 * math.exp(sigma**2 / 2), rel=0.04)  # but for the last pause of 800
        apart = pauses(((users((50, 4), (95, 40)), 1.0),))
        assert apart.within_s(0.5) == pytest.approx(4, rel=0.02)
        assert apart.within_s(0.95) == pytest.approx(40, rel=0.02)

    def test_a_table_is_met_at_each_of_its_points(self):
        apart = pauses(((users((10, 1), (50, 2), (90, 100), (99, 110)), 1.0),))
        for percent, seconds in ((10, 1), (50, 2), (90, 100)):
            assert apart.within_s(percent / 100) == pytest.approx(seconds, rel=0.03)

    def test_tools_and_users_are_mixed_by_how_often_each_pauses(self):
        apart = alone(think_time_s=1000.0, tool_calls=ToolCalls(per_turn=3, seconds=1.0))
        assert apart.within_s(0.75) < 60 < apart.within_s(0.8)


class TestHeld:
    def test_by_hand_of_a_lognormal(self):
        sigma = math.sqrt(2 * math.log(2))
        for found in (0.5, 0.8, 0.95):
            limit = NORMAL.inv_cdf(found)
            by_hand = NORMAL.cdf(limit - sigma) + math.exp(sigma * limit - sigma**2 / 2) * (1 - found)
            assert alone(think_time_s=90.0).held_ratio(found) == pytest.approx(by_hand, abs=0.02)

    def test_from_none_to_all(self):
        apart = alone(think_time_s=10.0, tool_calls=ToolCalls(per_turn=2))
        ratios = [apart.held_ratio(found) for found in (0.0, 0.3, 0.5, 0.8, 0.95, 0.999, 1.0)]
        assert ratios[0] == 0
        assert ratios[-1] == 1
        assert ratios == sorted(ratios)
        assert all(ratio <= found for ratio, found in zip(ratios, (0, 0.3, 0.5, 0.8, 0.95, 0.999, 1), strict=True))

    def test_the_scale_does_not_matter_and_a_heavier_tail_needs_less(self):
        assert alone(think_time_s=10.0).held_ratio(0.8) == pytest.approx(alone(think_time_s=900.0).held_ratio(0.8))
        light, heavy = (pauses(((users((50, 10), (95, late)), 1.0),)) for late in (30, 300))
        assert heavy.held_ratio(0.8) < light.held_ratio(0.8)

    def test_where_nobody_pauses_all_are_held(self):
        assert alone(think_time_s=0.0).held_ratio(0.5) == 1.0

    @pytest.mark.parametrize("found", [0.5, 0.8, 0.95])
    def test_least_recently_used_first_finds_so_many(self, found):
        """300 sessions that ask at once when their pause ends, before a cache that drops what was used longest ago."""
        draw = random.Random(3)
        apart = alone(think_time_s=60.0, tool_calls=ToolCalls(per_turn=3, seconds=5.0))
        sessions = 300
        weights = [until - before for before, until in zip((0.0, *apart.until), apart.until, strict=False)]
        room = math.ceil(apart.held_ratio(found) * sessions)
        due = sorted((draw.choice(apart.seconds), session) for session in range(sessions))
        cache: OrderedDict[int, None] = OrderedDict()
        asked = hits = 0
        for number, pause in enumerate(draw.choices(apart.seconds, weights, k=40_000)):
            at, session = heapq.heappop(due)
            if number > 10_000:
                asked += 1
                hits += session in cache
            cache[session] = None
            cache.move_to_end(session)
            if len(cache) > room:
                cache.popitem(last=False)
            heapq.heappush(due, (at + pause, session))
        assert hits / asked == pytest.approx(found, abs=0.02)
