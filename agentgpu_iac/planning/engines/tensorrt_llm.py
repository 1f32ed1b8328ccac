"""How TensorRT-LLM's server, trtllm-serve, spells what the plan says.

Facts are from tensorrt_llm/commands/serve.py at commit 00209af1 (development of 1.2), the KvCacheConfig of llm_args.py and
the documentation of 1.1.0rc5. Only options that stand in both are given as arguments, the tool parser excepted, which is
new in 1.2; the rest goes into the YAML file that the server reads. No wheel of it was read: this is the least checked
engine beside vLLM and SGLang.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.catalog.versions import at_least
from agentgpu_iac.plan import EngineFile, EnvironmentVariable
from agentgpu_iac.plan.mounts import ENGINE_CACHE_MOUNT, MODELS_MOUNT, SETTINGS_MOUNT
from agentgpu_iac.planning.engines.parsers import NO_PARSER
from agentgpu_iac.planning.engines.port import EnginePort, Wishes, never
from agentgpu_iac.planning.engines.settings import (
    DTYPES,
    PORT,
    EngineSettings,
    quantises_at_load,
)

_SINCE = "1.1"
_TOOL_PARSERS_SINCE = "1.2"
_SETTINGS_FILE = "llm-api-options.yaml"


def tensorrt_llm_args(settings: EngineSettings) -> tuple[str, ...]:
    """Arguments of ``trtllm-serve``: the model's directory, then flags in a fixed order."""
    agent = settings.agent
    args = [
        f"{MODELS_MOUNT}/{settings.model_path}",
        *("--host", "0.0.0.0"),  # noqa: S104 - inside a pod, reached through its Service only
        *("--port", str(PORT)),
        *("--backend", "pytorch"),
        *("--tp_size", str(settings.tensor_parallel * settings.attention_dp)),
        *("--pp_size", str(settings.pipeline_parallel)),
        *(("--ep_size", str(settings.expert_parallel)) if settings.expert_parallel > 1 else ()),
        *("--max_batch_size", str(settings.max_num_seqs)),
        *("--max_num_tokens", str(settings.max_num_batched_tokens)),
        *("--max_seq_len", str(settings.max_model_len)),
        *("--kv_cache_free_gpu_memory_fraction", f"{settings.gpu_memory_utilization:g}"),
        *("--extra_llm_api_options", f"{SETTINGS_MOUNT}/{_SETTINGS_FILE}"),
    ]
    if (parser := settings.tool_parser) and at_least(settings.version, _TOOL_PARSERS_SINCE):
        args += ["--tool_parser", parser]
    if parser := settings.reasoning_parser:
        args += ["--reasoning_parser", parser]
    if agent.trust_remote_code:
        args.append("--trust_remote_code")
    return tuple(args)


def _files(settings: EngineSettings) -> tuple[EngineFile, ...]:
    """What has no flag: formats, prompts in chunks (longer ones than a batch are refused without), and metrics.

    The file replaces whole groups of the flags' settings, so the share of the memory stands in it once more.
    """
    dtype = DTYPES.get(settings.precision, "auto")
    kv_dtype = "fp8" if settings.agent.kv_cache_dtype == "fp8" else "auto"
    lines = (
        f"dtype: {dtype}",
        *(("enable_attention_dp: true",) if settings.attention_dp > 1 else ()),
        "enable_chunked_prefill: true",
        "enable_iter_perf_stats: true",
        "return_perf_metrics: true",
        "kv_cache_config:",
        f"  dtype: {kv_dtype}",
        "  enable_block_reuse: true",
        f"  free_gpu_memory_fraction: {settings.gpu_memory_utilization:g}",
    )
    return (EngineFile(name=_SETTINGS_FILE, content="\n".join(lines) + "\n"),)


def _environment() -> tuple[EnvironmentVariable, ...]:
    return (
        EnvironmentVariable(name="FLASHINFER_WORKSPACE_BASE", value=ENGINE_CACHE_MOUNT),
        EnvironmentVariable(name="TORCHINDUCTOR_CACHE_DIR", value=f"{ENGINE_CACHE_MOUNT}/inductor"),
    )


def _model_name(settings: EngineSettings) -> str:
    """The server calls a model by the name of its directory."""
    return settings.model_path


def _refusals(wishes: Wishes) -> Iterator[str]:
    agent, version = wishes.agent, wishes.version
    if wishes.model.pooling is not None:
        yield "how trtllm-serve serves models that generate nothing was not read: use vllm"
    if quantises_at_load(wishes.model, wishes.precision):
        yield "TensorRT-LLM does not make FP8 weights at load: name an FP8 checkpoint as the model"
    sixteen_bit = wishes.precision in ("bf16", "fp16")
    if agent.kv_cache_dtype in ("bf16", "fp16") and not sixteen_bit:
        yield (
            f"TensorRT-LLM takes the cache's format from a checkpoint in {wishes.precision} and has no word for a "
            f"{agent.kv_cache_dtype} cache: leave kvCacheDtype at auto, or fp8"
        )
    if agent.lora_adapters:
        yield "trtllm-serve names LoRA adapters in each request, not by the model's name: they cannot be served as spec'd"
    if agent.speculative is not None:
        yield (
            "TensorRT-LLM takes speculative decoding from its own file, whose words changed between releases and were "
            "not held against one: use engine: vllm or sglang for it"
        )
    if agent.kv_offload_gib is not None:
        yield (
            "whether TensorRT-LLM's host cache counts for a replica or for each of its accelerators is not known: use "
            "engine: vllm or sglang for kvOffloadGib"
        )
    if wishes.loader in ("fastsafetensors", "runai-streamer"):
        yield f"TensorRT-LLM has no loader {wishes.loader}"
    if agent.tool_call_parser not in (None, NO_PARSER) and not at_least(version, _TOOL_PARSERS_SINCE):
        yield f"TensorRT-LLM {version} has no tool parsers; 1.2 and newer have"
    if unknown := wishes.parsers.tool_calls.unknown(agent.tool_call_parser):
        yield f"TensorRT-LLM {wishes.parsers.version} has no tool parser {unknown}"
    if unknown := wishes.parsers.reasoning.unknown(agent.reasoning_parser):
        yield f"no reasoning parser {unknown} of TensorRT-LLM {wishes.parsers.version} is known"


TENSORRT_LLM = EnginePort(
    name="tensorrt-llm",
    command=("trtllm-serve",),
    arguments=tensorrt_llm_args,
    environment=_environment,
    refusals=_refusals,
    planned_since=_SINCE,
    health_path="/health",
    ready_path="/health",
    pipeline_parallel=True,
    fixes_kv_budget=never,
    shared_memory_share=None,
    streams_unasked_since=None,
    drains_since=_SINCE,
    groups_of_one=True,
    files=_files,
    served_model_name=_model_name,
)
