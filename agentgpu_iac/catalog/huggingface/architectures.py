"""Which model types are read, and what each means by the fields that its config leaves out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from agentgpu_iac.catalog.huggingface.fields import Json, is_object

ALIASES: Final[Mapping[str, str]] = {
    "baichuan": "llama",
    "bailing_moe": "llama",
    "bailing_moe_v2": "llama",
    "chatglm": "llama",
    "deepseek": "llama",
    "exaone": "llama",
    "internlm2": "llama",
    "kimi_k2": "deepseek_v3",
    "minimax_m3": "minimax_m3_vl_text",
    "mimo": "qwen2",
    "qwen3_omni_moe_text": "qwen3_moe",
}
"""Model types that mean what another means by what they leave out."""

_COMPRESSED: Final = (
    "compressed sparse attention: beside an entry for every 4 or 128 tokens its engine keeps windows and the states of its "
    "compressors in pages of 4 to 64 tokens, for all tokens in flight, in a pool that is not laid out here"
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


@cache
def _published() -> Sequence[Json]:
    """Towers of published models (``published_towers.json``), the narrowest text model first."""
    text = (resources.files("agentgpu_iac.catalog") / "data" / "published_towers.json").read_text(encoding="utf-8")
    return tuple(json.loads(text))


@cache
def harmless_names() -> frozenset[str]:
    """Fields whose numbers, lists and objects carry no weights and no state, read one by one (``harmless_fields.json``)."""
    text = (resources.files("agentgpu_iac.catalog") / "data" / "harmless_fields.json").read_text(encoding="utf-8")
    return frozenset(json.loads(text)["names"])


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerOfType:
    """What an architecture says of a tower."""

    defaults: Json
    """What it means by what the tower's own part leaves out."""
    is_optional: bool
    """Models of the type need not have it."""
    published: Sequence[Json]
    """Shapes that published models have, each up to a width of the text model (``mostTextWidth``), the narrowest first."""

    def assumed(self, text: Json) -> Json | None:
        """The shape of a tower whose part is missing; nothing where there need not be one. ``text`` is the text model's part."""
        width = text.get("hidden_size")
        for row in self.published:
            most, shape = row.get("mostTextWidth"), row.get("shape")
            if is_object(shape) and (not isinstance(most, int) or (isinstance(width, int) and width <= most)):
                has_output = "out_hidden_size" in self.defaults and isinstance(width, int)
                return {**shape, "out_hidden_size": width} if has_output else shape
        return None if self.is_optional else {}


def towers_of_type(model_type: str) -> Mapping[str, TowerOfType]:
    """The towers of an architecture by the name of their part."""
    found = _rows().get(model_type, {}).get("towers")
    towers = found.items() if is_object(found) else ()
    return {
        name: TowerOfType(
            defaults=defaults,
            is_optional=tower.get("isOptional") is True,
            published=tuple(
                row for row in _published() if (row.get("modelType"), row.get("part")) == (model_type, name)
            ),
        )
        for name, tower in towers
        if is_object(tower) and is_object(defaults := tower.get("defaults"))
    }
