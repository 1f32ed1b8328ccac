"""How vLLM spells what the plan says; version differences are stated where they are.

Every flag below exists in ``vllm serve --help`` of 0.33.0; a test holds the emitted arguments against that list.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.versions import at_least
from agentgpu_iac.plan import EnvironmentVariable, WeightLoader
from agentgpu_iac.plan.mounts import ENGINE_CACHE_MOUNT, MODELS_MOUNT
from agentgpu_iac.planning.engines.port import EnginePort, Wishes, always, first_agent
from agentgpu_iac.planning.engines.settings import (
    DTYPES,
    LEADER_ADDRESS,
    PORT,
    WORKER_INDEX,
    EngineSettings,
    quantises_at_load,
)
from agentgpu_iac.sizing.kv_cache import V1_FIRST_VERSION
from agentgpu_iac.sizing.paging import must_be_told_to_align
from agentgpu_iac.spec.model import Speculative
from agentgpu_iac.spec.vocabulary import Precision

_SHUTDOWN_TIMEOUT_SINCE = "0.18"
_FIXED_KV_SINCE = "0.10.2"
_EDGES_SINCE = "0.32"
_BF16_CACHE_SINCE = "0.11"
"""First release read whose --kv-cache-dtype takes bfloat16."""
_SPECULATION_SINCE = {"ngram": "0.11", "eagle3": "0.11", "mtp": "0.11", "draft-model": "0.17"}
"""First version of the catalog that has the method: SpeculativeConfig of the wheels of 0.11.0, 0.17.0, 0.19.0, 0.22.0 and
0.33.0. 0.11.0 names draft_model and refuses it."""
_KV_OFFLOAD_SINCE = "0.11.1"
_MOVES_KV_SINCE = "0.17"
"""First release whose host memory for moved KV cache is known (catalog: engine_host_memory)."""
_MOVES_PROMPTS_ALONE_SINCE = "0.23"
"""First release after 0.22.0, which moved all; the wheels of 0.26.0, 0.28.0 and 0.33.0 leave out what was generated
(v1/kv_offload/base.py: offload_prompt_only; pull 43797)."""
_STREAMS_SINCE = "0.8.4"
"""First release read with both runai_streamer and fastsafetensors among its load formats."""
_STREAMS_BUCKETS_SINCE = "0.22"
"""First release read whose model may be s3://bucket/folder and whose ranks share the reading (``distributed``): 0.22.0, 0.26.0
to 0.33.0. It takes config, tokenizer and code from the folder as well (ModelConfig.maybe_pull_model_tokenizer_for_runai)."""
_LOAD_FORMATS: dict[WeightLoader, str] = {
    "safetensors": "safetensors",
    "fastsafetensors": "fastsafetensors",
    "runai-streamer": "runai_streamer",
}
_SPECULATION_METHODS = {"ngram": "ngram", "draft-model": "draft_model", "eagle3": "eagle3", "mtp": "mtp"}
_NODES_SINCE = "0.11.1"
"""First release with --nnodes, --node-rank and --master-addr, by which its own processes form a replica over nodes."""
_TEXT_ONLY_SINCE = "0.17"
"""First release read with --language-model-only; 0.16.0 has --limit-mm-per-prompt alone, which says the same by kind."""
_JOIN_TIMEOUT_SINCE = "0.18"
_POOLING_SINCE = "0.11"
"""First release read with --runner and --convert whose only engine is V1: 0.10.2 has both flags and still the engine V0 beside
it, 0.10.0 has --task. What is not read of older ones is not planned."""
_NOT_IN_FP16 = ("gemma2", "gemma3", "gemma3_text", "glm4")
"""Model types that --dtype float16 ends at start (0.32.0: config/model.py, _FLOAT16_NOT_SUPPORTED_MODELS)."""
_TAKES_NO_ADAPTERS = ("gemma3n", "kimi_linear", "ling3", "mimo_v2", "mimo_v2_flash", "minimax_m3", "step3p5", "step3p7")
"""Model types whose class takes no LoRA adapters (0.32.0: no SupportsLoRA; it ends with "does not support LoRA yet")."""
_TOKENIZER_MODES_SINCE = "0.13"
_TOKENIZER_MODES = {"deepseek_v32": "deepseek_v32"}
"""Tool-call parser of the model -> what reads its chats where its files hold no template: DeepSeek V3.2 (vLLM's recipe; releases
that do not choose it by themselves, as 0.32.0 does, answer every chat with HTTP 400). The mode came with the parser."""
_TOOL_TEMPLATES = {
    ("deepseek_v3", False): ("tool_chat_template_deepseekv3.jinja", "0.9"),
    ("deepseek_v3", True): ("tool_chat_template_deepseekr1.jinja", "0.10.2"),
    ("deepseek_v31", True): ("tool_chat_template_deepseekv31.jinja", "0.10.2"),
    ("llama4_pythonic", False): ("tool_chat_template_llama4_pythonic.jinja", "0.9"),
    ("phi4_mini_json", False): ("tool_chat_template_phi4_mini.jinja", "0.9"),
}
"""(Tool-call parser of the model, whether it has a parser of reasoning) -> the template that tells the model which tools there
are, and how to call them so that the parser reads it, where its own does not; and the first source release read that has it
(PyPI: 0.9.0, 0.10.2, 0.29.0, 0.33.0; vLLM's page on tool calling). Where the file is not there the engine ends at start."""
_ENGINE_S_OWN_IMAGE = "vllm-openai"
_TEMPLATES_IN_IMAGE = "/vllm-workspace/examples"
"""Where the engine's own image, or a copy of it under its name, has its examples (docker/Dockerfile: COPY examples)."""
MASTER_PORT = 29501
"""Where the processes of a replica over several nodes find one another: the engine's own default."""


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
    if at_least(settings.version, _JOIN_TIMEOUT_SINCE):
        args += ["--distributed-timeout-seconds", str(settings.join_timeout_s)]
    return args


def _shared_args(settings: EngineSettings) -> list[str]:
    agent, model, version = settings.agent, settings.model, settings.version
    args = [
        settings.bucket_address or f"{MODELS_MOUNT}/{settings.model_path}",
        *("--served-model-name", *settings.served_names),
        *_pooling_args(model),
        *("--host", "0.0.0.0"),  # noqa: S104 - inside a pod, reached through its Service only
        *("--port", str(PORT)),
        *("--tensor-parallel-size", str(settings.tensor_parallel)),
        *("--pipeline-parallel-size", str(settings.pipeline_parallel)),
        *_group_args(settings),
        *_precision_args(model, settings.precision),
        *("--kv-cache-dtype", {"auto": "auto", "bf16": "bfloat16", "fp16": "auto", "fp8": "fp8"}[agent.kv_cache_dtype]),
        *("--max-model-len", str(settings.max_model_len)),
        *("--max-num-seqs", str(settings.max_num_seqs)),
        *("--max-num-batched-tokens", str(settings.max_num_batched_tokens)),
    ]
    args += ["--gpu-memory-utilization", f"{settings.gpu_memory_utilization:g}"]
    if settings.kv_cache_memory_bytes is not None and at_least(version, _FIXED_KV_SINCE):
        args += ["--kv-cache-memory-bytes", str(settings.kv_cache_memory_bytes)]
    if settings.asks_for_prefix_cache:
        args.append("--enable-prefix-caching")
        if must_be_told_to_align(version, model):
            args += ["--mamba-cache-mode", "align"]
    args += _chat_args(settings)
    if agent.lora_adapters:
        args += _lora_args(settings)
    if agent.speculative is not None:
        args += ["--speculative-config", _speculative_config(agent.speculative, settings.draft_path)]
    if agent.kv_offload_gib is not None:
        args += ["--kv-offloading-size", f"{agent.kv_offload_gib:g}"]
    if settings.loader != "default":
        args += ["--load-format", _LOAD_FORMATS[settings.loader]]
    if settings.bucket_address is not None and settings.ranks > settings.nodes:
        # Without it every rank fetches the whole checkpoint.
        args += ["--model-loader-extra-config", json.dumps({"distributed": True}, separators=(",", ":"))]
    if model.is_text_only:
        args += _text_only_args(version)
    if agent.trust_remote_code:
        args.append("--trust-remote-code")
    if at_least(version, _SHUTDOWN_TIMEOUT_SINCE):
        args += ["--shutdown-timeout", str(settings.shutdown_timeout_s)]
    args += settings.limit_arguments
    edges = {"time_to_first_token": settings.ttft_edges_s, "inter_token_latency": settings.tpot_edges_s}
    if at_least(version, _EDGES_SINCE) and (
        own := {family: list(values) for family, values in edges.items() if values}
    ):
        args += ["--custom-histogram-buckets", json.dumps(own, separators=(",", ":"))]
    return args


def _text_only_args(version: str) -> list[str]:
    if at_least(version, _TEXT_ONLY_SINCE):
        return ["--language-model-only"]
    return ["--limit-mm-per-prompt", json.dumps(dict.fromkeys(("image", "video", "audio"), 0), separators=(",", ":"))]


def _group_args(settings: EngineSettings) -> list[str]:
    """Attention groups behind one port, and experts dealt out whole: over TP x groups, whatever else is said.

    One API server, where newer releases start as many as groups: with several, none finishes its answers after SIGTERM (tried
    on 0.32: each lets go of its engines at once, and its streams hang until they are killed), and each counts
    ``--max-num-queued-tokens`` for itself.
    """
    args: list[str] = []
    if settings.attention_dp > 1:
        args = ["--data-parallel-size", str(settings.attention_dp), "--api-server-count", "1"]
    return [*args, *(("--enable-expert-parallel",) if settings.expert_parallel > 1 else ())]


def _chat_args(settings: EngineSettings) -> list[str]:
    """How chats are read and written: parsers, and what the template is told where a request does not say."""
    args: list[str] = []
    mode = _TOKENIZER_MODES.get(settings.model.tool_call_parser or "")
    if mode is not None and at_least(settings.version, _TOKENIZER_MODES_SINCE):
        args += ["--tokenizer-mode", mode]
    if parser := settings.tool_parser:
        args += ["--enable-auto-tool-choice", "--tool-call-parser", parser]
        template, since = _TOOL_TEMPLATES.get((parser, settings.model.reasoning_parser is not None), ("", ""))
        if template and at_least(settings.version, since) and _ENGINE_S_OWN_IMAGE in settings.image:
            args += ["--chat-template", f"{_TEMPLATES_IN_IMAGE}/{template}"]
    if parser := settings.reasoning_parser:
        args += ["--reasoning-parser", parser]
    if settings.template_variables is not None:
        args += ["--default-chat-template-kwargs", settings.template_variables]
    return args


def _pooling_args(model: Model) -> list[str]:
    """What makes the engine answer with vectors or scores; how it pools stands in the model's own files."""
    pooled = model.pooling
    if pooled is None:
        return []
    args = ["--runner", "pooling"]
    if pooled.converted:
        args += ["--convert", "embed"]
    if pooled.hf_overrides is not None:
        args += ["--hf-overrides", pooled.hf_overrides]
    return args


def _precision_args(model: Model, precision: Precision) -> list[str]:
    if quantises_at_load(model, precision):
        return ["--dtype", "auto", "--quantization", "fp8"]
    return ["--dtype", DTYPES.get(precision, "auto")]


def _lora_args(settings: EngineSettings) -> list[str]:
    return [
        "--enable-lora",
        *("--max-loras", str(len(settings.lora_ranks))),
        *("--max-lora-rank", str(max(settings.lora_ranks))),
        *("--lora-modules", *settings.lora_modules),
    ]


def _speculative_config(speculative: Speculative, draft_path: str | None) -> str:
    """The draft runs on as many ranks as the model; n-grams keep the engine's own window of 5 tokens."""
    config: dict[str, str | int] = {
        "method": _SPECULATION_METHODS[speculative.method],
        "num_speculative_tokens": speculative.tokens,
    }
    if draft_path is not None:
        config["model"] = f"{MODELS_MOUNT}/{draft_path}"
    return json.dumps(config, separators=(",", ":"))


def _environment() -> tuple[EnvironmentVariable, ...]:
    return (
        EnvironmentVariable(name="VLLM_NO_USAGE_STATS", value="1"),
        # Compiled code of torch and DeepGEMM, and what FlashInfer tuned, stand below this by themselves (0.33.0: envs.py,
        # utils/deep_gemm.py, warmup/flashinfer_autotune_cache.py); FlashInfer's own kernels and cubins do not.
        EnvironmentVariable(name="VLLM_CACHE_ROOT", value=f"{ENGINE_CACHE_MOUNT}/vllm"),
        EnvironmentVariable(name="FLASHINFER_WORKSPACE_BASE", value=ENGINE_CACHE_MOUNT),
    )


def _refusals(wishes: Wishes) -> Iterator[str]:
    agent, version = wishes.agent, wishes.version
    if wishes.model.pooling is not None and not at_least(version, _POOLING_SINCE):
        yield f"how vLLM {version} serves models that generate nothing was not read; {_POOLING_SINCE} and newer take --runner"
    if agent.speculative is not None and not at_least(version, _SPECULATION_SINCE[agent.speculative.method]):
        yield f"vLLM {version} has no speculative decoding by {agent.speculative.method} that is known to work"
    if wishes.precision == "fp16" and wishes.model.architecture in _NOT_IN_FP16:
        yield f"vLLM does not run {wishes.model.id} in float16, where it is numerically unstable: write precision: bf16"
    if agent.lora_adapters and wishes.model.architecture.removesuffix("_text") in _TAKES_NO_ADAPTERS:
        yield f"vLLM's class for {wishes.model.id} ({wishes.model.architecture}) takes no LoRA adapters"
    if agent.kv_cache_dtype == "bf16" and not at_least(version, _BF16_CACHE_SINCE):
        yield f"vLLM {version} has no --kv-cache-dtype bfloat16; {_BF16_CACHE_SINCE} and newer have"
    if agent.kv_offload_gib is not None and not at_least(version, _KV_OFFLOAD_SINCE):
        yield f"vLLM {version} has no --kv-offloading-size; {_KV_OFFLOAD_SINCE} and newer have"
    if wishes.loader in ("fastsafetensors", "runai-streamer") and not at_least(version, _STREAMS_SINCE):
        yield f"whether vLLM {version} has the loader {wishes.loader} is not known; {_STREAMS_SINCE} and newer have it"
    if unknown := wishes.parsers.tool_calls.unknown(agent.tool_call_parser):
        yield f"vLLM {wishes.parsers.version} has no tool-call parser {unknown}"
    if unknown := wishes.parsers.reasoning.unknown(agent.reasoning_parser):
        yield f"vLLM {wishes.parsers.version} has no reasoning parser {unknown}"


VLLM = EnginePort(
    name="vllm",
    command=("vllm", "serve"),
    arguments=vllm_args,
    worker_arguments=vllm_worker_args,
    nodes_since=_NODES_SINCE,
    environment=_environment,
    refusals=_refusals,
    planned_since=V1_FIRST_VERSION,
    why_not_older="has the engine V0, which is gone and whose accounting differs",
    fixes_kv_since=_FIXED_KV_SINCE,
    moves_kv_since=_MOVES_KV_SINCE,
    moves_prompts_alone_since=_MOVES_PROMPTS_ALONE_SINCE,
    served_model_name=first_agent,
    takes_several_names=True,
    health_path="/health",
    ready_path="/health",
    pipeline_parallel=True,
    fixes_kv_budget=always,
    shared_memory_share=None,
    streams_unasked_since=_STREAMS_SINCE,
    streams_buckets_since=_STREAMS_BUCKETS_SINCE,
    drains_since=_SHUTDOWN_TIMEOUT_SINCE,
    refuses_tools_without_parser=True,
    group_header="X-data-parallel-rank",
    better_for_steps="sglang",
    api_key_variable="VLLM_API_KEY",  # guards /v1, /v2, /inference and /cohere, and leaves /health and /metrics open (0.33.0)
)
