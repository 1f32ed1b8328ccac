"""A model from the text of its ``config.json``: what it is, its shape, and every fault at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pydantic import ValidationError

from agentgpu_iac.catalog import encoders, shapes
from agentgpu_iac.catalog.checkpoint import stored
from agentgpu_iac.catalog.huggingface import architectures
from agentgpu_iac.catalog.huggingface.attention import attention_of, extra_attention, index_of
from agentgpu_iac.catalog.huggingface.blocks import blocks_of
from agentgpu_iac.catalog.huggingface.context import context_by_yarn, context_unasked, longest_context
from agentgpu_iac.catalog.huggingface.feed_forward import experts_of, extra_feed_forward, feed_forward_of
from agentgpu_iac.catalog.huggingface.fields import MOST_FAULTS, Config, Json, is_list, is_object
from agentgpu_iac.catalog.huggingface.layers import Layer, counts_of, layers_of
from agentgpu_iac.catalog.huggingface.mistral import as_hugging_face, is_mistral_s_own, own_name
from agentgpu_iac.catalog.huggingface.recurrent import NAMES, Recurrent, full_rank_gate, recurrent_of
from agentgpu_iac.catalog.huggingface.residuals import say_residuals
from agentgpu_iac.catalog.huggingface.tables import streams_of, tables_of
from agentgpu_iac.catalog.huggingface.towers import fixed_towers, towers_of
from agentgpu_iac.catalog.huggingface.unread import say_unread
from agentgpu_iac.catalog.kinds import not_planned, other_kind_by_class
from agentgpu_iac.catalog.missing import UnsizableError
from agentgpu_iac.catalog.model import ExtraWeights, Model, ModelFacts
from agentgpu_iac.catalog.parameters import active_parameter_count, parameter_count
from agentgpu_iac.catalog.quantisation.linears import Layer as StoredLayer
from agentgpu_iac.catalog.quantisation.reading import BESIDE, scheme_of
from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.inputs import json_of
from agentgpu_iac.spec.vocabulary import Precision

FAMILY = "local"
"""Publisher of a model that is known by its file alone."""
TEXT_CONFIGS = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where models with towers for pictures and sound keep the shape of their text model."""
DTYPES: Mapping[str, Precision] = {"bfloat16": "bf16", "float16": "fp16", "float32": "bf16"}
"""Number formats of unquantised checkpoints as engines load them: 32-bit ones are loaded in 16 bit."""
_SPEAKERS = ("talker_config", "code2wav_config", "token2wav_config", "enable_audio_output", "enable_talker")
"""What an omni model speaks with, which engines for text do not load (vLLM 0.33, qwen3_omni_moe_thinker)."""
_DEEPEST = 3
"""Configs within configs: a thinker has a text model within it."""
_FORMATS = ("dtype", "torch_dtype")
"""Fields that a config within another leaves to the one around it by a null."""
_ALWAYS_STATED = frozenset(
    {
        "num_hidden_layers",
        "hidden_size",
        "num_attention_heads",
        "intermediate_size",
        "vocab_size",
        "max_position_embeddings",
    }
)
"""Fields that a whole config states even where they equal the defaults of its architecture."""


def model_from_config(
    content: bytes | str, reference: str, beside: bytes | str | None = None, pooling_text: bytes | str = ""
) -> Model:
    """Read the shape of a model from the content of its ``config.json``, and how its checkpoint is quantised.

    Mistral's own ``params.json`` is read too; faults name its fields.

    Args:
        content: Content of the file.
        reference: What the user calls the model; it becomes the model's id, and the source of its facts and faults.
        beside: Content of the ``hf_quant_config.json`` in the same folder, if there is one.
        pooling_text: Content of sentence-transformers' ``1_Pooling/config.json`` beside it; empty without one.

    Raises:
        BadInput: the text is no JSON object, lacks fields (names all of them), is of an unknown architecture, or
            describes an attention, a layer or a quantisation that cannot be accounted for.
    """
    parsed = _parsed(content, reference)
    if is_mistral_s_own(parsed):
        try:
            return _model(as_hugging_face(parsed), reference, beside, pooling_text)
        except BadInput as error:
            raise BadInput(replace(fault, path=own_name(fault.path)) for fault in error.faults) from error
    return _model(parsed, reference, beside, pooling_text)


