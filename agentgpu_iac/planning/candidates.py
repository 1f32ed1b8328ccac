"""Candidates: one agent on one accelerator with one parallelism. Each either serves, or is a rejection with numbers.

Nothing here knows prices. A candidate says how many sessions one replica carries within memory and latency, and how
many replicas the baseline and the peak need; what that costs is decided where machines are known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agentgpu_iac.catalog.model import Accelerator, Calibration, EngineRelease
from agentgpu_iac.plan import Constraint, Rejection, RejectionUnit
from agentgpu_iac.planning.demand import Demand, wanted_model_len
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.planning.speculation import accepted_tokens, draft_memory, rows_per_step
from agentgpu_iac.sizing import latency, memory
from agentgpu_iac.sizing.calibration import is_measured
from agentgpu_iac.sizing.conversation import longest_uncached_prompt_tokens, uncached_tokens_per_request
from agentgpu_iac.spec.vocabulary import Precision
from agentgpu_iac.units import GIB, ceil_div, ceil_ratio, round_up, rounded

TENSOR_PARALLEL_SIZES = (1, 2, 4, 8)
PIPELINE_PARALLEL_SIZES = (1, 2, 3, 4)
MOST_NODES_PER_REPLICA = 4
"""A replica over more nodes is not tried: it is lost with any one of them."""
LEAST_BATCHED_TOKENS = 2_048
"""The smallest default of the engine."""
MAX_REPLICAS = 100_000
"""More replicas than this is a fault of the spec, not a plan."""

_FIXED_POINT_ROUNDS = 8
_FP8_CAPABILITIES = frozenset({"8.9", "9.0", "10.0", "10.3", "12.0"})
_FP4_CAPABILITIES = frozenset({"10.0", "10.3", "12.0"})
_BF16_UNSUPPORTED = frozenset({"7.0", "7.5"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What holds for every candidate of a stack."""

    release: EngineRelease
    accounted_as: str
    """Version of vLLM whose overhead is counted."""
    round_trip_ms: float
    session_affine: bool
    fills_machines: bool = False
    """Whether a replica must take all accelerators of its machine."""
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    """What the user measured, by accelerator id, for the agent's model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTerms:
    """Memory of one accelerator in GiB before the number of sessions is known."""

    capacity: memory.Capacity
    computed_weights_gib: float
    weights_gib: float
    """As computed, or as set by hand."""
    draft_weights_gib: float
    kv_bytes_per_token: int
    draft_kv_bytes_per_token: int
    kv_per_session_gib: float
    """The draft's included."""
    non_torch_gib: float
    """CUDA context, communication, LoRA slots."""
    cuda_graph_gib: float
    feed_forward_gib: float
    """Activation peak of the feed-forward end, whatever the number of sessions."""
    sampler_base_gib: float
    """Activation peak of the sampler's end, whatever the number of sessions."""
    logits_gib_per_session: float
    """The same, per session: a row for each token that a step computes."""
    measured_overhead_ratio: float
    """Measured / computed overhead of the user's own run; 1 without one."""
    overhead_override_gib: float | None

    def overhead_gib(self, sessions: int) -> float:
        """What the engine takes besides weights and KV cache when it may run ``sessions`` sequences."""
        if self.overhead_override_gib is not None:
            return self.overhead_override_gib
        return self.computed_overhead_gib(sessions)

    def activation_gib(self, sessions: int) -> float:
        """Peak of the engine's profiling run: the larger of its two ends."""
        return max(self.feed_forward_gib, self.sampler_base_gib + self.logits_gib_per_session * sessions)

    def computed_overhead_gib(self, sessions: int) -> float:
        """The overhead as computed, whether or not it was set by hand."""
        parts_gib = self.activation_gib(sessions) + self.non_torch_gib + self.cuda_graph_gib
        return parts_gib * self.measured_overhead_ratio

    def need_gib(self, sessions: int) -> float:
        """Weights + KV cache of all sessions + overhead."""
        return self.loaded_gib + sessions * self.kv_per_session_gib + self.overhead_gib(sessions)

    @property
    def loaded_gib(self) -> float:
        """Weights of the model and of its draft."""
        return self.weights_gib + self.draft_weights_gib

    @property
    def limit_gib(self) -> float:
        """The most that may be needed in steady state: 80 % of the capacity."""
        return self.capacity.capacity_gib * memory.STEADY_STATE_RATIO

    def most_sessions(self, cap: int) -> int:
        """The most sessions, up to ``cap``, whose need stays within the limit. 0: not even one fits."""
        free = self.limit_gib - self.loaded_gib - self.overhead_gib(0)
        if self.overhead_override_gib is not None:
            return _floor_div(free, self.kv_per_session_gib, cap)
        ratio = self.measured_overhead_ratio
        free_of_activation = free + (self.activation_gib(0) - self.sampler_base_gib) * ratio
        by_logits = _floor_div(free_of_activation, self.kv_per_session_gib + self.logits_gib_per_session * ratio, cap)
        return min(_floor_div(free, self.kv_per_session_gib, cap), by_logits)


