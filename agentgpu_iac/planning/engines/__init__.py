"""The engines: how each spells what the plan says and what it can do, one module per engine.

A version difference stands in the module of its engine. What an engine cannot do is a sentence in its ``refusals``, which
the planner turns into a rejection, so that nothing is silently left out.
"""

from agentgpu_iac.planning.engines.port import EnginePort, Wishes
from agentgpu_iac.planning.engines.settings import (
    ENGINE_CACHE_MOUNT,
    MODELS_MOUNT,
    PORT,
    SETTINGS_MOUNT,
    EngineSettings,
    needs_other_checkpoint,
    quantises_at_load,
    reasoning_parser,
    tool_call_parser,
)
from agentgpu_iac.planning.engines.vllm import VLLM, vllm_args
from agentgpu_iac.spec.vocabulary import Engine

PORTS: dict[Engine, EnginePort] = {port.name: port for port in (VLLM,)}
"""Engines that can be planned for a cluster."""

__all__ = (
    "ENGINE_CACHE_MOUNT",
    "MODELS_MOUNT",
    "PORT",
    "PORTS",
    "SETTINGS_MOUNT",
    "EnginePort",
    "EngineSettings",
    "Wishes",
    "needs_other_checkpoint",
    "quantises_at_load",
    "reasoning_parser",
    "tool_call_parser",
    "vllm_args",
)
