"""The longest sequence that an engine takes from a config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agentgpu_iac.catalog.huggingface.fields import MOST, Config, Json, is_object

_ALREADY_SCALED: Final = frozenset(
    {
        "su",
        "longrope",
        "llama3",
        "yarn",
        "deepseek_yarn",
        "deepseek_llama_scaling",
        "default",
        "mrope",
        "proportional",
        "",
    }
)
"""Kinds of rotary scaling whose config states the scaled length: engines do not apply the factor again (vLLM 0.33.0,
config/model.py)."""


_MOST_SCALED: Final = 100_000
"""The largest factor of a rotary scaling that is read; published ones stay below a hundred."""


def longest_context(config: Config) -> int:
    """Linear and dynamic scaling lengthen what the config states."""
    stated = config.required("max_position_embeddings", "model_max_length", "max_sequence_length", "seq_length")
    factor = 1.0
    if not config.text("model_type").startswith("gemma3"):  # states the scaled length too
        for rope in _rope_parameters(config):
            kind, by = str(rope.get("rope_type", rope.get("type")) or ""), rope.get("factor")
            if kind in _ALREADY_SCALED or by is None:
                continue
            if isinstance(by, int | float) and 0 < by <= _MOST_SCALED:
                factor = float(by)
            else:
                config.fault("rope_scaling", f"has a factor that is no number above 0 and up to {_MOST_SCALED:,}")
    return max(int(stated * factor), config.integer("model_max_length") or 0)


def context_unasked(config: Config) -> int | None:
    """What vLLM takes where no length is asked for: with LongRoPE the original one (0.33.0, config/model.py), else unset."""
    original = config.integer("original_max_position_embeddings")
    kinds = {rope.get("rope_type", rope.get("type")) for rope in _rope_parameters(config)}
    return original if original and kinds & {"longrope", "su"} and original < longest_context(config) else None


def context_by_yarn(config: Config) -> int | None:
    """The length that YaRN stretches its original one to, where the config states another as the longest.

    Releases of vLLM take this one or the other (``sizing.contexts``). Users who add the scaling to a published config, as
    model cards tell them, leave ``max_position_embeddings`` as it was.
    """
    stated = longest_context(config)
    for rope in _rope_parameters(config):
        original, factor = rope.get("original_max_position_embeddings"), rope.get("factor")
        if rope.get("rope_type", rope.get("type")) != "yarn" or not isinstance(original, int):
            continue
        if isinstance(factor, int | float) and 0 < factor <= _MOST_SCALED and 0 < original <= MOST:
            stretched = int(original * factor)
            return stretched if stretched != stated else None
    return None


def _rope_parameters(config: Config) -> Sequence[Json]:
    """The rotary settings: one for all layers, or one for each kind of layer."""
    for name in ("rope_parameters", "rope_scaling"):
        section = config.section(name).fields
        if section:
            nested = [value for value in section.values() if is_object(value)]
            return nested or [section]
    return ()
