"""The ledger of a replica's memory: every figure with its sum, written from the terms that were summed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.sizing.activation import logits_copies
from agentgpu_iac.sizing.capacity import BASIS_WORDS, usable_words
from agentgpu_iac.sizing.kv_cache import KV_BLOCK_TOKENS, index_bytes_per_token, kv_heads_per_accelerator, kv_tokens
from agentgpu_iac.sizing.kv_cache import value_bytes as bytes_of_a_value
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.sizing.replica import MemoryTerms, fullest_experts
from agentgpu_iac.sizing.runner import samples_in_16_bit
from agentgpu_iac.sizing.weights import lora_slot_gib, parts, stored_bits
from agentgpu_iac.spec.vocabulary import Precision
from agentgpu_iac.units import GIB, ceil_div, counted

_BLOCKS = f"context in blocks of {KV_BLOCK_TOKENS}"
_OF_THE_SPEC = "spec: overrides"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What the engine will take of the accelerator, and why."""

    gib: float
    source: str
    """Which flag or default says so."""
    seats_field: str | None = None
    """The field of the plan with the seats that are summed, where it is not the usual one."""


def memory_lines(terms: MemoryTerms, seats: int, budget: Budget) -> tuple[Line, ...]:
    """All figures of the memory of one accelerator with ``seats`` sessions, in the order in which they are summed."""
    return (
        _weights(terms),
        *_draft(terms),
        _kv_per_token(terms),
        _kv_per_session(terms),
        *_shared_kv(terms),
        _kv(terms, seats, budget.seats_field or _seats_field(terms)),
        *_overhead(terms, seats),
        *_total(terms, seats, budget),
    )


def _gib(name: str, formula: str, inputs: str, value: float, source: str, digits: int = 4) -> Line:
    return Line(
        name=name,
        formula=formula,
        inputs=inputs,
        value=value,
        result=f"{value:.{digits}f} GiB",
        unit="GiB",
        source=source,
    )


def _bytes(name: str, formula: str, inputs: str, value: int, source: str) -> Line:
    return Line(
        name=name, formula=formula, inputs=inputs, value=float(value), result=f"{value:,} B", unit="B", source=source
    )


def _weights(terms: MemoryTerms) -> Line:
    replica, parts = terms.replica, terms.weights
    model, tensor, pipeline = replica.model, replica.tensor_parallel, replica.pipeline_parallel
    slots = "".join(f" + {count} x {lora_slot_gib(model, rank):.9f}" for rank, count in _slots(terms))
    with_slots = " + LoRA slots, each as wide as its rank" if slots else ""
    by_hand = terms.by_hand.weights_gib
    if by_hand is not None:
        return _gib(
            "weightsGib",
            f"set by hand{with_slots}",
            f"{by_hand!r}{slots}",
            terms.weights_gib,
            f"{_OF_THE_SPEC}.weightsGib",
        )
    known = replica.precision == model.native_precision and model.checkpoint_bytes is not None
    shared, inputs = "divided / TP", f"{parts.divided_bytes:,.0f} B / {tensor}"
    if terms.expert_bytes:
        held = f"{fullest_experts(replica)} / {model.experts}" if replica.expert_parallel > 1 else "1"
        shared = "experts x the part on this accelerator + other divided / TP"
        inputs = (
            f"{terms.expert_bytes:,.0f} B x {held} / {replica.accelerators_of_an_expert} + "
            f"({parts.divided_bytes:,.0f} B - {terms.expert_bytes:,.0f} B) / {tensor}"
        )
    fullest = "" if pipeline == 1 else f", the fullest of {counted(pipeline, 'stage')}"
    return _gib(
        "weightsGib",
        f"{'published checkpoint' if known else _stored(model, replica.precision)} in {replica.precision}"
        f"{fullest}: "
        f"({shared} + on every rank: rotary tables, routers, repeated KV heads, padding) / 2^30{with_slots}",
        f"({inputs} + {parts.whole_bytes:,.0f} B) / 2^30{slots}",
        terms.weights_gib,
        model.sources[0],
    )


def _stored(model: Model, precision: Precision) -> str:
    """The parameters, and how many are stored in how many bits where they differ."""
    counts: Counter[float] = Counter()
    for part in parts(model, precision):
        if part.kind != "draft":
            counts[stored_bits(part)] += part.parameters
    by_bits = ", ".join(f"{count:,} x {bits:g} bit" for bits, count in sorted(counts.items()))
    return f"{model.params_total:,} parameters" + (f" ({by_bits})" if len(counts) > 1 else "")


