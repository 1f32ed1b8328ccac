"""Cold start, phase by phase: from a missing node to a replica that answers, as it is likely and as it may be at worst.

A mistake is not alike on both sides. What kills a start that is slow but healthy (a startup probe, a deadline of a rollout)
or buys what must be there before it (warm replicas) takes the upper figure; what a reader plans a day by takes the likely
one. Both come from here, with the error that measured starts showed, and nowhere else is there a constant of a start.

The engine's own phases are fitted on the measured starts of ``bench/data/starts.json`` and judged with each source left out
(``bench/accuracy_starting.py``): median error 26 %, and all 26 took no longer than 1.95 times the predicted, where one in
twenty is meant to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

from agentgpu_iac.catalog.model import Accelerator, InstanceType, Model
from agentgpu_iac.catalog.versions import before
from agentgpu_iac.sizing.loading import (
    Reader,
    Source,
    bucket_gib_per_s,
    fill_gib_per_s,
    source_gib_per_s,
    storage_gib_per_s,
)
from agentgpu_iac.sizing.weights import layer_count
from agentgpu_iac.spec.vocabulary import Precision, Storage

ImagePull = Literal["default", "parallel", "cached"]
"""How the image comes to the node: containerd as it is, SOCI parallel pull, or already there."""

# --- Before the engine ------------------------------------------------------------------------------------------------

NODE_S = 53.0
"""Node claim 13 s + EC2 launch to Ready 40 s (data-on-eks, g6e.2xlarge, us-west-2)."""
DRIVER_S = 36.0
"""Node Ready to GPU registered by the device plugin (same run)."""
NODE_ERROR_RATIO = 0.6
"""How much longer a node of EKS may take until its GPU is there: 0.6 is what the phases of the run stayed within."""
NODE_ERROR_RATIO_ELSEWHERE = 3.6
"""The same on other clouds: 284 s for the node and 126 s for the driver in KAITO's report from AKS, 4.6 times EKS."""
IMAGE_GB_PER_S = 9.35 / 130.8
"""containerd's default pull: a vLLM image of 9.35 GB in 130.8 s (karpenter-blueprints, AL2023)."""
IMAGE_ERROR_RATIO = 1.5
"""How much longer it may take: image pulls of measured starts took 91 to 325 s, 2.5 times the usual."""
PARALLEL_IMAGE_GB_PER_S = 9.35 / 39.6
"""SOCI parallel pull of the same image on a gp3 volume of 1,000 MiB/s: 39.6 s (same source; Bottlerocket 23.2 s). An
image with one layer of 4.7 GB gained nothing from it (data-on-eks: 121 against 124 to 131 s for 11.6 GB), so that the
upper figure is that of the default pull."""
PARALLEL_PULL_LEAST_MIB_PER_S = 600
"""Disk throughput from which a parallel pull is faster at all: below it AWS saw pulls become slower."""
FILL_ERROR_RATIO = 1.06
"""How much longer a download may take: 0.34 GiB/s is the slowest of the measured ones (0.34 to 0.9)."""
WEIGHTS_ERROR_RATIO = 0.7
"""How much longer a load may take: with each source left out, nine in ten of the measured loads stay below."""

# --- The engine -------------------------------------------------------------------------------------------------------

