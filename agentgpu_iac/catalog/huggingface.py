"""The shape of a local model, read from its Hugging Face ``config.json``. Nothing is fetched from anywhere.

Config files differ in spelling from architecture to architecture, and leave out what equals the defaults of a library.
Each function below reads one aspect. What a file does not say is a fault that names the missing field, and an attention
that cannot be accounted for is a fault too: a wrong shape would give a plan that does not fit its machines.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeGuard

from pydantic import ValidationError

from agentgpu_iac.catalog import encoders, shapes
from agentgpu_iac.catalog.kinds import not_planned, other_kind_by_class
from agentgpu_iac.catalog.model import LayerCounts, LinearAttention, Mamba, Model, ModelFacts
from agentgpu_iac.catalog.parameters import active_parameter_count, parameter_count
from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.spec.vocabulary import Precision
from agentgpu_iac.units import ceil_div

FAMILY = "local"
"""Publisher of a model that is known by its file alone."""

TEXT_CONFIGS = ("text_config", "llm_config", "language_config")
"""Where models with towers for pictures and sound keep the shape of their text model."""

LayerKind = Literal["full", "sliding", "recurrent", "stateless"]

LAYER_KINDS: Mapping[str, LayerKind] = {
    "full_attention": "full",
    "attention": "full",
    "chunked_attention": "full",  # engines keep the whole cache unless told otherwise
    "sliding_attention": "sliding",
    "linear_attention": "recurrent",
    "mamba": "recurrent",
    "mamba2": "recurrent",
    "mlp": "stateless",
    "moe": "stateless",
}
"""Words of ``layer_types`` and ``layers_block_type``."""

PATTERN_KINDS: Mapping[str, LayerKind] = {"*": "full", "M": "recurrent", "-": "stateless", "E": "stateless"}
"""Letters of ``hybrid_override_pattern``."""

SLIDING_PATTERNS: Mapping[str, int] = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "gpt_oss": 2, "cohere2": 4}
"""Model types that alternate without saying so: one layer in so many is full, the others slide."""

UNACCOUNTED: Mapping[str, str] = {
    "compress_ratios": "compressed sparse attention",
    "block_configs": "layers that differ from each other (architecture search)",
    "attn_layer_period": "Mamba layers of the first generation",
    "hidden_size_per_layer_input": "embeddings per layer",
    "num_kv_shared_layers": "layers that share their cache",
}
"""Fields that, where set, tell of a shape that the formulas do not cover."""

DTYPES: Mapping[str, Precision] = {"bfloat16": "bf16", "float16": "fp16", "float32": "bf16"}
"""Number formats of unquantised checkpoints as engines load them: 32-bit ones are loaded in 16 bit."""

Json = Mapping[str, object]


def model_from_config(text: str, reference: str, pooling_text: str = "") -> Model:
    """Read the shape of a model from the text of its ``config.json``.

    Args:
        text: Content of the file.
        reference: What the user calls the model; it becomes the model's id, and the source of its facts and faults.
        pooling_text: Content of sentence-transformers' ``1_Pooling/config.json`` beside it; empty without one.

    Raises:
        BadInput: the text is no JSON object, lacks fields (names all of them), or describes an attention, a layer or a
            quantisation that cannot be accounted for.
    """
    parsed = _parsed(text, reference)
    _refuse_other_kinds(parsed, reference)
    pooling_config = _parsed(pooling_text, reference) if pooling_text else {}
    if encoders.is_encoder(parsed):
        return shapes.model(encoders.encoder_facts(parsed, reference, pooling_config)).model_copy(
            update={"is_local": True}
        )
    config = _Config(_language_model(parsed, reference))
    facts = _facts(config, reference)
    if config.faults or facts is None:
        raise BadInput(Fault(source=reference, path=path, message=message) for path, message in config.faults)
    try:
        pooling = encoders.decoder_pooling(parsed, pooling_config)
        if pooling is not None:  # nothing is generated: there is no output matrix
            facts = facts.model_copy(update={"pooling": pooling, "tied_embeddings": True})
        counted = {"params_total": parameter_count(facts), "params_active": active_parameter_count(facts)}
        return shapes.model(facts.model_copy(update=counted)).model_copy(update={"is_local": True})
    except shapes.UnsizableError as reason:
        raise BadInput.one(reference, f"the model cannot be sized: {reason}") from reason


def _refuse_other_kinds(config: Json, reference: str) -> None:
    classes = config.get("architectures")
    for name in classes if _is_list(classes) else ():
        if kind := other_kind_by_class(str(name)):
            raise BadInput.one(reference, not_planned(reference, kind), path="architectures")


def _parsed(text: str, reference: str) -> Json:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput.one(reference, f"is not JSON: {error}") from error
    if not _is_object(data):
        raise BadInput.one(reference, "is not a Hugging Face config: a JSON object is expected")
    return data


def _language_model(config: Json, reference: str) -> Json:
    """The config of the text model; what it does not say itself holds from the config around it."""
    for name in TEXT_CONFIGS:
        inner = config.get(name)
        if _is_object(inner):
            return {**config, **_language_model(inner, reference)}
    return config


def _is_object(value: object) -> TypeGuard[Json]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list)


@dataclass(frozen=True, slots=True)
class _Config:
    """A config and the faults found in it so far: (path, message)."""

    fields: Json
    faults: list[tuple[str, str]] = field(default_factory=list)

    def integer(self, *names: str) -> int | None:
        """The first of these fields that is set; a fault where it is no positive whole number. 0 counts as unset."""
        for name in names:
            value = self.fields.get(name)
            if value is None or value == 0:
                continue
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
            self.fault(name, "must be a positive whole number")
            return None
        return None

    def required(self, *names: str) -> int:
        """As ``integer``, but a fault where none is set; 1 stands in, so that further faults are found."""
        value = self.integer(*names)
        if value is None and not any(path in names for path, _ in self.faults):
            self.fault(names[0], "is missing")
        return value or 1

    def section(self, name: str) -> Json:
        """A nested object; empty where it is unset."""
        value = self.fields.get(name)
        return value if _is_object(value) else {}

    def text(self, *names: str) -> str:
        """The first of these fields that is text; empty where none is."""
        return next((value for name in names if isinstance(value := self.fields.get(name), str)), "")

    def fault(self, path: str, message: str) -> None:
        """Note a fault."""
        self.faults.append((path, message))


def _facts(config: _Config, reference: str) -> ModelFacts | None:
    """Everything that sizing needs; nothing where the facts contradict each other."""
    _refuse_unaccounted(config)
    layer_count = config.required("num_hidden_layers")
    hidden_size = config.required("hidden_size")
    heads = config.required("num_attention_heads")
    experts = config.integer("num_experts", "num_local_experts", "n_routed_experts")
    expert_width = config.integer("moe_intermediate_size") if experts else None
    width = config.integer("intermediate_size_mlp", "intermediate_size")
    if width is None and expert_width is None:
        config.required("intermediate_size")
    is_mla = config.integer("kv_lora_rank") is not None
    kv_heads = config.integer("num_key_value_heads") or heads
    if heads % kv_heads:
        config.fault("num_key_value_heads", f"is {kv_heads}, which does not divide the {heads} attention heads")
    head_dim = _head_dim(config, hidden_size, heads, is_mla=is_mla)
    # Gemma 4 gives the sliding layers the plain fields and the full ones fields of their own; MiMo the other way round.
    is_global_apart = config.integer("global_head_dim") is not None
    layers = _layers(config, layer_count)
    try:
        return ModelFacts(
            id=reference,
            family=FAMILY,
            architecture=config.text("model_type") or None,
            layers=layers,
            hidden_size=hidden_size,
            attention_heads=heads,
            kv_heads=config.integer("num_global_key_value_heads") or kv_heads,
            head_dim=config.integer("global_head_dim") or head_dim,
            value_head_dim=config.integer("v_head_dim"),
            sliding_kv_heads=kv_heads if is_global_apart else config.integer("swa_num_key_value_heads"),
            sliding_head_dim=head_dim if is_global_apart else config.integer("swa_head_dim"),
            kv_lora_rank=config.integer("kv_lora_rank"),
            q_lora_rank=config.integer("q_lora_rank"),
            qk_rope_head_dim=config.required("qk_rope_head_dim") if is_mla else None,
            qk_nope_head_dim=config.required("qk_nope_head_dim") if is_mla else None,
            sliding_window=_sliding_window(config) if layers.sliding else None,
            linear_attention=_linear_attention(config) if layers.recurrent else None,
            mamba=_mamba(config, hidden_size) if layers.recurrent and not _has_linear_attention(config) else None,
            vocab_size=config.required("vocab_size"),
            max_context_tokens=_longest_context(config),
            intermediate_size=width,
            moe_intermediate_size=expert_width or (config.integer("intermediate_size") if experts else None),
            expert_input_size=config.integer("moe_latent_size") if experts else None,
            experts=experts,
            experts_per_token=_experts_per_token(config, experts) if experts else None,
            shared_experts=_shared_experts(config, expert_width or width) if experts else None,
            dense_layers=_dense_layers(config, layer_count) if experts else None,
            tied_embeddings=_tied_embeddings(config),
            native_precision=_native_precision(config),
            sources=(reference,),
            note="Parameters counted from the shape of the text model",
        )
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            config.fault(".".join(str(part) for part in detail["loc"]), detail["msg"])
        return None


def _refuse_unaccounted(config: _Config) -> None:
    for name, what in UNACCOUNTED.items():
        if config.fields.get(name):
            config.fault(name, f"tells of {what}: the memory of such a model cannot be computed here")


def _head_dim(config: _Config, hidden_size: int, heads: int, *, is_mla: bool) -> int:
    """Width of a key head: given, or both parts of an MLA key, or the hidden size spread over the heads."""
    if is_mla:
        return (config.integer("qk_nope_head_dim") or 0) + (config.integer("qk_rope_head_dim") or 0) or 1
    return config.integer("head_dim") or max(1, hidden_size // heads)


def _layers(config: _Config, layer_count: int) -> LayerCounts:
    """Count the layers by kind, from whichever field tells, in the order of how explicit they are."""
    kinds = (
        _listed_kinds(config)
        or _pattern_kinds(config)
        or _kimi_kinds(config)
        or _swapped_kinds(config)
        or _interval_kinds(config, layer_count)
        or _sliding_kinds(config, layer_count)
        or Counter[LayerKind]({"full": layer_count})
    )
    if sum(kinds.values()) != layer_count and not config.faults:
        config.fault("num_hidden_layers", f"is {layer_count}, but {sum(kinds.values())} layers are described")
    return LayerCounts(
        full=kinds["full"], sliding=kinds["sliding"], recurrent=kinds["recurrent"], stateless=kinds["stateless"]
    )


def _listed_kinds(config: _Config) -> Counter[LayerKind] | None:
    """A word per layer."""
    for name in ("layer_types", "layers_block_type"):
        words = config.fields.get(name)
        if _is_list(words) and words:
            return _known_kinds(config, name, [str(word) for word in words], LAYER_KINDS)
    return None


def _pattern_kinds(config: _Config) -> Counter[LayerKind] | None:
    """A letter per layer, as in Nemotron-H."""
    pattern = config.text("hybrid_override_pattern")
    return _known_kinds(config, "hybrid_override_pattern", pattern, PATTERN_KINDS) if pattern else None


def _known_kinds(
    config: _Config, name: str, words: Sequence[str], kinds: Mapping[str, LayerKind]
) -> Counter[LayerKind]:
    for unknown in sorted(set(words) - set(kinds)):
        config.fault(name, f"layers of the kind {unknown!r} are unknown: their memory cannot be computed")
    return Counter(kinds[word] for word in words if word in kinds)


def _kimi_kinds(config: _Config) -> Counter[LayerKind] | None:
    """Lists of layer numbers, as in Kimi Linear."""
    lists = config.section("linear_attn_config")
    full, recurrent = lists.get("full_attn_layers"), lists.get("kda_layers")
    if not (_is_list(full) and _is_list(recurrent)):
        return None
    return Counter({"full": len(full), "recurrent": len(recurrent)})


def _swapped_kinds(config: _Config) -> Counter[LayerKind] | None:
    """A 1 per sliding layer and a 0 per full one, as in MiMo."""
    marks = config.fields.get("hybrid_layer_pattern")
    if not _is_list(marks):
        return None
    return Counter("sliding" if mark == 1 else "full" for mark in marks)


def _interval_kinds(config: _Config, layer_count: int) -> Counter[LayerKind] | None:
    """Every so many layers one of full attention, the others linear, as in Qwen3-Next."""
    interval = config.integer("full_attention_interval")
    if interval is None:
        return None
    full = layer_count // interval
    return Counter({"full": full, "recurrent": layer_count - full})


def _sliding_kinds(config: _Config, layer_count: int) -> Counter[LayerKind] | None:
    """A window that is in use, and the layers that it applies to."""
    window = config.integer("sliding_window")
    context = config.integer("max_position_embeddings")
    if window is None or config.fields.get("use_sliding_window") is False or (context and window >= context):
        return None
    pattern = config.integer("sliding_window_pattern") or SLIDING_PATTERNS.get(config.text("model_type"))
    full = layer_count // pattern if pattern else min(layer_count, config.integer("max_window_layers") or 0)
    return Counter({"full": full, "sliding": layer_count - full})


def _sliding_window(config: _Config) -> int:
    return config.required("sliding_window", "sliding_window_size")


def _has_linear_attention(config: _Config) -> bool:
    return bool(config.section("linear_attn_config")) or config.integer("linear_num_value_heads") is not None


def _linear_attention(config: _Config) -> LinearAttention | None:
    """The shape of linear-attention layers; nothing where the recurrent layers are Mamba's."""
    if not _has_linear_attention(config):
        return None
    kimi = _Config(config.section("linear_attn_config"), config.faults)
    if kimi.fields:
        heads, width = kimi.required("num_heads"), kimi.required("head_dim")
        return LinearAttention(
            key_heads=heads,
            value_heads=heads,
            key_head_dim=width,
            value_head_dim=width,
            kernel=kimi.required("short_conv_kernel_size"),
        )
    return LinearAttention(
        key_heads=config.required("linear_num_key_heads"),
        value_heads=config.required("linear_num_value_heads"),
        key_head_dim=config.required("linear_key_head_dim"),
        value_head_dim=config.required("linear_value_head_dim"),
        kernel=config.required("linear_conv_kernel_dim"),
    )


