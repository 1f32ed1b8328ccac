"""The time of a step that no byte and no operation explains: kernels of few bytes, and what joins them.

A decode step runs its kernels from a graph: each takes its launch at least. A layer has its matrices, its attention, its
experts and its all-reduces, which the tables of kernels know, and some small ones (norms, rotary embedding, cache write,
activation), which are the engine's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.sizing.kernels import Achieved
from agentgpu_iac.sizing.layout import Layout
from agentgpu_iac.sizing.weights import layer_count

MATRICES_OF_ATTENTION = 2
"""Queries, keys and values together; the output."""
MATRICES_OF_LATENT_ATTENTION = 3
"""MLA: both compressions together, queries, the output (DeepSeek-V3 in vLLM)."""
ABSORBED_BY_LATENT_ATTENTION = 2
"""MLA: both halves of the latent's decompression, in 16 bit whatever the weights are stored in (``mla/common.py``)."""
PLAIN_OF_RECURRENT = 2
"""Gates or decays, in 16 bit, and a convolution, of the fewest kernels each (Gated DeltaNet, Mamba-2)."""
MATRICES_OF_FEED_FORWARD = 2
"""Gate and up together; down."""
ROUTER = 1
"""In 16 or 32 bit: no checkpoint quantises it."""
SPARSE_LAYER_MS = 0.02
"""Indexer and selection of sparse attention, a layer: the modules of DeepSeek-V3.2 on B200 (aiconfigurator-core 0.12,
0.064 ms at one request, against 0.045 for the kernels of MLA)."""


def attention_launches_ms(
    model: Model, dense: Achieved, plain: Achieved, attention_launch_ms: float, *, sparse: bool
) -> float:
    """All layers' mixers: attention, or the scan of a recurrent layer. ``plain``: 16-bit matrices, which nothing quantises."""
    layers = model.layers
    attending = layers.full + layers.sliding
    count, absorbed = MATRICES_OF_ATTENTION, 0
    if model.kv_lora_rank is not None:
        count, absorbed = MATRICES_OF_LATENT_ATTENTION, ABSORBED_BY_LATENT_ATTENTION
    attention_ms = count * dense.launch_ms + absorbed * plain.launch_ms + attention_launch_ms
    attention_ms += SPARSE_LAYER_MS if sparse else 0.0
    scan_ms = MATRICES_OF_ATTENTION * dense.launch_ms + PLAIN_OF_RECURRENT * plain.launch_ms + attention_launch_ms
    return attending * attention_ms + layers.recurrent * scan_ms


def feed_forward_launches_ms(model: Model, dense: Achieved, plain: Achieved, routed: Achieved) -> float:
    """All layers' feed-forward parts: matrices, or a router and experts.

    Shared experts run beside the routed ones of a decode step, on a stream of their own (vLLM ``shared_experts_stream``, SGLang
    ``forward_normal_dual_stream``, TensorRT-LLM ``maybe_execute_in_parallel``): the longer of the two is waited for.
    """
    layers = layer_count(model)
    if not model.experts:
        return layers * MATRICES_OF_FEED_FORWARD * dense.launch_ms
    shared = MATRICES_OF_FEED_FORWARD * dense.launch_ms if model.shared_experts else 0.0
    return layers * (ROUTER * plain.launch_ms + max(shared, routed.launch_ms))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduces:
    """All-reduces of a step: after each mixer where heads are shared, after each feed-forward part that is."""

    count: int
    """How many a step waits for."""
    vectors_per_token: float
    """Vectors of the hidden size that one token of the whole replica adds to them.

    After the mixers each attention group reduces its own tokens. Experts are fed by all groups: what an all-gather and
    a reduce-scatter move (vLLM's default for expert parallelism) is what an all-reduce of all tokens moves.
    """


NORMS_OVER_ALL_HEADS = frozenset({"minimax_m2", "olmo2", "olmo3"})
"""Architectures that norm queries and keys over all heads together: where accelerators share the heads, they wait for each other
in every layer, for a number or two of each token (vLLM ``minimax_m2.py``: the variances of both; ``olmo2.py``)."""


def reduces_of(model: Model, spread: Layout) -> Reduces:
    """The all-reduces of a replica."""
    layers, mixers, shared = layer_count(model), spread.tensor_parallel > 1, spread.accelerators > 1
    norms = mixers and model.architecture in NORMS_OVER_ALL_HEADS
    return Reduces(
        count=layers * (mixers + norms + shared),
        vectors_per_token=layers * ((1 / spread.attention_groups if mixers else 0.0) + (1 if shared else 0)),
    )
