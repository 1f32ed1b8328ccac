"""What vLLM's allocator makes of a KV pool: equal pages, groups of layers, and the pages that a request takes.

Layers of several kinds share one pool: they are put into groups of equal size, and each group of a request takes pages of
its own. Read in the wheels of vLLM 0.9.2 to 0.33.0 (v1/core/kv_cache_utils.py, since 0.33 kv_cache_planning.py;
v1/kv_cache_interface.py; platforms/interface.py, before 0.19 model_executor/models/config.py). Nothing here is fitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.versions import at_least
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.kv_cache import (
    KV_BLOCK_TOKENS,
    bytes_per_token_of_full_layer,
    bytes_per_token_of_sliding_layer,
    state_bytes,
    value_bytes,
)
from agentgpu_iac.spec.vocabulary import Engine, KvCacheDtype
from agentgpu_iac.units import GIB, ceil_div, round_up

StatePages = Literal["none", "align", "all"]
"""How a request's recurrent states are kept (vLLM's mamba_cache_mode). none: the one that it runs on. align: that one and
the last at a page's end, which another request may start from. all: one for every page of its tokens."""

_TOKENS_AT_FULL_LENGTH_SINCE = "0.20.1"
"""Since this version "GPU KV cache size" is max concurrency x max-model-len: one Gemma-4-31B pool went from 55 to 525
thousand tokens, Qwen3.6-27B prints 2.36 x 262,144. Before, it is the pool over all layers as if none had a window."""
_EVEN_GROUPS_RATIO = (("0.18", 1.5), ("0.12", 1.25))
"""From a version on: layers of two kinds whose counts differ by less than this share one group size, the larger; otherwise
the rarer kind gives the size: Gemma-3-27B's 10 + 52 layers count as 10 + 60. 1.25 in the wheel of 0.17.0, 1.5 in 0.18.0
and newer, no such rule in 0.11.0."""
_BATCHES_IN_FLIGHT_SINCE = "0.26"
"""First wheel read whose windows hold what is scheduled and not yet settled (max_in_flight_tokens): two batches, as steps
are scheduled ahead, and one more than stages with pipeline parallelism. 0.25.0 and older hold one batch."""
_LATENT_PAGE_TOKENS = 128
"""Pages of models with compressed KV and recurrent layers are a multiple of this, for the kernels that read them."""
_CHECKPOINTS_SINCE = "0.33"
"""First wheel read in which a prefill leaves a state of its own at a page's end: one page more for each recurrent layer of
a request, with Mamba-2 on every card, with linear attention where FlashInfer's kernel reads prompts."""
_CHECKPOINT_PAGE_TOKENS = 64
"""With that kernel, pages are a multiple of this (FLASHINFER_GDN_CHECKPOINT_ALIGNMENT)."""
_CHECKPOINT_CAPABILITIES = ("9.", "10.", "12.")
"""Cards on which it is chosen by itself: Hopper and Blackwell."""
_KEEPS_ALL_STATES = ("bamba", "falcon_h1", "granitemoehybrid", "jamba", "nemotron_h", "zamba2")
"""Architectures (by their beginning) that kept a state for every page with prefix caching, before 0.28."""
_STATES_AS_THE_MODEL = ("bamba", "falcon_h1", "granitemoehybrid", "jamba", "olmo_hybrid", "qwen3_next", "zamba2")
"""Architectures (by their beginning) whose states vLLM keeps in the model's own number format unless told otherwise: those of
Qwen3.5, of Nemotron-H and of Kimi delta attention are kept in 32 bit (0.8 to 0.33, models/config.py, mamba_utils.py). Logs:
544 tokens a page and 1.49 % of padding with Qwen3-Next on two cards (public repository file id 7292846353), 400 and 1.59 %
with Granite 4.0 Tiny (62458215816)."""
_ALIGNS_SINCE = "0.15"
"""First wheel read with --mamba-cache-mode align."""
_ALIGNS_ALL_SINCE = "0.28"
"""First release that keeps two states whatever the architecture."""
_STATE_CHUNK_TOKENS = 256
"""Pages in the mode all are a multiple of Mamba-2's chunk."""
_REFUSES_SEATS_SINCE = "0.20"
"""First wheel read that refuses to start with more --max-num-seqs than pages where layers are recurrent; 0.19.0 captures
fewer graphs instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRequest:
    """What the allocator's answer depends on."""

    model: Model
    version: str
    kv_dtype: KvCacheDtype
    dtype_bytes: int
    tensor_parallel: int
    pipeline_parallel: int
    max_model_len: int
    max_num_batched_tokens: int
    compute_capability: str = ""
    draft_layers: int = 0
    """Full layers of a draft head, which share the pool."""
    proposed_tokens: int = 0
    """Tokens that a draft proposes in a step: recurrent layers hold a state for each."""
    prefix_cached: bool = True
    """Whether prefixes are kept between requests."""
    engine: Engine = "vllm"
    """Whose allocator it is: what others keep is accounted for as vLLM's, with states in 32 bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A KV pool as the engine prints it."""

    pages: int
    """Pages, each of which one group of layers may take."""
    tokens: int
    max_concurrency: float
    sequence_bytes: float
    """What one sequence of max-model-len takes of the pool, in bytes."""
    state_pages: int
    """Pages that the recurrent states of one request take; 0 without such layers."""

    @property
    def most_states(self) -> int | None:
        """Requests whose states fit; None: the model keeps none."""
        return self.pages // self.state_pages if self.state_pages else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Groups and pages of a pool, whatever its size."""

    page_bytes: int
    """One page of one layer."""
    group_layers: int
    block_tokens: int
    """Tokens that a page holds in a full layer."""
    sliding_block_tokens: int
    full_groups: int
    sliding_groups: int
    recurrent_groups: int
    states: StatePages
    checkpoints: int

    @property
    def groups(self) -> int:
        """Of all kinds."""
        return self.full_groups + self.sliding_groups + self.recurrent_groups

    @property
    def group_page_bytes(self) -> int:
        """One page of all layers of a group: what the pool is divided into."""
        return self.group_layers * self.page_bytes


