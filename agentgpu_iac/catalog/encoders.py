"""Local models that generate nothing, read from their files: encoders whole, and what makes a decoder answer with vectors.

An encoder (BERT, RoBERTa, XLM-R, ModernBERT) has a shape of few fields, whose parameters are counted to the last: its tables
are half of a small one. A decoder keeps the shape that it chats with; its class, a field of its config or the folder
``1_Pooling`` of sentence-transformers beside it tells that it answers with vectors. What a class of a repository's own does
cannot be read from a config, and is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from agentgpu_iac.catalog.model import LayerCounts, ModelFacts, Pooling
from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.spec.vocabulary import PoolingKind

Json = Mapping[str, object]
Pooled = Literal["cls", "mean", "last"]

FAMILY: Final = "local"
_RANKER_LABELS: Final = 1
"""Labels of a model that scores pairs; more of them are classes (vLLM: rerank and score want one)."""
_BERT: Final = ("bert", "roberta", "xlm-roberta")
_ROBERTA: Final = ("roberta", "xlm-roberta")
_POSITIONS_BEFORE_THE_FIRST: Final = 2
"""RoBERTa's table of positions begins behind the padding's: 514 rows take 512 tokens."""
_MODES: Final[Mapping[str, Pooled]] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last",
}
"""Fields of sentence-transformers' pooling config."""
_AVERAGES: Final[Mapping[str, Pooled]] = {"avg": "mean", "cls": "cls", "last": "last"}
"""The field ``pooling`` of NVIDIA's bidirectional Llamas (vLLM 0.33.0: LlamaBidirectionalConfig)."""
_HEADLESS: Final = frozenset(
    {
        "Gemma2Model",
        "Gemma3TextModel",
        "LlamaBidirectionalModel",
        "LlamaModel",
        "MistralModel",
        "Qwen2Model",
        "Qwen3Model",
    }
)
"""Classes of decoders without a head, which vLLM 0.33.0 serves as embedding models. Other classes whose names end so chat."""


@dataclass(frozen=True, slots=True)
class _Fields:
    """A config of an encoder, and the faults found in it: (path, message)."""

    config: Json
    faults: list[tuple[str, str]] = field(default_factory=list)

    def count(self, name: str, default: int | None = None) -> int:
        """A positive whole number; a fault where it is none, with 1 in its place, so that further faults are found."""
        value = self.config.get(name, default)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        self.faults.append((name, "is missing" if value is None else "must be a positive whole number"))
        return 1


def _type(config: Json) -> str:
    """The model type; empty where there is none, or something else than text."""
    found = config.get("model_type")
    return found if isinstance(found, str) else ""


def is_encoder(config: Json) -> bool:
    """Whether this module knows the shape by its model type."""
    return _type(config) in _SHAPES


def encoder_facts(config: Json, reference: str, pooling_config: Json) -> ModelFacts:
    """The facts of an encoder.

    Args:
        config: Its ``config.json``.
        reference: What the user calls the model.
        pooling_config: ``1_Pooling/config.json`` beside it; empty without one.

    Raises:
        BadInput: a field that its size follows from is missing or no number, or its class is not one that engines have.
    """
    fields = _Fields(config)
    if "auto_map" in config:
        fields.faults.append(
            ("auto_map", "the model is a class of its repository's own, whose shape a config does not tell")
        )
    pooling = _pooling(config, pooling_config, bidirectional=True)
    if pooling is None:
        fields.faults.append(
            ("architectures", f"{_class(config) or 'no class'!r} is none that engines take vectors or scores from")
        )
    if config.get("is_decoder") is True:
        fields.faults.append(("is_decoder", "an encoder that was made a decoder is not known to any engine"))
    facts = _SHAPES[_type(config)](fields, reference, pooling or Pooling(kind="embedding"))
    if fields.faults:
        raise BadInput(Fault(source=reference, path=path, message=message) for path, message in fields.faults)
    return facts


def decoder_pooling(config: Json, pooling_config: Json) -> Pooling | None:
    """How a decoder pools, where its files say that it does; nothing of one that chats."""
    bidirectional = (
        config.get("use_bidirectional_attention") is True
        or config.get("is_causal") is False
        or "Bidirectional" in _class(config)
    )
    return _pooling(config, pooling_config, bidirectional=bidirectional)


def _pooling(config: Json, pooling_config: Json, *, bidirectional: bool) -> Pooling | None:
    name = _class(config)
    kind = _kind(config, name, pooling_config)
    if kind is None:
        return None
    default: Pooled = "last"
    if _type(config) in _SHAPES:
        default = "cls"
    elif bidirectional:
        default = "mean"
    default = _AVERAGES.get(str(config.get("pooling")), default)
    pooled = next((mode for key, mode in _MODES.items() if pooling_config.get(key) is True), default)
    return Pooling(kind=kind, bidirectional=bidirectional, pooled=pooled, own_code="auto_map" in config)


