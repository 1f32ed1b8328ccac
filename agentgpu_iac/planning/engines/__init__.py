"""The engines: how each spells what the plan says, one module per engine."""

from agentgpu_iac.planning.engines.settings import (
    MODELS_MOUNT,
    PORT,
    EngineSettings,
    needs_other_checkpoint,
    quantises_at_load,
)
from agentgpu_iac.planning.engines.vllm import VLLM_NODES_SINCE, vllm_args, vllm_worker_args

__all__ = (
    "MODELS_MOUNT",
    "PORT",
    "VLLM_NODES_SINCE",
    "EngineSettings",
    "needs_other_checkpoint",
    "quantises_at_load",
    "vllm_args",
    "vllm_worker_args",
)
