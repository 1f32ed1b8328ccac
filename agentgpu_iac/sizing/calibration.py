"""The constants of the latency model: each named, with its unit, the rows it was fitted on, and its uncertainty.

All were fitted together on the 2,406 measured points of ``bench/data/serving.csv`` by a robust least-squares fit with
a prior on every constant (``bench/accuracy_latency.py`` repeats it, and states the error with one model, accelerator
and engine left out at a time). ``UNCERTAINTY_RATIO`` says how far each moves when one of those groups is left out. No
constant belongs to one model, but some rest on one: sparse attention on GLM-5, weight-only kernels on Kimi-K2.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agentgpu_iac.catalog.versions import at_least, version_of
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
    step_ms=0.35,
    sequence_ms=0.0163,
    prompt_launch_ms_per_layer=0.194,
    prompt_interference=0.851,
    bandwidth_efficiency=0.955,
    kv_bandwidth_efficiency=0.895,
    latent_kv_factor=1.99,
    all_reduce_ms=0.00363,
    decode_all_reduce_gb_per_s=243,
    prompt_all_reduce_gb_per_s=247,
    mfu_16_bit=0.9,
    mfu_8_bit_hopper=0.498,
    mfu_8_bit_blackwell=0.556,
    mfu_4_bit=0.577,
    mfu_weight_only=0.613,
    expert_mfu_hopper=0.252,
    expert_mfu_blackwell=0.213,
    expert_mfu_4_bit=0.675,
    block_fp8_launch_factor=1.33,
    dense_fp4_launch_factor=1.27,
    hopper_launch_factor=1.11,
    sparse_attention_launch_factor=1.62,
    steady_queue=0.32,
    families=MappingProxyType(
        {
            "vllm": EngineFamily(moe_launch_factor=1.82, host_ms_per_request=0.373),
            "tensorrt-llm": EngineFamily(moe_launch_factor=0.946, host_ms_per_request=0.33),
            "sglang": EngineFamily(moe_launch_factor=1.65, host_ms_per_request=1.07),
        }
    ),
    generations=MappingProxyType(
        {
            "vllm-0.12": Generation(launch_ms_per_layer=0.0771, first_token_ms=29.4, queue_share=0.0227),
            "vllm-0.15": Generation(launch_ms_per_layer=0.0537, first_token_ms=55.9, queue_share=0.0615),
            "vllm-0.18": Generation(launch_ms_per_layer=0.0382, first_token_ms=25.2, queue_share=0.0661),
            "tensorrt-llm-1.0": Generation(launch_ms_per_layer=0.0512, first_token_ms=121, queue_share=0.0668),
            "tensorrt-llm-1.2": Generation(launch_ms_per_layer=0.0425, first_token_ms=24.2, queue_share=0.0851),
            "sglang-0.5.1": Generation(launch_ms_per_layer=0.0347, first_token_ms=48.7, queue_share=0.62),
            "sglang-0.5.6": Generation(launch_ms_per_layer=0.0409, first_token_ms=146, queue_share=0.0689),
            "sglang-0.5.9": Generation(launch_ms_per_layer=0.0538, first_token_ms=183, queue_share=0.115),
        }
    ),
)

UNCERTAINTY_RATIO: Mapping[str, float] = MappingProxyType(
    {
        "step_ms": 0.22,
        "sequence_ms": 0.26,
        "prompt_launch_ms_per_layer": 0.19,
        "prompt_interference": 0.04,
        "bandwidth_efficiency": 0.02,
        "kv_bandwidth_efficiency": 0.07,
        "latent_kv_factor": 0.14,
        "all_reduce_ms": 0.08,
        "decode_all_reduce_gb_per_s": 0.72,
        "prompt_all_reduce_gb_per_s": 0.19,
        "mfu_16_bit": 0.07,
        "mfu_8_bit_hopper": 0.19,
        "mfu_8_bit_blackwell": 0.06,
        "mfu_4_bit": 0.12,
        "mfu_weight_only": 0.39,
        "expert_mfu_hopper": 0.11,
        "expert_mfu_blackwell": 0.21,
        "expert_mfu_4_bit": 0.60,
        "block_fp8_launch_factor": 0.03,
        "dense_fp4_launch_factor": 0.05,
        "hopper_launch_factor": 0.04,
        "sparse_attention_launch_factor": 0.13,
        "steady_queue": 0.18,
        "vllm.moe_launch_factor": 0.12,
        "vllm.host_ms_per_request": 0.35,
        "tensorrt-llm.moe_launch_factor": 0.19,
        "tensorrt-llm.host_ms_per_request": 1.51,
        "sglang.moe_launch_factor": 0.03,
        "sglang.host_ms_per_request": 1.48,
        "vllm-0.12.launch_ms_per_layer": 0.87,
        "vllm-0.12.first_token_ms": 0.22,
        "vllm-0.12.queue_share": 1.07,
        "vllm-0.15.launch_ms_per_layer": 0.13,
        "vllm-0.15.first_token_ms": 0.14,
        "vllm-0.15.queue_share": 0.06,
        "vllm-0.18.launch_ms_per_layer": 0.11,
        "vllm-0.18.first_token_ms": 0.16,
        "vllm-0.18.queue_share": 0.05,
        "tensorrt-llm-1.0.launch_ms_per_layer": 0.12,
        "tensorrt-llm-1.0.first_token_ms": 0.22,
        "tensorrt-llm-1.0.queue_share": 0.12,
        "tensorrt-llm-1.2.launch_ms_per_layer": 0.08,
        "tensorrt-llm-1.2.first_token_ms": 0.65,
        "tensorrt-llm-1.2.queue_share": 0.25,
        "sglang-0.5.1.launch_ms_per_layer": 0.30,
        "sglang-0.5.1.first_token_ms": 0.22,
        "sglang-0.5.1.queue_share": 6.75,
        "sglang-0.5.6.launch_ms_per_layer": 0.04,
        "sglang-0.5.6.first_token_ms": 2.45,
        "sglang-0.5.6.queue_share": 5.35,
        "sglang-0.5.9.launch_ms_per_layer": 0.04,
        "sglang-0.5.9.first_token_ms": 0.10,
        "sglang-0.5.9.queue_share": 0.12,
    }
)
"""How far each constant moves, at most, when one group of rows is left out: a ratio above or below its value. Where a
constant is told by a single group, it falls back to its prior."""


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
"""The 80th percentile of the errors left out, a little widened, so their coverage on the same rows is no independent
proof. SGLang 0.5.6 covers 66 % in TTFT and vLLM 0.12 74 % in TPOT. vLLM 0.12 is one
source of two models whose steps differ by a factor of five for no reason that the rows give."""
SEAT_TTFT_ERROR_RATIO = 5.0
"""TTFT where requests wait for a seat: seconds or minutes, since a tenth more or less cache moves the queue by as much
(43 rows)."""

_SINCE: dict[Engine, tuple[tuple[str, str], ...]] = {
    "vllm": (("0.18", "vllm-0.18"), ("0.14", "vllm-0.15"), ("0", "vllm-0.12")),
    "tensorrt-llm": (("1.1", "tensorrt-llm-1.2"), ("0", "tensorrt-llm-1.0")),
    "sglang": (("0.5.9", "sglang-0.5.9"), ("0.5.4", "sglang-0.5.6"), ("0", "sglang-0.5.1")),
}


def family_of(engine: Engine) -> Engine:
    """The measured engine whose constants hold: other engines (TGI, Ollama) are taken as vLLM, uncalibrated."""
    return engine if engine in _SINCE else "vllm"


def is_measured(engine: Engine) -> bool:
    """Whether any measured run used the engine."""
    return engine in _SINCE


def generation_of(engine: Engine, version: str | None) -> str:
    """Which generation a version belongs to; without a version number the newest, as every other part assumes."""
    family = family_of(engine)
    if version is None or not is_measured(engine) or version_of(version) is None:
        return _SINCE[family][0][1]
    return next(name for since, name in _SINCE[family] if at_least(version, since))