def _slots(terms: MemoryTerms) -> Iterator[tuple[int, int]]:
    """(rank, LoRA slots of it), the widest first."""
    ranks = terms.replica.lora_ranks
    for rank in sorted(set(ranks), reverse=True):
        yield rank, ranks.count(rank)


def _draft(terms: MemoryTerms) -> Iterator[Line]:
    """What the draft of speculative decoding takes, where it takes anything."""
    draft = terms.replica.draft
    if draft is None or not terms.draft_kv_bytes_per_token:
        return
    what = draft.name or "the model's own multi-token layer"
    stated = draft.stated_weights_gib
    yield _gib(
        "draftWeightsGib",
        "weights of the draft on as many ranks as the model's" + ("" if stated is None else ": weightsGib / TP"),
        f"{terms.draft_weights_gib:.9f}" if stated is None else f"{stated!r} / {terms.replica.tensor_parallel}",
        terms.draft_weights_gib,
        f"shape of {what}" if stated is None else "spec: speculative.weightsGib",
    )
    yield _bytes(
        "draftKvBytesPerToken",
        f"the full layers of {what}" if not draft.layers else "layers that attend like the model's",
        f"{terms.draft_kv_bytes_per_token:,}"
        if not draft.layers
        else f"{draft.layers} x {terms.draft_kv_bytes_per_token // draft.layers:,}",
        terms.draft_kv_bytes_per_token,
        "shape of the attention layers",
    )


def _kv_per_token(terms: MemoryTerms) -> Line:
    by_hand = terms.by_hand.kv_bytes_per_token
    if by_hand is not None:
        return _bytes("kvBytesPerToken", "set by hand", f"{by_hand:,}", by_hand, f"{_OF_THE_SPEC}.kvBytesPerToken")
    formula, inputs = _kv_formula(terms)
    return _bytes("kvBytesPerToken", formula, inputs, terms.kv_bytes_per_token, "shape of the attention layers")


def _kv_formula(terms: MemoryTerms) -> tuple[str, str]:
    replica, model = terms.replica, terms.replica.model
    if not model.keeps_kv:
        return "every token attends to the whole input: nothing is kept between steps", "0"
    width = bytes_of_a_value(replica.kv_dtype, replica.dtype_bytes)
    layers = ceil_div(model.layers.full, replica.pipeline_parallel)
    if model.kv_lora_rank is not None:
        latent = f"({model.kv_lora_rank} + {model.qk_rope_head_dim or 0}) x {width}"
        index = index_bytes_per_token(model)
        if index:
            formula = "full layers x ((compressed rank + rotary width) x bytes + index of sparse attention)"
            return formula, f"{layers} x ({latent} + {index})"
        return "full layers x (compressed rank + rotary width) x bytes", f"{layers} x {latent}"
    heads = kv_heads_per_accelerator(model.kv_heads, replica.tensor_parallel)
    value = model.value_head_dim or model.head_dim
    return (
        "full layers x KV heads on one accelerator x (key + value width) x bytes",
        f"{layers} x {heads} x ({model.head_dim} + {value}) x {width}",
    )


def _session_bytes(terms: MemoryTerms) -> str:
    """What a session holds, as a sum in bytes."""
    drafted = terms.draft_kv_bytes_per_token
    each = f"({terms.kv_bytes_per_token:,} B + {drafted:,} B)" if drafted else f"{terms.kv_bytes_per_token:,} B"
    growing = f"{each} x {kv_tokens(terms.context_tokens):,}"
    return f"({growing} + {terms.kv_fixed_bytes:,.0f} B)" if terms.kv_fixed_bytes else growing


def _kv_per_session(terms: MemoryTerms) -> Line:
    of_a_token = "(kvBytesPerToken + the draft's)" if terms.draft_kv_bytes_per_token else "kvBytesPerToken"
    fixed = " + windows and fixed states" if terms.kv_fixed_bytes else ""
    growing = f"{of_a_token} x {_BLOCKS}"
    return _gib(
        "kvPerSessionGib",
        f"({growing}{fixed}) / 2^30" if fixed else f"{growing} / 2^30",
        f"{_session_bytes(terms)} / 2^30",
        terms.kv_per_session_gib,
        "vLLM allocates whole blocks",
        digits=6,
    )


