"""Each number of a plan walked through: the formula, what went in, what came out, and where the constant is from.

Nothing is recomputed by another formula here: the inputs are the model's and accelerator's rows and the plan's own
figures, so that a reader can check the sum by hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from agentgpu_iac.catalog.model import Accelerator, Calibration, Model
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput, did_you_mean
from agentgpu_iac.plan import LatencyPlan, ModelCachePlan, Override, Plan, Workload
from agentgpu_iac.planning.references import accounting_version, draft_model
from agentgpu_iac.planning.speculation import accepted_tokens, draft_memory, rows_per_step
from agentgpu_iac.review.blocks import Block, Heading, Listing, Paragraph, Table
from agentgpu_iac.review.plan_view import computed, figure
from agentgpu_iac.sizing import calibration, latency, loading, memory
from agentgpu_iac.sizing.calibration import CONSTANTS
from agentgpu_iac.sizing.conversation import (
    longest_uncached_prompt_tokens,
    session_shape,
    uncached_tokens_per_request,
)
from agentgpu_iac.sizing.kv_cache import index_bytes_per_token
from agentgpu_iac.spec.document import Document, camel
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.model import Agent, StackSpec
from agentgpu_iac.spec.vocabulary import Engine
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import GIB, HOURS_PER_MONTH, ceil_div, round_up


class Step(Document):
    """One line of an explanation."""

    section: str
    """Part of the plan that the number belongs to."""
    name: str
    """What the number is, as the plan calls it."""
    formula: str
    """How it is made."""
    inputs: str
    """The formula with its figures."""
    result: str
    """What comes out, with its unit."""
    source: str
    """Where the formula or its constant is from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """One workload with everything that its numbers were made from."""

    agent: Agent
    model: Model
    draft: Model | None
    accounted_as: str
    """Version of vLLM whose overhead is counted."""
    accelerator: Accelerator
    workload: Workload
    plan: Plan
    burst_hours: float
    speed: latency.Speed | None
    own_run: Calibration | None
    """What the user measured on this accelerator with this model."""


def explain(plan: Plan, loaded: LoadedStack, catalog: Catalog, agent: str | None = None) -> tuple[Step, ...]:
    """The steps behind every number of one agent, or of all.

    Raises:
        BadInput: the stack has no agent of that name.
    """
    return tuple(
        step for one in _explained(loaded, agent) for step in _steps_of_agent(one, plan, loaded.stack.spec, catalog)
    )


def _explained(loaded: LoadedStack, name: str | None) -> tuple[Agent, ...]:
    """The agent of that name, or all of them."""
    agents = loaded.stack.spec.agents
    found = tuple(one for one in agents if name in (None, one.name))
    if not found and name is not None:
        hint = did_you_mean(name, [one.name for one in agents])
        raise BadInput.one(loaded.source, f"there is no agent {name!r} in the stack", hint=hint)
    return found


def _steps_of_agent(agent: Agent, plan: Plan, spec: StackSpec, catalog: Catalog) -> Iterator[Step]:
    for workload in plan.workloads:
        if workload.agent == agent.name and workload.tier == "baseline":
            own_run = catalog.calibration(workload.accelerator, workload.model, agent.engine)
            subject = _Subject(
                agent=agent,
                model=catalog.model(agent.model),
                draft=draft_model(agent, catalog),
                accounted_as=accounting_version(workload.engine.name, workload.engine.version, catalog),
                accelerator=catalog.accelerator(workload.accelerator),
                workload=workload,
                plan=plan,
                burst_hours=spec.capacity.burst_hours_per_month,
                speed=_speed(agent, workload, catalog, own_run),
                own_run=own_run,
            )
            by_hand = [override for override in plan.overrides if override.agent == agent.name]
            yield from _with_overrides(_steps(subject), by_hand)


def _speed(agent: Agent, workload: Workload, catalog: Catalog, own: Calibration | None) -> latency.Speed | None:
    """The latency model of a replica, as the plan was made with it."""
    if not calibration.is_measured(workload.engine.name):
        return None
    model, accelerator = catalog.model(agent.model), catalog.accelerator(workload.accelerator)
    return latency.speed(
        model,
        accelerator,
        precision=workload.precision,
        kv_dtype=workload.kv_cache_dtype,
        tensor_parallel=workload.tensor_parallel_size,
        pipeline_parallel=workload.pipeline_parallel_size,
        max_batched_tokens=workload.max_num_batched_tokens,
        serving=latency.Serving(
            engine=workload.engine.name,
            version=workload.engine.version,
            accepted_tokens=accepted_tokens(agent),
            nodes=workload.nodes_per_replica,
            gbps_between_nodes=workload.gbps_between_nodes,
            own_run=own,
        ),
    )


