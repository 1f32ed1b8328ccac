"""Latency and throughput of one replica: a roofline with stated efficiencies.

Prefill is bound by arithmetic, decode by the bytes that each step moves. Both figures come from the accelerator's
data sheet times an efficiency that was fitted once on measured runs, and every answer carries the error that those
runs showed. Accelerators that none of those runs used get a wider band and are marked uncalibrated.

One step of the engine generates one token for every running request, and reads prompts in between: in a closed loop
of C requests each token waits, on average, for the arithmetic of (C - 1) / output tokens prompts of the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from agentgpu_iac.catalog.model import Accelerator, Model
from agentgpu_iac.sizing.memory import (
    embedding_parameters,
    expert_parameters,
    kv_bytes_per_session,
    layer_count,
    weight_bytes,
)
from agentgpu_iac.spec.vocabulary import KvCacheDtype, Precision

PREFILL_EFFICIENCY = 0.65
"""Achieved share of the dense TFLOPS while reading prompts."""
DECODE_EFFICIENCY = 0.70
"""Achieved share of the memory bandwidth while generating."""
STEP_OVERHEAD_MS = 3.0
"""Scheduling, launching and sampling of one step, for each pipeline stage."""
ALL_REDUCE_MS_NVLINK = 0.015
"""One all-reduce of a decode step over NVLink; a layer has two."""
ALL_REDUCE_MS_PCIE = 0.04
"""The same over PCIe: an assumption, since no measured run used it."""
QUEUE_SHARE = 0.5
"""Part of each other request's prompt that a new prompt waits for in a closed loop."""

CALIBRATED = frozenset({"h100-sxm", "h200-sxm", "b200-sxm", "b300-sxm"})
"""Accelerators of the measured runs: 2,191 closed-loop points of vLLM, TensorRT-LLM and SGLang."""
TTFT_ERROR_RATIO = 0.9
"""80 % of those runs are within this of the predicted TTFT (the median error is 0.6): a roofline knows little of how
an engine interleaves prompts, and real TTFT is more often longer than shorter."""
TPOT_ERROR_RATIO = 0.4
"""80 % of those runs are within this of the predicted TPOT (the median error is 0.2)."""
UNCALIBRATED_FACTOR = 1.5
"""How much wider the band is where no measured run used the accelerator: a judgement, not a measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast one replica is; built once per candidate, asked many times.

    All figures are of the whole replica: times in ms, ``*_ms_per_*`` linear coefficients of the roofline.
    """

    dense_weights_ms: float
    """Reading all weights that every token touches, once."""
    expert_weights_ms: float
    """Reading all routed experts, once."""
    experts: int
    experts_per_token: int
    kv_ms_per_token: float
    """Reading the growing KV cache of one context token."""
    kv_ms_per_session: float
    """Reading what a session holds regardless of its length (windows, recurrent state)."""
    compute_ms_per_token: float
    """Arithmetic of one token, prefill or decode."""
    attention_ms_per_token_pair: float
    """Arithmetic of one prompt token attending to one earlier token."""
    step_ms: float
    """Launching and synchronising one step."""
    stages: int
    """Pipeline stages that a step passes one after another."""
    max_batched_tokens: int
    calibrated: bool

    def prefill_ms(self, tokens: float, context_tokens: float) -> float:
        """Read ``tokens`` prompt tokens that end at ``context_tokens`` of context, in chunks of the batch limit."""
        if tokens <= 0:
            return 0.0
        chunks = math.ceil(tokens / self.max_batched_tokens)
        memory = chunks * (self.dense_weights_ms + self.expert_weights_ms)
        return max(self.prompt_arithmetic_ms(tokens, context_tokens), memory) + chunks * self.step_ms

    def prompt_arithmetic_ms(self, tokens: float, context_tokens: float) -> float:
        """What ``tokens`` prompt tokens add to steps that run anyway: their arithmetic alone."""
        earlier = max(0.0, context_tokens - tokens) + tokens / 2
        return tokens * (self.compute_ms_per_token + earlier * self.attention_ms_per_token_pair)

    def decode_ms(self, requests: float, context_tokens: float) -> float:
        """One step that gives each of ``requests`` running requests one token, at a mean context."""
        batch = max(1.0, requests / self.stages)
        touched = 0.0
        if self.experts:
            touched = 1 - (1 - self.experts_per_token / self.experts) ** batch
        memory = (
            self.dense_weights_ms
            + touched * self.expert_weights_ms
            + batch * (context_tokens * self.kv_ms_per_token + self.kv_ms_per_session)
        )
        return max(memory, batch * self.compute_ms_per_token) + self.step_ms


def prefill_tflops(accelerator: Accelerator, precision: Precision) -> float | None:
    """Dense TFLOPS for weights of this precision: the vendor's figure, else a measured one, else none.

    8-bit weights use the 8-bit units where the accelerator has them; weight-only 4-bit integers are computed in 16
    bit; a format without a figure falls back to 16 bit, which is the safe side.
    """
    field = {"fp8": "fp8", "int8": "int8", "nvfp4": "fp4", "mxfp4": "fp8"}.get(precision, "bf16")
    for name in (field, "bf16"):
        for table in (accelerator.vendor_dense_tflops, accelerator.measured_dense_tflops):
            value: float | None = getattr(table, name)
            if value:
                return value
    return None


