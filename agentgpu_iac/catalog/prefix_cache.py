"""Whether an engine keeps the context of a session between its requests, which the hit ratio of the plan counts on."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.spec.vocabulary import Engine

PrefixCache = Literal["by-default", "when-told", "never"]


def prefix_cache(engine: Engine, version: str, model: Model, catalog: Catalog) -> PrefixCache:
    """How the engine has to be asked to cache prefixes of the model.

    Every engine that is planned caches those of models whose layers all attend. The state of recurrent layers cannot be cut
    at any token, so that an engine needs a cache made for it.
    """
    if not model.layers.recurrent:
        return "by-default"
    if catalog.engine_can(engine, version, "hybrid-prefix-caching-by-default", model.architecture):
        return "by-default"
    if catalog.engine_can(engine, version, "hybrid-prefix-caching", model.architecture):
        return "when-told"
    return "never"
