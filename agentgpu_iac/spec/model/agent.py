"""An agent: its model, its sessions and how they talk, and what is set by hand."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model.fan_out import FanOut
from agentgpu_iac.spec.model.fields import (
    LISTED,
    Count,
    ModelName,
    Name,
    NonNegative,
    ParserName,
    Positive,
    PositiveCount,
    Ratio,
    RepositoryId,
    Revision,
    Switch,
    Text,
)
from agentgpu_iac.spec.model.requests import Requests
from agentgpu_iac.spec.model.schedule import AgentSchedule, Work
from agentgpu_iac.spec.model.tenancy import PaidFallback
from agentgpu_iac.spec.repository import with_revision_of_page
from agentgpu_iac.spec.vocabulary import Engine, KvCacheDtype, LatencyClass, Precision

_SYSTEM_PROMPT_TOKENS = 500


class Quantile(Document):
    """How long something takes at most, for a part of the times."""

    percent: Annotated[float, Field(gt=0, lt=100)]
    """Part of the times that take no longer, in percent: 50 for the median."""
    seconds: Annotated[float, Field(gt=0, le=10**9)]
    """How long it is at that percentile, in seconds."""


class ToolCalls(Document):
    """Tools that an agent calls while a session waits with its memory held."""

    per_turn: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Tool calls in one turn, on average. Each is a further request to the model."""
    seconds: NonNegative = 2.0
    """How long one tool call takes on average (an assumption: 2 s). Most take less than half of it, few take long."""
    quantiles: Annotated[tuple[Quantile, ...], LISTED] = ()
    """Instead of ``seconds``: two times or more that you measured, such as the median and the 95th percentile, shortest first.
    What a cache is worth during a call depends on them."""
    result_tokens: Count = 200
    """Tokens of one tool result that enter the context (an assumption: 200)."""


class Conversation(Document):
    """The shape of one session: how its context grows, turn by turn."""

    turns: PositiveCount = 5
    """Turns of one conversation (an assumption: 5)."""
    input_tokens_per_turn: Count = 150
    """New tokens that the user or caller sends in one turn (an assumption: 150)."""
    output_tokens_per_turn: PositiveCount = 150
    """Tokens that the agent answers in one turn, without reasoning (an assumption: 150)."""
    system_prompt_tokens: Count = _SYSTEM_PROMPT_TOKENS
    """System prompt and tool definitions, at the start of each session (an assumption: 500, or sharedPrefixTokens if more)."""
    shared_prefix_tokens: Count | None = None
    """How many of them are the same in all sessions, from the first token on. A replica stores and reads those once, where its
    engine keeps prefixes. Unset: the whole system prompt. 0: each session has another, such as one that begins with a date."""
    reasoning_tokens_per_turn: Count | None = None
    """Reasoning tokens generated before each answer. They hold memory while generated, then leave the context. Unset: as
    ``thinking`` says, none or the model's typical figure."""
    max_context_tokens: PositiveCount | None = None
    """The most context that one session may hold. Set: memory is reserved for all of it in every session.
    Unset: memory is reserved for the context of the last turn, of which a shared prefix is held once."""
    think_time_s: NonNegative = 10.0
    """Pause of the user or caller between two turns, on average (an assumption: 10 s)."""
    think_time_quantiles: Annotated[tuple[Quantile, ...], LISTED] = ()
    """Instead of ``thinkTimeS``: two pauses or more that you measured, such as the median and the 95th percentile, shortest
    first."""
    tool_calls: ToolCalls = ToolCalls()
    """Tool calls, during which the session keeps its memory."""
    prefix_hit_ratio: Ratio | None = None
    """Share of a session's own earlier context found in the prefix cache at its next request. Unset: 1 with
    session-affine routing, since memory is reserved for every session; 1 / replicas with round robin."""

    @model_validator(mode="after")
    def _prompt_of_its_shared_part(self) -> Self:
        """A prompt of which only the shared part is told is at least that long."""
        shared = self.shared_prefix_tokens
        if shared is None or shared <= self.system_prompt_tokens or "system_prompt_tokens" in self.model_fields_set:
            return self
        return self.model_copy(update={"system_prompt_tokens": shared})


class Sessions(Document):
    """Conversations whose context is kept at the same time."""

    concurrent: PositiveCount = 1
    """Sessions held at normal load: the baseline tier carries these."""
    peak: PositiveCount | None = None
    """The most sessions at once: baseline and burst tier together carry these. Unset: concurrent x burstFactor."""


class Traffic(Document):
    """Volume over the day, and how suddenly it comes."""

    conversations_per_day: PositiveCount | None = None
    """Conversations started in 24 h. Unset: the demand follows from the sessions and their pace alone."""
    burst_factor: Annotated[float, Field(ge=1, le=100_000)] = 1.0
    """Peak load divided by normal load."""
    ramp_s: NonNegative = 60.0
    """Seconds from normal load to peak load (an assumption: 60 s). 0 means: at once, with no warning."""