def speed(
    model: Model,
    accelerator: Accelerator,
    *,
    precision: Precision,
    kv_dtype: KvCacheDtype,
    tensor_parallel: int,
    pipeline_parallel: int,
    max_batched_tokens: int,
) -> Speed | None:
    """Build the roofline of one replica; None where no TFLOPS figure of the accelerator has a source."""
    tflops = prefill_tflops(accelerator, precision)
    if tflops is None:
        return None
    bytes_per_ms = accelerator.bandwidth_gb_per_s * 1e6 * DECODE_EFFICIENCY
    flops_per_ms = tflops * 1e9 * PREFILL_EFFICIENCY
    total = weight_bytes(model, precision)
    expert_share = min(0.98, expert_parameters(model) / model.params_total) if model.params_total else 0.0
    read_once = total - embedding_parameters(model) * (0 if model.tied_embeddings else 1.0)
    layers = layer_count(model)
    one = kv_bytes_per_session(model, kv_dtype, tensor_parallel, 1, 16_384)
    two = kv_bytes_per_session(model, kv_dtype, tensor_parallel, 1, 32_768)
    kv_per_token = (two - one) / 16_384
    kv_fixed = max(0.0, one - kv_per_token * 16_384)
    all_reduce = 0.0
    if tensor_parallel > 1:
        all_reduce = 2 * layers * (ALL_REDUCE_MS_NVLINK if accelerator.nvlink_gb_per_s else ALL_REDUCE_MS_PCIE)
    attention_flops = 4.0 * (model.layers.full * model.attention_heads * model.head_dim)
    return Speed(
        dense_weights_ms=read_once * (1 - expert_share) / tensor_parallel / bytes_per_ms,
        expert_weights_ms=read_once * expert_share / tensor_parallel / bytes_per_ms,
        experts=model.experts or 0,
        experts_per_token=model.experts_per_token or 0,
        kv_ms_per_token=kv_per_token / bytes_per_ms,
        kv_ms_per_session=kv_fixed / bytes_per_ms,
        compute_ms_per_token=2.0 * model.params_active / tensor_parallel / flops_per_ms,
        attention_ms_per_token_pair=attention_flops / tensor_parallel / flops_per_ms,
        step_ms=STEP_OVERHEAD_MS * pipeline_parallel + all_reduce,
        stages=pipeline_parallel,
        max_batched_tokens=max_batched_tokens,
        calibrated=accelerator.id in CALIBRATED,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one request asks of the engine."""

    prompt_tokens: float
    """Prompt tokens to be read, the cached prefix left out."""
    context_tokens: float
    """Mean context while it generates."""
    output_tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Steady state of a closed loop, in ms and tokens/s of one replica."""

    ttft_ms: float
    queue_ms: float
    prefill_ms: float
    first_step_ms: float
    tpot_ms: float
    output_tokens_per_s: float
    prefill_tokens_per_s: float
    ttft_error_ratio: float
    tpot_error_ratio: float


def predict_tpot_ms(engine: Speed, request: Request, concurrency: float) -> float:
    """Mean time per output token with ``concurrency`` requests running, the prompts of the others included."""
    step = engine.decode_ms(concurrency, request.context_tokens)
    others = (concurrency - 1) * engine.prompt_arithmetic_ms(request.prompt_tokens, request.context_tokens)
    return step + max(0.0, others) / request.output_tokens


def predict_queue_ms(engine: Speed, request: Request, concurrency: float) -> float:
    """Mean wait for prompts of others that are read first: a share of one prompt for each other request.

    Runs of C requests start together and stay partly in step, so a prompt waits for far more of the others than a
    random arrival would; the share was fitted on the same runs.
    """
    return (
        QUEUE_SHARE
        * max(0.0, concurrency - 1)
        * engine.prompt_arithmetic_ms(request.prompt_tokens, request.context_tokens)
    )


def predict(engine: Speed, request: Request, concurrency: float) -> Prediction:
    """Latency and throughput of one replica in a steady closed loop of ``concurrency`` requests."""
    tpot = predict_tpot_ms(engine, request, concurrency)
    queue = predict_queue_ms(engine, request, concurrency)
    prefill = engine.prefill_ms(request.prompt_tokens, request.context_tokens)
    first_step = engine.decode_ms(concurrency, request.context_tokens)
    ttft = queue + prefill + first_step
    busy_ms = prefill + first_step + max(0.0, request.output_tokens - 1) * tpot  # TPOT has the others' prompts in it
    requests_per_s = concurrency * 1000 / busy_ms
    widening = 1.0 if engine.calibrated else UNCALIBRATED_FACTOR
    return Prediction(
        ttft_ms=ttft,
        queue_ms=queue,
        prefill_ms=prefill,
        first_step_ms=first_step,
        tpot_ms=tpot,
        output_tokens_per_s=requests_per_s * request.output_tokens,
        prefill_tokens_per_s=requests_per_s * request.prompt_tokens,
        ttft_error_ratio=round(TTFT_ERROR_RATIO * widening, 3),
        tpot_error_ratio=round(TPOT_ERROR_RATIO * widening, 3),
    )
