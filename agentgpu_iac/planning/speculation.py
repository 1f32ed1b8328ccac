"""What speculative decoding adds to a replica: the draft's weights and KV cache, and the rows of one step.

The draft runs on as many ranks as the model. Its heads must divide by them; with pipeline parallelism the accelerator
that holds it is the fullest, so it counts in full.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.catalog.model import Accelerator, Model
from agentgpu_iac.sizing import memory
from agentgpu_iac.sizing.kv_cache import draft_layer_kv_bytes_per_token
from agentgpu_iac.sizing.weights import ships_draft_layer
from agentgpu_iac.spec.model import Agent, Speculative
from agentgpu_iac.spec.vocabulary import KvCacheDtype, Precision
from agentgpu_iac.units import GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftMemory:
    """What a draft takes of one accelerator."""

    weights_gib: float
    kv_bytes_per_token: int
    kv_bytes_per_session: float
    layers: int
    """Layers whose CUDA graphs are captured too."""


NO_DRAFT = DraftMemory(weights_gib=0.0, kv_bytes_per_token=0, kv_bytes_per_session=0.0, layers=0)


def rows_per_step(agent: Agent) -> int:
    """Tokens that one step computes for each session: those proposed, and the one that follows them."""
    return 1 if agent.speculative is None else agent.speculative.tokens + 1


def accepted_tokens(agent: Agent) -> float:
    """Tokens that one step yields: as measured and stated, else 1, which counts no speed-up."""
    return 1.0 if agent.speculative is None else agent.speculative.accepted_tokens or 1.0


def fault(model: Model, agent: Agent) -> str | None:
    """Why the model cannot be served with the method, if so."""
    if agent.speculative is None or agent.speculative.method != "mtp" or ships_draft_layer(model):
        return None
    return f"no multi-token head of {model.id} is known: its checkpoint is not one of those that ship one"


def draft_memory(
    agent: Agent,
    model: Model,
    draft: Model | None,
    accelerator: Accelerator,
    precision: Precision,
    tensor_parallel: int,
    context_tokens: int,
) -> DraftMemory:
    """The draft's part of one accelerator.

    draft-model: a whole model, from its shape. eagle3 and mtp: one layer that attends like the model's own.
    """
    speculative, kv_dtype = agent.speculative, agent.kv_cache_dtype
    if speculative is None or speculative.method == "ngram":
        return NO_DRAFT
    stated = None if speculative.weights_gib is None else speculative.weights_gib / tensor_parallel
    if speculative.method == "draft-model" and draft is not None:
        return _whole_model(draft, stated, accelerator, kv_dtype, tensor_parallel, context_tokens)
    per_token = draft_layer_kv_bytes_per_token(model, kv_dtype, tensor_parallel)
    tokens = memory.kv_tokens(context_tokens)
    return DraftMemory(
        weights_gib=stated
        if stated is not None
        else _layer_weights_gib(model, draft, accelerator, precision, tensor_parallel),
        kv_bytes_per_token=per_token,
        kv_bytes_per_session=float(per_token * tokens),
        layers=1,
    )


def _whole_model(
    draft: Model,
    stated_gib: float | None,
    accelerator: Accelerator,
    kv_dtype: KvCacheDtype,
    tensor_parallel: int,
    context_tokens: int,
) -> DraftMemory:
    return DraftMemory(
        weights_gib=stated_gib
        if stated_gib is not None
        else memory.weights_gib_per_accelerator(
            draft,
            draft.native_precision,
            tensor_parallel,
            1,
            compute_capability=accelerator.compute_capability,
        ),
        kv_bytes_per_token=memory.kv_bytes_per_token(draft, kv_dtype, tensor_parallel, 1),
        kv_bytes_per_session=memory.kv_bytes_per_session(draft, kv_dtype, tensor_parallel, 1, context_tokens),
        layers=memory.layer_count(draft),
    )


def _layer_weights_gib(
    model: Model, draft: Model | None, accelerator: Accelerator, precision: Precision, tensor_parallel: int
) -> float:
    """A draft of the catalog as it is; else the layer that the model's own checkpoint ships."""
    capability = accelerator.compute_capability
    if draft is not None:
        return memory.weights_gib_per_accelerator(
            draft, draft.native_precision, tensor_parallel, 1, compute_capability=capability
        )
    with_layer, without = (
        memory.weights_gib_per_accelerator(
            model, precision, tensor_parallel, 1, compute_capability=capability, speculative_layers=layers
        )
        for layers in (1, 0)
    )
    return with_layer - without


def checkpoint_gib(speculative: Speculative, draft: Model | None) -> float:
    """What is downloaded and read of a draft of its own."""
    if draft is not None and draft.checkpoint_bytes is not None:
        return draft.checkpoint_bytes / GIB
    if speculative.weights_gib is not None:
        return speculative.weights_gib
    return 0.0 if draft is None else memory.weight_bytes(draft, draft.native_precision) / GIB
