"""Mistral's own spelling of a config (``params.json``), said as a ``config.json`` says it.

Mistral publishes both, or this one alone; engines that read it translate it first (vLLM 0.32.0,
transformers_utils/configs/mistral.py), and so do we. A field that is not translated here stays as it is, and is a fault
where it may carry weights or state, as any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agentgpu_iac.catalog.huggingface.fields import MOST_LAYERS, Json, is_list, is_object

_NAMES: Final[Mapping[str, str]] = {
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "hidden_dim": "intermediate_size",
    "norm_eps": "rms_norm_eps",
    "tied_embeddings": "tie_word_embeddings",
    "activation": "hidden_act",
}
_OF_EXPERTS: Final[Mapping[str, str]] = {
    "num_experts": "n_routed_experts",
    "num_experts_per_tok": "num_experts_per_tok",
    "expert_hidden_dim": "moe_intermediate_size",
    "num_shared_experts": "n_shared_experts",
    "first_k_dense_replace": "first_k_dense_replace",
    "route_every_n": "moe_layer_freq",
    "routed_scale": "routed_scaling_factor",
    "num_expert_groups": "n_group",
    "num_expert_groups_per_tok": "topk_group",
}
_WITHOUT_WEIGHTS: Final = ("expert_parallel", "expert_model_parallel", "renorm_strategy", "use_load_balancing_bias")
_LONGEST_UNSTATED: Final = 128_000
"""The longest context of a file that states none (vLLM, as above)."""


def is_mistral_s_own(config: Json) -> bool:
    """Whether a file is spelled so."""
    return {"dim", "n_layers", "n_heads"} <= config.keys() and "hidden_size" not in config


def as_hugging_face(config: Json) -> dict[str, object]:
    """The same in the fields of a ``config.json``."""
    text = {_NAMES.get(name, name): value for name, value in config.items()}
    if text.get("model_type") == "mamba":
        return {**text, "model_type": "mamba2"}
    experts = text.pop("moe", None)
    text["model_type"] = "mistral"
    if is_object(experts):
        text |= _experts(experts)
    if text.get("qk_nope_head_dim") or text.get("n_shared_experts"):
        text["model_type"] = "mistral4"
    text |= _context(text) | _window(text)
    text.setdefault("tie_word_embeddings", False)
    text.setdefault("dtype", "bfloat16")
    for name in ("llama_4_scaling", "yarn", "max_seq_len", "rope_theta"):
        text.pop(name, None)
    stored = _stored(text.pop("quantization", None) or text.pop("quantization_config", None))
    tower = _tower(text)
    if tower is None:
        return text | stored
    return {
        "model_type": "mistral3",
        "tie_word_embeddings": text["tie_word_embeddings"],
        "dtype": text["dtype"],
        "text_config": text,
        "vision_config": tower,
        **stored,
    }


def own_name(path: str) -> str:
    """What a field of a ``config.json`` is called in Mistral's own file."""
    bare = path.removeprefix("text_config.")
    names = {**{theirs: f"moe.{own}" for own, theirs in _OF_EXPERTS.items()}, **{v: k for k, v in _NAMES.items()}}
    return names.get(bare, bare)


def _experts(experts: Json) -> dict[str, object]:
    """Experts with a shared one as DeepSeek's, others as Mixtral's, which are as wide as the dense layers would be."""
    known = {_OF_EXPERTS[name]: value for name, value in experts.items() if name in _OF_EXPERTS}
    more = {name: value for name, value in experts.items() if name not in (*_OF_EXPERTS, *_WITHOUT_WEIGHTS)}
    left = {"moe": more} if more else {}
    if known.get("n_shared_experts"):
        return {**known, **left}
    mixtral = {"model_type": "mixtral", "num_local_experts": known.pop("n_routed_experts", None)}
    return {**known, **mixtral, **left}


def _context(text: Json) -> dict[str, object]:
    """The shorter of both lengths that may stand there; YaRN's factor is in it already."""
    stated = [value for name in ("max_position_embeddings", "max_seq_len") if isinstance(value := text.get(name), int)]
    return {"max_position_embeddings": min(stated, default=_LONGEST_UNSTATED)}


def _window(text: Json) -> dict[str, object]:
    """One window for all layers, or a list of windows that repeats, in which null is a full layer."""
    window, layers = text.get("sliding_window"), text.get("num_hidden_layers")
    if not is_list(window):
        return {"sliding_window": window}
    if not window or not isinstance(layers, int) or layers % len(window) or layers > MOST_LAYERS:
        return {}
    kinds = ["full_attention" if each is None else "sliding_attention" for each in window]
    return {
        "sliding_window": next((each for each in window if each is not None), None),
        "layer_types": kinds * (layers // len(window)),
    }


def _stored(value: object) -> dict[str, object]:
    """How it is quantised: as compressed-tensors says it, or a word of Mistral's for FP8."""
    if not is_object(value):
        return {} if value is None else {"quantization_config": value}
    if "quant_method" in value or "qformat_weight" not in value:
        return {"quantization_config": value}
    word = str(value.get("qformat_weight"))
    return {"quantization_config": {"quant_method": "fp8" if word == "fp8_e4m3" else f"qformat_weight {word}"}}


def _tower(text: dict[str, object]) -> dict[str, object] | None:
    """The tower for pictures, taken out of the text model."""
    tower = text.pop("vision_encoder", None)
    several = text.get("multimodal")
    if tower is None and is_object(several) and set(several) == {"vision_encoder_args"}:
        tower = several["vision_encoder_args"]
        del text["multimodal"]
    return {"model_type": "pixtral", **tower} if is_object(tower) else None
