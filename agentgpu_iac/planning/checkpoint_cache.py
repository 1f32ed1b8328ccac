"""The number format of an agent's KV cache, where the spec leaves it to the engine and the checkpoint asks for one."""

from __future__ import annotations

from agentgpu_iac.catalog.checkpoint import cache_dtype
from agentgpu_iac.catalog.model import Model, Option
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.spec.model import Agent


def with_checkpoint_cache(agent: Agent, model: Model, catalog: Catalog) -> Agent:
    """The agent with the cache's format said, so that what is rendered says it too and no other version changes it."""

    def can(option: Option) -> bool:
        return catalog.engine_can(agent.engine, agent.engine_version, option)

    precision = agent.precision or model.native_precision
    found = cache_dtype(agent.kv_cache_dtype, model, precision, can)
    return agent if found == agent.kv_cache_dtype else agent.model_copy(update={"kv_cache_dtype": found})