class LoraAdapter(Document):
    """A LoRA adapter served beside the base model."""

    name: Name
    """Model name under which requests ask for the adapter."""
    source: RepositoryId
    """Hugging Face id of the adapter."""
    rank: Annotated[int, Field(ge=1, le=512)] = 16
    """Rank of the adapter."""
    revision: Revision | None = None
    """Commit, tag or branch of the adapter's repository. Unset: that of the page which ``source`` is the address of, else
    main, which may change under you."""

    @model_validator(mode="before")
    @classmethod
    def _revision_of_page(cls, document: object) -> object:
        return with_revision_of_page(document, "source", "revision")


class Speculative(Document):
    """Speculative decoding: a cheap draft proposes tokens, the model checks several of them in one step."""

    method: Literal["ngram", "draft-model", "eagle3", "mtp"]
    """ngram: from the text so far, no weights. mtp: the model's own multi-token head. draft-model and eagle3: another
    model, named by ``model``."""
    tokens: Annotated[int, Field(ge=1, le=16)] = 3
    """Tokens proposed in each step."""
    model: ModelName | None = None
    """Hugging Face id of the draft, without its publisher where the catalog knows it; needed by draft-model and eagle3."""
    model_revision: Revision | None = None
    """Commit, tag or branch of the draft's repository. Unset: that of the page which ``model`` is the address of, else main,
    which may change under you."""
    weights_gib: Positive | None = None
    """Weights of the draft. Unset: from the catalog, which must then hold the draft."""
    accepted_tokens: Annotated[float, Field(ge=1, le=17)] | None = None
    """Tokens that one step yields on average, as you measured it. Unset: no speed-up is counted."""

    @model_validator(mode="before")
    @classmethod
    def _revision_of_page(cls, document: object) -> object:
        return with_revision_of_page(document, "model", "modelRevision")