IMPORTS_S = 43.0
"""Container start to the first byte of weights, one rank, before vLLM 0.20: Python imports, configuration, CUDA context
(start to ready less weights and init: 36 s of 0.19 on L40S; 38, 51 and 92 s of 0.10 on one, two and four ranks)."""
NEWER_IMPORTS_S = 79.0
"""The same from 0.20 on (72 s of 0.22 on a card of 24 GB, 73 s of 0.26 on H100, 95 s in KAITO's report)."""
_NEWER_SINCE = "0.20"
RANKS_S = 12.0
"""Added by each doubling of the ranks: their processes, and the groups that they join (38 to 51 s from one rank to two, same
logs)."""
COMPILE_S = 12.8
"""torch.compile of a model of no layers ..."""
COMPILE_S_PER_LAYER = 0.428
"""... and of each layer: 19.4 and 31.1 s at 32 layers, 22.1 s at 24, 25.9 s at 42, 24 s at 48, 42.2 s at 94; 64.8 s at 30 under
WSL2. Kept on the node's cache afterwards."""
WARM_UP_S = 40.0
"""Profiling, KV allocation, autotuning and graph capture of a dense model: init less compile (14 to 90 s in seven logs). It
follows neither layers nor size there."""
EXPERTS_WARM_UP_S = 69.0
"""The same of a mixture of experts: grouped kernels are tuned (22 to 151 s in five logs)."""
RECURRENT_WARM_UP_S = 153.0
"""The same of models with recurrent layers, with or without experts: Triton kernels of the scans (64 to 269 s in twelve)."""
DEEP_GEMM_WARM_UP_S = 160.0
"""Added by FP8 experts on Hopper and data-centre Blackwell, whose DeepGEMM kernels are compiled at start, and others when first
used: 480 s of DeepSeek-V4-Flash (vllm#43189) less the phases above, its weights counted as off a local disk; 264 s of init of
Qwen3-30B-A3B on H100 (vllm#47456), 82 of them DeepGEMM's and 120 of kernels that are compiled when first used."""
FIRST_ANSWER_S = 11.5
"""Ready to the first answer of a dense model: kernels of shapes that the warm-up left out (11 and 12 s, two starts)."""
EXPERTS_FIRST_ANSWER_S = 50.0
"""The same of a mixture of experts (32 to 67 s, seven starts)."""
RESTART_S = 28.6
"""Container start to ready, less weights and init, of a dense model on one rank whose compiled code is kept and whose files lie
in memory: imports of the server's process and of the engine's, CUDA context, the server itself. Each of fourteen sources
counts once (``bench/data/restarts.json``); hosts differ by a factor of three."""
RESTART_INIT_S_PER_LAYER = 0.696
"""Init of a restart for each layer: the code of all layers is traced again, loaded graph by graph, and captured. .38 to .62 on
two hosts of one laboratory, .56, .56, .85 and 1.22 on others (0.9 to 0.13)."""
NEWER_RESTART_INIT_S_PER_LAYER = 0.255
"""The same where compiled code is loaded as a whole, without tracing: .21 and .31 (0.19 and 0.26)."""
_LOADED_WHOLE_SINCE = "0.17"
"""First release of those after torch 2.9 (0.16), with which ``use_aot_compile`` is on by default (envs.py, 0.13.0 to 0.20.0)."""
ENGINE_ERROR_RATIO = 0.95
"""How much longer an engine's phases may take, together: 1.645 standard deviations (0.40 of the logarithm) of the measured
starts, each predicted with its source left out; lognormal, one start in twenty is slower."""
UNMEASURED_FACTOR = 1.5
"""How much wider that is for engines of which no start was measured: a judgement, no measurement."""

LEAST_PATIENCE_S = 600
"""What no startup probe stays below: production-stack allows 615 s, KServe 610 s."""
LEAST_PATIENCE_FOR_SLOW_S = 1800
"""The same for mixtures of experts, 4-bit and 8-bit floats, and replicas over several nodes: llm-d allows 30 minutes. Their
kernels are tuned or compiled at start, and no log bounds that."""

