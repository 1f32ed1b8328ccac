"""A step of a replica: at its ends it is a decode step or a chunk of a prompt, and between them it is no less than either."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sizing.test_latency import ENGINES, LAWS, any_engine

PAIRS = 4000 * 4000 / 2


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_a_step_without_prompts_is_a_decode_step(name):
    replica = ENGINES[name]
    assert replica.step_ms(30, 2000, 0, 0) == replica.decode_ms(30, 2000)


@pytest.mark.parametrize("name", sorted(set(ENGINES) - {"small-chunks"}))
def test_a_step_of_one_prompt_alone_is_its_chunk(name):
    replica = ENGINES[name]
    assert replica.step_ms(0, 0, 4000, PAIRS, of_one_group=True) == pytest.approx(replica.prefill_ms(4000, 4000))
    assert (
        replica.step_ms(0, 0, 4000, PAIRS) <= replica.prefill_ms(4000, 4000) + 1e-9
    )  # of prompts that all groups share


@LAWS
@given(replica=any_engine, requests=st.integers(1, 300), context=st.floats(1, 60_000), prompt=st.floats(300, 8000))
def test_a_mixed_step_takes_no_less_than_its_parts_and_no_more_than_both(replica, requests, context, prompt):
    pairs = prompt * prompt / 2
    mixed = replica.step_ms(requests, context, prompt, pairs)
    chunk = replica.step_ms(0, 0, prompt, pairs)
    assert mixed >= chunk
    grown = (
        prompt <= replica.captured_tokens < requests / replica.attention_groups + prompt
    )  # beyond the captured steps
    launches = replica.prompt_launch_ms - replica.captured_launch_ms if grown else 0.0
    assert mixed <= chunk + launches + replica.decode_ms(requests, context) + 1e-9
