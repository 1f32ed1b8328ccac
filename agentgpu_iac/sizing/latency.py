"""Latency and throughput of one replica: what a step of the engine does, in bytes, operations and launches.

A decode step gives each running request one token:

    step = launches + reading weights (of the experts really touched) or their arithmetic + reading KV cache
           + all-reduces + work per sequence
    TPOT = step + share x (requests - 1) x one prompt / output tokens        (prompts of others share the steps)
    TTFT = engine + own prompt + a running step + queue behind other prompts + host work + wait for a seat

Figures come from data sheets and from the shape of the model; the constants between them and a clock are few, fitted
once on measured runs, and stand in ``calibration.py``. Every answer carries the error that those runs showed.
Accelerators and engines that none of those runs used get a wider band and are marked uncalibrated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from agentgpu_iac.catalog.model import Accelerator, Calibration, Model
from agentgpu_iac.sizing import calibration
from agentgpu_iac.sizing.calibration import CONSTANTS, Constants, family_of, generation_of
from agentgpu_iac.sizing.capacity import capacity
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.rates import has_fp4_units, rates_of, work_of
from agentgpu_iac.sizing.weights import bits_per_parameter, layer_count
from agentgpu_iac.spec.vocabulary import Engine, KvCacheDtype, Precision
from agentgpu_iac.units import GIB

CALIBRATED = frozenset({"h100-sxm", "h200-sxm", "b200-sxm", "b300-sxm", "gb200"})
"""Accelerators of the measured runs: 2,406 closed-loop points of vLLM, TensorRT-LLM and SGLang."""
UNCALIBRATED_FACTOR = 1.5
"""How much wider the band is where no measured run used the accelerator or engine: a judgement, no measurement."""
SEVERAL_NODES_FACTOR = 1.5
"""How much wider the band is for a replica over several nodes: no measured run had one. What each step waits for
messages between nodes is not in the answer, only their bytes are. A judgement as well."""

_SPARSE_ATTENTION = frozenset({"glm_moe_dsa", "deepseek_v32"})
_NVLINK_DOMAIN = {"gb200": 72, "gb300": 72}
_GPUS_OF_A_MACHINE = 8
_EIGHT_BIT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one pipeline stage spreads over its accelerators."""

    accelerators: int
    """Accelerators of the stage: routed experts are spread over all of them."""
    attention_groups: int
    """Groups with a copy of the other weights each, and with their own requests (attention data parallelism)."""
    expert_groups: int
    """Groups of whole experts (expert parallelism); 1: every expert is split."""

    @property
    def tensor_parallel(self) -> int:
        """Accelerators that share the heads of one request."""
        return self.accelerators // self.attention_groups


