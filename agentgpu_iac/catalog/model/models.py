"""Open-weights models: what was found about one, and the shape that suffices to size it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import computed_field

from agentgpu_iac.catalog.model.modules import CheckpointCache, Module, ModuleKind
from agentgpu_iac.catalog.model.pooling import Pooling
from agentgpu_iac.catalog.model.quantised import Repack
from agentgpu_iac.catalog.model.scalars import Count, Integer, Sources
from agentgpu_iac.catalog.model.thinking import Thinking
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import Precision


class LayerCounts(Document):
    """How many layers of a model keep which kind of state per session."""

    full: Integer = 0
    """Attention over the whole context (MHA, GQA, MQA or MLA): its cache grows with every token."""
    sliding: Integer = 0
    """Attention over a window: its cache stops growing at the window."""
    recurrent: Integer = 0
    """Linear attention or state space: a fixed state per session."""
    stateless: Integer = 0
    """Feed-forward only."""
    shared: Integer = 0
    """Attention over the cache of an earlier layer: it keeps none of its own."""


class RecurrentShape(Document):
    """The fixed state of one recurrent layer, in elements (numbers) per session."""

    state_elements: Integer
    """The recurrent state matrix, kept in 32 bit."""
    convolution_elements: Integer
    """The short convolution's window, kept in 16 bit."""


class LinearAttention(Document):
    """Shape of a linear-attention layer (gated delta net, Kimi delta attention)."""

    key_heads: Count
    """Heads of queries and keys."""
    value_heads: Count
    """Heads of values."""
    key_head_dim: Count
    """Width of one key head."""
    value_head_dim: Count
    """Width of one value head."""
    kernel: Count
    """Length of the short convolution, in tokens."""
    gate_rank: Count | None = None
    """Width through which the gates of output and decay are projected; unset: the output gate is a whole matrix."""


class Mamba(Document):
    """Shape of a Mamba-2 layer."""

    heads: Count
    """Heads."""
    head_dim: Count
    """Width of one head."""
    state_size: Count
    """State of one channel."""
    groups: Count
    """Groups that share their input and output projections of the state."""
    kernel: Count
    """Length of the short convolution, in tokens."""


class FirstMamba(Document):
    """Shape of a Mamba layer of the first generation."""

    channels: Count
    """Inner width."""
    state_size: Count
    """State of one channel."""
    step_rank: Count
    """Width through which the step of a channel is projected."""
    kernel: Count
    """Length of the short convolution, in tokens."""


class ShortConvolution(Document):
    """Shape of a layer that is a gated convolution over the last tokens."""

    channels: Count
    """Width."""
    kernel: Count
    """Its length, in tokens."""


class AttentionIndex(Document):
    """What sparse attention keeps beside the cache, to find the tokens that it attends to."""

    layers: Count
    """Layers that keep one."""
    head_dim: Count
    """Width of the key that is kept of a token."""


class Tower(Document):
    """An encoder that makes tokens of pictures, video or sound."""

    reads: Literal["pictures", "sound"]
    """What it is for."""
    parameters: Count
    """Its weights, with the projection to the text model."""
    hidden_size: Count
    """Its width."""
    layers: Count
    """Its layers."""
    intermediate_size: Count
    """Width of its feed-forward layers."""
    heads: Count | None = None
    """Its attention heads."""
    patch_size: Count | None = None
    """Side of the square of pixels that one patch is."""
    patches_per_token: Count = 1
    """Patches that become one token of the text model."""
    max_tokens_per_item: Count | None = None
    """The most tokens that one picture, or piece of sound, becomes; unset: its config does not say."""
    is_assumed: bool = False
    """Its config leaves it out, and its class has one: its shape is that of published models of the class."""


class ExtraWeights(Document):
    """Weights that a config tells of beside the parts that every model has."""

    kind: ModuleKind
    """The part that they belong to."""
    parameters: Count
    """How many there are."""
    what: str
    """What they are, in words."""


