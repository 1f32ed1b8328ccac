"""Keys that other tools have and a spec does not, and where a spec says it.

A name that is merely alike would send its reader astray: ``replicas`` is no ``replicasOutside``. These are looked up first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

_MEANT: Final[Mapping[str, Sequence[str]]] = {
    "which cards may be used stands in spec.accelerators.allow, and how many is planned": (
        ["gpu", "gpus", "gpuType", "gpuCount", "card", "cards", "accelerator"]
    ),
    "budgets stand beside the agent's name: ttftMs, tpotMs, e2eMs, or latencyClass; the percentile that they hold for in "
    "spec.latency.percentile": ["latency", "slo", "slos", "sla", "ttft", "tpot", "responseTime"],
    "replicas follow from sessions.concurrent and sessions.peak; by hand they stand in overrides.baselineReplicas and "
    "overrides.burstReplicas": ["replicas", "minReplicas", "maxReplicas", "instances", "replicaCount"],
    "parallelism is planned; by hand it stands in overrides.tensorParallelSize and overrides.pipelineParallelSize": (
        ["tp", "pp", "tensorParallel", "pipelineParallel", "parallelism"]
    ),
    "the context follows from the turns and tokens of conversation; conversation.maxContextTokens bounds it": (
        ["context", "contextLength", "contextWindow", "contextSize", "maxContext", "maxSeqLen"]
    ),
    "precision says it, kvCacheDtype for the KV cache; or name a model that is quantised already": (
        ["quantization", "quantisation", "quant", "dtype"]
    ),
    "regions that may be used stand in spec.regions": ["region", "zone", "location"],
    "sellers that may be used stand in spec.providers": ["provider", "cloud"],
    "how many talk at once stands in sessions.concurrent, and at the peak in sessions.peak": (
        ["users", "concurrency", "concurrentUsers", "maxConcurrency", "clients"]
    ),
    "conversations a day stand in traffic.conversationsPerDay, requests a second of a model that generates nothing in "
    "requests.perS": ["rps", "qps", "load", "rate", "throughput", "requestsPerSecond", "volume"],
    "engine and engineVersion choose the image, and spec.pins fixes it": ["image", "tag"],
    "what a month may cost stands in spec.capacity.budgetUsdPerMonth; latencies have ttftMs, tpotMs and e2eMs": (
        ["budgets", "cost", "maxCost"]
    ),
    "how long it is stands in conversation.systemPromptTokens; the text itself is your framework's": (
        ["prompt", "systemPrompt", "instructions"]
    ),
    "how long an answer is stands in conversation.outputTokensPerTurn": [
        "maxTokens",
        "outputTokens",
        "maxOutputTokens",
    ],
    "an engine's arguments follow from the plan; the numbers that may be set by hand stand in overrides": (
        ["args", "extraArgs", "command", "env", "vllm"]
    ),
    "tool calls of a turn stand in conversation.toolCalls": ["tools", "functions"],
    "the stack's metadata.name is its namespace": ["namespace"],
    "machines are planned from spec.accelerators.allow; those that are yours stand in spec.capacity.inventory": (
        ["instanceType", "machine", "machines", "machineType", "nodePool", "nodes", "node"]
    ),
    "spec.scaling says how, sessions.peak and traffic how far": ["autoscaling", "hpa", "keda"],
}

_BY_WORD: Final = {word.casefold(): meant for meant, words in _MEANT.items() for word in words}


def meant_by(key: str) -> str:
    """Where a spec says what another tool's key says, by its letters alone; empty for any other key."""
    return _BY_WORD.get(key, "")