def explain_view(plan: Plan, loaded: LoadedStack, catalog: Catalog, agent: str | None = None) -> tuple[Block, ...]:
    """The explanation as blocks: sums first, then the nearest alternatives and why the cheaper ones do not serve."""
    blocks: list[Block] = []
    for one in _explained(loaded, agent):
        name = one.name
        steps = tuple(_steps_of_agent(one, plan, loaded.stack.spec, catalog))
        workload = next(one for one in plan.workloads if one.agent == name)
        blocks.append(
            Heading(text=f"{name}: {workload.model} on {workload.accelerators_per_replica} x {workload.accelerator}")
        )
        for section in dict.fromkeys(step.section for step in steps):
            rows = tuple(
                (step.name, step.formula, step.inputs, step.result, step.source)
                for step in steps
                if step.section == section
            )
            blocks.append(Paragraph(text=f"{section}:"))
            blocks.append(Table(columns=("number", "formula", "with", "result", "source"), rows=rows))
        blocks.extend(_storage(workload))
        blocks.extend(_choices(plan, name))
        if assumptions := tuple(_assumptions(loaded, name)):
            blocks += [Paragraph(text="Assumed, since the spec does not say:"), Listing(items=assumptions)]
    return tuple(blocks)


def _storage(workload: Workload) -> Iterator[Block]:
    """Where the weights could lie on this machine, the recommended place marked."""
    if not workload.model_cache.choices:
        return
    yield Paragraph(text=f"Where the {workload.model_cache.model_gib:g} GiB of weights could lie, fastest first:")
    rows = tuple(
        (
            f"{one.path}, {one.loader} loader" + (" (recommended)" if one.recommended else ""),
            f"{one.seconds:g}",
            "not sourced" if one.usd_per_month is None else f"{one.usd_per_month:,.2f}",
            one.why,
        )
        for one in workload.model_cache.choices
    )
    yield Table(columns=("from", "seconds", "USD/month and node", "why"), rows=rows, right=frozenset({1, 2}))


def _choices(plan: Plan, agent: str) -> Iterator[Block]:
    alternatives = [one for one in plan.cost.alternatives if one.agent == agent]
    if alternatives:
        yield Paragraph(text="Runners-up, on nodes of their own:")
        rows = tuple(
            (one.description, f"{one.usd_per_month:,.2f}", f"{one.delta_usd_per_month:+,.2f}", one.note)
            for one in alternatives
        )
        yield Table(columns=("what", "USD/month", "difference", "note"), rows=rows, right=frozenset({1, 2}))
    rejected = [one for one in plan.rejections if one.agent in (agent, "*")]
    if rejected:
        yield Paragraph(text="Rejected, whatever they cost:")
        yield Table(
            columns=("accelerator", "constraint", "need", "limit", "why"),
            rows=tuple(
                (
                    one.accelerator,
                    one.constraint,
                    _figure(one.need, one.unit),
                    _figure(one.limit, one.unit),
                    one.message,
                )
                for one in rejected
            ),
            right=frozenset({2, 3}),
        )
    yield Paragraph(
        text=f"The placement is the cheapest over all candidates considered; optimality gap {plan.cost.optimality_gap_ratio:.2%}."
    )


def _figure(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:,.4g} {unit}".rstrip()


def _assumptions(loaded: LoadedStack, name: str) -> Iterator[str]:
    """Every field, of the agent or the stack, that the spec leaves unset, with the default that stands in for it."""
    spec = target_of(loaded.stack.spec).settled(loaded.stack.spec)
    agent = next(one for one in spec.agents if one.name == name)
    parts: dict[str, Document] = {
        "agent": agent,
        "sessions": agent.sessions,
        "conversation": agent.conversation,
        "conversation.toolCalls": agent.conversation.tool_calls,
        "traffic": agent.traffic,
        "stack": spec,
        "stack capacity": spec.capacity,
        "stack network": spec.network,
        "stack modelCache": spec.model_cache,
        "stack scaling": spec.scaling,
        "stack observability": spec.observability,
        "stack security": spec.security,
    }
    for label, part in parts.items():
        unset = {
            camel(field): getattr(part, field)
            for field in type(part).model_fields
            if field not in part.model_fields_set
        }
        if shown := [f"{field} {_as_written(value)}" for field, value in unset.items() if _is_scalar(value)]:
            yield f"{label}: {', '.join(shown)}"


