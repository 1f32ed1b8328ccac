"""The longest sequence that a release of an engine takes of a model, where releases read its config in two ways."""

from __future__ import annotations

from typing import Final

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.versions import before
from agentgpu_iac.spec.vocabulary import Engine

_STATED_SINCE: Final = "0.30"
"""vLLM took YaRN's original length times its factor for the longest, whatever else the config states; since this release it
takes what the config states (vllm-project/vllm pull request 56446; config/model.py in the wheels of 0.29.0, 0.30.0 and
0.31.0)."""


def as_read_by(model: Model, engine: Engine, version: str) -> Model:
    """The model with the longest sequence that a release takes; an unknown version is one of the newest."""
    if model.yarn_context_tokens is None or engine != "vllm" or not before(version, _STATED_SINCE):
        return model
    return model.model_copy(update={"max_context_tokens": model.yarn_context_tokens})


def length_unasked(model: Model, engine: Engine) -> int:
    """The longest sequence of an engine that is asked for none."""
    return (model.unasked_context_tokens if engine == "vllm" else None) or model.max_context_tokens


def said_of_yarn(model: Model, engine: Engine, asked_tokens: int) -> str:
    """What to write where YaRN would stretch to a length that the config does not state; nothing where it would not."""
    if engine != "vllm" or model.yarn_context_tokens is None or model.yarn_context_tokens < asked_tokens:
        return ""
    return (
        f"; its YaRN stretches to {model.yarn_context_tokens:,}, which vLLM takes since {_STATED_SINCE} only where "
        "max_position_embeddings of its config says so: write it there"
    )