class ModelFacts(Document):
    """What was found about an open-weights model. Unset: not found, or it does not apply to the model."""

    id: str
    """Hugging Face id, or the path of a local config.json."""
    family: str
    """Publisher."""
    architecture: str | None = None
    """Model type as in its config.json."""
    params_total: Count | None = None
    """Parameters that an engine loads."""
    params_active: Count | None = None
    """Parameters that one token touches."""
    layers: LayerCounts | None = None
    """Layers by the kind of state they keep."""
    hidden_size: Count | None = None
    """Width of the residual stream."""
    attention_heads: Count | None = None
    """Query heads."""
    kv_heads: Count | None = None
    """Key and value heads of the full layers."""
    head_dim: Count | None = None
    """Width of one key head of the full layers."""
    value_head_dim: Count | None = None
    """Width of one value head, where it differs."""
    sliding_kv_heads: Count | None = None
    """Key and value heads of the sliding layers, where they differ."""
    sliding_head_dim: Count | None = None
    """Width of one head of the sliding layers, where it differs."""
    sliding_value_head_dim: Count | None = None
    """Width of one value head of the sliding layers, where it differs."""
    sliding_attention_heads: Count | None = None
    """Query heads of the sliding layers, where they differ."""
    query_gate: bool | None = None
    """The query projection also yields a gate for the output: it is twice as wide."""
    values_are_keys: bool | None = None
    """The full layers have no value projection of their own: the values are the keys."""
    shared_full_layers: Integer | None = None
    """Of the layers that share a cache, those shaped as the full ones; the others are as the sliding ones."""
    index: AttentionIndex | None = None
    """What sparse attention keeps beside the cache."""
    kv_lora_rank: Count | None = None
    """MLA: width of the compressed KV."""
    q_lora_rank: Count | None = None
    """MLA: width of the compressed queries."""
    qk_rope_head_dim: Integer | None = None
    """MLA: width of the rotary part of a key."""
    qk_nope_head_dim: Count | None = None
    """MLA: width of the other part of a key."""
    sliding_window: Count | None = None
    """Window of the sliding layers, in tokens."""
    linear_attention: LinearAttention | None = None
    """Shape of the recurrent layers, if they are linear attention."""
    mamba: Mamba | None = None
    """Shape of the recurrent layers, if they are Mamba-2."""
    first_mamba: FirstMamba | None = None
    """Shape of the recurrent layers, if they are Mamba of the first generation."""
    short_convolution: ShortConvolution | None = None
    """Shape of the recurrent layers, if they are gated short convolutions."""
    vocab_size: Count | None = None
    """Vocabulary."""
    max_context_tokens: Count | None = None
    """Longest context that the model takes."""
    intermediate_size: Count | None = None
    """Width of the dense feed-forward layer; of one expert, where no other width is given for experts."""
    moe_intermediate_size: Count | None = None
    """Width of one expert."""
    expert_input_size: Count | None = None
    """Width that the experts work on, where the residual stream is first projected to a narrower one."""
    experts: Count | None = None
    """Routed experts in a layer."""
    experts_per_token: Count | None = None
    """Routed experts that one token uses."""
    shared_experts: Integer | None = None
    """Experts that every token uses."""
    shared_expert_size: Count | None = None
    """Width of all experts together that every token uses; unset: so many times the width of a routed one."""
    dense_layers: Integer | None = None
    """Layers whose feed-forward is dense although the others have experts."""
    feed_forward_layers: Integer | None = None
    """Layers with a feed-forward part; unset: those that are nothing else, where there are such, otherwise all."""
    feed_forward_matrices: Literal[2, 3] | None = None
    """Matrices of a feed-forward layer: up, down and, unless it is 2, a gate."""
    extra: tuple[ExtraWeights, ...] = ()
    """Weights beside the parts that every model has."""
    towers: tuple[Tower, ...] = ()
    """Encoders of pictures, video and sound."""
    tied_embeddings: bool | None = None
    """Input and output embeddings are one matrix."""
    tower_parameters: Count | None = None
    """Parameters of its towers for pictures, video and sound."""
    native_precision: Precision | None = None
    """Precision that engines load the published checkpoint in (32-bit checkpoints are loaded as bf16)."""
    quantization: Mapping[str, Any] | None = None
    """``quantization_config`` of its config.json, cut to what is read of it."""
    checkpoint_bytes: Count | None = None
    """Size of the published weight files."""
    tool_call_parser: str | None = None
    """vLLM --tool-call-parser."""
    reasoning_parser: str | None = None
    """vLLM --reasoning-parser."""
    pooling: Pooling | None = None
    """How it reads an input and what it answers with; set only for models that generate nothing."""
    gated: bool | None = None
    """The download needs an accepted licence and a token."""
    license: str | None = None
    """Licence of the weights."""
    unsupported: str | None = None
    """Why the memory of a session does not follow from these facts; set only where it does not."""
    sources: Sources
    """Where the facts are from."""
    note: str | None = None
    """What a reader should know about them."""