class Overrides(Document):
    """Every number that is computed for an agent can be set by hand here. The plan shows both figures."""

    context_tokens: PositiveCount | None = None
    """Context for which memory is reserved per session."""
    weights_gib: Positive | None = None
    """Model weights on one accelerator."""
    kv_bytes_per_token: PositiveCount | None = None
    """KV cache of one token on one accelerator."""
    overhead_gib: NonNegative | None = None
    """Activation peak, CUDA context and graphs on one accelerator."""
    tensor_parallel_size: Annotated[int, Field(ge=1, le=64)] | None = None
    """Accelerators that share every layer, or with attention groups the attention of one of them."""
    pipeline_parallel_size: Annotated[int, Field(ge=1, le=64)] | None = None
    """Groups of layers that follow one another."""
    attention_data_parallel_size: Annotated[int, Field(ge=1, le=64)] | None = None
    """Attention groups: each holds the attention whole, with requests and KV cache of its own, and all share the experts. 1: no
    groups are tried."""
    expert_parallel_size: Annotated[int, Field(ge=1, le=64)] | None = None
    """Parts into which whole experts are dealt out; 1: each accelerator has a slice of every expert."""
    max_model_len: PositiveCount | None = None
    """The engine's --max-model-len."""
    max_num_seqs: PositiveCount | None = None
    """Sessions on one replica: the engine's --max-num-seqs, or with attention groups that of all of them."""
    max_num_batched_tokens: PositiveCount | None = None
    """The engine's --max-num-batched-tokens."""
    ttft_ms: Positive | None = None
    """Time to first token, as you measured it."""
    tpot_ms: Positive | None = None
    """Time per output token, as you measured it."""
    output_tokens_per_s: Positive | None = None
    """Output tokens/s of one replica, as you measured it."""
    prefill_tokens_per_s: Positive | None = None
    """Prefill tokens/s of one replica, as you measured it."""
    required_output_tokens_per_s: NonNegative | None = None
    """Output tokens/s that the agent needs at its peak."""
    required_prefill_tokens_per_s: NonNegative | None = None
    """Prefill tokens/s that the agent needs at its peak."""
    baseline_replicas: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Replicas of the baseline tier."""
    burst_replicas: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Most replicas of the burst tier."""
    max_waiting_requests: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Requests that may wait behind those that a replica computes; beyond them it refuses. Unset: as many as still meet the
    TTFT budget."""
    cold_start_s: Positive | None = None
    """Seconds from a missing node to a ready replica, as you measured it."""


class Agent(Document):
    """One role in the stack, served by one model."""

    name: Name
    """Name of the agent, unique in the stack."""
    role: Text | None = None
    """What the agent does. The words orchestrator, worker, router, classifier and reasoner are recognised when
    the plan names the stack's pattern and architecture."""
    model: Text
    """Hugging Face id of a model in the catalog (any case), or the address of its page; or the path of a local config.json,
    or of the folder that holds it."""
    model_revision: Revision | None = None
    """Commit or tag of the model repository. Unset: ``main``, and the plan says ``unpinned``."""
    engine: Engine = "vllm"
    """Serving engine that runs the model."""
    engine_version: Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+){1,2}$")] | None = None
    """Version of the engine. Unset: the newest in the catalog."""
    precision: Precision | None = None
    """Precision of the weights. Unset: the checkpoint's own."""
    kv_cache_dtype: KvCacheDtype = "auto"
    """Number format of the KV cache. auto: what the checkpoint asks for, where the engine heeds it; else that of the
    activations (16 bit)."""
    latency_class: LatencyClass = "chat"
    """voice: TTFT 200 ms, TPOT 50 ms. chat: TTFT 500 ms, TPOT 50 ms. background: no latency budget. With ``requests`` the
    first figure holds for the whole answer."""
    ttft_ms: Positive | None = None
    """Budget for the time to first token, instead of the class's."""
    tpot_ms: Positive | None = None
    """Budget for the time per output token, instead of the class's."""
    e2e_ms: Positive | None = None
    """Budget for a complete answer. Binds only if set; with ``requests`` it stands in place of the class's, and holds at the
    percentile of ``latency``."""
    requests: Requests | None = None
    """What is asked of a model that answers with a vector or a score. Set: the agent holds no sessions."""
    sessions: Sessions = Sessions()
    """Sessions held at once."""
    conversation: Conversation = Conversation()
    """Shape of one session."""
    traffic: Traffic = Traffic()
    """Volume and burst."""
    schedule: AgentSchedule | None = None
    """Hours in which the agent runs; its sessions, its pace and its daily volume are those of these hours. Unset: around the
    clock."""
    work: Work | None = None
    """A batch with a deadline, in place of sessions and a daily volume: ``latencyClass: background``, with a ``schedule``."""
    isolation: Literal["shared", "dedicated"] = "shared"
    """shared: agents of one model, engine and settings have their replicas in common where that is cheaper. dedicated: this
    agent has replicas of its own."""
    interruptible: bool = False
    """The agent's state is checkpointed, or its work can be retried: a lost replica costs time, not an answer."""
    fan_out: Annotated[tuple[FanOut, ...], LISTED] = ()
    """Sub-agents that it starts in its turns. The time that it waits for them is ``conversation.toolCalls.seconds``."""
    fallback: Name | None = None
    """Agent of this stack that answers when this one cannot: when it is down, refuses, or has no seat free."""
    paid_fallback: PaidFallback | None = None
    """A paid API that answers when neither this agent nor its ``fallback`` can, under a hard cap."""
    lora_adapters: Annotated[tuple[LoraAdapter, ...], LISTED] = ()
    """LoRA adapters served beside the model."""
    speculative: Speculative | None = None
    """Speculative decoding. Its memory is counted; its speed-up only where you measured it."""
    kv_offload_gib: Positive | None = None
    """Host memory of one replica into which the engine moves KV cache that the accelerator has no room for. It is counted in
    the pod's memory; the planned sessions still fit the accelerator without it."""
    paused_cache: Literal["auto", "keep", "offload", "drop"] = "auto"
    """Where a session's KV cache is while its user thinks or its tool runs. keep: on the accelerator. offload: in host memory,
    loaded back before the next request (vLLM). drop: nowhere, and the next request reads its history again. auto: the cheapest
    that meets the budgets; kept where there is no TTFT budget, and where one replica can keep a stated context for all."""
    thinking: Switch = "auto"
    """Whether the model reasons before it answers, where a request does not say. off: the engine is told so. on: it is told
    so, and sized by reasoningTokensPerTurn, or by the model's typical figure. auto: on where reasoningTokensPerTurn is above
    0 and off where it is 0; where it is unset, off for voice and chat if the model can be switched off, and else what the
    model does by itself."""
    tool_call_parser: ParserName | None = None
    """The engine's parser for tool calls. Unset: the model's, from the catalog. none: no parser, so no tools."""
    reasoning_parser: ParserName | None = None
    """The engine's parser for reasoning. Unset: the model's, from the catalog. none: reasoning stays in the answer."""
    text_only: bool = False
    """The engine is told to read no pictures, video and sound: requests with them are refused, and the memory of what reads
    them goes to the KV cache. false: the model as its engine starts it by itself, with its towers."""
    trust_remote_code: bool = False
    """Let the engine run code from the model repository. Off unless you say so."""
    overrides: Overrides = Overrides()
    """Numbers set by hand."""
