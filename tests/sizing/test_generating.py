"""How many of the held sessions generate: the closed queue by hand, its laws, and against stepping a replica."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from agentgpu_iac.sizing import arrivals, latency
from agentgpu_iac.sizing.arrivals import Host, Lengths, Load
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.generating import RequestTime, generating, pause_at_rate, with_arrivals
from tests.sizing.test_closed_form import SHAPES, speed

SLOWER = RequestTime(lambda requests: 10.0 + 0.5 * requests)
STEPPED = 12
STATED = {"mean": (0.03, 0.12), "quantile": (0.03, 0.15)}
"""Median and 80th percentile of |ln(closed queue / stepped)|."""


def binomial_quantile(sessions: int, chance: float, quantile: float) -> int:
    total = 0.0
    for number in range(sessions + 1):
        total += math.comb(sessions, number) * chance**number * (1 - chance) ** (sessions - number)
        if total >= quantile:
            return number
    return sessions


class TestByHand:
    def test_with_no_pause_all_generate(self):
        law = generating(50, 0.0, SLOWER)
        assert (law.mean, law.at(0.99), law.busy_ratio) == (50.0, 50, 1.0)

    def test_where_answers_never_slow_down_sessions_are_independent(self):
        """Each is found generating for time / (time + pause) of its cycle: a binomial."""
        law = generating(40, 30.0, RequestTime(lambda _: 10.0))
        assert law.mean == pytest.approx(40 * 10 / 40)
        assert law.at(0.99) == binomial_quantile(40, 0.25, 0.99)
        assert 1 - law.busy_ratio == pytest.approx(0.75**40, rel=1e-6)

    def test_two_sessions_and_one_server(self):
        """A machine repair of two: P = 1, 2 x 1/4, 2 x 1/4 x 1/4 of a server that does one after the other."""
        law = generating(2, 4.0, RequestTime(float))
        whole = 1 + 0.5 + 0.125
        assert law.shares == pytest.approx((1 / whole, 0.5 / whole, 0.125 / whole))

    def test_many_sessions_are_counted_in_their_likely_range_alone(self):
        law = generating(20_000, 100.0, RequestTime(lambda _: 1.0))
        assert len(law.shares) < 500
        assert law.mean == pytest.approx(20_000 / 101, rel=1e-6)

    @pytest.mark.parametrize("sessions", [1, 2, 5, 37, 260])
    @pytest.mark.parametrize("pause", [0.01, 3.0, 40.0, 2000.0])
    def test_the_product_term_by_term(self, sessions, pause):
        """From none to all of them, whatever is likely."""
        grown = [0.0]
        for number in range(1, sessions + 1):
            grown.append(grown[-1] + math.log((sessions - number + 1) * SLOWER(number) / (number * pause)))
        weights = [math.exp(weight - max(grown)) for weight in grown]
        law, whole = generating(sessions, pause, SLOWER), math.fsum(weights)
        by_hand = {number: weight / whole for number, weight in enumerate(weights)}
        for number, share in enumerate(law.shares, start=law.first):
            assert share == pytest.approx(by_hand[number], rel=1e-9)
        assert math.fsum(law.shares) == pytest.approx(1)

    def test_nobody_asks_of_nobody(self):
        assert generating(0, 10.0, SLOWER).at(0.99) == 0


class TestLaws:
    @pytest.mark.parametrize("sessions", [1, 7, 60, 900])
    def test_a_longer_pause_is_never_more(self, sessions):
        found = [generating(sessions, pause, SLOWER) for pause in (0.0, 0.1, 1.0, 5.0, 10.0, 60.0, 600.0)]
        assert [law.at(0.99) for law in found] == sorted((law.at(0.99) for law in found), reverse=True)
        assert [law.mean for law in found] == sorted((law.mean for law in found), reverse=True)

    @pytest.mark.parametrize("pause", [0.0, 2.0, 40.0, 1000.0])
    def test_more_sessions_are_never_fewer(self, pause):
        found = [generating(sessions, pause, SLOWER).at(0.99) for sessions in range(1, 120)]
        assert found == sorted(found)

    def test_a_higher_quantile_is_never_less(self):
        law = generating(60, 40.0, SLOWER)
        found = [law.at(quantile) for quantile in (0.5, 0.9, 0.95, 0.99, 0.999, 0.9999)]
        assert found == sorted(found)
        assert found[0] < found[-1]

    def test_answers_that_got_slower_leave_more(self):
        slow = RequestTime(lambda requests: 2 * SLOWER(requests))
        assert generating(60, 40.0, slow).mean > generating(60, 40.0, SLOWER).mean


class TestVolume:
    def test_the_pause_that_makes_a_rate(self):
        pause = pause_at_rate(50, 1.0, SLOWER)
        computed = SLOWER.requests_at(1.0, 50)
        assert computed == pytest.approx(SLOWER(computed))  # Little: rate x time
        assert 50 / (pause + SLOWER(computed)) == pytest.approx(1.0)

    @pytest.mark.parametrize("rate", [0.001, 0.09, 0.4, 1.3, 1.6])
    def test_as_many_are_computed_as_come_in_their_time(self, rate):
        computed = SLOWER.requests_at(rate, 1000)
        assert computed == pytest.approx(rate * SLOWER(computed), rel=1e-9)

    def test_a_rate_beyond_all_of_them_leaves_none(self):
        assert pause_at_rate(5, 10.0, SLOWER) == 0.0
        assert pause_at_rate(5, 0.0, SLOWER) == math.inf


class TestBurst:
    def test_with_no_time_to_arrive_all_new_ones_ask_at_once(self):
        assert with_arrivals(50, 1e6, SLOWER, 0.99, new=45, within=0) >= 45

    def test_a_slow_ramp_adds_those_of_one_request_s_time(self):
        still = generating(50, 1000.0, SLOWER).at(0.99)
        assert with_arrivals(50, 1000.0, SLOWER, 0.99, new=45, within=1e9) == still + 1  # a part of one is one
        assert still + 1 < with_arrivals(50, 1000.0, SLOWER, 0.99, new=45, within=60.0) < 50

    def test_a_shorter_ramp_is_never_less(self):
        found = [
            with_arrivals(50, 100.0, SLOWER, 0.99, new=45, within=ramp) for ramp in (1e5, 1e3, 300, 100, 30, 10, 0)
        ]
        assert found == sorted(found)


class TestRequestTime:
    def test_is_straight_between_the_numbers_it_asks(self):
        asked = []
        time = RequestTime(lambda requests: asked.append(requests) or float(requests))
        assert time(20) == pytest.approx(20.0)
        assert time(5) == pytest.approx(5.0)
        assert asked == [1, 2, 3, 4, 6, 8, 12, 16, 24]

    def test_neither_the_time_nor_the_rate_falls(self):
        jumpy = RequestTime(lambda requests: {1: 5.0, 2: 4.0, 3: 100.0}.get(requests, 6.0))
        times = [jumpy(number) for number in range(1, 9)]
        rates = [jumpy.rate(number) for number in range(1, 9)]
        assert times == sorted(times)
        assert all(after >= before - 1e-12 for before, after in itertools.pairwise(rates))


def shares_of(spans, start, end):
    """Share of the time between two moments by how many are out."""
    events = sorted(
        event
        for sent, answered in spans
        if answered > start and sent < end
        for event in ((max(sent, start), 1), (min(answered, end), -1))
    )
    shares: dict[int, float] = {}
    out, at = 0, start
    for moment, change in (*events, (end, 0)):
        shares[out] = shares.get(out, 0.0) + (moment - at) / (end - start)
        out, at = out + change, moment
    return shares


@pytest.fixture(scope="module")
def errors() -> dict[str, list[float]]:
    """Sessions that think for random times before replicas that are stepped: from a third of an answer's time to 50 of it."""
    draw = random.Random(5)
    built = [(speed(shape), SIZING_PORTS[shape[2]]) for shape in SHAPES]
    found: dict[str, list[float]] = {name: [] for name in STATED}
    for number in range(STEPPED):
        engine, port = built[number % len(built)]
        prompt = round(10 ** draw.uniform(1.3, 3.5))
        end, output = prompt * draw.choice([1, 2, 4, 8]), round(10 ** draw.uniform(1.3, 2.7))
        sessions = round(10 ** draw.uniform(0.3, 2))
        request = latency.Request(prompt_tokens=prompt, context_tokens=end + output / 2, output_tokens=output)
        time = RequestTime(lambda requests, of=engine, asks=request: latency.steady(of, asks, requests).cycle_ms)
        pause_ms = time(1) * 10 ** draw.uniform(-0.5, 1.7)
        law = generating(sessions, pause_ms, time)
        stepped = arrivals.run(
            engine,
            port.scheduling(seats=100_000, step_tokens=engine.max_batched_tokens, cache_tokens=math.inf),
            Host(request_ms=engine.first_token_ms + engine.host_ms_per_request, serial_ms=0.0),
            Lengths(
                prompt_tokens=prompt * 4 / 3,
                output_tokens=output * 4 / 3,
                cached_tokens=(end - prompt) * 4 / 3,
                low=0.5,
            ),
            Load(
                arrivals="closed",
                requests=sessions * max(12, 1000 // sessions),
                slots=sessions,
                pause_s=pause_ms / 1000,
            ),
        )
        last = max(sent for sent, _ in stepped.spans_ms)
        shares = shares_of(stepped.spans_ms, 0.2 * last, 0.75 * last)
        found["mean"].append(law.mean / sum(out * share for out, share in shares.items()))
        total, at = 0.0, 0
        for out in sorted(shares):
            total, at = total + shares[out], out
            if total >= 0.99:
                break
        found["quantile"].append(law.at(0.99) / at)
    return found


@pytest.mark.parametrize("name", STATED)
def test_the_closed_queue_is_as_near_to_the_stepped_replica_as_it_says(errors, name):
    ratios = sorted(abs(math.log(ratio)) for ratio in errors[name])
    median, most = STATED[name]
    assert arrivals.percentile(ratios, 50) <= median
    assert arrivals.percentile(ratios, 80) <= most


@pytest.mark.parametrize("name", STATED)
def test_and_leans_to_no_side(errors, name):
    assert abs(arrivals.mean([math.log(ratio) for ratio in errors[name]])) < 0.06
