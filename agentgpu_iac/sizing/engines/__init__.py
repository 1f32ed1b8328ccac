"""The engines as sizing sees them, by name."""

from collections.abc import Mapping
from types import MappingProxyType

from agentgpu_iac.sizing.engines.ollama import OLLAMA
from agentgpu_iac.sizing.engines.port import SizingPort
from agentgpu_iac.sizing.engines.sglang import SGLANG
from agentgpu_iac.sizing.engines.tensorrt_llm import TENSORRT_LLM
from agentgpu_iac.sizing.engines.tgi import TGI
from agentgpu_iac.sizing.engines.vllm import VLLM
from agentgpu_iac.spec.vocabulary import Engine

__all__ = ("SIZING_PORTS", "SizingPort")

SIZING_PORTS: Mapping[Engine, SizingPort] = MappingProxyType(
    {port.engine: port for port in (VLLM, SGLANG, TENSORRT_LLM, TGI, OLLAMA)}
)
