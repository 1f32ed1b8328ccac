"""How SGLang spells what the plan says.

Facts are from the wheels of 0.5.1, 0.5.6, 0.5.9, 0.5.15 and 0.5.23 on PyPI; a test holds the emitted arguments against
the option list of 0.5.23. A feature that came between two of them counts from the later one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.versions import at_least
from agentgpu_iac.plan import EnvironmentVariable, WeightLoader
from agentgpu_iac.plan.mounts import ENGINE_CACHE_MOUNT, MODELS_MOUNT
from agentgpu_iac.planning.engines.port import EnginePort, Wishes
from agentgpu_iac.planning.engines.settings import (
    DTYPES,
    PORT,
    EngineSettings,
    quantises_at_load,
)
from agentgpu_iac.sizing.memory import is_hybrid
from agentgpu_iac.spec.model import Speculative
from agentgpu_iac.spec.vocabulary import KvCacheDtype, Precision
from agentgpu_iac.units import GB, GIB

_SINCE = "0.5"
_SPECULATION_SINCE = {"ngram": "0.5.6", "draft-model": "0.5.6", "eagle3": "0.5.1", "mtp": "0.5.1"}
_FASTSAFETENSORS_SINCE = "0.5.9"
_STREAMS_SINCE = "0.5.15"
_ATTENTION_DP_SINCE = "0.5.22"
"""First release read whose groups are asked for by a size of their own; the flags before it still work, with a warning."""
_ALGORITHMS = {"ngram": "NGRAM", "draft-model": "STANDALONE", "eagle3": "EAGLE3", "mtp": "NEXTN"}
_LOAD_FORMATS: dict[WeightLoader, str] = {
    "safetensors": "safetensors",
    "fastsafetensors": "fastsafetensors",
    "runai-streamer": "runai_streamer",
}
_KV_DTYPES: dict[KvCacheDtype, str] = {"auto": "auto", "bf16": "bf16", "fp16": "auto", "fp8": "fp8_e4m3"}
_SHARED_STATIC_SHARE = 0.95
"""--mem-fraction-static beside other engines: it must not be what limits the cache, --max-total-tokens is. Free memory
when the engine starts is at least its own need and a fifth of the card, of which 0.95 always holds weights and cache."""
_ROUNDING = 1e-6
_MOVES_KV_SINCE = "0.5.23"
"""First release read whose host memory takes what was asked for, written through as soon as it is computed (arg_groups: its
default), and may be smaller than the accelerator's."""
_MOST_RANKS = 16


