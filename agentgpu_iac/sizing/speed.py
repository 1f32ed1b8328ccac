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
from functools import lru_cache
from statistics import NormalDist

from agentgpu_iac.catalog.model import Accelerator, Calibration, Model
from agentgpu_iac.sizing import calibration, kernels
from agentgpu_iac.sizing.attention import SPARSE_ATTENTION_TOKENS, SPARSE_INDEX_SHARE, attention_of
from agentgpu_iac.sizing.calibration import CONSTANTS, Constants, family_of, generation_of, is_measured
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.launches import attention_launches_ms, feed_forward_launches_ms, reduces_of
from agentgpu_iac.sizing.layout import Layout, layout
from agentgpu_iac.sizing.rates import kernel_formats, work_of
from agentgpu_iac.sizing.weights import layer_count, read_spread
from agentgpu_iac.spec.vocabulary import Engine, KvCacheDtype, Precision
from agentgpu_iac.units import ceil_div

CALIBRATED = frozenset({"h100-sxm", "h200-sxm", "b200-sxm", "b300-sxm", "gb200"})
"""Accelerators of the measured runs: 2,348 closed-loop points of vLLM, TensorRT-LLM and SGLang; of GB200, services alone."""
UNCALIBRATED_FACTOR = 1.5
"""How much wider the band is where no measured run used the engine, or speculation: a judgement, no measurement."""
SEVERAL_NODES_FACTOR = 1.5
"""How much wider the band is for a replica over several nodes: no measured run had one. What each step waits for
messages between nodes is not in the answer, only their bytes are. A judgement as well."""

