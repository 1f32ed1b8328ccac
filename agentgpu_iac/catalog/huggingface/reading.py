"""A model from the text of its ``config.json``: what it is, its shape, and every fault at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from agentgpu_iac.catalog import shapes
from agentgpu_iac.catalog.huggingface import architectures
from agentgpu_iac.catalog.huggingface.attention import attention_of, extra_attention, index_of
from agentgpu_iac.catalog.huggingface.context import longest_context
from agentgpu_iac.catalog.huggingface.feed_forward import experts_of, extra_feed_forward, feed_forward_of
from agentgpu_iac.catalog.huggingface.fields import Config, Json, is_list, is_object
from agentgpu_iac.catalog.huggingface.layers import counts_of, layers_of
from agentgpu_iac.catalog.huggingface.precision import native_precision
from agentgpu_iac.catalog.huggingface.recurrent import Recurrent, full_rank_gate, recurrent_of
from agentgpu_iac.catalog.huggingface.tables import tables_of
from agentgpu_iac.catalog.huggingface.towers import towers_of
from agentgpu_iac.catalog.huggingface.unread import say_unread
from agentgpu_iac.catalog.kinds import not_planned, other_kind_by_class
from agentgpu_iac.catalog.missing import UnsizableError
from agentgpu_iac.catalog.model import ExtraWeights, Model, ModelFacts
from agentgpu_iac.catalog.parameters import active_parameter_count, parameter_count
from agentgpu_iac.errors import BadInput, Fault

FAMILY = "local"
"""Publisher of a model that is known by its file alone."""
TEXT_CONFIGS = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where models with towers for pictures and sound keep the shape of their text model."""
_DEEPEST = 3
"""Configs within configs: a thinker has a text model within it."""
_ALWAYS_STATED = frozenset(
    {"num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size", "max_position_embeddings"}
)
"""Fields that a whole config states even where they equal the defaults of its architecture."""


def model_from_config(text: str, reference: str) -> Model:
    """Read the shape of a model from the text of its ``config.json``.

    Args:
        text: Content of the file.
        reference: What the user calls the model; it becomes the model's id, and the source of its facts and faults.

    Raises:
        BadInput: the text is no JSON object, lacks fields (names all of them), is of an unknown architecture, or
            describes an attention, a layer or a quantisation that cannot be accounted for.
    """
    parsed = _parsed(text, reference)
    _refuse_other_kinds(parsed, reference)
    config = _config(parsed)
    facts = _facts(config, reference) if _is_read(config) else None
    if config.faults or facts is None:
        raise BadInput(Fault(source=reference, path=path, message=message) for path, message in config.faults)
    try:
        counted = {"params_total": parameter_count(facts), "params_active": active_parameter_count(facts)}
        model = shapes.model(facts.model_copy(update=counted))
    except UnsizableError as reason:
        raise BadInput.one(reference, f"the model cannot be sized: {reason}") from reason
    return model.model_copy(update={"is_local": True, "unclear": tuple(config.unclear)})


def _refuse_other_kinds(config: Json, reference: str) -> None:
    classes = config.get("architectures")
    for name in classes if is_list(classes) else ():
        if kind := other_kind_by_class(str(name)):
            raise BadInput.one(reference, not_planned(reference, kind), path="architectures")


def _parsed(text: str, reference: str) -> Json:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput.one(reference, f"is not JSON: {error}") from error
    if not is_object(data):
        raise BadInput.one(reference, "is not a Hugging Face config: a JSON object is expected")
    return data


def _config(parsed: Json) -> Config:
    """The config of the text model, with what its architecture means by what it leaves out.

    What the text model does not say itself holds from the config around it. A config within another is written without
    what equals the defaults of its class; a whole one states its widths and counts.
    """
    whole, chain = dict(parsed), [parsed]
    while len(chain) <= _DEEPEST:
        inner = next((value for name in TEXT_CONFIGS if is_object(value := chain[-1].get(name))), None)
        if inner is None:
            break
        chain.append(inner)
        whole.update(inner)
    outer, stated = _type(parsed), _type(chain[-1]) if len(chain) > 1 else ""
    kind = stated or (architectures.text_type_of(outer) or outer if len(chain) > 1 else outer)
    if len(chain) > 1 and stated == outer:
        kind = architectures.text_type_of(outer) or outer
    whole["model_type"] = kind
    defaults = {**architectures.defaults_of(kind), **architectures.text_changes_of(outer)}
    if len(chain) == 1:
        defaults = {name: value for name, value in defaults.items() if name not in _ALWAYS_STATED}
    found = Config({**whole, **_towers(outer, parsed)}, defaults=defaults)
    found.read.update((*TEXT_CONFIGS, "model_type"))
    return found


def _type(config: Json) -> str:
    found = config.get("model_type")
    return found if isinstance(found, str) else ""


