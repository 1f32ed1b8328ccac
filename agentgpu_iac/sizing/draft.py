"""What speculative decoding adds to a replica: the draft's weights and KV cache, and the rows of one step.

The draft runs on as many ranks as the model. With pipeline parallelism the accelerator that holds it is the fullest,
so it counts in full.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.sizing.kv_cache import (
    draft_layer_kv_bytes_per_token,
    kv_bytes_per_session,
    kv_bytes_per_token,
    kv_tokens,
)
from agentgpu_iac.sizing.weights import draft_layer_gib, layer_count, weights_gib_per_accelerator
from agentgpu_iac.spec.vocabulary import KvCacheDtype, Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What proposes tokens, as far as memory depends on it."""

    tokens: int
    """Tokens proposed in each step."""
    layers: int = 0
    """Layers that attend like the model's own (EAGLE, multi-token prediction); 0 for a whole model or n-grams."""
    model: Model | None = None
    """A whole model, or the head whose weights the layers have; unset: the layers are like the model's own."""
    stated_weights_gib: float | None = None
    """Weights of the draft over all ranks, as somebody states them."""
    name: str = ""
    """What people call it; empty: it is part of the model."""

    @property
    def rows_per_step(self) -> int:
        """Tokens that one step computes for each session: those proposed, and the one that follows them."""
        return self.tokens + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftMemory:
    """What a draft takes of one accelerator."""

    weights_gib: float
    kv_bytes_per_token: int
    kv_bytes_per_session: float
    layers: int
    """Layers whose CUDA graphs are captured too."""
    shares_pages: bool = False
    """Its layers stand in the pages of the model's own: those of a draft head."""

    @property
    def own_bytes_per_session(self) -> float:
        """What a session holds of it outside of the model's pages."""
        return 0.0 if self.shares_pages else self.kv_bytes_per_session


NO_DRAFT = DraftMemory(weights_gib=0.0, kv_bytes_per_token=0, kv_bytes_per_session=0.0, layers=0)


def draft_memory(
    draft: Draft | None,
    model: Model,
    *,
    compute_capability: str,
    precision: Precision,
    kv_dtype: KvCacheDtype,
    tensor_parallel: int,
    context_tokens: int,
    dtype_bytes: int = 2,
) -> DraftMemory:
    """The draft's part of one accelerator; nothing for n-grams, which need no weights."""
    if draft is None or (not draft.layers and draft.model is None):
        return NO_DRAFT
    stated_gib = None if draft.stated_weights_gib is None else draft.stated_weights_gib / tensor_parallel
    weights_gib = stated_gib
    if weights_gib is None and draft.model is not None:
        weights_gib = weights_gib_per_accelerator(
            draft.model, draft.model.native_precision, tensor_parallel, 1, compute_capability=compute_capability
        )
    if weights_gib is None:
        weights_gib = draft.layers * draft_layer_gib(
            model, precision, tensor_parallel, compute_capability=compute_capability, dtype_bytes=dtype_bytes
        )
    if draft.layers or draft.model is None:
        per_token = draft.layers * draft_layer_kv_bytes_per_token(
            model, kv_dtype, tensor_parallel, dtype_bytes=dtype_bytes
        )
        per_session = float(per_token * kv_tokens(context_tokens))
        layers = draft.layers
    else:
        shape = (draft.model, kv_dtype, tensor_parallel, 1)
        per_token = kv_bytes_per_token(*shape, dtype_bytes=dtype_bytes)
        per_session = kv_bytes_per_session(*shape, context_tokens, dtype_bytes=dtype_bytes)
        layers = layer_count(draft.model)
    return DraftMemory(
        weights_gib=weights_gib,
        kv_bytes_per_token=per_token,
        kv_bytes_per_session=per_session,
        layers=layers,
        shares_pages=draft.layers > 0,
    )