_NORMAL = NormalDist()
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
    enforce_eager: bool = False
    """The engine captures no graphs: the host launches each kernel of a decode step too."""
    weight_only: bool = False
    """The card has no units for the precision of the weights: kernels unpack them as they are read. 4-bit integers always
    are."""
    captured_tokens: int | None = None
    """Largest step with prompts whose kernels are in graphs; unset: the engine's default."""
    expert_kernel: str = ""
    """Kernels of the experts that the engine was told to take; unset: its own choice."""
    own_run: Calibration | None = None
    """What the user measured beside a prediction; its ratios scale the answers."""
    constants: Constants = CONSTANTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What pipeline stages have of a step."""

    fullest_share: float = 1.0
    """Share of the layers in the stage with the most of them, which is not the last."""
    last_share: float = 1.0
    """Share of the layers in the last one."""
    head_ms: float = 0.0
    """Reading the output's head there."""
    own_ms: float = 0.0
    """What each of them takes for itself: the host's step, and launching the message to the next."""


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
    routing_shape: float
    """How evenly tokens choose experts: the shape of a gamma distribution of their popularity; infinite: all alike."""
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
    own_prompt_ms_per_token: float
    """One token of a prompt that is read alone: its attention group does the work of all layers but the experts, and the other
    groups none of it. The same as the above with one group."""
    own_attention_ms_per_token_pair: float
    """The same for attending."""
    launches_ms: float
    """Launching and synchronising one step whose kernels are in a graph."""
    all_reduce_ms_per_token: float
    """Bandwidth term of the all-reduces of one decode token, and of handing it from node to node."""
    sequence_ms: float
    """Host and sampler work of one running sequence of an attention group."""
    prompt_launch_ms: float
    """Launches of one prompt chunk, whose kernels are in no graph, and the small ones between them."""
    captured_launch_ms: float
    """The same of a chunk whose kernels are in pieces of graphs, all but attention."""
    captured_tokens: int
    """Largest step with prompts that is: of one attention group."""
    eager_launch_ms: float
    """The host launching one decode step whose kernels are in no graph; 0: they are in one."""
    first_token_ms: float
    """Engine time of a request before and after its prompt: server, tokeniser, scheduler."""
    first_token_steps: float
    """Decode steps between the end of a prompt and its first token on an idle engine."""
    host_ms_per_request: float
    """Host time of a request in the server's process, which takes one after another."""
    accepted_tokens: float
    attention_groups: int
    stages: int
    """Pipeline stages that a step passes one after another; as many batches are under way, one behind the other."""
    stage: Stage
    """How unevenly they share the step."""
    max_batched_tokens: int
    prompts_apart: bool
    """The engine reads prompts in steps of their own, and decoding waits."""
    bandwidth_share: float
    """Part of the memory bandwidth that dense layers reach."""
    tflops_share: float
    """Part of the dense TFLOPS of their format that they reach with many tokens."""
    own_tables: bool
    """The kernel tables are of this very accelerator."""
    calibrated: bool
    ttft_error_ratio: float
    tpot_error_ratio: float
    group_fullness: float = 1.0
    """Requests of the fullest attention group over those of a mean one."""
    measured_ttft_ratio: float = 1.0
    """Measured / predicted TTFT of a run of the user's own; 1 where there is none."""
    measured_tpot_ratio: float = 1.0
    """The same for TPOT."""

    def __hash__(self) -> int:
        """By some of what tells engines apart: they are looked up far more often than made."""
        return hash((self.launches_ms, self.dense_weights_ms, self.kv_ms_per_token, self.max_batched_tokens))

    def prefill_ms(self, tokens: float, context_tokens: float) -> float:
        """Read ``tokens`` tokens of one prompt that ends at ``context_tokens`` of context, in chunks of the batch limit.

        It is read by one attention group, however many there are. Arithmetic and the reading of the weights overlap: the root of
        the sum of their squares. Kernels of prompts are launched one by one, with gaps between them.
        """
        if tokens <= 0:
            return 0.0
        chunks = math.ceil(tokens / self.max_batched_tokens)
        touched = self.touched_experts(tokens / chunks)
        memory = chunks * (self.dense_weights_ms + touched * self.expert_weights_ms)
        launches = chunks * self._chunk_launch_ms(tokens / chunks)
        return math.hypot(self.own_arithmetic_ms(tokens, context_tokens), memory) + launches

    def _chunk_launch_ms(self, tokens_of_a_group: float) -> float:
        return self.captured_launch_ms if tokens_of_a_group <= self.captured_tokens else self.prompt_launch_ms

    def own_arithmetic_ms(self, tokens: float, context_tokens: float) -> float:
        """Arithmetic and traffic of a prompt that is read alone, by one attention group."""
        earlier = max(0.0, context_tokens - tokens) + tokens / 2
        return tokens * (self.own_prompt_ms_per_token + earlier * self.own_attention_ms_per_token_pair)

    def prompt_arithmetic_ms(self, tokens: float, context_tokens: float) -> float:
        """What ``tokens`` prompt tokens add to steps that run anyway: their arithmetic and traffic alone."""
        earlier = max(0.0, context_tokens - tokens) + tokens / 2
        return tokens * (self.prompt_ms_per_token + earlier * self.attention_ms_per_token_pair)

    def decode_ms(self, requests: float, context_tokens: float) -> float:
        """One step that gives each of ``requests`` running requests one token, at a mean context.

        Weights: bytes and arithmetic overlap (the root of the sum of squares), apart for the experts, of which a
        batch of tokens touches a part (``touched_experts``). Without graphs the host launches kernel after kernel, and is
        waited for where it is slower than they are.
        """
        through = self._decode_through_ms(requests, context_tokens)
        return through + self.pace_ms(through, requests)

    def stretch_ms(self, requests: float, context_tokens: float, tokens: float, steps: int) -> tuple[float, float]:
        """(the first of so many decode steps, growth from one to the next), where each gives a request so many tokens."""
        first = self.decode_ms(requests, context_tokens)
        if steps == 1:
            return first, 0.0
        last = self.decode_ms(requests, context_tokens + tokens * (steps - 1))
        return first, (last - first) / (steps - 1)

    def _decode_through_ms(self, requests: float, context_tokens: float) -> float:
        """The way of the fullest batch through all stages."""
        batch = self.batch(requests)
        group = max(1.0, self.fullest_group(batch)) if self.attention_groups > 1 else batch
        touched = self.touched_experts(batch)
        on_accelerator = (
            self.launches_ms
            + math.hypot(self.dense_weights_ms, group * self.dense_ms_per_token)
            + math.hypot(touched * self.expert_weights_ms, batch * self.expert_ms_per_token)
            + group * self.kv_ms(context_tokens)
            + batch * self.all_reduce_ms_per_token
            + group * self.sequence_ms
        )
        return max(on_accelerator, self.eager_launch_ms)

    def batch(self, requests: float) -> float:
        """Requests in one step: in a pipeline, of the fullest of its batches.

        A request stays in the batch that was scheduled when it came, and no engine evens them out (vLLM 0.33 packs all that
        wait into the next one), so they are as uneven as chance makes them.
        """
        if self.stages == 1:
            return max(1.0, requests)
        return max(1.0, fullest(requests, self.stages))

    def fullest_group(self, batch: float) -> float:
        """Requests of the fullest attention group, for which the others wait in each layer."""
        return batch / self.attention_groups * self.group_fullness

    def with_fullest_group(self, fullness: float) -> Speed:
        """The same where the fullest attention group has so many times the requests of a mean one.

        They are no more requests in all: experts, all-reduces and prompts are those of the whole replica.
        """
        return self if fullness <= 1 else replace(self, group_fullness=fullness)

    def paced_ms(self, requests: float, context_tokens: float) -> float:
        """``pace_ms`` of a decode step."""
        return self.pace_ms(self._decode_through_ms(requests, context_tokens), requests)

    def pace_ms(self, through_ms: float, requests: float) -> float:
        """How much longer than its way through the stages a batch's round is in a pipeline that is full.

        One batch follows the other through the slowest stage: that with a layer more, or the last, which also has the output's
        head and the work of each sequence. Nothing where the pipeline has one stage, or one batch.
        """
        if self.stages == 1:
            return 0.0
        batch = self.batch(requests)
        last_ms = self.stage.head_ms + batch / self.attention_groups * self.sequence_ms
        layers_ms = max(0.0, through_ms - last_ms - self.stages * self.stage.own_ms)
        slowest_ms = self.stage.own_ms + max(
            layers_ms * self.stage.fullest_share, layers_ms * self.stage.last_share + last_ms
        )
        return max(0.0, min(float(self.stages), max(1.0, requests)) * slowest_ms - through_ms)

    def alone_ms(self, prompt_tokens: float) -> float:
        """TTFT of a request that nothing runs beside: the server's way, its prompt, and what the scheduler lags behind."""
        way = self.first_token_ms + self.host_ms_per_request + self.prefill_ms(prompt_tokens, prompt_tokens)
        return (way + self.first_token_steps * self.decode_ms(1, prompt_tokens)) * self.measured_ttft_ratio

    def step_ms(
        self,
        requests: float,
        context_tokens: float,
        prompt_tokens: float,
        token_pairs: float,
        *,
        of_one_group: bool = False,
    ) -> float:
        """One step that gives each of ``requests`` running requests a token and reads ``prompt_tokens`` of prompts.

        ``context_tokens`` is the mean context of those that run, ``token_pairs`` how many pairs of a prompt token and an
        earlier one the prompts attend to: ``chunk_pairs``. All figures are of the whole replica. Without prompts it is
        ``decode_ms``, whose launches are in a graph; a step with prompts launches its kernels one by one, reads the
        experts that all its tokens together touch. The prompts are spread over the attention groups, or they are one group's:
        then the others wait for it, and without running requests the step is one chunk of ``prefill_ms``.
        """
        if prompt_tokens <= 0:
            return self.decode_ms(requests, context_tokens)
        batch = self.batch(requests) if requests else 0.0
        group = self.fullest_group(batch)
        memory = self.dense_weights_ms + self.touched_experts(batch + prompt_tokens) * self.expert_weights_ms
        arithmetic = group * self.dense_ms_per_token + batch * self.expert_ms_per_token
        per_token, per_pair = self.prompt_ms_per_token, self.attention_ms_per_token_pair
        if of_one_group:
            per_token, per_pair = self.own_prompt_ms_per_token, self.own_attention_ms_per_token_pair
        arithmetic += prompt_tokens * per_token + token_pairs * per_pair
        on_accelerator = (
            math.hypot(arithmetic, memory) + group * self.kv_ms(context_tokens) + batch * self.all_reduce_ms_per_token
        )
        tokens = group + prompt_tokens / (1 if of_one_group else self.attention_groups)
        through = self._chunk_launch_ms(tokens) + on_accelerator + group * self.sequence_ms
        return through + self.pace_ms(through, requests)

    def touched_experts(self, batch: float) -> float:
        """Share of the experts that a step of ``batch`` tokens reads.

        Were all experts alike, each would be missed by (1 - k/E)^B. Some are asked for more often, so that a batch touches fewer:
        with a popularity spread as a gamma distribution of shape a, (1 + m/a)^-a are missed, of m = -B ln(1 - k/E). One token
        touches its k experts whatever their popularity: m starts there.
        """
        if not self.experts:
            return 0.0
        by_a_token = self.experts_per_token / self.experts
        further = max(0.0, batch - 1) * -math.log1p(-by_a_token) if by_a_token < 1 else math.inf
        return 1 - (1 - by_a_token) * math.pow(1 + further / self.routing_shape, -self.routing_shape)

    def kv_ms(self, context_tokens: float) -> float:
        """Reading the KV cache of one session."""
        read = context_tokens
        if self.sparse_attention:
            selected = SPARSE_ATTENTION_TOKENS + SPARSE_INDEX_SHARE * context_tokens
            read = min(read, selected)
        return read * self.kv_ms_per_token + self.kv_ms_per_session