def _mamba(config: _Config, hidden_size: int) -> Mamba:
    """The shape of Mamba-2 layers. A head width of ``auto`` spreads the expanded hidden size over the heads."""
    heads = config.required("mamba_num_heads", "mamba_n_heads")
    if config.fields.get("mamba_d_head") == "auto":
        head_dim = config.required("mamba_expand") * hidden_size // heads
    else:
        head_dim = config.required("mamba_head_dim", "mamba_d_head")
    return Mamba(
        heads=heads,
        head_dim=max(1, head_dim),
        state_size=config.required("ssm_state_size", "mamba_d_state"),
        groups=config.required("n_groups", "mamba_n_groups"),
        kernel=config.required("conv_kernel", "mamba_d_conv"),
    )


_ALREADY_SCALED = frozenset(
    {"su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling", "default", "mrope", ""}
)
"""Kinds of rotary scaling whose config states the scaled length: engines do not apply the factor again (vLLM 0.33.0,
config/model.py)."""


def _longest_context(config: _Config) -> int:
    """The longest sequence that an engine takes from this config: linear and dynamic scaling lengthen what it states."""
    stated = config.required("max_position_embeddings", "model_max_length", "max_sequence_length")
    factor = 1.0
    if not config.text("model_type").startswith("gemma3"):  # states the scaled length too
        for rope in _rope_parameters(config):
            kind, by = rope.get("rope_type", rope.get("type", "")), rope.get("factor")
            if kind not in _ALREADY_SCALED and isinstance(by, int | float) and by > 0:
                factor = float(by)
    return max(int(stated * factor), config.integer("model_max_length") or 0)


