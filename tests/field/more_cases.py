"""More reports of the kinds of the field cases, found beside them: small inputs, each with what was reported.

Sources are named as there. Figures of start-up logs are held within the error that the answer states, or the share that is
written beside them.
"""

from __future__ import annotations

import re

from agentgpu_iac.sizing.capacity import capacity
from tests.field.cases import CATALOG, Case, advised, left_gib, model_of, near, refused, size

_GIANT = "giantswarm/model-manager, internal/backend/kserve/testdata/kvcache"


def pages(**question: object) -> int:
    """The pages that a refusal says the pool has."""
    found = re.search(r"more than the ([\d,]+) pages", size(**question)["rejection"]["message"])
    assert found is not None
    return int(found[1].replace(",", ""))


def checkpoint_gib(name: str) -> float:
    """All weights of a config, as they are stored, in GiB."""
    model = model_of(name)
    assert model is not None
    return sum(part.parameters * (part.bits or 16) / 8 for part in model.modules) / 2**30


GEMMA_31B = {
    "model": "gemma-4-31b-fp8.json",
    "accelerator": "l40s",
    "gpu_memory_utilization": 0.92,
    "max_num_seqs": 4,
    "max_num_batched_tokens": 8192,
    "engine_version": "0.23.0",
}

MORE = (
    Case(
        id="gemma-4-31b-fp8-bytes",
        reported=f"{_GIANT}: two shards of 26,885,346,708 and 6,382,775,828 bytes",
        right="30.98 GiB: embeddings and tower in 16 bit beside linear layers in 8",
        holds=lambda: abs(checkpoint_gib("gemma-4-31b-fp8.json") / 30.98 - 1) <= 0.005,
    ),
    Case(
        id="gemma-4-31b-fp8-lengths",
        reported=f"{_GIANT}: vLLM 0.23 on one L40S",
        right="8,192 tokens start, 32,768 do not: 7.25 GiB are left, about 8,624 tokens fit",
        holds=lambda: (
            "rejection" not in size(**GEMMA_31B, max_model_len=8192)
            and refused(answer := size(**GEMMA_31B, max_model_len=32768), "memory")
            and abs(advised(answer) / 8624 - 1) <= 0.03
            and abs(left_gib(answer) - 7.25) <= 0.2
        ),
    ),
    Case(
        id="mistral-small-4",
        reported=f"{_GIANT}/mistral-small-4-nvfp4.params.json and its preset",
        right="66 GiB: experts in NVFP4 beside attention in 16 bit",
        holds=lambda: abs(checkpoint_gib("mistral-small-4-nvfp4.params.json") / 66 - 1) <= 0.005,
    ),
    Case(
        id="qwen3.6-27b-fp8-states",
        reported="vllm-project/recipes pull request 551: one H100, utilisation 0.95",
        right="1,024 sequences are refused: 856 pages of states",
        holds=lambda: (
            abs(
                pages(
                    model="Qwen/Qwen3.6-27B",
                    precision="fp8",
                    accelerator="h100-sxm",
                    gpu_memory_utilization=0.95,
                    max_num_seqs=1024,
                    engine_version="0.22.0",
                )
                / 856
                - 1
            )
            <= 0.03
        ),
    ),
    Case(
        id="qwen3.6-35b-fp8-states",
        reported="public repository file id 60627775773: L40S, 16,384 tokens, utilisation 0.92",
        right="256 sequences are refused: 173 pages of states",
        holds=lambda: (
            abs(
                pages(
                    model="Qwen/Qwen3.6-35B-A3B",
                    precision="fp8",
                    accelerator="l40s",
                    gpu_memory_utilization=0.92,
                    max_model_len=16384,
                    max_num_seqs=256,
                    engine_version="0.22.0",
                )
                / 173
                - 1
            )
            <= 0.1
        ),
    ),
    Case(
        id="gpt-oss-20b-a100",
        reported="myoceane.fr, 2026-04-18: vLLM 0.19.0 on A100 80GB, utilisation 0.65",
        right="weights 13.72 GiB, KV cache 36.56 GiB",
        holds=lambda: near(
            size(
                model="openai/gpt-oss-20b",
                accelerator="a100-80gb-sxm",
                engine_version="0.19.0",
                gpu_memory_utilization=0.65,
                max_model_len=131072,
            ),
            weightsGib=13.72,
            kvCacheGib=36.56,
        ),
    ),
    Case(
        id="gemma-4-26b-a100",
        reported="myoceane.fr, 2026-04-18: A100 80GB, without CUDA graphs",
        right="weights 48.5 GiB, KV cache 21.5 GiB",
        holds=lambda: near(
            size(
                model="google/gemma-4-26B-A4B-it",
                accelerator="a100-80gb-sxm",
                engine_version="0.19.0",
                gpu_memory_utilization=0.9,
                max_model_len=131072,
                enforce_eager=True,
            ),
            weightsGib=48.5,
            kvCacheGib=21.5,
        ),
    ),
    Case(
        id="yarn-by-override",
        reported="vllm-project/vllm issue 49011: vLLM 0.25.1, YaRN by 4 of 262,144; pull request 56446",
        right="1,048,576 tokens are no fault of the model's there; since 0.30 they are",
        holds=lambda: (
            not refused(size(**YARN, engine_version="0.25.1"), "context-length")
            and refused(size(**YARN, engine_version="0.30.0"), "context-length")
        ),
    ),
    Case(
        id="cards-without-ecc",
        reported="public repository file ids 66969815042, 69154996746; 35432920428, 47559627477; 23688622983, 56760545149",
        right="94.5 GiB on a GH200 of 96 GB, 47.4 on an RTX A6000 and an RTX 6000 Ada",
        holds=lambda: (
            [capacity(CATALOG.accelerator(name)).capacity_gib for name in ("gh200-96gb", "rtx-a6000", "rtx-6000-ada")]
            == [94.5, 47.4, 47.4]
        ),
    ),
)

YARN = {
    "model": "qwen3.6-27b-yarn.json",
    "accelerator": "h200-sxm",
    "max_model_len": 1_048_576,
    "kv_cache_dtype": "fp8",
}
