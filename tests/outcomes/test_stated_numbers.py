"""Numbers whose effect no golden plan shows, each with where it is from: who changes one must change its source here too."""

from __future__ import annotations

import importlib
from decimal import Decimal
from typing import Any

import pytest

STATED: dict[str, tuple[Any, str]] = {
    "planning.advice.skyserve._DRAIN_S": (120, "SkyPilot 0.14.1, serve/replica_managers.py"),
    "planning.choosing.caching._LEAST_CONNECTIONS": (4, "a judgement: fewer leave a node's network idle"),
    "planning.choosing.caching._LONGEST_DELAY_S": (60, "a judgement: a new node is wanted soon"),
    "planning.choosing.evaluation._FIXED_POINT_ROUNDS": (
        8,
        "replicas and hit ratio settle in two or three; a circle ends",
    ),
    "planning.demand.TPOT_OF_WORK_MS": (50.0, "an assumption: the budget of the voice and chat classes"),
    "planning.demand.SEATS_FOR_VOLUME": (256, "vLLM's own default of --max-num-seqs"),
    "planning.choosing.parallelism.ATTENTION_GROUPS": ((2, 4, 8), "what divides the accelerators of sold machines"),
    "planning.choosing.parallelism._MOST_ACCELERATORS": (16, "the largest machine that is sold"),
    "planning.engines.sglang._ATTENTION_DP_SINCE": ("0.5.22", "--attn-dp-size of the released wheels"),
    "planning.engines.sglang._FASTSAFETENSORS_SINCE": ("0.5.9", "load formats of the released wheels"),
    "planning.engines.sglang._STREAMS_SINCE": ("0.5.15", "load formats of the released wheels"),
    "planning.engines.sglang._SHARED_STATIC_SHARE": (0.95, "free memory is at least need and a fifth of the card"),
    "planning.engines.sglang._MOST_RANKS": (16, "whole GB for each rank of the largest replica"),
    "planning.engines.tensorrt_llm._SINCE": ("1.1", "oldest trtllm-serve whose flags were read"),
    "planning.engines.tensorrt_llm._TOOL_PARSERS_SINCE": ("1.2", "--tool_parser of the released wheels"),
    "planning.engines.tgi._SINCE": ("3.3", "--graceful-termination-timeout"),
    "planning.engines.tgi._OLDEST_CAPABILITY": ("8.0", "attention that reads prompts in chunks"),
    "planning.engines.tgi._LEAST_CONCURRENT_REQUESTS": (128, "the launcher's default of --max-concurrent-requests"),
    "planning.engines.vllm._SHUTDOWN_TIMEOUT_SINCE": ("0.18", "--shutdown-timeout of the released wheels"),
    "planning.engines.vllm._KV_OFFLOAD_SINCE": ("0.11.1", "--kv-offloading-size of the released wheels"),
    "planning.engines.vllm._STREAMS_SINCE": ("0.8.4", "load formats of the released wheels"),
    "planning.engines.vllm._NODES_SINCE": ("0.11.1", "first release with --nnodes"),
    "planning.engines.vllm._JOIN_TIMEOUT_SINCE": ("0.18", "flags of the released wheels"),
    "planning.choosing.host_memory._MAX_SHM_MIB": (16_384, "sixteen ranks of 1 GiB; NCCL needs far less"),
    "planning.finishing.market._MOST_FALLBACKS": (
        3,
        "a marketplace's next best cards, so that a price cap stays readable",
    ),
    "planning.choosing.sharing.MAX_ENGINES_PER_ACCELERATOR": (
        4,
        "a judgement: more would wait for one another too long",
    ),
    "planning.choosing.sharing._MAX_ENUMERATED": (10, "375 groups of up to four among ten deployments"),
    "planning.choosing.program.EQUAL_USD": (Decimal("0.001"), "a tenth of the cent that a plan prints"),
    "planning.running.routing.DEFAULT_RETRY_MS": (10_000, "where no TTFT budget bounds another try"),
    "planning.running.routing._SPARE_CONNECTIONS": (512, "idle connections, probes and metrics"),
    "planning.running.scaling._MOST_STABILIZATION_S": (3_600, "limit of the HPA's API: stabilizationWindowSeconds"),
    "planning.running.scaling._MOST_PERIOD_S": (1_800, "limit of the HPA's API: periodSeconds"),
    "planning.running.scaling._LEAST_KV_RATIO": (0.001, "KEDA hands values on in thousandths"),
    "planning.choosing.several_nodes.LEAST_FABRIC_GBPS": (
        400.0,
        "EFA rate of p4d.24xlarge, the slowest sold for several nodes",
    ),
    "planning.choosing.leaving.NOTICE_DETECTION_S": (5, "the handler polls the metadata service every five seconds"),
    "sizing.groups._BALANCER_SPREAD": (0.5, "vLLM 0.33's balancer stepped: p95 of the fullest group above the mean"),
    "sizing.groups._CERTAINTY": (0.95, "the percentile that budgets hold for by default"),
    "sizing.starting.RESTART_INIT_S_PER_LAYER": (0.696, "restarts of vLLM before 0.17, bench/data/restarts.json"),
    "sizing.starting._LOADED_WHOLE_SINCE": (
        "0.17",
        "first release after those on torch 2.9, use_aot_compile in envs.py",
    ),
    "sizing.paging._TOKENS_AT_FULL_LENGTH_SINCE": ("0.20.1", "start-up logs of Gemma-4-31B before and after"),
    "sizing.activation._LOGITS_COPIES_IN_16_BIT": (
        0.5,
        "16 of 32 bits: vLLM's second runner samples from the logits as they are",
    ),
    "sizing.memory._OVERHEAD_UNCERTAINTY_OF_OLD": (
        0.65,
        "two starts of vLLM 0.10.1 with the same flags, 0.62 and 1.54 GiB",
    ),
    "sizing.paging._LATENT_PAGE_TOKENS": (128, "platforms/interface.py of vLLM 0.33.0: kernels of compressed KV"),
    "sizing.paging._CHECKPOINT_PAGE_TOKENS": (64, "FLASHINFER_GDN_CHECKPOINT_ALIGNMENT of vLLM 0.33.0"),
    "sizing.paging._STATE_CHUNK_TOKENS": (256, "Mamba-2's chunk, model_executor/models/config.py of vLLM 0.18.0"),
    "sizing.layout._NVLINK_DOMAIN": ({"gb200": 72, "gb300": 72}, "NVL72: accelerators that one NVLink switch joins"),
    "planning.choosing.caching.PARALLEL_PULL_SINCE": (
        "20251217",
        "releases of amazon-eks-ami: gate, and SOCI on the array",
    ),
    "sizing.starting._NEWER_SINCE": ("0.20", "starts of 0.19 and before, of 0.22 and after"),
    "sizing.loading.PAGE_CACHE_GIB_PER_S": (5.5, "measured reloads from the page cache, an accelerator"),
    "sizing.loading._REFERENCE_PCIE_GENERATION": (5, "PCIe of the machines on which those were measured"),
    "sizing.engines.sglang._LARGEST_CHUNK": (8_192, "SGLang's own default of --chunked-prefill-size on large cards"),
}
"""Constant -> (its value, why it is that)."""


@pytest.mark.parametrize("name", STATED)
def test_a_number_is_what_its_source_says(name: str) -> None:
    module, _, constant = name.rpartition(".")
    assert getattr(importlib.import_module(f"agentgpu_iac.{module}"), constant) == STATED[name][0]
