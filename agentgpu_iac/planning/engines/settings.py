"""What every engine is told, whatever its flags are called."""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.plan import WeightLoader
from agentgpu_iac.plan.mounts import MODELS_MOUNT
from agentgpu_iac.planning.engines.parsers import KnownParsers
from agentgpu_iac.spec.model import Agent
from agentgpu_iac.spec.vocabulary import Precision

PORT = 8000

DTYPES: dict[Precision, str] = {"bf16": "bfloat16", "fp16": "float16"}
"""Formats of weights that engines are told by PyTorch's names; the others stand in the checkpoint."""

LEADER_ADDRESS = "$(LWS_LEADER_ADDRESS)"
WORKER_INDEX = "$(LWS_WORKER_INDEX)"
"""Variables that the LeaderWorkerSet controller puts before all others of a group's containers, spelled as the kubelet
expands them in arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What the plan decided for one engine process."""

    agent: Agent
    served_names: tuple[str, ...]
    """The agents that it serves."""
    model: Model
    version: str
    image: str
    """The container image that it runs in."""
    parsers: KnownParsers
    model_path: str
    """Directory of the model below the cache's mount point."""
    bucket_address: str | None
    """Where in a bucket the engine streams the model from; unset: it is read from the node's cache."""
    draft_path: str | None
    """The same of the draft model, for speculative decoding that needs one."""
    adapter_paths: tuple[str, ...]
    """Directories of the LoRA adapters, in the order of the agent's list."""
    lora_ranks: tuple[int, ...]
    """Rank of each LoRA slot that memory was counted for."""
    tensor_parallel: int
    pipeline_parallel: int
    attention_dp: int
    """Attention groups, of ``tensor_parallel`` accelerators each."""
    expert_parallel: int
    """Parts into which whole experts are dealt out."""
    nodes: int
    """Nodes of one replica, each with a process of the engine."""
    join_timeout_s: int
    """How long the processes of a replica over several nodes wait for one another."""
    precision: Precision
    max_model_len: int
    max_num_seqs: int
    """Of each attention group."""
    max_num_batched_tokens: int
    """Of each attention group."""
    gpu_memory_utilization: float
    """Share of the accelerator that must be free when the engine starts; also its budget unless the KV cache is fixed."""
    kv_cache_memory_bytes: int | None
    kv_bytes_per_token: int
    """KV cache of one token on one accelerator, the draft's included."""
    loader: WeightLoader
    template_variables: str | None
    """Values for the variables of the chat template where a request gives none, as a JSON object; unset: the engine is told
    none."""
    asks_for_prefix_cache: bool
    """The engine keeps prefixes of this model only if it is told to."""
    shutdown_timeout_s: int
    limit_arguments: tuple[str, ...]
    """What tells the engine how many requests it may hold, as each of its limits counts; empty: as many as come."""
    ttft_edges_s: tuple[float, ...]
    tpot_edges_s: tuple[float, ...]
    """Bucket edges of the two histograms; empty: the engine's own."""

    @property
    def ranks(self) -> int:
        """Accelerators of the replica."""
        return self.tensor_parallel * self.pipeline_parallel * self.attention_dp

    @property
    def tool_parser(self) -> str | None:
        """The parser of tool calls. A capability follows from the model, never from how often tools are expected."""
        return self.parsers.tool_calls.named(self.agent.tool_call_parser, self.model.tool_call_parser)

    @property
    def reasoning_parser(self) -> str | None:
        """The parser of reasoning, whether or not the model is told to reason: requests may ask for it."""
        return self.parsers.reasoning.named(self.agent.reasoning_parser, self.model.reasoning_parser)

    @property
    def lora_modules(self) -> tuple[str, ...]:
        """Each adapter as the engines take it: the name that requests ask for, and its folder."""
        pairs = zip(self.agent.lora_adapters, self.adapter_paths, strict=True)
        return tuple(f"{adapter.name}={MODELS_MOUNT}/{path}" for adapter, path in pairs)


def quantises_at_load(model: Model, precision: Precision) -> bool:
    """Whether the engine makes the precision itself from the published checkpoint (bf16 or fp16 to FP8 only)."""
    return precision == "fp8" and model.native_precision in ("bf16", "fp16")


def needs_other_checkpoint(model: Model, precision: Precision) -> bool:
    """Whether the precision needs a checkpoint other than the one published under the model's id."""
    same_width = {precision, model.native_precision} <= {"bf16", "fp16"}
    return precision != model.native_precision and not same_width and not quantises_at_load(model, precision)