def _rope_parameters(config: _Config) -> Sequence[Json]:
    """The rotary settings: one for all layers, or one for each kind of layer."""
    for name in ("rope_parameters", "rope_scaling"):
        section = config.section(name)
        if section:
            nested = [value for value in section.values() if _is_object(value)]
            return nested or [section]
    return ()


def _experts_per_token(config: _Config, experts: int) -> int:
    used = config.required("num_experts_per_tok", "num_experts_per_token", "moe_topk")
    if used > experts:
        config.fault("num_experts_per_tok", f"is {used}, more than the {experts} experts that there are")
    return used


def _shared_experts(config: _Config, expert_width: int | None) -> int:
    """Shared experts in units of a routed one: by number, or by their width.

    Gemma 4 runs a dense feed-forward beside the experts of every layer; that is a shared expert under another name.
    """
    beside = ("intermediate_size",) if config.text("model_type").startswith("gemma4") else ()
    shared_width = config.integer(
        "shared_expert_intermediate_size", "moe_shared_expert_intermediate_size", "shared_intermediate_size", *beside
    )
    if shared_width is not None and expert_width:
        return ceil_div(shared_width, expert_width)
    by_number = config.integer("n_shared_experts", "num_shared_experts")
    return by_number or (1 if config.text("model_type").startswith("llama4") else 0)