_TUNED_PRECISIONS: frozenset[Precision] = frozenset({"fp8", "nvfp4", "mxfp4"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Starting:
    """What decides how long an engine takes, once its weights are on the node."""

    layers: int
    has_experts: bool = False
    has_recurrent_layers: bool = False
    compiles_deep_gemm: bool = False
    ranks: int = 1
    """Accelerators of the replica, over all its nodes."""
    version: str | None = None
    """Of the engine; unset: unknown, counted as a new one."""
    is_measured: bool = True
    """Starts of this engine were measured; else vLLM's stand for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNode:
    """What decides how long a node takes until its engine's image is there."""

    image_gb: float
    """Compressed size of the image."""
    image_pull: ImagePull = "default"
    error_ratio: float = NODE_ERROR_RATIO
    """How much longer it may take until its accelerators are registered."""


def starting(
    model: Model,
    accelerator: Accelerator,
    *,
    precision: Precision,
    ranks: int,
    version: str | None = None,
    is_measured: bool = True,
) -> Starting:
    """Read what a start depends on off the model, its precision and the card."""
    data_centre = accelerator.compute_capability.startswith(("9.", "10."))
    return Starting(
        layers=layer_count(model),
        has_experts=bool(model.experts),
        has_recurrent_layers=model.layers.recurrent > 0,
        compiles_deep_gemm=bool(model.experts) and precision == "fp8" and data_centre,
        ranks=ranks,
        version=version,
        is_measured=is_measured,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart:
    """Seconds by phase."""

    node: float
    driver: float
    image: float
    cache_fill: float
    imports: float
    weights: float
    compile: float
    warm_up: float
    first_answer: float

    @property
    def total(self) -> float:
        """From a missing node to an answer: image pull and cache fill run one after the other at worst."""
        return self.node + self.driver + self.image + self.cache_fill + self.warm_node_total + self.first_answer

    @property
    def warm_node_total(self) -> float:
        """To a ready replica on a node that is up, with the image and the model cache in place but a cold page cache."""
        return self.imports + self.weights + self.compile + self.warm_up

    @property
    def independent_s(self) -> tuple[float, ...]:
        """The parts that are late for reasons of their own."""
        engine = self.imports + self.compile + self.warm_up
        return (self.node + self.driver, self.image, self.cache_fill, self.weights, engine, self.first_answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded:
    """A start as it is likely, and by phase as it may be at worst."""

    likely: ColdStart
    upper: ColdStart
    restart: float = 0.0
    """To a ready replica on a node where it has run before, as it is likely."""
    upper_restart: float = 0.0
    """The same at worst."""

    @property
    def upper_total(self) -> float:
        """The whole start at worst.

        Phases are late for reasons of their own, so that not all are at once: the excesses add up as the root of the sum of
        their squares.
        """
        return self.likely.total + self._excess(0, 6)

    @property
    def upper_warm_node_total(self) -> float:
        """To a ready replica on a warm node, at worst."""
        return self.likely.warm_node_total + self._excess(3, 5)

    def _excess(self, first: int, end: int) -> float:
        pairs = zip(self.likely.independent_s[first:end], self.upper.independent_s[first:end], strict=True)
        return math.hypot(*(late - usual for usual, late in pairs))


def image_pull_s(image_gb: float, pull: ImagePull = "default") -> float:
    """Seconds to bring an image of that compressed size to the node."""
    rates: dict[ImagePull, float] = {"default": IMAGE_GB_PER_S, "parallel": PARALLEL_IMAGE_GB_PER_S}
    return 0.0 if pull == "cached" else image_gb / rates[pull]


def parallel_pull_pays(instance: InstanceType, root_volume_mib_per_s: int) -> bool:
    """Whether the disk that images lie on takes a parallel pull: the instance store, else volume and instance."""
    if instance.nvme_count:
        return True
    drawn = math.inf if instance.ebs_max_mbps is None else instance.ebs_max_mbps * 1e6 / 2**20
    return min(root_volume_mib_per_s, drawn) >= PARALLEL_PULL_LEAST_MIB_PER_S


def imports_s(engine: Starting) -> float:
    """Container start to the first byte of weights."""
    older = engine.version is not None and before(engine.version, _NEWER_SINCE)
    base = IMPORTS_S if older and engine.is_measured else NEWER_IMPORTS_S
    return base + RANKS_S * math.log2(max(1, engine.ranks))


def compile_s(engine: Starting) -> float:
    """torch.compile with an empty cache."""
    return COMPILE_S + COMPILE_S_PER_LAYER * engine.layers


def warm_up_s(engine: Starting) -> float:
    """What the engine does from compiled to ready."""
    tuned = EXPERTS_WARM_UP_S if engine.has_experts else WARM_UP_S
    if engine.has_recurrent_layers:
        tuned = RECURRENT_WARM_UP_S
    return tuned + (DEEP_GEMM_WARM_UP_S if engine.compiles_deep_gemm else 0.0)


def restart_s(engine: Starting) -> float:
    """Container start to ready where the engine has run before, less the weights."""
    return RESTART_S + RANKS_S * math.log2(max(1, engine.ranks)) + restart_init_s(engine)


def restart_init_s(engine: Starting) -> float:
    """Its part after the weights: by layers, and what is tuned anew takes as long as ever."""
    older = engine.version is not None and before(engine.version, _LOADED_WHOLE_SINCE)
    per_layer = RESTART_INIT_S_PER_LAYER if older and engine.is_measured else NEWER_RESTART_INIT_S_PER_LAYER
    return per_layer * engine.layers + warm_up_s(engine) - WARM_UP_S


def cold_start(
    instance: InstanceType,
    engine: Starting,
    *,
    model_gib: float,
    node_models_gib: float,
    storage: Storage,
    root_volume_mib_per_s: int,
    node: NewNode,
    reader: Reader | None = None,
) -> Bounded:
    """Predict the cold start of one replica.

    ``model_gib`` is the checkpoint that the replica loads; ``node_models_gib`` everything that the node's cache is
    filled with before the marker of the last model is written; ``reader`` who loads it.
    """
    reader = reader or Reader()
    rate = slowest = storage_gib_per_s(
        instance, storage, root_volume_mib_per_s, ranks=reader.ranks, loader=reader.loader
    )
    if reader.from_bucket:
        rate, slowest = bucket_gib_per_s(instance), bucket_gib_per_s(instance, at_worst=True)
    likely = ColdStart(
        node=NODE_S,
        driver=DRIVER_S,
        image=image_pull_s(node.image_gb, node.image_pull),
        cache_fill=node_models_gib / fill_gib_per_s(instance, storage, root_volume_mib_per_s),
        imports=imports_s(engine),
        weights=model_gib / rate,
        compile=compile_s(engine),
        warm_up=warm_up_s(engine),
        first_answer=EXPERTS_FIRST_ANSWER_S if engine.has_experts else FIRST_ANSWER_S,
    )
    upper = _upper(likely, engine, node)
    upper = replace(upper, weights=max(upper.weights, model_gib / slowest))
    again_s = model_gib / source_gib_per_s(Source(path="page-cache", ranks=reader.ranks))
    weights_s = likely.weights if reader.from_bucket else min(likely.weights, again_s)
    restart = restart_s(engine)
    late_s = math.hypot(restart * _engine_error(engine), upper.weights - weights_s)
    return Bounded(likely=likely, upper=upper, restart=restart + weights_s, upper_restart=restart + weights_s + late_s)


def shortened(start: Bounded, spares: Sequence[str], takes_s: float, at_worst_s: float) -> Bounded:
    """The same start without some of its phases; what stands in their place is counted under the first of them."""
    if not spares:
        return start
    gone = dict.fromkeys(spares, 0.0)
    return replace(
        start,
        likely=replace(start.likely, **{**gone, spares[0]: takes_s}),
        upper=replace(start.upper, **{**gone, spares[0]: at_worst_s}),
    )


def _upper(likely: ColdStart, engine: Starting, node: NewNode) -> ColdStart:
    of_engine = _engine_error(engine)
    ratios = {
        "node": node.error_ratio,
        "driver": node.error_ratio,
        "image": IMAGE_ERROR_RATIO,
        "cache_fill": FILL_ERROR_RATIO,
        "weights": WEIGHTS_ERROR_RATIO,
    }
    phases = {
        field.name: getattr(likely, field.name) * (1 + ratios.get(field.name, of_engine)) for field in fields(likely)
    }
    if node.image_pull == "parallel":
        phases["image"] = image_pull_s(node.image_gb)
    return ColdStart(**phases)


def _engine_error(engine: Starting) -> float:
    return ENGINE_ERROR_RATIO * (1.0 if engine.is_measured else UNMEASURED_FACTOR)


def least_patience_s(engine: Starting, precision: Precision, nodes: int) -> int:
    """The least that anything waits for a start before it ends it, whatever was predicted."""
    slow = engine.has_experts or precision in _TUNED_PRECISIONS or nodes > 1
    return LEAST_PATIENCE_FOR_SLOW_S if slow else LEAST_PATIENCE_S
