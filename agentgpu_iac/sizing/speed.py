"""How fast one replica is: what a step of the engine does, in bytes, operations and launches.

    step = launches + reading weights (of the experts really touched) or their arithmetic + reading KV cache
           + all-reduces + work per sequence

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
from agentgpu_iac.sizing.layout import Layout, layout
from agentgpu_iac.sizing.rates import has_fp4_units, rates_of, work_of
from agentgpu_iac.sizing.weights import layer_count, read_spread
from agentgpu_iac.spec.vocabulary import Engine, KvCacheDtype, Precision

CALIBRATED = frozenset({"h100-sxm", "h200-sxm", "b200-sxm", "b300-sxm", "gb200"})
"""Accelerators of the measured runs: 2,406 closed-loop points of vLLM, TensorRT-LLM and SGLang."""
UNCALIBRATED_FACTOR = 1.5
"""How much wider the band is where no measured run used the accelerator or engine: a judgement, no measurement."""
SEVERAL_NODES_FACTOR = 1.5
"""How much wider the band is for a replica over several nodes: no measured run had one. What each step waits for
messages between nodes is not in the answer, only their bytes are. A judgement as well."""

_SPARSE_ATTENTION = frozenset({"glm_moe_dsa", "deepseek_v32"})


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
    launches_ms: float
    """Launching and synchronising one step whose kernels are in a graph."""
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
            self.launches_ms
            + math.hypot(self.dense_weights_ms, group * self.dense_ms_per_token)
            + math.hypot(touched * self.expert_weights_ms, batch * self.expert_ms_per_token)
            + group * self.kv_ms(context_tokens)
            + batch * self.all_reduce_ms_per_token
            + group * self.sequence_ms
        )

    def step_ms(self, requests: float, context_tokens: float, prompt_tokens: float, token_pairs: float) -> float:
        """One step that gives each of ``requests`` running requests a token and reads ``prompt_tokens`` of prompts.

        ``context_tokens`` is the mean context of those that run, ``token_pairs`` how many pairs of a prompt token and an
        earlier one the prompts attend to: ``chunk_pairs``. All figures are of the whole replica. Without prompts it is
        ``decode_ms``, whose launches are in a graph; a step with prompts launches its kernels one by one, reads the
        experts that all its tokens together touch, and without running requests it is one chunk of ``prefill_ms``.
        """
        if prompt_tokens <= 0:
            return self.decode_ms(requests, context_tokens)
        batch = requests / self.stages
        group = batch / self.attention_groups
        memory = self.dense_weights_ms + self.touched_experts(batch + prompt_tokens) * self.expert_weights_ms
        arithmetic = group * self.dense_ms_per_token + batch * self.expert_ms_per_token
        arithmetic += prompt_tokens * self.prompt_ms_per_token + token_pairs * self.attention_ms_per_token_pair
        return (
            max(self.launches_ms, self.prompt_launch_ms)
            + math.hypot(arithmetic, memory)
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


def speed_of(
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
    unknown = read_spread(model, precision)
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
        launches_ms=constants.step_ms * pipeline_parallel + launch_ms + reduce_ms,
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
        ttft_error_ratio=math.hypot(errors.ttft, unknown),
        tpot_error_ratio=math.hypot(errors.tpot, unknown),
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