def _dense_layers(config: _Config, layer_count: int) -> int:
    """Layers without experts: at the start, listed, or all but every so many."""
    listed = config.fields.get("mlp_only_layers")
    step = config.integer("decoder_sparse_step", "interleave_moe_layer_step") or 1
    leading = config.integer("first_k_dense_replace", "num_dense_layers") or 0
    interleaved = layer_count - layer_count // step
    return min(layer_count, max(leading, interleaved, len(listed) if _is_list(listed) else 0))


def _tied_embeddings(config: _Config) -> bool:
    """Whether both embeddings are one; unset means so for Gemma alone."""
    tied = config.fields.get("tie_word_embeddings")
    return config.text("model_type").startswith("gemma") if tied is None else tied is True


def _native_precision(config: _Config) -> Precision | None:
    """Number format of the checkpoint: that of the quantisation, else that of the tensors."""
    quantization = config.section("quantization_config")
    if quantization:
        return _quantized_precision(config, quantization)
    dtype = config.text("dtype", "torch_dtype")
    if dtype not in DTYPES:
        config.fault("torch_dtype", f"{dtype!r} is unknown" if dtype else "is missing")
    return DTYPES.get(dtype)


def _quantized_precision(config: _Config, quantization: Json) -> Precision | None:
    """What a quantisation stores weights in, by its method and the settings that this method knows."""
    method = str(quantization.get("quant_method", ""))
    read = PRECISION_OF_METHOD.get(method)
    precision = read(quantization) if read else None
    if precision is None:
        config.fault("quantization_config", f"the quantisation {method or 'without a method'!r} is unknown")
    return precision


