"""How an engine spells what the plan says: one function per engine, version differences stated where they are.

Every flag below exists in ``vllm serve --help`` of 0.33.0; a test holds the emitted arguments against that list.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.sizing.memory import version_tuple
from agentgpu_iac.spec.model import Agent
from agentgpu_iac.spec.vocabulary import Precision

MODELS_MOUNT = "/models"
"""Where the node's model cache appears in the engine's container."""
PORT = 8000

_SHUTDOWN_TIMEOUT_SINCE = (0, 18)
_QUEUE_LIMIT_SINCE = (0, 33)
_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What the plan decided for one engine process."""

    agent: Agent
    model: Model
    version: str
    model_path: str
    """Directory of the model below the cache's mount point."""
    adapter_paths: tuple[str, ...]
    """Directories of the LoRA adapters, in the order of the agent's list."""
    tensor_parallel: int
    pipeline_parallel: int
    precision: Precision
    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    gpu_memory_utilization: float
    """Share of the accelerator that must be free when the engine starts; also its budget unless the KV cache is fixed."""
    kv_cache_memory_bytes: int | None
    shutdown_timeout_s: int
    max_queued_requests: int | None
    ttft_edges_s: tuple[float, ...]
    tpot_edges_s: tuple[float, ...]
    """Bucket edges of the two histograms; empty: the engine's own."""


def vllm_args(settings: EngineSettings) -> tuple[str, ...]:
    """Arguments of ``vllm serve``: the model's directory, then flags in a fixed order."""
    agent, model, version = settings.agent, settings.model, version_tuple(settings.version)
    args = [
        f"{MODELS_MOUNT}/{settings.model_path}",
        *("--served-model-name", agent.name),
        *("--host", "0.0.0.0"),  # noqa: S104 - inside a pod, reached through its Service only
        *("--port", str(PORT)),
        *("--tensor-parallel-size", str(settings.tensor_parallel)),
        *("--pipeline-parallel-size", str(settings.pipeline_parallel)),
        *_precision_args(model, settings.precision),
        *("--kv-cache-dtype", {"auto": "auto", "bf16": "bfloat16", "fp16": "auto", "fp8": "fp8"}[agent.kv_cache_dtype]),
        *("--max-model-len", str(settings.max_model_len)),
        *("--max-num-seqs", str(settings.max_num_seqs)),
        *("--max-num-batched-tokens", str(settings.max_num_batched_tokens)),
    ]
    args += ["--gpu-memory-utilization", f"{settings.gpu_memory_utilization:g}"]
    if settings.kv_cache_memory_bytes is not None:
        args += ["--kv-cache-memory-bytes", str(settings.kv_cache_memory_bytes)]
    if agent.conversation.tool_calls.per_turn and model.tool_call_parser:
        args += ["--enable-auto-tool-choice", "--tool-call-parser", model.tool_call_parser]
    if model.reasoning_parser:
        args += ["--reasoning-parser", model.reasoning_parser]
    if agent.lora_adapters:
        args += _lora_args(agent, settings.adapter_paths)
    if agent.trust_remote_code:
        args.append("--trust-remote-code")
    if version >= _SHUTDOWN_TIMEOUT_SINCE:
        args += ["--shutdown-timeout", str(settings.shutdown_timeout_s)]
    if version >= _QUEUE_LIMIT_SINCE and settings.max_queued_requests is not None:
        args += ["--max-num-queued-reqs", str(settings.max_queued_requests)]
    edges = {"time_to_first_token": settings.ttft_edges_s, "inter_token_latency": settings.tpot_edges_s}
    if own := {family: list(values) for family, values in edges.items() if values}:
        args += ["--custom-histogram-buckets", json.dumps(own, separators=(",", ":"))]
    return tuple(args)


def quantises_at_load(model: Model, precision: Precision) -> bool:
    """Whether the engine makes the precision itself from the published checkpoint (bf16 or fp16 to FP8 only)."""
    return precision == "fp8" and model.native_precision in ("bf16", "fp16")


def needs_other_checkpoint(model: Model, precision: Precision) -> bool:
    """Whether the precision needs a checkpoint other than the one published under the model's id."""
    same_width = {precision, model.native_precision} <= {"bf16", "fp16"}
    return precision != model.native_precision and not same_width and not quantises_at_load(model, precision)


def _precision_args(model: Model, precision: Precision) -> list[str]:
    if quantises_at_load(model, precision):
        return ["--dtype", "auto", "--quantization", "fp8"]
    return ["--dtype", {"bf16": "bfloat16", "fp16": "float16"}.get(precision, "auto")]


def _lora_args(agent: Agent, adapter_paths: tuple[str, ...]) -> list[str]:
    rank = max(adapter.rank for adapter in agent.lora_adapters)
    slots = next(size for size in _LORA_RANKS if size >= rank)
    modules = [
        f"{adapter.name}={MODELS_MOUNT}/{path}"
        for adapter, path in zip(agent.lora_adapters, adapter_paths, strict=True)
    ]
    return [
        "--enable-lora",
        "--max-loras",
        str(len(modules)),
        "--max-lora-rank",
        str(slots),
        "--lora-modules",
        *modules,
    ]