def _is_scalar(value: object) -> bool:
    return isinstance(value, (bool, int, float, str))


def _as_written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return figure(value) if isinstance(value, (int, float)) else str(value)


_STEP_OF = {"coldStartS": "total", "baselineReplicas": "replicas", "burstReplicas": "replicas"}
"""Steps that are not called as the override is."""


def _with_overrides(steps: Iterable[Step], overrides: Iterable[Override]) -> Iterator[Step]:
    """The steps, with no formula for a figure set by hand; then the figures set by hand that no step shows."""
    left: dict[str, list[Override]] = {}
    for override in overrides:
        left.setdefault(_STEP_OF.get(override.field, override.field), []).append(override)
    for step in steps:
        by_hand = left.pop(step.name, None)
        yield (
            step
            if by_hand is None
            else step.model_copy(
                update={
                    "formula": "set by hand",
                    "inputs": "; ".join(f"{one.field} {figure(one.value)} ({computed(one)})" for one in by_hand),
                    "source": "spec: overrides",
                }
            )
        )
    for name, by_hand in left.items():
        for one in by_hand:
            yield _step("Set by hand", name, "set by hand", computed(one), figure(one.value), "spec: overrides")


def _steps(subject: _Subject) -> Iterator[Step]:
    yield from _context_steps(subject)
    yield from _memory_steps(subject)
    yield from _latency_steps(subject)
    yield from _throughput_steps(subject)
    yield from _start_steps(subject)
    yield from _cost_steps(subject)


def _step(section: str, name: str, formula: str, inputs: str, result: str, source: str) -> Step:
    return Step(section=section, name=name, formula=formula, inputs=inputs, result=result, source=source)


def _context_steps(subject: _Subject) -> Iterator[Step]:
    agent, plan_memory = subject.agent, subject.workload.memory
    conversation = agent.conversation
    calls = conversation.tool_calls
    tools = round(calls.per_turn * calls.result_tokens)
    shape = session_shape(conversation)
    if conversation.max_context_tokens is not None:
        formula, inputs = "what each session may grow to", "conversation.maxContextTokens"
    else:
        formula = "system prompt + turns x (input + tool results + output) + reasoning"
        inputs = (
            f"{conversation.system_prompt_tokens} + {conversation.turns} x ({conversation.input_tokens_per_turn} + {tools} + "
            f"{conversation.output_tokens_per_turn}) + {conversation.reasoning_tokens_per_turn}"
        )
    yield _step(
        "Context", "contextTokens", formula, inputs, f"{plan_memory.context_tokens:,} tokens", "spec: the last turn"
    )
    mean = "system prompt + (turns + 1) / 2 x (input + tool results + output)"
    sum_of_mean = (
        f"{conversation.system_prompt_tokens} + {(conversation.turns + 1) / 2:g} x "
        f"{conversation.input_tokens_per_turn + tools + conversation.output_tokens_per_turn}"
    )
    limited = shape.expected_tokens > plan_memory.context_tokens
    yield _step(
        "Context",
        "expectedContextTokens",
        f"min(contextTokens, {mean})" if limited else mean,
        f"min({plan_memory.context_tokens:,}, {sum_of_mean})" if limited else sum_of_mean,
        f"{min(round(shape.expected_tokens), plan_memory.context_tokens):,} tokens",
        "spec: mean over the turns; a paused session keeps its cache",
    )