def layout(accelerator: Accelerator, tensor_parallel: int, attention_dp: int = 1, expert_parallel: int = 1) -> Layout:
    """Read the sizes as the engines mean them.

    Attention data parallelism runs inside the tensor-parallel group in SGLang and TensorRT-LLM (TP 8, DP 8: eight
    accelerators); beside it otherwise (TP 1, DP 4: four). A width beyond the NVLink domain that expert parallelism
    divides is TP x EP in one figure, as published tables have it (TP 64, EP 8 on an eight-way machine: eight).
    """
    domain = _NVLINK_DOMAIN.get(accelerator.id, _GPUS_OF_A_MACHINE)
    if tensor_parallel > domain and tensor_parallel % expert_parallel == 0 and expert_parallel > 1:
        tensor_parallel //= min(expert_parallel, tensor_parallel // expert_parallel)
    inside = 1 < attention_dp <= tensor_parallel and tensor_parallel % attention_dp == 0
    accelerators = tensor_parallel if inside else tensor_parallel * attention_dp
    return Layout(
        accelerators=accelerators,
        attention_groups=attention_dp,
        expert_groups=min(expert_parallel, accelerators),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Which engine serves, and how, beyond tensor and pipeline parallelism."""

    engine: Engine = "vllm"
    version: str | None = None
    """Unset: unknown, an engine of middle age."""
    attention_dp: int = 1
    expert_parallel: int = 1
    accepted_tokens: float = 1.0
    """Tokens that a step yields for a request: more than 1 with speculative decoding."""
    nodes: int = 1
    """Nodes that the pipeline stages of a replica are spread over."""
    gbps_between_nodes: float = 0.0
    """Rate at which a stage hands its activations to one on the next node."""
    weight_only: bool = False
    """The card has no units for the precision of the weights: kernels unpack them as they are read. 4-bit integers always
    are."""
    own_run: Calibration | None = None
    """What the user measured beside a prediction; its ratios scale the answers."""
    constants: Constants = CONSTANTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast one replica is; built once per candidate, asked many times.

    All figures are of the whole replica, in ms: ``*_ms_per_*`` are linear coefficients.
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
    sparse_attention: bool
    """Attention reads a selection of the context."""
    dense_ms_per_token: float
    """Arithmetic of one token in the layers that every token touches, on its attention group."""
    expert_ms_per_token: float
    """Arithmetic of one token in its experts."""
    prompt_ms_per_token: float
    """One prompt token among many: arithmetic, all-reduces and activation traffic, of the whole replica."""
    attention_ms_per_token_pair: float
    """Arithmetic of one prompt token attending to one earlier token."""
    step_ms: float
    """Launching and synchronising one step."""
    all_reduce_ms_per_token: float
    """Bandwidth term of the all-reduces of one decode token, and of handing it from node to node."""
    sequence_ms: float
    """Host and sampler work of one running sequence of an attention group."""
    prompt_launch_ms: float
    """Launching one prompt chunk."""
    first_token_ms: float
    """Engine time of a request before and after its prompt: server, tokeniser, scheduler."""
    host_ms_per_request: float
    """Host time that each concurrent request adds to the TTFT of all."""
    queue_share: float
    steady_queue: float
    prompt_interference: float
    accepted_tokens: float
    attention_groups: int
    stages: int
    """Pipeline stages that a step passes one after another."""
    max_batched_tokens: int
    calibrated: bool
    ttft_error_ratio: float
    tpot_error_ratio: float
    measured_ttft_ratio: float = 1.0
    """Measured / predicted TTFT of a run of the user's own; 1 where there is none."""
    measured_tpot_ratio: float = 1.0
    """The same for TPOT."""

    def prefill_ms(self, tokens: float, context_tokens: float) -> float:
        """Read ``tokens`` prompt tokens that end at ``context_tokens`` of context, in chunks of the batch limit.

        Arithmetic and the reading of the weights overlap: the root of the sum of their squares.
        """
        if tokens <= 0:
            return 0.0
        chunks = math.ceil(tokens / self.max_batched_tokens)
        memory = chunks * (self.dense_weights_ms + self.expert_weights_ms)
        return math.hypot(self.prompt_arithmetic_ms(tokens, context_tokens), memory) + chunks * self.prompt_launch_ms

    def prompt_arithmetic_ms(self, tokens: float, context_tokens: float) -> float:
        """What ``tokens`` prompt tokens add to steps that run anyway: their arithmetic and traffic alone."""
        earlier = max(0.0, context_tokens - tokens) + tokens / 2
        return tokens * (self.prompt_ms_per_token + earlier * self.attention_ms_per_token_pair)

    def decode_ms(self, requests: float, context_tokens: float) -> float:
        """One step that gives each of ``requests`` running requests one token, at a mean context.

        Weights: bytes and arithmetic overlap (the root of the sum of squares), apart for the experts, of which a
        batch of B tokens touches 1 - (1 - k/E)^B.
        """
        batch = max(1.0, requests / self.stages)
        group = max(1.0, batch / self.attention_groups) if self.attention_groups > 1 else batch
        touched = self.touched_experts(batch)
        return (
            self.step_ms
            + math.hypot(self.dense_weights_ms, group * self.dense_ms_per_token)
            + math.hypot(touched * self.expert_weights_ms, batch * self.expert_ms_per_token)
            + group * self.kv_ms(context_tokens)
            + batch * self.all_reduce_ms_per_token
            + group * self.sequence_ms
        )

    def touched_experts(self, batch: float) -> float:
        """Share of the experts that a step of ``batch`` tokens reads."""
        return 1 - (1 - self.experts_per_token / self.experts) ** batch if self.experts else 0.0

    def kv_ms(self, context_tokens: float) -> float:
        """Reading the KV cache of one session."""
        read = context_tokens
        if self.sparse_attention:
            selected = calibration.SPARSE_ATTENTION_TOKENS + calibration.SPARSE_INDEX_SHARE * context_tokens
            read = min(read, selected)
        return read * self.kv_ms_per_token + self.kv_ms_per_session


def _launch_ms(
    model: Model, accelerator: Accelerator, precision: Precision, serving: Serving, *, weight_only: bool
) -> float:
    """Launches of one decode step over all layers; weight-only kernels quantise no activations."""
    constants = serving.constants
    per_layer = constants.generations[generation_of(serving.engine, serving.version)].launch_ms_per_layer
    if model.experts:
        per_layer *= constants.families[family_of(serving.engine)].moe_launch_factor
        per_layer *= constants.block_fp8_launch_factor if precision == "fp8" and not weight_only else 1.0
    elif precision == "nvfp4" and not weight_only:
        per_layer *= constants.dense_fp4_launch_factor
    if not has_fp4_units(accelerator):
        per_layer *= constants.hopper_launch_factor
    if model.architecture in _SPARSE_ATTENTION:
        per_layer *= constants.sparse_attention_launch_factor
    return layer_count(model) * per_layer


def _all_reduce(model: Model, accelerator: Accelerator, width: int, constants: Constants) -> tuple[float, float, float]:
    """Two all-reduces a layer: latency of a step, and ms per token of decode and of prompts."""
    if width == 1:
        return 0.0, 0.0, 0.0
    count = 2 * layer_count(model)
    megabytes = count * model.hidden_size * 2 / 1e6
    if not accelerator.nvlink_gb_per_s:
        per_token = megabytes / calibration.ALL_REDUCE_PCIE_GB_PER_S
        return count * calibration.ALL_REDUCE_PCIE_MS, per_token, per_token
    return (
        count * constants.all_reduce_ms,
        megabytes / constants.decode_all_reduce_gb_per_s,
        megabytes / constants.prompt_all_reduce_gb_per_s,
    )


def _activation_ms_per_token(model: Model, accelerator: Accelerator, spread: Layout) -> float:
    """Memory traffic of one prompt token's activations, which tensor parallelism does not divide."""
    per_expert = calibration.EXPERT_PASSES * (model.experts_per_token or 0) / spread.expert_groups
    passes = calibration.ACTIVATION_PASSES + per_expert
    moved = layer_count(model) * model.hidden_size * 2 * passes / spread.attention_groups
    return moved / (accelerator.bandwidth_gb_per_s * 1e6)


def _hand_over_ms_per_token(model: Model, serving: Serving) -> float:
    """Sending one token's activations, 16 bit wide, from node to node."""
    if serving.nodes == 1:
        return 0.0
    return (serving.nodes - 1) * model.hidden_size * 2 / (serving.gbps_between_nodes / 8 * 1e6)


def speed(
    model: Model,
    accelerator: Accelerator,
    *,
    precision: Precision,
    kv_dtype: KvCacheDtype,
    tensor_parallel: int,
    pipeline_parallel: int,
    max_batched_tokens: int,
    serving: Serving | None = None,
) -> Speed | None:
    """Build the model of one replica; None where no TFLOPS figure of the accelerator has a source."""
    serving = serving or Serving()
    constants = serving.constants
    weight_only = serving.weight_only or precision == "int4"
    rates = rates_of(model, accelerator, precision, constants, weight_only=weight_only)
    if rates is None:
        return None
    spread = layout(accelerator, tensor_parallel, serving.attention_dp, serving.expert_parallel)
    width, groups = spread.accelerators, spread.attention_groups
    work = work_of(model, precision, kv_dtype, spread.tensor_parallel)
    reduce_ms, decode_reduce_ms, prompt_reduce_ms = _all_reduce(model, accelerator, width, constants)
    hand_over_ms = _hand_over_ms_per_token(model, serving)
    launch_ms = _launch_ms(model, accelerator, precision, serving, weight_only=weight_only)
    dense_ms = work.dense_flops / spread.tensor_parallel / rates.dense_flops_per_ms
    expert_ms = work.expert_flops / width / rates.expert_flops_per_ms
    attention_flops = 4.0 * model.layers.full * model.attention_heads * model.head_dim
    if model.pooling is not None and model.pooling.bidirectional:
        attention_flops *= 2  # to what follows too, not only to what came before
    family = constants.families[family_of(serving.engine)]
    generation = constants.generations[generation_of(serving.engine, serving.version)]
    errors = _error_ratios(accelerator, serving)
    return Speed(
        dense_weights_ms=work.dense_bytes / spread.tensor_parallel / rates.bytes_per_ms,
        expert_weights_ms=work.expert_bytes / width / rates.bytes_per_ms,
        experts=model.experts or 0,
        experts_per_token=model.experts_per_token or 0,
        kv_ms_per_token=work.kv_bytes_per_token / rates.kv_bytes_per_ms,
        kv_ms_per_session=work.kv_bytes_per_session / rates.kv_bytes_per_ms,
        sparse_attention=model.architecture in _SPARSE_ATTENTION,
        dense_ms_per_token=dense_ms,
        expert_ms_per_token=expert_ms,
        prompt_ms_per_token=dense_ms / groups
        + expert_ms
        + prompt_reduce_ms
        + hand_over_ms
        + _activation_ms_per_token(model, accelerator, spread),
        attention_ms_per_token_pair=attention_flops / width / rates.attention_flops_per_ms,
        step_ms=constants.step_ms * pipeline_parallel + launch_ms + reduce_ms,
        all_reduce_ms_per_token=decode_reduce_ms + hand_over_ms,
        sequence_ms=constants.sequence_ms,
        prompt_launch_ms=constants.prompt_launch_ms_per_layer * layer_count(model),
        first_token_ms=generation.first_token_ms,
        host_ms_per_request=family.host_ms_per_request,
        queue_share=generation.queue_share,
        steady_queue=constants.steady_queue,
        prompt_interference=constants.prompt_interference,
        accepted_tokens=max(1.0, serving.accepted_tokens),
        attention_groups=groups,
        stages=pipeline_parallel,
        max_batched_tokens=max_batched_tokens,
        calibrated=_is_calibrated(accelerator, serving),
        ttft_error_ratio=errors.ttft,
        tpot_error_ratio=errors.tpot,
        measured_ttft_ratio=(serving.own_run and serving.own_run.ttft_ratio) or 1.0,
        measured_tpot_ratio=(serving.own_run and serving.own_run.tpot_ratio) or 1.0,
    )


def _is_calibrated(accelerator: Accelerator, serving: Serving) -> bool:
    known = accelerator.id in CALIBRATED and family_of(serving.engine) == serving.engine
    return known and serving.accepted_tokens <= 1 and serving.nodes == 1


def _error_ratios(accelerator: Accelerator, serving: Serving) -> calibration.ErrorRatios:
    """The band of the engine's generation, wider where no measured run stands behind the answer."""
    ratios = calibration.ERROR_RATIOS[generation_of(serving.engine, serving.version)]
    factor = 1.0 if serving.nodes == 1 else SEVERAL_NODES_FACTOR
    if not _is_calibrated(accelerator, replace(serving, nodes=1)):
        factor *= UNCALIBRATED_FACTOR
    return calibration.ErrorRatios(ttft=ratios.ttft * factor, tpot=ratios.tpot * factor)


def recipe_kv_dtype(engine: Engine, accelerator: Accelerator, precision: Precision) -> KvCacheDtype:
    """The number format of the cache that recipes of tuned runs ask for: those of the measured rows, which do not say.

    Checkpoints quantised for TensorRT-LLM carry an FP8 cache, and recipes for Blackwell ask for one; elsewhere it is
    16 bit. (The measured runs say so where the cache fills: how many requests run at once tells its width.) An engine
    that is told ``auto`` does no such thing by itself: see ``kv_cache.value_bytes``.
    """
    quantised = bits_per_parameter(precision) <= _EIGHT_BIT and precision != "int4"
    asks = SIZING_PORTS[engine].checkpoints_ask_for_8_bit_cache or has_fp4_units(accelerator)
    return "fp8" if quantised and asks else "auto"


def seats(
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
    average); TensorRT-LLM 90 % of what is free, SGLang 92 % less weights, and both keep room for the whole output.
    """
    work = work_of(model, precision, kv_dtype, spread.tensor_parallel)
    embeddings = model.vocab_size * model.hidden_size * 2.0 * (0 if model.tied_embeddings else 1)
    weights = work.expert_bytes / spread.accelerators + (work.dense_bytes + embeddings) / spread.tensor_parallel
    memory = capacity(accelerator).capacity_gib * GIB
    port = SIZING_PORTS[engine]
    pool = port.tuned_pool_bytes(memory, weights, GIB)
    held = prompt_tokens + output_tokens * port.held_output_share
    per_request = held * work.kv_bytes_per_token + work.kv_bytes_per_session
    return max(1.0, pool / per_request) * spread.attention_groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one request asks of the engine."""

    prompt_tokens: float
    """Prompt tokens to be read, the cached prefix left out."""
    context_tokens: float
    """Mean context while it generates."""
    output_tokens: float

    @property
    def prompt_end_tokens(self) -> float:
        """Context at the end of the prompt, the cached prefix included."""
        return max(self.prompt_tokens, self.context_tokens - self.output_tokens / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Steady state of a closed loop, in ms and tokens/s of one replica."""

    ttft_ms: float
    """The sum of the four terms below."""
    queue_ms: float
    """Engine and host time, and the wait behind other requests' prompts."""
    seat_ms: float
    """The wait for one of the replica's seats, where fewer requests run than ask."""
    prefill_ms: float
    first_step_ms: float
    tpot_ms: float
    output_tokens_per_s: float
    prefill_tokens_per_s: float
    ttft_error_ratio: float
    tpot_error_ratio: float


def predict_tpot_ms(engine: Speed, request: Request, concurrency: float) -> float:
    """Mean time per output token with ``concurrency`` requests running, the prompts of the others included."""
    step = engine.decode_ms(concurrency, request.context_tokens) / engine.accepted_tokens
    work = engine.prompt_arithmetic_ms(request.prompt_tokens, request.prompt_end_tokens)
    if work:
        work += calibration.PROMPT_LAUNCH_INTERFERENCE * engine.prompt_launch_ms
    return step + engine.prompt_interference * max(0.0, concurrency - 1) * work / request.output_tokens


def predict_queue_ms(engine: Speed, request: Request, concurrency: float, tpot_ms: float) -> float:
    """Mean wait behind the prompts of the others.

    The steady part is the closed network of one server and C customers (mean-value analysis after Schweitzer):
    R = p + p (C - 1) R / (Z + R), with p one prompt and Z the time that a request generates; chunks that share steps
    leave a share of it. The rest is the synchronised start of closed loops, a share of all other prompts.
    """
    prompt = engine.prompt_arithmetic_ms(request.prompt_tokens, request.prompt_end_tokens)
    generating = request.output_tokens * tpot_ms
    excess = max(1.0, concurrency) * prompt - generating
    response = (excess + math.sqrt(excess * excess + 4 * prompt * generating)) / 2
    start = max(0.0, concurrency - 1) * prompt * engine.queue_share
    return engine.steady_queue * max(0.0, response - prompt) + start


def predict(engine: Speed, request: Request, concurrency: float, seats: float = math.inf) -> Prediction:
    """Latency and throughput of one replica in a steady closed loop of ``concurrency`` requests.

    No more than ``seats`` run at once (KV cache or the engine's limit); each of the others waits for
    (asked - seats) / seats times a request's own time.
    """
    running = min(concurrency, max(1.0, seats))
    tpot = predict_tpot_ms(engine, request, running)
    prefill = engine.prefill_ms(request.prompt_tokens, request.prompt_end_tokens)
    first_step = engine.decode_ms(running, request.context_tokens)
    queue = (
        engine.first_token_ms
        + concurrency * engine.host_ms_per_request
        + predict_queue_ms(engine, request, running, tpot)
    )
    busy = prefill + request.output_tokens * tpot
    waiting = calibration.QUEUED_WAVES * max(0.0, concurrency - running) / running * busy
    requests_per_s = running * 1000 / (engine.first_token_ms + busy) / engine.measured_tpot_ratio
    first = engine.measured_ttft_ratio
    return Prediction(
        ttft_ms=(queue + waiting + prefill + first_step) * first,
        queue_ms=queue * first,
        seat_ms=waiting * first,
        prefill_ms=prefill * first,
        first_step_ms=first_step * first,
        tpot_ms=tpot * engine.measured_tpot_ratio,
        output_tokens_per_s=requests_per_s * request.output_tokens,
        prefill_tokens_per_s=requests_per_s * request.prompt_tokens,
        ttft_error_ratio=calibration.SEAT_TTFT_ERROR_RATIO if running < concurrency else engine.ttft_error_ratio,
        tpot_error_ratio=engine.tpot_error_ratio,
    )
