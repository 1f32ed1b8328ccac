"""Which of vLLM's two model runners serves a model: they profile their memory differently.

Read in ``VllmConfig.use_v2_model_runner`` of the wheels of 0.20.0 (none) and 0.22.0 to 0.33.0. What a configuration needs
beside (speculation by suffixes, external launchers) may bring the first runner back; that is not counted.
"""

from __future__ import annotations

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.versions import at_least
from agentgpu_iac.spec.vocabulary import Precision

_FOR_ALL_SINCE = "0.29"
"""First release whose second runner serves every model."""
_FOR_DENSE_SINCE = "0.25"
"""First release whose second runner serves every model without experts and recurrent layers."""
_FOR_NAMED = (
    ("0.24", ("qwen3", "llama", "mistral", "deepseek_v2", "qwen2_moe", "granitemoe"), True),
    ("0.23", ("qwen3", "llama", "mistral"), False),
    ("0.22", ("qwen3",), False),
)
"""From a version on: model types that it serves by name, and whether quantised too."""
_NAMED_WITH_EXPERTS = ("deepseek_v2", "qwen2_moe", "granitemoe", "kimi_k3", "longcat")
"""Model types with experts that it serves from 0.25 on all the same (by their beginning)."""
_COUNTS_GRAPHS_SINCE = "0.29"
"""First release whose second runner estimates its graphs; before, it says that they take nothing."""
_SAMPLES_FULLY_SINCE = "0.33"
"""First release whose second runner profiles a pass with 32-bit logits; before, its sampler holds them in 16 bit alone."""
_IN_16_BIT = ("bf16", "fp16")


def runs_second(version: str, model: Model, precision: Precision) -> bool:
    """Whether the second model runner serves the model."""
    if at_least(version, _FOR_ALL_SINCE):
        return True
    if at_least(version, _FOR_DENSE_SINCE):
        if model.layers.recurrent:
            return model.architecture.startswith("kimi_k3")
        return not model.experts or model.architecture.startswith(_NAMED_WITH_EXPERTS)
    for since, named, quantised in _FOR_NAMED:
        if at_least(version, since):
            return model.architecture in named and (quantised or (precision in _IN_16_BIT and not model.experts))
    return False


def counts_graphs(version: str, model: Model, precision: Precision) -> bool:
    """Whether the runner's estimate of its graphs is more than nothing, in releases whose budget holds it."""
    return at_least(version, _COUNTS_GRAPHS_SINCE) or not runs_second(version, model, precision)


def samples_in_16_bit(version: str, model: Model, precision: Precision) -> bool:
    """Whether the profiling run's sampler never makes 32-bit logits."""
    return runs_second(version, model, precision) and not at_least(version, _SAMPLES_FULLY_SINCE)
