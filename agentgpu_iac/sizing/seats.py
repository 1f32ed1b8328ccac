"""Requests that a tuned replica of published runs holds at once, where its share of the memory is not told."""

from __future__ import annotations

from agentgpu_iac.catalog.model import Accelerator, Model
from agentgpu_iac.sizing.capacity import capacity
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.layout import Layout
from agentgpu_iac.sizing.rates import has_fp4_units, work_of
from agentgpu_iac.sizing.weights import bits_per_parameter
from agentgpu_iac.spec.vocabulary import Engine, KvCacheDtype, Precision
from agentgpu_iac.units import GIB

_EIGHT_BIT = 8


def recipe_kv_dtype(engine: Engine, accelerator: Accelerator, precision: Precision) -> KvCacheDtype:
    """The number format of the cache that recipes of tuned runs ask for: those of the measured rows, which do not say.

    Checkpoints quantised for TensorRT-LLM carry an FP8 cache, and recipes for Blackwell ask for one; elsewhere it is
    16 bit. (The measured runs say so where the cache fills: how many requests run at once tells its width.) An engine
    that is told ``auto`` does no such thing by itself: see ``kv_cache.value_bytes``.
    """
    quantised = bits_per_parameter(precision) <= _EIGHT_BIT and precision != "int4"
    asks = SIZING_PORTS[engine].checkpoints_ask_for_8_bit_cache or has_fp4_units(accelerator)
    return "fp8" if quantised and asks else "auto"


def tuned_seats(
    model: Model,
    accelerator: Accelerator,
    spread: Layout,
    *,
    precision: Precision,
    kv_dtype: KvCacheDtype,
    engine: Engine,
    prompt_tokens: float,
    output_tokens: float,
) -> float:
    """Requests that run at once in a whole tuned replica before the KV cache is full; the rest wait for a seat.

    Where its share of the memory is told, ``memory.seats`` knows better. A tuned engine's cache: vLLM 93 % of the memory
    less weights and 4 GiB, and it hands out blocks as sequences grow (a request holds its prompt and half its output on
    average); TensorRT-LLM 90 % of what is free, SGLang 92 % less weights, and both keep room for the whole output. A stage
    of a pipeline holds its part of the weights and of every request's cache.
    """
    work = work_of(model, precision, kv_dtype, spread.tensor_parallel)
    embeddings = model.vocab_size * model.hidden_size * 2.0 * (0 if model.tied_embeddings else 1)
    weights = work.expert_bytes / spread.accelerators + (work.dense_bytes + embeddings) / spread.tensor_parallel
    weights /= spread.stages
    memory = capacity(accelerator).capacity_gib * GIB
    port = SIZING_PORTS[engine]
    pool = port.tuned_pool_bytes(memory, weights, GIB)
    held = prompt_tokens + output_tokens * port.held_output_share
    per_request = (held * work.kv_bytes_per_token + work.kv_bytes_per_session) / spread.stages
    return max(1.0, pool / per_request) * spread.attention_groups