def _activation_ms_per_token(model: Model, accelerator: Accelerator, spread: Layout) -> float:
    """Memory traffic of one prompt token's activations, which tensor parallelism does not divide."""
    moved = layer_count(model) * model.hidden_size * 2 * calibration.ACTIVATION_PASSES / spread.attention_groups
    return moved / (accelerator.bandwidth_gb_per_s * 1e6)


def _routing_ms_per_token(model: Model, accelerator: Accelerator, spread: Layout, passes: float) -> float:
    """Memory traffic of carrying one token to its experts and back, of the whole replica."""
    moved = layer_count(model) * model.hidden_size * 2 * passes * (model.experts_per_token or 0) / spread.expert_groups
    return moved / (accelerator.bandwidth_gb_per_s * 1e6)


def stage_of(model: Model, stages: int, head_ms: float, own_ms: float) -> Stage:
    """Layers as vLLM deals them out: what is left over goes to stages before the last (``get_pp_indices``)."""
    if stages == 1:
        return Stage()
    layers = layer_count(model)
    return Stage(
        fullest_share=ceil_div(layers, stages) / layers,
        last_share=layers // stages / layers,
        head_ms=head_ms,
        own_ms=own_ms,
    )


def fullest(requests: float, batches: float) -> float:
    """The most that falls on one of so many batches, where chance deals requests out: the mean, and Blom's expected maximum of
    normal deviates of its spread. Never more than all of them.
    """
    if batches <= 1 or requests <= 0:
        return requests
    mean = requests / batches
    return min(requests, mean + _expected_maximum(batches) * math.sqrt(mean))


