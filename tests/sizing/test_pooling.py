"""Steps of an engine that generates nothing, by hand; and what holds whatever the seats."""

from __future__ import annotations

import math

import pytest

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing import pooling
from agentgpu_iac.sizing.pooling import Load
from agentgpu_iac.sizing.replica import MemoryTerms, Replica, memory_terms
from agentgpu_iac.sizing.replica import speed as speed_of
from agentgpu_iac.sizing.speed import Serving, Speed

CATALOG = load_catalog()
LOAD = Load(inputs_per_request=1, input_tokens=300, most_seats=256)
BULK = Load(inputs_per_request=20, input_tokens=300, most_seats=256)


def replica(model: str, accelerator: str = "l4") -> Replica:
    found: Model = CATALOG.model(model)
    return Replica(
        model=found,
        accelerator=CATALOG.accelerator(accelerator),
        accounted_as="0.33.0",
        precision=found.native_precision,
        kv_dtype="auto",
        tensor_parallel=1,
        pipeline_parallel=1,
        max_num_batched_tokens=8192,
    )


def speed(model: str, accelerator: str = "l4") -> Speed:
    found = speed_of(replica(model, accelerator), Serving(engine="vllm", version="0.33.0"))
    assert found is not None
    return found


def memory(model: str, longest_tokens: int = 8192) -> MemoryTerms:
    return memory_terms(replica(model), 300, longest_tokens=longest_tokens)


def test_an_encoder_takes_its_weights_its_buffers_and_no_cache() -> None:
    terms = memory("BAAI/bge-m3")
    assert terms.weights_gib == pytest.approx(567_754_752 * 2 / 2**30, rel=0.002)
    assert (terms.kv_gib(1), terms.kv_gib(256)) == (0, 0)
    assert terms.activation_gib(256) == terms.activation_gib(1)
    assert terms.most_sessions(256) == 256


def test_a_decoder_keeps_what_is_read_in_a_step_and_the_longest_input_at_least() -> None:
    terms = memory("Qwen/Qwen3-Embedding-0.6B")
    of_a_token = 28 * 2 * 8 * 128 * 2
    assert terms.kv_gib(1) == pytest.approx(8192 * of_a_token / 2**30)
    assert terms.kv_gib(100) == pytest.approx(100 * 304 * of_a_token / 2**30)


def test_a_longest_input_that_does_not_fit_has_no_room_for_any() -> None:
    assert memory("Qwen/Qwen3-Embedding-8B", 32_768).most_sessions(64) == 0


def test_no_table_of_embeddings_is_multiplied() -> None:
    """bge-m3 has 264 of its 568 million parameters in tables, and takes the time of bge-large, which has 31; of their
    tables of positions, 8 million of its own, the counts do not tell."""
    assert speed("BAAI/bge-m3").dense_ms_per_token == pytest.approx(
        speed("BAAI/bge-large-en-v1.5").dense_ms_per_token, rel=0.03
    )


def test_every_token_attends_to_the_whole_input() -> None:
    encoder, decoder = speed("intfloat/multilingual-e5-large"), speed("Qwen/Qwen3-Embedding-0.6B")
    each = [
        engine.attention_ms_per_token_pair / (row.layers.full * row.attention_heads * row.head_dim)
        for engine, row in (
            (encoder, CATALOG.model("intfloat/multilingual-e5-large")),
            (decoder, CATALOG.model("Qwen/Qwen3-Embedding-0.6B")),
        )
    ]
    assert each[0] == pytest.approx(2 * each[1])


def test_what_arrives_in_a_step_at_the_percentile_is_what_is_ahead() -> None:
    mean = pooling.mean_ahead(32, 1, 95)
    assert mean + 1.645 * math.sqrt(mean) == pytest.approx(32, rel=0.001)
    assert pooling.mean_ahead(32, 20, 95) < mean
    assert pooling.mean_ahead(32, 1, 50) == pytest.approx(32)
    assert pooling.mean_ahead(pooling.most_ahead(27, BULK, 95), 20, 95) == pytest.approx(0.8 * 27, rel=0.03)


def test_the_answer_is_what_runs_what_waits_and_what_is_read() -> None:
    """27 inputs in a step: 40 ahead and 20 of its own take two full steps and one of 6."""
    engine = speed("BAAI/bge-m3")
    found = pooling.answering(engine, BULK, 40, 95)
    full, rest = pooling.step_ms(engine, BULK, 27), pooling.step_ms(engine, BULK, 6)
    host = pooling.HOST_MS_PER_REQUEST + 19 * pooling.HOST_MS_PER_INPUT
    assert found.at_percentile_ms == pytest.approx(host + full + 2 * full + rest)
    assert found.mean_ms < found.at_percentile_ms


def test_a_card_that_is_a_third_busy_answers_requests_of_twenty_in_few_steps() -> None:
    """Requests of 20 pairs of 350 tokens, one in three times what one takes of the card: 4.2e12 operations, for which an L4
    with its 121 TFLOPS needs 35 ms at least and 87 at two fifths of them."""
    engine, load = speed("BAAI/bge-reranker-v2-m3"), Load(inputs_per_request=20, input_tokens=350, most_seats=256)
    alone_ms = pooling.step_ms(engine, load, load.inputs_per_request)
    assert 35 < alone_ms < 87
    wanted = load.inputs_per_request / (3 * alone_ms / 1000)
    enough = next(n for n in range(1, 100) if pooling.answering(engine, load, n, 95).inputs_per_s >= wanted)
    assert pooling.answering(engine, load, enough, 95).at_percentile_ms < 6 * alone_ms


@pytest.mark.parametrize("load", [LOAD, BULK], ids=["one input", "twenty"])
@pytest.mark.parametrize("accelerator", ["l4", "h100-sxm"])
def test_more_seats_never_answer_less_and_more_inputs_never_faster(load: Load, accelerator: str) -> None:
    engine = speed("BAAI/bge-m3", accelerator)
    rates = [pooling.answering(engine, load, seats, 95).inputs_per_s for seats in range(1, 65)]
    assert rates == sorted(rates)
    steps = [pooling.step_ms(engine, load, inputs) for inputs in range(1, 65)]
    assert steps == sorted(steps)


def test_a_server_takes_in_no_more_than_was_measured() -> None:
    """A card that computes a batch at once does not make its server faster: 415 requests/s of one input, and 1,011 inputs/s."""
    engine = speed("sentence-transformers/all-MiniLM-L6-v2", "h100-sxm")
    assert pooling.answering(engine, LOAD, 256, 95).inputs_per_s <= 0.8 * 415
    sixteen = Load(inputs_per_request=16, input_tokens=512, most_seats=256)
    assert pooling.answering(engine, sixteen, 256, 95).inputs_per_s == pytest.approx(0.8 * 1011, rel=0.01)


def test_a_step_has_tokens_for_so_many_inputs_and_for_one_at_least() -> None:
    assert pooling.seats_of_a_step(8192, LOAD) == 27
    assert pooling.seats_of_a_step(100, LOAD) == 1
