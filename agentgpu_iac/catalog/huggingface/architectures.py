"""Which model types are read, and what each means by the fields that its config leaves out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

from agentgpu_iac.catalog.huggingface.fields import Json, is_object

ALIASES: Final[Mapping[str, str]] = {
    "kimi_k2": "deepseek_v3",
    "minimax_m3": "minimax_m3_vl_text",
    "mimo": "qwen2",
    "qwen3_omni_moe_text": "qwen3_moe",
}
"""Model types that mean what another means by what they leave out."""

_COMPRESSED: Final = (
    "compressed sparse attention, whose cache follows ratios by layer, and a residual stream of several streams"
)
_N_GRAMS: Final = (
    "a table of n-grams, a compressed index of its attention and several residual streams, in formats that its config "
    "does not state"
)
_CONVOLUTIONS: Final = "convolutions and relative positions in every layer, whose state no config states"

REFUSED: Final[Mapping[str, str]] = {
    "deepseek_v4": _COMPRESSED,
    "deepseek_ref": _COMPRESSED,
    "deepseek_v41": _COMPRESSED,
    "qwen4_exp": _N_GRAMS,
    "qwen4_exp_text": _N_GRAMS,
    "hy_v4": "a residual stream of several streams (hyper-connections), which engines lay out in ways that are not known here",
    "glm5_next": "layers that are laid out in ways that are not known here",
    "zamba": "blocks of attention whose weights several layers share",
    "zamba2": "blocks of attention whose weights several layers share, with adapters of their own",
    "longcat_flash": "two attentions and a shortcut of experts in each layer, some of which are no experts",
    "longcat_flash_ngram": "two attentions and a shortcut of experts in each layer, and a table of n-grams",
    "inkling": _CONVOLUTIONS,
    "inkling_text": _CONVOLUTIONS,
    "recurrent_gemma": "recurrent layers of a kind that engines no longer serve",
    "mamba": "no attention at all, and no longest context",
    "mamba2": "no attention at all, and no longest context",
    "falcon_mamba": "no attention at all, and no longest context",
    "phi4mm": "adapters for pictures and sound within its layers, whose sizes its config does not state",
    "phi4_multimodal": "adapters for pictures and sound within its layers, whose sizes its config does not state",
    "rwkv": "recurrent layers of a kind that the engines here do not serve",
    "mllama": "cross attention to pictures, whose cache engines no longer serve",
}
"""Model types that are known and not planned, and why."""


@cache
def _rows() -> Mapping[str, Json]:
    text = (resources.files("agentgpu_iac.catalog") / "data" / "architectures.json").read_text(encoding="utf-8")
    return {row["modelType"]: row for row in json.loads(text)}


def is_known(model_type: str) -> bool:
    """Whether a model type is read."""
    return ALIASES.get(model_type, model_type) in _rows()


def known_types() -> tuple[str, ...]:
    """Every model type that is read, in order."""
    return tuple(sorted({*_rows(), *(name for name in ALIASES if is_known(name))}))


def defaults_of(model_type: str) -> Json:
    """What an architecture means by fields that are not there."""
    row = _rows().get(ALIASES.get(model_type, model_type), {})
    found = row.get("defaults")
    return found if is_object(found) else {}


def text_type_of(model_type: str) -> str | None:
    """The type of the text model in a model with towers, where its config does not say it."""
    found = _rows().get(model_type, {}).get("text")
    return found if isinstance(found, str) else None


def text_changes_of(model_type: str) -> Json:
    """What a model with towers means by fields that its text model leaves out, where the text's own type means others."""
    found = _rows().get(model_type, {}).get("textDefaults")
    return found if is_object(found) else {}


def tower_defaults(model_type: str) -> Mapping[str, tuple[bool, Json]]:
    """The towers of an architecture: whether one is there that is not stated, and what it means by what it leaves out."""
    found = _rows().get(model_type, {}).get("towers")
    towers = found.items() if is_object(found) else ()
    return {
        name: (tower.get("isOptional") is not True, defaults)
        for name, tower in towers
        if is_object(tower) and is_object(defaults := tower.get("defaults"))
    }