def _shared_kv(terms: MemoryTerms) -> Iterator[Line]:
    if terms.shared_tokens:
        yield _gib(
            "sharedKvGib",
            f"kvBytesPerToken x shared prefix in blocks of {KV_BLOCK_TOKENS} / 2^30",
            f"{terms.kv_bytes_per_token:,} B x {terms.shared_tokens:,} / 2^30",
            terms.shared_kv_gib,
            "conversation.sharedPrefixTokens: engines that cache prefixes keep equal blocks once",
            digits=6,
        )
    if terms.other_prefix_tokens:
        yield _gib(
            "otherPrefixKvGib",
            f"kvBytesPerToken x prefixes of the agents beyond their mean, in blocks of {KV_BLOCK_TOKENS} / 2^30",
            f"{terms.kv_bytes_per_token:,} B x {terms.other_prefix_tokens:,} / 2^30",
            terms.other_prefix_kv_gib,
            "conversation.sharedPrefixTokens: sessions of each agent share its own prefix, and all prefixes are held",
            digits=6,
        )


def _kv(terms: MemoryTerms, seats: int, field: str) -> Line:
    held_gib = seats * terms.kv_own_gib + terms.shared_kv_gib + terms.other_prefix_kv_gib
    if terms.kv_gib(seats) > held_gib:
        return _gib(
            "kvGib",
            "what the engine wants free for one request of the longest length before it starts, which is more than all "
            "sessions hold",
            f"{terms.kv_gib(seats):.9f}",
            terms.kv_gib(seats),
            "vLLM's check at start: windows with the tokens of its batches in flight",
        )
    if terms.shared_tokens or terms.other_prefix_tokens:
        shared = f"{terms.kv_bytes_per_token:,} B x {terms.shared_tokens:,}"
        others = (
            f" + {terms.kv_bytes_per_token:,} B x {terms.other_prefix_tokens:,}" if terms.other_prefix_tokens else ""
        )
        return _gib(
            "kvGib",
            f"(kvPerSessionGib - sharedKvGib) x {field} + sharedKvGib" + (" + otherPrefixKvGib" if others else ""),
            f"(({_session_bytes(terms)} - {shared}) x {seats} + {shared}{others}) / 2^30",
            held_gib,
            "every session keeps its memory, also while a tool runs; whole blocks of the prefix that all share are held once",
        )
    return _gib(
        "kvGib",
        f"kvPerSessionGib x {field}",
        f"{_session_bytes(terms)} x {seats} / 2^30",
        seats * terms.kv_per_session_gib,
        "every session keeps its memory, also while a tool runs",
    )


def _seats_field(terms: MemoryTerms) -> str:
    """The field of the plan with the seats that share one accelerator's memory."""
    return "maxNumSeqs" if terms.replica.attention_dp == 1 else "maxNumSeqsPerGroup"


def _overhead(terms: MemoryTerms, seats: int) -> Iterator[Line]:
    activation, other, graphs = terms.activation_gib(seats), terms.non_torch_gib, terms.cuda_graph_gib(seats)
    by_hand, ratio = terms.by_hand.overhead_gib, terms.by_hand.overhead_ratio
    parts = f"{activation:.6f} + {other:.6f} + {graphs:.6f}"
    if by_hand is not None:
        yield _gib("overheadGib", "set by hand", f"{by_hand!r}", by_hand, f"{_OF_THE_SPEC}.overheadGib")
    else:
        source = f", times measured / predicted of {terms.by_hand.overhead_source}" if ratio != 1 else ""
        yield _gib(
            "overheadGib",
            "activation peak + CUDA context, communication + CUDA graphs",
            parts if ratio == 1 else f"({parts}) x {ratio!r}",
            terms.overhead_gib(seats),
            f"the next three lines{source}",
        )
    yield _activation(terms, seats)
    yield _non_torch(terms)
    yield _graphs(terms, seats)


def _activation(terms: MemoryTerms, seats: int) -> Line:
    replica, peak, rows = terms.replica, terms.activation, terms.replica.rows_per_step
    if replica.model.pooling is not None:
        return _gib(
            "activationGib",
            "max(hidden states + a vector for each input, peak inside a layer)",
            f"max({peak.sampler_base_gib:.6f} + {peak.logits_gib_per_seat * GIB:,.0f} B x {seats} / 2^30, "
            f"{peak.feed_forward_gib:.6f})",
            terms.activation_gib(seats),
            f"the layer's buffers as on vLLM start-up logs of models that generate; of inputs that are read at once vLLM "
            f"itself profiles nothing (accounted for as {replica.accounted_as})",
        )
    in_16_bit = samples_in_16_bit(replica.accounted_as, replica.model, replica.precision)
    copies = logits_copies(replica.accounted_as, in_16_bit=in_16_bit)
    return _gib(
        "activationGib",
        f"max(hidden states + logits of a session x {_seats_field(terms)}, peak inside a layer)",
        f"max({peak.sampler_base_gib:.6f} + {peak.logits_gib_per_seat * GIB:,.0f} B x {seats} / 2^30, "
        f"{peak.feed_forward_gib:.6f})",
        terms.activation_gib(seats),
        f"fitted on vLLM start-up logs (accounted for as {replica.accounted_as}): the sampler of the profiling run, or the "
        f"layer's buffers; a session's logits are {counted(copies, 'copy', 'g')} of {replica.model.vocab_size:,} x 4 "
        "bytes and a little "
        "more" + ("" if rows == 1 else f", {rows} times: a step checks so many tokens"),
    )