def _model(parsed: Json, reference: str, beside: bytes | str | None, pooling_text: bytes | str) -> Model:
    _refuse_other_kinds(parsed, reference)
    pooling_config = _parsed(pooling_text, reference) if pooling_text else {}
    if encoders.is_encoder(parsed):
        facts = encoders.encoder_facts(parsed, reference, pooling_config)
        return shapes.model(facts).model_copy(update={"is_local": True})
    config = _config(parsed)
    other = None if beside is None else _parsed(beside, f"{reference}: {BESIDE}")
    scheme = scheme_of(parsed, other, config.faults)
    read = _facts(config, reference, is_quantised=scheme is not None) if _is_read(config) else None
    if read is None or config.faults:
        raise _refusal(config, reference)
    facts, layers = read
    pooling = encoders.decoder_pooling(parsed, pooling_config)
    if pooling is not None:  # nothing is generated: there is no output matrix
        facts = facts.model_copy(update={"pooling": pooling, "tied_embeddings": True})
    try:
        counted = {"params_total": parameter_count(facts), "params_active": active_parameter_count(facts)}
        model = shapes.model(facts.model_copy(update=counted)).model_copy(update={"is_local": True})
    except UnsizableError as reason:
        raise BadInput.one(reference, f"the model cannot be sized: {reason}") from reason
    if scheme is not None:
        model = stored(model, facts, scheme, tuple(_as_stored(layer) for layer in layers), config.faults)
    if config.faults:
        raise _refusal(config, reference)
    return model.model_copy(
        update={
            "unread": tuple(config.unclear),
            "yarn_context_tokens": context_by_yarn(config),
            "unasked_context_tokens": context_unasked(config),
        }
    )


def _refusal(config: Config, reference: str) -> BadInput:
    named = tuple(dict.fromkeys(config.faults))[:MOST_FAULTS]
    return BadInput(Fault(source=reference, path=path, message=message) for path, message in named)


def _as_stored(layer: Layer) -> StoredLayer:
    """A layer as checkpoints name its matrices."""
    return StoredLayer(mixer="full" if layer.mixer == "both" else layer.mixer, feed_forward=layer.feed_forward)


def _refuse_other_kinds(config: Json, reference: str) -> None:
    classes = config.get("architectures")
    for name in classes[:MOST_FAULTS] if is_list(classes) else ():
        if kind := other_kind_by_class(str(name)):
            raise BadInput.one(reference, not_planned(reference, kind), path="architectures")


def _parsed(content: bytes | str, reference: str) -> Json:
    data: object = json_of(content, reference)
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
        whole.update({name: value for name, value in inner.items() if value is not None or name not in _FORMATS})
    outer, stated = _type(parsed), _type(chain[-1]) if len(chain) > 1 else ""
    kind = stated or (architectures.text_type_of(outer) or outer if len(chain) > 1 else outer)
    if len(chain) > 1 and stated == outer:
        kind = architectures.text_type_of(outer) or outer
    whole["model_type"] = kind
    around = (tied for each in chain[:-1] if isinstance(tied := each.get("tie_word_embeddings"), bool))
    if (tied := next(around, None)) is not None:  # the class around the text model has the output head
        whole["tie_word_embeddings"] = tied
    defaults = {**architectures.defaults_of(kind), **architectures.text_changes_of(outer)}
    if len(chain) == 1:
        defaults = {name: value for name, value in defaults.items() if name not in _ALWAYS_STATED}
    towers, assumed = _towers(outer, parsed, whole)
    found = Config({**whole, **towers, **assumed}, defaults=defaults, assumed=frozenset(assumed))
    found.read.update((*TEXT_CONFIGS, "model_type"))
    if len(chain) > 1 and outer and not (architectures.is_known(outer) or "thinker_config" in parsed):
        found.unclear.append(
            f"its model_type {outer!r} is not known: its text model is read as {kind!r}, its towers from their own parts of the "
            "config, and what joins them is reckoned as others have it"
        )
    if "thinker_config" in parsed:
        found.read.update(_SPEAKERS)
        found.unclear.append(
            "of its parts the thinker alone is counted: that is what engines serve, and what answers in text"
        )
    return found


def _type(config: Json) -> str:
    found = config.get("model_type")
    return found if isinstance(found, str) else ""