def _memory_steps(subject: _Subject) -> Iterator[Step]:
    model, one = subject.model, subject.workload
    plan_memory, tensor, pipeline = one.memory, one.tensor_parallel_size, one.pipeline_parallel_size
    tokens = round_up(plan_memory.context_tokens, memory.KV_BLOCK_TOKENS)
    drafted = plan_memory.draft_kv_bytes_per_token
    per_token = plan_memory.kv_bytes_per_token + drafted
    growing = f"({plan_memory.kv_bytes_per_token:,} B + {drafted:,} B)" if drafted else f"{per_token:,} B"
    growing += f" x {tokens:,}"
    of_a_token = "(kvBytesPerToken + the draft's)" if drafted else "kvBytesPerToken"
    fixed = memory.kv_bytes_per_session(
        model, one.kv_cache_dtype, tensor, pipeline, plan_memory.context_tokens
    ) - tokens * memory.kv_bytes_per_token(model, one.kv_cache_dtype, tensor, pipeline)
    fixed += _fixed_draft_bytes(subject, tokens)
    weights = memory.rank_weights(
        model, one.precision, tensor, pipeline, compute_capability=subject.accelerator.compute_capability
    )
    known = one.precision == model.native_precision and model.checkpoint_bytes is not None
    own = subject.own_run
    measured_ratio = 1.0 if own is None else own.overhead_ratio or 1.0
    source = "" if own is None else own.source
    yield _step(
        "Memory of one accelerator",
        "weightsGib",
        f"{'published checkpoint' if known else f'{model.params_total:,} parameters'} in {one.precision}"
        f"{'' if pipeline == 1 else f', the fullest of {pipeline} stages'}: "
        "(divided / TP + on every rank: rotary tables, routers, repeated KV heads, padding) / 2^30",
        f"({weights.divided_bytes:,.0f} B / {tensor} + {weights.whole_bytes:,.0f} B) / 2^30",
        f"{plan_memory.weights_gib:.4f} GiB",
        model.sources[0],
    )
    yield from _draft_steps(subject)
    yield _step(
        "Memory of one accelerator",
        "kvBytesPerToken",
        *_kv_formula(model, one),
        f"{plan_memory.kv_bytes_per_token:,} B",
        "shape of the attention layers",
    )
    yield _step(
        "Memory of one accelerator",
        "kvPerSessionGib",
        f"({of_a_token} x context in blocks of 16 + windows and fixed states) / 2^30"
        if fixed
        else f"{of_a_token} x context in blocks of 16 / 2^30",
        f"({growing} + {fixed:,.0f} B) / 2^30" if fixed else f"{growing} / 2^30",
        f"{plan_memory.kv_per_session_gib:.6f} GiB",
        "vLLM allocates whole blocks",
    )
    yield _step(
        "Memory of one accelerator",
        "kvGib",
        "kvPerSessionGib x maxNumSeqs",
        f"{tokens * per_token + fixed:,.0f} B x {one.max_num_seqs} / 2^30",
        f"{plan_memory.kv_gib:.4f} GiB",
        "every session keeps its memory, also while a tool runs",
    )
    yield _step(
        "Memory of one accelerator",
        "overheadGib",
        "activation peak + CUDA context, communication, LoRA slots + CUDA graphs",
        _scaled(
            f"{plan_memory.activation_gib:.4f} + {plan_memory.non_torch_gib:.4f} + {plan_memory.cuda_graph_gib:.4f}",
            engines=1,
            measured_ratio=measured_ratio,
        ),
        f"{plan_memory.overhead_gib:.4f} GiB",
        "the next three lines"
        if measured_ratio == 1
        else f"the next three lines, times measured / predicted of {source}",
    )
    yield from _overhead_steps(subject)
    yield _step(
        "Memory of one accelerator",
        "totalGib",
        "weights + draft + KV cache + overhead" if drafted else "weights + KV cache + overhead",
        f"{plan_memory.weights_gib:.4f} + "
        + (f"{plan_memory.draft_weights_gib:.4f} + " if drafted else "")
        + f"{plan_memory.kv_gib:.4f} + {plan_memory.overhead_gib:.4f}",
        f"{plan_memory.total_gib:.4f} GiB",
        f"must stay under {memory.STEADY_STATE_RATIO:.0%} of the capacity",
    )
    yield _step(
        "Memory of one accelerator",
        "capacityGib",
        {
            "measured": "what CUDA sees, measured",
            "driver": "driver's figure - 0.5 GiB",
            "nominal": "nominal GB x 0.93",
        }[plan_memory.capacity_basis],
        subject.accelerator.name,
        f"{plan_memory.capacity_gib:.2f} GiB, used {plan_memory.utilization_ratio:.1%}",
        subject.accelerator.sources[-1],
    )
    yield _step(
        "Memory of one accelerator",
        "headroomGib",
        "engine budget - total",
        f"{plan_memory.engine_budget_gib:.4f} - {plan_memory.total_gib:.4f}",
        f"{plan_memory.headroom_gib:.4f} GiB of KV cache beyond the plan",
        f"{_SHARE_FLAGS[one.engine.name]} {one.gpu_memory_utilization:g}, the default of {one.engine.name} {one.engine.version}"
        if one.kv_cache_memory_bytes is None
        else "fixed KV budget: the accelerator is shared",
    )


