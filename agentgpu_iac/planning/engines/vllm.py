"""How vLLM spells what the plan says; version differences are stated where they are.

Every flag below exists in ``vllm serve --help`` of 0.33.0; a test holds the emitted arguments against that list.
"""

from __future__ import annotations

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.planning.engines.settings import (
    LEADER_ADDRESS,
    MODELS_MOUNT,
    PORT,
    WORKER_INDEX,
    EngineSettings,
    quantises_at_load,
)
from agentgpu_iac.sizing.memory import version_tuple
from agentgpu_iac.spec.model import Agent
from agentgpu_iac.spec.vocabulary import Precision

_SHUTDOWN_TIMEOUT_SINCE = (0, 18)
_QUEUE_LIMIT_SINCE = (0, 33)
VLLM_NODES_SINCE = (0, 11, 1)
"""First release with --nnodes, --node-rank and --master-addr, by which its own processes form a replica over nodes."""
_JOIN_TIMEOUT_SINCE = (0, 33)
MASTER_PORT = 29501
"""Where the processes of a replica over several nodes find one another: the engine's own default."""
_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


def vllm_args(settings: EngineSettings) -> tuple[str, ...]:
    """Arguments of ``vllm serve``: the model's directory, then flags in a fixed order."""
    return (*_shared_args(settings), *(_node_args(settings, "0") if settings.nodes > 1 else ()))


def vllm_worker_args(settings: EngineSettings) -> tuple[str, ...]:
    """The same for the other nodes of a replica: no server, only workers of the process that leads. Else nothing."""
    if settings.nodes == 1:
        return ()
    return (*_shared_args(settings), *_node_args(settings, WORKER_INDEX), "--headless")


def _node_args(settings: EngineSettings, rank: str) -> list[str]:
    args = ["--nnodes", str(settings.nodes), "--node-rank", rank]
    args += ["--master-addr", LEADER_ADDRESS, "--master-port", str(MASTER_PORT)]
    if version_tuple(settings.version) >= _JOIN_TIMEOUT_SINCE:
        args += ["--distributed-timeout-seconds", str(settings.join_timeout_s)]
    return args


def _shared_args(settings: EngineSettings) -> list[str]:
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
    return args


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
