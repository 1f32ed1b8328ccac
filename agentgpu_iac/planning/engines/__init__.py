"""The engines: how each spells what the plan says and what it can do, one module per engine.

A version difference stands in the module of its engine. What an engine cannot do is a sentence in its ``refusals``, which
the planner turns into a rejection, so that nothing is silently left out.
"""

from agentgpu_iac.planning.engines.parsers import known_parsers, parsers_in
from agentgpu_iac.planning.engines.port import EnginePort, Wishes
from agentgpu_iac.planning.engines.settings import (
    PORT,
    EngineSettings,
    needs_other_checkpoint,
    quantises_at_load,
)
from agentgpu_iac.planning.engines.sglang import SGLANG
from agentgpu_iac.planning.engines.tensorrt_llm import TENSORRT_LLM
from agentgpu_iac.planning.engines.tgi import TGI
from agentgpu_iac.planning.engines.vllm import VLLM
from agentgpu_iac.spec.vocabulary import Engine

PORTS: dict[Engine, EnginePort] = {port.name: port for port in (VLLM, SGLANG, TENSORRT_LLM, TGI)}
"""Engines that can be planned for a cluster."""

__all__ = (
    "PORT",
    "PORTS",
    "EnginePort",
    "EngineSettings",
    "Wishes",
    "known_parsers",
    "needs_other_checkpoint",
    "parsers_in",
    "quantises_at_load",
)