@lru_cache(maxsize=1024)
def _expected_maximum(deviates: float) -> float:
    """Blom's approximation of the greatest of so many normal deviates."""
    return _NORMAL.inv_cdf((deviates - 0.375) / (deviates + 0.25))


def _hand_over_ms_per_token(model: Model, serving: Serving, stages: int, gb_per_s: float) -> float:
    """Sending one token's activations, 16 bit wide, from stage to stage: within nodes at ``gb_per_s``."""
    handed_bytes = calibration.VECTORS_HANDED_OVER * model.hidden_size * 2
    within = (stages - serving.nodes) * handed_bytes / (gb_per_s * 1e6) if stages > serving.nodes else 0.0
    if serving.nodes == 1:
        return within
    return within + (serving.nodes - 1) * handed_bytes / (serving.gbps_between_nodes / 8 * 1e6)


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
    constants, engine = serving.constants, serving.engine
    dense_format, expert_format = kernel_formats(
        model, precision, weight_only=serving.weight_only or precision == "int4"
    )
    dense = kernels.matrices(accelerator, engine, dense_format)
    routed = kernels.experts(accelerator, engine, expert_format, model.hidden_size, serving.expert_kernel)
    if dense is None or routed is None:
        return None
    plain = kernels.matrices(accelerator, engine, "bf16") or dense
    if dense.format in SIZING_PORTS[engine].fused_formats:
        dense = kernels.without_quantising(accelerator, engine, dense)
    spread = layout(accelerator, tensor_parallel, serving.attention_dp, serving.expert_parallel)
    width, groups = spread.accelerators, spread.attention_groups
    work = work_of(model, precision, kv_dtype, spread.tensor_parallel)
    sparse = model.architecture in _SPARSE_ATTENTION
    attention = attention_of(model, accelerator, engine, kv_dtype, work, spread, sparse=sparse)
    reduces = reduces_of(model, spread)
    reduce_ms, reduce_gb_per_s = kernels.all_reduce(accelerator, engine, width)
    reduce_ms_per_token = reduces.vectors_per_token * model.hidden_size * 2 / (reduce_gb_per_s * 1e6)
    hop_ms, hop_gb_per_s = kernels.all_reduce(accelerator, engine, 2)
    hand_over_ms = _hand_over_ms_per_token(model, serving, pipeline_parallel, hop_gb_per_s)
    own_ms = constants.step_ms + (hop_ms if pipeline_parallel > 1 else 0.0)
    head_bytes = model.vocab_size * model.hidden_size * 2 / spread.tensor_parallel
    dense_ms = work.dense_flops / spread.tensor_parallel / dense.flops_per_ms
    expert_ms = work.expert_flops / width / routed.flops_per_ms
    routing_ms = _routing_ms_per_token(model, accelerator, spread, routed.passes) if model.experts else 0.0
    by_all_ms = expert_ms + routing_ms + reduce_ms_per_token  # of a prompt token: what all attention groups do together
    by_one_ms = (
        dense_ms + (attention.prompt_ms_per_token + _activation_ms_per_token(model, accelerator, spread)) * groups
    )
    family = constants.families[family_of(engine)]
    generation = constants.generations[generation_of(engine, serving.version)]
    in_graph_ms = (
        attention_launches_ms(model, dense, plain, attention.launch_ms, sparse=sparse)
        + feed_forward_launches_ms(model, dense, plain, routed)
        + layer_count(model) * generation.launch_ms_per_layer
        + reduces.count * reduce_ms
    )
    captured = serving.captured_tokens
    if captured is None:
        captured = SIZING_PORTS[engine].captured_prompt_tokens
    prompt_launch_ms = reduces.count * constants.prompt_reduce_ms + layer_count(model) * (
        family.prompt_launch_ms_per_layer + (family.prompt_experts_launch_ms if model.experts else 0.0)
    )
    in_pieces_ms = in_graph_ms + layer_count(model) * constants.captured_launch_ms_per_layer
    ttft_error, tpot_error = _error_ratios(model, accelerator, serving)
    unknown = read_spread(model, precision)
    return Speed(
        dense_weights_ms=work.dense_bytes / spread.tensor_parallel / dense.bytes_per_ms,
        expert_weights_ms=work.expert_bytes / width / routed.bytes_per_ms,
        experts=model.experts or 0,
        experts_per_token=model.experts_per_token or 0,
        routing_shape=constants.routing_shape,
        kv_ms_per_token=attention.kv_ms_per_token,
        kv_ms_per_session=attention.kv_ms_per_session,
        sparse_attention=sparse,
        dense_ms_per_token=dense_ms,
        expert_ms_per_token=expert_ms + routing_ms,
        prompt_ms_per_token=family.prompt_factor * (by_all_ms + by_one_ms / groups) + hand_over_ms,
        attention_ms_per_token_pair=family.prompt_factor * attention.prompt_ms_per_pair,
        own_prompt_ms_per_token=family.prompt_factor * (by_all_ms + by_one_ms) + hand_over_ms,
        own_attention_ms_per_token_pair=family.prompt_factor * attention.prompt_ms_per_pair * groups,
        launches_ms=own_ms * pipeline_parallel + in_graph_ms,
        all_reduce_ms_per_token=reduce_ms_per_token + hand_over_ms,
        sequence_ms=constants.sequence_ms,
        prompt_launch_ms=prompt_launch_ms,
        captured_launch_ms=min(prompt_launch_ms, in_pieces_ms),  # pieces of graphs take no longer than their kernels
        captured_tokens=0 if serving.enforce_eager else captured,
        eager_launch_ms=constants.eager_launch_ms_per_layer * layer_count(model) if serving.enforce_eager else 0.0,
        first_token_ms=generation.first_token_ms,
        first_token_steps=family.first_token_steps,
        host_ms_per_request=family.host_ms_per_request,
        accepted_tokens=max(1.0, serving.accepted_tokens),
        attention_groups=groups,
        stages=pipeline_parallel,
        stage=stage_of(model, pipeline_parallel, head_bytes / dense.bytes_per_ms, own_ms),
        max_batched_tokens=max_batched_tokens,
        prompts_apart=SIZING_PORTS[serving.engine].prompts_apart,
        bandwidth_share=dense.bytes_per_ms / (accelerator.bandwidth_gb_per_s * 1e6),
        tflops_share=dense.flops_per_ms / ((kernels.tflops(accelerator, dense.format) or math.inf) * 1e9),
        own_tables=kernels.has_own_tables(accelerator),
        calibrated=_is_calibrated(accelerator, serving),
        ttft_error_ratio=math.hypot(ttft_error, unknown),
        tpot_error_ratio=math.hypot(tpot_error, unknown),
        measured_ttft_ratio=(serving.own_run and serving.own_run.ttft_ratio) or 1.0,
        measured_tpot_ratio=(serving.own_run and serving.own_run.tpot_ratio) or 1.0,
    )


def _is_calibrated(accelerator: Accelerator, serving: Serving) -> bool:
    known = accelerator.id in CALIBRATED and family_of(serving.engine) == serving.engine
    return known and serving.accepted_tokens <= 1 and serving.nodes == 1


def _error_ratios(model: Model, accelerator: Accelerator, serving: Serving) -> tuple[float, float]:
    """Bands of TTFT and TPOT: of the engine's generation and kind of model, at least that of a card without runs, and wider
    where no measured run used the engine, speculation or several nodes.
    """
    found = [calibration.ERROR_RATIOS[generation_of(serving.engine, serving.version)]]
    if accelerator.id not in CALIBRATED:
        found.append(calibration.OTHER_CARDS[kernels.has_own_tables(accelerator)])
    ttft = max(each.ttft for each in found)
    tpot = max(each.experts_tpot if model.experts else each.tpot for each in found)
    factor = 1.0 if serving.nodes == 1 else SEVERAL_NODES_FACTOR
    if not is_measured(serving.engine) or serving.accepted_tokens > 1:
        factor *= UNCALIBRATED_FACTOR
    return ttft * factor, tpot * factor
