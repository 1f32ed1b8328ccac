"""Every line of the memory's ledger is worked out again, and says the constants that were used."""

from __future__ import annotations

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing.draft import Draft
from agentgpu_iac.sizing.memory_lines import Budget, memory_lines
from agentgpu_iac.sizing.replica import ByHand, Replica, memory_terms
from tests.review.arithmetic import worked_out

CATALOG = load_catalog()
NAMES = [
    *("weightsGib", "kvBytesPerToken", "kvPerSessionGib", "kvGib", "overheadGib", "activationGib", "nonTorchGib"),
    *("cudaGraphGib", "totalGib", "capacityGib", "reserveRatio", "coldStartGib", "headroomGib"),
]
MTP = Draft(tokens=2, layers=1)
SMALL_DRAFT = Draft(tokens=3, model=CATALOG.model("Qwen/Qwen3-0.6B"), name="Qwen/Qwen3-0.6B")


def replica(model="Qwen/Qwen3-8B", card="h100-sxm", version="0.33.0", **changes):
    shape = CATALOG.model(model)
    fields = dict(
        model=shape,
        accelerator=CATALOG.accelerator(card),
        accounted_as=version,
        precision=shape.native_precision,
        kv_dtype="auto",
        tensor_parallel=1,
        pipeline_parallel=1,
        max_num_batched_tokens=8192,
    )
    return Replica(**{**fields, **changes})


def lines(asked, seats=16, by_hand=ByHand(), context=6000):  # noqa: B008 - frozen
    terms = memory_terms(asked, context, by_hand)
    found = memory_lines(terms, seats, Budget(gib=70.0, source="--gpu-memory-utilization 0.92"))
    return terms, {line.name: line for line in found}


@pytest.mark.parametrize(
    ("asked", "by_hand"),
    [
        (replica(), ByHand()),
        (replica(version="0.11.0"), ByHand()),
        (replica(tensor_parallel=4), ByHand()),
        (replica(tensor_parallel=2, card="l40s", precision="fp8", kv_dtype="fp8"), ByHand()),
        (replica(pipeline_parallel=3), ByHand()),
        (replica(enforce_eager=True, dtype_bytes=4), ByHand()),
        (replica(lora_ranks=(256, 256, 256, 8)), ByHand()),
        (replica(draft=SMALL_DRAFT), ByHand()),
        (replica(draft=Draft(tokens=4)), ByHand()),
        (replica("deepseek-ai/DeepSeek-R1-0528", tensor_parallel=8, draft=MTP), ByHand()),
        (replica(draft=Draft(tokens=2, layers=1, stated_weights_gib=0.7, name="x/eagle"), tensor_parallel=2), ByHand()),
        (replica("google/gemma-3-27b-it"), ByHand()),
        (replica("Qwen/Qwen3.5-35B-A3B"), ByHand()),
        (replica("openai/gpt-oss-20b"), ByHand()),
        (replica(), ByHand(overhead_ratio=1.37, overhead_source="start.log")),
        (replica(), ByHand(overhead_gib=2.5, weights_gib=17.25, kv_bytes_per_token=100_000)),
        (replica(lora_ranks=(16,)), ByHand(weights_gib=17.25)),
    ],
)
def test_every_sum_gives_its_value(asked, by_hand):
    terms, found = lines(asked, by_hand=by_hand)
    assert [name for name in found if not name.startswith("draft")] == NAMES
    assert ("draftWeightsGib" in found) == bool(terms.draft_kv_bytes_per_token)
    for line in found.values():
        assert worked_out(line.inputs) == pytest.approx(line.value, rel=1e-6, abs=2e-6), line
    assert found["weightsGib"].value == terms.weights_gib
    assert found["totalGib"].value == terms.need_gib(16)
    assert found["overheadGib"].value == terms.overhead_gib(16)
    assert found["kvGib"].value == terms.kv_gib(16)
    assert found["headroomGib"].value == 70.0 - terms.cold_start_gib - terms.need_gib(16)


@pytest.mark.parametrize(("version", "context"), [("0.11.0", "0.13"), ("0.33.0", "0.25")])
def test_the_context_is_that_of_the_version(version, context):
    """Explain printed 0.25 with the source of that for vLLM 0.11, whose constant is 0.13."""
    _, found = lines(replica(version=version))
    line = found["nonTorchGib"]
    assert line.inputs == f"{context} + 0"
    assert f"{context}," in line.source
    assert version in line.source
    assert ("9.49 copies" in found["activationGib"].source) == (version == "0.11.0")


def test_what_a_link_costs_is_named():
    assert "TP 2 over PCIe" in lines(replica(card="l40s", tensor_parallel=2))[1]["nonTorchGib"].source
    assert "TP 2 over NVLink" in lines(replica(tensor_parallel=2))[1]["nonTorchGib"].source
