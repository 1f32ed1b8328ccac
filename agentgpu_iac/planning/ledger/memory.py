"""The memory of one accelerator, term by term."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agentgpu_iac.catalog.model import Calibration, Model
from agentgpu_iac.plan import Workload
from agentgpu_iac.planning.candidates import Candidate
from agentgpu_iac.planning.ledger.latency import scaled
from agentgpu_iac.planning.speculation import draft_memory, rows_per_step
from agentgpu_iac.sizing import memory
from agentgpu_iac.sizing.kv_cache import index_bytes_per_token
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.spec.vocabulary import Engine
from agentgpu_iac.units import GIB, ceil_div, round_up

SECTION = "Memory of one accelerator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One workload with what its memory was made from."""

    candidate: Candidate
    workload: Workload
    accounted_as: str
    """Version of vLLM whose overhead is counted."""
    own_run: Calibration | None
    """What the user measured on this accelerator with this model."""


def _line(workload: Workload, name: str, formula: str, inputs: str, result: str, source: str) -> Line:
    field = re.sub(r"([A-Z])", r"_\1", name).lower()
    return Line(
        name=name,
        formula=formula,
        inputs=inputs,
        value=getattr(workload.memory, field),
        result=result,
        unit="GiB" if name.endswith("Gib") else "B",
        source=source,
    )