def _kind(config: Json, name: str, pooling_config: Json) -> PoolingKind | None:
    if name.endswith(("ForSequenceClassification", "ForTokenClassification")):
        labels = config.get("num_labels", _size(config.get("id2label")))
        pairs = name.endswith("ForSequenceClassification") and labels == _RANKER_LABELS
        return "reranker" if pairs else "classifier"
    if _type(config) in _SHAPES:
        masked = name.endswith("ForMaskedLM") and _type(config) in _BERT
        return "embedding" if masked or name.endswith("Model") else None
    return "embedding" if pooling_config or name in _HEADLESS else None


def _size(value: object) -> int:
    """How many classes a config names; transformers' default where it names none."""
    return len(value) if isinstance(value, dict) else 2


def _class(config: Json) -> str:
    classes = config.get("architectures")
    return str(classes[0]) if isinstance(classes, list) and classes else ""


def _bert(fields: _Fields, reference: str, pooling: Pooling) -> ModelFacts:
    """BERT, RoBERTa and XLM-R: absolute positions, a feed-forward without a gate, biases everywhere."""
    layers, hidden, width = (
        fields.count("num_hidden_layers"),
        fields.count("hidden_size"),
        fields.count("intermediate_size"),
    )
    vocabulary, positions = fields.count("vocab_size"), fields.count("max_position_embeddings")
    types = fields.count("type_vocab_size", 2)
    model_type = _type(fields.config)
    behind = _POSITIONS_BEFORE_THE_FIRST if model_type in _ROBERTA else 0
    each = 4 * (hidden * hidden + hidden) + 2 * hidden * width + width + hidden + 4 * hidden
    head = hidden * hidden + hidden if pooling.kind == "embedding" else hidden * hidden + hidden + hidden + 1
    total = (vocabulary + positions + types) * hidden + 2 * hidden + layers * each + head
    return _facts(
        fields,
        reference,
        pooling,
        total=total,
        counts=LayerCounts(full=layers),
        longest=max(1, positions - behind),
        matrices=2,
    )


def _modern_bert(fields: _Fields, reference: str, pooling: Pooling) -> ModelFacts:
    """ModernBERT: rotary positions, gated feed-forward, most layers with a window, no biases."""
    layers, hidden, width = (
        fields.count("num_hidden_layers"),
        fields.count("hidden_size"),
        fields.count("intermediate_size"),
    )
    every, window = fields.count("global_attn_every_n_layers", 3), fields.count("local_attention", 128)
    full = -(-layers // every)
    total = fields.count("vocab_size") * hidden + layers * (4 * hidden * hidden + 3 * hidden * width)
    total += (2 * layers + 1) * hidden
    if pooling.kind != "embedding":
        total += hidden * hidden + 2 * hidden + 1
    return _facts(
        fields,
        reference,
        pooling,
        total=total,
        counts=LayerCounts(full=full, sliding=layers - full),
        longest=fields.count("max_position_embeddings"),
        window=window if layers > full else None,
        matrices=3,
    )


def _facts(
    fields: _Fields,
    reference: str,
    pooling: Pooling,
    *,
    total: int,
    counts: LayerCounts,
    longest: int,
    window: int | None = None,
    matrices: Literal[2, 3],
) -> ModelFacts:
    hidden, heads = fields.count("hidden_size"), fields.count("num_attention_heads")
    if hidden % heads and not fields.faults:
        fields.faults.append(("num_attention_heads", f"is {heads}, which does not divide the width of {hidden}"))
    return ModelFacts(
        id=reference,
        family=FAMILY,
        architecture=_type(fields.config),
        params_total=total,
        layers=counts,
        hidden_size=hidden,
        attention_heads=heads,
        kv_heads=heads,
        head_dim=max(1, hidden // heads),
        sliding_window=window,
        vocab_size=fields.count("vocab_size"),
        max_context_tokens=longest,
        intermediate_size=fields.count("intermediate_size"),
        feed_forward_matrices=matrices,
        tied_embeddings=True,
        native_precision="bf16" if fields.config.get("torch_dtype") == "bfloat16" else "fp16",
        pooling=pooling,
        sources=(reference,),
        note="Parameters counted from the shape",
    )


_SHAPES: Final[Mapping[str, Callable[[_Fields, str, Pooling], ModelFacts]]] = {
    "bert": _bert,
    "roberta": _bert,
    "xlm-roberta": _bert,
    "modernbert": _modern_bert,
}
"""How the shape of an encoder is read, by its model type. 32-bit checkpoints of them are loaded in fp16 (vLLM 0.33.0:
``_resolve_auto_dtype``)."""
