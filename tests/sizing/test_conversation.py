"""How a session's context grows, against examples computed by hand."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.sizing.conversation import (
    longest_uncached_prompt_tokens,
    session_shape,
    uncached_tokens_per_request,
)
from agentgpu_iac.spec.model import Conversation, ToolCalls
from tests.thoroughness import examples

PLAIN = Conversation(
    turns=4, system_prompt_tokens=1000, input_tokens_per_turn=100, output_tokens_per_turn=50, shared_prefix_tokens=0
)
"""After turn k the context is 1,000 + 150 k: 1,150, 1,300, 1,450, 1,600; nothing of it is another session's too."""

SHARED = PLAIN.model_copy(update={"shared_prefix_tokens": None})
"""The system prompt is that of all sessions: 62 blocks of 16, and 8 tokens of a block that no two sessions share."""

TOOLS = PLAIN.model_copy(update={"tool_calls": ToolCalls(per_turn=2.0, seconds=3.0, result_tokens=200)})
"""Each turn adds 100 + 2 x 200 + 50 = 550, in three requests: 1,550, 2,100, 2,650, 3,200."""

REASONING = PLAIN.model_copy(update={"reasoning_tokens_per_turn": 700})
"""The same growth as PLAIN; 700 tokens more are held while a turn is generated."""


def test_a_plain_conversation():
    shape = session_shape(PLAIN)
    assert shape.last_turn_tokens == 1600
    assert shape.expected_tokens == (1150 + 1300 + 1450 + 1600) / 4
    assert shape.requests_per_turn == 1
    assert shape.output_tokens_per_turn == 50
    assert shape.output_tokens_per_request == 50
    assert shape.first_prompt_tokens == 1100
    assert shape.longest_history_tokens == 1450
    assert shape.largest_new_tokens == 100
    assert shape.pause_s_per_turn == PLAIN.think_time_s == 10.0
    # 1,000 of system prompt once in four requests, and 100 of input in each
    assert shape.new_tokens_per_request == 1000 / 4 + 100


def test_what_all_sessions_share_is_read_by_none_of_them():
    shape, plain = session_shape(SHARED), session_shape(PLAIN)
    assert (shape.shared_tokens, plain.shared_tokens) == (992, 0)
    assert shape.new_tokens_per_request == 8 / 4 + 100
    assert uncached_tokens_per_request(shape, 0.0) == uncached_tokens_per_request(plain, 0.0) - 992
    assert longest_uncached_prompt_tokens(shape, 1.0) == 108  # the first request
    assert longest_uncached_prompt_tokens(shape, 0.0) == 1450 + 100 - 992  # the last one, none of its history cached
    assert (shape.last_turn_tokens, shape.expected_tokens) == (plain.last_turn_tokens, plain.expected_tokens)


def test_a_part_of_the_prompt_may_be_shared():
    half = session_shape(PLAIN.model_copy(update={"shared_prefix_tokens": 500}))
    assert half.shared_tokens == 496
    assert half.new_tokens_per_request == 504 / 4 + 100


def test_engines_that_keep_no_prefixes_share_none():
    assert session_shape(SHARED, shares_prefix=False) == session_shape(PLAIN)


def test_one_turn_is_system_prompt_input_and_output():
    shape = session_shape(PLAIN.model_copy(update={"turns": 1}))
    assert shape.last_turn_tokens == shape.expected_tokens == 1150
    assert shape.longest_history_tokens == 1000


def test_tool_calls_add_results_requests_and_pauses():
    shape = session_shape(TOOLS)
    assert shape.last_turn_tokens == 3200
    assert shape.expected_tokens == (1550 + 2100 + 2650 + 3200) / 4
    assert shape.requests_per_turn == 3
    assert shape.output_tokens_per_turn == 50
    assert shape.output_tokens_per_request == pytest.approx(50 / 3)
    assert shape.largest_new_tokens == 200
    assert shape.pause_s_per_turn == 10.0 + 2 * 3.0
    assert shape.new_tokens_per_request == pytest.approx((100 + 400) / 3 + 1000 / 12)


def test_a_fraction_of_a_tool_call():
    calls = ToolCalls(per_turn=0.5, seconds=4.0, result_tokens=300)
    shape = session_shape(PLAIN.model_copy(update={"tool_calls": calls}))
    assert shape.requests_per_turn == 1.5
    assert shape.last_turn_tokens == 1000 + 4 * (100 + 150 + 50)
    assert shape.pause_s_per_turn == 10.0 + 0.5 * 4.0


