"""Weights on one accelerator: what each scheme stores for a parameter, and how parallelism divides or repeats it.

Nothing here is fitted. The scheme fixes the bits; the engine's layout fixes what every rank holds in full: the
routers, the down-projections of compressed attention, KV heads beyond their number, and the tables of the rotary
embedding, which start-up logs count as weights (Llama-3.1-8B: 14.96 GiB of parameters + 0.03, 14.99 logged).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from agentgpu_iac.catalog.formats import left_in_16_bit
from agentgpu_iac.catalog.model import Model, Module, ModuleKind
from agentgpu_iac.catalog.quantisation.formats import FP8_SCALE_BITS, MICROSCALE_GROUP, PLAIN, SIXTEEN_BIT
from agentgpu_iac.catalog.versions import before
from agentgpu_iac.spec.vocabulary import Precision
from agentgpu_iac.units import ceil_div, gib, round_up

VOCABULARY_PADDING = 64
"""Embeddings are padded to a multiple of this many rows on each rank (vLLM's VocabParallelEmbedding)."""

_EMBEDDING_BYTES = 2
_BYTE_BITS = 8


def bits_per_parameter(precision: Precision) -> float:
    """Bits of one weight of this precision with its scales, where no file says more."""
    return PLAIN[precision]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tile:
    """What an engine's kernels for MXFP4 experts pad the matrices of one rank to multiples of."""

    width: int
    """Of the experts' width."""
    hidden: int
    """Of the width of the residual stream."""


_MXFP4_TILES = {"9": _Tile(width=256, hidden=1), "10": _Tile(width=128, hidden=256)}
"""By major compute capability. Hopper (Triton): gpt-oss-120b, 2,880 wide, is 64.48 GiB by this rule and 64.38 in two
start-up logs, 60.7 without; gpt-oss-20b 13.43, 13.5 to 13.7 logged. Blackwell servers (FlashInfer TRT-LLM): vLLM 0.33.0,
fused_moe/oracle/mxfp4.py."""
_MXFP4_MARLIN_TILE = _Tile(width=128, hidden=256)
"""All others, Ampere, Ada and workstation Blackwell, run Marlin: 65.8 GiB by this rule and 65.97 logged, 17.1 on each of
four A100 and 17.22 logged (vLLM 0.11.0, quantization/mxfp4.py; 0.33.0, fused_moe/oracle/mxfp4.py)."""

_FP32_CHECKPOINT_RATIO = 1.6
"""A 16-bit model whose files hold this many times its parameters was published in 32 bit; engines load 16."""

_FP8_UNIT_CAPABILITY = "8.9"
"""First compute capability with FP8 units; older cards unpack FP8 weights in Marlin kernels."""
_BLOCK_SCALED_TYPES = ("qwen3", "deepseek", "kimi", "glm", "minimax")
_BLOCK_SIDE = 128
"""Of the blocks of DeepSeek's files and of those that follow them, where no file says another."""
_MARLIN_SCALE_BITS = 16 / 128
"""Marlin spreads the block scales (one for 128 x 128) over rows: one 16-bit scale for 128 weights. Qwen3.5-35B in FP8 is
34.6 GiB on A100 by this rule, 34.1 without, 34.71 logged. Applies to parts whose file says blocks, and to types that are
published with them."""

_LINEAR_ROPE_FACTOR = {"gemma3": 8, "gemma3_text": 8}
"""Types whose linear rotary scaling makes the engine tabulate that many times the longest context: Gemma-3 logs 0.57
GiB (4B, 12B; heads of 256) and 0.35 (27B; heads of 128) above its parameters; 0.56 and 0.28 by this rule."""

_SHIPS_DRAFT_LAYER = ("deepseek_v3", "glm4_moe", "glm_moe_dsa", "qwen3_next", "qwen3_5", "mimo_v2")
"""Model types (by their beginning) whose checkpoint holds one layer for multi-token prediction that engines load for
speculation only: 14 of the 641.3 GiB of DeepSeek-R1."""


def layer_count(model: Model) -> int:
    """Layers of any kind."""
    layers = model.layers
    return layers.full + layers.sliding + layers.recurrent + layers.stateless + layers.shared


def parameters_of(model: Model, *kinds: ModuleKind) -> int:
    """Parameters of the parts of these kinds."""
    return sum(module.parameters for module in model.modules if module.kind in kinds)


def embedding_parameters(model: Model) -> int:
    """Parameters of the input and output embeddings."""
    return parameters_of(model, "embedding", "output_head")


def expert_parameters(model: Model) -> int:
    """Parameters of all routed experts."""
    return parameters_of(model, "routed_experts")


def tower_parameters(model: Model) -> int:
    """Parameters of the towers for pictures, video and sound, where their size is known."""
    return parameters_of(model, "tower")


def router_parameters(model: Model) -> int:
    """Parameters of the routers: 16 bit in every scheme, and whole on every rank."""
    return parameters_of(model, "router")


def ships_draft_layer(model: Model) -> bool:
    """Whether the published checkpoint holds a layer for multi-token prediction."""
    return model.architecture.startswith(_SHIPS_DRAFT_LAYER)


def draft_layer_parameters(model: Model) -> float:
    """One layer for speculation (EAGLE, multi-token prediction): a layer of the model and a 2-to-1 projection."""
    body = model.params_total - embedding_parameters(model)
    return body / layer_count(model) + 2 * model.hidden_size**2


def parts(model: Model, precision: Precision) -> tuple[Module, ...]:
    """The parts of a model as they are stored in a precision: its own as published, another as repacks of its family are.

    Without a known repack, parts that no scheme takes stay in 16 bit, and all others are of the precision.
    """
    if precision == model.native_precision or {precision, model.native_precision} <= SIXTEEN_BIT:
        return model.modules
    planned = next((row for row in model.repacks if row.precision == precision and row.is_planned), None)
    return _repacked(model, precision, {} if planned is None else planned.parts, by_rule=planned is None)


def _repacked(
    model: Model, precision: Precision, others: Mapping[ModuleKind, Precision], *, by_rule: bool
) -> tuple[Module, ...]:
    kept = left_in_16_bit(
        precision,
        is_native=False,
        has_experts=bool(model.experts),
        is_latent=model.kv_lora_rank is not None and by_rule,
    )
    return tuple(
        part.model_copy(
            update={"precision": others.get(part.kind, "bf16" if part.kind in kept else precision), "bits": None}
        )
        for part in model.modules
    )


_HEAVIEST: Mapping[ModuleKind, Precision] = {"attention": "bf16", "recurrent": "bf16", "shared_experts": "bf16"}
"""What the heaviest known repacks leave in 16 bit (NVIDIA's of Qwen3.5 and GLM-5.2): feed-forward and experts alone are
quantised. The bound where no repack of a family is known."""


def possible_parts(model: Model, precision: Precision) -> tuple[tuple[Module, ...], ...]:
    """The parts as every known checkpoint in a precision has them, the planned one first.

    One alone where it is the model's own, or made by the engine itself from 16-bit weights.
    """
    planned = parts(model, precision)
    is_made_at_load = precision == "fp8" and model.native_precision in SIXTEEN_BIT
    if planned == model.modules or is_made_at_load:
        return (planned,)
    known = [row.parts for row in model.repacks if row.precision == precision]
    return (planned, *(_repacked(model, precision, others, by_rule=False) for others in known or (_HEAVIEST,)))


def is_assumed(model: Model, precision: Precision) -> bool:
    """Whether a precision needs a checkpoint that is not the model's own: what it leaves in more bits is assumed."""
    return len(possible_parts(model, precision)) > 1


def weights_spread(model: Model, precision: Precision) -> float:
    """How much the heaviest known checkpoint in a precision weighs more than the planned one, relative; 0 for its own."""
    sizes = [sum(part_bytes(model, part) for part in each) for each in possible_parts(model, precision)]
    return max(abs(size / sizes[0] - 1) for size in sizes)


def stored_bits(part: Module) -> float:
    """Bits of one weight of a part with its scales."""
    return PLAIN[part.precision] if part.bits is None else part.bits


def part_bytes(model: Model, part: Module, tensor_parallel: int = 1, *, compute_capability: str | None = None) -> float:
    """Bytes of a part as the ranks of one tensor-parallel group hold it together.

    On a card, what its kernels spread or pad is counted too; without one it is what the file holds.
    """
    bits = stored_bits(part)
    if compute_capability is None:
        return part.parameters * bits / _BYTE_BITS
    if part.precision == "fp8" and _is_block_scaled(model, part) and before(compute_capability, _FP8_UNIT_CAPABILITY):
        bits += _MARLIN_SCALE_BITS
    if part.precision == "mxfp4" and part.kind == "routed_experts":
        bits *= _mxfp4_padding(model, tensor_parallel, compute_capability)
    return part.parameters * bits / _BYTE_BITS


def read_bytes(model: Model, stored: Sequence[Module]) -> tuple[float, float]:
    """What a decode step reads of the weights: (routed experts, all of them; the rest).

    The table of the input is looked up and not read, unless it is the output's too; towers and layers for speculation are
    not read for a token.
    """
    experts = sum(part_bytes(model, part) for part in stored if part.kind == "routed_experts")
    is_output_too = model.tied_embeddings and model.pooling is None
    unread = {"routed_experts", "tower", "draft", "table", *(() if is_output_too else ("embedding",))}
    return experts, sum(part_bytes(model, part) for part in stored if part.kind not in unread)


def read_spread(model: Model, precision: Precision) -> float:
    """How much less a step reads of the planned checkpoint than of the heaviest known one, of what that one reads."""
    share = (model.experts_per_token or 0) / (model.experts or 1)
    pairs = [read_bytes(model, each) for each in possible_parts(model, precision)]
    reads = [experts * share + rest for experts, rest in pairs]
    return max(abs(reads[0] - each) / each for each in reads)


def weight_bytes(
    model: Model, precision: Precision, tensor_parallel: int = 1, *, compute_capability: str | None = None
) -> float:
    """Bytes of the whole model's weights, as the ranks of one tensor-parallel group hold them together.

    The published checkpoint's size where it is known and asked for in its own precision; otherwise parameters x bits by
    part (Llama-3.1-8B: 8.49 GiB in FP8 and 5.38 in INT4 measured, 8.46 and 5.32 by this formula). Layers for speculation
    are not in it.
    """
    counted = sum(
        part_bytes(model, part, tensor_parallel, compute_capability=compute_capability)
        for part in parts(model, precision)
        if part.kind != "draft"
    )
    published = _published_bytes(model, precision)
    if published is None:
        return counted
    stored = sum(part_bytes(model, part) for part in model.modules if part.kind != "draft")
    return published + counted - stored


@dataclass(frozen=True, slots=True, kw_only=True)
class RankWeights:
    """Weights of the fullest pipeline stage, by whether its tensor-parallel ranks share them."""

    divided_bytes: float
    """Shared out among the ranks."""
    whole_bytes: float
    """On each rank: what it needs whole, repeated KV heads, padding, rotary tables."""


def weights_gib_per_accelerator(
    model: Model,
    precision: Precision,
    tensor_parallel: int,
    pipeline_parallel: int,
    *,
    compute_capability: str | None = None,
    dtype_bytes: int = 2,
    speculative_layers: int = 0,
) -> float:
    """Weights on the fullest accelerator, in GiB: its share of what is divided, and what each rank holds whole."""
    parts = rank_weights(
        model,
        precision,
        tensor_parallel,
        pipeline_parallel,
        compute_capability=compute_capability,
        dtype_bytes=dtype_bytes,
        speculative_layers=speculative_layers,
    )
    return gib(parts.divided_bytes / tensor_parallel + parts.whole_bytes)


def rank_weights(
    model: Model,
    precision: Precision,
    tensor_parallel: int,
    pipeline_parallel: int,
    *,
    compute_capability: str | None = None,
    dtype_bytes: int = 2,
    speculative_layers: int = 0,
) -> RankWeights:
    """Weights of the fullest stage.

    Tensor parallelism divides every matrix but those that each rank needs whole. Pipeline stages hold whole layers,
    and the first and last stage hold an embedding besides: the fullest stage has ceil(layers / stages) layers and the
    larger embedding. ``dtype_bytes`` 4 is an engine started in 32 bit.
    """
    total = weight_bytes(model, precision, tensor_parallel, compute_capability=compute_capability) * (dtype_bytes / 2)
    whole = _bytes_whole_on_every_rank(model, precision) if tensor_parallel > 1 else 0.0
    stage = _stage_bytes(model, total, pipeline_parallel)
    stages_whole = whole / pipeline_parallel
    repeated = _repeated_kv_projection_bytes(model, precision, tensor_parallel) / pipeline_parallel
    draft = speculative_layers * draft_layer_parameters(model) * _draft_bytes(model, precision, total)
    padding = _vocabulary_padding_bytes(model, tensor_parallel)
    return RankWeights(
        divided_bytes=max(0.0, stage - stages_whole) + draft,
        whole_bytes=stages_whole + repeated + padding + rotary_table_bytes(model),
    )


def stage_expert_bytes(model: Model, precision: Precision, pipeline_parallel: int, *, dtype_bytes: int = 2) -> float:
    """Routed experts of the fullest pipeline stage, which all attention groups share out among them."""
    experts, _ = read_bytes(model, parts(model, precision))
    layers = layer_count(model)
    return experts * (dtype_bytes / 2) * ceil_div(layers, pipeline_parallel) / layers


def draft_layer_gib(
    model: Model,
    precision: Precision,
    tensor_parallel: int,
    *,
    compute_capability: str | None = None,
    dtype_bytes: int = 2,
) -> float:
    """One layer for speculation on one accelerator, in GiB."""
    total = weight_bytes(model, precision, tensor_parallel, compute_capability=compute_capability) * (dtype_bytes / 2)
    return gib(draft_layer_parameters(model) * _draft_bytes(model, precision, total)) / tensor_parallel


def rotary_table_bytes(model: Model) -> float:
    """Sines and cosines that the engine tabulates for every position up to the longest context, in 16 bit.

    One table for all layers of a kind; sliding layers have one of their own, without the scaling.
    """
    width = model.qk_rope_head_dim or model.head_dim
    positions = model.max_context_tokens * _LINEAR_ROPE_FACTOR.get(model.architecture, 1)
    sliding = model.max_context_tokens if model.architecture in _LINEAR_ROPE_FACTOR else 0
    return (positions + sliding) * width * 2.0


def lora_slot_gib(model: Model, rank: int) -> float:
    """One LoRA slot, in GiB: two thin matrices of ``rank`` for each linear layer, in 16 bit.

    Mistral-7B at rank 16: 0.08 GiB by this formula, 0.07 measured (13.51 against 13.58 GiB of weights).
    """
    width = 8 * model.hidden_size + 3 * (model.hidden_size + model.intermediate_size)
    return gib(layer_count(model) * rank * width * 2)


def block_side(model: Model, precision: Precision, kind: ModuleKind) -> int | None:
    """Side of the blocks of weights that share a scale, in the model's own FP8 checkpoint; None where there are none."""
    own = next((part for part in model.modules if part.kind == kind and part.precision == "fp8"), None)
    if precision != model.native_precision or own is None or not _is_block_scaled(model, own):
        return None
    side = _BLOCK_SIDE if own.bits is None else round(sqrt(FP8_SCALE_BITS / (own.bits - PLAIN["fp8"])))
    return side if side >= MICROSCALE_GROUP else None  # else a scale is of a few weights of one row: OCP's formats


def _is_block_scaled(model: Model, part: Module) -> bool:
    """Whether FP8 weights have a scale for each block rather than for a channel or a tensor."""
    if part.bits is not None:
        return part.bits > PLAIN["fp8"]
    return model.architecture.startswith(_BLOCK_SCALED_TYPES)


def _mxfp4_padding(model: Model, tensor_parallel: int, compute_capability: str) -> float:
    """Padded / plain size of the experts on one rank."""
    tile = _MXFP4_TILES.get(compute_capability.partition(".")[0], _MXFP4_MARLIN_TILE)
    width, hidden = (model.moe_intermediate_size or 0) / tensor_parallel, model.hidden_size
    if not width:
        return 1.0
    return round_up(ceil(width), tile.width) / width * round_up(hidden, tile.hidden) / hidden


def _published_bytes(model: Model, precision: Precision) -> float | None:
    """The checkpoint's size without layers for speculation, as 16-bit engines load it; nothing where it is unknown."""
    if model.checkpoint_bytes is None or precision != model.native_precision:
        return None
    size = float(model.checkpoint_bytes)
    if PLAIN[precision] == PLAIN["bf16"] and size > _FP32_CHECKPOINT_RATIO * 2 * model.params_total:
        return model.params_total * 2.0
    if ships_draft_layer(model):
        size -= draft_layer_parameters(model) * _average_bytes(model, size)
    return size


def _draft_bytes(model: Model, precision: Precision, total_bytes: float) -> float:
    """Bytes of one weight of a layer for speculation.

    As the checkpoint's files say; repacks leave it in 16 bit (``mtp*`` among what NVIDIA's of Qwen3.5, Qwen3.6 and
    Nemotron exclude), and where nothing is said it has as many as the model has on average.
    """
    if parameters_of(model, "draft"):
        return _bytes_of(model, precision, "draft")
    return 2.0 if is_assumed(model, precision) else _average_bytes(model, total_bytes)


def _average_bytes(model: Model, total_bytes: float) -> float:
    return total_bytes / model.params_total


def _stage_bytes(model: Model, total: float, pipeline_parallel: int) -> float:
    if pipeline_parallel == 1:
        return total
    one_embedding = float(model.vocab_size * model.hidden_size * _EMBEDDING_BYTES)
    body = max(0.0, total - embedding_parameters(model) * _EMBEDDING_BYTES)
    layers = layer_count(model)
    return body * ceil_div(layers, pipeline_parallel) / layers + one_embedding


def _bytes_whole_on_every_rank(model: Model, precision: Precision) -> float:
    """Routers in 16 bit and, in compressed attention, the projections down to the ranks of queries and KV."""
    return router_parameters(model) * 2.0 + _down_projection_parameters(model) * _bytes_of(
        model, precision, "attention"
    )


def _bytes_of(model: Model, precision: Precision, kind: ModuleKind) -> float:
    """Bytes of one weight of a part, on average over its formats."""
    found = [part for part in parts(model, precision) if part.kind == kind]
    count = sum(part.parameters for part in found)
    return sum(part.parameters * stored_bits(part) for part in found) / count / _BYTE_BITS if count else 2.0


def _down_projection_parameters(model: Model) -> int:
    if model.kv_lora_rank is None:
        return 0
    ranks = model.kv_lora_rank + (model.q_lora_rank or 0) + (model.qk_rope_head_dim or 0)
    return model.layers.full * model.hidden_size * ranks


def _repeated_kv_projection_bytes(model: Model, precision: Precision, tensor_parallel: int) -> float:
    """Key and value projections that a rank holds beyond its share, once there are more ranks than KV heads."""
    if model.kv_lora_rank is not None or tensor_parallel <= model.kv_heads:
        return 0.0
    one_head = model.hidden_size * (model.head_dim + (model.value_head_dim or model.head_dim))
    attention_layers = model.layers.full + model.layers.sliding
    width = _bytes_of(model, precision, "attention")
    return attention_layers * one_head * width * (1 - model.kv_heads / tensor_parallel)


def _vocabulary_padding_bytes(model: Model, tensor_parallel: int) -> float:
    padded = round_up(model.vocab_size, VOCABULARY_PADDING * tensor_parallel)
    copies = 1 if model.tied_embeddings else 2
    return (padded - model.vocab_size) * model.hidden_size * copies * _EMBEDDING_BYTES / tensor_parallel
