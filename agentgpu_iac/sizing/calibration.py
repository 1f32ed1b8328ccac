"""The constants of the latency model: each named, with its unit, the rows it was fitted on, and its uncertainty.

What kernels reach is no constant: it is a fact of the catalog (``kernels.json``). Fitted is what no table of kernels holds:
the host's time of a step and of a sequence, a layer's small kernels by engine generation, launches of prompts, how evenly
experts are asked for, and the time of a first token. ``bench/accuracy_latency.py --constants`` fits them to up to eight rows of
each group (model, accelerator, engine) of the 2,348 judged points of ``bench/data/serving.csv``, of at most 128 requests at
once, each stepped through the protocol of its client, by robust least squares with a prior on every constant; its other
tables judge all rows. ``UNCERTAINTY_RATIO`` says how far each moves when the rows of one card or one model family are left out.
The host's time of a request is not fitted: closed loops do not tell it from their own queue.
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
    """Decode: time of a layer's small kernels (norms, rotary embedding, cache write, activation) and of the gaps between
    kernels: what the tables of matrices, attention, experts and all-reduces do not hold."""
    first_token_ms: float
    """TTFT of a request of no length on an idle engine: HTTP, tokeniser, scheduling, first detokenising. Requests that were
    alone took 14 ms beyond their prompt in vLLM 0.8.5, 12 in 0.20 and 7 to 10 in 0.24: the prior is 10. No row tells SGLang's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFamily:
    """What holds for all generations of an engine."""

    host_ms_per_request: float
    """Of one request: one process of the server tokenises for all of them, one after another."""
    prompt_launch_ms_per_layer: float
    """Launches and small kernels of one layer of a prompt chunk, which runs outside CUDA graphs."""
    prompt_experts_launch_ms: float
    """The same of routing, permuting and launching the experts of one layer, besides."""
    prompt_factor: float
    """Time of prompt tokens in an engine over that of their kernels by themselves: norms, quantisation, permuting, and the
    gaps between kernels that are launched one by one."""
    first_token_steps: float
    """Decode steps between the end of a prompt and its first token, on an idle engine: 1 where the scheduler looks at the
    results of a step only after it has launched the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """Everything that the model does not take from data sheets or from the shape of the model."""

    prompt_reduce_ms: float
    """Launching one all-reduce of a prompt chunk, outside CUDA graphs, until all accelerators have."""
    captured_launch_ms_per_layer: float
    """Prompt chunks whose kernels are in pieces of CUDA graphs: launching a layer's attention and the piece after it."""
    step_ms: float
    """One engine step: scheduler, input copies, sampling. All rows."""
    routing_shape: float
    """How unevenly tokens choose their experts (``Speed.touched_experts``)."""
    sequence_ms: float
    """Added to a step by each running sequence of an attention group: sampling, detokenising, block tables."""
    eager_launch_ms_per_layer: float
    """The host launching one layer of a decode step whose kernels are in no graph: no step is faster. Not fitted here."""
    families: Mapping[Engine, EngineFamily]
    generations: Mapping[str, Generation]


ACTIVATION_PASSES = 8.0
"""Times that a layer of a prompt moves one residual-wide vector a token through memory (norms, rotary, residual); the
rows do not tell 4 from 16."""

VECTORS_HANDED_OVER = 2
"""Residual-wide vectors of a token that a pipeline stage hands to the next: the hidden states and the residual beside them
(``make_empty_intermediate_tensors`` of the models in vLLM 0.33, SGLang's ``PPProxyTensors``)."""

CONSTANTS = Constants(
    prompt_reduce_ms=0.107,
    captured_launch_ms_per_layer=0.406,
    step_ms=0.326,
    eager_launch_ms_per_layer=0.183,
    routing_shape=2.55,
    sequence_ms=0.0144,
    families=MappingProxyType(
        {
            "vllm": EngineFamily(
                host_ms_per_request=0.4,
                prompt_launch_ms_per_layer=0.282,
                prompt_experts_launch_ms=0.524,
                prompt_factor=0.995,
                first_token_steps=0.0,
            ),
            "tensorrt-llm": EngineFamily(
                host_ms_per_request=0.4,
                prompt_launch_ms_per_layer=0.178,
                prompt_experts_launch_ms=0.244,
                prompt_factor=0.951,
                first_token_steps=0.0,
            ),
            "sglang": EngineFamily(
                host_ms_per_request=0.4,
                prompt_launch_ms_per_layer=0.279,
                prompt_experts_launch_ms=1.22,
                prompt_factor=1.33,
                first_token_steps=1.0,
            ),
        }
    ),
    generations=MappingProxyType(
        {
            "vllm-0.12": Generation(launch_ms_per_layer=0.0166, first_token_ms=12),
            "vllm-0.15": Generation(launch_ms_per_layer=0.0264, first_token_ms=12.3),
            "vllm-0.18": Generation(launch_ms_per_layer=0.0167, first_token_ms=11.4),
            "tensorrt-llm-1.0": Generation(launch_ms_per_layer=0.0122, first_token_ms=10.4),
            "tensorrt-llm-1.2": Generation(launch_ms_per_layer=0.0066, first_token_ms=12.3),
            "sglang-0.5.1": Generation(launch_ms_per_layer=0.0111, first_token_ms=10),
            "sglang-0.5.6": Generation(launch_ms_per_layer=0.037, first_token_ms=10),
            "sglang-0.5.9": Generation(launch_ms_per_layer=0.0376, first_token_ms=10.3),
        }
    ),
)