def _towers(outer: str, parsed: Json, whole: Json) -> tuple[Mapping[str, Json], Mapping[str, Json]]:
    """The towers that are stated, with what their architecture means by what they leave out, and those that are not.

    One that is null is not there. One that the config leaves out is there where the class cannot be without it; it is then
    that of published models of such a width, whose own defaults are often those of none.
    """
    stated: dict[str, Json] = {}
    assumed: dict[str, Json] = {}
    for name, tower in architectures.towers_of_type(outer).items():
        if is_object(shape := parsed.get(name)):
            stated[name] = {**tower.defaults, **shape}
        elif name not in parsed and (shape := tower.assumed(whole)) is not None:
            assumed[name] = {**tower.defaults, **shape}
    return stated, assumed


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


def _facts(config: Config, reference: str, *, is_quantised: bool) -> tuple[ModelFacts, tuple[Layer, ...]] | None:
    """Everything that sizing needs, and what each layer is made of; nothing where the facts contradict each other."""
    hidden_size = config.required("hidden_size", "n_embd", "d_model")
    experts = experts_of(config)
    blocks = blocks_of(config, hidden_size)
    layers = blocks.layers if blocks else layers_of(config, has_experts=experts is not None)
    counts = counts_of(layers)
    attention = attention_of(config, hidden_size, layers)
    feed = feed_forward_of(config, experts, layers)
    recurrent = recurrent_of(config, hidden_size) if counts.recurrent else Recurrent()
    if not counts.recurrent and config.listed("layer_types"):
        config.read.update(NAMES)
    is_latent = config.integer("kv_lora_rank") is not None
    extra = (
        *extra_attention(config, hidden_size, attention, layers),
        *extra_feed_forward(config, hidden_size),
        *tables_of(config, hidden_size, len(layers)),
        *streams_of(config, hidden_size, len(layers)),
        *fixed_towers(config),
        *_extra_recurrent(config, hidden_size, counts.recurrent),
        *(blocks.extra if blocks else ()),
    )
    say_residuals(config, hidden_size, len(layers))
    try:
        facts = ModelFacts(
            id=reference,
            family=FAMILY,
            architecture=config.text("model_type") or None,
            layers=counts,
            hidden_size=hidden_size,
            attention_heads=attention.heads,
            kv_heads=blocks.kv_heads if blocks else attention.kv_heads,
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
            qk_rope_head_dim=_rotary_width(config) if is_latent else None,
            qk_nope_head_dim=config.required("qk_nope_head_dim") if is_latent else None,
            sliding_window=config.required("sliding_window", "sliding_window_size") if counts.sliding else None,
            linear_attention=recurrent.linear_attention,
            mamba=recurrent.mamba,
            first_mamba=recurrent.first_mamba,
            short_convolution=recurrent.short_convolution,
            vocab_size=config.required("vocab_size", "padded_vocab_size"),
            max_context_tokens=longest_context(config),
            intermediate_size=blocks.width if blocks else feed.width,
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
            native_precision=_tensor_precision(config, is_quantised=is_quantised),
            sources=(reference,),
            note=_note(config),
        )
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            config.fault(".".join(str(part) for part in detail["loc"]), detail["msg"])
        return None
    say_unread(config)
    return facts, layers


def _rotary_width(config: Config) -> int:
    """The part of a compressed key that holds its position: 0 where it is stated so, as keys without positions have it."""
    value = config.get("qk_rope_head_dim")
    return 0 if value == 0 and not isinstance(value, bool) else config.required("qk_rope_head_dim")


def _extra_recurrent(config: Config, hidden_size: int, layers: int) -> Iterator[ExtraWeights]:
    if more := layers * full_rank_gate(config, hidden_size):
        yield ExtraWeights(kind="recurrent", parameters=more, what="whole gates of its linear attention")


def _tied_embeddings(config: Config) -> bool:
    """Whether both embeddings are one; LFM2 spells it in its own way."""
    own = config.get("tie_embedding")
    return own if isinstance(own, bool) else config.get("tie_word_embeddings") is True


def _tensor_precision(config: Config, *, is_quantised: bool) -> Precision | None:
    """Number format of the tensors that no quantisation touches; its file need not say it."""
    dtype = config.text("dtype", "torch_dtype")
    if is_quantised or not dtype:
        if not (is_quantised or dtype):
            config.unclear.append(
                "its config names no number format: taken as 16 bit, in which engines load a checkpoint of 32 bit too"
            )
        return DTYPES.get(dtype, "bf16")
    if dtype not in DTYPES:
        config.fault("torch_dtype", f"{dtype!r} is unknown")
    return DTYPES.get(dtype)


def _note(config: Config) -> str:
    towers = (
        " with its towers" if any(config.sections[name].fields for name in config.sections if "config" in name) else ""
    )
    return f"Parameters counted from the shape{towers}"
