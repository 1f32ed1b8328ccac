"""How Text Generation Inference spells what the plan says.

Facts are from the launcher and the router of its repository at tag v3.3.7; earlier tags were read for what is new in 3.3.
The project is in maintenance mode: 3.3.7 is its last release.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import EnvironmentVariable
from agentgpu_iac.plan.mounts import ENGINE_CACHE_MOUNT, MODELS_MOUNT
from agentgpu_iac.planning.engines.parsers import NO_PARSER
from agentgpu_iac.planning.engines.port import EnginePort, Wishes, never
from agentgpu_iac.planning.engines.settings import (
    DTYPES,
    PORT,
    EngineSettings,
    quantises_at_load,
)

_SINCE = "3.3"
"""First version with --graceful-termination-timeout; older ones are not planned."""
_OLDEST_CAPABILITY = "8.0"
"""Older ones get the attention that cannot read prompts in chunks, and then refuse prompts longer than a batch."""
_LEAST_CONCURRENT_REQUESTS = 128
"""The launcher's own limit, for agents whose queue is not limited by a budget."""
_BASE_MODEL = "tgi"
"""The one model name that is not taken for an adapter's."""


def tgi_args(settings: EngineSettings) -> tuple[str, ...]:
    """Arguments of ``text-generation-launcher``, in a fixed order.

    Without a limit of the plan's, its own of 128 concurrent requests must not be what turns seats away.
    """
    agent = settings.agent
    unlimited = ("--max-concurrent-requests", str(max(_LEAST_CONCURRENT_REQUESTS, settings.max_num_seqs)))
    args = [
        *("--model-id", f"{MODELS_MOUNT}/{settings.model_path}"),
        *("--hostname", "0.0.0.0"),  # noqa: S104 - inside a pod, reached through its Service only
        *("--port", str(PORT)),
        *("--num-shard", str(settings.tensor_parallel)),
        *_precision_args(settings),
        *("--max-total-tokens", str(settings.max_model_len)),
        *("--max-input-tokens", str(settings.max_model_len - 1)),
        *("--max-batch-size", str(settings.max_num_seqs)),
        *("--max-batch-prefill-tokens", str(settings.max_num_batched_tokens)),
        *(settings.limit_arguments or unlimited),
    ]
    if agent.kv_cache_dtype == "fp8":
        args += ["--kv-cache-dtype", "fp8_e4m3fn"]
    if agent.lora_adapters:
        args += ["--lora-adapters", ",".join(settings.lora_modules)]
    if agent.speculative is not None:
        args += ["--speculate", str(agent.speculative.tokens)]
    if agent.trust_remote_code:
        args.append("--trust-remote-code")
    args += ["--usage-stats", "off"]
    return (*args, "--graceful-termination-timeout", str(settings.shutdown_timeout_s))


def _precision_args(settings: EngineSettings) -> list[str]:
    if quantises_at_load(settings.model, settings.precision):
        return ["--quantize", "fp8"]
    dtype = DTYPES.get(settings.precision)
    return [] if dtype is None else ["--dtype", dtype]


def _environment() -> tuple[EnvironmentVariable, ...]:
    """The image keeps the hub's cache under /data, which the pod's user cannot write."""
    return (
        EnvironmentVariable(name="HF_HOME", value=f"{ENGINE_CACHE_MOUNT}/huggingface"),
        EnvironmentVariable(name="FLASHINFER_WORKSPACE_BASE", value=ENGINE_CACHE_MOUNT),
    )


def _model_name(_: EngineSettings) -> str:
    """Any other name in a request is taken for that of an adapter."""
    return _BASE_MODEL


def _refusals(wishes: Wishes) -> Iterator[str]:
    agent = wishes.agent
    if wishes.model.pooling is not None:
        yield "TGI only generates; its sister for vectors and scores, text-embeddings-inference, is not planned: use vllm"
    if not wishes.image_is_pinned:
        yield (
            "the published TGI image keeps its Python under /root, where the pod's user may not read "
            "(text-generation-inference 3082): build one that any user can run and name it in pins.engineImage"
        )
    if wishes.precision in ("mxfp4", "nvfp4"):
        yield f"TGI has no kernels for {wishes.precision} weights"
    if agent.kv_cache_dtype in ("bf16", "fp16") and agent.kv_cache_dtype != wishes.precision:
        yield f"TGI keeps a 16-bit cache in the format of the weights and has no word for {agent.kv_cache_dtype}"
    if agent.speculative is not None and agent.speculative.method != "ngram":
        yield f"TGI speculates by n-grams, or by the Medusa heads of a model made for it; not by {agent.speculative.method}"
    if agent.kv_offload_gib is not None:
        yield "TGI does not move KV cache to host memory"
    if wishes.loader in ("fastsafetensors", "runai-streamer"):
        yield f"TGI has no loader {wishes.loader}"
    if agent.tool_call_parser not in (None, NO_PARSER):
        yield "TGI has no tool-call parsers by name: it makes the model follow the tools' grammar by itself"
    if agent.reasoning_parser not in (None, NO_PARSER):
        yield "TGI has no reasoning parsers"


TGI = EnginePort(
    name="tgi",
    command=("text-generation-launcher",),
    arguments=tgi_args,
    environment=_environment,
    refusals=_refusals,
    planned_since=_SINCE,
    health_path="/health",
    ready_path="/health",
    pipeline_parallel=False,
    fixes_kv_budget=never,
    shared_memory_share=None,
    streams_unasked_since=None,
    drains_since=_SINCE,
    oldest_capability=_OLDEST_CAPABILITY,
    served_model_name=_model_name,
)
