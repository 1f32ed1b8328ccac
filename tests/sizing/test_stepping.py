"""A replica step by step: what its scheduler lets in, what skipping changes (nothing), and what clients make of it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.sizing import arrivals
from agentgpu_iac.sizing.arrivals import Host, Lengths, Load
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.stepping import Asked, Scheduling, Steps
from tests.thoroughness import examples

LAWS = settings(derandomize=True, deadline=None, database=None, max_examples=examples(60))
NO_HOST = Host(request_ms=0.0, serial_ms=0.0)


@dataclass
class Engine:
    """Steps of round times: 10 ms, 0.1 for each running request, 0.001 for each token of its context and of a prompt."""

    attention_groups: int = 1
    accepted_tokens: float = 1.0
    stages: int = 1
    steps: list[tuple[float, float]] = field(default_factory=list)
    """(running requests, prompt tokens) of each step with a prompt."""

    def decode_ms(self, requests: float, context_tokens: float) -> float:
        return 10 + requests * (0.1 + 0.001 * context_tokens)

    def stretch_ms(self, requests: float, context_tokens: float, tokens: float, steps: int) -> tuple[float, float]:
        first, last = (self.decode_ms(requests, context_tokens + tokens * each) for each in (0, steps - 1))
        return first, (last - first) / max(1, steps - 1)

    def step_ms(self, requests: float, context_tokens: float, prompt_tokens: float, token_pairs: float) -> float:
        self.steps.append((requests, prompt_tokens))
        return self.decode_ms(requests, context_tokens) + 0.001 * prompt_tokens + 1e-6 * token_pairs


RULES = Scheduling(seats=8, step_tokens=1000)


def served(rules: Scheduling, *requests: Asked, engine: Engine | None = None) -> list[Asked]:
    """Push all at once and wait; in the order in which they finish."""
    steps = Steps(engine or Engine(), rules)
    for asked in requests:
        steps.push(asked)
    finished: list[Asked] = []
    while not steps.idle:
        finished += steps.advance()
    return finished


def asks(prompt: int = 100, output: int = 10, at: float = 0.0) -> Asked:
    return Asked(arrives_ms=at, prompt_tokens=prompt, output_tokens=output)


class TestOneRequest:
    def test_its_prompt_then_a_step_for_each_token(self):
        (asked,) = served(RULES, asks(prompt=100, output=4))
        assert asked.first_ms == pytest.approx(10 + 0.1 + 1e-6 * 100 * 50)
        contexts = (101, 102, 103)
        assert asked.last_ms - asked.first_ms == pytest.approx(sum(10.1 + 0.001 * each for each in contexts))

    def test_a_long_prompt_takes_several_steps(self):
        engine = Engine()
        served(RULES, asks(prompt=2500), engine=engine)
        assert engine.steps == [(0, 1000), (0, 1000), (0, 500)]

    def test_a_cached_prefix_is_not_read_but_attended_to(self):
        (plain,) = served(RULES, asks(prompt=100))
        (cached,) = served(RULES, Asked(arrives_ms=0, prompt_tokens=100, cached_tokens=5000, output_tokens=10))
        assert cached.first_ms - plain.first_ms == pytest.approx(1e-6 * 100 * 5000)
        assert cached.last_ms - cached.first_ms > plain.last_ms - plain.first_ms

    def test_several_tokens_a_step(self):
        (one,) = served(RULES, asks(output=101))
        (two,) = served(RULES, asks(output=101), engine=Engine(accepted_tokens=2.0))
        assert two.last_ms - two.first_ms == pytest.approx((one.last_ms - one.first_ms) / 2, rel=0.01)

    def test_chunks_follow_one_another_through_a_pipeline(self):
        (one,) = served(RULES, asks(prompt=4000))
        (four,) = served(RULES, asks(prompt=4000), engine=Engine(stages=4))
        assert four.first_ms == pytest.approx(one.first_ms * (1 + 3 / 4) / 4, rel=0.1)

    @pytest.mark.parametrize(
        ("prompts", "least", "most"),
        [
            (1, 1.0, 1.0),  # in one batch: the others wait behind it in every stage
            (4, 0.25, 0.4),  # in all four at once
            (8, 0.25, 0.4),
        ],
    )
    def test_a_round_of_a_pipeline_is_as_long_as_its_slowest_batch(self, prompts, least, most):
        def late(stages: int) -> float:
            steps, running = Steps(Engine(stages=stages), RULES), asks(output=50)
            steps.push(running)
            steps.advance(15.0)
            for _ in range(prompts):
                steps.push(asks(prompt=900, output=1))
            while not steps.idle:
                steps.advance()
            return running.last_ms - running.first_ms

        (alone,) = served(RULES, asks(output=50))
        without = alone.last_ms - alone.first_ms
        share = (late(4) - without) / (late(1) - without)
        assert least - 1e-9 <= share <= most + 1e-9

    def test_prompts_that_come_one_after_another_fall_on_batches_of_their_own(self):
        def late(*, together: bool) -> float:
            steps, running = Steps(Engine(stages=4), RULES), asks(output=50)
            steps.push(running)
            steps.advance(50.0)
            for number in range(4):
                steps.push(asks(prompt=200, output=1, at=steps.now_ms - (0.0 if together else 10.0 - 2.5 * number)))
            while not steps.idle:
                steps.advance()
            return running.last_ms

        assert late(together=False) < late(together=True)


class TestScheduling:
    def test_running_requests_come_first_and_prompts_share_the_rest(self):
        engine = Engine()
        steps = Steps(engine, RULES)
        for _ in range(4):
            steps.push(asks(prompt=100, output=50))
        steps.advance(10.5)
        for _ in range(3):
            steps.push(asks(prompt=900, output=5))
        while not steps.idle:
            steps.advance()
        assert engine.steps[:4] == [(0, 400), (4, 996), (5, 995), (6, 709)]

    def test_first_come_first_served_within_the_seats(self):
        requests = [asks(output=10 + number) for number in range(6)]
        finished = served(dataclasses.replace(RULES, seats=2), *requests)
        assert [finished.index(asked) for asked in requests] == [0, 1, 2, 3, 4, 5]
        assert requests[2].first_ms > requests[0].last_ms

    def test_prompts_apart_let_decoding_wait(self):
        engine = Engine()
        rules = dataclasses.replace(RULES, prompts_apart=True)
        steps = Steps(engine, rules)
        steps.push(asks(output=50))
        steps.advance(15.0)
        steps.push(asks(prompt=1000))
        while not steps.idle:
            steps.advance()
        assert engine.steps == [(0, 100), (0, 1000)]

    def test_whole_prompts_wait_for_a_step_that_takes_them(self):
        cut, whole = Engine(), Engine()
        served(RULES, asks(prompt=700), asks(prompt=700), engine=cut)
        served(dataclasses.replace(RULES, whole_prompts=True), asks(prompt=700), asks(prompt=700), engine=whole)
        assert [tokens for _, tokens in cut.steps] == [1000, 400]
        assert [tokens for _, tokens in whole.steps] == [700, 700]

    def test_a_cache_that_is_full_lets_nobody_in(self):
        rules = dataclasses.replace(RULES, cache_tokens=250.0, keeps_room_for_output=True)
        first, second, third = requests = [asks(prompt=100, output=20) for _ in range(3)]
        served(rules, *requests)
        assert first.first_ms == second.first_ms
        assert third.first_ms > first.last_ms

    def test_a_cache_that_fills_up_sends_the_youngest_back(self):
        """Both fit with their prompts, not with their answers: the younger starts again after the elder."""
        rules = dataclasses.replace(RULES, cache_tokens=300.0)
        engine = Engine()
        elder, younger = asks(prompt=100, output=101), asks(prompt=100, output=101)
        served(rules, elder, younger, engine=engine)
        assert elder.last_ms < younger.last_ms
        assert younger.first_ms == elder.first_ms
        assert len(engine.steps) == 2 and engine.steps[1][1] == pytest.approx(150, abs=2)

    def test_what_fits_nowhere_runs_alone(self):
        assert len(served(dataclasses.replace(RULES, cache_tokens=50.0), asks(), asks())) == 2

    def test_ports_say_how_their_engines_schedule(self):
        found = {
            name: SIZING_PORTS[name].scheduling(seats=1, step_tokens=1, cache_tokens=1.0)
            for name in ("vllm", "sglang", "tensorrt-llm")
        }
        assert [each.keeps_room_for_output for each in found.values()] == [False, True, True]
        assert [each.prompts_apart for each in found.values()] == [False, True, False]
        assert [each.whole_prompts for each in found.values()] == [False, False, True]


@LAWS
@given(
    st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 300), st.floats(0, 4000)), min_size=1, max_size=25),
    st.integers(1, 6),
    st.sampled_from([200, 1000, 8192]),
    st.sampled_from([3500.0, 20_000.0]),
    st.booleans(),
    st.booleans(),
)
def test_skipping_steps_changes_nothing(requests, seats, step_tokens, cache, room, apart):
    """One step at a time, as slow as it is, against many at once; and every request is served to its last token."""
    rules = Scheduling(
        seats=seats, step_tokens=step_tokens, cache_tokens=cache, keeps_room_for_output=room, prompts_apart=apart
    )

    def times(pause_ms: float) -> list[tuple[float, float]]:
        waiting = sorted(
            (asks(prompt, output, at) for prompt, output, at in requests), key=lambda asked: asked.arrives_ms
        )
        steps, sent = Steps(Engine(), rules), list(waiting)
        while waiting or not steps.idle:
            while waiting and (steps.idle or waiting[0].arrives_ms <= steps.now_ms):
                steps.push(waiting.pop(0))
            arrival = waiting[0].arrives_ms if waiting else math.inf
            steps.advance(min(arrival, steps.now_ms + pause_ms))
        return [(asked.first_ms, asked.last_ms) for asked in sent]

    slow, fast = times(1e-6), times(math.inf)
    assert all(not math.isnan(value) for pair in fast for value in pair)
    for one, other in zip(slow, fast, strict=True):
        assert one == pytest.approx(other, rel=1e-6)


class TestClients:
    LENGTHS = Lengths(prompt_tokens=400, output_tokens=100)

    def run(self, load: Load, *, step_tokens: int = 1000, **changes) -> arrivals.Outcome:
        lengths = dataclasses.replace(self.LENGTHS, **changes)
        rules = dataclasses.replace(RULES, seats=64, step_tokens=step_tokens)
        return arrivals.run(Engine(), rules, NO_HOST, lengths, load)

    def test_the_same_question_has_the_same_answer_and_another_seed_another(self):
        load = Load(arrivals="poisson", requests=50, requests_per_s=3.0)
        assert self.run(load) == self.run(load)
        assert self.run(load) != self.run(dataclasses.replace(load, seed=2))

    def test_a_start_at_once_waits_for_the_first_prompts(self):
        load = Load(arrivals="closed", requests=80, slots=8, together=True)
        together = self.run(load)
        apart = self.run(dataclasses.replace(load, together=False))
        assert arrivals.mean(together.ttft_ms) > arrivals.mean(apart.ttft_ms)
        assert len(together.ttft_ms) == len(apart.ttft_ms) == 80

    def test_lengths_of_their_own_leave_the_lock_step(self):
        load = Load(arrivals="closed", requests=160, slots=16, together=True)
        fixed, spread = (self.run(load, step_tokens=100_000, prompt_tokens=4000, low=low) for low in (1.0, 0.8))
        assert arrivals.percentile(fixed.ttft_ms, 50) > 1.2 * arrivals.percentile(spread.ttft_ms, 50)

    def test_the_rate_is_that_asked_for(self):
        load = Load(arrivals="poisson", requests=400, requests_per_s=2.0)
        assert self.run(load).output_tokens_per_s == pytest.approx(200, rel=0.03)

    def test_a_client_that_limits_itself_is_a_closed_loop_beyond_its_capacity(self):
        limited = self.run(Load(arrivals="poisson", requests=200, requests_per_s=1000.0, slots=4))
        closed = self.run(Load(arrivals="closed", requests=200, slots=4, together=True))
        assert limited.output_tokens_per_s == pytest.approx(closed.output_tokens_per_s, rel=0.03)

    def test_the_server_takes_one_after_another(self):
        load = Load(arrivals="burst", requests=10)
        rules = dataclasses.replace(RULES, seats=64, step_tokens=100_000)
        slow = arrivals.run(Engine(), rules, Host(request_ms=8.0, serial_ms=100.0), self.LENGTHS, load)
        assert max(slow.ttft_ms) > 10 * 100 + 8

    def test_some_rounds_stand_for_the_rest(self, monkeypatch):
        """Forty rounds of 64 slots, of which four are stepped, against stepping all."""
        load = Load(arrivals="closed", requests=64 * 40, slots=64, together=True)
        few = self.run(load, low=0.8)
        monkeypatch.setattr(arrivals, "_MOST_REQUESTS", load.requests)
        every = self.run(load, low=0.8)
        assert len(few.ttft_ms) == len(every.ttft_ms) == load.requests
        assert arrivals.mean(few.ttft_ms) == pytest.approx(arrivals.mean(every.ttft_ms), rel=0.1)
        assert arrivals.mean(few.tpot_ms) == pytest.approx(arrivals.mean(every.tpot_ms), rel=0.03)
        assert few.output_tokens_per_s == pytest.approx(every.output_tokens_per_s, rel=0.05)

    @pytest.mark.parametrize(("percent", "value"), [(50, 3.0), (0, 1.0), (95, 4.8), (75, 4.0)])
    def test_percentiles(self, percent, value):
        assert arrivals.percentile((5.0, 1.0, 3.0, 2.0, 4.0), percent) == pytest.approx(value)


class TestLookingForRequests:
    """SGLang told to look for new requests every so many steps of decoding."""

    @pytest.mark.parametrize(("every", "waited"), [(1, 1), (10, 8)])
    def test_a_request_waits_until_the_engine_looks(self, every, waited):
        rules = Scheduling(seats=8, step_tokens=1000, prompts_apart=True, receive_every=every)
        steps = Steps(Engine(), rules)
        steps.push(asks(prompt=1, output=100))
        late = asks(prompt=100, output=2, at=steps.now_ms)
        steps.advance(40.0)  # its prompt and three steps of 10.1 ms, to the fourth
        came = steps.now_ms
        steps.push(late)
        while math.isnan(late.first_ms):
            steps.advance(steps.now_ms + 1)
        own = 10 + 0.1 + 1e-6 * 100 * 50
        assert late.first_ms - came == pytest.approx((waited - 1) * 10.1 + own, abs=0.5)

    def test_after_a_prompt_it_looks_at_once(self):
        rules = Scheduling(seats=8, step_tokens=1000, prompts_apart=True, receive_every=50)
        steps = Steps(Engine(), rules)
        steps.push(asks(prompt=1000, output=100))
        steps.advance(5.0)
        late = asks(prompt=1000, output=2, at=steps.now_ms)
        steps.push(late)
        while math.isnan(late.first_ms):
            steps.advance(steps.now_ms + 1)
        assert late.first_ms < 2 * (10 + 1 + 0.5 + 0.2)


class TestFleet:
    """What a fleet asks of a replica that it does not look at in between."""

    def test_nothing_happens_before_the_next_moment(self):
        steps = Steps(Engine(), dataclasses.replace(RULES, seats=2))
        assert steps.next_ms() == math.inf
        for number in range(4):
            steps.push(asks(output=10 + 5 * number))
        finished: list[Asked] = []
        while not steps.idle:
            moment = steps.next_ms()
            assert moment >= steps.now_ms
            finished += steps.advance(moment if moment > steps.now_ms else math.nextafter(moment, math.inf))
            assert steps.now_ms >= moment
        alone = served(dataclasses.replace(RULES, seats=2), *(asks(output=10 + 5 * number) for number in range(4)))
        assert [each.last_ms for each in finished] == pytest.approx([each.last_ms for each in alone])

    def test_it_says_what_it_holds_and_how_often_somebody_started_again(self):
        steps = Steps(Engine(), dataclasses.replace(RULES, cache_tokens=260))
        requests = [asks(prompt=100, output=80), asks(prompt=100, output=80)]
        for asked in requests:
            steps.push(asked)
        steps.advance(steps.next_ms() + 1)
        assert (steps.running, steps.cache_used_tokens >= 200) == (2, True)
        assert sorted(map(id, steps.unfinished())) == sorted(map(id, requests))
        while not steps.idle:
            steps.advance()
            assert steps.cache_used_tokens <= 260
        assert steps.preempted >= 1
        assert steps.unfinished() == []