def test_results_of_tools_that_are_never_called_do_not_count():
    calls = ToolCalls(per_turn=0.0, seconds=60.0, result_tokens=50_000)
    assert session_shape(PLAIN.model_copy(update={"tool_calls": calls})) == session_shape(PLAIN)


def test_reasoning_is_held_while_generated_and_then_dropped():
    plain, reasoning = session_shape(PLAIN), session_shape(REASONING)
    assert reasoning.last_turn_tokens == plain.last_turn_tokens + 700
    assert reasoning.expected_tokens == plain.expected_tokens
    assert reasoning.longest_history_tokens == plain.longest_history_tokens
    assert reasoning.output_tokens_per_turn == 750


def test_prefix_hits_leave_only_what_is_new():
    shape = session_shape(PLAIN)
    assert uncached_tokens_per_request(shape, 1.0) == shape.new_tokens_per_request == 350


@pytest.mark.parametrize("conversation", [PLAIN, PLAIN.model_copy(update={"turns": 1})])
def test_without_hits_a_request_reads_its_whole_prompt(conversation):
    """Prompts of PLAIN: 1,100, 1,250, 1,400, 1,550."""
    prompts = [1000 + turn * 150 + 100 for turn in range(conversation.turns)]
    mean = sum(prompts) / len(prompts)
    assert uncached_tokens_per_request(session_shape(conversation), 0.0) == pytest.approx(mean)


def test_the_longest_uncached_prompt():
    shape = session_shape(PLAIN)
    assert longest_uncached_prompt_tokens(shape, 1.0) == 1100  # the first request, nothing of it cached
    assert longest_uncached_prompt_tokens(shape, 0.0) == 1450 + 100  # the last request, nothing of it cached
    assert longest_uncached_prompt_tokens(shape, 0.5) == 1100  # 725 + 100 is less than the first
    big_results = PLAIN.model_copy(update={"tool_calls": ToolCalls(per_turn=1.0, result_tokens=5000)})
    assert longest_uncached_prompt_tokens(session_shape(big_results), 1.0) == 5000


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(150))
@given(
    turns=st.integers(1, 200),
    system=st.integers(0, 20_000),
    given_tokens=st.integers(0, 5_000),
    answered=st.integers(1, 5_000),
    reasoning=st.integers(0, 20_000),
    calls=st.integers(0, 20),
    result=st.integers(0, 3_000),
    hit=st.floats(0, 1),
)
def test_a_session_never_shrinks(turns, system, given_tokens, answered, reasoning, calls, result, hit):
    conversation = Conversation(
        turns=turns,
        system_prompt_tokens=system,
        input_tokens_per_turn=given_tokens,
        output_tokens_per_turn=answered,
        reasoning_tokens_per_turn=reasoning,
        tool_calls=ToolCalls(per_turn=float(calls), result_tokens=result),
    )
    shape = session_shape(conversation)
    longer = session_shape(conversation.model_copy(update={"turns": turns + 1}))
    assert shape.last_turn_tokens - reasoning == system + turns * (given_tokens + calls * result + answered)
    assert longer.last_turn_tokens - shape.last_turn_tokens == given_tokens + calls * result + answered
    assert shape.expected_tokens <= shape.last_turn_tokens
    assert shape.longest_history_tokens < shape.last_turn_tokens
    assert all(value >= 0 for value in dataclasses.astuple(shape))
    assert shape.output_tokens_per_request * shape.requests_per_turn == pytest.approx(answered + reasoning)
    assert uncached_tokens_per_request(shape, 1.0) <= uncached_tokens_per_request(shape, hit)
    assert uncached_tokens_per_request(shape, hit) <= uncached_tokens_per_request(shape, 0.0)
    assert longest_uncached_prompt_tokens(shape, hit) >= longest_uncached_prompt_tokens(shape, 1.0)


def test_units():
    """Tokens are whole where they are counted, seconds where they are waited for; nothing is in thousands."""
    shape = session_shape(Conversation(turns=1, think_time_s=0.25))
    assert isinstance(shape.last_turn_tokens, int)
    assert isinstance(shape.first_prompt_tokens, int)
    assert shape.pause_s_per_turn == 0.25
    assert shape.last_turn_tokens == 500 + 150 + 150  # the defaults, as the spec's reference states them
