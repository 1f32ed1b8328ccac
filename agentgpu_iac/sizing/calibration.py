"""The constants of the latency model: each named, with its unit, the rows it was fitted on, and its uncertainty.

All were fitted together on the 2,406 measured points of ``bench/data/serving.csv`` by a robust least-squares fit with
a prior on every constant (``bench/accuracy_latency.py`` repeats it, and states the error with one model, accelerator
and engine left out at a time). "Uncertain by" is how far a constant moves when any one of those groups is left out;
no constant belongs to one model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agentgpu_iac.spec.vocabulary import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What changes from one generation of an engine to the next."""

    launch_ms_per_layer: float
    """Decode: time of one dense layer beyond its bytes and arithmetic (kernel launches, gaps, small kernels)."""
    first_token_ms: float
    """TTFT of a request of no length: HTTP, tokeniser, scheduling, first detokenising."""
    queue_share: float
    """Part of the other requests' prompts that a new prompt waits for beyond the steady queue. Closed loops start all
    requests at once: one synchronised wave in ten makes 0.05, a benchmark of a single wave about 0.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFamily:
    """What holds for all generations of an engine."""

    moe_launch_factor: float
    """Launch time of a mixture-of-experts layer over that of a dense layer (routing, permuting, grouped kernels)."""
    host_ms_per_request: float
    """TTFT added by each concurrent request: one host process tokenises, schedules and streams for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """Everything that the model does not take from data sheets or from the shape of the model."""

    step_ms: float
    """One engine step: scheduler, input copies, sampling. All rows."""
    sequence_ms: float
    """Added to a step by each running sequence of an attention group: sampling, detokenising, block tables."""
    prompt_launch_ms_per_layer: float
    """Launching one layer of a prompt chunk, which runs outside CUDA graphs."""
    prompt_interference: float
    """Part of the others' prompt time by which decode steps get longer (1: nothing overlaps)."""
    bandwidth_efficiency: float
    """Achieved share of the memory bandwidth while reading weights."""
    kv_bandwidth_efficiency: float
    """Achieved share of the memory bandwidth while reading KV cache."""
    latent_kv_factor: float
    """MLA: time of reading the latent cache over its bytes (all heads attend to one latent: arithmetic counts)."""
    all_reduce_ms: float
    """Latency of one all-reduce of a decode step over NVLink; a layer has two."""
    decode_all_reduce_gb_per_s: float
    """Bandwidth of the small all-reduces of decode steps."""
    prompt_all_reduce_gb_per_s: float
    """Bandwidth of the large all-reduces of prompts."""
    mfu_16_bit: float
    """Share of the dense 16-bit TFLOPS reached on prompts; together with the activation traffic below."""
    mfu_8_bit_hopper: float
    """The same for 8-bit weights before Blackwell."""
    mfu_8_bit_blackwell: float
    """The same for 8-bit weights on Blackwell."""
    mfu_4_bit: float
    """The same for FP4 weights on FP4 units."""
    mfu_weight_only: float
    """The same for 4-bit integers, computed in 16 bit."""
    expert_mfu_hopper: float
    """Grouped expert GEMMs over dense GEMMs, before Blackwell."""
    expert_mfu_blackwell: float
    """Grouped expert GEMMs over dense GEMMs, Blackwell, 8 and 16 bit."""
    expert_mfu_4_bit: float
    """Grouped expert GEMMs over dense GEMMs on FP4 units."""
    block_fp8_launch_factor: float
    """FP8 experts are scaled in blocks: the quantising kernels lengthen the launches of a layer."""
    dense_fp4_launch_factor: float
    """NVFP4 dense layers quantise their activations: likewise."""
    hopper_launch_factor: float
    """Launch time before Blackwell over that on Blackwell."""
    sparse_attention_launch_factor: float
    """Sparse attention runs an indexer and a selection in each layer: likewise."""
    steady_queue: float
    """Share of the queue of a closed network (mean-value analysis) that chunked prefill leaves."""
    families: Mapping[Engine, EngineFamily]
    generations: Mapping[str, Generation]


ALL_REDUCE_PCIE_MS = 0.04
"""One all-reduce of a decode step over PCIe: an assumption, since no measured run used it."""
ALL_REDUCE_PCIE_GB_PER_S = 20.0
"""Bandwidth of all-reduces over PCIe: an assumption likewise."""
ATTENTION_MFU = 0.5
"""Share of the dense 16-bit TFLOPS that prompt attention reaches; not fitted."""
ACTIVATION_PASSES = 8.0
"""Times that a layer of a prompt moves one residual-wide vector a token through memory (norms, rotary, residual); the
rows do not tell 4 from 16."""
EXPERT_PASSES = 5.0
"""The same for each expert of a token (permute, quantise, gather, weighted sum). Tensor parallelism divides neither:
this is why prompts of mixtures of experts gain little from it."""
PROMPT_LAUNCH_INTERFERENCE = 0.5
"""Part of a prompt's launch time that decode steps wait for; not fitted."""
QUEUED_WAVES = 0.9
"""Part of all requests that wait for a seat when the KV cache is full: a run of ten waves less the first."""
WEIGHT_ONLY_GB_PER_S = 4800.0
"""Weight-only 4-bit kernels read no faster than on Hopper's H200, also on newer accelerators (Kimi-K2.5 in INT4: the
same step on B200 as on H200)."""
SPARSE_ATTENTION_TOKENS = 2048
"""Tokens that sparse attention selects."""
SPARSE_INDEX_SHARE = 0.1
"""Bytes of the indexer's own cache over those of the latent cache."""