_SHARE_FLAGS: dict[Engine, str] = {
    "vllm": "--gpu-memory-utilization",
    "sglang": "--mem-fraction-static",
    "tensorrt-llm": "--free_gpu_memory_fraction",
    "tgi": "share of the card",
    "ollama": "share",
}
"""How each engine calls its share of the memory."""


def _draft_steps(subject: _Subject) -> Iterator[Step]:
    """What the draft of speculative decoding takes, where it takes anything."""
    one, speculative = subject.workload, subject.agent.speculative
    if speculative is None or not one.memory.draft_kv_bytes_per_token:
        return
    what = speculative.model or "the model's own multi-token layer"
    yield _step(
        "Memory of one accelerator",
        "draftWeightsGib",
        "weights of the draft on as many ranks as the model's"
        + ("" if speculative.weights_gib is None else ": weightsGib / TP"),
        what if speculative.weights_gib is None else f"{speculative.weights_gib:g} / {one.tensor_parallel_size}",
        f"{one.memory.draft_weights_gib:.4f} GiB",
        "spec: speculative.weightsGib" if speculative.weights_gib is not None else "shape of the draft",
    )
    yield _step(
        "Memory of one accelerator",
        "draftKvBytesPerToken",
        "the draft's full layers" if speculative.method == "draft-model" else "one layer that attends like the model's",
        what,
        f"{one.memory.draft_kv_bytes_per_token:,} B",
        "shape of the attention layers",
    )


def _fixed_draft_bytes(subject: _Subject, tokens: int) -> float:
    """What a session of the draft holds besides what grows with every token."""
    one = subject.workload
    held = draft_memory(
        subject.agent,
        subject.model,
        subject.draft,
        subject.accelerator,
        one.precision,
        one.tensor_parallel_size,
        one.memory.context_tokens,
    )
    return held.kv_bytes_per_session - tokens * held.kv_bytes_per_token


def _overhead_steps(subject: _Subject) -> Iterator[Step]:
    model, one, plan_memory = subject.model, subject.workload, subject.workload.memory
    version, tensor, batched = subject.accounted_as, one.tensor_parallel_size, one.max_num_batched_tokens
    layer = memory.feed_forward_gib(model, tensor, batched, stage_input=one.pipeline_parallel_size > 1)
    base = memory.sampler_base_gib(model, version, tensor, batched)
    rows = rows_per_step(subject.agent)
    each = memory.logits_gib_per_sequence(model, version) * rows
    yield _step(
        "Memory of one accelerator",
        "activationGib",
        "max(hidden states + logits of a session x maxNumSeqs, peak inside a layer)",
        f"max({base:.6f} + {each * GIB:,.0f} B x {one.max_num_seqs} / 2^30, {layer:.6f})",
        f"{plan_memory.activation_gib:.4f} GiB",
        "fitted on vLLM start-up logs: the sampler of the profiling run, or the layer's buffers; a session's logits are "
        f"{memory.logits_copies(version):g} copies of {model.vocab_size:,} x 4 bytes and a little more"
        + ("" if rows == 1 else f", {rows} times: a step checks so many tokens"),
    )
    yield _step(
        "Memory of one accelerator",
        "nonTorchGib",
        "CUDA context; NCCL and all-reduce buffers where TP > 1; LoRA slots",
        f"TP {one.tensor_parallel_size}, {len(subject.agent.lora_adapters)} LoRA slots",
        f"{plan_memory.non_torch_gib:.4f} GiB",
        "vLLM start-up logs: 0.25 alone, 2.1 over NVLink, 0.75 over PCIe",
    )
    yield _step(
        "Memory of one accelerator",
        "cudaGraphGib",
        "captured graphs",
        f"{memory.layer_count(model)} layers, PP {one.pipeline_parallel_size}",
        f"{plan_memory.cuda_graph_gib:.4f} GiB",
        "vLLM start-up logs: 0.25 and 0.018 a layer",
    )