def memory_lines(subject: Subject) -> Iterator[Line]:
    """Each term of the memory sum, the sum, and what it is held against."""
    model, one = subject.candidate.demand.model, subject.workload
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
        model, one.precision, tensor, pipeline, compute_capability=subject.candidate.accelerator.compute_capability
    )
    known = one.precision == model.native_precision and model.checkpoint_bytes is not None
    own = subject.own_run
    measured_ratio = 1.0 if own is None else own.overhead_ratio or 1.0
    source = "" if own is None else own.source
    yield _line(
        one,
        "weightsGib",
        f"{'published checkpoint' if known else f'{model.params_total:,} parameters'} in {one.precision}"
        f"{'' if pipeline == 1 else f', the fullest of {pipeline} stages'}: "
        "(divided / TP + on every rank: rotary tables, routers, repeated KV heads, padding) / 2^30",
        f"({weights.divided_bytes:,.0f} B / {tensor} + {weights.whole_bytes:,.0f} B) / 2^30",
        f"{plan_memory.weights_gib:.4f} GiB",
        model.sources[0],
    )
    yield from _draft_lines(subject)
    yield _line(
        one,
        "kvBytesPerToken",
        *_kv_formula(model, one),
        f"{plan_memory.kv_bytes_per_token:,} B",
        "shape of the attention layers",
    )
    yield _line(
        one,
        "kvPerSessionGib",
        f"({of_a_token} x context in blocks of 16 + windows and fixed states) / 2^30"
        if fixed
        else f"{of_a_token} x context in blocks of 16 / 2^30",
        f"({growing} + {fixed:,.0f} B) / 2^30" if fixed else f"{growing} / 2^30",
        f"{plan_memory.kv_per_session_gib:.6f} GiB",
        "vLLM allocates whole blocks",
    )
    yield _line(
        one,
        "kvGib",
        "kvPerSessionGib x maxNumSeqs",
        f"{tokens * per_token + fixed:,.0f} B x {one.max_num_seqs} / 2^30",
        f"{plan_memory.kv_gib:.4f} GiB",
        "every session keeps its memory, also while a tool runs",
    )
    yield _line(
        one,
        "overheadGib",
        "activation peak + CUDA context, communication, LoRA slots + CUDA graphs",
        scaled(
            f"{plan_memory.activation_gib:.4f} + {plan_memory.non_torch_gib:.4f} + {plan_memory.cuda_graph_gib:.4f}",
            engines=1,
            measured_ratio=measured_ratio,
        ),
        f"{plan_memory.overhead_gib:.4f} GiB",
        "the next three lines"
        if measured_ratio == 1
        else f"the next three lines, times measured / predicted of {source}",
    )
    yield from _overhead_lines(subject)
    yield _line(
        one,
        "totalGib",
        "weights + draft + KV cache + overhead" if drafted else "weights + KV cache + overhead",
        f"{plan_memory.weights_gib:.4f} + "
        + (f"{plan_memory.draft_weights_gib:.4f} + " if drafted else "")
        + f"{plan_memory.kv_gib:.4f} + {plan_memory.overhead_gib:.4f}",
        f"{plan_memory.total_gib:.4f} GiB",
        f"must stay under {memory.STEADY_STATE_RATIO:.0%} of the capacity",
    )
    yield _line(
        one,
        "capacityGib",
        {
            "measured": "what CUDA sees, measured",
            "driver": "driver's figure - 0.5 GiB",
            "nominal": "nominal GB x 0.93",
        }[plan_memory.capacity_basis],
        subject.candidate.accelerator.name,
        f"{plan_memory.capacity_gib:.2f} GiB, used {plan_memory.utilization_ratio:.1%}",
        subject.candidate.accelerator.sources[-1],
    )
    yield _line(
        one,
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


def _draft_lines(subject: Subject) -> Iterator[Line]:
    """What the draft of speculative decoding takes, where it takes anything."""
    one, speculative = subject.workload, subject.candidate.demand.agent.speculative
    if speculative is None or not one.memory.draft_kv_bytes_per_token:
        return
    what = speculative.model or "the model's own multi-token layer"
    yield _line(
        one,
        "draftWeightsGib",
        "weights of the draft on as many ranks as the model's"
        + ("" if speculative.weights_gib is None else ": weightsGib / TP"),
        what if speculative.weights_gib is None else f"{speculative.weights_gib:g} / {one.tensor_parallel_size}",
        f"{one.memory.draft_weights_gib:.4f} GiB",
        "spec: speculative.weightsGib" if speculative.weights_gib is not None else "shape of the draft",
    )
    yield _line(
        one,
        "draftKvBytesPerToken",
        "the draft's full layers" if speculative.method == "draft-model" else "one layer that attends like the model's",
        what,
        f"{one.memory.draft_kv_bytes_per_token:,} B",
        "shape of the attention layers",
    )


def _fixed_draft_bytes(subject: Subject, tokens: int) -> float:
    """What a session of the draft holds besides what grows with every token."""
    one = subject.workload
    held = draft_memory(
        subject.candidate.demand.agent,
        subject.candidate.demand.model,
        subject.candidate.demand.draft,
        subject.candidate.accelerator,
        one.precision,
        one.tensor_parallel_size,
        one.memory.context_tokens,
    )
    return held.kv_bytes_per_session - tokens * held.kv_bytes_per_token


def _overhead_lines(subject: Subject) -> Iterator[Line]:
    model, one, plan_memory = subject.candidate.demand.model, subject.workload, subject.workload.memory
    version, tensor, batched = subject.accounted_as, one.tensor_parallel_size, one.max_num_batched_tokens
    layer = memory.feed_forward_gib(model, tensor, batched, stage_input=one.pipeline_parallel_size > 1)
    base = memory.sampler_base_gib(model, version, tensor, batched)
    rows = rows_per_step(subject.candidate.demand.agent)
    each = memory.logits_gib_per_sequence(model, version) * rows
    yield _line(
        one,
        "activationGib",
        "max(hidden states + logits of a session x maxNumSeqs, peak inside a layer)",
        f"max({base:.6f} + {each * GIB:,.0f} B x {one.max_num_seqs} / 2^30, {layer:.6f})",
        f"{plan_memory.activation_gib:.4f} GiB",
        "fitted on vLLM start-up logs: the sampler of the profiling run, or the layer's buffers; a session's logits are "
        f"{memory.logits_copies(version):g} copies of {model.vocab_size:,} x 4 bytes and a little more"
        + ("" if rows == 1 else f", {rows} times: a step checks so many tokens"),
    )
    yield _line(
        one,
        "nonTorchGib",
        "CUDA context; NCCL and all-reduce buffers where TP > 1; LoRA slots",
        f"TP {one.tensor_parallel_size}, {len(subject.candidate.demand.agent.lora_adapters)} LoRA slots",
        f"{plan_memory.non_torch_gib:.4f} GiB",
        "vLLM start-up logs: 0.25 alone, 2.1 over NVLink, 0.75 over PCIe",
    )
    yield _line(
        one,
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