def _towers(outer: str, parsed: Json) -> Mapping[str, Json]:
    """The towers, with what their architecture means by what they leave out; one that is null is not there."""
    found: dict[str, Json] = {}
    for name, (is_always_there, defaults) in architectures.tower_defaults(outer).items():
        stated = parsed.get(name, {} if is_always_there else None)
        if is_object(stated):
            found[name] = {**defaults, **stated}
    return found


def _is_read(config: Config) -> bool:
    """Whether the architecture is one that is read; a fault that says why not."""
    name = config.text("model_type")
    if not name:
        config.fault("model_type", "is missing: it says what the other fields mean")
    elif name in architectures.REFUSED:
        config.fault("model_type", f"{name} is not planned: it has {architectures.REFUSED[name]}")
        return False
    elif not architectures.is_known(name):
        config.fault(
            "model_type",
            f"{name!r} is not known: its shape would be a guess (docs/models.md lists those that are read; where it is "
            "laid out as one of them, give that one's name)",
        )
        return False
    return True


def _facts(config: Config, reference: str) -> ModelFacts | None:
    """Everything that sizing needs; nothing where the facts contradict each other."""
    hidden_size = config.required("hidden_size", "n_embd", "d_model")
    experts = experts_of(config)
    layers = layers_of(config, has_experts=experts is not None)
    counts = counts_of(layers)
    attention = attention_of(config, hidden_size, layers)
    feed = feed_forward_of(config, experts, layers)
    recurrent = recurrent_of(config, hidden_size) if counts.recurrent else Recurrent()
    is_latent = config.integer("kv_lora_rank") is not None
    extra = (
        *extra_attention(config, hidden_size, attention, layers),
        *extra_feed_forward(config, hidden_size),
        *tables_of(config, hidden_size, len(layers)),
        *_extra_recurrent(config, hidden_size, counts.recurrent),
    )
    try:
        facts = ModelFacts(
            id=reference,
            family=FAMILY,
            architecture=config.text("model_type") or None,
            layers=counts,
            hidden_size=hidden_size,
            attention_heads=attention.heads,
            kv_heads=attention.kv_heads,
            head_dim=attention.head_dim,
            value_head_dim=attention.value_head_dim,
            sliding_attention_heads=attention.sliding_heads,
            sliding_kv_heads=attention.sliding_kv_heads,
            sliding_head_dim=attention.sliding_head_dim,
            sliding_value_head_dim=attention.sliding_value_head_dim,
            query_gate=attention.query_gate,
            values_are_keys=attention.values_are_keys,
            shared_full_layers=sum(1 for layer in layers if layer.shares_cache and layer.mixer == "full"),
            index=index_of(config, layers),
            kv_lora_rank=config.integer("kv_lora_rank"),
            q_lora_rank=config.integer("q_lora_rank"),
            qk_rope_head_dim=config.required("qk_rope_head_dim") if is_latent else None,
            qk_nope_head_dim=config.required("qk_nope_head_dim") if is_latent else None,
            sliding_window=config.required("sliding_window", "sliding_window_size") if counts.sliding else None,
            linear_attention=recurrent.linear_attention,
            mamba=recurrent.mamba,
            first_mamba=recurrent.first_mamba,
            short_convolution=recurrent.short_convolution,
            vocab_size=config.required("vocab_size"),
            max_context_tokens=longest_context(config),
            intermediate_size=feed.width,
            moe_intermediate_size=feed.expert_width if feed.experts else None,
            expert_input_size=feed.expert_input_size,
            experts=feed.experts,
            experts_per_token=feed.experts_per_token,
            shared_experts=feed.shared_experts if feed.experts else None,
            shared_expert_size=feed.shared_width if feed.experts else None,
            dense_layers=sum(1 for layer in layers if layer.feed_forward == "dense") if feed.experts else None,
            feed_forward_layers=sum(1 for layer in layers if layer.feed_forward != "none"),
            feed_forward_matrices=feed.matrices,
            extra=extra,
            towers=towers_of(config, hidden_size),
            tied_embeddings=_tied_embeddings(config),
            native_precision=native_precision(config),
            sources=(reference,),
            note=_note(config),
        )
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            config.fault(".".join(str(part) for part in detail["loc"]), detail["msg"])
        return None
    say_unread(config)
    return facts


def _extra_recurrent(config: Config, hidden_size: int, layers: int) -> Iterator[ExtraWeights]:
    if more := layers * full_rank_gate(config, hidden_size):
        yield ExtraWeights(kind="recurrent", parameters=more, what="whole gates of its linear attention")


def _tied_embeddings(config: Config) -> bool:
    """Whether both embeddings are one; LFM2 spells it in its own way."""
    own = config.get("tie_embedding")
    return own if isinstance(own, bool) else config.get("tie_word_embeddings") is True


def _note(config: Config) -> str:
    towers = " with its towers" if any(config.sections[name].fields for name in config.sections if "config" in name) else ""
    return f"Parameters counted from the shape{towers}"