def _non_torch(terms: MemoryTerms) -> Line:
    replica, groups = terms.replica, terms.replica.attention_dp
    width = replica.stage_accelerators if replica.model.experts else replica.tensor_parallel
    if width == 1:
        link = "no communication at TP 1"
    else:
        whose = f"TP {width}" if groups == 1 else f"{width} ranks"
        link = f"buffers of {whose} over {'NVLink' if replica.accelerator.nvlink_gb_per_s else 'PCIe'}"
    return _gib(
        "nonTorchGib",
        "CUDA context + NCCL and all-reduce buffers where TP > 1"
        if groups == 1
        else "CUDA context + NCCL and all-to-all buffers of all attention groups",
        f"{terms.context_gib:g} + {terms.communication_gib:g}",
        terms.non_torch_gib,
        f"vLLM start-up logs, accounted for as {replica.accounted_as}: context {terms.context_gib:g}, {link}",
    )


def _graphs(terms: MemoryTerms, seats: int) -> Line:
    graphs = terms.graphs(seats)
    return _gib(
        "cudaGraphGib",
        "captured graphs: a pool + sizes x each layer of the fullest stage, the draft's included",
        f"{graphs.pool_gib:g} + {graphs.captures} x {graphs.layers:.9g} x {graphs.mib_per_layer:g} / 1024",
        graphs.gib,
        f"vLLM start-up logs: {graphs.pool_gib:g} and {graphs.mib_per_layer:g} MiB a layer and captured size"
        if graphs.layers
        else "the engine runs eager: none are captured",
    )


def _total(terms: MemoryTerms, seats: int, budget: Budget) -> Iterator[Line]:
    drafted, need, room = terms.draft_weights_gib, terms.need_gib(seats), terms.capacity
    kv = terms.kv_gib(seats)
    yield _gib(
        "totalGib",
        "weights + draft + KV cache + overhead" if drafted else "weights + KV cache + overhead",
        f"{terms.weights_gib:.6f} + "
        + (f"{drafted:.6f} + " if drafted else "")
        + f"{kv:.6f} + {terms.overhead_gib(seats):.6f}",
        need,
        f"must stay under {usable_words(terms.reserve_ratio)} of the capacity",
    )
    accelerator = terms.replica.accelerator
    yield Line(
        name="capacityGib",
        formula=f"{BASIS_WORDS[room.basis]}: {accelerator.name}",
        inputs=f"{room.capacity_gib:.6f}",
        value=room.capacity_gib,
        result=f"{room.capacity_gib:.2f} GiB, used {need / room.capacity_gib:.1%}",
        unit="GiB",
        source=accelerator.sources[-1],
    )
    yield Line(
        name="reserveRatio",
        formula="capacity.memoryReserveRatio, or what the engine's share, a cold start and below 0.2 the error of the sum leave",
        inputs=f"{terms.reserve_ratio:g}",
        value=terms.reserve_ratio,
        result=f"{terms.reserve_ratio:g}",
        unit="",
        source="spec: capacity.memoryReserveRatio; the engine's share as for headroomGib",
    )
    yield _gib(
        "coldStartGib",
        "what a start with an empty compile cache takes more than one with a full one",
        f"{terms.cold_start_gib:g}",
        terms.cold_start_gib,
        "pairs of vLLM starts with the same flags, 0.27 on A100 (experts, recurrent layers) and 0.31 on RTX 5070 Ti (others); "
        "nothing before 0.27, which counts otherwise",
    )
    left_gib = budget.gib - terms.cold_start_gib - need
    yield Line(
        name="headroomGib",
        formula="engine budget - cold start - total",
        inputs=f"{budget.gib:.6f} - {terms.cold_start_gib:g} - {need:.6f}",
        value=left_gib,
        result=f"{left_gib:.4f} GiB of KV cache beyond the plan",
        unit="GiB",
        source=budget.source,
    )
