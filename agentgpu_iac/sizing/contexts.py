"""The longest sequence that a release of an engine takes of a model, where releases read its config in two ways."""

from __future__ import annotations

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.versions import before
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.spec.vocabulary import ENGINE_TITLES, Engine


def as_read_by(model: Model, engine: Engine, version: str) -> Model:
    """The model with the longest sequence that a release takes; an unknown version is one of the newest."""
    since = SIZING_PORTS[engine].takes_stated_length_since
    if model.yarn_context_tokens is None or since is None or not before(version, since):
        return model
    return model.model_copy(update={"max_context_tokens": model.yarn_context_tokens})


def length_unasked(model: Model, engine: Engine) -> int:
    """The longest sequence of an engine that is asked for none."""
    original = model.unasked_context_tokens if SIZING_PORTS[engine].starts_at_original_length else None
    return original or model.max_context_tokens


def said_of_yarn(model: Model, engine: Engine, asked_tokens: int) -> str:
    """What to write where YaRN would stretch to a length that the config does not state; nothing where it would not."""
    since = SIZING_PORTS[engine].takes_stated_length_since
    if since is None or model.yarn_context_tokens is None or model.yarn_context_tokens < asked_tokens:
        return ""
    return (
        f"; its YaRN stretches to {model.yarn_context_tokens:,}, which {ENGINE_TITLES[engine]} takes since {since} only where "
        "max_position_embeddings of its config says so: write it there"
    )