CONSTANTS = Constants(
    step_ms=0.355,
    sequence_ms=0.0132,
    prompt_launch_ms_per_layer=0.218,
    prompt_interference=0.848,
    bandwidth_efficiency=0.949,
    kv_bandwidth_efficiency=0.89,
    latent_kv_factor=1.72,
    all_reduce_ms=0.00356,
    decode_all_reduce_gb_per_s=156.0,
    prompt_all_reduce_gb_per_s=240.0,
    mfu_16_bit=0.901,
    mfu_8_bit_hopper=0.494,
    mfu_8_bit_blackwell=0.552,
    mfu_4_bit=0.577,
    mfu_weight_only=0.605,
    expert_mfu_hopper=0.241,
    expert_mfu_blackwell=0.2,
    expert_mfu_4_bit=0.663,
    block_fp8_launch_factor=1.31,
    dense_fp4_launch_factor=1.27,
    hopper_launch_factor=1.11,
    sparse_attention_launch_factor=1.63,
    steady_queue=0.333,
    families=MappingProxyType(
        {
            "vllm": EngineFamily(moe_launch_factor=1.86, host_ms_per_request=0.375),
            "tensorrt-llm": EngineFamily(moe_launch_factor=0.958, host_ms_per_request=0.314),
            "sglang": EngineFamily(moe_launch_factor=1.65, host_ms_per_request=2.32),
        }
    ),
    generations=MappingProxyType(
        {
            "vllm-0.12": Generation(launch_ms_per_layer=0.0794, first_token_ms=28.7, queue_share=0.0223),
            "vllm-0.15": Generation(launch_ms_per_layer=0.0531, first_token_ms=53.4, queue_share=0.0593),
            "vllm-0.18": Generation(launch_ms_per_layer=0.0374, first_token_ms=23.6, queue_share=0.0629),
            "tensorrt-llm-1.0": Generation(launch_ms_per_layer=0.0503, first_token_ms=119.0, queue_share=0.0659),
            "tensorrt-llm-1.2": Generation(launch_ms_per_layer=0.042, first_token_ms=23.4, queue_share=0.0822),
            "sglang-0.5.1": Generation(launch_ms_per_layer=0.0341, first_token_ms=47.4, queue_share=0.588),
            "sglang-0.5.6": Generation(launch_ms_per_layer=0.0411, first_token_ms=121.0, queue_share=0.0512),
            "sglang-0.5.9": Generation(launch_ms_per_layer=0.0544, first_token_ms=168.0, queue_share=0.1),
        }
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRatios:
    """How far off a prediction may be: about 80 % of a generation's rows lie within, predicted from other groups."""

    ttft: float
    tpot: float


ERROR_RATIOS: Mapping[str, ErrorRatios] = MappingProxyType(
    {
        "vllm-0.12": ErrorRatios(ttft=1.0, tpot=1.0),
        "vllm-0.15": ErrorRatios(ttft=0.40, tpot=0.20),
        "vllm-0.18": ErrorRatios(ttft=0.25, tpot=0.12),
        "tensorrt-llm-1.0": ErrorRatios(ttft=0.50, tpot=0.22),
        "tensorrt-llm-1.2": ErrorRatios(ttft=0.95, tpot=0.35),
        "sglang-0.5.1": ErrorRatios(ttft=0.85, tpot=0.40),
        "sglang-0.5.6": ErrorRatios(ttft=1.5, tpot=0.25),
        "sglang-0.5.9": ErrorRatios(ttft=0.70, tpot=0.30),
    }
)
"""The 80th percentile of the errors left out, a little widened where few groups stand behind it. vLLM 0.12 is one
source of two models whose steps differ by a factor of five for no reason that the rows give."""
SEAT_TTFT_ERROR_RATIO = 5.0
"""TTFT where requests wait for a seat: seconds or minutes, since a tenth more or less cache moves the queue by as much
(43 rows)."""

_SINCE: dict[Engine, tuple[tuple[tuple[int, ...], str], ...]] = {
    "vllm": (((0, 18), "vllm-0.18"), ((0, 14), "vllm-0.15"), ((), "vllm-0.12")),
    "tensorrt-llm": (((1, 1), "tensorrt-llm-1.2"), ((), "tensorrt-llm-1.0")),
    "sglang": (((0, 5, 9), "sglang-0.5.9"), ((0, 5, 4), "sglang-0.5.6"), ((), "sglang-0.5.1")),
}
_UNKNOWN_VERSION: dict[Engine, str] = {
    "vllm": "vllm-0.15",
    "tensorrt-llm": "tensorrt-llm-1.2",
    "sglang": "sglang-0.5.9",
}
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


def family_of(engine: Engine) -> Engine:
    """The measured engine whose constants hold: other engines (TGI, Ollama) are taken as vLLM, uncalibrated."""
    return engine if engine in _SINCE else "vllm"


def generation_of(engine: Engine, version: str | None) -> str:
    """Which generation a version belongs to; without a version number, the one that most such rows fit best."""
    family = family_of(engine)
    found = _VERSION.match(version or "")
    if found is None:
        return _UNKNOWN_VERSION[family]
    numbers = tuple(int(part or 0) for part in found.groups())
    return next(name for since, name in _SINCE[family] if numbers >= since)