def sglang_args(settings: EngineSettings) -> tuple[str, ...]:
    """Arguments of ``python3 -m sglang.launch_server``, in a fixed order."""
    agent, model = settings.agent, settings.model
    args = [
        *("--model-path", f"{MODELS_MOUNT}/{settings.model_path}"),
        *("--served-model-name", agent.name),
        *("--host", "0.0.0.0"),  # noqa: S104 - inside a pod, reached through its Service only
        *("--port", str(PORT)),
        *("--tp-size", str(settings.tensor_parallel * settings.attention_dp)),
        *("--pp-size", str(settings.pipeline_parallel)),
        *_group_args(settings),
        *_precision_args(model, settings.precision),
        *("--kv-cache-dtype", _KV_DTYPES[agent.kv_cache_dtype]),
        *("--context-length", str(settings.max_model_len)),
        *("--max-running-requests", str(settings.max_num_seqs * settings.attention_dp)),
        *("--chunked-prefill-size", str(settings.max_num_batched_tokens * settings.attention_dp)),
        *("--mem-fraction-static", f"{settings.gpu_memory_utilization:g}"),
    ]
    if settings.kv_cache_memory_bytes is not None:
        args += ["--max-total-tokens", str(settings.kv_cache_memory_bytes // settings.kv_bytes_per_token)]
    args.append("--enable-metrics")
    if model.pooling is not None:
        args.append("--is-embedding")
    if parser := settings.tool_parser:
        args += ["--tool-call-parser", parser]
    if parser := settings.reasoning_parser:
        args += ["--reasoning-parser", parser]
    if settings.template_variables is not None:
        args += ["--default-chat-template-kwargs", settings.template_variables]
    if agent.lora_adapters:
        args += _lora_args(settings)
    if agent.speculative is not None:
        args += _speculative_args(agent.speculative, settings.draft_path)
    if agent.kv_offload_gib is not None:
        each_gb = math.floor(agent.kv_offload_gib * GIB / GB / settings.ranks + _ROUNDING)
        args += ["--enable-hierarchical-cache", "--hicache-size", str(each_gb)]
    if settings.loader != "default":
        args += ["--load-format", _LOAD_FORMATS[settings.loader]]
    if agent.trust_remote_code:
        args.append("--trust-remote-code")
    return (*args, *settings.limit_arguments)


def _group_args(settings: EngineSettings) -> list[str]:
    """Attention groups stand inside the tensor-parallel size, and the limits of seats and of a chunk are of all together."""
    args: list[str] = []
    if settings.attention_dp > 1 and at_least(settings.version, _ATTENTION_DP_SINCE):
        args += ["--attn-dp-size", str(settings.attention_dp)]
    elif settings.attention_dp > 1:
        args += ["--dp-size", str(settings.attention_dp), "--enable-dp-attention"]
    return [*args, *(("--ep-size", str(settings.expert_parallel)) if settings.expert_parallel > 1 else ())]


def _precision_args(model: Model, precision: Precision) -> list[str]:
    if quantises_at_load(model, precision):
        return ["--dtype", "auto", "--quantization", "fp8"]
    return ["--dtype", DTYPES.get(precision, "auto")]


def _lora_args(settings: EngineSettings) -> list[str]:
    """A batch may hold every adapter, and requests of the model itself."""
    return [
        "--enable-lora",
        *("--max-loras-per-batch", str(len(settings.lora_ranks))),
        *("--max-lora-rank", str(max(settings.lora_ranks))),
        *("--lora-paths", *settings.lora_modules),
    ]


def _speculative_args(speculative: Speculative, draft_path: str | None) -> list[str]:
    """One chain of drafted tokens, no tree: as many steps as tokens, and one more token to check."""
    args = ["--speculative-algorithm", _ALGORITHMS[speculative.method]]
    if draft_path is not None:
        args += ["--speculative-draft-model-path", f"{MODELS_MOUNT}/{draft_path}"]
    if speculative.method != "ngram":
        args += ["--speculative-num-steps", str(speculative.tokens), "--speculative-eagle-topk", "1"]
    return [*args, "--speculative-num-draft-tokens", str(speculative.tokens + 1)]


def _environment() -> tuple[EnvironmentVariable, ...]:
    """Compiled kernels on the cache volume. Newer versions lead the other caches there by themselves."""
    return (
        EnvironmentVariable(name="SGLANG_CACHE_DIR", value=f"{ENGINE_CACHE_MOUNT}/sglang"),
        EnvironmentVariable(name="SGLANG_DG_CACHE_DIR", value=f"{ENGINE_CACHE_MOUNT}/deep_gemm"),
        EnvironmentVariable(name="FLASHINFER_WORKSPACE_BASE", value=ENGINE_CACHE_MOUNT),
        EnvironmentVariable(name="TORCHINDUCTOR_CACHE_DIR", value=f"{ENGINE_CACHE_MOUNT}/inductor"),
    )


def _has_one_kind_of_layer(model: Model) -> bool:
    """--max-total-tokens fixes the cache only where every layer keeps the same for every token."""
    return not is_hybrid(model)


def _refusals(wishes: Wishes) -> Iterator[str]:
    agent, version = wishes.agent, wishes.version
    if (pooled := wishes.model.pooling) is not None and (pooled.kind != "embedding" or pooled.whole_inputs):
        yield "what SGLang keeps for rerankers, classifiers and models that read an input at once was not read: use vllm"
    if agent.speculative is not None and not at_least(version, _SPECULATION_SINCE[agent.speculative.method]):
        yield f"SGLang {version} has no speculative decoding by {agent.speculative.method}"
    if agent.kv_offload_gib is not None and agent.kv_offload_gib < _MOST_RANKS:
        yield f"SGLang takes whole GB of host memory for each accelerator of a replica: kvOffloadGib needs {_MOST_RANKS} or more"
    if wishes.loader == "fastsafetensors" and not at_least(version, _FASTSAFETENSORS_SINCE):
        yield f"SGLang {version} has no loader fastsafetensors; 0.5.9 and newer have it"
    if wishes.loader == "runai-streamer" and not at_least(version, _STREAMS_SINCE):
        yield f"SGLang {version} has no loader runai-streamer; 0.5.15 and newer have it"
    if unknown := wishes.parsers.tool_calls.unknown(agent.tool_call_parser):
        yield f"SGLang {wishes.parsers.version} has no tool-call parser {unknown}"
    if unknown := wishes.parsers.reasoning.unknown(agent.reasoning_parser):
        yield f"SGLang {wishes.parsers.version} has no reasoning parser {unknown}"


SGLANG = EnginePort(
    name="sglang",
    command=("python3", "-m", "sglang.launch_server"),
    arguments=sglang_args,
    environment=_environment,
    refusals=_refusals,
    planned_since=_SINCE,
    health_path="/health",
    ready_path="/health",
    pipeline_parallel=True,
    fixes_kv_budget=_has_one_kind_of_layer,
    shared_memory_share=_SHARED_STATIC_SHARE,
    streams_unasked_since=None,
    drains_since=_SINCE,
    moves_kv_since=_MOVES_KV_SINCE,
    host_cache_in_gb_each=True,
)
