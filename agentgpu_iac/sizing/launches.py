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
MATRICES_OF_LATENT_ATTENTION = 5
"""MLA: both compressions together, queries, the latent's two halves absorbed, the output (DeepSeek-V3 in vLLM)."""
MATRICES_OF_FEED_FORWARD = 2
"""Gate and up together; down."""
ROUTER = 1
SPARSE_LAYER_MS = 0.02
"""Indexer and selection of sparse attention, a layer: the modules of DeepSeek-V3.2 on B200 (aiconfigurator-core 0.12,
0.064 ms at one request, against 0.045 for the kernels of MLA)."""


def attention_launches_ms(model: Model, dense: Achieved, attention_launch_ms: float, *, sparse: bool) -> float:
    """All layers' mixers: attention, or the scan of a recurrent layer."""
    layers = model.layers
    mixers = layers.full + layers.sliding + layers.recurrent
    count = MATRICES_OF_ATTENTION if model.kv_lora_rank is None else MATRICES_OF_LATENT_ATTENTION
    return mixers * (count * dense.launch_ms + attention_launch_ms) + (mixers * SPARSE_LAYER_MS if sparse else 0.0)


def feed_forward_launches_ms(model: Model, dense: Achieved, routed: Achieved) -> float:
    """All layers' feed-forward parts: matrices, or a router and experts."""
    layers = layer_count(model)
    if not model.experts:
        return layers * MATRICES_OF_FEED_FORWARD * dense.launch_ms
    shared = MATRICES_OF_FEED_FORWARD if model.shared_experts else 0
    return layers * ((ROUTER + shared) * dense.launch_ms + routed.launch_ms)


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


def reduces_of(model: Model, spread: Layout) -> Reduces:
    """The all-reduces of a replica."""
    layers, mixers, shared = layer_count(model), spread.tensor_parallel > 1, spread.accelerators > 1
    return Reduces(
        count=layers * (mixers + shared),
        vectors_per_token=layers * ((1 / spread.attention_groups if mixers else 0.0) + (1 if shared else 0)),
    )