def _by_bits(quantization: Json) -> Precision | None:
    """AWQ, GPTQ and the like: integers of so many bits."""
    return INTEGERS.get(str(quantization.get("bits", quantization.get("w_bit"))))


def _bitsandbytes(quantization: Json) -> Precision:
    return "int4" if quantization.get("load_in_4bit") else "int8"


def _modelopt(quantization: Json) -> Precision | None:
    return MODELOPT_FORMATS.get(str(quantization.get("quant_algo")).upper())


def _compressed_tensors(quantization: Json) -> Precision | None:
    """The first group of weights decides, by type and number of bits."""
    groups = quantization.get("config_groups")
    for group in groups.values() if _is_object(groups) else ():
        weights = group.get("weights") if _is_object(group) else None
        if _is_object(weights):
            return WEIGHT_FORMATS.get((str(weights.get("type")), str(weights.get("num_bits"))))
    return None


INTEGERS: Mapping[str, Precision] = {"4": "int4", "8": "int8"}
MODELOPT_FORMATS: Mapping[str, Precision] = {"FP8": "fp8", "NVFP4": "nvfp4", "W4A16_AWQ": "int4"}
WEIGHT_FORMATS: Mapping[tuple[str, str], Precision] = {
    ("float", "8"): "fp8",
    ("float", "4"): "nvfp4",
    ("int", "8"): "int8",
    ("int", "4"): "int4",
}
PRECISION_OF_METHOD: Mapping[str, Callable[[Json], Precision | None]] = {
    "fp8": lambda _: "fp8",
    "fbgemm_fp8": lambda _: "fp8",
    "mxfp4": lambda _: "mxfp4",
    "awq": _by_bits,
    "gptq": _by_bits,
    "bitsandbytes": _bitsandbytes,
    "modelopt": _modelopt,
    "compressed-tensors": _compressed_tensors,
}