def _floor_div(room: float, each: float, cap: int) -> int:
    if room <= 0:
        return 0
    return cap if each <= 0 else min(cap, math.floor(room / each + 1e-9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Latency and throughput of one replica with a number of sessions generating at once, overrides applied."""

    sessions: int
    ttft_ms: float | None
    tpot_ms: float | None
    e2e_ms: float | None
    uncached_ttft_ms: float | None
    queue_ms: float | None
    prefill_ms: float | None
    decode_ms: float | None
    prompt_work_ms: float | None
    output_tokens_per_s: float | None
    prefill_tokens_per_s: float | None
    ttft_error_ratio: float | None
    tpot_error_ratio: float | None
    calibrated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An agent on an accelerator, with everything that its replicas need decided."""

    demand: Demand
    accelerator: Accelerator
    tensor_parallel: int
    pipeline_parallel: int
    memory: MemoryTerms
    speed: latency.Speed | None
    max_num_batched_tokens: int
    computed_max_num_batched_tokens: int
    most_sessions: int
    """The most sessions that one replica carries within memory and latency."""
    max_num_seqs: int
    computed_max_num_seqs: int
    baseline_replicas: int
    """Replicas that are always warm: those for normal load, until a machine's cold start asks for more."""
    normal_replicas: int
    """Replicas that carry normal load."""
    computed_baseline_replicas: int
    peak_replicas: int
    computed_burst_replicas: int
    prefix_hit_ratio: float
    service: Service
    computed_service: Service
    """The same without the overrides of latency and throughput."""
    nodes: int = 1
    """Whole nodes that one replica takes; where more than one, its pipeline stages are spread over them."""
    gbps_between_nodes: float = 0.0
    """Rate at which they hand one another activations, as the latency counts it."""

    @property
    def accelerators_per_replica(self) -> int:
        """TP x PP."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def accelerators_per_pod(self) -> int:
        """Those of one node: a replica has one pod on each of its nodes."""
        return self.accelerators_per_replica // self.nodes

    @property
    def burst_replicas(self) -> int:
        """Replicas that only the peak needs."""
        return self.peak_replicas - self.baseline_replicas


def legal_parallelism(demand: Demand) -> tuple[tuple[int, int], ...]:
    """The (TP, PP) pairs that the engine accepts for the model, smallest first, or the one set by hand.

    TP must divide the query heads, and the KV heads or be a multiple of them; an odd number of accelerators is
    therefore reached by PP only. PP may not exceed the layers.
    """
    model, overrides, draft = demand.model, demand.agent.overrides, demand.draft
    tensor = (overrides.tensor_parallel_size,) if overrides.tensor_parallel_size else TENSOR_PARALLEL_SIZES
    pipeline = (overrides.pipeline_parallel_size,) if overrides.pipeline_parallel_size else PIPELINE_PARALLEL_SIZES
    one_stage_only = not PORTS[demand.agent.engine].pipeline_parallel
    pairs = [
        (tp, pp)
        for tp in tensor
        for pp in pipeline
        if tp * pp <= 16
        and tensor_parallel_is_legal(model.attention_heads, model.kv_heads, tp)
        and pp <= memory.layer_count(model)
        and (pp == 1 or tp in (1, 2, 4) or overrides.pipeline_parallel_size)
        and (pp == 1 or not one_stage_only)
        and (draft is None or tensor_parallel_is_legal(draft.attention_heads, draft.kv_heads, tp))
    ]
    return tuple(sorted(pairs, key=lambda pair: (pair[0] * pair[1], pair[1])))


def parallelism_over_nodes(demand: Demand, accelerators_per_node: int) -> tuple[tuple[int, int, int], ...]:
    """The (nodes, TP, PP) that the engine accepts over whole nodes, fewest nodes first.

    Tensor parallelism stays within a node, where its all-reduces have NVLink; each node holds the same number of
    pipeline stages, so a node boundary is crossed once by each token.
    """
    model, overrides = demand.model, demand.agent.overrides
    tensor = (overrides.tensor_parallel_size,) if overrides.tensor_parallel_size else TENSOR_PARALLEL_SIZES[::-1]
    return tuple(
        (nodes, tp, stages)
        for nodes in range(2, MOST_NODES_PER_REPLICA + 1)
        for tp in tensor
        if accelerators_per_node % tp == 0
        and tensor_parallel_is_legal(model.attention_heads, model.kv_heads, tp)
        and (stages := nodes * (accelerators_per_node // tp)) <= memory.layer_count(model)
        and overrides.pipeline_parallel_size in (None, stages)
    )


def tensor_parallel_is_legal(attention_heads: int, kv_heads: int, tensor_parallel: int) -> bool:
    """Whether a tensor-parallel size splits the heads evenly (KV heads may be replicated instead)."""
    if attention_heads % tensor_parallel:
        return False
    return kv_heads % tensor_parallel == 0 or tensor_parallel % kv_heads == 0


def precision_is_supported(accelerator: Accelerator, precision: Precision) -> bool:
    """Whether the accelerator has kernels for weights of this precision.

    FP8 needs compute capability 8.9 or newer, NVFP4 10.0 or newer, bf16 8.0 or newer. AMD parts (gfx...) are taken
    to run 16-bit and FP8 weights.
    """
    capability = accelerator.compute_capability
    if capability.startswith("gfx"):
        return precision in ("bf16", "fp16", "fp8")
    if precision == "fp8":
        return capability in _FP8_CAPABILITIES
    if precision == "nvfp4":
        return capability in _FP4_CAPABILITIES
    return not (precision == "bf16" and capability in _BF16_UNSUPPORTED)


class Evaluator:
    """Evaluates one agent on every accelerator; a value object around the demand and the rules of the stack."""

    __slots__ = ("_demand", "_rules", "_wanted_ttft_ms")

    def __init__(self, demand: Demand, rules: Rules) -> None:
        self._demand = demand
        self._rules = rules
        self._wanted_ttft_ms = demand.budget_ttft_ms

    @property
    def demand(self) -> Demand:
        """The agent's demand."""
        return self._demand

    def evaluate(self, accelerator: Accelerator, most_per_replica: int) -> list[Candidate | Rejection]:
        """All parallelisms of one accelerator, up to ``most_per_replica`` accelerators in one replica.

        Larger parallelism is only tried while the smaller one fell short of the whole peak in one replica: more
        accelerators in one replica than one needs never lowers the price per session. Where a replica must fill its
        machine, all are tried.
        """
        results: list[Candidate | Rejection] = []
        if not precision_is_supported(accelerator, self._demand.precision):
            return [
                self._reject(
                    accelerator,
                    None,
                    "precision",
                    None,
                    None,
                    "",
                    f"{accelerator.name} has no kernels for {self._demand.precision} weights",
                )
            ]
        port = PORTS[self._rules.release.engine]
        if not port.runs_on(accelerator.compute_capability):
            message = (
                f"{port.title} does not run on {accelerator.name} (compute capability {accelerator.compute_capability})"
            )
            return [self._reject(accelerator, None, "engine", None, None, "", message)]
        if self._demand.context_tokens > self._demand.model.max_context_tokens:
            limit = self._demand.model.max_context_tokens
            message = f"a session of {self._demand.context_tokens:,} tokens is longer than the model's {limit:,}"
            return [
                self._reject(accelerator, None, "context-length", self._demand.context_tokens, limit, "tokens", message)
            ]
        for tensor_parallel, pipeline_parallel in legal_parallelism(self._demand):
            if tensor_parallel * pipeline_parallel > most_per_replica:
                continue
            result = self._evaluate_one(accelerator, tensor_parallel, pipeline_parallel)
            results.append(result)
            enough = isinstance(result, Candidate) and result.peak_replicas == 1
            if enough and not self._rules.fills_machines:
                break
        if not results:
            message = f"no machine on offer has enough {accelerator.name} for a legal parallelism"
            results.append(
                self._reject(accelerator, None, "parallelism", None, most_per_replica, "accelerators", message)
            )
        return results

    def evaluate_over_nodes(
        self, accelerator: Accelerator, accelerators_per_node: int, gbps_between_nodes: float
    ) -> list[Candidate | Rejection]:
        """The largest tensor parallelism that serves over each number of nodes, up to that which carries the peak.

        For models that no single node of the kind holds.
        """
        results: list[Candidate | Rejection] = []
        served = 0
        for nodes, tensor, pipeline in parallelism_over_nodes(self._demand, accelerators_per_node):
            if nodes == served:
                continue
            result = self._evaluate_one(accelerator, tensor, pipeline, nodes, gbps_between_nodes)
            results.append(result)
            if isinstance(result, Candidate):
                served = nodes
                if result.peak_replicas == 1:
                    break
        return results

    def _evaluate_one(
        self,
        accelerator: Accelerator,
        tensor_parallel: int,
        pipeline_parallel: int,
        nodes: int = 1,
        gbps_between_nodes: float = 0.0,
    ) -> Candidate | Rejection:
        demand = self._demand
        parallel = (tensor_parallel, pipeline_parallel)
        batched = demand.agent.overrides.max_num_batched_tokens or self._batched_tokens(accelerator)
        terms = self._memory_terms(accelerator, tensor_parallel, pipeline_parallel, batched)
        wanted = demand.agent.overrides.max_num_seqs or 1
        by_memory = terms.most_sessions(max(wanted, demand.most_seats))
        if by_memory < wanted:
            return self._reject_memory(accelerator, parallel, terms, wanted)
        rows = rows_per_step(demand.agent)
        if batched < wanted * rows:
            of = "" if rows == 1 else f" with {rows} tokens each"
            message = (
                f"the engine needs a batch of at least its {wanted} sequences{of}; maxNumBatchedTokens is {batched}"
            )
            return self._reject(accelerator, parallel, "batched-tokens", wanted * rows, batched, "tokens", message)
        if rows > 1:
            by_memory = min(by_memory, batched // rows)
        engine = latency.speed(
            demand.model,
            accelerator,
            precision=demand.precision,
            kv_dtype=demand.agent.kv_cache_dtype,
            tensor_parallel=tensor_parallel,
            pipeline_parallel=pipeline_parallel,
            max_batched_tokens=batched,
            serving=latency.Serving(
                engine=self._rules.release.engine,
                version=self._rules.release.version,
                accepted_tokens=accepted_tokens(demand.agent),
                nodes=nodes,
                gbps_between_nodes=gbps_between_nodes,
                own_run=self._rules.calibrations.get(accelerator.id),
            ),
        )
        if not is_measured(self._rules.release.engine):
            engine = None
        if engine is None and not self._is_measured():
            message = f"no sourced figures for {accelerator.name}: its latency and throughput cannot be predicted"
            if not is_measured(self._rules.release.engine):
                message = (
                    f"no measured run of {self._rules.release.engine} is known, so its latency and throughput cannot be "
                    "predicted; measure them and set overrides.ttftMs, tpotMs, outputTokensPerS and prefillTokensPerS"
                )
            return self._reject(accelerator, parallel, "no-latency-data", None, None, "TFLOPS", message)
        settled = self._settle(accelerator, parallel, terms, engine, batched, by_memory)
        if isinstance(settled, Candidate):
            return replace(settled, nodes=nodes, gbps_between_nodes=gbps_between_nodes)
        return settled

    def _batched_tokens(self, accelerator: Accelerator) -> int:
        """--max-num-batched-tokens: the longest uncached prompt in one chunk, within the engine's own range.

        A larger batch takes memory for its activations and delays the tokens of the others; a smaller one reads a
        prompt in several steps. Between 2,048 and the engine's default for the accelerator, in powers of two. With
        speculative decoding a step has several tokens for each session, and the batch holds them too.
        """
        prompt = longest_uncached_prompt_tokens(self._demand.shape, self._hit_ratio(1))
        rows = rows_per_step(self._demand.agent)
        if rows > 1:
            prompt = max(prompt, rows * self._demand.most_seats)
        wanted = 1 << max(LEAST_BATCHED_TOKENS.bit_length() - 1, math.ceil(math.log2(max(1.0, prompt))))
        return min(wanted, memory.default_max_num_batched_tokens(accelerator))

    def _is_measured(self) -> bool:
        """Whether what cannot be predicted was measured and set by hand: every time with a budget, every rate needed."""
        demand, given = self._demand, self._demand.agent.overrides
        timed = (
            demand.budget_ttft_ms is not None or demand.budget_tpot_ms is not None or demand.budget_e2e_ms is not None
        )
        needs_output = demand.output_tokens_per_s(peak=True) > 0
        needs_prefill = demand.prefill_tokens_per_s(0.0, peak=True) > 0
        return (
            (not timed or (given.ttft_ms is not None and given.tpot_ms is not None))
            and (not needs_output or given.output_tokens_per_s is not None)
            and (not needs_prefill or given.prefill_tokens_per_s is not None)
        )

    def _settle(
        self,
        accelerator: Accelerator,
        parallel: tuple[int, int],
        terms: MemoryTerms,
        engine: latency.Speed | None,
        batched: int,
        by_memory: int,
    ) -> Candidate | Rejection:
        """Find sessions per replica and replicas: with round robin the cache hits depend on the replicas."""
        demand, overrides = self._demand, self._demand.agent.overrides
        replicas = 1
        for _ in range(_FIXED_POINT_ROUNDS):
            hit = self._hit_ratio(replicas)
            free = self._most_sessions_in_time(engine, hit, by_memory)
            if free == 0:
                return self._reject_latency(accelerator, parallel, engine, hit)
            most = overrides.max_num_seqs or free
            if not self._in_time(self._service(engine, hit, most)):
                return self._reject_latency(accelerator, parallel, engine, hit, sessions=most)
            baseline, peak = self._both_replicas(engine, hit, most)
            if peak <= replicas or self._rules.session_affine:
                break
            replicas = peak
        if peak > MAX_REPLICAS:
            message = f"{peak:,} replicas for {demand.peak:,} sessions"
            return self._reject(accelerator, parallel, "replicas", peak, MAX_REPLICAS, "replicas", message)
        final_baseline = overrides.baseline_replicas or baseline
        burst = overrides.burst_replicas if overrides.burst_replicas is not None else max(0, peak - final_baseline)
        free_replicas = self._both_replicas(engine, hit, free)
        seats = overrides.max_num_seqs or self._seats(engine, hit, most, final_baseline, final_baseline + burst)
        return Candidate(
            demand=demand,
            accelerator=accelerator,
            tensor_parallel=parallel[0],
            pipeline_parallel=parallel[1],
            memory=terms,
            speed=engine,
            max_num_batched_tokens=batched if overrides.max_num_batched_tokens else max(batched, seats),
            computed_max_num_batched_tokens=max(self._batched_tokens(accelerator), seats),
            most_sessions=most,
            max_num_seqs=seats,
            computed_max_num_seqs=self._seats(engine, hit, free, *free_replicas),
            baseline_replicas=final_baseline,
            normal_replicas=final_baseline,
            computed_baseline_replicas=baseline,
            peak_replicas=final_baseline + burst,
            computed_burst_replicas=peak - baseline,
            prefix_hit_ratio=hit,
            service=self._service(engine, hit, seats),
            computed_service=self._service(engine, hit, seats, with_overrides=False),
        )

    def reseated(self, candidate: Candidate, *, warm: int, seats: int) -> Candidate:
        """The same candidate with ``warm`` of its peak replicas always running and ``seats`` sessions on each."""
        if warm == candidate.baseline_replicas and seats == candidate.max_num_seqs:
            return candidate
        hit, engine = candidate.prefix_hit_ratio, candidate.speed
        return replace(
            candidate,
            baseline_replicas=warm,
            peak_replicas=max(warm, candidate.peak_replicas),
            max_num_seqs=seats,
            max_num_batched_tokens=max(seats, candidate.max_num_batched_tokens),
            service=self._service(engine, hit, seats),
            computed_service=self._service(engine, hit, seats, with_overrides=False),
        )

    def _both_replicas(self, engine: latency.Speed | None, hit: float, most: int) -> tuple[int, int]:
        """Replicas for normal load and for the peak, with up to ``most`` sessions on each."""
        full = self._service(engine, hit, most)
        baseline = self._replicas(self._demand.concurrent, most, full, hit, peak=False)
        return baseline, max(baseline, self._replicas(self._demand.peak, most, full, hit, peak=True))

    def _memory_terms(
        self, accelerator: Accelerator, tensor_parallel: int, pipeline_parallel: int, batched: int
    ) -> MemoryTerms:
        demand, overrides, version = self._demand, self._demand.agent.overrides, self._rules.accounted_as
        model, kv_dtype = demand.model, demand.agent.kv_cache_dtype
        per_token = memory.kv_bytes_per_token(model, kv_dtype, tensor_parallel, pipeline_parallel)
        per_session = memory.kv_bytes_per_session(
            model, kv_dtype, tensor_parallel, pipeline_parallel, demand.context_tokens
        )
        if overrides.kv_bytes_per_token is not None:
            tokens = round_up(demand.context_tokens, memory.KV_BLOCK_TOKENS)
            per_session += (overrides.kv_bytes_per_token - per_token) * tokens
            per_token = overrides.kv_bytes_per_token
        draft = draft_memory(
            demand.agent, model, demand.draft, accelerator, demand.precision, tensor_parallel, demand.context_tokens
        )
        per_session += draft.kv_bytes_per_session
        non_torch = memory.non_torch_gib(accelerator, version, tensor_parallel, pipeline_parallel)
        non_torch += sum(memory.lora_slot_gib(model, adapter.rank) for adapter in demand.agent.lora_adapters)
        computed_weights = memory.weights_gib_per_accelerator(
            model,
            demand.precision,
            tensor_parallel,
            pipeline_parallel,
            compute_capability=accelerator.compute_capability,
        )
        feed_forward = memory.feed_forward_gib(model, tensor_parallel, batched, stage_input=pipeline_parallel > 1)
        calibration = self._rules.calibrations.get(accelerator.id)
        measured = None if calibration is None else calibration.overhead_ratio
        return MemoryTerms(
            capacity=memory.capacity(accelerator),
            computed_weights_gib=computed_weights,
            weights_gib=overrides.weights_gib or computed_weights,
            draft_weights_gib=draft.weights_gib,
            kv_bytes_per_token=per_token,
            draft_kv_bytes_per_token=draft.kv_bytes_per_token,
            kv_per_session_gib=per_session / GIB,
            non_torch_gib=non_torch,
            cuda_graph_gib=memory.cuda_graph_gib(
                model, pipeline_parallel, enforce_eager=False, draft_layers=draft.layers
            ),
            feed_forward_gib=feed_forward,
            sampler_base_gib=memory.sampler_base_gib(model, version, tensor_parallel, batched),
            logits_gib_per_session=memory.logits_gib_per_sequence(model, version) * rows_per_step(demand.agent),
            measured_overhead_ratio=measured or 1.0,
            overhead_override_gib=overrides.overhead_gib,
        )

    def _hit_ratio(self, replicas: int) -> float:
        stated = self._demand.agent.conversation.prefix_hit_ratio
        base = 1.0 if stated is None else stated
        return base if self._rules.session_affine else base / replicas

    def _service(
        self, engine: latency.Speed | None, hit: float, sessions: int, *, with_overrides: bool = True
    ) -> Service:
        demand, shape = self._demand, self._demand.shape
        ttft = tpot = uncached_ttft = queue = prefill = decode = work = out = read = ttft_error = tpot_error = None
        if engine is not None:
            request = latency.Request(
                prompt_tokens=uncached_tokens_per_request(shape, hit),
                context_tokens=min(shape.expected_tokens, demand.context_tokens),
                output_tokens=shape.output_tokens_per_request,
            )
            answer = latency.predict(engine, request, sessions)
            longest = min(longest_uncached_prompt_tokens(shape, hit), demand.context_tokens)
            prefill = engine.prefill_ms(longest, max(longest, min(shape.longest_history_tokens, demand.context_tokens)))
            prefill *= engine.measured_ttft_ratio
            cold = engine.prefill_ms(demand.context_tokens, demand.context_tokens) * engine.measured_ttft_ratio
            work = engine.prompt_arithmetic_ms(request.prompt_tokens, request.prompt_end_tokens)
            queue, decode, tpot = answer.queue_ms, answer.first_step_ms, answer.tpot_ms
            ttft = self._rules.round_trip_ms + queue + prefill + decode
            uncached_ttft = self._rules.round_trip_ms + queue + cold + decode
            out, read = answer.output_tokens_per_s, answer.prefill_tokens_per_s
            ttft_error, tpot_error = answer.ttft_error_ratio, answer.tpot_error_ratio
        service = Service(
            sessions=sessions,
            ttft_ms=ttft,
            tpot_ms=tpot,
            e2e_ms=None,
            uncached_ttft_ms=uncached_ttft,
            queue_ms=queue,
            prefill_ms=prefill,
            decode_ms=decode,
            prompt_work_ms=work,
            output_tokens_per_s=out,
            prefill_tokens_per_s=read,
            ttft_error_ratio=ttft_error,
            tpot_error_ratio=tpot_error,
            calibrated=engine is not None and engine.calibrated,
        )
        return _with_overrides(service, demand) if with_overrides else service

    def _in_time(self, service: Service) -> bool:
        demand = self._demand
        return (
            _within(service.ttft_ms, demand.budget_ttft_ms)
            and _within(service.tpot_ms, demand.budget_tpot_ms)
            and _within(service.e2e_ms, demand.budget_e2e_ms)
        )

    def _most_sessions_in_time(self, engine: latency.Speed | None, hit: float, by_memory: int) -> int:
        """The most sessions up to ``by_memory`` that still meet every budget: latency only grows with sessions."""
        if self._in_time(self._service(engine, hit, by_memory)):
            return by_memory
        low, high = 0, by_memory
        while high - low > 1:
            middle = (low + high) // 2
            if self._in_time(self._service(engine, hit, middle)):
                low = middle
            else:
                high = middle
        return low

    def _replicas(self, sessions: int, most: int, service: Service, hit: float, *, peak: bool) -> int:
        demand = self._demand
        needed = ceil_div(sessions, most)
        if service.output_tokens_per_s:
            needed = max(needed, ceil_ratio(demand.output_tokens_per_s(peak=peak), service.output_tokens_per_s))
        if service.prefill_tokens_per_s:
            needed = max(needed, ceil_ratio(demand.prefill_tokens_per_s(hit, peak=peak), service.prefill_tokens_per_s))
        return needed

    def _seats(self, engine: latency.Speed | None, hit: float, most: int, baseline: int, peak: int) -> int:
        """The fewest sessions per replica that carry both tiers: fewer seats mean less memory and faster answers."""
        demand = self._demand
        low = min(most, max(ceil_div(demand.concurrent, baseline), ceil_div(demand.peak, peak)))

        def carries(seats: int) -> bool:
            service = self._service(engine, hit, seats)
            return (
                self._replicas(demand.concurrent, seats, service, hit, peak=False) <= baseline
                and self._replicas(demand.peak, seats, service, hit, peak=True) <= peak
            )

        if low == most or carries(low):
            return low
        high = most
        while high - low > 1:
            middle = (low + high) // 2
            if carries(middle):
                high = middle
            else:
                low = middle
        return high

    def _reject_memory(
        self, accelerator: Accelerator, parallel: tuple[int, int], terms: MemoryTerms, sessions: int
    ) -> Rejection:
        need, limit = terms.need_gib(sessions), terms.limit_gib
        many = "one session" if sessions == 1 else f"{sessions} sessions"
        message = (
            f"{terms.loaded_gib:.2f} GiB weights + {sessions * terms.kv_per_session_gib:.2f} KV cache of {many} + "
            f"{terms.overhead_gib(sessions):.2f} overhead = {need:.2f} GiB per accelerator, "
            f"over 80 % of {terms.capacity.capacity_gib:.2f} = {limit:.2f} GiB"
        )
        return self._reject(accelerator, parallel, "memory", need, limit, "GiB", message)

    def _reject_latency(
        self,
        accelerator: Accelerator,
        parallel: tuple[int, int],
        engine: latency.Speed | None,
        hit: float,
        *,
        sessions: int = 1,
    ) -> Rejection:
        demand = self._demand
        service = self._service(engine, hit, sessions)
        checks: tuple[tuple[Constraint, float | None, float | None], ...] = (
            ("ttft", service.ttft_ms, demand.budget_ttft_ms),
            ("tpot", service.tpot_ms, demand.budget_tpot_ms),
            ("e2e", service.e2e_ms, demand.budget_e2e_ms),
        )
        name, need, limit = next((check for check in checks if not _within(check[1], check[2])), checks[0])
        many = "a single session" if sessions == 1 else f"{sessions} sessions"
        message = f"{name.upper()} of {many} would be {need or 0:.0f} ms, over the budget of {limit or 0:.0f} ms"
        return self._reject(accelerator, parallel, name, need, limit, "ms", message)

    def _reject(
        self,
        accelerator: Accelerator,
        parallel: tuple[int, int] | None,
        constraint: Constraint,
        need: float | None,
        limit: float | None,
        unit: RejectionUnit,
        message: str,
    ) -> Rejection:
        return Rejection(
            agent=self._demand.agent.name,
            accelerator=accelerator.id,
            instance_type=None,
            tensor_parallel_size=parallel[0] if parallel else None,
            pipeline_parallel_size=parallel[1] if parallel else None,
            precision=self._demand.precision,
            constraint=constraint,
            need=None if need is None else rounded(need),
            limit=None if limit is None else rounded(limit),
            unit=unit,
            message=message,
        )


def _within(value: float | None, budget: float | None) -> bool:
    return value is None or budget is None or value <= budget


def max_model_len(candidate: Candidate, release: EngineRelease, budget_gib: float) -> tuple[int, int]:
    """(chosen, computed) --max-model-len: what is wanted, as far as one such sequence fits the engine's KV budget.

    The engine refuses to start when a single sequence of that length does not fit.
    """
    demand = candidate.demand
    wanted = wanted_model_len(demand)
    terms = candidate.memory
    graphs_outside = 0.0 if release.graphs_in_budget else terms.cuda_graph_gib
    room = budget_gib - terms.loaded_gib - terms.overhead_gib(candidate.max_num_seqs) + graphs_outside
    per_token = terms.kv_bytes_per_token + terms.draft_kv_bytes_per_token
    if per_token and wanted * per_token > room * GIB:
        fitting = int(room * GIB / per_token) // memory.KV_BLOCK_TOKENS * memory.KV_BLOCK_TOKENS
        wanted = max(demand.context_tokens, fitting)
    return demand.agent.overrides.max_model_len or wanted, wanted


def shared(candidate: Candidate, engines: int, round_trip_ms: float) -> Candidate:
    """The same candidate when ``engines`` busy engines take turns on its accelerator.

    Time-slicing gives each of N busy engines 1/N of the accelerator: every time of the engine is multiplied and
    every rate divided by N. That is the worst case; idle neighbours cost nothing. The network is not shared, and
    what was measured and set by hand stays as it is.
    """
    slowed = _slowed(candidate.computed_service, engines, round_trip_ms)
    return replace(candidate, service=_with_overrides(slowed, candidate.demand), computed_service=slowed)


def _slowed(service: Service, engines: int, round_trip_ms: float) -> Service:
    def times(value: float | None) -> float | None:
        return None if value is None else value * engines

    def answered(value: float | None) -> float | None:
        return None if value is None else (value - round_trip_ms) * engines + round_trip_ms

    def share(value: float | None) -> float | None:
        return None if value is None else value / engines

    return replace(
        service,
        ttft_ms=answered(service.ttft_ms),
        tpot_ms=times(service.tpot_ms),
        uncached_ttft_ms=answered(service.uncached_ttft_ms),
        queue_ms=times(service.queue_ms),
        prefill_ms=times(service.prefill_ms),
        decode_ms=times(service.decode_ms),
        prompt_work_ms=times(service.prompt_work_ms),
        output_tokens_per_s=share(service.output_tokens_per_s),
        prefill_tokens_per_s=share(service.prefill_tokens_per_s),
    )


def _with_overrides(service: Service, demand: Demand) -> Service:
    """The service with what was measured and set by hand in place, and the time of a whole answer that follows."""
    given, shape = demand.agent.overrides, demand.shape
    ttft, tpot = given.ttft_ms or service.ttft_ms, given.tpot_ms or service.tpot_ms
    e2e = None
    if ttft is not None and tpot is not None:
        e2e = shape.requests_per_turn * ttft + max(0.0, shape.output_tokens_per_turn - shape.requests_per_turn) * tpot
    return replace(
        service,
        ttft_ms=ttft,
        tpot_ms=tpot,
        e2e_ms=e2e,
        output_tokens_per_s=given.output_tokens_per_s or service.output_tokens_per_s,
        prefill_tokens_per_s=given.prefill_tokens_per_s or service.prefill_tokens_per_s,
    )


def tolerated_engines(candidate: Candidate, most: int, round_trip_ms: float, replicas: int = 1) -> int:
    """How many busy engines may share the accelerator before this agent misses a budget, or its replicas their token rate."""
    demand = candidate.demand
    for engines in range(most, 1, -1):
        service = shared(candidate, engines, round_trip_ms).service
        in_time = (
            _within(service.ttft_ms, demand.budget_ttft_ms)
            and _within(service.tpot_ms, demand.budget_tpot_ms)
            and _within(service.e2e_ms, demand.budget_e2e_ms)
        )
        enough = _within(demand.output_tokens_per_s(peak=True) / replicas, service.output_tokens_per_s) and _within(
            demand.prefill_tokens_per_s(candidate.prefix_hit_ratio, peak=True) / replicas, service.prefill_tokens_per_s
        )
        if in_time and enough:
            return engines
    return 1