def _kv_formula(model: Model, one: Workload) -> tuple[str, str]:
    width = 1 if one.kv_cache_dtype == "fp8" else 2
    layers = ceil_div(model.layers.full, one.pipeline_parallel_size)
    if model.kv_lora_rank is not None:
        latent, index = (
            f"({model.kv_lora_rank} + {model.qk_rope_head_dim or 0}) x {width}",
            index_bytes_per_token(model),
        )
        if index:
            formula = "full layers x ((compressed rank + rotary width) x bytes + index of sparse attention)"
            return formula, f"{layers} x ({latent} + {index})"
        return "full layers x (compressed rank + rotary width) x bytes", f"{layers} x {latent}"
    heads = memory.kv_heads_per_accelerator(model.kv_heads, one.tensor_parallel_size)
    value = model.value_head_dim or model.head_dim
    return (
        "full layers x KV heads on one accelerator x (key + value width) x bytes",
        f"{layers} x {heads} x ({model.head_dim} + {value}) x {width}",
    )


_LATENCY = "Latency with every session generating"


def _latency_steps(subject: _Subject) -> Iterator[Step]:
    one, engine = subject.workload, subject.speed
    times = one.latency
    if engine is None or times.ttft_ms is None or times.tpot_ms is None or times.prefill_ms is None:
        return
    shape = session_shape(subject.agent.conversation)
    engines = _engines_that_take_turns(subject)
    request = latency.Request(
        prompt_tokens=uncached_tokens_per_request(shape, one.routing.prefix_hit_ratio),
        context_tokens=min(shape.expected_tokens, one.memory.context_tokens),
        output_tokens=shape.output_tokens_per_request,
    )
    yield _step(
        _LATENCY,
        "ttftMs",
        "network + queue + prefill + first step",
        f"{times.network_ms:.1f} + {times.queue_ms or 0:.1f} + {times.prefill_ms:.1f} + {times.decode_ms or 0:.1f}",
        f"{times.ttft_ms:.1f} ms ±{times.ttft_error_ratio or 0:.0%}" + _budget(times.budget_ttft_ms),
        f"steps of {one.engine.name} {one.engine.version}: launches, {CONSTANTS.bandwidth_efficiency:.0%} of bandwidth, "
        f"{CONSTANTS.mfu_16_bit:.0%} of dense 16-bit TFLOPS; fitted on measured runs"
        + ("" if times.calibrated else " of other accelerators")
        + ("" if engines == 1 else "; an engine that shares takes turns: its times are multiplied"),
    )
    yield _queue_step(times, engine, request, one.max_num_seqs, engines)
    yield _prefill_step(subject, engine, engines)
    yield _decode_step(times, engine, request, one.max_num_seqs, engines)
    yield _tpot_step(times, engine, request, one.max_num_seqs, engines)
    yield _step(
        _LATENCY,
        "e2eMs",
        "requests x TTFT + (output tokens - requests) x TPOT",
        f"{shape.requests_per_turn:g} x {times.ttft_ms:.1f} + "
        f"({shape.output_tokens_per_turn:,} - {shape.requests_per_turn:g}) x {times.tpot_ms:.2f}",
        f"{times.e2e_ms or 0:,.0f} ms" + _budget(times.budget_e2e_ms),
        "one turn, tool time left out",
    )


def _engines_that_take_turns(subject: _Subject) -> int:
    """Engines on the same accelerator, this one included."""
    return subject.plan.pool(subject.workload.node_pool).slots_per_accelerator


def _scaled(total: str, engines: int, measured_ratio: float) -> str:
    """A sum times the engines that take turns, and times measured / predicted of a run of the user's own."""
    factors = [f"{engines}"] if engines > 1 else []
    factors += [f"{measured_ratio:.6g}"] if measured_ratio != 1 else []
    return " x ".join((f"({total})", *factors)) if factors else total


def _queue_step(
    times: LatencyPlan, engine: latency.Speed, request: latency.Request, sessions: int, engines: int
) -> Step:
    prompt = f"{engine.prompt_arithmetic_ms(request.prompt_tokens, request.prompt_end_tokens):.6f}"
    generating = f"{request.output_tokens * latency.predict_tpot_ms(engine, request, sessions):.4f}"
    excess = f"({sessions} x {prompt} - {generating})"
    response = f"({excess} + ({excess}^2 + 4 x {prompt} x {generating})^0.5) / 2"
    return _step(
        _LATENCY,
        "queueMs",
        "first token + sessions x host + steady share x (R - p) + (sessions - 1) x p x queue share; p: work of a prompt, "
        "Z: output tokens x TPOT, R = ((sessions x p - Z) + ((sessions x p - Z)^2 + 4 x p x Z)^0.5) / 2",
        _scaled(
            f"{engine.first_token_ms:g} + {sessions} x {engine.host_ms_per_request:g} + {engine.steady_queue:g} x "
            f"({response} - {prompt}) + {sessions - 1} x {prompt} x {engine.queue_share:g}",
            engines,
            engine.measured_ttft_ratio,
        ),
        f"{times.queue_ms or 0:.1f} ms",
        "closed network of one server and as many customers as sessions; shares fitted on measured closed loops",
    )