UNCERTAINTY_RATIO: Mapping[str, float] = MappingProxyType(
    {
        "prompt_reduce_ms": 0.63,
        "captured_launch_ms_per_layer": 0.38,
        "step_ms": 1.01,
        "routing_shape": 0.37,
        "sequence_ms": 0.22,
        "vllm.prompt_launch_ms_per_layer": 0.48,
        "vllm.prompt_experts_launch_ms": 0.63,
        "vllm.prompt_factor": 0.17,
        "tensorrt-llm.prompt_launch_ms_per_layer": 0.12,
        "tensorrt-llm.prompt_experts_launch_ms": 0.37,
        "tensorrt-llm.prompt_factor": 0.09,
        "sglang.prompt_launch_ms_per_layer": 0.30,
        "sglang.prompt_experts_launch_ms": 1.01,
        "sglang.prompt_factor": 0.15,
        "vllm-0.12.launch_ms_per_layer": 0.17,
        "vllm-0.12.first_token_ms": 0.19,
        "vllm-0.15.launch_ms_per_layer": 1.01,
        "vllm-0.15.first_token_ms": 0.35,
        "vllm-0.18.launch_ms_per_layer": 0.42,
        "vllm-0.18.first_token_ms": 0.17,
        "tensorrt-llm-1.0.launch_ms_per_layer": 0.39,
        "tensorrt-llm-1.0.first_token_ms": 0.04,
        "tensorrt-llm-1.2.launch_ms_per_layer": 0.82,
        "tensorrt-llm-1.2.first_token_ms": 0.23,
        "sglang-0.5.1.launch_ms_per_layer": 0.34,
        "sglang-0.5.1.first_token_ms": 0.00,
        "sglang-0.5.6.launch_ms_per_layer": 1.01,
        "sglang-0.5.6.first_token_ms": 0.00,
        "sglang-0.5.9.launch_ms_per_layer": 0.49,
        "sglang-0.5.9.first_token_ms": 0.03,
    }
)
"""How far each fitted constant moves, at most, when the rows of one card or of one model family are left out: a ratio above or
below its value. A card's or a family's rows hold some constants alone; without them they fall back to their priors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRatios:
    """How far off a prediction may be: about 80 % of the rows lie within, predicted without their card and family."""

    ttft: float
    tpot: float
    """Of models without experts."""
    experts_tpot: float
    """Of mixtures of experts."""


ERROR_RATIOS: Mapping[str, ErrorRatios] = MappingProxyType(
    {
        "vllm-0.12": ErrorRatios(ttft=1.10, tpot=0.20, experts_tpot=0.53),
        "vllm-0.15": ErrorRatios(ttft=0.40, tpot=0.18, experts_tpot=0.18),
        "vllm-0.18": ErrorRatios(ttft=0.40, tpot=0.18, experts_tpot=0.18),
        "tensorrt-llm-1.0": ErrorRatios(ttft=0.51, tpot=0.22, experts_tpot=0.24),
        "tensorrt-llm-1.2": ErrorRatios(ttft=0.30, tpot=0.20, experts_tpot=0.37),
        "sglang-0.5.1": ErrorRatios(ttft=0.55, tpot=0.19, experts_tpot=0.28),
        "sglang-0.5.6": ErrorRatios(ttft=0.55, tpot=0.22, experts_tpot=0.28),
        "sglang-0.5.9": ErrorRatios(ttft=0.55, tpot=0.22, experts_tpot=0.30),
    }
)
"""By generation of the engine, on cards of the measured runs: the 80th percentile of the larger of the errors with the
card and with the model family left out. TTFT of vLLM since 0.14 is wider than its 23 to 29 %, and so is its TPOT (13 to
18 %), since nearly all its rows are of one source: without it the 80th percentile of TTFT is 39 to 47 %. SGLang's bands
since 0.5.9 are wider than their 45 and 27 %, which hold fewer where the source is left out too (TTFT 48 % of that
alone); before, no row tells its TTFT: that of the newer rows stands for it. Kinds that a generation has no rows of
(dense models in vLLM since 0.14, and in SGLang since 0.5.9, mixtures of experts in SGLang before 0.5.4) take those of
the generation beside it. vLLM before 0.14 has a source of mixtures of experts that is off by a factor of two for no
reason that its rows give."""
OTHER_CARDS: Mapping[bool, ErrorRatios] = MappingProxyType(
    {
        True: ErrorRatios(ttft=0.45, tpot=0.20, experts_tpot=0.35),
        False: ErrorRatios(ttft=0.50, tpot=0.40, experts_tpot=0.40),
    }
)
"""At least this on cards that no fitted run used, with kernel tables of their own and with those of the nearest kind (those a
little widened: another clock and power, and engines newer than the tables): 80th percentiles of TPOT up to eight requests
and of TTFT at one request on A100, L4, L40S, RTX 4090, 5090, A6000, 6000 Ada, PRO 6000 and H100 PCIe
(``bench/accuracy_cards.py``)."""

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
