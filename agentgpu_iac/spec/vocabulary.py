"""The closed sets of words that specs, catalog and plans share.

They are ``Literal`` types, so that a file may hold nothing else, and so that an editor can complete them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

PoolingKind = Literal["embedding", "reranker", "classifier"]
LatencyClass = Literal["voice", "chat", "background"]
Engine = Literal["vllm", "sglang", "tensorrt-llm", "tgi", "ollama"]
Precision = Literal["bf16", "fp16", "fp8", "int8", "int4", "mxfp4", "nvfp4"]
KvCacheDtype = Literal["auto", "bf16", "fp16", "fp8"]
CapacityType = Literal["on-demand", "spot", "reserved"]
Tier = Literal["baseline", "burst"]
Target = Literal["eks", "kubernetes", "spheron", "compose", "skyserve"]
TARGET_MEANINGS: Final[Mapping[Target, str]] = {
    "eks": "a cluster on AWS that is made for it",
    "kubernetes": "a cluster of yours",
    "spheron": "virtual machines that are rented",
    "compose": "one machine of yours with Docker",
    "skyserve": "SkyPilot in clouds of yours",
}
"""What each target runs on."""
Storage = Literal["nvme", "ebs-gp3"]

ENGINES: tuple[Engine, ...] = get_args(Engine)
ENGINE_TITLES: Final[Mapping[Engine, str]] = {
    "vllm": "vLLM",
    "sglang": "SGLang",
    "tensorrt-llm": "TensorRT-LLM",
    "tgi": "TGI",
    "ollama": "Ollama",
}
"""Their names in sentences."""
ENGINES_FOR_ONE_DEVELOPER: tuple[Engine, ...] = ("ollama",)
"""Engines that have no place where others call."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
KV_CACHE_DTYPES: tuple[KvCacheDtype, ...] = get_args(KvCacheDtype)
CAPACITY_TYPES: tuple[CapacityType, ...] = get_args(CapacityType)

GroupChoice = Literal["balanced", "by-session"]
"""Who chooses the attention group of a request: the engine's own balancer, the least loaded for each request; or a router,
always the same for a session."""