class Model(Document):
    """An open-weights model: the shape that its memory and speed follow from."""

    id: str
    """Hugging Face id, or the path of a local config.json."""
    family: str
    """Publisher."""
    architecture: str
    """Model type as in its config.json."""
    modules: tuple[Module, ...]
    """Its weights by part; a part that is stored in several formats has an entry for each."""
    params_active: Integer
    """Parameters that one token touches (all of them unless it is a mixture of experts)."""
    layers: LayerCounts
    """Layers by the kind of state they keep."""
    hidden_size: Integer
    """Width of the residual stream."""
    attention_heads: Integer
    """Query heads."""
    kv_heads: Integer
    """Key and value heads of the full layers."""
    head_dim: Integer
    """Width of one key head of the full layers."""
    value_head_dim: Integer | None = None
    """Width of one value head, where it differs from a key head."""
    sliding_kv_heads: Integer | None = None
    """Key and value heads of the sliding layers, where they differ from the full layers'."""
    sliding_head_dim: Integer | None = None
    """Width of one head of the sliding layers, where it differs from the full layers'."""
    kv_lora_rank: Integer | None = None
    """MLA: width of the compressed KV; set only for MLA models."""
    q_lora_rank: Integer | None = None
    """MLA: width of the compressed queries; unset where they are not compressed."""
    qk_rope_head_dim: Integer | None = None
    """MLA: width of the rotary part kept beside it."""
    sliding_window: Integer | None = None
    """Window of the sliding layers, in tokens."""
    recurrent: RecurrentShape | None = None
    """Shape of the recurrent layers."""
    index: AttentionIndex | None = None
    """What sparse attention keeps beside the cache."""
    towers: tuple[Tower, ...] = ()
    """Encoders of pictures, video and sound, as far as their shape is known."""
    vocab_size: Integer
    """Vocabulary."""
    max_context_tokens: Integer
    """Longest context that the model takes."""
    intermediate_size: Integer
    """Width of the dense feed-forward layer; 0 where every layer has experts."""
    moe_intermediate_size: Integer | None = None
    """Width of one expert."""
    experts: Integer | None = None
    """Routed experts in a layer."""
    experts_per_token: Integer | None = None
    """Routed experts that one token uses."""
    shared_experts: Integer = 0
    """Experts that every token uses."""
    tied_embeddings: bool = False
    """Input and output embeddings are one matrix."""
    native_precision: Precision
    """Precision that the checkpoint is published in: that of most of its quantised weights."""
    quantisation: str | None = None
    """How the checkpoint is quantised, as engines must know it (``quantisation_methods.json``); unset: it is not."""
    repacks: tuple[Repack, ...] = ()
    """Published checkpoints of its family in other precisions."""
    checkpoint_cache: CheckpointCache | None = None
    """The number format of the KV cache that the checkpoint asks for; unset: it asks for none."""
    unread: tuple[str, ...] = ()
    """What its config says of its shape that is not counted, each a sentence."""
    unclear: tuple[str, ...] = ()
    """What its files say that could not be read, each a sentence with the bytes at stake."""
    checkpoint_bytes: Integer | None = None
    """Size of the published weight files."""
    tool_call_parser: str | None = None
    """vLLM --tool-call-parser."""
    reasoning_parser: str | None = None
    """vLLM --reasoning-parser."""
    thinking: Thinking | None = None
    """Whether it reasons before it answers, and how that is switched; unset: unknown."""
    pooling: Pooling | None = None
    """How it reads an input and what it answers with; unset: it chats."""
    gated: bool | None = None
    """The download needs an accepted licence and a token; unset: unknown."""
    license: str | None = None
    """Licence of the weights."""
    """What its files say that could not be read, each a sentence with the bytes at stake."""
    sources: Sources
    """Where the shape is from."""
    note: str | None = None
    """What a reader should know about it."""
    is_text_only: bool = False
    """Its engine is told to read text alone: no tower is run, and ``modules`` holds those that it loads none the less."""
    is_local: bool = False
    """Known by a local config.json only: nobody knows where its weights are to be fetched."""
    yarn_context_tokens: Integer | None = None
    """What YaRN stretches its context to, where its config states another length (``sizing.contexts``)."""
    unasked_context_tokens: Integer | None = None
    """The length that vLLM takes where none is asked for, if that is not the longest."""

    @property
    def keeps_kv(self) -> bool:
        """Whether an engine keeps keys and values of its tokens."""
        return self.pooling is None or not self.pooling.bidirectional

    @computed_field  # type: ignore[prop-decorator]
    @property
    def params_total(self) -> int:
        """Parameters that an engine loads: of all parts but the layers for speculation."""
        return sum(module.parameters for module in self.modules if module.kind != "draft")