def state_pages_mode(version: str, model: Model, *, prefix_cached: bool) -> StatePages:
    """How a plan has the states of a model kept: with two states a request wherever the release can be told so."""
    if not prefix_cached or not model.layers.recurrent:
        return "none"
    return "align" if at_least(version, _ALIGNS_SINCE) else "all"


def must_be_told_to_align(version: str, model: Model) -> bool:
    """Whether the release would keep a state for every page unless told --mamba-cache-mode align."""
    return (
        model.architecture.startswith(_KEEPS_ALL_STATES)
        and at_least(version, _ALIGNS_SINCE)
        and not at_least(version, _ALIGNS_ALL_SINCE)
    )


def refuses_seats_beyond_pages(version: str) -> bool:
    """Whether the release does not start with more seats than pages where layers are recurrent."""
    return at_least(version, _REFUSES_SEATS_SINCE)


def pool(request: PoolRequest, kv_gib: float) -> Pool:
    """Divide ``kv_gib`` on each accelerator into pages and say how many requests of full length they hold."""
    layout = _layout(request)
    needed = _pages(request, layout, request.max_model_len, _in_flight_tokens(request))
    pages = max(0, int(kv_gib * GIB // layout.group_page_bytes)) if layout.group_page_bytes else 0
    concurrency = pages / needed if needed else 0.0
    tokens = pages // layout.groups * layout.block_tokens if layout.groups else 0
    kinds = sum(map(bool, (layout.full_groups, layout.sliding_groups, layout.recurrent_groups)))
    if kinds > 1 and at_least(request.version, _TOKENS_AT_FULL_LENGTH_SINCE):
        tokens = int(concurrency * request.max_model_len)
    return Pool(
        pages=pages,
        tokens=tokens,
        max_concurrency=concurrency,
        sequence_bytes=float(needed * layout.group_page_bytes),
        state_pages=layout.recurrent_groups * _state_pages(request, layout, request.max_model_len),
    )


def start_bytes(request: PoolRequest, tokens: int) -> float:
    """What the engine wants free for one request of that length before it starts, in bytes."""
    layout = _layout(request)
    return float(_pages(request, layout, tokens, _in_flight_tokens(request)) * layout.group_page_bytes)


def session_bytes(request: PoolRequest, tokens: int) -> float:
    """What a session of that length holds of the pool between its steps, in bytes: pages of each group, states twice."""
    layout = _layout(request)
    return float(_pages(request, layout, tokens, 1) * layout.group_page_bytes)


def state_page_tokens(request: PoolRequest) -> int:
    """Tokens of a page at whose end recurrent states are kept for other requests; 0 where none are kept so."""
    layout = _layout(request) if request.model.layers.recurrent else None
    return 0 if layout is None or layout.states != "align" else layout.block_tokens


def page_bytes(request: PoolRequest) -> int:
    """One page of all layers of a group: what the pool is divided into."""
    return _layout(request).group_page_bytes


def _layout(request: PoolRequest) -> _Layout:
    full, sliding, recurrent = _layers_on_a_stage(request)
    group_layers = _group_layers(tuple(count for count in (full, sliding, recurrent) if count), request.version)
    states = state_pages_mode(request.version, request.model, prefix_cached=request.prefix_cached)
    checkpoints = int(states == "align" and _leaves_checkpoints(request))
    page_bytes, block_tokens, sliding_block_tokens = _page(request, states, aligned=bool(checkpoints))
    return _Layout(
        page_bytes=page_bytes,
        group_layers=group_layers,
        block_tokens=block_tokens,
        sliding_block_tokens=sliding_block_tokens,
        full_groups=ceil_div(full, group_layers) if full else 0,
        sliding_groups=ceil_div(sliding, group_layers) if sliding else 0,
        recurrent_groups=ceil_div(recurrent, group_layers) if recurrent else 0,
        states=states,
        checkpoints=checkpoints,
    )


def _layers_on_a_stage(request: PoolRequest) -> tuple[int, int, int]:
    """(full, sliding, recurrent) layers on the fullest pipeline stage; a draft layer is a full one."""
    layers, stages = request.model.layers, request.pipeline_parallel
    if not request.model.keeps_kv:
        return 0, 0, 0
    full = ceil_div(layers.full, stages) + request.draft_layers
    return full, ceil_div(layers.sliding, stages), ceil_div(layers.recurrent, stages)


def _group_layers(counts: tuple[int, ...], version: str) -> int:
    """Layers in each group of the pool."""
    if not counts:
        return 0
    fewest, most = min(counts), max(counts)
    ratio = next((ratio for since, ratio in _EVEN_GROUPS_RATIO if at_least(version, since)), 1.0)
    return most if most < fewest * ratio else fewest


def _page(request: PoolRequest, states: StatePages, *, aligned: bool) -> tuple[int, int, int]:
    """(bytes of one layer's page, tokens that it holds in a full layer, in a sliding layer).

    All pages are equally large: where a sliding layer's tokens are narrower its page holds more of them, and where a
    recurrent layer's state is larger than 16 tokens the page grows to hold it (Qwen3.5-35B: 1,056 tokens).
    """
    model, tensor = request.model, request.tensor_parallel
    width = value_bytes(request.kv_dtype, request.dtype_bytes)
    full = bytes_per_token_of_full_layer(model, width, tensor)
    sliding = bytes_per_token_of_sliding_layer(model, width, tensor) if model.layers.sliding else full
    widest = max(full, sliding)
    multiple = KV_BLOCK_TOKENS
    if model.layers.recurrent and model.kv_lora_rank is not None:
        multiple = _LATENT_PAGE_TOKENS
    if states == "all":
        multiple = _STATE_CHUNK_TOKENS
    elif aligned and not model.architecture.startswith(_KEEPS_ALL_STATES):
        multiple = max(multiple, _CHECKPOINT_PAGE_TOKENS)
    port = SIZING_PORTS[request.engine]
    as_the_model = port.keeps_states_as_the_model and model.architecture.startswith(_STATES_AS_THE_MODEL)
    state = state_bytes(model, tensor, number_bytes=request.dtype_bytes if as_the_model else 4)
    tokens = max(KV_BLOCK_TOKENS, round_up(ceil_div(int(state), widest), multiple))
    page_bytes = tokens * widest
    return page_bytes, page_bytes // full, page_bytes // sliding


def _pages(request: PoolRequest, layout: _Layout, tokens: int, in_flight: int) -> int:
    """Pages over all groups that one request of that length takes while ``in_flight`` tokens of it are computed."""
    in_window = min((request.model.sliding_window or tokens) - 1 + in_flight, tokens)
    return (
        layout.full_groups * ceil_div(tokens, layout.block_tokens)
        + layout.sliding_groups * (ceil_div(in_window, layout.sliding_block_tokens) + 1)
        + layout.recurrent_groups * _state_pages(request, layout, tokens)
    )


def _state_pages(request: PoolRequest, layout: _Layout, tokens: int) -> int:
    """Pages that the states of one recurrent layer take for a request."""
    if layout.states == "all":
        return ceil_div(tokens, layout.block_tokens)
    return (2 if layout.states == "align" else 1) + request.proposed_tokens + layout.checkpoints


def _leaves_checkpoints(request: PoolRequest) -> bool:
    if not at_least(request.version, _CHECKPOINTS_SINCE):
        return False
    return request.model.architecture.startswith(_KEEPS_ALL_STATES) or request.compute_capability.startswith(
        _CHECKPOINT_CAPABILITIES
    )


def _in_flight_tokens(request: PoolRequest) -> int:
    """Tokens that are computed and may still be counted as before their window."""
    batches = request.pipeline_parallel + 1 if at_least(request.version, _BATCHES_IN_FLIGHT_SINCE) else 1
    return batches * request.max_num_batched_tokens