def _prefill_step(subject: _Subject, engine: latency.Speed, engines: int) -> Step:
    one, shape = subject.workload, session_shape(subject.agent.conversation)
    context = one.memory.context_tokens
    tokens = min(longest_uncached_prompt_tokens(shape, one.routing.prefix_hit_ratio), context)
    arithmetic = engine.prompt_arithmetic_ms(tokens, max(tokens, min(shape.longest_history_tokens, context)))
    chunks = math.ceil(tokens / engine.max_batched_tokens)
    weights = engine.dense_weights_ms + engine.expert_weights_ms
    return _step(
        _LATENCY,
        "prefillMs",
        "(arithmetic^2 + (chunks x one reading of the weights)^2)^0.5 + chunks x launches, of the largest uncached prompt",
        _scaled(
            f"({arithmetic:.4f}^2 + ({chunks} x {weights:.4f})^2)^0.5 + {chunks} x {engine.prompt_launch_ms:.4f}",
            engines,
            engine.measured_ttft_ratio,
        ),
        f"{one.latency.prefill_ms or 0:.1f} ms",
        f"{tokens:,.0f} tokens at most, chunks of {engine.max_batched_tokens:,}; arithmetic and memory overlap",
    )


def _decode_step(
    times: LatencyPlan, engine: latency.Speed, request: latency.Request, sessions: int, engines: int
) -> Step:
    batch = max(1.0, sessions / engine.stages)
    terms = [
        f"{engine.step_ms:.4f}",
        f"({engine.dense_weights_ms:.4f}^2 + ({batch:.6g} x {engine.dense_ms_per_token:.6f})^2)^0.5",
    ]
    formula = "launches + (weights^2 + (sessions x arithmetic)^2)^0.5"
    if engine.experts:
        touched = engine.touched_experts(batch) * engine.expert_weights_ms
        terms.append(f"({touched:.4f}^2 + ({batch:.6g} x {engine.expert_ms_per_token:.6f})^2)^0.5")
        formula += " + the same for the experts touched"
    each = [engine.kv_ms(request.context_tokens), engine.sequence_ms, engine.all_reduce_ms_per_token]
    terms.append(f"{batch:.6g} x ({' + '.join(f'{one:.6f}' for one in each)})")
    return _step(
        _LATENCY,
        "decodeMs",
        f"{formula} + sessions x (KV cache + host + all-reduce)"
        + ("" if engine.stages == 1 else f"; sessions / {engine.stages} stages"),
        _scaled(" + ".join(terms), engines, engine.measured_ttft_ratio),
        f"{times.decode_ms or 0:.1f} ms",
        f"one step with every session at {request.context_tokens:,.0f} tokens of context; weights and KV cache are read once",
    )


def _tpot_step(
    times: LatencyPlan, engine: latency.Speed, request: latency.Request, sessions: int, engines: int
) -> Step:
    work = engine.prompt_arithmetic_ms(request.prompt_tokens, request.prompt_end_tokens)
    launches = f"{calibration.PROMPT_LAUNCH_INTERFERENCE:g} x {engine.prompt_launch_ms:.4f}" if work else "0"
    return _step(
        _LATENCY,
        "tpotMs",
        "one step + interference x (sessions - 1) x (work of a prompt + share x its launches) / output tokens of a request",
        _scaled(
            f"{engine.decode_ms(sessions, request.context_tokens) / engine.accepted_tokens:.4f} + "
            f"{engine.prompt_interference:g} x {sessions - 1} x ({work:.6f} + {launches}) / {request.output_tokens:.8g}",
            engines,
            engine.measured_tpot_ratio,
        ),
        f"{times.tpot_ms or 0:.2f} ms ±{times.tpot_error_ratio or 0:.0%}" + _budget(times.budget_tpot_ms),
        "the step of decodeMs; prompts of the other sessions share the steps",
    )


def _budget(limit: float | None) -> str:
    return "" if limit is None else f", budget {limit:,.0f}"


def _throughput_steps(subject: _Subject) -> Iterator[Step]:
    one, agent = subject.workload, subject.agent
    out = one.throughput
    daily = agent.traffic.conversations_per_day
    volume = (
        f"{daily:,} x {agent.conversation.turns} turns / 86,400 s" if daily is not None else "no daily volume stated"
    )
    yield _step(
        "Throughput and replicas",
        "requiredOutputTokensPerS",
        "max(daily volume x burst factor / 86,400 s, sessions / seconds per turn) x tokens per turn",
        f"{volume}; {one.sessions_concurrent:,} sessions, {one.sessions_peak:,} at the peak",
        f"{out.required_output_tokens_per_s:,.1f} tokens/s of {out.output_tokens_per_s or 0:,.1f}",
        "spec",
    )
    yield _step(
        "Throughput and replicas",
        "requiredPrefillTokensPerS",
        "the same requests x prompt tokens that are not cached",
        f"prefix hit ratio {one.routing.prefix_hit_ratio:g}",
        f"{out.required_prefill_tokens_per_s:,.1f} tokens/s of {out.prefill_tokens_per_s or 0:,.1f}",
        "spec",
    )
    burst = sum(
        other.replicas.max for other in subject.plan.workloads if other.agent == one.agent and other.tier == "burst"
    )
    yield _step(
        "Throughput and replicas",
        "replicas",
        "max(sessions / sessions per replica, required / delivered tokens per replica), rounded up",
        f"{one.sessions_concurrent:,} to {one.sessions_peak:,} sessions, {one.max_num_seqs} on a replica",
        f"{one.replicas.min} warm, {burst} more in a burst",
        "baseline carries normal load and whoever comes before a cold start ends",
    )


def _start_steps(subject: _Subject) -> Iterator[Step]:
    start = subject.workload.cold_start_s
    cache = subject.workload.model_cache
    figures = {
        "node": (f"{start.node:g}", "node claim 13 s + launch to Ready 40 s, measured on g6e.2xlarge"),
        "driver": (f"{start.driver:g}", "Ready to GPU registered, same run"),
        "image": (
            f"{start.image:g}",
            f"compressed image at {loading.IMAGE_GB_PER_S * 1000:.0f} MB/s, containerd's default pull",
        ),
        "cacheFill": (
            f"{start.cache_fill:g}",
            f"the pool's models from {cache.source} at {loading.HUB_GIB_PER_S} GiB/s at most",
        ),
        "weights": (f"{start.weights:g}", f"{cache.model_gib:g} GiB from {cache.storage}, cold{_read_by(cache)}"),
        "compile": (f"{start.compile:g}", "torch.compile, same run; kept in the cache afterwards"),
        "warmUp": (f"{start.warm_up:g}", "profiling and graph capture, same run"),
    }
    for name, (seconds, source) in figures.items():
        yield _step("Cold start", name, "one phase", "", f"{seconds} s", source)
    yield _step(
        "Cold start",
        "total",
        "sum of the phases",
        " + ".join(seconds for seconds, _ in figures.values()),
        f"{start.total:g} s ±{start.error_ratio:.0%}; {start.warm_node_total:g} s on a warm node",
        "two full cold starts were measured at 393 s and 966 s",
    )


def _read_by(cache: ModelCachePlan) -> str:
    return "" if cache.loader == "default" else f", read by {cache.loader}"


def _cost_steps(subject: _Subject) -> Iterator[Step]:
    for item in subject.plan.cost.line_items:
        members = {one.agent for one in subject.plan.workloads if one.node_pool == item.node_pool}
        if subject.agent.name not in members:
            continue
        also = f", shared with {', '.join(sorted(members - {subject.agent.name}))}" if len(members) > 1 else ""
        hours, of = (HOURS_PER_MONTH, "") if item.tier == "baseline" else (subject.burst_hours, " of the burst tier")
        yield _step(
            "Cost",
            f"{item.node_pool} ({item.capacity_type})",
            f"nodes x USD/h x hours a month{of}{also}",
            f"{item.nodes} x {_shortest(item.usd_per_hour)} x {hours:g}",
            f"USD {item.usd_per_month:,.2f} a month",
            f"{item.price_source}, {item.price_date or 'undated'}",
        )


def _shortest(price: Decimal) -> str:
    return f"{price.normalize():f}"
